"""Who appears in a recording: its venues, its symbols, and what is known of each before it is played.

Filled by reading ahead. Not here: the play (`recorded`), the rebuilt books (`rebuilt`).
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
    """What is known of one symbol."""

    book: RebuiltBook
    first: RecordedSnapshot | None = None
    """The recorded snapshot that the first request gets; None where it was not read in time."""
    first_diff: Diff | None = None
    stream: str | None = None
    """Its diff stream; a recording that holds several speeds is served with the first of them."""
    is_ahead: bool = True
    """Whether `first` was not played yet."""
    has_diffs: bool = False
    """Whether diffs were played."""
    is_asked: bool = False
    """Whether a snapshot was requested, or no request is waited for any more."""
    is_missed: bool = False
    """Whether a diff newer than `first` was played without a listener."""
    unasked: int = 0
    """Diffs newer than `first` that were played."""


@dataclass(slots=True, eq=False)
class VenueIndex:
    """What is known of one venue."""

    venue: Venue
    symbols: dict[str, Symbol] = field(default_factory=dict)
    exchange_info: bytes | None = None


class RecordingIndex:
    """All venues of a recording. Every record goes through `meet` once, when it is read."""

    def __init__(self, served_as: Venue | None) -> None:
        """`served_as`: the venue of everything, where the user has said so."""
        self._served_as = served_as
        self.venues: dict[str, VenueIndex] = {}

    def meet(self, records: Iterator[Record]) -> Iterator[Record]:
        """The same records; each is known here before anybody gets it."""
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
        """The venue of an origin; that of spot where the recording does not tell."""
        venue = self._served_as or venue_of_origin(origin or "spot")
        found = self.venues.get(venue.name)
        if found is None:
            found = self.venues[venue.name] = VenueIndex(venue)
        return found

    def symbol(self, origin: str | None, name: str) -> Symbol:
        """The symbol of that name."""
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
