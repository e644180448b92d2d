"""The transition table of the market machine. A pair of state and event that cannot occur raises.

`market` explains the states and events and acts on them; docs/concepts/market-machine.md is generated from
this table. Not here: external conditions and crossed prices, which `state` combines with the machine state.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from depthcache.model import Status

__all__ = ["BY_HAND", "TRANSITIONS", "Event", "follow"]


class Event(Enum):
    """What happens to a market."""

    KEPT = "a diff is buffered"
    DROPPED = "the buffer is full: the buffered diffs are dropped"
    BUFFER_RESET = "the exchange reset its ids: the buffered diffs are dropped"
    NEXT = "a diff continues the book"
    OLD = "a diff contains nothing newer than the book"
    AHEAD = "a diff leaves a hole that another feed may fill"
    GAP = "updates between the book and a diff are missing"
    RESET = "a diff or a snapshot has a lower id but a clearly later time: the exchange reset its ids"
    MALFORMED = "a frame cannot be parsed"
    FEED_LOST = "the feed that could have filled a hole is lost"
    TOO_OLD = "a snapshot is older than the buffered diffs allow"
    HOLE = "a snapshot is installed, but updates among the buffered diffs are missing"
    UNPROVEN = "a snapshot is installed, but nothing shows yet that the stream is live"
    INSTALLED = "a snapshot is installed, and all buffered diffs are applied"
    REFRESHED = "a snapshot is compared with the live book and merged"
    RESYNC = "a new snapshot is requested"
    RESTART = "the stream is subscribed again"


_EMPTY, _BUFFERING, _BRIDGING, _SYNCED = Status.EMPTY, Status.BUFFERING, Status.BRIDGING, Status.SYNCED

TRANSITIONS: Mapping[tuple[Status, Event], Status] = MappingProxyType(
    {
        (_EMPTY, Event.KEPT): _BUFFERING,
        (_EMPTY, Event.MALFORMED): _EMPTY,
        (_EMPTY, Event.INSTALLED): _SYNCED,
        (_EMPTY, Event.UNPROVEN): _BRIDGING,
        (_EMPTY, Event.RESYNC): _BUFFERING,
        (_EMPTY, Event.RESTART): _BUFFERING,
        (_BUFFERING, Event.KEPT): _BUFFERING,
        (_BUFFERING, Event.DROPPED): _BUFFERING,
        (_BUFFERING, Event.BUFFER_RESET): _BUFFERING,
        (_BUFFERING, Event.MALFORMED): _BUFFERING,
        (_BUFFERING, Event.TOO_OLD): _BUFFERING,
        (_BUFFERING, Event.HOLE): _BUFFERING,
        (_BUFFERING, Event.INSTALLED): _SYNCED,
        (_BUFFERING, Event.UNPROVEN): _BRIDGING,
        (_BUFFERING, Event.RESYNC): _BUFFERING,
        (_BUFFERING, Event.RESTART): _BUFFERING,
        (_BRIDGING, Event.NEXT): _SYNCED,
        (_BRIDGING, Event.OLD): _BRIDGING,
        (_BRIDGING, Event.AHEAD): _BRIDGING,
        (_BRIDGING, Event.GAP): _BUFFERING,
        (_BRIDGING, Event.RESET): _BUFFERING,
        (_BRIDGING, Event.MALFORMED): _BUFFERING,
        (_BRIDGING, Event.INSTALLED): _SYNCED,
        (_BRIDGING, Event.UNPROVEN): _BRIDGING,
        (_BRIDGING, Event.RESYNC): _BUFFERING,
        (_BRIDGING, Event.RESTART): _BUFFERING,
        (_SYNCED, Event.NEXT): _SYNCED,
        (_SYNCED, Event.OLD): _SYNCED,
        (_SYNCED, Event.AHEAD): _SYNCED,
        (_SYNCED, Event.GAP): _BUFFERING,
        (_SYNCED, Event.RESET): _BUFFERING,
        (_SYNCED, Event.MALFORMED): _BUFFERING,
        (_SYNCED, Event.FEED_LOST): _BUFFERING,
        (_SYNCED, Event.INSTALLED): _SYNCED,
        (_SYNCED, Event.UNPROVEN): _BRIDGING,
        (_SYNCED, Event.REFRESHED): _SYNCED,
        (_SYNCED, Event.RESYNC): _BUFFERING,
        (_SYNCED, Event.RESTART): _BUFFERING,
    }
)

BY_HAND = frozenset(
    {
        (_BRIDGING, Event.INSTALLED),
        (_BRIDGING, Event.UNPROVEN),
        (_SYNCED, Event.INSTALLED),
        (_SYNCED, Event.UNPROVEN),
    }
)
"""Pairs that occur only in a book without a network."""


def follow(state: Status, event: Event) -> Status:
    """The next state. Raises LookupError for a pair that cannot occur."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise LookupError(f"no transition: {event.value} ({event.name}) while {state.value}") from None
