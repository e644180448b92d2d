"""Books that readers follow at a node that does not hold them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from depthcache import Status
from depthcache.cluster.core.placement import BookKey
from depthcache.cluster.following import EXACT_S, LINGER_S, LOST_S, UNFED_S, Following

BOOK, OTHER = BookKey("binance.com", "BTCUSDT"), BookKey("binance.com", "ETHUSDT")


class Book:
    """A book of a client of other nodes."""

    def __init__(self) -> None:
        self.status = Status.BUFFERING


class Client:
    """Such a client."""

    def __init__(self, servers: tuple[str, ...]) -> None:
        self.servers, self.is_closed = servers, False
        self.books: dict[tuple[str, str], Book] = {}

    def add(self, symbol: str, exchange: str) -> Book:
        return self.books.setdefault((exchange, symbol), Book())

    def remove(self, symbol: str, exchange: str) -> None:
        del self.books[exchange, symbol]

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self.books

    async def aclose(self) -> None:
        self.is_closed = True


class Node:
    """What is around the followed books of one node."""

    def __init__(self) -> None:
        self.servers: tuple[str, ...] = ("http://b2", "http://c3")
        self.held: set[BookKey] = set()
        self.shown: dict[BookKey, Any] = {}
        self.read: dict[BookKey, int] = {}
        self.clients: list[Client] = []
        self.takes_over = False
        self.asked: list[bool] = []
        """Of each attempt to take over: whether only at the same id."""
        self.following = Following(
            self,
            servers_of=lambda _: self.servers,
            connect=self.connect,  # type: ignore[arg-type]
            is_held=lambda key: key in self.held,
        )

    async def connect(self, servers: tuple[str, ...]) -> Client:
        self.clients.append(Client(servers))
        return self.clients[-1]

    def show(self, key: BookKey, book: Any) -> None:
        self.shown[key] = book

    def hide(self, key: BookKey) -> None:
        del self.shown[key]

    def take_over(self, key: BookKey, *, is_exact: bool) -> bool:
        self.asked.append(is_exact)
        if self.takes_over:
            del self.shown[key]
        return self.takes_over

    def readers(self, key: BookKey) -> int:
        return self.read.get(key, 0)

    async def ask(self, keys: Iterable[BookKey] = (BOOK,)) -> list[int]:
        return [(await self.following.answer("follow", *key, b""))[0] for key in keys]


async def test_a_book_is_begun_once_and_ends_some_time_after_its_last_reader() -> None:
    node = Node()
    assert await node.ask([BOOK, BOOK, OTHER]) == [201, 201, 201]
    assert (set(node.shown), len(node.clients)) == ({BOOK, OTHER}, 1)
    node.read[BOOK] = 1
    for _ in range(20):
        node.following.look(5)
    assert set(node.shown) == {BOOK}
    node.read[BOOK] = 0
    node.following.look(LINGER_S - 1)
    assert set(node.shown) == {BOOK}
    assert await node.ask() == [201]
    node.following.look(LINGER_S - 1)
    assert set(node.shown) == {BOOK}
    node.following.look(1)
    assert (node.shown, node.clients[0].books) == ({}, {})
    await node.following.close()
    assert node.clients[0].is_closed


async def test_a_held_book_needs_no_following_and_takes_over_when_there_is_no_reader() -> None:
    node = Node()
    node.held.add(OTHER)
    assert await node.ask([BOOK, OTHER]) == [201, 200]
    node.held.add(BOOK)
    node.read[BOOK] = 1
    node.following.look(5)
    assert set(node.shown) == {BOOK}
    node.read[BOOK] = 0
    node.following.look(5)
    assert node.shown == {}


async def test_without_another_node_the_subscription_is_refused_with_the_reason() -> None:
    node = Node()
    node.servers = ()
    status, body = await node.following.answer("follow", *BOOK, b"")
    assert (status, b"no other node has the book now" in body) == (503, True)
    assert node.shown == {}


async def test_a_closed_book_is_begun_again_and_other_nodes_get_another_client() -> None:
    node = Node()
    await node.ask()
    node.shown[BOOK].status = Status.CLOSED
    node.servers = ("http://b2",)
    assert await node.ask() == [201]
    assert [client.servers for client in node.clients] == [("http://b2", "http://c3"), ("http://b2",)]
    assert node.shown[BOOK].status is Status.BUFFERING
    node.following.look(1)
    await node.following.close()
    assert all(client.is_closed for client in node.clients)


async def test_a_book_that_is_not_fed_is_begun_again_at_the_nodes_that_hold_it_now() -> None:
    """Nodes that lost its holder would otherwise follow it from each other, and wait for ever."""
    node = Node()
    await node.ask()
    former = node.shown[BOOK]
    former.status, node.servers = Status.STALE, ("http://c3", "http://b2")
    node.following.check(UNFED_S / 2)
    node.following.check(UNFED_S / 2)
    await asyncio.gather(*node.following._tasks)
    assert [client.servers for client in node.clients] == [("http://b2", "http://c3"), node.servers]
    assert node.shown[BOOK] is node.clients[1].books[BOOK] is not former
    assert node.clients[0].books == {}
    node.following.check(UNFED_S)
    await asyncio.gather(*node.following._tasks)
    assert len(node.clients) == 2, "it is at the right nodes already"


async def test_a_held_book_takes_over_as_soon_as_no_reader_notices() -> None:
    node = Node()
    await node.ask()
    node.shown[BOOK].status, node.read[BOOK] = Status.SYNCED, 1
    node.following.check(EXACT_S)
    node.held.add(BOOK)
    node.following.check(EXACT_S / 2)
    node.following.check(EXACT_S / 2)
    assert (node.asked, set(node.shown)) == ([True, False], {BOOK})
    node.takes_over = True
    node.following.check(0.1)
    assert (node.shown, node.following.keys(), node.clients[0].books) == ({}, (), {})


async def test_a_held_book_takes_the_place_of_one_that_is_lost_even_if_readers_notice() -> None:
    node = Node()
    await node.ask()
    node.held.add(BOOK)
    node.shown[BOOK].status = Status.DISCONNECTED
    node.following.check(LOST_S / 2)
    assert (node.asked, set(node.shown)) == ([False], {BOOK}), "its client may continue at another node"
    node.following.check(LOST_S / 2)
    assert (node.shown, node.following.keys()) == ({}, ())


@pytest.mark.parametrize("route", ["begin_book", "follow"])
def test_it_answers_its_own_route_alone(route: str) -> None:
    assert Node().following.answers(route) is (route == "follow")


async def test_after_a_renewal_a_book_that_is_cut_off_is_begun_again_with_the_new_certificate() -> None:
    node = Node()
    await node.ask([BOOK, OTHER])
    node.read[BOOK] = node.read[OTHER] = 1
    node.following.renew()
    node.following.look(5)
    assert set(node.shown) == {BOOK, OTHER}
    node.shown[BOOK].status = Status.DISCONNECTED
    node.following.look(5)
    assert set(node.shown) == {OTHER}
    assert await node.ask() == [201]
    assert len(node.clients) == 2
    node.read[OTHER] = 0
    node.following.look(LINGER_S)
    await node.following.close()
    assert all(client.is_closed for client in node.clients)
