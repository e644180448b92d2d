"""What a node writes: changes of nodes, and one line for many books."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from depthcache import logs
from depthcache.cluster.core.commands import FromExchange, FromSibling
from depthcache.cluster.core.members import Member, MemberState, Node
from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.wanted_set import WantedSet
from depthcache.cluster.node_log import NodeLog
from tests.cluster.kept_nodes import KeptCluster

BOOKS = [BookKey("binance.com", f"SYM{number}USDT") for number in range(1_000)]
WALL_MS = 1_796_000_000_000
SECOND = 1_000_000_000


class Watched:
    """The log of node a1, which b2 has joined."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "depthcache.cluster")
        self.caplog, self.now_ns = caplog, 0
        self.core = NodeCore(Node(id="a1", run=1, address="a1:1"), WantedSet("a1"))
        self.core.start(0, WALL_MS)
        self.core.register("b2", now_ns=0, wall_ms=WALL_MS)
        self.log = NodeLog(now_ns=lambda: self.now_ns)
        self.log.begin(self.core, "amber-fox")
        self.lines()

    def see(self, state: MemberState, run: int = 1) -> None:
        self.core.on_member(Member(Node(id="b2", run=run, address="b2:1"), state), self.now_ns)

    def lines(self, books: int = len(BOOKS)) -> list[str]:
        """What is written now."""
        self.log.look(books)
        found = [record.getMessage() for record in self.caplog.records]
        self.caplog.clear()
        return found


