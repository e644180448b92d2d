"""The facade of all slots: which streams a venue is to send, over how many connections each.

One pool carries every stream once; if the user wants redundancy, a second pool carries every stream again.
Placement and successors are in `pool`, connections in `connection`.
"""

from __future__ import annotations

from depthcache.core.connections.arbitration import Arbitration, Subscriber
from depthcache.core.connections.connection import ConnectionSlot
from depthcache.core.connections.pool import ConnectionPool
from depthcache.core.context import Context
from depthcache.core.timers import Timer
from depthcache.venues.venue import Venue

__all__ = ["Streams"]


class Streams:
    """All streams of one venue."""

    def __init__(self, context: Context, venue: Venue) -> None:
        self._context = context
        self._pools = [ConnectionPool(context, venue) for _ in range(2 if context.policy.redundant else 1)]
        self._arbitrations: dict[str, Arbitration] = {}

    # --- getters ---------------------------------------------------------------------------

    def __contains__(self, name: str) -> bool:
        return name in self._arbitrations

    def slot(self, number: int) -> ConnectionSlot | None:
        """The slot with that number; None if it belongs to another venue."""
        return next((slot for pool in self._pools if (slot := pool.slot(number))), None)

    def slots(self) -> list[ConnectionSlot]:
        """All slots."""
        return [slot for pool in self._pools for slot in pool.slots()]

    def server(self, name: str) -> int | None:
        """The number of the book server that is to send a stream; None for a stream without a slot."""
        return self._pools[0].server(name)

    # --- commands --------------------------------------------------------------------------

    def add(self, name: str, subscriber: Subscriber, now_ns: int) -> None:
        """Start delivering a stream to its subscriber."""
        arbitration = self._arbitrations[name] = Arbitration(self._context, name, subscriber)
        for pool in self._pools:
            pool.add(arbitration, now_ns)

    def remove(self, name: str, now_ns: int) -> None:
        """Stop delivering a stream."""
        if self._arbitrations.pop(name, None) is not None:
            for pool in self._pools:
                pool.remove(name, now_ns)

    def shut(self) -> None:
        """Close every connection for good."""
        for pool in self._pools:
            pool.shut()
        self._arbitrations.clear()

    def on_silent_stream(
        self, name: str, *, attempt: int, silent_since_ns: int, reason: str, now_ns: int
    ) -> None:
        """A stream delivers nothing although it should, for the `attempt`-th time in a row."""
        if name in self._arbitrations:
            self._arbitrations[name].doubt()
        for pool in self._pools:
            pool.on_silent_stream(
                name, attempt=attempt, silent_since_ns=silent_since_ns, reason=reason, now_ns=now_ns
            )

    def retell(self, name: str, now_ns: int) -> None:
        """Repeat the state of a stream to its subscriber, and make sure that it has its slots."""
        if name in self._arbitrations:
            for pool in self._pools:
                pool.reassign(name, now_ns)
            self._arbitrations[name].retell(now_ns)

    def recover(self, number: int, now_ns: int) -> None:
        """A slot raised: restart it. Slots of other venues are ignored."""
        for pool in self._pools:
            pool.recover(number, now_ns)

    # --- what happened ---------------------------------------------------------------------

    def on_data(self, name: str, now_ns: int) -> None:
        """The first frame of a stream arrived."""
        for pool in self._pools:
            pool.on_data(name, now_ns)

    def on_timer(self, timer: Timer, number: int, now_ns: int) -> bool:
        """A deadline of a slot is due; False if the slot belongs to another venue."""
        for pool in self._pools:
            slot = pool.slot(number)
            if slot is not None:
                if timer is Timer.OVERLAP:
                    pool.on_look(slot, now_ns)
                elif timer is Timer.IDLE:
                    pool.on_idle(slot)
                else:
                    slot.on_timer(timer, now_ns)
                return True
        return False
