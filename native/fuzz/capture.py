#!/usr/bin/env python3
"""Fills native/fuzz/corpus with what real kernels say to each other: sudo python3 native/fuzz/capture.py

Two network namespaces without names, each with a TUN device; this program is the wire between them, loses and marks packets
now and then, and keeps some of each kind:

    host 1 ── tun ══ this program ══ tun ── host 2          10.244.1.1 … 10.244.2.1, fd00:10:244:1::1 … fd00:10:244:2::1
    host 1 ── vxlan 1 ─ over the same ─ vxlan 1 ── host 2   10.244.1.2 … 10.244.2.2, fd00:10:244:1::2 … fd00:10:244:2::2

    corpus/reads      virtio_net_hdr and packet, as a TUN gives them               segmenter, virtio, icmp
    corpus/flows      packets of one direction in a row; and one of each kind      coalescer
                      with four that follow it
    corpus/datagrams  payload of UDP: VXLAN's, and a bare packet as in UDP mode    decapsulation
    corpus/arrivals   many of them in a row                                        inbound
    corpus/questions  those with ARP and neighbour discovery in VXLAN              punts
"""
import ctypes, fcntl, hashlib, os, pathlib, select, socket, struct, subprocess, threading, time

CORPUS = pathlib.Path(__file__).parent / "corpus"
CLONE_NEWNET, TUNSETIFF, TUNSETOFFLOAD = 0x40000000, 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
CSUM, TSO4, TSO6, TSO_ECN, USO4, USO6 = 1, 2, 4, 8, 32, 64
VNET_HEADER_BYTES, MAX_FILE_BYTES, VXLAN_PORT = 10, 3000, 8472
UDP_SEGMENT, IPV6_HOPOPTS, IPV6_DSTOPTS, SO_NO_CHECK = 103, 54, 59, 11
libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def run(*command):
    subprocess.run(command, check=True, capture_output=True)


class Host:
    """A namespace that ends with this process, however that ends."""

    def __init__(self, number):
        self.number = number
        check(libc.unshare(CLONE_NEWNET))
        self.namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.tun, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))
        for key in ("net.ipv4.tcp_ecn=1", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0"):
            run("sysctl", "-qw", key)
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "set", "tun0", "mtu", "1400", "up")
        self.address("tun0", 1)
        underlay = ("local", f"10.244.{number}.1", "remote", f"10.244.{3 - number}.1", "dev", "tun0")
        run("ip", "link", "add", "vxlan1", "type", "vxlan", "id", "1", "dstport", str(VXLAN_PORT), *underlay)
        run("ip", "link", "set", "vxlan1", "address", f"02:11:22:33:44:5{3 + number}", "mtu", "1350", "up")
        self.address("vxlan1", 2)

    def address(self, device, last):
        for start, length in ((f"10.244.{{}}.{last}", 32), (f"fd00:10:244:{{}}::{last}", 128)):
            own, other = (f"{start.format(number)}/{length}" for number in (self.number, 3 - self.number))
            run("ip", "addr", "add", own, "dev", device, *(("nodad",) if length == 128 else ()))
            run("ip", "route", "add", other, "dev", device, "src", own.split("/")[0])

    def offload(self, mask, gso_max_bytes):
        self.enter()
        fcntl.ioctl(self.tun, TUNSETOFFLOAD, mask)
        for device in ("tun0", "vxlan1"):
            run("ip", "link", "set", device, "gso_max_size", str(gso_max_bytes))

    def enter(self):
        check(libc.setns(self.namespace, CLONE_NEWNET))

    def socket(self, family, kind):
        self.enter()
        made = socket.socket(family, kind)
        made.settimeout(5)
        return made


class Wire(threading.Thread):
    """Carries reads of one TUN to the other, and remembers them by direction."""

    def __init__(self, tuns):
        super().__init__(daemon=True)
        self.tuns, self.seen, self.lose, self.mark = tuns, ([], []), 0, False

    def forget(self):
        for side in self.seen:
            side.clear()

    def run(self):
        count = 0
        while True:
            for tun in select.select(self.tuns, [], [])[0]:
                packet = os.read(tun, 70000)
                side = self.tuns.index(tun)
                count += 1
                if self.lose and count % self.lose == 0:
                    continue
                if self.mark and packet[VNET_HEADER_BYTES] >> 4 == 6 and count % 5 == 0:
                    packet = bytearray(packet)
                    packet[VNET_HEADER_BYTES + 1] |= 0x30 if packet[VNET_HEADER_BYTES + 1] & 0x30 else 0
                self.seen[side].append(bytes(packet))
                try:
                    os.write(self.tuns[1 - side], packet)
                except OSError:
                    pass  # what a kernel does not take is lost, as on any wire


def tcp(a, b, family, address, sizes, linger=False):
    listener = b.socket(family, socket.SOCK_STREAM)
    listener.bind((address, 0))
    listener.listen()
    client = a.socket(family, socket.SOCK_STREAM)
    client.connect(listener.getsockname()[:2])
    server, _ = listener.accept()
    server.settimeout(5)
    for size in sizes:
        client.sendall(os.urandom(size))
        left = size
        while left > 0:
            left -= len(server.recv(left))
        server.sendall(b"ok")
        client.recv(2)
    if linger:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for end in (client, server, listener):
        end.close()


