"""Frames that violate the protocol: a clear error, and the book is unchanged, on both engines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from depthcache import MalformedFrame, MalformedMessage, MalformedSnapshot, Outcome, SymbolMismatch
from tests.engine import Engine, diff, encode, facts, payload, sides, snapshot, wrapped

GOOD = payload(11, 12, [("98.5", "2")], [("101.5", "3")])
FUTURES = GOOD | {"T": 1_700_000_000_000, "pu": 10, "ps": "BTCUSDT", "st": 1}


def refused(book: Any, frame: Any) -> MalformedFrame:
    before = facts(book), sides(book)
    with pytest.raises(MalformedFrame) as raised:
        book.apply(frame)
    assert (facts(book), sides(book)) == before
    error = raised.value
    assert isinstance(error, MalformedMessage)
    assert error.what
    assert error.position >= 0
    assert error.what in str(error)
    return error


@pytest.mark.parametrize("frame", [encode(GOOD), wrapped(GOOD)])
def test_a_frame_cut_anywhere_is_malformed(engine: Engine, frame: bytes) -> None:
    book = engine.loaded()
    for length in range(len(frame)):
        refused(book, frame[:length])
    assert book.apply(frame) == Outcome.APPLIED


@pytest.mark.parametrize("tail", [b"x", b"{}", b",", b"\x00", b"]"])
def test_nothing_may_follow_a_frame(engine: Engine, tail: bytes) -> None:
    refused(engine.loaded(), encode(GOOD) + tail)


@pytest.mark.parametrize("space", [b" ", b"\n\t\r  "])
def test_white_space_is_allowed_wherever_json_allows_it(engine: Engine, space: bytes) -> None:
    text = json.dumps({"stream": "btcusdt@depth", "data": GOOD}, indent=3).encode()
    assert engine.loaded().apply(space + text + space) == Outcome.APPLIED


OTHER_TYPES: dict[str, list[Any]] = {
    "s": [None, True, 1, 1.5, [], {}, [1], ""],
    "U": [None, True, 1.5, "x", [], {}, [1], "11"],
    "u": [None, True, 1.5, "x", [], {}, [1], "12"],
    "b": [None, True, 1, 1.5, "x", {}, [1], [["1"]], [["1", 2]], [["1", "2", 3, 4]], [[None, "1"]], [{}]],
    "a": [None, True, 1, 1.5, "x", {}, [1], [["1"]], [["1", 2]], [["1", "2", 3, 4]], [[None, "1"]], [{}]],
}
NO_NUMBERS: list[Any] = [None, True, 1.5, -1, 2**63, 10**30, "x", [], {}, [1], "1"]


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in OTHER_TYPES.items() for value in values]
)
def test_a_key_of_another_type_is_malformed(engine: Engine, key: str, value: Any) -> None:
    refused(engine.loaded(), encode(GOOD | {key: value}))


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize("key", ["E", "T", "pu", "st", "ps"])
@pytest.mark.parametrize("in_order", [True, False])
def test_a_key_that_no_rule_needs_spoils_no_diff(
    engine: Engine, key: str, value: Any, in_order: bool
) -> None:
    data = FUTURES | {key: value}
    if not in_order:
        data = dict(reversed(data.items()))
    for frame in (encode(data), wrapped(data)):
        book = engine.loaded()
        assert book.apply(frame) == Outcome.APPLIED
        assert book.event_time_us == (None if key == "E" else 1_700_000_000_000_000)
        assert sides(book)[0] == [("99.0", "1"), ("98.5", "2")]


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_a_chained_diff_whose_pu_is_no_id_does_not_say_what_it_follows(engine: Engine, value: Any) -> None:
    for frame in (encode(FUTURES | {"pu": value}), wrapped(FUTURES | {"pu": value})):
        error = refused(engine.loaded("chained"), frame)
        assert error.what == "pu is missing, which links the update ids of this venue"


@pytest.mark.parametrize("value", [0, 10**17, 2**63 - 1])
def test_a_time_that_is_none_counts_as_missing(engine: Engine, value: int) -> None:
    book = engine.loaded()
    assert book.apply(encode(GOOD | {"E": value})) == Outcome.APPLIED
    assert book.event_time_us is None


THIRD: list[Any] = [[], None, 1, -1.5, "x", "", True, {}, {"a": [[], {}]}, [["1", "2"], [[]]]]


@pytest.mark.parametrize("third", THIRD)
def test_a_third_element_of_a_level_is_ignored(engine: Engine, third: Any) -> None:
    levels = [["98.5", "2", third], ["97", "1"], ["96", "3", third]]
    wanted = [("99.0", "1"), ("98.5", "2"), ("97.0", "1"), ("96.0", "3")]
    for frame in (encode(GOOD | {"b": levels}), wrapped(GOOD | {"b": levels})):
        book = engine.loaded()
        assert book.apply(frame) == Outcome.APPLIED
        assert sides(book)[0] == wanted
    book = engine.book()
    book.load_snapshot(encode({"lastUpdateId": 10, "bids": levels, "asks": [["101", "1", third]]}))
    assert sides(book) == ([("98.5", "2"), ("97.0", "1"), ("96.0", "3")], [("101", "1")])


@pytest.mark.parametrize("wrap", [False, True])
def test_a_third_element_may_be_as_deep_as_anything(engine: Engine, wrap: bool) -> None:
    around = 5 if wrap else 4  # the frame (and its payload), the side, the level
    for deep, fits in ((65 - around, True), (66 - around, False)):
        nested: Any = []
        for _ in range(deep - 1):
            nested = [nested]
        data = GOOD | {"b": [["98.5", "2", nested]]}
        frame = wrapped(data) if wrap else encode(data)
        if fits:
            assert engine.loaded().apply(frame) == Outcome.APPLIED
        else:
            refused(engine.loaded(), frame)


@pytest.mark.parametrize("key", ["E", "T", "symbol", "pair"])
@pytest.mark.parametrize("value", [value for value in NO_NUMBERS if not isinstance(value, str)])
def test_a_key_that_no_rule_needs_spoils_no_snapshot(engine: Engine, key: str, value: Any) -> None:
    book = engine.book()
    assert book.load_snapshot(snapshot(10, **{key: value})) == "synced"


@pytest.mark.parametrize("key", ["s", "U", "u", "b", "a"])
def test_a_key_that_is_missing_is_malformed(engine: Engine, key: str) -> None:
    refused(engine.loaded(), encode({name: value for name, value in GOOD.items() if name != key}))


@pytest.mark.parametrize("key", ["s", "U", "u", "b", "a", "e", "E"])
def test_a_key_that_comes_twice_is_malformed(engine: Engine, key: str) -> None:
    text = encode(GOOD).decode()
    refused(engine.loaded(), text[:-1] + f',"{key}":{json.dumps(GOOD[key])}}}')


@pytest.mark.parametrize("number", ["-1", "1.0", "1e3", "01", "9223372036854775808", "1" * 40])
@pytest.mark.parametrize("key", ["U", "u"])
def test_ids_are_integers_of_63_bits(engine: Engine, key: str, number: str) -> None:
    text = encode(GOOD | {key: 111222333}).decode().replace("111222333", number)
    refused(engine.loaded(), text)


def test_the_last_id_is_not_before_the_first(engine: Engine) -> None:
    refused(engine.loaded(), diff(12, 11))


def test_a_chained_diff_without_pu_is_malformed(engine: Engine) -> None:
    error = refused(engine.loaded("chained"), diff(11, 11))
    assert "pu" in error.what


@pytest.mark.parametrize("data", [GOOD, FUTURES])
def test_keys_may_come_in_any_order_with_unknown_ones_between(engine: Engine, data: dict[str, Any]) -> None:
    strange = {"x": {"b": [["1", 2]], "s": [1, "]}"]}, "y": 'a"\\', "z": None, "é": [[[]]], "w": -1.5e-3}
    items = list((data | strange).items())
    for turn in range(len(items)):
        book = engine.loaded()
        assert book.apply(encode(dict(items[turn:] + items[:turn]))) == Outcome.APPLIED
        assert sides(book) == ([("99.0", "1"), ("98.5", "2")], [("101.0", "1"), ("101.5", "3")])


def test_escapes_are_read(engine: Engine) -> None:
    text = '{"\\u0065":"depth\\u0055pdate","s":"\\u5e01\\u5b89",'
    text += '"U":11,"u":11,"b":[["9\\u0038.5","\\u0032"]],"a":[]}'
    book = engine.book(symbol=None)
    book.load_snapshot(snapshot(10))
    assert book.apply(text) == Outcome.APPLIED
    assert (book.symbol, book.bids[1]) == ("币安", (98.5, 2.0))


@pytest.mark.parametrize(
    "bad",
    [
        b'"\\ud800"',
        b'"\\x"',
        b'"\\u12"',
        b'"\xff"',
        b'"\xc3"',
        b'"a\nb"',
        b"'a'",
        b"tru",
        b"01",
        b"1.",
        b"+1",
    ],
)
def test_bad_json_in_unused_keys_is_malformed(engine: Engine, bad: bytes) -> None:
    frame = encode(GOOD)[:-1] + b',"x":' + bad + b"}"
    refused(engine.loaded(), frame)


@pytest.mark.parametrize("frame", [b"", b" ", b"[]", b"1", b'"x"', b"null", b"\xef\xbb\xbf{}", b"{" * 100])
def test_a_frame_is_one_object(engine: Engine, frame: bytes) -> None:
    refused(engine.loaded(), frame)


def test_nesting_has_an_end(engine: Engine) -> None:
    book = engine.loaded()
    fine, deep = (b'{"x":' + b"[" * depth + b"]" * depth + b"}" for depth in (60, 70))
    assert book.apply(fine) == Outcome.IGNORED
    refused(book, deep)


@pytest.mark.slow
def test_size_has_an_end(engine: Engine) -> None:
    book = engine.loaded()
    assert book.apply(b'{"x":"' + b"a" * (16 * 1024 * 1024 - 8) + b'"}') == Outcome.IGNORED
    error = refused(book, b'{"x":"' + b"a" * (16 * 1024 * 1024) + b'"}')
    assert "16 MiB" in error.what


def test_the_error_shows_where_and_what(engine: Engine) -> None:
    frame = diff(11, 11, [("98", "x")])
    error = refused(engine.loaded(), frame)
    assert error.excerpt == frame[:120]
    assert 0 <= error.position <= len(frame)


def test_a_malformed_frame_names_its_stream_if_readable(engine: Engine) -> None:
    error = refused(engine.loaded(), wrapped(GOOD | {"u": "x"}, "btcusdt@depth"))
    assert error.stream == "btcusdt@depth"


SNAPSHOTS = [
    b"",
    b"[]",
    b"{}",
    snapshot()[:-1],
    encode({"bids": [], "asks": []}),
    encode({"lastUpdateId": 1, "bids": []}),
    encode({"lastUpdateId": "1", "bids": [], "asks": []}),
    encode({"lastUpdateId": -1, "bids": [], "asks": []}),
    encode({"lastUpdateId": 1.5, "bids": [], "asks": []}),
    encode({"lastUpdateId": 1, "bids": [["1", "x"]], "asks": []}),
    encode({"lastUpdateId": 1, "bids": [["1"]], "asks": []}),
    encode({"lastUpdateId": 1, "bids": {}, "asks": []}),
    encode({"lastUpdateId": 1, "bids": [["0", "1"]], "asks": []}),
    encode({"code": -1121, "msg": "Invalid symbol."}),
    b"<html>busy</html>",
]


@pytest.mark.parametrize("body", SNAPSHOTS)
def test_a_malformed_snapshot_changes_nothing(engine: Engine, body: bytes) -> None:
    book = engine.loaded()
    before = facts(book), sides(book)
    with pytest.raises(MalformedSnapshot) as raised:
        book.load_snapshot(body)
    assert raised.value.what
    assert (facts(book), sides(book)) == before


def test_unknown_keys_of_snapshots_are_ignored_and_order_does_not_matter(engine: Engine) -> None:
    book = engine.book()
    body = encode({"T": 1, "asks": [["103", "1"], ["101", "1"]], "x": {}, "bids": [["97", "1"], ["99", "1"]]})
    book.load_snapshot(body[:-1] + b',"lastUpdateId":7}')
    assert (book.last_update_id, book.best.bid.price, book.best.ask.price) == (7, 99.0, 101.0)


IMPOSSIBLE = [
    "A" * 41,
    "A" * 1_000_000,
    "A\x1b[2J",
    "A B",
    "A\n",
    "A\u202eB",
    "A\u2028",
    "A\x85",
    "\ue000",
    "A\U000e0041",
]


@pytest.mark.parametrize("name", IMPOSSIBLE, ids=lambda name: ascii(name[:12]))
def test_a_book_without_a_symbol_takes_none_that_can_be_none(engine: Engine, name: str) -> None:
    book = engine.book(symbol=None)
    with pytest.raises(MalformedFrame, match="the symbol s is invalid"):
        book.apply(encode(GOOD | {"s": name}))
    assert not book.symbol
    for possible in ("BTC-251123-126000-C", "币安人生USDT", "BTCUSD_PERP"):
        other = engine.book(symbol=None)
        other.apply(encode(GOOD | {"s": possible}))
        assert other.symbol == possible


@pytest.mark.parametrize("name", IMPOSSIBLE, ids=lambda name: ascii(name[:12]))
def test_a_frame_of_another_symbol_is_reported_printably(engine: Engine, name: str) -> None:
    with pytest.raises(SymbolMismatch) as raised:
        engine.loaded().apply(encode(GOOD | {"s": name}))
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 500
    router = engine.Router()
    router.open_connection(1)
    router.add_market(1, "x", "BTCUSDT", "contiguous")
    router.route(1, "btcusdt@depth", 1)
    router.install_snapshot(1, snapshot(10), limit=100, live=True, now_ns=1)
    router.feed(1, encode({"stream": "btcusdt@depth", "data": GOOD | {"s": name}}), 5)
    reason = engine.BookReader(router, 1).reason
    assert "on the stream" in reason
    assert reason.isprintable()
    assert len(reason) < 400
