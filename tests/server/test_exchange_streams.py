"""The exchange's own protocol over books that are fed by hand: what readers are sent, and who is refused."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import aiohttp
import pytest

from depthcache import Book
from tests.server.asking import ADMIN, DEADLINE_S, READ, ask, raw
from tests.server.exchanging import KEY, Socket, connected, options, serving, session

UM, SPOT = "binance.com-futures", "binance.com"
DEPTH = f"/{UM}/fapi/v1/depth?symbol=BTCUSDT&limit=5"
STREAM = "btcusdt@depth@100ms"
WS = f"/{UM}/public/ws/{STREAM}"
T = 1_791_382_994_613


def levels(first: int, count: int, step: int) -> list[list[str]]:
    return [[f"{(first + i * step) / 100:.2f}", f"{1 + i / 1000:.3f}"] for i in range(count)]


def futures(update_id: int = 100, *, synced: bool = True) -> Book:
    """A book of ten levels a side around 1000.00."""
    book = Book(UM, "BTCUSDT")
    if synced:
        sides = {"bids": levels(99_990, 10, -10), "asks": levels(100_010, 10, 10)}
        body = {"lastUpdateId": update_id, "E": T, "T": T, **sides}
        book.load_snapshot(json.dumps(body).encode(), limit=1_000)
    return book


def diff(previous: int, first: int, last: int, bids: list[list[str]] | None = None) -> str:
    """A diff as the exchange writes it, in its own spacing and with a key that nobody knows."""
    event = {"e": "depthUpdate", "E": T + 3, "T": T, "s": "BTCUSDT", "ps": "BTCUSDT"}
    ids = {"U": first, "u": last, "pu": previous}
    return json.dumps({**event, **ids, "b": bids or [], "a": [], "st": 1, "new": {"x": [1, 2]}})


def feed(book: Book, text: str) -> None:
    book.apply(f'{{"stream":"{STREAM}","data":{text}}}'.encode())


@pytest.fixture
def native() -> Iterator[Any]:
    with serving() as made:
        yield made


@pytest.fixture
def held(native: Any) -> Book:
    """A synced book that took a diff: 105 to 110."""
    book = futures()
    native.add(UM, "BTCUSDT", book)
    feed(book, diff(98, 100, 104))
    feed(book, diff(104, 105, 110))
    return book


@pytest.fixture
async def reader(native: Any, held: Book) -> AsyncIterator[Socket]:
    async with connected(native, WS) as made:
        assert await made.text() == diff(104, 105, 110), "the newest diff is sent first"
        yield made


# --- books that are begun on demand -----------------------------------------------------------------


class Owner:
    """A program that begins books and notes what it is asked; its exchange lists BTCUSDT alone."""

    def __init__(self, native: Any) -> None:
        self.native, self.routes = native, list[str]()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while not self.native.is_over:
            if (request := self.native.take_request(0.05)) is None:
                continue
            number, route, _, symbol, _ = request
            self.routes.append(route)
            if route == "exchange_info":
                self.native.respond(number, 200, b'{"symbols":[{"symbol":"BTCUSDT"}]}')
            else:
                self.native.add(UM, symbol, futures())
                self.native.respond(number, 200, b"")


@pytest.fixture
def owner() -> Iterator[Owner]:
    with serving(options(exchange_symbols="any")) as native:
        made = Owner(native)
        yield made
        native.drain(0)
        made.thread.join()


PHONE = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 15_0 like Mac OS X) Safari/604.1"}


def test_an_image_of_a_page_begins_no_book(owner: Owner) -> None:
    """Its browser, of before 2023, does not say that a foreign page asks."""
    port = owner.native.port
    for headers in (PHONE, {"Referer": "http://evil.example/"}, {"Sec-Fetch-Site": "none"}):
        refused = ask(port, DEPTH, token=None, headers=headers)
        assert (refused.status, refused.json["code"]) == (403, -2015)
        assert "browser" in refused.json["msg"]
    assert owner.routes == []
    assert ask(port, f"/k/{KEY}{DEPTH}", token=None, headers=PHONE).status == 200, "no page knows the key"
    assert ask(port, DEPTH, token=None, headers=PHONE).status == 200, "what is held may be read"


async def test_a_stream_of_a_browser_begins_no_book(owner: Owner) -> None:
    async with connected(owner.native, f"/{UM}/public/ws", headers=PHONE) as reader:
        assert (await reader.ask("SUBSCRIBE", STREAM))["error"]["code"] == 2
    assert owner.routes == []
    async with connected(owner.native, f"/{UM}/public/ws") as reader:
        assert await reader.ask("SUBSCRIBE", STREAM) == {"result": None, "id": 1}


def test_a_symbol_that_the_exchange_does_not_list_costs_it_nothing(owner: Owner) -> None:
    port = owner.native.port
    for number in range(20):
        answer = ask(port, f"/{UM}/fapi/v1/depth?symbol=NO{number}USDT", token=None)
        assert (answer.status, answer.json["code"]) == (400, -1121)
    assert owner.routes == ["exchange_info"]
    assert ask(port, DEPTH, token=None).status == 200
    for _ in range(3):
        assert ask(port, f"/{UM}/fapi/v1/exchangeInfo", token=None).status == 200
    assert owner.routes == ["exchange_info", "begin_asked_book"], (
        "a book that was begun makes nobody fetch again"
    )


def test_readers_who_ask_for_books_leave_room_for_those_who_manage() -> None:
    with serving(options(exchange_symbols="any"), delegation_s=DEADLINE_S) as native, ExitStack() as stack:
        listed = json.dumps({"symbols": [{"symbol": f"A{number}"} for number in range(70)]}).encode()
        readers = []
        for number in range(70):
            path = f"/{UM}/fapi/v1/depth?symbol=A{number}"
            reader = socket.create_connection(("127.0.0.1", native.port), timeout=DEADLINE_S)
            readers.append(stack.enter_context(reader))
            reader.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        routes = []
        while len(routes) < 33:
            request = native.take_request(DEADLINE_S)
            routes.append(request[1])
            if request[1] == "exchange_info":
                native.respond(request[0], 200, listed)
        assert sorted(routes) == ["begin_asked_book"] * 32 + ["exchange_info"]
        book = f"/v1/books/{UM}/BTCUSDT"
        manager = threading.Thread(
            target=ask, args=(native.port, book), kwargs={"method": "PUT", "token": ADMIN}
        )
        manager.start()
        request = native.take_request(DEADLINE_S)
        assert request[1] == "begin_book"
        native.respond(request[0], 200, b"{}")
        manager.join()


def test_exchange_info_that_cannot_be_fetched_counts_as_what_the_sender_gets() -> None:
    with serving() as native:
        thread = threading.Thread(
            target=lambda: native.respond(native.take_request(DEADLINE_S)[0], 502, b"{}")
        )
        thread.start()
        answer = ask(native.port, f"/{UM}/fapi/v1/exchangeInfo", token=None)
        thread.join()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert ask(native.port, "/v1/stats").json["responses"]["exchange"] == {"503": 1}


def test_a_reader_that_hangs_up_does_not_make_the_next_one_fetch_again() -> None:
    with serving(options(exchange_symbols="any"), delegation_s=DEADLINE_S) as native:
        path = f"/{UM}/fapi/v1/exchangeInfo"
        with socket.create_connection(("127.0.0.1", native.port), timeout=DEADLINE_S) as hasty:
            hasty.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            while (request := native.take_request(1)) is None:
                pass
        while ask(native.port, "/v1/stats").json["connections"]["open"] > 1:
            pass  # its end was noticed
        native.respond(request[0], 200, b'{"symbols":[]}')
        assert ask(native.port, path, token=None).json == {"symbols": []}
        assert native.take_request(0) is None


# --- diffs --------------------------------------------------------------------------------------


async def test_a_reader_begins_with_the_newest_diff_and_gets_each_as_it_came(
    held: Book, reader: Socket
) -> None:
    for event in (diff(110, 111, 115, [["999.90", "0.000"]]), diff(115, 120, 121)):
        feed(held, event)
        assert await reader.text() == event


async def test_a_snapshot_is_bridged_by_the_diff_that_was_sent_first(
    native: Any, held: Book, reader: Socket
) -> None:
    body = (await asyncio.to_thread(ask, native.port, DEPTH, token=None)).json
    assert body["lastUpdateId"] == 110
    assert (body["E"], body["T"]) == (T + 3, T)
    assert body["bids"] == levels(99_990, 5, -10)


async def test_combined_and_raw_readers_get_the_same_bytes(native: Any, held: Book, reader: Socket) -> None:
    async with connected(native, f"/{UM}/stream?streams={STREAM}") as combined:
        assert await combined.text() == f'{{"stream":"{STREAM}","data":{diff(104, 105, 110)}}}'
        assert await combined.ask("GET_PROPERTY", "combined") == {"result": True, "id": 1}
        assert await combined.ask("SET_PROPERTY", "combined", False) == {"result": None, "id": 1}
        feed(held, diff(110, 111, 112))
        assert await combined.text() == await reader.text() == diff(110, 111, 112)


async def test_nothing_is_sent_of_a_gap_and_what_follows_shows_it(held: Book, reader: Socket) -> None:
    feed(held, diff(112, 113, 114))
    feed(held, diff(114, 115, 116))
    held.load_snapshot(json.dumps({"lastUpdateId": 115, "bids": [], "asks": []}).encode(), limit=1_000)
    feed(held, diff(116, 117, 118))
    assert [(await reader.json())["pu"] for _ in range(2)] == [114, 116]


async def test_old_diffs_are_never_sent_again(held: Book, reader: Socket) -> None:
    feed(held, diff(104, 105, 110))
    feed(held, diff(98, 100, 104))
    feed(held, diff(110, 111, 112))
    assert (await reader.json())["u"] == 112


async def test_a_slower_stream_is_merged_from_the_held_one(native: Any, held: Book) -> None:
    async with connected(native, f"/{UM}/public/ws/btcusdt@depth@500ms") as slow:
        assert await slow.text() == diff(104, 105, 110)
        feed(held, diff(110, 111, 115, [["999.90", "5.000"], ["999.80", "0.000"]]))
        feed(held, diff(115, 116, 119, [["999.90", "7.000"], ["999.10", "0.100"]]))
        merged = await slow.json()
        if merged["u"] == 115:  # the time of the stream came in between
            assert (await slow.json())["pu"] == 115
            return
        assert (merged["U"], merged["u"], merged["pu"], merged["E"]) == (111, 119, 110, T + 3)
        assert merged["b"] == [["999.10", "0.100"], ["999.80", "0.000"], ["999.90", "7.000"]]
        assert merged["new"] == {"x": [1, 2]}


async def test_a_stream_of_every_change_brings_the_diffs_as_they_are_received(
    native: Any, held: Book
) -> None:
    async with connected(native, f"/{UM}/public/ws/btcusdt@depth@0ms") as reader:
        assert await reader.text() == diff(104, 105, 110)
        for last in (111, 112):
            feed(held, newest := diff(last - 1, last, last))
            assert await reader.text() == newest


async def test_a_stream_that_is_faster_than_the_diffs_is_refused_in_words() -> None:
    with serving(options(speed_ms=250)) as native:
        async with connected(native, f"/{UM}/ws") as reader:
            error = (await reader.ask("SUBSCRIBE", STREAM))["error"]
    assert "but this server receives one every 250 ms; ask for @depth@0ms, @depth," in error["msg"]


async def test_ids_that_are_reset_end_the_connection(held: Book, reader: Socket) -> None:
    late = json.loads(diff(1, 2, 3)) | {"E": T + 60_000}
    feed(held, json.dumps(late))
    code, reason = await reader.closed()
    assert code == 1012
    assert "take a new snapshot" in reason


# --- streams that are made of the book --------------------------------------------------------------


async def test_partial_depth_and_ticker_are_as_fast_as_the_diffs(native: Any, held: Book) -> None:
    async with connected(native, f"/{UM}/stream") as reader:
        names = ["btcusdt@depth5@100ms", "btcusdt@bookTicker"]
        assert await reader.ask("SUBSCRIBE", *names) == {"result": None, "id": 1}
        partial, ticker = [await reader.json() for _ in names]
        common = {"E": T + 3, "T": T, "s": "BTCUSDT", "ps": "BTCUSDT", "st": 1, "u": 110}
        sides = {"b": levels(99_990, 5, -10), "a": levels(100_010, 5, 10)}
        assert partial["data"] == {"e": "depthUpdate", "U": 105, "pu": 104, **common, **sides}
        best = {"b": "999.90", "B": "1.000", "a": "1000.10", "A": "1.000"}
        assert ticker["data"] == {"e": "bookTicker", **common, **best}
        feed(held, diff(110, 111, 112, [["999.95", "3.000"]]))
        assert (await reader.json())["data"]["b"][0] == ["999.95", "3.000"]
        assert (await reader.json())["data"]["B"] == "3.000"
        feed(held, diff(112, 113, 114, [["999.00", "0.000"]]))
        assert (await reader.json())["stream"] == "btcusdt@depth5@100ms", "the best prices did not change"


# --- commands ---------------------------------------------------------------------------------------


async def test_commands_are_answered_as_by_the_exchange(held: Book, native: Any) -> None:
    async with connected(native, f"/{UM}/ws") as reader:
        assert await reader.ask("LIST_SUBSCRIPTIONS", number=7) == {"result": [], "id": 7}
        assert await reader.ask("SUBSCRIBE", STREAM, STREAM, number="text") == {"result": None, "id": "text"}
        assert (await reader.json())["u"] == 110
        assert await reader.ask("SUBSCRIBE", STREAM) == {"result": None, "id": 1}, "once is enough"
        assert (await reader.ask("LIST_SUBSCRIPTIONS"))["result"] == [STREAM]
        assert await reader.ask("UNSUBSCRIBE", STREAM, "never@depth") == {"result": None, "id": 1}
        feed(held, diff(110, 111, 112))
        assert (await reader.ask("LIST_SUBSCRIPTIONS"))["result"] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("btcusdt@trade", "is not served here"),
        ("BTCUSDT@depth", "must be in lower case: btcusdt@depth"),
        (f"{KEY}@depth", f"holds no book of {UM} for (not shown)"),
        (f"btcusdt@{KEY}", "(not shown) is not served here"),
        ("nousdt@depth", f"holds no book of {UM} for nousdt@depth"),
    ],
)
async def test_streams_that_are_not_served_are_refused_in_words(
    held: Book, native: Any, name: str, words: str
) -> None:
    async with connected(native, f"/{UM}/ws") as reader:
        error = (await reader.ask("SUBSCRIBE", STREAM, name))["error"]
        assert error["code"] == 2
        assert words in error["msg"]
        assert (await reader.ask("LIST_SUBSCRIPTIONS"))["result"] == [], "all of them or none"
    async with session() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"ws://127.0.0.1:{native.port}/{UM}/ws/{name}")
        assert refused.value.status == 400


async def test_routes_without_depth_are_opened_and_say_so(held: Book, native: Any) -> None:
    """Binance's SDK for USD-M opens one connection of each route."""
    for route in ("market", "private"):
        async with connected(native, f"/{UM}/{route}/stream") as reader:
            error = (await reader.ask("SUBSCRIBE", STREAM))["error"]
            assert "depth and bookTicker are under /public" in error["msg"]
    async with connected(native, f"/{UM}/ws/0") as numbered:
        assert (await numbered.ask("LIST_SUBSCRIPTIONS"))["result"] == [], "as ccxt does"


