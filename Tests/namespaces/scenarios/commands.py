"""The command line itself."""

import json
import os
import re
import signal

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
    interface, *found = [json.loads(line) for line in peers.out.texts()]
    expect(interface["interface"] == "eth0" and second.address in interface["addresses"], f"interface: {interface}")
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


def scenario_publish_from_a_pipe(lab):
    """`glue pub --file` reads a pipe to its end."""
    host = lab.host()
    subscriber = host.glue("sub", "t", "--json", "--count", "1")
    text = "x" * 100_000  # more than a pipe holds
    reading, writing = os.pipe()
    publisher = host.glue("pub", "t", "--file", "/dev/stdin", "--await-subscribers", "1", stdin=reading)
    os.close(reading)
    with os.fdopen(writing, "w", encoding="ascii") as pipe:
        pipe.write(text)
    publisher.succeed()
    subscriber.succeed()
    expect(json.loads(subscriber.out.texts()[0])["payload"] == text, "another payload arrived")


def scenario_waiting_for_subscribers(lab):
    """`glue pub --await-subscribers` tells after a while how many there are, once for each number."""
    host = lab.host()
    publisher = host.glue("pub", "t", "x", "--await-subscribers", "2")
    publisher.wait_for_line("^glue: .* t: 0 of 2 are there$", stream="err")
    first = host.glue("sub", "t", "--count", "1")
    publisher.wait_for_line("^glue: .* t: 1 of 2 are there$", stream="err")
    second = host.glue("sub", "t", "--count", "1")
    for running in (publisher, first, second):
        running.succeed()
    told = publisher.err.matching("are there$")
    expect(len(told) == 2, f"{told}")


def scenario_fewer_messages_than_asked_for(lab):
    """`glue sub --count --duration` fails when time is over first, and says how many there were."""
    host = lab.host()
    subscriber = host.glue("sub", "t", "--count", "2", "--duration", "3s")
    host.glue("pub", "t", "x", "--await-subscribers", "1").succeed()
    expect(subscriber.wait(30) == 1, f"status {subscriber.wait()}: {subscriber.tail()}")
    expect(len(subscriber.out.texts()) == 1, f"{subscriber.out.texts()}")
    told = subscriber.err.matching("^glue: 1 of 2 messages came before --duration was over$")
    expect(len(told) == 1, f"{subscriber.err.texts()}")


def scenario_output_that_cannot_be_written(lab):
    """`glue sub` ends quietly when its reader has gone, with a line when its output is full, and says goodbye."""
    first, second = lab.bridged(2)
    publisher = second.glue("pub", "t", "x", "--rate", "100")
    shell = first.start("sh", "-c", "{ glue sub t --quiet; echo status $? >&2; } | head -n 3")
    shell.succeed()
    expect(len(shell.out.all) == 3 and shell.err.texts() == ["status 0"], f"{shell.out.texts()} {shell.err.texts()}")
    shell = first.start("sh", "-c", "glue sub t --quiet >/dev/full")
    expect(shell.wait() == 74, f"status {shell.wait()}: {shell.err.texts()}")
    wanted = ["glue: cannot write standard output: No space left on device (errno 28)"]
    expect(shell.err.texts() == wanted, f"{shell.err.texts()}")
    shell = first.start("sh", "-c", "glue sub t --quiet --output /proc/nosuch")
    expect(shell.wait() == 74, f"status {shell.wait()}: {shell.err.texts()}")
    expect(shell.err.texts()[0].startswith("glue: cannot write /proc/nosuch: "), f"{shell.err.texts()}")
    wait_until(lambda: len(publisher.err.matching("peer removed.*bye")) == 2, "two goodbyes")


