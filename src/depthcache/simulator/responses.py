"""REST responses of embedded exchanges, as pure functions.

Formats and codes: spot docs (2026-07-21), futures docs (2026-05-28), bodies of refused limits as measured
2026-10-07. `Weights` counts the weight that clients of a recording use; a recording never refuses requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from depthcache.errors import InvalidArgument
from depthcache.recording import Diff
from depthcache.simulator.interface import HttpResponse
from depthcache.simulator.rebuilt import RebuiltBook, snapshot_body
from depthcache.venues import Family, Venue

__all__ = [
    "Weights",
    "depth_question",
    "error",
    "exchange_info",
    "failed",
    "no_such_path",
    "not_recorded",
    "not_trading",
    "of_book",
    "ok",
    "other_status",
    "time",
    "unknown_symbol",
    "weight_headers",
]

_MINUTE_NS = 60_000_000_000
_DEFAULT_LIMITS: Mapping[Family, int] = {"spot": 100, "linear": 500, "inverse": 500, "options": 100}
"""Spot docs 2026-07-21, futures and options docs 2026-05-28."""
_MOST_DIGITS = 9


class Weights:
    """The request weight used per pool and client in the current minute."""

    def __init__(self) -> None:
        self._minute = -1
        self._used: dict[tuple[str, str], int] = {}

    def charged(
        self, response: HttpResponse, venue: Venue, weight: int, client: str, now_ns: int
    ) -> HttpResponse:
        """The same response with the header of the used weight."""
        if now_ns // _MINUTE_NS != self._minute:
            self._minute = now_ns // _MINUTE_NS
            self._used.clear()
        key = (venue.weight_pool, client)
        self._used[key] = self._used.get(key, 0) + weight
        headers = {**response.headers, **weight_headers(venue, self._used[key])}
        return HttpResponse(response.status, response.body, headers, response.delay_ns)


def weight_headers(venue: Venue, used: int) -> dict[str, str]:
    """The headers of the used weight; spot also has the old name, which UNICORN needs (2026-11)."""
    headers = {"X-MBX-USED-WEIGHT-1M": str(used)}
    return headers | ({"X-MBX-USED-WEIGHT": str(used)} if venue.family == "spot" else {})


def depth_question(venue: Venue, query: Mapping[str, str]) -> tuple[str, int] | HttpResponse:
    """Symbol and limit of a depth request, or the response that refuses the request."""
    symbol = query.get("symbol", "")
    if not symbol:
        return error(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
    if venue.family in ("linear", "inverse"):
        symbol = symbol.upper()  # USD-M also accepts lower case (measured 2026-10-07)
    text = query.get("limit", "")
    if not text:
        usual = min(_DEFAULT_LIMITS[venue.family], venue.depth_limits[-1])
        return symbol, next(limit for limit in venue.depth_limits if limit >= usual)
    if not text.isascii() or not text.isdigit() or len(text) > _MOST_DIGITS:
        return error(-1100, "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.")
    try:
        return symbol, venue.served_limit(int(text))
    except InvalidArgument:
        if venue.any_depth_limit:
            return error(-1130, "Data sent for parameter 'limit' is not valid.")
        return error(-4021, f"{int(text)} is not valid depth limit")


def of_book(
    venue: Venue, name: str, book: RebuiltBook, first_diff: Diff | None, limit: int, *, time_ms: int
) -> HttpResponse:
    """The rebuilt book; before any data was played, an empty book right before the first diff."""
    body = book.body(limit, time_ms=time_ms)
    if body is None and book.last_update_id is None and first_diff is not None:
        before = first_diff.previous_final_update_id
        if before is None or venue.continuity == "contiguous":
            before = first_diff.first_update_id - 1
        body = snapshot_body(venue, name, before, [], [], time_ms=time_ms)
    if body is None:
        words = "Internal error; unable to process your request. Please try again."
        return error(-1001, words, status=503)
    return ok(body)


def exchange_info(symbols: Iterable[str], recorded: bytes | None, time_ms: int) -> HttpResponse:
    """The recorded exchangeInfo, or a minimal one."""
    if recorded is not None:
        return ok(recorded)
    listed = [{"symbol": name, "status": "TRADING"} for name in symbols]
    info = {"timezone": "UTC", "serverTime": time_ms, "rateLimits": [], "symbols": listed}
    return ok(_json(info))


def time(time_ms: int) -> HttpResponse:
    """The response to a time request."""
    return ok(_json({"serverTime": time_ms}))


def ok(body: bytes) -> HttpResponse:
    """A response with status 200."""
    return HttpResponse(200, body)


def unknown_symbol() -> HttpResponse:
    """The symbol is unknown."""
    return error(-1121, "Invalid symbol.")


def not_trading() -> HttpResponse:
    """A futures market before it opens (USD-M error codes, 2026-05-28)."""
    return error(-4108, "Symbol is on delivering or delivered or settling or closed or pre-trading.")


def other_status() -> HttpResponse:
    """The request has a `symbolStatus` that is not the symbol's (spot docs, change log 2025-10-28)."""
    return error(-1220, "The symbol's status does not match the requested symbolStatus.")


def not_recorded(most: int) -> HttpResponse:
    """The limit exceeds the recorded snapshot: a response with fewer levels would look like a whole side."""
    return error(
        -1130, f"Data sent for parameter 'limit' is not valid: this recording knows {most} levels a side."
    )


def no_such_path() -> HttpResponse:
    """The path is unknown."""
    return HttpResponse(404, b"")


def failed() -> HttpResponse:
    """An internal error of the embedded exchange."""
    return error(-1000, "An unknown error occurred while processing the request.", status=500)


def error(code: int, words: str, *, status: int = 400) -> HttpResponse:
    """An error in the format of Binance."""
    return HttpResponse(status, _json({"code": code, "msg": words}))


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
