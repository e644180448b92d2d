"""One running market of a simulated exchange: its streams, and its phases by command or by chance.

A phase starts with the market's next event and ends by itself: a burst of events, a side that stays empty, a
crossed book.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from depthcache.simulator.cached import CachedSnapshots
from depthcache.simulator.faults import Faults
from depthcache.simulator.listing import ListedSymbol
from depthcache.simulator.market import Change, Market
from depthcache.simulator.sessions import LiveSession
from depthcache.simulator.streams import Diffs
from depthcache.venues import Venue

__all__ = ["LateMessage", "Phase", "RunningMarket", "RunningStream"]

_HUGE = (500, 1_000)
"""Fewest and most levels of a huge event."""
_BURST_TIMES = 10.0
_MS_NS = 1_000_000


class Phase(Enum):
    """A temporary state of a market."""

    BURST = "burst"
    NO_BIDS = "no_bids"
    NO_ASKS = "no_asks"
    CROSSED = "crossed"
    STILL = "still"


@dataclass(slots=True, eq=False)
class RunningStream:
    """One stream with subscribers."""

    name: str
    kind: str
    every_ns: int
    diffs: Diffs | None
    listeners: list[LiveSession] = field(default_factory=list)
    said: str | None = None
    is_over: bool = False
    last_ns: int = 0
    """When the last late message is sent, so that none overtakes another."""


@dataclass(frozen=True, slots=True)
class LateMessage:
    """A message of a stream that may be sent late."""

    stream: RunningStream
    said: str
    fault: str
    behind_ns: int

    def send(self, at_ns: int) -> None:
        """Send it to all current subscribers."""
        for session in tuple(self.stream.listeners):
            session.send(self.stream.name, self.said, at_ns, fault=self.fault, behind_ns=self.behind_ns)


@dataclass(slots=True, eq=False)
class RunningMarket:
    """One running market, of all venues that have the same books."""

    venue: Venue
    symbol: str
    market: Market
    listed: ListedSymbol
    cached: CachedSnapshots | None
    streams: dict[str, RunningStream] = field(default_factory=dict)
    huge: int = 0
    """Levels of the next event, by command; 0 for none."""
    times: float = 1.0
    """Speed factor of a burst."""
    _ends: dict[Phase, int] = field(default_factory=dict)

    def begin(self, phase: Phase, until_ns: int, *, times: float = _BURST_TIMES) -> None:
        """Start a phase with the next event, until `until_ns`."""
        self._ends[phase] = until_ns
        if phase is Phase.BURST:
            self.times = times

    def end(self, stream: RunningStream) -> None:
        """Remove a stream without subscribers."""
        stream.is_over = True
        if self.streams.get(stream.name) is stream:
            del self.streams[stream.name]

    def move(self, faults: Faults | None, at_ns: int) -> list[Change]:
        """The changes of the next event; none while the market is still."""
        if faults is not None:
            self._by_chance(faults, at_ns)
        if self._ends:
            self._ends = {phase: end_ns for phase, end_ns in self._ends.items() if end_ns > at_ns}
        market = self.market
        sides = (side for side, phase in enumerate((Phase.NO_BIDS, Phase.NO_ASKS)) if phase in self._ends)
        market.keep_empty(next(sides, None))
        market.keep_crossed(on=Phase.CROSSED in self._ends)
        if self.listed.is_still or Phase.STILL in self._ends:
            return []
        huge, self.huge = self.huge, 0
        return market.move(prices=huge)

    def next_ns(self, at_ns: int) -> int:
        """Time of the event after this one."""
        times = self.times if Phase.BURST in self._ends else 1.0
        return at_ns + max(1, round(self.market.profile.interval_ms * _MS_NS / times))

    def on_new_ids(self, last_id: int) -> None:
        """The update ids have restarted; `last_id` was the last one before."""
        self.market.on_new_ids(last_id)
        for stream in self.streams.values():
            if stream.diffs is not None:
                stream.diffs.on_new_ids()

    def _by_chance(self, faults: Faults, at_ns: int) -> None:
        for phase in Phase:
            if faults.happens(phase.value, at_ns):
                self.begin(phase, at_ns + faults.delay_ns())
        if faults.happens("huge", at_ns):
            self.huge = faults.between(*_HUGE)
