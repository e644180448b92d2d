"""The counts, comparisons and faults of `verify`, on both engines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from depthcache.errors import InvalidArgument, UnknownExchange
from depthcache.recording import Report, verify
from depthcache.recording.verify import NewBook
from tests.recording import make

BIDS = [("1.00", "5"), ("0.99", "6")]
ASKS = [("1.10", "7"), ("1.11", "8"), ("1.12", "9")]


def run(new_book: NewBook, tmp_path: Path, lines: Sequence[bytes], *, exchange: str | None = None) -> Report:
    return verify([make.write(tmp_path / "file", lines)], exchange=exchange, new_book=new_book)


def good() -> list[bytes]:
    """A snapshot between diffs, each of them followed by the ticker of its id."""
    return [
        make.diff(7, 8, bids=[("0.5", "1")]),
        make.diff(9, 11, bids=[("1.01", "2")]),  # holds the snapshot's id and more
        make.ticker(9),
        make.ticker(11, bid=("1.01", "2")),
        make.snapshot(10, BIDS, ASKS),
        make.diff(12, 12, bids=[("1.01", "0")], asks=[("1.10", "3")]),
        make.ticker(12, ask=("1.10", "3")),
        make.trade(),
        make.diff(13, 14, asks=[("1.13", "1")]),
    ]


def test_every_key_of_a_row(new_book: NewBook, tmp_path: Path) -> None:
    report = run(new_book, tmp_path, good())
    assert report.right
    (row,) = report.rows
    assert row.as_dict() == {
        "venue": "spot",
        "symbol": "ABCUSDT",
        "snapshot_lastUpdateId": 10,
        "snapshot_bids": 2,
        "snapshot_asks": 3,
        "diffs_total": 4,
        "stale_dropped": 1,
        "applied": 3,
        "final_u": 14,
        "final_bids": 2,
        "final_asks": 4,
        "best_bid": ["1.00", "5"],
        "best_ask": ["1.10", "3"],
        "sha256_full": row.sha256_full,
        "sha256_top20": row.sha256_full,
        "gaps": 0,
        "oracle_equal": 3,
        "oracle_different": 0,
    }


def test_a_stale_diff_after_the_snapshot_counts_as_stale(new_book: NewBook, tmp_path: Path) -> None:
    lines = [make.snapshot(10), make.diff(9, 10), make.diff(11, 11)]
    (row,) = run(new_book, tmp_path, lines).rows
    assert (row.diffs_total, row.stale_dropped, row.applied, row.gaps) == (2, 1, 1, 0)


def test_a_repeated_diff_after_the_snapshot_is_neither_stale_nor_a_gap(
    new_book: NewBook, tmp_path: Path
) -> None:
    lines = [make.snapshot(10), make.diff(11, 12), make.diff(11, 12), make.diff(13, 13)]
    (row,) = run(new_book, tmp_path, lines).rows
    assert (row.diffs_total, row.stale_dropped, row.applied, row.gaps) == (3, 0, 2, 0)


def test_without_a_snapshot_only_the_ids_are_checked(new_book: NewBook, tmp_path: Path) -> None:
    report = run(new_book, tmp_path, [make.diff(1, 2), make.diff(3, 3), make.diff(4, 9)])
    assert report.right
    (row,) = report.rows
    kept = {key: value for key, value in row.as_dict().items() if value is not None}
    assert kept == {"venue": "spot", "symbol": "ABCUSDT", "diffs_total": 3, "gaps": 0}
    assert row.checked == ("ids",)


def test_a_hole_in_the_ids_is_a_gap_without_a_snapshot(new_book: NewBook, tmp_path: Path) -> None:
    numbers = [n for n in range(1, 400) if not 100 <= n < 220]
    report = run(new_book, tmp_path, [make.diff(n, n) for n in numbers])
    assert report.rows[0].gaps == 1
    assert report.faults == ["ABCUSDT (spot) has 1 gap in its ids"]


def test_a_hole_in_the_chain_of_futures_is_a_gap_without_a_snapshot(
    new_book: NewBook, tmp_path: Path
) -> None:
    ids = [(1, 5, 0), (8, 9, 5), (20, 22, 15), (30, 31, 22)]
    report = run(new_book, tmp_path, [make.diff(u0, u, previous=pu) for u0, u, pu in ids])
    assert report.faults == ["ABCUSDT (usdm) has 1 gap in its ids"]


def test_restarted_ids_without_a_snapshot_are_a_gap(new_book: NewBook, tmp_path: Path) -> None:
    """Known from the exchange's own time: what it made later has the smaller ids."""
    late = make.diff(3, 4).replace(b'"E":1700000000004', b'"E":1700000009999')
    lines = [make.diff(101, 102), make.diff(103, 103), late]
    assert run(new_book, tmp_path, lines).rows[0].gaps == 1


