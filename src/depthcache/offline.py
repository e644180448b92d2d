"""A book without any network, by the rules of an exchange. Reading is native (`_native.Book`)."""

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
    """A book without any network, by the rules of an exchange: you bring snapshots and frames.

        book = depthcache.Book("binance.com")
        book.load_snapshot(body, limit=1000)
        book.apply(frame)        # APPLIED, OLD, WAITING, GAP or IGNORED

    After GAP, and before the first snapshot, reads of levels raise BookNotSynced until `load_snapshot`
    brings a snapshot that fits; diffs are kept meanwhile. `on_stale="serve"` reads the last known book
    instead; `status` tells that it is not the present.

    `symbol`: messages of another one raise SymbolMismatch; without it the first message that names one
    decides. Raises UnknownExchange or InvalidArgument.
    """

    def __new__(
        cls, exchange: str, symbol: str | None = None, *, on_stale: Literal["raise", "serve"] = "raise"
    ) -> Self:
        """An empty book. `on_stale`: what reads do while it is not synced."""
        venue = venues.venue(exchange)
        parsed = None if symbol is None else venues.parse_symbol(symbol, venue)
        if on_stale not in ("raise", "serve"):
            raise InvalidArgument(name="on_stale", value=on_stale, allowed="raise, serve")
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
        """Install the bytes of a REST depth response, its `body`, to a request with `limit`.

        The limit decides how deep the book is complete: fewer levels than it show the whole side.
        None: unknown. A limit above the exchange's maximum counts as the maximum where the exchange
        cuts it (spot). Kept diffs newer than the snapshot are applied at once.

        `latest_us`: when the response came, in microseconds since 1970 on the exchange's clock. Spot bodies
        tell no time, and without one old diffs that arrive late cannot be told from restarted ids
        before the first diff was applied; futures bodies have `E` and `T`.

        An older snapshot changes nothing (`TOO_OLD`): one with a lower id than a synced book's, or, after
        GAP, one that leaves a hole before the kept diffs. A lower id is taken where ids restarted: when
        `apply` has said so (GAP, and the kept diffs continue the snapshot); when the snapshot was made
        clearly after what the book holds; or when every diff since the last snapshot was at or before it and
        nothing tells their order in time. The same id replaces the levels.

        Raises InvalidArgument for a limit that the exchange refuses, MalformedSnapshot for other bytes,
        SymbolMismatch for a snapshot of another symbol; nothing is changed then.
        """
        served = None if limit is None else venues.venue(self.exchange).served_limit(limit)
        if latest_us is not None and (isinstance(latest_us, bool) or not 0 < _whole(latest_us) < 10**17):
            allowed = "microseconds since 1970 as a whole number, or None"
            raise InvalidArgument(name="latest_us", value=latest_us, allowed=allowed)
        return super().load_snapshot(body, limit=served, latest_us=latest_us)


def _whole(value: object) -> int:
    """A whole number, also one of numpy; 0 for anything else."""
    try:
        return index(cast("SupportsIndex", value))
    except TypeError:
        return 0


publish("depthcache", Book)
