"""Books that other nodes hold are followed at any node: its owner begins them, and readers wait for that."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.server import exchanging, following
from tests.server.asking import DEADLINE_S, READ, diff
from tests.server.clustering import EXCHANGE, Cluster, Owner, as_node, issue
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


def state_of(message: Any) -> tuple[str, str, str]:
    return message["symbol"], message["status"], message["reason"]


@pytest.mark.parametrize("protocol", [following.JSON, following.MESSAGE_PACK])
async def test_states_of_a_pattern_are_those_of_all_nodes_and_begin_no_books(
    cluster: Cluster, protocol: str
) -> None:
    near, far = cluster.nodes("near", "far")
    near.knows("BTCUSDT", far, status="buffering", reason="no node has the book yet")
    near.hold("ETHUSDT")
    with Owner(near) as owner:
        async with following.connected(near.port, protocol=protocol) as client:
            reply = await client.subscribe("*/*", mode="status")
            assert sorted(reply["books"]) == ["binance.com/BTCUSDT", "binance.com/ETHUSDT"]
            first = {state_of(await client.until("state")) for _ in range(2)}
            waiting = ("BTCUSDT", "buffering", "no node has the book yet")
            assert {each[:2] for each in first} == {waiting[:2], ("ETHUSDT", "synced")}
            assert waiting in first
            near.knows("BTCUSDT", far)
            message = await client.until("state")
            assert state_of(message) == ("BTCUSDT", "synced", "")
            assert (message["view"], message["id"], message["since_time_us"]) == ("status", None, None)
            near.knows("BTCUSDT", far)  # says nothing new
            near.knows("BNBUSDT", far)
            assert state_of(await client.until("state")) == ("BNBUSDT", "synced", "")
            near.native.set_holders(EXCHANGE, "BTCUSDT", [])
            gone = await client.until("state")
            assert (gone["symbol"], gone["status"]) == ("BTCUSDT", "closed")
            await client.send(op="unsubscribe", request="end")
            assert (await client.until("unsubscribed"))["request"] == "end"
            near.knows("BTCUSDT", far)
            assert (await client.ask(op="list"))["subscriptions"] == []
    assert owner.asked == []


async def test_the_state_of_a_book_that_comes_and_goes_is_that_of_who_holds_it(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    near.knows("BTCUSDT", far)
    async with following.connected(near.port) as client:
        await client.subscribe("*", mode="status")
        assert state_of(await client.until("state")) == ("BTCUSDT", "synced", "")
        own = near.hold("BTCUSDT")
        assert (await client.until("state"))["status"] == "synced"
        own.apply(diff("BTCUSDT", 900, 901, []))
        assert (await client.until("state"))["status"] == "buffering"
        near.knows("BTCUSDT", far, reason="not said of a book that is here")
        near.native.remove(EXCHANGE, "BTCUSDT")
        assert (await client.until("state"))["status"] == "closed"
        assert (await client.until("state"))["status"] == "synced"


async def test_a_node_hears_of_the_books_of_the_asked_one_alone(cluster: Cluster, tmp_path: Path) -> None:
    near, far = cluster.nodes("near", "far")
    near.knows("BTCUSDT", far)
    with as_node(near.port, issue(cluster.authority, "far"), tmp_path) as connection:
        connection.request("GET", "/v1/stream?symbols=*&mode=status")
        answer = connection.getresponse()
        near.knows("ETHUSDT", far)
        near.hold("BNBUSDT")
        lines = iter(answer.readline, b"")
        data = next(line for line in lines if line.startswith(b"data:"))
        assert json.loads(data[5:])["symbol"] == "BNBUSDT"


async def test_a_stream_of_events_has_the_states_of_other_nodes(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    near.knows("BTCUSDT", far, status="bridging", reason="taken over")
    url = f"http://127.0.0.1:{near.port}/v1/stream?symbols=*&mode=status"
    async with aiohttp.ClientSession(trust_env=False) as session, session.get(url, headers=BEARER) as answer:
        read: Any = lambda: asyncio.wait_for(answer.content.readline(), DEADLINE_S)  # noqa: E731
        assert await read() == b"event: state\n"
        assert state_of(json.loads((await read())[5:])) == ("BTCUSDT", "bridging", "taken over")
        assert await read() == b"\n"


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


async def test_clients_of_the_exchange_connect_again_where_a_node_loses_their_book(cluster: Cluster) -> None:
    """Close 1008 would say that they did something wrong, and some of them give up."""
    near, far = cluster.nodes("near", "far", exchange=options())
    near.hold("BTCUSDT")
    near.knows("ETHUSDT", far)
    path = "/binance.com/ws/btcusdt@depth@100ms"
    async with exchanging.connected(near.native, path, headers=BEARER) as client:
        assert near.native.remove(EXCHANGE, "BTCUSDT")
        code, reason = await client.closed()
        assert code == 1012
        assert "connect again" in reason
    with Owner(near, status=503):
        async with exchanging.connected(near.native, "/binance.com/ws", headers=BEARER) as client:
            await client.inner.send_json({"method": "SUBSCRIBE", "params": ["ethusdt@depth"], "id": 1})
            code, reason = await client.closed()
            assert code == 1013
            assert "connect again in some seconds" in reason


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
