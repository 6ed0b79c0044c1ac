"""IPv6, IPv4, and networks with both."""

import json
import re
import time

from lab import expect, readme_example, wait_until
from scenarios.examples import run_shells


def carries_pictures(lab, hosts, env=None):
    """64 KiB at 20 Hz from the last host to subscribers on all others: everything arrives, once. Returns the addresses."""
    count = 100 if lab.long else 40
    subscribers = [
        host.glue("sub", "picture", "--no-payload", "--summary", "--count", count, env=env) for host in hosts[:-1]]
    publisher = hosts[-1].glue(
        "pub", "picture", "--size", "64KiB", "--rate", "20", "--count", count,
        "--await-subscribers", len(subscribers), env=env)
    publisher.succeed(30)
    for subscriber in subscribers:
        summary = subscriber.succeed().summary()
        expect(
            summary["received"] == count and not summary["lost"] and not summary["duplicates"],
            f"{subscriber.words}: {summary}")
    found = set()
    for running in subscribers + [publisher]:
        for line in running.err.matching("network:"):
            expect(False, f"an error of the network: {line}")
        for line in running.err.matching("peer (added|updated)"):
            found.add(re.search(r" at (\S+)\)", line).group(1))
    return found


def moves(running):
    """How often a peer's session has gone to another address."""
    return len(running.err.matching("peer updated"))


def scenario_pictures_ipv6_only(lab):
    """Hosts with IPv6 only: the demo's traffic, without any setting."""
    addresses = carries_pictures(lab, lab.bridged(4, families=["6"] * 4))
    expect(all(address.startswith("[fe80::") for address in addresses), f"addresses: {addresses}")


def scenario_pictures_ipv6_link_local_only(lab):
    """Hosts with nothing but link-local addresses and a default route."""
    hosts = lab.bridged(4, families=["6"] * 4)
    for host in hosts:
        host.command("ip", "address", "flush", "dev", "eth0", "scope", "global")
        host.command("ip", "-6", "route", "replace", "default", "dev", "eth0", "metric", "4096")
    addresses = carries_pictures(lab, hosts)
    expect(all(address.startswith("[fe80::") for address in addresses), f"addresses: {addresses}")


def scenario_pictures_ipv4_only(lab):
    """Hosts with IPv4 only: the demo's traffic, without any setting and any error."""
    addresses = carries_pictures(lab, lab.bridged(4, families=["4"] * 4))
    expect(all(address.startswith("10.77.1.") for address in addresses), f"addresses: {addresses}")


def scenario_pictures_both_families(lab):
    """Hosts with both: one session for each pair, which stays where it began."""
    addresses = carries_pictures(lab, lab.bridged(4))
    return f"sessions at {', '.join(sorted(addresses))}"


def scenario_pictures_mixed_families(lab):
    """A publisher with both families reaches one host with IPv4 only, one with IPv6 only and one with both."""
    hosts = lab.bridged(4, families=["4", "6", "46", "46"])
    count = 100 if lab.long else 40
    subscribers = [host.glue("sub", "picture", "--no-payload", "--summary", "--count", count) for host in hosts[:3]]
    publisher = hosts[3].glue(
        "pub", "picture", "--size", "64KiB", "--rate", "20", "--count", count, "--await-subscribers", "3")
    publisher.succeed(30)
    for subscriber in subscribers:
        summary = subscriber.succeed().summary()
        expect(summary["received"] == count and not summary["lost"] and not summary["duplicates"], f"{summary}")
    added = publisher.err.matching("peer added")
    expect(len(added) == 3 and sum("[fe80::" in line for line in added) in (1, 2), f"{added}")
    expect(not publisher.err.matching("network:"), f"{publisher.err.matching('network:')}")


def scenario_mixed_hosts_are_quiet(lab):
    """Hosts with IPv4 only and IPv6 only are told of each other by one with both that passes nothing on, and make no errors of it."""
    hosts = lab.bridged(3, families=["4", "6", "46"])
    env = {"GLUE_DISCOVERY_RATE_MILLISECONDS": "100"}
    running = [host.glue("sub", "t", env={**env, "GLUE_RELAY": "0"}) for host in hosts]
    for process in (running[0], running[1], running[2], running[2]):
        process.wait_for_line("peer added", stream="err")
    # Introductions begin after four intervals and come again after eight and sixteen.
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 3, "thirty intervals")
    for process, count in zip(running, (1, 1, 2)):
        lines = process.err.texts()
        expect(len(process.err.matching("peer added")) == count, f"{count} peers expected: {lines}")
        expect(not process.err.matching("cannot send"), f"{lines}")


