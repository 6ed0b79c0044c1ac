"""Listens to a network, and repeats what was heard. Usage: wire.py capture INTERFACE FILE | wire.py replay INTERFACE FILE

Runs inside a host of a lab. A capture holds whole Ethernet frames with UDP in them, each after its length; it ends when
standard input does.
"""

import select
import socket
import struct
import sys

ETHERTYPES = (b"\x08\x00", b"\x86\xdd")


def capture(interface, path):
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    listener.bind((interface, 0))
    print("listening", flush=True)
    with open(path, "wb") as file:
        while True:
            readable, _, _ = select.select([listener, sys.stdin], [], [])
            if listener in readable:
                frame = listener.recv(65_536)
                if frame[12:14] in ETHERTYPES:
                    file.write(struct.pack("!I", len(frame)) + frame)
            elif sys.stdin in readable:
                return


def frames(path):
    with open(path, "rb") as file:
        content = file.read()
    position = 0
    while position < len(content):
        (length,) = struct.unpack_from("!I", content, position)
        yield content[position + 4 : position + 4 + length]
        position += 4 + length


def replay(interface, path):
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.bind((interface, 0))
    with open(f"/sys/class/net/{interface}/address", encoding="ascii") as file:
        own = bytes.fromhex(file.read().strip().replace(":", ""))
    count = 0
    for frame in frames(path):
        try:
            # All but the link's own source address, by which a switch would learn to send others' frames here.
            sender.send(frame[:6] + own + frame[12:])
            count += 1
        except OSError as error:  # longer than the interface takes
            print(f"not sent: {error}", file=sys.stderr)
    print(f"{count} frames", flush=True)


if __name__ == "__main__":
    {"capture": capture, "replay": replay}[sys.argv[1]](sys.argv[2], sys.argv[3])
