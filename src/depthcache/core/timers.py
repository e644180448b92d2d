"""Deadlines as data: which ones are set, and which is next. Time is an argument.

Each part sets deadlines under its own number; the client passes each one that is due to its owner. Setting a
deadline again replaces it.
"""

from __future__ import annotations

import heapq
from enum import Enum
from typing import TypeAlias

__all__ = ["Deadlines", "Timer", "TimerOwner"]

TimerOwner: TypeAlias = int | str
"""A market, slot or request number, or the name of a weight budget or venue, depending on the timer."""


class Timer(Enum):
    """The kinds of deadlines, and their owners."""

    CONNECT = "connect"
    """When to connect a slot again."""
    OPENING = "opening"
    """When to give up a connection of a slot that does not open."""
    MESSAGE = "message"
    """When to send the next control message of a slot."""
    REPLY = "reply"
    """When to stop waiting for a response, and give up the connection of the slot."""
    LIFE = "life"
    """When to request a sign of life from a quiet slot."""
    RENEW = "renew"
    """When to replace the connection of a slot, before the exchange cuts it."""
    IDLE = "idle"
    """When to close the connection of a slot without streams."""
    BUDGET = "budget"
    """When to check whether a weight budget has room for the next request."""
    RESPONSE = "answer"
    """When to give up a request for which the network reported nothing."""
    SNAPSHOT = "snapshot"
    """When to request the next snapshot of a market."""
    CROSSED = "crossed"
    """When to fetch a new snapshot for a market that is still crossed."""
    BRIDGING = "bridging"
    """When to fetch a new snapshot for a market that is still bridging."""
    SILENCE = "silence"
    """When to compare a market without diffs with the exchange."""
    OVERDUE = "overdue"
    """When to stop waiting for a diff that the exchange must have sent."""
    STATE = "state"
    """When to stop waiting for a book server to say what its own book is."""
    BOOTSTRAP = "seed"
    """When to stop waiting for the stream of the best levels."""
    PROOF = "proof"
    """When to check whether a market has reached the update id of another stream."""
    OVERLAP = "overlap"
    """When to check whether a slot can take over from its predecessor."""
    DEPTHS = "depths"
    """When to check which markets should be deeper."""
    CLOCK = "clock"
    """When to ask a venue for its time."""
    LISTING = "listing"
    """When to ask a venue which symbols trade."""
    RECOVER = "recover"
    """When to restart a part of the client that raised: a market, a slot, a listing."""
    HALTED = "halted"
    """When to check whether a halted symbol receives diffs again."""


class Deadlines:
    """All pending deadlines; setting, clearing and taking cost O(log n)."""

    __slots__ = ("_heap", "_pending")

    def __init__(self) -> None:
        self._pending: dict[tuple[Timer, TimerOwner], int] = {}
        self._heap: list[tuple[int, str, str, tuple[Timer, TimerOwner]]] = []

    def set(self, timer: Timer, owner: TimerOwner, at_ns: int) -> None:
        """Set the deadline of an owner; replaces an earlier one of the same kind."""
        key = (timer, owner)
        if self._pending.get(key) != at_ns:
            self._pending[key] = at_ns
            heapq.heappush(self._heap, (at_ns, timer.value, str(owner), key))
        if len(self._heap) > 64 + 4 * len(self._pending):
            self._rebuild()

    def clear(self, owner: TimerOwner, *timers: Timer) -> None:
        """Remove deadlines of an owner, if set."""
        for timer in timers:
            self._pending.pop((timer, owner), None)

    def pending(self, timer: Timer, owner: TimerOwner) -> int | None:
        """The time of that deadline; None if it is not set."""
        return self._pending.get((timer, owner))

    def next_ns(self) -> int | None:
        """The earliest deadline."""
        heap, pending = self._heap, self._pending
        while heap and pending.get(heap[0][3]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def take_due(self, now_ns: int) -> tuple[Timer, TimerOwner] | None:
        """Remove and return the earliest deadline that is due; None if none is."""
        at_ns = self.next_ns()
        if at_ns is None or at_ns > now_ns:
            return None
        key = heapq.heappop(self._heap)[3]
        del self._pending[key]
        return key

    def _rebuild(self) -> None:
        self._heap = [(at, key[0].value, str(key[1]), key) for key, at in self._pending.items()]
        heapq.heapify(self._heap)
