"""Injects bursts of frames at one link and takes down the IP packets that come in at another; run by kernel-judge.ts. The next burst
begins when all of the last one has come.
replay.py FROM TO SHOTS SEEN [PID…]   namespaces, whose links are called eth0; files; processes of which each stops for a burst, in turn

SHOTS: bursts of (frames, packets that must come), then each frame as (length, virtio_net_hdr, Ethernet …). SEEN: (length, IP packet) each.
Numbers have 32 bits, the first byte is the highest. Prints how many packets came; stops at the first burst that is not complete.
"""

import ctypes
import os
import signal
import socket
import struct
import sys

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 3
SOL_PACKET, PACKET_VNET_HDR = 263, 15
PACKET_OUTGOING = 4
SO_RCVBUFFORCE = 33
BUFFER_BYTES = 256 << 20
LIMIT_SECONDS = 5
ETHERNET_BYTES = 14
ETHER_TYPE_V6 = 0x86DD
# Whither flows go: whatever else is on the link is not of this trial.
TARGETS_V4 = bytes([10, 244, 2])
LOWEST_TARGET = 128
TARGETS_V6 = bytes.fromhex("fd00000000000002000000010000")


def packet_socket(namespace, protocol):
    with open(f"/run/netns/{namespace}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    packets.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    packets.bind(("eth0", protocol))
    return packets


def is_of_a_flow(frame):
    if int.from_bytes(frame[12:14], "big") == ETHER_TYPE_V6:
        return frame[38:52] == TARGETS_V6
    return frame[30:33] == TARGETS_V4 and frame[33] >= LOWEST_TARGET


def take_down(link, wanted, seen):
    """Until so many have come, or none comes any more; how many."""
    count = 0
    while count < wanted:
        try:
            frame, address = link.recvfrom(1 << 17)
        except TimeoutError:
            break
        if address[2] == PACKET_OUTGOING or not is_of_a_flow(frame):
            continue
        seen.write(struct.pack("!I", len(frame) - ETHERNET_BYTES))
        seen.write(frame[ETHERNET_BYTES:])
        count += 1
    return count


def main():
    sender, receiver, shots_path, seen_path, *pids = sys.argv[1:]
    out = packet_socket(sender, 0)
    out.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    link = packet_socket(receiver, ETH_P_ALL)
    link.settimeout(LIMIT_SECONDS)
    total = bursts = 0
    with open(shots_path, "rb") as shots, open(seen_path, "wb") as seen:
        while burst := shots.read(8):
            frames, wanted = struct.unpack("!II", burst)
            held = int(pids[bursts % len(pids)]) if pids else None
            bursts += 1
            if held:
                os.kill(held, signal.SIGSTOP)
            try:
                for _ in range(frames):
                    out.send(shots.read(*struct.unpack("!I", shots.read(4))))
            finally:
                if held:
                    os.kill(held, signal.SIGCONT)
            count = take_down(link, wanted, seen)
            total += count
            if count < wanted:
                break
        link.settimeout(0.1)
        total += take_down(link, 1 << 31, seen)  # what should not be
    print(total)


main()
