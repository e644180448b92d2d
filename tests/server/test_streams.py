"""Followed books on a socket: what a reader builds of messages is the book at the same id."""

from __future__ import annotations

import asyncio
import copy
import json
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import depthcache
from depthcache import Book, server, simulator
from tests.server.asking import DEADLINE_S, READ, ask, book, diff, serving, snapshot
from tests.server.following import (
    HANDSHAKE,
    JSON,
    MESSAGE_PACK,
    Client,
    Mirror,
    connected,
    expected,
    session,
)

BOOK = "binance.com/BTCUSDT"


@pytest.fixture
def native() -> Iterator[Any]:
    with serving(heartbeat_s=30) as made:
        yield made


class Fed:
    """A served book that random updates change, and what each view of it was at each id."""

    def __init__(self, native: Any, seed: int, symbol: str = "BTCUSDT") -> None:
        self.random = random.Random(seed)
        self.symbol, self.book, self.id = symbol, book(symbol), 100
        native.add("binance.com", symbol, self.book)
        self.views: dict[tuple[Any, Any], dict[int, Any]] = {}

    def watch(self, levels: int | str, group: str | None) -> None:
        self.views[levels, group] = {self.id: expected(self.book, levels, group)}

    def step(self) -> None:
        """One update of some levels near the best ones."""
        event: dict[str, list[list[str]]] = {"b": [], "a": []}
        for side, sign in (("b", -1), ("a", 1)):
            for _ in range(self.random.randrange(4)):
                price = 1000 + sign * self.random.randint(1, 60) / 100
                quantity = self.random.choice(["0", "1.5", "2.25", "7"])
                event[side].append([f"{price:.2f}", quantity])
        self.apply(**event)

    def apply(self, b: list[list[str]], a: list[list[str]]) -> None:
        first, self.id = self.id + 1, self.id + self.random.randint(1, 3)
        raw = diff(self.symbol, first, self.id, b).replace(b'"a": []', b'"a": ' + text(a))
        self.book.apply(raw)
        self.note()

    def start_over(self) -> None:
        """Updates are lost, and a snapshot with other levels follows."""
        self.book.apply(diff(self.symbol, self.id + 5, self.id + 6, []))
        self.id += self.random.randint(6, 9)
        self.book.load_snapshot(snapshot(self.id, self.random.randint(2, 60)), limit=100)
        self.note()

    def note(self) -> None:
        for (levels, group), known in self.views.items():
            known[self.id] = expected(self.book, levels, group)

    def finish(self) -> None:
        """Both best prices change, so that every mode but status has a message."""
        self.apply([["999.99", f"{self.id}.3"]], [["1000.01", f"{self.id}.4"]])


def text(levels: list[list[str]]) -> bytes:
    return json.dumps(levels).encode()


VIEWS = [
    ("every", 5, None),
    ("every", "all", None),
    ("every", 3, "0.05"),
    ("latest", 1, None),
    ("latest", 20, None),
    ("latest", "all", "0.1"),
    ("interval", 10, None),
    ("best", None, None),
    ("levels", 4, None),
    ("levels", 2, "0.25"),
]


@pytest.mark.parametrize("protocol", [JSON, MESSAGE_PACK])
@pytest.mark.parametrize("seed", range(3))
async def test_a_mirror_of_messages_is_the_book_at_each_id(native: Any, seed: int, protocol: str) -> None:
    fed = Fed(native, seed)
    async with connected(native.port, protocol=protocol) as client:
        names = {}
        for mode, levels, group in VIEWS:
            fields: dict[str, Any] = {"levels": levels, "group": group}
            fields |= {"interval_ms": 1 if mode == "interval" else None, "exact": True}
            given = {name: value for name, value in fields.items() if value is not None}
            reply = await client.subscribe(BOOK, mode=mode, **given)
            names[reply["view"]] = (levels or 1, group)
            fed.watch(levels or 1, group)
        waiting = 0
        for _ in range(60):
            fed.step()
            if fed.random.random() < 0.05:
                fed.start_over()
            waiting += 3  # at least: three views have a message for each update
            for _ in range(min(waiting, fed.random.choice([0, 0, 0, 1, 1, 9]))):
                waiting -= 1
                await check(client, fed, names)
        fed.finish()
        while not all(mirror.id == fed.id for mirror in client.mirrors.values()):
            await check(client, fed, names)
        assert len(client.mirrors) == len(VIEWS)


