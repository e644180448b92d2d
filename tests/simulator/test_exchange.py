"""The simulated exchange without I/O: responses, weights, streams, limits, pings, faults."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from depthcache import Book, Outcome, venues
from depthcache.errors import InvalidArgument, UnknownExchange
from depthcache.simulator import TINY, Faults, SimulatedExchange
from depthcache.simulator.interface import Close, Cut, HttpResponse, Ping, Session, Text

MS, S = 1_000_000, 1_000_000_000
SPOT, USDM, COINM = "binance.com", "binance.com-futures", "binance.com-coin_futures"
TINY_MARKETS = {
    SPOT: {"BTCUSDT": TINY, "币安人生USDT": TINY},
    USDM: {"BTCUSDT": TINY, "ETHUSDT": TINY},
    COINM: {"BTCUSD_PERP": TINY},
}


def exchange(**options: Any) -> SimulatedExchange:
    return SimulatedExchange(TINY_MARKETS, seed=1, **options)


def get(
    made: SimulatedExchange, venue: str, target: str, now_ns: int = 0, client: str = "c"
) -> tuple[int, Any]:
    response = made.request(venue, target, now_ns, client=client)
    return response.status, json.loads(response.body) if response.body[:1] in (b"{", b"[") else response.body


def opened(made: SimulatedExchange, venue: str, target: str, now_ns: int = 0) -> Session:
    session = made.accept(venue, target, now_ns)
    assert not isinstance(session, HttpResponse)
    return session


def run(made: SimulatedExchange, session: Session, until_ns: int, *, pong: bool = True) -> list[Any]:
    """Everything the session sends until then, pings answered."""
    sent: list[Any] = []
    now_ns = 0
    while (next_ns := made.next_ns()) is not None and next_ns <= until_ns:
        now_ns = next_ns
        made.advance(now_ns)
        for each in session.take():
            sent.append(each)
            if isinstance(each, Ping) and pong:
                session.on_pong(each.payload, now_ns)
    return sent


def data(sent: list[Any]) -> list[Any]:
    return [json.loads(each.text) for each in sent if isinstance(each, Text)]


@pytest.mark.parametrize("symbols", [["BTCUSDT"], "binance.com", {SPOT: "BTCUSDT"}, {SPOT: 5}])
def test_symbols_without_an_exchange_or_a_list_are_named(symbols: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"invalid symbols .* \{'binance.com': \['BTCUSDT'\]\}"):
        SimulatedExchange(symbols)


# --- REST -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("venue", "target", "keys"),
    [
        (SPOT, "/api/v3/depth?symbol=BTCUSDT", ["lastUpdateId", "bids", "asks"]),
        (
            SPOT,
            "/api/v3/depth?symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT",
            ["lastUpdateId", "bids", "asks"],
        ),
        (USDM, "/fapi/v1/depth?symbol=BTCUSDT", ["lastUpdateId", "E", "T", "bids", "asks"]),
        (USDM, "/fapi/v1/depth?symbol=btcusdt", ["lastUpdateId", "E", "T", "bids", "asks"]),
        (
            COINM,
            "/dapi/v1/depth?symbol=BTCUSD_PERP",
            ["lastUpdateId", "symbol", "pair", "E", "T", "bids", "asks"],
        ),
        (SPOT, "/api/v3/time", ["serverTime"]),
        (USDM, "/fapi/v1/ping", []),
    ],
)
def test_answers_have_the_keys_of_the_wire_in_its_order(venue: str, target: str, keys: list[str]) -> None:
    status, body = get(exchange(), venue, target)
    assert (status, list(body)) == (200, keys)


@pytest.mark.parametrize(
    ("venue", "target", "status", "code"),
    [
        (SPOT, "/api/v3/depth", 400, -1102),
        (SPOT, "/api/v3/depth?symbol=NOPEUSDT", 400, -1121),
        (SPOT, "/api/v3/depth?symbol=btcusdt", 400, -1121),
        (SPOT, "/api/v3/depth?symbol=BTCUSDT&limit=0", 400, -1130),
        (SPOT, "/api/v3/depth?symbol=BTCUSDT&limit=x", 400, -1100),
        (USDM, "/fapi/v1/depth?symbol=BTCUSDT&limit=7", 400, -4021),
        (SPOT, "/api/v3/exchangeInfo?symbol=NOPE", 400, -1121),
        (SPOT, "/api/v3/exchangeInfo?symbols=[", 400, -1100),
        (SPOT, "/fapi/v1/depth?symbol=BTCUSDT", 404, None),
        (SPOT, "/", 404, None),
    ],
)
def test_what_is_refused_is_refused_with_its_code(
    venue: str, target: str, status: int, code: int | None
) -> None:
    found, body = get(exchange(), venue, target)
    assert (found, body["code"] if body else None) == (status, code)


@pytest.mark.parametrize(("limit", "levels"), [(1, 1), (5, 5), (24, 24), (5000, 24), (9999, 24)])
def test_a_snapshot_shows_the_best_levels_up_to_its_limit(limit: int, levels: int) -> None:
    made = exchange()
    _, body = get(made, SPOT, f"/api/v3/depth?symbol=BTCUSDT&limit={limit}")
    bids, asks = made.truth(SPOT, "BTCUSDT").book_at(body["lastUpdateId"])
    assert len(body["bids"]) == levels
    assert [float(price) for price, _ in body["bids"]] == [float(price) for price, _ in bids[:levels]]
    assert [float(price) for price, _ in body["asks"]] == [float(price) for price, _ in asks[:levels]]
    assert body["bids"][0][0].partition(".")[2].__len__() == 8


def test_exchange_info_lists_what_is_served() -> None:
    _, body = get(exchange(), SPOT, "/api/v3/exchangeInfo")
    assert [row["symbol"] for row in body["symbols"]] == ["BTCUSDT", "币安人生USDT"]
    _, body = get(exchange(), SPOT, '/api/v3/exchangeInfo?symbols=["BTCUSDT"]')
    assert [row["symbol"] for row in body["symbols"]] == ["BTCUSDT"]
    assert {each["filterType"] for each in body["symbols"][0]["filters"]} >= {"PRICE_FILTER", "LOT_SIZE"}


def test_weight_is_counted_per_client_and_clock_minute() -> None:
    made = exchange(epoch_ms=60_000 * 1_000)
    used = "X-MBX-USED-WEIGHT-1M"

    def weight(target: str, now_ns: int, client: str = "a") -> str:
        return made.request(SPOT, target, now_ns, client=client).headers[used]

    assert weight("/api/v3/depth?symbol=BTCUSDT&limit=1000", 0) == "50"
    assert weight("/api/v3/depth?symbol=BTCUSDT&limit=5000", 1 * S) == "300"
    assert weight("/api/v3/ping", 2 * S, "b") == "1"
    assert weight("/api/v3/depth?symbol=NOPEUSDT&limit=100", 59 * S) == "305"
    assert weight("/api/v3/ping", 60 * S) == "1"


def test_both_futures_venues_share_a_budget() -> None:
    made = exchange()
    made.request(USDM, "/fapi/v1/depth?symbol=BTCUSDT&limit=1000", 0, client="a")
    response = made.request(COINM, "/dapi/v1/depth?symbol=BTCUSD_PERP&limit=1000", 0, client="a")
    assert response.headers["X-MBX-USED-WEIGHT-1M"] == "40"


def test_beyond_the_budget_come_429_with_the_time_to_wait_and_then_a_ban() -> None:
    made = exchange(epoch_ms=60_000 * 1_000)
    target = "/api/v3/depth?symbol=BTCUSDT&limit=5000"
    for _ in range(24):
        assert made.request(SPOT, target, 10 * S).status == 200
    refused = made.request(SPOT, target, 10 * S)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "50")
    assert json.loads(refused.body)["code"] == -1003
    statuses = [made.request(SPOT, target, 11 * S).status for _ in range(30)]
    assert 418 in statuses
    banned = made.request(SPOT, "/api/v3/ping", 70 * S)
    assert (banned.status, banned.headers["Retry-After"]) == (418, "61")
    assert made.request(SPOT, "/api/v3/ping", 132 * S).status == 200
    assert made.request(SPOT, "/api/v3/ping", 70 * S, client="another").status == 200


# --- streams ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("venue", "symbol", "suffix", "every_ms"),
    [
        (SPOT, "BTCUSDT", "@depth@100ms", 100),
        (SPOT, "BTCUSDT", "@depth", 1000),
        (SPOT, "币安人生USDT", "@depth@100ms", 100),
        (USDM, "BTCUSDT", "@depth@100ms", 100),
        (USDM, "BTCUSDT", "@depth", 250),
        (USDM, "BTCUSDT", "@depth@500ms", 500),
        (COINM, "BTCUSD_PERP", "@depth@0ms", TINY.interval_ms),
    ],
)
def test_a_diff_stream_leads_from_any_snapshot_to_the_truth(
    venue: str, symbol: str, suffix: str, every_ms: int
) -> None:
    made = exchange()
    name = venues.venue(venue).stream(symbol).partition("@")[0] + suffix
    session = opened(made, venue, f"/stream?streams={name}")
    frames = [json.loads(each.text) for each in run(made, session, 1 * S) if isinstance(each, Text)]
    path, limit = venues.venue(venue).depth_path, 1000
    body = made.request(venue, f"{path}?symbol={symbol}&limit={limit}", 1 * S).body
    frames += data(run(made, session, 12 * S))
    book = Book(venue, symbol)
    book.load_snapshot(body, limit=limit)
    for frame in frames:
        assert frame["stream"] == name
        outcome = book.apply(json.dumps(frame, ensure_ascii=False))
        assert outcome in (Outcome.OLD, Outcome.APPLIED)
        assert outcome is Outcome.OLD or book.last_update_id == frame["data"]["u"]
    bids, asks = made.truth(venue, symbol).book_at(book.last_update_id or 0)
    assert [tuple(level) for level in book.exact.bids] == bids
    assert [tuple(level) for level in book.exact.asks] == asks
    times = [frame["data"]["E"] for frame in frames]
    assert {b - a for a, b in pairwise(times)} <= {every_ms, 2 * every_ms}


def test_each_speed_has_its_own_boundaries_and_sequence() -> None:
    made = exchange()
    fast, slow = (opened(made, USDM, f"/public/ws/btcusdt@depth@{ms}ms") for ms in (100, 500))
    ids: dict[int, list[Any]] = {0: [], 1: []}
    while (next_ns := made.next_ns() or 0) <= 5 * S:
        made.advance(next_ns)
        for number, session in enumerate((fast, slow)):
            ids[number] += data(session.take())
    for frames in ids.values():
        for before, after in pairwise(frames):
            assert after["pu"] == before["u"]
            assert after["U"] > before["u"]
    assert len(ids[0]) > 4 * len(ids[1])


def test_a_snapshot_falls_into_the_middle_of_a_later_diff() -> None:
    made = exchange()
    session = opened(made, SPOT, "/ws/btcusdt@depth")
    run(made, session, 1_500 * MS)
    last = get(made, SPOT, "/api/v3/depth?symbol=BTCUSDT", 1_500 * MS)[1]["lastUpdateId"]
    frame = data(run(made, session, 2 * S))[0]
    assert frame["U"] < last < frame["u"]


def test_spot_sends_bids_best_first_and_futures_ascending() -> None:
    for venue, stream, reverse in ((SPOT, "btcusdt@depth", True), (USDM, "btcusdt@depth@500ms", False)):
        made = exchange()
        frames = data(run(made, opened(made, venue, f"/ws/{stream}"), 5 * S))
        assert any(len(frame["b"]) > 2 for frame in frames)
        for frame in frames:
            for side, descending in (("b", reverse), ("a", False)):
                prices = [float(price) for price, _ in frame[side]]
                assert prices == sorted(set(prices), reverse=descending)


def test_partial_depth_and_tickers_are_the_truth_of_their_id() -> None:
    made = exchange()
    names = ("btcusdt@depth5", "btcusdt@bookTicker")
    frames = data(run(made, opened(made, SPOT, "/stream?streams=" + "/".join(names)), 5 * S))
    assert {frame["stream"] for frame in frames} == set(names)
    for frame in (frame["data"] for frame in frames):
        update_id = frame.get("lastUpdateId") or frame["u"]
        bids, asks = made.truth(SPOT, "BTCUSDT").book_at(update_id)
        best = frame["bids"][0] if "bids" in frame else [frame["b"], frame["B"]]
        assert tuple(map(float, best)) == tuple(map(float, bids[0]))
        assert len(frame.get("asks", [0] * 5)) == 5
        assert asks


@pytest.mark.parametrize(
    ("venue", "target"),
    [
        (SPOT, "/ws/BTCUSDT@depth"),
        (SPOT, "/ws/nopeusdt@depth"),
        (SPOT, "/ws/btcusdt@depth@250ms"),
        (USDM, "/ws/btcusdt@depth@250ms"),
        (USDM, "/market/ws/btcusdt@depth"),
        (SPOT, "/ws/btcusdt@depth7"),
        (SPOT, "/ws"),
    ],
)
def test_unknown_streams_and_wrong_routes_are_silent(venue: str, target: str) -> None:
    made = exchange()
    get(made, venue, f"{venues.venue(venue).depth_path}?symbol=BTCUSDT")
    assert data(run(made, opened(made, venue, target), 3 * S)) == []


def test_subscriptions_come_and_go_with_messages() -> None:
    made = exchange()
    session = opened(made, SPOT, "/stream")
    session.on_text('{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}', 0)
    frames = data(run(made, session, 1 * S))
    assert frames[0] == {"result": None, "id": 1}
    assert len(frames) > 5
    session.on_text('{"method":"UNSUBSCRIBE","params":["btcusdt@depth@100ms"],"id":2}', 1 * S)
    assert data(run(made, session, 3 * S)) == [{"result": None, "id": 2}]


# --- connections ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("venue", "burst"), [(SPOT, 5), (USDM, 15)])
def test_too_many_messages_a_second_close_the_connection(venue: str, burst: int) -> None:
    made = exchange()
    session = opened(made, venue, "/stream")
    for number in range(burst + 1):
        session.on_text(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}), 5)
    sent = session.take()
    assert len(data(sent)) == burst
    assert sent[-1] == Close(1008, "Too many requests")
    assert session.take() == []


def test_messages_spread_over_time_are_fine() -> None:
    session = opened(exchange(), SPOT, "/stream")
    for number in range(50):
        session.on_text(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}), number * 210 * MS)
    assert len(data(session.take())) == 50


@pytest.mark.parametrize(("venue", "every_s", "deadline_s"), [(SPOT, 20, 60), (USDM, 180, 600)])
def test_pings_come_and_must_be_answered(venue: str, every_s: int, deadline_s: int) -> None:
    made = exchange()
    sent = run(made, opened(made, venue, "/stream"), 4 * every_s * S)
    pings = [each for each in sent if isinstance(each, Ping)]
    assert len(pings) == 4
    assert all(len(each.payload) == 13 for each in pings)
    made = exchange()
    silent = run(made, opened(made, venue, "/stream"), 2 * deadline_s * S, pong=False)
    assert silent[-1] == Close(1008, "Pong timeout")


def test_a_pong_with_another_payload_answers_nothing() -> None:
    made = exchange()
    session = opened(made, SPOT, "/stream")
    sent: list[Any] = []
    while (next_ns := made.next_ns()) is not None and next_ns <= 200 * S:
        made.advance(next_ns)
        sent += session.take()
        session.on_pong(b"", next_ns)
    assert sent[-1] == Close(1008, "Pong timeout")


def test_a_connection_lives_24_hours() -> None:
    made = exchange()
    assert run(made, opened(made, USDM, "/stream"), 90_000 * S)[-1] == Close(1001, "24 hours")


def test_too_many_connects_are_refused() -> None:
    made = exchange()
    responses = [made.accept(SPOT, "/ws", 0, client="a") for _ in range(301)]
    assert [isinstance(response, HttpResponse) for response in responses] == [False] * 300 + [True]
    assert responses[-1].status == 429
    assert not isinstance(made.accept(SPOT, "/ws", 0, client="b"), HttpResponse)
    assert not isinstance(made.accept(SPOT, "/ws", 301 * S, client="a"), HttpResponse)


def test_a_path_without_streams_is_not_found() -> None:
    response = exchange().accept(SPOT, "/nothing", 0)
    assert isinstance(response, HttpResponse)
    assert response.status == 404


# --- faults -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", ["drop", "duplicate", "reorder", "late", "cut", "mute", "refuse", "fail", "slow", "lagging"]
)
def test_each_fault_does_what_it_is_called(fault: str) -> None:
    faults = Faults(seed=3, late_ns=500 * MS, lag_changes=30, **{fault: 0.3})
    made = exchange(faults=faults)
    session = made.accept(SPOT, "/stream", 0)
    while isinstance(session, HttpResponse):
        session = made.accept(SPOT, "/stream", 0)
    session.on_text('{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms","btcusdt@depth"],"id":1}', 0)
    sent = run(made, session, 10 * S)
    responses = [made.request(SPOT, "/api/v3/depth?symbol=BTCUSDT", 10 * S) for _ in range(20)]
    ids = [frame["data"]["u"] for frame in data(sent)[1:] if frame["stream"].endswith("100ms")]
    lasts = {json.loads(response.body)["lastUpdateId"] for response in responses if response.status == 200}
    shown = {
        "drop": 20 < len(ids) < 95,
        "duplicate": len(ids) > len(set(ids)),
        "reorder": ids != sorted(ids),
        "late": len(set(ids)) == len(ids) and ids == sorted(ids),
        "cut": sent[-1] == Cut(),
        "mute": faults.counts.get("mute", 0) > 0 or bool(ids),
        "refuse": faults.counts.get("refuse", 0) >= 0,
        "fail": any(response.status == 503 for response in responses),
        "slow": any(response.delay_ns for response in responses),
        "lagging": len(lasts) > 1,
    }
    assert shown[fault]
    assert set(faults.counts) <= {fault}


def test_faults_end_when_they_should() -> None:
    faults = Faults(drop=1.0, from_ns=2 * S, until_ns=4 * S)
    made = exchange(faults=faults)
    frames = data(run(made, opened(made, SPOT, "/ws/btcusdt@depth@100ms"), 6 * S))
    seconds = {(frame["E"] - frames[0]["E"]) // 1000 for frame in frames}
    assert seconds == {0, 1, 3, 4, 5} or seconds == {0, 1, 4, 5}
    assert faults.counts["drop"] == pytest.approx(20, abs=2)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_chance_is_between_nothing_and_always(value: float) -> None:
    with pytest.raises(InvalidArgument, match="a probability from"):
        Faults(drop=value)


def test_an_exchange_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownExchange):
        SimulatedExchange({"binance.con": ["BTCUSDT"]})


def test_the_same_seed_says_the_same() -> None:
    def said(seed: int) -> list[Any]:
        made = SimulatedExchange(TINY_MARKETS, seed=seed, faults=Faults(seed=seed, drop=0.1, reorder=0.1))
        return run(
            made, opened(made, USDM, "/public/stream?streams=btcusdt@depth@100ms/ethusdt@depth"), 5 * S
        )

    assert said(1) == said(1)
    assert said(1) != said(2)
