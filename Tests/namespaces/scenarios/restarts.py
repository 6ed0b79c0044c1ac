"""A subscriber that is killed and comes back."""

import re

from lab import expect, wait_until


def scenario_subscriber_killed_and_restarted(lab):
    """Messages flow again within 2 s of each restart, and the publisher's memory stays flat."""
    source, target = lab.bridged(2)
    publisher = source.glue("pub", "t", "--size", "1KiB", "--rate", "200")
    environment = {"GLUE_ENDPOINT_ID": "7", "GLUE_ENDPOINT_NAME": "display"}
    rounds = 20 if lab.long else 5
    longest = 0.0
    memory = []
    for number in range(rounds + 1):
        subscriber = target.glue("sub", "t", "--no-payload", env=environment)
        subscriber.wait_for_line(r"seq=\d+", 2.0 if number else 10.0)
        longest = max(longest, subscriber.out.all[0][0] - subscriber.started_at) if number else longest
        # A while of steady flow, so that memory is compared in one and the same state.
        wait_until(lambda: len(subscriber.out.all) >= 100, "a hundred messages")
        sequences = [int(re.search(r"seq=(\d+)", line).group(1)) for line in subscriber.out.matching("seq=")]
        expect(sequences == list(range(sequences[0], sequences[0] + len(sequences))), "messages missing or out of order")
        memory.append(publisher.resident_kibibytes())
        subscriber.kill()
    expect(publisher.is_running, f"the publisher ended: {publisher.tail()}")
    growth = memory[-1] - memory[1]
    expect(growth <= 2_048, f"the publisher grew by {growth} KiB: {memory}")
    return f"longest {longest * 1_000:.0f} ms, memory {memory[1]} → {memory[-1]} KiB"