def udp(a, b, family, address, is_v6):
    server = b.socket(family, socket.SOCK_DGRAM)
    server.bind((address, 0))
    to = server.getsockname()[:2]
    for size in (0, 1, 7, 100, 1200, 3000):  # the last in fragments
        a.socket(family, socket.SOCK_DGRAM).sendto(os.urandom(size), to)
    run_of = a.socket(family, socket.SOCK_DGRAM)
    run_of.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 300)
    run_of.sendto(os.urandom(1300), to)
    bare = a.socket(family, socket.SOCK_DGRAM)
    bare.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
    bare.sendto(b"no checksum", to)
    option = a.socket(family, socket.SOCK_DGRAM)
    if is_v6:
        option.setsockopt(socket.IPPROTO_IPV6, IPV6_HOPOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
        option.setsockopt(socket.IPPROTO_IPV6, IPV6_DSTOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
    else:
        option.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([7, 7, 4, 0, 0, 0, 0, 0]))  # record route
    option.sendto(b"with options", to)
    a.socket(family, socket.SOCK_DGRAM).sendto(b"nobody is there", (address, 9))
    server.close()


def talk(a, b, wire, last):
    both = (socket.AF_INET, f"10.244.2.{last}", False), (socket.AF_INET6, f"fd00:10:244:2::{last}", True)
    for family, address, is_v6 in both:
        a.enter()
        run("ping", "-c1", "-s40", address)
        wire.mark = True
        tcp(a, b, family, address, (1, 300, 9000, 20000))
        wire.mark, wire.lose = False, 7
        tcp(a, b, family, address, (30000,), linger=True)
        wire.lose = 0
        udp(a, b, family, address, is_v6)
        try:
            tcp_refused = a.socket(family, socket.SOCK_STREAM)
            tcp_refused.connect((address, 9))
        except ConnectionRefusedError:
            pass
    time.sleep(0.2)  # the last acknowledgements


def kind(read):
    """What makes a packet unlike others: one of a kind is kept."""
    header, packet = read[:VNET_HEADER_BYTES], read[VNET_HEADER_BYTES:]
    is_v6 = packet[0] >> 4 == 6
    l4 = 40 if is_v6 else (packet[0] & 15) * 4
    protocol = packet[6 if is_v6 else 9]
    fragment = 0 if is_v6 else struct.unpack_from(">H", packet, 6)[0] & 0x3FFF != 0
    detail = packet[l4 + 12 : l4 + 14] if protocol == 6 else packet[l4 : l4 + 1] if protocol in (1, 58) else b""
    return (header[:2], is_v6, l4, protocol, fragment, detail)


def vxlan_payload(read):
    packet = read[VNET_HEADER_BYTES:]
    if packet[0] != 0x45 or packet[9] != 17 or struct.unpack_from(">H", packet, 22)[0] != VXLAN_PORT:
        return None
    return None if struct.unpack_from(">H", packet, 6)[0] & 0x3FFF else packet[28:]


def keep(folder, content):
    (CORPUS / folder).mkdir(parents=True, exist_ok=True)
    (CORPUS / folder / hashlib.sha1(content).hexdigest()).write_bytes(content)


def keep_one_of_each(folder, items, kind_of, form):
    kinds = {}
    for item in items:
        if len(item) <= MAX_FILE_BYTES:
            kinds.setdefault(kind_of(item), item)
    for item in kinds.values():
        keep(folder, form(item))


def keep_runs(folder, head, packets, record):
    """Eight stretches of what went one way, as much as fits a file."""
    step = max(len(packets) // 8, 1)
    for start in range(0, len(packets), step):
        content = head
        for packet in packets[start : start + step]:
            if len(content) + len(packet) < MAX_FILE_BYTES:
                content += record(packet)
        keep(folder, content)


def keep_tun(wire, is_plain):
    reads = [read for side in wire.seen for read in side]
    keep_one_of_each("reads", reads, kind, lambda read: read)
    if not is_plain:
        return
    keep_one_of_each("datagrams", reads, kind, lambda read: b"\0\0" + read[VNET_HEADER_BYTES:])
    followers = b"\x09\1\0\0\0" * 4
    with_followers = lambda read: b"\0\0" + struct.pack("<H", len(read) - VNET_HEADER_BYTES) + read[VNET_HEADER_BYTES:] + followers
    keep_one_of_each("flows", reads, kind, with_followers)
    for side in wire.seen:
        packets = [read[VNET_HEADER_BYTES:] for read in side]
        keep_runs("flows", b"\0", packets, lambda packet: b"\0" + struct.pack("<H", len(packet)) + packet)
        keep_runs("arrivals", bytes(4), packets, lambda packet: struct.pack("<H", len(packet)) + packet)


def keep_vxlan(wire):
    for side in wire.seen:
        inside = [payload for read in side if (payload := vxlan_payload(read)) is not None]
        is_ip = lambda d: d[20:22] in (b"\x08\x00", b"\x86\xdd")
        # The outer header's ten bytes stand where a read has its virtio_net_hdr.
        kind_of = lambda d: kind(bytes(10) + d[22:]) if is_ip(d) else d[20:22]
        keep_one_of_each("datagrams", inside, kind_of, lambda d: b"\1\0" + d)
        keep_runs("arrivals", b"\1\0\0\0", inside, lambda d: struct.pack("<H", len(d)) + d)
        questions = [d for d in inside if len(d) < 256 and (not is_ip(d) or d[28] == 58)]
        keep_one_of_each("questions", questions, lambda d: d[20:30], lambda d: b"\0\3" + bytes([len(d)]) + d)


def main():
    a, b = Host(1), Host(2)
    wire = Wire((a.tun, b.tun))
    wire.start()
    for mask, gso_max_bytes in ((CSUM | TSO4 | TSO6 | TSO_ECN | USO4 | USO6, 2900), (0, 65536)):
        for host in (a, b):
            host.offload(mask, gso_max_bytes)
        talk(a, b, wire, 1)
        keep_tun(wire, mask == 0)
        wire.forget()
        talk(a, b, wire, 2)
        if mask == 0:
            keep_vxlan(wire)
        wire.forget()


if __name__ == "__main__":
    main()