async def test_microseconds_are_refused(native: Any) -> None:
    async with session() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"ws://127.0.0.1:{native.port}/{SPOT}/ws?timeUnit=MICROSECOND")
        assert refused.value.status == 400


async def test_more_streams_than_the_exchange_allows_end_the_connection(held: Book, native: Any) -> None:
    async with connected(native, f"/{UM}/ws") as reader:
        names = [f"s{number}@depth" for number in range(1_025)]
        refused = await reader.ask("SUBSCRIBE", *names)
        assert refused == {"error": {"code": 4, "msg": "Too many subscriptions"}, "id": 1}
        assert await reader.closed() == (1008, "Invalid request")


# --- ends -------------------------------------------------------------------------------------------


async def test_a_slow_reader_is_ended_with_a_reason_and_counted(held: Book) -> None:
    with serving(held_bytes=20_000) as native:
        native.add(UM, "BTCUSDT", held)
        feed(held, diff(110, 111, 112))
        async with connected(native, WS, receive_bytes=4_096) as reader:
            assert (await reader.json())["u"] == 112
            transport = reader.inner._conn.transport  # type: ignore[union-attr]
            transport.pause_reading()
            large = [[f"{price}.00", "1.000"] for price in range(1, 400)]
            for last in range(112, 412):  # more than the system keeps, too
                feed(held, diff(last, last + 1, last + 1, large))
            transport.resume_reading()
            code, reason = await reader.closed()
        assert code == 1008
        assert "too slow" in reason
        assert slow(native) == 1


