"""Mistakes of the first ten minutes lead to errors that help."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

import depthcache
from depthcache import blocking
from depthcache.cli import cli
from depthcache.client.config import parse_timeout
from depthcache.client.follow import parse_follow_spec
from depthcache.errors import InvalidArgument, PackageMissing, SyncTimeout, UnknownExchange
from tests import engine as engines
from tests.cli.programs import running
from tests.markets.test_router import Rig

NOWHERE = {
    "DEPTHCACHE_BINANCE_COM_REST": "http://127.0.0.1:1",
    "DEPTHCACHE_BINANCE_COM_WEBSOCKET": "ws://127.0.0.1:1",
}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("binance", "binance.com"),
        ("BINANCE", "binance.com"),
        ("spot", "binance.com"),
        ("futures", "binance.com-futures"),
        ("usdm", "binance.com-futures"),
        ("binanceusdm", "binance.com-futures"),
        ("binance-futures", "binance.com-futures"),
        ("binance.com-future", "binance.com-futures"),
        ("coinm", "binance.com-coin_futures"),
        ("binancecoinm", "binance.com-coin_futures"),
        ("options", "binance.com-vanilla-options"),
        ("binanceus", "binance.us"),
        ("tr", "trbinance.com"),
    ],
)
def test_a_name_that_others_use_is_answered_with_ours(written: str, meant: str) -> None:
    with pytest.raises(UnknownExchange) as caught:
        depthcache.connect(written, ["BTCUSDT"])
    assert caught.value.near[0] == meant
    assert f"did you mean {meant!r}" in str(caught.value)


@pytest.mark.parametrize(
    "written", ["BTC/USDT", "btc/usdt", "BTC/USDT:USDT", "BTC USDT", "BTC.USDT", "BTC:USDT"]
)
def test_a_symbol_as_others_write_it_is_answered_with_ours(written: str) -> None:
    with pytest.raises(InvalidArgument, match="did you mean 'BTCUSDT'"):
        depthcache.connect("binance.com", [written])


@pytest.mark.parametrize("symbols", ["BTCUSDT", ["BTCUSDT", "ETHUSDT"]])
@pytest.mark.parametrize("connect", [depthcache.connect, blocking.connect])
def test_symbols_without_an_exchange_are_answered_with_the_order(connect: Any, symbols: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"connect\('binance.com', \['BTCUSDT'\]\)"):
        connect(symbols)


@pytest.mark.parametrize("levels", [-1, "3", 2.5, True])
def test_a_wrong_number_of_levels_is_named(engine: engines.Engine, levels: Any) -> None:
    book = engine.book()
    book.load_snapshot(b'{"lastUpdateId":1,"bids":[["1","1"]],"asks":[["2","1"]]}')
    for reader in (book, book.freeze()):
        with pytest.raises(InvalidArgument, match="invalid levels"):
            reader.freeze(levels)


def test_a_book_without_a_network_is_told_what_helps_it(engine: engines.Engine) -> None:
    book = engine.book()
    with pytest.raises(depthcache.BookNotSynced, match=r"nothing has arrived yet; call load_snapshot\(\)$"):
        book.best  # noqa: B018
    book.load_snapshot(engines.snapshot(10))
    book.apply(engines.diff(20, 20))
    with pytest.raises(
        depthcache.BookNotSynced, match=r"; call load_snapshot\(\), or pass on_stale=\"serve\" to read"
    ):
        book.best  # noqa: B018


def test_a_live_book_is_told_what_helps_it(engine: engines.Engine) -> None:
    router = engine.Router()
    router.add_market(1, "binance.com", "BTCUSDT", "contiguous", now_ns=7)
    book = engine.BookReader(router, 1)
    assert book.since_ns == 7
    helps = r"is empty, not synced: nothing has arrived yet; call wait_synced\(\) first$"
    with pytest.raises(depthcache.BookNotSynced, match=helps):
        book.best  # noqa: B018


def test_an_item_of_a_lost_book_names_no_remedy_because_nothing_changes_it(engine: engines.Engine) -> None:
    rig = Rig(engine).synced()
    follower = rig.router.follow("status", most_items=1, most_bytes=1)
    follower.add(rig.router, 1)
    follower.take(0)
    rig.feed(20, 21)
    with pytest.raises(depthcache.BookNotSynced, match=r"but the next update follows 19$"):
        follower.take(0).best  # noqa: B018


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(InvalidArgument, match=r"^the mode 'interval' needs interval_ms=, such as 1000$"):
        parse_follow_spec(
            "interval", None, interval_ms=None, on_stale=None, default="raise", buffer=1, buffer_bytes=1
        )


def test_a_missing_key_has_no_position(engine: engines.Engine) -> None:
    with pytest.raises(depthcache.MalformedSnapshot, match="lastUpdateId is missing; the book is unchanged"):
        engine.book().load_snapshot(b'{"bids":[],"asks":[]}')


def test_an_audit_in_vain_does_not_call_a_synced_book_late() -> None:
    late = SyncTimeout(
        exchange="x", symbol="S", timeout_s=2, status="synced", reason="", awaited="the snapshot"
    )
    assert str(late) == "S on x is synced, but the snapshot did not come within 2 s"
    late = SyncTimeout(
        exchange="x", symbol="S", timeout_s=2, status="stale", reason="why", awaited="the snapshot"
    )
    assert str(late) == "S on x is not synced after 2 s: it is stale (why)"


def test_a_side_without_a_symbol_and_with_one_level_is_shown_well() -> None:
    book = depthcache.Book("binance.com")
    assert repr(book.bids) == "<Side bids of ? on binance.com: 0 levels>"
    book.load_snapshot(b'{"lastUpdateId":1,"bids":[["1","1"]],"asks":[]}')
    assert repr(book.bids) == "<Side bids of ? on binance.com: 1 level>"


@pytest.mark.parametrize("given", [["BTCUSDT"], SimpleNamespace(symbol="BTCUSDT")])
def test_books_in_the_place_of_the_timeout_are_answered_with_the_name(given: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"invalid timeout .*: .* use books=\[…\]"):
        parse_timeout(given)


def test_a_client_that_was_not_entered_says_so_when_it_is_shown() -> None:
    assert repr(depthcache.connect("binance.com", ["BTCUSDT"])) == "<depthcache.Books: not started yet>"
    assert (
        repr(blocking.connect("binance.com", ["BTCUSDT"])) == "<depthcache.blocking.Books: not started yet>"
    )


def test_prometheus_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(PackageMissing, match=r'pip install "depthcache\[prometheus\]"'):
        depthcache.connect("binance.com", ["BTCUSDT"]).prometheus()


def test_types_that_are_generic_may_be_written_in_annotations_that_run() -> None:
    for kind in (
        depthcache.BookReader, depthcache.FrozenBook, depthcache.Side, depthcache.Level, depthcache.Best,
        depthcache.Levels, depthcache.CompleteTo,
    ):  # fmt: skip
        assert kind[Decimal].__args__ == (Decimal,)  # type: ignore[index]


def test_the_first_screen_shows_every_command_whole() -> None:
    from click.testing import CliRunner

    shown = CliRunner().invoke(cli, ["--help"], env={"COLUMNS": "80"}).output
    assert "..." not in shown.split("Commands:", 1)[1]
    assert all(f"depthcache {name}" in shown for name in cli.commands)


@pytest.mark.slow
def test_without_a_network_watch_says_what_to_do() -> None:
    with running("watch", "BTCUSDT", "--seconds", "1", environment=NOWHERE) as program:
        code, _, errors = program.rest()
    assert code == 1
    assert "`depthcache doctor` finds out what is in the way" in errors


@pytest.mark.slow
def test_a_program_that_waits_in_vain_says_what_it_waits_for() -> None:
    code = (
        "from depthcache import blocking\n"
        "with blocking.connect('binance.com', ['BTCUSDT']) as books:\n"
        "    books.wait_synced(timeout=1)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=NOWHERE, check=False
    )
    assert ran.returncode == 1
    last = ran.stderr.strip().splitlines()[-1]
    assert "BTCUSDT on binance.com is not synced after 1 s: it is disconnected" in last
