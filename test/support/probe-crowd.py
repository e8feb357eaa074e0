"""Stands for a crowd of daemons that answer probes and ask as often as they are asked; run by thousand-peers.test.ts inside a host to which
all their addresses are routed: probe-crowd.py prints "ready", and at SIGTERM how many questions it got."""

import json
import signal
import socket
import struct
import sys

PORT = 9286
KIND_OFFSET, QUESTION, ANSWER = 4, 1, 2  # src/wire/probe.ts
IP_PKTINFO = 8
PKTINFO_SPACE = socket.CMSG_SPACE(12)

udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
udp.bind(("", PORT))
questions = 0


def end(*_):
    print(json.dumps({"questions": questions}), flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    data, control, _, sender = udp.recvmsg(2048, PKTINFO_SPACE)
    if data[KIND_OFFSET] != QUESTION:
        continue
    questions += 1
    asked = struct.unpack("i4s4s", control[0][2][:12])[2]
    own = [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("i4s4s", 0, asked, asked))]
    answer = data[:KIND_OFFSET] + bytes([ANSWER]) + data[KIND_OFFSET + 1 :]
    udp.sendmsg([answer], own, 0, sender)
    udp.sendmsg([data], own, 0, sender)  # its own question is as good as ours