def slow(native: Any) -> int:
    text = ask(native.port, "/metrics").body.decode()
    lines = [line for line in text.splitlines() if line.startswith("depthcache_server_slow_total")]
    return int(float(lines[0].split()[1]))


async def test_the_end_of_the_server_is_told(held: Book, reader: Socket, native: Any) -> None:
    ending = threading.Thread(target=native.drain, args=(DEADLINE_S,))
    ending.start()
    code, _ = await reader.closed()
    assert code == 1001
    await asyncio.to_thread(ending.join)


async def test_a_book_that_goes_ends_its_readers(native: Any, held: Book, reader: Socket) -> None:
    assert native.remove(UM, "BTCUSDT")
    code, reason = await reader.closed()
    assert code == 1008
    assert "does not hold the book" in reason


async def test_a_book_that_takes_the_place_of_another_ends_its_readers(native: Any, reader: Socket) -> None:
    native.add(UM, "BTCUSDT", futures())
    assert (await reader.closed())[0] == 1008


@pytest.mark.slow
async def test_pings_are_those_of_the_exchange(held: Book) -> None:
    rules = json.loads(options())
    for venue in rules["venues"]:
        venue["ping_s"] = 1
    with serving(json.dumps(rules)) as native:
        native.add(UM, "BTCUSDT", held)
        async with (
            session() as http,
            http.ws_connect(f"ws://127.0.0.1:{native.port}/{UM}/ws", autoping=False) as inner,
        ):
            message = await inner.receive(timeout=DEADLINE_S)
            assert message.type is aiohttp.WSMsgType.PING
            assert len(message.data) == 13
            assert message.data.isdigit()


