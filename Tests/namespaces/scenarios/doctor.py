"""`glue doctor` on hosts that are well, and on hosts that are broken on purpose: it names the cause, and nothing else."""

import json
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor

from lab import Lab, command, expect, tool

# Where the cause shows at once, or where nothing will.
QUICK = ("--duration", "2s")
GROUPS = ("ip daddr 224.0.0.0/4 udp dport 27320", "ip6 daddr ff00::/8 udp dport 27320")


def make_key():
    return subprocess.run([tool("glue"), "key"], capture_output=True, text=True, check=True).stdout.strip()


def examine(host, *options, env=None):
    """Runs the doctor; returns its status, its findings that are more than a note, and all of them by code."""
    running = host.glue("doctor", "--json", *options, env=env)
    status = running.wait(40)
    lines = [json.loads(line) for line in running.out.texts()]
    expect(lines and "well" in lines[-1], f"no summary, status {status}: {running.tail()}")
    findings = lines[:-1]
    expect(status == (0 if lines[-1]["well"] else 1), f"status {status}, {lines[-1]}")
    return findings, lines[-1]


def codes(findings, severity):
    return sorted({finding["code"] for finding in findings if finding["severity"] == severity})


def diagnose(host, problems, warnings=(), notes=(), options=(), env=None):
    """Runs the doctor, which must find exactly these problems and warnings, and these notes among others."""
    findings, summary = examine(host, *options, env=env)
    text = "; ".join(f"{item['severity']} {item['code']}: {item['text']} {item['evidence']}" for item in findings)
    expect(codes(findings, "problem") == sorted(problems), f"problems {problems} expected: {text}")
    # What the machine that runs this gives is no part of the set-up.
    seen = [code for code in codes(findings, "warning") if code != "receive-buffer"]
    expect(seen == sorted(warnings), f"warnings {warnings} expected: {text}")
    missing = set(notes) - set(codes(findings, "note"))
    expect(not missing, f"no note {missing}: {text}")
    for finding in findings:
        expect(finding["severity"] != "problem" or finding["commands"] or finding["code"] == "type-mismatch",
               f"a problem without a remedy: {finding}")
    return findings, summary


def filter_at_switch(lab, port, hook, *rules):
    """Drops what matches where it enters the switch from a host (ingress) or leaves it towards one (egress)."""
    family = ("netdev", f"{hook}_{port}")
    lab.switch.command("nft", "add", "table", *family)
    lab.switch.command(
        "nft", "add", "chain", *family, "drops",
        "{", "type", "filter", "hook", hook, "device", port, "priority", "0", ";", "}")
    for rule in rules:
        lab.switch.command("nft", "add", "rule", *family, "drops", *rule.split(), "counter", "drop")


def input_drop(host, *rule):
    """Gives a host a packet filter that drops what matches on its way in."""
    host.command("nft", "add", "table", "inet", "filter")
    host.command(
        "nft", "add", "chain", "inet", "filter", "input", "{", "type", "filter", "hook", "input", "priority", "0", ";", "}")
    host.command("nft", "add", "rule", "inet", "filter", "input", *rule, "drop")


def pair(lab, env=None, **options):
    """Two hosts, on the first of which an endpoint runs."""
    first, second = lab.bridged(2, **options)
    peer = first.glue("sub", "t", env=env)
    peer.wait_for_listening()
    return first, second


# MARK: Each of these is one set-up, in a lab of its own


def healthy(lab):
    _, second = pair(lab)
    findings, summary = diagnose(second, [])
    expect(summary["peers"] == 1 and summary["seconds"] < 4.5, f"{summary}")
    fine = codes(findings, "ok")
    expect({"interface", "multicast", "peers", "loss"} <= set(fine), f"{fine}")


def healthy_with_a_key(lab):
    env = {"GLUE_NETWORK_KEY": make_key()}
    _, second = pair(lab, env=env)
    diagnose(second, [], env=env)


