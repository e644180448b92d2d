"""Deadlines as data: which there are, and which is next. No clock: time is an argument.

Each part sets deadlines under its own number; the client hands each one that is due to its
owner. Setting one again replaces it.
"""

from __future__ import annotations

import heapq
from enum import Enum
from typing import TypeAlias

__all__ = ["Deadlines", "Timer", "TimerOwner"]

TimerOwner: TypeAlias = int | str
"""A market id, a slot number, a request number or the name of a weight budget or venue: what the timer
says."""


class Timer(Enum):
    """Every kind of deadline, and who owns it."""

    CONNECT = "connect"
    """When to try again to connect a slot."""
    OPENING = "opening"
    """When to give up a connection of a slot that does not open."""
    MESSAGE = "message"
    """When to send the next control message on a slot."""
    REPLY = "reply"
    """When to give up on a reply and with it on the connection of a slot."""
    LIFE = "life"
    """When to ask a slot that has been quiet for a sign of life."""
    RENEW = "renew"
    """When to replace the connection of a slot before the exchange cuts it."""
    BUDGET = "budget"
    """When to look whether a weight budget has room for the next waiting request."""
    RESPONSE = "answer"
    """When to give up a request of which the network never reported anything."""
    SNAPSHOT = "snapshot"
    """When to ask for the next snapshot of a market."""
    CROSSED = "crossed"
    """When to fetch a new snapshot for a market that is still crossed."""
    BRIDGING = "bridging"
    """When to fetch a new snapshot for a market that is still bridging."""
    SILENCE = "silence"
    """When to compare a market without diffs with the exchange."""
    OVERDUE = "overdue"
    """When to stop waiting for a diff that the exchange must have sent to a market."""
    BOOTSTRAP = "seed"
    """When to stop waiting for a stream to bring the best levels of a market at no weight."""
    PROOF = "proof"
    """When to see whether a market has reached what another stream showed of it."""
    OVERLAP = "overlap"
    """When to look whether the connection of a slot can take over from the one before it."""
    DEPTHS = "depths"
    """When to look which markets should be deeper."""
    CLOCK = "clock"
    """When to ask a venue for its time."""
    LISTING = "listing"
    """When to ask a venue which symbols trade."""
    RECOVER = "recover"
    """When to let a part of the client that raised begin again: a market, a slot, a listing."""
    HALTED = "halted"
    """When to see whether a symbol that a venue lists as halted brings diffs again."""


class Deadlines:
    """All pending deadlines; setting, clearing and taking cost O(log n)."""

    __slots__ = ("_heap", "_pending")

    def __init__(self) -> None:
        self._pending: dict[tuple[Timer, TimerOwner], int] = {}
        self._heap: list[tuple[int, str, str, tuple[Timer, TimerOwner]]] = []

    def set(self, timer: Timer, owner: TimerOwner, at_ns: int) -> None:
        """Wake `owner` at that time; replaces an earlier deadline of the same kind."""
        key = (timer, owner)
        if self._pending.get(key) != at_ns:
            self._pending[key] = at_ns
            heapq.heappush(self._heap, (at_ns, timer.value, str(owner), key))
        if len(self._heap) > 64 + 4 * len(self._pending):
            self._rebuild()

    def clear(self, owner: TimerOwner, *timers: Timer) -> None:
        """Forget deadlines of an owner, pending or not."""
        for timer in timers:
            self._pending.pop((timer, owner), None)

    def pending(self, timer: Timer, owner: TimerOwner) -> int | None:
        """When that deadline is, None where there is none."""
        return self._pending.get((timer, owner))

    def next_ns(self) -> int | None:
        """The earliest deadline."""
        heap, pending = self._heap, self._pending
        while heap and pending.get(heap[0][3]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def take_due(self, now_ns: int) -> tuple[Timer, TimerOwner] | None:
        """The earliest deadline that is due, forgotten by this; None when none is due."""
        at_ns = self.next_ns()
        if at_ns is None or at_ns > now_ns:
            return None
        key = heapq.heappop(self._heap)[3]
        del self._pending[key]
        return key

    def _rebuild(self) -> None:
        self._heap = [(at, key[0].value, str(key[1]), key) for key, at in self._pending.items()]
        heapq.heapify(self._heap)