# --- REST -------------------------------------------------------------------------------------------


def test_a_book_that_is_not_synced_is_status_503_in_the_shape_of_the_exchange(native: Any) -> None:
    native.add(UM, "BTCUSDT", futures(synced=False))
    answer = ask(native.port, DEPTH, token=None)
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, -1001, "1")
    assert "is empty here: nothing has arrived yet" in answer.json["msg"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("symbol=NOUSDT", -1121),
        ("symbol=BTCUSDT&limit=7", -4021),
        ("limit=5", -1102),
        ("symbol=BTCUSDT&limit=x", -1100),
    ],
)
def test_bad_requests_have_the_exchange_s_own_errors(native: Any, held: Book, query: str, code: int) -> None:
    answer = ask(native.port, f"/{UM}/fapi/v1/depth?{query}", token=None)
    assert (answer.status, answer.json["code"]) == (400, code)


@pytest.mark.parametrize("path", ["/fapi/v1/klines", "/", "", "/market/x", "/api/v3/depth?symbol=BTCUSDT"])
def test_other_paths_are_status_404_and_name_what_is_served(native: Any, path: str) -> None:
    answer = ask(native.port, f"/{UM}{path}", token=None)
    assert answer.status == 404
    assert "served are /fapi/v1/depth" in answer.json["msg"]


