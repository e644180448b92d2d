"""Books as JSON: both engines write the same, every digit survives, and every JSON library reads it."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import depthcache
from depthcache import Best, BookClosed, BookNotSynced, InvalidArgument, Level, Status, wire
from depthcache.errors import UnreadableMessage, UnsupportedSchema
from tests.engine import NAMES, Engine, diff, load, snapshot

WIDE = ("99.5", "12345678901234567890.123456789012345678")
BIDS, ASKS = [WIDE, ("99", "1.50")], [("100.5", "2"), ("101", "0.00000001")]
BEGAN_NS, WALL_NS = 5_000, 1_790_000_000_000_000_000
"""What the clock of a router shows at first, and the system's then."""


def fed(engine: Engine, *, limit: int | None = 1000) -> Any:
    book = engine.book(symbol="BTCUSDT", exchange="binance.com")
    book.load_snapshot(snapshot(10, BIDS, ASKS), limit=limit)
    book.apply(diff(11, 12, bids=[("99", "4")], asks=[("102.25", "1e-3")]))
    return book


def routed(engine: Engine, now_ns: int = BEGAN_NS) -> Any:
    router = engine.Router()
    router.add_market(1, "binance.com", "BTCUSDT", "contiguous")
    router.open_connection(1)
    router.route(1, "btcusdt@depth", 1)
    router.install_snapshot(1, snapshot(10, BIDS, ASKS), limit=1000, live=True, now_ns=now_ns)
    return router


def told(engine: Engine) -> list[Any]:
    """A fresh update, one with changes, and one of a book that cannot be read."""
    router = routed(engine)
    router.set_virtual_time(BEGAN_NS, WALL_NS)
    follower = router.follow("every", levels=1, most_items=9, most_bytes=1 << 20)
    follower.add(router, 1)
    found = [follower.take(0)]
    frame = b'{"stream":"btcusdt@depth","data":' + diff(11, 12, bids=[("99", "0"), ("99.75", "1")]) + b"}"
    router.feed(1, frame, 7)
    found.append(follower.take(0))
    router.set_condition(1, "halted", 'the "exchange"\nhalted it é', 9)
    found.append(follower.take(0))
    return found


def frozen_books(engine: Engine) -> Iterator[Any]:
    for limit in (1000, 2, None):
        for levels in (None, 1, 0, 5):
            yield fed(engine, limit=limit).freeze(levels)
    empty = engine.book(symbol=None)
    empty.load_snapshot(snapshot(10, (), ()), limit=None)
    yield empty.freeze()
    serving = fed(engine)
    serving.apply(diff(20, 21))  # a gap
    yield serving.freeze(2, on_stale="serve")
    yield from told(engine)


def test_both_engines_write_the_same_books_and_updates() -> None:
    pairs = list(zip(*(frozen_books(load(name)) for name in NAMES), strict=True))
    assert len(pairs) == 17
    for native, reference in pairs:
        for one, two in ((native, reference), (native.exact, reference.exact)):
            found, expected = (each.to_dict(counters=True) for each in (one, two))
            assert found == expected
            assert list(found) == list(expected)


def test_a_book_fed_by_hand_is_written_byte_for_byte_the_same_by_both_engines() -> None:
    native, reference = (fed(load(name)).freeze().exact.to_json() for name in NAMES)
    assert native == reference
    assert native == (
        b'{"schema":1,"type":"book","exchange":"binance.com","symbol":"BTCUSDT","inverse":false,'
        b'"status":"synced","reason":"",'
        b'"since_ns":0,"since_time_us":null,"unconfirmed":false,"last_update_id":12,'
        b'"event_time_us":1700000000000000,"updated_ns":0,"received_time_us":null,"confirmed_ns":0,'
        b'"confirmed_time_us":null,"complete":true,"complete_to":{"bids":"all","asks":"all"},'
        b'"coverage":{"bids":2,"asks":3},'
        b'"bids":[["99.5","12345678901234567890.123456789012345678"],["99.0","4.000000000000000000"]],'
        b'"asks":[["100.50","2.00000000"],["101.00","0.00000001"],["102.25","0.00100000"]]}'
    )


def test_dicts_and_json_agree_and_every_library_takes_them(engine: Engine) -> None:
    for book in frozen_books(engine):
        for view in (book, book.exact):
            message, text = view.to_dict(), view.to_json()
            assert json.loads(text) == message
            assert json.loads(json.dumps(message, allow_nan=False)) == message
            assert msgspec.json.decode(msgspec.json.encode(message)) == message
            assert text == msgspec.json.format(text, indent=-1)
            assert type(message["status"]) is str


