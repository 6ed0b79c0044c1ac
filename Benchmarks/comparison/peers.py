"""Glue and what it is compared with: how each is run, on loopback, every endpoint a process of its own."""
import collections
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

from measuring import HERE, PATIENCE, ROOT, Failure, Process, fail, loopback_traffic, running, share_of_processor
from wire import INTERFACE

TOOLS = os.path.join(os.path.dirname(HERE), "peers")

Rate = collections.namedtuple("Rate", "per_second delivered publisher_us subscriber_us broker_us wire_bytes publisher_wire_bytes",
                              defaults=(None,))
"""Messages per second and subscriber, the share that arrived, processor time per message; of what was not measured, None."""
Trip = collections.namedtuple("Trip", "p50 p99 processor_us")
"""Microseconds of a round trip, and processor time of one side."""
Across = collections.namedtuple("Across", "per_second p50 p99")
"""What came from one host to another: messages per second; of paced ones, microseconds that they took."""
Rest = collections.namedtuple("Rest", "bytes own_bytes processor packets traffic")
"""Of the process that has the most: memory and share of a processor. Of all together: packets and bytes a second, headers included."""


def of_debian(package):
    """The version of an installed Debian package."""
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    return done.stdout or "?"


class Peer:
    name = ""
    packages = ()

    def __init__(self, options):
        self.options = options

    def prepare(self, directory):
        """Compiles what it needs."""

    def version(self):
        return of_debian(self.packages[0])

    def throughput(self, size, seconds, subscribers):
        raise NotImplementedError

    def round_trip(self, size, seconds):
        raise NotImplementedError

    def paced(self, size, rate, seconds):
        """The shares of a processor that publisher, subscriber and broker take with so many messages a second."""
        raise NotImplementedError

    def idle(self, seconds):
        """What processes take that know each other and do nothing: a publisher or another subscriber, a subscriber, a broker."""
        raise NotImplementedError

    def across(self, wire, size, seconds, rate=None):
        """What reliable messages do between two hosts, as many as possible or so many a second."""
        raise NotImplementedError

    @staticmethod
    def rest(processes, seconds):
        """The same of processes that run."""
        with running(*processes):
            time.sleep(5)  # they meet, and settle
            packets, traffic = loopback_traffic()
            shares = share_of_processor(processes, seconds)
            packets, traffic = (after - before for after, before in zip(loopback_traffic(), (packets, traffic)))
            memory, own = zip(*(process.memory_bytes() for process in processes))
        return Rest(max(memory), max(own), max(shares), packets / seconds, traffic / seconds)


class ByTool(Peer):
    """By a client of ours, see bench.h."""
    source = library = ""
    next_port = 21000
    environment = {}

    def prepare(self, directory):
        self.tool = os.path.join(directory, self.source.removesuffix(".c"))
        if os.path.exists(self.tool):
            return
        subprocess.run(["cc", "-O2", "-o", self.tool, os.path.join(TOOLS, self.source), f"-l{self.library}", "-lpthread"],
                       check=True)

    def command(self, *words, place=None, **environment):
        return Process([self.tool, *words], place, **self.environment, **environment)

    @contextlib.contextmanager
    def broker(self, place=None):
        """The port, and the processes between the clients."""
        ByTool.next_port += 1
        yield ByTool.next_port, []

    def throughput(self, size, seconds, subscribers):
        with self.broker() as (port, brokers):
            receivers = [self.command("sub", index, port) for index in range(subscribers)]
            sender = self.command("pub", size, seconds, subscribers, port)
            with running(sender, *receivers):
                before = [broker.processor_seconds() for broker in brokers]
                rows = [receiver.row(seconds + PATIENCE) for receiver in receivers]
                sent = sender.row(PATIENCE)
                used = sum(b.processor_seconds() - start for b, start in zip(brokers, before))
        messages = sum(row["received"] for row in rows)
        if any(row["gaps"] for row in rows) and self.is_reliable:
            raise Failure(f"{self.name}: messages are missing: {rows}")
        return Rate(
            statistics.mean(row["received"] / row["seconds"] for row in rows), messages / sent["published"] / subscribers,
            sent["cpu"] / sent["published"] * 1e6, sum(row["cpu"] for row in rows) / messages * 1e6,
            used / messages * 1e6 if brokers else None, None)

    is_reliable = True

    def round_trip(self, size, seconds):
        with self.broker() as (port, _):
            echo = self.command("pong", port)
            with running(echo):
                time.sleep(0.3)  # it has to listen, and nothing tells whether it does
                row = self.command("ping", size, seconds, port).row(seconds + PATIENCE)
        return Trip(row["p50"], row["p99"], row["cpu"])

    def paced(self, size, rate, seconds):
        with self.broker() as (port, brokers):
            receiver = self.command("sub", 0, port)
            sender = self.command("pub", size, seconds + 3, 1, port, RATE=str(rate))
            with running(sender, receiver):
                time.sleep(2)
                shares = share_of_processor([sender, receiver, *brokers], seconds)
                row = receiver.row(PATIENCE)
        if row["received"] < 0.9 * rate * (seconds + 3) or row["gaps"]:
            raise Failure(f"{self.name}: of {rate} messages a second, for {seconds + 3} s, {row['received']} came")
        return shares

    def across(self, wire, size, seconds, rate=None):
        environment = {"BENCH_HOST": wire.first.address, **({"RATE": str(rate)} if rate else {})}
        with self.broker(wire.first) as (port, _):
            receiver = self.command("sub", 0, port, place=wire.second, **environment)
            sender = self.command("pub", size, seconds, 1, port, place=wire.first, **environment)
            with running(sender, receiver):
                row, sent = receiver.row(seconds + PATIENCE), sender.row(PATIENCE)
        if row["gaps"] or row["received"] < sent["published"]:
            raise Failure(f"{self.name}: messages are missing: {sent}, {row}")
        return Across(row["received"] / row["seconds"], row["p50"], row["p99"])

    def idle(self, seconds):
        with self.broker() as (port, brokers):
            # One that publishes would wait for a second subscriber.
            return self.rest([self.command("pub", 64, 1, 2, port), self.command("sub", 0, port), *brokers], seconds)


