"""Five percent of all wire packets dropped, in both directions."""

import hashlib
import os
import tempfile

from lab import expect


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
