"""Connections whose token ends while they are open: they are closed with a reason, and no others are."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

import depthcache
from tests.server import exchanging, following
from tests.server.asking import ADMIN, DEADLINE_S, READ, ask, book
from tests.server.exchanging import KEY, options

DEPTH = "/binance.com/api/v3/depth?symbol=BTCUSDT&limit=5"
STREAM = "/binance.com/ws/btcusdt@depth@100ms"
NEW, NEW_KEY = "dcr_new_new_new_new", "dcx_new_new_new_new"
PROXIED = {"X-Forwarded-For": "203.0.113.9"}
"""Of a sender that is not let in because of its address."""
UNAUTHORIZED = 3000
ENDED = (UNAUTHORIZED, "the token is not valid any more: connect with the present one")


@pytest.fixture
def native() -> Iterator[Any]:
    with exchanging.serving() as made:
        made.add("binance.com", "BTCUSDT", book())
        let_in(made, read=READ, manage=ADMIN, exchange=KEY)
        yield made


def let_in(native: Any, **secrets: str) -> None:
    """Take these tokens by their roles, and no others."""
    native.set_tokens([(role, digest(secret), None) for role, secret in secrets.items()])


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def keyed(native: Any, key: str = KEY) -> AbstractAsyncContextManager[exchanging.Socket]:
    return exchanging.connected(native, f"/k/{key}{STREAM}", headers=PROXIED)


async def test_a_socket_is_closed_when_its_token_is_taken_away(native: Any) -> None:
    async with (
        following.connected(native.port) as reader,
        following.connected(native.port, token=ADMIN) as manager,
    ):
        await reader.subscribe("BTCUSDT", levels=5)
        let_in(native, read=NEW, manage=ADMIN)
        assert await reader.closed() == ENDED
        assert (await manager.ask(op="list"))["type"] == "subscriptions", "its token is still good"


async def test_a_socket_is_closed_when_the_time_of_its_token_is_over(native: Any) -> None:
    async with following.connected(native.port) as reader:
        await reader.subscribe("BTCUSDT", levels=5)
        soon_ms = time.time_ns() // 1_000_000 + 50
        native.set_tokens([("read", digest(READ), soon_ms), ("read", digest(NEW), None)])
        assert await reader.closed() == ENDED


async def test_a_socket_whose_first_message_had_the_token_is_closed(native: Any) -> None:
    async with following.connected(native.port, token=None) as reader:
        assert (await reader.ask(op="auth", token=READ))["role"] == "read"
        let_in(native, read=NEW)
        assert await reader.closed() == ENDED


async def test_a_client_may_send_the_next_token_on_an_open_socket(native: Any) -> None:
    async with following.connected(native.port) as reader:
        native.set_tokens([("read", digest(READ), None), ("read", digest(NEW), None)])
        assert (await reader.ask(op="auth", token=NEW))["type"] == "authenticated"
        let_in(native, read=NEW)
        assert (await reader.ask(op="list"))["type"] == "subscriptions"


async def test_a_stream_of_events_ends_with_an_error(native: Any) -> None:
    async with (
        following.session(headers={"Authorization": f"Bearer {READ}"}) as made,
        made.get(f"http://127.0.0.1:{native.port}/v1/stream?symbols=BTCUSDT&levels=5") as response,
    ):
        assert response.status == 200
        await response.content.readuntil(b"\n\n")
        let_in(native, read=NEW)
        event = (await response.content.read()).split(b"\n\n")[-2].splitlines()
    assert event[0] == b"event: error"
    error = json.loads(event[1].removeprefix(b"data: "))["error"]
    assert error["code"] == "unauthorized"


async def test_a_socket_of_the_exchange_s_protocol_is_closed_with_its_token(native: Any) -> None:
    headers = {"Authorization": f"Bearer {READ}"}
    async with (
        exchanging.connected(native, STREAM, headers={**headers, **PROXIED}) as remote,
        exchanging.connected(native, STREAM, headers=headers) as neighbour,
    ):
        let_in(native, read=NEW)
        assert await remote.closed() == ENDED
        assert (await neighbour.ask("LIST_SUBSCRIPTIONS"))["result"], "it needs no token"


async def test_a_key_of_the_exchange_s_protocol_is_replaced_while_clients_use_it(native: Any) -> None:
    async with keyed(native) as old:
        native.set_tokens([("exchange", digest(KEY), None), ("exchange", digest(NEW_KEY), None)])
        async with keyed(native, NEW_KEY) as new:
            assert ask(native.port, f"/k/{KEY}{DEPTH}", token=None, headers=PROXIED).status == 200
            let_in(native, exchange=NEW_KEY)
            assert await old.closed() == ENDED
            assert (await new.ask("LIST_SUBSCRIPTIONS"))["result"]
    statuses = {key: ask(native.port, f"/k/{key}{DEPTH}", token=None).status for key in (KEY, NEW_KEY)}
    assert statuses == {KEY: 403, NEW_KEY: 200}


async def test_a_key_of_the_exchange_s_protocol_is_no_token_of_the_api(native: Any) -> None:
    refused = ask(native.port, "/v1/books", token=KEY)
    assert (refused.status, refused.error["code"]) == (403, "role_too_low")
    assert ask(native.port, f"/k/{READ}{DEPTH}", token=None).status == 403
    async with following.connected(native.port, token=None) as client:
        assert (await client.ask(op="auth", token=KEY))["error"]["code"] == "unauthorized"


async def test_a_client_of_this_package_says_that_its_token_is_refused() -> None:
    rules = json.loads(options()) | {"is_open": False}
    with exchanging.serving(json.dumps(rules)) as native:
        native.add("binance.com", "BTCUSDT", book())
        let_in(native, read=READ)
        async with depthcache.connect(
            "binance.com", ["BTCUSDT"], server=f"http://127.0.0.1:{native.port}", token=READ
        ) as books:
            await books.wait_synced(DEADLINE_S)
            let_in(native, read=NEW)
            async with asyncio.timeout(DEADLINE_S):
                async for notice in books["BTCUSDT"].updates("status"):
                    if notice.status is not depthcache.Status.SYNCED:
                        break
            with pytest.raises(depthcache.ServerRefused, match="check the token"):
                await books.wait_synced(DEADLINE_S)


async def test_the_tokens_of_a_server_by_itself_do_not_end() -> None:
    with exchanging.serving() as native:
        native.add("binance.com", "BTCUSDT", book())
        async with following.connected(native.port) as reader, keyed(native) as client:
            assert (await reader.ask(op="list"))["type"] == "subscriptions"
            assert (await client.ask("LIST_SUBSCRIPTIONS"))["result"]
