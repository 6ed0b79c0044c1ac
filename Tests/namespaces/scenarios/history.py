"""Late joiners and partitions: what was missed arrives from whoever has it."""

import json
import re
import tempfile
import time

from lab import expect, wait_until


def sequences(subscriber):
    return [int(re.search(r"seq=(\d+)", line).group(1)) for line in subscriber.out.matching(r"seq=")]


def scenario_late_joiner_of_a_dead_publisher(lab):
    """A publisher with an expiry of 60 s is killed; a late joiner gets everything once and in order from a subscriber."""
    return a_dead_publisher_is_outlived(lab, ("sub", "t", "--no-payload"))


def scenario_late_joiner_of_a_dead_publisher_at_five_percent_loss(lab):
    """The same while 5 % of all packets are lost."""
    return a_dead_publisher_is_outlived(lab, ("sub", "t", "--no-payload"), percent=5)


def scenario_late_joiner_served_by_a_cache(lab):
    """The same with a cache that holds everything instead of a subscriber."""
    return a_dead_publisher_is_outlived(lab, ("cache", "#"), percent=5)


def a_dead_publisher_is_outlived(lab, holder, percent=0):
    source, middle, target = lab.bridged(3)
    if percent:
        lab.drop([source, middle, target], percent)
    holding = middle.glue(*holder)
    publisher = source.glue(
        "pub", "t", "--size", "100B", "--rate", "500", "--count", 1_000, "--expiry", "60s", "--await-subscribers", "1", "-v")
    # All is acknowledged when it ends by itself; a second one is killed while it runs.
    publisher.succeed(60)
    victim = source.glue("pub", "t", "--size", "100B", "--rate", "500", "--expiry", "60s", "--await-subscribers", "1")
    witness = middle.glue("sub", "t", "--no-payload", "--history", "all")
    wait_until(lambda: len(witness.out.all) >= 1_500, "1,500 messages at a witness", 60)
    victim.kill()
    joiner = target.glue("sub", "t", "--no-payload", "--history", "all")
    # Of two publishers: the numbers of the first one, and those of the second up to where it was killed.
    wait_until(lambda: len(joiner.out.all) >= 1_500 and len(joiner.out.all) == len(witness.out.all), "as much as the witness has", 30)
    expect(holding.is_running, f"the holder ended: {holding.tail()}")
    for subscriber in (witness, joiner):
        streams = {}
        for line in subscriber.out.matching(r"seq="):
            name, number = re.search(r"from (\S+) seq=(\d+)", line).groups()
            streams.setdefault(name, []).append(int(number))
        expect(len(streams) == 2, f"{len(streams)} publishers")
        for name, numbers in streams.items():
            expect(numbers == list(range(len(numbers))), f"messages of {name} missing, twice or out of order")
        expect(1_000 in map(len, streams.values()), f"{[len(numbers) for numbers in streams.values()]} messages")
    took = joiner.out.all[-1][0] - joiner.started_at
    return f"{len(joiner.out.all)} messages within {took:.1f} s of the joiner's start"


def scenario_partition_heals(lab):
    """Cut off while 1,000 messages are published; then all of them arrive, in order and once."""
    return a_partition_heals(lab)


def scenario_partition_heals_at_five_percent_loss(lab):
    """The same while 5 % of all packets are lost."""
    return a_partition_heals(lab, percent=5)


