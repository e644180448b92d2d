"""`depthcache demo` as a program: five live books, judged by the truth, and an honest last line."""

from __future__ import annotations

import json
import re
import signal
from decimal import Decimal
from typing import Any

import pytest

from depthcache import Book, BookNotSynced
from depthcache.cli import main
from depthcache.cli.truth import TruthChecker
from tests.cli.programs import running

LAST = re.compile(r"5 books, ([\d,]+) updates?, [\d,]+ gaps?, [\d,]+ resyncs?, differences: 0")


@pytest.mark.slow
def test_it_ends_by_itself_and_tells_the_outcome_last() -> None:
    with running("demo", "--seconds", "2", "--seed", "1") as program:
        code, out, errors = program.rest()
    assert (code, errors) == (0, "")
    last = LAST.fullmatch(out.splitlines()[-1])
    assert last is not None
    assert int(last[1].replace(",", "")) > 20
    assert out.count("binance.com-futures") >= 2
    assert re.match(r"page http://127\.0\.0\.1:\d+/#token=dcr_\S+\n", out)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_in_order(number: int) -> None:
    with running("demo") as program:
        program.until("synced")
        code, out, errors = program.end(number)
    assert (code, errors) == (0, "")
    assert LAST.fullmatch(out.splitlines()[-1])


@pytest.mark.slow
def test_a_run_of_no_time_still_compares_every_book() -> None:
    with running("demo", "--seconds", "0", "--seed", "1") as program:
        code, out, _ = program.rest()
    assert code == 0
    assert LAST.fullmatch(out.splitlines()[-1])


@pytest.mark.slow
def test_json_is_alone_on_stdout() -> None:
    with running("demo", "--seconds", "0", "--seed", "1", "--json") as program:
        code, out, errors = program.rest()
    assert code == 0
    assert {json.loads(line)["type"] for line in out.splitlines()} == {"best"}
    assert LAST.fullmatch(errors.strip())


@pytest.mark.slow
def test_one_level_that_differs_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compare = TruthChecker.compare

    def lie(judge: TruthChecker) -> None:
        compare(judge)
        judge.differences += 1

    monkeypatch.setattr(TruthChecker, "compare", lie)
    assert main(["demo", "--seconds", "0", "--seed", "1"]) == 1
    assert not capsys.readouterr().out.endswith("differences: 0\n")


# --- the judge --------------------------------------------------------------------------------


class Market:
    """A truth that does not move."""

    def __init__(self, bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> None:
        self._sides = tuple([(Decimal(p), Decimal(q)) for p, q in side] for side in (bids, asks))
        self.asked: list[tuple[str, str] | int] = []

    def truth(self, exchange: str, symbol: str) -> Market:
        self.asked.append((exchange, symbol))
        return self

    def book_at(self, update_id: int) -> Any:
        self.asked.append(update_id)
        return self._sides


def book() -> Book:
    made = Book("binance.com", "BTCUSDT")
    made.load_snapshot(b'{"lastUpdateId":10,"bids":[["1.1","5"],["1.0","6"]],"asks":[["1.2","7"]]}', limit=2)
    return made


@pytest.mark.parametrize(
    ("bids", "asks", "different"),
    [
        ([("1.1", "5"), ("1.0", "6")], [("1.2", "7")], 0),
        ([("1.1", "5"), ("1.0", "6"), ("0.9", "1")], [("1.2", "7")], 0),  # beyond what is complete
        ([("1.1", "4"), ("1.0", "6")], [("1.2", "7")], 1),
        ([("1.1", "5")], [("1.2", "7")], 1),
        ([("1.1", "5"), ("1.05", "1"), ("1.0", "6")], [("1.2", "7")], 1),
        ([("1.1", "5"), ("1.0", "6")], [("1.2", "7"), ("9", "1")], 1),  # all asks are known
        ([], [], 3),
    ],
)
def test_levels_that_differ_inside_the_complete_range_are_counted(
    bids: list[tuple[str, str]], asks: list[tuple[str, str]], different: int
) -> None:
    market: Any = Market(bids, asks)
    books: Any = [book()]
    judge = TruthChecker(market, books)
    assert not judge.all_compared
    judge.compare()
    assert (judge.differences, judge.all_compared) == (different, True)
    assert judge.progress() == f"1 comparison with the truth, differences: {different}"
    assert market.asked == [("binance.com", "BTCUSDT"), 10]
    assert judge.summary() == f"1 book, 0 updates, 0 gaps, 0 resyncs, differences: {different}"
    judge.compare()
    assert judge.differences == 2 * different


def test_a_book_that_says_it_is_not_synced_is_not_compared() -> None:
    market: Any = Market([], [])
    books: Any = [Book("binance.com", "BTCUSDT")]
    judge = TruthChecker(market, books)
    judge.compare()
    assert (judge.differences, judge.all_compared) == (0, False)
    with pytest.raises(BookNotSynced):
        books[0].freeze()


def test_it_looks_twice_a_second_at_most() -> None:
    market: Any = Market([("1.1", "5"), ("1.0", "6")], [("1.2", "7")])
    books: Any = [book()]
    judge = TruthChecker(market, books)
    judge.look()
    judge.look()
    assert market.asked.count(10) == 1
