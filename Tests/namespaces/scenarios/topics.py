"""`glue topics`: who publishes, wants and holds what."""

import json
import time

from lab import expect, wait_until


def named(name, number):
    return {"GLUE_ENDPOINT_NAME": name, "GLUE_ENDPOINT_ID": str(number)}


def look(host, *words):
    """What `glue topics --json` says: the topics by name, and the summary."""
    lines = host.glue("topics", *words, "--json").succeed()
    *topics, summary = [json.loads(line) for line in lines.out.texts()]
    return {topic["topic"]: topic for topic in topics}, summary


def scenario_topics(lab):
    """A living publisher with its rate, a dead one whose messages a cache holds, subscribers, types, and a filter that matches nothing."""
    source, middle, target, onlooker = lab.bridged(4)
    cache = middle.glue("cache", "#", env=named("keeper", 21))
    cache.wait_for_listening()
    victim = source.glue(
        "pub", "plant/oil", "--type", "Litre", "--size", "100B", "--rate", "200", "--keep", "50",
        "--await-subscribers", "1", env=named("old", 11))
    witness = target.glue("sub", "plant/oil", "--no-payload", env=named("witness", 31))
    wait_until(lambda: len(witness.out.all) >= 100, "100 messages at a witness", 30)
    victim.kill()
    witness.interrupt()
    publisher = source.glue(
        "pub", "plant/pressure", "--type", "Pascal", "--size", "1000B", "--rate", "50", "--keep", "10",
        "--await-subscribers", "2", env=named("pump", 12))
    reader = target.glue("sub", "plant/+", "--no-payload", env=named("reader", 32))
    mistaken = target.glue("sub", "plant/pressure", "--type", "Bar", env=named("mistaken", 33))
    astray = target.glue("sub", "palnt/#", env=named("astray", 34))
    expecting = target.glue("sub", "plant/water", env=named("expecting", 35))
    wait_until(lambda: len(reader.out.all) >= 20, "20 messages at the reader", 30)
    for running in (mistaken, astray, expecting):
        running.wait_for_listening()
    # The cache tells of the dead once it has noticed.
    cache_knows = time.monotonic() + 20
    while True:
        topics, summary = look(onlooker)
        oil = topics.get("plant/oil")
        if oil and oil["publishers"][0]["holders"]:
            break
        expect(time.monotonic() < cache_knows, f"nobody tells of the dead publisher: {topics}")

    expect(sorted(topics) == ["plant/oil", "plant/pressure", "plant/water"], f"topics: {sorted(topics)}")
    expect(summary["topics"] == 3 and summary["peers"] == 6 and summary["complete"], f"summary: {summary}")
    expect([entry["filter"] for entry in summary["unmatched"]] == ["palnt/#"], f"unmatched: {summary}")
    expect(summary["unmatched"][0]["name"] == "astray", f"unmatched: {summary}")

    (dead,) = oil["publishers"]
    expect((dead["id"], dead["name"], dead["present"]) == (11, "old", False), f"dead: {dead}")
    expect((dead["type"], dead["history"], dead["kept"], dead["messagesPerSecond"]) == ("Litre", "50", None, None), f"dead: {dead}")
    held = {holder["name"]: holder["messages"] for holder in dead["holders"]}
    expect(held == {"keeper": 50}, f"held: {held}")
    expect({entry["name"] for entry in oil["subscribers"]} == {"keeper", "reader"}, f"subscribers: {oil}")

    pressure = topics["plant/pressure"]
    (alive,) = pressure["publishers"]
    expect((alive["id"], alive["name"], alive["present"], alive["type"]) == (12, "pump", True, "Pascal"), f"alive: {alive}")
    expect(pressure["types"] == ["Pascal"] and alive["kept"]["messages"] == 10 and not alive["holders"], f"alive: {alive}")
    expect(alive["messages"] >= 20 and alive["bytes"] == 1_000 * alive["messages"], f"alive: {alive}")
    # A loaded machine publishes less.
    expect(5 < alive["messagesPerSecond"] < 80, f"rate: {alive}")
    expect(abs(alive["bytesPerSecond"] - 1_000 * alive["messagesPerSecond"]) < 1, f"rate: {alive}")
    wanted = {entry["name"]: entry["type"] for entry in pressure["subscribers"]}
    expect(wanted == {"keeper": None, "reader": None, "mistaken": "Bar"}, f"subscribers: {wanted}")

    water = topics["plant/water"]
    expect(not water["publishers"] and {entry["name"] for entry in water["subscribers"]} >= {"expecting"}, f"water: {water}")

    only, summary = look(onlooker, "plant/oil", "--duration", "500ms")
    expect(list(only) == ["plant/oil"] and not summary["unmatched"], f"filtered: {only} {summary}")

    table = onlooker.glue("topics").succeed()
    expect(table.out.texts()[0].split() == ["TOPIC", "TYPE", "PUBLISHER", "MSG/S", "BYTES/S", "SENT", "HELD", "SUBSCRIBERS"], "header")
    expect(table.out.matching(r"^plant/oil +Litre +old \(11\), gone .* 50 by keeper \(21\) +keeper \(21\), reader \(32\)$"), f"{table.out.texts()}")
    expect(table.out.matching(r"^plant/pressure +Pascal +pump \(12\) .* mistaken \(33\) wants Bar"), f"{table.out.texts()}")
    expect(table.out.matching(r"^no topic matches palnt/#, to which astray \(34\) subscribes$"), f"{table.out.texts()}")
    expect(table.out.texts()[-1] == "3 topics, 6 other endpoints", f"{table.out.texts()}")
    # Whoever looks is no subscriber: of the wrong type only the mistaken one is told.
    expect(len(publisher.err.matching("type")) == 1, f"{publisher.err.texts()}")
    return f"{alive['messagesPerSecond']:.1f} messages/s measured of 50"


def scenario_topics_of_nobody(lab):
    """Nobody there: nothing, and status 0; bad arguments: one line."""
    host = lab.host()
    alone = host.glue("topics", "--json", "--duration", "200ms", env={"GLUE_LISTEN_INTERFACE": "lo"}).succeed()
    (line,) = alone.out.texts()
    expect(json.loads(line)["topics"] == 0 and alone.err.matching("nobody answered"), f"{line} {alone.err.texts()}")
    refused = host.glue("topics", "a/#/b", env={"GLUE_LISTEN_INTERFACE": "lo"})
    expect(refused.wait() == 1 and len(refused.err.texts()) == 1, f"{refused.err.texts()}")
    expect("# must be the last level" in refused.err.texts()[0] and not refused.out.texts(), f"{refused.err.texts()}")