def scenario_interrupted_publisher(lab):
    """A signal ends `glue pub` with its own status and an account; SIGHUP ends a subscriber; a second signal ends at once."""
    first, second = lab.bridged(2)
    subscriber = first.glue("sub", "t", "--summary", env={"GLUE_ENDPOINT_ID": "41"})
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
        seen = len(subscriber.out.all)
        publisher = second.glue("pub", "t", "x", "--rate", "50", "--await-subscribers", "1")
        wait_until(lambda: len(subscriber.out.all) > seen + 5, "messages")
        publisher.process.send_signal(number)
        expect(publisher.wait() == status, f"status {publisher.wait()} after {number.name}: {publisher.tail()}")
        account = publisher.err.matching(rf"^glue: {number.name} after \d+ messages on t; all acknowledged$")
        expect(len(account) == 1, f"{publisher.err.texts()}")
        published = int(re.search(r"after (\d+)", account[0]).group(1))
        wait_until(lambda: len(subscriber.out.all) == seen + published, f"{published} messages")

    # Without a way to the subscriber there is something to wait for.
    publishers = [second.glue("pub", "t", "x", "--rate", "1000", "--await-subscribers", "1") for _ in range(2)]
    for publisher in publishers:
        name = publisher.wait_for_line("peer added", stream="err") and f"glue-{publisher.pid}-"
        wait_until(lambda: any(name in line for line in subscriber.out.texts()[-200:]), f"messages of {name}")
    first.command("ip", "link", "set", "eth0", "down")
    publishers[0].process.send_signal(signal.SIGINT)
    status = publishers[0].wait()
    account = publishers[0].err.matching(r"^glue: SIGINT after \d+ messages on t; not acknowledged by 41 .*up to seq=\d+$")
    expect(status == 130 and len(account) == 1, f"status {status}: {publishers[0].err.texts()}")
    for number in (signal.SIGINT, signal.SIGTERM):
        publishers[1].process.send_signal(number)
    status = publishers[1].wait()
    expect(status in (130, 143), f"status {status} after two signals: {publishers[1].tail()}")
    expect(not publishers[1].err.matching("^glue: SIG"), f"it waited after the second signal: {publishers[1].tail()}")

    subscriber.process.send_signal(signal.SIGHUP)
    expect(subscriber.wait() == 0, f"status after SIGHUP: {subscriber.tail()}")
    subscriber.summary()
    return account[0]


def scenario_benchmarks_run(lab):
    """`glue bench` runs and delivers everything."""
    host = lab.host()
    throughput = host.glue("bench", "throughput", "--duration", "300ms", "--rounds", "1", "--json").succeed(60)
    for text in throughput.out.texts():
        line = json.loads(text)
        expect(line["deliveredPercent"] == 100 and line["duplicates"] == 0, text)
    latency = host.glue("bench", "latency", "--count", "500", "--rounds", "1", "--raw").succeed(60)
    ratio = re.sub(r"\s+", " ", latency.wait_for_line("^ratio"))
    stuck = host.glue("bench", "stuck", "--rounds", "20" if lab.long else "2", "--json").succeed(60)
    free, held = [json.loads(text)["medianMilliseconds"] for text in stuck.out.texts()]
    # In the short form others use the processors.
    expect(not lab.long or held <= 50, f"a stuck callback delayed the others by {held} ms")
    model = ("bench", "model")
    document = host.glue(*model, "document", "--keys", "200", "--replicas", "3", "--count", "200", "--json").succeed(60)
    for text in document.out.texts():
        expect(None not in json.loads(text).values(), text)
    replicas = host.glue(
        *model, "replicas", "--count", "50", "--keys", "1000", "--missing", "20", "--writers", "3", "--duration", "300ms",
        "--json").succeed(120)
    figures = [json.loads(text) for text in replicas.out.texts()]
    expect(len(figures) == 10 and all(figure["value"] > 0 for figure in figures), figures)
    visible = figures[0]["value"] / figures[0]["besideValue"]
    return (
        f"{ratio}; with a callback stuck {held:.1f} ms, without {free:.1f} ms; a change of a model is visible after "
        f"{visible:.2f} times as long as a message")
