"""Networks that lose, reorder and duplicate packets, in both directions."""

import hashlib
import os
import tempfile

from lab import expect
from scenarios.keys import make_key


def scenario_pictures_at_five_percent_loss(lab):
    """One publisher, three subscribers, 64 KiB at 20 Hz: nothing lost, nothing twice, all in order."""
    seconds = 60 if lab.long else 6
    count = 20 * seconds
    publisher_host, *hosts = lab.bridged(4)
    lab.drop([publisher_host, *hosts], 5)
    subscribers = [
        host.glue("sub", "pictures", "--json", "--no-payload", "--summary", "--duration", f"{seconds + 60}s")
        for host in hosts
    ]
    publisher = publisher_host.glue(
        "pub", "pictures", "--size", "64KiB", "--rate", "20", "--count", count, "--await-subscribers", "3")
    publisher.succeed(seconds + 40)
    for subscriber in subscribers:
        # Only now: a subscriber that leaves with its last acknowledgement lost has not acknowledged.
        expect(subscriber.interrupt() == 0, f"a subscriber failed: {subscriber.tail()}")
        summary = subscriber.summary()
        wanted = {"received": count, "lost": 0, "duplicates": 0, "outOfOrder": 0, "bytes": count * 65_536}
        expect({key: summary[key] for key in wanted} == wanted, f"{summary} instead of {wanted}")
    dropped = lab.dropped_packets()
    expect(dropped > count, f"only {dropped} packets were dropped: the test tests nothing")
    return f"{count} messages to each, {dropped} packets dropped"


def scenario_file_at_five_percent_loss(lab):
    """A file of 16 MB arrives bit for bit."""
    source, target = lab.bridged(2)
    lab.drop([source, target], 5)
    with tempfile.TemporaryDirectory(prefix="glue-") as folder:
        original = os.path.join(folder, "original")
        content = os.urandom(16_000_000)
        with open(original, "wb") as file:
            file.write(content)
        output = os.path.join(folder, "received")
        subscriber = target.glue("sub", "file", "--no-payload", "--output", output)
        source.glue("pub", "file", "--file", original, "--await-subscribers", "1", "--timeout", "60s").succeed(70)
        expect(subscriber.interrupt() == 0, f"the subscriber failed: {subscriber.tail()}")
        received = os.listdir(output)
        expect(len(received) == 1, f"{len(received)} files arrived")
        with open(os.path.join(output, received[0]), "rb") as file:
            arrived = file.read()
    expect(
        hashlib.sha256(arrived).digest() == hashlib.sha256(content).digest(),
        f"what arrived differs ({len(arrived)} bytes)")
    return f"{lab.dropped_packets()} packets dropped"


def everything_arrives(lab, hosts, env=None):
    """From the first host to a subscriber on each other one, at the same time: 64 KiB at 20 Hz, and 100 bytes at 500 Hz. Nothing
    is lost, nothing comes twice, all is in order. Returns a note."""
    seconds = 60 if lab.long else 2
    # (topic, size, messages per second)
    loads = [("load/pictures", 65_536, 20), ("load/samples", 100, 500)]
    subscribers = [
        host.glue("sub", "load/#", "--json", "--no-payload", "--summary", "--duration", f"{seconds + 60}s", env=env)
        for host in hosts[1:]
    ]
    publishers = [
        hosts[0].glue(
            "pub", topic, "--size", size, "--rate", rate, "--count", rate * seconds, "--await-subscribers",
            len(subscribers), env=env)
        for topic, size, rate in loads
    ]
    for publisher in publishers:
        publisher.succeed(seconds + 40)
    count = sum(rate * seconds for _, _, rate in loads)
    wanted = {
        "received": count, "lost": 0, "duplicates": 0, "outOfOrder": 0,
        "bytes": sum(size * rate * seconds for _, size, rate in loads)}
    for subscriber in subscribers:
        # Only now: a subscriber that leaves with its last acknowledgement lost has not acknowledged.
        expect(subscriber.interrupt() == 0, f"a subscriber failed: {subscriber.tail()}")
        summary = subscriber.summary()
        expect({key: summary[key] for key in wanted} == wanted, f"{summary} instead of {wanted}")
    return f"{count} messages to each, {lab.dropped_packets()} packets dropped"


def expect_drops(lab, least):
    dropped = lab.dropped_packets()
    expect(dropped >= least, f"only {dropped} packets were dropped: the test tests nothing")


def scenario_twenty_percent_loss(lab):
    """A fifth of all packets is lost."""
    hosts = lab.bridged(4)
    lab.drop(hosts, 20)
    note = everything_arrives(lab, hosts)
    expect_drops(lab, 1_000)
    return note


def scenario_twenty_percent_loss_with_a_key(lab):
    """A fifth of all packets is lost in a network with a key."""
    hosts = lab.bridged(4)
    lab.drop(hosts, 20)
    note = everything_arrives(lab, hosts, env={"GLUE_NETWORK_KEY": make_key()})
    expect_drops(lab, 1_000)
    return note


def scenario_bursts_of_loss(lab):
    """Fifty packets in a row are lost, again and again: a tenth of all."""
    hosts = lab.bridged(4)
    lab.drop_bursts(hosts, 50, 500)
    note = everything_arrives(lab, hosts)
    expect_drops(lab, 500)
    return note


def scenario_two_paths(lab):
    """Every second packet takes a path that is longer by 5 ms, and some arrive twice."""
    hosts = lab.bridged(4)
    lab.two_paths(hosts[0], 5, twice_every=50)
    return everything_arrives(lab, hosts)


def scenario_loss_bursts_and_two_paths_over_ipv6(lab):
    """Loss, bursts of it, reordering and duplicates at the same time, over IPv6."""
    hosts = lab.bridged(4, families=["6"] * 4)
    lab.two_paths(hosts[0], 5, twice_every=50)
    lab.drop_bursts(hosts, 50, 500)
    lab.drop(hosts, 20)
    note = everything_arrives(lab, hosts)
    expect_drops(lab, 1_500)
    return note
