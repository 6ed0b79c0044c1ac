"""Quorum models where voters hear each other by way of others only, where disks are full, and where holders of locks end."""

import contextlib
import errno
import os
import signal
import subprocess
import tempfile
import time

from lab import command, expect, wait_until
from scenarios.quorum import FAST, Voter, ask, checked, leader
from scenarios.relays import block

# Who is met by way of others only is met later than others are.
PATIENT = ("--timeout", "20s")


def found(voters, limit=60):
    """The first one founds the quorum of all."""
    voters[0].kill()
    voters[0].start("init", *(str(voter.number) for voter in voters), *PATIENT)
    voters[0].running.wait_for_line("founded", limit)


# Relays


def apart(lab, hosts, middle):
    """Of these hosts only the one in the middle hears the others."""
    ends = [host for host in hosts if host is not middle]
    block(lab, *((a, b) for number, a in enumerate(ends) for b in ends[:number]))


def relayed(lab, count, has_vote):
    """Voters of whom only one in the middle, with a vote or without, hears the others: leaders at the ends are killed while clients go on."""
    hosts = lab.bridged(count + (0 if has_vote else 1) + 1)
    client, middle = hosts[-1], hosts[-2]
    apart(lab, hosts[:-1], middle)
    # Clients hear everybody, and pass nothing on.
    env = {**FAST, "GLUE_RELAY": "0"}
    folder = tempfile.mkdtemp(prefix="glue-quorum-")
    if not has_vote:
        middle.glue("sub", "nothing", env={**FAST, "GLUE_ENDPOINT_ID": "99", "GLUE_ENDPOINT_NAME": "middle"})
    voters = [Voter(host, number + 1, folder) for number, host in enumerate(hosts[:count])]
    found(voters)
    ask(client, "set", "a", "1", *PATIENT, env=env)
    seconds = 40 if lab.long else 10
    path = f"{folder}/history"
    load = client.glue(
        "quorum", "q", "bench", "--clients", "4", "--keys", "5", "--reads", "40", "--duration", f"{seconds}s",
        "--timeout", "5s", "--history", path, "--json", env=env)
    end = time.monotonic() + seconds
    gaps, killed = [], 0
    while time.monotonic() < end - 4 or not killed:
        number = leader(client, env)
        if voters[number - 1].host is middle:
            # A leader that ends hands over to one at an end.
            voters[number - 1].running.interrupt()
            voters[number - 1].start()
            continue
        voters[number - 1].kill()
        began = time.monotonic()
        ask(client, "set", "b", str(killed), *PATIENT, env=env)
        gaps.append(time.monotonic() - began)
        killed += 1
        voters[number - 1].start()
        ask(client, "set", "c", str(killed), *PATIENT, env=env)
    load.succeed(60)
    expect(ask(client, "get", "c", *PATIENT, env=env) == killed, "what was written last")
    return f"{killed} leaders killed, written {max(gaps):.1f} s after at most; {checked(client, path)}"


def scenario_quorum_by_way_of_others(lab):
    """Three voters, none of whom hears another one, and an endpoint in the middle that hears all; leaders are killed."""
    return relayed(lab, 3, has_vote=False)


def scenario_quorum_with_one_in_the_middle(lab):
    """Three voters, with --long five, of whom only one hears the others; leaders at the ends are killed."""
    return relayed(lab, 5 if lab.long else 3, has_vote=True)


# Disks


