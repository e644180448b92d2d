"""A node's own book takes the place of the one that it follows from another node, and no reader notices."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from depthcache import Book, Status
from tests.server import exchanging, following
from tests.server.asking import PATH, READ, diff
from tests.server.clustering import EXCHANGE, Cluster, Node, as_node, issue
from tests.server.exchanging import options

pytest.importorskip("cryptography")

BTC = "BTCUSDT"
BEARER = {"Authorization": f"Bearer {READ}"}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as made:
        yield made


@pytest.fixture
def node(cluster: Cluster) -> Node:
    return cluster.node("near", exchange=options())


def apply(update_id: int, *books: Book) -> None:
    for each in books:
        each.apply(diff(BTC, update_id, update_id, [["999.99", str(update_id)]]))


def take_over(node: Node, *, is_exact: bool = True) -> bool:
    return bool(node.native.take_over(EXCHANGE, BTC, is_exact=is_exact))


@pytest.mark.parametrize("mode", ["every", "latest", "levels", "best"])
async def test_a_view_continues_with_the_own_book(node: Node, mode: str) -> None:
    followed, own = node.follow(BTC), node.hold(BTC)
    levels = {} if mode == "best" else {"levels": 5}
    async with following.connected(node.port) as client:
        await client.subscribe(BTC, mode=mode, **levels)
        assert (await client.until("snapshot"))["id"] == 100
        apply(101, followed, own)
        assert (await client.receive())["id"] == 101
        assert take_over(node)
        apply(102, own)
        update = await client.receive()
        assert (update["type"], update["previous"], update["id"]) == ("update", 101, 102)
        assert update["skipped"] == 0
        [mirror] = client.mirrors.values()
        if mode != "best":
            assert mirror.sides == following.expected(own, 5, None)
        apply(103, followed)
        apply(103, own)
        assert (await client.receive())["id"] == 103


async def test_a_view_is_not_told_the_state_again(node: Node) -> None:
    node.follow(BTC)
    own = node.hold(BTC)
    async with following.connected(node.port) as client:
        await client.subscribe(BTC, mode="status")
        assert (await client.receive())["status"] == "synced"
        assert take_over(node)
        own.apply(diff(BTC, 200, 201, []))
        assert (await client.receive())["status"] == "buffering"


async def test_readers_of_views_start_over_only_where_the_followed_book_is_lost(node: Node) -> None:
    followed, own = node.follow(BTC), node.hold(BTC)
    async with following.connected(node.port) as client:
        await client.subscribe(BTC, mode="every", levels=5)
        assert (await client.until("snapshot"))["id"] == 100
        apply(101, followed)
        assert not take_over(node, is_exact=False), "it would go back"
        apply(101, own)
        apply(102, own)
        assert not take_over(node)
        assert (await client.receive())["id"] == 101
        assert take_over(node, is_exact=False)
        message = await client.receive()
        assert (message["type"], message["id"], message["status"]) == ("snapshot", 102, "synced")
        apply(103, own)
        assert (await client.receive())["previous"] == 102


async def test_a_stream_continues_with_the_own_book(node: Node) -> None:
    followed, own = node.follow(BTC), node.hold(BTC)
    path = "/binance.com/ws/btcusdt@depth@100ms"
    async with exchanging.connected(node.native, path, headers=BEARER) as client:
        apply(101, followed, own)
        assert (await client.json())["u"] == 101
        for number in (102, 103):
            apply(number, own)
        assert node.native.readers(EXCHANGE, BTC) == 1
        assert take_over(node, is_exact=False)
        apply(102, followed)
        apply(104, own)
        assert [(await client.json())["u"] for _ in range(3)] == [102, 103, 104]
        assert node.native.readers(EXCHANGE, BTC) == 1
        assert await client.ask("UNSUBSCRIBE", "btcusdt@depth@100ms") == {"result": None, "id": 1}
        assert node.native.readers(EXCHANGE, BTC) == 0
        await client.ask("SUBSCRIBE", "btcusdt@depth@100ms")
        apply(105, own)
        assert [(await client.json())["u"] for _ in range(2)] == [104, 105]


async def test_a_client_of_this_library_takes_the_own_book_for_that_of_another_server(node: Node) -> None:
    """Another generation of the same server's book would make it start over."""
    followed, own = node.follow(BTC), node.hold(BTC)
    path = "/binance.com/ws/btcusdt@depth@100ms@state1"
    async with exchanging.connected(node.native, path, headers=BEARER) as client:
        found = [await client.json() for _ in range(1)]
        apply(101, followed, own)
        assert (await client.json())["u"] == 101
        assert take_over(node)
        found.append(await client.json())
        assert [(each["status"], each["u"]) for each in found] == [("synced", 100), ("synced", 101)]
        assert found[0]["server"] != found[1]["server"]