def test_ping_and_time_are_answered_and_other_methods_are_not(native: Any) -> None:
    ping = ask(native.port, f"/{SPOT}/api/v3/ping", token=None)
    assert ping.body == b"{}"
    assert ping.headers["x-mbx-used-weight"] == ping.headers["x-mbx-used-weight-1m"] == "1"
    assert ask(native.port, f"/{SPOT}/api/v3/time", token=None).json["serverTime"] > T - 10**11
    assert ask(native.port, f"/{SPOT}/api/v3/ping", token=None, method="PUT").status == 405
    head = raw(
        native.port,
        f"HEAD /{SPOT}/api/v3/ping HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode(),
    )
    assert head.startswith(b"HTTP/1.1 200")
    assert ask(native.port, f"/{UM}/ws", token=None).status == 426


def test_levels_are_those_that_are_complete(native: Any) -> None:
    book = futures()
    body = {"lastUpdateId": 100, "bids": levels(99_990, 10, -10), "asks": levels(100_010, 10, 10)}
    book.load_snapshot(json.dumps(body).encode(), limit=10)
    native.add(UM, "BTCUSDT", book)
    feed(book, diff(99, 100, 101, [["990.00", "1.000"], ["999.50", "0.000"]]))
    answer = ask(native.port, DEPTH.replace("limit=5", "limit=50"), token=None).json
    assert [price for price, _ in answer["bids"]] == [
        f"{price / 100:.2f}" for price in range(99_990, 99_890, -10) if price != 99_950
    ]


