"""HTTP requests of the real network: every response is returned, and every failure has a reason."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest
from aiohttp import web

from depthcache.io.network.interface import Failure, Response
from tests.support.peers import Handler, listening, serving


def saying(response: web.Response) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return response

    return handle


async def get(path: str, handler: Handler, *, timeout_s: float = 20.0) -> Response | Failure:
    async with serving({path.partition("?")[0]: handler}) as host, listening() as (network, listener):
        network.fetch(1, f"http://{host}{path}", timeout_s=timeout_s)
        return await listener.answer_to(1)


async def test_an_answer_keeps_its_bytes_and_lowers_its_header_names() -> None:
    body = b'{"lastUpdateId":1,"bids":[],"asks":[]}'
    response = await get(
        "/api/v3/depth", saying(web.Response(body=body, headers={"X-MBX-USED-WEIGHT-1M": "50"}))
    )
    assert isinstance(response, Response)
    assert (response.status, response.body) == (200, body)
    assert response.headers["x-mbx-used-weight-1m"] == "50"


@pytest.mark.parametrize("status", [400, 403, 404, 418, 429, 451, 500, 503])
async def test_errors_of_the_exchange_are_answers_with_their_headers(status: int) -> None:
    response = await get(
        "/x", saying(web.Response(status=status, text='{"code":-1003}', headers={"Retry-After": "17"}))
    )
    assert isinstance(response, Response)
    assert (response.status, response.body, response.headers["retry-after"]) == (
        status,
        b'{"code":-1003}',
        "17",
    )


async def test_html_is_an_answer_like_any_other() -> None:
    page = web.Response(status=403, text="<html>WAF</html>", content_type="text/html")
    response = await get("/x", saying(page))
    assert isinstance(response, Response)
    assert response.body == b"<html>WAF</html>"


async def test_symbols_in_other_scripts_arrive_as_they_were_meant() -> None:
    asked: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(request.query["symbol"])
        return web.Response()

    await get("/depth?symbol=%E5%B8%81%E5%AE%89USDT&limit=5", handle)
    assert asked == ["币安USDT"]


async def test_gzip_is_asked_for_and_unpacked() -> None:
    asked: list[str] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers["Accept-Encoding"])
        return web.Response(body=gzip.compress(b"x" * 100_000), headers={"Content-Encoding": "gzip"})

    response = await get("/x", handle)
    assert isinstance(response, Response)
    assert response.body == b"x" * 100_000
    assert "gzip" in asked[0]


async def test_a_bomb_of_gzip_is_a_failure_and_never_unpacked_whole() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1024 * 1024)) for _ in range(40)) + packer.flush()
    response = await get("/x", saying(web.Response(body=bomb, headers={"Content-Encoding": "gzip"})))
    assert response == Failure("the response is larger than 16,777,216 bytes")


async def test_an_answer_above_the_limit_is_a_failure() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(1024 * 1024))
        except ConnectionError:
            return response

    assert await get("/x", handle) == Failure("the response is larger than 16,777,216 bytes")


@pytest.mark.parametrize("where", ["before the head", "inside the body"])
async def test_an_answer_that_does_not_end_in_time_is_a_failure(where: str) -> None:
    hold = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if where == "inside the body":
            await response.prepare(request)
            await response.write(b'{"lastUpdateId":')
        await hold.wait()
        return response

    assert await get("/x", handle, timeout_s=0.1) == Failure("no complete response within 0.1 s")


async def test_an_answer_that_is_cut_off_is_a_failure() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    response = await get("/x", handle)
    assert isinstance(response, Failure)
    assert "payload" in response.reason


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    response = await get(
        "/x", saying(web.Response(status=status, headers={"Location": "http://evil.example/"}))
    )
    assert response == Failure("redirected to http://evil.example/; redirects are not followed")


async def test_cookies_are_not_kept() -> None:
    seen: list[str | None] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Cookie"))
        response = web.Response()
        response.set_cookie("track", "me")
        return response

    async with serving({"/x": handle}) as host, listening() as (network, listener):
        for request in (1, 2):
            network.fetch(request, f"http://{host}/x", timeout_s=20.0)
            await listener.answer_to(request)
    assert seen == [None, None]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://127.1/x", "http://[::1", "nonsense", ""])
async def test_what_cannot_be_reached_is_a_failure_with_words(url: str) -> None:
    async with listening() as (network, listener):
        network.fetch(1, url, timeout_s=20.0)
        network.open(2, url)
        response, closed = await listener.answer_to(1), await listener.closing_of(2)
        assert isinstance(response, Failure)
        assert response.reason
        assert closed.reason


async def test_answers_come_back_under_their_own_numbers() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(text=request.query["n"])

    async with serving({"/x": handle}) as host, listening() as (network, listener):
        for number in range(50):
            network.fetch(number, f"http://{host}/x?n={number}", timeout_s=20.0)
        await listener.until(lambda: len(listener.responses) == 50)
        bodies = {
            number: response.body
            for number, response in listener.responses.items()
            if isinstance(response, Response)
        }
        assert bodies == {number: str(number).encode() for number in range(50)}


async def test_waking_comes_once_at_the_last_time_that_was_set() -> None:
    async with listening() as (network, listener):
        network.wake_at(network.now_ns() + 10**12)
        network.wake_at(network.now_ns() - 1)
        network.wake_at(None)
        at_ns = network.now_ns() + 1_000_000
        network.wake_at(at_ns)
        await listener.until(lambda: listener.wakes)
        assert network.now_ns() >= at_ns - 1_000_000
        network.wake_at(network.now_ns() - 10**9)  # past times come at once, but never from inside the call
        assert listener.wakes == 1
        await listener.until(lambda: listener.wakes == 2)
