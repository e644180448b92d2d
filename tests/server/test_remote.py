"""Books from a book server (`connect(server=…)`): they are right, or say which server is not."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import depthcache
from depthcache import Policy, ServerRefused, Settings, Status, UnknownSymbol, blocking, doctor, simulator
from depthcache.server import BookServer, ServerConfig, serve
from depthcache.simulator import TINY, differences
from tests.server.asking import DEADLINE_S, own_address
from tests.server.test_exchange_protocol import beyond
from tests.support.cable import Cable

pytestmark = pytest.mark.slow

SPOT, UM = "binance.com", "binance.com-futures"
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "remote.md"
EXAMPLE = Path(__file__).parents[2] / "examples" / "audit.py"


@pytest.fixture
def exchange() -> Iterator[simulator.Server]:
    """An exchange with two small markets."""
    markets = {SPOT: {"BTCUSDT": TINY, "ETHUSDT": replace(TINY, interval_ms=300)}}
    with simulator.Server(simulator.SimulatedExchange(markets, seed=5)) as server:
        yield server


@asynccontextmanager
async def served(exchange: simulator.Server, folder: Path, **changes: Any) -> AsyncIterator[BookServer]:
    """A book server of both markets."""
    depth = changes.pop("depth", 100)
    config = ServerConfig(**({"port": 0, "data_dir": folder} | changes))
    symbols = ["BTCUSDT", "ETHUSDT"]
    async with (
        depthcache.connect(SPOT, symbols, depth=depth, settings=exchange.settings) as books,
        serve(books, config) as running,
    ):
        await books.wait_synced(DEADLINE_S)
        yield running


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - a book has no event for every change
            await asyncio.sleep(0.002)


def assert_true(exchange: simulator.Server, *books: Any) -> None:
    """The books equal the exchange's at the id of each."""
    for book in books:
        assert differences(book.freeze(), exchange.truth(SPOT, book.symbol)) == 0


async def test_a_remote_book_is_the_exchange_s(exchange: simulator.Server, tmp_path: Path) -> None:
    async with served(exchange, tmp_path) as running:
        url = running.url
        async with depthcache.connect(SPOT, ["BTCUSDT", "ETHUSDT"], server=url) as books:
            await books.wait_synced(DEADLINE_S)
            stream = books["BTCUSDT"].updates("every")
            for _ in range(5):
                assert (await anext(stream)).status is Status.SYNCED
            assert_true(exchange, *books)
            audit = await books["BTCUSDT"].audit(10)
            assert audit.is_clean
            budget = books.stats().budgets[0]
            assert (budget.stopped_s, budget.waiting) == (0, 0)


async def test_the_blocking_api_reads_the_same(exchange: simulator.Server, tmp_path: Path) -> None:
    def read(url: str) -> None:
        with blocking.connect(SPOT, ["BTCUSDT"], server=url) as books:
            book = books["BTCUSDT"]
            book.wait_synced(timeout=DEADLINE_S)
            for update in book.updates("every"):
                assert update.status is Status.SYNCED
                break
            assert_true(exchange, book)

    async with served(exchange, tmp_path) as running:
        await asyncio.to_thread(read, running.url)


async def test_what_the_server_loses_its_readers_lose_with_its_reason(
    exchange: simulator.Server, tmp_path: Path
) -> None:
    async with (
        served(exchange, tmp_path) as running,
        depthcache.connect(SPOT, ["BTCUSDT"], server=running.url) as books,
    ):
        book = books["BTCUSDT"]
        await book.wait_synced(DEADLINE_S)
        exchange.refuse_connects(0.3)
        exchange.cut()
        await until(lambda: book.status is not Status.SYNCED)
        assert book.status is Status.STALE
        host = running.url.removeprefix("http://")
        assert book.reason.startswith(f"server {host}: disconnected: ")
        with pytest.raises(depthcache.BookNotSynced, match=f"server {host}"):
            book.freeze()
        await book.wait_synced(DEADLINE_S)
        assert_true(exchange, book)


