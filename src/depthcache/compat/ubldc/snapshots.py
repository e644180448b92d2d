"""A given `ubra_manager` as snapshot source, with its order book methods, its errors and its used weight.

Any object with these methods works. It is called on threads of the client, several at a time, and never
stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from depthcache import RequestRejected, SnapshotRequest, SnapshotResponse, venues

__all__ = ["UbraSnapshots"]

_CALLS: Mapping[venues.Family, str] = {
    "spot": "get_order_book",
    "linear": "futures_order_book",
    "inverse": "futures_coin_order_book",
    "options": "options_order_book",
}
"""Exchange family to the method that returns a snapshot."""


class UbraSnapshots:
    """A snapshot source that calls the object from `find`. Without one, or without the method, the client
    requests the snapshot itself."""

    def __init__(self, find: Callable[[], Any]) -> None:
        self._find = find

    def __call__(self, request: SnapshotRequest) -> SnapshotResponse | None:
        """One snapshot. Raises RequestRejected if the exchange refused the request."""
        ubra = self._find()
        ask = getattr(ubra, _CALLS[venues.venue(request.exchange).family], None)
        if ask is None:
            return None
        try:
            body = ask(symbol=request.symbol, limit=request.limit)
        except Exception as error:
            raise _as_answer(error, request) from error
        return SnapshotResponse(body, _used_weight(ubra))


def _as_answer(error: Exception, request: SnapshotRequest) -> Exception:
    """The error as RequestRejected if it has the exchange's response; otherwise unchanged."""
    status, code = getattr(error, "status_code", None), getattr(error, "code", None)
    if not isinstance(status, int):
        return error
    return RequestRejected(
        url=f"the order book of {request.symbol}",
        status=status,
        code=code if isinstance(code, int) else None,
        text=str(getattr(error, "message", "") or error),
    )


def _used_weight(ubra: Any) -> int | None:
    """The used weight that the object last received; None if it does not know without a request."""
    tell = getattr(ubra, "get_used_weight", None)
    if tell is None:
        return None
    try:
        return int(tell(cached=True)["weight"])
    except (KeyError, TypeError, ValueError):
        return None