async def check(client: Client, fed: Fed, names: dict[str, Any]) -> None:
    message = await client.receive()
    if message["type"] == "state":
        return
    view = names[message["view"]]
    assert client.mirror(message).sides == fed.views[view][message["id"]], message


async def test_every_update_is_a_message_and_chained(native: Any) -> None:
    fed = Fed(native, 5)
    async with connected(native.port) as client:
        await client.subscribe(BOOK, mode="every", levels=2)
        assert (await client.receive())["type"] == "snapshot"
        ids = [fed.id]
        for _ in range(50):
            fed.step()
            ids.append(fed.id)
        messages = [await client.receive() for _ in range(50)]
        assert [message["previous"] for message in messages] == ids[:-1]
        assert [message["skipped"] for message in messages] == [0] * 50


async def test_prices_with_other_decimals_start_over(native: Any) -> None:
    """Readers keep levels by the text of their price: 999.990 would be another one than 999.99."""
    fed = Fed(native, 6)
    async with connected(native.port) as client:
        await client.subscribe(BOOK)
        await client.until("snapshot")
        fed.watch(20, None)
        fed.apply([["999.995", "1"]], [])
        message = await client.receive()
        assert (message["type"], message["bids"][1][0]) == ("snapshot", "999.990")
        assert client.mirror(message).sides == fed.views[20, None][fed.id]


# --- ids --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["every", "latest"])
async def test_a_reader_goes_on_from_an_id_that_the_server_still_has(native: Any, mode: str) -> None:
    fed = Fed(native, 7)
    fed.watch(5, None)
    async with connected(native.port) as client, connected(native.port) as other:
        reply = await client.subscribe(BOOK, mode=mode, levels=5)
        await other.subscribe(BOOK, mode=mode, levels=5)
        mirror = client.mirror(await client.receive())
        for _ in range(5):
            fed.step()
        fed.finish()
        while mirror.id != fed.id:
            await client.receive()
    for _ in range(5):
        fed.step()
    fed.finish()
    async with connected(native.port) as client:
        client.mirrors["binance.com", "BTCUSDT", reply["view"]] = mirror
        await client.subscribe(BOOK, mode=mode, levels=5, resume=mirror.id, server=reply["server"])
        while mirror.id != fed.id:
            assert (await client.receive())["type"] == "update"
        assert mirror.sides == fed.views[5, None][fed.id]


@pytest.mark.parametrize("resume", [1, 100, 10**15])
async def test_an_id_that_the_server_has_not_gets_a_snapshot(native: Any, resume: int) -> None:
    """100 is the id of the first snapshot itself: a reader may hold what was there before it, or after."""
    fed = Fed(native, 8)
    async with connected(native.port) as first, connected(native.port) as client:
        await first.subscribe(BOOK, mode="every")
        await first.until("snapshot")
        fed.step()
        await first.until("update")
        fields: dict[str, Any] = {"mode": "every", "resume": {BOOK: resume}}
        await client.subscribe("BTC*", **fields)
        assert (await client.receive())["type"] == "snapshot"