@contextlib.contextmanager
def small_disks(count, size="80m"):
    """A folder with a small disk for each voter."""
    folder = tempfile.mkdtemp(prefix="glue-quorum-")
    places = [f"{folder}/{number + 1}" for number in range(count)]
    try:
        for place in places:
            os.mkdir(place, 0o700)
            command("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "glue-test", place)
        yield folder
    finally:
        # Of those that processes still use the rest goes with them.
        for place in places:
            subprocess.run(["umount", "--lazy", place], capture_output=True)


def fill(place):
    """Leaves no room on a disk."""
    with open(f"{place}/filler", "wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                expect(error.errno == errno.ENOSPC, f"{place}: {error}")


def until_it_fails(client, voter):
    """Clients write so much that logs are replaced by snapshots, and go on in other files, until a voter says that its disk is full."""
    load = client.glue(
        "quorum", "q", "bench", "--clients", "4", "--keys", "8", "--payload", "60000", "--duration", "60s",
        "--timeout", "3s", env=FAST)
    line = voter.running.wait_for_line("no room on the disk", 40)
    load.interrupt(20)
    expect(voter.store in line, f"the line names what is full: {line}")


def scenario_quorum_full_disks(lab):
    """The disk of a voter is full: it says so and stops, the others go on. A second one: writes end with who is missing. With room again all is there."""
    with small_disks(3) as folder:
        hosts = lab.bridged(4)
        client = hosts[3]
        voters = [Voter(host, number + 1, folder) for number, host in enumerate(hosts[:3])]
        found(voters)
        ask(client, "set", "a", "1")
        leading = leader(client)
        first, second = [voter for voter in voters if voter.number != leading]
        fill(first.store)
        until_it_fails(client, first)
        ask(client, "set", "a", "2")
        expect(first.running.is_running, "it goes on as an observer")
        status = ask(client, "status")
        expect(status["missing"] == [str(first.number)], f"{status}")
        # It still gets what is decided.
        wait_until(lambda: ask(first.host, "get", "a", "--stale")["value"] == 2, "what was decided meanwhile", 20)
        fill(second.store)
        until_it_fails(client, second)
        began = time.monotonic()
        refused = client.glue("quorum", "q", "set", "a", "3", "--timeout", "3s", env=FAST)
        found_status = refused.wait(30)
        took = time.monotonic() - began
        expect(found_status in (1, 3) and took < 10, f"status {found_status} after {took:.1f} s: {refused.tail()}")
        names = " and ".join(map(str, sorted((first.number, second.number))))
        expect(refused.err.matching(names), f"{names} are not named: {refused.err.texts()}")
        # Opened anew while there is no room, it does not serve as if there were.
        first.running.interrupt()
        first.start()
        wait_until(lambda: first.running.out.matching("no room on") or first.running.err.matching("no room on"), "no room again", 20)
        for voter in (first, second):
            voter.running.interrupt()
            os.unlink(f"{voter.store}/filler")
            voter.start()
        ask(client, "set", "b", "4")
        value = ask(client, "get", "a")
        expect(value == 2 or (value == 3 and found_status == 3), f"a is {value}")
        states = lambda: [ask(voter.host, "get", "--stale")["value"] for voter in voters]
        wait_until(lambda: states()[0].get("b") == 4 and len({str(state) for state in states()}) == 1, "the same everywhere", 30)
    return f"refused after {took:.1f} s"


def scenario_quorum_read_only_disk(lab):
    """A leader ends and finds its disk read-only when it starts again: it says so and ends, and the others go on."""
    with small_disks(3) as folder:
        hosts = lab.bridged(4)
        client = hosts[3]
        voters = [Voter(host, number + 1, folder) for number, host in enumerate(hosts[:3])]
        found(voters)
        ask(client, "set", "a", "1")
        victim = voters[leader(client) - 1]
        # Writes to files that are open still work then; the next file cannot be made.
        victim.kill()
        command("mount", "-o", "remount,ro", victim.store)
        victim.start()
        status = victim.running.wait(20)
        expect(status == 1 and victim.running.err.matching("Read-only file system"), f"{status}: {victim.running.tail()}")
        ask(client, "set", "a", "2")
        command("mount", "-o", "remount,rw", victim.store)
        victim.start()
        wait_until(lambda: ask(victim.host, "get", "a", "--stale")["value"] == 2, "what was decided meanwhile", 20)


# Locks


def scenario_quorum_lock_holders_end(lab):
    """`lock NAME -- COMMAND` gets SIGTERM or SIGINT: the command is told, the lock is free at once. Killed with -9: after its life."""
    hosts = lab.bridged(3)
    folder = tempfile.mkdtemp(prefix="glue-quorum-")
    voter = Voter(hosts[0], 1, folder)
    found([voter])
    first, second = hosts[1:]
    notes = []
    # What the command does when it is told to end; what the holder's status is.
    told = "trap 'echo told; exit 7' TERM; echo began; while :; do sleep 0.1; done"
    stubborn = "trap '' TERM; echo began; while :; do sleep 0.1; done"
    cases = [(signal.SIGTERM, told, (7,)), (signal.SIGINT, told, (7,)), (signal.SIGTERM, stubborn, (137,))]
    for number, script, statuses in cases:
        holder = first.glue("quorum", "q", "lock", "door", "--", "sh", "-c", script, env=FAST)
        holder.wait_for_line("began", 40)
        waiting = second.glue("quorum", "q", "lock", "door", "--timeout", "30s", "--", "echo", "mine", env=FAST)
        wait_until(lambda: in_line(first) == 1, "the next one stands in line", 20)
        began = time.monotonic()
        holder.process.send_signal(number)
        status = holder.wait(20)
        ended = time.monotonic() - began
        waiting.succeed(20)
        freed = waiting.out.all[0][0] - began
        expect(status in statuses, f"{number!r}, {script}: status {status}: {holder.tail()}")
        expect(waiting.out.texts() == ["mine"], f"{waiting.out.texts()}")
        if script is told:
            expect(holder.out.texts()[-1] == "told", f"the command was not told: {holder.out.texts()}")
            expect(ended < 4, f"it took {ended:.1f} s to end")
        expect(freed < ended + 3, f"it took {ended:.1f} s to end, and {freed:.1f} s until the next one had the lock")
        notes.append(f"{freed:.1f} s")
    holder = first.glue("quorum", "q", "lock", "door", env=FAST)
    holder.wait_for_line("", 40)
    waiting = second.glue("quorum", "q", "lock", "door", "--timeout", "40s", "--", "echo", "mine", env=FAST)
    wait_until(lambda: in_line(first) == 1, "the next one stands in line", 20)
    began = time.monotonic()
    holder.kill()
    waiting.succeed(40)
    freed = waiting.out.all[0][0] - began
    # A life is 10 s from when it was kept alive last, which is each third of it; and what ran out goes each 250 ms.
    expect(6 < freed < 12, f"free {freed:.1f} s after the kill")
    return f"free after {', '.join(notes)}; {freed:.1f} s after kill -9"


def in_line(host):
    """How many stand in line for the lock."""
    locks = ask(host, "status")["locks"]
    return locks[0]["waiting"] if locks else None
