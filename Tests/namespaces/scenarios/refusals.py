"""What must end in a clear line: clashes, bad settings, wrong types."""

import time

from lab import expect, wait_until

# Each variable with values that cannot be used.
BAD_SETTINGS = {
    "GLUE_NETWORK_ID": ["-1", "one", "", "18446744073709551616", "1.5", " 1"],
    "GLUE_ENDPOINT_ID": ["0", "-1", "x", "", "18446744073709551616"],
    "GLUE_ENDPOINT_NAME": ["", "n" * 257, "ä" * 129, "K\udcfcche"],  # the last one is not UTF-8
    "GLUE_LISTEN_ADDRESS": [
        "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "localhost:1", "1.2.3:4", ":1", "",
        "[::1]", "::1", "::1:5000", "[::1]:", "[::1:5000", "[fe80::1%nosuch0]:0", "[fe80::1%]:0", "[ff02::1]:0",
        "[::ffff:127.0.0.1]:0", "[2001:db8::1]:5000", "192.0.2.1:5000"],
    "GLUE_LISTEN_INTERFACE": ["no-such-interface", "a/b", "", "lo,", "lo,lo", "all,lo", ",".join(f"e{n}" for n in range(17))],
    "GLUE_DISCOVERY_TARGET_ADDRESS": [
        "1", "239.192.137.1", "239.192.137.1:0", "239.192.137.1:99999", "x:27320", "", "[ff02::1]", "[ff02::1]:0", "[::]:27320",
        "[ff02::1%nosuch0]:27320", "ff12::efc0:8901:27320"],
    "GLUE_DISCOVERY_LISTEN_ADDRESS": [
        "239.192.137.1", "x", "1.2.3.4.5:1", "239.192.137.1:70000", "", "[ff02::1]:70000", "[ff02::1%nosuch0]:1",
        "239.192.137.1:0", "[ff12::1]:0", "127.0.0.1:0", "192.0.2.1:5000", "[2001:db8::1]:5000"],
    "GLUE_DISCOVERY_RATE_MILLISECONDS": ["9", "60001", "0", "-5", "fast", "", "10.5"],
    "GLUE_RELAY": ["", "2", "yes"],
    "GLUE_MULTICAST_DATA": ["", "2", "yes"],
    "GLUE_BUSY_POLLING_MICROSECONDS": ["", "-1", "10000001", "1ms"],
    "GLUE_DISCOVERY_RATE_TIMEOUT_MULTIPLIER": ["0", "0.99", "-1", "x", "", "nan", "inf"],
}

GOOD_SETTINGS = {
    "GLUE_NETWORK_ID": ["0", "18446744073709551615"],
    "GLUE_ENDPOINT_ID": ["1", "18446744073709551615"],
    "GLUE_ENDPOINT_NAME": ["n" * 256, "Küche"],
    "GLUE_LISTEN_ADDRESS": ["127.0.0.1:0", "0.0.0.0:40000", "[::1]:0", "[::]:40000"],
    "GLUE_LISTEN_INTERFACE": ["lo", "nosuch0", "nosuch0,lo", "all"],  # it may come yet
    "GLUE_DISCOVERY_TARGET_ADDRESS": ["0", "127.0.0.1:27320", "239.1.2.3:4000", "[::1]:27320", "[::1%lo]:27320"],
    "GLUE_DISCOVERY_LISTEN_ADDRESS": ["239.1.2.3:4000", "[ff12::1234]:4000", "[ff12::1234%lo]:4000"],
    "GLUE_DISCOVERY_RATE_MILLISECONDS": ["10", "60000"],
    "GLUE_RELAY": ["1", "0"],
    "GLUE_MULTICAST_DATA": ["1", "0"],
    "GLUE_BUSY_POLLING_MICROSECONDS": ["0", "100"],
    "GLUE_DISCOVERY_RATE_TIMEOUT_MULTIPLIER": ["1", "2.5"],
}


def scenario_bad_settings(lab):
    """Every variable with bad values: one line that names it, the value and what is accepted; status 78."""
    host = lab.host()
    tried = 0
    cases = [(variable, value, False) for variable, values in BAD_SETTINGS.items() for value in values]
    cases += [(variable, value, True) for variable, values in GOOD_SETTINGS.items() for value in values]
    for variable, value, good in cases:
        running = host.glue("sub", "t", "--duration", "10ms", "--quiet", env={variable: value})
        status = running.wait()
        lines = running.err.texts()
        what = f"{variable}={value!r}: status {status}, {lines}"
        if good:
            expect(status == 0, what)
        else:
            shown = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            expect(status == 78 and len(lines) == 1 and f'{variable}="{shown}"' in lines[0], what)
            expect("expected" in lines[0], what)
            expect(value != "localhost:1" or "host names are not looked up" in lines[0], what)
        tried += 1
    return f"{tried} values"


