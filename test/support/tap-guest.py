# A virtual machine as far as its network card goes: carries frames between a tap of this host and a tap eth0 in another
# network namespace, the guest, until it is ended. Prints "ready" when both are open.
# Use: ip netns exec HOST python3 tap-guest.py TAP /run/netns/GUEST
import ctypes, fcntl, os, select, struct, sys

TUNSETIFF, IFF_TAP, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 0x0002, 0x1000, 0x40000000


def open_tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


card = open_tap(sys.argv[1])
guest = os.open(sys.argv[2], os.O_RDONLY)
if ctypes.CDLL(None, use_errno=True).setns(guest, CLONE_NEWNET) != 0:
    raise OSError(ctypes.get_errno(), "setns")
inside = open_tap("eth0")
print("ready", flush=True)
while True:
    for fd in select.select([card, inside], [], [])[0]:
        frame = os.read(fd, 65536)
        try:
            os.write(inside if fd == card else card, frame)
        except OSError:
            pass  # the other end is down: nobody hears it
