"""Parsing of response bodies, with the same rules for all of them.

A body that cannot be read (not JSON, not UTF-8, 200,000 nested brackets, huge numbers, an unexpected shape)
counts as a failed response and is requested again. A body that can be read in part, such as a list with a few
invalid rows, is used. Depth snapshots are parsed by the book itself.
"""

from __future__ import annotations

import json
from typing import Any, cast

import msgspec

from depthcache.foreign_text import clean
from depthcache.venues.venue import Venue

__all__ = ["UnreadableBody", "listed_in", "read_json", "time_in", "whole"]

_SHORT_BYTES = 64 * 1024
"""Up to this size, bodies that msgspec rejects are parsed again with json, which accepts lone surrogates."""
_LONGEST_NAME = 40
"""In characters, as in `venues.parse_symbol`."""
_LONGEST_STATUS = 40
_TIMES_MS = range(1_000_000_000_000, 4_200_000_000_000)
"""2001 to 2103; any other time of an exchange is not believed."""
_CODES = range(-1_000_000_000, 1_000_000_000)


class UnreadableBody(Exception):
    """A response body that is not what it should be; the message is the reason."""


def read_json(body: bytes) -> Any:
    """Parse a body as JSON. Raises UnreadableBody for any bytes that cannot be parsed."""
    try:
        return msgspec.json.decode(body)
    except Exception as error:  # noqa: BLE001 - RecursionError, OverflowError, MemoryError … are one
        why = clean(error) or type(error).__name__
        if len(body) > _SHORT_BYTES or isinstance(error, RecursionError | MemoryError):
            raise UnreadableBody(why) from None
    try:
        return json.loads(body)
    except Exception:  # noqa: BLE001 - as above
        raise UnreadableBody(why) from None


def time_in(body: bytes) -> int:
    """The exchange's time, in milliseconds since 1970. Raises UnreadableBody, also for implausible times."""
    value = _value_of(_object_in(body), "serverTime")
    if not isinstance(value, int) or isinstance(value, bool) or value not in _TIMES_MS:
        raise UnreadableBody(f"invalid serverTime {clean(value, most=_LONGEST_STATUS)}")
    return value


def listed_in(body: bytes, venue: Venue) -> dict[str, str]:
    """Map symbols to statuses, from the readable rows. Raises UnreadableBody if there are none."""
    listed = _value_of(_object_in(body), venue.listing_key)
    if not isinstance(listed, list):
        raise UnreadableBody(f"{venue.listing_key} is not a list")
    rows = cast("list[object]", listed)
    found = dict(row for each in rows if (row := _row(each, venue)) is not None)
    if not found:
        raise UnreadableBody(f"none of the {len(rows):,} rows of {venue.listing_key} can be read")
    return found


def whole(value: object, within: range = _CODES) -> int | None:
    """An integer within a plausible range; None for everything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value in within else None


def _object_in(body: bytes) -> dict[str, Any]:
    value = read_json(body)
    if not isinstance(value, dict):
        raise UnreadableBody(f"expected a JSON object, not {type(value).__name__}")
    return cast("dict[str, Any]", value)


def _value_of(fields: dict[str, Any], name: str) -> Any:
    if name not in fields:
        raise UnreadableBody(f"{name} is missing")
    return fields[name]


def _row(row: Any, venue: Venue) -> tuple[str, str] | None:
    """Name and status of one listed symbol; None for an invalid row."""
    if not isinstance(row, dict):
        return None
    fields = cast("dict[str, Any]", row)
    name = fields.get("symbol")
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        return None
    status = fields.get(venue.status_key) or fields.get("status") or "TRADING"
    return name, clean(status, most=_LONGEST_STATUS)
