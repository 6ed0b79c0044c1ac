"""Models: state that endpoints share, and that is the same everywhere when the faults are over."""

import json
import random
import subprocess
import tempfile
import time

from lab import expect, wait_until

# Announcements come often, so that partings are noticed and healed soon; the lease is three times as long.
FAST = {"GLUE_DISCOVERY_RATE_MILLISECONDS": "200"}


class Replica:
    """`glue model m apply` on a host, fed with actions."""

    def __init__(self, host, *options, env=None):
        self.host = host
        self.options = options
        self.env = {**FAST, "GLUE_ENDPOINT_NAME": host.name, **(env or {})}
        self.start()

    def start(self):
        self.running = self.host.glue(
            "model", "m", "apply", "--json", "--wait", "1s", *self.options, env=self.env, stdin=subprocess.PIPE)

    def do(self, line):
        self.running.process.stdin.write(line + "\n")
        self.running.process.stdin.flush()

    def ask(self, line):
        """What an action that shows one line shows."""
        before = len(self.running.out.all)
        self.do(line)
        wait_until(lambda: len(self.running.out.all) > before, f"an answer to {line} of {self.host.name}", 30)
        return json.loads(self.running.out.all[before][1])

    def status(self):
        return self.ask("status")

    def kill(self):
        self.running.kill()

    def end(self, status=0):
        self.running.process.stdin.close()
        expect(self.running.wait(30) == status, f"{self.running.tail()}")


def same(replicas, met=None):
    """Whether all have met, and say the same of what they have."""
    found = [replica.status() for replica in replicas]
    return len({status["hash"] for status in found}) == 1 and all(
        len(status["replicas"]) == (met or len(replicas)) - 1 and status["inSync"] for status in found)


def random_action(dice):
    path = f"{dice.choice('abc')}/{dice.choice('defg')}{dice.randrange(20)}"
    return dice.choice([
        f"set {path} {dice.randrange(1000)}", f"set {path} text", f"delete {path}", f"increment n/{dice.randrange(4)}",
        f"add s/{dice.randrange(3)} {dice.randrange(30)}", f"remove s/{dice.randrange(3)} {dice.randrange(30)}"])


def scenario_model_of_two(lab):
    """Changes on one host are on the other; who comes later has them too; without anybody nothing is changed."""
    one, two, three = lab.bridged(3)
    alone = one.glue("model", "m", "set", "a", "1", "--wait", "500ms")
    expect(alone.wait(30) == 1, f"status {alone.wait()}")
    expect(len(alone.err.matching("nothing would be left")) == 1, f"{alone.err.texts()}")
    watcher = two.glue("model", "m", "watch", "--json", "--wait", "500ms")
    wait_until(lambda: watcher.out.matching("snapshot"), "the watcher")
    one.glue("model", "m", "set", "lights", '{"kitchen": "on", "hall": "off"}').succeed()
    one.glue("model", "m", "increment", "visitors", "3").succeed()
    one.glue("model", "m", "add", "guests", "Ada").succeed()
    late = three.glue("model", "m", "get", "--json")
    late.succeed()
    expect(
        json.loads(late.out.texts()[0]) == {"guests": ["Ada"], "lights": {"hall": "off", "kitchen": "on"}, "visitors": 3},
        f"{late.out.texts()}")
    wait_until(lambda: watcher.out.matching('"path":"guests"'), "the changes at the watcher")
    changes = [change for change in map(json.loads, watcher.out.texts()) if "path" in change]
    shown = {change["path"]: change.get("new", change.get("added")) for change in changes if change["path"] != "lights"}
    expect(shown == {"guests": "Ada", "lights/hall": "off", "lights/kitchen": "on", "visitors": 3}, f"{changes}")
    gone = three.glue("model", "m", "get", "nowhere")
    expect(gone.wait(30) == 1 and gone.err.matching("nothing at nowhere"), f"{gone.err.texts()}")


def scenario_model_changes_by_short_processes(lab):
    """Each of many processes that make one change and end leaves it with the others."""
    one, two = lab.bridged(2)
    keeper = Replica(two)
    wait_until(lambda: "hash" in keeper.status(), "the keeper", 30)
    count = 40 if lab.long else 10
    for number in range(count):
        one.glue("model", "m", "set", f"k/{number}", number, env=FAST).succeed()
        found = keeper.ask("get k").get(str(number))
        expect(found == number, f"{found} instead of {number}")


