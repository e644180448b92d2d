"""REST requests beside live books: from any thread and loop, within the budget of the process."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Iterator

import pytest
from aiohttp import web

import depthcache
from depthcache import (
    ConnectionFailed,
    DepthCacheError,
    InvalidArgument,
    Policy,
    RequestRejected,
    Settings,
    UsageError,
)
from depthcache.io.budgets import shared_budgets
from depthcache.rest import Rest
from tests.support.peers import serving


@pytest.fixture(scope="module")
def server() -> Iterator[depthcache.simulator.Server]:
    with depthcache.simulator.serve(seed=2) as server:
        yield server


def at(host: str, **others: object) -> Settings:
    ends = depthcache.Endpoints(rest=f"http://{host}", websocket=f"ws://{host}")
    return Settings(endpoints={"binance.com": ends}, proxies=False, **others)  # type: ignore[arg-type]


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "depthcache rest"]


@pytest.mark.slow
def test_a_program_without_a_loop_asks_and_the_weight_is_counted(server: depthcache.simulator.Server) -> None:
    with Rest(server.settings) as rest:
        assert rest.used_weight("binance.com") is None
        response = rest.ask("binance.com", "/api/v3/exchangeInfo", weight=20)
        assert "BTCUSDT" in {row["symbol"] for row in response.json()["symbols"]}
        budget = shared_budgets().of(server.settings.venue("binance.com"))
        assert budget.used(0) == 20
        weight, age_s = rest.used_weight("binance.com") or (0, -1.0)
        assert weight == 20
        assert 0 <= age_s < 60
        query = {"symbol": "BTCUSDT", "limit": 5, "nothing": None}
        assert len(rest.ask("binance.com", "/api/v3/depth", weight=5, query=query).json()["bids"]) == 5
    assert threads() == []


async def test_a_loop_is_not_blocked_while_it_waits(server: depthcache.simulator.Server) -> None:
    with Rest(server.settings) as rest:
        asked = asyncio.create_task(rest.ask_async("binance.com", "/api/v3/time", weight=1))
        assert "serverTime" in (await asked).json()


async def test_a_rejected_question_says_what_the_exchange_said(server: depthcache.simulator.Server) -> None:
    with Rest(server.settings) as rest:
        with pytest.raises(RequestRejected) as caught:
            await rest.ask_async("binance.com", "/api/v3/depth", weight=5, query={"symbol": "NOBODY"})
        assert (caught.value.status, caught.value.code) == (400, -1121)


async def test_a_stop_by_the_exchange_stops_all_clients_that_share_the_budget() -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=429, text='{"code":-1003,"msg":"Too much"}', headers={"Retry-After": "60"})

    async with serving({"/x": refuse}) as host:
        with Rest(at(host)) as first, Rest(at(host)) as second:
            with pytest.raises(RequestRejected, match="429"):
                await first.ask_async("binance.com", "/x", weight=1)
            with pytest.raises(ConnectionFailed, match="budget has no room") as caught:
                await second.ask_async("binance.com", "/x", weight=1)
            assert "/x" in caught.value.url


async def test_the_token_of_a_book_server_goes_to_no_other_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPTHCACHE_TOKEN", "dcr_secret")

    async def tell(request: web.Request) -> web.StreamResponse:
        return web.json_response(request.headers.get("Authorization"))

    async with serving({"/x": tell, "/binance.com/x": tell}) as host:
        with Rest(Settings(server=f"http://{host}", proxies=False)) as rest:
            assert (await rest.ask_async("binance.com", "/x", weight=1)).json() == "Bearer dcr_secret"
            assert (await rest.fetch_async(f"http://{host}/x")).json() is None


@pytest.mark.parametrize("status", [401, 403, 503])
async def test_a_refusal_of_a_book_server_stops_no_other_request(status: int) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text='{"code":-1003,"msg":"no"}', headers={"Retry-After": "60"})

    async with serving({"/binance.com/x": refuse}) as host:
        with Rest(Settings(server=f"http://{host}", proxies=False)) as rest:
            for _ in range(2):
                with pytest.raises(RequestRejected, match=str(status)):
                    await rest.ask_async("binance.com", "/x", weight=1)


async def test_the_first_book_server_that_can_be_reached_responds() -> None:
    async def response(request: web.Request) -> web.StreamResponse:
        return web.json_response(request.host)

    async with serving({"/binance.com/x": response}) as host:
        away = "http://127.0.0.1:1"
        for servers in (f"{away},http://{host}", f"http://{host},{away}"):
            with Rest(Settings(server=servers, proxies=False)) as rest:
                assert (await rest.ask_async("binance.com", "/x", weight=1)).json() == host
    last = "http://127.0.0.1:2"
    with (
        Rest(Settings(server=[away, last], proxies=False)) as rest,
        pytest.raises(ConnectionFailed, match=last),
    ):
        await rest.ask_async("binance.com", "/x", weight=1)


async def test_a_request_beyond_the_share_is_refused_without_sending_it() -> None:
    asked: list[str] = []

    async def response(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.json_response({})

    async with serving({"/x": response}) as host:
        with Rest(at(host, policy=Policy(limit_share=0.01))) as rest:  # 60 of 6,000
            await rest.ask_async("binance.com", "/x", weight=50)
            with pytest.raises(ConnectionFailed, match="budget has no room"):
                await rest.ask_async("binance.com", "/x", weight=50, timeout=5)
    assert asked == ["/x"]


async def test_a_cancelled_question_gives_its_weight_back_to_time() -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        begun.set()
        await over.wait()
        return web.Response()

    async with serving({"/x": hang}) as host:
        settings = at(host)
        with Rest(settings) as rest:
            asked = asyncio.create_task(rest.ask_async("binance.com", "/x", weight=7))
            await begun.wait()
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            over.set()
            await asyncio.to_thread(rest.close)  # whatever was on its way on the thread is over
            budget = shared_budgets().of(settings.venue("binance.com"))
            assert budget._in_flight == 0
            assert budget.used(0) == 7, "the exchange may have counted it"


async def test_a_request_to_any_server_may_post_json() -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return web.json_response({"query": dict(request.query)})
        return web.json_response({"posted": await request.json(), "type": request.content_type})

    async with serving({"/x": echo}) as host:
        with Rest(Settings(proxies=False)) as rest:
            got = await rest.fetch_async(f"http://{host}/x", query={"a": 1, "b": None})
            assert got.json() == {"query": {"a": "1"}}
            posted = await rest.fetch_async(f"http://{host}/x", posted={"a": [1]})
            assert posted.json() == {"posted": {"a": [1]}, "type": "application/json"}


async def test_any_status_is_an_answer_and_none_is_a_failure() -> None:
    async def fail(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500, text="no json")

    async with serving({"/x": fail}) as host:
        with Rest(Settings(proxies=False)) as rest:
            response = await rest.fetch_async(f"http://{host}/x")
            assert response.status == 500
            with pytest.raises(RequestRejected, match="no json"):
                response.json()
            with pytest.raises(ConnectionFailed):
                await rest.fetch_async("http://127.0.0.1:1/x")
            with pytest.raises(InvalidArgument, match="without a query"):
                await rest.fetch_async("http://127.0.0.1:1/x?a=1", query={"b": 2})


def test_a_closed_session_says_so() -> None:
    rest = Rest(Settings(proxies=False))
    rest.close()
    rest.close()
    with pytest.raises(UsageError, match="closed"):
        rest.fetch("http://127.0.0.1:1/x")


async def test_closing_ends_what_is_on_its_way() -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        begun.set()
        await over.wait()
        return web.Response()

    async with serving({"/x": hang}) as host:
        rest = Rest(Settings(proxies=False))
        asked = asyncio.create_task(rest.fetch_async(f"http://{host}/x"))
        await begun.wait()
        await asyncio.to_thread(rest.close)
        with pytest.raises(DepthCacheError, match="closed"):
            await asked
        over.set()
    assert threads() == []


# Collecting garbage also finds sockets that servers of earlier tests had accepted when their loop ended.
@pytest.mark.filterwarnings("ignore:.*unclosed.*:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_session_that_is_dropped_leaves_no_thread(server: depthcache.simulator.Server) -> None:
    before = threads()  # what an earlier test dropped may not be collected yet
    rest = Rest(server.settings)
    rest.ask("binance.com", "/api/v3/ping", weight=1)
    (thread,) = [each for each in threads() if each not in before]
    del rest
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_has_its_own_session(server: depthcache.simulator.Server) -> None:
    with Rest(server.settings) as rest:
        rest.ask("binance.com", "/api/v3/ping", weight=1)
        child = os.fork()
        if child == 0:
            try:
                rest.ask("binance.com", "/api/v3/ping", weight=1)
                rest.close()
                os._exit(0)
            except BaseException:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        rest.ask("binance.com", "/api/v3/ping", weight=1)
