"""Versions of the protocol between nodes: which one two nodes use, and what becomes of nodes without one."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import asdict, replace
from typing import Any

import pytest

from depthcache.cluster.build import FORCED, own_version, spoken, with_build
from depthcache.cluster.core import messages
from depthcache.cluster.core.commands import Command, Persist, Refuse, StartReplica, StopNode, Tell
from depthcache.cluster.core.members import Member, MemberState, Node
from depthcache.cluster.core.messages import Beat, Content, GroupedReports, Reports, Store
from depthcache.cluster.core.node import NodeCore, load
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.protocol import FIRST, SPOKEN, ProtocolRange
from depthcache.cluster.core.replicated_map import Delta
from depthcache.cluster.core.reports import read_states, report
from depthcache.cluster.core.stamps import Stamp
from depthcache.cluster.core.wanted_set import WantedSet
from depthcache.cluster.zenoh_network import _node_of
from depthcache.errors import InvalidArgument

BOOK = BookKey("binance.com", "BTCUSDT")
S_NS = 1_000_000_000
WALL_MS = 1_000_000
LATER = ProtocolRange(SPOKEN.newest + 1, SPOKEN.newest + 2)


def facts(name: str, protocol: ProtocolRange = SPOKEN, run: int = 1) -> Node:
    return Node(id=name, run=run, address=f"{name}:1", protocol=protocol, version=f"3.{protocol.newest}.0")


def alive(node: Node) -> Member:
    return Member(node, MemberState.ALIVE)


def node(me: Node, *others: Node) -> NodeCore:
    """A node of a cluster with these others, which are all alive; nothing is done with its commands yet."""
    wanted = WantedSet(me.id)
    for each in (me, *others):
        wanted.register(each.id, wall_ms=WALL_MS)
    core = NodeCore(me, wanted)
    core.start(0, WALL_MS)
    for other in others:
        core.on_member(alive(other), 0)
    return core


def told(commands: list[Command]) -> dict[str | None, list[Any]]:
    """The messages of commands, by receiver."""
    found: dict[str | None, list[Any]] = {}
    for each in commands:
        if isinstance(each, Tell):
            found.setdefault(each.node, []).append(messages.decode(each.payload))
    return found


# --- which version two nodes use ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ((1, 2), (1, 2), 2),
        ((1, 2), (1, 1), 1),
        ((2, 4), (1, 3), 3),
        ((1, 2), (3, 4), None),
        ((3, 3), (1, 2), None),
    ],
)
def test_two_nodes_use_the_highest_version_that_both_speak(
    one: tuple[int, int], other: tuple[int, int], common: int | None
) -> None:
    assert ProtocolRange(*one).common(ProtocolRange(*other)) == common
    assert ProtocolRange(*other).common(ProtocolRange(*one)) == common


def test_this_build_speaks_the_version_of_nodes_that_say_none() -> None:
    assert SPOKEN.common(FIRST) == 1 == replace(facts("a1"), protocol=FIRST).protocol.newest


def test_states_of_books_go_to_each_node_in_the_version_that_it_understands() -> None:
    core = node(facts("a1"), facts("b2"), facts("c3", FIRST))
    core.take_commands(0)
    core.create(BOOK, replicas=3, settings={}, now_ns=0, wall_ms=WALL_MS)
    found = told(core.take_commands(0))
    newer = next(each for each in found["b2"] if isinstance(each, GroupedReports))
    older = next(each for each in found["c3"] if isinstance(each, Reports))
    assert dict(read_states(newer)) == dict(read_states(older)) == {BOOK: core.books.states()[BOOK]}
    assert newer.number == older.number


def test_a_node_that_appears_gets_all_states_in_its_version() -> None:
    found = told(node(facts("a1"), facts("b2"), facts("c3", FIRST)).take_commands(0))
    assert [type(each) for each in found["b2"]][:1] == [GroupedReports]
    assert [type(each) for each in found["c3"]][:1] == [Reports]


def test_a_node_that_is_forced_back_sends_what_the_first_version_has() -> None:
    found = told(node(facts("a1", FIRST), facts("b2")).take_commands(0))
    assert not any(isinstance(each, GroupedReports) for each in found["b2"])


@pytest.mark.parametrize("protocol", [1, 2])
def test_both_kinds_of_reports_say_the_same(protocol: int) -> None:
    states = {
        BOOK: ReplicaState.SYNCED,
        BookKey("binance.com", "ETHUSDT"): None,
        BookKey("binance.com-futures", "BTCUSDT"): ReplicaState.STALE,
    }
    made = report(states, run=3, number=4, is_full=False, protocol=protocol)
    received = messages.decode(messages.encode(made))
    assert isinstance(received, Reports | GroupedReports)
    assert dict(read_states(received)) == states
    assert (received.run, received.number, received.is_full) == (3, 4, False)


def test_a_state_of_a_newer_node_counts_as_not_held() -> None:
    received = GroupedReports(1, 1, True, {"frozen_for_ever": {"binance.com": ["BTCUSDT"]}})
    assert dict(read_states(received)) == {BOOK: None}
    assert dict(read_states(Reports(1, 1, True, {"binance.com BTCUSDT": "frozen_for_ever"}))) == {BOOK: None}


def test_grouped_reports_take_less_than_half_of_the_bytes() -> None:
    states = {BookKey("binance.com", f"SYM{number}USDT"): ReplicaState.SYNCED for number in range(100)}
    first, grouped = (
        len(messages.encode(report(states, run=1, number=1, is_full=True, protocol=each))) for each in (1, 2)
    )
    assert grouped < first / 2


# --- nodes without a common version ---------------------------------------------------------------


def test_the_node_that_started_later_ends_and_says_why() -> None:
    core = node(facts("c3", LATER, run=9), facts("a1", run=5))
    stops = [each for each in core.take_commands(0) if isinstance(each, StopNode)]
    assert len(stops) == 1
    assert "node a1 (depthcache 3.2.0) speaks version 1 to 2" in stops[0].reason
    assert f"this node {LATER}" in stops[0].reason


@pytest.mark.parametrize("is_later", [True, False])
def test_two_nodes_agree_which_one_ends(is_later: bool) -> None:
    old, new = facts("a1", run=5 if is_later else 9), facts("c3", LATER, run=7)
    both = [node(old, new), node(new, old)]
    ends = [any(isinstance(each, StopNode) for each in core.take_commands(0)) for core in both]
    assert ends == [not is_later, is_later]


def test_of_two_that_started_together_one_ends() -> None:
    old, new = facts("a1"), facts("c3", LATER)
    both = [node(old, new), node(new, old)]
    assert sum(any(isinstance(each, StopNode) for each in core.take_commands(0)) for core in both) == 1


def test_a_node_that_ends_takes_no_book_and_answers_no_edit() -> None:
    core = node(facts("c3", LATER, run=9), facts("a1", run=5))
    core.create(BOOK, replicas=1, settings={}, now_ns=0, wall_ms=WALL_MS)
    core.on_time(10 * S_NS, WALL_MS)
    core.on_ask(7, "a1", messages.encode(Store({})), 10 * S_NS)
    commands = core.take_commands(10 * S_NS)
    assert not any(isinstance(each, StartReplica) for each in commands)
    [refused] = [each for each in commands if isinstance(each, Refuse)]
    assert refused.request == 7
    assert "speaks version" in refused.reason


def test_a_node_without_a_common_version_gets_no_books_and_cannot_edit() -> None:
    new = facts("c3", LATER, run=9)
    core = node(facts("a1"), facts("b2"), new)
    for number in range(20):
        core.create(BookKey("binance.com", f"S{number}"), replicas=3, settings={}, now_ns=0, wall_ms=WALL_MS)
    core.on_time(10 * S_NS, WALL_MS)
    commands = core.take_commands(10 * S_NS)
    assert {owner for key in core.wanted.books() for owner in core.books.owners(key)} == {"a1", "b2"}
    assert "c3" not in told(commands)
    edit = WantedSet("c3").create(BOOK, replicas=1, settings={}, wall_ms=WALL_MS)[0]
    payload = messages.encode(Store({key: dict(cells) for key, cells in edit.items()}))
    core.on_ask(7, "c3", payload, 10 * S_NS)
    core.on_tell("c3", messages.encode(Beat(9, "0" * 32, 0)), 10 * S_NS)
    commands = core.take_commands(10 * S_NS)
    assert [type(each) for each in commands] == [Refuse]
    assert BOOK not in core.wanted.books()
    assert list(core.incompatible()) == ["c3"]
    assert "speaks version 3 to 4" in core.incompatible()["c3"]


def test_a_member_that_is_replaced_by_a_build_without_a_common_version_is_gone() -> None:
    core = node(facts("a1"), facts("b2"))
    core.create(BOOK, replicas=2, settings={}, now_ns=0, wall_ms=WALL_MS)
    core.take_commands(0)
    core.on_member(alive(facts("b2", LATER, run=2)), 0)
    core.take_commands(0)
    assert core.books.owners(BOOK) == ("a1",)
    assert list(core.incompatible()) == ["b2"]


def test_the_right_build_makes_it_a_member_again() -> None:
    core = node(facts("a1"), facts("b2", LATER, run=2))
    core.on_member(alive(facts("b2", run=3)), 0)
    assert core.incompatible() == {}
    assert core.members.is_alive("b2")


def test_what_is_known_of_a_node_that_was_kept_out_goes_with_it() -> None:
    core = node(facts("a1"), facts("b2", LATER, run=2))
    core.forget("b2", now_ns=0, wall_ms=WALL_MS)
    assert core.incompatible() == {}
    core.on_time(S_NS, WALL_MS)
    assert not core._incompatible


# --- what a newer node wrote ---------------------------------------------------------------------

PLANTED: Delta = {
    "quota binance.com": {
        "alive": (Stamp(1, 0, "f0"), True),
        "weight": (Stamp(1, 0, "f0"), 4_000),
        "until_ms": (Stamp(1, 0, "f0"), 5),
    },
    "token_policy read": {
        "alive": (Stamp(2, 0, "f0"), True),
        "until_ms": (Stamp(2, 0, "f0"), 5),
    },
    "book binance.com BTCUSDT": {
        "alive": (Stamp(3, 0, "f0"), True),
        "replicas": (Stamp(3, 0, "f0"), 2),
        "priority": (Stamp(3, 0, "f0"), "high"),
    },
}
"""Kinds of entries and a field that this build does not know; some begin or are named like what it knows."""


def planted() -> NodeCore:
    core = node(facts("a1"))
    cells = {key: dict(each) for key, each in PLANTED.items()}
    core.on_ask(1, "f0", messages.encode(Content((0, 0, ""), cells)), 0)
    return core


def has_all(wanted: WantedSet) -> bool:
    content = wanted.map.content()
    return all(
        content.get(key, {}).get(name) == cell for key, each in PLANTED.items() for name, cell in each.items()
    )


def test_entries_and_fields_of_a_newer_node_pass_through_this_one() -> None:
    core = planted()
    assert has_all(core.wanted)
    third = WantedSet("b2")
    load(third, [core.snapshot()])
    assert has_all(third)
    assert third.map.digest() == core.wanted.map.digest()


def test_they_pass_through_the_disk_of_this_one() -> None:
    core = planted()
    written = [each.payload for each in core.take_commands(0) if isinstance(each, Persist)]
    again = WantedSet("a1")
    load(again, written)
    assert has_all(again)


def test_edits_of_this_node_and_its_housekeeping_leave_them() -> None:
    core = planted()
    core.change(BOOK, replicas=3, settings={"depth": 500}, now_ns=0, wall_ms=WALL_MS)
    core.on_time(10 * S_NS, WALL_MS)
    core.on_time(20 * S_NS, WALL_MS)
    content = core.wanted.map.content()
    assert content["quota binance.com"] == PLANTED["quota binance.com"]
    assert content["token_policy read"] == PLANTED["token_policy read"]
    assert core.wanted.map.fields("book binance.com BTCUSDT") == {
        "replicas": 3,
        "depth": 500,
        "priority": "high",
    }


def test_a_field_of_a_message_that_only_newer_nodes_know_is_ignored() -> None:
    sent = json.loads(messages.encode(Beat(1, "0" * 32, 0))) | {"load": 0.5}
    assert messages.decode(json.dumps(sent).encode()) == Beat(1, "0" * 32, 0)


# --- what a process says about itself ------------------------------------------------------------


def test_the_facts_of_a_process_say_its_build() -> None:
    found = with_build(Node(id="a1", run=1, address=""))
    assert (found.protocol, found.version) == (SPOKEN, own_version())


@pytest.mark.parametrize(("text", "expected"), [("", SPOKEN), ("1", (1, 1)), ("2-3", (2, 3))])
def test_a_test_can_force_the_versions(text: str, expected: tuple[int, int]) -> None:
    assert spoken({FORCED: text}) == expected


@pytest.mark.parametrize("text", ["0", "3-2", "a", "1-2-3", "-1", "1-"])
def test_a_wrong_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=FORCED):
        spoken({FORCED: text})


def member_key(**given: Any) -> str:
    told = {"id": "a1", "run": 1, "address": "x:1", "zone": "", "capacity": 1.0, "egress": ""} | given
    return "member/a1/1/" + urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


def test_facts_without_a_build_are_those_of_the_first_version() -> None:
    found = _node_of(member_key())
    assert found is not None
    assert (found.protocol, found.version) == (FIRST, "")


def test_facts_with_a_build_arrive_as_they_are_and_more_facts_are_ignored() -> None:
    me = facts("a1")
    assert _node_of(member_key(**asdict(me), disk="full")) == me


@pytest.mark.parametrize("protocol", [[2, 1], [0, 1], [1], "1", [1.0, 2.0], None, {"oldest": 1}])
def test_facts_with_a_range_that_cannot_be_are_no_facts(protocol: object) -> None:
    assert _node_of(member_key(protocol=protocol)) is None
