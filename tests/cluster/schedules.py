"""Random schedules of joins, leaves, kills, freezes, cuts, full disks and changes, and what must hold.

A schedule is made of its seed. Changes are made on any node that runs, at the same time as everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random

from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.core.replicated_map import Delta, is_alive
from depthcache.cluster.core.stamps import EARLIEST, Stamp
from depthcache.cluster.errors import BookNotWanted, ChangeNotStored
from tests.cluster.harness import Cluster, TestNode

BOOKS = [BookKey("binance.com", f"SYM{number}") for number in range(12)]
BOUND_S = 10.0
"""After the last event, every wanted book is held by as many nodes as it should be within this."""
STEPS = {
    "create": 10,
    "stop": 6,
    "change": 5,
    "join": 3,
    "kill": 3,
    "burn": 1,
    "restart": 4,
    "leave": 1,
    "freeze": 3,
    "thaw": 3,
    "cut": 2,
    "cut_one_way": 2,
    "heal": 4,
    "slow": 2,
    "fill_disk": 1,
    "empty_disk": 2,
}
CALM_STEPS = {"create": 6, "change": 4, "join": 5, "leave": 4}
"""Nothing fails: so nothing may be missed by readers."""


@dataclass(slots=True)
class Change:
    """A change that was made on some node."""

    cells: Delta
    node: str
    is_stored: bool = False
    is_alone: bool = False
    """Whether it was acknowledged with one disk."""


@dataclass(slots=True)
class Schedule:
    """One schedule and what it saw."""

    seed: int
    weights: dict[str, int] = field(default_factory=lambda: STEPS)
    has_secrets: bool = False
    """Whether nodes register themselves: they start in two groups that have not met, or apart from all."""
    cluster: Cluster = field(default_factory=Cluster)
    changes: list[Change] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    took_s: float = 0.0
    random: Random = field(init=False)
    tasks: dict[asyncio.Task[None], str] = field(default_factory=dict)
    """Changes under way, and the nodes that make them."""
    ghosts: set[str] = field(default_factory=set)
    """Nodes that were registered, maybe, and are not there for good."""
    burnt: str = ""
    """The node whose disk was lost."""

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def run(self) -> None:
        """Run it, and check what must hold."""
        self.cluster.run(lambda _: self._run())

    async def _run(self) -> None:
        if self.has_secrets:
            await self._begin_apart()
        for _ in range(self.random.randint(1, 5)):
            await self._join()
        for _ in range(self.random.randint(10, 30)):
            (step,) = self.random.choices(list(self.weights), weights=list(self.weights.values()))
            self.steps.append(step)
            await getattr(self, f"_{step}")()
            await self._pass(self.random.choice((0.0, 0.01, 0.1, 0.5, 1.0, 2.5)))
        await self._end()

    async def _begin_apart(self) -> None:
        """Two groups, which drop the tombstones of what they delete."""
        self.cluster.cut(({"a1", "a2"}, {"a3", "a4"}))
        for peer in ("a1", "a3", "a2", "a4")[: self.random.randint(0, 4)]:
            await self.cluster.appear(peer, skew_ms=self.random.randint(-5_000, 5_000))
        for _ in range(self.random.randint(0, 12) if self.cluster.nodes else 0):
            await self.random.choice((self._create, self._create, self._stop))()
            await self._pass(self.random.choice((0.0, 1.0, 2.5)))

    async def _end(self) -> None:
        """Everything is repaired; first the dead stay dead, then they come back."""
        await self._heal()
        for peer in sorted(self.cluster.frozen):
            self.cluster.thaw(peer)
        for disk in self.cluster.disks.values():
            disk.is_full = False
        self.took_s = await self.cluster.until(self._is_whole, within_s=BOUND_S)
        for peer in self._down():
            await self.cluster.start(peer)
        await self.cluster.until(lambda: not self.tasks, within_s=BOUND_S)
        await self.cluster.until(self._is_whole, within_s=BOUND_S)
        for peer in sorted(self.ghosts):
            await self._any().runner.forget(peer)
        self._check_changes()
        await self.cluster.until(self._is_compact, within_s=BOUND_S)
        self._check_changes()
        await self._pass(2)  # with every beat, nodes forget what they heard of those that have gone
        self._check_nodes()

    # --- what must hold ----------------------------------------------------------------------

    async def _pass(self, seconds: float) -> None:
        until_ns = self.cluster.clock.now_ns + int(seconds * 1e9)
        while self.cluster.clock.now_ns < until_ns:
            await asyncio.sleep(0.05)
            self._check_books()

    def _check_books(self) -> None:
        assert self.cluster.false_synced() == []
        if self.weights is CALM_STEPS:
            for key in self.served:
                assert self.cluster.synced_on(key), f"{key} is not served"

    @property
    def served(self) -> set[BookKey]:
        """Books that all nodes want and that some node had synced."""
        wanted = (node.core.wanted.books().keys() for node in self.cluster.nodes.values())
        common = set.intersection(*map(set, wanted))
        self._seen |= {key for key in common if self.cluster.synced_on(key)}
        return self._seen & common

    _seen: set[BookKey] = field(default_factory=set)

    def _is_whole(self) -> bool:
        """All nodes see each other and have the same wanted set, each book has its replicas, and all know
        where."""
        self._check_books()
        nodes = list(self.cluster.nodes.values())
        if any(
            {each.id for each in node.core.members.not_dead()} != set(self.cluster.nodes) for node in nodes
        ):
            return False
        if len({node.core.wanted.map.digest() for node in nodes}) != 1:
            return False
        wanted = nodes[0].core.wanted.books()
        for node in nodes:
            for key in wanted:
                if set(node.core.books.holders(key)) != self.cluster.synced_on(key):
                    return False
        held = {key for node in nodes for key in node.books.replicas}
        return held <= wanted.keys() and all(
            len(self.cluster.synced_on(key)) == min(book.replicas, len(nodes)) for key, book in wanted.items()
        )

    def _is_compact(self) -> bool:
        nodes = set(self.cluster.nodes)
        if self.has_secrets and len(nodes) == 1:
            return True  # it keeps its tombstones for those that it has not met
        return all(
            not node.core.wanted.map.tombstones()
            and {each.id for each in node.core.members.not_dead()} == nodes
            for node in self.cluster.nodes.values()
        )

    def _check_nodes(self) -> None:
        """Nothing is left of nodes that have gone."""
        nodes = set(self.cluster.nodes)
        for node in self.cluster.nodes.values():
            assert node.core.wanted.registered() == nodes
            assert set(node.core._digests) | set(node.core._heard) <= nodes
            assert set(node.core.books._reports) <= nodes

    def _check_changes(self) -> None:
        """Every stored change is there, unless a later one of the same field or entry took its place."""
        deleted: dict[str, Stamp] = {}
        for change in self.changes:
            for key, cells in change.cells.items():
                if "alive" in cells and not is_alive(cells):
                    deleted[key] = max(deleted.get(key, EARLIEST), cells["alive"][0])
        for node in self.cluster.nodes.values():
            content = node.core.wanted.map.content()
            for change in self.changes:
                is_kept = change.is_stored and not (change.is_alone and change.node == self.burnt)
                for key, cells in change.cells.items() if is_kept else ():
                    held = content.get(key, {"alive": (deleted.get(key, EARLIEST), False)})
                    for name, cell in cells.items():
                        if is_alive(held) or name == "alive":
                            newest = max(held["alive"][0], held.get(name, (EARLIEST, None))[0])
                            assert newest >= cell[0], f"{key} lost {name} of {cell[0]} on {node.id}"

    # --- steps -------------------------------------------------------------------------------

    def _running(self) -> list[TestNode]:
        nodes = self.cluster.nodes
        return [nodes[peer] for peer in sorted(nodes.keys() - self.cluster.frozen)]

    def _down(self) -> list[str]:
        return sorted(self.cluster.facts.keys() - self.cluster.nodes.keys() - self.ghosts)

    def _any(self) -> TestNode:
        return self.random.choice(self._running())

    async def _create(self) -> None:
        node, key, replicas = self._any(), self.random.choice(BOOKS), self.random.randint(1, 3)
        settings = {"depth": self.random.choice((100, 500)), "edit": len(self.changes)}
        self._begin(node, key, lambda: node.runner.create(key, replicas=replicas, settings=settings))

    async def _stop(self) -> None:
        node = self._any()
        if node.core.wanted.books():
            key = self.random.choice(sorted(node.core.wanted.books()))
            self._begin(node, key, lambda: node.runner.stop(key))

    async def _change(self) -> None:
        node = self._any()
        if node.core.wanted.books():
            key = self.random.choice(sorted(node.core.wanted.books()))
            replicas = self.random.choice((None, 1, 2, 3))
            settings = {} if replicas else {"depth": self.random.choice((100, 500, 1000))}
            self._begin(node, key, lambda: node.runner.change(key, replicas=replicas, settings=settings))

    def _begin(self, node: TestNode, key: BookKey, edit: Callable[[], Awaitable[int]]) -> None:
        before = dict(node.core.wanted.map.content().get(f"book {key.exchange} {key.symbol}", {}))

        async def make() -> None:
            change.is_stored = False
            try:
                change.is_alone = await edit() == 1
            except (BookNotWanted, ChangeNotStored):
                return
            change.is_stored = True

        change = Change({}, node.id)
        task = asyncio.get_running_loop().create_task(make())
        self.tasks[task] = node.id
        task.add_done_callback(self.tasks.pop)
        self.changes.append(change)

        def note() -> None:
            name = f"book {key.exchange} {key.symbol}"
            after = node.core.wanted.map.content().get(name, {})
            change.cells = {name: {field: cell for field, cell in after.items() if before.get(field) != cell}}

        asyncio.get_running_loop().call_soon(note)

    async def _join(self) -> None:
        running = self._running()
        if len(self.cluster.facts) >= 6:
            return
        peer = next(name for number in count(1) if (name := f"a{number}") not in self.cluster.disks)
        zone, skew_ms = self.random.choice(("", "", "x", "y")), self.random.randint(-5_000, 5_000)
        if self.has_secrets:
            if self.random.random() < 0.5:
                self.cluster.cut(({peer}, set(self.cluster.facts)))
            await self.cluster.appear(peer, skew_ms=skew_ms)
            return
        try:
            issuer = self.random.choice(running).id if running else None
            await self.cluster.join(peer, issuer=issuer, zone=zone, skew_ms=skew_ms)
        except ChangeNotStored:
            self.ghosts.add(peer)

    async def _kill(self) -> None:
        if len(self._running()) > 1:
            self._kill_node(self._any().id)

    def _kill_node(self, peer: str) -> None:
        self.cluster.kill(peer)
        for task in [task for task, node in self.tasks.items() if node == peer]:
            task.cancel()

    async def _burn(self) -> None:
        """A node and its disk are lost for good, once at most: what it alone had may be gone."""
        if len(self._running()) > 1 and not self.burnt:
            self.burnt = self._any().id
            self._kill_node(self.burnt)
            self.ghosts.add(self.burnt)

    async def _restart(self) -> None:
        if self._down():
            await self.cluster.start(self.random.choice(self._down()))

    async def _leave(self) -> None:
        if len(self._running()) > 2 and not self.cluster.wire.cuts and not self.cluster.frozen:
            await self.cluster.until(lambda: not self.tasks)
            peer = self._any().id
            await self.cluster.leave(peer)
            del self.cluster.facts[peer]

    async def _freeze(self) -> None:
        if len(self._running()) > 1:
            self.cluster.freeze(self._any().id)

    async def _thaw(self) -> None:
        if self.cluster.frozen:
            self.cluster.thaw(self.random.choice(sorted(self.cluster.frozen)))

    async def _cut(self) -> None:
        ids = sorted(self.cluster.facts)
        side = {peer for peer in ids if self.random.random() < 0.5}
        self.cluster.cut((side, set(ids) - side))

    async def _cut_one_way(self) -> None:
        ids = sorted(self.cluster.facts)
        if len(ids) > 1:
            self.cluster.wire.cut(*self.random.sample(ids, 2))

    async def _heal(self) -> None:
        self.cluster.wire.heal()

    async def _slow(self) -> None:
        ids = sorted(self.cluster.facts)
        if len(ids) > 1:
            self.cluster.wire.slow(*self.random.sample(ids, 2), self.random.choice((0.05, 0.3, 0.8)))

    async def _fill_disk(self) -> None:
        self.random.choice(sorted(self.cluster.disks.items()))[1].is_full = True

    async def _empty_disk(self) -> None:
        for disk in self.cluster.disks.values():
            disk.is_full = False