def test_the_same_stream_twice_is_no_gap(new_book: NewBook, tmp_path: Path) -> None:
    numbers = [1, 2, 1, 3, 2, 3, 4, 5, 4, 5]
    report = run(new_book, tmp_path, [make.diff(n, n) for n in numbers])
    assert (report.faults, report.rows[0].gaps) == ([], 0)
    copy = make.write(tmp_path / "copy", [make.diff(n, n) for n in numbers])
    assert verify([tmp_path / "file", copy], new_book=new_book).faults == []


def test_a_hole_before_the_snapshot_is_a_gap_of_the_recording(new_book: NewBook, tmp_path: Path) -> None:
    lines = [make.diff(1, 2), make.diff(5, 9), make.snapshot(10), make.diff(10, 11)]
    (row,) = run(new_book, tmp_path, lines).rows
    assert (row.gaps, row.applied, row.final_u) == (1, 1, 11)


def test_every_market_says_against_what_it_was_checked(new_book: NewBook, tmp_path: Path) -> None:
    lines = [b'{"snapshot":%s,"symbol":"%s"}' % (make.snapshot(10), s) for s in (b"AAA", b"BBB", b"DDD")]
    lines += [make.diff(11, 11, symbol="AAA"), make.ticker(11, symbol="AAA"), make.diff(11, 11, symbol="BBB")]
    lines += [make.diff(5, 5, symbol="CCC"), make.diff(6, 6, symbol="CCC"), make.diff(5, 5, symbol="EEE")]
    report = run(new_book, tmp_path, lines)
    assert report.faults == []
    assert {row.symbol: row.checked for row in report.rows} == {
        "AAA": ("snapshot", "bookTicker"),
        "BBB": ("snapshot",),
        "CCC": ("ids",),
        "DDD": (),
        "EEE": (),
    }


@pytest.mark.parametrize("symbol", ["", "BTC/USDT", "A" * 41, "btcusdt", "BTC USDT", "\x1b[2J", "\u0000"])
def test_an_impossible_symbol_is_named_and_the_others_are_judged(
    new_book: NewBook, tmp_path: Path, symbol: str
) -> None:
    lines = [*good()[:3], make.diff(1, 2, symbol=symbol, speed="@depth"), *good()[3:]]
    report = run(new_book, tmp_path, lines)
    assert report.faults == ["1 line could not be used"]
    assert str(report.problems.first[0]).startswith(f"{tmp_path / 'file'}:4: an impossible symbol {symbol!r}")
    assert "\x1b" not in str(report.problems.first[0])
    assert [row.applied for row in report.rows] == [3]


def test_tickers_alone_give_no_row(new_book: NewBook, tmp_path: Path) -> None:
    assert run(new_book, tmp_path, [make.ticker(1), make.trade()]).rows == []


def test_a_lost_diff_is_a_gap_and_the_book_stays_where_it_was(new_book: NewBook, tmp_path: Path) -> None:
    lines = [make.snapshot(10), make.diff(11, 11), make.diff(13, 13), make.diff(14, 14)]
    report = run(new_book, tmp_path, lines)
    (row,) = report.rows
    assert (row.gaps, row.applied, row.final_u, row.diffs_total) == (1, 1, 11, 3)
    assert report.faults == ["ABCUSDT (spot) has 1 gap"]


def test_every_further_hole_is_counted_although_nothing_is_applied(new_book: NewBook, tmp_path: Path) -> None:
    lines = [make.snapshot(10), *(make.diff(n, n) for n in (11, 13, 14, 17, 18, 30))]
    (row,) = run(new_book, tmp_path, lines).rows
    assert (row.gaps, row.applied) == (3, 1)


