"""Evidence of the exchange against one market: its symbol is unknown, has ended, or is not trading.

Refused snapshots and lists of symbols are weighed against arriving diffs: a book that is live, or whose diffs
arrive, is not halted because one snapshot was refused. A single response proves little, because nodes of the
exchange lag: one that does not know a new listing yet refuses its snapshot (-1121) or leaves it out of
exchangeInfo. So a symbol ends only if a list requested after the refusal agrees. A book that had data needs
the same answer several times, and for a minute while its diffs chain.

When to request what is in `requests.exchange_info`, the effect of an end in `supervisor`.
"""

from __future__ import annotations

from depthcache.core import reasons
from depthcache.core.markets.pauses import Pauses
from depthcache.core.notices import Ending
from depthcache.core.policy import to_ns
from depthcache.core.requests.exchange_info import Trading
from depthcache.core.requests.responses import ClassifiedResponse, ResponseAction
from depthcache.exchange_figures import NODE_LAG_S

__all__ = ["Existence", "Refusals"]

_LOOKED_UP_S = 5.0
"""How long the next snapshot of a seemingly unknown symbol waits for the list."""
_SILENT_NS = to_ns(10.0)
"""After this long without a diff, a book no longer counts as one whose diffs chain."""
_APART_NS = to_ns(9.5)
"""Two lists this far apart are two responses: in doubt, the list is requested every 10 s."""
_MOST_LISTS = 6
"""The number of lists requested about a live book, which bounds the weight if none ever has its symbol."""
_NODES_LAG_NS = to_ns(2 * NODE_LAG_S - 5.0)
"""Twice the lag of nodes, less the time of one list."""


class Refusals:
    """The evidence against one market, and its consequences."""

    __slots__ = ("_existence", "_idle", "_listed_as", "_pauses", "near", "refused")

    def __init__(self, pauses: Pauses) -> None:
        self._existence, self._pauses = Existence(), pauses
        self._listed_as = self._idle = ""
        self.refused: str = ""
        """Why the last snapshot was refused, if that is evidence against the symbol."""
        self.near: tuple[str, ...] = ()
        """Symbols similar to one that is not listed."""

    @property
    def halted(self) -> str:
        """Why the symbol counts as halted; empty if it does not."""
        return self._listed_as or self._idle

    @property
    def is_doubted(self) -> bool:
        """Whether responses contradict the symbol, so that a whole list is needed."""
        return self._existence.is_doubted

    # --- what happened ---------------------------------------------------------------------

    def on_refused(
        self, response: ClassifiedResponse, *, is_live: bool, heard_ns: int | None, now_ns: int
    ) -> str:
        """A snapshot was refused because the symbol is unknown or not trading.

        Returns the reason; empty if the list of symbols has to be requested first. `is_live`: it was not a
        first snapshot, so the book continues without it.
        """
        if not is_live:
            self._pauses.on_failed(now_ns)
        if response.action is ResponseAction.UNKNOWN:
            self.refused = response.reason
            if not self._existence.on_refused(now_ns):
                return reasons.list_awaited(response.reason)
            if not is_live:  # the list nearly always agrees, and arrives soon
                self._pauses.hold(_LOOKED_UP_S, now_ns)
            return ""
        if not is_live and not self._existence.is_flowing(heard_ns, now_ns):
            self._idle = reasons.not_trading(response.reason)
        return reasons.snapshot_refused(response.reason)

    def on_snapshot(self) -> None:
        """A snapshot arrived."""
        self._existence.on_snapshot()
        self._pauses.on_answered()
        self._idle = self.refused = ""

    def on_diff(self, now_ns: int) -> bool:
        """The first diff arrived; True if that contradicts an earlier refusal."""
        if not (self._idle or self.refused):
            return False
        self._idle = ""
        self._pauses.end(now_ns)
        return True

    def on_list(
        self,
        trading: Trading,
        status: str,
        near: tuple[str, ...],
        *,
        was_synced: bool,
        heard_ns: int | None,
        asked_ns: int,
        now_ns: int,
    ) -> tuple[tuple[Ending, str] | None, str]:
        """The list, requested at `asked_ns`, arrived.

        Returns the end of the market, if it is one, and the reason. `was_synced`: whether the book was ever
        synced. `heard_ns`: the time of its last diff; None if never.
        """
        self.near = near
        if trading not in (Trading.GONE, Trading.ENDED):
            words = reasons.listed_again(self.refused) if self.refused else ""
            self._on_listed(trading, status, heard_ns, now_ns)
            return None, words
        existence, has_lived = self._existence, was_synced or heard_ns is not None
        existence.on_missing(asked_ns=asked_ns, heard_ns=heard_ns, now_ns=now_ns)
        if existence.is_over(has_lived=has_lived, heard_ns=heard_ns, is_told=bool(status), now_ns=now_ns):
            return self._end(status, has_lived=has_lived), ""
        if status and not existence.is_flowing(heard_ns, now_ns):
            self._listed_as = reasons.halted(status)
        return None, ""

    def _on_listed(self, trading: Trading, status: str, heard_ns: int | None, now_ns: int) -> None:
        self._existence.on_listed()
        before, self._listed_as, self.refused = self._listed_as, "", ""
        if trading is Trading.HALTED:
            self._listed_as = reasons.halted(status)
        elif self._existence.is_flowing(heard_ns, now_ns):
            before, self._idle = before or self._idle, ""
        if before and trading is Trading.ON:
            self._pauses.end(now_ns)
        else:
            self._pauses.release(now_ns)

    def _end(self, status: str, *, has_lived: bool) -> tuple[Ending, str]:
        if status:
            return Ending.DELISTED, reasons.ended(status)
        if not has_lived:
            return Ending.UNKNOWN_SYMBOL, reasons.unknown_symbol(self.refused)
        return Ending.DELISTED, reasons.not_listed(self.refused)


