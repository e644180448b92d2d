"""Followed books on a socket: what a reader builds of messages is the book at the same id."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from depthcache import Book
from tests.server.asking import ask, book, diff, serving
from tests.server.following import JSON, MESSAGE_PACK, Client, connected, expected

BOOK = "binance.com/BTCUSDT"


@pytest.fixture
def native() -> Iterator[Any]:
    with serving(heartbeat_s=30) as made:
        yield made


class Fed:
    """A served book that random updates change, and what each view of it was at each id."""

    def __init__(self, native: Any, seed: int, symbol: str = "BTCUSDT") -> None:
        self.random = random.Random(seed)
        self.symbol, self.book, self.id = symbol, book(symbol), 100
        native.add("binance.com", symbol, self.book)
        self.views: dict[tuple[Any, Any], dict[int, Any]] = {}

    def watch(self, levels: int | str, group: str | None) -> None:
        self.views[levels, group] = {self.id: expected(self.book, levels, group)}

    def step(self) -> None:
        """One update of some levels near the best ones."""
        event: dict[str, list[list[str]]] = {"b": [], "a": []}
        for side, sign in (("b", -1), ("a", 1)):
            for _ in range(self.random.randrange(4)):
                price = 1000 + sign * self.random.randint(1, 60) / 100
                quantity = self.random.choice(["0", "1.5", "2.25", "7"])
                event[side].append([f"{price:.2f}", quantity])
        self.apply(**event)

    def apply(self, b: list[list[str]], a: list[list[str]]) -> None:
        first, self.id = self.id + 1, self.id + self.random.randint(1, 3)
        raw = diff(self.symbol, first, self.id, b).replace(b'"a": []', b'"a": ' + text(a))
        self.book.apply(raw)
        for (levels, group), known in self.views.items():
            known[self.id] = expected(self.book, levels, group)

    def finish(self) -> None:
        """Both best prices change, so that every mode but status has a message."""
        self.apply([["999.999", "3.3"]], [["1000.001", "4.4"]])


def text(levels: list[list[str]]) -> bytes:
    import json

    return json.dumps(levels).encode()


VIEWS = [
    ("every", 5, None),
    ("every", "all", None),
    ("every", 3, "0.05"),
    ("latest", 1, None),
    ("latest", 20, None),
    ("latest", "all", "0.1"),
    ("interval", 10, None),
    ("best", None, None),
    ("levels", 4, None),
    ("levels", 2, "0.25"),
]


@pytest.mark.parametrize("protocol", [JSON, MESSAGE_PACK])
@pytest.mark.parametrize("seed", range(3))
async def test_a_mirror_of_messages_is_the_book_at_each_id(native: Any, seed: int, protocol: str) -> None:
    fed = Fed(native, seed)
    async with connected(native.port, protocol=protocol) as client:
        names = {}
        for mode, levels, group in VIEWS:
            fields: dict[str, Any] = {"levels": levels, "group": group}
            fields |= {"interval_ms": 1 if mode == "interval" else None, "exact": True}
            given = {name: value for name, value in fields.items() if value is not None}
            reply = await client.subscribe(BOOK, mode=mode, **given)
            names[reply["view"]] = (levels or 1, group)
            fed.watch(levels or 1, group)
        for _ in range(60):
            fed.step()
            if fed.random.random() < 0.3:
                await check(client, fed, names)
        fed.finish()
        while not all(mirror.id == fed.id for mirror in client.mirrors.values()):
            await check(client, fed, names)
        assert len(client.mirrors) == len(VIEWS)


async def check(client: Client, fed: Fed, names: dict[str, Any]) -> None:
    message = await client.receive()
    view = names[message["view"]]
    assert client.mirror(message).sides == fed.views[view][message["id"]], message


async def test_every_update_is_a_message_and_chained(native: Any) -> None:
    fed = Fed(native, 5)
    async with connected(native.port) as client:
        await client.subscribe(BOOK, mode="every", levels=2)
        assert (await client.receive())["type"] == "snapshot"
        ids = [fed.id]
        for _ in range(50):
            fed.step()
            ids.append(fed.id)
        messages = [await client.receive() for _ in range(50)]
        assert [message["previous"] for message in messages] == ids[:-1]
        assert [message["skipped"] for message in messages] == [0] * 50