def test_web_frameworks_take_the_dicts_as_they_are(engine: Engine) -> None:
    pydantic = pytest.importorskip("pydantic")
    orjson = pytest.importorskip("orjson")
    for book in frozen_books(engine):
        message = book.to_dict()
        assert orjson.loads(orjson.dumps(message)) == message
        assert pydantic.TypeAdapter(dict[str, Any]).dump_python(message, mode="json") == message


def test_floats_equal_those_of_the_book_and_texts_those_of_its_decimals(engine: Engine) -> None:
    book = fed(engine).freeze()
    assert book.to_dict()["asks"] == [[100.5, 2.0], [101.0, 1e-8], [102.25, 0.001]]
    assert book.to_dict()["bids"] == [list(level) for level in book.bids]
    assert {type(number) for level in book.to_dict()["bids"] for number in level} == {float}
    texts = [[format(price, "f"), format(quantity, "f")] for price, quantity in book.exact.asks]
    assert book.exact.to_dict()["asks"] == texts


def test_what_is_proven_is_told_without_infinity(engine: Engine) -> None:
    edges = {limit: fed(engine, limit=limit).freeze().to_dict()["complete_to"] for limit in (1000, 2)}
    assert edges == {1000: {"bids": "all", "asks": "all"}, 2: {"bids": 99.0, "asks": 101.0}}
    empty = engine.book()
    empty.load_snapshot(snapshot(10, (), ()), limit=None)
    assert empty.freeze().to_dict()["complete_to"] == {"bids": None, "asks": None}
    assert fed(engine, limit=2).freeze().exact.to_dict()["complete_to"] == {"bids": "99.0", "asks": "101.00"}
    assert [book.complete_to.to_dict() for book in (fed(engine), fed(engine, limit=2), empty)] == [
        {"bids": "all", "asks": "all"},
        {"bids": 99.0, "asks": 101.0},
        {"bids": None, "asks": None},
    ]


def test_every_frozen_book_and_update_comes_back_equal() -> None:
    for frozen in frozen_books(load("native")):
        message = wire.encode(frozen)
        again: Any = wire.decode(message)
        assert type(again) is type(frozen)
        assert again == frozen
        assert again.exact == frozen.exact
        for name in (
            "status",
            "reason",
            "since_at",
            "event_time",
            "updated_at",
            "confirmed_at",
            "updated_ns",
        ):
            assert getattr(again, name) == getattr(frozen, name), name
        assert (again.complete_to, again.coverage) == (frozen.complete_to, frozen.coverage)
        assert wire.encode(again) == message
        for given_as in (str, bytearray, memoryview):
            assert wire.decode(message.decode() if given_as is str else given_as(message)) == frozen


def test_contracts_stay_contracts_on_the_other_side() -> None:
    body = snapshot(10, [("99", "3")], [("101", "4")], E=1)
    by_exchange = {}
    for exchange in ("binance.com-coin_futures", "binance.com-futures"):
        book = depthcache.Book(exchange, "BTCUSD_PERP")
        book.load_snapshot(body, limit=1000)
        frozen = by_exchange[exchange] = book.freeze()
        again: Any = wire.decode(wire.encode(frozen))
        assert again == frozen
        assert repr(again.depth_within(500)) == repr(frozen.depth_within(500))
        assert again.to_dict()["inverse"] is (exchange == "binance.com-coin_futures")
    assert len({repr(frozen.depth_within(500)) for frozen in by_exchange.values()}) == 2


def test_counters_are_written_on_request_alone() -> None:
    frozen = fed(load("native")).freeze()
    assert "counters" not in frozen.to_dict()
    assert frozen.to_dict(counters=True)["counters"] == frozen.counters
    without: Any = wire.decode(wire.encode(frozen, counters=False))
    assert set(without.counters.values()) == {0}


def test_a_book_that_cannot_be_read_says_why_on_the_other_side() -> None:
    lost = told(load("native"))[2]
    message = lost.to_dict()
    assert (message["bids"], message["asks"], message["status"]) == (None, None, "halted")
    again: Any = wire.decode(wire.encode(lost))
    with pytest.raises(BookNotSynced, match="halted it") as raised:
        again.best  # noqa: B018
    assert raised.value.symbol == "BTCUSDT"
    for written in (wire.level_lines, lambda book: wire.depth_snapshot(book, family="spot")):
        with pytest.raises(BookNotSynced):
            written(lost)
    router = routed(load("native"))
    router.close("closed", 5)
    with pytest.raises(BookClosed):
        wire.encode(router.reader(1), 5)


