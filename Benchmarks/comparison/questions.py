"""What is asked of Glue and of its peers: each question is one table, one picture, and one or more goals."""
from measuring import Failure
from peers import Glue, Raw, Simulated, all_peers
from wire import PACKAGES, wire

KIB = 1024


class Question:
    """A question, with those who are asked in each round."""

    def __init__(self, name, title, unit, asked, ask, *, scale=1.0, digits=0, columns=(), goal="", once=False, packages=(),
                 least_seconds=0, limits=None):
        self.name, self.title, self.unit, self.goal = name, title, unit, goal
        self.asked, self.ask = asked, ask
        self.scale, self.digits = scale, digits
        self.columns = columns
        """Further figures of an answer: their headings, and what gets them."""
        self.once = once
        """Asked in the first round only, as the answer is the same in each."""
        self.packages = packages
        """Debian packages that it needs beside those of the peers."""
        self.least_seconds = least_seconds
        """How long it takes each time at least."""
        self.limits = limits or {}
        """Bare sockets that somebody is to be compared with, by name."""
        self.answers = {peer.name: [] for peer in asked}
        """One of each round; None where there was none."""
        self.failures = {}

    def restrict(self, includes):
        """Asks only some."""
        self.asked = [peer for peer in self.asked if includes(peer)]

    def play(self, seconds, say):
        """One round: everybody is asked once, in turn."""
        if self.once and self.rounds:
            return
        for peer in self.asked:
            try:
                answer = self.ask(peer, max(seconds, self.least_seconds))
            except Exception as error:  # whatever it is: the others are asked all the same, and the table tells
                failure = str(error) if isinstance(error, Failure) else repr(error)
                self.answers[peer.name].append(None)
                self.failures.setdefault(peer.name, []).append(failure)
                say(f"{self.name}: {peer.name}: failed: {failure}")
                continue
            self.answers[peer.name].append(answer)
            say(f"{self.name}: {peer.name}: {self.figure(answer) * self.scale:.{self.digits}f} {self.unit}")

    @property
    def rounds(self):
        """How many rounds there were."""
        return max((len(answers) for answers in self.answers.values()), default=0)

    @staticmethod
    def figure(answer):
        """The figure that the question is about."""
        return answer[0] if isinstance(answer, tuple) else answer

    def values(self, name):
        return [self.figure(answer) for answer in self.answers[name] if answer is not None]

    def ratios(self, name, other, figure=None):
        """Of each round in which both answered."""
        figure = figure or self.figure
        both = zip(self.answers[name], self.answers[other])
        return [figure(ours) / figure(theirs) for ours, theirs in both
                if ours is not None and theirs is not None and figure(theirs)]


def percent(share):
    return "?" if share is None else f"{100 * share:.3g} %"


def microseconds(value):
    return "" if value is None else f"{value:.3g}"


def processor_of(rate):
    parts = [microseconds(v) for v in (rate.publisher_us, rate.subscriber_us, rate.broker_us) if v is not None]
    return " + ".join(parts)


RATE_COLUMNS = (
    ("arrived", lambda a: percent(a.delivered)), ("processor time per message, µs", processor_of),
    ("wire bytes", lambda a: "" if a.wire_bytes is None else f"{a.wire_bytes:.0f}"))

TRIP_COLUMNS = (("p99, µs", lambda a: f"{a.p99:.1f}"), ("processor time of one side, µs", lambda a: microseconds(a.processor_us)))


def throughput(name, title, size, subscribers, peers, goal):
    in_messages = size < KIB
    return Question(
        name, title, "k messages/s" if in_messages else "MB/s", peers,
        lambda peer, seconds: peer.throughput(size, seconds, subscribers),
        scale=1e-3 if in_messages else size * 1e-6, digits=0, columns=RATE_COLUMNS, goal=goal)


class RawRate:
    """Bare datagrams as if they were messages of another size."""

    def __init__(self, raw):
        self.raw, self.name = raw, raw.name
        self.segment = int(raw.environment.get("SEGMENT", 1472))
        self.packages = raw.packages
        self.version, self.prepare = raw.version, raw.prepare

    def throughput(self, size, seconds, subscribers):
        rate = self.raw.throughput(self.segment, seconds, subscribers)
        share = self.segment / size
        return rate._replace(per_second=rate.per_second * share, publisher_us=rate.publisher_us / share,
                             subscriber_us=rate.subscriber_us / share)

    def across(self, wire, size, seconds):
        across = self.raw.across(wire, self.segment, seconds)
        return across._replace(per_second=across.per_second * self.segment / size)


LOSS_PERCENT = 5
TIMED_MESSAGES = 500
"""At least: of fewer the slowest hundredth is next to none."""