def scenario_model_of_commands_alone(lab):
    """Commands that end do not rely on each other: a change counts when a replica has it that stays, or a store."""
    one, two, keeper = lab.bridged(3)
    first = one.glue("model", "m", "set", "a", "1", "--wait", "2s")
    second = two.glue("model", "m", "set", "b", "1", "--wait", "2s")
    expect(first.wait(30) == 1 and second.wait(30) == 1, f"{first.err.texts()} {second.err.texts()}")
    alone = Replica(one)
    alone.do("set a 1")
    alone.end(status=1)
    expect(len(alone.running.err.matching("nothing is left")) == 1, f"{alone.running.err.texts()}")
    # Many at once beside one that stays: whatever ends with status 0 is there.
    stays = Replica(keeper)
    wait_until(lambda: "hash" in stays.status(), "the one that stays", 30)
    writers = [
        (number, (one, two)[number % 2].glue("model", "m", "increment", "n", "1", "--wait", "5s", env=FAST))
        for number in range(12)]
    succeeded = sum(writer.wait(60) == 0 for _, writer in writers)
    found = stays.ask("get n") if succeeded else 0
    expect(succeeded > 0 and found >= succeeded, f"{found} of {succeeded} increments")
    return f"{succeeded} of {len(writers)} at once"


def scenario_model_after_a_moment_apart(lab):
    """While two do not hear each other for a second, somebody changes something and leaves: both have it soon after."""
    one, two, writer = lab.bridged(3)
    first, second = Replica(one), Replica(two)
    wait_until(lambda: same([first, second]), "the two to meet", 30)
    first.do("set k/begin 0")
    wait_until(lambda: same([first, second]), "the same", 30)
    longest = 0
    for number in range(6 if lab.long else 2):
        lab.cut(two)
        writer.glue("model", "m", "set", f"k/{number}", number, env=FAST).succeed()
        lab.mend(two)
        mended = time.monotonic()
        wait_until(lambda: second.ask("get k").get(str(number)) == number, "the change", 20)
        longest = max(longest, time.monotonic() - mended)
    return f"after {longest:.1f} s"


def scenario_model_transactions_and_list(lab):
    """Lines between begin and commit are one change; one that is wrong undoes them; and who has which model open is listed."""
    one, two, three = lab.bridged(3)
    first, second = Replica(one), Replica(two)
    wait_until(lambda: same([first, second]), "the two to meet", 30)
    watcher = three.glue("model", "m", "watch", "--json")
    wait_until(lambda: watcher.out.matching("snapshot"), "the watcher")
    for line in ["begin", "set a 1", "increment n", "commit", "begin", "set b 1", "set", "set c 1", "commit", "begin", "keep x map", "commit"]:
        first.do(line)
    wait_until(lambda: watcher.out.matching('"path":"n"'), "the changes at the watcher")
    # The watcher may know sooner than the other replica, which has nothing to show then.
    wait_until(lambda: same([first, second], met=3), "the same at both")
    expect(second.ask("get") == {"a": 1, "n": 1}, f"{second.running.out.texts()}")
    expect([line for line, text in enumerate(watcher.out.texts()) if "path" in text] == [1, 2], f"{watcher.out.texts()}")
    first.end(status=1)
    expect(len(first.running.err.matching("set: set needs a path and a value")) == 1, f"{first.running.err.texts()}")
    expect(len(first.running.err.matching("nothing of the transaction is done")) == 1, f"{first.running.err.texts()}")
    expect(len(first.running.err.matching("no conflict at x")) == 1, f"{first.running.err.texts()}")
    expect(len(first.running.err.matching("glue: 3 of ")) == 1, f"{first.running.err.texts()}")
    listed = one.glue("model", "--json", env=FAST)
    listed.succeed()
    found = [json.loads(line) for line in listed.out.texts()]
    names = sorted(replica["name"] for replica in found[0]["replicas"])
    expect(len(found) == 1 and found[0]["model"] == "m" and len(names) == 2 and two.name in names, f"{found}")


def scenario_model_conflict_of_kinds(lab):
    """A value and a map meet at a path: get says so, and keep chooses one."""
    one, two = lab.bridged(2)
    first, second = Replica(one), Replica(two)
    wait_until(lambda: same([first, second]), "the two to meet", 30)
    lab.cut(two)
    wait_until(lambda: not first.status()["replicas"] and not second.status()["replicas"], "the parting", 30)
    first.do("set heating 20")
    second.do("set heating/hall 22")
    lab.mend(two)
    wait_until(lambda: same([first, second]), "the same on both sides", 30)
    reader = one.glue("model", "m", "get", "heating", env=FAST)
    reader.succeed()
    expect(reader.err.matching("different things were written concurrently at heating"), f"{reader.err.texts()}")
    one.glue("model", "m", "keep", "heating", "map", env=FAST).succeed()
    # One has it for sure. Whoever comes next may hear it from either; and of a conflict both show the map, too, as it is the younger one.
    wait_until(lambda: same([first, second]), "the map that was kept")
    for replica in (first, second):
        expect(replica.ask("get") == {"heating": {"hall": 22}}, f"{replica.running.out.texts()}")
    again = one.glue("model", "m", "keep", "heating", "map", env=FAST)
    expect(again.wait(30) == 1 and again.err.matching("no conflict at heating"), f"{again.err.texts()}")