def test_live_books_are_written_at_one_id_and_as_deep_as_asked() -> None:
    reader = routed(load("native")).reader(1)
    message = json.loads(wire.encode(reader, 1))
    assert message["bids"] == [list(WIDE)]
    assert message["complete_to"] == {"bids": "99.5", "asks": "100.5"}
    assert "counters" in message


def test_the_best_prices_and_the_status_are_messages_of_their_own() -> None:
    book = fed(load("native"))
    found = wire.decode(wire.encode_best(book))
    assert isinstance(found, wire.BookBest)
    assert found.best == book.exact.best
    assert json.loads(wire.encode_best(book))["best"] == book.exact.best.to_dict()
    status = wire.decode(wire.encode_status(book))
    assert type(status) is wire.BookStatus
    assert (status.status, status.last_update_id, status.received_time_us) == (Status.SYNCED, 12, None)
    book.apply(diff(20, 21))
    lost = wire.decode(wire.encode_status(book))
    assert isinstance(lost, wire.BookStatus)
    assert (lost.status, lost.reason) == (book.status, book.reason)
    with pytest.raises(BookNotSynced):
        wire.encode_best(book)


def test_wall_times_are_those_of_the_process_that_received(engine: Engine) -> None:
    if engine.name == "reference":
        assert routed(engine).reader(1).freeze().to_dict()["since_time_us"] is None
        return
    frozen = routed(engine, depthcache.now_ns()).reader(1).freeze()
    assert datetime.fromtimestamp(frozen.to_dict()["received_time_us"] / 1e6, UTC) == frozen.updated_at
    message = frozen.to_dict()
    assert abs(message["confirmed_time_us"] - time.time_ns() // 1_000) < 60_000_000
    assert message["since_time_us"] - message["since_ns"] // 1_000 == (
        message["confirmed_time_us"] - message["confirmed_ns"] // 1_000
    )
    elsewhere = json.loads(wire.encode(frozen))
    for key in ("since_time_us", "confirmed_time_us"):
        elsewhere[key] += 5_000_000
    again: Any = wire.decode(json.dumps(elsewhere))
    assert again == frozen
    for copy in (again, pickle.loads(pickle.dumps(again)), again.freeze(1)):  # noqa: S301
        assert copy.to_dict()["confirmed_time_us"] == elsewhere["confirmed_time_us"]


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (b"", "EOF"),
        (b"[1]", "invalid"),
        (b'{"schema":1,"type":"trade"}', "missing field"),
        (b"\xff\xfe", "expected value"),
    ],
)
def test_what_is_no_message_is_refused_in_words(message: bytes, what: str) -> None:
    with pytest.raises(UnreadableMessage, match=what) as raised:
        wire.decode(message)
    assert raised.value.excerpt == message


def test_a_book_of_floats_is_refused_because_digits_may_be_lost() -> None:
    frozen = fed(load("native")).freeze()
    with pytest.raises(UnreadableMessage, match="is not text; only text keeps all digits"):
        wire.decode(frozen.to_json())


def test_another_schema_is_refused_by_its_number() -> None:
    message = wire.encode(fed(load("native"))).replace(b'"schema":1', b'"schema":7')
    with pytest.raises(
        UnsupportedSchema, match="schema version 7, but this release reads version 1"
    ) as raised:
        wire.decode(message)
    assert (raised.value.received, raised.value.supported) == (7, wire.SCHEMA)
    with pytest.raises(TypeError, match="message must be bytes"):
        wire.decode(5)  # type: ignore[arg-type]


def test_no_change_of_a_byte_makes_a_book_that_cannot_be_used() -> None:
    message = wire.encode(fed(load("native"), limit=2), counters=False)
    for place in range(len(message)):
        for byte in b'0"x,]':
            try:
                found: Any = wire.decode(message[:place] + bytes([byte]) + message[place + 1 :])
            except UnreadableMessage:
                continue
            repr(found), hash(found), found.exact.bids[:], found.coverage, found.to_json(), found.spread