async def test_a_view_that_is_not_proven_goes_on_only_on_the_server_that_showed_it(native: Any) -> None:
    fed = Fed(native, 9)
    fed.book.load_snapshot(snapshot(100, 50), limit=50)  # there may be more
    async with connected(native.port) as client:
        reply = await client.subscribe(BOOK, mode="every", levels="all")
        assert (await client.until("snapshot"))["complete"] is False
        fed.finish()
        last = await client.until("update")
        fed.step()
        for server, kind in ((None, "snapshot"), ("another", "snapshot"), (reply["server"], "update")):
            async with connected(native.port) as later:
                later.mirrors = copy.deepcopy(client.mirrors)
                given = {"server": server} if server else {}
                await later.subscribe(BOOK, mode="every", levels="all", resume=last["id"], **given)
                assert (await later.receive())["type"] == kind


@pytest.mark.parametrize("exact", [True, False])
async def test_exact_text_goes_on_only_on_the_server_that_wrote_it(native: Any, exact: bool) -> None:
    """Readers find a level by the text of its price, which may have other decimals on another server."""
    fed = Fed(native, 10)
    async with connected(native.port) as client:
        reply = await client.subscribe(BOOK, mode="every", exact=exact)
        assert (await client.until("snapshot"))["complete"] is True
        fed.step()
        last = await client.until("update")
        fed.step()
        elsewhere = "snapshot" if exact else "update"
        for given, kind in (
            ({"complete": True}, elsewhere),
            ({"complete": True, "server": "another"}, elsewhere),
            ({"server": "another"}, "snapshot"),  # which may have shown less
            ({"complete": False, "server": "another"}, "snapshot"),
            ({"server": reply["server"]}, "update"),
        ):
            async with connected(native.port) as later:
                later.mirrors = copy.deepcopy(client.mirrors)
                await later.subscribe(BOOK, mode="every", exact=exact, resume=last["id"], **given)
                assert (await later.receive())["type"] == kind, given


@pytest.mark.parametrize("kind", ["replaced", "ended and begun again"])
async def test_a_book_that_took_the_place_of_another_does_not_go_on_from_its_ids(
    native: Any, kind: str
) -> None:
    """It may have other decimals: a level of the former would stay for ever."""
    fed = Fed(native, 15)
    async with connected(native.port) as client:
        reply = await client.subscribe(BOOK, mode="every")
        fed.finish()
        while (last := await client.receive())["id"] != fed.id:
            pass
    if kind != "replaced":
        native.remove("binance.com", "BTCUSDT")
    again = Fed(native, 15)
    again.apply([["999.999", "1"]], [])
    async with connected(native.port) as first, connected(native.port) as later:
        assert (await first.subscribe(BOOK, mode="every"))["server"] != reply["server"]
        await first.until("snapshot")
        again.id = last["id"]
        again.book.apply(diff("BTCUSDT", 101, last["id"], []))
        again.step()
        while (await first.receive())["id"] != again.id:
            pass
        await later.subscribe(BOOK, mode="every", resume=last["id"], server=reply["server"])
        assert (await later.receive())["type"] == "snapshot"


async def test_an_exchange_goes_by_its_other_names(native: Any) -> None:
    native.set_aliases({"com": "binance.com"})
    fed = Fed(native, 14)
    async with connected(native.port) as client:
        for name in ("com/BTCUSDT", "COM/BTC*"):
            reply = await client.subscribe(name, mode="every")
            assert reply["books"] in ([BOOK], [])  # the second time it is followed already
            await client.ask(op="unsubscribe")
            reply = await client.subscribe(name, mode="every")
            assert reply["books"] == [BOOK]
            await client.ask(op="unsubscribe")
        reply = await client.subscribe(BOOK, mode="every")
        await client.until("snapshot")
        fed.finish()
        last = await client.until("update")
        fed.finish()
        async with connected(native.port) as later:
            later.mirrors = copy.deepcopy(client.mirrors)
            resume: Any = {"Com/btcusdt": last["id"]}
            await later.subscribe("com/BTC*", mode="every", resume=resume, server=reply["server"])
            assert (await later.receive())["type"] == "update"


