"""Floods: everything that somebody on the network can send, at full speed, beside endpoints that want to talk."""

import base64
import json
import re
import secrets
import subprocess

from lab import expect, wait_until

# What an honest process may hold more after a flood than before: its buffers fill once, and stay.
GROWTH_KIBIBYTES = 48 << 10


def count_at_ports(lab, hosts, victim):
    """Counts, at the switch, the bytes that reach the hosts in the victim's name, and those that are sent to the victim."""
    rules = ["add table netdev reflection"]
    for host, match in [(host, f"ip saddr {victim.address}") for host in hosts] + [(victim, f"ip daddr {victim.address} ip protocol udp")]:
        chain = f"to_{host.port}"
        rules.append(
            f"add chain netdev reflection {chain} {{ type filter hook egress device {host.port} priority 0; }}")
        rules.append(f"add rule netdev reflection {chain} {match} counter")
    for rule in rules:
        lab.switch.command("nft", rule)

    def read(host):
        listing = lab.switch.command("nft", "list", "chain", "netdev", "reflection", f"to_{host.port}")
        return int(re.search(r"counter packets \d+ bytes (\d+)", listing).group(1))

    return lambda: (sum(read(host) for host in hosts), read(victim))


def flood(lab, keyed):
    """Two publishers and three subscribers exchange messages; somebody with all addresses, and a peer gone wrong, attack."""
    seconds = 60 if lab.long else 4
    publisher_host, subscriber_host, bait_host, simple_host, stranger, hostile, victim = lab.bridged(
        7, families=["4"] * 7, names=["pub", "sub", "bait", "simple", "stranger", "hostile", "victim"])
    honest_hosts = [publisher_host, subscriber_host, bait_host, simple_host]
    for host in honest_hosts:
        # The forged addresses are somewhere behind the stranger. On the link itself each would take a place among the
        # neighbours, of which the kernel knows 1,024 for all namespaces together.
        host.command("ip", "route", "add", "10.64.0.0/10", "via", stranger.address)
    environment = {}
    key = secrets.token_bytes(32)
    if keyed:
        environment["GLUE_NETWORK_KEY"] = base64.b64encode(key).decode("ascii")
    counters = count_at_ports(lab, honest_hosts, victim)

    subscriber = subscriber_host.glue("sub", "honest/t", "--summary", "--no-payload", env=environment)
    # The one that takes what the hostile peer publishes.
    bait = bait_host.glue("sub", "flood/#", "--no-payload", env=environment)
    simple_subscriber = simple_host.start("simple-endpoint", env=environment)
    simple_publisher = bait_host.start("simple-endpoint", "--send-messages", env=environment)
    for process in (subscriber, bait, simple_subscriber, simple_publisher):
        process.wait_for_listening()
    publisher = publisher_host.glue(
        "pub", "honest/t", "x" * 100, "--rate", "100", "--await-subscribers", "1", env=environment)
    honest = [publisher, subscriber, bait, simple_publisher, simple_subscriber]

    def messages():
        return len(subscriber.out.all), len(simple_subscriber.out.all)

    def more_messages(text, limit=20.0):
        before = messages()
        wait_until(
            lambda: messages()[0] >= before[0] + 20 and messages()[1] >= before[1] + 1,
            f"messages {text}, {messages()} so far", limit)

    more_messages("before the flood")
    attacks = [
        hostile.start("GlueFlood", "peer", "--seconds", seconds, "--endpoints", len(honest),
                      *(["--key", key.hex()] if keyed else []))]
    # It has met everybody before the network is full of forged newcomers.
    attacks[0].wait_for_line('"peers"', limit=20)
    before = [process.resident_kibibytes() for process in honest]
    for options in ((), ("--victim", victim.address, "--rate", 2_000)):
        attacks.append(
            stranger.start(
                "GlueFlood", "strangers", "--seconds", seconds, "--endpoints", len(honest), *options,
                stdin=subprocess.PIPE))
    # They listen first, and would take each other's forgeries for endpoints.
    for attack in attacks[1:]:
        attack.wait_for_line('"heard"', limit=20)
    for attack in attacks[1:]:
        attack.process.stdin.close()
    seen = messages()
    for attack in attacks:
        attack.succeed(seconds + 40)
    during = [after - then for after, then in zip(messages(), seen)]
    growth = [process.resident_kibibytes() - then for process, then in zip(honest, before)]
    more_messages("after the flood")
    gone = [
        line for process in (publisher, subscriber, bait) for line in process.err.matching("peer removed: (?!hostile)")]
    expect(not gone, f"honest peers were dropped: {gone}")

    expect(publisher.interrupt() == 130, f"the publisher failed: {publisher.tail()}")
    expect(len(publisher.err.matching("all acknowledged")) == 1, f"the publisher: {publisher.tail()}")
    expect(subscriber.interrupt() == 0, f"the subscriber failed: {subscriber.tail()}")
    summary = subscriber.summary()
    expect(
        (summary["lost"], summary["duplicates"], summary["outOfOrder"]) == (0, 0, 0), f"beside the flood: {summary}")
    numbers = [int(line.split("seq=")[1].split()[0]) for line in simple_subscriber.out.texts()]
    expect(
        numbers == list(range(numbers[0], numbers[0] + len(numbers))), f"beside the flood simple-endpoint got {numbers}")
    expect(min(during) > 0, f"nothing was delivered during the flood: {during}")
    expect(max(growth) < GROWTH_KIBIBYTES, f"memory grew by {growth} KiB")
    limits = set(re.findall(r"limit reached: (\w+)", "\n".join(subscriber.err.texts() + bait.err.texts())))
    expected = {"maximumGaps"} if keyed else {"maximumGaps", "repliesPerSecond"}
    expect(expected <= limits, f"no counter tells of the flood: {limits}")
    in_its_name, to_victim = counters()
    expect(in_its_name > 0, "nothing was sent in the victim's name: the test tests nothing")
    expect(to_victim <= in_its_name, f"the victim got {to_victim} bytes for {in_its_name} in its name")
    figures = [json.loads(attack.out.texts()[-1]) for attack in attacks]
    forged = sum(value for name, value in figures[1].items() if name != "seconds")
    return (
        f"{forged // seconds:,} forged and {figures[0]['datagrams'] // seconds:,} hostile datagrams a second; "
        f"{during[0]} + {during[1]} messages meanwhile; memory {max(growth):+} KiB; "
        f"victim {to_victim:,} bytes for {in_its_name:,}; limits {', '.join(sorted(limits))}")


def scenario_flood_open(lab):
    """In an open network: garbage, forged announcements and claims, a hostile peer, reflection; nobody honest is dropped."""
    return flood(lab, keyed=False)


def scenario_flood_keyed(lab):
    """The same in a network with a key, which the hostile peer has and the strangers have not."""
    return flood(lab, keyed=True)


# They take all the processors there are.
scenario_flood_open.alone = True
scenario_flood_keyed.alone = True
