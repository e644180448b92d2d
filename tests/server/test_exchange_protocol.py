"""The exchange's own protocol over live books: strict clients and our own sync as they do at the exchange."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import depthcache
from depthcache import Settings, Status, server, simulator
from depthcache.server import ServerConfig
from tests.server.asking import DEADLINE_S, own_address
from tests.server.exchanging import Socket, Strict, beyond, connected, session, truth

pytestmark = pytest.mark.slow

UM, SPOT, CM = "binance.com-futures", "binance.com", "binance.com-coin_futures"
LEVELS = 50
SYMBOLS = {UM: ["BTCUSDT", "ETHUSDT"], SPOT: ["BTCUSDT", "币安人生USDT"], CM: ["BTCUSD_PERP"]}


@asynccontextmanager
async def served(
    exchange: simulator.Server, folder: Path, symbols: Any, **changes: Any
) -> AsyncIterator[server.BookServer]:
    """A server of these symbols, for programs of this machine unless `changes` of its config say else."""
    config = ServerConfig(port=0, data_dir=folder, **changes)
    async with (
        depthcache.connect(symbols, depth=1_000, settings=exchange.settings) as books,
        server.serve(books, config) as running,
    ):
        await books.wait_synced(DEADLINE_S)
        for book in books:  # before its first update a book ends where a snapshot did
            await asyncio.wait_for(some_updates(book, 1), DEADLINE_S)
        yield running


async def some_updates(book: depthcache.LiveBook, count: int) -> None:
    async for _ in book.updates():
        count -= 1
        if count < 0:
            return


async def test_a_strict_futures_client_syncs_beyond_this_machine(tmp_path: Path) -> None:
    with simulator.serve(seed=11, symbols={UM: ["BTCUSDT"]}) as exchange:
        async with served(exchange, tmp_path, {UM: ["BTCUSDT"]}, **beyond()) as running:
            ends = running.endpoints(UM)
            assert ends.rest.startswith(f"https://{own_address()}:{running.port}/k/{running.exchange_key}/")
            client = Strict(UM, "BTCUSDT", trusted=running.certificate_file)
            await client.follow(ends, "btcusdt@depth@100ms", updates=5)
            assert client.top(LEVELS) == truth(exchange, client, LEVELS)
            assert (client.restarts, client.refused) == (0, 0), "it began with the newest diff"


@pytest.mark.parametrize(
    ("name", "symbol", "stream", "updates"),
    [
        (UM, "BTCUSDT", "btcusdt@depth@500ms", 2),
        (SPOT, "BTCUSDT", "btcusdt@depth@100ms", 5),
        (SPOT, "BTCUSDT", "btcusdt@depth", 1),
        (SPOT, "币安人生USDT", "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9Fusdt@depth@100ms", 1),
        (CM, "BTCUSD_PERP", "btcusd_perp@depth@100ms", 5),
    ],
    ids=["slower futures", "spot", "slower spot", "chinese", "coin-m"],
)
async def test_strict_clients_sync_at_every_speed(
    name: str, symbol: str, stream: str, updates: int, tmp_path: Path
) -> None:
    with simulator.serve(seed=12, symbols=SYMBOLS) as exchange:
        async with served(exchange, tmp_path, {name: [symbol]}) as running:
            client = Strict(name, symbol)
            await client.follow(running.endpoints(name), stream, updates)
            assert client.top(LEVELS) == truth(exchange, client, LEVELS)
            assert client.restarts == 0


async def test_diffs_are_those_of_the_exchange_byte_for_byte(tmp_path: Path) -> None:
    with simulator.serve(seed=13, symbols=SYMBOLS) as exchange:
        async with served(exchange, tmp_path, {UM: ["BTCUSDT"]}) as running:
            stream = "btcusdt@depth@100ms"
            direct = exchange.settings.venue(UM).endpoints.websocket
            ours = running.endpoints(UM).websocket
            async with (
                connected(direct, f"/public/ws/{stream}") as true,
                connected(ours, f"/public/ws/{stream}") as raw,
                connected(ours, f"/public/stream?streams={stream}") as wrapped,
            ):
                found = {json.loads(text)["u"]: text for text in [await true.text() for _ in range(6)]}
                for text in [await raw.text() for _ in range(5)]:
                    assert found.get(json.loads(text)["u"], text) == text
                seen = [await wrapped.text() for _ in range(5)]
                same = [text for text in seen if json.loads(text)["data"]["u"] in found]
                assert same
                for text in same:
                    event = found[json.loads(text)["data"]["u"]]
                    assert text == f'{{"stream":"{stream}","data":{event}}}'


@pytest.mark.parametrize(
    ("name", "trouble"), [(SPOT, ""), (UM, ""), (SPOT, "cut"), (UM, "drop"), (UM, "ban")]
)
async def test_our_own_client_syncs_against_a_server(name: str, trouble: str, tmp_path: Path) -> None:
    symbols = {name: ["BTCUSDT"]}
    with simulator.serve(seed=14, symbols=SYMBOLS) as exchange:
        async with served(exchange, tmp_path, symbols, **beyond()) as running:
            settings = Settings(
                endpoints={name: running.endpoints(name)}, ca_file=str(running.certificate_file)
            )
            async with depthcache.connect(symbols, depth=500, settings=settings) as books:
                await books.wait_synced(DEADLINE_S)
                book = books["BTCUSDT"]
                await asyncio.wait_for(some_updates(book, 1), DEADLINE_S)
                before, statuses = book.last_update_id, book.updates("status")
                assert (await asyncio.wait_for(anext(statuses), DEADLINE_S)).status is Status.SYNCED
                make(exchange, name, trouble)
                if trouble not in ("", "cut"):  # a cut may be mended between two updates
                    lost = await asyncio.wait_for(anext(statuses), DEADLINE_S)
                    assert lost.status is not Status.SYNCED, "the gap was shown"
                    await books.wait_synced(DEADLINE_S)
                await asyncio.wait_for(some_updates(book, 3), DEADLINE_S)
                await books.wait_synced(DEADLINE_S)
                held = book.freeze(LEVELS)
                client = Strict(name, "BTCUSDT")
                assert held.last_update_id is not None
                assert before is not None
                assert held.last_update_id > before
                client.update_id = held.last_update_id
                bids, asks = truth(exchange, client, LEVELS)
                assert held.exact.bids[:] == bids
                assert held.exact.asks[:] == asks


def make(exchange: simulator.Server, name: str, trouble: str) -> None:
    """A gap (also with a ban, so that no snapshot can mend it at once), or a cut of all connections."""
    if trouble == "cut":
        exchange.cut()
    elif trouble:
        exchange.next_diffs("BTCUSDT", "drop", exchange=name)
    if trouble == "ban":
        exchange.ban(0.2, exchange=name)


@pytest.mark.parametrize(("name", "trouble"), [(UM, "drop"), (SPOT, "ban"), (UM, "cut")])
async def test_strict_clients_stay_right_through_gaps_cuts_and_bans_upstream(
    name: str, trouble: str, tmp_path: Path
) -> None:
    stream = "btcusdt@depth@100ms"
    with simulator.serve(seed=15, symbols=SYMBOLS) as exchange:
        async with served(exchange, tmp_path, {name: ["BTCUSDT"]}) as running:
            ends = running.endpoints(name)
            client = Strict(name, "BTCUSDT")
            async with session() as http, http.ws_connect(f"{ends.websocket}/ws/{stream}") as inner:
                following = asyncio.create_task(client._follow(http, ends, Socket(inner), updates=5))
                await asyncio.wait_for(client.began.wait(), DEADLINE_S)
                make(exchange, name, trouble)
                await asyncio.wait_for(following, DEADLINE_S)
            assert client.top(LEVELS) == truth(exchange, client, LEVELS)
            assert client.restarts > 0 or trouble == "cut", "the gap was shown"
            ids = [json.loads(text)["u"] for text in client.events]
            assert ids == sorted(set(ids)), "ids never repeat or go back"


async def test_symbols_are_begun_on_demand_by_policy(tmp_path: Path) -> None:
    with simulator.serve(seed=16, symbols=SYMBOLS) as exchange:
        changes: dict[str, Any] = {"exchange_symbols": "any"}
        changes["exchange_books"] = 1
        async with (
            served(exchange, tmp_path, {UM: ["BTCUSDT"]}, **changes) as running,
            session() as http,
        ):

            async def depth(symbol: str, name: str = UM) -> tuple[int, Any]:
                path = "/fapi/v1/depth" if name == UM else "/api/v3/depth"
                url = running.endpoints(name).rest + path
                async with http.get(url, params={"symbol": symbol}) as response:
                    return response.status, await response.json()

            status, body = await depth("NOSUCH")
            assert (status, body["code"]) == (400, -1121)
            status, body = await depth("ETHUSDT")
            assert (status, len(body["bids"])) == (200, 500)
            assert len(running) == 2
            assert (await depth("ETHUSDT"))[0] == 200
            status, body = await depth("BTCUSDT", SPOT)
            assert (status, body["code"]) == (400, -1121)
            assert "begins no more" in body["msg"]
            assert len(running) == 2


async def test_a_stream_of_a_symbol_that_is_not_held_begins_its_book(tmp_path: Path) -> None:
    with simulator.serve(seed=17, symbols=SYMBOLS) as exchange:
        changes: dict[str, Any] = {"exchange_symbols": "any"}
        async with served(exchange, tmp_path, {UM: ["BTCUSDT"]}, **changes) as running:
            async with connected(running.endpoints(SPOT).websocket, "/ws") as reader:
                assert await reader.ask("SUBSCRIBE", "btcusdt@depth@100ms") == {"result": None, "id": 1}
                assert (await reader.json())["s"] == "BTCUSDT"
            assert len(running) == 2


async def test_exchange_info_is_that_of_the_exchange_for_the_books_that_are_held(tmp_path: Path) -> None:
    with simulator.serve(seed=18, symbols=SYMBOLS) as exchange:
        async with (
            served(exchange, tmp_path, {SPOT: ["BTCUSDT"], UM: ["ETHUSDT"]}) as running,
            session() as http,
        ):
            for name, path, symbol in (
                (SPOT, "/api/v3/exchangeInfo", "BTCUSDT"),
                (UM, "/fapi/v1/exchangeInfo", "ETHUSDT"),
            ):
                bodies = []
                for _ in range(2):
                    async with http.get(running.endpoints(name).rest + path) as response:
                        assert response.status == 200
                        bodies.append(await response.json())
                assert [row["symbol"] for row in bodies[0]["symbols"]] == [symbol]
                assert bodies[0]["symbols"][0]["filters"]
                assert bodies[0] == bodies[1], "it is cached"

            url = running.endpoints(SPOT).rest + "/api/v3/exchangeInfo"
            async with http.get(url, params={"symbol": "ETHUSDT"}) as response:
                assert (response.status, (await response.json())["code"]) == (400, -1121)
