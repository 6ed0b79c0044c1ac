"""Quorum models: what was decided stays, whatever is killed, stopped or cut; and clients are told nothing that is not so."""

import json
import random
import signal
import os
import tempfile
import time

from lab import expect, wait_until

# Announcements come often, so that partings are noticed and healed soon; the lease is three times as long.
FAST = {"GLUE_DISCOVERY_RATE_MILLISECONDS": "200"}


class Voter:
    """`glue quorum q join` on a host, with a storage."""

    def __init__(self, host, number, folder):
        self.host = host
        self.number = number
        self.store = f"{folder}/{number}"
        self.env = {**FAST, "GLUE_ENDPOINT_NAME": host.name, "GLUE_ENDPOINT_ID": str(number)}
        self.start()

    def start(self, *words):
        words = words or ("join",)
        self.running = self.host.glue("quorum", "q", *words, "--store", self.store, "--lan", env=self.env)

    def kill(self):
        self.running.kill()

    def pause(self, stops=True):
        os.kill(self.running.pid, signal.SIGSTOP if stops else signal.SIGCONT)


def ask(host, *words, limit=40, status=0, env=FAST):
    """What a command shows on its last line."""
    running = host.glue("quorum", "q", *map(str, words), "--json", env=env)
    found = running.wait(limit)
    expect(found == status, f"{words}: status {found}: {running.tail()}")
    texts = running.out.texts()
    return json.loads(texts[-1]) if texts else None


def founded(lab, count, clients=1):
    """Voters on hosts of their own, a quorum of them, and hosts for clients."""
    hosts = lab.bridged(count + clients)
    folder = tempfile.mkdtemp(prefix="glue-quorum-")
    voters = [Voter(host, number + 1, folder) for number, host in enumerate(hosts[:count])]
    voters[0].kill()
    voters[0].start("init", *(str(voter.number) for voter in voters))
    voters[0].running.wait_for_line("founded", 40)
    return voters, hosts[count:]


def leader(host, env=FAST):
    """The number of who leads."""
    found = []

    def look():
        running = host.glue("quorum", "q", "status", "--json", env=env)
        running.wait(40)
        status = json.loads(running.out.texts()[-1])
        found[:] = [status.get("leader")]
        return found[0] is not None

    wait_until(look, "a leader", 40)
    return int(found[0])


def checked(client, path):
    """The history is linearizable; how many operations there are."""
    judge = client.glue("check-history", path, "--json")
    judge.succeed(120)
    return judge.out.texts()[-1]


def scenario_quorum_of_three(lab):
    """Three voters decide; a client reads, compares and locks; a leader that is killed is replaced, and has everything when it returns."""
    voters, (client,) = founded(lab, 3)
    ask(client, "set", "a", "1")
    expect(ask(client, "get", "a") == 1, "a is 1")
    expect(ask(client, "cas", "a", "1", "2") is True, "it was 1")
    expect(ask(client, "cas", "a", "1", "3", status=1) is False, "it was not 1")
    holder = client.glue("quorum", "q", "lock", "door", "--", "sh", "-c", "echo token $GLUE_LOCK_TOKEN", env=FAST)
    holder.succeed(40)
    expect(holder.out.texts() == ["token 1"], f"{holder.out.texts()}")
    first = voters[leader(client) - 1]
    first.kill()
    killed = time.monotonic()
    ask(client, "set", "b", "2")
    took = time.monotonic() - killed
    first.start()
    ask(client, "set", "c", "3")
    wait_until(lambda: ask(first.host, "get", "--stale")["value"] == {"a": 2, "b": 2, "c": 3}, "everything at the one that returned", 40)
    return f"written {took:.1f} s after the kill"


def scenario_quorum_without_a_majority(lab):
    """Two of three are gone: writes end with who is missing; when one is back they go on."""
    voters, (client,) = founded(lab, 3)
    ask(client, "set", "a", "1")
    for voter in voters[1:]:
        voter.kill()
    began = time.monotonic()
    refused = client.glue("quorum", "q", "set", "a", "2", "--timeout", "3s", env=FAST)
    status = refused.wait(30)
    took = time.monotonic() - began
    expect(status in (1, 3) and took < 8, f"status {status} after {took:.1f} s: {refused.tail()}")
    expect(refused.err.matching("2 and 3"), f"{refused.err.texts()}")
    voters[1].start()
    ask(client, "set", "a", "3")
    expect(ask(client, "get", "a") == 3, "a is 3")


def scenario_quorum_survives_everything(lab):
    """Voters are killed, stopped and cut off, also from each other only, with 5 % loss, while clients go on: what they were told is linearizable."""
    count, seconds = (5, 60) if lab.long else (3, 12)
    voters, clients = founded(lab, count, clients=2)
    lab.drop([voter.host for voter in voters], 5)
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    histories = [f"{voters[0].store}.history{number}" for number in range(len(clients))]
    loads = [
        client.glue(
            "quorum", "q", "bench", "--clients", "4", "--keys", "5", "--reads", "40", "--duration", f"{seconds}s",
            "--timeout", "2s", "--history", path, "--json", env=FAST)
        for client, path in zip(clients, histories)]
    end = time.monotonic() + seconds
    stopped, cut, faults = None, None, 0
    while time.monotonic() < end:
        victim = dice.choice(voters)
        fault = dice.randrange(4)
        if fault == 0 and victim is not stopped:
            victim.kill()
            victim.start()
        elif fault == 1 and stopped is None:
            victim.pause()
            stopped = victim
        elif stopped is not None:
            stopped.pause(False)
            stopped = None
        elif cut is None:
            lab.cut(victim.host)
            cut = victim
        else:
            lab.mend(cut.host)
            cut = None
        faults += 1
        # Faults come one after the other, in a rhythm that has nothing to do with what they do.
        time.sleep(dice.uniform(0.3, 1.5))
    if stopped is not None:
        stopped.pause(False)
    if cut is not None:
        lab.mend(cut.host)
    try:
        for load in loads:
            load.succeed(60)
        ask(clients[0], "set", "last", "word", limit=60)
        operations = [checked(client, path) for client, path in zip(clients, histories)]
    except Exception as failure:
        raise type(failure)(f"seed {seed}: {failure}") from failure
    return f"{faults} faults, seed {seed}, {operations}"