class Existence:
    """The evidence against one symbol. Times are nanoseconds of the caller's clock."""

    __slots__ = ("_first_ns", "_heard_ns", "_last_ns", "_refused_ns", "_silent_times", "_times")

    def __init__(self) -> None:
        self._refused_ns: int | None = None
        self._times = self._silent_times = 0
        self._first_ns = self._last_ns = self._heard_ns = 0

    @property
    def is_doubted(self) -> bool:
        """Whether there is any evidence against the symbol."""
        return self._refused_ns is not None or 0 < self._times <= _MOST_LISTS

    def on_refused(self, now_ns: int) -> bool:
        """A snapshot was refused because of the symbol; True if this is the first evidence."""
        is_first = self._refused_ns is None
        if is_first:
            self._refused_ns = now_ns
        return is_first

    def on_snapshot(self) -> None:
        """A snapshot arrived."""
        self._refused_ns = None

    def on_listed(self) -> None:
        """The symbol is on the list, and has not ended."""
        self._refused_ns, self._times, self._silent_times = None, 0, 0

    def on_missing(self, *, asked_ns: int, heard_ns: int | None, now_ns: int) -> None:
        """A whole list, requested at `asked_ns`, does not have the symbol, or says that it ended.

        `heard_ns`: the time of the last diff.
        """
        if self._refused_ns is not None and asked_ns < self._refused_ns:
            return
        if not self._times:
            self._first_ns = now_ns
        elif now_ns - self._last_ns < _APART_NS:
            return
        if (heard_ns or 0) > self._heard_ns:
            self._heard_ns, self._silent_times = heard_ns or 0, 0
        self._times += 1
        self._silent_times += 1
        self._last_ns = now_ns

    def is_over(self, *, has_lived: bool, heard_ns: int | None, is_told: bool, now_ns: int) -> bool:
        """Whether to give up the symbol.

        `has_lived`: whether the book was ever synced, or a diff came. `heard_ns`: the time of the last diff.
        `is_told`: whether the list has the symbol and says that it ended; otherwise it does not have it.
        """
        if not self._times:
            return False
        is_refused = self._refused_ns is not None
        if not has_lived:
            return is_told or is_refused
        if is_told:
            return self._times > 1
        for_long = self._times > 2 and now_ns - self._first_ns >= _NODES_LAG_NS
        is_silent = self._silent_times > 2 and not self.is_flowing(heard_ns, now_ns)
        return (is_refused and (for_long or is_silent)) or (for_long and is_silent)

    @staticmethod
    def is_flowing(heard_ns: int | None, now_ns: int) -> bool:
        """Whether diffs arrive, the last one at `heard_ns`."""
        return heard_ns is not None and now_ns - heard_ns < _SILENT_NS
