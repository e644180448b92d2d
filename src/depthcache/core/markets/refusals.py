"""What the exchange says against one market: that its symbol is unknown, ended, or does not trade.

Refused snapshots and lists of symbols meet here, with the diffs that come (`existence`): a book that is live,
or whose diffs come, is not halted because one snapshot was refused. Not here: what is asked, and what an end
does (`supervisor`).
"""

from __future__ import annotations

from depthcache.core.markets.existence import Existence
from depthcache.core.markets.pauses import Pauses
from depthcache.core.notices import Ending
from depthcache.core.requests.exchange_info import Trading
from depthcache.core.requests.responses import ClassifiedResponse, ResponseAction

__all__ = ["Refusals"]

_LOOKED_UP_S = 5.0
"""How long the next snapshot of a symbol that seems unknown waits for the list."""


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
                return f"the exchange's list of symbols is awaited: {response.reason}"
            if not is_live:  # nearly always the list agrees, and soon
                self._pauses.hold(_LOOKED_UP_S, now_ns)
            return ""
        if not is_live and not self._existence.is_flowing(heard_ns, now_ns):
            self._idle = f"the exchange says that it does not trade: {response.reason}"
        return f"the snapshot is refused and asked again: {response.reason}"

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
        life: tuple[bool, int | None],
        asked_ns: int,
        now_ns: int,
    ) -> tuple[tuple[Ending, str] | None, str]:
        """The list came, asked at `asked_ns`: the market's end, where it is one, and what to say of it.

        `life`: whether the book was synced once, and when its last diff came.
        """
        self.near, (was_synced, heard_ns) = near, life
        if trading not in (Trading.GONE, Trading.ENDED):
            words = f"it is listed, and its snapshot is asked again: {self.refused}" if self.refused else ""
            self._on_listed(trading, status, heard_ns, now_ns)
            return None, words
        existence, has_lived = self._existence, was_synced or heard_ns is not None
        existence.on_missing(asked_ns=asked_ns, heard_ns=heard_ns, now_ns=now_ns)
        if existence.is_over(has_lived=has_lived, heard_ns=heard_ns, is_told=bool(status), now_ns=now_ns):
            return self._end(status, has_lived=has_lived), ""
        if status and not existence.is_flowing(heard_ns, now_ns):
            self._listed_as = f"the exchange says {status}"
        return None, ""

    def _on_listed(self, trading: Trading, status: str, heard_ns: int | None, now_ns: int) -> None:
        self._existence.on_listed()
        before, self._listed_as, self.refused = self._listed_as, "", ""
        if trading is Trading.HALTED:
            self._listed_as = f"the exchange says {status}"
        elif self._existence.is_flowing(heard_ns, now_ns):
            before, self._idle = before or self._idle, ""
        if before and trading is Trading.ON:
            self._pauses.end(now_ns)
        else:
            self._pauses.release(now_ns)

    def _end(self, status: str, *, has_lived: bool) -> tuple[Ending, str]:
        if status:
            return Ending.DELISTED, f"the exchange ended it: its status is {status}"
        if not has_lived:
            return Ending.UNKNOWN_SYMBOL, f"the exchange does not know it: {self.refused}"
        refused = f": {self.refused}" if self.refused else ""
        return Ending.DELISTED, f"the exchange does not list it any more{refused}"
