"""How one stream comes over several connections, as its subscriber sees it: one that is live, or none.

A stream has one strand for each connection that carries it: one nearly always, two while a connection is
replaced or where the user wants two. The subscriber is told when the first strand is there and when the
last is gone; what happens in between to one of several concerns nobody, because the book takes the first
arrival of each diff. Not here: which connection carries which stream (`plane`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from depthcache.core.context import Context

__all__ = ["Carriage", "Strand", "Subscriber"]


class Subscriber(Protocol):
    """Who wants a stream (a market's supervisor, or its seed)."""

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


class Carriage:
    """One stream. Its strands report; it tells the subscriber."""

    def __init__(self, context: Context, name: str, subscriber: Subscriber) -> None:
        self.name = name
        self.subscriber = subscriber
        self._context = context
        self._strands: list[Strand] = []
        self._live = False

    def retell(self, now_ns: int) -> None:
        """The subscriber may have missed what it was told last: tell it how things are."""
        if any(each.live_ns is not None for each in self._strands):
            self._live = True
            self.subscriber.on_live(now_ns)
        elif not any(each.attached for each in self._strands):
            self._live = False
            self.subscriber.on_disconnected("the connection is gone", now_ns)

    def strand(self) -> Strand:
        """One more connection is to carry the stream."""
        strand = Strand(self)
        self._strands.append(strand)
        return strand

    def drop(self, strand: Strand) -> None:
        """A strand is not wanted any more; the subscriber is told nothing."""
        if strand in self._strands:
            self._strands.remove(strand)

    def doubt(self) -> None:
        """What counted as live is to prove itself anew."""
        self._live = False
        for strand in self._strands:
            strand.live_ns = None

    def on_connected(self, strand: Strand, now_ns: int) -> None:
        """A strand may bring frames from now on."""
        alone = not any(each.attached for each in self._strands)
        strand.attached = True
        if alone:
            with self._guard("on_connected", now_ns):
                self.subscriber.on_connected(now_ns)

    def on_live(self, strand: Strand, now_ns: int) -> None:
        """The exchange accepted a strand's subscription, or it brought data."""
        strand.live_ns = now_ns if strand.live_ns is None else strand.live_ns
        if not self._live:
            self._live = True
            with self._guard("on_live", now_ns):
                self.subscriber.on_live(now_ns)

    def on_disconnected(self, strand: Strand, reason: str, now_ns: int) -> None:
        """A strand's connection is gone."""
        had_been = strand.attached
        strand.attached, strand.live_ns = False, None
        others = [each for each in self._strands if each.attached]
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

    def on_refused(self, strand: Strand, reason: str, now_ns: int) -> None:
        """The exchange refuses a strand's subscription."""
        if not self._live:
            with self._guard("on_refused", now_ns):
                self.subscriber.on_refused(reason, now_ns)

    def _guard(self, where: str, now_ns: int) -> AbstractContextManager[None]:
        """One subscriber that raises takes neither the others nor the connection with it."""
        return self._context.guard(f"market {self.subscriber.market}", where, now_ns)

    def _nothing_heard(self) -> bool:
        lines = self._context.router.lines(self.subscriber.market) if self.subscriber.takes_diffs else []
        return all(heard_ns is None for _, _, heard_ns in lines)


class Strand:
    """One stream on one connection after the other of one link: what the link speaks to."""

    def __init__(self, carriage: Carriage) -> None:
        self._carriage = carriage
        self.attached = False
        self.live_ns: int | None = None
        """Since when the exchange sends it; None while it does not."""

    @property
    def market(self) -> int:
        """The market of the stream."""
        return self._carriage.subscriber.market

    @property
    def takes_diffs(self) -> bool:
        """Whether frames go to the book of the market."""
        return self._carriage.subscriber.takes_diffs

    def drop(self) -> None:
        """Not wanted any more."""
        self._carriage.drop(self)

    def on_connected(self, now_ns: int) -> None:
        """Frames may come from now on."""
        self._carriage.on_connected(self, now_ns)

    def on_live(self, now_ns: int) -> None:
        """The exchange accepted the subscription, or data came."""
        self._carriage.on_live(self, now_ns)

    def on_disconnected(self, reason: str, now_ns: int) -> None:
        """The connection is gone."""
        self._carriage.on_disconnected(self, reason, now_ns)

    def on_doubted(self) -> None:
        """The connection brought nothing at all."""
        self._carriage.subscriber.on_doubted()

    def on_refused(self, reason: str, now_ns: int) -> None:
        """The exchange refuses the stream."""
        self._carriage.on_refused(self, reason, now_ns)