def spoiled(message: bytes, keys: str, value: Any = None) -> bytes:
    """The message with another value at a key such as `best/bid/0`; without the key where there is none."""
    found = json.loads(message)
    *outer, last = keys.split("/")
    place = found
    for key in outer:
        place = place[int(key) if key.isdecimal() else key]
    if value is None:
        del place[last]
    else:
        place[int(last) if last.isdecimal() else last] = value
    return json.dumps(found).encode()


NULLABLE = ("since_time_us", "last_update_id", "event_time_us", "updated_ns", "confirmed_ns")
CONTRADICTIONS = [
    *(("book", key, None, "missing field") for key in NULLABLE),
    *(("status", key, None, "missing field") for key in NULLABLE),
    ("book", "complete_to/asks", None, "missing field"),
    ("book", "bids/0/0", "0", "a price is zero"),
    ("book", "bids/0/0", "100.50", "synced but crossed"),
    ("book", "bids/0/0", "200", "synced but crossed"),
    ("book", "complete_to/bids", "0.00", "a price is zero"),
    ("book", "coverage", [2, 3], "expected an object"),
    ("book", "complete_to", ["1", "200"], "expected an object"),
    ("book", "last_update_id", -1, "is negative"),
    ("book", "symbol", "BTC\x1b[2J", "its symbol is invalid"),
    ("book", "symbol", "A" * 41, "its symbol is invalid"),
    ("book", "exchange", "binance\x1b[2J.com", "its exchange is invalid"),
    ("book", "exchange", "", "its exchange is invalid"),
    ("best", "best", None, "best is missing"),
    ("best", "best/ask", None, "missing field"),
    ("best", "best", [["1", "1"], ["2", "1"], 12], "expected an object"),
    ("best", "best/update_id", 11, "a different update id"),
    ("best", "best/bid/0", "100.5", "synced but crossed"),
    ("best", "best/bid/0", "0", "a price is zero"),
    ("best", "best/bid/1", "0", "a quantity is zero"),
    ("best", "exchange", "\x7f", "its exchange is invalid"),
    ("status", "last_update_id", -1, "is negative"),
    ("update", "changes", None, "changes is missing"),
    ("update", "changes", [[], []], "expected an object"),
    ("update", "changes/bids/0/0", "0", "a price is zero"),
    ("update", "is_fresh", True, "but has changes"),
]


@pytest.mark.parametrize(("kind", "keys", "value", "what"), CONTRADICTIONS)
def test_a_message_that_contradicts_itself_is_refused(kind: str, keys: str, value: Any, what: str) -> None:
    engine = load("native")
    message = {
        "book": lambda: wire.encode(fed(engine)),
        "best": lambda: wire.encode_best(fed(engine)),
        "status": lambda: wire.encode_status(fed(engine)),
        "update": lambda: wire.encode(told(engine)[1]),
    }[kind]()
    wire.decode(message)
    with pytest.raises(UnreadableMessage, match=what):
        wire.decode(spoiled(message, keys, value))


def test_a_list_of_the_values_of_a_message_is_none() -> None:
    head = [1, "status", "binance.com", "BTCUSDT", False, "stale", "why", 0, None, False, 1, None, 0, None]
    with pytest.raises(UnreadableMessage, match="expected an object"):
        wire.decode(json.dumps(head + [None] * 10))
    with pytest.raises(UnreadableMessage, match="expected an object"):
        wire.decode(b" [7]")


def test_a_best_message_of_a_synced_book_has_levels_and_of_another_need_not() -> None:
    message = json.loads(wire.encode_best(fed(load("native")))) | {"best": None}
    with pytest.raises(UnreadableMessage, match="it is synced but has no best levels"):
        wire.decode(json.dumps(message))
    found: Any = wire.decode(json.dumps(message | {"status": "stale", "reason": "why"}))
    assert (found.status, found.best) == (Status.STALE, None)
    status = json.loads(wire.encode_status(fed(load("native")))) | {"last_update_id": None}
    with pytest.raises(UnreadableMessage, match="it is synced but has no update id"):
        wire.decode(json.dumps(status))


NOTHING = {"coverage": {"bids": 0, "asks": 0}, "complete": False}


def test_a_reason_from_elsewhere_cannot_write_to_the_terminal() -> None:
    message = json.loads(wire.encode(fed(load("native"))))
    reason = "a\n\x1b[2J\u202eé b"
    found: Any = wire.decode(
        json.dumps(message | {"status": "stale", "reason": reason, "bids": None, "asks": None} | NOTHING)
    )
    assert found.reason == reason
    with pytest.raises(BookNotSynced) as raised:
        _ = found.best
    for shown in (repr(found), str(raised.value)):
        assert "[2Jé b" not in shown
        assert "é b" in shown
        assert not {"\n", "\x1b", "\u202e"} & set(shown)


