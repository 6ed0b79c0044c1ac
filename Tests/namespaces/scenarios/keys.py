"""Networks with a key: who has it not reads nothing, says nothing, and repeats in vain."""

import os
import subprocess
import sys
import tempfile

from lab import WIRE, expect, tool, wait_until


def make_key():
    return subprocess.run([tool("glue"), "key"], capture_output=True, text=True, check=True).stdout.strip()


def scenario_capture_and_replay(lab):
    """A capture shows neither topic, name nor payload, and replaying it changes nothing, also after restarts."""
    publisher_host, subscriber_host, attacker = lab.bridged(3)
    key = make_key()
    # With fixed ports, so that what was recorded before a restart reaches those who come after.
    settings = {"GLUE_NETWORK_KEY": key, "GLUE_LISTEN_ADDRESS": "0.0.0.0:5001"}

    def start():
        subscriber = subscriber_host.glue(
            "sub", "secret/#", "--json", "--summary",
            env={**settings, "GLUE_ENDPOINT_ID": "41", "GLUE_ENDPOINT_NAME": "very-secret-name"})
        publisher = publisher_host.glue(
            "pub", "secret/topic", "the secret payload", "--rate", "200", "--await-subscribers", "1",
            env={**settings, "GLUE_ENDPOINT_ID": "42"})
        return subscriber, publisher

    with tempfile.TemporaryDirectory(prefix="glue-") as folder:
        recording = os.path.join(folder, "recording")
        # At the subscriber's port of the switch.
        listener = lab.switch.start(
            sys.executable, WIRE, "capture", subscriber_host.port, recording, stdin=subprocess.PIPE)
        listener.wait_for_line("listening")
        subscriber, publisher = start()
        wait_until(lambda: len(subscriber.out.all) > 100, "messages")
        listener.process.stdin.close()
        expect(listener.wait() == 0, f"the listener failed: {listener.tail()}")
        with open(recording, "rb") as file:
            content = file.read()
        expect(len(content) > 10_000, f"only {len(content)} bytes were heard: the test tests nothing")
        for word in (b"secret", b"topic", b"payload", b"very"):
            expect(word not in content, f"{word} can be read on the wire")

        def replay():
            attacker.start(sys.executable, WIRE, "replay", "eth0", recording).succeed()

        replay()
        seen = len(subscriber.out.all)
        wait_until(lambda: len(subscriber.out.all) > seen + 100, "messages after the first replay")
        for process in (publisher, subscriber):
            process.kill()
        subscriber, publisher = start()
        wait_until(lambda: len(subscriber.out.all) > 100, "messages after the restart")
        replay()
        seen = len(subscriber.out.all)
        wait_until(lambda: len(subscriber.out.all) > seen + 100, "messages after the second replay")
        publisher.interrupt()
        expect(subscriber.interrupt() == 0, f"the subscriber failed: {subscriber.tail()}")
        summary = subscriber.summary()
        expect(
            (summary["lost"], summary["duplicates"], summary["outOfOrder"]) == (0, 0, 0), f"after replays: {summary}")
        gone = [line for line in subscriber.err.texts() if "peer removed" in line and "bye" not in line]
        expect(not gone, f"{gone}")
    return f"{len(content)} bytes of capture, {summary['received']} messages beside the replay"


def scenario_wrong_key(lab):
    """Another key, or none, is an event on both sides, and nobody becomes a peer."""
    first, second, third = lab.bridged(3)
    with_key = first.glue("sub", "t", env={"GLUE_NETWORK_KEY": make_key()})
    with_key.wait_for_listening()
    other = second.glue("sub", "t", env={"GLUE_NETWORK_KEY": make_key()})
    line = with_key.wait_for_line("key mismatch: .* seals with another network key", stream="err")
    other.wait_for_line("key mismatch: .* seals with another network key", stream="err")
    without = third.glue("pub", "t", "x", "--rate", "10")
    without.wait_for_line("seals with a network key, and this endpoint has none", stream="err")
    # At most one report in ten seconds, of whoever is heard first then: that must be the one without a key.
    other.interrupt()
    with_key.wait_for_line("has no network key, and this endpoint has one", stream="err", limit=15)
    for process in (with_key, other, without):
        expect(not process.err.matching("peer added"), f"a stranger became a peer: {process.err.texts()}")
        expect(not process.out.all, f"a stranger was heard: {process.out.texts()}")
    expect(len(with_key.err.matching("key mismatch")) <= 3, f"{with_key.err.texts()}")
    return line


def scenario_key_changed_while_running(lab):
    """The key of a running network is changed by its files; nothing is lost, and nobody is gone for a moment."""
    hosts = lab.bridged(2)
    old, new = make_key(), make_key()
    with tempfile.TemporaryDirectory(prefix="glue-") as folder:
        files = [os.path.join(folder, name) for name in ("subscriber", "publisher")]

        def write(path, *keys):
            with open(path + ".new", "w", encoding="ascii") as file:
                file.write("\n".join(keys) + "\n")
            os.replace(path + ".new", path)

        for path in files:
            write(path, old)
        subscriber = hosts[0].glue(
            "sub", "t", "--summary", "--verbose", env={"GLUE_NETWORK_KEY_FILE": files[0]})
        publisher = hosts[1].glue(
            "pub", "t", "x", "--rate", "100", "--await-subscribers", "1", "--verbose",
            env={"GLUE_NETWORK_KEY_FILE": files[1]})
        wait_until(lambda: len(subscriber.out.all) > 10, "messages")
        for step, keys in enumerate(((old, new), (new, old), (new,)), 1):
            for process, path in zip((subscriber, publisher), files):
                write(path, *keys)
                wait_until(
                    lambda: len(process.err.matching("network keys changed")) == step, f"step {step}: {process.tail()}")
                seen = len(subscriber.out.all)
                wait_until(lambda: len(subscriber.out.all) > seen + 20, f"messages in step {step}")
        expect(publisher.interrupt() == 130, f"the publisher failed: {publisher.tail()}")
        expect(len(publisher.err.matching("all acknowledged")) == 1, f"{publisher.tail()}")
        expect(subscriber.interrupt() == 0, f"the subscriber failed: {subscriber.tail()}")
        summary = subscriber.summary()
        expect((summary["lost"], summary["duplicates"]) == (0, 0), f"{summary}")
        gone = [line for line in subscriber.err.texts() if "peer removed" in line and "bye" not in line]
        expect(not gone, f"{gone}")
    return f"{summary['received']} messages"
