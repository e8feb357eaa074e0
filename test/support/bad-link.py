# A cable between two network namespaces that treats frames badly, by a seeded plan: a tap eth0 in each, and what crosses in between.
# Only IPv4 suffers; ARP passes. Standard input: a plan a line, JSON {"lose", "duplicate", "corrupt", "forge", "reorder": parts of 1,
# "delayMs": of every frame, "innerAt": bytes between the outer IP
# header and the inner packet}; its line on standard output is {"plan": count}. Every 50 ms in which something happened it prints
# {"ab": {...}, "ba": {...}}: how many frames came in and went out in each direction, and what was done to them. `corrupt` flips a bit anywhere behind
# the outer IP header. `forge` flips one in the inner packet and makes the outer UDP checksum right again, as a router with bad memory
# does: only the inner checksum tells. Ends with its standard input. The card merges what arrives together (GRO), as a real one does.
# Use: python3 bad-link.py SEED /run/netns/A /run/netns/B
import ctypes, fcntl, heapq, json, os, random, select, struct, sys, time

TUNSETIFF, IFF_TAP, IFF_NAPI, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 0x0002, 0x0010, 0x1000, 0x40000000
ETHERNET, IPV4, UDP, IPIP = 14, b"\x08\x00", 17, 4
# Longer than anything that is done to a frame, and shorter than TCP's shortest timeout.
REORDER_SECONDS = 0.004
REPORT_SECONDS = 0.05


def open_tap(netns):
    fd = os.open(netns, os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP | IFF_NAPI | IFF_NO_PI))
    return tap


def udp_checksum(frame, header):
    frame[header + 6 : header + 8] = b"\0\0"
    length = len(frame) - header
    data = bytes(frame[ETHERNET + 12 : ETHERNET + 20]) + struct.pack("!HH", UDP, length) + bytes(frame[header:])
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data[: len(data) & ~1])) + (data[-1] << 8 if len(data) & 1 else 0)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    frame[header + 6 : header + 8] = struct.pack("!H", (~total & 0xFFFF) or 0xFFFF)


def flip(frame, start):
    bit = random.randrange(8 * (len(frame) - start))
    frame[start + bit // 8] ^= 1 << bit % 8


class Direction:
    def __init__(self, out):
        self.out = out
        self.due = []
        self.sequence = 0
        self.counts = dict.fromkeys(["in", "out", "lost", "duplicated", "corrupted", "forged", "reordered", "down"], 0)

    def take(self, frame, plan, now):
        counts = self.counts
        if frame[12:14] != IPV4:
            return self.put(frame, now)
        counts["in"] += 1
        if random.random() < plan["lose"]:
            counts["lost"] += 1
            return
        header = ETHERNET + 4 * (frame[ETHERNET] & 15)
        if random.random() < plan["corrupt"]:
            counts["corrupted"] += 1
            frame = bytearray(frame)
            flip(frame, header)
        elif random.random() < plan["forge"] and frame[ETHERNET + 9] in (UDP, IPIP):
            counts["forged"] += 1
            frame = bytearray(frame)
            flip(frame, header + plan["innerAt"])
            if frame[ETHERNET + 9] == UDP and frame[header + 6 : header + 8] != b"\0\0":
                udp_checksum(frame, header)
        due = now + plan["delayMs"] / 1000
        if random.random() < plan["reorder"]:
            counts["reordered"] += 1
            due += REORDER_SECONDS
        if random.random() < plan["duplicate"]:
            counts["duplicated"] += 1
            self.put(frame, due)
        self.put(frame, due)

    def put(self, frame, due):
        self.sequence += 1
        heapq.heappush(self.due, (due, self.sequence, frame))

    def flush(self, now):
        while self.due and self.due[0][0] <= now:
            frame = heapq.heappop(self.due)[2]
            is_counted = frame[12:14] == IPV4
            try:
                os.write(self.out, frame)
                self.counts["out"] += is_counted
            except OSError:
                self.counts["down"] += is_counted  # the other end's card is down


random.seed(int(sys.argv[1]))
ends = [open_tap(netns) for netns in sys.argv[2:4]]
directions = {ends[0]: Direction(ends[1]), ends[1]: Direction(ends[0])}
plan = {"lose": 0, "duplicate": 0, "corrupt": 0, "forge": 0, "reorder": 0, "delayMs": 0, "innerAt": 0}
plans, said, unread = 0, "", b""
report_at = 0
print("ready", flush=True)
while True:
    now = time.monotonic()
    waits = [d.due[0][0] - now for d in directions.values() if d.due] + [report_at - now if report_at else REPORT_SECONDS]
    for fd in select.select([0, *ends], [], [], max(0, min(waits)))[0]:
        if fd == 0:
            more = os.read(0, 65536)
            if not more:
                sys.exit()
            *lines, unread = (unread + more).split(b"\n")
            for line in lines:
                plan = {**dict.fromkeys(plan, 0), **json.loads(line)}
                plans += 1
                print(json.dumps({"plan": plans}), flush=True)
            continue
        try:
            for _ in range(64):
                directions[fd].take(os.read(fd, 65536), plan, time.monotonic())
        except OSError:
            pass  # nothing more to read, or the card is down
    now = time.monotonic()
    for direction in directions.values():
        direction.flush(now)
    if now >= report_at:
        report_at = now + REPORT_SECONDS
        report = json.dumps({"ab": directions[ends[0]].counts, "ba": directions[ends[1]].counts})
        if report != said:
            said = report
            print(report, flush=True)
