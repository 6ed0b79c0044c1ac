"""Network interfaces that change while endpoints use them."""

import re
import time

from lab import expect, wait_until

# Within so many seconds of the network's return messages must flow again.
LIMIT = 3.0


def sequences(subscriber):
    return [int(re.search(r"seq=(\d+)", line).group(1)) for line in subscriber.out.matching("seq=")]


class Flow:
    """A publisher on the first host, a subscriber on the second, and what flows between them."""

    def __init__(self, hosts, env=None):
        self.hosts = hosts
        self.publisher = hosts[0].glue("pub", "t", "--size", "1KiB", "--rate", "50", env=env)
        self.subscriber = hosts[1].glue("sub", "t", "--no-payload", env=env)
        self.longest = 0.0

    def awaits_messages(self, what, limit=LIMIT):
        """Waits for ten more messages, the first of them published from now on."""
        began = time.monotonic()
        seen = len(self.subscriber.out.all)
        wait_until(lambda: len(self.subscriber.out.all) >= seen + 10, f"messages {what} ({self.subscriber.tail()})", limit)
        self.longest = max(self.longest, time.monotonic() - began)

    def stands_still(self):
        """Waits until nothing has come for a while that is long against the time between two messages."""
        wait_until(lambda: time.monotonic() - self.subscriber.out.all[-1][0] > 0.5, "the flow to stop")

    def ends(self):
        expect(self.publisher.is_running and self.subscriber.is_running, "an endpoint ended by itself")
        numbers = sequences(self.subscriber)
        expect(numbers == sorted(set(numbers)), "messages twice or out of order")


class LeakCheck:
    """What processes and their hosts hold: descriptors, memberships in groups, memory."""

    def __init__(self, hosts, processes):
        self.sides = list(zip(hosts, processes))
        self.before = [(running.open_files(), host.memberships()) for host, running in self.sides]
        self.memory = None

    def half_time(self):
        """Memory is compared from here on: before, tables and buffers grow to their size."""
        self.memory = [running.resident_kibibytes() for _, running in self.sides]

    def ends(self):
        for (host, running), (files, joined) in zip(self.sides, self.before):
            # Listing the interfaces takes a descriptor for a moment.
            wait_until(lambda: running.open_files() <= files, f"{files} open files instead of {running.open_files()}")
            wait_until(lambda: host.memberships() == joined, f"memberships {joined} instead of {host.memberships()}")
        growth = max(running.resident_kibibytes() - before for (_, running), before in zip(self.sides, self.memory))
        expect(growth < 4_096, f"an endpoint grew by {growth} KiB in the second half")
        return f"grew by {growth} KiB"


def rounds(lab):
    return range(20 if lab.long else 1)


def both_sides(lab, families, change, env=None):
    """Runs `change(host, flow)` for the publisher's host and for the subscriber's, in the long form twenty times."""
    flow = Flow(lab.bridged(2, families=[families] * 2), env)
    flow.awaits_messages("at the start", 10)
    leaks = LeakCheck(flow.hosts, (flow.publisher, flow.subscriber))
    for number in rounds(lab):
        for host, running in leaks.sides:
            change(host, flow, running)
        if number == len(rounds(lab)) // 2:
            leaks.half_time()
    growth = leaks.ends()
    flow.ends()
    return f"again within {flow.longest:.1f} s, {growth}"


def next_address(address):
    """An address of the same network that no host of a lab has had yet."""
    head, last = address.rsplit(".", 1)
    return f"{head}.{int(last) + 10}"


