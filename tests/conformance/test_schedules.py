"""Schedules of faults on real sockets, for each transport: a synced book equals the truth.

The schedules are those of `tests/properties`. The exchange's clock runs faster than the real one and the
client's timeouts are shorter by the same factor, so that a schedule takes seconds.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import depthcache
from depthcache import Settings
from depthcache.core.policy import Policy
from depthcache.model import Status
from depthcache.server import ServerConfig, serve
from depthcache.simulator import Profile, SimulatedExchange, differences
from depthcache.simulator.interface import Exchange, HttpResponse, Session
from depthcache.simulator.server import Server
from tests.properties.schedules import PLACES, faults
from tests.support.cable import Cable

pytestmark = pytest.mark.slow

FASTER = 8
TROUBLE_S = 8.0 / FASTER
DEADLINE_S = 60.0
SEEDS = range(1, 1 + int(os.environ.get("SCHEDULES_ON_SOCKETS", "6")))

BRISK = Policy(
    snapshot_timeout_s=2.0,
    retry_base_s=0.1,
    retry_cap_s=1.0,
    too_old_base_s=0.1,
    too_old_cap_s=0.3,
    relapse_base_s=0.1,
    relapse_cap_s=0.5,
    stable_s=2.0,
    crossed_s=0.3,
    bridging_s=1.0,
    first_data_s=1.5,
    silence_s=2.0,
    overdue_s=0.5,
    connect_timeout_s=3.0,
    connect_base_s=0.1,
    connect_cap_s=0.5,
    reply_timeout_s=1.5,
    quiet_connection_s=3.0,
)


class Faster(Exchange):
    """An exchange whose clock runs `FASTER` times as fast as its http_server's."""

    def __init__(self, inner: SimulatedExchange) -> None:
        self.inner = inner
        self.truth = inner.truth

    def venues(self) -> tuple[str, ...]:
        return self.inner.venues()

    def symbols(self, venue: str) -> tuple[str, ...]:
        return self.inner.symbols(venue)

    def request(self, venue: str, target: str, now_ns: int, *, client: str = "client") -> HttpResponse:
        response = self.inner.request(venue, target, now_ns * FASTER, client=client)
        return replace(response, delay_ns=response.delay_ns // FASTER)

    def accept(
        self, venue: str, target: str, now_ns: int, *, client: str = "client"
    ) -> Session | HttpResponse:
        opened = self.inner.accept(venue, target, now_ns * FASTER, client=client)
        return opened if isinstance(opened, HttpResponse) else _FasterSession(opened)

    def advance(self, now_ns: int) -> None:
        self.inner.advance(now_ns * FASTER)

    def next_ns(self) -> int | None:
        next_ns = self.inner.next_ns()
        return None if next_ns is None else -(-next_ns // FASTER)


class _FasterSession(Session):
    def __init__(self, inner: Session) -> None:
        self.inner = inner
        self.take = inner.take  # type: ignore[method-assign]

    def on_text(self, text: str, now_ns: int) -> None:
        self.inner.on_text(text, now_ns * FASTER)

    def on_pong(self, payload: bytes, now_ns: int) -> None:
        self.inner.on_pong(payload, now_ns * FASTER)

    def on_ping(self, payload: bytes, now_ns: int) -> None:
        self.inner.on_ping(payload, now_ns * FASTER)

    def on_close(self, now_ns: int) -> None:
        self.inner.on_close(now_ns * FASTER)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_synced_book_is_the_truth(seed: int, transport: str) -> None:
    with made(seed) as (server, wanted, settings):
        settings = replace(settings, transport=transport)
        async with (
            asyncio.timeout(DEADLINE_S),
            depthcache.connect(wanted, depth=1, settings=settings) as books,
        ):
            await follow(books, server)


@pytest.mark.parametrize("seed", SEEDS[:1])
async def test_a_book_of_a_book_server_is_the_truth(seed: int, transport: str, tmp_path: Path) -> None:
    """Faults upstream of the server, and a connection to it that breaks again and again."""

    async def cut_often(cable: Cable) -> None:
        while True:
            await asyncio.sleep(TROUBLE_S / 3)
            cable.cut()

    with made(seed) as (server, wanted, settings):
        config = ServerConfig(port=0, data_dir=tmp_path)
        async with (
            asyncio.timeout(DEADLINE_S),
            depthcache.connect(wanted, depth=5, settings=settings) as held,
            serve(held, config) as running,
            Cable(running.url) as cable,
        ):
            ours = Settings(policy=BRISK, transport=transport)  # type: ignore[arg-type]
            async with depthcache.connect(wanted, depth=1, server=cable.url, settings=ours) as books:
                cutting = asyncio.create_task(cut_often(cable))
                try:
                    await follow(books, server, is_over=cutting.cancel)
                finally:
                    cutting.cancel()


@contextmanager
def made(seed: int) -> Iterator[tuple[Server, dict[str, list[str]], Settings]]:
    """An exchange in trouble, what to keep of it, and brisk settings."""
    generator = random.Random(seed)
    symbols: dict[str, dict[str, Profile]] = {}
    for name, symbol, profile, _ in generator.sample(PLACES, generator.randint(1, 3)):
        symbols.setdefault(name, {})[symbol] = profile
    trouble = faults(generator, seed)
    # The exchange's clock is the monotonic one, faster: trouble ends a while from now.
    until_ns = round((asyncio.get_running_loop().time() + TROUBLE_S) * 1e9) * FASTER
    exchange = SimulatedExchange(
        symbols, seed=seed, faults=replace(trouble, until_ns=until_ns), history=20_000
    )
    with Server(Faster(exchange)) as server:
        wanted = {name: list(held) for name, held in symbols.items()}
        yield server, wanted, replace(server.settings, policy=BRISK)


async def follow(
    books: depthcache.Books, server: Server, *, is_over: Callable[[], object] = lambda: None
) -> None:
    """Compare the books while there is trouble and after it; `is_over` is called in between."""
    loop = asyncio.get_running_loop()
    checked = 0
    end_s = loop.time() + TROUBLE_S + 1.0
    while loop.time() < end_s or checked < len(books):
        checked += check(books, server)
        await asyncio.sleep(0.005)
    is_over()
    await books.wait_synced(timeout=DEADLINE_S)
    check(books, server)


def check(books: depthcache.Books, server: Server) -> int:
    """Compare every synced book with the truth at its update id."""
    checked = 0
    for book in books:
        try:
            frozen = book.freeze()
        except depthcache.BookNotSynced:
            continue
        if frozen.status is Status.SYNCED:
            wrong = differences(frozen, server.truth(book.exchange, book.symbol))
            assert wrong == 0, f"{wrong} wrong levels: {frozen!r}"
            checked += 1
    return checked
