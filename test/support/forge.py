# Sends forged datagrams from addresses of this host. Standard input: JSON {"to", "port", "unchecked", "datagrams": [{"source",
# "hex", "count"}]}. `unchecked`: without an outer UDP checksum, as the eBPF programs send theirs.
import json
import socket
import sys

SO_NO_CHECK = 11
order = json.load(sys.stdin)
sockets = {}
for datagram in order["datagrams"]:
    source = datagram["source"]
    if source not in sockets:
        sockets[source] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sockets[source].setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, int(order["unchecked"]))
        sockets[source].bind((source, 0))
    for _ in range(datagram["count"]):
        sockets[source].sendto(bytes.fromhex(datagram["hex"]), (order["to"], order["port"]))
