"""Records of a recording: frames, depth snapshots, other responses and interruptions.

Each has its position in the file and the payload as it was received. `formats` reads them from files.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, TypeAlias

__all__ = [
    "Break",
    "Diff",
    "Frame",
    "HeldBook",
    "Record",
    "RecordedResponse",
    "RecordedSnapshot",
    "SourcePosition",
    "Ticker",
]


class SourcePosition(NamedTuple):
    """The position of a record.

    Attributes:
        file: the path of the file.
        line: the line number, counted from 1.
    """

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Diff(NamedTuple):
    """A depth update without its levels. Times are those of the exchange, in its units."""

    symbol: str
    first_update_id: int
    final_update_id: int
    previous_final_update_id: int | None
    event_time: int | None
    venue: str
    """The origin by the keys of the payload: spot, usdm or coinm."""


class Ticker(NamedTuple):
    """A bookTicker: best price and quantity of both sides at one update id, as strings.

    Attributes:
        symbol: the symbol as the exchange spells it.
        update_id: the update id of the book with these best prices.
        bid_price, bid_quantity: the best bid.
        ask_price, ask_quantity: the best ask.
        venue: the origin by the keys of the payload.
    """

    symbol: str
    update_id: int
    bid_price: str
    bid_quantity: str
    ask_price: str
    ask_quantity: str
    venue: str


class Frame(NamedTuple):
    """One WebSocket frame."""

    time_ns: int | None
    """Receive time in nanoseconds since 1970 by the recorder's clock; None if not recorded."""
    position: SourcePosition
    payload: bytes
    stream: str | None
    """The stream name of a combined stream (`{"stream":…,"data":…}`); None for a raw frame."""
    about: Diff | Ticker | None
    """The head of the payload; None if it is neither a diff nor a bookTicker."""
    venue: str | None
    """The origin, by the recorded host or else by the payloads of the file; None if unknown."""
    connection: int | None = None
    """The connection that received it; None if not recorded."""


class RecordedSnapshot(NamedTuple):
    """One response of a depth endpoint.

    Attributes:
        time_ns: receive time in nanoseconds since 1970; None if not recorded.
        position: its position in the recording.
        body: the response as received.
        last_update_id: its update id.
        venue: the origin (spot, usdm, coinm …, or an exchange name); None if unknown.
    """

    time_ns: int | None
    position: SourcePosition
    body: bytes
    symbol: str | None
    """The symbol; records from `read` always have one, None occurs only inside the readers."""
    last_update_id: int
    limit: int | None
    """The requested limit; None if not recorded."""
    venue: str | None
    requested_ns: int | None = None
    """Time of the request, by the same clock as `time_ns`; None if not recorded."""


class RecordedResponse(NamedTuple):
    """One response of any other REST endpoint, such as exchangeInfo.

    Attributes:
        time_ns: receive time in nanoseconds since 1970; None if not recorded.
        position: its position in the recording.
        url: the URL of the request.
        body: the response as received.
        venue: the origin (spot, usdm, coinm …, or an exchange name); None if unknown.
    """

    time_ns: int | None
    position: SourcePosition
    url: str
    body: bytes
    venue: str | None


class Break(NamedTuple):
    """An interruption that the recording itself notes: frames may be missing here.

    Attributes:
        time_ns: its time in nanoseconds since 1970; None if not recorded.
        position: its position in the recording.
        reason: the cause.
    """

    time_ns: int | None
    position: SourcePosition
    connection: int | None
    """The affected connection; None if all are affected."""
    reason: str
    lost: int = 0
    """Lines (frames, snapshots, events) that the recorder could not write."""
    lost_from_ns: int | None = None
    """Start of the loss in nanoseconds since 1970. It identifies the loss, which two files may note."""


class HeldBook(NamedTuple):
    """The book of the recorded client at this point of the recording.

    Attributes:
        time_ns: its time in nanoseconds since 1970; None if not recorded.
        position: its position in the recording.
        symbol: the symbol as the exchange spells it.
        venue: the origin (spot, usdm, coinm …, or an exchange name); None if unknown.
        last_update_id: the update id of the book; None before its first snapshot.
        bids, asks: [price, quantity] as strings, best first.
    """

    time_ns: int | None
    position: SourcePosition
    symbol: str
    venue: str | None
    last_update_id: int | None
    bids: list[list[str]]
    asks: list[list[str]]


Record: TypeAlias = Frame | RecordedSnapshot | RecordedResponse | Break | HeldBook
