"""Recorded market data gives the golden rows, key by key, on both engines and by the command."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from depthcache import venues
from depthcache.cli import cli
from depthcache.recording import verify
from tests.captures.directories import Golden, golden, needs_captures
from tests.engine import load

pytestmark = [pytest.mark.captures, pytest.mark.slow, needs_captures]

MOST_DIFFS_ON_REFERENCE = 7_000
"""The readable engine takes 2 ms for a diff of a busy book; two of the big recordings are enough."""


def captures(most: int | None = None) -> list[Any]:
    found = [each for each in golden() if most is None or each.diffs <= most]
    return [pytest.param(each, id=each.name) for each in found]


def check(capture: Golden, engine: str) -> None:
    def new_book(exchange: str, symbol: str | None = None) -> Any:
        return load(engine).Book(exchange, symbol, venues.venue(exchange).continuity)

    report = verify(capture.files, new_book=new_book)
    rows = {row.symbol: row.as_dict() for row in report.rows}
    for expected in capture.rows:
        assert rows[expected["symbol"]] == expected


@pytest.mark.parametrize("capture", captures())
def test_native(capture: Golden) -> None:
    check(capture, "native")


@pytest.mark.parametrize("capture", captures(MOST_DIFFS_ON_REFERENCE))
def test_reference(capture: Golden) -> None:
    check(capture, "reference")


@pytest.mark.parametrize("capture", captures())
def test_the_command_prints_one_object_a_symbol(capture: Golden) -> None:
    run = CliRunner().invoke(cli, ["verify", "--json", *map(str, capture.files)])
    rows = {row["symbol"]: row for row in json.loads(run.stdout)}
    for expected in capture.rows:
        assert rows[expected["symbol"]] == expected


def test_all_of_them_are_there() -> None:
    assert sum(len(capture.rows) for capture in golden()) == 46
    judged = [row for capture in golden() for row in capture.rows if row["oracle_equal"] is not None]
    assert sum(row["oracle_equal"] for row in judged) == 174_728
    assert sum(row["oracle_different"] for row in judged) == 14