# --- states -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["every", "latest", "best", "levels"])
async def test_a_gap_is_told_and_then_the_book_starts_over(native: Any, mode: str) -> None:
    fed = Fed(native, 11)
    async with connected(native.port) as client:
        reply = await client.subscribe(BOOK, mode=mode)
        mirror = client.mirror(await client.receive())
        fed.book.apply(diff("BTCUSDT", 900, 901, []))
        state = await client.receive()
        assert (state["type"], state["status"]) == ("state", "buffering")
        assert "gap" in state["reason"] or "missing" in state["reason"], state
        fed.book.load_snapshot(snapshot(1_000, 30), limit=100)
        fed.id = 1_000
        levels = 1 if mode == "best" else 20
        fed.watch(levels, None)
        again = await client.until("snapshot")
        assert (again["id"], again["status"]) == (1_000, "synced")
        assert mirror.sides == fed.views[levels, None][1_000]
        fed.finish()
        while mirror.id != fed.id:
            await client.receive()
        assert mirror.sides == fed.views[levels, None][fed.id]
        assert reply["type"] == "subscribed"


@pytest.mark.parametrize("mode", ["every", "latest"])
async def test_a_diff_that_ends_where_the_snapshot_does_says_nothing(native: Any, mode: str) -> None:
    """The first diff of futures after a snapshot overlaps it, and may bring nothing new."""
    held = Book("binance.com-futures", "BTCUSDT")
    held.load_snapshot(snapshot(100), limit=100)
    native.add("binance.com-futures", "BTCUSDT", held)

    def chained(previous: int, first: int, last: int, bids: list[list[str]]) -> bytes:
        made = json.loads(diff("BTCUSDT", first, last, bids))
        return json.dumps(made | {"pu": previous, "T": 1_700_000_000_000}).encode()

    async with connected(native.port) as client:
        await client.subscribe("BTCUSDT", mode=mode)
        assert (await client.receive())["id"] == 100
        held.apply(chained(97, 98, 100, [["999.99", "1.12500000"]]))
        held.apply(chained(100, 101, 102, [["999.99", "7.00000000"]]))
        update = await client.receive()
        assert (update["previous"], update["id"]) == (100, 102)
        assert update["skipped"] == (mode == "latest")  # which has no message for it anyway
        assert update["bids"] == [["999.99", "7.00000000"]]


@pytest.mark.parametrize("levels", [1, 3])
async def test_a_merged_snapshot_starts_the_view_over(levels: int) -> None:
    with serving(heartbeat_s=30) as native:
        held = book()
        native.add("binance.com", "BTCUSDT", held)
        async with connected(native.port) as client:
            await client.subscribe("BTCUSDT", levels=levels)
            await client.until("snapshot")
            await asyncio.to_thread(held.load_snapshot, snapshot(200, 40), limit=100)
            assert (await client.until("snapshot"))["id"] == 200
            assert ask(native.port, "/v1/stats").json["streams"]["subscribers"] == 1


async def test_a_book_that_is_not_synced_says_so_at_once_or_waits(native: Any) -> None:
    late = Book("binance.com", "LATEUSDT")
    native.add("binance.com", "LATEUSDT", late)
    async with connected(native.port) as client, connected(native.port) as patient:
        await client.subscribe("LATEUSDT")
        assert (await client.receive())["status"] == "empty"
        await patient.subscribe("LATEUSDT", on_stale="wait")
        late.load_snapshot(snapshot(5, 3), limit=100)
        assert (await client.until("snapshot"))["id"] == 5
        assert (await patient.receive())["type"] == "snapshot"
        late.apply(diff("LATEUSDT", 50, 51, []))
        assert (await client.receive())["type"] == "state"
        late.load_snapshot(snapshot(60, 3), limit=100)
        assert (await patient.receive())["id"] == 60


