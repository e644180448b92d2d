"""When a node is ready: its own books are synced, or siblings have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthcache import Book
from depthcache.cluster.core import messages
from depthcache.cluster.core.members import Member, MemberState
from depthcache.cluster.core.messages import Reports
from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.wanted_set import WantedSet
from depthcache.cluster.readiness import Readiness
from tests.cluster.managed import BTC, ETH, WALL_MS, facts
from tests.cluster.nodes import exchange
from tests.cluster.processes import SPOT, NodeProcess, Processes, running
from tests.server.asking import Answer, ask
from tests.server.clustering import Cluster

SYNCED, STALE = ReplicaState.SYNCED, ReplicaState.STALE


class Case:
    """Node a1, which starts with two wanted books, and others."""

    def __init__(self, *others: str, books: tuple[BookKey, ...] = (BTC, ETH), peers: bool = False) -> None:
        wanted = WantedSet("a1")
        for each in ("a1", *others):
            wanted.register(each, wall_ms=WALL_MS)
        if books:
            wanted.create(*books, replicas=len(others) + 1, settings={}, wall_ms=WALL_MS)
        self.core = NodeCore(facts("a1"), wanted)
        self.hopeless: set[BookKey] = set()
        self.readiness = Readiness(self.core, is_hopeless=self.hopeless.__contains__, has_peers=lambda: peers)
        self.core.start(0, WALL_MS)
        self.core.take_commands(0)

    def sees(self, peer: str) -> None:
        self.core.on_member(Member(facts(peer), MemberState.ALIVE), 0)
        self.core.take_commands(0)

    def loses(self, peer: str) -> None:
        self.core.on_member(Member(facts(peer), MemberState.LEFT), 0)
        self.core.take_commands(0)

    def hears(self, peer: str, **states: ReplicaState) -> None:
        names = {f"binance.com {symbol}": state.value for symbol, state in states.items()}
        self.core.on_tell(peer, messages.encode(Reports(1, 1, True, names)), 0)
        self.core.take_commands(0)

    def has(self, key: BookKey, state: ReplicaState) -> None:
        self.core.on_replica(key, state)
        self.core.take_commands(0)

    @property
    def reason(self) -> str:
        return self.readiness.why_not()


def test_a_node_alone_is_ready_once_its_books_are_synced() -> None:
    case = Case()
    assert case.reason == "2 of 2 books are synced on no node yet"
    case.has(BTC, SYNCED)
    assert case.reason == "1 of 2 books are synced on no node yet"
    case.has(ETH, SYNCED)
    assert case.reason == ""
    assert Case(books=()).reason == ""


def test_a_book_that_the_exchange_does_not_trade_holds_no_node_up() -> None:
    case = Case()
    case.has(BTC, SYNCED)
    case.hopeless.add(ETH)
    assert case.reason == ""
    case = Case()
    case.hopeless |= {BTC, ETH}
    assert case.reason == ""
    assert case.reason == "", "nothing was lost"


def test_a_node_that_comes_back_is_ready_once_siblings_said_that_they_have_its_books() -> None:
    case = Case("b2", "c3")
    assert case.reason == "the other nodes have not said yet which books they hold"
    case.sees("b2")
    case.sees("c3")
    assert case.reason == "the other nodes have not said yet which books they hold"
    case.hears("b2", BTCUSDT=SYNCED)
    assert case.reason == "the other nodes have not said yet which books they hold"
    case.hears("c3", ETHUSDT=STALE)
    assert case.reason == "1 of 2 books are synced on no node yet"
    case.hears("c3", ETHUSDT=SYNCED)
    assert case.reason == ""


def test_books_that_are_added_or_taken_over_leave_a_node_ready() -> None:
    case = Case("b2")
    case.sees("b2")
    case.hears("b2", BTCUSDT=SYNCED, ETHUSDT=SYNCED)
    assert case.reason == ""
    case.has(BTC, SYNCED)
    case.loses("b2")
    assert case.reason == "", "it takes ETHUSDT over"
    more = [BookKey("binance.com", f"SYM{number}USDT") for number in range(5)]
    case.core.create(*more, replicas=1, settings={}, now_ns=0, wall_ms=WALL_MS)
    case.core.take_commands(0)
    assert case.reason == ""


def test_a_node_without_any_book_that_can_be_read_is_not_ready() -> None:
    case = Case("b2")
    case.sees("b2")
    case.hears("b2", BTCUSDT=SYNCED, ETHUSDT=SYNCED)
    assert case.reason == ""
    case.loses("b2")
    assert case.reason == "no book is synced now, here or on another node"
    case.has(BTC, SYNCED)
    assert case.reason == ""
    case.has(BTC, STALE)
    assert case.reason == "no book is synced now, here or on another node"


def test_an_empty_node_that_was_told_of_others_is_not_ready_before_it_sees_one() -> None:
    case = Case(books=(), peers=True)
    assert case.reason == "no other node was reached yet"
    case.sees("b2")
    case.hears("b2")
    assert case.reason == ""
    assert Case(books=(BTC,), peers=True).reason.startswith("1 of 1"), "it had books: others may be gone"


def test_a_server_says_what_its_node_decides() -> None:
    with Cluster() as cluster:
        node = cluster.node("a1")
        node.hold("BTCUSDT")
        assert node.ask("/readyz", token=None).json["synced"] == 1
        node.native.set_not_ready("the node starts")
        answer = node.ask("/readyz", token=None)
        assert (answer.status, answer.error["message"]) == (503, "the node starts")
        node.native.set_not_ready("")
        assert node.ask("/readyz", token=None).json == {"status": "ready", "books": 1, "synced": 1}
        node.native.add("binance.com", "LATEUSDT", Book("binance.com", "LATEUSDT"))
        assert node.ask("/readyz", token=None).status == 200


def ready(node: NodeProcess) -> Answer:
    """Without a token, as Kubernetes asks."""
    return ask(node.address[1], "/readyz", token=None)


@pytest.mark.slow
async def test_take_overs_and_new_books_leave_running_nodes_ready(tmp_path: Path) -> None:
    async with running(tmp_path, "ab", symbols=("SYM0USDT", "SYM1USDT")) as cluster:
        a = cluster["a"]
        answers = [ready(a)]
        await cluster["b"].kill()
        await a.ask(
            "POST", "/books", {"exchange": SPOT, "symbols": ["SYM2USDT", "NOSUCHUSDT"], "replicas": 2}
        )
        for _ in range(20):
            answers.append(ready(a))
            await a.status()
        assert {answer.status for answer in answers} == {200}


@pytest.mark.processes
async def test_a_first_node_is_not_ready_without_the_exchange(tmp_path: Path) -> None:
    with exchange() as server:
        cluster = Processes(tmp_path, server)
        try:
            a = await cluster.start("a")
            assert ready(a).status == 200
            await a.ask("POST", "/books", {"exchange": SPOT, "symbols": ["SYM0USDT"], "replicas": 1})
            await cluster.settled()
            await a.terminate()
            server.close()
            await a.restart()
            answer = ready(a)
            assert (answer.status, answer.error["code"]) == (503, "not_ready")
            assert answer.error["message"] in (
                "1 of 1 books are synced on no node yet",
                "the other nodes have not said yet which books they hold",
            )
        finally:
            cluster.end()
