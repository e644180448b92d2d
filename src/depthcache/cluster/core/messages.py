"""What nodes tell and ask each other, as JSON: the schema is the classes below.

Unknown fields are ignored, so that nodes of two releases understand each other during an upgrade. `protocol`
says what else makes that possible, and which messages only newer nodes get.
"""

from __future__ import annotations

import zlib
from typing import TypeAlias

import msgspec

from depthcache.cluster.core.replicated_map import Delta, Value
from depthcache.cluster.core.stamps import Stamp
from depthcache.cluster.errors import MalformedClusterMessage

__all__ = [
    "Beat",
    "Content",
    "Ending",
    "GroupedReports",
    "Message",
    "Reports",
    "ReportsWanted",
    "Store",
    "Stored",
    "decode",
    "encode",
    "thaw",
]

_PLAIN_BYTES = 4_096
"""Longer messages are compressed."""
_MOST_BYTES = 64 << 20
"""Larger content is refused."""

RawCell: TypeAlias = tuple[tuple[int, int, str], Value]
RawDelta: TypeAlias = dict[str, dict[str, RawCell]]


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """Told by every node once a second, and when its wanted set or its books changed."""

    run: int
    digest: str
    """Of the wanted set."""
    reports: int
    """The number of the sender's last report."""
    wall_ms: int = 0
    """The sender's system clock; 0 of a release that does not say it."""


class Reports(msgspec.Struct, frozen=True, tag="reports"):
    """The books of a node whose states changed, or all."""

    run: int
    number: int
    """One more than that of the report before."""
    is_full: bool
    states: dict[str, str]
    """By exchange, space and symbol: a replica state, empty for a book no longer held."""


class GroupedReports(msgspec.Struct, frozen=True, tag="grouped_reports"):
    """As `Reports`, in a third of the bytes; since version 2 of the protocol."""

    run: int
    number: int
    """As of `Reports`; both kinds are counted together."""
    is_full: bool
    symbols: dict[str, dict[str, list[str]]]
    """By replica state, empty for books no longer held, and by exchange."""


class ReportsWanted(msgspec.Struct, frozen=True, tag="reports_wanted"):
    """A report was lost: tell all."""


class Ending(msgspec.Struct, frozen=True, tag="ending"):
    """The sender's process is about to end: others are to own its books until it is back."""

    run: int


class Store(msgspec.Struct, frozen=True, tag="store"):
    """Asked: merge these cells, and answer with `Stored` once they are on disk."""

    cells: RawDelta


class Stored(msgspec.Struct, frozen=True, tag="stored"):
    """The answer to `Store`."""


class Content(msgspec.Struct, frozen=True, tag="content"):
    """Asked: merge the whole wanted set of the sender, and answer with the merged one."""

    floor: tuple[int, int, str]
    cells: RawDelta


Message: TypeAlias = Beat | Reports | GroupedReports | ReportsWanted | Ending | Store | Stored | Content

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    """A message as bytes; compressed if it is long."""
    plain = _ENCODER.encode(message)
    return zlib.compress(plain, 1) if len(plain) > _PLAIN_BYTES else plain


def decode(payload: bytes) -> Message:
    """The message of some bytes. Raises MalformedClusterMessage."""
    try:
        return _DECODER.decode(payload if payload[:1] == b"{" else _inflate(payload))
    except (msgspec.MsgspecError, zlib.error, RecursionError) as error:
        raise MalformedClusterMessage(reason=str(error)) from None


def thaw(cells: RawDelta) -> Delta:
    """Cells of a message, with stamps."""
    return {
        key: {name: (Stamp(*stamp), value) for name, (stamp, value) in fields.items()}
        for key, fields in cells.items()
    }


def _inflate(payload: bytes) -> bytes:
    inflater = zlib.decompressobj()
    plain = inflater.decompress(payload, _MOST_BYTES)
    if inflater.unconsumed_tail or not inflater.eof:
        raise MalformedClusterMessage(reason="cut off, or larger than 64 MiB")
    return plain
