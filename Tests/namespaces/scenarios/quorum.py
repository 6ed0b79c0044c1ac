"""Quorum models: what was decided stays, whatever is killed, stopped or cut; and clients are told nothing that is not so."""

import json
import random
import signal
import os
import tempfile
import time

from lab import expect, wait_until
from scenarios.relays import block, lift

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
    expect(ask(client, "cas", "a", "1", "2")["matched"] is True, "it was 1")
    expect(ask(client, "cas", "a", "1", "3", status=1)["matched"] is False, "it was not 1")
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


class Misfortunes:
    """What happens to voters, each kind to one at a time: killed and started anew, stopped for seconds, cut off from everybody, or some pairs of
    them cut off from each other while the rest and the clients hear everybody."""

    def __init__(self, lab, voters, dice):
        self.lab = lab
        self.voters = voters
        self.dice = dice
        self.ends = {}  # by kind: when it is over, and how
        self.stopped = self.dead = None
        self.counts = {"killed": 0, "stopped": 0, "cut off": 0, "parted": 0}
        self.longest_stop = 10 if lab.long else 3

    def step(self, now):
        """Ends what is over, and begins something that is not under way."""
        for kind in [kind for kind, (end, _) in self.ends.items() if end <= now]:
            self.ends.pop(kind)[1]()
        kind = min(self.counts, key=lambda kind: (self.counts[kind], self.dice.random()))
        # So many leave a majority; more only now and then, as clients are to have something done as well.
        if kind in self.ends or len(self.ends) >= (len(self.voters) - 1) // 2 and self.dice.random() < 0.8:
            return
        self.counts[kind] += 1
        victim = self.dice.choice([voter for voter in self.voters if voter not in (self.stopped, self.dead)])
        if kind == "killed":
            victim.kill()
            self.dead = victim
            self.ends[kind] = now + self.dice.uniform(0, 2), self.restart
        elif kind == "stopped":
            victim.pause()
            self.stopped = victim
            self.ends[kind] = now + self.dice.uniform(1, self.longest_stop), self.resume
        elif kind == "cut off":
            self.lab.cut(victim.host)
            self.ends[kind] = now + self.dice.uniform(1, 5), lambda: self.lab.mend(victim.host)
        else:
            hosts = [voter.host for voter in self.voters]
            pairs = [(a, b) for number, a in enumerate(hosts) for b in hosts[:number]]
            block(self.lab, *self.dice.sample(pairs, self.dice.randint(1, len(pairs) - 1)))
            self.ends[kind] = now + self.dice.uniform(1, 8), lambda: lift(self.lab)

    def restart(self):
        self.dead.start()
        self.dead = None

    def resume(self):
        self.stopped.pause(False)
        self.stopped = None

    def end(self):
        while self.ends:
            self.ends.popitem()[1][1]()

    def __str__(self):
        return ", ".join(f"{count} {kind}" for kind, count in self.counts.items())


def scenario_quorum_survives_everything(lab):
    """Voters are killed, stopped for 1 to 3 s (with --long 10 s) and cut off, also some of them from each other only, with 5 % loss, while clients
    go on: what they were told is linearizable."""
    count, seconds = (5, 90) if lab.long else (3, 15)
    voters, clients = founded(lab, count, clients=2)
    lab.drop([voter.host for voter in voters], 5)
    seed = random.randrange(1 << 32)
    misfortunes = Misfortunes(lab, voters, random.Random(seed))
    histories = [f"{voters[0].store}.history{number}" for number in range(len(clients))]
    loads = [
        client.glue(
            "quorum", "q", "bench", "--clients", "4", "--keys", "5", "--reads", "40", "--duration", f"{seconds}s",
            "--timeout", "2s", "--history", path, "--json", env=FAST)
        for client, path in zip(clients, histories)]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        misfortunes.step(time.monotonic())
        # They come one after the other, in a rhythm that has nothing to do with what they do.
        time.sleep(misfortunes.dice.uniform(0.2, 0.8))
    misfortunes.end()
    try:
        for load in loads:
            load.succeed(60)
        ask(clients[0], "set", "last", "word", limit=60)
        operations = [checked(client, path) for client, path in zip(clients, histories)]
    except Exception as failure:
        raise type(failure)(f"seed {seed}: {failure}") from failure
    return f"{misfortunes}, seed {seed}, {operations}"