def scenario_sessions_stay_with_their_family(lab):
    """Two hosts with both families, started at the same time: one session, which does not go to and fro."""
    first, second = lab.bridged(2)
    rounds = 10 if lab.long else 3
    moved = 0
    for _ in range(rounds):
        publisher = first.glue("pub", "t", "--size", "1KiB", "--rate", "100", "--await-subscribers", "1")
        subscriber = second.glue("sub", "t", "--no-payload", "--summary", "--count", "300")
        expect(subscriber.succeed().summary()["lost"] == 0, f"lost messages: {subscriber.tail()}")
        publisher.interrupt()
        for running in (publisher, subscriber):
            expect(len(running.err.matching("peer added")) == 1, f"peers: {running.err.texts()}")
            moved = max(moved, moves(running))
    expect(moved <= 2, f"a session moved {moved} times")
    return f"at most {moved} updates of a peer"


def scenario_family_falls_silent(lab):
    """IPv4 is cut between two hosts with both families: the session goes on by IPv6, and stays there when IPv4 is back."""
    first, second = lab.bridged(2)
    publisher = first.glue("pub", "t", "--size", "1KiB", "--rate", "50", "--await-subscribers", "1")
    subscriber = second.glue("sub", "t", "--no-payload", "--summary")
    subscriber.wait_for_line("seq=")
    before = publisher.wait_for_line("peer added", stream="err")
    old, new = ("ip", "ip6") if "10.77." in before else ("ip6", "ip")
    lab.switch.command("nft", "add", "table", "bridge", "cut")
    lab.switch.command(
        "nft", "add", "chain", "bridge", "cut", "forward", "{", "type", "filter", "hook", "forward", "priority", "0", ";", "}")
    lab.switch.command("nft", "add", "rule", "bridge", "cut", "forward", "ether", "type", old, "udp", "dport", "!=", "1", "drop")
    publisher.wait_for_line(r"peer updated.* at \[" if new == "ip6" else r"peer updated.* at 10\.", 5, "err")
    seen = len(subscriber.out.all)
    wait_until(lambda: len(subscriber.out.all) > seen + 50, f"messages by {new}", 5)
    lab.switch.command("nft", "delete", "table", "bridge", "cut")
    updates = moves(publisher) + moves(subscriber)
    seen = len(subscriber.out.all)
    wait_until(lambda: len(subscriber.out.all) > seen + 150, "messages afterwards", 10)
    expect(moves(publisher) + moves(subscriber) <= updates + 2, f"the session goes to and fro: {publisher.err.texts()}")
    subscriber.interrupt()
    summary = subscriber.summary()
    expect(not summary["lost"] and not summary["duplicates"], f"{summary}")


def scenario_unicast_rendezvous_ipv6(lab):
    """The README's unicast example over IPv6: by loopback, by global and by link-local addresses."""
    lines = readme_example("unicast")
    one = lab.host()
    run_shells([one] * 4, [line.replace("127.0.0.1", "[::1]") for line in lines])
    hosts = lab.bridged(4, families=["6"] * 4)
    addresses = [hosts[0].address6, f"{hosts[0].link_local()}%eth0", hosts[0].link_local()]
    for address in addresses:
        for running in lab.processes:
            running.kill()
        run_shells(hosts, [line.replace("127.0.0.1", f"[{address}]") for line in lines])
    return ", ".join(addresses)


def scenario_peers_name_the_link(lab):
    """`glue peers` shows link-local addresses with the name of the interface, as they are written in a setting."""
    first, second = lab.bridged(2, families=["6", "6"])
    holder = first.glue("sub", "t", env={"GLUE_ENDPOINT_ID": "41", "GLUE_ENDPOINT_NAME": "kitchen-1"})
    holder.wait_for_listening()
    peers = second.glue("peers", "--json", "--duration", "500ms").succeed()
    interface, *found = [json.loads(line) for line in peers.out.texts()]
    expect(interface["interface"] == "eth0" and interface["used"], f"interface: {interface}")
    expect(len(found) == 1 and found[0]["id"] == 41, f"peers: {found}")
    expect(found[0]["address"].startswith(f"[{first.link_local()}%eth0]:"), f"peers: {found}")
    return found[0]["address"]