async def test_the_last_known_levels_are_served_on_request(native: Any) -> None:
    fed = Fed(native, 12)
    fed.book.apply(diff("BTCUSDT", 900, 901, []))
    async with connected(native.port) as client:
        await client.subscribe(BOOK, on_stale="serve", levels=3)
        shown = await client.until("snapshot")
        assert (shown["status"], shown["id"], len(shown["bids"])) == ("buffering", 100, 3)


async def test_the_mode_status_brings_states_only(native: Any) -> None:
    fed = Fed(native, 13)
    async with connected(native.port) as client:
        await client.subscribe(BOOK, mode="status")
        assert (await client.receive())["status"] == "synced"
        fed.step()
        fed.book.apply(diff("BTCUSDT", 900, 901, []))
        assert (await client.receive())["status"] == "buffering"
        fed.book.load_snapshot(snapshot(1_000, 30), limit=100)
        assert (await client.receive())["status"] == "synced"


async def test_books_that_come_are_followed_and_those_that_go_are_closed(native: Any) -> None:
    Fed(native, 14)
    async with connected(native.port) as client:
        reply = await client.subscribe("btc*", "*/ETH*", levels=2)
        assert reply["books"] == [BOOK]
        await client.until("snapshot")
        native.add("binance.us", "ETHUSDT", book("ETHUSDT", "binance.us"))
        native.add("binance.com", "BNBUSDT", book("BNBUSDT"))
        came = await client.until("snapshot")
        assert (came["exchange"], came["symbol"]) == ("binance.us", "ETHUSDT")
        native.remove("binance.com", "BTCUSDT")
        gone = await client.receive()
        assert (gone["type"], gone["symbol"], gone["status"]) == ("state", "BTCUSDT", "closed")
        native.add("binance.com", "BTCUSDT", book("BTCUSDT"))
        back = await client.receive()
        assert (back["type"], back["symbol"], back["skipped"]) == ("snapshot", "BTCUSDT", 0)
        native.add("binance.com", "BTCUSDT", book("BTCUSDT"))  # takes its place
        assert [(await client.receive())["type"] for _ in range(2)] == ["state", "snapshot"]
        (listed,) = (await client.ask(op="list"))["subscriptions"]
        assert listed["symbols"] == ["btc*", "*/ETH*"]
        assert sorted(listed["books"]) == [BOOK, "binance.us/ETHUSDT"]


async def test_a_book_that_comes_beyond_a_limit_is_not_followed_and_the_client_is_told() -> None:
    with serving(followed=1, heartbeat_s=30) as native:
        Fed(native, 24)
        async with connected(native.port) as client:
            await client.subscribe("*")
            await client.until("snapshot")
            Fed(native, 25, "ETHUSDT")
            error = await client.receive()
            assert (error["type"], error["request"]) == ("error", None)
            assert (error["error"]["code"], error["error"]["symbol"]) == ("too_many_books", "ETHUSDT")


async def test_a_book_that_was_beyond_a_limit_is_followed_once_there_is_room() -> None:
    with serving(followed=2, heartbeat_s=30) as native:
        Fed(native, 24)
        Fed(native, 24, "BTCUSDC")
        async with connected(native.port) as client:
            await client.subscribe("BTC*")
            await client.subscribe("E*")
            Fed(native, 25, "ETHUSDT")
            while (await client.receive())["type"] != "error":
                pass
            await client.ask(op="unsubscribe", subscription=1)
            assert (await client.until("snapshot"))["symbol"] == "ETHUSDT"


async def test_what_is_not_subscribed_to_any_more_is_silent(native: Any) -> None:
    fed = Fed(native, 15)
    async with connected(native.port) as client:
        await client.subscribe("*", levels=2)
        second = await client.subscribe(BOOK, levels=2)  # the same view: followed once
        assert second["books"] == []
        assert (await client.ask(op="unsubscribe", subscription=1))["subscriptions"] == [1]
        assert (await client.until("snapshot"))["symbol"] == "BTCUSDT"  # of the second
        assert (await client.ask(op="unsubscribe"))["subscriptions"] == [2]
        fed.finish()
        assert (await client.ask(op="list"))["subscriptions"] == []