# --- who is answered --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
async def test_pages_of_other_sites_are_refused(native: Any, held: Book, headers: dict[str, str]) -> None:
    assert (await asyncio.to_thread(ask, native.port, DEPTH, token=None, headers=headers)).status == 403
    async with session() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"ws://127.0.0.1:{native.port}{WS}", headers=headers)
        assert refused.value.status == 403


def test_clients_of_a_proxy_on_this_machine_need_a_key_too(native: Any, held: Book) -> None:
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        headers = {name: "192.0.2.1"}
        assert ask(native.port, DEPTH, token=None, headers=headers).status == 403
        assert ask(native.port, f"/k/{KEY}{DEPTH}", token=None, headers=headers).status == 200
        assert ask(native.port, DEPTH, token=READ, headers=headers).status == 200


def test_elsewhere_a_key_a_network_or_a_token_is_needed(held: Book) -> None:
    rules = json.loads(options())
    rules["is_open"] = False
    with serving(json.dumps(rules)) as native:
        native.add(UM, "BTCUSDT", held)
        refused = ask(native.port, DEPTH, token=None)
        assert (refused.status, refused.json["code"]) == (403, -2015)
        assert ask(native.port, f"/k/{KEY}{DEPTH}", token=None).status == 200
        assert ask(native.port, DEPTH, token=READ).status == 200
        for wrong in (KEY[:-1], KEY + "x", "", READ):
            assert ask(native.port, f"/k/{wrong}{DEPTH}", token=None).status == 403
    for network, status in (("127.0.0.0/8", 200), ("127.0.0.2", 403), ("10.0.0.0/8", 403)):
        rules["allow"] = [network]
        with serving(json.dumps(rules)) as native:
            native.add(UM, "BTCUSDT", held)
            assert ask(native.port, DEPTH, token=None).status == status


@pytest.mark.parametrize("path", ["/v1/books", "/metrics", "/nowhere", "", f"/{UM}/nowhere"])
def test_a_key_opens_nothing_else_and_is_never_repeated(native: Any, held: Book, path: str) -> None:
    for key in (KEY, KEY + "x"):
        answer = ask(native.port, f"/k/{key}{path}", token=None)
        assert answer.status in (403, 404)
        assert KEY.encode() not in answer.body
        assert not any(KEY in value for value in answer.headers.values())
    assert KEY.encode() not in ask(native.port, "/metrics").body
    assert KEY.encode() not in ask(native.port, "/v1/stats").body


@pytest.mark.parametrize(
    "path", ["//k/hunter2", f"/{UM}/k/hunter2/ws", "/K/hunter2/ws", "/%6b/hunter2/ws", "/k%2fhunter2%2fws"]
)
def test_a_key_at_another_place_is_not_repeated(native: Any, path: str) -> None:
    """As of a client whose address ends with a slash; programs log errors."""
    answer = ask(native.port, path, token=None)
    assert answer.status == 404
    assert b"hunter2" not in answer.body


def test_a_server_without_the_protocol_has_nothing_there(held: Book) -> None:
    from tests.server.asking import serving as without

    with without() as native:
        native.add(UM, "BTCUSDT", held)
        assert ask(native.port, DEPTH, token=None).status == 404
        answer = ask(native.port, f"/k/{KEY}{DEPTH}", token=None)
        assert answer.status == 404
        assert KEY.encode() not in answer.body
