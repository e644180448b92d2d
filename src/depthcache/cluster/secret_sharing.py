"""Shares the secrets of a cluster between its nodes, over the connections that they have anyway.

`SharingNetwork` is a `seam.ClusterNetwork` around another. A node tells a digest of its secrets to every
node that appears, and to all every half minute. One with another digest asks for an exchange, after which
both have the newest edits of both. Over Zenoh all this is inside mutual TLS; removed nodes get no answer, and
nothing is sent before the session refuses all of them, because until then they could listen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from depthcache import logs
from depthcache.cluster.core.members import Member, MemberState, Node
from depthcache.cluster.credentials import CredentialStore
from depthcache.cluster.errors import AskFailed, MalformedClusterMessage, NodeUnreachable
from depthcache.cluster.seam import ClusterNetwork, Handler

__all__ = ["SharingNetwork"]

_TOLD, _ASKED = b"secrets digest ", b"secrets content "
_EVERY_S, _ASK_S = 30.0, 5.0
_SPREAD_S = 1.0
"""After that, a node that is frozen is suspect."""


class SharingNetwork:
    """`seam.ClusterNetwork` whose nodes share a store. Call `share` after an edit of the store."""

    def __init__(
        self,
        network: ClusterNetwork,
        store: CredentialStore,
        *,
        is_denied: Callable[[str], bool],
        is_sealed: Callable[[], bool],
    ) -> None:
        """`is_denied`: whether a node was removed. `is_sealed`: whether the session refuses all removed
        nodes."""
        self._network, self._store, self._is_denied = network, store, is_denied
        self._is_sealed = is_sealed
        self._handler: Handler | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._exchanging: set[str] = set()

    def share(self) -> None:
        """Tell all nodes that the store changed."""
        for member in self._network.members():
            self._tell(member)

    async def spread(self) -> None:
        """The store changed: give it to all nodes, and wait for those that are alive, but never for long."""
        peers = [each.node.id for each in self._network.members() if each.state is MemberState.ALIVE]
        running = [self._spawn(self._give_and_take(peer)) for peer in peers if not self._is_denied(peer)]
        if running:
            await asyncio.wait(running, timeout=_SPREAD_S)

    # --- the seam --------------------------------------------------------------------------

    async def join(self, me: Node, handler: Handler) -> None:
        """As `ClusterNetwork.join`."""
        self._handler = handler
        self._network.watch(self._tell)
        await self._network.join(me, self)
        self._spawn(self._share_always())

    def members(self) -> tuple[Member, ...]:
        """As `ClusterNetwork.members`."""
        return self._network.members()

    def watch(self, on_member: Callable[[Member], None]) -> None:
        """As `ClusterNetwork.watch`."""
        self._network.watch(on_member)

    async def ask(self, node: str, payload: bytes, *, timeout_s: float) -> bytes:
        """As `ClusterNetwork.ask`."""
        return await self._network.ask(node, payload, timeout_s=timeout_s)

    def tell(self, node: str | None, payload: bytes) -> None:
        """As `ClusterNetwork.tell`."""
        self._network.tell(node, payload)

    async def leave(self) -> None:
        """As `ClusterNetwork.leave`."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._network.leave()

    # --- what other nodes say --------------------------------------------------------------

    def on_tell(self, sender: str, payload: bytes) -> None:
        """As `seam.Handler.on_tell`."""
        if not payload.startswith(_TOLD):
            self._running().on_tell(sender, payload)
        elif not self._is_denied(sender) and payload[len(_TOLD) :] != self._store.digest().encode():
            self._spawn(self._exchange(sender))

    async def on_ask(self, sender: str, payload: bytes) -> bytes:
        """As `seam.Handler.on_ask`."""
        if not payload.startswith(_ASKED):
            return await self._running().on_ask(sender, payload)
        # A removed node may repeat what it recorded of another one.
        if self._is_denied(sender) or not self._is_sealed():
            raise NodeUnreachable(node=sender)
        if self._store.merge(payload[len(_ASKED) :]):
            self.share()
        return self._store.export()

    # --- helpers ---------------------------------------------------------------------------

    def _running(self) -> Handler:
        assert self._handler is not None  # noqa: S101 - nothing comes before `join`
        return self._handler

    def _tell(self, member: Member) -> None:
        peer = member.node.id
        if member.state is MemberState.ALIVE and not self._is_denied(peer):
            self._network.tell(peer, _TOLD + self._store.digest().encode())

    async def _share_always(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            self.share()

    async def _exchange(self, node: str) -> None:
        """Give and take, once at a time."""
        if node in self._exchanging:
            return
        self._exchanging.add(node)
        try:
            await self._give_and_take(node)
        finally:
            self._exchanging.discard(node)

    async def _give_and_take(self, node: str) -> None:
        """What fails is tried again with the next digest."""
        if not self._is_sealed():
            return
        try:
            answer = await self._network.ask(node, _ASKED + self._store.export(), timeout_s=_ASK_S)
            if self._store.merge(answer):
                self.share()
        except AskFailed:
            return
        except (MalformedClusterMessage, OSError) as error:
            logs.node_housekeeping_failed(what=f"taking the shared secrets of node {node}", error=error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