@pytest.fixture
def watched(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Watched:
    for name in ("_NODES", "_NODE_BOOKS", "_NODE_UPKEEP"):
        monkeypatch.setattr(logs, name, logs._Limited(logger=logging.getLogger("depthcache.cluster")))
    return Watched(caplog)


def test_each_change_of_another_node_is_one_line(watched: Watched) -> None:
    watched.see(MemberState.ALIVE)
    assert watched.lines() == ["node b2 is up, its server is at b2:1"]
    watched.see(MemberState.SUSPECT)
    assert watched.lines() == ["node b2 is suspect: its connection broke, or it is silent"]
    watched.core.on_time(2 * SECOND, WALL_MS)
    assert watched.lines() == ["node b2 is away, other nodes own its books: nothing was heard of it"]
    watched.see(MemberState.ALIVE, run=2)
    watched.lines()
    watched.see(MemberState.LEFT, run=2)
    assert watched.lines() == ["node b2 is away, other nodes own its books: its process has ended"]
    assert watched.lines() == []


def test_nodes_that_join_are_drained_and_go_are_named(watched: Watched) -> None:
    for node in ("c3", "d4"):
        watched.core.register(node, now_ns=0, wall_ms=WALL_MS)
    assert watched.lines() == ["node c3 has joined the cluster", "node d4 has joined the cluster"]
    watched.core.drain("a1", draining=True, now_ns=0, wall_ms=WALL_MS)
    assert watched.lines() == ["node a1 hands its books over"]
    watched.core.drain("a1", draining=False, now_ns=0, wall_ms=WALL_MS)
    assert watched.lines() == ["node a1 can hold books again"]
    watched.core.forget("c3", now_ns=0, wall_ms=WALL_MS)
    assert watched.lines() == ["node c3 has left the cluster for good"]
    watched.core.deny("d4", until_ms=WALL_MS + 1_000, now_ns=0, wall_ms=WALL_MS)
    assert watched.lines() == ["node d4 was removed from the cluster and is refused from now on"]


def test_a_take_over_of_a_thousand_books_is_two_lines(watched: Watched) -> None:
    for number, key in enumerate(BOOKS):
        source = FromSibling("b2", "b2:1") if number % 2 else FromExchange()
        watched.log.on_began(key, source, "node c3 is away")
    assert watched.lines() == ["this node takes 1,000 books: node c3 is away"]
    watched.log.on_began(BOOKS[0], FromExchange(), "node c3 is away")
    for key in BOOKS[1:]:
        watched.log.on_synced(key)
    watched.log.on_not_synced(BOOKS[0], "no snapshot yet", was_synced=False)
    assert watched.lines() == []
    watched.now_ns = 61 * SECOND
    late = "not synced a minute after this node took them: 1 book, such as SYM0USDT on binance.com"
    assert watched.lines() == [f"{late}: no snapshot yet"]
    watched.log.on_began(BookKey("binance.com", "NEWUSDT"), FromExchange(), "created or changed")
    assert watched.lines() == ["this node takes 1 book: created or changed"]
    watched.log.on_synced(BookKey("binance.com", "NEWUSDT"))
    watched.log.on_synced(BOOKS[0])
    done = "all that this node took is synced after 61.0 s: 1,001 books, 500 of them copied from other nodes"
    assert watched.lines() == [done]
    for key in BOOKS:
        watched.log.on_ended(key, "handed over to b2")
    assert watched.lines() == ["this node gave up 1,000 books: handed over to b2"]


def test_books_that_are_given_up_before_they_are_synced_do_not_count_as_taken(watched: Watched) -> None:
    for key in BOOKS[:3]:
        watched.log.on_began(key, FromSibling("b2", "b2:1"), "node c3 is away")
    assert watched.lines() == ["this node takes 3 books: node c3 is away"]
    watched.log.on_ended(BOOKS[0], "no longer wanted")
    assert watched.lines() == ["this node gave up 1 book: no longer wanted"]
    for key in BOOKS[1:3]:
        watched.log.on_synced(key)
    done = "all that this node took is synced after 0.0 s: 2 books, 2 of them copied from other nodes"
    assert watched.lines() == [done]
    watched.log.on_began(BOOKS[0], FromExchange(), "created or changed")
    assert watched.lines() == ["this node takes 1 book: created or changed"]
    watched.log.on_ended(BOOKS[0], "no longer wanted")
    assert watched.lines() == ["this node gave up 1 book: no longer wanted"]


def test_books_that_lose_sync_together_are_one_line(watched: Watched) -> None:
    for key in BOOKS[:3]:
        watched.log.on_not_synced(key, "silent", was_synced=True)
    lost = "books of this node are not synced any more, such as SYM0USDT on binance.com: silent"
    assert watched.lines() == [f"3 of 1000 {lost}"]
    watched.log.on_not_synced(BOOKS[3], "silent", was_synced=True)
    assert watched.lines() == []
    for key in BOOKS:
        watched.log.on_not_synced(key, "silent", was_synced=True)
    assert watched.lines() == [f"1000 of 1000 {lost}"]
    watched.now_ns += 2 * SECOND
    for key in BOOKS:
        watched.log.on_synced(key)
    assert watched.lines() == ["all books of this node that had lost sync are synced again after 2.0 s"]


def test_copies_that_fail_are_counted_by_node_and_reason(watched: Watched) -> None:
    for _ in BOOKS:
        watched.log.on_copy_failed("b2:1", "HTTP 503")
    assert watched.lines() == ["1,000 books could not be copied from b2:1: HTTP 503"]


def test_a_full_disk_is_said_once_and_its_end_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, watched: Watched
) -> None:
    del watched
    cluster = KeptCluster(tmp_path)

    async def test(cluster: KeptCluster) -> None:
        await cluster.start(1)
        (node,) = cluster.nodes
        caplog.clear()
        disk = cluster.disks[node.id]
        disk.is_full = True
        for number in range(3):
            node.runner.core.create(
                BOOKS[number], replicas=1, settings={}, now_ns=cluster.clock.now_ns, wall_ms=WALL_MS
            )
            await cluster.pass_s(2)
        disk.is_full = False
        await cluster.pass_s(2)

    cluster.run(test)
    found = [each.getMessage() for each in caplog.records if "what the cluster keeps" in each.getMessage()]
    assert len(found) == 2
    assert found[0] == "what the cluster keeps cannot be saved on this node: disk: No space left on device"
    assert found[1].startswith("what the cluster keeps is saved again on this node after ")
