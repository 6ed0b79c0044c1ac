"""Listens to a network, repeats what was heard, and makes small talk. Usage: wire.py capture INTERFACE FILE |
wire.py replay INTERFACE FILE | wire.py chatter INTERFACE PER_SECOND

Runs inside a host of a lab. A capture holds whole Ethernet frames with UDP in them, each after its length; it ends when
standard input does, and so does chatter: UDP packets that are meant for nobody.
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


def own_address(interface):
    with open(f"/sys/class/net/{interface}/address", encoding="ascii") as file:
        return bytes.fromhex(file.read().strip().replace(":", ""))


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
    own = own_address(interface)
    count = 0
    for frame in frames(path):
        try:
            # All but the link's own source address, by which a switch would learn to send others' frames here.
            sender.send(frame[:6] + own + frame[12:])
            count += 1
        except OSError as error:  # longer than the interface takes
            print(f"not sent: {error}", file=sys.stderr)
    print(f"{count} frames", flush=True)


def chatter(interface, per_second):
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.bind((interface, 0))
    nobody = bytes.fromhex("020000000001")
    # IPv4 without options, 28 bytes, no fragment, one hop, UDP, no checksum; from and to documentation addresses (RFC 5737).
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 1, 17, 0, bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)))
    frame = nobody + own_address(interface) + ETHERTYPES[0] + header + struct.pack("!HHHH", 9, 9, 8, 0)
    while not select.select([sys.stdin], [], [], 1 / float(per_second))[0]:
        sender.send(frame)


if __name__ == "__main__":
    {"capture": capture, "replay": replay, "chatter": chatter}[sys.argv[1]](sys.argv[2], sys.argv[3])