def key_file(lab):
    """A key file that others can read is warned of; the fingerprint is that of `glue key --fingerprint`."""
    with tempfile.TemporaryDirectory(prefix="glue-") as folder:
        path = os.path.join(folder, "network.key")
        with open(path, "w", encoding="ascii") as file:
            file.write(make_key())
        os.chmod(path, 0o640)
        env = {"GLUE_NETWORK_KEY_FILE": path}
        _, second = pair(lab, env=env)
        findings, _ = diagnose(second, [], ["key-file"], env=env)
        mended = [item["commands"] for item in findings if item["code"] == "key-file"][0]
        second.command(*mended[0].split())
        findings, _ = diagnose(second, [], env=env)
        shown = second.glue("key", "--fingerprint", path).succeed().out.texts()
        same = second.glue("key", "--fingerprint", env=env).succeed().out.texts()
    expect(len(shown) == 1 and shown == same, f"{shown} {same}")
    expect(any(item["code"] == "network-key" and shown[0] in item["text"] for item in findings), f"{shown} {findings}")


def two_doctors(lab):
    first, second = lab.bridged(2)
    with ThreadPoolExecutor() as pool:
        for outcome in [pool.submit(diagnose, host, [], options=["--duration", "8s"]) for host in (first, second)]:
            expect(outcome.result()[1]["peers"] == 1, "the two did not find each other")


def own_meeting_point(lab):
    env = {"GLUE_DISCOVERY_TARGET_ADDRESS": "0"}
    first, second = pair(lab, env=env)
    diagnose(first, [], ["nobody"], env=env)
    _, summary = diagnose(second, [], env={"GLUE_DISCOVERY_TARGET_ADDRESS": f"{first.address}:27320"})
    expect(summary["peers"] == 1 and summary["seconds"] < 4.5, f"{summary}")


def multicast_in_blocked(lab):
    _, second = pair(lab)
    filter_at_switch(lab, second.port, "egress", *GROUPS)
    diagnose(second, ["multicast-in"])


def multicast_out_blocked(lab):
    _, second = pair(lab)
    filter_at_switch(lab, second.port, "ingress", *GROUPS)
    diagnose(second, ["multicast-out"])


def multicast_blocked_both_ways(lab):
    _, second = pair(lab)
    for hook in ("ingress", "egress"):
        filter_at_switch(lab, second.port, hook, *GROUPS)
    findings, _ = diagnose(second, ["nobody"], options=QUICK)
    expect("blocks multicast in both directions" in findings[0]["text"], f"{findings[0]}")


def multicast_blocked_beside_a_meeting_point(lab):
    first, second = pair(lab, env={"GLUE_DISCOVERY_TARGET_ADDRESS": "0"})
    for hook in ("ingress", "egress"):
        filter_at_switch(lab, second.port, hook, *GROUPS)
    diagnose(
        second, [], notes=["multicast-blocked"], env={"GLUE_DISCOVERY_TARGET_ADDRESS": f"{first.address}:27320"})


def unicast_out_blocked(lab):
    _, second = pair(lab, families=["4", "4"])
    filter_at_switch(lab, second.port, "ingress", "ip daddr 10.0.0.0/8 meta l4proto udp")
    diagnose(second, ["unicast-out"])


def unicast_in_blocked(lab):
    _, second = pair(lab, families=["4", "4"])
    filter_at_switch(lab, second.port, "egress", "ip daddr 10.0.0.0/8 meta l4proto udp")
    diagnose(second, ["unicast-in"])


def path_passes_less_than_needed(lab):
    _, second = pair(lab, families=["4", "4"])
    filter_at_switch(lab, second.port, "ingress", "ip daddr 10.0.0.0/8 ip length > 1000")
    diagnose(second, ["path-mtu"])


def path_passes_less_than_the_interface(lab):
    _, second = pair(lab, families=["4", "4"])
    filter_at_switch(lab, second.port, "ingress", "ip daddr 10.0.0.0/8 ip length > 1300")
    diagnose(second, [], ["path-mtu"])


