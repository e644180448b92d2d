"""A refused handshake is reported with HTTP status and headers, and no connection is tried too early."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web

import depthcache
from depthcache import Policy, simulator
from depthcache.simulator import TINY, SimulatedExchange
from tests.support.peers import Listening, serving

DATE, LATER = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:51:37 GMT"


@pytest.mark.parametrize("status", [400, 403, 418, 429, 451, 503])
@pytest.mark.parametrize("retry_after", [None, "120", LATER])
async def test_status_and_headers_of_the_answer_are_reported_as_they_came(
    status: int, retry_after: str | None, listening: Listening
) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        told = {} if retry_after is None else {"Retry-After": retry_after}
        return web.Response(status=status, headers={"Date": DATE, **told})

    async with serving({"/ws": refuse}) as host, listening() as (network, listener):
        network.open(1, f"ws://{host}/ws")
        closed = await listener.closing_of(1)
        assert (closed.status, closed.retry_after, closed.date) == (status, retry_after, DATE)
        assert closed.code is None


async def test_a_connection_that_could_not_be_made_or_broke_has_no_status(listening: Listening) -> None:
    async def end(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close(code=1008, message=b"Too many requests")
        return socket

    async with serving({"/ws": end}) as host, listening() as (network, listener):
        network.open(1, f"ws://{host}/ws")
        network.open(2, "ws://127.0.0.1:1/ws")
        for number in (1, 2):
            closed = await listener.closing_of(number)
            assert (closed.status, closed.retry_after, closed.date) == (None, None, None)


@pytest.mark.slow
async def test_nothing_connects_or_asks_before_the_time_is_over(transport: str) -> None:
    exchange = SimulatedExchange({"binance.com": {"S0USDT": TINY, "S1USDT": TINY}}, seed=3)
    hasty = Policy(connect_base_s=0.01, connect_cap_s=0.02, streams_per_connection=1)
    with simulator.Server(exchange) as server:
        settings = replace(server.settings, policy=hasty, transport=transport)
        async with (
            asyncio.timeout(20),
            depthcache.connect("binance.com", ["S0USDT", "S1USDT"], settings=settings) as books,
        ):
            await books.wait_synced()
            before = exchange.limits.all("binance.com")

            def refuse() -> None:
                exchange.trouble.refuse_connects(1.0, exchange.now_ns, status=429, told=True)
                exchange.cut(exchange.now_ns)

            server.on_exchange(refuse)
            while not exchange.trouble.refused_connects:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.001)
            spent = exchange.limits.all("binance.com") - before
            await books.wait_synced()
            # Both connections may have been on their way when the first was refused.
            assert exchange.trouble.refused_connects <= 2
            assert spent == 0
            assert exchange.connects == 4
