"""Hosts that do not hear each other, and others that pass on what they send each other."""

import statistics
import subprocess
import time

from lab import expect, wait_until
from scenarios.keys import make_key

RATE = 100
# Peers are introduced after four intervals.
FAST = {"GLUE_DISCOVERY_RATE_MILLISECONDS": "250"}


def block(lab, *pairs):
    """Nothing passes between the hosts of a pair, however it is addressed."""
    chain = ("bridge", "apart", "forward")
    lab.switch.command("nft", "add", "table", *chain[:2])
    lab.switch.command(
        "nft", "add", "chain", *chain, "{", "type", "filter", "hook", "forward", "priority", "0", ";", "}")
    for a, b in pairs:
        for one, other in ((a, b), (b, a)):
            lab.switch.command(
                "nft", "add", "rule", *chain, "iifname", lab.port(one), "oifname", lab.port(other), "counter", "drop")


def lift(lab):
    lab.switch.command("nft", "delete", "table", "bridge", "apart")


class Clockwork:
    """A publisher of what the time is when it is published. All namespaces of this machine have one clock, so what it takes to
    get to a subscriber can be told, though it includes the pipes from and to this program."""

    def __init__(self, host, subscribers, env):
        self.running = host.glue(
            "pub", "t", "--stdin", "--await-subscribers", str(subscribers), env=env, stdin=subprocess.PIPE)
        self.count = 0

    def publish(self, count):
        start = time.monotonic()
        for index in range(count):
            time.sleep(max(0, start + index / RATE - time.monotonic()))
            self.running.process.stdin.write(f"{time.monotonic_ns()}\n")
            self.running.process.stdin.flush()
        self.count += count

    def ends(self, subscribers):
        """Everything has arrived, in order and once."""
        self.running.process.stdin.close()
        self.running.succeed()
        for subscriber in subscribers:
            wait_until(lambda s=subscriber: len(s.out.all) >= self.count, f"all messages ({subscriber.tail()})", 30)
            subscriber.interrupt()
            summary = subscriber.summary()
            wanted = {"received": self.count, "lost": 0, "duplicates": 0, "outOfOrder": 0}
            expect({key: summary[key] for key in wanted} == wanted, f"{summary} instead of {wanted}")


def delays(subscriber):
    """Milliseconds from publication to the line about it."""
    lines = [(at, text.split()[-1]) for at, text in subscriber.out.all if " seq=" in text]
    return [at * 1e3 - int(word) / 1e6 for at, word in lines]


def follows(lab, loss=0, env=None):
    """B gets from A what C passes on, soon after D gets it directly."""
    a, b, c, d = lab.bridged(4, names=["a", "b", "c", "d"])
    block(lab, (a, b))
    if loss:
        lab.drop((a, b, c, d), loss)
    env = {**FAST, **(env or {})}
    # Only C passes on.
    c.glue("sub", "nothing", env={**env, "GLUE_ENDPOINT_ID": "3"})
    near = d.glue("sub", "t", "--summary", env={**env, "GLUE_RELAY": "0"})
    far = b.glue("sub", "t", "--summary", env={**env, "GLUE_ENDPOINT_ID": "2"})
    clockwork = Clockwork(a, 2, {**env, "GLUE_ENDPOINT_NAME": "a"})
    far.wait_for_line(r"event: peer added: a .* at relay 3", 40, "err")
    clockwork.publish(3_000 if lab.long else 600)
    clockwork.ends([near, far])
    direct, relayed = statistics.median(delays(near)), statistics.median(delays(far))
    expect(relayed - direct < 5, f"relayed {relayed:.2f} ms, directly {direct:.2f} ms")
    return f"{clockwork.count} messages, median {direct:.2f} ms directly and {relayed:.2f} ms by way of another one"


def scenario_relayed_messages(lab):
    """Two hosts that do not hear each other, and one that hears both."""
    return follows(lab)


def scenario_relayed_messages_with_loss(lab):
    """The same with a twentieth of all packets lost."""
    note = follows(lab, loss=5)
    expect(lab.dropped_packets() >= 30, f"only {lab.dropped_packets()} packets were dropped: the test tests nothing")
    return note