def large_datagrams_lost(lab):
    _, second = pair(lab, families=["4", "4"])
    # All of the largest vanish by chance once in 65,000 runs, and too few of both sizes less often.
    filter_at_switch(
        lab, second.port, "ingress", "ip daddr 10.0.0.0/8 ip length > 800 numgen random mod 100 < 50")
    findings, _ = examine(second, "--duration", "8s")
    bad = [item for item in findings if item["severity"] in ("problem", "warning")]
    expect({item["code"] for item in bad} - {"receive-buffer"} == {"loss-large"}, f"{bad}")


def firewall_of_the_host(lab):
    _, second = pair(lab)
    input_drop(second, "udp", "dport", "27320")
    findings, _ = diagnose(second, ["firewall"], options=QUICK)
    found = findings[0]
    expect(any("udp dport 27320 drop" in line for line in found["evidence"]), f"{found}")
    # What it says mends it.
    second.command(*found["commands"][0].split())
    diagnose(second, [])


def another_key(lab):
    _, second = pair(lab, env={"GLUE_NETWORK_KEY": make_key()})
    findings, _ = diagnose(second, ["network-key"], options=QUICK, env={"GLUE_NETWORK_KEY": make_key()})
    expect("another network key" in findings[0]["text"], f"{findings[0]}")


def no_key(lab):
    _, second = pair(lab, env={"GLUE_NETWORK_KEY": make_key()})
    findings, _ = diagnose(second, ["network-key"], options=QUICK)
    expect("the settings here have none" in findings[0]["text"], f"{findings[0]}")


def unwanted_key(lab):
    _, second = pair(lab)
    findings, _ = diagnose(second, ["network-key"], options=QUICK, env={"GLUE_NETWORK_KEY": make_key()})
    expect("has no network key" in findings[0]["text"], f"{findings[0]}")


def another_network(lab):
    _, second = pair(lab, env={"GLUE_NETWORK_ID": "7"})
    findings, _ = diagnose(second, ["network-id"], options=QUICK)
    expect(findings[0]["commands"] == ["export GLUE_NETWORK_ID=7"], f"{findings[0]}")


def id_clash(lab):
    env = {"GLUE_ENDPOINT_ID": "41"}
    first, second = lab.bridged(2)
    holder = first.glue("sub", "t", env=env)
    holder.wait_for_listening()
    diagnose(second, ["id-clash"], env=env)
    diagnose(first, [], ["nobody"], notes=["id-clash"], env=env)
    expect(holder.is_running and not holder.err.matching("clash"), f"the holder was disturbed: {holder.err.texts()}")


def name_clash(lab):
    env = {"GLUE_ENDPOINT_NAME": "kitchen-1"}
    first, second = lab.bridged(2)
    holder = first.glue("sub", "t", env=env)
    holder.wait_for_listening()
    diagnose(second, ["name-clash"], env=env)
    expect(holder.is_running and not holder.err.matching("clash"), f"the holder was disturbed: {holder.err.texts()}")


def type_mismatch(lab):
    first, second, third = lab.bridged(3)
    publisher = first.glue("pub", "home/kitchen", "21.5", "--type", "Celsius", "--rate", "10")
    publisher.wait_for_listening()
    subscriber = second.glue("sub", "home/+", "--type", "Fahrenheit")
    for process in (publisher, subscriber):
        process.wait_for_line("type mismatch", stream="err")
    findings, _ = diagnose(third, ["type-mismatch"])
    expect("Celsius" in findings[0]["text"] and "Fahrenheit" in findings[0]["text"], f"{findings[0]}")
    expect(len(publisher.err.matching("type mismatch")) == 1, "the publisher noticed the doctor's question")


