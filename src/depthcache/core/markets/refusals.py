"""What the exchange says against one market: that its symbol is unknown, ended, or does not trade.

Refused snapshots and lists of symbols meet here, with the diffs that come: a book that is live, or whose
diffs come, is not halted because one snapshot was refused. One answer proves little anyhow: nodes of the
exchange lag, and one that does not know a fresh listing yet refuses its snapshot (-1121) or leaves it out of
exchangeInfo. So a symbol ends only when a list that was asked after the refusal agrees, and a book that has
lived needs the same word several times; while its diffs chain it needs it for a minute.

Not here: what is asked when (`requests.exchange_info`), what an end does (`supervisor`).
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
"""How long the next snapshot of a symbol that seems unknown waits for the list."""
_SILENT_NS = to_ns(10.0)
"""A book without a diff for so long does not count as one whose diffs chain."""
_APART_NS = to_ns(9.5)
"""Two lists this far apart are two responses: the list is asked every 10 s while there is doubt."""
_MOST_LISTS = 6
"""Lists requested at most about a live book: one that never has its symbol must not cost weight for ever."""
_NODES_LAG_NS = to_ns(2 * NODE_LAG_S - 5.0)
"""Twice as long as nodes lag, less the time of one list."""


class Refusals:
    """The evidence against one market, and what follows from it."""

    __slots__ = ("_existence", "_idle", "_listed_as", "_pauses", "near", "refused")

    def __init__(self, pauses: Pauses) -> None:
        self._existence, self._pauses = Existence(), pauses
        self._listed_as = self._idle = ""
        self.refused: str = ""
        """Why the last snapshot was refused, where that speaks against the symbol."""
        self.near: tuple[str, ...] = ()
        """Symbols that look like one that is not listed."""

    @property
    def halted(self) -> str:
        """Why the symbol counts as halted; empty while it does not."""
        return self._listed_as or self._idle

    @property
    def is_doubted(self) -> bool:
        """Whether responses speak against the symbol, so that a whole list is waited for."""
        return self._existence.is_doubted

    # --- what happened ---------------------------------------------------------------------

    def on_refused(
        self, response: ClassifiedResponse, *, is_live: bool, heard_ns: int | None, now_ns: int
    ) -> str:
        """A snapshot was refused because the symbol is unknown, or does not trade: what to say of it, empty
        where the list of symbols is to be asked first.

        `is_live`: it was no first snapshot, so that the book goes on without it.
        """
        if not is_live:
            self._pauses.on_failed(now_ns)
        if response.action is ResponseAction.UNKNOWN:
            self.refused = response.reason
            if not self._existence.on_refused(now_ns):
                return reasons.list_awaited(response.reason)
            if not is_live:  # nearly always the list agrees, and soon
                self._pauses.hold(_LOOKED_UP_S, now_ns)
            return ""
        if not is_live and not self._existence.is_flowing(heard_ns, now_ns):
            self._idle = reasons.not_trading(response.reason)
        return reasons.snapshot_refused(response.reason)

    def on_snapshot(self) -> None:
        """A snapshot came."""
        self._existence.on_snapshot()
        self._pauses.on_answered()
        self._idle = self.refused = ""

    def on_diff(self, now_ns: int) -> bool:
        """The first diff came; True where that speaks against what was refused before."""
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
        """The list came, asked at `asked_ns`: the market's end, where it is one, and what to say of it.

        `was_synced`: the book was synced once. `heard_ns`: when its last diff came; None for never.
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
    """The evidence against one symbol. Times in nanoseconds of the caller's clock."""

    __slots__ = ("_first_ns", "_heard_ns", "_last_ns", "_refused_ns", "_silent_times", "_times")

    def __init__(self) -> None:
        self._refused_ns: int | None = None
        self._times = self._silent_times = 0
        self._first_ns = self._last_ns = self._heard_ns = 0

    @property
    def is_doubted(self) -> bool:
        """Whether anything speaks against the symbol."""
        return self._refused_ns is not None or 0 < self._times <= _MOST_LISTS

    def on_refused(self, now_ns: int) -> bool:
        """A snapshot was refused because of the symbol; True when nothing was known against it before."""
        is_first = self._refused_ns is None
        if is_first:
            self._refused_ns = now_ns
        return is_first

    def on_snapshot(self) -> None:
        """A snapshot came."""
        self._refused_ns = None

    def on_listed(self) -> None:
        """The list has it, and does not say that it ended."""
        self._refused_ns, self._times, self._silent_times = None, 0, 0

    def on_missing(self, *, asked_ns: int, heard_ns: int | None, now_ns: int) -> None:
        """A whole list, asked at `asked_ns`, does not have it, or says that it ended; the last diff came at
        `heard_ns`."""
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
        """Whether the symbol is to be given up.

        `has_lived`: the book was synced once, or a diff came. `heard_ns`: when the last one did. `is_told`:
        the list has the symbol and says that it ended; otherwise the list does not have it.
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
        """Whether diffs come, the last at `heard_ns`."""
        return heard_ns is not None and now_ns - heard_ns < _SILENT_NS
