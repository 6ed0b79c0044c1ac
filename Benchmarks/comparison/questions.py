"""What is asked of Glue and of its peers: each question is one table, one picture, and one or more goals."""
from measuring import Failure
from peers import Glue, Raw, all_peers

KIB = 1024


class Question:
    """A question, with those who are asked in each round."""

    def __init__(self, name, title, unit, asked, ask, *, scale=1.0, digits=0, columns=(), goal=""):
        self.name, self.title, self.unit, self.goal = name, title, unit, goal
        self.asked, self.ask = asked, ask
        self.scale, self.digits = scale, digits
        self.columns = columns
        """Further figures of an answer: their headings, and what gets them."""
        self.answers = {peer.name: [] for peer in asked}
        """One of each round; None where there was none."""
        self.failures = {}

    def restrict(self, includes):
        """Asks only some."""
        self.asked = [peer for peer in self.asked if includes(peer)]

    def play(self, seconds, say):
        """One round: everybody is asked once, in turn."""
        for peer in self.asked:
            try:
                answer = self.ask(peer, seconds)
            except Failure as failure:
                self.answers[peer.name].append(None)
                self.failures.setdefault(peer.name, []).append(str(failure))
                say(f"{self.name}: {peer.name}: {failure}")
                continue
            self.answers[peer.name].append(answer)
            say(f"{self.name}: {peer.name}: {self.figure(answer) * self.scale:.{self.digits}f} {self.unit}")

    @staticmethod
    def figure(answer):
        """The figure that the question is about."""
        return answer[0] if isinstance(answer, tuple) else answer

    def values(self, name):
        return [self.figure(answer) for answer in self.answers[name] if answer is not None]

    def ratios(self, name, other):
        """Of each round in which both answered."""
        both = zip(self.answers[name], self.answers[other])
        return [self.figure(ours) / self.figure(theirs) for ours, theirs in both if ours is not None and theirs is not None]


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
        self.packages = raw.packages
        self.version, self.prepare = raw.version, raw.prepare

    def throughput(self, size, seconds, subscribers):
        segment = int(self.raw.environment.get("SEGMENT", 1472))
        rate = self.raw.throughput(segment, seconds, subscribers)
        return rate._replace(per_second=rate.per_second * segment / size)


def questions(options):
    """All questions, in the order in which they are asked."""
    peers = all_peers(options)
    of_many = [peer for peer in peers if peer.name not in ("mosquitto, QoS 1", "Zenoh")]
    bare = [RawRate(Raw(options, "bare UDP, 1,472 B")), RawRate(Raw(options, "bare UDP, 65,000 B", SEGMENT="65000"))]
    variants = [Glue(options, "Glue, tasks on its executor", ["--api", "async-own"]),
                Glue(options, "Glue, busy polling", ["--busy-poll", "50us"])]
    blocking, polling = Raw(options, "bare UDP, blocking"), Raw(options, "bare UDP, polling", POLL="1")
    found = [
        throughput("1-1-64B", "One publisher, one subscriber, 64 B", 64, 1, peers, "≥ 1.3 × the best peer, ≥ 6 × CycloneDDS"),
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
        lambda peer, seconds: peer.round_trip(64, seconds), digits=1,
        columns=(("p99, µs", lambda a: f"{a.p99:.1f}"), ("processor time of one side, µs", lambda a: microseconds(a.processor_us))),
        goal="p50 ≤ 1.1 ×, p99 ≤ 1.3 × bare UDP, blocking; tasks ≤ 1.3 × that; busy polling ≤ 2 × bare UDP, polling"))
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
        "wire", "What a message of 64 B takes on the wire, headers of IPv4 and UDP and everything that both sides send included",
        "bytes", [Glue(options, "Glue, as many as possible"), Glue(options, "Glue, 1,000 a second")],
        lambda peer, seconds: (
            peer.alone(64, 1000, seconds) if "1,000" in peer.name else peer.throughput(64, seconds, 1)).wire_bytes,
        goal="≤ 80 in a burst, ≤ 120 alone"))
    found.append(Question(
        "idle", "Memory of a process that has nothing to do", "MB", [peer for peer in peers if peer.name not in (
            "mosquitto, QoS 1", "Zenoh")], lambda peer, seconds: peer.idle(max(seconds, 10)), scale=1e-6, digits=1,
        columns=(("% of a processor", lambda a: f"{100 * a.processor:.2f}"), ("packets a second, all", lambda a: f"{a.packets:.1f}"),
                 ("bytes a second, all", lambda a: f"{a.traffic:.0f}")),
        goal="≤ 10 MB, ≤ 0.1 % of a processor, announcements only"))
    return found
