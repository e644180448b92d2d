"""One set of connections that carries every stream of a venue once, each on one of them.

Streams fill one link after the other, up to the client's limit of diff streams per connection and the
venue's limit of streams; a link that loses its last stream is closed. Markets that a link cannot carry, or
that stay silent on it, move to another. A link that nears the end of its life, or is told of it, gets a
successor: a second link with the same streams, which takes over when all of them are known to come over
it as well, so that no book loses its place. A successor that does not get there is given up, and another
is tried while the old connection lives.

Not here: how a link stays connected (`link`), what subscribers hear of several links (`carriage`).
"""

from __future__ import annotations

from dataclasses import dataclass

from depthcache.core.connections.arbitration import Carriage, Strand
from depthcache.core.connections.connection import Link
from depthcache.core.context import Context
from depthcache.core.policy import to_ns
from depthcache.core.timers import Timer
from depthcache.venues.venue import Venue

__all__ = ["Plane"]

_LOOK_NS = 250_000_000
_MARGIN_NS = 1_500_000_000
"""A diff that the old connection brought so long after the new one was live comes over both."""
_AGAIN_S = 60.0
_SOON_S = 10.0
"""Connections that are announced to end as soon as they are made must not make a storm."""


@dataclass(slots=True, eq=False)
class _Succession:
    old: Link
    began_ns: int


