"""How one stream comes over several connections, as its subscriber sees it: one that is live, or none.

A stream has one feed for each connection that carries it: one nearly always, two while a connection is
replaced or where the user wants two. The subscriber hears when the first feed arrives and when the
last is gone; what happens to one of several feeds in between is not reported, because the book takes the
first copy of each diff. Not here: which connection carries which stream (`pool`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from depthcache.core import reasons
from depthcache.core.context import Context

__all__ = ["Arbitration", "Feed", "Subscriber"]


class Subscriber(Protocol):
    """A consumer of a stream: a market's supervisor, or its bootstrap."""

    @property
    def market(self) -> int:
        """The market of the stream."""
        ...

    @property
    def takes_diffs(self) -> bool:
        """Whether frames go to the book of the market; else they are handed out as they are."""
        ...

    def on_connected(self, now_ns: int) -> None:
        """From now on, frames come from a connection that brought none before."""

    def on_live(self, now_ns: int) -> None:
        """The subscription was acknowledged, or data arrived."""

    def on_disconnected(self, reason: str, now_ns: int) -> None:
        """The connection is gone, or could not be made."""

    def on_weakened(self, now_ns: int) -> None:
        """One of several connections is gone, and the others have brought nothing yet."""

    def on_doubted(self) -> None:
        """The connection, about to be given up, brought no data at all."""

    def on_refused(self, reason: str, now_ns: int) -> None:
        """The exchange refuses this stream; it is tried again later."""


class Arbitration:
    """One stream. Its feeds report; it tells the subscriber."""

    def __init__(self, context: Context, name: str, subscriber: Subscriber) -> None:
        self.name = name
        self.subscriber = subscriber
        self._context = context
        self._feeds: list[Feed] = []
        self._live = False

    def retell(self, now_ns: int) -> None:
        """The subscriber may have missed what it was told last: tell it how things are."""
        if any(each.live_ns is not None for each in self._feeds):
            self._live = True
            self.subscriber.on_live(now_ns)
        elif not any(each.attached for each in self._feeds):
            self._live = False
            self.subscriber.on_disconnected(reasons.CONNECTION_GONE, now_ns)

    def feed(self) -> Feed:
        """One more connection is to carry the stream."""
        feed = Feed(self)
        self._feeds.append(feed)
        return feed

    def drop(self, feed: Feed) -> None:
        """Drop a feed that is no longer wanted, without notifying the subscriber."""
        if feed in self._feeds:
            self._feeds.remove(feed)

    def doubt(self) -> None:
        """What counted as live must prove itself again."""
        self._live = False
        for feed in self._feeds:
            feed.live_ns = None

    def on_connected(self, feed: Feed, now_ns: int) -> None:
        """A feed may bring frames from now on."""
        alone = not any(each.attached for each in self._feeds)
        feed.attached = True
        if alone:
            with self._guard("on_connected", now_ns):
                self.subscriber.on_connected(now_ns)

    def on_live(self, feed: Feed, now_ns: int) -> None:
        """The exchange accepted a feed's subscription, or it brought data."""
        feed.live_ns = now_ns if feed.live_ns is None else feed.live_ns
        if not self._live:
            self._live = True
            with self._guard("on_live", now_ns):
                self.subscriber.on_live(now_ns)

    def on_disconnected(self, feed: Feed, reason: str, now_ns: int) -> None:
        """A feed's connection is gone."""
        had_been = feed.attached
        feed.attached, feed.live_ns = False, None
        others = [each for each in self._feeds if each.attached]
        if any(each.live_ns is not None for each in others):
            if had_been and self._nothing_heard():
                with self._guard("on_weakened", now_ns):
                    self.subscriber.on_weakened(now_ns)
            return
        self._live = False
        with self._guard("on_disconnected", now_ns):
            self.subscriber.on_disconnected(reason, now_ns)
            if others:  # what is left begins now: nothing vouches for what came before
                self.subscriber.on_connected(now_ns)

    def on_refused(self, feed: Feed, reason: str, now_ns: int) -> None:
        """The exchange refuses a feed's subscription."""
        if not self._live:
            with self._guard("on_refused", now_ns):
                self.subscriber.on_refused(reason, now_ns)

    def _guard(self, where: str, now_ns: int) -> AbstractContextManager[None]:
        """One subscriber that raises takes neither the others nor the connection with it."""
        return self._context.guard(f"market {self.subscriber.market}", where, now_ns)

    def _nothing_heard(self) -> bool:
        if not self.subscriber.takes_diffs:
            return True
        return all(feed.heard_ns is None for feed in self._context.router.feeds(self.subscriber.market))


class Feed:
    """One stream on one connection after the other of one slot: what the slot speaks to."""

    def __init__(self, arbitration: Arbitration) -> None:
        self._arbitration = arbitration
        self.attached = False
        self.live_ns: int | None = None
        """Since when the exchange sends it; None while it does not."""

    @property
    def market(self) -> int:
        """The market of the stream."""
        return self._arbitration.subscriber.market

    @property
    def takes_diffs(self) -> bool:
        """Whether frames go to the book of the market."""
        return self._arbitration.subscriber.takes_diffs

    def drop(self) -> None:
        """Not wanted any more."""
        self._arbitration.drop(self)

    def on_connected(self, now_ns: int) -> None:
        """Frames may come from now on."""
        self._arbitration.on_connected(self, now_ns)

    def on_live(self, now_ns: int) -> None:
        """The exchange accepted the subscription, or data came."""
        self._arbitration.on_live(self, now_ns)

    def on_disconnected(self, reason: str, now_ns: int) -> None:
        """The connection is gone."""
        self._arbitration.on_disconnected(self, reason, now_ns)

    def on_doubted(self) -> None:
        """The connection brought nothing at all."""
        self._arbitration.subscriber.on_doubted()

    def on_refused(self, reason: str, now_ns: int) -> None:
        """The exchange refuses the stream."""
        self._arbitration.on_refused(self, reason, now_ns)
