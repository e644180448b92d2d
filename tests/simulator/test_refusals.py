"""Handshakes, snapshots and lists that a simulated exchange refuses, and how a client handles them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from depthcache import reference
from depthcache._native import Router
from depthcache.core.notices import Ending
from depthcache.core.requests.budget import Budgets
from depthcache.simulator import TINY, Pair, SimulatedExchange, responses
from depthcache.simulator.interface import HttpResponse

SPOT, USDM, COINM = "binance.com", "binance.com-futures", "binance.com-coin_futures"
OPTIONS, TR = "binance.com-vanilla-options", "trbinance.com"
EVERY = pytest.mark.parametrize("venue", [SPOT, USDM, COINM, OPTIONS, TR])
BOTH = pytest.mark.parametrize("venue", [SPOT, USDM])
ENGINES = pytest.mark.parametrize("router", [Router, reference.Router], ids=["native", "reference"])
BUSY = replace(TINY, levels=60)
S_NS = 1_000_000_000


def flowing(venue: str, *symbols: str, router: Any = Router, **options: Any) -> Pair:
    named = symbols or ("S0USDT", "S1USDT")
    pair = Pair(SimulatedExchange({venue: dict.fromkeys(named, BUSY)}, seed=3), router=router(), **options)
    for symbol in named:
        pair.add(venue, symbol)
    assert pair.run_until_synced(within_s=60)
    pair.run_for(2)
    pair.notices.clear()
    return pair


@ENGINES
@EVERY
@pytest.mark.parametrize("code", [-1121, -1122, -4108, -4021, -1102, -1000])
def test_a_refused_comparison_is_not_heard_of(router: Any, venue: str, code: int) -> None:
    pair = flowing(venue, router=router)
    pair.exchange.trouble.refuse_snapshots(venue, "S0USDT", code)
    pair.exchange.trouble.unlist(venue, "S0USDT")
    pair.audit(venue, "S0USDT")
    pair.run_for(20)
    assert pair.notices == []
    assert pair.differences() == 0
    assert pair.unexpected == ()


@ENGINES
@BOTH
def test_a_futures_symbol_comes_alive_when_trading_begins(router: Any, venue: str) -> None:
    exchange = SimulatedExchange({venue: {"S0USDT": BUSY}}, seed=3)
    exchange.set_status(venue, "S0USDT", "PENDING_TRADING")
    if venue == SPOT:
        exchange.trouble.refuse_snapshots(venue, "S0USDT", -1122, 20)
    pair = Pair(exchange, router=router())
    book = pair.add(venue, "S0USDT")
    pair.run_for(120)
    assert book.status == "halted"
    assert "PENDING_TRADING" in book.reason
    exchange.set_status(venue, "S0USDT", "TRADING")
    exchange.trouble.refused_snapshots.clear()
    assert pair.run_until_synced(within_s=2)
    pair.run_for(5)
    assert pair.differences() == 0


@EVERY
def test_a_delisted_symbol_is_closed_and_one_that_is_listed_again_can_be_had(venue: str) -> None:
    pair = flowing(venue)
    pair.exchange.delist(venue, "S0USDT")
    pair.run_for(190)
    assert [notice.ending for notice in pair.notices if notice.ending] == [Ending.DELISTED]
    assert pair.books[venue, "S1USDT"].status == "synced"


@BOTH
@pytest.mark.parametrize("status", [418, 429])
def test_a_handshake_that_is_refused_for_two_minutes_is_the_only_one(venue: str, status: int) -> None:
    budgets = Budgets()
    pair = flowing(venue, budgets=budgets)
    spent = pair.exchange.limits.all(venue)
    pair.exchange.trouble.refuse_connects(120, pair.now_ns, status=status, told=True)
    pair.exchange.cut(pair.now_ns)
    pair.run_for(118)
    assert pair.exchange.trouble.refused_connects == 1
    assert pair.exchange.limits.all(venue) == spent
    assert pair.books[venue, "S0USDT"].status == "disconnected"
    assert f"HTTP {status}" in pair.books[venue, "S0USDT"].reason
    assert pair.run_until_synced(within_s=6)
    assert pair.exchange.trouble.refused_connects == 1
    assert pair.exchange.breaches == []


@BOTH
def test_a_ban_of_requests_holds_handshakes(venue: str) -> None:
    pair = flowing(venue)
    pair.exchange.trouble.ban(venue, 120, pair.now_ns)
    pair.audit(venue, "S0USDT")
    pair.run_for(1)
    connects = pair.exchange.connects
    pair.exchange.cut(pair.now_ns)
    pair.run_for(115)
    assert pair.exchange.connects == connects
    assert pair.run_until_synced(within_s=10)


@pytest.mark.slow
@BOTH
def test_a_book_that_can_be_no_deeper_than_the_exchange_allows_does_not_ask_for_more_for_ever(
    venue: str,
) -> None:
    deep = replace(TINY, levels=1_500)
    exchange = SimulatedExchange({venue: {"S0USDT": deep}}, seed=3, history=3_000)
    inner, limits = exchange.request, []

    def request(name: str, target: str, now_ns: int, *, client: str = "client") -> HttpResponse:
        limit = int(target.partition("&limit=")[2] or 0)
        limits.append(limit)
        if limit >= 1_000:
            return responses.error(-4021, f"{limit} is not valid depth limit")
        return inner(name, target, now_ns, client=client)

    exchange.request = request  # type: ignore[method-assign]
    pair = Pair(exchange)
    book = pair.add(venue, "S0USDT", depth=1_000)
    pair.run_for(120)
    assert pair.is_synced()
    assert book.coverage[0] >= 400
    depths = [limit for limit in limits if limit]
    assert 1_000 in depths
    assert len(depths) < 15
