"""Raw frames to an applied book: `Book.apply` against parsing alone and against other clients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import depthcache
from benches import rivals
from benches.captures import Capture
from benches.measure import Piece, Row, median, ratio, take_turns

# Thresholds: of the CPU time of orjson.loads, python-binance and ccxt.
OF_PARSING = 0.5
OF_PARSING_SMALL = 0.6
"""For frames of about two levels: most of their bytes are not levels."""
SMALL_BYTES = 250
THRESHOLDS = {"python-binance": 1 / 8, "ccxt": 1 / 20}
CLIENTS = {"python-binance": rivals.python_binance, "ccxt": rivals.ccxt}
WITH_CLIENTS = ("spot BTCUSDT 2024-08", "USD-M ETHUSDT 2024-08", "")
"""Recordings that other clients take, too; and those of the user."""
OURS = "depthcache Book.apply"


def fresh_book(capture: Capture) -> depthcache.Book:
    """A book in the state it has when the recording's snapshot has been installed."""
    book = depthcache.Book(capture.exchange, capture.symbol)
    for frame in capture.before:
        book.apply(frame)
    book.load_snapshot(capture.snapshot, limit=capture.limit)
    return book


def ours(capture: Capture) -> Callable[[], Piece]:
    """Our own book as a contestant."""

    def make() -> Piece:
        apply = fresh_book(capture).apply

        def piece(frames: Sequence[bytes]) -> None:
            for frame in frames:
                apply(frame)

        return piece

    return make


def assert_golden(capture: Capture) -> None:
    """Raise unless the final book is the expected one of the recording."""
    book = fresh_book(capture)
    outcomes = {book.apply(frame) for frame in capture.after}
    exact = book.exact
    best = exact.best
    found = (
        best.update_id,
        tuple(format(number, "f") for number in best.bid or ()),
        tuple(format(number, "f") for number in best.ask or ()),
        (len(exact.bids), len(exact.asks)),
    )
    expected = (capture.final_update_id, capture.best_bid, capture.best_ask, capture.final_levels)
    if found != expected or depthcache.GAP in outcomes:
        raise AssertionError(f"{capture.title}: the book came out as {found}, expected {expected}")


def run(captures: Sequence[Capture], *, rounds: int) -> list[Row]:
    """One row per capture and contestant."""
    rows: list[Row] = []
    for capture in captures:
        assert_golden(capture)
        contestants = {OURS: ours(capture), "orjson.loads": rivals.orjson_loads(capture)}
        size = sum(map(len, capture.after)) / len(capture.after)
        thresholds = THRESHOLDS | {"orjson.loads": OF_PARSING_SMALL if size < SMALL_BYTES else OF_PARSING}
        missing = {}
        if capture.like in WITH_CLIENTS:
            for name, client in CLIENTS.items():
                try:
                    contestants[name] = client(capture)
                except (ImportError, rivals.Unsuited) as why:
                    missing[name] = str(why)
        results = take_turns(capture.after, contestants, rounds=rounds)
        rows.append(Row(f"{capture.title}: {OURS}", f"{median(results, OURS) / 1000:.2f} us a frame"))
        rows.extend(
            Row.of(
                f"{capture.title}: against {rival}",
                f"{median(results, rival) / 1000:.2f} us a frame",
                ratio(results, OURS, rival),
                thresholds[rival],
            )
            for rival in list(contestants)[1:]
        )
        rows.extend(
            Row(f"{capture.title}: against {rival}", f"not measured: {why}") for rival, why in missing.items()
        )
    return rows