async def test_a_lost_connection_costs_no_snapshot(exchange: simulator.Server, tmp_path: Path) -> None:
    async with (
        served(exchange, tmp_path) as running,
        Cable(running.url) as cable,
        depthcache.connect(SPOT, ["BTCUSDT", "ETHUSDT"], server=cable.url) as books,
    ):
        await books.wait_synced(DEADLINE_S)
        for book in books:
            await anext(book.updates("every"))
        for _ in range(2):
            cable.cut()
            await until(lambda: all(book.status is Status.DISCONNECTED for book in books))
            assert "server 127.0.0.1:" in books["BTCUSDT"].reason
            await books.wait_synced(DEADLINE_S)
        assert_true(exchange, *books)
        assert [book.counters["snapshots"] for book in books] == [1, 1]
        assert [book.counters["gaps"] for book in books] == [0, 0]


async def test_the_next_server_takes_over(exchange: simulator.Server, tmp_path: Path) -> None:
    async with AsyncExitStack() as servers:
        second = await servers.enter_async_context(served(exchange, tmp_path / "b"))
        first = await servers.enter_async_context(served(exchange, tmp_path / "a"))
        both = f"{first.url}, {second.url}"
        async with depthcache.connect(SPOT, ["BTCUSDT"], server=both) as books:
            book = books["BTCUSDT"]
            await book.wait_synced(DEADLINE_S)
            before, seen = book.last_update_id, list[str]()
            book.on_update(lambda update: seen.append(update.reason), "status")
            await first.aclose()
            await until(lambda: any(first.url.removeprefix("http://") in reason for reason in seen))
            await book.wait_synced(DEADLINE_S)
            assert book.last_update_id >= before
            assert_true(exchange, book)


async def test_a_server_that_comes_again_is_found_again(exchange: simulator.Server, tmp_path: Path) -> None:
    async with served(exchange, tmp_path) as running:
        port = running.port
        books = await depthcache.connect(SPOT, ["BTCUSDT"], server=running.url)
        book = books["BTCUSDT"]
        await book.wait_synced(DEADLINE_S)
    assert book.status is not Status.SYNCED
    async with served(exchange, tmp_path, port=port):
        await book.wait_synced(DEADLINE_S)
        assert_true(exchange, book)
        await books.aclose()


def newest(exchange: simulator.Server) -> int:
    """The update id of the exchange itself."""
    inner: Any = exchange.exchange
    return int(exchange.on_exchange(lambda: inner.truth(SPOT, "BTCUSDT").last_update_id))


def rows_of_the_page() -> list[tuple[str, re.Pattern[str]]]:
    """Statuses of the page about remote books, each with its reasons."""
    rows = re.findall(r"^\| `(\w+)`, `([^`]+)`", PAGE.read_text("utf-8"), re.MULTILINE)
    named = [(status, reason.replace("books.example:42081", "…")) for status, reason in rows]
    return [(status, re.compile(re.escape(reason).replace("…", ".*"))) for status, reason in named]