class Plane:
    """The links of one venue, or half of them where every stream comes twice."""

    def __init__(self, context: Context, venue: Venue) -> None:
        self._context = context
        self._venue = venue
        self._capacity = min(venue.streams_per_connection, context.policy.streams_per_connection)
        self._most = venue.streams_per_connection
        self._links: dict[int, Link] = {}
        self._homes: dict[str, Link] = {}
        self._carriages: dict[str, Carriage] = {}
        self._successions: dict[int, _Succession] = {}

    # --- getters ---------------------------------------------------------------------------

    def link(self, number: int) -> Link | None:
        """The link of that number, None when it is not one of these."""
        return self._links.get(number)

    def links(self) -> list[Link]:
        """All of them."""
        return list(self._links.values())

    # --- commands --------------------------------------------------------------------------

    def add(self, carriage: Carriage, now_ns: int) -> None:
        """Carry a stream from now on."""
        self._carriages[carriage.name] = carriage
        self._settle(carriage, now_ns, besides=None)

    def remove(self, name: str, now_ns: int) -> None:
        """Carry a stream no longer."""
        self._carriages.pop(name, None)
        for link in self._links_of(name):
            self._leave(link, name, now_ns)
        self._homes.pop(name, None)

    def shut(self) -> None:
        """Close every connection for good."""
        for link in self._links.values():
            link.shut()
        self._links.clear()
        self._homes.clear()
        self._carriages.clear()
        self._successions.clear()

    def doubt(self, name: str, *, strikes: int, silent_since_ns: int, reason: str, now_ns: int) -> None:
        """A stream brings nothing although it should, for the `strikes`-th time in a row.

        A connection that brings nothing at all is replaced; otherwise its other books are good and
        keep it: the stream is subscribed again, the second time on another connection.
        """
        link = self._homes.get(name)
        if link is None:
            return
        if link.last_data_ns() < silent_since_ns:
            for _, strand in link.subscriptions.subscribers():
                strand.on_doubted()
            link.reconnect(f"the connection brings no data: {reason}", now_ns)
        elif strikes == 2:
            self._move(name, now_ns)
        else:
            link.renew(name, now_ns)

    def resettle(self, name: str, now_ns: int) -> None:
        """Something raised while a stream came or moved: it is to have a place that is on its way."""
        carriage, link = self._carriages.get(name), self._homes.get(name)
        if link is not None and link.number in self._links and name in link.subscriptions:
            link.go_on(now_ns)
        elif carriage is not None:
            self._settle(carriage, now_ns, besides=None)

    def recover(self, number: int, now_ns: int) -> None:
        """A link raised: let it begin again, and a succession go on."""
        link = self._links.get(number)
        if link is None:
            return
        if number in self._successions:
            self._look_again(link, now_ns)
        link.recover(now_ns)

    # --- what happened ---------------------------------------------------------------------

    def on_data(self, name: str, now_ns: int) -> None:
        """The first frame of a stream arrived."""
        link = self._homes.get(name)
        if link is not None:
            link.on_data(name, now_ns)

    def on_too_many(self, link: Link, names: tuple[str, ...], now_ns: int) -> None:
        """A link has more streams than the exchange allows: learn how many, move the rest."""
        held = link.subscriptions.held()
        self._most = max(1, min(self._most, held if held else len(names) // 2))
        self._capacity = min(self._capacity, self._most)
        for name in names if held else names[self._most :]:
            if self._homes.get(name) is link:
                self._move(name, now_ns)

    def on_end_of_life(self, link: Link, now_ns: int) -> None:
        """A link's connection will end: another is to be there before."""
        busy = link.number in self._successions or any(
            each.old is link for each in self._successions.values()
        )
        if busy or link.number not in self._links:
            return
        if link.is_young(now_ns):
            link.renew_in(_SOON_S, now_ns)
            return
        successor = self._make_link()
        self._successions[successor.number] = _Succession(link, now_ns)
        self._look_again(successor, now_ns)
        for name, _ in link.subscriptions.subscribers():
            successor.add(name, self._carriages[name].strand(), now_ns)

    def on_lost(self, link: Link, now_ns: int) -> None:
        """A link's connection broke: its successor, if there is one, takes over as it is."""
        for number, succession in tuple(self._successions.items()):
            if succession.old is link:
                self._take_over(self._links[number], succession, now_ns)

    def on_look(self, successor: Link, now_ns: int) -> None:
        """Time to see whether a successor can take over."""
        succession = self._successions.get(successor.number)
        if succession is None:
            return
        if all(self._comes_over(successor, succession.old, *each, now_ns) for each in _streams(successor)):
            self._take_over(successor, succession, now_ns)
        elif now_ns - succession.began_ns >= to_ns(self._context.policy.overlap_cap_s):
            self._give_up(successor, succession, now_ns)
        else:
            self._look_again(successor, now_ns)

    # --- successions -----------------------------------------------------------------------

    def _comes_over(self, successor: Link, old: Link, name: str, strand: Strand, now_ns: int) -> bool:
        """Whether nothing of a stream would be lost if the old connection ended now."""
        if strand.live_ns is None or successor.connection is None:
            return False
        if not strand.takes_diffs:
            return True
        heard = {
            number: (joined, heard_ns)
            for number, joined, heard_ns in self._context.router.lines(strand.market)
        }
        joined, heard_ns = heard.get(successor.connection, (False, None))
        if heard_ns is not None:
            return joined
        _, before_ns = heard.get(old.connection or 0, (False, None))
        quiet = before_ns is None or before_ns <= strand.live_ns + _MARGIN_NS
        return quiet and now_ns >= strand.live_ns + to_ns(self._context.policy.overlap_s)

    def _take_over(self, successor: Link, succession: _Succession, now_ns: int) -> None:
        self._successions.pop(successor.number, None)
        self._context.deadlines.clear(successor.number, Timer.OVERLAP)
        for name, strand in _streams(succession.old):
            if self._homes.get(name) is succession.old:
                self._homes[name] = successor
            strand.drop()
        succession.old.shut()
        self._links.pop(succession.old.number, None)

    def _give_up(self, successor: Link, succession: _Succession, now_ns: int) -> None:
        self._successions.pop(successor.number, None)
        for _, strand in _streams(successor):
            strand.drop()
        successor.shut()
        self._links.pop(successor.number, None)
        succession.old.renew_in(_AGAIN_S, now_ns)

    def _look_again(self, successor: Link, now_ns: int) -> None:
        self._context.deadlines.set(Timer.OVERLAP, successor.number, now_ns + _LOOK_NS)

    # --- places ----------------------------------------------------------------------------

    def _settle(self, carriage: Carriage, now_ns: int, *, besides: Link | None) -> None:
        diffs = carriage.subscriber.takes_diffs
        link = next((each for each in self._links.values() if self._fits(each, besides, diffs=diffs)), None)
        if link is None:
            link = self._make_link()
        self._homes[carriage.name] = link
        link.add(carriage.name, carriage.strand(), now_ns)

    def _fits(self, link: Link, besides: Link | None, *, diffs: bool) -> bool:
        if link is besides or link.number in self._successions:
            return False
        if any(each.old is link for each in self._successions.values()):
            return False
        subscriptions = link.subscriptions
        return len(subscriptions) < self._most and (not diffs or subscriptions.diffs() < self._capacity)

    def _make_link(self) -> Link:
        link = Link(self._context, self._venue, self)
        self._links[link.number] = link
        return link

    def _move(self, name: str, now_ns: int) -> None:
        before = self._homes.pop(name)
        for subscribed, strand in before.subscriptions.subscribers():
            if subscribed == name:
                strand.on_disconnected("the stream moves to another connection", now_ns)
        self._leave(before, name, now_ns)
        self._settle(self._carriages[name], now_ns, besides=before)

    def _leave(self, link: Link, name: str, now_ns: int) -> None:
        for subscribed, strand in _streams(link):
            if subscribed == name:
                strand.drop()
        if [each for each, _ in link.subscriptions.subscribers()] == [name]:
            self._successions.pop(link.number, None)
            self._context.deadlines.clear(link.number, Timer.OVERLAP)
            for number, succession in tuple(self._successions.items()):
                if succession.old is link:
                    del self._successions[number]
            link.shut()
            self._links.pop(link.number, None)
        else:
            link.remove(name, now_ns)

    def _links_of(self, name: str) -> list[Link]:
        return [link for link in self._links.values() if name in link.subscriptions]


def _streams(link: Link) -> list[tuple[str, Strand]]:
    return link.subscriptions.subscribers()
