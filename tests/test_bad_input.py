"""Wrong input of users: each raises the documented error with the name, the value and what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import depthcache
from depthcache import (
    Endpoints,
    InvalidArgument,
    MalformedFrame,
    MalformedSnapshot,
    Policy,
    Settings,
    SymbolMismatch,
    UnknownExchange,
    UnreadableRecording,
    UsageError,
)
from tests.engine import diff, snapshot

BODY = snapshot(10)


def book(**more: Any) -> depthcache.Book:
    made = depthcache.Book(more.pop("exchange", "binance.com"), "BTCUSDT")
    made.load_snapshot(BODY, limit=1000)
    return made


TABLE: list[tuple[str, Callable[[], object], type[Exception], tuple[str, ...]]] = [
    # exchange names
    ("misspelled", lambda: depthcache.connect("binance.con", ["BTCUSDT"]), UnknownExchange, ("binance.con", "binance.com")),
    ("empty exchange", lambda: depthcache.connect("", ["BTCUSDT"]), UnknownExchange, ("`depthcache exchanges` lists all",)),
    ("no text", lambda: depthcache.connect(5, ["BTCUSDT"]), UsageError, ("5",)),  # type: ignore[call-overload]
    ("of a mapping", lambda: depthcache.connect({"kraken": ["BTCUSDT"]}), UnknownExchange, ("kraken",)),
    # symbols
    ("empty symbol", lambda: depthcache.connect("binance.com", [""]), InvalidArgument, ("symbol",)),
    ("space", lambda: depthcache.connect("binance.com", ["BTC USDT"]), InvalidArgument, ("BTC USDT",)),
    ("stream name", lambda: depthcache.connect("binance.com", ["btcusdt@depth"]), InvalidArgument, ("btcusdt@depth",)),
    ("url", lambda: depthcache.connect("binance.com", ["BTC&limit=5"]), InvalidArgument, ("BTC&limit=5",)),
    ("no text", lambda: depthcache.connect("binance.com", [None]), InvalidArgument, ("None",)),  # type: ignore[list-item]
    ("one text", lambda: depthcache.connect("binance.com", "BTCUSDT"), InvalidArgument, ("BTCUSDT",)),
    ("of a book", lambda: depthcache.Book("binance.com", "BTC/USDT?"), InvalidArgument, ("BTC/USDT?",)),
    # limits and numbers
    ("depth 0", lambda: depthcache.connect("binance.com", [], depth=0), InvalidArgument, ("depth", "0", "1 to 5,000")),
    ("depth", lambda: depthcache.connect("binance.com-futures", [], depth=1001), InvalidArgument, ("1,000",)),
    ("depth text", lambda: depthcache.connect("binance.com", [], depth="100"), InvalidArgument, ("depth",)),  # type: ignore[arg-type]
    ("speed", lambda: depthcache.connect("binance.com", [], speed_ms=250), InvalidArgument, ("speed_ms", "100, 1000")),
    ("on_stale", lambda: depthcache.connect("binance.com", [], on_stale="x"), InvalidArgument, ("on_stale", "serve")),  # type: ignore[arg-type]
    ("limit 0", lambda: book().load_snapshot(BODY, limit=0), InvalidArgument, ("limit", "0")),
    ("limit -1", lambda: book().load_snapshot(BODY, limit=-1), InvalidArgument, ("limit", "-1")),
    ("limit 7", lambda: depthcache.Book("binance.com-futures").load_snapshot(BODY, limit=7), InvalidArgument, ("7", "1000")),
    ("limit_share", lambda: Policy(limit_share=0), InvalidArgument, ("limit_share", "0")),
    # URLs
    ("no scheme", lambda: Settings(endpoints={"binance.com": Endpoints(rest="x", websocket="ws://h")}), InvalidArgument, ("REST", "'x'")),
    ("wrong scheme", lambda: Settings(endpoints={"binance.com": Endpoints(rest="http://h", websocket="http://h")}), InvalidArgument, ("ws",)),
    ("query", lambda: Settings(endpoints={"binance.com": Endpoints(rest="http://h?a=1", websocket="ws://h")}), InvalidArgument, ("a=1",)),
    ("exchange", lambda: Settings(endpoints={"nope": Endpoints(rest="http://h", websocket="ws://h")}), UnknownExchange, ("nope",)),
    ("variable", lambda: Settings.from_environment({"DEPTHCACHE_BINANCE_COM_RES": "http://h"}), InvalidArgument, ("DEPTHCACHE_BINANCE_COM_REST",)),
    # bytes
    ("frame", lambda: book().apply(b"{"), MalformedFrame, ("the book is unchanged",)),
    ("no frame", lambda: book().apply(5), TypeError, ("frame",)),  # type: ignore[arg-type]
    ("snapshot", lambda: book().load_snapshot(b"<html>"), MalformedSnapshot, ("<html>",)),
    ("error body", lambda: book().load_snapshot(b'{"code":-1121,"msg":"x"}'), MalformedSnapshot, ("-1121",)),
    ("symbol", lambda: book().apply(diff(11, 11, s="ETHUSDT")), SymbolMismatch, ("BTCUSDT", "ETHUSDT")),
    ("recording", lambda: depthcache.recording.verify([__file__]), UnreadableRecording, ("test_bad_input.py",)),
    # the embedded exchange
    ("port", lambda: depthcache.simulator.serve(port=70_000), InvalidArgument, ("port", "70000", "65535")),
    ("its exchange", lambda: depthcache.simulator.serve(symbols={"x": ["A"]}), UnknownExchange, ("x",)),
    ("speed", lambda: depthcache.simulator.serve(files=["x"], speed=0), UsageError, ("speed", "0")),
    ("chance", lambda: depthcache.simulator.Faults(drop=2), InvalidArgument, ("drop", "2")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [row[1:] for row in TABLE],
    ids=[f"{n}-{row[0]}" for n, row in enumerate(TABLE)],
)
def test_bad_input_gives_a_clear_error(
    call: Callable[[], object], kind: type[Exception], words: tuple[str, ...]
) -> None:
    with pytest.raises(kind) as raised:
        call()
    for word in words:
        assert word in str(raised.value)


def test_nothing_else_stops() -> None:
    """One book gets all the bad bytes of the table and goes on as if nothing had been."""
    made = book()
    for bad in (
        b"{",
        b"",
        b"[]",
        b'{"e":"depthUpdate"}',
        diff(11, 11, [("x", "1")]),
        diff(11, 11, s="ETHUSDT"),
    ):
        with pytest.raises(UsageError if b"ETHUSDT" in bad else MalformedFrame):
            made.apply(bad)
        with pytest.raises(MalformedSnapshot):
            made.load_snapshot(bad)
    assert made.apply(diff(11, 11, [("98", "1")])) is depthcache.APPLIED
    assert (made.last_update_id, len(made.bids)) == (11, 2)