def test_the_chain_of_futures_is_followed_by_pu(new_book: NewBook, tmp_path: Path) -> None:
    chain = [
        make.diff(95, 100, previous=90),
        make.diff(150, 160, previous=100),
        make.diff(200, 210, previous=160),
    ]
    lines = [make.snapshot(98), *chain]
    (row,) = run(new_book, tmp_path, lines).rows
    assert (row.venue, row.gaps, row.applied, row.final_u) == ("usdm", 0, 3, 210)
    (row,) = run(new_book, tmp_path, [lines[0], chain[0], chain[2]]).rows
    assert (row.gaps, row.applied, row.final_u) == (1, 1, 100)


def test_after_a_gap_the_book_goes_on_from_a_later_snapshot(new_book: NewBook, tmp_path: Path) -> None:
    lines = [
        make.snapshot(10, BIDS, ASKS),
        make.diff(11, 11),
        make.diff(15, 15),
        make.diff(16, 16),
        make.snapshot(15, BIDS, ASKS),
        make.diff(17, 17),
        make.ticker(17),
    ]
    (row,) = run(new_book, tmp_path, lines).rows
    assert (row.gaps, row.applied, row.final_u, row.snapshot_lastUpdateId) == (1, 3, 17, 10)
    assert (row.oracle_equal, row.oracle_different) == (1, 0)


def test_a_hole_among_the_diffs_before_the_snapshot_is_a_gap(new_book: NewBook, tmp_path: Path) -> None:
    lines = [make.diff(9, 11), make.diff(12, 12), make.diff(20, 20), make.snapshot(10), make.diff(21, 21)]
    (row,) = run(new_book, tmp_path, lines).rows
    assert (row.gaps, row.applied, row.final_u, row.diffs_total) == (1, 2, 12, 4)


def test_a_snapshot_older_than_the_first_diff_is_a_gap(new_book: NewBook, tmp_path: Path) -> None:
    report = run(new_book, tmp_path, [make.diff(12, 13), make.snapshot(10), make.diff(14, 14)])
    (row,) = report.rows
    assert (row.gaps, row.applied, row.final_u, row.snapshot_lastUpdateId) == (1, 0, None, 10)
    assert not report.right


def test_later_snapshots_of_a_good_book_change_nothing(new_book: NewBook, tmp_path: Path) -> None:
    lines = [*good(), make.snapshot(11, [("0.1", "1")], [])]
    assert run(new_book, tmp_path, lines).rows == run(new_book, tmp_path, good()).rows


def test_a_book_without_diffs_is_its_snapshot(new_book: NewBook, tmp_path: Path) -> None:
    line = b'{"snapshot":%s,"symbol":"ABCUSDT"}' % make.snapshot(10, BIDS, ASKS)
    (row,) = run(new_book, tmp_path, [line]).rows
    assert (row.final_u, row.final_bids, row.final_asks, row.applied, row.oracle_equal) == (10, 2, 3, 0, 0)


def test_best_prices_that_differ_too_often_are_a_fault(new_book: NewBook, tmp_path: Path) -> None:
    lines = [make.snapshot(10, BIDS, ASKS)]
    for number in range(11, 111):
        wrong = number > 105
        lines += [make.diff(number, number), make.ticker(number, bid=("1.00", "4" if wrong else "5"))]
    report = run(new_book, tmp_path, lines)
    assert (report.rows[0].oracle_equal, report.rows[0].oracle_different) == (95, 5)
    assert report.right
    report = run(new_book, tmp_path, [*lines, make.diff(111, 111)])
    assert report.faults == ["6 of 101 comparisons with bookTicker differ"]


def test_one_wrong_book_is_not_hidden_by_many_right_ones(new_book: NewBook, tmp_path: Path) -> None:
    lines = []
    for symbol, quantity in (("AAA", "4"), *((letter * 3, "5") for letter in "BCDEFGHIJKLMNOPQRSTUVWXYZ")):
        lines.append(b'{"snapshot":%s,"symbol":"%s"}' % (make.snapshot(10), symbol.encode()))
        lines += [make.diff(11, 11, symbol=symbol), make.ticker(11, bid=("1.00", quantity), symbol=symbol)]
    report = run(new_book, tmp_path, lines)
    assert report.faults == ["AAA (spot) differs from bookTicker after 1 of 1 updates"]


def test_a_crossed_end_is_a_fault(new_book: NewBook, tmp_path: Path) -> None:
    report = run(new_book, tmp_path, [make.snapshot(10, BIDS, ASKS), make.diff(11, 11, bids=[("2", "1")])])
    assert report.faults == ["ABCUSDT (spot) ends crossed: best bid and best ask overlap"]
    assert report.rows[0].final_u == 11
    assert report.rows[0].sha256_full is None


