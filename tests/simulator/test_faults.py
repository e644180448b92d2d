"""Every fault on command: its effect on a client, an exact truth, and books that recover."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from depthcache import InvalidArgument, Policy
from depthcache.simulator import TINY, Faults, Pair, SimulatedExchange, differences
from depthcache.simulator.interface import Close, Cut, Text
from depthcache.simulator.sessions import LiveSession

pytestmark = pytest.mark.slow

SECOND = 1_000_000_000
SPOT, FUTURES, OPTIONS = "binance.com", "binance.com-futures", "binance.com-vanilla-options"
BUSY = replace(TINY, levels=60)
BOTH = pytest.mark.parametrize("venue", [SPOT, FUTURES])
HASTE = Policy(relapse_base_s=0.2, relapse_cap_s=0.5)


def flowing(venue: str = SPOT, *, faults: Faults | None = None, symbols: int = 1) -> Pair:
    listed = {f"S{number}USDT": BUSY for number in range(symbols)}
    exchange = SimulatedExchange({venue: listed}, seed=3, history=20_000, faults=faults)
    pair = Pair(exchange, policy=HASTE)
    for symbol in listed:
        pair.add(venue, symbol)
    assert pair.run_until_synced()
    pair.run_for(2)

    seen: dict[tuple[str, str], int | None] = {}

    def check() -> None:
        for key, book in pair.books.items():
            if book.status == "synced" and seen.get(key) != book.last_update_id:
                seen[key] = book.last_update_id
                assert differences(book, exchange.truth(*key)) == 0

    pair.on_step = check
    return pair


def heard(venue: str = SPOT, *, faults: Faults | None = None, **options: Any) -> tuple[Any, LiveSession]:
    """An exchange and a client that listens to one symbol, by hand."""
    exchange = SimulatedExchange({venue: {"S0USDT": BUSY}}, seed=3, faults=faults, **options)
    route = "/public/stream" if venue == FUTURES else "/stream"
    session = exchange.accept(venue, f"{route}?streams=s0usdt@depth@100ms", 0)
    assert isinstance(session, LiveSession)
    return exchange, session


def diffs(exchange: Any, session: LiveSession, until_s: float) -> list[dict[str, Any]]:
    """What arrives until then, moment by moment."""
    found = []
    while (next_ns := exchange.next_ns()) <= until_s * SECOND:
        exchange.advance(next_ns)
        found += [json.loads(sent.text)["data"] for sent in session.take() if isinstance(sent, Text)]
    return found


# --- messages ------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    "kind", ["drop", "duplicate", "reorder", "overlap", "corrupt", "garble", "truncate", "drip"]
)
def test_whatever_happens_to_diffs_books_are_right_and_come_back(kind: str, venue: str) -> None:
    pair = flowing(venue)
    book = pair.books[venue, "S0USDT"]
    before = dict(book.counters)
    for count in (1, 2, 5):
        pair.exchange.trouble.next_diffs(venue, "S0USDT", kind, count)
        pair.run_for(6)
        assert pair.run_until_synced(within_s=20)
    changed = {name for name, held in book.counters.items() if held != before[name]}
    harmless = {"applied", "levels_changed", "refreshes", "old"}
    expected = {
        "drop": {"gaps"}, "duplicate": {"old"}, "reorder": {"gaps"}, "overlap": set(),
        "corrupt": {"malformed"}, "garble": {"malformed"}, "truncate": {"malformed"}, "drip": set(),
    }[kind]  # fmt: skip
    assert expected <= changed
    if kind in ("overlap", "duplicate", "drip"):
        assert changed <= harmless


def test_an_unknown_fault_of_a_diff_is_refused_with_the_known_ones() -> None:
    exchange = SimulatedExchange({SPOT: ["BTCUSDT"]})
    with pytest.raises(InvalidArgument, match="drop, duplicate, reorder"):
        exchange.trouble.next_diffs(SPOT, "BTCUSDT", "explode")


def test_an_overlap_begins_at_an_id_that_was_sent_and_ends_at_a_new_one_on_spot() -> None:
    exchange, session = heard()
    before = diffs(exchange, session, 1.0)[-1]
    exchange.trouble.next_diffs(SPOT, "S0USDT", "overlap")
    first, second = diffs(exchange, session, 1.25)[:2]
    assert before["U"] <= first["U"] <= before["u"] < first["u"]
    assert second["U"] == first["u"] + 1


def test_an_overlap_names_an_older_id_before_it_on_futures() -> None:
    exchange, session = heard(FUTURES)
    before = diffs(exchange, session, 1.0)[-1]
    exchange.trouble.next_diffs(FUTURES, "S0USDT", "overlap")
    first, second = diffs(exchange, session, 1.25)[:2]
    assert before["pu"] <= first["pu"] < before["u"] < first["u"]
    assert first["pu"] < first["U"] <= before["u"]
    assert second["pu"] == first["u"]


def test_overlaps_by_chance_repeat_what_is_so_at_their_end() -> None:
    exchange, session = heard(faults=Faults(seed=1, overlap=1.0))
    held = exchange.truth(SPOT, "S0USDT")
    for diff in diffs(exchange, session, 3.0):
        bids, asks = held.book_at(diff["u"])
        for side, levels in ((bids, diff["b"]), (asks, diff["a"])):
            true = dict(side)
            assert all(true.get(Decimal(price), 0) == Decimal(held) for price, held in levels)


# --- ids -----------------------------------------------------------------------------------------------


@BOTH
def test_restarted_ids_are_noticed_and_snapshots_and_truth_follow(venue: str) -> None:
    pair = flowing(venue)
    book = pair.books[venue, "S0USDT"]
    before = book.last_update_id or 0
    pair.exchange.reset_ids(venue, "S0USDT")
    assert pair.exchange.truth(venue, "S0USDT").last_update_id < before // 100
    assert pair.exchange.truth(venue, "S0USDT").book_at(before)
    pair.run_for(4)
    assert book.last_update_id == before or (book.last_update_id or 0) >= before
    pair.run_for(4)
    assert pair.run_until_synced(within_s=10)
    assert book.counters["resets"] == 1
    assert (book.last_update_id or 0) < before // 100


def test_all_symbols_that_share_their_ids_restart_together() -> None:
    pair = flowing(FUTURES, symbols=2)
    pair.exchange.reset_ids(FUTURES, "S0USDT")
    pair.run_for(8)
    assert pair.run_until_synced(within_s=10)
    assert [book.counters["resets"] for book in pair.books.values()] == [1, 1]


@BOTH
def test_restarted_ids_while_diffs_are_buffered_do_not_prevent_recovery(venue: str) -> None:
    """Kept diffs of before can never be reached by any snapshot again."""
    pair = flowing(venue)
    book = pair.books[venue, "S0USDT"]
    pair.exchange.trouble.slow_answers(venue, 3_600)  # no snapshot of before arrives
    pair.exchange.trouble.next_diffs(venue, "S0USDT", "drop")
    pair.run_for(3)
    assert book.status == "buffering"
    pair.exchange.reset_ids(venue, "S0USDT")
    pair.run_for(1)
    pair.exchange.trouble.slow_answers(venue, 0)
    assert pair.run_until_synced(within_s=60)
    pair.run_for(10)
    assert pair.is_synced()


@BOTH
def test_kept_diffs_of_before_and_a_dead_stream_do_not_keep_a_book_from_coming_back(venue: str) -> None:
    """No diff of the new ids comes that would tell of them."""
    faults = Faults(silent=1.0, until_ns=0)
    pair = flowing(venue, faults=faults, symbols=2)
    book = pair.books[venue, "S0USDT"]
    pair.exchange.trouble.slow_answers(venue, 3_600)
    pair.exchange.trouble.next_diffs(venue, "S0USDT", "drop")
    pair.run_for(0.5)
    assert book.status == "buffering"
    faults.until_ns = None
    pair.run_for(0.5)
    faults.end()
    pair.exchange.reset_ids(venue, "S0USDT")
    pair.exchange.trouble.slow_answers(venue, 0)
    assert pair.run_until_synced(within_s=120)
    pair.run_for(10)
    assert pair.is_synced()


# --- markets -------------------------------------------------------------------------------------------


def test_in_a_burst_ten_times_as_much_changes_and_then_no_more() -> None:
    exchange, session = heard()
    calm = diffs(exchange, session, 2.0)[-1]["u"]
    start = exchange.truth(SPOT, "S0USDT").id_before(0)
    exchange.burst(SPOT, "S0USDT", 2.0)
    diffs(exchange, session, 4.0)
    burst = exchange.truth(SPOT, "S0USDT").last_update_id - start
    diffs(exchange, session, 6.0)
    after = exchange.truth(SPOT, "S0USDT").last_update_id - start - burst
    assert calm
    assert burst > 5 * after


@BOTH
def test_an_event_of_a_thousand_levels_is_one_diff(venue: str) -> None:
    exchange, session = heard(venue)
    diffs(exchange, session, 1.0)
    exchange.huge_event(venue, "S0USDT")
    assert max(len(diff["b"]) + len(diff["a"]) for diff in diffs(exchange, session, 1.3)) >= 900
    pair = flowing(venue)
    pair.exchange.huge_event(venue, "S0USDT")
    pair.run_for(3)
    assert pair.is_synced()


@BOTH
@pytest.mark.parametrize("side", ["bids", "asks"])
def test_a_side_may_be_empty_for_a_while(side: str, venue: str) -> None:
    pair = flowing(venue)
    book = pair.books[venue, "S0USDT"]
    pair.exchange.empty_side(venue, "S0USDT", side, 3.0)
    pair.run_for(2)
    assert book.status == "synced"
    held = book.freeze()
    assert (len(held.bids), len(held.asks))[side == "asks"] == 0
    assert (len(held.bids), len(held.asks))[side == "bids"] > 10
    pair.run_for(6)
    assert len(book.freeze().bids) > 1
    assert len(book.freeze().asks) > 1


def test_only_bids_and_asks_can_be_empty() -> None:
    with pytest.raises(InvalidArgument, match="bids or asks"):
        SimulatedExchange({SPOT: ["BTCUSDT"]}).empty_side(SPOT, "BTCUSDT", "both", 1)


@BOTH
def test_a_crossed_book_is_not_served_and_is_right_afterwards(venue: str) -> None:
    pair = flowing(venue)
    book = pair.books[venue, "S0USDT"]
    pair.exchange.cross(venue, "S0USDT", 0.5)
    pair.run_for(0.4)
    assert book.status == "crossed"
    pair.run_for(3)
    assert pair.run_until_synced()
    assert book.counters["crossed"] == 1
    assert book.counters["snapshots"] == 1
    pair.exchange.cross(venue, "S0USDT", 5.0)
    pair.run_for(20)
    assert pair.run_until_synced()
    assert book.counters["snapshots"] > 1


def test_the_old_book_is_known_to_the_truth_through_everything_at_once() -> None:
    faults = Faults(
        seed=5, overlap=0.1, burst=0.01, huge=0.005, no_bids=0.01, no_asks=0.01, crossed=0.01, still=0.01,
        new_ids=0.004, drip=0.02, unsubscribable=0.1, reset=0.1, late_ack=0.2, late_ns=SECOND,
    )  # fmt: skip
    pair = flowing(faults=faults, symbols=2)
    pair.run_for(40)
    faults.end()
    pair.run_for(10)
    assert pair.run_until_synced(within_s=60)
    expected = {"overlap", "burst", "huge", "no_bids", "no_asks", "crossed", "still", "new_ids", "drip"}
    assert expected <= set(faults.counts)


# --- connections ---------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("code", [1000, 1001, 1006, 1008, 1011])
def test_after_every_way_to_end_a_connection_books_come_back_on_one_new_one(code: int, venue: str) -> None:
    pair = flowing(venue)
    pair.exchange.close_all(pair.now_ns, code, "by a test")
    pair.run_for(0.1)
    assert pair.books[venue, "S0USDT"].status == "disconnected"
    assert pair.run_until_synced(within_s=20)
    pair.run_for(5)
    assert pair.exchange.connects == 2
    assert pair.exchange.breaches == []


def test_1006_is_no_frame_that_can_be_sent() -> None:
    exchange, session = heard()
    exchange.close_all(0, 1006)
    assert isinstance(session.take()[-1], Cut)
    exchange, session = heard()
    exchange.close_all(0, 1011, "why")
    assert session.take()[-1] == Close(1011, "why")


@BOTH
@pytest.mark.parametrize("how", ["refuse_connects", "reset_connects"])
def test_while_no_connection_can_be_made_it_is_tried_again_and_again(how: str, venue: str) -> None:
    pair = flowing(venue)
    getattr(pair.exchange.trouble, how)(20, pair.now_ns)
    pair.exchange.cut(pair.now_ns)
    pair.run_for(15)
    assert pair.books[venue, "S0USDT"].status == "disconnected"
    assert pair.run_until_synced(within_s=60)


@BOTH
def test_data_that_comes_before_the_reply_is_used_at_once(venue: str) -> None:
    exchange = SimulatedExchange({venue: {"S0USDT": BUSY}}, seed=3)
    exchange.trouble.delay_replies(venue, 4)
    pair = Pair(exchange)
    pair.add(venue, "S0USDT")
    assert pair.run_until_synced(within_s=3)
    pair.run_for(10)
    assert pair.is_synced()
    assert exchange.connects == 1


@BOTH
def test_a_refused_subscribe_is_asked_again(venue: str) -> None:
    exchange = SimulatedExchange({venue: {"S0USDT": BUSY, "S1USDT": BUSY}}, seed=3)
    exchange.trouble.refuse_subscribes(venue, 3)
    pair = Pair(exchange)
    for symbol in ("S0USDT", "S1USDT"):
        pair.add(venue, symbol)
    assert pair.run_until_synced(within_s=60)
    assert exchange.breaches == []


@BOTH
def test_snapshots_that_are_ahead_of_a_late_stream_are_waited_for(venue: str) -> None:
    pair = flowing(venue)
    pair.exchange.trouble.lag_streams(venue, 2)
    pair.run_for(5)
    pair.exchange.cut(pair.now_ns)
    pair.run_for(5)
    assert pair.run_until_synced(within_s=20)
    pair.audit(venue, "S0USDT")
    pair.run_for(10)
    assert pair.audits[0].found is not None
    assert pair.audits[0].found[2:] == (0, 0, 0)
    pair.exchange.trouble.lag_streams(venue, 0)
    pair.run_for(5)
    assert pair.is_synced()


def test_answers_that_take_too_long_are_given_up_and_asked_again() -> None:
    exchange = SimulatedExchange({SPOT: {"S0USDT": BUSY}}, seed=3)
    exchange.trouble.slow_answers(SPOT, 3_600)
    pair = Pair(exchange)
    book = pair.add(SPOT, "S0USDT")
    pair.run_for(30)
    assert "no response within" in book.reason
    exchange.trouble.slow_answers(SPOT, 0)
    assert pair.run_until_synced(within_s=60)