def scenario_relayed_messages_with_a_key(lab):
    """The same in a network with a key, and loss."""
    return follows(lab, loss=5, env={"GLUE_NETWORK_KEY": make_key()})


def scenario_relay_while_two_are_apart(lab):
    """Two that hear each other, then do not, then do again: nothing is lost, and nobody."""
    a, b, c = lab.bridged(3, names=["a", "b", "c"])
    c.glue("sub", "nothing", env={"GLUE_ENDPOINT_ID": "3"})
    subscriber = b.glue("sub", "t", "--no-payload", "--summary")
    publisher = a.glue(
        "pub", "t", "--size", "100", "--rate", str(RATE), "--await-subscribers", "1", env={"GLUE_ENDPOINT_NAME": "a"})
    subscriber.wait_for_line("seq=200 ", 20)
    block(lab, (a, b))
    subscriber.wait_for_line(r"event: peer updated: a .* at relay 3", 10, "err")
    seen = len(subscriber.out.all)
    wait_until(lambda: len(subscriber.out.all) > seen + 300, f"messages ({subscriber.tail()})")
    lift(lab)
    subscriber.wait_for_line(rf"event: peer updated: a .* at {a.address}:", 10, "err")
    seen = len(subscriber.out.all)
    wait_until(lambda: len(subscriber.out.all) > seen + 300, f"messages ({subscriber.tail()})")
    publisher.interrupt()
    subscriber.interrupt()
    summary = subscriber.summary()
    expect(not summary["lost"] and not summary["duplicates"] and not summary["outOfOrder"], f"{summary}")
    expect(not subscriber.err.matching("peer removed: a .*(expired|lost)"), f"{subscriber.err.texts()}")
    return f"{summary['received']} messages"


def scenario_chain_of_five(lab):
    """Five hosts in a row, each of which hears the next one only: the last follows the first."""
    hosts = lab.bridged(5)
    block(lab, *((a, b) for index, a in enumerate(hosts) for b in hosts[index + 2:]))
    for host in hosts[1:4]:
        host.glue("sub", "nothing", env=FAST)
    subscriber = hosts[4].glue("sub", "t", "--summary", env=FAST)
    clockwork = Clockwork(hosts[0], 1, {**FAST, "GLUE_ENDPOINT_NAME": "first"})
    subscriber.wait_for_line("event: peer added: first ", 60, "err")
    clockwork.publish(3_000 if lab.long else 500)
    clockwork.ends([subscriber])
    return f"{clockwork.count} messages, median {statistics.median(delays(subscriber)):.2f} ms"


def joined(subscriber_host, publisher_host, middle, subscriber_env=None, middle_env=None):
    """One on a host between passes on from a publisher to a subscriber."""
    middle.glue("sub", "nothing", env={**FAST, **(middle_env or {})})
    subscriber = subscriber_host.glue("sub", "t", "--count", "50", "--summary", env={**FAST, **(subscriber_env or {})})
    publisher = publisher_host.glue(
        "pub", "t", "--size", "10KiB", "--rate", "50", "--count", "50", "--await-subscribers", "1", env=FAST)
    summary = subscriber.succeed(40).summary()
    expect(summary["received"] == 50 and not summary["lost"] and not summary["duplicates"], f"{summary}")
    expect(subscriber.err.matching("peer added: .* at relay "), f"{subscriber.err.texts()}")
    publisher.succeed()


def scenario_relay_between_two_networks(lab):
    """A host with two interfaces joins the endpoints of its two networks."""
    middle, left, right = lab.bridged(3, families=["4"] * 3, plugged=False)
    lab.plug(middle)
    lab.plug(left)
    lab.join([middle, right], "wlan0", "10.77.2")
    joined(right, left, middle, {"GLUE_LISTEN_INTERFACE": "wlan0"}, {"GLUE_LISTEN_INTERFACE": "all"})


def scenario_relay_between_two_families(lab):
    """A host with both families joins one that has only IPv4 and one that has only IPv6."""
    left, right, middle = lab.bridged(3, families=["4", "6", "46"])
    joined(right, left, middle)


for timed in (scenario_relayed_messages, scenario_relayed_messages_with_loss, scenario_relayed_messages_with_a_key):
    timed.alone = True
