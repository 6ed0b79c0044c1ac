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

TOOLS = os.path.join(os.path.dirname(HERE), "peers")

Rate = collections.namedtuple("Rate", "per_second delivered publisher_us subscriber_us broker_us wire_bytes")
"""Messages per second and subscriber, the share that arrived, processor time per message; of what was not measured, None."""
Trip = collections.namedtuple("Trip", "p50 p99 processor_us")
"""Microseconds of a round trip, and processor time of one side."""
Rest = collections.namedtuple("Rest", "bytes processor packets traffic")
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

    @staticmethod
    def rest(processes, seconds):
        """The same of processes that run."""
        with running(*processes):
            time.sleep(5)  # they meet, and settle
            packets, traffic = loopback_traffic()
            shares = share_of_processor(processes, seconds)
            packets, traffic = (after - before for after, before in zip(loopback_traffic(), (packets, traffic)))
            memory = [process.resident_bytes() for process in processes]
        return Rest(max(memory), max(shares), packets / seconds, traffic / seconds)


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

    def command(self, *words):
        return Process([self.tool, *map(str, words)], **self.environment)

    @contextlib.contextmanager
    def broker(self):
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
            sender = Process([self.tool, "pub", str(size), str(seconds + 3), "1", str(port)], RATE=str(rate), **self.environment)
            with running(sender, receiver):
                time.sleep(2)
                shares = share_of_processor([sender, receiver, *brokers], seconds)
                row = receiver.row(PATIENCE)
        if row["received"] < 0.9 * rate * seconds:
            raise Failure(f"{self.name}: {row['received']} messages came")
        return shares

    def idle(self, seconds):
        with self.broker() as (port, brokers):
            # One that publishes would wait for a second subscriber.
            return self.rest([self.command("pub", 64, 1, 2, port), self.command("sub", 0, port), *brokers], seconds)


class ZeroMQ(ByTool):
    name, source, library, packages = "ZeroMQ", "zeromq.c", "zmq", ("libzmq3-dev",)


class WithServer(ByTool):
    def server(self, port):
        raise NotImplementedError

    @contextlib.contextmanager
    def broker(self):
        with super().broker() as (port, _):
            server = self.server(port)
            with running(server):
                time.sleep(0.5)
                if server.process.poll() is not None:
                    raise Failure(f"{self.name}: the server ended: {server.process.stderr.read()[-300:]}")
                yield port, [server]


class NATS(WithServer):
    name, source, library, packages = "NATS", "nats.c", "nats", ("nats-server", "libnats-dev")

    def server(self, port):
        return Process(["nats-server", "-a", "127.0.0.1", "-p", str(port)])


