"""Topics that retain their last value: it outlives its publisher, can be cleared, and is lost only with the last who holds it."""

import json
import re
import tempfile

from lab import expect, wait_until


def lines(subscriber):
    """What a subscriber has shown: payloads, and "cleared"."""
    return [line.split()[-1] for line in subscriber.out.matching("seq=")]


def late(host, topic="lamp"):
    """A subscriber that comes now, with the history that is the default."""
    return host.glue("sub", topic)


def holders_of_one_value(host, topic="lamp"):
    """How many hold the value of a topic, or that it has none; 0 if different ones are held."""
    shown = host.glue("topics", topic, "--json", "--duration", "1s").succeed(30)
    for line in shown.out.matching(f'"topic":"{topic}"'):
        held = [publisher for publisher in json.loads(line)["publishers"] if publisher["kept"] or publisher["holders"]]
        if len(held) == 1:
            return len(held[0]["holders"])
    return 0


def scenario_retained_value_needs_a_holder(lab):
    """`glue pub --retain` fails where nobody else holds the value, whether nobody is there or nobody has room."""
    source, target = lab.bridged(2)
    publisher = source.glue("pub", "lamp", "on", "--retain", "--timeout", "1s")
    status = publisher.wait(30)
    expect(status == 1 and publisher.err.matching("nobody else has told .* this value of lamp"), f"status {status}: {publisher.tail()}")
    small = target.glue("cache", "#", "--limit", "0")
    small.wait_for_line("interface:", 20, stream="err")
    for words in (("lamp", "on", "--retain"), ("--clear", "lamp")):
        publisher = source.glue("pub", *words, "--await-subscribers", "1", "--timeout", "1s")
        status = publisher.wait(30)
        expect(status == 1 and publisher.err.matching("nobody else has told"), f"status {status}: {publisher.tail()}")
    expect(small.is_running, small.tail())


def scenario_retained_value_outlives_its_publisher(lab):
    """A cache gives it to whoever comes, until it is replaced or cleared by others."""
    return a_retained_value_outlives_its_publisher(lab)


def scenario_retained_value_outlives_its_publisher_at_five_percent_loss(lab):
    """The same while 5 % of all packets are lost."""
    return a_retained_value_outlives_its_publisher(lab, percent=5)


def a_retained_value_outlives_its_publisher(lab, percent=0):
    source, middle, target, other = lab.bridged(4)
    if percent:
        lab.drop([source, middle, target, other], percent)
    cache = middle.glue("cache", "#")
    cache.wait_for_line("interface:", 20, stream="err")
    source.glue("pub", "lamp", "on", "--retain", "--await-subscribers", "1").succeed(60)
    early = late(target)
    wait_until(lambda: lines(early) == ["on"], "the value", 30)
    # Each publisher is another one, and knows nothing but what it is told.
    other.glue("pub", "lamp", "off", "--retain", "--await-subscribers", "2").succeed(60)
    wait_until(lambda: lines(early) == ["on", "off"], "the next value", 30)
    second = late(other)
    wait_until(lambda: lines(second) == ["off"], "the one value that there is", 30)
    shown = source.glue("topics", "lamp", "--json", "--duration", "3s").succeed(30)
    publishers = shown.out.matching('"topic":"lamp"')
    expect(len(publishers) == 1 and publishers[0].count('"history":"retained"') == 1, f"{publishers}")
    source.glue("pub", "--clear", "lamp", "--await-subscribers", "3").succeed(60)
    wait_until(lambda: lines(early) == ["on", "off", "cleared"], "the end of the value", 30)
    wait_until(lambda: lines(second) == ["off", "cleared"], "the end of the value", 30)
    third = late(source)
    witness = late(source, "+")
    source.glue("pub", "other", "x", "--retain", "--await-subscribers", "2").succeed(60)
    wait_until(lambda: lines(witness) == ["x"], "another topic's value", 30)
    expect(lines(third) == [], f"a cleared topic has shown {lines(third)}")
    other.glue("pub", "lamp", "dim", "--retain", "--await-subscribers", "4").succeed(60)
    for subscriber, values in ((early, ["on", "off", "cleared", "dim"]), (second, ["off", "cleared", "dim"]), (third, ["dim"])):
        wait_until(lambda: lines(subscriber) == values, f"{values}", 30)
        expect(not subscriber.err.matching("lost:"), subscriber.tail())
    took = re.search(r"age=(\S+)", third.out.matching("seq=")[0]).group(1)
    return f"the last value was {took} old where it arrived"


def scenario_retained_value_survives_kill_9(lab):
    """A cache on disk alone has the value, and then that there is none; killed each time."""
    source, middle, target = lab.bridged(3)
    with tempfile.TemporaryDirectory() as folder:
        words = ("cache", "#", "--store", folder + "/store")
        cache = middle.glue(*words)
        cache.wait_for_line("interface:", 20, stream="err")
        stored = ("--await-subscribers", "1", "--await-stored", "1", "--timeout", "30s")
        for value in ("first", "second"):
            source.glue("pub", "lamp", value, "--retain", *stored).succeed(60)
        cache.kill()
        cache = middle.glue(*words)
        cache.wait_for_line(r"store: [12] messages loaded", 30, stream="err")
        subscriber = late(target)
        wait_until(lambda: lines(subscriber) == ["second"], "the value", 30)
        source.glue("pub", "--clear", "lamp", *stored).succeed(60)
        wait_until(lambda: lines(subscriber) == ["second", "cleared"], "the end of the value", 30)
        cache.kill()
        subscriber.kill()
        cache = middle.glue(*words)
        cache.wait_for_line(r"store: [123] messages loaded", 30, stream="err")
        subscriber = late(target)
        # Something else comes, so the value would have come as well.
        source.glue("pub", "lamp", "third", "--retain", "--await-subscribers", "2").succeed(60)
        wait_until(lambda: lines(subscriber) == ["third"], "the next value", 30)
        expect(cache.is_running, cache.tail())


def scenario_retained_value_cleared_while_its_cache_is_away(lab):
    """The value is on the disk of a cache that does not run when it is cleared; it does not come back with it."""
    source, middle, target = lab.bridged(3)
    with tempfile.TemporaryDirectory() as folder:
        words = ("cache", "#", "--store", folder + "/store")
        cache = middle.glue(*words)
        cache.wait_for_line("interface:", 20, stream="err")
        source.glue("pub", "lamp", "on", "--retain", "--await-subscribers", "1", "--await-stored", "1").succeed(60)
        cache.kill()
        keeper = target.glue("cache", "#")
        keeper.wait_for_line("interface:", 20, stream="err")
        source.glue("pub", "--clear", "lamp", "--await-subscribers", "1").succeed(60)
        cache = middle.glue(*words)
        cache.wait_for_line(r"store: 1 messages loaded", 30, stream="err")
        wait_until(lambda: holders_of_one_value(source) == 2, "two holders of the clear, and none of the value", 30)
        keeper.kill()
        subscriber = late(target)
        source.glue("pub", "lamp", "off", "--retain", "--await-subscribers", "2").succeed(60)
        wait_until(lambda: lines(subscriber)[-1:] == ["off"], "the next value", 30)
        expect(lines(subscriber) == ["off"], f"the cleared value has come back: {lines(subscriber)}")
