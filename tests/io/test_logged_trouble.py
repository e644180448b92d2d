"""Log lines about trouble on real sockets: lost sync and failures as warnings, recovery as info."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, TypeAlias

import pytest

import depthcache
from depthcache import Endpoints, Policy, Settings, simulator
from depthcache.simulator import TINY, SimulatedExchange

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("transport", ["native", "aiohttp"])]

Transport: TypeAlias = Literal["native", "aiohttp"]
DEADLINE_S = 30
SPOT = "binance.com"
IMPATIENT = Policy(
    retry_base_s=0.05, retry_cap_s=0.1, connect_base_s=0.05, connect_cap_s=0.1, limit_share=1.0
)


class Heard(logging.Handler):
    """The lines so far, and waiting for one."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[tuple[str, str]] = []
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.levelname, record.getMessage()))
        self._loop.call_soon_threadsafe(self._came.set)

    async def wait(self, level: str, pattern: str) -> str:
        """The first line of that level that matches."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                for each, line in self.lines:
                    if each == level and re.search(pattern, line):
                        return line
                self._came.clear()
                await self._came.wait()


@pytest.fixture
async def heard() -> Iterator[Heard]:  # type: ignore[misc]
    logger, handler = logging.getLogger("depthcache"), Heard()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture(params=["no such name", "refused"])
def nowhere(request: pytest.FixtureRequest) -> str:
    """A host and port at which nothing listens."""
    if request.param == "no such name":
        return "nowhere.invalid:9"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


async def test_a_connection_that_cannot_be_made(transport: Transport, heard: Heard, nowhere: str) -> None:
    here = Endpoints(rest=f"http://{nowhere}/secret", websocket=f"ws://{nowhere}/secret")
    settings = Settings(endpoints={SPOT: here}, proxies=False, transport=transport)
    async with depthcache.connect(SPOT, ["BTCUSDT"], settings=settings):
        line = await heard.wait(
            "WARNING", rf"^connection \d+ to {re.escape(nowhere)} could not be opened, retrying: \S"
        )
    assert "/secret" not in line.split(": ")[0]


async def test_a_request_that_nobody_takes(transport: Transport, heard: Heard, nowhere: str) -> None:
    with simulator.serve(seed=1) as server:
        rest, websocket = f"http://{nowhere}/secret", server.settings.venue(SPOT).endpoints.websocket
        here = {SPOT: Endpoints(rest=rest, websocket=websocket)}
        settings = replace(server.settings, endpoints=here, transport=transport)
        async with depthcache.connect(SPOT, ["BTCUSDT"], settings=settings):
            told = rf"^request \d+ \(\w+( of \w+)?\) to {re.escape(nowhere)} failed: \S"
            line = await heard.wait("WARNING", told)
    assert "/secret" not in line.split(": ")[0]


async def test_a_cut_connection_and_its_recovery(transport: Transport, heard: Heard) -> None:
    exchange = SimulatedExchange({SPOT: {"BTCUSDT": TINY}}, seed=1)
    with simulator.Server(exchange) as server:
        host = server.url.partition("://")[2]
        settings = replace(server.settings, policy=IMPATIENT, transport=transport)
        async with depthcache.connect(SPOT, ["BTCUSDT"], settings=settings) as books:
            await books.wait_synced(DEADLINE_S)
            server.on_exchange(lambda: exchange.cut(exchange.now_ns))
            await heard.wait(
                "WARNING", rf"^connection \d+ to {host} broke \((no )?close code.*\), reconnecting: \S"
            )
            await heard.wait("WARNING", rf"^BTCUSDT on {SPOT} lost sync and is disconnected: \S")
            await heard.wait("INFO", rf"^BTCUSDT on {SPOT} is synced again after \d+\.\d s$")
        assert sum(bool(re.search(r"to \S+ is open$", line)) for _, line in heard.lines) == 2
        await heard.wait("INFO", rf"^BTCUSDT on {SPOT} is closed")
    losses = [line for level, line in heard.lines if level == "WARNING" and "lost sync" in line]
    assert len(losses) == 1, "the end of the client is no loss"


async def test_a_gap_and_its_recovery(transport: Transport, heard: Heard) -> None:
    exchange = SimulatedExchange({SPOT: {"BTCUSDT": TINY}}, seed=1)
    with simulator.Server(exchange) as server:
        settings = replace(server.settings, policy=IMPATIENT, transport=transport)
        async with depthcache.connect(SPOT, ["BTCUSDT"], settings=settings) as books:
            await books.wait_synced(DEADLINE_S)
            server.on_exchange(lambda: exchange.trouble.next_diffs(SPOT, "BTCUSDT", "drop"))
            await heard.wait("WARNING", rf"^BTCUSDT on {SPOT} lost sync and is buffering: .*gap")
            await heard.wait("INFO", rf"^BTCUSDT on {SPOT} is synced again after")
    assert [line for level, line in heard.lines if level == "WARNING" and "connection" in line] == []


async def test_a_symbol_that_the_exchange_does_not_know(transport: Transport, heard: Heard) -> None:
    exchange = SimulatedExchange({SPOT: {"BTCUSDT": TINY}}, seed=1)
    with simulator.Server(exchange) as server:
        settings = replace(server.settings, policy=IMPATIENT, transport=transport)
        async with depthcache.connect(SPOT, ["NOUSDT"], settings=settings):
            await heard.wait("WARNING", rf"^NOUSDT on {SPOT} is closed for good: \S")
