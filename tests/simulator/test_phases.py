"""The phases of a market besides trading: halts, breaks, delisting, listing, a new tick."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from depthcache import simulator
from depthcache.errors import InvalidArgument, UnknownExchange
from depthcache.simulator import PROFILES, TINY, Market, SimulatedExchange
from depthcache.simulator.interface import HttpResponse, Session, Text
from depthcache.simulator.market import ASKS, BIDS, Ids

S = 1_000_000_000
SPOT, USDM, COINM = "binance.com", "binance.com-futures", "binance.com-coin_futures"
OPTIONS = "binance.com-vanilla-options"
CALL = "BTC-261225-126000-C"
SYMBOLS = {SPOT: "BTCUSDT", USDM: "BTCUSDT", COINM: "BTCUSD_PERP", OPTIONS: CALL}
EVERY = sorted(SYMBOLS.items())


def exchange() -> SimulatedExchange:
    made = SimulatedExchange({venue: {symbol: TINY} for venue, symbol in SYMBOLS.items()}, seed=1)
    assert made.symbols(SPOT) == ("BTCUSDT",)
    return made


def opened(made: SimulatedExchange, venue: str, symbol: str) -> Session:
    session = made.accept(venue, f"/ws/{symbol.lower()}@depth@100ms", 0)
    assert not isinstance(session, HttpResponse)
    return session


def heard(made: SimulatedExchange, session: Session, until_ns: int) -> list[Any]:
    said: list[Any] = []
    while (next_ns := made.next_ns()) is not None and next_ns <= until_ns:
        made.advance(next_ns)
        said += [json.loads(each.text) for each in session.take() if isinstance(each, Text)]
    return said


def get(made: SimulatedExchange, venue: str, what: str, now_ns: int = 0) -> tuple[int, Any]:
    path = {SPOT: "/api/v3", USDM: "/fapi/v1", COINM: "/dapi/v1", OPTIONS: "/eapi/v1"}[venue]
    response = made.request(venue, f"{path}/{what}", now_ns)
    return response.status, json.loads(response.body)


def rows(made: SimulatedExchange, venue: str) -> dict[str, str]:
    """Symbol to status as exchangeInfo tells them."""
    _, info = get(made, venue, "exchangeInfo")
    key = "optionSymbols" if venue == OPTIONS else "symbols"
    status = "contractStatus" if venue == COINM else "status"
    assert all(("contractStatus" in row) == (venue == COINM) for row in info[key])
    assert all(("status" in row) == (venue != COINM) for row in info[key])
    return {row["symbol"]: row[status] for row in info[key]}


# --- status -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("venue", "symbol"), EVERY)
def test_exchange_info_tells_the_status(venue: str, symbol: str) -> None:
    made = exchange()
    assert rows(made, venue) == {symbol: "TRADING"}
    made.set_status(venue, symbol, "HALT")
    assert rows(made, venue) == {symbol: "HALT"}


@pytest.mark.parametrize("status", ["HALT", "CANCEL_ONLY"])
@pytest.mark.parametrize(("venue", "symbol"), EVERY)
def test_in_a_halt_data_goes_on(venue: str, symbol: str, status: str) -> None:
    made = exchange()
    session = opened(made, venue, symbol)
    made.set_status(venue, symbol, status)
    assert len(heard(made, session, 5 * S)) > 30


@pytest.mark.parametrize("status", ["BREAK", "SETTLING"])
@pytest.mark.parametrize(("venue", "symbol"), EVERY)
def test_in_a_break_the_market_does_not_move_and_then_continues_without_a_gap(
    venue: str, symbol: str, status: str
) -> None:
    made = exchange()
    session = opened(made, venue, symbol)
    before = heard(made, session, 5 * S)
    made.set_status(venue, symbol, status)
    last = made.truth(venue, symbol).last_update_id
    assert heard(made, session, 15 * S) == []
    assert made.truth(venue, symbol).last_update_id == last
    assert get(made, venue, f"depth?symbol={symbol}&limit=5", 15 * S)[0] == 200
    made.set_status(venue, symbol, "TRADING")
    after = heard(made, session, 20 * S)
    if venue == SPOT:
        assert after[0]["U"] == before[-1]["u"] + 1
    else:
        assert after[0]["pu"] == before[-1]["u"]


@pytest.mark.parametrize("status", ["", "trading", "HALT ", "_HALT", None, 1])
def test_what_is_no_status_is_refused(status: Any) -> None:
    with pytest.raises(InvalidArgument, match="upper case such as TRADING") as caught:
        exchange().set_status(SPOT, "BTCUSDT", status)
    assert (caught.value.name, caught.value.value) == ("status", status)


def test_what_is_not_served_or_listed_is_refused() -> None:
    made = exchange()
    with pytest.raises(KeyError):
        made.set_status(SPOT, "NOPEUSDT", "HALT")
    with pytest.raises(KeyError):
        made.delist(SPOT, "NOPEUSDT")
    with pytest.raises(UnknownExchange):
        made.set_status("binance.con", "BTCUSDT", "HALT")


@pytest.mark.parametrize(
    ("status", "asked", "code"),
    [
        ("TRADING", "TRADING", 200),
        ("TRADING", "BREAK", 400),
        ("HALT", "HALT", 200),
        ("HALT", "TRADING", 400),
        ("BREAK", "BREAK", 200),
    ],
)
def test_spot_refuses_depth_of_a_symbol_in_another_phase(status: str, asked: str, code: int) -> None:
    made = exchange()
    made.set_status(SPOT, "BTCUSDT", status)
    found, body = get(made, SPOT, f"depth?symbol=BTCUSDT&symbolStatus={asked}")
    assert found == code
    assert body.get("code") == (None if code == 200 else -1220)


def test_futures_do_not_know_that_question() -> None:
    assert get(exchange(), USDM, "depth?symbol=BTCUSDT&symbolStatus=BREAK")[0] == 200


def test_permission_sets_are_left_empty_when_asked_so() -> None:
    made = exchange()
    for query, sets in (("", [["SPOT"]]), ("?showPermissionSets=false", [])):
        _, info = get(made, SPOT, f"exchangeInfo{query}")
        assert info["symbols"][0]["permissionSets"] == sets


# --- the end and the beginning ----------------------------------------------------------------------


@pytest.mark.parametrize(("venue", "symbol"), EVERY)
def test_a_delisted_symbol_goes_silent(venue: str, symbol: str) -> None:
    made = exchange()
    session = opened(made, venue, symbol)
    heard(made, session, 2 * S)
    made.delist(venue, symbol)
    heard(made, session, 3 * S)  # what had happened already
    assert heard(made, session, 30 * S) == []


@pytest.mark.parametrize("venue", [SPOT, OPTIONS])
def test_a_delisted_symbol_of_spot_and_options_is_gone(venue: str) -> None:
    made, symbol = exchange(), SYMBOLS[venue]
    made.delist(venue, symbol)
    assert rows(made, venue) == {}
    assert made.symbols(venue) == ()
    status, body = get(made, venue, f"depth?symbol={symbol}")
    assert (status, body["code"]) == (400, -1121)


@pytest.mark.parametrize("venue", [USDM, COINM])
def test_a_delisted_symbol_of_futures_stays_listed_as_settling_and_answers(venue: str) -> None:
    made, symbol = exchange(), SYMBOLS[venue]
    made.delist(venue, symbol)
    assert rows(made, venue) == {symbol: "SETTLING"}
    status, body = get(made, venue, f"depth?symbol={symbol}")
    assert status == 200
    assert body["bids"]


def test_a_new_symbol_is_listed_and_trades() -> None:
    made = exchange()
    made.list_symbol(SPOT, "1000newusdt", TINY)
    assert rows(made, SPOT) == {"BTCUSDT": "TRADING", "1000NEWUSDT": "TRADING"}
    assert len(heard(made, opened(made, SPOT, "1000newusdt"), 5 * S)) > 30


def test_a_subscription_from_before_the_listing_gets_data() -> None:
    made = exchange()
    session = opened(made, SPOT, "newusdt")
    assert heard(made, session, 5 * S) == []
    made.list_symbol(SPOT, "NEWUSDT", TINY)
    assert len(heard(made, session, 10 * S)) > 30


def test_a_symbol_listed_again_continues_where_it_was() -> None:
    made = exchange()
    session = opened(made, SPOT, "BTCUSDT")
    before = heard(made, session, 5 * S)
    made.delist(SPOT, "BTCUSDT")
    heard(made, session, 10 * S)
    made.list_symbol(SPOT, "BTCUSDT")
    after = heard(made, session, 15 * S)
    assert after[0]["U"] == before[-1]["u"] + 1
    assert rows(made, SPOT) == {"BTCUSDT": "TRADING"}


@pytest.mark.parametrize("symbol", ["BTCUSDT", "btcusdt", "BTC USDT", ""])
def test_what_is_listed_or_no_symbol_cannot_be_listed(symbol: str) -> None:
    with pytest.raises(InvalidArgument, match="symbol"):
        exchange().list_symbol(SPOT, symbol)


# --- another tick -----------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [7, 100])
def test_after_a_tick_change_old_levels_stay_and_new_ones_are_multiples_of_the_new_tick(factor: int) -> None:
    made = exchange()
    session = opened(made, SPOT, "BTCUSDT")
    heard(made, session, 1 * S)
    market = made.truth(SPOT, "BTCUSDT")
    tick = TINY.tick * factor
    made.set_tick(SPOT, "BTCUSDT", tick)
    old = {price for side in (BIDS, ASKS) for price, _ in market.levels(side)}
    assert any(price % tick for price in old)
    seen_off = False
    for second in range(2, 60):
        heard(made, session, second * S)
        held = {price for side in (BIDS, ASKS) for price, _ in market.levels(side)}
        assert {price for price in held if price % tick} <= old
        seen_off = seen_off or any(price % tick for price in held)
        bid, ask = market.best(BIDS), market.best(ASKS)
        assert bid is not None
        assert ask is not None
        assert bid < ask
    assert seen_off


def test_exchange_info_tells_the_new_tick() -> None:
    made = exchange()
    made.set_tick(SPOT, "BTCUSDT", 5_000_000)
    _, info = get(made, SPOT, "exchangeInfo")
    assert info["symbols"][0]["filters"][0]["tickSize"] == "0.05000000"


@pytest.mark.parametrize("tick", [0, -1, True, 1.0, "1", 10**18])
def test_a_tick_that_cannot_be_is_refused(tick: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"in units of 0\.00000001 USDT") as caught:
        exchange().set_tick(SPOT, "BTCUSDT", tick)
    assert caught.value.name == "tick"


def test_a_finer_tick_brings_prices_between_the_old_ones() -> None:
    market = Market(replace(PROFILES["linear"]["BTCUSDT"], levels=50), Ids(1), seed="1")
    assert all(price % 10 == 0 for price, _ in market.levels(BIDS))
    market.set_tick(1)
    for _ in range(200):
        market.move()
    assert any(price % 10 for price, _ in market.levels(BIDS))


# --- on a server ------------------------------------------------------------------------------------


def test_phases_are_changed_on_a_running_server() -> None:
    with simulator.serve(seed=1, symbols={SPOT: ["BTCUSDT"]}) as server:
        made = server.exchange
        assert isinstance(made, SimulatedExchange)
        server.on_exchange(lambda: made.set_status(SPOT, "BTCUSDT", "BREAK"))
        server.on_exchange(lambda: made.list_symbol(SPOT, "NEWUSDT"))
        assert server.on_exchange(lambda: rows(made, SPOT)) == {"BTCUSDT": "BREAK", "NEWUSDT": "TRADING"}
