"""Which streams a venue is to send, and over how many connections each: the one face of all links.

One plane of connections carries every stream once; where the user wants it, a second plane carries every
stream again. Not here: places and successors (`plane`), connections (`link`).
"""

from __future__ import annotations

from depthcache.core.connections.arbitration import Carriage, Subscriber
from depthcache.core.connections.connection import Link
from depthcache.core.connections.pool import Plane
from depthcache.core.context import Context
from depthcache.core.timers import Timer
from depthcache.venues.venue import Venue

__all__ = ["Streams"]


class Streams:
    """All streams of one venue."""

    def __init__(self, context: Context, venue: Venue) -> None:
        self._context = context
        self._planes = [Plane(context, venue) for _ in range(2 if context.policy.redundant else 1)]
        self._carriages: dict[str, Carriage] = {}

    # --- getters ---------------------------------------------------------------------------

    def __contains__(self, name: str) -> bool:
        return name in self._carriages

    def link(self, number: int) -> Link | None:
        """The link of that number, None when it is not one of these."""
        return next((link for plane in self._planes if (link := plane.link(number))), None)

    def links(self) -> list[Link]:
        """All links."""
        return [link for plane in self._planes for link in plane.links()]

    # --- commands --------------------------------------------------------------------------

    def add(self, name: str, subscriber: Subscriber, now_ns: int) -> None:
        """Bring a stream to its subscriber from now on."""
        carriage = self._carriages[name] = Carriage(self._context, name, subscriber)
        for plane in self._planes:
            plane.add(carriage, now_ns)

    def remove(self, name: str, now_ns: int) -> None:
        """Bring a stream no longer."""
        if self._carriages.pop(name, None) is not None:
            for plane in self._planes:
                plane.remove(name, now_ns)

    def shut(self) -> None:
        """Close every connection for good."""
        for plane in self._planes:
            plane.shut()
        self._carriages.clear()

    def doubt(self, name: str, *, strikes: int, silent_since_ns: int, reason: str, now_ns: int) -> None:
        """A stream brings nothing although it should, for the `strikes`-th time in a row."""
        if name in self._carriages:
            self._carriages[name].doubt()
        for plane in self._planes:
            plane.doubt(name, strikes=strikes, silent_since_ns=silent_since_ns, reason=reason, now_ns=now_ns)

    def retell(self, name: str, now_ns: int) -> None:
        """The subscriber of a stream is to be told again whether it comes, and it is to have its places."""
        if name in self._carriages:
            for plane in self._planes:
                plane.resettle(name, now_ns)
            self._carriages[name].retell(now_ns)

    def recover(self, number: int, now_ns: int) -> None:
        """A link raised: let it begin again. Links that are none of these are ignored."""
        for plane in self._planes:
            plane.recover(number, now_ns)

    # --- what happened ---------------------------------------------------------------------

    def on_data(self, name: str, now_ns: int) -> None:
        """The first frame of a stream arrived."""
        for plane in self._planes:
            plane.on_data(name, now_ns)

    def on_timer(self, timer: Timer, number: int, now_ns: int) -> bool:
        """A deadline of a link is due; False: the link is not one of these."""
        for plane in self._planes:
            link = plane.link(number)
            if link is not None:
                if timer is Timer.OVERLAP:
                    plane.on_look(link, now_ns)
                else:
                    link.on_timer(timer, now_ns)
                return True
        return False
