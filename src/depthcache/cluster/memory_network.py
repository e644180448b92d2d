"""The messaging engine in memory, on the event loop's clock: `seam` with faults.

Nodes can be frozen, killed, cut off in one or both directions, and their messages slowed down. With
`simulator.virtual_loop` the time is virtual. It is harsher than sockets: a cut loses the messages that are
under way, and only the node that hears nothing notices a cut in one direction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from depthcache.cluster.core.members import Member, MemberState, Node
from depthcache.cluster.errors import AskRefused, AskTimeout, NodeUnreachable
from depthcache.cluster.seam import Handler

__all__ = ["MemoryCluster", "MemoryNetwork"]

_FORGET_S = 60.0
_NEXT_S = 1e-9
"""Between two messages of one link: timers of the same moment have no order."""


@dataclass(slots=True)
class MemoryCluster:
    """The wire between the nodes of a cluster, and its faults. Times in seconds.

    Attributes:
        latency_s: how long a message takes.
        lease_s: how long a node must be silent to be suspect.
        closed_s: how soon a killed node is suspect.
        heal_s: how soon a node that is heard again is alive again.
    """

    latency_s: float = 0.0005
    lease_s: float = 1.0
    closed_s: float = 0.01
    heal_s: float = 0.2
    networks: dict[str, MemoryNetwork] = field(init=False, default_factory=dict[str, "MemoryNetwork"])
    cuts: set[tuple[str, str]] = field(init=False, default_factory=set[tuple[str, str]])
    delays_s: dict[tuple[str, str], float] = field(init=False, default_factory=dict[tuple[str, str], float])

    def network(self) -> MemoryNetwork:
        """The engine of one more node."""
        return MemoryNetwork(self)

    # --- faults ----------------------------------------------------------------------------

    def freeze(self, node: str) -> None:
        """The process stops running; its sockets stay open."""
        self.networks[node].is_frozen = True
        self.look()

    def thaw(self, node: str) -> None:
        """The process runs again and finds what waited in its sockets."""
        self.networks[node].thaw()
        self.look()

    def kill(self, node: str) -> None:
        """The process ends without a goodbye."""
        self.networks.pop(node).is_ended = True
        self.look(self.closed_s)

    def cut(self, sender: str, receiver: str) -> None:
        """Nothing arrives from one node at another; the way back stays open."""
        self.cuts.add((sender, receiver))
        self.look()

    def heal(self) -> None:
        """Repair all links."""
        self.cuts.clear()
        self.delays_s.clear()
        self.look()

    def slow(self, sender: str, receiver: str, delay_s: float) -> None:
        """Messages from one node to another take longer by this."""
        self.delays_s[sender, receiver] = delay_s

    # --- the wire --------------------------------------------------------------------------

    def hears(self, receiver: str, sender: MemoryNetwork) -> bool:
        """Whether one node hears another."""
        is_running = not sender.is_ended and not sender.is_frozen
        return is_running and (sender.id, receiver) not in self.cuts

    def look(self, lost_s: float | None = None) -> None:
        """Let every node find out how it sees the others now."""
        for network in tuple(self.networks.values()):
            network.look(self.lease_s if lost_s is None else lost_s, self.heal_s)

    def send(self, sender: MemoryNetwork, receiver: str, deliver: Callable[[MemoryNetwork], None]) -> None:
        """Deliver in order, unless the link is cut or the receiver ends."""
        loop = asyncio.get_running_loop()
        at_s = loop.time() + self.latency_s + self.delays_s.get((sender.id, receiver), 0.0)
        at_s = sender.last_s[receiver] = max(at_s, sender.last_s.get(receiver, 0.0) + _NEXT_S)

        def arrive() -> None:
            if sender.last_s[receiver] == at_s:
                del sender.last_s[receiver]
            found = self.networks.get(receiver)
            if found is not None and (sender.id, receiver) not in self.cuts:
                found.run(lambda: deliver(found))

        loop.call_at(at_s, arrive)


class MemoryNetwork:
    """`seam.ClusterNetwork` of one node."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.is_frozen: bool = False
        self.is_ended: bool = False
        self.id: str = ""
        self.last_s: dict[str, float] = {}
        """When the last message that is under way to each node arrives."""
        self._cluster = cluster
        self.me: Node | None = None
        self._handler: Handler | None = None
        self._watchers: list[Callable[[Member], None]] = []
        self._members: dict[str, Member] = {}
        self._looks: dict[str, asyncio.TimerHandle] = {}
        self._waiting: list[Callable[[], None]] = []
        self._asks: dict[asyncio.Future[bytes], str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- the seam --------------------------------------------------------------------------

    async def join(self, me: Node, handler: Handler) -> None:
        """As `ClusterNetwork.join`."""
        self.me, self._handler, self.id = me, handler, me.id
        self._cluster.networks[me.id] = self
        self._cluster.look()

    def members(self) -> tuple[Member, ...]:
        """As `ClusterNetwork.members`."""
        return tuple(self._members.values())

    def watch(self, on_member: Callable[[Member], None]) -> None:
        """As `ClusterNetwork.watch`."""
        self._watchers.append(on_member)

    async def ask(self, node: str, payload: bytes, *, timeout_s: float) -> bytes:
        """As `ClusterNetwork.ask`."""
        member = self._members.get(node)
        if member is None or member.state is not MemberState.ALIVE:
            raise NodeUnreachable(node=node)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asks[answer] = node
        self._cluster.send(self, node, lambda other: other.on_request(self.id, payload, answer))
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise AskTimeout(node=node, timeout_s=timeout_s) from None
        finally:
            del self._asks[answer]
            await self._running()

    def tell(self, node: str | None, payload: bytes) -> None:
        """As `ClusterNetwork.tell`."""
        for peer, member in self._members.items():
            if member.state is MemberState.ALIVE and node in (None, peer):
                self._cluster.send(self, peer, lambda other: other.on_told(self.id, payload))

    async def leave(self) -> None:
        """As `ClusterNetwork.leave`."""
        if self.is_ended or self.me is None:
            return
        self.is_ended = True
        self._cluster.networks.pop(self.id, None)
        left = Member(self.me, MemberState.LEFT)
        for peer in self._cluster.networks:
            self._cluster.send(self, peer, lambda other: other.on_seen(left))
        self._cluster.look(self._cluster.lease_s)
        for task in self._tasks:
            task.cancel()

    # --- time, which a frozen node does not notice ------------------------------------------

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """A timer of this node's process."""
        return asyncio.get_running_loop().call_later(delay_s, self.run, callback)

    def run(self, callback: Callable[[], None]) -> None:
        """Call this as soon as the process runs; never if it has ended."""
        if self.is_frozen:
            self._waiting.append(callback)
        elif not self.is_ended:
            callback()

    async def _running(self) -> None:
        """Wait until the process runs."""
        if self.is_frozen:
            runs = asyncio.get_running_loop().create_future()
            self._waiting.append(lambda: runs.set_result(None))
            await runs

    def thaw(self) -> None:
        """The process runs again."""
        self.is_frozen = False
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            self.run(callback)

    # --- what comes over the wire ------------------------------------------------------------

    def on_told(self, sender: str, payload: bytes) -> None:
        """A message arrived."""
        if self._handler is not None:
            self._handler.on_tell(sender, payload)

    def on_request(self, sender: str, payload: bytes, answer: asyncio.Future[bytes]) -> None:
        """A request arrived."""
        self._start(self._serve(sender, payload, answer))

    def on_seen(self, member: Member) -> None:
        """How this node sees another one now."""
        peer = member.node.id
        if self._members.get(peer) == member or (
            member.state is not MemberState.ALIVE and peer not in self._members
        ):
            return
        if member.state is MemberState.LEFT:
            del self._members[peer]
        else:
            self._members[peer] = member
        if member.state is not MemberState.ALIVE:
            self._break_asks(peer)
        for watcher in self._watchers:
            watcher(member)

    def look(self, lost_s: float, heal_s: float) -> None:
        """Find out soon how this node sees the others."""
        networks = self._cluster.networks
        for peer in {*networks, *self._members} - {self.id}:
            if self._hears(peer) == (self._state(peer) is MemberState.ALIVE and not self._is_new_run(peer)):
                continue
            delay_s = heal_s if self._hears(peer) else lost_s
            earlier = self._looks.pop(peer, None)
            if earlier is not None:
                earlier.cancel()
            self._looks[peer] = self.call_later(delay_s, lambda peer=peer: self._on_look(peer))  # type: ignore[misc]

    def _on_look(self, peer: str) -> None:
        self._looks.pop(peer, None)
        other = self._cluster.networks.get(peer)
        if self._hears(peer) and other is not None and other.me is not None:
            self.on_seen(Member(other.me, MemberState.ALIVE))
        elif peer in self._members:
            self.on_seen(replace(self._members[peer], state=MemberState.SUSPECT))
            self.call_later(_FORGET_S, lambda: self._forget(peer))

    def _forget(self, peer: str) -> None:
        if self._state(peer) is MemberState.SUSPECT:
            del self._members[peer]

    def _hears(self, peer: str) -> bool:
        other = self._cluster.networks.get(peer)
        return other is not None and self._cluster.hears(self.id, other)

    def _state(self, peer: str) -> MemberState | None:
        return self._members[peer].state if peer in self._members else None

    def _is_new_run(self, peer: str) -> bool:
        other = self._cluster.networks.get(peer)
        return other is not None and peer in self._members and other.me != self._members[peer].node

    def _break_asks(self, peer: str) -> None:
        for answer, node in self._asks.items():
            if node == peer and not answer.done():
                answer.set_exception(AskTimeout(node=peer, timeout_s=0.0))

    async def _serve(self, sender: str, payload: bytes, answer: asyncio.Future[bytes]) -> None:
        assert self._handler is not None  # noqa: S101 - it has joined
        try:
            found: bytes | AskRefused = await self._handler.on_ask(sender, payload)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises
            found = AskRefused(node=self.id, reason=str(error))

        def reply(_: MemoryNetwork) -> None:
            if answer.done():
                return
            if isinstance(found, AskRefused):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        self.run(lambda: self._cluster.send(self, sender, reply))

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
