"""Two paths of different length. Usage: paths.py INTERFACE INTERFACE MILLISECONDS [TWICE_EVERY]

Carries Ethernet frames between two interfaces, both ways. Every second frame with UDP takes the longer path, so that those on
the shorter one overtake it; one in TWICE_EVERY of them, if given, arrives twice, the second time by the longer path. Runs in
the switch of a lab; ends when standard input does.
"""

import heapq
import itertools
import select
import socket
import sys
import time

SOL_PACKET = 263
PACKET_IGNORE_OUTGOING = 23
SO_RCVBUFFORCE = 33


def open_interface(name):
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    opened.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    # The paths are to be long, not narrow.
    opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    opened.bind((name, 0))
    return opened


def is_udp(frame):
    return (frame[12:14] == b"\x08\x00" and frame[23] == 17) or (frame[12:14] == b"\x86\xdd" and frame[20] == 17)


def carry(interfaces, delay, twice_every):
    ends = [open_interface(name) for name in interfaces]
    targets = {ends[0]: ends[1], ends[1]: ends[0]}
    counts = {end: 0 for end in ends}
    under_way = []  # (when it arrives, order, target, frame)
    order = itertools.count()
    print("carrying", flush=True)
    while True:
        patience = max(0, under_way[0][0] - time.monotonic()) if under_way else None
        readable, _, _ = select.select([*ends, sys.stdin], [], [], patience)
        if sys.stdin in readable:
            return
        now = time.monotonic()
        for end in readable:
            frame = end.recv(65_536)
            if not is_udp(frame):
                targets[end].send(frame)
                continue
            counts[end] += 1
            copies = 2 if twice_every and counts[end] % twice_every == 0 else 1
            if counts[end] % 2:
                targets[end].send(frame)
                copies -= 1
            for _ in range(copies):
                heapq.heappush(under_way, (now + delay, next(order), targets[end], frame))
        while under_way and under_way[0][0] <= now:
            _, _, target, frame = heapq.heappop(under_way)
            target.send(frame)


if __name__ == "__main__":
    carry(sys.argv[1:3], float(sys.argv[3]) / 1_000, int(sys.argv[4]) if len(sys.argv) > 4 else 0)
