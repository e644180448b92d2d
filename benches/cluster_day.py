"""A cluster for hours, and what happens to one meanwhile: `python -m benches.cluster_soak --day 24`.

Three nodes keep many books of an exchange with little traffic. Every some minutes something is done: books
get another replica and lose it, a node is drained, ends as asked, or is killed, and is started again. All the
time, random books are read at random nodes and compared with what the exchange had at their update id.

At the end, the node that was never restarted must hold and use what it did after the first part; and while
nothing was done, no book may have moved. Ctrl-C ends it early, with the same summary.
"""

from __future__ import annotations

import asyncio
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benches import thin_exchange
from benches.cluster_nodes import NodeProcess, Nodes, remember
from benches.growth import grown
from benches.thin_exchange import FIRST_ID, STEPS, VENUE, levels_at, symbols

__all__ = ["Day", "run_day"]

NAMES = ("a1", "b2", "c3")
"""The first one is never restarted: what grows is seen there."""
REPLICAS = 2
LEVELS = 20
READ_S = 0.2
DEADLINE_S = 120.0
SETTLE_S = 45.0
"""For so long after something was done, books may move: readers that stay at a node keep them for 30 s."""
WARM = 0.3
"""The share after which nothing must grow any more."""
MOST_MB, MOST_FILES, MOST_THREADS, MOST_ENTRIES = 12.0, 8, 8, 512
"""Entries come and go with connections that are open at the moment."""
_MOST_FAULTS = 50


