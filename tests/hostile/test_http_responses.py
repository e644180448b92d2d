"""Hostile HTTP responses: each ends in one bounded response or failure, and the books recover."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zstandard

import depthcache
from depthcache import Policy, Settings, simulator
from depthcache.io.network.interface import Failure, Response
from depthcache.venues import Endpoints
from tests.hostile.http_peer import ENDING, ENDLESS
from tests.support.peers import NETWORKS, listening

TIMEOUT_S, LONG_S = 0.5, 15.0
MEGABYTE = 1024 * 1024


def is_clean(text: str) -> bool:
    return text.isprintable() and len(text) <= 300


@contextmanager
def bounded(*, megabytes: int, cpu_s: float) -> Iterator[None]:
    """What happens inside may take so much memory and time of the processor, and no more."""
    before_bytes, before_s = _peak_bytes(), time.process_time()
    yield
    assert time.process_time() - before_s <= cpu_s
    assert _peak_bytes() - before_bytes <= megabytes * MEGABYTE


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


async def asked(place: str, cases: list[str], transport: str) -> dict[str, Response | Failure]:
    """What each case comes to; all of them at once."""
    async with listening(transport) as (network, listener):
        for number, case in enumerate(cases):
            timeout_s = TIMEOUT_S if case in ENDLESS else LONG_S
            network.fetch(number, f"http://{place}/{case}/depth/99/depth", timeout_s=timeout_s)
        await listener.until(lambda: len(listener.responses) == len(cases))
        return {case: listener.responses[number] for number, case in enumerate(cases)}


@pytest.mark.parametrize("transport", NETWORKS)
@pytest.mark.slow
async def test_whatever_comes_is_one_answer_in_time_that_can_be_shown(
    transport: str, http_peer: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    place = http_peer()
    with bounded(megabytes=400, cpu_s=6.0):
        responses = await asked(place, [*ENDING], transport) | await asked(place, [*ENDLESS], transport)
    for case, response in responses.items():
        if isinstance(response, Failure):
            assert is_clean(response.reason), (case, response)
        else:
            assert all(map(str.isprintable, (*response.headers, *response.headers.values()))), (
                case,
                response,
            )
            assert len(response.body) <= 16 * MEGABYTE, case
    for case in ENDLESS:
        assert isinstance(responses[case], Failure), (case, responses[case])
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


TRIED = (
    (*ENDING, *ENDLESS)
    if os.environ.get("HOSTILE") == "all"
    else (
        "nothing", "no-http-long", "head-many", "head-nasty", "weight-absurd", "redirect-latin",
        "redirect-secret", "chunks-broken", "gzip-lie", "gzip-bomb", "nested", "digits", "levels-odd", "html",
        "error-200", "error-nasty", "error-surrogate", "error-raw-surrogate", "error-code", "head-drip",
        "continues",
    )
)  # fmt: skip
"""HOSTILE=all tries a whole client on every case, which takes half a minute."""


@pytest.fixture(scope="module")
def exchange() -> Iterator[simulator.Server]:
    with simulator.serve(seed=5, symbols={"binance.com": ["BTCUSDT"]}) as server:
        yield server


def settings_of(exchange: simulator.Server, place: str, case: str, transport: str, **others: Any) -> Settings:
    """An exchange whose first depth response is hostile."""
    ends = exchange.settings.endpoints["binance.com"]
    rest = f"http://{place}/{case}~{transport}/depth/1/binance.com"
    policy = Policy(limit_share=1.0, limit_ceiling=1.0, retry_base_s=0.05, snapshot_timeout_s=1.0)
    return Settings(
        endpoints={"binance.com": Endpoints(rest=rest, websocket=ends.websocket)},
        policy=policy,
        transport=transport,  # type: ignore[arg-type]
        proxies=False,
        **others,
    )


def recorded(folder: Path) -> list[bytes]:
    """Every line of the recordings and flights there that is no frame."""
    files = [path.read_bytes() for path in folder.rglob("*.zst")]
    texts = [zstandard.ZstdDecompressor().stream_reader(raw).read() for raw in files]
    lines = [line for text in texts for line in text.splitlines()]
    return [line for line in lines if b'"frame":' not in line and b'"hex":' not in line]


async def healed(settings: Settings) -> tuple[str, set[str]]:
    """Keep a book until it is synced; how it ended, and everything it said of itself meanwhile."""
    said: set[str] = set()
    async with depthcache.connect("binance.com", ["BTCUSDT"], depth=20, settings=settings) as books:
        [book] = books
        async with asyncio.timeout(15):
            while book.status is not depthcache.Status.SYNCED:
                said |= {repr(book), book.reason}
                try:
                    _ = book.best
                except depthcache.BookError as error:
                    said |= {str(error), repr(error)}
                await asyncio.sleep(0.005)
        said |= {repr(book), book.reason, books.prometheus().replace("\n", " ")}
        return str(book.status), said


@pytest.mark.slow
@pytest.mark.parametrize("transport", NETWORKS)
async def test_a_book_heals_after_each_of_them_and_says_only_what_can_be_shown(
    transport: str,
    exchange: simulator.Server,
    http_peer: Callable[[str], str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "depthcache")
    place = http_peer(exchange.url.removeprefix("http://"))
    turns = asyncio.Semaphore(8)

    async def one(case: str) -> None:
        async with turns:
            folder = tmp_path / case
            settings = settings_of(exchange, place, case, transport, record_to=folder, flight_dumps_to=folder)
            try:
                status, said = await healed(settings)
            except Exception as error:
                raise AssertionError(f"{case}: {error!r}") from error
            assert status == "synced"
            assert all(map(str.isprintable, said)), (case, [each for each in said if not each.isprintable()])

    with bounded(megabytes=500, cpu_s=20.0):
        await asyncio.gather(*map(one, TRIED))
    for record in caplog.records:
        assert record.levelname != "ERROR", record
        assert record.getMessage().isprintable(), record
        assert len(record.getMessage()) < 700, record
    for line in recorded(tmp_path):
        assert line.decode().isprintable(), line
        json.loads(line, parse_int=str)
