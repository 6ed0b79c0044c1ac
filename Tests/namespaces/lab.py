"""Network namespaces for tests: hosts on a bridge or behind a router, packet loss, and processes in them.

Everything a lab makes carries the process ID in its name and goes away with the lab, so runs can overlap.
Nothing here waits for a fixed time: it waits for conditions, with a limit.
"""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATHS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "paths.py")
WIRE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wire.py")


class Failure(Exception):
    """An expectation that was not met; its text is the line that a reader sees."""


def expect(condition, text):
    if not condition:
        raise Failure(text)


# The pause between two looks; and by how much longer it takes where the machine stood still, for others as well.
PAUSE_SECONDS = 0.005
STANDSTILL_SECONDS = 0.25


def wait_until(condition, text, limit=10.0):
    """Waits until `condition()` is true and returns its value. Of `limit` seconds none in which the machine stood still count."""
    looked = time.monotonic()
    end = looked + limit
    looks = longest = 0
    while True:
        value = condition()
        if value:
            return value
        last, looked, looks = looked, time.monotonic(), looks + 1
        longest = max(longest, looked - last)
        if looked > end:
            raise Failure(f"not within {limit:g} s ({looks} looks, at most {longest:.2f} s apart): {text}")
        time.sleep(PAUSE_SECONDS)
        # Only a pause shows it: a look that takes long may wait for what is tested.
        overslept = time.monotonic() - looked - PAUSE_SECONDS
        if overslept > STANDSTILL_SECONDS:
            end += overslept


def tool(name):
    """The path of an executable of this package."""
    folder = os.environ.get("TEST_BINARIES") or os.path.join(REPOSITORY, ".build", "release")
    return os.path.join(folder, name)


def command(*words):
    """Runs a system command that must succeed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=system_environment())
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, words))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def system_environment():
    """This process's environment without settings of Glue, with the system's own tools and this package's on the path."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GLUE_")}
    environment["PATH"] = os.pathsep.join([os.path.dirname(tool("glue")), environment.get("PATH", ""), "/usr/sbin", "/sbin"])
    return environment


def reason_to_skip():
    """Why namespaces cannot be used here, or None."""
    if os.uname().sysname != "Linux":
        return "network namespaces exist on Linux only"
    if os.geteuid() != 0:
        return "network namespaces need root"
    for name in ("ip", "nft", "ethtool"):
        if not shutil.which(name, path=system_environment()["PATH"]):
            return f"{name} is not installed (scripts/bootstrap installs it)"
    probe = f"glue-{os.getpid()}-probe"
    done = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, env=system_environment())
    if done.returncode != 0:
        return f"no network namespace can be made: {done.stderr.strip()}"
    command("ip", "netns", "delete", probe)
    return None


class Lines:
    """The lines of one output of a process, read as they come."""

    def __init__(self, stream):
        self.all = []  # (seconds on the monotonic clock, line)
        self.ended = False
        self.thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self.thread.start()

    def _read(self, stream):
        for line in stream:
            self.all.append((time.monotonic(), line.rstrip("\n")))
        self.ended = True

    def texts(self):
        return [line for _, line in self.all]

    def matching(self, pattern):
        return [line for line in self.texts() if re.search(pattern, line)]


