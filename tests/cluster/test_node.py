"""One node, moved by hand: what it counts as stored, whom it believes, and when it may leave."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TypeVar

import pytest

from depthcache.cluster.core import messages
from depthcache.cluster.core.commands import (
    Ask,
    ChangeDone,
    Command,
    FromExchange,
    FromSibling,
    Persist,
    Refuse,
    Respond,
    StartReplica,
    StopNode,
    Tell,
)
from depthcache.cluster.core.members import DEAD_AFTER_NS, Member, Membership, MemberState, Node
from depthcache.cluster.core.messages import Beat, Content, Reports, ReportsWanted, Store, Stored
from depthcache.cluster.core.node import NodeCore, load
from depthcache.cluster.core.ownership import SHARED_WAIT_NS, SIBLING_WAIT_NS, ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.wanted_set import WantedSet
from depthcache.cluster.errors import BookNotWanted, MalformedClusterMessage

BOOK = BookKey("binance.com", "BTCUSDT")
S_NS = 1_000_000_000
WALL_MS = 1_000_000
C = TypeVar("C", bound=Command)


def facts(name: str, run: int = 1) -> Node:
    return Node(id=name, run=run, address=f"{name}:1")


def alive(name: str, run: int = 1) -> Member:
    return Member(facts(name, run), MemberState.ALIVE)


def suspect(name: str, run: int = 1) -> Member:
    return Member(facts(name, run), MemberState.SUSPECT)


def only(kind: type[C], commands: list[Command]) -> list[C]:
    return [command for command in commands if isinstance(command, kind)]


def node(*others: str, me: str = "a1") -> NodeCore:
    """A node of a cluster with these other nodes, all alive."""
    wanted = WantedSet(me)
    for each in (me, *others):
        wanted.register(each, wall_ms=WALL_MS)
    core = NodeCore(facts(me), wanted)
    core.start(0, WALL_MS)
    for each in others:
        core.on_member(alive(each), 0)
        core.on_tell(each, messages.encode(Reports(1, 0, True, {})), 0)
    core.take_commands(0)
    return core


def create(core: NodeCore, *, replicas: int = 1) -> tuple[int, list[Command]]:
    change = core.create(BOOK, replicas=replicas, settings={}, now_ns=0, wall_ms=WALL_MS)
    return change, core.take_commands(0)


def done(core: NodeCore) -> list[tuple[int, int, bool]]:
    found = only(ChangeDone, core.take_commands(0))
    return [(each.stored, each.needed, not each.reason) for each in found]


STORED = messages.encode(Stored())


# --- what counts as stored -------------------------------------------------------------------


def test_a_change_is_done_once_every_node_that_is_alive_has_it() -> None:
    """The next request of a program may reach any of them."""
    core = node("b2", "c3")
    change, commands = create(core)
    first, second = only(Ask, commands)
    core.on_persisted(change)
    core.on_response(first.request, STORED, 0)
    assert done(core) == []
    core.on_response(second.request, STORED, 0)
    assert done(core) == [(3, 2, True)]


@pytest.mark.parametrize("is_suspect", [True, False])
def test_a_node_that_does_not_answer_is_not_waited_for_where_two_disks_have_a_change(
    is_suspect: bool,
) -> None:
    core = node("b2", "c3")
    change, commands = create(core)
    first, second = only(Ask, commands)
    core.on_persisted(change)
    core.on_response(first.request, STORED, 0)
    if is_suspect:
        core.on_member(suspect("c3"), 0)
    else:
        core.on_ask_failed(second.request, "no answer")
    assert done(core) == [(2, 2, True)]


def test_two_other_disks_suffice_where_this_one_is_full() -> None:
    core = node("b2", "c3")
    change, commands = create(core)
    core.on_persist_failed(change, "disk: full")
    for ask in only(Ask, commands):
        assert done(core) == []
        core.on_response(ask.request, STORED, 0)
    assert done(core) == [(2, 2, True)]


def test_a_node_that_is_alone_needs_one_disk() -> None:
    core = node()
    change, _ = create(core)
    assert done(core) == []
    core.on_persisted(change)
    assert done(core) == [(1, 1, True)]


def test_a_node_whose_peer_is_suspect_is_alone() -> None:
    core = node("b2")
    change, commands = create(core)
    core.on_persisted(change)
    core.on_member(suspect("b2"), 0)
    core.on_ask_failed(only(Ask, commands)[0].request, "no answer")
    assert done(core) == [(1, 1, True)]


def test_a_change_that_one_disk_has_although_others_live_has_failed() -> None:
    core = node("b2")
    change, commands = create(core)
    core.on_persisted(change)
    core.on_ask_failed(only(Ask, commands)[0].request, "the disk of b2 is full")
    (failed,) = only(ChangeDone, core.take_commands(0))
    assert (failed.stored, failed.needed, failed.reason) == (1, 2, "the disk of b2 is full")


def test_an_answer_that_cannot_be_read_stores_nothing() -> None:
    core = node("b2")
    change, commands = create(core)
    core.on_persisted(change)
    core.on_response(only(Ask, commands)[0].request, b"rubbish", 0)
    assert done(core) == [(1, 2, False)]


def test_a_node_that_appears_meanwhile_is_asked_as_well() -> None:
    core = node("b2")
    change, commands = create(core)
    core.on_member(alive("c3"), 0)
    (late,) = only(Ask, core.take_commands(0))
    assert late.node == "c3"
    core.on_response(late.request, STORED, 0)
    core.on_persisted(change)
    assert done(core) == []
    (early,) = only(Ask, commands)
    assert early.node == "b2"
    core.on_response(early.request, STORED, 0)
    assert done(core) == [(3, 2, True)]


def test_a_starting_node_acknowledges_nothing_before_it_has_seen_the_others() -> None:
    wanted = WantedSet("a1")
    for each in ("a1", "b2"):
        wanted.register(each, wall_ms=WALL_MS)
    core = NodeCore(facts("a1"), wanted)
    core.start(0, WALL_MS)
    change, _ = create(core)
    core.on_persisted(change)
    assert done(core) == []
    assert core.next_ns() <= 3 * S_NS
    core.on_time(3 * S_NS, WALL_MS)
    assert only(ChangeDone, core.take_commands(3 * S_NS))


def test_a_change_of_another_node_is_answered_once_it_is_on_disk() -> None:
    other, core = node("a1", me="b2"), node("b2")
    _, commands = create(other)
    core.on_ask(7, "b2", only(Ask, commands)[0].payload, 0)
    commands = core.take_commands(0)
    assert only(Respond, commands) == []
    core.on_persisted(only(Persist, commands)[0].number)
    assert only(Respond, core.take_commands(0)) == [Respond(7, STORED)]
    assert BOOK in core.wanted.books()


def test_a_change_of_another_node_is_refused_if_the_disk_is_full() -> None:
    other, core = node("a1", me="b2"), node("b2")
    _, commands = create(other)
    core.on_ask(7, "b2", only(Ask, commands)[0].payload, 0)
    core.on_persist_failed(only(Persist, core.take_commands(0))[0].number, "disk: full")
    assert only(Refuse, core.take_commands(0)) == [Refuse(7, "disk: full")]


def test_a_book_that_is_not_wanted_cannot_be_changed_or_stopped() -> None:
    core = node()
    with pytest.raises(BookNotWanted, match="the cluster does not keep BTCUSDT on binance"):
        core.change(BOOK, replicas=2, settings={}, now_ns=0, wall_ms=WALL_MS)
    with pytest.raises(BookNotWanted):
        core.stop_books(BOOK, now_ns=0, wall_ms=WALL_MS)


def test_many_books_are_one_change_and_one_wrong_one_changes_nothing() -> None:
    core = node("b2")
    other = BookKey("binance.com", "ETHUSDT")
    core.create(BOOK, other, replicas=2, settings={}, now_ns=0, wall_ms=WALL_MS)
    assert len(only(Ask, core.take_commands(0))) == 1
    with pytest.raises(BookNotWanted):
        core.stop_books(BOOK, BookKey("binance.com", "NONE"), now_ns=0, wall_ms=WALL_MS)
    assert core.wanted.books().keys() == {BOOK, other}
    core.stop_books(BOOK, other, now_ns=0, wall_ms=WALL_MS)
    assert core.wanted.books() == {}


def test_what_was_persisted_is_loaded_again() -> None:
    core = node("b2")
    _, commands = create(core)
    wanted = WantedSet("a1")
    load(wanted, [core.snapshot(), *(each.payload for each in only(Persist, commands))])
    assert wanted.map.digest() == core.wanted.map.digest()


# --- whom it believes ------------------------------------------------------------------------


def holding(core: NodeCore, holder: str) -> None:
    core.on_tell(holder, messages.encode(Reports(1, 1, False, {"binance.com BTCUSDT": "synced"})), 0)


def test_a_book_is_copied_from_the_node_that_reported_it() -> None:
    core = node("b2")
    holding(core, "b2")
    _, commands = create(core, replicas=2)
    assert [each.source for each in only(StartReplica, commands)] == [FromSibling("b2", "b2:1")]


def test_a_copy_whose_sibling_is_lost_gets_another_source() -> None:
    core = node("b2", "c3")
    holding(core, "b2")
    create(core, replicas=3)
    core.on_member(suspect("b2"), 0)
    commands = core.take_commands(0)
    assert [each.source for each in only(StartReplica, commands)] == [FromExchange()]


def test_a_failed_copy_is_tried_at_another_sibling_and_then_at_the_exchange() -> None:
    core = node("b2", "c3")
    holding(core, "b2")
    holding(core, "c3")
    _, commands = create(core, replicas=3)
    sources = [each.source for each in only(StartReplica, commands)]
    for _ in range(2):
        core.on_copy_failed(BOOK)
        sources += [each.source for each in only(StartReplica, core.take_commands(0))]
    assert {each.node for each in sources if isinstance(each, FromSibling)} == {"b2", "c3"}
    assert sources[2:] == [FromExchange()]


def test_a_book_that_another_node_should_get_is_not_awaited_for_ever() -> None:
    core = node("b2", "c3")
    _, commands = create(core, replicas=3)
    assert core.books.owners(BOOK)[0] != "a1"
    assert only(StartReplica, commands) == []
    core.on_time(SIBLING_WAIT_NS - 1, WALL_MS)
    assert only(StartReplica, core.take_commands(SIBLING_WAIT_NS - 1)) == []
    core.on_time(SIBLING_WAIT_NS + S_NS, WALL_MS)
    commands = core.take_commands(SIBLING_WAIT_NS + S_NS)
    assert [each.source for each in only(StartReplica, commands)] == [FromExchange()]


@pytest.mark.parametrize(("egress", "wait_ns"), [("", SHARED_WAIT_NS), ("other", SIBLING_WAIT_NS)])
def test_a_node_that_may_wait_for_shared_weight_is_awaited_for_longer(egress: str, wait_ns: int) -> None:
    core = node("b2", "c3")
    create(core, replicas=3)
    first = core.books.owners(BOOK)[0]
    core.on_member(Member(replace(facts(first), run=2, egress=egress), MemberState.ALIVE), 0)
    states = {f"{BOOK.exchange} {BOOK.symbol}": "starting"}
    core.on_tell(first, messages.encode(Reports(2, 1, True, states)), 0)
    core.on_time(wait_ns - S_NS, WALL_MS)
    assert only(StartReplica, core.take_commands(wait_ns - S_NS)) == []
    core.on_time(wait_ns + S_NS, WALL_MS)
    assert len(only(StartReplica, core.take_commands(wait_ns + S_NS))) == 1


def test_what_a_restarted_node_held_is_forgotten() -> None:
    core = node("b2")
    create(core, replicas=2)
    holding(core, "b2")
    assert "b2" in core.books.holders(BOOK)
    core.on_member(alive("b2", run=2), 0)
    assert "b2" not in core.books.holders(BOOK)


def test_a_lost_report_is_noticed_by_the_next_one_and_by_a_beat() -> None:
    for message in (Reports(1, 5, False, {}), Beat(1, "digest", 5)):
        core = node("b2")
        core.on_tell("b2", messages.encode(message), 0)
        assert Tell("b2", messages.encode(ReportsWanted())) in core.take_commands(0)


def test_a_node_that_differs_twice_is_asked_for_everything() -> None:
    core = node("b2")
    beat = messages.encode(Beat(1, "another digest", 0))
    core.on_tell("b2", beat, 0)
    assert only(Ask, core.take_commands(0)) == []
    core.on_tell("b2", beat, 0)
    (ask,) = only(Ask, core.take_commands(0))
    assert isinstance(messages.decode(ask.payload), Content)
    core.on_tell("b2", beat, 0)
    assert only(Ask, core.take_commands(0)) == [], "one exchange at a time"


def test_a_removed_node_is_neither_seen_nor_heard() -> None:
    core = node("b2", "c3")
    core.deny("b2", until_ms=2 * WALL_MS, now_ns=0, wall_ms=WALL_MS)
    core.take_commands(0)
    core.on_member(alive("b2", run=2), 0)
    assert core.members.alive() == ("c3",)
    change = messages.encode(Store({"book binance.com X": {"alive": ((WALL_MS + 9, 0, "b2"), True)}}))
    core.on_ask(7, "b2", change, 0)
    assert only(Refuse, core.take_commands(0)) == [Refuse(7, "not a request")]
    assert core.wanted.books() == {}


def test_a_node_that_learns_of_its_removal_stops() -> None:
    other, core = node("a1", me="b2"), node("b2")
    other.deny("a1", until_ms=2 * WALL_MS, now_ns=0, wall_ms=WALL_MS + 1)
    (persist,) = only(Persist, other.take_commands(0))
    core.on_ask(7, "b2", persist.payload, 0)
    assert only(StopNode, core.take_commands(0))


def test_a_node_that_its_cluster_does_not_know_stops() -> None:
    wanted = WantedSet("a1")
    wanted.register("b2", wall_ms=WALL_MS)
    core = NodeCore(facts("a1"), wanted)
    core.start(0, WALL_MS)
    assert only(StopNode, core.take_commands(0))


@pytest.mark.parametrize("payload", [b"", b"{", b"{}", b'{"type":"beat"}', b"\xff\xfe", b"x\x9c" + b"0" * 50])
def test_a_malformed_message_is_counted_and_ignored(payload: bytes) -> None:
    core = node("b2")
    core.on_tell("b2", payload, 0)
    core.on_ask(7, "b2", payload, 0)
    assert core.malformed == 2
    assert only(Refuse, core.take_commands(0))
    with pytest.raises(MalformedClusterMessage):
        messages.decode(payload)


def test_a_bomb_of_zeros_is_refused() -> None:
    with pytest.raises(MalformedClusterMessage, match="64 MiB"):
        messages.decode(zlib.compress(b"0" * (65 << 20), 1))


# --- when it may leave -----------------------------------------------------------------------


def test_a_node_may_leave_once_another_has_all_its_edits() -> None:
    core = node("b2")
    core.on_tell("b2", messages.encode(Beat(1, "older", 0)), 0)
    assert not core.is_drained()
    core.on_tell("b2", messages.encode(Beat(1, core.wanted.map.digest(), 0)), 0)
    assert core.is_drained()


def test_a_book_that_cannot_be_synced_lets_a_node_leave() -> None:
    """Such as one that the exchange does not know, or no longer: no successor would ever have it."""
    core = node("b2")
    core.create(BOOK, replicas=2, settings={}, now_ns=0, wall_ms=WALL_MS)
    for state in ("synced", "stale"):
        states = {"binance.com BTCUSDT": state}
        core.on_tell("b2", messages.encode(Reports(1, 1, True, states)), 0)
        core.take_commands(0)
    core.drain("a1", draining=True, now_ns=0, wall_ms=WALL_MS)
    core.on_tell("b2", messages.encode(Beat(1, core.wanted.map.digest(), 0)), 0)
    core.take_commands(0)
    for own, may_leave in (
        (ReplicaState.STARTING, True),
        (ReplicaState.SYNCED, False),
        (ReplicaState.STALE, True),
    ):
        core.on_replica(BOOK, own)
        core.take_commands(0)
        assert core.is_drained() is may_leave, own


def test_a_node_that_sees_none_of_the_others_may_not_leave() -> None:
    core = node("b2")
    core.on_tell("b2", messages.encode(Beat(1, core.wanted.map.digest(), 0)), 0)
    core.on_member(suspect("b2"), 0)
    assert not core.is_drained()
    assert node().is_drained()


def test_a_node_that_was_forgotten_owns_nothing_while_it_ends() -> None:
    core = node("b2")
    create(core, replicas=2)
    core.forget("a1", now_ns=0, wall_ms=WALL_MS)
    core.take_commands(0)
    assert core.books.owners(BOOK) == ("b2",)


def test_a_move_says_what_happened_to_which_node() -> None:
    core = node("b2", "c3")
    create(core, replicas=3)
    assert core.books.why(BOOK) == "created or changed"
    core.on_member(Member(facts("b2"), MemberState.LEFT), 0)
    assert core.books.why(BOOK) == "node b2 ended", "by a signal: it did not leave the cluster"
    core.on_member(alive("b2", run=2), 0)
    assert core.books.why(BOOK) == "node b2 is up"
    core.on_member(suspect("c3"), 0)
    core.on_time(DEAD_AFTER_NS, WALL_MS)
    assert core.books.why(BOOK) == "node c3 is away", "as the status calls it"


def test_a_node_that_has_just_started_began_its_books_because_it_started() -> None:
    wanted = WantedSet("a1")
    for each in ("a1", "b2"):
        wanted.register(each, wall_ms=WALL_MS)
    wanted.create(BOOK, replicas=2, settings={}, wall_ms=WALL_MS)
    core = NodeCore(facts("a1"), wanted)
    core.start(0, WALL_MS)
    core.on_member(alive("b2"), 0)
    assert only(StartReplica, core.take_commands(0)) == []
    core.on_tell("b2", messages.encode(Reports(1, 0, True, {f"{BOOK.exchange} {BOOK.symbol}": "synced"})), 0)
    assert only(StartReplica, core.take_commands(0))
    assert core.books.why(BOOK) == "this node started", "and not because b2 is up"


# --- how far it sees -------------------------------------------------------------------------


def test_a_suspect_is_dead_after_a_second_unless_it_returns() -> None:
    members = Membership(facts("a1"))
    members.on_member(alive("b2"), 0)
    members.on_member(suspect("b2"), 5)
    assert not members.is_alive("b2")
    assert members.next_ns() == 5 + DEAD_AFTER_NS
    assert members.on_time(4 + DEAD_AFTER_NS) == ()
    members.on_member(alive("b2"), 6)
    assert members.next_ns() is None
    members.on_member(suspect("b2"), 7)
    assert members.on_time(7 + DEAD_AFTER_NS) == ("b2",)
    assert members.is_dead("b2")
    assert [each.id for each in members.not_dead()] == ["a1"]


def test_late_news_of_an_earlier_process_is_ignored() -> None:
    members = Membership(facts("a1"))
    members.on_member(alive("b2", run=2), 0)
    for late in (suspect("b2"), alive("b2"), Member(facts("b2"), MemberState.LEFT)):
        assert not members.on_member(late, 0)
    assert members.is_alive("b2")


def test_a_node_never_sees_itself() -> None:
    members = Membership(facts("a1"))
    assert not members.on_member(suspect("a1"), 0)
    assert members.is_alive("a1")