def test_a_malformed_diff_is_a_line_that_could_not_be_used(new_book: NewBook, tmp_path: Path) -> None:
    broken = make.diff(11, 11, bids=[("1.0x", "1")])
    report = run(new_book, tmp_path, [make.snapshot(10), broken])
    assert report.rows[0].diffs_total == 0
    assert report.faults == ["1 line could not be used"]
    assert str(report.problems.first[0]).startswith(f"{tmp_path / 'file'}:2: malformed frame")


def test_a_malformed_snapshot_is_a_line_that_could_not_be_used(new_book: NewBook, tmp_path: Path) -> None:
    broken = make.snapshot(10, [("1", "-1")])
    report = run(new_book, tmp_path, [broken, make.diff(11, 11)])
    assert report.rows[0].snapshot_lastUpdateId is None
    assert str(report.problems.first[0]).startswith(f"{tmp_path / 'file'}:1: malformed snapshot")


def test_exchange_decides_the_rules(new_book: NewBook, tmp_path: Path) -> None:
    lines = [make.snapshot(10), make.diff(12, 14, previous=10)]
    assert run(new_book, tmp_path, lines).rows[0].gaps == 0
    report = run(new_book, tmp_path, lines, exchange="binance.us")
    assert (report.rows[0].venue, report.rows[0].gaps) == ("us", 1)


@pytest.mark.parametrize(
    ("exchange", "venue"),
    [
        ("binance.com", "spot"),
        ("binance.com-testnet", "spot"),
        ("binance.com-futures", "usdm"),
        ("binance.com-futures-demo", "usdm"),
        ("binance.com-coin_futures", "coinm"),
        ("binance.com-coin_futures-testnet", "coinm"),
        ("binance.com-margin", "spot"),
        ("binance.com-isolated_margin-testnet", "spot"),
        ("binance.com-data", "spot"),
        ("binance.com-vanilla-options", "options"),
        ("binance.com-vanilla-options-testnet", "options"),
        ("binance.us", "us"),
        ("trbinance.com", "tr"),
        ("binance.tr", "tr"),
        ("coinm", "coinm"),
    ],
)
def test_exchange_names_and_family_words_are_understood(
    new_book: NewBook, tmp_path: Path, exchange: str, venue: str
) -> None:
    lines = [make.snapshot(10), make.diff(11, 11, previous=10)]
    assert run(new_book, tmp_path, lines, exchange=exchange).rows[0].venue == venue


def test_an_unknown_exchange_is_refused(new_book: NewBook, tmp_path: Path) -> None:
    with pytest.raises(UnknownExchange, match=r"did you mean 'binance\.com'"):
        run(new_book, tmp_path, [make.diff(1, 1)], exchange="binance.con")
    with pytest.raises(InvalidArgument):
        verify([], new_book=new_book)


def test_one_symbol_on_two_venues_is_two_books(new_book: NewBook, tmp_path: Path) -> None:
    spot = make.write(tmp_path / "spot", [make.snapshot(10), make.diff(11, 11)])
    futures = make.write(tmp_path / "futures", [make.snapshot(500), make.diff(600, 610, previous=500)])
    rows = verify([spot, futures], new_book=new_book).rows
    assert [(row.venue, row.final_u, row.gaps) for row in rows] == [("spot", 11, 0), ("usdm", 610, 0)]


def test_a_snapshot_of_another_symbol_is_a_line_that_cannot_be_used(tmp_path: Path) -> None:
    body = {"lastUpdateId": 10, "symbol": "ETHUSD_PERP", "pair": "ETHUSD", "E": 1, "T": 1}
    body |= {"bids": [["99", "1"]], "asks": [["101", "1"]]}
    lines = [
        {"snapshot": body, "symbol": "BTCUSD_PERP", "limit": 100},
        {"e": "depthUpdate", "E": 2, "s": "BTCUSD_PERP", "ps": "BTCUSD", "U": 11, "u": 11, "pu": 10}
        | {"b": [], "a": []},
    ]
    path = tmp_path / "foreign.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = verify([path])
    assert not report.right
    assert report.problems.total == 1
    assert "ETHUSD_PERP" in report.problems.first[0].what
