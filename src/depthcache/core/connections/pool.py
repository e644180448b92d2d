"""A set of connections that carries every stream of a venue once.

Streams fill one slot after the other, up to the client's limit of diff streams per connection and the venue's
limit of streams; a slot without streams is closed. Streams that a slot cannot carry, or that stay silent on
it, move to another. A slot near the end of its life, or whose end is announced, gets a successor: a second
slot with the same streams, which takes over once all of them are known to arrive there as well, so that no
book loses its position. A successor that does not get that far is given up, and another one is tried while
the old connection lives.

With book servers, each slot has one server. A stream that it does not hold moves to a slot of another server,
and the streams of a lost connection join an open one to the next server, if there is one. A stream of a book
that a node keeps for its readers alone comes from that node and a holder until the holder's suffices.

`connection` keeps a slot connected, `arbitration` notifies subscribers.
"""

from __future__ import annotations

from dataclasses import dataclass

from depthcache.core import reasons
from depthcache.core.connections.arbitration import Arbitration, Feed
from depthcache.core.connections.connection import ConnectionSlot
from depthcache.core.connections.not_served import NotServed
from depthcache.core.context import Context
from depthcache.core.policy import to_ns
from depthcache.core.timers import Timer
from depthcache.exchange_figures import ARBITRATION_PATIENCE_NS
from depthcache.venues.venue import Venue

__all__ = ["ConnectionPool"]

_LOOK_NS = 250_000_000
_AGAIN_S = 60.0
_IDLE_NS = 10_000_000_000
"""How long a connection without streams stays: the exchange limits how often one may connect, and programs
that add and remove a book again and again would soon have to wait for minutes."""
_SOON_S = 10.0
"""The pause before a successor, so that connections announced to end immediately do not cause a storm."""


@dataclass(slots=True, eq=False)
class _Handover:
    old: ConnectionSlot
    began_ns: int


@dataclass(slots=True, eq=False)
class _Move:
    """A stream that comes to another slot, too, which is to replace the one that it has."""

    to: ConnectionSlot
    began_ns: int


