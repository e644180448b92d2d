"""Which connection carries which market, for one venue.

Streams fill one link after the other, up to the venue's limit of streams per connection or the
client's own smaller one; a link that loses its last stream is closed. Markets that a link cannot
carry, or that stay silent on it, move to another. Not here: how a link stays connected (`link`).
"""

from __future__ import annotations

from depthcache.core.context import Context
from depthcache.core.link import Link
from depthcache.core.pacing import Allowance
from depthcache.core.policy import to_ns
from depthcache.core.subscriptions import Subscriber
from depthcache.venues.venue import Venue

__all__ = ["Streams"]

_CONNECT_WINDOW_NS = to_ns(300.0)


class Streams:
    """The links of one venue."""

    def __init__(self, context: Context, venue: Venue) -> None:
        policy = context.policy
        self._context = context
        self._venue = venue
        self._capacity = min(venue.streams_per_connection, policy.streams_per_connection)
        connects = max(1, int(venue.connects_per_5_minutes * policy.share))
        self._connects = Allowance(connects, _CONNECT_WINDOW_NS)
        self._links: dict[int, Link] = {}
        self._homes: dict[str, Link] = {}
        self._subscribers: dict[str, Subscriber] = {}

    # --- getters ---------------------------------------------------------------------------

    def __contains__(self, name: str) -> bool:
        return name in self._homes

    def link(self, number: int) -> Link | None:
        """The link of that number, None when it is not one of these."""
        return self._links.get(number)

    # --- commands --------------------------------------------------------------------------

    def add(self, name: str, subscriber: Subscriber, now_ns: int) -> None:
        """Bring a stream to its subscriber from now on."""
        self._subscribers[name] = subscriber
        self._settle(name, subscriber, now_ns, besides=None)

    def remove(self, name: str, now_ns: int) -> None:
        """Bring a stream no longer."""
        self._subscribers.pop(name, None)
        self._leave(name, now_ns)

    def shut(self) -> None:
        """Close every connection for good."""
        for link in self._links.values():
            link.shut()
        self._links.clear()
        self._homes.clear()
        self._subscribers.clear()

    def doubt(self, name: str, *, strikes: int, silent_since_ns: int, reason: str, now_ns: int) -> None:
        """A stream brings nothing although it should, for the `strikes`-th time in a row.

        A connection that brings nothing at all is replaced; otherwise its other books are good and
        keep it: the stream is subscribed again, the second time on another connection.
        """
        link = self._homes.get(name)
        if link is None:
            return
        if link.last_data_ns() < silent_since_ns:
            for _, subscriber in link.subscriptions.subscribers():
                subscriber.on_doubted()
            link.reconnect(f"the connection brings no data: {reason}", now_ns)
        elif strikes == 2:
            self._move(name, now_ns)
        else:
            link.renew(name, now_ns)

    # --- what happened ---------------------------------------------------------------------

    def on_data(self, name: str, now_ns: int) -> None:
        """The first diff of a stream arrived."""
        link = self._homes.get(name)
        if link is not None:
            link.on_data(name, now_ns)

    def on_too_many(self, link: Link, names: tuple[str, ...], now_ns: int) -> None:
        """A link has more streams than the exchange allows: learn how many, move the rest."""
        held = link.subscriptions.held()
        self._capacity = max(1, min(self._capacity, held if held else len(names) // 2))
        for name in names if held else names[self._capacity :]:
            if self._homes.get(name) is link:
                self._move(name, now_ns)

    # --- inside ----------------------------------------------------------------------------

    def _settle(self, name: str, subscriber: Subscriber, now_ns: int, *, besides: Link | None) -> None:
        candidates = (each for each in self._links.values() if each is not besides)
        link = next((each for each in candidates if len(each.subscriptions) < self._capacity), None)
        if link is None:
            link = Link(self._context, self._venue, self._connects, self)
            self._links[link.number] = link
        self._homes[name] = link
        link.add(name, subscriber, now_ns)

    def _move(self, name: str, now_ns: int) -> None:
        subscriber = self._subscribers[name]
        before = self._homes[name]
        subscriber.on_disconnected("the stream moves to another connection", now_ns)
        self._leave(name, now_ns)
        self._settle(name, subscriber, now_ns, besides=before)

    def _leave(self, name: str, now_ns: int) -> None:
        link = self._homes.pop(name, None)
        if link is None:
            return
        if [each for each, _ in link.subscriptions.subscribers()] == [name]:
            link.shut()
            self._links.pop(link.number, None)
        else:
            link.remove(name, now_ns)
