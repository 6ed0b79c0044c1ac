"""Endpoints that use several network interfaces at a time."""

import json
import re
import signal
import time

from lab import expect, wait_until
from scenarios.interfaces import LeakCheck, next_address, rounds

# Within so many seconds messages must flow again after one of several ways is gone.
LIMIT = 3.0
BOTH = {"GLUE_LISTEN_INTERFACE": "eth0,wlan0"}
ALL = {"GLUE_LISTEN_INTERFACE": "all"}


class Flow:
    """A publisher and a subscriber that count by themselves, and how the session between them moves."""

    def __init__(self, publishing, subscribing, env):
        self.publisher = publishing.glue(
            "pub", "t", "--size", "1KiB", "--rate", "50", "--await-subscribers", "1", env=env)
        self.subscriber = subscribing.glue("sub", "t", "--no-payload", "--summary", env=env)
        self.both = (self.publisher, self.subscriber)
        self.longest = 0.0
        self.continues("at the start", 10)

    def continues(self, what, limit=LIMIT, left=None):
        """Waits for ten more messages, and until both sides have told that the session has left a link."""
        began = time.monotonic()
        seen = len(self.subscriber.out.all)
        wait_until(
            lambda: len(self.subscriber.out.all) >= seen + 10,
            f"messages {what} ({self.publisher.tail()}; {self.subscriber.tail()})", limit)
        self.longest = max(self.longest, time.monotonic() - began)
        if left:
            wait_until(lambda: all(link_of(addresses(side)[-1]) != left for side in self.both), f"both sides to leave {left}")

    def moves(self):
        """How often each side's peer went to another address."""
        return sum(len(addresses(side)) - 1 for side in self.both)

    def stays(self, messages=150):
        """The session does not go anywhere while so many messages flow."""
        before = self.moves()
        seen = len(self.subscriber.out.all)
        wait_until(lambda: len(self.subscriber.out.all) >= seen + messages, "messages", 10)
        expect(self.moves() == before, f"the session goes to and fro: {self.publisher.err.texts()}")

    def ends(self, losses=False):
        """Nothing was lost, nothing came twice, nobody was forgotten."""
        self.publisher.interrupt()
        self.subscriber.interrupt()
        summary = self.subscriber.summary()
        expect(not summary["duplicates"] and (losses or not summary["lost"]), f"{summary}")
        for side in self.both:
            expect(len(side.err.matching("peer added")) == 1, f"one peer expected: {side.err.texts()}")
            # The other's farewell at the end apart.
            expect(not side.err.matching("peer removed.*(expired|silen)"), f"{side.err.texts()}")
        return f"again within {self.longest:.1f} s"


def addresses(running):
    """Where its peer was reached, one after the other."""
    found = []
    for line in running.err.matching("peer (added|updated)"):
        address = re.search(r" at (\S+?):\d+\)", line).group(1)
        if not found or found[-1] != address:
            found.append(address)
    return found


def link_of(address):
    """The interface by which an address of these labs is reached."""
    if "%" in address:
        return re.search(r"%(\w+)", address).group(1)
    return {"1": "eth0", "2": "wlan0", "3": "usb0"}[address.split(".")[2]]


def two_links(lab, families="4"):
    hosts = lab.bridged(2, families=[families] * 2)
    lab.join(hosts, "wlan0", "10.77.2")
    return hosts


def both_links_fall_silent(lab, families):
    hosts = two_links(lab, families)
    flow = Flow(hosts[0], hosts[1], BOTH)
    flow.stays()
    for _ in range(20 if lab.long else 2):
        used = {link_of(addresses(side)[-1]) for side in flow.both}
        expect(len(used) == 1, f"the two sides use different links: {used}")
        link = used.pop()
        lab.silence(link)
        flow.continues(f"after {link} fell silent", left=link)
        lab.silence(link, False)
        flow.stays(100)
    return flow.ends()


def scenario_two_links(lab):
    """Two hosts with two links: one session, which goes to the other link when one drops everything, and stays there."""
    return both_links_fall_silent(lab, "4")