def test_best_is_a_dict_and_json_by_itself() -> None:
    assert Best(Level(1.5, 2.0), None, 7).to_dict() == {"bid": [1.5, 2.0], "ask": None, "update_id": 7}
    exact = Best(Level(Decimal("1.50"), Decimal("1E-8")), None, 7)
    assert exact.to_json() == b'{"bid":["1.50","0.00000001"],"ask":null,"update_id":7}'


FAMILIES = {
    "spot": '{"lastUpdateId":12,%s}',
    "linear": '{"lastUpdateId":12,"E":9,"T":8,%s}',
    "inverse": '{"lastUpdateId":12,"symbol":"BTCUSDT","pair":"BTCUSDT","E":9,"T":8,%s}',
    "options": '{%s,"T":8,"lastUpdateId":12}',
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_book_is_written_as_the_exchange_writes_it(engine: Engine, family: Any) -> None:
    book = fed(engine)
    times: dict[str, Any] = {"event_time_ms": 9, "transaction_time_ms": 8}
    body = wire.depth_snapshot(book, 1, family=family, **times)
    levels = '"bids":[["99.5","12345678901234567890.123456789012345678"]],"asks":[["100.50","2.00000000"]]'
    assert body.decode() == FAMILIES[family] % levels
    exact = book.freeze(1).exact
    plain = wire.depth_snapshot_of(
        exact.bids, exact.asks, family=family, update_id=12, symbol="BTCUSDT", **times
    )
    assert plain == body
    again = engine.book()
    again.load_snapshot(wire.depth_snapshot(book, family=family, update_id=20), limit=1000)
    assert (again.last_update_id, again.exact.bids[:], again.exact.asks[:]) == (
        20,
        book.exact.bids[:],
        book.exact.asks[:],
    )
    with pytest.raises(InvalidArgument, match="family"):
        wire.depth_snapshot(book, family="swap")  # type: ignore[arg-type]


def test_plain_levels_keep_their_own_width_and_nonsense_is_refused() -> None:
    body = wire.depth_snapshot_of([("1.10", "2")], [("1.2", "0.30")], family="spot", update_id=1)
    assert body == b'{"lastUpdateId":1,"bids":[["1.10","2"]],"asks":[["1.2","0.30"]]}'
    with pytest.raises(ValueError, match="not a price or quantity"):
        wire.depth_snapshot_of([("NaN", "2")], [], family="spot", update_id=1)


def test_lines_are_one_a_level(engine: Engine) -> None:
    assert wire.level_lines(fed(engine), 1) == (
        b"b 99.5 12345678901234567890.123456789012345678\na 100.50 2.00000000\n"
    )


NUMBERS = st.integers(1, 10**23).map(lambda mantissa: Decimal(mantissa).scaleb(-8))
SIDES = st.dictionaries(NUMBERS, NUMBERS, max_size=6)


@settings(max_examples=40)
@given(bids=SIDES, asks=SIDES, limit=st.none() | st.integers(1, 7), levels=st.none() | st.integers(0, 7))
def test_any_book_is_what_json_and_decimal_say_and_comes_back(
    bids: dict[Decimal, Decimal], asks: dict[Decimal, Decimal], limit: int | None, levels: int | None
) -> None:
    book = depthcache.Book("binance.com", "BTCUSDT")
    top = max(bids, default=Decimal(0))
    sides = (sorted(bids.items(), reverse=True), sorted((top + p, q) for p, q in asks.items()))
    book.load_snapshot(
        snapshot(10, *([(format(p, "f"), format(q, "f")) for p, q in s] for s in sides)), limit=limit
    )
    frozen = book.freeze(levels)
    for view in (frozen, frozen.exact):
        parsed = json.loads(view.to_json(), parse_constant=pytest.fail)
        assert parsed == view.to_dict()
    exact = json.loads(frozen.exact.to_json())
    for name, side in (("bids", frozen.exact.bids), ("asks", frozen.exact.asks)):
        assert exact[name] == [[format(price, "f"), format(quantity, "f")] for price, quantity in side]
    assert wire.decode(wire.encode(frozen)) == frozen