async def test_a_heartbeat_names_the_silent_books_alone() -> None:
    with serving(heartbeat_s=0.1) as native:
        Fed(native, 16)
        busy = Fed(native, 17, "ETHUSDT")
        async with connected(native.port) as client:
            await client.subscribe("*", mode="best")
            message = await client.receive()
            while message["type"] != "heartbeat" or len(message["books"]) != 1:
                if message.get("id") == busy.id:
                    busy.finish()
                message = await client.receive()
            assert message["books"] == [
                {
                    "exchange": "binance.com",
                    "symbol": "BTCUSDT",
                    "view": "best",
                    "status": "synced",
                    "id": 100,
                }
            ]
            assert message["time_us"] > 1_700_000_000_000_000


# --- many, and slow ones ----------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_view_that_nobody_reads_is_forgotten_while_its_book_changes() -> None:
    with serving(views=1, linger_s=0.05, messages_per_second=1_000_000) as native:
        fed = Fed(native, seed=5)
        other = {"op": "subscribe", "symbols": ["BTCUSDT"], "levels": 4}
        async with connected(native.port) as second:
            async with connected(native.port) as first:
                await first.subscribe("BTCUSDT", levels=3)
                assert (await second.ask_as(other))["error"]["code"] == "too_many_views"
            async with asyncio.timeout(DEADLINE_S):
                while (await second.ask_as(other))["type"] == "error":
                    fed.step()


async def test_200_subscribers_share_each_encoding(native: Any) -> None:
    fed = Fed(native, 18)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(native.port)) for _ in range(200)]
        for client in clients:
            await client.subscribe(BOOK, mode="every", levels=5)
            await client.until("snapshot")
        for _ in range(5):
            fed.finish()
        for client in clients:
            for _ in range(5):
                assert (await client.receive())["type"] == "update"
        streams = (await asyncio.to_thread(ask, native.port, "/v1/stats")).json["streams"]
        assert streams["subscribers"] == streams["sockets"] == 200
        assert streams["messages"] == 200 * 6
        assert streams["encoded"] == 6
    text = (await asyncio.to_thread(ask, native.port, "/metrics")).body.decode()
    assert "\ndepthcache_server_encoded_total 6\n" in text


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["every", "latest"])
async def test_a_slow_reader_gets_the_newest_state_and_delays_nobody(mode: str) -> None:
    """It reads nothing while the book changes far more than is kept for it, and then reads on."""
    with serving(held_bytes=1 << 14, heartbeat_s=30) as native:
        fed = Fed(native, 19)
        fed.watch("all", None)
        slow_socket = dial_small(native.port)
        async with connected(native.port) as client:
            await subscribe_raw(slow_socket, mode)
            await client.subscribe(BOOK, mode=mode, levels="all")
            for _ in range(1_500):
                fed.step()
                if fed.id % 50 == 0:
                    await asyncio.sleep(0)
            fed.finish()
            mirror = client.mirror(await client.receive())
            while mirror.id != fed.id:
                await client.receive()
            assert mirror.sides == fed.views["all", None][fed.id]
        slow = Mirror()
        skipped = 0
        for message in frames(slow_socket):
            if message["type"] in ("snapshot", "update"):
                slow.apply(message)
                skipped += message["skipped"]
                assert slow.sides == fed.views["all", None][slow.id]
            if slow.id == fed.id:
                break
        assert skipped > 0
        slow_socket.close()


