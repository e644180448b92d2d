"""The venues and symbols of a recording, and the state of each during playback.

Filled by reading ahead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from depthcache.recording import Diff, Frame, Record, RecordedResponse, RecordedSnapshot
from depthcache.recording.origin import venue_of_origin
from depthcache.simulator.rebuilt import RebuiltBook
from depthcache.venues import Venue

__all__ = ["RecordingIndex", "Symbol", "VenueIndex"]


@dataclass(slots=True, eq=False)
class Symbol:
    """The state of one symbol."""

    book: RebuiltBook
    first: RecordedSnapshot | None = None
    """The recorded snapshot for the first request; None if it was not read in time."""
    first_diff: Diff | None = None
    stream: str | None = None
    """Its diff stream; of several recorded speeds, the first."""
    is_ahead: bool = True
    """Whether `first` is still to be played."""
    has_diffs: bool = False
    """Whether a diff has been played."""
    is_asked: bool = False
    """Whether a snapshot was requested, or playback no longer waits for that."""
    is_awaited: bool = False
    """Whether playback has waited for that once, in vain."""
    is_missed: bool = False
    """Whether a diff newer than `first` was played without a subscriber."""
    unasked: int = 0
    """Number of played diffs that are newer than `first`."""


@dataclass(slots=True, eq=False)
class VenueIndex:
    """The symbols and data of one venue."""

    venue: Venue
    symbols: dict[str, Symbol] = field(default_factory=dict)
    exchange_info: bytes | None = None


class RecordingIndex:
    """All venues of a recording. Every record passes through `meet` once, when it is read."""

    def __init__(self, served_as: Venue | None) -> None:
        """`served_as`: the venue of all records, if the user named it."""
        self._served_as = served_as
        self.venues: dict[str, VenueIndex] = {}

    def meet(self, records: Iterator[Record]) -> Iterator[Record]:
        """Yield the same records after adding each to the index."""
        for record in records:
            if isinstance(record, Frame):
                if isinstance(record.about, Diff):
                    self._meet_diff(record, record.about)
            elif isinstance(record, RecordedSnapshot):
                symbol = self.symbol(record.venue, record.symbol or "")
                if symbol.first is None and not symbol.has_diffs:
                    symbol.first = record
                    symbol.book.on_snapshot(record)
            elif isinstance(record, RecordedResponse):
                self._meet_answer(record)
            yield record

    def venue(self, origin: str | None) -> VenueIndex:
        """The venue of an origin; spot if the recording does not name one."""
        venue = self._served_as or venue_of_origin(origin or "spot")
        found = self.venues.get(venue.name)
        if found is None:
            found = self.venues[venue.name] = VenueIndex(venue)
        return found

    def symbol(self, origin: str | None, name: str) -> Symbol:
        """The symbol of a name."""
        place = self.venue(origin)
        found = place.symbols.get(name)
        if found is None:
            found = place.symbols[name] = Symbol(RebuiltBook(place.venue, name))
        return found

    def _meet_diff(self, frame: Frame, diff: Diff) -> None:
        symbol = self.symbol(frame.venue, diff.symbol)
        if symbol.first_diff is None:
            symbol.first_diff, symbol.stream = diff, frame.stream

    def _meet_answer(self, response: RecordedResponse) -> None:
        place = self.venue(response.venue)
        if place.exchange_info is None and urlsplit(response.url).path.endswith("/exchangeInfo"):
            place.exchange_info = response.body