def read(node: Node) -> Any:
    return node.ask(PATH + "?levels=1").json


def best_quantity(node: Node) -> float:
    return float(read(node)["bids"][0][1])


def test_reads_are_of_the_book_that_is_served(node: Node) -> None:
    """Also where both books are at the same version."""
    followed, own = node.follow(BTC), node.hold(BTC)
    followed.apply(diff(BTC, 101, 101, [["999.99", "1"]]))
    own.apply(diff(BTC, 101, 101, [["999.99", "2"]]))
    assert [best_quantity(node) for _ in range(2)] == [1, 1]
    assert take_over(node)
    assert best_quantity(node) == 2
    assert not take_over(node), "there is no followed book"
    assert node.native.remove(EXCHANGE, BTC)
    assert node.ask(PATH).status == 404


@pytest.mark.parametrize(
    "path",
    [
        PATH,
        f"/v1/books?symbols={EXCHANGE}/{BTC}",
        "/v1/books?symbols=*",
        f"/{EXCHANGE}/api/v3/depth?symbol={BTC}",
    ],
)
def test_a_read_gets_the_own_book_while_the_followed_one_is_not_current(
    cluster: Cluster, node: Node, path: str
) -> None:
    """Its holders have gone, as a rule: that is why this node has a replica."""

    def has_read(node: Node, path: str) -> bool:
        return re.search(rb'[uU]pdate_?[iI]d":101\b', node.ask(path).body) is not None

    followed, own = node.follow(BTC), node.hold(BTC)
    node.native.set_holders(EXCHANGE, BTC, [cluster.dead("gone")])
    apply(101, own)
    assert not has_read(node, path)
    followed.apply(diff(BTC, 201, 201, [["999.99", "1"]]))
    assert followed.status is not Status.SYNCED
    assert has_read(node, path)
    own.apply(diff(BTC, 201, 201, [["999.99", "1"]]))
    assert not has_read(node, path)


def test_without_a_followed_book_the_own_one_is_served_and_without_an_own_one_none(node: Node) -> None:
    node.hold(BTC)
    assert not node.native.remove_followed(EXCHANGE, BTC)
    apply(101, node.follow(BTC))
    assert read(node)["last_update_id"] == 101
    assert node.native.remove_followed(EXCHANGE, BTC)
    assert read(node)["last_update_id"] == 100
    apply(101, node.follow(BTC))
    assert node.native.remove(EXCHANGE, BTC)
    assert (read(node)["last_update_id"], take_over(node)) == (101, False)
    assert node.native.remove_followed(EXCHANGE, BTC)
    assert node.ask(PATH).status == 404


@pytest.mark.parametrize("is_held", [True, False])
def test_another_node_reads_the_own_book_alone(
    cluster: Cluster, node: Node, tmp_path: Path, is_held: bool
) -> None:
    """Or two nodes would follow a book from each other."""
    apply(101, node.follow(BTC))
    if is_held:
        node.hold(BTC)
    with as_node(node.port, issue(cluster.authority, "far"), tmp_path) as connection:
        found = []
        for path in (
            PATH,
            f"/v1/books?symbols={BTC}&exchange={EXCHANGE}",
            f"/{EXCHANGE}/api/v3/depth?symbol={BTC}",
            f"/compat/get_asks?exchange={EXCHANGE}&market={BTC}",
        ):
            connection.request("GET", path)
            answer = connection.getresponse()
            found.append((answer.status, json.loads(answer.read())))
        connection.request("GET", f"/{EXCHANGE}/ws/btcusdt@depth", headers=UPGRADE)
        stream = connection.getresponse().status
    (status, book), (_, many), (_, depth), (_, old) = found
    if is_held:
        assert (book["last_update_id"], many["books"][0]["last_update_id"], depth["lastUpdateId"]) == (
            100,
        ) * 3
        assert (old["result"], stream) == ("OK", 101)
    else:
        assert (status, many["books"], depth["code"], old["result"]) == (404, [], -1121, "ERROR")
        assert stream == 400
