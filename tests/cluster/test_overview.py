"""What a node shows of the whole cluster: what others say, what has changed, and how little that costs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from depthcache.cluster.core.members import Member, MemberState
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.moves import Move, Moves
from depthcache.cluster.overview import Overview
from depthcache.errors import InvalidArgument
from tests.cluster.managed import BTC, ETH, WALL_MS, FakeNode, facts, serving
from tests.cluster.test_management import ask, create
from tests.server.asking import Answer
from tests.server.asking import ask as http

WEIGHT = {"egress": "east", "pool": "binance.com", "limit": 6_000, "allowed": 6_000, "used": 7}


class Time:
    """The clock of a node, moved by hand."""

    def __init__(self, node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1_000.0
        monkeypatch.setattr(node, "now_ns", lambda: int(self.now_s * 1e9))
        monkeypatch.setattr(node, "wall_ms", lambda: WALL_MS + int((self.now_s - 1_000) * 1e3))


class Looker:
    """A page: it asks for what has changed since its last look."""

    def __init__(self, node: FakeNode, time: Time, *, patience_s: float = 5.0) -> None:
        self.node, self.time = node, time
        self.overview = Overview(node, node._ask_server, patience_s=patience_s)
        self.at = self.moves_at = ""
        self.size = 0

    async def look(self, after_s: float = 2.0, **changes: str) -> dict[str, Any]:
        self.time.now_s += after_s
        answer = await self.overview.look(**{"since": self.at, "moves": self.moves_at, **changes})
        found: dict[str, Any] = json.loads(answer)
        self.at, self.moves_at, self.size = found["at"], found["moves_at"], len(answer)
        return found

    async def listed(self, **given: str) -> dict[str, Any]:
        self.time.now_s += 2
        found: dict[str, Any] = json.loads(await self.overview.list_books(**given))
        return found


def said(node: str, **changes: Any) -> bytes:
    """What another node says of itself."""
    given = {
        "node": node,
        "weight": [{**WEIGHT, "exchange_used": None}],
        "reasons": {},
        "reasons_digest": "d1",
        "moves": [],
        "moves_at": "1.0",
        "has_more": False,
    }
    return json.dumps({**given, **changes}).encode()


def peers(**answers: bytes | None) -> Callable[[str, str], Awaitable[bytes | None]]:
    """The servers of the others, by the id of their node."""

    async def answer(address: str, _path: str) -> bytes | None:
        return answers.get(f"{int(address.split(':')[0].rpartition('.')[2]):x}")

    return answer


@pytest.fixture
def node() -> FakeNode:
    return FakeNode("b2", "c3")


@pytest.fixture
def page(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> Looker:
    return Looker(node, Time(node, monkeypatch))


def run(work: Awaitable[None]) -> None:
    async def begin() -> None:
        await work

    asyncio.run(begin())


def by_id(found: Mapping[str, Any]) -> dict[str, Any]:
    return {each["id"]: each for each in found["nodes"]}


# --- what it shows ---------------------------------------------------------------------------


def test_the_version_of_a_node_is_the_one_that_it_tells_all_others(node: FakeNode, page: Looker) -> None:
    core = node.core
    core.on_member(Member(replace(facts("b2"), version="9.8.7"), MemberState.ALIVE), 0)
    core.take_commands(0)

    async def work() -> None:
        nodes = by_id(await page.look())
        assert (nodes["b2"]["version"], nodes["c3"]["version"]) == ("9.8.7", None)

    run(work())


def test_it_says_of_every_node_what_that_node_alone_knows(node: FakeNode, page: Looker) -> None:
    create(node, BTC, replicas=3)
    for peer, state in {"a1": "STALE", "b2": "SYNCED", "c3": "STARTING"}.items():
        node.report(peer, BTC, ReplicaState[state])
    node.reasons.reasons[BTC] = "gap"
    reasons = {"no snapshot yet": [list(BTC)]}
    move = {"at_ms": 5, "node": "c3", "exchange": "binance.com", "symbol": "BTCUSDT", "what": "began"}
    node.peers = peers(b2=said("b2"), c3=said("c3", reasons=reasons, moves=[move], moves_at="1.1"))

    async def work() -> None:
        found = await page.look()
        assert (found["cluster"], found["node"], found["reset"]) == ("amber-fox", "a1", False)
        nodes = by_id(found)
        assert {peer: (each["books"], each["synced"]) for peer, each in nodes.items()} == {
            "a1": (1, 0),
            "b2": (1, 1),
            "c3": (1, 0),
        }
        assert [each["egress"] for each in found["weight"]] == ["", "east"], "one row for each egress"
        assert [each["node"] for each in found["moves"]] == ["c3"]
        [book] = (await page.listed())["books"]
        assert book["reasons"] == {"a1": "gap", "c3": "no snapshot yet"}
        assert book["why_not"] == "gap; no snapshot yet"
        assert (book["wrong"], book["synced"], book["replicas"]) == (True, 1, 3)
        assert found["books_count"] == {"all": 1, "synced": 1, "wrong": 1, "lacking": 1, "possible": 3}

    run(work())


def test_since_when_a_node_is_away_and_where_it_was(node: FakeNode, page: Looker) -> None:
    node.core.wanted.node = "b2"
    node.core.wanted.report_address(listen="10.0.0.2:42080", server="10.0.0.178:42081", wall_ms=WALL_MS)
    node.core.wanted.node = "a1"

    async def work() -> None:
        before = by_id(await page.look(0.0))["b2"]
        assert (before["state"], before["since_ms"]) == ("alive", WALL_MS)
        node.see("b2", MemberState.LEFT)
        gone = by_id(await page.look(3.0))["b2"]
        assert (gone["state"], gone["since_ms"]) == ("away", WALL_MS + 3_000)
        assert gone["address"] == "10.0.0.178:42081"
        node.see("c3", MemberState.SUSPECT)
        assert by_id(await page.look(4.0))["b2"]["since_ms"] == WALL_MS + 3_000

    run(work())


def test_a_node_that_is_slow_delays_nobody_and_is_not_asked_twice(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Looker(node, Time(node, monkeypatch), patience_s=0.01)
    asked: list[str] = []

    async def work() -> None:
        may_answer = asyncio.Event()

        async def answer(address: str, _path: str) -> bytes | None:
            asked.append(address)
            await may_answer.wait()
            return said(f"{int(address.split(':')[0].rpartition('.')[2]):x}")

        node.peers = answer
        assert by_id(await page.look())["b2"]["answers"] is None
        await page.look()
        assert len(asked) == 2, "once each"
        may_answer.set()
        await page.look()
        assert by_id(await page.look(since=""))["b2"]["answers"] is True
        await page.overview.close()

    run(work())


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        b"[]",
        b'{"node": "b2"}',
        said("c3"),
        said("b2", weight=[{"egress": "x"}]),
        said("b2", moves=[{"at_ms": "x"}]),
    ],
)
def test_what_is_no_answer_of_that_node_is_not_taken(
    node: FakeNode, page: Looker, answer: bytes | None
) -> None:
    node.peers = peers(b2=answer)

    async def work() -> None:
        await page.look()
        found = by_id(await page.look(since=""))["b2"]
        assert (found["answers"], found["state"]) == (False, "alive")

    run(work())


def test_other_nodes_are_asked_once_a_second_for_all_pages(node: FakeNode, page: Looker) -> None:
    node.peers = peers(b2=said("b2"), c3=said("c3"))

    async def work() -> None:
        await asyncio.gather(*(page.overview.look() for _ in range(50)))
        assert len(node.asked) == 2
        await page.look(0.9)
        assert len(node.asked) == 2
        await page.look(0.2)
        assert len(node.asked) == 4
        assert node.asked[-1] == ("10.0.0.195:42081", "/v1/cluster/node?moves=1.0&reasons=d1")

    run(work())


def test_nodes_that_are_away_are_not_asked_and_use_no_weight(node: FakeNode, page: Looker) -> None:
    node.peers = peers(b2=said("b2"))

    async def work() -> None:
        assert len((await page.look())["weight"]) == 2
        node.see("b2", MemberState.LEFT)
        node.asked.clear()
        assert [each["egress"] for each in (await page.look())["weight"]] == [""]
        assert [address for address, _ in node.asked] == ["10.0.0.195:42081"]

    run(work())


# --- what has changed ------------------------------------------------------------------------


def test_a_look_at_5000_books_of_which_none_changed_is_some_hundred_bytes(
    node: FakeNode, page: Looker
) -> None:
    keys = [BookKey("binance.com", f"S{number}USDT") for number in range(5_000)]
    node.core.create(*keys, replicas=2, settings={}, now_ns=0, wall_ms=WALL_MS)
    node.core.take_commands(0)

    async def work() -> None:
        first = await page.look()
        assert first["books_count"]["all"] == 5_000
        assert "books" not in first, "the list has them, page by page"
        quiet = await page.look()
        assert quiet.keys() == {"cluster", "node", "reset", "at", "moves_at"}
        assert page.size < 300
        node.report("b2", keys[7], ReplicaState.SYNCED)
        changed = await page.look()
        assert [book["symbol"] for book in changed["books"]] == ["S7USDT"]
        assert "nodes" in changed
        assert "weight" not in changed

    run(work())


def test_many_changes_come_in_parts_of_which_none_is_missing(node: FakeNode, page: Looker) -> None:
    keys = [BookKey("binance.com", f"S{number}USDT") for number in range(1_200)]

    async def work() -> None:
        await page.look()
        node.core.create(*keys, replicas=2, settings={}, now_ns=0, wall_ms=WALL_MS)
        node.core.take_commands(0)
        found, sizes, has_more = set[str](), list[int](), True
        while has_more:
            answer = await page.look(0.0 if found else 2.0)
            sizes.append(len(answer["books"]))
            found |= {book["symbol"] for book in answer["books"]}
            has_more = answer.get("more", False)
        assert (sizes, len(found)) == ([500, 500, 200], 1_200)
        assert "books" not in await page.look()

    run(work())


def test_what_takes_long_to_read_is_read_more_rarely(
    node: FakeNode, page: Looker, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[float] = []

    def rows() -> list[dict[str, Any]]:
        if not reads or reads[-1] != page.time.now_s:
            page.time.now_s += 0.25
            reads.append(page.time.now_s)
        return FakeNode.node_rows(node)

    async def work() -> None:
        await page.look()
        monkeypatch.setattr(page.overview, "_ask_others", lambda: None)
        monkeypatch.setattr(node, "node_rows", rows)
        for _ in range(100):
            await page.look(0.1)

    run(work())
    assert 3 <= len(reads) <= 5, "a tenth of 10 s, of a quarter of a second each"


def test_removed_books_are_named_once(node: FakeNode, page: Looker) -> None:
    create(node, BTC, ETH)

    async def work() -> None:
        await page.look()
        await node.fake.stop(BTC)
        found = await page.look()
        assert found["books"] == [{"exchange": "binance.com", "symbol": "BTCUSDT", "removed": True}]
        assert "books" not in await page.look()
        assert (await page.listed())["total"] == 1

    run(work())


def test_a_position_of_another_process_begins_again(node: FakeNode, page: Looker) -> None:
    async def work() -> None:
        await page.look()
        found = await page.look(since="0123456789abcdef.5", moves="0123456789abcdef.5")
        assert found["reset"] is True
        assert "nodes" in found
        later = f"{found['at'].partition('.')[0]}.999999"
        assert (await page.look(since=later))["reset"] is True
        for name in ("since", "moves"):
            with pytest.raises(InvalidArgument) as error:
                await page.look(**{name: "yesterday"})
            assert error.value.name == name

    run(work())


def test_moves_of_all_nodes_come_once_also_after_a_node_has_restarted(node: FakeNode, page: Looker) -> None:
    def moves(*times: int) -> list[dict[str, Any]]:
        return [
            {"at_ms": each, "node": "b2", "exchange": "binance.com", "symbol": "X", "what": "began"}
            for each in times
        ]

    answers = [
        said("b2", moves=moves(1, 2), moves_at="1.2", has_more=True),
        said("b2", moves=moves(3), moves_at="1.3"),
        said("b2", moves=moves(1, 2, 3, 4), moves_at="2.4"),
    ]

    async def answer(address: str, _path: str) -> bytes | None:
        return answers.pop(0) if address.startswith("10.0.0.178") and answers else None

    node.peers = answer
    node.history.append(Move(9, "a1", *BTC, "began"))

    async def work() -> None:
        assert [each["at_ms"] for each in (await page.look())["moves"]] == [1, 2, 3, 9]
        node.history.append(Move(10, "a1", *BTC, "synced"))
        assert [each["at_ms"] for each in (await page.look())["moves"]] == [4, 10]
        assert "moves" not in await page.look()
        assert node.asked[-2][1] == "/v1/cluster/node?moves=2.4&reasons=d1"

    run(work())


# --- the list --------------------------------------------------------------------------------


def test_the_list_has_pages_and_finds_books(node: FakeNode, page: Looker) -> None:
    create(node, *(BookKey("binance.com", f"S{number}USDT") for number in range(5)), replicas=1)
    create(node, BookKey("binance.com-futures", "S1USDT"), replicas=3)

    async def work() -> None:
        names: list[str] = []
        cursor = ""
        while True:
            found = await page.listed(limit="2", cursor=cursor)
            names += [f"{book['exchange']}/{book['symbol']}" for book in found["books"]]
            assert found["total"] == 6
            if found["next"] is None:
                break
            cursor = found["next"]
        assert names == [*(f"binance.com/S{number}USDT" for number in range(5)), "binance.com-futures/S1USDT"]
        assert (await page.listed(search="s1 FUT"))["total"] == 1
        assert (await page.listed(exchange="binance.com"))["total"] == 5
        assert (await page.listed(only="lacking"))["total"] == 6
        for key in node.core.wanted.books():
            node.report("b2", key, ReplicaState.SYNCED)
        assert (await page.listed(only="lacking"))["total"] == 1
        for name, wrong in {"only": "red", "limit": "0", "cursor": "S1USDT"}.items():
            with pytest.raises(InvalidArgument) as error:
                await page.listed(**{name: wrong})
            assert error.value.name == name
        for limit in ("1001", "-1", "1e3", "٣", ""):
            if limit:
                with pytest.raises(InvalidArgument):
                    await page.listed(limit=limit)

    run(work())


# --- what a node says of itself --------------------------------------------------------------


def test_a_node_says_only_what_is_new_of_itself(node: FakeNode) -> None:
    create(node, BTC)
    node.report("a1", BTC, ReplicaState.STALE)
    node.reasons.reasons[BTC] = "gap"
    node.history += [Move(number, "a1", *BTC, "began") for number in range(1_500)]
    first = ask(node, "read_cluster_node")[1]
    assert first["reasons"] == {"gap": [list(BTC)]}
    assert (len(first["moves"]), first["moves"][-1]["at_ms"], first["moves_at"]) == (1_000, 1_499, "1.1500")
    again = {"moves": first["moves_at"], "reasons": first["reasons_digest"]}
    second = ask(node, "read_cluster_node", body=again)[1]
    assert (second["reasons"], second["moves"], second["has_more"]) == (None, [], False)
    older = ask(node, "read_cluster_node", body={"moves": "1.100"})[1]
    assert (len(older["moves"]), older["moves_at"], older["has_more"]) == (1_000, "1.1100", True)
    assert ask(node, "read_cluster_node", body={"moves": "7.100"})[1]["moves_at"] == "1.1500", "another run"
    assert ask(node, "read_cluster_node", body={"moves": "x"})[0] == 400


def test_the_routes_answer(node: FakeNode) -> None:
    create(node, BTC)
    assert ask(node, "read_cluster_overview")[1]["cluster"] == "amber-fox"
    assert ask(node, "list_cluster_books", body={"limit": "5"})[1]["total"] == 1
    status, answer = ask(node, "read_cluster_overview", body={"since": "?"})
    assert (status, answer["error"]["name"]) == (400, "since")


def test_parameters_of_requests_reach_the_node(node: FakeNode, tmp_path: Path) -> None:
    create(node, BTC, ETH)

    async def work() -> None:
        async with serving(tmp_path, node) as running:

            async def get(path: str) -> Answer:
                return await asyncio.to_thread(http, running.port, path)

            page = (await get("/v1/cluster/books?limit=1")).json
            assert [book["symbol"] for book in page["books"]] == ["BTCUSDT"]
            rest = (await get(f"/v1/cluster/books?limit=1&cursor={quote(page['next'], safe='')}")).json
            assert ([book["symbol"] for book in rest["books"]], rest["next"]) == (["ETHUSDT"], None)
            assert (await get("/v1/cluster/overview")).json["cluster"] == "amber-fox"
            for path, name in {
                "books?limit=x": "limit",
                "books?color=red": "color",
                "overview?since=x": "since",
            }.items():
                refused = await get(f"/v1/cluster/{path}")
                assert (refused.status, refused.error["name"]) == (400, name)

    run(work())


def test_numbers_of_moves_go_on_when_old_ones_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthcache.cluster.moves._MOST", 3)
    moves = Moves(None)
    for number in range(1, 6):
        moves.add(Move(number, "a1", *BTC, "began"))
    assert moves.count == 5
    assert [each.at_ms for each in moves.after(0, 10)] == [3, 4, 5]
    assert [each.at_ms for each in moves.after(3, 1)] == [4]
    assert moves.after(5, 10) == ()