class ConnectionPool:
    """The slots of one venue, or one of the two sets of slots if every stream is redundant."""

    def __init__(self, context: Context, venue: Venue) -> None:
        self._context = context
        self._venue = venue
        self._capacity = min(venue.streams_per_connection, context.policy.streams_per_connection)
        self._most = venue.streams_per_connection
        self._slots: dict[int, ConnectionSlot] = {}
        self._slot_of: dict[str, ConnectionSlot] = {}
        self._arbitrations: dict[str, Arbitration] = {}
        self._handovers: dict[int, _Handover] = {}
        self._moves: dict[str, _Move] = {}
        self._not_served = NotServed(context)

    # --- getters ---------------------------------------------------------------------------

    def slot(self, number: int) -> ConnectionSlot | None:
        """The slot with that number; None if it belongs to another pool."""
        return self._slots.get(number)

    def slots(self) -> list[ConnectionSlot]:
        """All slots."""
        return list(self._slots.values())

    def server(self, name: str) -> int | None:
        """The number of the book server that is to send a stream; None for a stream without a slot."""
        slot = self._slot_of.get(name)
        return None if slot is None else slot.server

    def may_serve(self, slot: ConnectionSlot, server: int, now_ns: int) -> bool:
        """Whether a book server may hold any stream of a slot."""
        return any(self._not_served.may_serve(name, server, now_ns) for name, _ in _streams(slot))

    # --- commands --------------------------------------------------------------------------

    def add(self, arbitration: Arbitration, now_ns: int) -> None:
        """Start carrying a stream."""
        self._arbitrations[arbitration.name] = arbitration
        self._assign(arbitration, now_ns, besides=None)

    def remove(self, name: str, now_ns: int) -> None:
        """Stop carrying a stream."""
        self._arbitrations.pop(name, None)
        self._moves.pop(name, None)
        for slot in self._slots_of(name):
            self._leave(slot, name, now_ns, stays=True)
        self._slot_of.pop(name, None)
        self._not_served.forget(name)

    def shut(self) -> None:
        """Close every connection for good."""
        for slot in self._slots.values():
            slot.shut()
        self._slots.clear()
        self._slot_of.clear()
        self._arbitrations.clear()
        self._handovers.clear()
        self._moves.clear()

    def on_silent_stream(
        self, name: str, *, attempt: int, silent_since_ns: int, reason: str, now_ns: int
    ) -> None:
        """A stream delivers nothing although it should, for the `attempt`-th time in a row.

        A connection that delivers nothing at all is replaced. Otherwise its other books keep it, and the
        stream is subscribed again, the second time on another connection.
        """
        slot = self._slot_of.get(name)
        if slot is None:
            return
        if slot.last_data_ns() < silent_since_ns:
            for _, feed in slot.subscriptions.subscribers():
                feed.on_doubted()
            slot.reconnect(reasons.connection_without_data(reason), now_ns)
        elif attempt == 2:
            self._move(name, now_ns)
        else:
            slot.resubscribe(name, now_ns)

    def reassign(self, name: str, now_ns: int) -> None:
        """An exception occurred while a stream was placed or moved: make sure that it has a slot."""
        arbitration, slot = self._arbitrations.get(name), self._slot_of.get(name)
        if slot is not None and slot.number in self._slots and name in slot.subscriptions:
            slot.go_on(now_ns)
        elif arbitration is not None:
            self._assign(arbitration, now_ns, besides=None)

    def recover(self, number: int, now_ns: int) -> None:
        """A slot raised: restart it, and continue a handover."""
        slot = self._slots.get(number)
        if slot is None:
            return
        if number in self._handovers:
            self._look_again(slot, now_ns)
        if slot.subscriptions.subscribers():
            slot.recover(now_ns)
        else:
            self._end(slot)

    # --- what happened ---------------------------------------------------------------------

    def on_data(self, name: str, now_ns: int) -> None:
        """The first frame of a stream arrived."""
        slot = self._slot_of.get(name)
        if slot is not None:
            slot.on_data(name, now_ns)

    def on_too_many(self, slot: ConnectionSlot, names: tuple[str, ...], now_ns: int) -> None:
        """A slot has more streams than the exchange allows: learn the limit and move the rest."""
        held = slot.subscriptions.held()
        self._most = max(1, min(self._most, held if held else len(names) // 2))
        self._capacity = min(self._capacity, self._most)
        for name in names if held else names[self._most :]:
            if self._slot_of.get(name) is slot:
                self._move(name, now_ns)

    def on_not_served(self, slot: ConnectionSlot, name: str, now_ns: int) -> None:
        """A book server refused a stream: another one may hold it."""
        self._give_up_move(slot, name, now_ns)
        if self._slot_of.get(name) is not slot:
            return
        self._not_served.on_refused(name, slot.server, now_ns)
        server = self._not_served.other(name, slot.server, now_ns)
        if server is not None:
            del self._slot_of[name]
            self._leave(slot, name, now_ns)
            self._assign(self._arbitrations[name], now_ns, besides=slot, server=server)

    def on_moved(self, slot: ConnectionSlot, name: str, addresses: tuple[str, ...], now_ns: int) -> None:
        """A node says that others hold the book of a stream: it moves there, if one may be reached."""
        is_placed = self._slot_of.get(name) is slot  # and on no successor
        if self._give_up_move(slot, name, now_ns) and not is_placed:
            return
        server = self._holder(name, addresses, slot, now_ns) if is_placed else None
        if server is None:
            slot.subscriptions.stay(name)
            return
        self._not_served.on_refused(name, slot.server, now_ns)
        del self._slot_of[name]
        self._leave(slot, name, now_ns)
        self._assign(self._arbitrations[name], now_ns, besides=slot, server=server)

    def on_kept(self, slot: ConnectionSlot, name: str, addresses: tuple[str, ...], now_ns: int) -> None:
        """A node keeps the book of a stream for its readers alone: the stream moves to a holder without an
        interruption, if one can be reached. The node repeats what it says."""
        if self._slot_of.get(name) is not slot or name in self._moves or self._is_in_handover(slot):
            return
        server = self._holder(name, addresses, slot, now_ns)
        if server is not None:
            arbitration = self._arbitrations[name]
            diffs = arbitration.subscriber.takes_diffs
            to = self._slot_with_room(slot, server, diffs=diffs)
            self._moves[name] = _Move(to, now_ns)
            self._look_again(to, now_ns)
            to.add(name, arbitration.feed(), now_ns)

    def _holder(self, name: str, addresses: tuple[str, ...], slot: ConnectionSlot, now_ns: int) -> int | None:
        """The best of the nodes at these addresses: one that there is a connection to, or the first."""
        servers = self._context.servers
        usable = [
            each
            for each in servers.learn(addresses, slot.server) or servers.named(addresses, slot.server)
            if each != slot.server
            and servers.may_move_to(each, now_ns)
            and self._not_served.may_serve(name, each, now_ns)
        ]
        connected = {each.server for each in self._slots.values() if each.is_open}
        return next((each for each in usable if each in connected), usable[0] if usable else None)

    def on_end_of_life(self, slot: ConnectionSlot, now_ns: int) -> None:
        """The connection of a slot will end: prepare another one."""
        self.on_idle(slot)
        if self._is_in_handover(slot) or slot.number not in self._slots:
            return
        if slot.is_young(now_ns):
            slot.schedule_handover(_SOON_S, now_ns)
            return
        for name in tuple(self._moves):
            self._give_up_move(slot, name, now_ns)
        successor = self._make_slot(slot.server)
        self._handovers[successor.number] = _Handover(slot, now_ns)
        self._look_again(successor, now_ns)
        for name, _ in slot.subscriptions.subscribers():
            successor.add(name, self._arbitrations[name].feed(), now_ns)

    def on_lost(self, slot: ConnectionSlot, now_ns: int) -> None:
        """The connection of a slot was lost: its successor, if there is one, takes over immediately."""
        for number, handover in tuple(self._handovers.items()):
            if handover.old is slot:
                self._take_over(self._slots[number], handover, now_ns)
                return
        self.on_idle(slot)
        for name, move in tuple(self._moves.items()):
            if self._slot_of.get(name) is slot:
                self._finish_move(name, move, now_ns)
            elif move.to is slot:
                self._give_up_move(slot, name, now_ns)
        if self._venue.servers and slot.number in self._slots and slot.number not in self._handovers:
            self._join(slot, now_ns)

    def on_idle(self, slot: ConnectionSlot) -> None:
        """Close a connection that has had no streams for a while."""
        if slot.number in self._slots and not slot.subscriptions.subscribers():
            self._end(slot)

    def on_look(self, successor: ConnectionSlot, now_ns: int) -> None:
        """Check whether a successor can take over."""
        self._look_at_moves(successor, now_ns)
        handover = self._handovers.get(successor.number)
        if handover is None:
            return
        if all(self._comes_over(successor, handover.old, *each, now_ns) for each in _streams(successor)):
            self._take_over(successor, handover, now_ns)
        elif now_ns - handover.began_ns >= to_ns(self._context.policy.overlap_cap_s):
            self._give_up(successor, handover, now_ns)
        else:
            self._look_again(successor, now_ns)

    # --- handovers -----------------------------------------------------------------------

    def _comes_over(
        self, successor: ConnectionSlot, old: ConnectionSlot, name: str, feed: Feed, now_ns: int
    ) -> bool:
        """Whether nothing of a stream would be lost if the old connection ended now."""
        if feed.live_ns is None or successor.connection is None:
            return False
        if not feed.takes_diffs:
            return True
        heard = {each.connection: each for each in self._context.router.feeds(feed.market)}
        after = heard.get(successor.connection)
        if after is not None and after.heard_ns is not None:
            return after.is_joined
        before = heard.get(old.connection or 0)
        before_ns = None if before is None else before.heard_ns
        # What the old connection brought later comes over both.
        quiet = before_ns is None or before_ns <= feed.live_ns + ARBITRATION_PATIENCE_NS
        return quiet and now_ns >= feed.live_ns + to_ns(self._context.policy.overlap_s)

    def _take_over(self, successor: ConnectionSlot, handover: _Handover, now_ns: int) -> None:
        self._handovers.pop(successor.number, None)
        self._context.deadlines.clear(successor.number, Timer.OVERLAP)
        for name, feed in _streams(handover.old):
            if self._slot_of.get(name) is handover.old:
                self._slot_of[name] = successor
            feed.drop()
        handover.old.shut()
        self._slots.pop(handover.old.number, None)

    def _give_up(self, successor: ConnectionSlot, handover: _Handover, now_ns: int) -> None:
        self._handovers.pop(successor.number, None)
        for _, feed in _streams(successor):
            feed.drop()
        successor.shut()
        self._slots.pop(successor.number, None)
        handover.old.schedule_handover(_AGAIN_S, now_ns)

    def _look_again(self, successor: ConnectionSlot, now_ns: int) -> None:
        self._context.deadlines.set(Timer.OVERLAP, successor.number, now_ns + _LOOK_NS)

    def _is_in_handover(self, slot: ConnectionSlot) -> bool:
        return slot.number in self._handovers or any(each.old is slot for each in self._handovers.values())

    # --- moves of single streams -----------------------------------------------------------

    def _look_at_moves(self, to: ConnectionSlot, now_ns: int) -> None:
        """Let streams come from this slot alone that would lose nothing by it."""
        for name, move in tuple(self._moves.items()):
            feed = move.to.subscriptions.subscriber(name)
            if move.to is not to or feed is None:
                continue
            if self._comes_over(to, self._slot_of[name], name, feed, now_ns):
                self._finish_move(name, move, now_ns)
            elif now_ns - move.began_ns >= to_ns(self._context.policy.overlap_cap_s):
                self._give_up_move(to, name, now_ns)
        if any(move.to is to for move in self._moves.values()):
            self._look_again(to, now_ns)

    def _finish_move(self, name: str, move: _Move, now_ns: int) -> None:
        before = self._slot_of[name]
        del self._moves[name]
        self._slot_of[name] = move.to
        self._leave(before, name, now_ns)

    def _give_up_move(self, slot: ConnectionSlot, name: str, now_ns: int) -> bool:
        """End the move of a stream, from this slot or to it; whether there was one."""
        move = self._moves.get(name)
        if move is None or slot not in (move.to, self._slot_of.get(name)):
            return False
        del self._moves[name]
        self._leave(move.to, name, now_ns)
        return True

    # --- places ----------------------------------------------------------------------------

    def _assign(
        self,
        arbitration: Arbitration,
        now_ns: int,
        *,
        besides: ConnectionSlot | None,
        server: int | None = None,
    ) -> None:
        """Place a stream. `server`: the book server that is to send it; None for the one in use."""
        diffs = arbitration.subscriber.takes_diffs
        if server is None:
            server = self._server_in_use()
        slot = self._slot_with_room(besides, server, diffs=diffs)
        self._slot_of[arbitration.name] = slot
        slot.add(arbitration.name, arbitration.feed(), now_ns)

    def _slot_with_room(self, besides: ConnectionSlot | None, server: int, *, diffs: bool) -> ConnectionSlot:
        fitting = (each for each in self._slots.values() if self._fits(each, besides, server, diffs=diffs))
        slot = next(fitting, None)
        return self._make_slot(server) if slot is None else slot

    def _server_in_use(self) -> int:
        return self._context.servers.current if self._venue.servers else 0

    def _fits(
        self, slot: ConnectionSlot, besides: ConnectionSlot | None, server: int, *, diffs: bool
    ) -> bool:
        if slot is besides or slot.server != server or slot.number in self._handovers:
            return False
        if any(each.old is slot for each in self._handovers.values()):
            return False
        subscriptions = slot.subscriptions
        return len(subscriptions) < self._most and (not diffs or subscriptions.diffs() < self._capacity)

    def _make_slot(self, server: int) -> ConnectionSlot:
        slot = ConnectionSlot(self._context, self._venue, self, server)
        self._slots[slot.number] = slot
        return slot

    def _move(self, name: str, now_ns: int) -> None:
        self._give_up_move(self._slot_of[name], name, now_ns)
        before = self._slot_of.pop(name)
        feed = before.subscriptions.subscriber(name)
        if feed is not None:
            feed.on_disconnected(reasons.STREAM_MOVES, now_ns)
        self._leave(before, name, now_ns)
        self._assign(self._arbitrations[name], now_ns, besides=before, server=before.server)

    def _join(self, slot: ConnectionSlot, now_ns: int) -> None:
        """The streams of a lost connection join an open one to the slot's next server."""
        for name, feed in _streams(slot):
            other = self._open_slot(slot, diffs=feed.takes_diffs)
            if other is not None and self._not_served.may_serve(name, slot.server, now_ns):
                self._leave(slot, name, now_ns)
                self._slot_of[name] = other
                other.add(name, self._arbitrations[name].feed(), now_ns)

    def _open_slot(self, besides: ConnectionSlot, *, diffs: bool) -> ConnectionSlot | None:
        """Another open slot with room, of the server that this one uses next."""
        fitting = (
            each for each in self._slots.values() if self._fits(each, besides, besides.server, diffs=diffs)
        )
        return next((each for each in fitting if each.is_open), None)

    def _leave(self, slot: ConnectionSlot, name: str, now_ns: int, *, stays: bool = False) -> None:
        """`stays`: the connection is sound, and may be of use without streams."""
        feed = slot.subscriptions.subscriber(name)
        if feed is not None:
            feed.drop()
        is_last = feed is not None and slot.subscriptions.is_last(name)
        if is_last and (not stays or slot.connection is None or self._is_in_handover(slot)):
            self._end(slot)
            return
        slot.remove(name, now_ns)
        if is_last:
            self._context.deadlines.set(Timer.IDLE, slot.number, now_ns + _IDLE_NS)

    def _end(self, slot: ConnectionSlot) -> None:
        self._handovers.pop(slot.number, None)
        self._context.deadlines.clear(slot.number, Timer.OVERLAP)
        for number, handover in tuple(self._handovers.items()):
            if handover.old is slot:
                del self._handovers[number]
        slot.shut()
        self._slots.pop(slot.number, None)

    def _slots_of(self, name: str) -> list[ConnectionSlot]:
        return [slot for slot in self._slots.values() if name in slot.subscriptions]


def _streams(slot: ConnectionSlot) -> list[tuple[str, Feed]]:
    return slot.subscriptions.subscribers()
