"""The command line itself."""

import json
import re

from lab import expect, wait_until


def scenario_demo(lab):
    """The demo ends with nothing lost and nothing twice."""
    host = lab.host()
    demo = host.glue("demo", "--duration", "10s" if lab.long else "2s").succeed(60)
    rows = demo.out.matching(r"^subscriber-\d\s")
    expect(len(rows) == 3, f"the summary has {len(rows)} rows")


def scenario_peers(lab):
    """`glue peers` shows who is there."""
    first, second = lab.bridged(2)
    holder = first.glue("sub", "t", env={"GLUE_ENDPOINT_ID": "41", "GLUE_ENDPOINT_NAME": "kitchen-1"})
    holder.wait_for_listening()
    peers = second.glue("peers", "--json", "--duration", "500ms").succeed()
    found = [json.loads(line) for line in peers.out.texts()]
    expect(len(found) == 1 and found[0]["id"] == 41 and found[0]["name"] == "kitchen-1", f"peers: {found}")
    expect(first.address in found[0]["address"], f"peers: {found}")


def scenario_publish_from_stdin_and_interrupt(lab):
    """Each line of standard input is a message; SIGINT ends a subscriber with its summary."""
    first, second = lab.bridged(2)
    subscriber = first.glue("sub", "a/#", "--json", "--summary")
    with open("/etc/services", encoding="utf-8") as lines:
        wanted = [line.rstrip("\n") for line in lines]
    with open("/etc/services", encoding="utf-8") as lines:
        second.glue("pub", "a/b", "--stdin", "--await-subscribers", "1", stdin=lines).succeed()
    wait_until(lambda: len(subscriber.out.all) >= len(wanted), "all lines")
    status = subscriber.interrupt()
    expect(status == 0, f"status {status} after SIGINT")
    got = [json.loads(line)["payload"] for line in subscriber.out.texts() if '"payload"' in line]
    expect(got == wanted, "the lines differ")
    expect(subscriber.summary()["received"] == len(wanted), f"{subscriber.summary()}")


def scenario_unacknowledged_is_reported(lab):
    """A subscriber that dies with messages under way: `glue pub` says whose acknowledgement is missing, and fails."""
    first, second = lab.bridged(2)
    subscriber = first.glue("sub", "t", "--no-payload", env={"GLUE_ENDPOINT_ID": "41"})
    publisher = second.glue(
        "pub", "t", "--size", "1KiB", "--rate", "20", "--count", "40", "--await-subscribers", "1", "--timeout", "1s")
    subscriber.wait_for_line(r"seq=3\b")
    first.command("ip", "link", "set", "eth0", "down")
    status = publisher.wait(30)
    expect(status == 1, f"status {status}: {publisher.tail()}")
    line = publisher.err.matching("not acknowledged")
    expect(len(line) == 1 and "41" in line[0], f"{publisher.err.texts()}")
    return line[0]


def scenario_benchmarks_run(lab):
    """`glue bench` runs and delivers everything."""
    host = lab.host()
    throughput = host.glue("bench", "throughput", "--duration", "300ms", "--rounds", "1", "--json").succeed(60)
    for text in throughput.out.texts():
        line = json.loads(text)
        expect(line["deliveredPercent"] == 100 and line["duplicates"] == 0, text)
    latency = host.glue("bench", "latency", "--count", "500", "--rounds", "1", "--raw").succeed(60)
    ratio = latency.wait_for_line("^ratio")
    return re.sub(r"\s+", " ", ratio)
