"""`depthcache watch` as a program against an embedded exchange: state lines, Ctrl-C, unknown symbols."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from depthcache import simulator, wire
from tests.cli.programs import running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    with simulator.serve(seed=3) as server:
        yield dict(server.environment)


def test_every_book_has_its_line_each_second_until_ctrl_c(environment: dict[str, str]) -> None:
    with running("watch", "btcusdt", "ETHUSDT", environment=environment) as program:
        for _ in range(2):
            line = program.until(" synced ")
            assert re.match(
                r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z  (BTC|ETH)USDT +binance.com +synced ", line
            )
            assert re.search(r"age +[\d.]+ m?s  id +\d+  bid [\d.]+  ask [\d.]+  [\d.]+ updates/s", line)
            assert re.search(r"complete [\d.]+ to [\d.]+: [\d,]+ bids, [\d,]+ asks  no gaps$", line)
        code, _, errors = program.end()
    assert (code, errors) == (0, "")


def test_json_lines_are_messages_of_the_wire_with_a_time(environment: dict[str, str]) -> None:
    with running("watch", "BTCUSDT", "--json", environment=environment) as program:
        message = json.loads(program.until('"status":"synced"'))
        code, _, errors = program.end()
    assert (code, errors) == (0, "")
    assert datetime.fromisoformat(message["time"]).tzinfo == UTC
    decoded = wire.decode(json.dumps(message))
    assert isinstance(decoded, wire.BookBest)
    assert decoded.best is not None
    assert message["best"]["bid"] == [f"{decoded.best.bid.price:f}", f"{decoded.best.bid.quantity:f}"]
    assert message["last_update_id"] == decoded.best.update_id
    assert message["updates_per_second"] >= 0
    assert message["age_s"] >= 0
    assert set(message["complete_to"]) == {"bids", "asks"}


def test_it_ends_by_itself_after_its_seconds(environment: dict[str, str]) -> None:
    with running(
        "watch", "BTCUSDT", "--exchange", "binance.com-futures", "--seconds", "0.5", environment=environment
    ) as program:
        code, out, _ = program.rest()
    assert code == 0
    assert "binance.com-futures" in out


def test_symbols_that_do_not_exist_are_said_and_the_others_live_on(environment: dict[str, str]) -> None:
    with running("watch", "NOSUCH", environment=environment) as program:
        code, _, errors = program.rest()
    assert (code, errors.count("\n")) == (2, 1)
    assert "unknown symbol 'NOSUCH'" in errors
    with running("watch", "NOSUCH", "BTCUSDT", environment=environment) as program:
        assert "Invalid symbol" in program.until("closed")
        assert "BTCUSDT" in program.until("synced")
        assert program.end()[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "SYMBOL"),
        (["BTCUSDT", "--exchange", "binance.con"], "did you mean 'binance.com'"),
        (["BTC/"], "symbol"),
        (["BTCUSDT", "--depth", "6000"], "1 to 5,000 levels"),
        (["BTCUSDT", "--levels", "0"], "levels"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], words: str) -> None:
    with running("watch", *arguments) as program:
        code, out, errors = program.rest()
    assert (code, out) == (2, "")
    assert words in errors
    assert "Traceback" not in errors