class ZeroMQ(ByTool):
    name, source, library, packages = "ZeroMQ", "zeromq.c", "zmq", ("libzmq3-dev",)


def address(place):
    """Where a server listens: on loopback, or on a host of the wire."""
    return place.address if place else "127.0.0.1"


class WithServer(ByTool):
    def server(self, port, place):
        raise NotImplementedError

    @contextlib.contextmanager
    def broker(self, place=None):
        with super().broker() as (port, _):
            server = self.server(port, place)
            with running(server):
                time.sleep(0.5)
                if server.process.poll() is not None:
                    raise Failure(f"{self.name}: the server ended: {server.process.stderr.read()[-300:]}")
                yield port, [server]

    def idle(self, seconds):
        with self.broker() as (port, brokers):
            # Those that wait for messages would tell again and again that they are there.
            return self.rest([self.command("pong", port), self.command("pong", port), *brokers], seconds)


class NATS(WithServer):
    name, source, library, packages = "NATS", "nats.c", "nats", ("nats-server", "libnats-dev")

    def server(self, port, place):
        return Process(["nats-server", "-a", address(place), "-p", port], place)


class Mosquitto(WithServer):
    source, library, packages = "mosquitto.c", "mosquitto", ("mosquitto", "libmosquitto-dev")

    def __init__(self, options, qos):
        super().__init__(options)
        self.name = f"mosquitto, QoS {qos}"
        # At QoS 1 both sides look through all that is under way for each message: 64 of them go more than twice as fast as 8,192.
        self.environment = {"QOS": str(qos), **({"WINDOW": "64"} if qos else {})}

    def prepare(self, directory):
        super().prepare(directory)
        self.directory = directory

    def server(self, port, place):
        path = os.path.join(self.directory, f"mosquitto-{port}.conf")
        with open(path, "w") as file:
            file.write(f"listener {port} {address(place)}\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\nmax_inflight_messages 0\n")
        return Process(["mosquitto", "-c", path], place)


class Raw(ByTool):
    """Bare sockets: no peer, but the limit."""
    source, library = "raw.c", "m"
    is_reliable = False

    def __init__(self, options, name, **environment):
        super().__init__(options)
        self.name, self.environment = name, environment

    def version(self):
        return os.uname().release

    def across(self, wire, size, seconds, rate=None):
        """What arrives; no message has to."""
        with self.broker() as (port, _):
            receiver = self.command("sub", 0, port, place=wire.second)
            sender = self.command("pub", size, seconds, 1, port, place=wire.first, BENCH_HOST=wire.second.address)
            with running(sender, receiver):
                row = receiver.row(seconds + PATIENCE)
                sender.output(PATIENCE)
        return Across(row["received"] / row["seconds"], None, None)


