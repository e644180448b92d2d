"""REST of a simulated exchange: depth and exchangeInfo, current, of a lagging node, or changed by faults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from depthcache.simulator import responses
from depthcache.simulator.cached import Levels
from depthcache.simulator.faults import Faults
from depthcache.simulator.interface import HttpResponse
from depthcache.simulator.listing import ListedSymbol, exchange_info
from depthcache.simulator.market import ASKS, BIDS
from depthcache.simulator.running_market import RunningMarket
from depthcache.simulator.streams import snapshot
from depthcache.venues import Venue

__all__ = ["IdHistory", "depth", "info"]


class IdHistory:
    """The update ids of markets over time, for lagging nodes. Recorded from the first `lag_snapshots` on."""

    def __init__(self) -> None:
        self._id_history: dict[RunningMarket, list[tuple[int, int]]] = {}

    def on_event(self, running: RunningMarket, at_ns: int) -> None:
        """Record the new id of a market."""
        self._id_history.setdefault(running, []).append((at_ns, running.market.last_update_id))

    def id_of(self, running: RunningMarket, lag_s: float, now_ns: int) -> int:
        """The id of the book that a snapshot shows: the newest, or that of `lag_s` seconds ago."""
        id_history = self._id_history.get(running, [])
        if not lag_s or not id_history:
            return running.market.shown_id
        behind_ns = now_ns - round(lag_s * 1e9)
        return next((held for at_ns, held in reversed(id_history) if at_ns <= behind_ns), id_history[0][1])


def info(
    venue: Venue, listed: Mapping[str, ListedSymbol], query: Mapping[str, str], time_ms: int
) -> HttpResponse:
    """exchangeInfo of the requested symbols; futures and options always return all."""
    if venue.family == "spot":
        wanted = _wanted(query)
        if isinstance(wanted, HttpResponse):
            return wanted
        if wanted is not None:
            if any(name not in listed for name in wanted):
                return responses.unknown_symbol()
            listed = {name: listed[name] for name in wanted}
    told = exchange_info(venue, listed, time_ms, permissions=query.get("showPermissionSets") != "false")
    return responses.ok(json.dumps(told, ensure_ascii=False).encode())


def _wanted(query: Mapping[str, str]) -> list[str] | HttpResponse | None:
    """The symbols that an exchangeInfo request selects, None for all, or the response that refuses it."""
    for name in ("symbol", "symbols"):
        if query.get(name) == "":
            return responses.error(-1105, f"Parameter '{name}' was empty.")
    if "symbol" in query and "symbols" in query:
        return responses.error(-1128, "Combination of optional parameters invalid.")
    if "symbols" not in query:
        return [query["symbol"]] if "symbol" in query else None
    try:
        asked = json.loads(query["symbols"])
    except (ValueError, RecursionError):
        asked = None
    names = cast("list[object]", asked) if isinstance(asked, list) else []
    wanted = [name for name in names if isinstance(name, str) and name]
    if not wanted or len(wanted) < len(names):
        return responses.error(
            -1100,
            "Illegal characters found in parameter 'symbols'; legal range is "
            r"""'^\[("[\w\-._&&[^a-z]]{1,50}"(,"[\w\-._&&[^a-z]]{1,50}"){0,}){0,1}\]$'.""",
        )
    return wanted


def depth(
    venue: Venue,
    running: RunningMarket,
    limit: int,
    faults: Faults | None,
    *,
    update_id: int,
    now_ns: int,
    epoch_ms: int,
) -> HttpResponse:
    """A snapshot. `update_id`: the id of the book to show, unless a fault or a cache has another one."""
    market, symbol, delay_ns = running.market, running.symbol, 0
    if faults is not None:
        if faults.happens("fail", now_ns):
            return HttpResponse(503, b"Service Unavailable.")
        if faults.happens("refused", now_ns):
            status, code = faults.refusal()
            return responses.error(code, "Refused: 'limit' or anything else.", status=status)
        if faults.happens("html", now_ns):
            return HttpResponse(502, b"<html><body>Bad Gateway</body></html>")
        if faults.happens("lagging", now_ns):
            update_id = market.id_before(faults.lag())
        if faults.happens("slow", now_ns):
            delay_ns = faults.delay_ns()
    at_ns, sides = now_ns, None
    if running.cached is not None:
        running.cached.on_time(now_ns)
        taken = running.cached.shown(now_ns)
        update_id, at_ns = taken.update_id, taken.at_ns
        sides = (taken.sides[BIDS][:limit], taken.sides[ASKS][:limit])
    sides = sides or _sides(running, update_id, limit)
    time_ms = epoch_ms + at_ns // 1_000_000
    return HttpResponse(
        200, snapshot(venue, symbol, market, sides, update_id=update_id, time_ms=time_ms), delay_ns=delay_ns
    )


def _sides(running: RunningMarket, update_id: int, limit: int) -> Levels:
    market = running.market
    if update_id == market.shown_id:
        return market.levels(BIDS, limit), market.levels(ASKS, limit)
    bids, asks = market.sides_at(update_id)
    return sorted(bids.items(), reverse=True)[:limit], sorted(asks.items())[:limit]
