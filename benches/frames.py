"""Raw frames to an applied book: `Book.apply` against parsing alone and against other clients."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import inf

import depthcache
from benches import rivals
from benches.captures import Capture
from benches.measure import Piece, Row, median, quiet, ratio, take_turns

PARSER = "orjson.loads"
THRESHOLDS = {PARSER: 0.3, "python-binance": 1 / 8, "ccxt": 1 / 20}
"""Of the CPU time of the others."""
MOST_SLOWEST = 2.0
"""The 99th percentile of the time per level, of its median."""
REPLAYS, MOST_REPLAYED = 20, 4_000
"""So often the first frames are replayed: the fastest replay of each is what the frame itself costs."""
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
        contestants = {OURS: ours(capture), PARSER: rivals.orjson_loads(capture)}
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
                THRESHOLDS[rival],
            )
            for rival in list(contestants)[1:]
        )
        rows.extend(
            Row(f"{capture.title}: against {rival}", f"not measured: {why}") for rival, why in missing.items()
        )
        rows.append(slowest(capture))
    return rows


def slowest(capture: Capture) -> Row:
    """The time per level of the slowest frames against that of the median frame."""
    frames = capture.after[:MOST_REPLAYED]
    fastest = [inf] * len(frames)
    with quiet():
        for _ in range(REPLAYS):
            apply = fresh_book(capture).apply
            for place, frame in enumerate(frames):
                begin = time.perf_counter_ns()
                apply(frame)
                fastest[place] = min(fastest[place], time.perf_counter_ns() - begin)
    counts = [frame.count(b'["') for frame in frames]
    ordered = sorted(ns / levels for ns, levels in zip(fastest, counts, strict=True) if levels)
    median_ns, slow_ns = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
    return Row(
        f"{capture.title}: the slowest hundredth of frames, per level",
        f"{slow_ns:.0f} ns against {median_ns:.0f} ns",
        slow_ns / median_ns,
        MOST_SLOWEST,
    )
