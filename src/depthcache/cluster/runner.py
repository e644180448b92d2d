"""Runs one node: carries out the commands of its core with a messaging engine, a disk and a host of books.

All calls are made on one event loop. A thread writes to the disk, one write after another; changes that wait
meanwhile go into the next write together.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Protocol

from depthcache import logs
from depthcache.cluster.core.access_tokens import Role
from depthcache.cluster.core.commands import (
    Ask,
    ChangeDone,
    Command,
    Persist,
    Refuse,
    Respond,
    SetBudgetShare,
    SetDenied,
    SetHolders,
    Source,
    StartReplica,
    StopNode,
    StopReplica,
    Tell,
    UpdateReplica,
)
from depthcache.cluster.core.members import Member, Node
from depthcache.cluster.core.node import NodeCore
from depthcache.cluster.core.ownership import ReplicaState
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.replicated_map import Delta, Value
from depthcache.cluster.core.wanted_set import Changed, WantedBook, WantedSet
from depthcache.cluster.errors import AskFailed, ChangeNotStored
from depthcache.cluster.seam import ClusterNetwork

__all__ = ["DENIED_MS", "Clock", "Disk", "NodeRunner", "ReplicaHost", "ReplicaSink", "SystemClock"]

DENIED_MS = 14 * 86_400_000
"""How long a removed node is refused: twice as long as a certificate lasts, because a node that issues may
learn of the removal days later."""


class ReplicaSink(Protocol):
    """What a host of books reports to."""

    def on_replica(self, key: BookKey, state: ReplicaState) -> None:
        """The state of a book changed."""

    def on_copy_failed(self, key: BookKey) -> None:
        """A sibling did not give its book."""


class ReplicaHost(Protocol):
    """Holds the books of this node. It reports to the runner, never from inside a call."""

    def start(self, book: WantedBook, source: Source) -> None:
        """As `StartReplica`."""

    def update(self, book: WantedBook) -> None:
        """As `UpdateReplica`."""

    def stop(self, key: BookKey) -> None:
        """As `StopReplica`."""

    def set_budget_share(self, share: float) -> None:
        """As `SetBudgetShare`."""

    def set_holders(self, key: BookKey, nodes: tuple[Node, ...], *, is_synced: bool) -> None:
        """As `SetHolders`."""

    def set_denied(self, nodes: frozenset[str]) -> None:
        """As `SetDenied`."""


class Disk(Protocol):
    """Keeps the wanted set."""

    needs_rewrite: bool

    def append(self, payloads: list[bytes]) -> None:
        """Write and wait until it is on disk. Raises OSError."""

    def rewrite(self, payload: bytes) -> None:
        """Replace everything and wait until it is on disk. Raises OSError."""


class Clock(Protocol):
    """Time, as this node's process notices it."""

    def now_ns(self) -> int:
        """A clock that never goes back."""
        ...

    def wall_ms(self) -> int:
        """The system's clock in milliseconds since 1970."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call this later."""
        ...

    async def run(self, call: Callable[[], None]) -> None:
        """Make a call that waits for the disk, off the event loop."""