def down_and_up(lab, families, env=None, outage=None):
    """The interface is switched off, until both have forgotten each other, and on again."""

    def change(host, flow, running):
        events = len(running.err.matching("event: interface:"))
        forgotten = [len(side.err.matching("peer removed")) for side in (flow.publisher, flow.subscriber)]
        began = time.monotonic()
        host.command("ip", "link", "set", "eth0", "down")
        if outage:
            wait_until(lambda: time.monotonic() - began > outage, "the end of the outage", outage + 1)
        else:
            for side, before in zip((flow.publisher, flow.subscriber), forgotten):
                wait_until(lambda: len(side.err.matching("peer removed")) > before, "the peer to be forgotten", 12)
            if lab.long:
                wait_until(lambda: time.monotonic() - began > 10, "ten seconds", 12)
        expect(len(running.err.matching("event: interface:")) > events, f"no event of the interface: {running.err.texts()}")
        host.command("ip", "link", "set", "eth0", "up")
        lab.configure(host)
        flow.awaits_messages("after the interface came back")
        running.wait_for_line(r"event: interface: eth0, .*(10\.77|fe80)", stream="err")

    return both_sides(lab, families, change, env)


def scenario_interface_down_and_up(lab):
    """The interface is down for longer than the lease: flowing again within 3 s of its return."""
    return down_and_up(lab, "46")


def scenario_interface_down_and_up_ipv6(lab):
    """The same with IPv6 only, and the interface named."""
    return down_and_up(lab, "6", {"GLUE_LISTEN_INTERFACE": "eth0"})


def scenario_interface_down_for_a_moment(lab):
    """The interface is down for less than the lease: nobody is forgotten, and nothing is lost."""
    note = down_and_up(lab, "4", {"GLUE_LISTEN_INTERFACE": "eth0"}, outage=2.0)
    for running in lab.processes:
        expect(not running.err.matching("peer removed|lost"), f"{running.err.texts()}")
    return note


def scenario_cable_pulled(lab):
    """The link is gone for longer than the lease while the interface stays on, with its addresses and routes."""

    def change(host, flow, running):
        gone = [len(side.err.matching("peer removed")) for side in (flow.publisher, flow.subscriber)]
        lab.switch.command("ip", "link", "set", host.port, "down")
        running.wait_for_line("event: interface: eth0, .*: waiting for it, it is down", stream="err")
        for side, before in zip((flow.publisher, flow.subscriber), gone):
            wait_until(lambda: len(side.err.matching("peer removed")) > before, "the peer to be forgotten", 12)
        lab.switch.command("ip", "link", "set", host.port, "up")
        flow.awaits_messages("after the cable was plugged in")

    return both_sides(lab, "46", change)


def scenario_address_changes(lab):
    """A host gets another address: flowing again within 3 s, at the same port, and nothing is lost."""

    def change(host, flow, running):
        other = flow.publisher if running is flow.subscriber else flow.subscriber
        present = rf"peer (?:added|updated).* at {re.escape(host.address)}:(\d+)"
        port = re.search(present, other.wait_for_line(present, stream="err")).group(1)
        old, host.address = host.address, next_address(host.address)
        host.command("ip", "address", "delete", f"{old}/24", "dev", "eth0")
        lab.configure(host)
        flow.awaits_messages("after the address changed")
        other.wait_for_line(rf"peer updated.* at {re.escape(host.address)}:{port}", stream="err")
        running.wait_for_line(rf"event: interface: eth0, .*{re.escape(host.address)}", stream="err")

    note = both_sides(lab, "4", change)
    for running in lab.processes:
        expect(not running.err.matching("peer removed|lost"), f"{running.err.texts()}")
    return note


def removed_and_made_again(lab, families, env=None):
    """Removes the interface, and makes another one of that name."""

    def change(host, flow, running):
        seen = len(running.err.matching("event: interface:"))
        lab.unplug(host)
        flow.stands_still()
        wait_until(lambda: len(running.err.matching("event: interface:")) > seen, "an event of the interface")
        lab.plug(host)
        flow.awaits_messages("after the interface was made again")

    return both_sides(lab, families, change, env)


def scenario_interface_removed_and_made_again(lab):
    """The interface is removed and made again under its name: flowing again within 3 s, memberships and all."""
    return removed_and_made_again(lab, "46")


def scenario_interface_removed_and_made_again_ipv4(lab):
    """The same with IPv4 only, and the interface named."""
    return removed_and_made_again(lab, "4", {"GLUE_LISTEN_INTERFACE": "eth0"})


