"""Text from peers never reaches a terminal or a log unescaped, on any path."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest

import depthcache
from depthcache import Policy, Settings, simulator
from depthcache.errors import InvalidArgument, RequestRejected, UnreadableRecording
from depthcache.foreign_text import MOST_CHARACTERS, clean, escaped, json_line
from depthcache.io.network.interface import Closed, Failure, Response
from depthcache.model import Status
from depthcache.venues import Endpoints
from tests.core.harness import Bench
from tests.hostile.http_peer import NASTY
from tests.support.peers import NETWORKS, listening, serving, talking

_NUMBERS = (*range(0x20), *range(0x7F, 0xA0), 0xAD, 0x200B, 0x200F, 0x2028, 0x2029, 0x202E, 0x2066, 0xD800)
RAW = "".join(map(chr, (*_NUMBERS, 0xDFFF, 0xE000, 0xFEFF, 0xE0001, 0x10FFFF)))


@pytest.mark.parametrize("character", RAW, ids=lambda each: f"{ord(each):x}")
def test_no_character_that_does_not_print_comes_through(character: str) -> None:
    text = f"a{character}b"
    assert clean(text).isprintable()
    assert escaped(text).isprintable()
    assert clean(text) in {"a b", escaped(text)}
    assert json.loads(json_line(json.dumps(text, ensure_ascii=False))) == text


def test_what_is_clean_stays_and_what_is_long_is_cut_with_a_mark() -> None:
    assert (
        clean("币安 caf\u00e9 [red] 'x' \\n \u201equoted\u201c")
        == "币安 caf\u00e9 [red] 'x' \\n \u201equoted\u201c"
    )
    cut = clean("x" * 60_000)
    assert (len(cut), cut.endswith("x… (60,000 characters)")) == (MOST_CHARACTERS, True)
    assert clean(cut) == cut
    assert clean(b"x" * 60_000).endswith("… (60,000 bytes)")
    assert clean("\ud800" * 1_000) == clean(clean("\ud800" * 1_000))
    assert clean(b"caf\xe9 \xf0\x9f") == "caf\\xe9 \\xf0\\x9f"
    assert clean("to http://u:p@h/x@y and ws://u@h") == "to http://…@h/x@y and ws://…@h"


def test_everything_that_a_network_reports_is_clean() -> None:
    found = (Closed(1000, NASTY).reason, Failure(NASTY).reason)
    headers = Response(200, {NASTY: NASTY}, b"").headers
    assert all(map(str.isprintable, (*found, *headers, *headers.values())))


def test_errors_show_what_they_were_given_in_one_line() -> None:
    from pathlib import Path

    errors = [
        InvalidArgument(name="symbol", value=NASTY + "x" * 10**6, allowed="less"),
        RequestRejected(url=f"http://u:p@h/{NASTY}", status=400, code=None, text=clean(NASTY)),
        UnreadableRecording(path=Path(NASTY), line=1, reason=NASTY),
        depthcache.ConnectionFailed(url=f"http://u:p@h/{NASTY}", reason=clean(NASTY)),
        depthcache.SymbolMismatch(expected="BTCUSDT", received=NASTY * 10_000),
    ]
    for error in errors:
        assert str(error).isprintable(), error
        assert len(str(error)) < 1_000
        assert "u:p" not in str(error)


def test_the_words_of_a_refused_stream_are_clean() -> None:
    bench = Bench()
    bench.exchange.acks = False
    bench.add("BTCUSDT")
    bench.run(1)
    [socket] = bench.exchange.all_sockets
    number = socket.received[0]["id"]
    bench.exchange.say(socket, {"error": {"code": 10**30, "msg": NASTY * 100}, "id": number})
    bench.run(1)
    assert bench.status("BTCUSDT") is Status.BUFFERING
    assert "ERROR forged" in bench.book("BTCUSDT").reason
    assert bench.book("BTCUSDT").reason.isprintable()
    assert len(bench.book("BTCUSDT").reason) < 400


async def say_goodbye(socket: aiohttp.web.WebSocketResponse) -> None:
    await socket.close(code=4000, message=NASTY.encode()[:120])


@pytest.mark.parametrize("transport", NETWORKS)
async def test_close_reasons_are_clean_in_reports_logs_and_books(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "depthcache")
    async with serving({"/stream": talking(say_goodbye)}) as host:
        async with listening(transport) as (network, listener):
            network.open(1, f"ws://{host}/stream")
            closed = await listener.closing_of(1)
        assert closed.code == 4000
        assert "\\x1b[2J" in closed.reason
        ends = Endpoints(rest=f"http://{host}", websocket=f"ws://{host}")
        settings = Settings(endpoints={"binance.com": ends}, proxies=False, transport=transport)  # type: ignore[arg-type]
        async with depthcache.connect("binance.com", ["BTCUSDT"], settings=settings) as books:
            [book] = books
            with pytest.raises(depthcache.SyncTimeout) as caught:
                await books.wait_synced(timeout=0.2)
            said = [book.reason, repr(book), str(caught.value)]
    said += [record.getMessage() for record in caplog.records]
    assert "\\x1b[2J" in " ".join(said)
    assert all(map(str.isprintable, said))


def run(environment: dict[str, str], *arguments: str) -> str:
    code = "import sys; from depthcache.cli import main; sys.exit(main())"
    whole = {**os.environ, **environment, "PYTHONIOENCODING": "utf-8"}
    call = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(call, env=whole, capture_output=True, timeout=60, check=False)
    return (done.stdout + done.stderr).decode()


@pytest.mark.slow
def test_commands_show_nothing_raw(http_peer: Callable[[str], str]) -> None:
    with simulator.serve(seed=5, symbols={"binance.com": ["BTCUSDT"]}) as server:
        place = http_peer(server.url.removeprefix("http://"))
        environment = {**server.environment, "NO_COLOR": "1", "TERM": "dumb"}
        tried = (
            ("depth", "error-nasty", ("watch", "BTCUSDT", "--seconds", "1")),
            ("ping", "redirect-latin", ("doctor",)),
            ("exchangeInfo", "html", ("doctor", "--json")),
            ("time", "error-nasty", ("doctor", "--seconds", "0.5", "--symbol", "BTCUSDT")),
        )

        def output_of(what: str, case: str, command: tuple[str, ...]) -> str:
            rest = f"http://{place}/{case}~cli/{what}/9999/binance.com"
            return run({**environment, "DEPTHCACHE_BINANCE_COM_REST": rest}, *command)

        with ThreadPoolExecutor() as pool:
            outputs = list(pool.map(lambda each: output_of(*each), tried))
    assert "\\x1b[2J" in outputs[0]
    for output in outputs:
        assert "Traceback" not in output
        assert len(output) < 20_000
        assert {each for each in output if not each.isprintable()} <= {"\n"}, output


async def test_a_logging_handler_that_raises_holds_nothing_up() -> None:
    class Broken(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise RuntimeError("a mistake of the program")

    broken, logger = Broken(), logging.getLogger("depthcache")
    level = logger.level
    logger.addFilter(broken)
    logger.setLevel("DEBUG")
    try:
        with simulator.serve(seed=5, symbols={"binance.com": ["BTCUSDT"]}) as server:
            async with depthcache.connect("binance.com", ["BTCUSDT"], settings=server.settings) as books:
                await books.wait_synced(timeout=20)
    finally:
        logger.removeFilter(broken)
        logger.setLevel(level)


async def _keep(settings: Settings, entered: asyncio.Event) -> None:
    async with depthcache.connect("binance.com", ["BTCUSDT"], settings=settings):
        entered.set()
        await asyncio.sleep(3600)


@pytest.mark.parametrize("transport", NETWORKS)
def test_a_client_in_a_task_that_the_ending_loop_cancels_ends_with_it(transport: str) -> None:
    """`asyncio.run` cancels all tasks at once, those of the client included."""

    async def main(settings: Settings) -> asyncio.Task[None]:
        entered = asyncio.Event()
        task = asyncio.create_task(_keep(settings, entered))
        await entered.wait()
        return task

    ends = Endpoints(rest="http://127.0.0.1:1", websocket="ws://127.0.0.1:1")
    settings = Settings(
        endpoints={"binance.com": ends},
        policy=Policy(),
        proxies=False,
        transport=transport,  # type: ignore[arg-type]
    )
    assert asyncio.run(main(settings)).cancelled()
