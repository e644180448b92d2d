"""The socket itself: who may open it, what it takes of clients, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import socket as sockets
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic
from typing import Any

import aiohttp
import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.asking import ADMIN, DEADLINE_S, READ, ask, book, diff, raw, serving
from tests.server.following import HANDSHAKE, JSON, MESSAGE_PACK, connected, session

BOOK = "binance.com/BTCUSDT"


@pytest.fixture
def native() -> Iterator[Any]:
    with serving(heartbeat_s=30) as made:
        made.add("binance.com", "BTCUSDT", book())
        yield made


# --- who may open it --------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [READ, ADMIN])
async def test_a_browser_sends_its_token_in_the_first_message(native: Any, secret: str) -> None:
    async with connected(native.port, token=None) as client:
        reply = await client.ask(op="auth", token=secret)
        assert (reply["type"], reply["role"]) == ("authenticated", "read" if secret == READ else "manage")
        await client.subscribe(BOOK)


@pytest.mark.parametrize(
    "first",
    [
        {"op": "auth", "token": READ[:-1]},
        {"op": "auth", "token": ""},
        {"op": "auth"},
        {"op": "auth", "token": 5},
        {"op": "subscribe", "symbols": ["BTCUSDT"]},
        {"op": "list"},
        {},
    ],
    ids=str,
)
async def test_a_first_message_without_a_known_token_ends_the_socket(
    native: Any, first: dict[str, Any]
) -> None:
    async with connected(native.port, token=None) as client:
        reply = await client.ask(**first)
        assert (reply["type"], reply["error"]["code"]) == ("error", "unauthorized")
        code, _ = await client.closed()
        assert code == 1008


async def test_a_client_that_sends_no_token_is_ended() -> None:
    with serving(idle_s=0.15) as native:
        async with connected(native.port, token=None) as client:
            assert await client.closed() == (1008, "no token came in time")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": f"Bearer {READ[:-1]}"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Connection": "close"}, 426),
    ],
    ids=str,
)
def test_what_a_foreign_page_or_a_wrong_client_asks_for_is_refused(
    native: Any, headers: dict[str, str], status: int
) -> None:
    given = {
        "Host": f"127.0.0.1:{native.port}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Authorization": f"Bearer {READ}",
    } | headers
    lines = [f"{name}: {value}" for name, value in given.items()]
    sent = "\r\n".join(["GET /v1/ws HTTP/1.1", *lines, "", ""]).encode()
    with sockets.create_connection(("127.0.0.1", native.port), timeout=DEADLINE_S) as connection:
        connection.sendall(sent)
        assert connection.recv(1 << 16).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_request_that_asks_for_no_socket_is_told_to(native: Any) -> None:
    answer = ask(native.port, "/v1/ws")
    assert (answer.status, answer.error["code"]) == (426, "websocket_expected")


async def test_the_own_page_may_open_it(native: Any) -> None:
    headers = {"Origin": f"http://127.0.0.1:{native.port}", "Sec-Fetch-Site": "same-origin"}
    async with connected(native.port, headers=headers) as client:
        await client.subscribe(BOOK)


async def test_a_socket_counts_as_a_connection_for_as_long_as_it_is_open() -> None:
    def refused() -> int:
        count: int = ask(native.port, "/v1/stats").json["connections"]["refused"]["connections"]
        return count

    with serving(connections=2, idle_s=1) as native:
        async with connected(native.port), connected(native.port) as second:
            await second.ask(op="list")
            assert await asyncio.to_thread(raw, native.port, b"") == b""
            await second.ask(op="list")
        while True:  # the end of a connection is noticed soon, not at once
            with suppress(OSError):
                assert await asyncio.to_thread(refused) >= 1
                break


# --- what it takes of clients -----------------------------------------------------------------------


async def test_a_message_that_is_too_large_ends_it() -> None:
    with serving(message_bytes=1_000) as native:
        async with connected(native.port) as client:
            assert (await client.ask(op="list"))["type"] == "subscriptions"
            await client.socket.send_str("x" * 5_000_000)
            assert (await client.closed())[0] == 1009


async def test_too_many_messages_end_it() -> None:
    with serving(messages_per_second=5) as native:
        async with connected(native.port) as client:
            for _ in range(20):
                await client.send(op="list")
            assert await client.closed() == (1008, "too many messages")


async def test_too_many_pings_end_it() -> None:
    with serving(messages_per_second=5) as native:
        async with connected(native.port) as client:
            for _ in range(20):
                await client.socket.ping()
            assert (await client.closed())[0] == 1008


@pytest.mark.slow
async def test_a_client_without_a_sign_of_life_is_ended_and_one_with_it_is_kept() -> None:
    with serving(idle_s=0.1) as native:
        async with connected(native.port, autoping=False) as silent, connected(native.port) as alive:
            pinged = await silent.socket.receive()
            assert pinged.type is aiohttp.WSMsgType.PING

            async def listen() -> None:
                with pytest.raises(EOFError):
                    await alive.receive()

            task = asyncio.create_task(listen())  # aiohttp answers pings while it reads
            assert await silent.socket.receive()
            assert ask(native.port, "/v1/stats").json["connections"]["idle"] == 1
            assert not task.done()
            native.drain(1)
            await task


async def test_a_connection_has_so_many_subscriptions_and_books() -> None:
    with serving(subscriptions=2, followed=3, views=4) as native:
        for number in range(3):
            native.add("binance.com", f"P{number}USDT", book(f"P{number}USDT"))
        async with connected(native.port) as client:
            await client.subscribe("P0USDT")
            refused = await client.ask(op="subscribe", symbols=["*"], mode="best")
            assert (refused["error"]["code"], refused["error"]["most"]) == ("too_many_books", 3)
            await client.subscribe("P0USDT", mode="best")
            refused = await client.ask(op="subscribe", symbols=["P1USDT"])
            assert refused["error"]["code"] == "too_many_subscriptions"
            await client.ask(op="unsubscribe", subscription=2)
            assert len((await client.ask(op="list"))["subscriptions"]) == 1


async def test_nobody_has_more_views_of_a_book_than_are_left_for_the_others() -> None:
    with serving(views=8) as native:
        native.add("binance.com", "BTCUSDT", book())
        async with connected(native.port) as greedy, connected(native.port) as other:
            for levels in range(1, 5):
                await greedy.subscribe("BTCUSDT", levels=levels)
            refused = await greedy.ask(op="subscribe", symbols=["BTCUSDT"], levels=5)
            assert (refused["error"]["code"], refused["error"]["most"]) == ("too_many_views", 8)
            for levels in range(1, 7):  # four of the other's, and two more
                await other.subscribe("BTCUSDT", levels=levels)
            refused = await other.ask(op="subscribe", symbols=["BTCUSDT"], levels=7)
            assert refused["error"]["code"] == "too_many_views"
            await greedy.subscribe("BTCUSDT", levels=6)


async def test_views_that_nobody_reads_any_more_make_room_at_once() -> None:
    with serving(views=4) as native:
        native.add("binance.com", "BTCUSDT", book())
        for turn in range(6):
            async with connected(native.port) as client:
                for levels in (2 * turn + 1, 2 * turn + 2):
                    await client.subscribe("BTCUSDT", levels=levels)
                    assert len((await client.until("snapshot"))["bids"]) == levels
                await client.ask(op="unsubscribe")


async def test_what_all_views_keep_is_bounded_together() -> None:
    most_bytes = 400_000
    with serving(view_bytes=most_bytes, held_bytes=200_000, heartbeat_s=30) as native:
        books = {f"P{number}USDT": book(f"P{number}USDT") for number in range(10)}
        for symbol, held in books.items():
            native.add("binance.com", symbol, held)
        async with connected(native.port) as client:
            for symbol, held in books.items():  # each is silent when the next one comes
                await client.subscribe(symbol, mode="every")
                await client.until("snapshot")
                for number in range(101, 251):
                    bids = [["999.99", f"{number}.00000000"], ["999.98", f"{number}.10000000"]]
                    held.apply(diff(symbol, number, number, bids))
                while not all(mirror.id == 250 for mirror in client.mirrors.values()):
                    await client.receive()
            counted = ask(native.port, "/v1/stats").json["streams"]
            assert counted["views"] == 10
            assert most_bytes / 4 < counted["view_bytes"] <= most_bytes
            await client.ask(op="unsubscribe")
        for symbol in books:
            native.remove("binance.com", symbol)
        deadline_s = monotonic() + DEADLINE_S
        while (counted := ask(native.port, "/v1/stats").json["streams"])["views"]:
            assert monotonic() < deadline_s
        assert counted["view_bytes"] == 0


async def test_newest_states_that_take_too_much_are_refused_in_words() -> None:
    with serving(view_bytes=10_000) as native:
        native.add("binance.com", "BTCUSDT", book())
        async with connected(native.port) as client:
            await client.subscribe("BTCUSDT", levels="all")
            await client.until("snapshot")
            refused = (await client.ask(op="subscribe", symbols=["BTCUSDT"], levels=49))["error"]
            assert (refused["code"], refused["most"]) == ("too_many_view_bytes", 10_000)
            assert "1 views of this server" in refused["message"]
            await client.subscribe("BTCUSDT", levels="all")


async def test_a_connection_has_so_many_names_and_patterns_in_all_its_subscriptions() -> None:
    with serving(followed=20) as native:
        native.add("binance.com", "BTCUSDT", book())
        async with connected(native.port) as client:
            await client.subscribe(*["BTCUSDT"] * 20)
            refused = await client.ask(op="subscribe", symbols=["BTCUSDT"], mode="best")
            assert (refused["error"]["code"], refused["error"]["most"]) == ("too_many_names", 20)
    with serving() as native:
        async with connected(native.port) as client:
            for number in range(16):
                await client.subscribe(*[f"{number}-{each}*" for each in range(16)])
            refused = await client.ask(op="subscribe", symbols=["X*"])
            assert (refused["error"]["code"], refused["error"]["most"]) == ("too_many_patterns", 256)


REFUSED = [
    ({"op": "subscribe"}, "symbols"),
    ({"op": "subscribe", "symbols": []}, "symbols"),
    ({"op": "subscribe", "symbols": [5]}, "symbols"),
    ({"op": "subscribe", "symbols": ["x" * 500]}, "symbols"),
    ({"op": "subscribe", "symbols": ["BTC*"] * 17}, "symbols"),
    ({"op": "subscribe", "symbols": ["BTCUSDT"], "mode": "newest"}, "mode"),
    ({"op": "subscribe", "symbols": ["BTCUSDT"], "levels": 0}, "levels"),
    ({"op": "subscribe", "symbols": ["BTCUSDT"], "levels": 1.5}, "levels"),
    ({"op": "subscribe", "symbols": ["BTCUSDT"], "levels": 5, "mode": "best"}, "levels"),
    ({"op": "subscribe", "symbols": ["BTCUSDT"], "group": "0"}, "group"),
    ({"op": "subscribe", "symbols": ["BTCUSDT"], "group": "-1"}, "group"),
    ({"op": "subscribe", "symbols": ["BTCUSDT"], "group": None}, "group"),
    ({"op": "subscribe", "symbols": ["BTCUSDT"], "group": "1" + "0" * 19}, "group"),
    ({"op": "subscribe", "symbols": ["BTCUSDT"], "interval_ms": 5}, "interval_ms"),
    ({"op": "subscribe", "symbols": ["BTCUSDT"], "mode": "interval", "interval_ms": 0}, "interval_ms"),
    ({"op": "subscribe", "symbols": ["BTCUSDT"], "on_stale": "ignore"}, "on_stale"),
    ({"op": "subscribe", "symbols": ["BTCUSDT"], "exact": 1}, "exact"),
    ({"op": "subscribe", "symbols": ["BTC*"], "resume": 5}, "resume"),
    ({"op": "subscribe", "symbols": ["BTCUSDT"], "resume": {"x": "y"}}, "resume"),
    ({"op": "subscribe", "symbols": ["BTCUSDT"], "level": 5}, "level"),
    ({"op": "subscribe", "symbols": ["BTCUSDT"], "size": "0.5"}, "size"),
    ({"op": "subscribe", "symbols": ["BTCUSDT"], "complete": 1}, "complete"),
    ({"op": "unsubscribe", "subscription": 7}, "subscription"),
    ({"op": "list", "symbols": []}, "symbols"),
    ({"op": "buy"}, "op"),
    ({"op": "list", "request": "x" * 65}, "request"),
    ({"op": "list", "request": [1]}, "request"),
    ({}, "op"),
]


@pytest.mark.parametrize("protocol", [JSON, MESSAGE_PACK])
async def test_what_cannot_work_is_refused_by_name_and_the_socket_stays(native: Any, protocol: str) -> None:
    async with connected(native.port, protocol=protocol) as client:
        for fields, name in REFUSED:
            reply = await client.ask_as(fields)
            error = reply["error"]
            assert (reply["type"], error["code"], error["name"]) == ("error", "invalid_parameter", name), (
                fields
            )
            assert error["allowed"]
            assert error["message"]
        unknown = (await client.ask(op="subscribe", symbols=["BTCUSD"]))["error"]
        assert (unknown["code"], unknown["near"]) == ("unknown_book", [BOOK])
        assert (await client.ask(op="list"))["subscriptions"] == []


NAN, INFINITE = float("nan"), float("inf")
TAKEN = [0, -1, 2**63, 2**64 - 1, -(2**63), "", "x" * 64, "币" * 64, "\x00", None]
NO_REQUEST = [-0.0, 1.0, 1e300, 2.5, True, [], [1], {}, {"a": [None]}, "x" * 65]
MALFORMED = [NAN, INFINITE, -INFINITE, [NAN], {"a": NAN}, b"x", b"", msgpack.ExtType(5, b"x"), {1: 2}]


@pytest.mark.parametrize("protocol", [JSON, MESSAGE_PACK])
async def test_a_request_is_called_by_a_whole_number_or_a_short_text(native: Any, protocol: str) -> None:
    """The reply repeats it as it came, or says null because it cannot."""
    async with connected(native.port, protocol=protocol) as client:

        async def ask_as(request: Any) -> dict[str, Any]:
            await client.put({"op": "list", "request": request})
            return await client.receive()

        for request in TAKEN:
            reply = await ask_as(request)
            assert (reply["type"], reply["request"], type(reply["request"])) == (
                "subscriptions",
                request,
                type(request),
            )
        beyond = [2**64, -(2**63) - 1, 10**400] if protocol == JSON else []
        for request in [*NO_REQUEST, *beyond]:
            reply = await ask_as(request)
            assert (reply["type"], reply["request"]) == ("error", None), request
            if request != 10**400:  # no JSON parser of numbers takes it
                assert (reply["error"]["code"], reply["error"]["name"]) == ("invalid_parameter", "request")
                assert "whole number of 64 bits" in reply["error"]["allowed"]
        for request in MALFORMED if protocol == MESSAGE_PACK else []:
            reply = await ask_as(request)
            assert (reply["type"], reply["request"]) == ("error", None), request
            assert reply["error"]["code"] == "malformed_message", request


async def test_a_message_of_the_other_kind_is_refused(native: Any) -> None:
    async with connected(native.port) as client:
        await client.socket.send_bytes(b"{}")
        assert (await client.receive())["error"]["code"] == "malformed_message"
        for broken in ("", "{", "[]", "5", '{"op":"list"} x', "[" * 10_000):
            await client.socket.send_str(broken)
            assert (await client.receive())["type"] == "error"
    async with connected(native.port, protocol=MESSAGE_PACK) as client:
        await client.socket.send_str("{}")
        assert (await client.receive())["error"]["code"] == "malformed_message"
        for bytes_ in (b"", b"\xc1", b"\x81", b"\x80\x80", b"\x91" * 10_000, msgpack.packb([1])):
            await client.socket.send_bytes(bytes_)
            assert (await client.receive())["type"] == "error"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("BTCUSDT"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    [
        "op",
        "request",
        "symbols",
        "mode",
        "levels",
        "group",
        "interval_ms",
        "on_stale",
        "exact",
        "resume",
        "server",
    ]
)
likely = st.fixed_dictionaries(
    {"op": st.sampled_from(["subscribe", "unsubscribe", "list", "auth"])},
    optional={
        "symbols": st.lists(
            st.sampled_from(["BTCUSDT", "*", "B?C*", "binance.com/*", "", "/", "ü*"]), max_size=3
        ),
        "mode": st.sampled_from(["every", "latest", "interval", "best", "levels", "status"]),
        "levels": st.integers(0, 10) | st.just("all"),
        "group": st.sampled_from(["0.01", "1e5", "99999999999999999999", "0.000000000000000001"])
        | st.floats(),
        "resume": st.integers() | st.dictionaries(st.just(BOOK), st.integers()),
        "subscription": st.integers(0, 5),
    },
)
messages = likely | st.dictionaries(names | st.text(max_size=8), values, max_size=6)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [JSON, MESSAGE_PACK])
def test_any_message_gets_one_reply_or_a_close(protocol: str) -> None:
    """Whatever an object says, the server answers it, and goes on serving."""
    with serving(heartbeat_s=30, messages_per_second=1_000_000) as native:
        native.add("binance.com", "BTCUSDT", book())

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(messages, min_size=1, max_size=4))
        def check(sent: list[dict[str, Any]]) -> None:
            async def run() -> None:
                async with connected(native.port, protocol=protocol) as client:
                    for fields in sent:
                        try:
                            await client.put(fields)
                        except (OverflowError, UnicodeEncodeError, ValueError):
                            continue  # what MessagePack or UTF-8 cannot say
                        while (await client.receive())["type"] in ("snapshot", "update", "state"):
                            pass
                    reply = await client.ask(op="list")
                    assert reply["type"] == "subscriptions"

            asyncio.run(run())

        check()


@pytest.mark.slow
def test_any_bytes_after_the_handshake_are_survived(native: Any) -> None:
    @settings(max_examples=80, deadline=None)
    @given(st.binary(max_size=200))
    def check(sent: bytes) -> None:
        with sockets.create_connection(("127.0.0.1", native.port), timeout=DEADLINE_S) as connection:
            connection.sendall(HANDSHAKE + sent)
            connection.shutdown(sockets.SHUT_WR)
            while connection.recv(1 << 16):
                pass
        assert ask(native.port, "/healthz").status == 200

    check()


# --- how it ends ------------------------------------------------------------------------------------


async def test_the_end_of_the_server_closes_it_in_words(native: Any) -> None:
    async with connected(native.port) as client, connected(native.port, token=None) as stranger:
        await client.subscribe(BOOK)
        drained = asyncio.create_task(asyncio.to_thread(native.drain, DEADLINE_S))
        assert await client.closed() == (1001, "the server is shutting down")
        assert (await stranger.closed())[0] == 1001
        assert await drained is True


@pytest.mark.slow
async def test_many_sockets_leave_nothing(native: Any) -> None:
    async def once(number: int) -> None:
        async with connected(native.port, autoclose=False) as client:
            await client.subscribe("*", mode="every" if number % 2 else "latest")
            if number % 3 == 0:
                await client.until("snapshot")
            if number % 5 == 0 and client.socket._response.connection is not None:
                client.socket._response.connection.transport.abort()  # the cable is cut

    def open_now() -> tuple[int, int, int]:
        stats = ask(native.port, "/v1/stats").json
        streams = stats["streams"]
        return stats["connections"]["open"] - 1, streams["sockets"], streams["subscribers"]

    await once(1)
    gc.collect()
    before = descriptors()
    for number in range(60):
        await once(number)
    while await asyncio.to_thread(open_now) != (0, 0, 0):
        pass
    gc.collect()
    assert descriptors() - before <= 2


def descriptors() -> int:
    path = "/proc/self/fd"
    return len(os.listdir(path)) if os.path.exists(path) else 0  # noqa: PTH110, PTH208


def test_a_socket_that_is_cut_in_the_middle_of_a_frame_is_forgotten(native: Any) -> None:
    with sockets.create_connection(("127.0.0.1", native.port), timeout=DEADLINE_S) as connection:
        connection.sendall(HANDSHAKE + b"\x81\xfe")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 101")
    while ask(native.port, "/v1/stats").json["streams"]["sockets"]:
        pass
    assert raw(native.port, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")


async def test_it_works_over_tls(tmp_path: Any) -> None:
    import ssl

    import depthcache
    from depthcache import server, simulator

    config = server.ServerConfig(port=0, workers=1, data_dir=tmp_path, tls=True)
    with simulator.serve(seed=3) as exchange:
        async with (
            depthcache.connect("binance.com", ["BTCUSDT"], settings=exchange.settings) as books,
            server.serve(books, config) as running,
            session() as made,
        ):
            await books.wait_synced()
            trusted = ssl.create_default_context(cafile=str(running.certificate_file))
            headers = {"Authorization": f"Bearer {running.read_token}"}
            url = f"wss://127.0.0.1:{running.port}/v1/ws"
            async with made.ws_connect(url, headers=headers, ssl=trusted) as socket:
                await socket.send_json({"op": "subscribe", "symbols": ["BTCUSDT"]})
                assert (await socket.receive_json())["type"] == "subscribed"
                assert (await socket.receive_json())["type"] == "snapshot"