def with_and_without_loss(peer, *what):
    """The same between two hosts, first without loss and then with it."""
    with wire() as joined:
        without = peer.across(joined, *what)
        joined.lose(LOSS_PERCENT)
        lossy = peer.across(joined, *what)
        joined.check(LOSS_PERCENT)
    return without, lossy


def of_loss(peers, bare):
    """The questions about loss."""
    title = f"{LOSS_PERCENT} % of all packets lost between two hosts"

    def stream(peer, seconds):
        without, lossy = with_and_without_loss(peer, 64 * KIB, seconds)
        return lossy.per_second / without.per_second, without.per_second, lossy.per_second

    def delays(size, rate):
        def ask(peer, seconds):
            without, lossy = with_and_without_loss(peer, size, seconds, rate)
            return lossy.p99, without.p99, lossy.p99 - without.p99, lossy.p50
        return ask

    def megabytes(per_second):
        return f"{per_second * 64 * KIB / 1e6:,.0f}"

    def milliseconds(microseconds):
        return f"{microseconds / 1e3:.1f}"

    columns = (("p99 without loss, ms", lambda a: milliseconds(a[1])), ("more by, ms", lambda a: milliseconds(a[2])),
               ("p50, ms", lambda a: milliseconds(a[3])))
    # ddsperf does not tell how long a message takes.
    timed = [peer for peer in peers if peer.name != "CycloneDDS"]
    return [
        Question("loss", f"{title}: the rate of a stream of 64 KiB", "% of the rate without loss", [*peers, bare], stream, scale=100,
                 columns=(("MB/s without loss", lambda a: megabytes(a[1])), ("MB/s", lambda a: megabytes(a[2]))), goal="≥ 70 %",
                 packages=PACKAGES),
        Question("loss-64KiB", f"{title}: what 64 KiB take, 100 a second", "ms, p99", timed, delays(64 * KIB, 100), scale=1e-3,
                 digits=1, columns=columns, goal="≤ 5 ms more than without loss", packages=PACKAGES,
                 least_seconds=TIMED_MESSAGES // 100),
        Question("loss-64B", f"{title}: what 64 B take that nothing follows for 20 ms", "ms, p99", timed, delays(64, 50), scale=1e-3,
                 digits=1, columns=columns, goal="≤ 15 ms more than without loss", packages=PACKAGES,
                 least_seconds=TIMED_MESSAGES // 50)]


def discover(peer, seconds):
    """What endpoints need to find each other, and to stay known."""
    if peer.count > 100 and memory_bytes() < LARGEST_SIMULATION_BYTES:
        raise Failure(f"needs {LARGEST_SIMULATION_BYTES / 1e9:.0f} GB of memory")
    rows = peer.discover()
    return rows["start"]["metAfterSeconds"], rows["start"], rows["steady"]


LARGEST_SIMULATION_BYTES = 12e9


def memory_bytes():
    """What may be used."""
    with open("/proc/meminfo") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def traffic_of(row):
    return (f"{row['sentPerSecond']:,.1f} + {row['receivedPerSecond']:,.1f}, "
            f"{row['sentBytesPerSecond'] / 1e3:,.1f} + {row['receivedBytesPerSecond'] / 1e3:,.1f} KB")


def on_the_wire(peer, seconds):
    rate = peer.alone(64, 1000, seconds) if "1,000" in peer.name else peer.throughput(64, seconds, 1)
    return rate.wire_bytes, rate.publisher_wire_bytes


def questions(options):
    """All questions, in the order in which they are asked."""
    peers = all_peers(options)
    of_many = [peer for peer in peers if peer.name not in ("mosquitto, QoS 1", "Zenoh (Python)")]
    bare = [RawRate(Raw(options, "bare UDP, 1,472 B")), RawRate(Raw(options, "bare UDP, 65,000 B", SEGMENT="65000"))]
    variants = [Glue(options, "Glue, tasks on its executor", ["--api", "async-own"]),
                Glue(options, "Glue, busy polling", ["--busy-poll", "50us"])]
    blocking, polling = Raw(options, "bare UDP, blocking"), Raw(options, "bare UDP, polling", POLL="1")
    found = [
        throughput("1-1-64B", "One publisher, one subscriber, 64 B", 64, 1, peers,
                   "≥ 1.3 × the best peer, ≥ 6 × CycloneDDS"),
        throughput("1-1-1KiB", "One publisher, one subscriber, 1 KiB", KIB, 1, peers, "≥ 3 × the best peer"),
        throughput("1-1-64KiB", "One publisher, one subscriber, 64 KiB", 64 * KIB, 1, [*peers, *bare],
                   "≥ 2 × CycloneDDS, ≥ 80 % of bare UDP with GSO and GRO"),
    ]
    for subscribers in (3, 8):
        for size, label in ((64, "64 B"), (64 * KIB, "64 KiB")):
            found.append(throughput(
                f"1-{subscribers}-{label.replace(' ', '')}", f"One publisher, {subscribers} subscribers, {label}; per subscriber",
                size, subscribers, of_many, "≥ 2 × the best peer"))
    found.append(Question(
        "round-trip", "Round trip of 64 B, p50", "µs", [*peers, *variants, blocking, polling],
        lambda peer, seconds: peer.round_trip(64, seconds), digits=1, columns=TRIP_COLUMNS,
        limits={"Glue": blocking.name, variants[0].name: blocking.name, variants[1].name: polling.name},
        goal="p50 ≤ 1.1 ×, p99 ≤ 1.3 × bare UDP, blocking; tasks ≤ 1.3 × that; busy polling ≤ 2 × bare UDP, polling"))
    found.append(Question(
        "for-await", "Round trip of 64 B through for await, p50", "µs",
        [Glue(options, "Glue, for await", arguments=["--api", "async"]), Glue(options, "Glue, callbacks"), blocking],
        lambda peer, seconds: peer.round_trip(64, seconds), digits=1, columns=TRIP_COLUMNS,
        limits={"Glue, for await": blocking.name, "Glue, callbacks": blocking.name},
        goal="≤ 1.9 × bare UDP, blocking"))
    found.append(Question(
        "paced", "Processor time with 1,000 messages of 64 B a second, all processes", "% of a processor",
        [peer for peer in peers if peer.name != "mosquitto, QoS 1"],
        lambda peer, seconds: (sum(shares := peer.paced(64, 1000, seconds)), shares), scale=100, digits=1,
        columns=(("publisher, subscriber, broker", lambda a: ", ".join(percent(share) for share in a[1])),),
        goal="≤ the best peer"))
    for size, label, goal in ((64, "64 B", "≥ 80 %"), (64 * KIB, "64 KiB", "≥ 50 %")):
        found.append(throughput(
            f"key-{label.replace(' ', '')}", f"One publisher, one subscriber, {label}, with a network key and without", size, 1,
            [Glue(options), Glue(options, "Glue, with a key", arguments=["--sealed"])], f"{goal} of the open figure"))
    found.append(Question(
        "wire", "What a message of 64 B takes on the wire",
        "bytes", [Glue(options, "Glue, as many as possible"), Glue(options, "Glue, 1,000 a second")],
        on_the_wire, columns=(("of them sent by the publisher", lambda a: f"{a[1]:.0f}"),),
        goal="≤ 80 in a burst, ≤ 120 alone"))
    found.append(Question(
        "idle", "Memory of a process that has nothing to do", "MB", of_many,
        lambda peer, seconds: peer.idle(seconds), scale=1e-6, digits=1, least_seconds=10,
        columns=(("of it not backed by a file", lambda a: f"{a.own_bytes / 1e6:.1f}"),
                 ("% of a processor", lambda a: f"{100 * a.processor:.2f}"), ("packets a second, all", lambda a: f"{a.packets:.1f}"),
                 ("bytes a second, all", lambda a: f"{a.traffic:.0f}")),
        goal="≤ 10 MB, ≤ 0.1 % of a processor, announcements only"))
    found += of_loss(of_many, bare[0])
    found.append(throughput(
        "size", "One publisher, one subscriber, 64 B, among many", 64, 1,
        [Glue(options, "Glue, one of each"),
         Glue(options, "Glue, 10,000 topics, one used", arguments=["--topics", "10000", "--used-topics", "1"]),
         Glue(options, "Glue, 10,000 topics in turns", arguments=["--topics", "10000"]),
         Glue(options, "Glue, 1,000 filters", arguments=["--filters", "1000"]),
         Glue(options, "Glue, 200 peers", arguments=["--peers", "200"])],
        "≥ 80 % of the rate with one of each, so a ratio of at most 1.25"))
    found.append(Question(
        "discovery", "All start within a second: until everybody knows everybody, simulated", "s, virtual",
        [Simulated(options, count) for count in (10, 100, 1000)], discover, digits=2, once=True, columns=(
            ("datagrams, bytes a second, sent + received by each, meanwhile", lambda a: traffic_of(a[1])),
            ("the same, half a minute later", lambda a: traffic_of(a[2])),
            ("processor time of each, ms a second, then and later", lambda a: ", ".join(
                f"{row['processorMillisecondsPerSecond']:.2f}" for row in a[1:]))),
        goal="≤ 3 s after the last start with 100"))
    return found
