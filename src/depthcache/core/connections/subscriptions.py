"""The subscriptions of a connection, and the next control message towards the wanted state.

Each stream has a state, and messages are derived from states. So the next message is right whatever
happened in between, and nothing is subscribed twice on one connection:

    WANTED --SUBSCRIBE sent--> ASKED --reply or data--> HELD --UNSUBSCRIBE sent--> LEAVING --reply--> gone
       ^------- refused ---------'                                                    '--> WANTED (renewed)

One message is in flight at a time. A refused batch is halved until the refused stream is alone; a stream
refused alone is tried again with growing pauses. Data may arrive before the response (ccxt issue 6672) and
is stronger evidence: it makes a stream HELD as well.

Connections and time limits are in `connection`, the number of streams per connection in `streams`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from depthcache.core.connections.arbitration import Feed
from depthcache.core.connections.control_messages import ErrorReply
from depthcache.core.context import Context

__all__ = ["Message", "Subscription", "SubscriptionState", "Subscriptions", "blamed_of"]

_LONGEST_MESSAGE = 7_000
"""The size limit of names in one message, in bytes: frames above about 8,000 characters broke connections
(unicorn-binance-websocket-api 2.16.1, 2026).
"""


class SubscriptionState(Enum):
    """The state of a stream on its connection."""

    WANTED = "wanted"
    ASKED = "asked"
    HELD = "held"
    LEAVING = "leaving"


@dataclass(slots=True, eq=False)
class Subscription:
    """One stream of one connection; without a subscriber it is being removed."""

    name: str
    subscriber: Feed | None
    together: int
    """The maximum number of names in a message that contains this one."""
    state: SubscriptionState = SubscriptionState.WANTED
    renew: bool = False
    stays: bool = False
    """Whether it is to come from this connection, although the book is held elsewhere."""
    refusals: int = 0
    not_before_ns: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """A control message; `number` is repeated in the response."""

    number: int
    method: str
    names: tuple[str, ...]
    resume: tuple[tuple[str, int], ...] = ()
    """For a book server: streams with the update id from which their book continues."""
    moves: bool = False
    """For a book server: the streams can move to other nodes."""

    @property
    def text(self) -> str:
        """The frame. Names are sent as they are: raw UTF-8 is accepted (measured 2026-10-07)."""
        params = {"params": self.names} if self.names else {}
        resume = {"resume": dict(self.resume)} if self.resume else {}
        moves = {"moves": True} if self.moves else {}
        message = {"method": self.method, **params, **resume, **moves, "id": self.number}
        return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


class Subscriptions:
    """The streams of one slot, across its connections."""

    def __init__(self, context: Context, names_per_message: int, *, moves: bool = False) -> None:
        """`moves`: streams can move to other book servers."""
        self._context = context
        self._moves = moves
        self._names_per_message = names_per_message
        self._streams: dict[str, Subscription] = {}
        self._numbers = 0
        self._diffs = 0
        self.awaiting: Message | None = None

    # --- getters ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._streams)

    def __contains__(self, name: str) -> bool:
        return name in self._streams

    def subscribers(self) -> list[tuple[str, Feed]]:
        """All wanted streams with their subscribers."""
        return [(name, each.subscriber) for name, each in self._streams.items() if each.subscriber]

    def diffs(self) -> int:
        """The number of diff streams."""
        return self._diffs

    def subscriber(self, name: str) -> Feed | None:
        """The subscriber of a stream; None if it is not wanted."""
        stream = self._streams.get(name)
        return None if stream is None else stream.subscriber

    def is_last(self, name: str) -> bool:
        """Whether no other stream is wanted."""
        return all(other == name or each.subscriber is None for other, each in self._streams.items())

    def held(self) -> int:
        """The number of streams that the exchange has accepted on this connection."""
        return sum(
            each.state in (SubscriptionState.HELD, SubscriptionState.LEAVING)
            for each in self._streams.values()
        )

    def proven(self, message: Message) -> bool:
        """Whether data has already shown that a SUBSCRIBE worked in full."""
        states = (self._streams[name].state for name in message.names if name in self._streams)
        return message.method == "SUBSCRIBE" and all(state is not SubscriptionState.ASKED for state in states)

    # --- commands --------------------------------------------------------------------------

    def add(self, name: str, subscriber: Feed) -> bool:
        """Add a wanted stream; True if the exchange already sends it."""
        stream = self._streams.get(name)
        self._diffs += subscriber.takes_diffs
        if stream is None:
            self._streams[name] = Subscription(name, subscriber, self._names_per_message)
            return False
        if stream.subscriber is not None:
            self._diffs -= stream.subscriber.takes_diffs
        stream.subscriber = subscriber
        return stream.state is SubscriptionState.HELD and not stream.renew

    def remove(self, name: str) -> None:
        """Remove a wanted stream; it is unsubscribed with the next messages."""
        stream = self._streams[name]
        if stream.subscriber is not None:
            self._diffs -= stream.subscriber.takes_diffs
        stream.subscriber = None
        if stream.state is SubscriptionState.WANTED:
            del self._streams[name]

    def resubscribe(self, name: str) -> None:
        """Unsubscribe a stream and subscribe it again."""
        stream = self._streams[name]
        stream.renew = stream.state is SubscriptionState.HELD

    # --- what happened ---------------------------------------------------------------------

    def on_down(self) -> None:
        """The connection was lost: wanted streams must be subscribed again, others are removed."""
        self.awaiting = None
        self._streams = {name: each for name, each in self._streams.items() if each.subscriber}
        for stream in self._streams.values():
            stream.state, stream.renew, stream.stays = SubscriptionState.WANTED, False, False

    def on_data(self, name: str, now_ns: int) -> None:
        """The first diff of a stream arrived."""
        stream = self._streams.get(name)
        if (
            stream is None
            or stream.renew
            or stream.state not in (SubscriptionState.ASKED, SubscriptionState.HELD)
        ):
            return
        stream.state = SubscriptionState.HELD
        if stream.subscriber:
            stream.subscriber.on_live(now_ns)

    def on_done(self, now_ns: int) -> None:
        """The pending message succeeded."""
        message, self.awaiting = self.awaiting, None
        if message is None:
            return
        if message.method == "SUBSCRIBE":
            self._subscribed(message.names, now_ns)
        elif message.method == "UNSUBSCRIBE":
            self._unsubscribed(message.names)

    def on_refused(self, error: ErrorReply, now_ns: int) -> tuple[str, ...]:
        """The pending message was refused; returns the names that it would have subscribed.

        Names in the error are put off at once, and the others are asked for again.
        """
        message, self.awaiting = self.awaiting, None
        if message is None:
            return ()
        if message.method != "SUBSCRIBE":
            self._unsubscribed(message.names if message.method == "UNSUBSCRIBE" else ())
            return ()
        asked = [self._streams[name] for name in message.names if self._is_asked(name)]
        blamed = blamed_of(error, message.names)
        for stream in asked:
            stream.state = SubscriptionState.WANTED
            stream.together = stream.together if blamed else max(1, len(message.names) // 2)
        for stream in asked:
            if stream.name in blamed:
                self._put_off(stream, error, now_ns)
        self._forget_unwanted(message.names)
        return message.names

    def on_moved(self, error: ErrorReply) -> list[tuple[str, tuple[str, ...]]]:
        """The pending message was refused because other nodes hold some of its books; returns these streams
        with the addresses. All streams are asked for again."""
        message, self.awaiting = self.awaiting, None
        names = () if message is None else message.names
        for name in filter(self._is_asked, names):
            self._streams[name].state = SubscriptionState.WANTED
        self._forget_unwanted(names)
        return [(name, each) for name, each in error.holders if name in names and name in self._streams]

    def stay(self, name: str) -> None:
        """Take a stream from this connection, whoever holds its book."""
        self._streams[name].stays = True

    # --- what to do next -------------------------------------------------------------------

    def next_message(self, now_ns: int) -> Message | None:
        """The next control message, counted as sent; None if there is none."""
        if self.awaiting is not None:
            return None
        streams = self._streams.values()
        leaving = [each for each in streams if each.state is SubscriptionState.HELD and not _stays(each)]
        if leaving:
            return self._send("UNSUBSCRIBE", self._batch(leaving), SubscriptionState.LEAVING)
        coming = [
            each
            for each in streams
            if each.state is SubscriptionState.WANTED and each.not_before_ns <= now_ns
        ]
        if coming:
            return self._send("SUBSCRIBE", self._batch(coming), SubscriptionState.ASKED)
        return None

    def sign_of_life(self) -> Message | None:
        """A message whose only purpose is a response; None if another response is pending anyway."""
        return None if self.awaiting else self._send("LIST_SUBSCRIPTIONS", [], SubscriptionState.HELD)

    def next_retry_ns(self) -> int | None:
        """When the next refused stream may be tried again."""
        wanted = (
            each.not_before_ns for each in self._streams.values() if each.state is SubscriptionState.WANTED
        )
        return min(wanted, default=None)

    # --- inside ----------------------------------------------------------------------------

    def _send(self, method: str, streams: Iterable[Subscription], state: SubscriptionState) -> Message:
        names: list[str] = []
        resume: list[tuple[str, int]] = []
        for stream in streams:
            stream.state = state
            names.append(stream.name)
            if (
                method == "SUBSCRIBE"
                and stream.subscriber
                and (known := stream.subscriber.resume_id) is not None
            ):
                resume.append((stream.name, known))
        self._numbers += 1
        moves = self._moves and method == "SUBSCRIBE"
        moves = moves and not any(self._streams[name].stays for name in names)
        self.awaiting = Message(self._numbers, method, tuple(names), tuple(resume), moves)
        return self.awaiting

    def _batch(self, streams: list[Subscription]) -> list[Subscription]:
        """The streams that fit into one message, in order, within the batch limit of each."""
        batch: list[Subscription] = []
        most, length = self._names_per_message, 0
        for stream in streams:
            most = min(most, stream.together)
            length += len(stream.name.encode()) + 3
            if batch and (len(batch) >= most or length > _LONGEST_MESSAGE):
                break
            if batch and stream.stays != batch[0].stays:
                break
            batch.append(stream)
        return batch

    def _subscribed(self, names: Iterable[str], now_ns: int) -> None:
        news = [self._streams[name] for name in names if self._is_asked(name)]
        for stream in news:
            stream.state, stream.refusals, stream.together = (
                SubscriptionState.HELD,
                0,
                self._names_per_message,
            )
        for stream in news:
            if stream.subscriber:
                stream.subscriber.on_live(now_ns)

    def _unsubscribed(self, names: Iterable[str]) -> None:
        for name in names:
            stream = self._streams.get(name)
            if stream is not None and stream.state is SubscriptionState.LEAVING:
                stream.state, stream.renew = SubscriptionState.WANTED, False
        self._forget_unwanted(names)

    def _put_off(self, stream: Subscription, error: ErrorReply, now_ns: int) -> None:
        policy = self._context.policy
        pause_ns = self._context.backoff_ns(stream.refusals, 2 * policy.retry_base_s, policy.retry_cap_s)
        stream.refusals += 1
        stream.not_before_ns = now_ns + pause_ns
        if stream.subscriber:
            stream.subscriber.on_refused(error, now_ns)

    def _is_asked(self, name: str) -> bool:
        stream = self._streams.get(name)
        return stream is not None and stream.state is SubscriptionState.ASKED

    def _forget_unwanted(self, names: Iterable[str]) -> None:
        for name in names:
            stream = self._streams.get(name)
            if stream is not None and stream.state is SubscriptionState.WANTED and stream.subscriber is None:
                del self._streams[name]


def blamed_of(error: ErrorReply, names: tuple[str, ...]) -> frozenset[str]:
    """The streams of a refused message that are the reason; empty if the error does not say which."""
    return frozenset(names).intersection(error.streams) or frozenset(names if len(names) == 1 else ())


def _stays(stream: Subscription) -> bool:
    return stream.subscriber is not None and not stream.renew
