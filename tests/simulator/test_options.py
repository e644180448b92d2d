"""Options as an invented exchange serves them: payloads, empty sides, a cache instead of snapshots."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from depthcache import Book, Outcome, venues
from depthcache.simulator import PROFILES, Market, SimulatedExchange
from depthcache.simulator.cached import CachedSnapshots
from depthcache.simulator.interface import HttpResponse, Session, Text
from depthcache.simulator.market import ASKS, BIDS, Ids
from depthcache.simulator.rebuilt import snapshot_body

MS, S = 1_000_000, 1_000_000_000
OPTIONS, USDM = "binance.com-vanilla-options", "binance.com-futures"
CALL, PUT = "BTC-261225-126000-C", "BTC-261225-126000-P"
STREAM = "btc-261225-126000-c@depth@100ms"


def exchange(**options: Any) -> SimulatedExchange:
    return SimulatedExchange({OPTIONS: [CALL, PUT]}, seed=1, **options)


def get(made: SimulatedExchange, target: str, now_ns: int = 0) -> tuple[int, Any]:
    response = made.request(OPTIONS, target, now_ns)
    return response.status, json.loads(response.body)


def opened(made: SimulatedExchange, target: str, venue: str = OPTIONS) -> Session:
    session = made.accept(venue, target, 0)
    assert not isinstance(session, HttpResponse)
    return session


def heard(made: SimulatedExchange, session: Session, until_ns: int) -> list[Any]:
    """What the session was told until then."""
    said: list[Any] = []
    while (next_ns := made.next_ns()) is not None and next_ns <= until_ns:
        made.advance(next_ns)
        said += [json.loads(each.text) for each in session.take() if isinstance(each, Text)]
    return said


# --- payloads ---------------------------------------------------------------------------------------


def test_a_diff_has_the_keys_of_options_in_their_order() -> None:
    frames = heard(made := exchange(), opened(made, f"/public/ws/{STREAM}"), 20 * S)
    assert frames
    for frame in frames:
        assert list(frame) == ["e", "E", "T", "s", "U", "u", "pu", "b", "a"]
        assert frame["s"] == CALL
        for price, quantity in frame["b"] + frame["a"]:
            assert len(price.partition(".")[2]) == 3
            assert len(quantity.partition(".")[2]) == 4


def test_diffs_are_chained_each_to_the_one_before() -> None:
    frames = heard(made := exchange(), opened(made, f"/public/ws/{STREAM}"), 60 * S)
    assert len(frames) > 20
    assert all(after["pu"] == before["u"] < after["U"] for before, after in pairwise(frames))


def test_a_snapshot_has_the_keys_of_options_in_their_order() -> None:
    status, body = get(exchange(), f"/eapi/v1/depth?symbol={CALL}")
    assert (status, list(body)) == (200, ["bids", "asks", "T", "lastUpdateId"])


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("@depth10@100ms", ["e", "E", "T", "s", "U", "u", "pu", "b", "a"]),
        ("@bookTicker", ["e", "u", "s", "b", "B", "a", "A", "T", "E"]),
    ],
)
def test_partial_depth_and_tickers_have_neither_pair_nor_kind(kind: str, keys: list[str]) -> None:
    frames = heard(made := exchange(), opened(made, f"/public/ws/btc-261225-126000-c{kind}"), 20 * S)
    assert frames
    assert all(list(frame) == keys for frame in frames)


@pytest.mark.parametrize("kind", ["@depth", "@depth@250ms", "@depth@0ms", "@depth10", "@depth1000"])
def test_names_that_options_do_not_have_are_silent(kind: str) -> None:
    made = exchange()
    assert heard(made, opened(made, f"/public/ws/btc-261225-126000-c{kind}"), 20 * S) == []


def test_ids_of_messages_must_be_numbers() -> None:
    session = opened(exchange(), "/public/stream")
    session.on_text('{"method":"SUBSCRIBE","params":["x@depth@100ms"],"id":"c0ffee-1"}', 0)
    replies = [json.loads(each.text) for each in session.take() if isinstance(each, Text)]
    words = "Invalid request: request ID must be an unsigned integer"
    assert replies == [{"error": {"code": 2, "msg": words}, "id": None}]


def test_one_host_has_the_streams_of_options_and_of_usd_m() -> None:
    made = SimulatedExchange({USDM: ["BTCUSDT"], OPTIONS: [CALL]}, seed=1)
    names = f"btcusdt@depth@500ms/{STREAM}"
    for venue in (USDM, OPTIONS):
        frames = heard(made, opened(made, f"/public/stream?streams={names}", venue), made._now_ns + 20 * S)
        assert {frame["data"]["s"] for frame in frames} == {"BTCUSDT", CALL}


# --- REST -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "weight"), [("", 5), (5, 1), (10, 1), (20, 1), (50, 1), (100, 5), (500, 10), (1000, 20)]
)
def test_snapshots_cost_what_the_venue_says(limit: object, weight: int) -> None:
    response = exchange().request(OPTIONS, f"/eapi/v1/depth?symbol={CALL}&limit={limit}", 0)
    assert (response.status, response.headers["X-MBX-USED-WEIGHT-1M"]) == (200, str(weight))


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", -1102),
        ("symbol=BTC-261225-1-C", -1121),
        (f"symbol={CALL.lower()}", -1121),
        (f"symbol={CALL}&limit=7", -4021),
        (f"symbol={CALL}&limit=5000", -4021),
    ],
)
def test_what_is_refused_is_refused_with_its_code(query: str, code: int) -> None:
    status, body = get(exchange(), f"/eapi/v1/depth?{query}")
    assert (status, body["code"]) == (400, code)


def test_beyond_400_a_minute_requests_are_refused() -> None:
    made = exchange()
    statuses = [
        made.request(OPTIONS, f"/eapi/v1/depth?symbol={CALL}&limit=1000", 0).status for _ in range(21)
    ]
    assert statuses == [200] * 20 + [429]


def test_options_are_listed_under_their_own_key() -> None:
    status, info = get(exchange(), "/eapi/v1/exchangeInfo")
    assert status == 200
    assert "symbols" not in info
    call, put = info["optionSymbols"]
    assert (call["symbol"], call["side"], call["strikePrice"]) == (CALL, "CALL", "126000")
    assert (put["symbol"], put["side"], put["status"]) == (PUT, "PUT", "TRADING")
    assert (call["underlying"], call["priceScale"], call["quantityScale"]) == ("BTCUSDT", 3, 4)
    assert info["rateLimits"][0]["limit"] == 400


# --- the cache --------------------------------------------------------------------------------------


def test_snapshots_are_taken_every_30_seconds_and_shown_25_to_30_seconds_later() -> None:
    market = Market(PROFILES["options"][CALL], Ids(464), seed="1")
    cached = CachedSnapshots(market, 0, seed="1")
    seen: dict[int, int] = {}
    for now_s in range(301):
        cached.on_time(now_s * S)
        taken = cached.shown(now_s * S)
        seen.setdefault(taken.at_ns // S, now_s)
        assert taken.sides == _sides_at(market, taken.update_id)
        market.move()
    assert list(seen) == list(range(0, 271, 30))
    ages = [shown_s - at_s for at_s, shown_s in seen.items() if at_s]
    assert all(25 <= age <= 30 for age in ages)
    assert len(set(ages)) > 1


def _sides_at(market: Market, update_id: int) -> Any:
    bids, asks = market.sides_at(update_id)
    return sorted(bids.items(), reverse=True), sorted(asks.items())


def test_a_cache_that_nobody_asked_for_long_shows_the_newest_that_is_due() -> None:
    market = Market(PROFILES["options"][CALL], Ids(464), seed="1")
    cached = CachedSnapshots(market, 7 * S, seed="1")
    cached.on_time(3_601 * S)
    assert cached.shown(3_601 * S).at_ns == 3_570 * S


def test_a_snapshot_is_behind_the_stream_by_25_seconds_or_more() -> None:
    made = exchange()
    frames = heard(made, opened(made, f"/public/ws/{STREAM}"), 100 * S)
    _, body = get(made, f"/eapi/v1/depth?symbol={CALL}&limit=1000", 100 * S)
    behind_ms = frames[-1]["E"] - body["T"]
    assert 23_000 <= behind_ms <= 61_000
    assert body["lastUpdateId"] < frames[-1]["u"]


@pytest.mark.parametrize("symbol", [CALL, PUT])
def test_diffs_kept_for_a_minute_lead_from_the_cached_snapshot_to_the_truth(symbol: str) -> None:
    made = exchange()
    stream = venues.venue(OPTIONS).stream(symbol)
    frames = heard(made, opened(made, f"/public/ws/{stream}"), 95 * S)
    body = made.request(OPTIONS, f"/eapi/v1/depth?symbol={symbol}&limit=1000", 95 * S).body
    book = Book(OPTIONS, symbol)
    assert {book.apply(json.dumps(frame)) for frame in frames} == {Outcome.WAITING}
    book.load_snapshot(body, limit=1000)
    bids, asks = made.truth(OPTIONS, symbol).book_at(book.last_update_id or 0)
    assert book.last_update_id == made.truth(OPTIONS, symbol).last_update_id
    assert [tuple(level) for level in book.exact.bids] == bids
    assert [tuple(level) for level in book.exact.asks] == asks


# --- the market -------------------------------------------------------------------------------------


def test_a_hardly_traded_option_is_one_sided_and_empty_at_times_and_never_crossed() -> None:
    market = Market(PROFILES["options"][PUT], Ids(464), seed="1")
    shapes = set()
    for _ in range(3_000):
        market.move()
        bid, ask = market.best(BIDS), market.best(ASKS)
        shapes.add((bid is not None, ask is not None))
        assert bid is None or ask is None or bid < ask
    assert shapes == {(True, True), (True, False), (False, True), (False, False)}


def test_a_side_that_ran_empty_begins_again_near_its_last_price() -> None:
    profile = replace(PROFILES["options"][PUT], levels=1, deletes=0.49)
    market = Market(profile, Ids(464), seed="3")
    for _ in range(3_000):
        before = market.best(BIDS)
        market.move()
        after = market.best(BIDS)
        if after is not None:
            assert abs(after - profile.start_price) < profile.start_price // 2
            assert before is None or after % profile.tick == 0


def test_silence_of_many_seconds_is_normal() -> None:
    frames = heard(made := exchange(), opened(made, "/public/ws/btc-261225-126000-p@depth@100ms"), 120 * S)
    gaps_ms = [after["E"] - before["E"] for before, after in pairwise(frames)]
    assert min(gaps_ms) >= 10_000


# --- recordings -------------------------------------------------------------------------------------


def test_a_rebuilt_snapshot_has_the_keys_of_options_in_their_order() -> None:
    body = json.loads(snapshot_body(venues.venue(OPTIONS), CALL, 465, [], [], time_ms=7))
    assert list(body.items()) == [("bids", []), ("asks", []), ("T", 7), ("lastUpdateId", 465)]
