"""Zenoh from Python, over TCP on loopback between peers that know each other's address; without shared memory.

Usage: zenoh_bench.py pub SIZE SECONDS SUBSCRIBERS PORT | sub INDEX PORT | ping SIZE SECONDS PORT | pong PORT
"""
import json
import os
import resource
import sys
import threading
import time

import zenoh

END_OF_RUN = (1 << 64) - 1
WARMUP = 200


def open_session(port, listens):
    config = zenoh.Config()
    config.insert_json5("mode", '"peer"')
    address = f'["tcp/127.0.0.1:{port}"]'
    config.insert_json5("listen/endpoints" if listens else "connect/endpoints", address)
    if not listens:
        config.insert_json5("listen/endpoints", '["tcp/127.0.0.1:0"]')
    config.insert_json5("scouting/multicast/enabled", "false")
    config.insert_json5("transport/shared_memory/enabled", "false")
    return zenoh.open(config)


def processor_seconds():
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def publish(size, seconds, subscribers, port):
    session = open_session(port, True)
    publisher = session.declare_publisher(
        "bench/data", congestion_control=zenoh.CongestionControl.BLOCK, reliability=zenoh.Reliability.RELIABLE)
    here = set()
    waiting = session.declare_subscriber("bench/here", lambda sample: here.add(sample.payload.to_bytes()))
    while len(here) < subscribers:
        time.sleep(0.01)
    waiting.undeclare()
    padding = bytes(size - 8)
    number = 0
    interval = 1 / float(os.environ["RATE"]) if "RATE" in os.environ else 0
    cpu, start = processor_seconds(), time.monotonic()
    while time.monotonic() < start + seconds:
        if interval:
            time.sleep(max(0, start + number * interval - time.monotonic()))
        for _ in range(1 if interval else 16):
            publisher.put(number.to_bytes(8, "little") + padding)
            number += 1
    took, used = time.monotonic() - start, processor_seconds() - cpu
    publisher.put(END_OF_RUN.to_bytes(8, "little"))
    print(json.dumps({"published": number, "seconds": took, "cpu": used}), flush=True)
    time.sleep(1)  # what was put is on its way
    session.close()


def subscribe(index, port):
    session = open_session(port, False)
    over = threading.Event()
    tally = {"received": 0, "gaps": 0, "bytes": 0, "first": 0.0, "last": 0.0, "cpu": 0.0, "expected": 0}

    def take(sample):
        payload = sample.payload.to_bytes()
        number = int.from_bytes(payload[:8], "little")
        if number == END_OF_RUN:
            over.set()
            return
        if tally["received"] == 0:
            tally.update(first=time.monotonic(), cpu=processor_seconds(), expected=number)
        if number != tally["expected"]:
            tally["gaps"] += 1
        tally["expected"] = number + 1
        tally["received"] += 1
        tally["bytes"] += len(payload)
        tally["last"] = time.monotonic()

    subscriber = session.declare_subscriber("bench/data", take)
    time.sleep(0.5)  # it has to be known to the publisher, and nothing tells whether it is
    while tally["received"] == 0:
        session.put("bench/here", index.to_bytes(8, "little"))  # the publisher may not have been there
        over.wait(0.05)
    over.wait()
    print(json.dumps({
        "received": tally["received"], "gaps": tally["gaps"], "bytes": tally["bytes"],
        "seconds": tally["last"] - tally["first"], "cpu": processor_seconds() - tally["cpu"]}), flush=True)
    subscriber.undeclare()
    session.close()


def ping(size, seconds, port):
    session = open_session(port, True)
    answered = threading.Semaphore(0)
    subscriber = session.declare_subscriber("bench/reply", lambda _: answered.release())
    publisher = session.declare_publisher("bench/data", express=True)
    while not publisher.matching_status.matching:
        time.sleep(0.01)
    time.sleep(0.5)
    payload = bytes(size)
    samples = []
    for count in range(WARMUP):
        publisher.put(payload)
        answered.acquire()
    cpu, end = processor_seconds(), time.monotonic() + seconds
    while time.monotonic() < end:
        start = time.monotonic_ns()
        publisher.put(payload)
        answered.acquire()
        samples.append((time.monotonic_ns() - start) / 1e3)
    used = processor_seconds() - cpu
    samples.sort()
    at = lambda share: samples[min(len(samples) - 1, int(len(samples) * share))]  # noqa: E731
    print(json.dumps({"count": len(samples), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999),
                      "max": samples[-1], "cpu": used * 1e6 / len(samples)}), flush=True)
    subscriber.undeclare()
    session.close()


def pong(port):
    session = open_session(port, False)
    publisher = session.declare_publisher("bench/reply", express=True)
    subscriber = session.declare_subscriber("bench/data", lambda sample: publisher.put(sample.payload))
    threading.Event().wait()
    subscriber.undeclare()


def main():
    what, *rest = sys.argv[1:]
    if what == "pub":
        publish(int(rest[0]), float(rest[1]), int(rest[2]), int(rest[3]))
    elif what == "sub":
        subscribe(int(rest[0]), int(rest[1]))
    elif what == "ping":
        ping(int(rest[0]), float(rest[1]), int(rest[2]))
    elif what == "pong":
        pong(int(rest[0]))
    else:
        sys.exit(f"unknown: {what}")


main()
