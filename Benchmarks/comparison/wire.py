"""Two hosts that a wire joins, which can lose packets: network namespaces and a veth."""
import contextlib
import os
import re
import subprocess
import time

from measuring import Failure, Process, running

INTERFACE = "eth0"
LARGEST_PACKET = 1_500
PACKAGES = ("iproute2", "ethtool", "nftables", "util-linux")
"""Debian packages of the tools that are used here."""


class Host:
    """A network namespace. It has no name, and so nothing is left of it when its process ends."""

    def __init__(self, process, address):
        self.process, self.address = process, address
        self.entrance = ["nsenter", f"--net=/proc/{process.process.pid}/ns/net"]
        """What a command begins with that runs there."""

    def run(self, *words, text=None):
        done = subprocess.run([*self.entrance, *map(str, words)], input=text, capture_output=True, text=True)
        if done.returncode:
            raise Failure(f"{' '.join(map(str, words))}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def wait(self):
        """Until its process has a namespace of its own."""
        end = time.monotonic() + 10
        while os.readlink(f"/proc/{self.process.process.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            if time.monotonic() > end or self.process.process.poll() is not None:
                raise Failure("no network namespace can be made")
            time.sleep(0.005)


class Wire:
    def __init__(self, first, second):
        self.first, self.second = first, second

    def lose(self, percent):
        """Drops so many of all packets from now on, in both directions, each by itself."""
        for host in (self.first, self.second):
            host.run("nft", "-f", "-", text=f"""
                table netdev wire {{
                  chain ingress {{
                    type filter hook ingress device {INTERFACE} priority 0;
                    meta protocol ip counter
                    meta protocol ip numgen random mod 10000 < {round(percent * 100)} counter drop
                  }}
                }}""")

    def check(self, percent):
        """Whether about so many were lost, of packets that were no larger than on a real wire."""
        for host in (self.first, self.second):
            counters = re.findall(r"counter packets (\d+) bytes (\d+)", host.run("nft", "list", "ruleset"))
            (packets, size), (dropped, _) = [tuple(map(int, counter)) for counter in counters]
            if size > packets * LARGEST_PACKET:
                raise Failure(f"packets of {size // packets} bytes on average went over a wire of {LARGEST_PACKET}")
            # Chance has its share where there are few.
            if abs(dropped - packets * percent / 100) > max(20, packets * percent / 100 / 2):
                raise Failure(f"{dropped} of {packets} packets were lost instead of {percent} %")


@contextlib.contextmanager
def wire():
    """Two hosts, for as long as this lasts."""
    with running(*(Process(["unshare", "--net", "sleep", "infinity"]) for _ in range(2))) as processes:
        hosts = [Host(process, f"10.79.1.{number + 1}") for number, process in enumerate(processes)]
        for host in hosts:
            host.wait()
            host.run("ip", "link", "set", "lo", "up")
            # Looking for others with the same IPv6 address would take two seconds.
            host.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        hosts[0].run("ip", "link", "add", INTERFACE, "type", "veth", "peer", "name", INTERFACE, "netns", processes[1].process.pid)
        for host in hosts:
            # With segmentation offload one "packet" here would be a burst of many on a real wire.
            host.run("ethtool", "-K", INTERFACE, "tso", "off", "gso", "off", "gro", "off", "tx-udp-segmentation", "off")
            host.run("ip", "address", "add", f"{host.address}/24", "dev", INTERFACE)
            host.run("ip", "link", "set", INTERFACE, "up")
            host.run("ip", "route", "add", "default", "dev", INTERFACE)
        yield Wire(*hosts)
