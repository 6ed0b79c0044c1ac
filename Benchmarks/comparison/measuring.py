"""Processes that are measured: what they say, and what the system says of them."""
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PATIENCE = 60
"""Seconds that anything may take beyond the time it is to run."""


def fail(text):
    sys.exit(f"compare: {text}")


class Failure(Exception):
    """A peer did not do what it was to do."""


class Process:
    """A process with its output as text; in another network namespace if it has a place, see wire.py."""

    def __init__(self, command, place=None, **environment):
        self.command = [str(word) for word in command]
        # The user's own settings of Glue are none of the comparison's.
        own = {name: value for name, value in os.environ.items() if not name.startswith("GLUE_")}
        self.process = subprocess.Popen(
            (place.entrance if place else []) + self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={**own, **environment})

    def output(self, seconds):
        """What it prints until it ends."""
        try:
            output, errors = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.end()
            raise Failure(f"{' '.join(self.command)}: not over within {seconds} s") from None
        if self.process.returncode:
            said = (errors.strip() or output.strip() or "nothing said").splitlines()[-1]
            raise Failure(f"{' '.join(self.command)}: ended with {self.process.returncode}: {said[:300]}")
        return output

    def row(self, seconds):
        """The last line that it prints, as JSON."""
        lines = self.output(seconds).splitlines()
        if not lines:
            raise Failure(f"{' '.join(self.command)}: printed nothing")
        try:
            return json.loads(lines[-1])
        except ValueError:
            raise Failure(f"{' '.join(self.command)}: not JSON: {lines[-1][:300]}") from None

    def end(self):
        self.process.kill()
        self.process.communicate()

    def processor_seconds(self):
        """Processor time of all its threads so far."""
        if self.process.poll() is not None:
            raise Failure(f"{' '.join(self.command)}: ended early, with {self.process.returncode}")
        # The clock of a process, as clock_getcpuclockid() names it; that of its threads that have ended included.
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def memory_bytes(self):
        """Its memory that is not shared with other processes and its part of what is; and what of it no file backs."""
        found = {}
        with open(f"/proc/{self.process.pid}/smaps_rollup") as file:
            for line in file:
                name, _, size = line.partition(":")
                if name in ("Pss", "Pss_Anon"):
                    found[name] = int(size.split()[0]) * 1024
        if len(found) < 2:
            raise Failure("no Pss or Pss_Anon in smaps_rollup")
        return found["Pss"], found["Pss_Anon"]


@contextlib.contextmanager
def running(*processes):
    """Ends the processes at the end, whatever happened."""
    try:
        yield processes
    finally:
        for process in processes:
            if process.process.poll() is None:
                process.end()


def share_of_processor(processes, seconds):
    """The processor time that processes take, as a share of one processor, of each of them."""
    before, start = [p.processor_seconds() for p in processes], time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - start
    return [(p.processor_seconds() - b) / took for p, b in zip(processes, before)]


def loopback_traffic():
    """Packets and bytes that loopback has carried."""
    with open("/proc/net/dev") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name.strip() == "lo":
                fields = rest.split()
                return int(fields[1]), int(fields[0])
    raise Failure("no loopback interface")


def spread(values):
    """Median, smallest, largest."""
    return statistics.median(values), min(values), max(values)


def middle(answers):
    """An answer of which each figure is the median of those of the answers."""
    first = answers[0]
    if isinstance(first, dict):
        return {key: middle([answer[key] for answer in answers]) for key in first}
    if isinstance(first, (tuple, list)):
        parts = [middle(list(part)) for part in zip(*answers)]
        return type(first)(*parts) if hasattr(first, "_fields") else parts
    return first if first is None or isinstance(first, str) else statistics.median(answers)
