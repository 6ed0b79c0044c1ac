"""No message is delivered after its expiry, whoever stood still with it in his hands."""

import json
import signal
import time

from lab import expect, wait_until
from scenarios import relays

EXPIRY = 1.0
# From the check to the line: the message is handed over, a line is made, and on a busy machine another process runs in between. How old a
# message is its receiver knows but for half the difference of the two ways, here some microseconds, and for what its datagram waited to be
# sent: no time where nobody is stopped, and after a pause it is not sent any more.
ERROR = 0.25
# A process stands still for so long: a message that it delivers afterwards as if it had not is up to this much too old.
PAUSE = 3.0


def judge(lines, pauses):
    """Looks how old the messages were when they were shown, all hosts here have one clock; returns what there is to tell.

    A message may have been handed over, in time, right before its process was stopped: one for each pause. One that came out of a socket
    or a queue too late would not be alone.
    """
    messages = [json.loads(line) for line in lines]
    ages = [(message["receivedAt"] - message["publishedAt"]) / 1e6 for message in messages]
    late = [age for age in ages if age > EXPIRY + ERROR]
    expect(len(late) <= pauses, f"{len(late)} messages that live {EXPIRY:g} s were shown later, up to {max([0] + late):.3f} s old")
    return f"{len(messages)} messages, the oldest {max([0] + [age for age in ages if age not in late]) * 1_000:.0f} ms"


def stand_still(running):
    """Stops a process for a while."""
    running.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    # It is this time that has to count.
    wait_until(lambda: time.monotonic() > stopped + PAUSE, "the end of the pause", PAUSE + 5)
    running.process.send_signal(signal.SIGCONT)


def publish(host, *more, rate=100, expiry=f"{EXPIRY:g}s", env=None):
    return host.glue(
        "pub", "t", "--size", "100B", "--rate", rate, "--expiry", expiry, "--await-subscribers", "1", *more, env=env)


def nobody_gets_it_too_late(lab, which, percent=0, pauses=2, rate=100):
    """Live messages while one of the two stands still, again and again."""
    source, target = lab.bridged(2)
    if percent:
        lab.drop([source, target], percent)
    subscriber = target.glue("sub", "t", "--json", "--no-payload")
    publisher = publish(source, rate=rate)
    pauses = 5 if lab.long else pauses
    for _ in range(pauses):
        before = len(subscriber.out.all)
        wait_until(lambda: len(subscriber.out.all) >= before + 100, "messages", 30)
        stand_still(publisher if which == "publisher" else subscriber)
    before = len(subscriber.out.all)
    wait_until(lambda: len(subscriber.out.all) >= before + 100, "messages after the pause", 30)
    told = judge(subscriber.out.texts(), pauses)
    if which == "subscriber":
        expect(subscriber.err.matching("expired"), "nothing was reported as expired")
    publisher.interrupt()
    return told


def scenario_expiry_while_the_subscriber_stands_still(lab):
    """What waits in a stopped subscriber's socket has expired when it goes on."""
    return nobody_gets_it_too_late(lab, "subscriber")


def scenario_expiry_while_the_subscriber_stands_still_at_five_percent_loss(lab):
    """The same while 5 % of all packets are lost."""
    return nobody_gets_it_too_late(lab, "subscriber", percent=5)


def scenario_expiry_while_the_publisher_stands_still(lab):
    """What a stopped publisher still had to repeat has expired when it goes on."""
    return nobody_gets_it_too_late(lab, "publisher", percent=5)


def scenario_expiry_while_a_busy_publisher_stands_still(lab):
    """The same where it is stopped while it sends: a datagram that it had written then tells an age that is not true any more.

    After a pause it publishes in one burst what it had no time for, and the next pause comes in the midst of that.
    """
    return nobody_gets_it_too_late(lab, "publisher", pauses=5, rate=20_000)


def scenario_expiry_while_a_relay_stands_still(lab):
    """What lies in the socket of a stopped endpoint that passes it on has expired when that goes on."""
    source, target, middle = lab.bridged(3)
    relays.block(lab, (source, target))
    relay = middle.glue("sub", "nothing", env={**relays.FAST, "GLUE_ENDPOINT_ID": "3"})
    subscriber = target.glue("sub", "t", "--json", "--no-payload", env=relays.FAST)
    publisher = publish(source, env=relays.FAST)
    subscriber.wait_for_line("peer added: .* at relay 3", 40, "err")
    pauses = 5 if lab.long else 2
    for _ in range(pauses):
        before = len(subscriber.out.all)
        wait_until(lambda: len(subscriber.out.all) >= before + 100, "messages", 30)
        stand_still(relay)
    before = len(subscriber.out.all)
    wait_until(lambda: len(subscriber.out.all) >= before + 100, "messages after the pause", 30)
    told = judge(subscriber.out.texts(), 0)
    publisher.interrupt()
    return told


def scenario_expiry_of_what_a_cache_holds(lab):
    """A cache stands still with the only copies until they have expired, and then does not serve them."""
    return what_is_held_expires(lab, "cache")


def scenario_expiry_of_what_a_late_joiner_asked_for(lab):
    """The same with the one who asks: what has come for it meanwhile is too old when it goes on."""
    return what_is_held_expires(lab, "joiner")


def what_is_held_expires(lab, which):
    source, middle, target = lab.bridged(3)
    cache = middle.glue("cache", "#")
    publish(source, "--count", "50", expiry="60s").succeed(30)
    publisher = source.glue("pub", "u", "--size", "100B", "--rate", "200", "--expiry", f"{EXPIRY:g}s", "--await-subscribers", "1")
    witness = source.glue("sub", "u", "--no-payload")
    wait_until(lambda: len(witness.out.all) >= 200, "messages", 30)
    # The cache has to serve them: nobody else is there.
    publisher.kill()
    witness.kill()
    if which == "cache":
        cache.process.send_signal(signal.SIGSTOP)
    joiner = target.glue("sub", "+", "--json", "--no-payload", "--history", "all")
    joiner.wait_for_listening()
    stand_still(cache if which == "cache" else joiner)
    wait_until(lambda: len(joiner.out.matching('"topic":"t"')) >= 50, "what lives", 30)
    late = joiner.out.matching('"topic":"u"')
    judge(late, 1)
    expect(which != "cache" or not late, f"{len(late)} messages from a cache that had stood still for {PAUSE:g} s")
    return f"{len(late)} of those that live {EXPIRY:g} s"
