"""A connection slot: a group of streams, and the connection that currently carries them.

A slot stays connected as long as it has streams. Its connections come and go, each with its own number. When
one is lost, for any reason, the slot connects again after a jittered pause that doubles up to a cap, without
a limit of attempts, and within the venue's connect limit. A silent connection is asked for a sign of life
before it counts as dead; one that does not respond is replaced. One near the end of its allowed life, or
whose end is announced, gets a successor, a separate slot, before it is given up (`pool`).

The state of a slot is in `connection` and `_opened_ns`: no connection (waiting for CONNECT), an opening one,
or an open one. Which stream belongs to which slot is decided in `pool`; messages are in `subscriptions`.
"""

from __future__ import annotations

from typing import Protocol

from depthcache.core import reasons
from depthcache.core.commands import CloseConnection, OpenConnection, Send
from depthcache.core.connections.arbitration import Feed
from depthcache.core.connections.control_messages import Holders, Nodes, Reply, Shutdown, read_reply
from depthcache.core.connections.subscriptions import Message, Subscriptions, blamed_of
from depthcache.core.context import Context, HandshakeRefusal
from depthcache.core.notices import AccessRefused
from depthcache.core.policy import to_ns
from depthcache.core.servers import HELD_ELSEWHERE, Attempts, is_access_refused, server_hint
from depthcache.core.timers import Timer
from depthcache.venues.venue import Venue

__all__ = ["ConnectionSlot", "SlotOwner"]

_TOO_MANY = 4
"""Binance's code "Too many subscriptions"; it then closes the connection with 1008 (2026-10-07)."""
_POLICY_CLOSE = 1008
"""The close code after exceeding a limit (measured 2026-10-07): reconnect more slowly."""
_SLOW_ATTEMPT = 4
_YOUNG_S = 10.0
_COME_BACK_CLOSE = 1012
"""The close code of a book server that ended one of the books (`crates/server/src/exchange/feed.rs`)."""
_FIRST_PAUSE_S = 0.05
_SERVED_STABLE_S = 10.0
"""A connection to a book server that lasted this long costs no growing pause: no server bans an address."""
_SIBLING_S = 0.75
"""A node of a cluster that is silent for so long is asked for a sign of life, and left if none comes in as
long again: another one has the same books. Far nodes have more time (`_sibling_patience_s`)."""
_SIBLING_REPLY_S = 2.0
_OPENING_TRIPS = 2
"""TCP, TLS and the handshake are three; one is enough for a first guess of the way to a node."""
_TIMERS = (Timer.CONNECT, Timer.OPENING, Timer.MESSAGE, Timer.REPLY, Timer.LIFE, Timer.RENEW, Timer.IDLE)


class SlotOwner(Protocol):
    """The owner of slots: the pool."""

    def on_too_many(self, slot: ConnectionSlot, names: tuple[str, ...], now_ns: int) -> None:
        """The exchange refused these streams because the connection has too many."""

    def on_not_served(self, slot: ConnectionSlot, name: str, now_ns: int) -> None:
        """The book server of the connection refused this stream."""

    def on_moved(self, slot: ConnectionSlot, name: str, addresses: tuple[str, ...], now_ns: int) -> None:
        """The book server of the connection says that others hold the book of this stream."""

    def on_kept(self, slot: ConnectionSlot, name: str, addresses: tuple[str, ...], now_ns: int) -> None:
        """The book server of the connection keeps the book of this stream for its readers alone."""

    def may_serve(self, slot: ConnectionSlot, server: int, now_ns: int) -> bool:
        """Whether a book server may hold any stream of a slot."""
        ...

    def on_end_of_life(self, slot: ConnectionSlot, now_ns: int) -> None:
        """The connection will end: prepare another one."""

    def on_lost(self, slot: ConnectionSlot, now_ns: int) -> None:
        """The connection was lost."""


