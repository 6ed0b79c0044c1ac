"""Multicast that a switch blocks while unicast passes."""

import json
import re

from lab import expect, wait_until

# Ten announcements are missed before multicast is called broken: at this interval that takes a second.
FAST = {"GLUE_DISCOVERY_RATE_MILLISECONDS": "100"}


def block(lab, *conditions):
    """Drops multicast of both families that the switch would forward under these conditions."""
    lab.switch.command("nft", "add", "table", "bridge", "multicast")
    lab.switch.command(
        "nft", "add", "chain", "bridge", "multicast", "forward",
        "{", "type", "filter", "hook", "forward", "priority", "0", ";", "}")
    # Not neighbour discovery of IPv6, which is multicast and without which there is no unicast.
    lab.switch.command(
        "nft", "add", "rule", "bridge", "multicast", "forward", *conditions, "meta", "pkttype", "multicast",
        "udp", "dport", "27320", "counter", "drop")


def mend(lab):
    lab.switch.command("nft", "delete", "table", "bridge", "multicast")


class Pair:
    """A publisher on the first host and a subscriber on the second that know each other."""

    def __init__(self, hosts):
        self.publisher = hosts[0].glue(
            "pub", "t", "--size", "100", "--rate", "100", "--await-subscribers", "1",
            env={**FAST, "GLUE_ENDPOINT_NAME": "speaker"})
        self.subscriber = hosts[1].glue(
            "sub", "t", "--no-payload", "--summary", env={**FAST, "GLUE_ENDPOINT_NAME": "listener"})
        # By then each has announced itself to the group several times after the other has met it. Of a peer that was never
        # heard nobody can tell whether it uses multicast.
        self.subscriber.wait_for_line("seq=150 ")

    def tells(self, publisher, subscriber):
        for running, pattern in ((self.publisher, publisher), (self.subscriber, subscriber)):
            running.wait_for_line(f"event: multicast: {pattern}", 10, "err")

    def flows(self):
        seen = len(self.subscriber.out.all)
        wait_until(lambda: len(self.subscriber.out.all) > seen + 100, f"messages ({self.subscriber.tail()})")

    def ends(self):
        """Nobody was lost, and no message."""
        self.publisher.interrupt()
        self.subscriber.interrupt()
        summary = self.subscriber.summary()
        expect(summary["received"] > 100 and not summary["lost"] and not summary["duplicates"], f"{summary}")
        expect(not self.subscriber.err.matching("peer removed.*expired"), f"{self.subscriber.err.texts()}")
        expect(not self.publisher.err.matching("peer removed.*expired"), f"{self.publisher.err.texts()}")
        return summary["received"]


def scenario_multicast_blocked_one_way(lab):
    """Multicast passes from the second host only: data goes on, both say what is wrong, and when it is mended."""
    hosts = lab.bridged(2)
    pair = Pair(hosts)
    block(lab, "iifname", hosts[0].port)
    pair.tells("nobody hears ours;", "nothing arrives, though")
    # A newcomer beside the second host's endpoint meets the first one all the same, and sees what is wrong.
    peers = hosts[1].glue("peers", "--json", "--duration", "2s", env=FAST).succeed()
    lines = [json.loads(line) for line in peers.out.texts()]
    found = {line["name"]: line["multicast"] for line in lines if "multicast" in line}
    expect(found == {"speaker": "onlyThem", "listener": "bothWays"}, f"{found}")
    pair.flows()
    mend(lab)
    pair.tells("works", "works")
    return f"{pair.ends()} messages"


def scenario_multicast_blocked_both_ways(lab):
    """No multicast passes: those who know each other go on, those with a unicast target find each other."""
    hosts = lab.bridged(3)
    pair = Pair(hosts)
    block(lab)
    pair.tells("nobody hears ours, and nothing arrives", "nobody hears ours, and nothing arrives")
    # A newcomer is not found by multicast now, but with the address of an endpoint that can be announced to.
    meeting = hosts[0].glue("sub", "u", "--no-payload", env={"GLUE_DISCOVERY_TARGET_ADDRESS": "0", "GLUE_LISTEN_INTERFACE": "eth0"})
    meeting.wait_for_listening()
    target = {"GLUE_DISCOVERY_TARGET_ADDRESS": f"{hosts[0].address}:27320"}
    reader = hosts[1].glue("sub", "v", "--count", "1", env=target)
    writer = hosts[2].glue("pub", "v", "there", "--await-subscribers", "1", env=target)
    writer.succeed(15)
    reader.succeed(15)
    pair.flows()
    mend(lab)
    pair.tells("works", "works")
    return f"{pair.ends()} messages"


def scenario_multicast_blocked_at_one_port(lab):
    """One port of a switch lets no multicast in: its host says so, for the others it is one peer that is deaf."""
    hosts = lab.bridged(3)
    pair = Pair(hosts)
    third = hosts[2].glue("sub", "t", "--no-payload", "--summary", env=FAST)
    third.wait_for_line("seq=")
    block(lab, "oifname", hosts[2].port)
    third.wait_for_line("event: multicast: nothing arrives, though", 10, "err")
    for running in (pair.publisher, pair.subscriber):
        running.wait_for_line(r"peer updated: .*, multicast only from it", 10, "err")
        expect(not running.err.matching("event: multicast"), f"{running.err.matching('event: multicast')}")
    pair.flows()
    mend(lab)
    third.wait_for_line("event: multicast: works", 10, "err")
    for running in (pair.publisher, pair.subscriber):
        running.wait_for_line(r"peer updated: .*, multicast both ways", 10, "err")
    pair.ends()
    third.interrupt()
    summary = third.summary()
    expect(not summary["lost"] and not summary["duplicates"], f"{summary}")
    expect(not re.search("expired", "\n".join(third.err.matching("peer removed"))), f"{third.err.texts()}")
