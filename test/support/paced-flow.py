"""One end of a paced flow of numbered UDP packets, faster than Node.js could; run by tests inside a host.
paced-flow.py receive PORT               prints "ready"; after SIGTERM, once nothing comes any more, how many different numbers came, how
                                         many twice, and the longest time without one before SIGUSR1 and after it
paced-flow.py send ADDRESS PORT PER_MS   prints "ready"; at SIGTERM how many were sent
"""

import json
import signal
import socket
import struct
import sys
import time

PAYLOAD_BYTES = 200
BUFFER_BYTES = 64 << 20
FLOW_LIMIT = 1 << 23  # numbers
QUIET_SECONDS = 0.3
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35  # when the kernel had it: how late this process looked does not count
TIMESTAMP_SPACE = socket.CMSG_SPACE(16)


def is_over():
    signal.signal(signal.SIGTERM, lambda *_: flags.append(True))
    flags = []
    return flags


def receive(port):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    except PermissionError:  # root of a user namespace: as much as everybody may have
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    udp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    udp.bind(("", port))
    udp.settimeout(QUIET_SECONDS)
    over = is_over()
    print("ready", flush=True)
    seen = bytearray(FLOW_LIMIT)
    packets = twice = last = 0
    gaps = [0, 0]
    marks = []
    signal.signal(signal.SIGUSR1, lambda *_: marks.append(True))
    while True:
        try:
            data, control, _, _ = udp.recvmsg(PAYLOAD_BYTES, TIMESTAMP_SPACE)
        except TimeoutError:
            if over:
                break
            continue
        seconds, nanoseconds = struct.unpack("qq", control[0][2])
        now = seconds * 1_000_000_000 + nanoseconds
        if last and now - last > gaps[bool(marks)]:
            gaps[bool(marks)] = now - last
        last = now
        number = int.from_bytes(data[:4], "big")
        twice += seen[number]
        packets += not seen[number]
        seen[number] = 1
    before, after = [round(gap / 1e6, 2) for gap in gaps]
    print(json.dumps({"received": packets, "twice": twice, "gapBefore": before, "gapAfter": after}), flush=True)


def send(address, port, per_millisecond):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.connect((address, port))
    over = is_over()
    print("ready", flush=True)
    padding = bytes(PAYLOAD_BYTES - 4)
    started = time.monotonic()
    sent = 0
    while not over:
        # By the clock, since it sleeps longer than it asks for; never more than five milliseconds' worth at once.
        due = min(int((time.monotonic() - started) * 1000 * per_millisecond), sent + 5 * per_millisecond, FLOW_LIMIT)
        while sent < due:
            udp.send(sent.to_bytes(4, "big") + padding)
            sent += 1
        time.sleep(0.0005)
    seconds = time.monotonic() - started
    print(json.dumps({"sent": sent, "perSecond": round(sent / seconds)}), flush=True)


if sys.argv[1] == "receive":
    receive(int(sys.argv[2]))
else:
    send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
