"""Which streams a venue is to send, and over how many connections each: the facade of all slots.

One pool of connections carries every stream once; where the user wants it, a second pool carries every
stream again. Not here: places and successors (`pool`), connections (`connection`).
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
        """The slot of that number, None when it is not one of these."""
        return next((slot for pool in self._pools if (slot := pool.slot(number))), None)

    def slots(self) -> list[ConnectionSlot]:
        """All slots."""
        return [slot for pool in self._pools for slot in pool.slots()]

    # --- commands --------------------------------------------------------------------------

    def add(self, name: str, subscriber: Subscriber, now_ns: int) -> None:
        """Bring a stream to its subscriber from now on."""
        arbitration = self._arbitrations[name] = Arbitration(self._context, name, subscriber)
        for pool in self._pools:
            pool.add(arbitration, now_ns)

    def remove(self, name: str, now_ns: int) -> None:
        """Bring a stream no longer."""
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
        """A stream brings nothing although it should, for the `attempt`-th time in a row."""
        if name in self._arbitrations:
            self._arbitrations[name].doubt()
        for pool in self._pools:
            pool.on_silent_stream(
                name, attempt=attempt, silent_since_ns=silent_since_ns, reason=reason, now_ns=now_ns
            )

    def retell(self, name: str, now_ns: int) -> None:
        """The subscriber of a stream is to be told again whether it comes, and it is to have its places."""
        if name in self._arbitrations:
            for pool in self._pools:
                pool.reassign(name, now_ns)
            self._arbitrations[name].retell(now_ns)

    def recover(self, number: int, now_ns: int) -> None:
        """A slot raised: let it begin again. Slots that are none of these are ignored."""
        for pool in self._pools:
            pool.recover(number, now_ns)

    # --- what happened ---------------------------------------------------------------------

    def on_data(self, name: str, now_ns: int) -> None:
        """The first frame of a stream arrived."""
        for pool in self._pools:
            pool.on_data(name, now_ns)

    def on_timer(self, timer: Timer, number: int, now_ns: int) -> bool:
        """A deadline of a slot is due; False: the slot is not one of these."""
        for pool in self._pools:
            slot = pool.slot(number)
            if slot is not None:
                if timer is Timer.OVERLAP:
                    pool.on_look(slot, now_ns)
                else:
                    slot.on_timer(timer, now_ns)
                return True
        return False