def scenario_bad_arguments(lab):
    """Bad arguments: one line, status 64."""
    host = lab.host()
    for words in (
        ["sub"], ["sub", "t", "--duration", "10"], ["sub", "t", "--count", "0"], ["pub", "t"], ["pub", "t", "x", "--size", "3"],
        ["pub", "t", "x", "--rate", "0"], ["pub", "t", "--size", "3XB"], ["nosuch"], ["help", "nosuch"], ["bench", "nosuch"],
        ["sub", "t", "--nosuch"], ["topics", "--duration", "3"], ["topics", "a", "b"],
        ["bench", "latency", "--size", "1MiB"],
    ):
        running = host.glue(*words)
        status = running.wait()
        lines = running.err.texts()
        expect(status == 64 and len(lines) == 1, f"glue {' '.join(words)}: status {status}, {lines}")
        help_page = {"sub": "glue help sub", "pub": "glue help pub", "bench": "glue help bench", "topics": "glue help topics"}.get(words[0], "glue help")
        expect(f"(see `{help_page}" in lines[0], f"glue {' '.join(words)}: {lines}")
    for words, text in ((["sub", "a/#/b"], "a/#/b"), (["pub", "a/+", "x"], "a/+"), (["pub", "t", "--file", "/nosuch"], "/nosuch: No such file"),
                        (["pub", "t", "--file", "/"], "cannot read /: Is a directory"),
                        (["pub", "t", "--file", "/dev/zero"], "/dev/zero has more than 16777216 bytes")):
        running = host.glue(*words)
        status = running.wait()
        lines = running.err.texts()
        expect(status != 0 and len(lines) == 1 and text in lines[0], f"glue {' '.join(words)}: status {status}, {lines}")


def clash(lab, environment, subject):
    """Starts a holder and a second endpoint with the same identity; the second must give way, the holder go on."""
    first, second, third = lab.bridged(3)
    holder = first.glue("sub", "t", "--no-payload", env={"GLUE_ENDPOINT_ID": "41", "GLUE_ENDPOINT_NAME": "kitchen-1"})
    publisher = third.glue("pub", "t", "tick", "--rate", "50")
    holder.wait_for_line("seq=")
    # Uptimes that differ by less than about a second count as equal; then either may have to go.
    wait_until(lambda: time.monotonic() - holder.started_at > 2.5, "the holder to be clearly older")
    loser = second.glue("sub", "t", "--quiet", env=environment)
    status = loser.wait(10)
    lines = loser.err.texts()
    expect(status not in (0, None), f"the second endpoint with that {subject} went on")
    expect(len(lines) == 1 and "41" in lines[0] and "kitchen-1" in lines[0], f"no line names the holder: {lines}")
    # Whoever settled it, the holder itself or a peer of both, tells of it.
    wait_until(lambda: holder.err.matching("clash") or publisher.err.matching("clash"), "an event of the clash", 5)
    seen = len(holder.out.all)
    wait_until(lambda: len(holder.out.all) >= seen + 20, "messages at the holder after the clash", 5)
    expect(holder.is_running and publisher.is_running, "the holder or the publisher ended")
    expect(not holder.err.matching("peer removed: .*publisher"), "the holder lost its peer")
    return lines[0]


def scenario_endpoint_id_clash(lab):
    """A second endpoint with a live ID is refused with a line that names the holder."""
    return clash(lab, {"GLUE_ENDPOINT_ID": "41", "GLUE_ENDPOINT_NAME": "kitchen-2"}, "ID")


def scenario_endpoint_name_clash(lab):
    """A second endpoint with a live name is refused with a line that names the holder."""
    return clash(lab, {"GLUE_ENDPOINT_ID": "42", "GLUE_ENDPOINT_NAME": "kitchen-1"}, "name")


def scenario_wrong_type(lab):
    """A topic of another type: an event on both sides, and no message."""
    first, second = lab.bridged(2)
    subscriber = first.glue("sub", "t", "--type", "Temperature")
    publisher = second.glue("pub", "t", "x", "--type", "Pressure", "--rate", "20")
    for side in (subscriber, publisher):
        line = side.wait_for_line("type", stream="err")
        line = side.wait_for_line(r"^event: .*(Temperature.*Pressure|Pressure.*Temperature)", stream="err")
        expect(" t" in line or "t " in line, line)
    expect(not subscriber.out.all, f"a message came through: {subscriber.out.texts()[:1]}")
    return line
