"""Flight dumps: written on trouble or on request, replayed by `verify`, limited in number."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

import depthcache
from depthcache._native import Router
from depthcache.io.recording import flight_dumps
from depthcache.recording import verify
from depthcache.recording.lines import numbered_lines
from tests.support.by_hand import LEVELS, ByHand

DEADLINE_S = 20.0
NOTHING: dict[str, object] = {}


def connect(folder: Path | None = None, **more: Any) -> depthcache.Books:
    settings = depthcache.Settings(flight_dumps_to=folder, **more)
    return depthcache.connect("binance.com", ["BTCUSDT"], depth=100, on_stale="serve", settings=settings)


def texts(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for _, line in numbered_lines(path)]


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def gap(exchange: ByHand) -> None:
    exchange.diff("BTCUSDT", 15, 16)


def crossed(exchange: ByHand) -> None:
    exchange.diff("BTCUSDT", 13, 13, bids=[["1.25", "1.0"]])


def malformed(exchange: ByHand) -> None:
    exchange.raw(b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","s":"BTCUSDT","U":13,')


@pytest.mark.parametrize(
    ("trouble", "word", "faults"),
    [
        (gap, "gap", ["BTCUSDT (spot) has 1 gap"]),
        (crossed, "crossed", ["BTCUSDT (spot) ends crossed: best bid and best ask overlap"]),
        (malformed, "malformed", []),
    ],
)
async def test_trouble_is_written_and_replayed(
    exchange: list[ByHand],
    tmp_path: Path,
    trouble: Callable[[ByHand], None],
    word: str,
    faults: list[str],
) -> None:
    async with connect(tmp_path) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        exchange[0].diff("BTCUSDT", 11, 12, bids=[["1.15", "2.0"]])
        trouble(exchange[0])
        await asyncio.sleep(0)
    (path,) = files(tmp_path)
    assert path.name.startswith("flight-binance.com-BTCUSDT-")
    head = texts(path)[0]
    assert (head["kind"], head["symbol"]) == ("flight", "BTCUSDT")
    assert head["reason"]
    report = verify([path])
    assert report.faults == faults
    (row,) = report.rows
    assert (row.snapshot_lastUpdateId, row.diffs_total >= 1) == (10, True)
    assert word in {"gap", "crossed", "malformed"}


async def test_a_good_flight_is_asked_for_and_its_book_is_the_one_that_its_frames_make(
    exchange: list[ByHand], tmp_path: Path
) -> None:
    async with connect() as books:
        book = books["BTCUSDT"]
        await book.wait_synced(DEADLINE_S)
        exchange[0].diff("BTCUSDT", 11, 12, bids=[["1.15", "2.0"]])
        book.save_flight_dump(tmp_path / "mine.jsonl.zst", reason="odd fills")
        with pytest.raises(FileExistsError):
            book.save_flight_dump(tmp_path / "mine.jsonl.zst")
        with pytest.raises(FileNotFoundError):
            book.save_flight_dump(tmp_path / "no" / "mine.jsonl.zst")
    head, *_, held = texts(tmp_path / "mine.jsonl.zst")
    names = {"exchange": "binance.com", "symbol": "BTCUSDT"}
    assert head == {"depthcache": 1, "kind": "flight", **names, "reason": "odd fills"}
    assert (held["event"], held["last_update_id"]) == ("book", 12)
    report = verify([tmp_path / "mine.jsonl.zst"])
    assert report.faults == []
    assert (report.rows[0].final_u, report.rows[0].final_bids) == (12, 3)


async def test_a_book_that_its_frames_do_not_make_is_found(exchange: list[ByHand], tmp_path: Path) -> None:
    async with connect() as books:
        await books.wait_synced(timeout=DEADLINE_S)
        exchange[0].diff("BTCUSDT", 11, 12, bids=[["1.15", "2.0"]])
        books["BTCUSDT"].save_flight_dump(tmp_path / "good")
    lines = [line for _, line in numbered_lines(tmp_path / "good")]
    held = json.loads(lines[-1])
    held["bids"][0][1] = "2.1"
    changed = b"\n".join([*lines[:-1], json.dumps(held).encode(), b""])
    (tmp_path / "changed").write_bytes(zstandard.compress(changed))
    assert verify([tmp_path / "changed"]).faults == [
        "BTCUSDT (spot) at update id 12: the replayed book and the recorded one differ in 2 bids"
    ]


async def test_where_the_snapshot_is_too_long_ago_the_book_takes_its_place(
    exchange: list[ByHand], tmp_path: Path
) -> None:
    async with connect(flight_bytes=1_000) as books:
        book = books["BTCUSDT"]
        await book.wait_synced(DEADLINE_S)
        for number in range(11, 41):
            exchange[0].diff("BTCUSDT", number, number, bids=[[f"0.{number}", "1.0"]])
        book.save_flight_dump(tmp_path / "good")
        exchange[0].books["BTCUSDT"] = NOTHING
        exchange[0].default = None
        gap(exchange[0])
        exchange[0].diff("BTCUSDT", 50, 51)
        book.save_flight_dump(tmp_path / "gap")
    report = verify([tmp_path / "good"])
    assert report.faults == []
    assert (report.rows[0].snapshot_lastUpdateId, report.rows[0].final_u) == (40, 40)
    assert 0 < report.rows[0].diffs_total < 30
    report = verify([tmp_path / "gap"])
    assert report.faults == ["BTCUSDT (spot) has 1 gap"]


async def test_small_numbers_are_written_as_exchanges_write_them(
    exchange: list[ByHand], tmp_path: Path
) -> None:
    async with connect(flight_bytes=0) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        exchange[0].diff("BTCUSDT", 11, 12, bids=[["0.00000001", "0.00000012"]])
        books["BTCUSDT"].save_flight_dump(tmp_path / "small")
    (snapshot,) = (text["snapshot"] for text in texts(tmp_path / "small") if "snapshot" in text)
    assert ["0.00000001", "0.00000012"] in snapshot["bids"]
    report = verify([tmp_path / "small"])
    assert (report.faults, report.rows[0].final_bids) == ([], 3)


RUBBISH = [
    b'{"a":' * 100_000,
    b"\xff\xfe",
    b'{"u":[]}\n{}',
    b"[]",
    b'{"data":5}',
    b'{"u":\r1}',
    b'{"u":NaN}',
]


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_no_frame_is_too_odd_to_be_written(tmp_path: Path, rubbish: bytes) -> None:
    router = Router(flight_bytes=1_000_000)
    router.add_market(1, "binance.com", "BTCUSDT", "contiguous")
    router.open_connection(7)
    router.route(7, "btcusdt@depth", 1)
    router.feed(7, b'{"stream":"btcusdt@depth","data":' + rubbish + b"}", 1)
    router.feed(7, rubbish, 1)
    flight_dumps.write_flight_dump(tmp_path / "odd", router.flight_log(1), "odd")
    assert verify([tmp_path / "odd"]).faults == []
    for _, text in numbered_lines(tmp_path / "odd"):
        assert b"\r" not in text
        msgspec.json.decode(text)


async def test_a_flood_of_trouble_writes_one_file_a_minute_and_a_hundred_in_all(tmp_path: Path) -> None:
    kept = flight_dumps.FlightDumps(tmp_path)
    second_ns = 1_000_000_000
    assert [kept.is_due(1, at * second_ns) for at in (0, 1, 59, 60, 61)] == [True, False, False, True, False]
    assert kept.is_due(2, 61 * second_ns)
    allowed = sum(kept.is_due(1, minute * 60 * second_ns) for minute in range(3, 1_000))
    assert allowed == 97


async def test_a_disk_that_is_full_is_logged(
    exchange: list[ByHand], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, clock: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(flight_dumps, "write_flight_dump", full)
    async with connect(tmp_path) as books:
        await books.wait_synced(timeout=DEADLINE_S)
        exchange[0].default = {"lastUpdateId": 20, **LEVELS}
        gap(exchange[0])
        await books.wait_synced(timeout=DEADLINE_S)
    assert "No space left" in caplog.text
