"""A given `ubra_manager` as the source of snapshots: its order-book calls, its errors, its used weight.

Any object with these calls will do. It is called on threads of the client, several at a time, and never
stopped. Not here: when a snapshot is asked.
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
"""Which call brings a snapshot."""


class UbraSnapshots:
    """Asks whatever `find` gives; None, or an object without the call, leaves it to the client."""

    def __init__(self, find: Callable[[], Any]) -> None:
        self._find = find

    def __call__(self, request: SnapshotRequest) -> SnapshotResponse | None:
        """One snapshot. Raises RequestRejected for what the exchange refused."""
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
    """What the exchange answered, where the error tells; itself where it does not."""
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
    """The weight the object heard of last, where it can tell without asking."""
    tell = getattr(ubra, "get_used_weight", None)
    if tell is None:
        return None
    try:
        return int(tell(cached=True)["weight"])
    except (KeyError, TypeError, ValueError):
        return None