@pytest.mark.slow
@pytest.mark.parametrize("op", ["subscribe", "nothing"])
async def test_what_waits_of_a_book_never_comes_after_another_took_its_place(op: str) -> None:
    """A reader that is behind would add updates of the former to the new book, and hear of its end last."""
    with serving(held_bytes=1 << 24, heartbeat_s=30) as native:
        former = Fed(native, 26)
        Fed(native, 27, "ETHUSDT")
        made = dial_small(native.port)
        await subscribe_raw(made, "every")
        messages = frames(made)
        mirror = Mirror()
        mirror.apply(next(messages))
        for number in range(1, 501):  # more than the system keeps
            former.apply([[f"{700 + level}.00", f"{number}.{level + 1}"] for level in range(300)], [])
        native.remove("binance.com", "BTCUSDT")
        newer = Fed(native, 28)
        if op == "subscribe":
            send_raw(made, op="subscribe", symbols=["ETHUSDT"])
            while (await asyncio.to_thread(ask, native.port, "/v1/stats")).json["streams"]["subscribers"] < 2:
                pass
        ends = 0
        while mirror.id != 100 or ends == 0:
            message = next(messages)
            if message.get("symbol") == "BTCUSDT":
                ends += message.get("status") == "closed"
                mirror.apply(message)
        newer.finish()
        while mirror.id != newer.id:
            message = next(messages)
            if message.get("symbol") == "BTCUSDT":
                mirror.apply(message)
        assert (mirror.status, ends) == ("synced", 1)
        made.close()


