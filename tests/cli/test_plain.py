"""Books as lines, and when there are lines instead of the app."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from depthcache import Book, Status, wire
from depthcache.cli import live
from depthcache.cli.interrupt import Interrupt
from depthcache.cli.live import View, show
from depthcache.cli.plain import json_state, text_state
from depthcache.cli.state import Meter
from depthcache.simulator import Pair, SimulatedExchange
from tests.cli.shown import ASKS, BIDS, Claims, book, diff, snapshot

AT = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


def lines(made: object, now_ns: int = 82_400_000) -> tuple[str, dict[str, object]]:
    """A book as text and as JSON."""
    meter = Meter(made)
    text, message = (write(meter, meter.look(now_ns), AT) for write in (text_state, json_state))
    return text, json.loads(message)


def test_a_line_has_the_time_then_status_and_reason_then_the_figures() -> None:
    made = book()
    made.apply(diff(11, 11))
    assert lines(made)[0] == (
        "2026-01-02T03:04:05.678Z  BTCUSDT       binance.com          synced        age   82 ms"
        "  id             11  bid 61837.63  ask 61837.64  0.0 updates/s"
        "  whole book: 3 bids, 2 asks  no gaps"
    )
    assert lines(Book("binance.com-futures", "ETHUSDT"))[0] == (
        "2026-01-02T03:04:05.678Z  ETHUSDT       binance.com-futures  empty         (nothing has arrived yet)"
        "  age       -  id              -  0.0 updates/s  complete -  no gaps"
    )


def test_prices_keep_their_decimals_and_a_book_that_is_not_synced_has_none() -> None:
    made = book(bids=[("61837.70000000", "1"), ("61837.55000000", "1")], asks=[("61838.00000000", "1")])
    meter = Meter(made)
    assert "bid 61837.70  ask 61838.00" in text_state(meter, meter.look(0), AT)
    made.apply(diff(11, 11, bids=[("61837.55000000", "0"), ("61837.70000000", "0"), ("61811", "1")]))
    assert "bid 61811.00  ask 61838.00" in text_state(meter, meter.look(0), AT)
    made.apply(diff(20, 21))
    text = text_state(meter, meter.look(0), AT)
    assert "  buffering     (sequence gap: " in text
    assert " bid " not in text
    whole = Meter(book(bids=[("120", "1")], asks=[("121", "1")], limit=1))
    assert "complete 120 to 121: 1 bid, 1 ask" in text_state(whole, whole.look(0), AT)


def test_json_holds_exact_text_and_what_wire_decodes() -> None:
    made = book()
    made.apply(diff(11, 11))
    _, message = lines(made)
    assert message["time"] == "2026-01-02T03:04:05.678Z"
    assert message["best"] == {
        "bid": ["61837.63000000", "3.78826000"],
        "ask": ["61837.64000000", "1.54698000"],
        "update_id": 11,
    }
    assert message["complete_to"] == {"bids": "all", "asks": "all"}
    assert message["coverage"] == {"bids": 3, "asks": 2}
    assert (message["status"], message["reason"], message["age_s"]) == ("synced", "", 0.0824)
    decoded = wire.decode(json.dumps(message))
    assert isinstance(decoded, wire.BookBest)
    assert decoded.best == made.exact.best


def test_json_of_a_book_that_cannot_be_read_has_no_best_prices() -> None:
    _, message = lines(Book("binance.com", "BTCUSDT"))
    assert (message["type"], message["status"], message["best"]) == ("best", "empty", None)
    assert (message["age_s"], message["gap_s"], message["last_update_id"]) == (None, None, None)
    assert message["complete_to"] == {"bids": None, "asks": None}
    assert wire.decode(json.dumps(message)).status is Status.EMPTY


def test_the_rate_is_a_mean_over_the_last_seconds() -> None:
    made = book()
    meter = Meter(made)
    meter.look(0)
    for number in range(11, 41):
        made.apply(diff(number, number))
    assert meter.look(2_000_000_000).updates_per_second == 15.0
    assert meter.look(6_000_000_000).updates_per_second == 0.0


def test_a_gap_is_dated_when_it_is_noticed() -> None:
    made = book()
    meter = Meter(made)
    assert meter.look(0).gap_s is None
    made.apply(diff(20, 21))
    assert (meter.look(5_000_000_000).gaps, meter.look(7_500_000_000).gap_s) == (1, 2.5)
    made.load_snapshot(snapshot(BIDS, ASKS, 30))
    assert "1 gap, last 2.5 s ago" in text_state(meter, meter.look(7_500_000_000), AT)


def test_lines_come_once_a_second_and_once_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    pair = Pair(SimulatedExchange({"binance.com": ["BTCUSDT"]}, seed=1))

    async def watch(seconds: float) -> None:
        async with pair.connect("binance.com", ["BTCUSDT"], on_stale="serve") as books:
            with Interrupt() as interrupt:
                await show(books, interrupt, View(levels=5, seconds=seconds, plain=True, as_json=False))

    for seconds, count in ((2.0, 3), (0.5, 2), (0.0, 1)):
        pair.run(watch(seconds))
        assert len(capsys.readouterr().out.splitlines()) == count, seconds


def test_texts_of_the_exchange_are_harmless_in_lines() -> None:
    claimed = Claims(book(), symbol="BTC\x1b[2J", reason="a\x1b]0;b\x07\u202e", status=Status.STALE)
    meter = Meter(claimed)
    assert text_state(meter, meter.look(0), AT).isprintable()


# --- the app or lines -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stdin", "stdout", "term", "plain", "expected"),
    [
        (True, True, "xterm", False, True),
        (False, True, "xterm", False, False),
        (True, False, "xterm", False, False),
        (True, True, "dumb", False, False),
        (True, True, "", False, False),
        (True, True, None, False, False),
        (True, True, "xterm", True, False),
    ],
)
def test_the_app_needs_a_terminal_that_can_show_it(
    monkeypatch: pytest.MonkeyPatch, stdin: bool, stdout: bool, term: str | None, plain: bool, expected: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: stdin))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: stdout))
    monkeypatch.delenv("TERM", raising=False)
    if term is not None:
        monkeypatch.setenv("TERM", term)
    assert live._has_app(View(levels=5, seconds=None, plain=plain, as_json=False)) is expected
