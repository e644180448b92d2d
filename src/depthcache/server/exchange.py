"""The exchange's own protocol: what the native server must know of each exchange, and exchangeInfo.

Not here: the protocol (`crates/server/src/exchange.rs`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

from depthcache import venues
from depthcache.errors import ConnectionFailed, RequestRejected
from depthcache.model import compact_json
from depthcache.rest import Rest
from depthcache.server.config import ServerConfig
from depthcache.settings import Settings
from depthcache.venues import Family, Venue

__all__ = ["ExchangeInfo", "exchange_options"]

_BEGIN_S = 10.0
"""How long the first request for a book that it begins waits until it is synced."""
_USUAL_LIMITS: Mapping[Family, int] = {"spot": 100, "linear": 500, "inverse": 500, "options": 100}
"""Limit of a depth request that names none: spot docs 2026-07-21, futures and options docs 2026-05-28."""
_LONGEST_QUERY = 4_000


def exchange_options(config: ServerConfig, settings: Settings, speed_ms: int | None, key: str) -> str | None:
    """What the native server must know, as JSON; None where the protocol is off."""
    if config.exchange_symbols == "off":
        return None
    # A server whose own books come from another one speaks the exchange's protocol all the same.
    find = settings.venue if settings.server is None else venues.venue
    return json.dumps(
        {
            "venues": [_rules(find(name), speed_ms) for name in venues.names()],
            "most_begun": config.exchange_books if config.exchange_symbols == "any" else 0,
            "is_open": config.is_loopback,
            "allow": config.exchange_allow,
            "key": key,
            "begin_s": _BEGIN_S,
        }
    )


def _rules(venue: Venue, speed_ms: int | None) -> dict[str, Any]:
    usual = min(_USUAL_LIMITS[venue.family], venue.depth_limits[-1])
    return {
        "name": venue.name,
        "aliases": list(venue.aliases),
        "family": venue.family,
        "depth_path": venue.depth_path,
        "exchange_info_path": venue.exchange_info_path,
        "time_path": venue.time_path,
        "ping_path": venue.ping_path,
        "listing_key": venue.listing_key,
        "selects_symbols": venue.takes_symbols,
        "depth_limits": list(venue.depth_limits),
        "any_depth_limit": venue.any_depth_limit,
        "usual_limit": next(limit for limit in venue.depth_limits if limit >= usual),
        "speeds": list(venue.stream_speeds),
        "held_ms": venue.stream_speeds[0][0] if speed_ms is None else speed_ms,
        "most_streams": venue.streams_per_connection,
        "ping_s": round(venue.ping_interval_s),
    }


class ExchangeInfo:
    """Fetches exchangeInfo, within the weight that all clients of this process share. Blocks: call it on a
    thread of its own."""

    def __init__(self, settings: Settings, *, whole: bool, timeout_s: float) -> None:
        """`whole`: of all symbols, not of those that are held alone."""
        self._rest = Rest(settings)
        self._settings, self._whole, self._timeout_s = settings, whole, timeout_s

    def answer(self, exchange: str, symbols: Collection[str]) -> tuple[int, bytes]:
        """Status and body; `symbols`: those that are held."""
        venue = self._settings.venue(exchange)
        try:
            return HTTPStatus.OK, self._fetched(venue, symbols)
        except (ConnectionFailed, RequestRejected) as error:
            return HTTPStatus.BAD_GATEWAY, compact_json({"code": -1001, "msg": str(error)})

    def close(self) -> None:
        """End its connections."""
        self._rest.close()

    def _fetched(self, venue: Venue, symbols: Collection[str]) -> bytes:
        listed = json.dumps(sorted(symbols), ensure_ascii=False, separators=(",", ":"))
        selects = venue.takes_symbols and symbols and not self._whole
        if selects and len(listed.encode()) <= _LONGEST_QUERY:
            try:
                return self._ask(venue, {"symbols": listed})
            except RequestRejected:
                pass  # one of them is not known any more: all are asked for
        body = self._ask(venue, {})
        if self._whole:
            return body
        info = json.loads(body)
        rows = info.get(venue.listing_key, [])
        info[venue.listing_key] = [row for row in rows if row.get("symbol") in symbols]
        return json.dumps(info, ensure_ascii=False, separators=(",", ":")).encode()

    def _ask(self, venue: Venue, query: Mapping[str, object]) -> bytes:
        path, weight = venue.exchange_info_path, venue.exchange_info_weight
        return self._rest.ask(venue.name, path, weight=weight, query=query, timeout=self._timeout_s).body