class Mosquitto(WithServer):
    source, library, packages = "mosquitto.c", "mosquitto", ("mosquitto", "libmosquitto-dev")

    def __init__(self, options, qos):
        super().__init__(options)
        self.name = f"mosquitto, QoS {qos}"
        self.environment = {"QOS": str(qos)}

    def prepare(self, directory):
        super().prepare(directory)
        self.directory = directory

    def server(self, port):
        path = os.path.join(self.directory, f"mosquitto-{port}.conf")
        with open(path, "w") as file:
            file.write(f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 0\nmax_inflight_messages 0\n")
        return Process(["mosquitto", "-c", path])


class Raw(ByTool):
    """Bare sockets: no peer, but the limit."""
    source, library = "raw.c", "m"
    is_reliable = False

    def __init__(self, options, name, **environment):
        super().__init__(options)
        self.name, self.environment = name, environment

    def version(self):
        return os.uname().release


class Zenoh(ByTool):
    name, packages = "Zenoh", ()

    def prepare(self, directory):
        self.python = os.path.join(directory, "zenoh", "bin", "python")
        if not os.path.exists(self.python):
            subprocess.run([sys.executable, "-m", "venv", os.path.dirname(os.path.dirname(self.python))], check=True)
            subprocess.run([self.python, "-m", "pip", "install", "--quiet", "eclipse-zenoh"], check=True)

    def version(self):
        done = subprocess.run([self.python, "-m", "pip", "show", "eclipse-zenoh"], capture_output=True, text=True)
        found = re.search(r"^Version: (.*)$", done.stdout, re.MULTILINE)
        return found[1] if found else "?"

    def command(self, *words):
        return Process([self.python, os.path.join(TOOLS, "zenoh_bench.py"), *map(str, words)])


class Cyclone(Peer):
    name, packages = "CycloneDDS", ("cyclonedds-tools",)
    environment = {"CYCLONEDDS_URI": '<General><Interfaces><NetworkInterface name="lo" multicast="true"/></Interfaces></General>'}

    def command(self, seconds, *words):
        return Process(["ddsperf", "-D", str(seconds), *map(str, words)], **self.environment)

    def throughput(self, size, seconds, subscribers):
        receivers = [self.command(seconds + 2, "sub") for _ in range(subscribers)]
        sender = self.command(seconds + 1, "pub", "size", size)
        with running(sender, *receivers):
            outputs = [receiver.output(seconds + PATIENCE) for receiver in receivers]
            sender.output(PATIENCE)
        rates, lost, total = [], 0, 0
        for output in outputs:
            found = [(float(rate) * 1e3, int(lost), int(total)) for total, lost, rate in re.findall(
                r"size \d+ total (\d+) lost (\d+) .*? rate ([0-9.]+) kS/s", output)]
            if len(found) < 3:
                raise Failure(f"ddsperf printed too few rates:\n{output}")
            rates.append(statistics.median(rate for rate, _, _ in found[1:-1]))
            lost, total = lost + found[-1][1], total + found[-1][2]
        return Rate(statistics.mean(rates), total / (total + lost), None, None, None, None)

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
        sender = self.command(seconds + 4, "pub", f"{rate}Hz", "size", size)
        with running(sender, receiver):
            time.sleep(2)
            shares = share_of_processor([sender, receiver], seconds)
        return shares

    def idle(self, seconds):
        return self.rest([self.command(seconds + 60, "sub"), self.command(seconds + 60, "sub")], seconds)


class Glue(Peer):
    name = "Glue"

    def __init__(self, options, name="Glue", arguments=()):
        super().__init__(options)
        self.name, self.arguments = name, list(arguments)

    def version(self):
        done = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        return done.stdout.strip() or "?"

    def command(self, *words):
        return Process([self.options.glue, "bench", *map(str, words), *self.arguments, "--rounds", "1", "--json"])

    def throughput(self, size, seconds, subscribers):
        row = self.command("throughput", "--sizes", size, "--duration", f"{seconds}s", "--subscribers", subscribers).row(
            seconds + 2 * PATIENCE)
        if row["lost"] or row["duplicates"] or row["outOfOrder"] or row["deliveredPercent"] < 100:
            raise Failure(f"Glue: not every message came once and in order: {row}")
        return Rate(row["messagesPerSecond"], row["deliveredPercent"] / 100, row["publisherMicrosecondsPerMessage"],
                    row["subscriberMicrosecondsPerMessage"], None, row["wireBytesPerMessage"])

    def alone(self, size, rate, seconds):
        """As throughput, with so many messages a second: each leaves alone."""
        row = self.command("throughput", "--sizes", size, "--duration", f"{seconds}s", "--rate", rate).row(seconds + PATIENCE)
        return Rate(row["messagesPerSecond"], row["deliveredPercent"] / 100, row["publisherMicrosecondsPerMessage"],
                    row["subscriberMicrosecondsPerMessage"], None, row["wireBytesPerMessage"])

    def idle(self, seconds):
        network = {"GLUE_LISTEN_INTERFACE": "lo", "GLUE_NETWORK_ID": "1"}
        return self.rest(
            [Process([self.options.glue, "bench", "subscriber"], GLUE_ENDPOINT_NAME=name, **network) for name in ("one", "other")],
            seconds)

    def paced(self, size, rate, seconds):
        row = self.command("throughput", "--sizes", size, "--duration", f"{seconds}s", "--rate", rate).row(seconds + PATIENCE)
        return [row[f"{side}MicrosecondsPerMessage"] * rate / 1e6 for side in ("publisher", "subscriber")]

    def round_trip(self, size, seconds):
        rows = [json.loads(line) for line in self.command("latency", "--size", size).output(seconds + PATIENCE).splitlines()]
        row = [row for row in rows if row["kind"] == "glue"][-1]
        return Trip(row["p50Microseconds"], row["p99Microseconds"], row["cpuMicroseconds"])


def all_peers(options):
    """What is compared, by name; Glue first."""
    return [Glue(options), Cyclone(options), ZeroMQ(options), NATS(options), Zenoh(options), Mosquitto(options, 0),
            Mosquitto(options, 1)]


def missing_packages(peers):
    """Debian packages that have to be installed first."""
    wanted = {package for peer in peers for package in peer.packages}
    return sorted(package for package in wanted if of_debian(package) == "?")


def install(peers):
    """Installs what is missing of the peers, and a compiler."""
    wanted = missing_packages(peers)
    if not shutil.which("cc"):
        wanted.append("gcc")
    if any(isinstance(peer, Zenoh) for peer in peers) and of_debian("python3-venv") == "?":
        wanted.append("python3-venv")
    if not wanted:
        return
    if not shutil.which("apt-get"):
        fail(f"install these first: {' '.join(wanted)}")
    print(f"installing {' '.join(wanted)}", file=sys.stderr)
    subprocess.run(["apt-get", "install", "--yes", "--quiet", *wanted], check=True, stdout=sys.stderr,
                   env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