class Running:
    """A process in a host, with its outputs."""

    def __init__(self, host, words, environment=None, stdin=None):
        self.words = words
        full = system_environment()
        full.update(environment or {})
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", host.namespace, *map(str, words)],
            env=full, stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, errors="replace")
        self.out = Lines(self.process.stdout)
        self.err = Lines(self.process.stderr)

    @property
    def pid(self):
        # `ip netns exec` replaces itself by the command, so this is the command's own.
        return self.process.pid

    @property
    def is_running(self):
        return self.process.poll() is None

    def tail(self):
        return "; ".join((self.err.texts() + self.out.texts())[-3:])

    def wait_for_line(self, pattern, limit=10.0, stream="out"):
        """Waits for a line and returns it."""
        lines = getattr(self, stream)

        def look():
            found = lines.matching(pattern)
            if not found and lines.ended and not lines.matching(pattern):
                raise Failure(f"{self.words[0]} ended without a line like {pattern!r} ({self.tail()})")
            return found

        return wait_until(look, f"a line like {pattern!r} from {' '.join(map(str, self.words))} ({self.tail()})", limit)[0]

    def wait_for_listening(self, limit=10.0):
        """Waits until it has a UDP socket."""

        def has_socket():
            expect(self.is_running, f"{' '.join(map(str, self.words))} ended early ({self.tail()})")
            own = set()
            for name in os.listdir(f"/proc/{self.pid}/fd"):
                try:
                    own.add(os.readlink(f"/proc/{self.pid}/fd/{name}"))
                except OSError:  # closed meanwhile
                    pass
            for family in ("udp", "udp6"):
                with open(f"/proc/{self.pid}/net/{family}", encoding="ascii") as table:
                    if any(f"socket:[{line.split()[9]}]" in own for line in table.readlines()[1:]):
                        return True
            return False

        wait_until(has_socket, f"a socket of {' '.join(map(str, self.words))}", limit)

    def wait(self, limit=30.0):
        """Waits for its end, and for all its output; returns the exit status."""
        try:
            status = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failure(
                f"{' '.join(map(str, self.words))} did not end within {limit:g} s ({self.tail()}; {self.situation()})"
            ) from None
        self.out.thread.join(5)
        self.err.thread.join(5)
        return status

    def situation(self):
        """What it is doing, for a failure that may not come again: its signals, and where each of its threads waits."""
        def read(path):
            try:
                with open(path, encoding="ascii", errors="replace") as file:
                    return file.read().strip()
            except OSError as error:
                return str(error)

        process = f"/proc/{self.pid}"
        signals = [line for line in read(f"{process}/status").splitlines() if line.startswith(("State", "Sig", "Shd"))]
        threads = [
            " ".join((read(f"{task}/comm"), read(f"{task}/wchan"), read(f"{task}/syscall").split(" ")[0]))
            for task in (f"{process}/task/{number}" for number in os.listdir(f"{process}/task"))]
        return "; ".join(signals + threads).replace("\t", " ")

    def succeed(self, limit=30.0):
        status = self.wait(limit)
        expect(status == 0, f"{' '.join(map(str, self.words))} ended with status {status}: {self.tail()}")
        return self

    def interrupt(self, limit=10.0):
        """Sends SIGINT and waits for the end."""
        if self.is_running:
            self.process.send_signal(signal.SIGINT)
        return self.wait(limit)

    def kill(self):
        if self.is_running:
            self.process.kill()
        self.process.wait()

    def open_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def summary(self):
        """The last line of `glue sub --summary`."""
        lines = [line for line in self.out.texts() if line.startswith('{"received":')]
        expect(lines, f"no summary from {' '.join(map(str, self.words))} ({self.tail()})")
        return json.loads(lines[-1])

    def resident_kibibytes(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        raise Failure("no VmRSS")


class Host:
    """A network namespace that plays a host."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name
        self.namespace = f"{lab.prefix}-{name}"
        self.address = None
        self.address6 = None
        self.others = {}  # IPv4 addresses of further interfaces, by name
        self.checks_addresses = False  # whether the system looks for other users of an IPv6 address first
        command("ip", "netns", "add", self.namespace)
        lab.hosts.append(self)
        self.command("ip", "link", "set", "lo", "up")

    def command(self, *words):
        return command("ip", "netns", "exec", self.namespace, *words)

    def start(self, *words, env=None, stdin=None):
        """Starts a process; one of this package's by its name alone."""
        running = Running(self, words, env, stdin)
        self.lab.processes.append(running)
        return running

    def glue(self, *words, env=None, stdin=None):
        return self.start("glue", *words, env=env, stdin=stdin)

    def memberships(self):
        """How often programs have joined each group on each interface: {(interface, group): count}."""
        found = {}
        interface = None
        for line in self.command("cat", "/proc/net/igmp").splitlines()[1:]:
            words = line.split()
            if line[0].isdigit():
                interface = words[1]
            else:
                found[interface, words[0]] = int(words[1])
        for line in self.command("cat", "/proc/net/igmp6").splitlines():
            words = line.split()
            found[words[1], words[2]] = int(words[3])
        # The system itself is in the group of all hosts, and in those of its IPv6 addresses.
        return {key: count for key, count in found.items() if not re.match("010000E0|ff0[12]", key[1])}

    def link_local(self, interface="eth0"):
        """The host's link-local IPv6 address on an interface, once it has one."""

        def look():
            found = json.loads(self.command("ip", "-6", "-json", "address", "show", "dev", interface, "scope", "link"))
            entries = [entry for item in found for entry in item.get("addr_info", [])]
            return [entry["local"] for entry in entries if "local" in entry and "tentative" not in entry]

        return wait_until(look, f"a link-local address of {self.name}")[0]


class Lab:
    """Makes hosts and networks, and removes them with everything that runs there."""

    numbers = itertools.count(1)

    def __init__(self, long=False):
        self.long = long
        self.prefix = f"glue-{os.getpid()}-{next(Lab.numbers)}"
        self.hosts = []
        self.processes = []
        self.links = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for running in self.processes:
            running.kill()
        for host in self.hosts:
            subprocess.run(["ip", "netns", "delete", host.namespace], capture_output=True, env=system_environment())

    def last_words(self):
        """The last lines of the youngest processes, with the seconds before now, for a failure that may not come again."""
        now = time.monotonic()
        lines = []
        for running in self.processes[-6:]:
            lines.append(f"    {running.pid}: {' '.join(map(str, running.words))}")
            for name, output, count in (("err", running.err, 20), ("out", running.out, 4)):
                lines += [f"      {at - now:9.3f} {name}: {text[:300]}" for at, text in output.all[-count:]]
        return "\n".join(lines)

    def host(self, name="host"):
        """A host with nothing but loopback."""
        return Host(self, name)

    def bridged(self, count, subnet="10.77.1", names=None, families=None, plugged=True):
        """Hosts joined by a bridge, like computers at one switch. Each has its default route there.

        `families` tells for each host which addresses it has: "4", "6" or "46", which is the default. Hosts that are not
        `plugged` have loopback only until `plug`.
        """
        switch = Host(self, "switch")
        switch.command("ip", "link", "add", "bridge", "type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
        switch.command("ip", "link", "set", "bridge", "up")
        hosts = []
        for index in range(count):
            host = Host(self, names[index] if names else f"h{index + 1}")
            host.port = f"port{index + 1}"
            host.families = families[index] if families else "46"
            if "4" in host.families:
                host.address = f"{subnet}.{index + 1}"
            if "6" in host.families:
                host.address6 = f"fd77::{index + 1}"
            hosts.append(host)
        self.switch = switch
        for host in hosts:
            if plugged:
                self.plug(host)
        return hosts

    def join(self, hosts, interface, subnet, plugged=True):
        """Joins hosts by one more bridge, each with an interface of that name, and without a route beyond that network.

        They have an IPv4 address there if they have one at all, and of IPv6 only link-local addresses.
        """
        bridge = f"bridge-{interface}"
        self.switch.command("ip", "link", "add", bridge, "type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
        self.switch.command("ip", "link", "set", bridge, "up")
        for index, host in enumerate(hosts):
            host.others[interface] = f"{subnet}.{index + 1}" if "4" in host.families else None
            if plugged:
                self.plug(host, interface)

    def plug(self, host, interface="eth0"):
        """Connects a host with a bridge by a new interface, and gives that its addresses and routes."""
        self._cable(host, interface, self.switch, self.port(host, interface), has_v6="6" in host.families)
        bridge = "bridge" if interface == "eth0" else f"bridge-{interface}"
        self.switch.command("ip", "link", "set", self.port(host, interface), "master", bridge)
        self.configure(host, interface)

    def port(self, host, interface="eth0"):
        """The bridge's end of a host's cable."""
        return host.port if interface == "eth0" else f"{host.port}-{interface}"

    def silence(self, interface, is_silent=True):
        """Lets the bridge of these interfaces drop everything, which no host notices; or no longer."""
        if not is_silent:
            self.switch.command("nft", "delete", "table", "bridge", f"silent_{interface}")
            return
        ports = ",".join(self.port(host, interface) for host in self.hosts if hasattr(host, "port"))
        chain = ("bridge", f"silent_{interface}", "forward")
        self.switch.command("nft", "add", "table", *chain[:2])
        self.switch.command(
            "nft", "add", "chain", *chain, "{", "type", "filter", "hook", "forward", "priority", "0", ";", "}")
        self.switch.command("nft", "add", "rule", *chain, "iifname", "{", ports, "}", "drop")

    def configure(self, host, interface="eth0"):
        """Gives an interface its addresses and routes, as far as it does not have them: they go when it is down."""
        if interface != "eth0":
            if host.others[interface]:
                host.command("ip", "address", "replace", f"{host.others[interface]}/24", "dev", interface)
            return
        if host.address:
            host.command("ip", "address", "replace", f"{host.address}/24", "dev", "eth0")
            host.command("ip", "route", "replace", "default", "dev", "eth0")
        if host.address6:
            host.command("ip", "address", "replace", f"{host.address6}/64", "dev", "eth0", "nodad")
            host.command("ip", "-6", "route", "replace", "default", "dev", "eth0", "metric", "4096")

    def unplug(self, host, interface="eth0"):
        """Removes an interface of a host."""
        host.command("ip", "link", "delete", interface)

    def routed(self, first=2, second=2):
        """Hosts in two subnets with a router between them; multicast does not pass it."""
        router = Host(self, "router")
        router.command("sysctl", "-qw", "net.ipv4.ip_forward=1")
        subnets = []
        for number, count in ((1, first), (2, second)):
            bridge = f"bridge{number}"
            router.command("ip", "link", "add", bridge, "type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
            router.command("ip", "address", "add", f"10.78.{number}.254/24", "dev", bridge)
            router.command("ip", "link", "set", bridge, "up")
            hosts = []
            for index in range(count):
                host = Host(self, f"s{number}h{index + 1}")
                port = f"s{number}port{index + 1}"
                self._cable(host, "eth0", router, port)
                router.command("ip", "link", "set", port, "master", bridge)
                self._address(host, "eth0", f"10.78.{number}.{index + 1}")
                host.command("ip", "route", "add", "default", "via", f"10.78.{number}.254")
                hosts.append(host)
            subnets.append(hosts)
        return subnets

    def drop(self, hosts, percent):
        """Drops a share of the wire packets that the switch gets from these hosts, each on its own."""
        for host in hosts:
            self._drop(host, "loss", "numgen", "random", "mod", "10000", "<", round(percent * 100))

    def drop_bursts(self, hosts, length, period):
        """Drops so many wire packets in a row out of each period of them that the switch gets from these hosts. There is always
        other traffic too, so that a burst passes soon when little is sent."""
        for host in hosts:
            host.start(sys.executable, WIRE, "chatter", "eth0", 200, stdin=subprocess.PIPE)
            self._drop(host, "bursts", "numgen", "inc", "mod", period, ">=", period - length)

    def _drop(self, host, name, *condition):
        table = f"{name}_{host.port}"
        self.switch.command("nft", "add", "table", "netdev", table)
        self.switch.command(
            "nft", "add", "chain", "netdev", table, "ingress",
            "{", "type", "filter", "hook", "ingress", "device", host.port, "priority", "0", ";", "}")
        self.switch.command(
            "nft", "add", "rule", "netdev", table, "ingress", "meta", "l4proto", "udp", *condition, "counter", "drop")

    def cut(self, host):
        """Cuts a host off: the switch passes on nothing from it or to it. Its interface stays up."""
        table = f"cut_{host.port}"
        self.switch.command("nft", "add", "table", "bridge", table)
        self.switch.command(
            "nft", "add", "chain", "bridge", table, "forward",
            "{", "type", "filter", "hook", "forward", "priority", "0", ";", "}")
        for direction in ("iifname", "oifname"):
            self.switch.command("nft", "add", "rule", "bridge", table, "forward", direction, host.port, "drop")

    def mend(self, host):
        """Ends a `cut`."""
        self.switch.command("nft", "delete", "table", "bridge", f"cut_{host.port}")

    def two_paths(self, host, milliseconds, twice_every=0):
        """Joins a host to the switch by two paths, of which one is so much longer: packets take them in turns, and of so
        many UDP packets one arrives twice. To be called before the packets of the host are dropped."""
        outer, inner, port = host.port, f"{host.port}in", f"{host.port}out"
        self.switch.command("ip", "link", "set", outer, "nomaster")
        self.switch.command("ip", "link", "add", inner, "type", "veth", "peer", "name", port)
        for name in (outer, inner, port):
            self._as_on_a_wire(self.switch, name)
        self._as_on_a_wire(host, "eth0")
        self.switch.command("ip", "link", "set", port, "master", "bridge")
        host.port = port
        carrier = self.switch.start(
            sys.executable, PATHS, outer, inner, milliseconds, twice_every, stdin=subprocess.PIPE)
        carrier.wait_for_line("carrying")

    def dropped_packets(self):
        ruleset = self.switch.command("nft", "list", "ruleset")
        return sum(int(number) for number in re.findall(r"counter packets (\d+)", ruleset))

    def _cable(self, a, a_name, b, b_name, has_v6=True):
        for host in (a, b):
            # Nobody else has these addresses; looking for that would take two seconds before each can be used.
            mode = 1 if host.checks_addresses else 0
            host.command("sysctl", "-qw", f"net.ipv6.conf.default.accept_dad={mode}", f"net.ipv6.conf.all.accept_dad={mode}")
        a.command("sysctl", "-qw", f"net.ipv6.conf.default.disable_ipv6={0 if has_v6 else 1}")
        command(
            "ip", "link", "add", a_name, "netns", a.namespace, "type", "veth", "peer", "name", b_name, "netns", b.namespace)
        for host, name in ((a, a_name), (b, b_name)):
            # With segmentation offload one "packet" here would be a burst of many on a wire.
            host.command("ethtool", "-K", name, "tso", "off", "gso", "off", "gro", "off", "tx-udp-segmentation", "off")
            host.command("ip", "link", "set", name, "up")

    def _as_on_a_wire(self, host, name):
        """Has an interface send whole frames with checksums, as a program that carries them needs."""
        host.command(
            "ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off", "gro", "off", "tx-udp-segmentation", "off")
        host.command("ip", "link", "set", name, "up")

    def _address(self, host, interface, address):
        host.command("ip", "address", "add", f"{address}/24", "dev", interface)
        host.address = address


def readme_example(name):
    """The shells of a four-shell example in the README: one command line each, as it stands there."""
    with open(os.path.join(REPOSITORY, "README.md"), encoding="utf-8") as readme:
        text = readme.read()
    block = re.search(rf"<!-- example: {name} -->\s*```sh\n(.*?)```", text, re.S)
    expect(block, f"README.md has no example {name}")
    shells = []
    numbers = []
    for line in block.group(1).splitlines():
        if line.startswith("#"):
            numbers = re.findall(r"\d", line)
        elif line.strip():
            expect(numbers, f"README.md: no shell is named before {line!r}")
            shells += [line] * len(numbers)
            numbers = []
    expect(len(shells) == 4, f"README.md: example {name} has {len(shells)} shells")
    return shells