class Zenoh(ByTool):
    name, packages = "Zenoh (Python)", ()

    def prepare(self, directory):
        self.python = os.path.join(directory, "zenoh", "bin", "python")
        if not os.path.exists(self.python):
            subprocess.run([sys.executable, "-m", "venv", os.path.dirname(os.path.dirname(self.python))], check=True)
            subprocess.run([self.python, "-m", "pip", "install", "--quiet", "eclipse-zenoh"], check=True)

    def version(self):
        done = subprocess.run([self.python, "-m", "pip", "show", "eclipse-zenoh"], capture_output=True, text=True)
        found = re.search(r"^Version: (.*)$", done.stdout, re.MULTILINE)
        return found[1] if found else "?"

    def command(self, *words, **environment):
        return Process([self.python, os.path.join(TOOLS, "zenoh_bench.py"), *words], **environment)


class Cyclone(Peer):
    name, packages = "CycloneDDS", ("cyclonedds-tools",)

    def command(self, seconds, *words, place=None):
        interface = INTERFACE if place else "lo"
        uri = f'<General><Interfaces><NetworkInterface name="{interface}" multicast="true"/></Interfaces></General>'
        return Process(["ddsperf", "-D", seconds, *words], place, CYCLONEDDS_URI=uri)

    @staticmethod
    def received(output):
        """Messages per second, and how many were lost and came, of what a subscriber prints once a second."""
        found = [(float(rate) * 1e3, int(lost), int(total)) for total, lost, rate in re.findall(
            r"size \d+ total (\d+) lost (\d+) .*? rate ([0-9.]+) kS/s", output)]
        if len(found) < 3:
            raise Failure(f"ddsperf printed too few rates:\n{output}")
        return statistics.median(rate for rate, _, _ in found[1:-1]), found[-1][1], found[-1][2]

    def throughput(self, size, seconds, subscribers):
        receivers = [self.command(seconds + 2, "sub") for _ in range(subscribers)]
        # A publisher that ends does not wait for what is under way, and its subscribers call that lost: so it ends last.
        sender = self.command(seconds + 3, "pub", "size", size)
        with running(sender, *receivers):
            outputs = [receiver.output(seconds + PATIENCE) for receiver in receivers]
            sender.output(PATIENCE)
        rates, lost, total = zip(*map(self.received, outputs))
        return Rate(statistics.mean(rates), sum(total) / (sum(total) + sum(lost)), None, None, None, None)

    def across(self, wire, size, seconds, rate=None):
        receiver = self.command(seconds + 2, "sub", place=wire.second)
        sender = self.command(seconds + 3, "pub", "size", size, place=wire.first)
        with running(sender, receiver):
            output = receiver.output(seconds + PATIENCE)
            sender.output(PATIENCE)
        per_second, lost, _ = self.received(output)
        if lost:
            raise Failure(f"{self.name}: {lost} messages are missing")
        return Across(per_second, None, None)

    def round_trip(self, size, seconds):
        echo = self.command(seconds + 2, "pong")
        with running(echo):
            output = self.command(seconds + 1, "ping", "size", size).output(seconds + PATIENCE)
        rows = re.findall(r" 50% ([0-9.]+)us .*? 99% ([0-9.]+)us", output)
        if len(rows) < 2:
            raise Failure(f"ddsperf printed too few round trips:\n{output}")
        return Trip(*(2 * statistics.median(float(row[i]) for row in rows[1:]) for i in (0, 1)), None)

    def paced(self, size, rate, seconds):
        receiver = self.command(seconds + 4, "sub")
        sender = self.command(seconds + 5, "pub", f"{rate}Hz", "size", size)
        with running(sender, receiver):
            time.sleep(2)
            shares = share_of_processor([sender, receiver], seconds)
            came, lost, _ = self.received(receiver.output(PATIENCE))
        if came < 0.9 * rate or lost:
            raise Failure(f"{self.name}: {came} messages a second came instead of {rate}, {lost} were lost")
        return shares

    def idle(self, seconds):
        return self.rest([self.command(seconds + 60, "sub"), self.command(seconds + 60, "sub")], seconds)