def scenario_two_links_ipv6(lab):
    """The same with nothing but link-local addresses."""
    return both_links_fall_silent(lab, "6")


def scenario_two_links_sealed(lab):
    """The same in a network with a key."""
    key = lab.host("maker").glue("key").succeed().out.texts()[0]
    hosts = two_links(lab)
    env = {**BOTH, "GLUE_NETWORK_KEY": key}
    flow = Flow(hosts[0], hosts[1], env)
    flow.stays()
    link = link_of(addresses(flow.publisher)[-1])
    lab.silence(link)
    flow.continues(f"after {link} fell silent", left=link)
    lab.silence(link, False)
    flow.stays(100)
    return flow.ends()


def scenario_one_of_two_interfaces_changes(lab):
    """One of two interfaces goes down and up, is removed and made again, gets another address, while the other works."""
    hosts = two_links(lab, "46")
    flow = Flow(hosts[0], hosts[1], BOTH)
    leaks = LeakCheck(hosts, flow.both)
    for number in rounds(lab):
        for host, side in leaks.sides:
            other = flow.subscriber if side is flow.publisher else flow.publisher
            for change in ("down", "removed", "address"):
                link = link_of(addresses(other)[-1])
                seen = len(side.err.matching("event: interface:"))
                if change == "down":
                    host.command("ip", "link", "set", link, "down")
                elif change == "removed":
                    lab.unplug(host, link)
                elif link == "eth0":
                    old, host.address = host.address, next_address(host.address)
                    host.command("ip", "address", "delete", f"{old}/24", "dev", link)
                else:
                    old, host.others[link] = host.others[link], next_address(host.others[link])
                    host.command("ip", "address", "delete", f"{old}/24", "dev", link)
                flow.continues(f"after {link} was {change}")
                if change == "down":
                    host.command("ip", "link", "set", link, "up")
                    lab.configure(host, link)
                elif change == "removed":
                    lab.plug(host, link)
                else:
                    lab.configure(host, link)
                wait_until(
                    lambda: len(side.err.matching("event: interface:")) > seen
                    and uses(side, "eth0", "wlan0"), f"both interfaces again: {side.err.texts()[-3:]}")
                flow.continues(f"after {link} was {change}, again")
        if number == len(rounds(lab)) // 2:
            leaks.half_time()
    growth = leaks.ends()
    return f"{flow.ends()}, {growth}"


def uses(running, *interfaces):
    """Whether the last event of the interfaces says that these are used, each with an IPv4 address."""
    line = running.err.matching("event: interface:")[-1]
    return all(re.search(rf"{interface}, [^;:]*: [^;]*\d+\.\d+", line) for interface in interfaces)


def scenario_two_segments(lab):
    """A host with two interfaces has the endpoints of both networks as peers; these do not see each other if it passes nothing on."""
    middle, left, right = lab.bridged(3, families=["4"] * 3, plugged=False)
    lab.plug(middle)
    lab.plug(left)
    lab.join([middle, right], "wlan0", "10.77.2")
    env = {"GLUE_DISCOVERY_RATE_MILLISECONDS": "200"}
    subscribers = [left.glue("sub", "t", "--count", "50", "--summary", env=env)]
    subscribers.append(right.glue("sub", "t", "--count", "50", "--summary", env={**env, "GLUE_LISTEN_INTERFACE": "wlan0"}))
    middle.glue("pub", "t", "--size", "64KiB", "--rate", "50", "--count", "50", "--await-subscribers", "2", env={**env, **ALL, "GLUE_RELAY": "0"}).succeed()
    for subscriber in subscribers:
        summary = subscriber.succeed().summary()
        expect(summary["received"] == 50 and not summary["lost"] and not summary["duplicates"], f"{summary}")
        expect(len(subscriber.err.matching("peer added")) == 1, f"{subscriber.err.texts()}")


