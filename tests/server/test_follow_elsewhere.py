"""Books that other nodes hold are followed at any node: its owner begins them, and readers wait for that."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import aiohttp
import pytest

from tests.server import exchanging, following
from tests.server.asking import DEADLINE_S, READ, diff
from tests.server.clustering import EXCHANGE, Cluster, Owner
from tests.server.exchanging import options

pytest.importorskip("cryptography")

BEARER = {"Authorization": f"Bearer {READ}"}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as made:
        yield made


@pytest.mark.parametrize("names", [["BTCUSDT"], ["btcusdt"], ["binance.com/BTCUSDT"], ["*/BTC*"]])
async def test_a_subscription_waits_for_the_book(cluster: Cluster, names: list[str]) -> None:
    near, far = cluster.nodes("near", "far")
    near.knows("BTCUSDT", far)
    with Owner(near) as owner:
        async with following.connected(near.port) as client:
            reply = await client.subscribe(*names, levels=5)
            assert reply["books"] == ["binance.com/BTCUSDT"]
            assert (await client.until("snapshot"))["id"] == 100
            near.books["BTCUSDT"].apply(diff("BTCUSDT", 101, 101, [["999.99", "7.5"]]))
            assert (await client.until("update"))["id"] == 101
            assert near.native.readers(EXCHANGE, "BTCUSDT") == 1
    assert owner.asked == [("follow", EXCHANGE, "BTCUSDT")]


async def test_all_readers_of_a_book_begin_it_once(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far", exchange=options())
    near.knows("BTCUSDT", far)
    near.knows("ETHUSDT", far)
    may_go_on = threading.Event()
    with Owner(near, waits_for=may_go_on) as owner:
        async with (
            following.connected(near.port) as one,
            following.connected(near.port) as two,
            following.connected(near.port, protocol=following.MESSAGE_PACK) as three,
        ):
            waiting = [
                asyncio.create_task(client.subscribe("BTCUSDT", "ETHUSDT", levels=5))
                for client in (one, two, three)
            ]
            assert await asyncio.to_thread(owner.was_asked.wait, DEADLINE_S)
            await two.send(op="list", request="later")
            may_go_on.set()
            replies = await asyncio.wait_for(asyncio.gather(*waiting), DEADLINE_S)
            assert all(
                sorted(reply["books"]) == ["binance.com/BTCUSDT", "binance.com/ETHUSDT"] for reply in replies
            )
            listed = await two.until("subscriptions")
            assert len(listed["subscriptions"]) == 1, "what comes later is done later"
            assert near.native.readers(EXCHANGE, "BTCUSDT") == 3
    assert sorted(owner.asked) == [("follow", EXCHANGE, "BTCUSDT"), ("follow", EXCHANGE, "ETHUSDT")]


async def test_states_of_a_pattern_begin_no_books(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    near.knows("BTCUSDT", far)
    near.hold("ETHUSDT")
    with Owner(near) as owner:
        async with following.connected(near.port) as client:
            reply = await client.subscribe("*/*", mode="status")
            assert reply["books"] == ["binance.com/ETHUSDT"]
    assert owner.asked == []


async def test_a_subscription_of_too_many_books_is_refused(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    for number in range(1_001):
        near.knows(f"X{number}USDT", far)
    with Owner(near) as owner:
        async with following.connected(near.port) as client:
            reply = await client.ask(op="subscribe", symbols=["X*"])
            assert (reply["type"], reply["error"]["code"]) == ("error", "too_many_books")
            assert (await client.ask(op="subscribe", symbols=["NOUSDT"]))["error"]["code"] == "unknown_book"
    assert owner.asked == []


async def test_a_book_that_cannot_be_followed_is_an_error(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far", exchange=options())
    near.knows("BTCUSDT", far)
    with Owner(near, status=503):
        async with following.connected(near.port) as client:
            for _ in range(2):
                reply = await client.ask(op="subscribe", symbols=["BTCUSDT"])
                assert reply["error"]["code"] == "not_followed"
        assert near.ask("/v1/stream?symbols=BTCUSDT").error["code"] == "not_followed"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            async with exchanging.connected(near.native, "/binance.com/ws/btcusdt@depth"):
                pass


async def test_a_silent_owner_is_not_waited_for_long(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far", delegation_s=0.01)
    near.knows("BTCUSDT", far)
    async with following.connected(near.port) as client:
        reply = await client.ask(op="subscribe", symbols=["BTCUSDT"])
        assert reply["error"]["code"] == "program_silent"


async def test_a_stream_of_events_waits_for_the_book(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    near.knows("BTCUSDT", far)
    url = f"http://127.0.0.1:{near.port}/v1/stream?symbols=BTCUSDT&levels=5"
    with Owner(near):
        async with following.session() as http, http.get(url, headers=BEARER) as response:
            assert response.status == 200
            while b'"snapshot"' not in await asyncio.wait_for(response.content.readline(), DEADLINE_S):
                pass


async def test_the_streams_of_the_exchange_wait_for_their_books(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far", exchange=options())
    for symbol in ("BTCUSDT", "ETHUSDT", "LTCUSDT"):
        near.knows(symbol, far)
    with Owner(near) as owner:
        path = "/binance.com/stream?streams=btcusdt@depth@100ms/ethusdt@bookTicker"
        async with exchanging.connected(near.native, path, headers=BEARER) as client:
            assert (await client.json())["data"]["s"] == "ETHUSDT"
            reply = await client.ask("SUBSCRIBE", "ltcusdt@depth@100ms@state1")
            assert reply == {"result": None, "id": 1}
            assert near.native.readers(EXCHANGE, "LTCUSDT") == near.native.readers(EXCHANGE, "BTCUSDT") == 1
            refused = await client.ask("SUBSCRIBE", "nousdt@depth@100ms")
            assert refused["error"]["code"] == 2
    assert sorted(symbol for _, _, symbol in owner.asked) == ["BTCUSDT", "ETHUSDT", "LTCUSDT"]


async def test_readers_of_a_book_that_another_one_replaces_are_not_told_that_it_is_closed(
    cluster: Cluster,
) -> None:
    """A node that held a book for its readers alone gets it as its own."""
    node = cluster.node("near")
    node.hold("BTCUSDT")
    async with following.connected(node.port) as client:
        await client.subscribe("BTCUSDT", levels=5)
        assert (await client.until("snapshot"))["id"] == 100
        node.hold("BTCUSDT")
        told = await client.until("state")
        assert (told["status"], told["reason"]) == ("buffering", "another book takes its place")
        assert (await client.until("snapshot"))["status"] == "synced"
