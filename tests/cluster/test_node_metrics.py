"""`/metrics` of a node: what it sees of others, how the books are, moves, and what is wrong with the node."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from depthcache.cluster.book_health import BookHealth, BookState, HealthCounts
from depthcache.cluster.core.members import Member, MemberState, Node, NodeState
from depthcache.cluster.core.messages import Beat, encode
from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.wanted_set import WantedSet
from depthcache.cluster.node_metrics import NodeMetrics, NodeView, PeerView
from tests.cluster.nodes import SPOT, SYMBOLS, cluster, until
from tests.server.asking import ask

parser = pytest.importorskip("prometheus_client.parser")

NONE = HealthCounts(Counter(), 0, 0, 0.0, 0.0)
VIEW = NodeView(
    facts={"cluster": "amber-fox", "node": "a1", "version": "1.2"},
    nodes=["alive", "alive", "away"],
    peers={"b2": PeerView(state="alive", silent_s=0.5, ahead_s=-2.5), "c3": PeerView(state="away")},
    replicas={ReplicaState.SYNCED: 5, ReplicaState.STALE: 1},
    wanted=7,
    health=HealthCounts(Counter({BookState.WHOLE: 3, BookState.SHORT: 1}), 2, 4, 0.0, 61.5),
    differing=1,
    digest="f" * 32,
    changed_ms=1_796_000_000_500,
    is_ready=True,
    has_authority_key=False,
    certificates={"node": 1_800_000_000.0},
    can_write=False,
    failed_writes=3,
    failed_asks={"timeout": 2},
    failed_copies=4,
    malformed=5,
    disk=(10, 100),
)


def values(text: str) -> dict[tuple[str, ...], float]:
    """All samples, by name and values of labels."""
    families: Any = parser.text_string_to_metric_families(text)
    return {
        (sample.name.removeprefix("depthcache_cluster_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("depthcache_cluster_")
    }


def test_every_state_has_a_number_and_take_overs_are_in_buckets() -> None:
    metrics = NodeMetrics()
    for what in ("began", "began", "synced", "ended"):
        metrics.on_move(what)
    for took_s, is_copy in ((0.001, True), (0.3, True), (1_000.0, False)):
        metrics.on_taken_over(took_s, is_copy=is_copy)
    found = values(metrics.text(VIEW))
    states = {name: found["nodes", name] for name in NodeState}
    assert states == {"alive": 2, "draining": 0, "suspect": 0, "away": 1, "incompatible": 0, "removed": 0}
    assert {each: found["replicas", each.value] for each in ReplicaState} == {
        **dict.fromkeys(ReplicaState, 0),
        **VIEW.replicas,
    }
    assert [found["moves_total", each] for each in ("began", "synced", "ended")] == [2, 1, 1]
    assert [found["taken_over_total", each] for each in ("exchange", "node")] == [1, 2]
    assert found["wanted_books",] == 7
    buckets = {each[1]: count for each, count in found.items() if each[0] == "take_over_seconds_bucket"}
    assert (buckets["0.001"], buckets["0.256"], buckets["0.512"], buckets["+Inf"]) == (1, 1, 2, 3)
    assert found["take_over_seconds_count",] == 3
    assert found["take_over_seconds_sum",] == pytest.approx(1_000.301)


def test_every_value_of_the_view_is_in_its_family() -> None:
    found = values(NodeMetrics().text(VIEW))
    assert found["info", "amber-fox", "a1", "1.2"] == 1
    assert [found["peer_state", "c3", state] for state in NodeState] == [0, 0, 0, 1, 0, 0]
    assert found["peer_silent_seconds", "b2"] == 0.5
    assert found["peer_clock_offset_seconds", "b2"] == -2.5
    assert ("peer_silent_seconds", "c3") not in found
    assert [found["books", each.value] for each in BookState] == [3, 1, 0, 0]
    numbers = {
        "missing_replicas": 2,
        "impossible_replicas": 4,
        "unsynced_seconds": 0,
        "short_seconds": 61.5,
        "differing_peers": 1,
        "wanted_set_hash": 2**48 - 1,
        "wanted_set_changed_timestamp_seconds": 1_796_000_000.5,
        "ready": 1,
        "has_authority_key": 0,
        "disk_writable": 0,
        "failed_writes_total": 3,
        "failed_copies_total": 4,
        "malformed_messages_total": 5,
        "disk_free_bytes": 10,
        "disk_size_bytes": 100,
    }
    assert {name: found[name,] for name in numbers} == numbers
    assert found["certificate_end_timestamp_seconds", "node"] == 1_800_000_000
    failed = [found["failed_requests_total", each] for each in ("unreachable", "timeout", "refused")]
    assert failed == [0, 2, 0]


def test_labels_from_outside_cannot_forge_a_line() -> None:
    hostile = 'a"} 1\nforged{x="\\'
    text = NodeMetrics().text(replace(VIEW, facts={"zone": hostile}))
    assert values(text)["info", hostile] == 1
    assert not any(line.startswith("forged") for line in text.splitlines())


def test_a_peer_that_is_reported_twice_in_one_state_has_changed_once() -> None:
    metrics = NodeMetrics()
    for state in (MemberState.ALIVE, MemberState.ALIVE, MemberState.SUSPECT, MemberState.ALIVE):
        metrics.on_member("b2", state)
    metrics.on_member("f6", MemberState.ALIVE)
    found = values(metrics.text(VIEW))
    assert [found["peer_changes_total", "b2", each.value] for each in MemberState] == [2, 1, 0]
    assert ("peer_changes_total", "f6", "alive") not in found, "not registered: its labels are not bounded"


# --- books -----------------------------------------------------------------------------------

SECOND = 1_000_000_000


class Pair:
    """The core of node a1, which sees b2 if it is there."""

    def __init__(self, *books: tuple[str, int], has_peer: bool = True) -> None:
        wanted = WantedSet("a1")
        for peer in ("a1", "b2") if has_peer else ("a1",):
            wanted.register(peer, wall_ms=1)
        for symbol, replicas in books:
            wanted.create(BookKey(SPOT, symbol), replicas=replicas, settings={}, wall_ms=2)
        self.hopeless: set[BookKey] = set()
        self.core = NodeCore(Node(id="a1", run=1, address="a:1"), wanted)
        self.health = BookHealth(self.core, is_hopeless=self.hopeless.__contains__)
        self.core.start(0, 1_000_000)
        if has_peer:
            member = Member(Node(id="b2", run=1, address="b:1"), MemberState.ALIVE)
            self.core.on_member(member, 0)
        self.core.take_commands(4 * SECOND)

    def report(self, states: Mapping[str, ReplicaState], node: str) -> None:
        for symbol, state in states.items():
            key = BookKey(SPOT, symbol)
            if node == "a1":
                self.core.on_replica(key, state)
            else:
                self.core.books.on_report(node, key, state, 0)
        self.core.take_commands(4 * SECOND)


def first_owned(count: int) -> list[str]:
    """Symbols of which a1 is the first owner, with two nodes."""
    symbols = [f"S{number}USDT" for number in range(40)]
    core = Pair(*((each, 2) for each in symbols)).core
    return [each for each in symbols if core.books.owners(BookKey(SPOT, each))[0] == "a1"][:count]


def test_a_book_is_counted_by_its_first_owner_alone() -> None:
    symbols = [f"S{number}USDT" for number in range(40)]
    pair = Pair(*((each, 2) for each in symbols))
    mine = sum(pair.core.books.owners(BookKey(SPOT, each))[0] == "a1" for each in symbols)
    assert 0 < mine < 40
    found = pair.health.look(0)
    assert found.books == {BookState.UNSYNCED: mine}
    assert found.missing == 2 * mine


def test_books_are_whole_short_unsynced_or_not_traded() -> None:
    whole, short, unsynced, untraded = symbols = first_owned(4)
    pair = Pair(*((each, 2) for each in symbols))
    synced = ReplicaState.SYNCED
    starting = ReplicaState.STARTING
    pair.report({whole: synced, short: synced, unsynced: starting, untraded: starting}, "b2")
    pair.report({whole: synced}, "a1")
    pair.hopeless.add(BookKey(SPOT, untraded))
    found = pair.health.look(0)
    assert found.books == dict.fromkeys(BookState, 1)
    assert (found.missing, found.impossible) == (1 + 2, 0)


def test_how_long_a_book_is_short_ends_when_it_is_whole() -> None:
    [symbol] = first_owned(1)
    pair = Pair((symbol, 2))

    def times(at_s: int) -> tuple[float, float]:
        found = pair.health.look(at_s * SECOND)
        return found.unsynced_s, found.short_s

    assert times(10) == (0.0, 0.0)
    assert times(40) == (30.0, 30.0)
    pair.report({symbol: ReplicaState.SYNCED}, "b2")
    assert times(50) == (0.0, 40.0)
    pair.report({symbol: ReplicaState.SYNCED}, "a1")
    assert times(60) == (0.0, 0.0)
    pair.report({symbol: ReplicaState.STALE}, "a1")
    pair.report({symbol: ReplicaState.STALE}, "b2")
    assert times(70) == (0.0, 0.0), "from now on"
    assert times(71) == (1.0, 1.0)


def test_replicas_that_no_node_is_there_for_are_not_missing() -> None:
    pair = Pair(("BTCUSDT", 3), has_peer=False)
    pair.report({"BTCUSDT": ReplicaState.SYNCED}, "a1")
    found = pair.health.look(0)
    assert (found.books, found.missing, found.impossible) == ({BookState.WHOLE: 1}, 0, 2)


# --- what the core knows of others -------------------------------------------------------------


def test_a_beat_tells_the_offset_of_a_clock_between_two_looks_at_the_own_one() -> None:
    core = Pair().core
    core.on_time(5 * SECOND, 1_005_000)
    at_ns = 5 * SECOND + SECOND // 2
    core.on_tell("b2", encode(Beat(1, core.wanted.map.digest(), 0, 1_008_500)), at_ns)
    assert core.clock_offsets_s() == {"b2": 3.0}
    assert core.silent_s(7 * SECOND) == {"b2": 1.5}
    assert core.differing() == ()


def test_a_node_with_another_wanted_set_differs_until_it_is_gone() -> None:
    core = Pair().core
    core.on_tell("b2", encode(Beat(1, "0" * 32, 0, 1_000_000)), 5 * SECOND)
    assert core.differing() == ("b2",)
    core.on_member(Member(Node(id="b2", run=1, address="b:1"), MemberState.LEFT), 6 * SECOND)
    assert (core.differing(), core.silent_s(6 * SECOND), core.clock_offsets_s()) == ((), {}, {})


# --- a whole node --------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_node_counts_what_it_holds(tmp_path: Path) -> None:
    async with cluster(tmp_path) as found:
        nodes = await found.three()
        one = nodes[0]
        await one.create_books(SPOT, SYMBOLS, replicas=4)
        await until(lambda: found.is_whole(3))
        await until(lambda: all(len(each.runner.core.clock_offsets_s()) == 2 for each in nodes))
        await until(lambda: not any(each.runner.core.differing() for each in nodes))
        await until(
            lambda: sum(each._health.look(0).books[BookState.WHOLE] for each in nodes) == len(SYMBOLS)
        )
        for node in nodes:
            node._look()
        all_seen = [
            values(ask(node.server.port, "/metrics", token=node.read_token).body.decode()) for node in nodes
        ]
        seen = all_seen[0]
        assert seen["nodes", "alive"] == 3
        assert (
            seen["replicas", "synced"]
            == seen["wanted_books",]
            == seen["moves_total", "synced"]
            == len(SYMBOLS)
        )
        assert seen["take_over_seconds_count",] == len(SYMBOLS)
        assert sum(each["books", "whole"] for each in all_seen) == len(SYMBOLS)
        assert sum(each["impossible_replicas",] for each in all_seen) == len(SYMBOLS)
        assert len({each["wanted_set_hash",] for each in all_seen}) == 1
        assert [each["has_authority_key",] for each in all_seen] == [1, 0, 0]
        assert seen["peer_state", "b2", "alive"] == 1
        assert abs(seen["peer_clock_offset_seconds", "b2"]) < 60
        assert seen["peer_changes_total", "b2", "alive"] >= 1
        assert 0 < seen["disk_free_bytes",] <= seen["disk_size_bytes",]
        assert seen["ready",] == seen["disk_writable",] == 1
        assert math.isclose(
            seen["wanted_set_changed_timestamp_seconds",], one._clock.wall_ms() / 1e3, abs_tol=600
        )


def test_the_docs_describe_every_state_of_a_node() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/cluster.md").read_text("utf-8")
    _, _, table = page.partition("| state | the node |")
    rows = table.partition("\n\n")[0].splitlines()[2:]
    assert {row.split("`")[1] for row in rows} == set(NodeState)