def wrong_interface(lab):
    first, second = pair(lab)
    # The peers' network is eth0; the default route goes elsewhere.
    second.command("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "far")
    for name in ("eth1", "far"):
        second.command("ip", "link", "set", name, "up")
    second.command("ip", "address", "add", "10.99.0.1/24", "dev", "eth1")
    second.command("ip", "route", "replace", "default", "dev", "eth1")
    findings, _ = diagnose(second, ["wrong-interface"], options=QUICK)
    expect(findings[0]["commands"] == ["export GLUE_LISTEN_INTERFACE=eth0"], f"{findings[0]}")
    diagnose(second, [], env={"GLUE_LISTEN_INTERFACE": "eth0"})


def target_without_an_endpoint(lab):
    first, second = lab.bridged(2)
    diagnose(
        second, ["target-refused"], options=QUICK,
        env={"GLUE_DISCOVERY_TARGET_ADDRESS": f"{first.address}:27320"})


def target_that_is_not_there(lab):
    # The system gives up looking for the address after three seconds.
    host = lab.bridged(1)[0]
    diagnose(host, ["target-unreachable"], env={"GLUE_DISCOVERY_TARGET_ADDRESS": "10.77.1.99:27320"})


def target_behind_a_firewall(lab):
    first, second = pair(lab, env={"GLUE_DISCOVERY_TARGET_ADDRESS": "0"})
    input_drop(first, "meta", "l4proto", "udp")
    diagnose(
        second, ["target-silent"], options=QUICK,
        env={"GLUE_DISCOVERY_TARGET_ADDRESS": f"{first.address}:27320"})


def interfaces_that_cannot_work(lab):
    host = lab.bridged(1)[0]
    diagnose(host, ["interface"], env={"GLUE_LISTEN_INTERFACE": "eth7"})
    host.command("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    host.command("ip", "link", "add", "bare", "type", "veth", "peer", "name", "far")
    diagnose(host, ["interface"], env={"GLUE_LISTEN_INTERFACE": "bare"})
    for name in ("bare", "far"):
        host.command("ip", "link", "set", name, "up")
    findings, _ = diagnose(host, ["interface"], env={"GLUE_LISTEN_INTERFACE": "bare"})
    expect("no IP address" in findings[0]["text"], f"{findings[0]}")
    host.command("ip", "route", "delete", "default")
    host.command("ip", "-6", "route", "delete", "default")
    findings, _ = diagnose(host, ["interface"])
    expect("no default route" in findings[0]["text"], f"{findings[0]}")


def multicast_flag_off(lab):
    host = lab.bridged(1)[0]
    host.command("ip", "link", "set", "dev", "eth0", "multicast", "off")
    findings, _ = diagnose(host, ["multicast-flag"], options=["--duration", "1s"])
    expect("ip link set dev eth0 multicast on" in findings[0]["commands"], f"{findings[0]}")


def second_interface(lab):
    """Of two interfaces that are used the second one is looked at as well."""
    first, second = lab.bridged(2)
    lab.join([first, second], "eth1", "10.78.1")
    env = {"GLUE_LISTEN_INTERFACE": "eth0,eth1"}
    peer = first.glue("sub", "t", env=env)
    peer.wait_for_listening()
    _, summary = diagnose(second, [], env=env)
    expect(summary["interfaces"] == ["eth0", "eth1"], f"{summary}")
    input_drop(second, "iifname", "eth1", "udp", "dport", "27320")
    findings, _ = diagnose(second, ["firewall"], options=QUICK, env=env)
    expect("own multicast on eth1," in findings[0]["text"], f"{findings[0]}")
    second.command("nft", "delete", "table", "inet", "filter")
    second.command("ip", "link", "set", "dev", "eth1", "mtu", "900")
    findings, _ = examine(second, *QUICK, env=env)
    found = [item["text"] for item in findings if item["code"] == "interface-mtu"]
    expect(len(found) == 1 and found[0].startswith("eth1 "), f"{findings}")


def small_interface(lab):
    _, second = pair(lab, families=["4", "4"])
    second.command("ip", "link", "set", "dev", "eth0", "mtu", "900")
    findings, _ = examine(second)
    expect("interface-mtu" in codes(findings, "problem"), f"{findings}")


def port_taken(lab):
    _, second = pair(lab)
    hog = second.start(
        "python3", "-c",
        "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 27320)); "
        "print('bound', flush=True); sys.stdin.read()", stdin=subprocess.PIPE)
    hog.wait_for_line("bound")
    diagnose(second, ["port-taken"])


def alone(lab):
    host = lab.bridged(1)[0]
    diagnose(host, ["nobody"], options=QUICK)
    diagnose(host, [], options=[*QUICK, "--alone"])


def without_privileges(lab):
    """An ordinary user: what cannot be looked at is said, and the receive buffer is what such a user gets."""
    _, second = pair(lab)
    with tempfile.TemporaryDirectory(prefix="glue-") as folder:
        copy = os.path.join(folder, "glue")
        os.chmod(folder, 0o755)
        with open(tool("glue"), "rb") as source, open(copy, "wb") as target:
            target.write(source.read())
        os.chmod(copy, 0o755)
        running = second.start(
            "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", copy, "doctor", "--json")
        running.wait(40)
        findings = [json.loads(line) for line in running.out.texts()][:-1]
    expect("not-checked" in codes(findings, "note"), f"{running.tail()}")
    expect(not codes(findings, "problem"), f"{findings}")


def shim(folder):
    """A library that makes a program see another clock or smaller buffers; see shim.c."""
    source = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "shim.c")
    compiler = next(filter(None, map(shutil.which, ("clang", "cc"))), None)
    expect(compiler, "neither clang, which comes with Swift, nor cc is on the path")
    path = os.path.join(folder, "shim.so")
    command(compiler, "-shared", "-fPIC", "-o", path, source)
    return path


def another_clock(lab):
    with tempfile.TemporaryDirectory(prefix="glue-") as folder:
        _, second = pair(lab, env={"LD_PRELOAD": shim(folder), "SHIM_CLOCK_SECONDS": "3600"})
        findings, _ = diagnose(second, [], ["clock"])
    late = [item for item in findings if item["code"] == "clock"][0]
    expect("60.0 minutes ahead of" in late["text"], f"{late}")


def small_receive_buffer(lab):
    with tempfile.TemporaryDirectory(prefix="glue-") as folder:
        env = {"LD_PRELOAD": shim(folder), "SHIM_RECEIVE_BUFFER": "65536"}
        _, second = pair(lab)
        findings, _ = diagnose(second, ["receive-buffer"], env=env)
    expect("sysctl -w net.core.rmem_max=4194304" in findings[0]["commands"], f"{findings[0]}")


def run_set_ups(lab, set_ups):
    """Each in a lab of its own, several at a time: what takes the time is waiting."""

    def run(set_up):
        try:
            with Lab(long=lab.long) as own:
                set_up(own)
            return None
        except Exception as error:  # told together with the others
            return f"{set_up.__name__}: {error!r}"

    with ThreadPoolExecutor(max_workers=4) as pool:
        failures = [failure for failure in pool.map(run, set_ups) if failure]
    expect(not failures, "\n  ".join(failures))
    return f"{len(set_ups)} set-ups"


def scenario_doctor_healthy(lab):
    """`glue doctor` finds no problem where there is none."""
    return run_set_ups(lab, [healthy, healthy_with_a_key, key_file, two_doctors, own_meeting_point, without_privileges])


def scenario_doctor_paths(lab):
    """`glue doctor` names what is wrong between hosts."""
    return run_set_ups(lab, [
        multicast_in_blocked, multicast_out_blocked, multicast_blocked_both_ways,
        multicast_blocked_beside_a_meeting_point, unicast_out_blocked, unicast_in_blocked,
        path_passes_less_than_needed, path_passes_less_than_the_interface, large_datagrams_lost, another_clock])


def scenario_doctor_settings(lab):
    """`glue doctor` names settings that do not go together."""
    return run_set_ups(lab, [
        another_key, no_key, unwanted_key, another_network, id_clash, name_clash, type_mismatch,
        target_without_an_endpoint, target_that_is_not_there, target_behind_a_firewall])


def scenario_doctor_host(lab):
    """`glue doctor` names what is wrong with its own host."""
    return run_set_ups(lab, [
        firewall_of_the_host, wrong_interface, interfaces_that_cannot_work, multicast_flag_off, small_interface,
        second_interface, small_receive_buffer, port_taken, alone])