def dial_small(port: int) -> socket.socket:
    """A socket for which the system keeps little."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    made.settimeout(DEADLINE_S)
    made.connect(("127.0.0.1", port))
    made.sendall(HANDSHAKE)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += made.recv(1)
    return made


async def subscribe_raw(made: socket.socket, mode: str) -> None:
    fields = {"op": "subscribe", "symbols": ["BTCUSDT"], "mode": mode, "levels": "all"}
    send_raw(made, **fields)
    assert next(frames(made))["type"] == "subscribed"


def send_raw(made: socket.socket, **fields: Any) -> None:
    payload = json.dumps(fields).encode()
    assert len(payload) < 126
    made.sendall(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)  # masked with zeros


def frames(made: socket.socket) -> Iterator[dict[str, Any]]:
    """The text messages of a server."""
    while True:
        head = exactly(made, 2)
        length = head[1]
        if length >= 126:
            length = int.from_bytes(exactly(made, 2 if length == 126 else 8), "big")
        payload = exactly(made, length)
        if head[0] == 0x81:
            yield json.loads(payload)


def exactly(made: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        part = made.recv(count - len(found))
        assert part, "the server closed the socket"
        found += part
    return found


@pytest.mark.slow
async def test_a_reader_that_never_reads_is_closed_and_counted() -> None:
    with serving(held_bytes=1 << 14, idle_s=0.2) as native:
        fed = Fed(native, 20)
        made = dial_small(native.port)
        await subscribe_raw(made, "every")

        def slow() -> int:
            for _ in range(300):
                fed.step()
            count: int = ask(native.port, "/v1/stats").json["streams"]["slow"]
            return count

        async with asyncio.timeout(DEADLINE_S):
            while await asyncio.to_thread(slow) == 0:
                pass
        made.close()


# --- server-sent events -----------------------------------------------------------------------------


class Events:
    """The messages of a stream of events."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.comments: list[str] = []

    async def next(self) -> tuple[str, str | None, dict[str, Any]]:
        """Kind, id and message of the next event."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(DEADLINE_S):
            while line := (await self.response.content.readline()).decode().rstrip("\n"):
                if line.startswith(":"):
                    self.comments.append(line)
                    await self.response.content.readline()  # the empty line behind it
                    continue
                name, _, value = line.partition(": ")
                fields[name] = value
        if not fields:
            raise EOFError
        return fields["event"], fields.get("id"), json.loads(fields["data"])


@asynccontextmanager
async def streamed(port: int, query: str, **headers: str) -> AsyncIterator[Events]:
    given = {"Authorization": f"Bearer {READ}", **{k.replace("_", "-"): v for k, v in headers.items()}}
    async with (
        session() as made,
        made.get(f"http://127.0.0.1:{port}/v1/stream?{query}", headers=given) as response,
    ):
        assert response.status == 200, await response.text()
        assert response.headers["content-type"] == "text/event-stream"
        yield Events(response)


async def test_a_stream_of_events_has_the_same_messages_and_goes_on_from_the_last_id(native: Any) -> None:
    fed = Fed(native, 21)
    fed.watch(5, None)
    mirror = Mirror()
    async with streamed(native.port, "symbols=BTCUSDT&mode=every&levels=5") as events:
        kind, last, message = await events.next()
        assert kind == message["type"] == "snapshot"
        mirror.apply(message)
        fed.step()
        kind, last, message = await events.next()
        assert (kind, last) == ("update", f"{str(last).split('-')[0]}-{fed.id}")
        mirror.apply(message)
    for _ in range(3):
        fed.step()
    assert last is not None
    async with streamed(native.port, "symbols=BTCUSDT&mode=every&levels=5", Last_Event_ID=last) as events:
        while mirror.id != fed.id:
            kind, _, message = await events.next()
            assert kind == "update"
            mirror.apply(message)
    assert mirror.sides == fed.views[5, None][fed.id]
    for strange in ("x", "another-100", "-", last.split("-")[0] + "-1"):
        async with streamed(
            native.port, "symbols=BTCUSDT&mode=every&levels=5", Last_Event_ID=strange
        ) as events:
            assert (await events.next())[0] == "snapshot"


async def test_a_stream_of_events_beats_in_comments_and_ends_with_the_server() -> None:
    with serving(heartbeat_s=0.05) as native:
        Fed(native, 22)
        async with streamed(native.port, "symbols=*&mode=best") as events:
            assert (await events.next())[0] == "snapshot"
            line = await events.response.content.readline()
            assert line.startswith(b': {"type":"heartbeat"')
            drained = asyncio.create_task(asyncio.to_thread(native.drain, DEADLINE_S))
            while await events.response.content.readline():
                pass
            assert await drained is True


@pytest.mark.parametrize(
    ("query", "status", "name"),
    [
        ("", 400, "symbols"),
        ("symbols=BTCUSDT&mode=fast", 400, "mode"),
        ("symbols=BTCUSDT&levels=-1", 400, "levels"),
        ("symbols=BTCUSDT&group=x", 400, "group"),
        ("symbols=BTCUSDT&level=1", 400, "level"),
        ("symbols=BTCUSD", 404, None),
    ],
)
def test_a_stream_that_cannot_work_is_refused(native: Any, query: str, status: int, name: str | None) -> None:
    Fed(native, 23)
    answer = ask(native.port, f"/v1/stream?{query}")
    assert (answer.status, answer.error.get("name")) == (status, name)


# --- live -------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_live_book_is_followed(tmp_path: Path) -> None:
    config = server.ServerConfig(port=0, workers=1, data_dir=tmp_path)
    with simulator.serve(seed=3) as exchange:
        async with (
            depthcache.connect("binance.com", ["BTCUSDT"], settings=exchange.settings) as books,
            server.serve(books, config) as running,
            connected(running.port, token=running.read_token) as client,
        ):
            await client.subscribe("BTCUSDT", mode="interval", interval_ms=20, levels=5)
            mirror = client.mirror(await client.until("snapshot"))
            await client.until("update")
            await client.subscribe("BTCUSDT", mode="every", levels=5)
            seen = 0
            while seen < 3:
                message = await client.receive()
                held = books["BTCUSDT"].freeze(5)
                if message.get("id") == held.last_update_id and message["type"] == "update":
                    sides = client.mirror(message).sides
                    for mine, theirs in zip(sides, (held.exact.bids, held.exact.asks), strict=True):
                        assert mine == [(level.price, level.quantity) for level in theirs]
                    assert message["received_time_us"] is not None
                    seen += 1
            assert mirror.status == "synced"
            books.remove("BTCUSDT")
            while (await client.receive()).get("status") != "closed":
                pass