class ConnectionSlot:
    """One group of streams. Usage: `add` streams, then report events with the `on_…` methods."""

    def __init__(self, context: Context, venue: Venue, owner: SlotOwner, server: int = 0) -> None:
        """`server`: the number of the book server to connect to first, where the venue has any."""
        self.number: int = next(context.slot_numbers)
        self.subscriptions: Subscriptions = Subscriptions(
            context, venue.names_per_message, moves=bool(venue.servers) and context.servers.moves
        )
        self._context = context
        self.venue = venue
        self._owner = owner
        self._budget = context.budgets.of(venue)
        self.server: int = server
        """The number of the book server that is used now or next."""
        self._attempts = Attempts(context.servers)
        self.connection: int | None = None
        """The number of the current connection."""
        self._opened_ns: int | None = None
        self._asked_ns = 0
        """When the connection, or the answer to the last message, was asked for."""
        self._alive_ns = 0
        self.connects: int = 0
        """The number of connection attempts."""
        self._next_message_ns = 0

    # --- getters ---------------------------------------------------------------------------

    @property
    def owner(self) -> str:
        """As `requests.scheduler.Requester.owner`."""
        return f"slot {self.number}"

    @property
    def is_open(self) -> bool:
        """Whether the connection is open."""
        return self._opened_ns is not None

    def last_alive_ns(self) -> int:
        """The time of the last sign of life, 0 before one."""
        if self.connection is None:
            return self._alive_ns
        return max(self._alive_ns, self._context.router.traffic(self.connection).last_data_ns or 0)

    def is_young(self, now_ns: int) -> bool:
        """Whether the connection was made only a moment ago."""
        return self._opened_ns is None or now_ns - self._opened_ns < to_ns(_YOUNG_S)

    def last_data_ns(self) -> int:
        """The time of the last diff, 0 before one."""
        if self.connection is None:
            return 0
        return self._context.router.traffic(self.connection).last_diff_ns or 0

    # --- commands --------------------------------------------------------------------------

    def add(self, name: str, subscriber: Feed, now_ns: int) -> None:
        """Carry one more stream."""
        live = self.subscriptions.add(name, subscriber)
        if self.connection is None and not self._waits_to_connect():
            self._connect(now_ns)
        elif self.is_open:
            self._attach(name, subscriber, now_ns)
            if live:
                subscriber.on_live(now_ns)
            self._send_next(now_ns)

    def remove(self, name: str, now_ns: int) -> None:
        """Stop carrying a stream."""
        if self.is_open and self.connection is not None:
            self._context.router.unroute(self.connection, name)
        self.subscriptions.remove(name)
        self._send_next(now_ns)

    def resubscribe(self, name: str, now_ns: int) -> None:
        """Unsubscribe a stream and subscribe it again."""
        self.subscriptions.resubscribe(name)
        self._send_next(now_ns)

    def schedule_handover(self, seconds: float, now_ns: int) -> None:
        """Ask the pool for a successor after that time."""
        if self.is_open:
            self._context.deadlines.set(Timer.RENEW, self.number, now_ns + to_ns(seconds))

    def reconnect(self, reason: str, now_ns: int) -> None:
        """Replace the connection."""
        if self.connection is not None:
            self._context.commands.append(CloseConnection(self.connection))
            self._on_lost(reason, now_ns)

    def recover(self, now_ns: int) -> None:
        """Restart after an exception: a new connection is the only state known for sure."""
        if self.connection is not None:
            self.reconnect(reasons.INTERNAL_ERROR_WITH_CONNECTION, now_ns)
        else:
            self.go_on(now_ns)

    def go_on(self, now_ns: int) -> None:
        """Connect, or send what is pending, unless that is already under way."""
        if self.connection is not None:
            self._send_next(now_ns)
        elif len(self.subscriptions) and not self._waits_to_connect():
            self._connect(now_ns)

    def shut(self) -> None:
        """Close for good: no stream is wanted any more."""
        if self.connection is not None:
            self._context.commands.append(CloseConnection(self.connection))
            self._forget_connection()
        self._context.deadlines.clear(self.number, *_TIMERS)

    # --- what happened ---------------------------------------------------------------------

    def on_open(self, now_ns: int) -> None:
        """The connection is open: route and subscribe all streams."""
        if self.connection is None or self.is_open:
            return
        deadlines, lifetime_s = self._context.deadlines, self.venue.connection_lifetime_s
        self._budget.on_connected(now_ns)
        self._opened_ns = self._alive_ns = self._next_message_ns = now_ns
        self._context.servers.on_opened(self.server)
        self._on_response((now_ns - self._asked_ns) // _OPENING_TRIPS)
        deadlines.clear(self.number, Timer.OPENING)
        # Slots opened together must not be renewed together.
        renew_s = lifetime_s * self._context.policy.renew_at * (1.0 - 0.1 * self._context.random())
        deadlines.set(Timer.RENEW, self.number, now_ns + to_ns(renew_s))
        deadlines.set(Timer.LIFE, self.number, now_ns + self._quiet_ns())
        for name, subscriber in self.subscriptions.subscribers():
            self._attach(name, subscriber, now_ns)
        self._send_next(now_ns)

    def on_closed(self, code: int | None, reason: str, now_ns: int, *, refusal: HandshakeRefusal) -> None:
        """The connection was lost, or could not be made. `refusal`: the response to a refused handshake."""
        held_s: float | None = None
        is_served = bool(self.venue.servers)  # a server bans no address
        if refusal.status is not None and not self.is_open and not is_served:
            held_s = self._budget.on_refused_connect(
                refusal.status, refusal.retry_after, refusal.date, now_ns
            )
        if code == _POLICY_CLOSE:
            self._attempts.slow_down(self.server, _SLOW_ATTEMPT)
        told = reasons.connection_closed(reason, was_open=self.is_open, code=code, held_s=held_s)
        if is_served:
            hint = server_hint(refusal.status, has_token=self._context.servers.has_token, reason=reason)
            told = "; ".join(filter(None, (told, hint)))
        is_refused = is_served and not self.is_open and is_access_refused(refusal.status, reason)
        self._on_lost(told, now_ns, is_refused=is_refused, stays=is_served and code == _COME_BACK_CLOSE)

    def on_alive(self, now_ns: int) -> None:
        """A ping from this side was answered, or an awaited frame other than a diff arrived."""
        self._alive_ns = max(self._alive_ns, now_ns)

    def on_control(self, payload: bytes, now_ns: int) -> None:
        """A control message arrived. An unsolicited one is not a sign of life."""
        message = read_reply(payload)
        if isinstance(message, Shutdown):
            self.on_alive(now_ns)
            self._owner.on_end_of_life(self, now_ns)
        elif isinstance(message, Nodes):
            self.on_alive(now_ns)
            if self.venue.servers and self.is_open:
                self._context.servers.on_nodes(message.addresses, self.server)
                self._context.deadlines.set(Timer.LIFE, self.number, now_ns + self._quiet_ns())
        elif isinstance(message, Holders):
            self.on_alive(now_ns)
            if self.venue.servers and self.is_open:
                for name, addresses in message.holders:
                    self._owner.on_kept(self, name, addresses, now_ns)
        elif isinstance(message, Reply):
            self._on_reply(message, now_ns)

    def on_data(self, name: str, now_ns: int) -> None:
        """The first diff of a stream arrived."""
        self.subscriptions.on_data(name, now_ns)

    def on_timer(self, timer: Timer, now_ns: int) -> None:
        """A deadline of this slot is due."""
        match timer:
            case Timer.CONNECT:
                self._connect(now_ns)
            case Timer.OPENING:
                self._on_timeout(now_ns)
                self.reconnect(reasons.NOT_OPENED, now_ns)
            case Timer.MESSAGE:
                self._send_next(now_ns)
            case Timer.REPLY:
                self._on_no_reply(now_ns)
            case Timer.LIFE:
                self._check_liveness(now_ns)
            case Timer.RENEW:
                self._owner.on_end_of_life(self, now_ns)
            case _:
                pass  # not a slot timer

    # --- connections -----------------------------------------------------------------------

    def _waits_to_connect(self) -> bool:
        return self._context.deadlines.pending(Timer.CONNECT, self.number) is not None

    def _connect(self, now_ns: int) -> None:
        context = self._context
        free_at_ns = self._budget.take_connect(context.policy.limit_share * context.budget_share, now_ns)
        if free_at_ns > now_ns:
            context.deadlines.set(Timer.CONNECT, self.number, free_at_ns)
            return
        connection = next(context.connection_numbers)
        context.router.open_connection(connection, server=self.venue.server_name(self.server))
        self.connection, self._asked_ns = connection, now_ns
        self.connects += 1
        context.slots_by_connection[connection] = self
        context.deadlines.clear(self.number, Timer.CONNECT)
        context.deadlines.set(Timer.OPENING, self.number, now_ns + to_ns(self._connect_timeout_s()))
        context.commands.append(OpenConnection(connection, self.venue.stream_url(self.server)))

    def _on_lost(self, reason: str, now_ns: int, *, is_refused: bool = False, stays: bool = False) -> None:
        """`stays`: the book server is well and wants to be connected to again."""
        was_open_ns = 0 if self._opened_ns is None else now_ns - self._opened_ns
        stable_s = self._context.policy.stable_s
        if was_open_ns >= to_ns(min(stable_s, _SERVED_STABLE_S) if self.venue.servers else stable_s):
            self._attempts.on_stable(self.server)
        self._forget_connection()
        self._context.deadlines.clear(self.number, *_TIMERS)
        if self.venue.servers:
            reason = reasons.of_server(self.venue.server_name(self.server), reason)
            self._on_server_lost(reason if is_refused else "", now_ns)
        stays = stays and self._attempts.is_first(self.server)
        self._attempts.on_failed(self.server, self._pause_ns, now_ns)
        # Arm the recovery before reporting the loss.
        self.server, at_ns = self._attempts.next(
            self.server,
            now_ns,
            holds=lambda server: self._owner.may_serve(self, server, now_ns),
            stays=stays,
        )
        self._context.deadlines.set(Timer.CONNECT, self.number, at_ns)
        self.subscriptions.on_down()
        for _, subscriber in self.subscriptions.subscribers():
            subscriber.on_disconnected(reason, now_ns)
        self._owner.on_lost(self, now_ns)

    def _on_server_lost(self, refusal: str, now_ns: int) -> None:
        refused = self._context.servers.on_failed(self.server, now_ns, refusal=refusal)
        if refused:
            self._context.notices.append(AccessRefused(refused))

    def _pause_ns(self, failures: int) -> int:
        """The pause before a server is tried again: nearly none after the first failure of a book server."""
        policy = self._context.policy
        if self.venue.servers and not failures:
            return to_ns(min(_FIRST_PAUSE_S, policy.connect_base_s) * self._context.random())
        return self._context.backoff_ns(failures, policy.connect_base_s, policy.connect_cap_s)

    def _forget_connection(self) -> None:
        """Ignore whatever still comes from that connection."""
        if self.connection is not None:
            self._context.slots_by_connection.pop(self.connection, None)
            self._context.router.close_connection(self.connection)
        self.connection = self._opened_ns = None

    def _attach(self, name: str, subscriber: Feed, now_ns: int) -> None:
        """Route the stream before SUBSCRIBE is sent, since frames may precede the response."""
        if self.connection is not None:
            router = self._context.router
            if subscriber.takes_diffs:
                router.route(self.connection, name, subscriber.market)
            else:
                router.listen(self.connection, name)
            subscriber.on_connected(now_ns)

    # --- messages --------------------------------------------------------------------------

    def _send_next(self, now_ns: int) -> None:
        """Send the next message, if there is one and the rate limit allows it."""
        if not self.is_open or self.subscriptions.awaiting is not None:
            return
        deadlines = self._context.deadlines
        if now_ns < self._next_message_ns:
            deadlines.set(Timer.MESSAGE, self.number, self._next_message_ns)
            return
        message = self.subscriptions.next_message(now_ns)
        if message is not None:
            self._send(message, now_ns)
            return
        retry_ns = self.subscriptions.next_retry_ns()
        if retry_ns is not None:
            deadlines.set(Timer.MESSAGE, self.number, max(retry_ns, now_ns + 1))

    def _send(self, message: Message, now_ns: int) -> None:
        policy = self._context.policy
        if self.connection is None:
            return
        self._context.commands.append(Send(self.connection, message.text))
        self._asked_ns = now_ns
        # Pongs count towards the limit as well, so messages are spaced out.
        pace = max(self.venue.messages_per_second * policy.limit_share, 0.1)
        self._next_message_ns = now_ns + to_ns(1.0 / pace)
        self._context.deadlines.clear(self.number, Timer.MESSAGE)
        patience_s = self._patience_s(message)
        self._context.deadlines.set(Timer.REPLY, self.number, now_ns + to_ns(patience_s))

    def _on_reply(self, reply: Reply, now_ns: int) -> None:
        awaited = self.subscriptions.awaiting
        # An error about a message that the exchange could not parse has no number.
        if awaited is None or reply.number not in (awaited.number, None):
            return
        if reply.number is None and reply.error is None:
            return
        self.on_alive(now_ns)
        if self._is_prompt(awaited):
            self._on_response(now_ns - self._asked_ns)
        self._context.deadlines.clear(self.number, Timer.REPLY)
        if reply.error is None:
            self.subscriptions.on_done(now_ns)
        elif reply.error.code == HELD_ELSEWHERE and self.venue.servers:
            for name, addresses in self.subscriptions.on_moved(reply.error):
                self._owner.on_moved(self, name, addresses, now_ns)
        else:
            names = self.subscriptions.on_refused(reply.error, now_ns)
            if reply.error.code == _TOO_MANY and names:
                self._owner.on_too_many(self, names, now_ns)
            elif self.venue.servers:
                blamed = blamed_of(reply.error, names)
                for name in filter(blamed.__contains__, names):
                    self._owner.on_not_served(self, name, now_ns)
        self._send_next(now_ns)

    def _on_no_reply(self, now_ns: int) -> None:
        awaited = self.subscriptions.awaiting
        if awaited is None:
            return
        asked_for_life = awaited.method == "LIST_SUBSCRIPTIONS"
        patience_s = self._patience_s(awaited)
        timeout_ns = to_ns(patience_s)
        if self.subscriptions.proven(awaited) or (
            asked_for_life and self.last_alive_ns() > now_ns - timeout_ns
        ):
            self.subscriptions.on_done(now_ns)
            self._send_next(now_ns)
            return
        method = None if asked_for_life else awaited.method
        self._on_timeout(now_ns)
        self.reconnect(reasons.connection_silent(method, patience_s), now_ns)

    # --- life ------------------------------------------------------------------------------

    def _quiet_ns(self) -> int:
        """How long nothing may arrive before a sign of life is requested."""
        quiet_s = self._context.policy.quiet_connection_s
        return to_ns(min(quiet_s, _SIBLING_S) if self._has_siblings else quiet_s)

    @property
    def _has_siblings(self) -> bool:
        """Whether the server is a node of a cluster: another one has the same books."""
        return bool(self.venue.servers) and self._context.servers.are_nodes

    def _connect_timeout_s(self) -> float:
        timeout_s = self._context.policy.connect_timeout_s
        return self._sibling_patience_s(_SIBLING_REPLY_S, timeout_s, trips=_OPENING_TRIPS)

    def _patience_s(self, message: Message) -> float:
        """How long a response is waited for."""
        policy = self._context.policy
        if message.method == "LIST_SUBSCRIPTIONS":
            return self._sibling_patience_s(_SIBLING_S, policy.liveness_timeout_s)
        if not self._is_prompt(message):
            return policy.reply_timeout_s
        return self._sibling_patience_s(_SIBLING_REPLY_S, policy.reply_timeout_s)

    def _is_prompt(self, message: Message) -> bool:
        """Whether nothing but the way delays a response: a node may have to begin a book of streams that do
        not move."""
        return message.method != "SUBSCRIBE" or message.moves

    def _sibling_patience_s(self, least_s: float, most_s: float, *, trips: int = 1) -> float:
        """How long a node has for an answer: longer if it is far away, and after each timeout; `most_s` for
        a server without siblings."""
        if not self._has_siblings:
            return most_s
        round_trips = self._context.servers.round_trips
        return min(round_trips.patience_ns(self.server, least_ns=to_ns(least_s), trips=trips) / 1e9, most_s)

    def _on_response(self, took_ns: int) -> None:
        if self.venue.servers:
            self._context.servers.round_trips.on_response(self.server, took_ns)

    def _on_timeout(self, now_ns: int) -> None:
        if self.venue.servers:
            self._context.servers.round_trips.on_timeout(self.server, self._asked_ns, now_ns)

    def _check_liveness(self, now_ns: int) -> None:
        quiet_since_ns = self.last_alive_ns()
        due_ns = quiet_since_ns + self._quiet_ns()
        if due_ns > now_ns:
            self._context.deadlines.set(Timer.LIFE, self.number, due_ns)
            return
        self._context.deadlines.set(Timer.LIFE, self.number, now_ns + self._quiet_ns())
        if now_ns >= self._next_message_ns and (message := self.subscriptions.sign_of_life()):
            self._send(message, now_ns)