def scenario_model_conflict(lab):
    """Both sides of a partition write the same path; both values are there when it heals, until one is chosen."""
    one, two = lab.bridged(2)
    first, second = Replica(one, "--keep-all"), Replica(two, "--keep-all")
    wait_until(lambda: same([first, second]), "the two to meet", 30)
    lab.cut(two)
    wait_until(lambda: not first.status()["replicas"] and not second.status()["replicas"], "the parting", 30)
    first.do("set heating 20")
    second.do("set heating 22")
    lab.mend(two)
    wait_until(lambda: same([first, second]), "the same on both sides", 30)
    for replica in (first, second):
        expect(sorted(replica.ask("get heating")["conflict"]) == [20, 22], f"{replica.running.out.texts()}")
    found = first.ask("conflicts")
    expect(found["path"] == "heating" and len(found["candidates"]) == 2, f"{found}")
    second.do("resolve heating 21")
    wait_until(lambda: first.ask("get heating") == 21, "the value that was chosen")


def scenario_model_on_disk(lab):
    """All replicas are killed; what was stored is there again."""
    one, two = lab.bridged(2)
    with tempfile.TemporaryDirectory() as folder:
        replicas = [Replica(host, "--store", f"{folder}/{host.name}") for host in (one, two)]
        wait_until(lambda: same(replicas), "the two to meet", 30)
        dice = random.Random(1)
        for _ in range(200):
            dice.choice(replicas).do(random_action(dice))
        # The third one takes what is there when it comes: so both have to be through with what they were told.
        wait_until(lambda: same(replicas), "everything at both", 30)
        stored = one.glue("model", "m", "set", "last", "word", "--store", f"{folder}/third")
        stored.succeed()
        wait_until(lambda: same(replicas) and replicas[0].status()["keys"] > 5, "the same", 30)
        state = replicas[0].ask("get")
        for replica in replicas:
            replica.kill()
        third = one.glue("model", "m", "get", "--json", "--store", f"{folder}/third", "--wait", "100ms")
        third.succeed()
        again = json.loads(third.out.texts()[0])
        expect(again["last"] == "word" and again == state, f"{again} instead of {state}")


def scenario_model_converges(lab):
    """Random writes by all, partitions, kills, clocks that are an hour off or begin in 1970, and 5 % loss; then all have the same."""
    count, rounds = (10, 40) if lab.long else (5, 8)
    hosts = lab.bridged(count)
    lab.drop(hosts, 5)
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        options = {
            0: ("--store", f"{folder}/0"), 1: ("--clock-offset=1h",), 2: ("--clock-offset=-1h", "--store", f"{folder}/2"),
            3: ("--clock-offset=1970",)}
        replicas = [Replica(host, *options.get(index, ())) for index, host in enumerate(hosts)]
        cut = None
        for _ in range(rounds):
            for _ in range(50):
                dice.choice(replicas).do(random_action(dice))
            fault = dice.randrange(3)
            if fault == 0 and cut is None:
                cut = dice.choice(hosts)
                lab.cut(cut)
            elif fault == 1 and cut is not None:
                lab.mend(cut)
                cut = None
            elif fault == 2:
                victim = dice.choice(replicas)
                victim.kill()
                victim.start()
            # An answer of each: so that the faults hit what is going on, however slow the host is.
            for replica in replicas:
                replica.status()
        if cut is not None:
            lab.mend(cut)
        try:
            wait_until(lambda: all(len(replica.status()["replicas"]) == count - 1 for replica in replicas), "all to meet", 60)
            met = time.monotonic()
            wait_until(lambda: same(replicas), "the same everywhere", 30)
        except Exception as failure:
            raise type(failure)(f"{failure} (seed {seed}): {[replica.status() for replica in replicas]}") from None
        took = time.monotonic() - met
        expect(took < 2 or not lab.long, f"the same {took:.1f} s after all had met (seed {seed})")
        return f"{count} replicas the same {took:.2f} s after all had met, {replicas[0].status()['keys']} keys, seed {seed}"
