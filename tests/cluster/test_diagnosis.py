"""What the doctor of a cluster makes of facts: each fault is named with its figure, and with what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from depthcache.cluster.diagnosis import ClusterReport, diagnose, parse_report
from depthcache.cluster.probing import Port, Probe, Reach
from depthcache.doctor.finding import Finding, Severity

AT_MS = 1_796_000_000_000.0
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
NAMES = ("a1", "b2", "c3")


def tried(port: Port, address: str, reach: Reach = Reach.REACHED, problem: str = "") -> dict[str, Any]:
    return Probe(port=port, address=address, reach=reach, took_ms=1.5, problem=problem).to_dict()


def peer(name: str, reach: Reach = Reach.REACHED, problem: str = "") -> dict[str, Any]:
    probes = [tried(port, f"{name}:1", reach, problem) for port in (Port.READERS, Port.NODES)]
    return {"id": name, "state": "alive", "probes": probes}


def check(name: str, **changes: Any) -> dict[str, Any]:
    """What a node finds where nothing is wrong."""
    certificates = {
        "until_ms": AT_MS + 6 * DAY_MS,
        "renewal_ms": AT_MS + DAY_MS,
        "issuer": "5" * 64,
        "has_authority_key": name != "c3",
        "authorities": [{"hash": "5" * 64, "until_ms": AT_MS + 3_000 * DAY_MS}],
    }
    pool = {"pool": "binance.com spot", "limit": 6_000, "used": 100, "exchange_used": 140, "stopped_s": 0.0}
    connections = {"binance.com": {"connections": 2, "open": 2, "streams": 300}}
    return {
        "node": name,
        "version": "0.1.0",
        "egress": "",
        "unreadable_messages": 0,
        "disk": {
            "problem": "",
            "free_bytes": 50 << 30,
            "sync_ms": 2.0,
            "journal_bytes": 4_000,
            "damaged": [],
        },
        "limits": {
            "descriptors": 20_000,
            "descriptors_used": 80,
            "memory_used_bytes": 1 << 30,
            "memory_free_bytes": 8 << 30,
        },
        "certificates": certificates,
        "exchange": {
            "pools": [pool],
            "connections": connections,
            "clocks": {"binance.com": {"offset_ms": 3.0, "error_ms": 9.0}},
        },
        "replicas": {"all": 200, "synced": 200},
        "peers": [peer(other) for other in NAMES if other != name],
    } | changes


def node(name: str, state: str = "alive", **changes: Any) -> dict[str, Any]:
    clock = None if name == "a1" else {"offset_ms": 4.0, "error_ms": 1.0}
    found = check(name) if state in ("alive", "draining") else None
    address, listen = f"{name}:42081", f"{name}:42080"
    facts = {"id": name, "state": state, "address": address, "listen": listen, "problem": ""}
    return {**facts, "check": found, "clock": clock, **changes}


def book(symbol: str, *holders: str, replicas: int = 2) -> dict[str, Any]:
    held = dict.fromkeys(holders, "synced")
    return {"symbol": symbol, "replicas": replicas, "synced": len(held), "holders": held}


def facts(*nodes: Mapping[str, Any], **changes: Any) -> ClusterReport:
    """Of a cluster without a fault, but for what is changed."""
    shown = nodes or tuple(node(name) for name in NAMES)
    status = {
        "nodes": [{"id": each["id"], "state": each["state"], "zone": f"rack {each['id']}"} for each in shown],
        "books": [book("BTCUSDT", "a1", "b2"), book("ETHUSDT", "b2", "c3")],
    }
    tokens = [{"role": role, "until_ms": None} for role in ("read", "manage", "exchange")]
    given: dict[str, Any] = {
        "asked": "a1",
        "at_ms": AT_MS,
        "nodes": shown,
        "tokens": tokens,
        "trusted": {name: ["5" * 64] for name in NAMES},
        "issuers": ["a1", "b2"],
        "status": status,
    }
    return ClusterReport(**{**given, **changes})


def faults(given: ClusterReport) -> list[Finding]:
    return [each for each in diagnose(given) if each.severity in (Severity.WARN, Severity.FAIL)]


def only(given: ClusterReport) -> Finding:
    """The one fault that there is."""
    found = faults(given)
    assert len(found) == 1, found
    assert found[0].advice
    return found[0]


def with_check(**changes: Any) -> ClusterReport:
    """Node c3 finds something else."""
    return facts(node("a1"), node("b2"), node("c3", check=check("c3", **changes)))


def test_a_cluster_without_a_fault_has_none() -> None:
    found = diagnose(facts())
    assert {each.severity for each in found} == {Severity.OK}
    checks = [each.check for each in found]
    assert checks == [
        "nodes",
        "links",
        "versions",
        "clocks",
        "certificates",
        "authority",
        "authority's key",
        "tokens",
        "weight of binance.com spot",
        "connections",
        "disks",
        "limits",
        "books",
        "capacity",
        "zones",
    ]


# --- nodes and links -------------------------------------------------------------------------


def seen_from(reach: Reach, problem: str, *, state: str = "away") -> ClusterReport:
    """Node c3 as the probes of both others end."""
    others = {name: next(each for each in ("a1", "b2") if each != name) for name in ("a1", "b2")}
    shown = [
        node(name, check=check(name, peers=[peer(other), peer("c3", reach, problem)]))
        for name, other in others.items()
    ]
    return facts(*shown, node("c3", state, check=None, clock=None), trusted={})


@pytest.mark.parametrize(
    ("reach", "words"),
    [
        (Reach.REFUSED, "away: its process does not run: nothing listens at c3:1"),
        (Reach.SILENT, "away: frozen: its ports (c3:1) take connections, and nothing answers"),
        (Reach.LOST, "away: not reachable from anywhere (c3:1: why)"),
        (Reach.UNTRUSTED, "away: something else answers at c3:1: why"),
        (Reach.REACHED, "away: its ports answer, but nodes do not see it"),
        (Reach.UNKNOWN, "away: nothing is known of its ports"),
    ],
)
def test_a_node_that_is_away_is_told_from_others_by_how_its_ports_answer(reach: Reach, words: str) -> None:
    found = next(each for each in faults(seen_from(reach, "why")) if each.check == "node c3")
    assert (found.severity, found.measured[: len(words)]) == (Severity.FAIL, words)
    assert found.advice


def test_a_node_that_nobody_reaches_is_one_fault_and_not_one_of_each_link() -> None:
    found = faults(seen_from(Reach.REFUSED, "refused"))
    assert not [each for each in found if each.check.startswith("link")]


def test_a_node_that_froze_during_the_check_is_named_as_frozen() -> None:
    found = next(
        each for each in faults(seen_from(Reach.SILENT, "no answer", state="alive")) if "node" in each.check
    )
    assert found.measured.startswith("alive, but frozen")


def test_a_link_that_fails_one_way_is_named_with_its_direction() -> None:
    lost = [peer("a1"), peer("b2", Reach.LOST, "no connection within 2 s")]
    found = faults(with_check(peers=lost))
    assert [each.check for each in found] == ["link c3 -> b2"] * 2
    assert found[0].measured == ("port for readers at b2:1: no connection within 2 s; the other way works")
    assert found[0].advice.startswith("open b2:1 for c3")


def test_many_links_that_fail_are_counted() -> None:
    names = [f"n{number}" for number in range(12)]
    shown = [
        node(name, check=check(name, peers=[peer(each, Reach.LOST, "lost") for each in names[6:]]))
        for name in names[:6]
    ]
    shown += [node(name, check=check(name, peers=[peer(each) for each in names[6:]])) for name in names[6:]]
    found = faults(facts(*shown, issuers=["n0", "n1"], trusted={}))
    assert found[-1].measured == "52 more links fail"
    assert sum(each.check.startswith("link ") for each in found) == 20


def test_a_removed_node_is_named_as_that_and_is_no_fault() -> None:
    given = facts(*(node(name) for name in NAMES), node("d4", "removed", check=None))
    [found] = [each for each in diagnose(given) if each.severity is Severity.INFO]
    assert found.check == "node d4"
    assert "removed" in found.measured
    assert faults(given) == []


def test_a_node_of_an_older_release_is_named() -> None:
    problem = "its release cannot check itself: it is older"
    found = only(facts(node("a1"), node("b2"), node("c3", check=None, problem=problem)))
    assert found.severity is Severity.WARN
    assert problem in found.measured


def test_a_node_that_has_not_met_the_others_is_a_failure() -> None:
    reason = "no other node was reached yet; 10.0.0.2:42080: its certificate is not of the authority"
    alone = node("a1", check=check("a1", apart=reason, peers=[]))
    found = only(facts(alone, trusted={"a1": ["5" * 64]}, issuers=["a1", "b2"]))
    assert (found.check, found.severity) == ("peers of a1", Severity.FAIL)
    assert reason in found.measured


def test_books_that_want_more_replicas_than_nodes_are_counted() -> None:
    books = [book("BTCUSDT", *NAMES, replicas=5), book("ETHUSDT", *NAMES, replicas=4)]
    for count, words in ((1, "1 book wants up to 5"), (2, "2 books want up to 5")):
        found = [each for each in diagnose(facts(status=status(*books[:count]))) if each.check == "capacity"]
        assert words in found[0].measured


def versions(*rows: tuple[str, str | None, tuple[int, int]]) -> dict[str, Any]:
    """A status whose nodes say their versions; there are no books."""
    nodes = [
        {"id": name, "state": "alive", "version": version, "protocol": list(protocol)}
        for name, version, protocol in rows
    ]
    return {"nodes": nodes, "books": []}


def test_versions_are_those_that_nodes_tell_each_other() -> None:
    same = facts(status=versions(*((name, "0.2.0", (1, 2)) for name in NAMES)))
    [found] = [each for each in diagnose(same) if each.check == "versions"]
    assert (found.severity, found.measured) == (Severity.OK, "all run depthcache 0.2.0 (protocol 1 to 2)")
    mixed = facts(
        node("a1"),
        node("b2"),
        node("c3", check=check("c3", version=None)),
        status=versions(("a1", "0.2.0", (1, 2)), ("b2", "0.2.0", (1, 2)), ("c3", None, (1, 1))),
    )
    found = only(mixed)
    assert (found.check, found.severity) == ("versions", Severity.WARN)
    words = "0.2.0 (protocol 1 to 2) on a1, b2; an older release (protocol 1) on c3"
    assert found.measured == words
    assert found.advice.endswith("with version 1 of the protocol")


def test_a_node_that_is_kept_out_is_named_with_the_reason_and_is_no_other_fault() -> None:
    reason = "node c3 (depthcache 9.0) speaks version 7 to 8 of the protocol between nodes, this node 1 to 2"
    shown = [
        node(name, check=check(name, peers=[peer("c3", Reach.REFUSED, "refused")])) for name in ("a1", "b2")
    ]
    row = {"id": "c3", "state": "incompatible", "reason": reason}
    found = only(facts(*shown, node("c3", "incompatible"), status={"nodes": [row], "books": []}))
    assert (found.check, found.severity) == ("node c3", Severity.FAIL)
    assert found.measured == f"incompatible, so it is kept out: {reason}"
    assert "release" in found.advice


def test_what_cannot_be_reached_from_here_is_a_warning_for_readers_and_a_fact_for_nodes() -> None:
    lost = Probe(port=Port.READERS, address="c3:42081", reach=Reach.LOST, problem="no route")
    closed = Probe(port=Port.NODES, address="c3:42080", reach=Reach.LOST, problem="no route")
    given = facts(here={"c3": [lost, closed]})
    assert only(given).measured == "port for readers of c3 at c3:42081: no route"
    [fact] = [each for each in diagnose(given) if each.severity is Severity.INFO]
    assert "only nodes need it" in fact.measured


# --- the rest --------------------------------------------------------------------------------


def disk(**changes: Any) -> dict[str, Any]:
    return check("c3")["disk"] | changes


def certificates(**changes: Any) -> dict[str, Any]:
    return check("c3")["certificates"] | changes


def limits(**changes: Any) -> dict[str, Any]:
    return check("c3")["limits"] | changes


def exchange(**changes: Any) -> dict[str, Any]:
    found = check("c3")["exchange"]
    return {**found, "pools": [found["pools"][0] | changes]}


@pytest.mark.parametrize(
    ("changes", "name", "severity", "words"),
    [
        ({"version": "0.2.0"}, "versions", "warn", "0.1.0 on a1, b2; 0.2.0 on c3"),
        ({"unreadable_messages": 3}, "messages at c3", "warn", "3 messages"),
        ({"disk": disk(problem="No space left")}, "disk of c3", "fail", "cannot be written: No space left"),
        ({"disk": disk(free_bytes=500 << 20)}, "disk of c3", "warn", "500 MiB free"),
        ({"disk": disk(free_bytes=10 << 20)}, "disk of c3", "fail", "10 MiB free"),
        ({"disk": disk(sync_ms=900.0)}, "disk of c3", "warn", "900 ms"),
        ({"disk": disk(damaged=["wanted.journal.damaged"])}, "disk of c3", "warn", "wanted.journal.damaged"),
        ({"disk": disk(journal_bytes=64 << 20)}, "disk of c3", "warn", "64 MiB"),
        ({"limits": limits(descriptors=300)}, "descriptors of c3", "warn", "80 of 300"),
        ({"limits": limits(descriptors=100)}, "descriptors of c3", "fail", "80 of 100"),
        ({"limits": limits(memory_free_bytes=100 << 20)}, "memory of c3", "warn", "100 MiB left"),
        (
            {"certificates": certificates(until_ms=AT_MS + 5 * HOUR_MS)},
            "certificate of c3",
            "fail",
            "ends in 5 hours",
        ),
        (
            {"certificates": certificates(renewal_ms=AT_MS - 50 * HOUR_MS)},
            "certificate of c3",
            "warn",
            "its renewal is 2 days late",
        ),
        (
            {"exchange": exchange(stopped_s=90.0)},
            "weight of binance.com spot",
            "fail",
            "stopped until 2026-11-30",
        ),
        ({"exchange": exchange(exchange_used=5_900)}, "weight of binance.com spot", "warn", "5,900 of 6,000"),
    ],
)  # fmt: skip
def test_a_fault_of_a_node_is_named(changes: dict[str, Any], name: str, severity: str, words: str) -> None:
    found = only(with_check(**changes))
    assert (found.check, found.severity.value) == (name, severity)
    assert words in found.measured


@pytest.mark.parametrize(
    ("offset_ms", "error_ms", "severity"),
    [(-1_400.0, 10.0, "warn"), (2_000_000.0, 10.0, "fail"), (1_400.0, 900.0, "ok")],
)
def test_clocks_are_apart_only_beyond_the_uncertainty_of_the_round_trip(
    offset_ms: float, error_ms: float, severity: str
) -> None:
    clock = {"offset_ms": offset_ms, "error_ms": error_ms}
    found = [
        each
        for each in diagnose(facts(node("a1"), node("b2"), node("c3", clock=clock)))
        if "clock" in each.check
    ]
    assert [each.severity.value for each in found] == [severity]
    side = "ahead of" if offset_ms > 0 else "behind"
    assert f"{side} a1, within" in found[0].measured


def test_the_clock_of_the_exchange_is_compared_with_that_of_each_node() -> None:
    late = {**check("c3")["exchange"], "clocks": {"binance.com": {"offset_ms": -5_000.0, "error_ms": 9.0}}}
    found = only(with_check(exchange=late))
    assert found.check == "clock of c3 and binance.com"
    assert "5.000 s behind it" in found.measured


def test_connections_that_are_not_open_are_counted() -> None:
    closed = {**check("c3")["exchange"], "connections": {"binance.com": {"connections": 2, "open": 1}}}
    assert "1 of 2 connections of c3" in only(with_check(exchange=closed)).measured


@pytest.mark.parametrize(
    ("changes", "name", "severity", "words"),
    [
        ({"issuers": ["a1"]}, "authority's key", "warn", "only on a1"),
        ({"issuers": []}, "authority's key", "fail", "on no node that is up"),
        (
            {"tokens": [{"role": each, "until_ms": None} for each in ("read", "manage", "exchange", "read")]},
            "read token",
            "warn",
            "2 are valid for good",
        ),
        (
            {"tokens": [{"role": each, "until_ms": None} for each in ("read", "exchange")]},
            "manage token",
            "fail",
            "none is valid for good",
        ),
    ],
)
def test_a_fault_of_secrets_is_named(changes: dict[str, Any], name: str, severity: str, words: str) -> None:
    found = only(facts(**changes))
    assert (found.check, found.severity.value) == (name, severity)
    assert words in found.measured


def test_an_earlier_token_is_a_fact_within_the_overlap_and_a_warning_beyond() -> None:
    for hours, severity in ((1, "info"), (9, "warn")):
        old = {"role": "read", "until_ms": AT_MS + hours * HOUR_MS}
        [found] = [each for each in diagnose(facts(tokens=[*facts().tokens, old])) if "token" in each.check]
        assert found.severity.value == severity
        assert "until 2026-" in found.measured


def test_a_replacement_of_the_authority_names_the_nodes_it_waits_for() -> None:
    both = [{"hash": each * 64, "until_ms": AT_MS + 3_000 * DAY_MS} for each in "56"]
    trusted = {"a1": ["5" * 64, "6" * 64], "b2": ["5" * 64, "6" * 64], "c3": ["5" * 64]}
    shown = [node(name, check=check(name, certificates=certificates(authorities=both))) for name in NAMES]
    found = only(facts(*shown, trusted=trusted))
    assert found.measured == "2 authorities are trusted: one replaces the other; waits for c3"


def test_an_authority_that_ends_soon_is_named() -> None:
    soon = [{"hash": "5" * 64, "until_ms": AT_MS + 30 * DAY_MS}]
    shown = [node(name, check=check(name, certificates=certificates(authorities=soon))) for name in NAMES]
    assert only(facts(*shown)).advice.endswith("`depthcache cluster rotate --authority`")


def test_two_egress_names_are_named_as_what_is_not_known() -> None:
    given = with_check(egress="office")
    [found] = [each for each in diagnose(given) if each.check == "egress"]
    assert found.severity is Severity.INFO
    assert found.measured == "2 egress names count as 2 addresses: (no name), office"
    assert "the cluster cannot" in found.advice


def status(*books: Mapping[str, Any], zones: tuple[str, ...] = ("x", "y", "z")) -> dict[str, Any]:
    nodes = [{"id": name, "state": "alive", "zone": zone} for name, zone in zip(NAMES, zones, strict=True)]
    return {"nodes": nodes, "books": list(books)}


def test_books_that_lack_synced_replicas_are_named() -> None:
    lost = only(facts(status=status(book("BTCUSDT"), book("ETHUSDT", "a1", "b2"))))
    assert (lost.severity, lost.measured) == (Severity.FAIL, "1 of 2 are synced on no node: BTCUSDT")
    few = only(facts(status=status(book("BTCUSDT", "a1"))))
    assert few.severity is Severity.WARN


def test_replicas_in_one_zone_are_named_where_two_are_possible() -> None:
    given = facts(status=status(book("BTCUSDT", "a1", "b2"), zones=("x", "x", "y")))
    found = only(given)
    assert found.measured == "1 book has replicas in fewer zones than is possible: BTCUSDT"
    same = facts(status=status(book("BTCUSDT", "a1", "b2"), zones=("x", "x", "x")))
    assert only(same).measured.startswith("all nodes are in x")
    none = facts(status=status(book("BTCUSDT", "a1", "b2"), zones=("", "", "")))
    assert faults(none) == []


def test_nodes_that_are_too_small_to_take_the_books_of_another_one_are_named() -> None:
    books = [book(f"SYM{number}", "a1", "b2") for number in range(900)]
    small = check("c3", limits=limits(memory_free_bytes=400 << 20), replicas={"all": 600, "synced": 600})
    shown = (node("a1"), node("b2"), node("c3", check=small))
    found = only(facts(*shown, status=status(*books)))
    assert found.check == "capacity"
    assert found.measured.endswith("too many for c3")


def test_a_report_of_another_release_is_read_as_far_as_it_is_known() -> None:
    unknown = node("a1", check={"peers": [{"id": "b2", "probes": [{}]}]})
    report = {
        "node": "a1",
        "at_ms": AT_MS,
        "nodes": [unknown],
        "tokens": [],
        "trusted": {},
        "issuers": [],
        "x": 1,
    }
    assert diagnose(parse_report(report, {}, {}))
    with pytest.raises(LookupError):
        parse_report({"node": "a1"}, {}, {})
