"""Arbitration: one stream over several connections, shown to its subscriber as a single one.

A stream has one feed per connection that carries it: usually one, two during a handover or if the user wants
redundancy. The subscriber is notified when the first feed arrives and when the last one is lost; changes in
between are not reported, because the book takes the first copy of each diff. Which connection carries which
stream is decided in `pool`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from depthcache.core import reasons
from depthcache.core.connections.control_messages import ErrorReply
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
        """Whether frames go to the book of the market; otherwise they are reported as they are."""
        ...

    @property
    def resume_id(self) -> int | None:
        """The update id from which its book can continue on a new connection; None if it must be rebuilt."""
        ...

    def on_connected(self, now_ns: int) -> None:
        """Frames come from a new connection from now on."""

    def on_live(self, now_ns: int) -> None:
        """The subscription was acknowledged, or data arrived."""

    def on_disconnected(self, reason: str, now_ns: int) -> None:
        """The connection was lost, or could not be made."""

    def on_weakened(self, now_ns: int, *, is_silent: bool) -> None:
        """One of several connections was lost. `is_silent`: the others have delivered nothing yet."""

    def on_doubted(self) -> None:
        """The connection, about to be replaced, delivered no data at all."""

    def on_refused(self, error: ErrorReply, now_ns: int) -> None:
        """The exchange refused this stream; it is tried again later."""


class Arbitration:
    """The feeds of one stream, and the notifications of its subscriber."""

    def __init__(self, context: Context, name: str, subscriber: Subscriber) -> None:
        self.name = name
        self.subscriber = subscriber
        self._context = context
        self._feeds: list[Feed] = []
        self._live = False

    def retell(self, now_ns: int) -> None:
        """Repeat the current state to the subscriber, which may have missed it."""
        if any(each.live_ns is not None for each in self._feeds):
            self._live = True
            self.subscriber.on_live(now_ns)
        elif not any(each.attached for each in self._feeds):
            self._live = False
            self.subscriber.on_disconnected(reasons.CONNECTION_GONE, now_ns)

    def feed(self) -> Feed:
        """Add a connection that is to carry the stream."""
        feed = Feed(self)
        self._feeds.append(feed)
        return feed

    def drop(self, feed: Feed) -> None:
        """Remove a feed without notifying the subscriber."""
        if feed in self._feeds:
            self._feeds.remove(feed)

    def doubt(self) -> None:
        """Require new proof from feeds that counted as live."""
        self._live = False
        for feed in self._feeds:
            feed.live_ns = None

    def on_connected(self, feed: Feed, now_ns: int) -> None:
        """A feed may deliver frames from now on."""
        alone = not any(each.attached for each in self._feeds)
        feed.attached = True
        if alone:
            with self._guard("on_connected", now_ns):
                self.subscriber.on_connected(now_ns)

    def on_live(self, feed: Feed, now_ns: int) -> None:
        """A subscription was accepted, or a feed delivered data."""
        feed.live_ns = now_ns if feed.live_ns is None else feed.live_ns
        if not self._live:
            self._live = True
            with self._guard("on_live", now_ns):
                self.subscriber.on_live(now_ns)

    def on_disconnected(self, feed: Feed, reason: str, now_ns: int) -> None:
        """The connection of a feed was lost."""
        had_been = feed.attached
        feed.attached, feed.live_ns = False, None
        others = [each for each in self._feeds if each.attached]
        if any(each.live_ns is not None for each in others):
            if had_been:
                with self._guard("on_weakened", now_ns):
                    self.subscriber.on_weakened(now_ns, is_silent=self._nothing_heard())
            return
        self._live = False
        with self._guard("on_disconnected", now_ns):
            self.subscriber.on_disconnected(reason, now_ns)
            if others:  # the remaining feeds start now: what they missed before is unknown
                self.subscriber.on_connected(now_ns)

    def on_refused(self, feed: Feed, error: ErrorReply, now_ns: int) -> None:
        """The subscription of a feed was refused."""
        if not self._live:
            with self._guard("on_refused", now_ns):
                self.subscriber.on_refused(error, now_ns)

    def _guard(self, where: str, now_ns: int) -> AbstractContextManager[None]:
        """Confine an exception of one subscriber to that subscriber."""
        return self._context.guard(f"market {self.subscriber.market}", where, now_ns)

    def _nothing_heard(self) -> bool:
        if not self.subscriber.takes_diffs:
            return True
        return all(feed.heard_ns is None for feed in self._context.router.feeds(self.subscriber.market))


class Feed:
    """One stream in one slot, across the slot's connections."""

    def __init__(self, arbitration: Arbitration) -> None:
        self._arbitration = arbitration
        self.attached = False
        self.live_ns: int | None = None
        """When the exchange started sending it; None if it does not."""

    @property
    def market(self) -> int:
        """The market of the stream."""
        return self._arbitration.subscriber.market

    @property
    def takes_diffs(self) -> bool:
        """Whether frames go to the book of the market."""
        return self._arbitration.subscriber.takes_diffs

    @property
    def resume_id(self) -> int | None:
        """The update id from which its book can continue; None if it must be rebuilt."""
        return self._arbitration.subscriber.resume_id

    def drop(self) -> None:
        """The feed is no longer wanted."""
        self._arbitration.drop(self)

    def on_connected(self, now_ns: int) -> None:
        """Frames may come from now on."""
        self._arbitration.on_connected(self, now_ns)

    def on_live(self, now_ns: int) -> None:
        """The subscription was accepted, or data came."""
        self._arbitration.on_live(self, now_ns)

    def on_disconnected(self, reason: str, now_ns: int) -> None:
        """The connection was lost."""
        self._arbitration.on_disconnected(self, reason, now_ns)

    def on_doubted(self) -> None:
        """The connection delivered nothing at all."""
        self._arbitration.subscriber.on_doubted()

    def on_refused(self, error: ErrorReply, now_ns: int) -> None:
        """The subscription was refused."""
        self._arbitration.on_refused(self, error, now_ns)
