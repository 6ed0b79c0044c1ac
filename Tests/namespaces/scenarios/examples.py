"""The README's two four-shell examples, as they stand there."""

import re

from lab import readme_example, wait_until

RECEIVED = r"some_topic seq=\d+ age="


def run_shells(hosts, lines, limit=10.0):
    """Starts one line in each host and waits until the first three have shown three consecutive messages."""
    shells = [host.start("bash", "-c", f"exec env {line}") for host, line in zip(hosts, lines)]
    for shell in shells[:3]:
        wait_until(
            lambda shell=shell: len(shell.out.matching(RECEIVED)) >= 3,
            f"three messages in shell {shells.index(shell) + 1} ({shell.tail()})", limit)
        sequences = [int(re.search(r"seq=(\d+)", line).group(1)) for line in shell.out.matching(RECEIVED)]
        wait_until(
            lambda sequences=sequences: sequences == list(range(sequences[0], sequences[0] + len(sequences))),
            f"consecutive messages instead of {sequences}", 0.0)


def scenario_multicast_example_one_host(lab):
    """Four shells of one host find each other by multicast."""
    host = lab.host()
    run_shells([host] * 4, readme_example("multicast"))


def scenario_unicast_example_one_host(lab):
    """Four shells of one host find each other through the first."""
    host = lab.host()
    run_shells([host] * 4, readme_example("unicast"))


def scenario_multicast_example_four_hosts(lab):
    """Four hosts at one switch find each other by multicast."""
    run_shells(lab.bridged(4), readme_example("multicast"))


def scenario_unicast_example_four_hosts(lab):
    """Four hosts at one switch find each other through the first, by its address."""
    hosts = lab.bridged(4)
    run_shells(hosts, [line.replace("127.0.0.1", hosts[0].address) for line in readme_example("unicast")])


def scenario_unicast_example_two_subnets(lab):
    """The same with a router between the first two hosts and the others."""
    (first, second), (third, fourth) = lab.routed()
    lines = [line.replace("127.0.0.1", first.address) for line in readme_example("unicast")]
    run_shells([first, second, third, fourth], lines)