def scenario_one_host_with_three_interfaces(lab):
    """Two endpoints on one host that use all of its three interfaces: one session, which outlives each of them but one."""
    hosts = lab.bridged(1, families=["46"])
    lab.join(hosts, "wlan0", "10.77.2")
    lab.join(hosts, "usb0", "10.77.3")
    host = hosts[0]
    host.command("ip", "link", "add", "docker0", "type", "bridge")
    host.command("ip", "address", "add", "172.17.0.1/16", "dev", "docker0")
    host.command("ip", "link", "set", "docker0", "up")
    flow = Flow(host, host, ALL)
    for side in flow.both:
        line = side.wait_for_line("event: interface:", stream="err")
        expect(re.search(r"not lo \(this host only\); not docker0 \(for containers", line), line)
        expect(uses(side, "eth0", "wlan0", "usb0"), line)
    flow.stays()
    for _ in range(2):
        link = link_of(addresses(flow.publisher)[-1])
        lab.unplug(host, link)
        flow.continues(f"after {link} was removed", left=link)
        flow.stays(50)
    return flow.ends()


def scenario_interfaces_that_come_later(lab):
    """Of two interfaces that a setting names one comes later, and one of all: whoever is there is found at once."""
    hosts = lab.bridged(2, families=["4", "4"])
    lab.join(hosts, "wlan0", "10.77.2", plugged=False)
    lab.plug(hosts[1], "wlan0")
    lab.unplug(hosts[1])
    for env in (BOTH, ALL):
        subscriber = hosts[0].glue("sub", "t", "--no-payload", env=env)
        line = subscriber.wait_for_line("event: interface: eth0, ", stream="err")
        expect(env is ALL or "wlan0, as set: waiting for it, it is not there" in line, line)
        publisher = hosts[1].glue("pub", "t", "x", "--rate", "50", env={"GLUE_LISTEN_INTERFACE": "wlan0"})
        publisher.wait_for_listening()
        lab.plug(hosts[0], "wlan0")
        subscriber.wait_for_line("seq=", LIMIT)
        expect(uses(subscriber, "eth0", "wlan0"), f"{subscriber.err.texts()}")
        publisher.interrupt()
        subscriber.interrupt()
        lab.unplug(hosts[0], "wlan0")


def scenario_more_interfaces_than_are_used(lab):
    """Of twenty interfaces that qualify sixteen are used; the event and `glue peers` tell which, and which not."""
    host = lab.bridged(1, families=["46"], plugged=False)[0]
    for number in range(20):
        host.command("ip", "link", "add", f"e{number}", "type", "veth", "peer", "name", f"veth{number}")
        for name in (f"e{number}", f"veth{number}"):
            host.command("ip", "link", "set", name, "up")
        host.command("ip", "address", "add", f"10.80.{number}.1/24", "dev", f"e{number}")
    holder = host.glue("sub", "t", env={**ALL, "GLUE_ENDPOINT_ID": "7"})
    line = holder.wait_for_line("event: interface:", stream="err")
    expect("not e16, e17, e18, e19 (16 others are used)" in line, line)
    expect("not veth0, veth1, veth2, veth3, veth4, veth5, veth6, veth7 and 12 more (for containers" in line, line)
    peers = host.glue("peers", "--json", "--duration", "1s", env=ALL).succeed()
    found = [json.loads(line) for line in peers.out.texts()]
    expect([item["id"] for item in found if "id" in item] == [7], f"{found}")
    used = [item for item in found if item.get("used")]
    expect(len(used) == 16 and used[3]["addresses"][0] == "10.80.3.1" and used[3]["why"] == "one of all", f"{used}")
    left_out = {item["interface"]: item["why"] for item in found if item.get("used") is False}
    expect(left_out["e16"] == "16 others are used" and left_out["lo"] == "this host only", f"{left_out}")
    wait_until(lambda: holder.open_files() <= 50, f"{holder.open_files()} open files")
    expect(not holder.err.matching("event: network:"), f"{holder.err.texts()}")
    for running in (holder, peers):
        running.interrupt()
    expect(not host.memberships(), f"memberships are left: {host.memberships()}")


