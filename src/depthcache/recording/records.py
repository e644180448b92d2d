"""What a recording consists of: frames, depth snapshots, other responses, interruptions; each with its place.

Plain values, the payload bytes as they were received. Not here: how they are written in files
(`formats`) and what they mean for a book (`verify`).
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
    """Where something is in a recording.

    Attributes:
        file: the path of the file.
        line: counted from 1.
    """

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Diff(NamedTuple):
    """The head of a depth update: everything but the levels. Times are the exchange's, as sent."""

    symbol: str
    first_update_id: int
    final_update_id: int
    previous_final_update_id: int | None
    event_time: int | None
    venue: str
    """The origin that the keys of the payload tell: spot, usdm or coinm."""


class Ticker(NamedTuple):
    """A bookTicker: best price and quantity of both sides at one update id, texts as sent.

    Attributes:
        symbol: as the exchange spells it.
        update_id: of the book whose best prices these are.
        bid_price, bid_quantity: the best bid.
        ask_price, ask_quantity: the best ask.
        venue: the origin that the keys of the payload tell.
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
    """When it was received, nanoseconds since 1970 on the recorder's clock; None: not recorded."""
    position: SourcePosition
    payload: bytes
    stream: str | None
    """The stream's name where the frame was wrapped (`{"stream":…,"data":…}`)."""
    about: Diff | Ticker | None
    """What the payload is, None for everything that is neither a diff nor a bookTicker."""
    venue: str | None
    """The origin of the recorded host, else what the payloads of the file tell."""
    connection: int | None = None
    """Which connection brought it, where that is recorded."""


class RecordedSnapshot(NamedTuple):
    """One response of a depth endpoint.

    Attributes:
        time_ns: when it was received, nanoseconds since 1970; None: not recorded.
        position: where it is in the recording.
        body: the response as it was received.
        last_update_id: the id in it.
        venue: the origin (spot, usdm, coinm …, else the exchange name), None where nothing tells it.
    """

    time_ns: int | None
    position: SourcePosition
    body: bytes
    symbol: str | None
    """None only inside the readers; records from `read` always have a symbol."""
    last_update_id: int
    limit: int | None
    """The limit as asked, None where the recording does not tell."""
    venue: str | None
    requested_ns: int | None = None
    """When it was requested, on the same clock as `time_ns`; None: not recorded."""


class RecordedResponse(NamedTuple):
    """One response of any other REST endpoint, such as exchangeInfo.

    Attributes:
        time_ns: when it was received, nanoseconds since 1970; None: not recorded.
        position: where it is in the recording.
        url: the URL of the request.
        body: the response as it was received.
        venue: the origin (spot, usdm, coinm …, else the exchange name), None where nothing tells it.
    """

    time_ns: int | None
    position: SourcePosition
    url: str
    body: bytes
    venue: str | None


class Break(NamedTuple):
    """The recording itself says that frames are missing here.

    Attributes:
        time_ns: when it was received, nanoseconds since 1970; None: not recorded.
        position: where it is in the recording.
        reason: why, in words.
    """

    time_ns: int | None
    position: SourcePosition
    connection: int | None
    """Of which connection; None: of all."""
    reason: str
    lost: int = 0
    """How many lines (frames, snapshots, events) the recorder says it could not write."""
    lost_from_ns: int | None = None
    """When it began to lose them, which names the loss: two files may tell of the same one."""


class HeldBook(NamedTuple):
    """The book that a client held at this point of the recording.

    Attributes:
        time_ns: when it was received, nanoseconds since 1970; None: not recorded.
        position: where it is in the recording.
        symbol: as the exchange spells it.
        venue: the origin (spot, usdm, coinm …, else the exchange name), None where nothing tells it.
        last_update_id: the id of the book, None before its first snapshot.
        bids, asks: [price, quantity] as texts, best first.
    """

    time_ns: int | None
    position: SourcePosition
    symbol: str
    venue: str | None
    last_update_id: int | None
    bids: list[list[str]]
    asks: list[list[str]]


Record: TypeAlias = Frame | RecordedSnapshot | RecordedResponse | Break | HeldBook