@dataclass(slots=True)
class Day:
    """What was seen.

    Attributes:
        ran_s: for how long.
        was_ended: whether it was interrupted.
        done: what was done, how often.
        slowest_s: the longest time until all books were synced on their owners again, by what was done.
        reads, wrong, errors: reads that were compared, that were not what the exchange had, that failed.
        rest_s, moves_at_rest: how long nothing had been done for a while, and how many books moved then.
        warm, last: what each node used after the first part and at the end.
        faults: a sentence each.
    """

    ran_s: float = 0.0
    was_ended: bool = False
    done: Counter[str] = field(default_factory=Counter)
    slowest_s: dict[str, float] = field(default_factory=dict)
    reads: int = 0
    wrong: int = 0
    errors: int = 0
    rest_s: float = 0.0
    moves_at_rest: int = 0
    warm: dict[str, dict[str, float]] = field(default_factory=dict)
    last: dict[str, dict[str, float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def fault(self, text: str) -> None:
        """One more."""
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(text)

    def table(self) -> list[str]:
        """The summary."""
        hourly = self.moves_at_rest / (self.rest_s / 3_600) if self.rest_s else 0.0
        lines = [
            f"ran for {_duration(self.ran_s)}" + (", interrupted" if self.was_ended else ""),
            "",
            f"{'what was done':<24}{'times':>7}{'whole again after at most':>28}",
        ]
        lines += [
            f"{name:<24}{count:>7,}{self.slowest_s.get(name, 0.0):>26.1f} s"
            for name, count in sorted(self.done.items())
        ]
        lines += [
            "",
            f"reads compared {self.reads:,}, wrong {self.wrong:,}, errors {self.errors:,}",
            f"moves at rest {self.moves_at_rest:,} in {_duration(self.rest_s)}, {hourly:.1f} an hour",
            "",
            f"{'node':<8}{'MB':>16}{'descriptors':>16}{'threads':>16}{'entries':>18}",
        ]
        for name, last in self.last.items():
            warm = self.warm.get(name, last)
            cells = [
                f"{warm[each]:,.0f} → {last[each]:,.0f}" for each in ("mb", "files", "threads", "entries")
            ]
            lines.append(f"{name:<8}{cells[0]:>16}{cells[1]:>16}{cells[2]:>16}{cells[3]:>18}")
        return [*lines, "", *self.faults, "FAILED" if self.faults else "ok"]


def run_day(
    *, hours: float, books: int, every_s: float, seed: int, say: Callable[[str], None] = print
) -> Day:
    """Run it, and say every operation. `every_s`: the time between two."""
    day = Day()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        endpoint = stack.enter_context(thin_exchange.serving(books=books, interval_s=30.0))
        # Flight recorders fill up for hours with so little traffic: 64 KiB a book, which is no growth.
        environment = thin_exchange.environment(endpoint) | {"DEPTHCACHE_FLIGHT_BYTES": "0"}
        nodes = Nodes(folder, environment, NAMES, depth20=True)
        for name in NAMES:
            remember(folder / name, name)
        asyncio.run(_Run(day, nodes, books=books, every_s=every_s, seed=seed, say=say).run(hours * 3_600))
    return day


class _Run:
    def __init__(
        self, day: Day, nodes: Nodes, *, books: int, every_s: float, seed: int, say: Callable[[str], None]
    ) -> None:
        self._day, self._nodes, self._say = day, nodes, say
        self._symbols, self._every_s = symbols(books), every_s
        self._random = random.Random(seed)
        self._down: set[str] = set()
        self._over = asyncio.Event()
        self._tokens: dict[str, str] = {}
        self._entries: dict[str, dict[str, int]] = {}

    async def run(self, seconds: float) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._over.set)
        try:
            await self._nodes.start()
            await self._whole()
            await self._ask(NAMES[0], "create", VENUE, self._symbols, REPLICAS, depth=LEVELS)
            await self._whole()
            await self._go_on(seconds)
        finally:
            await self._nodes.end()

    async def _go_on(self, seconds: float) -> None:
        began_s, is_warm = time.monotonic(), False
        for name in NAMES:
            self._tokens[name] = await self._ask(name, "read_token")
        reading = asyncio.create_task(self._read_always())
        try:
            while (passed_s := time.monotonic() - began_s) < seconds and not self._over.is_set():
                await self._rest(min(self._every_s, seconds - passed_s))
                if self._over.is_set() or time.monotonic() - began_s >= seconds:
                    break
                if not is_warm and time.monotonic() - began_s >= WARM * seconds:
                    is_warm = True
                    self._day.warm = {each: await self._used(each, is_first=True) for each in NAMES}
                name, operation = self._random.choice(self._operations())
                await self._do(name, operation, began_s)
            await self._rest(self._every_s)  # idle connections end meanwhile
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
            self._day.ran_s, self._day.was_ended = time.monotonic() - began_s, self._over.is_set()
        self._day.last = {each: await self._used(each) for each in NAMES}
        self._compare()

    # --- what is done -----------------------------------------------------------------------

    def _operations(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        return [
            ("one more replica", self._replicate),
            ("drain", self._drain),
            ("restart", self._restart),
            ("kill -9", self._kill),
        ]

    async def _do(self, name: str, operation: Callable[[], Awaitable[None]], began_s: float) -> None:
        at_s = time.monotonic()
        await operation()
        await self._whole()
        took_s = time.monotonic() - at_s
        self._day.done[name] += 1
        self._day.slowest_s[name] = max(took_s, self._day.slowest_s.get(name, 0.0))
        used = [f"{each} {(await self._ask(each, 'usage'))['mb']:.0f} MB" for each in NAMES]
        self._say(
            f"{_duration(at_s - began_s)}  {name}, whole again after {took_s:.1f} s; {', '.join(used)}; "
            f"{self._day.reads:,} reads, {self._day.wrong} wrong, {self._day.errors} errors"
        )

    async def _replicate(self) -> None:
        some = self._random.sample(self._symbols, max(1, len(self._symbols) // 10))
        for replicas in (REPLICAS + 1, REPLICAS):
            await self._ask(self._random.choice(NAMES), "change", VENUE, some, replicas)
            await self._whole()

    async def _drain(self) -> None:
        drained, asked = self._random.sample(NAMES, 2)
        await self._ask(asked, "drain", drained, True)
        async with asyncio.timeout(DEADLINE_S):
            while (await self._ask(drained, "counts"))["replicas"]:
                await asyncio.sleep(0.2)
        await self._ask(asked, "drain", drained, False)

    async def _restart(self) -> None:
        node = self._nodes.nodes[self._random.choice(NAMES[1:])]
        self._down.add(node.name)
        await node.ask("hand_over")
        await self._start_again(node)

    async def _kill(self) -> None:
        node = self._nodes.nodes[self._random.choice(NAMES[1:])]
        self._down.add(node.name)
        await self._start_again(node)

    async def _start_again(self, node: NodeProcess) -> None:
        await node.kill()
        await node.start()
        self._tokens[node.name] = await node.ask("read_token")
        await self._whole()
        self._down.discard(node.name)

    # --- at rest ----------------------------------------------------------------------------

    async def _rest(self, seconds: float) -> None:
        """Nothing is done; after a while, no book may move."""
        await self._pause(min(seconds, SETTLE_S))
        if seconds <= SETTLE_S or self._over.is_set():
            return
        before, began_s = await self._moved(), time.monotonic()
        await self._pause(seconds - SETTLE_S)
        moved = await self._moved() - before
        self._day.rest_s += time.monotonic() - began_s
        self._day.moves_at_rest += moved
        if moved:
            self._day.fault(f"{moved} moves of books while nothing was done")

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._over.wait()

    async def _moved(self) -> int:
        return sum([await self._ask(name, "moved") for name in NAMES])

    async def _whole(self) -> None:
        await self._nodes.since_whole(NAMES, alive=len(NAMES), is_even=True)

    async def _ask(self, name: str, call: str, *arguments: Any, **named: Any) -> Any:
        return await self._nodes.nodes[name].ask(call, *arguments, **named)

    # --- readers ----------------------------------------------------------------------------

    async def _read_always(self) -> None:
        timeout = aiohttp.ClientTimeout(total=10.0)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                name = self._random.choice([each for each in NAMES if each not in self._down])
                await self._read(session, name, self._random.choice(self._symbols))
                await asyncio.sleep(READ_S)

    async def _read(self, session: aiohttp.ClientSession, name: str, symbol: str) -> None:
        url = f"{self._nodes.nodes[name].url}/v1/books/{VENUE}/{symbol}?levels={LEVELS}"
        headers = {"Authorization": f"Bearer {self._tokens[name]}"}
        try:
            async with session.get(url, headers=headers) as response:
                status, body = response.status, await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            status, body = 0, {"reason": f"{type(error).__name__}: {error}"}
        if name in self._down:
            return  # it was taken down meanwhile
        if status != 200 or body["status"] != "synced":
            self._day.errors += 1
            self._day.fault(f"{symbol} at {name}: status {status}: {str(body)[:200]}")
            return
        self._day.reads += 1
        expected = levels_at((body["last_update_id"] - FIRST_ID) % STEPS)
        found = [[tuple(map(float, level)) for level in body[side]] for side in ("bids", "asks")]
        if found != [[tuple(map(float, level)) for level in side[:LEVELS]] for side in expected]:
            self._day.wrong += 1
            self._day.fault(f"{symbol} at {name}: wrong levels at id {body['last_update_id']}")

    # --- growth -----------------------------------------------------------------------------

    async def _used(self, name: str, *, is_first: bool = False) -> dict[str, float]:
        trimmed_mb, held = await self._ask(name, "trimmed"), await self._ask(name, "held")
        if is_first:
            self._entries[name] = held
        elif name == NAMES[0] and name in self._entries:
            for fault in grown(self._entries[name], held, by=MOST_ENTRIES):
                self._day.fault(f"{name}: {fault}")
        usage = await self._ask(name, "usage")
        return {**usage, "mb": trimmed_mb, "entries": float(sum(held.values()))}

    def _compare(self) -> None:
        """What the node that was never restarted uses, against what it used after the first part."""
        warm, last = self._day.warm.get(NAMES[0]), self._day.last.get(NAMES[0])
        if warm is None or last is None:
            return
        for name, most in (("mb", MOST_MB), ("files", MOST_FILES), ("threads", MOST_THREADS)):
            if last[name] - warm[name] > most:
                self._day.fault(f"{NAMES[0]}: {name} grew from {warm[name]:,.0f} to {last[name]:,.0f}")


def _duration(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3_600}:{whole // 60 % 60:02}:{whole % 60:02}"
