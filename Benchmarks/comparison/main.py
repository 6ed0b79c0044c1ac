#!/usr/bin/env python3
"""Glue beside CycloneDDS, ZeroMQ, NATS, Zenoh and mosquitto: the same work in turns, on loopback in a network namespace of its own,
or between two of them where packets are to be lost.

Each round asks everybody once; the report shows the medians of the rounds, their extremes, and the median of each round's ratio.

Installs the others by apt-get and pip; needs root on Debian. Everything takes an hour and a half.
"""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import peers  # noqa: E402
import report  # noqa: E402
from measuring import ROOT, fail  # noqa: E402
from questions import questions  # noqa: E402


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="QUESTION", help="only these; all otherwise")
    parser.add_argument("--peers", default="", metavar="NAME,...", help="only peers whose names begin so, Glue always")
    parser.add_argument("--rounds", type=int, default=5, help="how often everybody is asked; at least 1 (default: 5)")
    parser.add_argument("--seconds", type=int, default=3, help="how long each time; at least 2 (default: 3)")
    parser.add_argument("--list", action="store_true", help="list the questions, and who is asked")
    parser.add_argument("--write", action="store_true", help="replace the tables and pictures in docs/ by what was measured")
    parser.add_argument("--glue", default=os.path.join(ROOT, ".build/release/glue"), metavar="PATH",
                        help="the program to measure (default: .build/release/glue)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds < 2:
        fail("--rounds is at least 1, --seconds at least 2")
    return options


def chosen(options):
    """The questions that are asked, of those who are asked."""
    every = questions(options)
    names = {question.name for question in every}
    for name in options.names:
        if name not in names:
            fail(f"no question {name}; there are: {' '.join(sorted(names))}")
    asked = [question for question in every if not options.names or question.name in options.names]
    if options.peers:
        beginnings = [name.strip().lower() for name in options.peers.split(",")]
        known = sorted({peer.name for question in asked for peer in question.asked})
        for beginning in beginnings:
            if not beginning or not any(name.lower().startswith(beginning) for name in known):
                fail(f"no peer {beginning!r}; there are: {'; '.join(known)}")
        beginnings.append("glue")
        for question in asked:
            question.restrict(lambda peer: any(peer.name.lower().startswith(b) for b in beginnings))
    return asked


def prepare(everybody, directory):
    for peer in everybody:
        try:
            peer.prepare(directory)
        except subprocess.CalledProcessError as error:
            fail(f"{peer.name} cannot be prepared: {error}. --peers leaves it out")


def inside_a_namespace(everybody):
    """Does the work in a network namespace of its own, and removes what it has made outside of it. Returns its exit status."""
    directory = tempfile.mkdtemp(prefix="glue-compare-")
    # Otherwise this would end without removing anything.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        prepare(everybody, directory)
        done = subprocess.run(
            ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
             'ip link set lo up && ip route add 224.0.0.0/4 dev lo && exec "$@"', "sh", sys.executable, *sys.argv, "--inside"],
            env={**os.environ, "GLUE_COMPARE": directory})
        return done.returncode
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main():
    options = parse()
    asked = chosen(options)
    if options.list:
        for question in asked:
            print(f"{question.name:12} {question.title}; goal: {question.goal}")
        print(f"Asked are: {'; '.join(sorted({peer.name for question in asked for peer in question.asked}))}")
        return
    if not os.path.exists(options.glue):
        fail(f"no {options.glue}: build it by `swift build --configuration release`, or name another one by --glue")
    everybody = {peer.name: peer for question in asked for peer in question.asked}.values()
    if not options.inside:
        packages = {package for question in asked for package in question.packages}
        peers.install(everybody, packages)
        sys.exit(inside_a_namespace(everybody))
    prepare(everybody, os.environ["GLUE_COMPARE"])
    versions = report.versions(asked)
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", flush=True)
        for question in asked:
            question.play(options.seconds, lambda text: print(f"  {text}", flush=True))
    for question in asked:
        print("\n" + report.table(question))
    if options.write:
        report.write(asked, options, versions)


try:
    main()
except KeyboardInterrupt:
    sys.exit(128 + signal.SIGINT)