async def test_the_page_has_every_status_that_a_restart_shows(
    exchange: simulator.Server, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(served(exchange, tmp_path))
        books = await stack.enter_async_context(depthcache.connect(SPOT, ["BTCUSDT"], server=first.url))
        book = books["BTCUSDT"]
        await book.wait_synced(DEADLINE_S)
        seen = list[tuple[str, str]]()
        book.on_update(lambda update: seen.append((update.status, update.reason)), "status")
        await first.aclose()
        await until(lambda: book.status is Status.DISCONNECTED)
        await until(lambda: newest(exchange) > book.last_update_id + 1)
        await stack.enter_async_context(served(exchange, tmp_path, port=first.port))
        await until(lambda: book.status is Status.SYNCED)
        lost = {each for each in seen if each[0] != Status.SYNCED}
    missed = ("sequence gap", f"server {first.url.removeprefix('http://')}: updates are missing")
    assert {status for status, reason in lost if reason.startswith(missed)} == {Status.BUFFERING}
    rows = rows_of_the_page()
    assert [each for each in lost if not any(each[0] == row and at.match(each[1]) for row, at in rows)] == []


async def test_no_more_is_complete_than_at_the_server(exchange: simulator.Server, tmp_path: Path) -> None:
    deep = replace(TINY, levels=400)
    with simulator.Server(simulator.SimulatedExchange({SPOT: {"BTCUSDT": deep}}, seed=6)) as exchange:
        config = ServerConfig(port=0, data_dir=tmp_path)
        async with depthcache.connect(SPOT, ["BTCUSDT"], depth=10, settings=exchange.settings) as held:
            await held.wait_synced(DEADLINE_S)
            ours = held["BTCUSDT"]
            ours.refresh_every(0)
            async with (
                serve(held, config) as running,
                depthcache.connect(SPOT, ["BTCUSDT"], depth=1_000, server=running.url) as books,
            ):
                book = books["BTCUSDT"]
                await book.wait_synced(DEADLINE_S)
                for _ in range(3):
                    await anext(book.updates("every"))
                frozen = book.freeze()
                assert frozen.complete_to.bids is not None
                assert differences(frozen, exchange.truth(SPOT, "BTCUSDT")) == 0
                assert frozen.complete_to.bids >= ours.complete_to.bids > 0
                requests = sum(each.times[0] for each in [books.stats().budgets[0]])
                assert requests < 10, "it does not ask again and again for what the server has not"


async def test_halts_are_told(exchange: simulator.Server, tmp_path: Path) -> None:
    policy = Policy(listing_s=0.2, silence_s=0.3, silence_cap_s=0.3, first_data_s=0.3)
    settings = replace(exchange.settings, policy=policy)
    config = ServerConfig(port=0, data_dir=tmp_path)
    async with (
        depthcache.connect(SPOT, ["BTCUSDT"], settings=settings) as held,
        serve(held, config) as running,
        depthcache.connect(SPOT, ["BTCUSDT"], server=running.url) as books,
    ):
        await books.wait_synced(DEADLINE_S)
        exchange.halt("BTCUSDT")
        await until(lambda: books["BTCUSDT"].status is Status.HALTED)
        assert "halted: the exchange reports status" in books["BTCUSDT"].reason


async def test_symbols_that_are_not_held(exchange: simulator.Server, tmp_path: Path) -> None:
    async with (
        served(exchange, tmp_path) as running,
        depthcache.connect(SPOT, ["XRPUSDT"], server=running.url) as books,
    ):
        with pytest.raises(UnknownSymbol, match=r"holds no book of binance\.com for XRPUSDT, and") as raised:
            await books.wait_synced(DEADLINE_S)
        assert "PUT it with the admin token, or serve with --exchange-symbols any" in str(raised.value)
        book = books.add("ETHUSDT")
        await book.wait_synced(DEADLINE_S)
        books.remove("XRPUSDT")
        books.add_all(["BTCUSD", "ETHUSD", "BTCUSDT"])
        with pytest.raises(UnknownSymbol, match="2 unknown symbols: 'BTCUSD'") as raised:
            await books.wait_synced(DEADLINE_S)
        near = {symbol: near for _, symbol, _, near in raised.value.books}
        assert near == {"BTCUSD": ("BTCUSDT", "ETHUSDT"), "ETHUSD": ("ETHUSDT", "BTCUSDT")}
        for _, symbol, reason, _ in raised.value.books:
            assert f"holds no book of binance.com for {symbol}" in reason or "for this symbol" in reason
        await books["BTCUSDT"].wait_synced(DEADLINE_S)


async def test_a_book_that_the_server_gives_up_costs_no_other(
    exchange: simulator.Server, tmp_path: Path
) -> None:
    config = ServerConfig(port=0, data_dir=tmp_path)
    async with (
        depthcache.connect(SPOT, ["BTCUSDT", "ETHUSDT"], settings=exchange.settings) as held,
        serve(held, config) as running,
        depthcache.connect(SPOT, ["BTCUSDT", "ETHUSDT"], server=running.url) as books,
    ):
        await books.wait_synced(DEADLINE_S)
        held.remove("ETHUSDT")
        await until(lambda: "holds no book" in books["ETHUSDT"].reason)
        await books["BTCUSDT"].wait_synced(DEADLINE_S)
        assert books["BTCUSDT"].counters["snapshots"] == 1
        held.add("ETHUSDT")
        await books.wait_synced(DEADLINE_S)
        assert_true(exchange, *books)


async def test_a_server_begins_books_for_its_readers(exchange: simulator.Server, tmp_path: Path) -> None:
    config = ServerConfig(port=0, data_dir=tmp_path, exchange_symbols="any")
    async with (
        depthcache.connect(SPOT, [], settings=exchange.settings) as held,
        serve(held, config) as running,
        depthcache.connect(SPOT, ["BTCUSDT"], server=running.url) as books,
    ):
        await books.wait_synced(DEADLINE_S)
        assert_true(exchange, books["BTCUSDT"])


async def test_tls_by_fingerprint_and_by_certificate(exchange: simulator.Server, tmp_path: Path) -> None:
    async with served(exchange, tmp_path, **beyond()) as running:
        url = f"https://{beyond()['hosts'][0]}:{running.port}"
        token = running.read_token
        for trust in ({"fingerprint": running.fingerprint}, {"ca": running.certificate_file}):
            for transport in ("native", "aiohttp"):
                settings = Settings(transport=transport)  # type: ignore[arg-type]
                async with depthcache.connect(
                    SPOT, ["BTCUSDT"], server=url, token=token, settings=settings, **trust
                ) as books:
                    await books.wait_synced(DEADLINE_S)


async def test_a_fingerprint_needs_no_name_of_the_address(exchange: simulator.Server, tmp_path: Path) -> None:
    """The certificate names this machine alone; a client that checks nothing but names is refused."""
    async with served(exchange, tmp_path, listen="0.0.0.0", tls=True) as running:  # noqa: S104
        url = f"https://{own_address()}:{running.port}"
        trust: dict[str, Any] = {"token": running.read_token, "server": url}
        async with depthcache.connect(SPOT, ["BTCUSDT"], **trust, fingerprint=running.fingerprint) as books:
            await books.wait_synced(DEADLINE_S)
        async with depthcache.connect(SPOT, ["BTCUSDT"], **trust, ca=running.certificate_file) as books:
            await until(lambda: "certificate" in books["BTCUSDT"].reason)


@pytest.mark.parametrize("transport", ["native", "aiohttp"])
async def test_who_is_refused_reads_why_and_never_the_token(
    exchange: simulator.Server, tmp_path: Path, transport: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(exchange, tmp_path, **beyond()) as running:
        url = f"https://{beyond()['hosts'][0]}:{running.port}"
        other = ":".join(["AB"] * 32)
        right: dict[str, Any] = {"token": running.read_token, "fingerprint": running.fingerprint}
        for changes, words in (
            ({"token": "dcr_secret_but_wrong"}, "check the token"),
            ({"token": None}, "asks programs on other machines for a token: give the argument token"),
            ({"fingerprint": other}, "not AB:AB:AB"),
            ({"fingerprint": None}, "certificate.*; check the trust: the argument ca or fingerprint"),
        ):
            settings = Settings(transport=transport)
            async with depthcache.connect(
                SPOT, ["BTCUSDT"], server=url, settings=settings, **(right | changes)
            ) as books:
                book = books["BTCUSDT"]
                with pytest.raises(ServerRefused, match=words) as raised:
                    await books.wait_synced(None)
                for wait in (book.wait_synced, books.wait_any_synced):
                    with pytest.raises(ServerRefused, match=words):
                        await wait(None)
                assert book.status is Status.DISCONNECTED
                assert str(raised.value) == raised.value.reason == book.reason
                assert f"server {url.removeprefix('https://')}" in book.reason
                for text in (book.reason, repr(books), repr(books._client.config), caplog.text):
                    assert "secret" not in text
                    assert running.read_token not in text
                assert await books.wait_synced(0.01, missing="skip") == []


async def test_the_blocking_api_says_at_once_that_the_token_is_refused(
    exchange: simulator.Server, tmp_path: Path
) -> None:
    def wait(url: str, fingerprint: str | None) -> None:
        trust: dict[str, Any] = {"token": "dcr_wrong", "fingerprint": fingerprint}
        with blocking.connect(SPOT, ["BTCUSDT"], server=url, **trust) as books:
            for call in (books.wait_synced, books.wait_any_synced, books["BTCUSDT"].wait_synced):
                with pytest.raises(ServerRefused, match="check the token"):
                    call(None)
            with pytest.raises(ServerRefused, match="check the token"):
                books["BTCUSDT"].freeze(on_stale="wait")

    async with served(exchange, tmp_path, **beyond()) as running:
        await asyncio.to_thread(wait, f"https://{beyond()['hosts'][0]}:{running.port}", running.fingerprint)


async def test_the_doctor_examines_a_server_with_its_token_and_fingerprint(
    exchange: simulator.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(exchange, tmp_path, **beyond()) as running:
        url = f"https://{beyond()['hosts'][0]}:{running.port}"

        async def failed(token: str, fingerprint: str | None) -> dict[str, str]:
            monkeypatch.setenv("DEPTHCACHE_TOKEN", token)
            settings = Settings(server=url, fingerprint=fingerprint)
            report = await doctor.examine(SPOT, "BTCUSDT", seconds=0.5, settings=settings)
            return {
                each.check.split()[0]: each.measured
                for each in report.findings
                if each.severity is doctor.Severity.FAIL
            }

        assert await failed(running.read_token, running.fingerprint) == {}
        wrong = await failed("dcr_another_token_0", running.fingerprint)
        assert list(wrong) == ["REST"]
        assert "check the token" in wrong["REST"]
        other = await failed(running.read_token, ":".join(["AB"] * 32))
        assert other["TLS"] == f"the certificate has the fingerprint {running.fingerprint}"


@pytest.mark.parametrize("transport", ["native", "aiohttp"])
async def test_a_wrong_scheme_is_named(exchange: simulator.Server, tmp_path: Path, transport: Any) -> None:
    settings = Settings(transport=transport)
    for tls, wrong, words in ((False, "https", "does not speak TLS; use http://"), (True, "http", "400")):
        async with served(exchange, tmp_path, tls=tls) as running:
            url = f"{wrong}://127.0.0.1:{running.port}"
            async with depthcache.connect(SPOT, ["BTCUSDT"], server=url, settings=settings) as books:
                book = books["BTCUSDT"]
                await until(lambda: book.status is Status.DISCONNECTED)  # noqa: B023
                assert words in book.reason
                assert not tls or transport == "aiohttp" or "this is HTTPS: use https://" in book.reason


async def test_what_only_looks_like_a_server_is_refused(exchange: simulator.Server) -> None:
    settings = Settings(policy=Policy(reply_timeout_s=0.3))
    async with depthcache.connect(SPOT, ["BTCUSDT"], server=exchange.url, settings=settings) as books:
        book = books["BTCUSDT"]
        await until(lambda: "no state of its book arrives" in book.reason)
        assert book.status is Status.DISCONNECTED


def test_an_unchanged_program_moves_by_its_environment(exchange: simulator.Server, tmp_path: Path) -> None:
    """Without an exchange: all books come from the server."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DEPTHCACHE_")}
    nowhere = environment | {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost"}
    with blocking.connect(SPOT, ["BTCUSDT", "ETHUSDT"], settings=exchange.settings) as books:
        books.wait_synced(DEADLINE_S)
        with serve(books, ServerConfig(port=0, data_dir=tmp_path)) as running:
            moved = nowhere | {"DEPTHCACHE_SERVER": running.url, "DEPTHCACHE_TOKEN": running.read_token}
            done = subprocess.run(
                [sys.executable, str(EXAMPLE)], env=moved, timeout=DEADLINE_S, capture_output=True, text=True
            )
    assert done.returncode == 0, done.stderr
    assert "right" in done.stdout


async def test_a_server_of_a_server(exchange: simulator.Server, tmp_path: Path) -> None:
    async with (
        served(exchange, tmp_path / "a") as first,
        depthcache.connect(SPOT, ["BTCUSDT"], server=first.url) as held,
        serve(held, ServerConfig(port=0, data_dir=tmp_path / "b")) as second,
        depthcache.connect(SPOT, ["BTCUSDT"], server=second.url) as books,
    ):
        book = books["BTCUSDT"]
        await book.wait_synced(DEADLINE_S)
        assert_true(exchange, book)
        exchange.refuse_connects(0.2)
        exchange.cut()
        hosts = [running.url.removeprefix("http://") for running in (second, first)]
        await until(lambda: f"server {hosts[0]}: stale: server {hosts[1]}: disconnected" in book.reason)
        await book.wait_synced(DEADLINE_S)


async def test_a_server_of_another_version_is_refused_with_words(
    exchange: simulator.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("depthcache.venues.servers.STATES", "@state9")
    async with (
        served(exchange, tmp_path) as running,
        depthcache.connect(SPOT, ["BTCUSDT"], server=running.url) as books,
    ):
        book = books["BTCUSDT"]
        await until(lambda: book.status is Status.DISCONNECTED)
        assert "its protocol is not that of this client, upgrade the older of the two" in book.reason
        assert "@depth@100ms@state9 is not served here" in book.reason