class SystemClock:
    """The clocks of the system, and timers of the running event loop."""

    def now_ns(self) -> int:
        """A clock that never goes back."""
        return time.monotonic_ns()

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call this later."""
        return asyncio.get_running_loop().call_later(delay_s, callback)

    async def run(self, call: Callable[[], None]) -> None:
        """Make a call that waits for the disk, off the event loop."""
        await asyncio.to_thread(call)


class NodeRunner:
    """One running node. Call `start`, then the changes, at the end `close`."""

    def __init__(
        self,
        core: NodeCore,
        network: ClusterNetwork,
        *,
        disk: Disk,
        host: ReplicaHost,
        clock: Clock,
        on_stop: Callable[[str], None],
    ) -> None:
        """`on_stop`: this node was removed from the cluster, or runs twice; gets the reason."""
        self.core: NodeCore = core
        self._network, self._disk, self._host, self._clock = network, disk, host, clock
        self._on_stop = on_stop
        self._requests: dict[int, asyncio.Future[bytes]] = {}
        self._next_request = 0
        self._changes: dict[int, asyncio.Future[ChangeDone]] = {}
        self._writes: list[Persist] = []
        self._is_writing = self._is_closed = False
        self._full_since_ns: int | None = None
        """Since when the wanted set cannot be written."""
        self.failed_asks: Counter[str] = Counter()
        """Requests to other nodes that failed, by the kind of `AskFailed`."""
        self.failed_writes: int = 0
        """Writes of the wanted set that failed."""
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()

    async def start(self) -> None:
        """Become a member and take the books that this node owns. Raises ConnectionFailed."""
        self._network.watch(self._on_member)
        await self._network.join(self.core.members.me, self)
        self.core.start(self._clock.now_ns(), self._clock.wall_ms())
        self._work()

    async def close(self) -> None:
        """Say goodbye and end. The books stay with their host."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._network.leave()

    # --- changes of the wanted set -----------------------------------------------------------

    async def create(self, *keys: BookKey, replicas: int, settings: Mapping[str, Value]) -> int:
        """Want books: many in one call are one change.

        Returns once two nodes have that on disk, or this one that is alone, and all others that are alive
        have it, too: the number of disks that have it. Raises ChangeNotStored.
        """
        now_ns, wall_ms = self._clock.now_ns(), self._clock.wall_ms()
        return await self._stored(
            self.core.create(*keys, replicas=replicas, settings=settings, now_ns=now_ns, wall_ms=wall_ms)
        )

    async def change(self, *keys: BookKey, replicas: int | None, settings: Mapping[str, Value]) -> int:
        """Change settings of wanted books. As `create`; raises BookNotWanted, too."""
        now_ns, wall_ms = self._clock.now_ns(), self._clock.wall_ms()
        return await self._stored(
            self.core.change(*keys, replicas=replicas, settings=settings, now_ns=now_ns, wall_ms=wall_ms)
        )

    async def stop(self, *keys: BookKey) -> int:
        """Want books no longer. As `create`; raises BookNotWanted, too."""
        now_ns, wall_ms = self._clock.now_ns(), self._clock.wall_ms()
        return await self._stored(self.core.stop_books(*keys, now_ns=now_ns, wall_ms=wall_ms))

    async def register(self, node: str, *, listen: str = "") -> int:
        """Let a node join, which other nodes reach at `listen`, host and port. As `create`."""
        now_ns, wall_ms = self._clock.now_ns(), self._clock.wall_ms()
        return await self._stored(self.core.register(node, listen=listen, now_ns=now_ns, wall_ms=wall_ms))

    async def drain(self, node: str, *, draining: bool, until_after: int | None = None) -> int:
        """Whether a node is to own no books. `until_after`: only in this run of its process. As `create`."""
        now_ns, wall_ms = self._clock.now_ns(), self._clock.wall_ms()
        return await self._stored(
            self.core.drain(node, draining=draining, until_after=until_after, now_ns=now_ns, wall_ms=wall_ms)
        )

    async def retire(self) -> None:
        """Leave for good: hand all books over, let the others forget this node, and close.

        It waits for other nodes without a limit of its own. The last node of a cluster cannot leave. Raises
        ChangeNotStored."""
        me = self.core.members.me.id
        self.core.is_leaving = True
        try:
            await self.drain(me, draining=True)
            await self._until(self.core.is_drained)
            await self.forget(me)
        except BaseException:
            self.core.is_leaving = False
            raise
        await self._until(self.core.is_drained)
        await self.close()

    async def hand_over(self) -> None:
        """Before the process ends: wait until other nodes have the books that this one alone has synced. It
        returns at once where they have all, and where no other node stays."""
        self.core.end_soon()
        self._work()
        await self._until(self.core.is_spare)

    async def hand_over_all(self) -> None:
        """As `hand_over`, until the others have taken over the books of this node, in all replicas."""
        self.core.end_soon()
        self._work()
        await self._until(self.core.is_handed_over)

    async def leave(self) -> None:
        """Let the others forget this node, whose process ends. Raises ChangeNotStored."""
        self.core.is_leaving = True
        await self.forget(self.core.members.me.id)

    async def forget(self, node: str) -> int:
        """A node has left for good. As `create`."""
        now_ns, wall_ms = self._clock.now_ns(), self._clock.wall_ms()
        return await self._stored(self.core.forget(node, now_ns=now_ns, wall_ms=wall_ms))

    async def deny(self, node: str, *, until_ms: int) -> int:
        """Remove a node and refuse it until then, in milliseconds since 1970. As `create`."""
        now_ns, wall_ms = self._clock.now_ns(), self._clock.wall_ms()
        return await self._stored(self.core.deny(node, until_ms=until_ms, now_ns=now_ns, wall_ms=wall_ms))

    async def rotate_token(self, digest: str, *, role: Role, old_until_ms: int) -> int:
        """A new access token, by the digest of its secret; others of the role end then. As `create`."""
        now_ns, wall_ms = self._clock.now_ns(), self._clock.wall_ms()
        return await self._stored(
            self.core.rotate_token(
                digest, role=role, old_until_ms=old_until_ms, now_ns=now_ns, wall_ms=wall_ms
            )
        )

    async def record(self, edit: Callable[[WantedSet, int], tuple[Delta, Changed]]) -> int:
        """Make another edit of the wanted set; it gets the set and the system's clock. As `create`."""
        changed = edit(self.core.wanted, self._clock.wall_ms())
        return await self._stored(self.core.record(changed, self._clock.now_ns()))

    @property
    def can_write(self) -> bool:
        """Whether the last write of the wanted set succeeded."""
        return self._full_since_ns is None

    def on_removed(self) -> None:
        """As `NodeCore.on_removed`."""
        self.core.on_removed()
        self._work()

    def on_runs_twice(self) -> None:
        """As `NodeCore.on_runs_twice`."""
        self.core.on_runs_twice()
        self._work()

    # --- what happened -----------------------------------------------------------------------

    def on_replica(self, key: BookKey, state: ReplicaState) -> None:
        """As `ReplicaSink.on_replica`."""
        self.core.on_replica(key, state)
        self._work()

    def on_copy_failed(self, key: BookKey) -> None:
        """As `ReplicaSink.on_copy_failed`."""
        self.core.on_copy_failed(key)
        self._work()

    def on_tell(self, sender: str, payload: bytes) -> None:
        """As `seam.Handler.on_tell`."""
        self.core.on_tell(sender, payload, self._clock.now_ns())
        self._work()

    async def on_ask(self, sender: str, payload: bytes) -> bytes:
        """As `seam.Handler.on_ask`."""
        self._next_request += 1
        request = self._next_request
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._requests[request] = answer
        self.core.on_ask(request, sender, payload, self._clock.now_ns())
        self._work()
        return await answer

    def _on_member(self, member: Member) -> None:
        self.core.on_member(member, self._clock.now_ns())
        self._work()

    def _on_time(self) -> None:
        self._timer = None
        self.core.on_time(self._clock.now_ns(), self._clock.wall_ms())
        if self._disk.needs_rewrite:
            self._start_writing()  # it was full: try again
        self._work()

    # --- what to do --------------------------------------------------------------------------

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._news.clear()
            await self._news.wait()

    def _work(self) -> None:
        self._news.set()
        now_ns = self._clock.now_ns()
        for command in self.core.take_commands(now_ns):
            self._carry_out(command)
        if self._timer is not None:
            self._timer.cancel()
        if not self._is_closed:
            delay_s = max(self.core.next_ns() - now_ns, 0) / 1e9
            self._timer = self._clock.call_later(delay_s, self._on_time)

    def _carry_out(self, command: Command) -> None:
        match command:
            case StartReplica(book, source):
                self._host.start(book, source)
            case UpdateReplica(book):
                self._host.update(book)
            case StopReplica(key):
                self._host.stop(key)
            case SetBudgetShare(share):
                self._host.set_budget_share(share)
            case SetHolders(key, nodes, is_synced):
                self._host.set_holders(key, nodes, is_synced=is_synced)
            case SetDenied(denied):
                self._host.set_denied(denied)
            case Tell(node, payload):
                self._network.tell(node, payload)
            case Ask():
                self._spawn(self._ask(command))
            case Respond(request, payload):
                self._settle(request, payload)
            case Refuse(request, reason):
                self._settle(request, RuntimeError(reason))
            case Persist():
                self._writes.append(command)
                self._start_writing()
            case ChangeDone():
                done = self._changes.pop(command.change, None)
                if done is not None and not done.done():
                    done.set_result(command)
            case StopNode(reason):
                self._on_stop(reason)

    async def _stored(self, change: int) -> int:
        done: asyncio.Future[ChangeDone] = asyncio.get_running_loop().create_future()
        self._changes[change] = done
        self._work()
        result = await done
        if result.reason:
            raise ChangeNotStored(stored=result.stored, needed=result.needed, reason=result.reason)
        return result.stored

    async def _ask(self, command: Ask) -> None:
        try:
            answer = await self._network.ask(command.node, command.payload, timeout_s=command.timeout_s)
        except AskFailed as error:
            self.failed_asks[error.kind] += 1
            self.core.on_ask_failed(command.request, str(error))
        else:
            self.core.on_response(command.request, answer, self._clock.now_ns())
        self._work()

    def _start_writing(self) -> None:
        if not self._is_writing:
            self._is_writing = True
            self._spawn(self._write())

    async def _write(self) -> None:
        """Write what waits, until nothing does; and all, if the disk lacks something."""
        while True:
            writes, self._writes = self._writes, []
            reason = await self._write_once([each.payload for each in writes])
            for each in writes:
                if reason is None:
                    self.core.on_persisted(each.number)
                else:
                    self.core.on_persist_failed(each.number, reason)
            if not self._writes:
                break
            self._work()
        self._is_writing = False
        self._work()

    async def _write_once(self, payloads: list[bytes]) -> str | None:
        """Returns why it failed; None if it is on disk."""
        try:
            if self._disk.needs_rewrite:
                await self._clock.run(partial(self._disk.rewrite, self.core.snapshot()))
            else:
                await self._clock.run(partial(self._disk.append, payloads))
        except OSError as error:
            reason = f"disk: {error.strerror or error}"
            self.failed_writes += 1
            if self._full_since_ns is None:
                self._full_since_ns = self._clock.now_ns()
                logs.wanted_set_not_saved(reason=reason)
            return reason
        if self._full_since_ns is not None:
            logs.wanted_set_saved(after_s=(self._clock.now_ns() - self._full_since_ns) / 1e9)
            self._full_since_ns = None
        return None

    def _settle(self, request: int, answer: bytes | Exception) -> None:
        waiting = self._requests.pop(request, None)
        if waiting is None or waiting.done():
            return
        if isinstance(answer, bytes):
            waiting.set_result(answer)
        else:
            waiting.set_exception(answer)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logs.unexpected(where="a node of a cluster", error=error)
