"""Tables and pictures of what was measured."""
import datetime
import os
import platform
import re
import sys

from measuring import ROOT, fail, middle, spread

DOCUMENT = os.path.join(ROOT, "docs", "comparison.md")
PICTURES = os.path.join(ROOT, "docs", "images")
BEGIN, END = "<!-- measured: from here", "<!-- measured: to here -->"


LIMIT_HEADINGS = ("÷ bare sockets", "p99 ÷ bare sockets")


def rows(question):
    """For each of those asked: name, figures or None, the ratio to the first one's figure, further columns."""
    found = []
    for peer in question.asked:
        values = question.values(peer.name)
        if not values:
            found.append((peer.name, None, None, []))
            continue
        first = question.asked[0].name
        ratios = question.ratios(first, peer.name) if peer.name != first else []
        answer = middle([answer for answer in question.answers[peer.name] if answer is not None])
        further = [text(answer) for _, text in question.columns]
        if question.limits:
            further += beside_the_limit(question, peer.name)
        found.append((peer.name, spread([value * question.scale for value in values]), spread(ratios) if ratios else None, further))
    return found


def beside_the_limit(question, name):
    """How many times as much as that of bare sockets its figure and its p99 are."""
    limit = question.limits.get(name)
    found = [question.ratios(name, limit, figure) for figure in (None, lambda a: a.p99)] if limit in question.answers else []
    return [ratio_text(spread(ratios)) if ratios else "" for ratios in found] or [""] * len(LIMIT_HEADINGS)


def reason_text(failure):
    """Why somebody failed, on one line, without the directories of this machine."""
    return re.sub(r"/\S*/", "", failure.splitlines()[0]).replace("|", "/")


def ratio_text(ratio):
    """Median and extremes; small ones with a digit more."""
    digits = 2 if ratio[0] >= 0.1 else 3
    return "{0:.{d}f} ({1:.{d}f} – {2:.{d}f})".format(*ratio, d=digits)


def table(question):
    """The table of a question, in Markdown."""
    lines = [f"### {question.title}", "", f"Goal: {question.goal}.", ""]
    headings = ["", question.unit, "the first ÷ this one"] + [heading for heading, _ in question.columns]
    headings += LIMIT_HEADINGS if question.limits else ()
    lines += [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    for name, figures, ratio, further in rows(question):
        if figures is None:
            reason = reason_text(question.failures.get(name, ["not asked"])[0])
            lines.append(f"| {name} | {reason} |" + " |" * (len(headings) - 2))
            continue
        shown = "{0:,.{d}f} ({1:,.{d}f} – {2:,.{d}f})".format(*figures, d=question.digits)
        compared = ratio_text(ratio) if ratio else ""
        failed = len(question.failures.get(name, []))
        note = f"; {failed} of {question.rounds} rounds failed" if failed else ""
        lines.append("| " + " | ".join([name, shown + note, compared, *further]) + " |")
    for name, failures in question.failures.items():
        if question.values(name):
            lines += ["", f"{name} failed at first by: {reason_text(failures[0])}"]
    return "\n".join(lines)


# MARK: Pictures

WIDTH, LABEL, BAR, GAP = 720, 190, 18, 8


def picture(question):
    """A bar for each of those asked, with its extremes, as SVG; readable on light and on dark ground."""
    shown = [(name, figures) for name, figures, _, _ in rows(question) if figures]
    top = max(high for _, (_, _, high) in shown)
    room = WIDTH - LABEL - 110
    height = 34 + len(shown) * (BAR + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        "<style>text{fill:#333}.bar{fill:#9aa7b4}.own{fill:#d9622b}.range{stroke:#333}"
        "@media (prefers-color-scheme: dark){text{fill:#ddd}.range{stroke:#ddd}.bar{fill:#66727e}}</style>",
        f'<text x="0" y="15" font-weight="600">{escape(question.title)}, {escape(question.unit)}</text>']
    for index, (name, (middle, low, high)) in enumerate(shown):
        y = 28 + index * (BAR + GAP)
        x = lambda value: LABEL + room * value / top  # noqa: E731
        kind = "own" if name.startswith("Glue") else "bar"
        parts += [
            f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{kind}" x="{LABEL}" y="{y}" width="{max(1, x(middle) - LABEL):.1f}" height="{BAR}" rx="2"/>',
            f'<line class="range" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y + BAR / 2}" y2="{y + BAR / 2}"/>',
            f'<text x="{x(high) + 8:.1f}" y="{y + 14}">{middle:,.{question.digits}f}</text>']
    return "\n".join([*parts, "</svg>", ""])


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;")


# MARK: The document

def machine():
    model = "?"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{os.cpu_count()} processors ({model}), Linux {platform.release()}"


def versions(asked):
    """Of those who are asked, by what their names begin with. To be called before anything is measured: who commits or writes meanwhile
    changes what the checkout is called."""
    peers = {peer.name.split(",")[0]: peer for question in asked for peer in question.asked}
    return {name: f"{name} {peer.version()}" for name, peer in peers.items()}


def write(asked, options, versions):
    """Replaces what the document says of these questions, and leaves what it says of others."""
    with open(DOCUMENT) as file:
        text = file.read()
    os.makedirs(PICTURES, exist_ok=True)
    for question in asked:
        begin = f"{BEGIN} {question.name} -->"
        if begin not in text:
            fail(f"{DOCUMENT} has no place for {question.name}: {begin} … {END}")
        if not any(question.values(peer.name) for peer in question.asked):
            print(f"compare: nobody answered {question.name}: what the document says of it stays", file=sys.stderr)
            continue
        with open(os.path.join(PICTURES, f"{question.name}.svg"), "w") as file:
            file.write(picture(question))
        head, rest = text.split(begin, 1)
        tail = rest.split(END, 1)[1]
        used = dict.fromkeys(versions[peer.name.split(",")[0]] for peer in question.asked)
        how = "once" if question.once else f"{options.rounds} rounds of {max(options.seconds, question.least_seconds)} s"
        when = f"{datetime.date.today()}, {how}, {machine()}; {', '.join(used)}."
        text = (f"{head}{begin}\n{table(question)}\n\n![{question.title}](images/{question.name}.svg)\n\n{when}\n{END}{tail}")
    with open(DOCUMENT, "w") as file:
        file.write(text)
