"""Cross check: a book compared with other streams of the exchange, the best 20 levels and the best two.

Partial depth and bookTicker use the same update ids as the diffs (spot docs 2026-07-21; 1,919 of 1,919
partial payloads of spot BTCUSDT had the id of a diff, measured 2026-08-24). If the id of a payload is that of
the book, both must show the same prices and quantities. A payload that arrives before its diff is held for a
moment; one whose id the book has passed or never reaches is skipped and counted: outside spot, most ids never
match. Comparisons with snapshots are in `maintenance`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from depthcache.core.connections.control_messages import ErrorReply
from depthcache.core.connections.streams import Streams
from depthcache.core.context import Context
from depthcache.core.timers import Timer
from depthcache.engine import Reader
from depthcache.errors import BookError

__all__ = ["CrossCheck", "Source"]

_AGAIN_NS = 20_000_000
_TRIES = 10
_TOP = 20
_SUFFIXES = ("@depth20@100ms", "@bookTicker")
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


@dataclass(slots=True)
class Source:
    """The results of one stream so far, in payloads and in prices."""

    compared: int = 0
    skipped: int = 0
    checked: int = 0
    differing: int = 0
    missing: int = 0
    extra: int = 0


@dataclass(slots=True, eq=False)
class _Held:
    update_id: int
    sides: tuple[list[tuple[float, float]], list[tuple[float, float]]]
    levels: int
    """The number of levels per side in the stream; a payload with fewer shows the whole side."""
    left: int = _TRIES


class _Stream:
    """One of the streams; its absence matters only to the audit."""

    takes_diffs = False
    resume_id = None

    def __init__(self, market: int) -> None:
        self.market = market

    def on_connected(self, now_ns: int) -> None:
        """Frames may come."""

    def on_live(self, now_ns: int) -> None:
        """The subscription was acknowledged."""

    def on_disconnected(self, reason: str, now_ns: int) -> None:
        """No effect: it reconnects by itself."""

    def on_weakened(self, now_ns: int, *, is_silent: bool) -> None:
        """No effect."""

    def on_doubted(self) -> None:
        """No effect."""

    def on_refused(self, error: ErrorReply, now_ns: int) -> None:
        """Nothing is compared then."""


class CrossCheck:
    """The comparisons of one book. Usage: `start`, frames and timers, `stop`."""

    def __init__(self, context: Context, market: int, symbol: str, book: Reader, streams: Streams) -> None:
        self._context, self._market, self._streams, self._book = context, market, streams, book
        lowered = symbol.translate(_LOWER)
        self.sources: dict[str, Source] = {lowered + suffix: Source() for suffix in _SUFFIXES}
        self._ours: set[str] = set()
        self._held: dict[str, _Held] = {}

    # --- commands --------------------------------------------------------------------------

    def start(self, now_ns: int) -> None:
        """Subscribe to streams that are not yet subscribed for another purpose."""
        for name in self.sources:
            if name not in self._streams:
                self._ours.add(name)
                self._streams.add(name, _Stream(self._market), now_ns)

    def stop(self, now_ns: int) -> None:
        """Unsubscribe those streams."""
        for name in self._ours:
            self._streams.remove(name, now_ns)
        self._ours.clear()
        self._held.clear()
        self._context.deadlines.clear(self._market, Timer.PROOF)

    # --- what happened ---------------------------------------------------------------------

    def on_frame(self, stream: str, frame: bytes, skipped: int, now_ns: int) -> None:
        """A payload arrived; `skipped` earlier ones were dropped."""
        source = self.sources[stream]
        source.skipped += skipped + (stream in self._held)
        held = _read(frame)
        if held is None:
            source.skipped += 1
            return
        self._held[stream] = held
        self._try(stream, held, now_ns)

    def on_timer(self, now_ns: int) -> None:
        """PROOF is due: the book may have reached a held payload."""
        for stream, held in tuple(self._held.items()):
            self._try(stream, held, now_ns)

    # --- inside ----------------------------------------------------------------------------

    def _try(self, stream: str, held: _Held, now_ns: int) -> None:
        source = self.sources[stream]
        try:
            frozen = self._book.freeze(held.levels)
        except BookError:
            frozen = None
        ours = None if frozen is None else frozen.last_update_id
        if frozen is not None and ours == held.update_id:
            source.compared += 1
            for theirs, side in zip(held.sides, (frozen.bids, frozen.asks), strict=True):
                _count(source, theirs, [(float(price), float(quantity)) for price, quantity in side])
        elif ours is not None and ours < held.update_id and held.left:
            held.left -= 1
            self._context.deadlines.set(Timer.PROOF, self._market, now_ns + _AGAIN_NS)
            return
        else:
            source.skipped += 1
        del self._held[stream]


def _count(source: Source, theirs: list[tuple[float, float]], ours: list[tuple[float, float]]) -> None:
    shown, held = dict(theirs), dict(ours)
    source.checked += len(shown.keys() | held.keys())
    source.missing += len(shown.keys() - held.keys())
    source.extra += len(held.keys() - shown.keys())
    source.differing += sum(held[price] != shown[price] for price in shown.keys() & held.keys())


def _read(frame: bytes) -> _Held | None:
    """The id and levels of a payload of either stream; None for anything else."""
    try:
        data: Any = msgspec.json.decode(frame)["data"]
        update_id = data["lastUpdateId"] if "lastUpdateId" in data else data["u"]
        if "B" in data:
            levels = 1
            bids, asks = [[data["b"], data["B"]]], [[data["a"], data["A"]]]
        else:
            levels = _TOP
            bids, asks = data.get("bids", data.get("b")), data.get("asks", data.get("a"))
        if not isinstance(update_id, int):
            return None
        return _Held(update_id, (_levels(bids), _levels(asks)), levels)
    except (msgspec.DecodeError, LookupError, TypeError, ValueError, AttributeError, UnicodeDecodeError):
        return None


def _levels(levels: Any) -> list[tuple[float, float]]:
    return [(float(price), float(quantity)) for price, quantity, *_ in levels]
