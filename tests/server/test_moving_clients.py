"""Clients that can move learn which nodes hold a book, and where all nodes are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server import exchanging
from tests.server.asking import DEADLINE_S, READ, diff
from tests.server.clustering import EXCHANGE, Cluster, Node, Owner
from tests.server.exchanging import Socket, options

pytest.importorskip("cryptography")

BTC = "btcusdt@depth@100ms@state1"
ETH = "ethusdt@depth@100ms@state1"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as made:
        yield made


def connected(node: Node) -> Any:
    headers = {"Authorization": f"Bearer {READ}"}
    return exchanging.connected(node.native, "/binance.com/stream", headers=headers)


async def subscribe(client: Socket, *names: str, **extras: Any) -> Any:
    """The reply, and the nodes that were named before it."""
    await client.inner.send_json({"method": "SUBSCRIBE", "params": names, "id": 1, "moves": True} | extras)
    there = None
    while "id" not in (message := await client.json()):
        there = message["nodes"] if message.get("e") == "nodes" else there
    return message, there


async def nodes(client: Socket) -> Any:
    """The next list of nodes."""
    while (message := await client.json()).get("e") != "nodes":
        pass
    return message["nodes"]


def address(node: Node) -> str:
    return node.holder[1]


async def test_a_stream_of_another_node_s_book_is_refused_with_its_holders(cluster: Cluster) -> None:
    near, far, third = cluster.nodes("near", "far", "third", exchange=options())
    near.hold("ETHUSDT")
    near.knows("BTCUSDT", third, far)
    near.native.set_nodes([address(near), address(far)])
    async with connected(near) as client:
        reply, there = await subscribe(client, BTC, ETH)
        error = reply["error"]
        assert (error["code"], error["streams"]) == (101, [BTC])
        assert error["holders"] == {BTC: [address(third), address(far)]}
        assert there == [address(near), address(far)]
        assert await subscribe(client, ETH) == ({"result": None, "id": 1}, None), "told once"
        near.native.set_nodes([address(near)])
        assert await asyncio.wait_for(nodes(client), DEADLINE_S) == [address(near)]


async def test_a_book_that_no_node_has_is_refused_with_the_command_that_adds_it(cluster: Cluster) -> None:
    near = cluster.node("near", exchange=options())
    async with connected(near) as client:
        reply, _ = await subscribe(client, BTC)
    assert reply["error"]["code"] == 100
    assert "depthcache cluster add BTCUSDT --exchange binance.com" in reply["error"]["msg"]


async def test_a_client_that_stays_gets_a_followed_book(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far", exchange=options())
    near.knows("BTCUSDT", far)
    with Owner(near, status=201) as owner:
        async with connected(near) as client:
            assert await subscribe(client, BTC, moves=False) == ({"result": None, "id": 1}, None)
        async with connected(near) as client:
            reply, _ = await subscribe(client, BTC)
            assert reply["error"]["code"] == 101, "a followed book is better read at its holder"
    assert owner.asked == [("follow", EXCHANGE, "BTCUSDT")]


@pytest.mark.parametrize("status", ["synced", "buffering"])
async def test_an_own_replica_is_served_if_no_other_is_better(cluster: Cluster, status: str) -> None:
    near, far = cluster.nodes("near", "far", exchange=options())
    near.hold("BTCUSDT")
    near.knows("BTCUSDT", far, status=status)
    async with connected(near) as client:
        assert (await subscribe(client, BTC))[0] == {"result": None, "id": 1}


@pytest.mark.parametrize(("known", "is_moved"), [(50, True), (100, False), (200, False)])
async def test_a_client_whose_updates_this_node_has_not_is_sent_to_another_holder(
    cluster: Cluster, known: int, is_moved: bool
) -> None:
    """The own replica is at 100 and was copied a moment ago: another holder may have those from 50 on."""
    near, far = cluster.nodes("near", "far", exchange=options())
    near.hold("BTCUSDT")
    near.knows("BTCUSDT", near, far)
    async with connected(near) as client:
        reply, _ = await subscribe(client, BTC, resume={BTC: known})
        if not is_moved:
            assert reply == {"result": None, "id": 1}
            return
        assert reply["error"]["holders"] == {BTC: [address(far)]}
        reply, _ = await subscribe(client, BTC, resume={BTC: known}, moves=False)
        assert reply == {"result": None, "id": 1}, "it asks again where no other node can be reached"


async def test_readers_of_a_book_that_is_kept_for_them_are_told_where_it_is(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far", exchange=options())
    near.hold("BTCUSDT")
    near.knows("BTCUSDT", near, far)
    async with connected(near) as client:
        assert (await subscribe(client, BTC))[0]["result"] is None
        near.native.keep_for_readers(EXCHANGE, "BTCUSDT", True)
        while (message := await client.json()).get("e") != "holders":
            pass
        assert message["holders"] == {BTC: [address(far)]}
        async with connected(near) as newcomer:
            assert (await subscribe(newcomer, BTC))[0]["error"]["code"] == 101, "it is better read elsewhere"
        near.native.keep_for_readers(EXCHANGE, "BTCUSDT", False)
        async with connected(near) as newcomer:
            assert (await subscribe(newcomer, BTC))[0]["result"] is None


async def test_nobody_is_sent_to_holders_that_have_no_synced_book(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far", exchange=options())
    made = near.hold("BTCUSDT")
    near.knows("BTCUSDT", far, status="buffering")
    async with connected(near) as client:
        await subscribe(client, BTC, moves=False)
        near.native.keep_for_readers(EXCHANGE, "BTCUSDT", True)
        made.apply(diff("BTCUSDT", 101, 101, [["999.99", "1"]]))
        while (message := await client.json()).get("data", {}).get("u") != 101:
            assert message.get("e") != "holders", message


async def test_a_server_by_itself_moves_nobody() -> None:
    with exchanging.serving() as native:
        node = Node("alone", native)
        node.hold("BTCUSDT")
        async with connected(node) as client:
            assert await subscribe(client, BTC) == ({"result": None, "id": 1}, None)


async def test_a_stream_resumes_at_a_node_where_nobody_has_read_it(cluster: Cluster) -> None:
    near = cluster.node("near", exchange=options())
    made = near.hold("BTCUSDT")
    for number in range(101, 104):
        made.apply(diff("BTCUSDT", number, number, [["999.99", str(number)]]))
    async with connected(near) as client:
        await subscribe(client, BTC, resume={BTC: 101})
        found = [(await client.json())["data"] for _ in range(3)]
        assert [(each["e"], each["u"]) for each in found] == [
            ("depthUpdate", 102), ("depthUpdate", 103), ("bookState", 103)
        ], json.dumps(found)  # fmt: skip