class Glue(Peer):
    name = "Glue"

    def __init__(self, options, name="Glue", arguments=()):
        super().__init__(options)
        self.name, self.arguments = name, list(arguments)

    def version(self):
        done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty", "--exclude=*"], capture_output=True, text=True)
        is_of_checkout = os.path.realpath(self.options.glue).startswith(os.path.realpath(ROOT) + os.sep)
        return (done.stdout.strip() or "?") if is_of_checkout else "of another checkout"

    def command(self, *words):
        return Process([self.options.glue, "bench", *map(str, words), *self.arguments, "--rounds", "1", "--json"])

    def row(self, size, seconds, *words):
        """What `glue bench throughput` tells, if everything came once and in order."""
        row = self.command("throughput", "--sizes", size, "--duration", f"{seconds}s", *words).row(seconds + 3 * PATIENCE)
        if row["lost"] or row["duplicates"] or row["outOfOrder"] or row["deliveredPercent"] < 100:
            raise Failure(f"Glue: not every message came once and in order: {row}")
        return row

    def throughput(self, size, seconds, subscribers, *words):
        row = self.row(size, seconds, "--subscribers", subscribers, *words)
        return Rate(row["messagesPerSecond"], row["deliveredPercent"] / 100, row["publisherMicrosecondsPerMessage"],
                    row["subscriberMicrosecondsPerMessage"], None, row["wireBytesPerMessage"], row["publisherWireBytesPerMessage"])

    def alone(self, size, rate, seconds):
        """As throughput, with so many messages a second: each leaves alone."""
        return self.throughput(size, seconds, 1, "--rate", rate)

    def paced(self, size, rate, seconds):
        row = self.row(size, seconds, "--rate", rate)
        return [row[f"{side}MicrosecondsPerMessage"] * rate / 1e6 for side in ("publisher", "subscriber")]

    def across(self, wire, size, seconds, rate=None):
        def start(place, side, *words):
            return Process([self.options.glue, "bench", side, *words], place, GLUE_LISTEN_INTERFACE=INTERFACE,
                           GLUE_NETWORK_ID="1", GLUE_ENDPOINT_NAME=side)

        receiver = start(wire.second, "subscriber", *(["--paced"] if rate else []))
        sender = start(wire.first, "publisher", "--size", size, "--subscribers", 1, "--duration", f"{seconds}s",
                       *(["--rate", rate] if rate else []))
        with running(sender, receiver):
            # The end of its input, which comes with this, is what the subscriber waits for.
            sent, row = sender.row(seconds + PATIENCE), receiver.row(PATIENCE)
        if not sent["acknowledged"] or row["received"] < sent["published"] or row["duplicates"] or row["outOfOrder"]:
            raise Failure(f"Glue: not every message came once and in order: {sent}, {row}")
        delays = row.get("delays") or {}
        return Across(row["received"] / row["seconds"], delays.get("p50"), delays.get("p99"))

    def idle(self, seconds):
        network = {"GLUE_LISTEN_INTERFACE": "lo", "GLUE_NETWORK_ID": "1"}
        return self.rest(
            [Process([self.options.glue, "bench", "subscriber"], GLUE_ENDPOINT_NAME=name, **network) for name in ("one", "other")],
            seconds)

    def round_trip(self, size, seconds):
        # It wants a count: as many as take about so long.
        row = self.command("latency", "--size", size, "--count", seconds * 25_000).row(seconds + PATIENCE)
        return Trip(row["p50Microseconds"], row["p99Microseconds"], row["cpuMicroseconds"])


class Simulated(Peer):
    """So many endpoints of Glue's core, in virtual time."""

    def __init__(self, options, count):
        super().__init__(options)
        self.count, self.name = count, f"Glue, {count:,} endpoints"

    def version(self):
        return Glue(self.options).version()

    def discover(self):
        """Lines of `glue simulate scale`, by phase: all start, nothing happens."""
        process = Process([self.options.glue, "simulate", "scale", "--endpoints", self.count, "--topics", 0, "--until", "steady",
                           "--json"])
        rows = [json.loads(line) for line in process.output(3600).splitlines()]
        if any(row["phase"] == "start" and row["metAfterSeconds"] is None for row in rows):
            raise Failure("not everybody met")
        return {row["phase"]: row for row in rows}


def all_peers(options):
    """What is compared, by name; Glue first."""
    return [Glue(options), Cyclone(options), ZeroMQ(options), NATS(options), Zenoh(options), Mosquitto(options, 0),
            Mosquitto(options, 1)]


def install(peers, packages):
    """Installs what is missing of the peers and of further Debian packages, and a compiler."""
    wanted = sorted({package for peer in peers for package in peer.packages}.union(packages))
    wanted = [package for package in wanted if of_debian(package) == "?"]
    if not shutil.which("cc"):
        wanted.append("gcc")
    if any(isinstance(peer, Zenoh) for peer in peers) and of_debian("python3-venv") == "?":
        wanted.append("python3-venv")
    if not wanted:
        return
    if not shutil.which("apt-get"):
        fail(f"install these first: {' '.join(wanted)}")
    print(f"installing {' '.join(wanted)}", file=sys.stderr)
    # A fresh machine has no lists of packages, or old ones.
    for words in (["update"], ["install", "--yes", "--quiet", *wanted]):
        done = subprocess.run(["apt-get", *words], stdout=sys.stderr, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
        if done.returncode and words[0] == "install":  # the lists that are there may do
            fail(f"apt-get {words[0]} ended with {done.returncode}; install these by hand: {' '.join(wanted)}")
