# Answers datagrams on UDP port 9999, and asks all addresses that are given, again and again, until each has answered once. Prints
# `ready`, then the clock (CLOCK_MONOTONIC, in milliseconds) at which the last one had. Goes on answering until it is killed.
import select
import socket
import sys
import time

PORT = 9999
PAUSE_SECONDS = 0.02
waiting = set(sys.argv[1:])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("0.0.0.0", PORT))
sock.setblocking(False)
print("ready", flush=True)
next_round = 0.0
while True:
    if waiting and time.monotonic() >= next_round:
        next_round = time.monotonic() + PAUSE_SECONDS
        for address in waiting:
            try:
                sock.sendto(b"ask", (address, PORT))
            except OSError:
                pass  # no route yet
    select.select([sock], [], [], PAUSE_SECONDS if waiting else None)
    try:
        while True:
            bytes_, sender = sock.recvfrom(16)
            if bytes_ == b"ask":
                sock.sendto(b"answer", sender)
            elif sender[0] in waiting:
                waiting.remove(sender[0])
                if not waiting:
                    print(time.monotonic() * 1000, flush=True)
    except OSError:
        pass