def scenario_interface_removed_and_made_again_ipv6(lab):
    """The same with IPv6 only, and a group on the interface as target."""
    return removed_and_made_again(lab, "6", {"GLUE_DISCOVERY_TARGET_ADDRESS": "[ff12::4711%eth0]:4711"})


def scenario_interface_removed_while_its_queue_is_full(lab):
    """The interface goes while its slow queue is full of a publisher's datagrams, so that its socket takes no more."""
    hosts = lab.bridged(2, families=["4", "4"])
    hosts[0].command("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "2mbit", "burst", "64kb", "limit", "20mb")
    subscribers = [hosts[1].glue("sub", "t", "--no-payload") for _ in range(40)]
    # No more than they can all take on a busy machine: whoever gets a message slower than the publisher gives it up gets none.
    publisher = hosts[0].glue("pub", "t", "--size", "1MiB", "--rate", "2", "--await-subscribers", len(subscribers))

    def waiting_bytes():
        with open(f"/proc/{publisher.pid}/net/udp", encoding="ascii") as table:
            return max((int(line.split()[4].split(":")[0], 16) for line in table.readlines()[1:]), default=0)

    # 1 MiB was asked for, which Linux doubles; a datagram more than what is left does not fit.
    wait_until(lambda: waiting_bytes() > 2_000_000, "a full socket")
    lab.unplug(hosts[0])
    publisher.wait_for_line("event: interface: lo", stream="err")
    lab.plug(hosts[0])
    plugged = time.monotonic()
    seen = [len(subscriber.out.all) for subscriber in subscribers]
    wait_until(
        lambda: all(len(subscriber.out.all) > before for subscriber, before in zip(subscribers, seen)),
        "messages at all subscribers", 10)
    return f"again within {time.monotonic() - plugged:.1f} s"


def starts_before_network(lab, env, pattern):
    hosts = lab.bridged(2, plugged=False)
    longest = 0
    for _ in rounds(lab):
        flow = Flow(hosts, env)
        for running in (flow.publisher, flow.subscriber):
            running.wait_for_line(pattern, stream="err")
        for host in hosts:
            lab.plug(host)
        flow.awaits_messages("after the network came")
        longest = max(longest, flow.longest)
        expect(flow.subscriber.open_files() <= 40, f"{flow.subscriber.open_files()} open files")
        # What joins later finds them too: the groups were joined on the right interface.
        peers = hosts[1].glue("peers", "--duration", "500ms").succeed()
        expect(len(peers.out.all) == 2, f"peers: {peers.out.texts()}")
        expect(peers.err.matching("on eth0, which has the default route: 10.77.1.2, .*fe80::"), f"{peers.err.texts()}")
        flow.ends()
        for running in (flow.publisher, flow.subscriber):
            running.kill()
        for host in hosts:
            lab.unplug(host)
    return f"within {longest:.1f} s"


def scenario_start_before_the_interface(lab):
    """Endpoints start before the interface that they are to use exists."""
    return starts_before_network(lab, {"GLUE_LISTEN_INTERFACE": "eth0"}, "eth0, as set: waiting for it, it is not there")


def scenario_start_without_network(lab):
    """Endpoints start with loopback only, and find each other when there is a network."""
    return starts_before_network(lab, None, "lo, as there is no default route")


def scenario_start_without_loopback(lab):
    """Endpoints start where not even loopback is up."""
    hosts = lab.bridged(2, plugged=False)
    for host in hosts:
        host.command("ip", "link", "set", "lo", "down")
    flow = Flow(hosts)
    for running in (flow.publisher, flow.subscriber):
        running.wait_for_line("lo, as there is no default route.*: waiting for it", stream="err")
    for host in hosts:
        lab.plug(host)
    flow.awaits_messages("after the network came")
    flow.ends()
    return f"within {flow.longest:.1f} s"


def scenario_rendezvous_starts_without_network(lab):
    """A rendezvous, and those that know its address, start before there is a network."""
    hosts = lab.bridged(3, families=["4"] * 3, plugged=False)
    meeting = {"GLUE_DISCOVERY_TARGET_ADDRESS": f"{hosts[0].address}:27320"}
    rendezvous = hosts[0].glue("sub", "t", "--no-payload", env={"GLUE_DISCOVERY_TARGET_ADDRESS": "0"})
    flow = Flow(hosts[1:], meeting)
    for running in (rendezvous, flow.publisher, flow.subscriber):
        running.wait_for_line("event: interface: lo", stream="err")
    for host in hosts:
        lab.plug(host)
    flow.awaits_messages("after the network came")
    rendezvous.wait_for_line("seq=")
    # Another address: those who know only that one still find each other there.
    hosts[0].address = "10.77.1.99"
    lab.configure(hosts[0])
    rendezvous.wait_for_line("event: interface: eth0, .*10.77.1.99", stream="err")
    late = hosts[2].glue("peers", "--duration", "1s", env={"GLUE_DISCOVERY_TARGET_ADDRESS": "10.77.1.99:27320"}).succeed()
    expect(len(late.out.all) == 3, f"peers: {late.out.texts()}")
    flow.ends()
    return f"within {flow.longest:.1f} s"


def scenario_broadcast_starts_without_network(lab):
    """Endpoints that announce to a broadcast address start before there is a network to have one."""
    hosts = lab.bridged(3, families=["4"] * 3, plugged=False)
    flow = Flow(hosts, {"GLUE_DISCOVERY_TARGET_ADDRESS": "10.77.1.255:27320"})
    for running in (flow.publisher, flow.subscriber):
        running.wait_for_line("event: interface: lo", stream="err")
    for host in hosts:
        lab.plug(host)
    flow.awaits_messages("after the network came")
    expect(not flow.publisher.err.matching("cannot send"), f"{flow.publisher.err.texts()}")
    flow.ends()
    return f"within {flow.longest:.1f} s"


def scenario_ipv6_address_is_checked_first(lab):
    """IPv6 only, with duplicate address detection: addresses cannot be used in the first second or two."""
    hosts = lab.bridged(2, families=["6", "6"], plugged=False)
    for host in hosts:
        host.address6 = None  # only what the system makes by itself
        host.checks_addresses = True
    flow = Flow(hosts, {"GLUE_LISTEN_INTERFACE": "eth0"})
    for running in (flow.publisher, flow.subscriber):
        running.wait_for_line("waiting for it, it is not there", stream="err")
    for host in hosts:
        lab.plug(host)
    for running in (flow.publisher, flow.subscriber):
        running.wait_for_line("waiting for it, it has no address", stream="err")
    for host in hosts:
        host.link_local()
    flow.awaits_messages("after the addresses were free")
    flow.ends()
    for running in (flow.publisher, flow.subscriber):
        expect(not running.err.matching("event: network:"), f"{running.err.texts()}")
    return f"within {flow.longest:.1f} s of that"


def scenario_interface_comes_and_goes(lab):
    """Short outages in a row leak nothing, and the flow is there afterwards."""
    flow = Flow(lab.bridged(2, families=["4", "4"]))
    flow.awaits_messages("at the start", 10)
    host = flow.hosts[1]
    files = flow.subscriber.open_files()
    memory = flow.subscriber.resident_kibibytes()
    for _ in range(60 if lab.long else 10):
        seen = len(flow.subscriber.err.matching("event: interface:"))
        host.command("ip", "link", "set", "eth0", "down")
        wait_until(lambda: len(flow.subscriber.err.matching("event: interface:")) > seen, "an event")
        host.command("ip", "link", "set", "eth0", "up")
        lab.configure(host)
        wait_until(
            lambda: "default route:" in flow.subscriber.err.matching("event: interface:")[-1], "the interface again")
    flow.awaits_messages("after the last outage")
    wait_until(lambda: flow.subscriber.open_files() <= files, f"{files} open files instead of {flow.subscriber.open_files()}")
    growth = flow.subscriber.resident_kibibytes() - memory
    expect(growth < 4_096, f"the subscriber grew by {growth} KiB")
    flow.ends()
    return f"grew by {growth} KiB"
