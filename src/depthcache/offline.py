"""The offline book: no network, the same rules. Reading is native (`_native.Book`)."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Literal, Self, SupportsIndex, cast

from depthcache import _native, venues
from depthcache.errors import InvalidArgument
from depthcache.model import SnapshotOutcome
from depthcache.naming import publish

if TYPE_CHECKING:
    from depthcache._native import Frame

__all__ = ["Book"]


class Book(_native.Book):
    """An offline book: you feed it snapshots and frames, and it applies the rules of the exchange.

        book = depthcache.Book("binance.com")
        book.load_snapshot(body, limit=1000)
        book.apply(frame)        # APPLIED, OLD, WAITING, GAP or IGNORED

    Before the first snapshot and after `GAP`, diffs are buffered and reads of levels raise BookNotSynced,
    until `load_snapshot` installs a matching snapshot. With `on_stale="serve"` they return the last known
    book instead; check `status`.

    `exchange`: an exchange name. `symbol`: messages for any other symbol raise SymbolMismatch; None takes the
    symbol from the first message that has one. Raises UnknownExchange or InvalidArgument.
    """

    def __new__(
        cls, exchange: str, symbol: str | None = None, *, on_stale: Literal["raise", "serve"] = "raise"
    ) -> Self:
        """Create an empty book. `on_stale`: what reads do while it is not synced."""
        venue = venues.venue(exchange)
        parsed = None if symbol is None else venues.parse_symbol(symbol, venue)
        if on_stale not in ("raise", "serve"):
            raise InvalidArgument(name="on_stale", value=on_stale, allowed="'raise' or 'serve'")
        return super().__new__(
            cls,
            venue.name,
            parsed,
            venue.continuity,
            inverse=venue.family == "inverse",
            serve_stale=on_stale == "serve",
        )

    def load_snapshot(
        self, body: Frame, *, limit: int | None = None, latest_us: int | None = None
    ) -> SnapshotOutcome:
        """Install a snapshot: the `body` of a REST depth response, as bytes or text.

        `limit`: the limit of the request, None if unknown. It decides the complete range: a side with fewer
        levels than the limit is known completely. On spot, a limit above the exchange's maximum counts as the
        maximum, as the exchange treats it. Buffered diffs newer than the snapshot are applied immediately.

        `latest_us`: when the response arrived, in microseconds since 1970 on the exchange's clock. Spot
        snapshots carry no time. Without it, diffs that arrive late cannot be told from a reset of update ids
        until the first diff is applied. Futures snapshots carry `E` and `T`.

        An older snapshot leaves the book unchanged and returns `TOO_OLD`: one with a lower update id than a
        synced book, or, after `GAP`, one that leaves a gap before the buffered diffs. A lower id is accepted
        only if the exchange has reset its update ids: `apply` returned GAP for that and the buffered diffs
        continue the snapshot; or the snapshot was clearly made after the last update of the book; or all
        diffs since the last snapshot were at or before it and their order in time is unknown. A snapshot with
        the same id replaces the levels.

        Raises InvalidArgument for a limit that the exchange rejects, MalformedSnapshot for other content, and
        SymbolMismatch for a snapshot of another symbol; the book is then unchanged.
        """
        served = None if limit is None else venues.venue(self.exchange).served_limit(limit)
        if latest_us is not None and (isinstance(latest_us, bool) or not 0 < _whole(latest_us) < 10**17):
            allowed = "microseconds since 1970 as a whole number, or None"
            raise InvalidArgument(name="latest_us", value=latest_us, allowed=allowed)
        return super().load_snapshot(body, limit=served, latest_us=latest_us)


def _whole(value: object) -> int:
    """Convert to int, also from numpy; 0 for anything else."""
    try:
        return index(cast("SupportsIndex", value))
    except TypeError:
        return 0


publish("depthcache", Book)