def scenario_broadcast_by_two_interfaces(lab):
    """The general broadcast address as target: heard in both networks."""
    hosts = two_links(lab)
    env = {"GLUE_DISCOVERY_TARGET_ADDRESS": "255.255.255.255:27320"}
    flow = Flow(hosts[0], hosts[1], {**BOTH, **env})
    link = link_of(addresses(flow.publisher)[-1])
    lab.silence(link)
    flow.continues(f"after {link} fell silent", left=link)
    return flow.ends()


def scenario_suspended_and_resumed(lab):
    """A process is suspended, for less than the lease and for longer, and goes on: messages flow again within 3 s.

    It tells so by an event, and only it."""
    hosts = lab.bridged(2)
    publisher = hosts[0].glue("pub", "t", "--size", "1KiB", "--rate", "50")
    subscriber = hosts[1].glue("sub", "t", "--no-payload")
    subscriber.wait_for_line("seq=")
    longest = 0.0
    for _ in rounds(lab):
        for running, other in ((publisher, subscriber), (subscriber, publisher)):
            for outlives in (True, False):
                gone = len(other.err.matching("peer removed"))
                told, others = (len(process.err.matching("resumed: ")) for process in (running, other))
                began = time.monotonic()
                running.process.send_signal(signal.SIGSTOP)
                if outlives:
                    wait_until(lambda: time.monotonic() - began > 3.2, "three seconds", 5)
                else:
                    wait_until(lambda: len(other.err.matching("peer removed")) > gone, "the peer to be forgotten", 12)
                expect(not outlives or len(other.err.matching("peer removed")) == gone, f"{other.err.texts()}")
                running.process.send_signal(signal.SIGCONT)
                resumed = time.monotonic()
                slept = resumed - began
                seen = len(subscriber.out.all)
                wait_until(lambda: len(running.err.matching("resumed: ")) > told, "the event that it goes on", LIMIT)
                seconds = float(re.search(r" for ([0-9.]+) seconds", running.err.matching("resumed: ")[told]).group(1))
                # It was about to wait for an interval at most.
                expect(slept - 1.5 < seconds < slept + 1, f"suspended for {slept:.1f} s, it says {seconds}")
                expect(
                    all(float(re.search(r" for ([0-9.]+) seconds", line).group(1)) < slept - 1.5 for line in other.err.matching("resumed: ")[others:]),
                    f"{other.err.texts()}")
                # What was in the socket while it slept comes first.
                wait_until(lambda: len(subscriber.out.all) >= seen + 150, f"messages ({subscriber.tail()})", LIMIT + 3)
                longest = max(longest, subscriber.out.all[seen + 10][0] - resumed)
                expect(longest < LIMIT, f"messages only {longest:.1f} s after it went on")
    numbers = [int(re.search(r"seq=(\d+)", line).group(1)) for line in subscriber.out.matching("seq=")]
    expect(numbers == sorted(set(numbers)), "messages twice or out of order")
    return f"again within {longest:.1f} s"


def scenario_two_interfaces_in_one_network(lab):
    """A host with a cable and Wi-Fi in one subnet: one session, which goes on when the interface that the routes prefer goes."""
    hosts = lab.bridged(2, families=["4", "4"])
    host = hosts[0]
    host.others["wlan0"] = "10.77.1.101"
    lab.switch.command("ip", "link", "add", "bridge-wlan0", "type", "bridge")
    lab.plug(host, "wlan0")
    lab.switch.command("ip", "link", "set", lab.port(host, "wlan0"), "master", "bridge")
    flow = Flow(host, hosts[1], ALL)
    flow.stays()
    for link in ("eth0", "wlan0"):
        host.command("ip", "link", "set", link, "down")
        flow.continues(f"after {link} went down")
        host.command("ip", "link", "set", link, "up")
        lab.configure(host, link)
        wait_until(lambda: uses(flow.publisher, "eth0", "wlan0"), "both interfaces again")
        flow.continues(f"after {link} came back")
        flow.stays(100)
    return flow.ends()
