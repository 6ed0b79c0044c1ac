"""Caches that survive their own end: what a publisher was told is stored is there again after `kill -9`."""

import json
import os
import re
import tempfile
import time

from lab import expect, tool, wait_until


def numbers(subscriber):
    return [int(re.search(r"seq=(\d+)", line).group(1)) for line in subscriber.out.matching(r"seq=")]


def publish(host, *more, count=1_000, expiry="60s", topic="t"):
    return host.glue(
        "pub", topic, "--size", "100B", "--rate", "500", "--count", count, "--expiry", expiry, "--await-subscribers", "1",
        "--await-stored", "1", "--timeout", "30s", *more)


def scenario_stored_messages_outlive_everybody(lab):
    """The cache is killed while 1,000 messages are published, and again after it; it alone then serves all of them."""
    return stored_messages_outlive_everybody(lab)


def scenario_stored_messages_outlive_everybody_at_five_percent_loss(lab):
    """The same while 5 % of all packets are lost."""
    return stored_messages_outlive_everybody(lab, percent=5)


def stored_messages_outlive_everybody(lab, percent=0):
    source, middle, target = lab.bridged(3)
    if percent:
        lab.drop([source, middle, target], percent)
    with tempfile.TemporaryDirectory() as folder:
        words = ("cache", "#", "--store", folder + "/store")
        cache = middle.glue(*words)
        publisher = publish(source)
        witness = target.glue("sub", "t", "--no-payload")
        for count in (200, 600):
            wait_until(lambda: len(witness.out.all) >= count, f"{count} messages at a witness", 60)
            cache.kill()
            cache = middle.glue(*words)
        publisher.succeed(90)
        # It has been told that all are stored. Nobody else has them from here on.
        cache.kill()
        witness.kill()
        cache = middle.glue(*words)
        cache.wait_for_line(r"store: 1000 messages loaded", 30, stream="err")
        joiner = target.glue("sub", "t", "--no-payload", "--history", "all")
        wait_until(lambda: len(joiner.out.all) >= 1_000, "all messages", 30)
        expect(numbers(joiner) == list(range(1_000)), "messages missing, twice or out of order")
        took = joiner.out.all[-1][0] - joiner.started_at
        # What it is asked to end it has written.
        status = cache.interrupt()
        expect(status == 0, f"status {status}: {cache.tail()}")
        return f"all within {took:.1f} s of the joiner's start"


def scenario_stores_count_the_time_they_were_closed(lab):
    """What expires while the cache is not running is not served afterwards."""
    source, middle, target = lab.bridged(3)
    with tempfile.TemporaryDirectory() as folder:
        words = ("cache", "#", "--store", folder + "/store")
        cache = middle.glue(*words)
        publish(source, count=30, expiry="6s", topic="short").succeed(60)
        published = time.monotonic()
        publish(source, count=40, expiry="120s", topic="long").succeed(60)
        cache.kill()
        # It is this time that has to count.
        wait_until(lambda: time.monotonic() > published + 6, "the end of the short lives", 20)
        cache = middle.glue(*words)
        cache.wait_for_line(r"store: 40 messages loaded, 30 had expired", 30, stream="err")
        joiner = target.glue("sub", "+", "--no-payload", "--history", "all")
        wait_until(lambda: len(joiner.out.all) >= 40, "what lives", 30)
        expect(numbers(joiner) == list(range(40)), "messages missing, twice or out of order")
        expect(not joiner.out.matching("short"), "something has come that had expired")


def scenario_full_disk_holds_up_nobody(lab):
    """A full disk is an event; live messages flow on; what was not stored is not confirmed; with room all is well again."""
    source, middle, target = lab.bridged(3)
    with tempfile.TemporaryDirectory() as folder:
        # A small file system that only the cache sees, with a ballast that leaves it next to nothing.
        setup = (
            f"mount -t tmpfs -o size=8m glue {folder} && head -c 7900k /dev/zero >{folder}/ballast && exec \"$0\" \"$@\"")
        cache = middle.start(
            "/usr/bin/unshare", "--mount", "sh", "-c", setup, tool("glue"), "cache", "#", "--store", folder + "/store")
        subscriber = target.glue("sub", "t", "--no-payload")
        publisher = source.glue(
            "pub", "t", "--size", "1KiB", "--rate", "500", "--count", "1000", "--expiry", "120s", "--await-subscribers", "2",
            "--await-stored", "1", "--timeout", "2s")
        cache.wait_for_line("store fails: .*no room", 60, stream="err")
        wait_until(lambda: len(subscriber.out.all) >= 1_000, "all messages, live", 60)
        expect(numbers(subscriber) == list(range(1_000)), "messages missing, twice or out of order")
        status = publisher.wait(60)
        line = publisher.err.matching("are stored by 0 of 1 caches")
        expect(status == 1 and len(line) == 1, f"status {status}: {publisher.tail()}")
        os.remove(f"/proc/{cache.pid}/root{folder}/ballast")
        cache.wait_for_line("store works again", 30, stream="err")
        # What waited in memory is stored now, and what is new is confirmed.
        publish(source, count=100).succeed(60)
        expect(cache.is_running, cache.tail())
        return cache.err.matching("store works again")[0]


def scenario_two_caches_that_disagree(lab):
    """Each of two caches has stored what the other one never saw, and its publisher is gone; together they make each other whole."""
    source, first, second, target = lab.bridged(4)
    with tempfile.TemporaryDirectory() as folder:
        def cache(index):
            return (first, second)[index].glue("cache", "#", "--store", f"{folder}/{index}")

        for index, topic in enumerate("ab"):
            alone = cache(index)
            publish(source, count=500, topic=topic, expiry="120s").succeed(60)
            alone.kill()
        both = [cache(0), cache(1)]
        met = time.monotonic()
        wait_until(lambda: held(target) == {("a", 500): 2, ("b", 500): 2}, f"both to hold everything; {held(target)}", 30)
        took = time.monotonic() - met
        # Each has it on its own disk, too.
        for index in range(2):
            both[1 - index].kill()
            both[index].kill()
            both[index] = cache(index)
            both[index].wait_for_line(r"store: 1000 messages loaded", 30, stream="err")
            joiner = target.glue("sub", "+", "--no-payload", "--history", "all")
            wait_until(lambda: len(joiner.out.all) >= 1_000, "all messages from one of them", 30)
            for topic in "ab":
                found = [int(re.search(r"seq=(\d+)", line).group(1)) for line in joiner.out.matching(f"^{topic} ")]
                expect(found == list(range(500)), f"messages on {topic} missing, twice or out of order")
            joiner.kill()
        return f"each had everything within {took:.1f} s"


def held(host):
    """How many holders there are of how many messages of each topic."""
    holders = {}
    for line in host.glue("topics", "--json", "--duration", "1s").succeed(30).out.texts():
        topic = json.loads(line)
        for publisher in topic.get("publishers", []):
            for holder in publisher["holders"]:
                key = (topic["topic"], holder["messages"])
                holders[key] = holders.get(key, 0) + 1
    return holders