def a_partition_heals(lab, percent=0):
    source, target, third = lab.bridged(3)
    if percent:
        lab.drop([source, target, third], percent)
    count = 1_000
    # Longer than the lease, so that both lose sight of each other.
    seconds = 20 if lab.long else 7
    subscriber = target.glue("sub", "t", "--no-payload", "-v")
    witness = third.glue("sub", "t", "--no-payload")
    publisher = source.glue(
        "pub", "t", "--size", "100B", "--rate", str(count // seconds), "--expiry", "120s", "--await-subscribers", "2")
    wait_until(lambda: len(subscriber.out.all) >= 50, "50 messages", 30)
    lab.cut(target)
    cut_at = len(subscriber.out.all)
    wait_until(lambda: len(witness.out.all) >= cut_at + count, "what is published meanwhile", seconds + 60)
    expect(len(subscriber.out.all) <= cut_at + 50, "messages came through the partition")
    subscriber.wait_for_line("peer removed: .*expired", 20, stream="err")
    met_before = len(subscriber.err.matching("peer added"))
    lab.mend(target)
    wait_until(lambda: len(subscriber.err.matching("peer added")) >= met_before + 2, "the two to meet again", 20)
    met = time.monotonic()
    missed = len(witness.out.all)
    wait_until(lambda: len(subscriber.out.all) >= missed, "what was missed", 20)
    took = subscriber.out.all[missed - 1][0] - met
    publisher.interrupt()
    for running in (subscriber, witness):
        numbers = sequences(running)
        expect(numbers == list(range(len(numbers))), "messages missing, twice or out of order")
    if not percent:
        expect(took < 2.0, f"what was missed came {took:.2f} s after the two had met again")
    return f"{missed - cut_at} missed messages within {max(0, took):.2f} s of meeting again"


def scenario_goes_on_where_it_stopped(lab):
    """A subscriber that notes its position is killed and started again while messages are published, also by others meanwhile."""
    return goes_on_where_it_stopped(lab)


def scenario_goes_on_where_it_stopped_at_five_percent_loss(lab):
    """The same while 5 % of all packets are lost."""
    return goes_on_where_it_stopped(lab, percent=5)


def goes_on_where_it_stopped(lab, percent=0):
    source, middle, target = lab.bridged(3)
    if percent:
        lab.drop([source, middle, target], percent)
    middle.glue("cache", "#")
    with tempfile.TemporaryDirectory() as folder:
        position = folder + "/position"
        words = ("sub", "t", "--no-payload", "--position", position)
        subscriber = target.glue(*words)
        publisher = source.glue(
            "pub", "t", "--size", "100B", "--rate", "200", "--count", 2_000, "--expiry", "60s", "--await-subscribers", "2")
        shown = []
        for ending in ("interrupt", "kill", "interrupt"):
            wait_until(lambda: len(subscriber.out.all) >= 200, "200 messages", 30)
            if ending == "kill":
                # What it has shown in the last second it may not have noted.
                wait_until(lambda: written(position, len(shown) + 100), "a position", 10)
            getattr(subscriber, ending)()
            subscriber.out.thread.join(5)
            shown.append((ending, sequences(subscriber)))
            subscriber = target.glue(*words)
        # Whoever was killed has not acknowledged everything, and so it says.
        expect(publisher.wait(60) == 1, f"it ended in another way: {publisher.tail()}")
        # Nobody but the cache has the rest from here on.
        wait_until(lambda: sequences(subscriber)[-1:] == [1_999], "the last message", 30)
        expect(subscriber.interrupt() == 0, f"it ended badly: {subscriber.tail()}")
        shown.append(("interrupt", sequences(subscriber)))
        repeated = 0
        due = 0
        for index, (ending, numbers) in enumerate(shown):
            expect(numbers == list(range(numbers[0], numbers[0] + len(numbers))), "messages missing, twice or out of order")
            expect(numbers[0] <= due, f"{due} … {numbers[0] - 1} are missing")
            was_killed = index > 0 and shown[index - 1][0] == "kill"
            expect(numbers[0] == due or was_killed, f"{numbers[0]} … {due - 1} came again")
            repeated += due - numbers[0]
            due = numbers[-1] + 1
        # Once more, with nothing new.
        last = target.glue("sub", "t", "--no-payload", "--position", position, "--duration", "1s")
        last.succeed(30)
        expect(not last.out.all, "messages came again")
        other = target.glue("sub", "u", "--position", position)
        expect(other.wait(10) == 1 and other.err.matching("is the position of t, not of u"), f"{other.tail()}")
        return f"2,000 messages in {len(shown)} runs, {repeated} of them again after a kill"


def written(path, least):
    """Whether a position of at least so much has been noted."""
    try:
        with open(path, encoding="utf-8") as file:
            return any(stream["next"] >= least for stream in json.load(file)["position"]["streams"])
    except FileNotFoundError:
        return False
