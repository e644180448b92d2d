"""Formats are detected, and problems are reported with file and line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from depthcache.errors import UnreadableRecording
from depthcache.recording import (
    Diff,
    Frame,
    Problems,
    Record,
    RecordedResponse,
    RecordedSnapshot,
    Ticker,
    read,
)
from tests.recording import make

NS = 1_700_000_000_000_000_000


def records(path: Path) -> tuple[list[Record], Problems]:
    problems = Problems()
    return list(read([path], problems)), problems


def one(path: Path) -> Record:
    found, problems = records(path)
    assert problems.lines() == []
    (record,) = found
    return record


@pytest.mark.parametrize("compressed", [False, True])
def test_an_hftbacktest_line_is_a_time_and_a_frame(tmp_path: Path, compressed: bool) -> None:
    text = make.diff(11, 12, bids=[("1.05", "2")])
    path = make.write(tmp_path / "file", [b"%d %s" % (NS, text)], compressed=compressed)
    frame = one(path)
    assert isinstance(frame, Frame)
    assert (frame.time_ns, frame.payload, frame.stream) == (NS, text, "abcusdt@depth@100ms")
    assert frame.about == Diff("ABCUSDT", 11, 12, None, 1_700_000_000_012, "spot")
    assert str(frame.position) == f"{path}:1"


@pytest.mark.parametrize(("digits", "scale"), [(13, 10**6), (16, 10**3), (19, 1)])
def test_the_digits_of_an_hftbacktest_time_determine_its_unit(
    tmp_path: Path, digits: int, scale: int
) -> None:
    path = make.write(tmp_path / "file", [b"%d %s" % (NS // scale, make.trade())])
    assert len(str(NS // scale)) == digits
    assert one(path).time_ns == NS


def test_a_bare_snapshot_belongs_to_the_single_symbol_of_its_file(tmp_path: Path) -> None:
    lines = make.timed([make.snapshot(10), make.trade("XYZ"), make.diff(11, 12)])
    found, problems = records(make.write(tmp_path / "file", lines))
    assert problems.total == 0
    first = found[0]
    assert isinstance(first, RecordedSnapshot)
    assert (first.symbol, first.last_update_id, first.limit, first.body) == (
        "ABCUSDT",
        10,
        None,
        make.snapshot(10),
    )


def test_a_bare_snapshot_among_several_symbols_belongs_to_the_one_whose_ids_bracket_it(
    tmp_path: Path,
) -> None:
    lines = [make.diff(100, 105, symbol="OTHER"), make.diff(9, 10), make.snapshot(10), make.diff(11, 12)]
    found, _ = records(
        make.write(tmp_path / "file", make.timed([*lines, make.diff(106, 107, symbol="OTHER")]))
    )
    assert [record.symbol for record in found if isinstance(record, RecordedSnapshot)] == ["ABCUSDT"]


def test_a_bare_snapshot_that_fits_several_symbols_is_reported_and_left_out(tmp_path: Path) -> None:
    shared = [make.diff(9, 12, symbol=symbol, previous=8) for symbol in ("AAA", "BBB")]
    found, problems = records(
        make.write(tmp_path / "file", make.timed([shared[0], make.snapshot(10), shared[1]]))
    )
    assert [type(record) for record in found] == [Frame, Frame]
    assert problems.lines()[0].startswith(
        f"{tmp_path / 'file'}:2: no update near this snapshot identifies its symbol"
    )


def test_a_coin_m_snapshot_names_its_symbol_itself(tmp_path: Path) -> None:
    body = b'{"lastUpdateId":5,"E":1,"T":1,"symbol":"BTCUSD_PERP","pair":"BTCUSD","bids":[],"asks":[]}'
    record = one(make.write(tmp_path / "file", make.timed([body])))
    assert isinstance(record, RecordedSnapshot)
    assert (record.symbol, record.venue) == ("BTCUSD_PERP", "coinm")


def test_all_kinds_of_cryptofeed_lines_may_be_in_one_file(tmp_path: Path) -> None:
    lines = [
        b'configuration: {"l2_book":["ABC-USDT"]}',
        b"wss://fstream.binance.com/stream?streams=abcusdt@depth <-> 1617647603.25",
        b"",
        b"1617647603.4249449: " + make.diff(1, 2, symbol="ABCUSDT", previous=0),
        b"https://fapi.binance.com/fapi/v1/exchangeInfo -> 1617647603.5: {}",
        b"https://fapi.binance.com/fapi/v1/depth?symbol=abcusdt&limit=500 -> 1617647604: " + make.snapshot(1),
        b"",
    ]
    (frame, response, snapshot), problems = records(make.write(tmp_path / "file", lines))
    assert problems.total == 0
    assert isinstance(frame, Frame)
    assert (frame.time_ns, frame.venue, frame.position.line) == (1_617_647_603_424_944_900, "usdm", 4)
    assert isinstance(response, RecordedResponse)
    assert response.url == "https://fapi.binance.com/fapi/v1/exchangeInfo"
    assert isinstance(snapshot, RecordedSnapshot)
    assert (snapshot.symbol, snapshot.limit, snapshot.venue) == ("ABCUSDT", 500, "usdm")
    assert snapshot.time_ns == 1_617_647_604_000_000_000


def test_the_recorded_host_tells_the_venue_before_the_payload_does(tmp_path: Path) -> None:
    lines = [b"wss://stream.binance.us:9443/stream <-> 1617647603.2", b"1617647603.3: " + make.diff(1, 2)]
    assert one(make.write(tmp_path / "file", lines)).venue == "us"


@pytest.mark.parametrize(
    ("payload", "venue"),
    [
        (make.diff(1, 2), "spot"),
        (make.diff(1, 2, previous=0), "usdm"),
        (make.diff(1, 2, previous=0, pair="ABCUSDT"), "usdm"),
        (make.diff(1, 2, previous=0, pair="ABCUSD"), "coinm"),
    ],
)
def test_without_a_host_the_keys_of_the_payload_tell_the_venue(
    tmp_path: Path, payload: bytes, venue: str
) -> None:
    assert one(make.write(tmp_path / "file", [payload])).venue == venue


def test_json_lines_hold_frames_and_snapshots_without_times(tmp_path: Path) -> None:
    lines = [
        b'{"snapshot":%s,"symbol":"ABCUSDT","limit":100}' % make.snapshot(10),
        b'{"frame":%s}' % make.diff(11, 12),
        make.diff(13, 13, wrapped=False),
        make.ticker(13),
        b'{"result":null,"id":1}',
    ]
    (snapshot, *frames), problems = records(make.write(tmp_path / "file", lines))
    assert problems.total == 0
    assert isinstance(snapshot, RecordedSnapshot)
    assert (snapshot.time_ns, snapshot.symbol, snapshot.limit) == (None, "ABCUSDT", 100)
    assert snapshot.body == make.snapshot(10)
    kinds = [type(frame.about) for frame in frames if isinstance(frame, Frame)]
    assert kinds == [Diff, Diff, Ticker, type(None)]


def test_a_partial_depth_stream_is_neither_a_snapshot_nor_a_diff(tmp_path: Path) -> None:
    partial = b'{"stream":"abcusdt@depth20@100ms","data":%s}' % make.snapshot(10)
    futures = make.diff(1, 2, previous=0, speed="@depth20@100ms")
    found, _ = records(make.write(tmp_path / "file", [partial, futures]))
    assert [frame.about for frame in found if isinstance(frame, Frame)] == [None, None]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"1700000000000000000 {cut", "not JSON"),
        (b"nonsense", "no receive time"),
        (b"17000000 {}", "no receive time"),
        (b'1700000000000000000 {"e":"depthUpdate","s":"ABCUSDT","U":1}', "without s, U and u"),
        (b'1700000000000000000 {"e":"depthUpdate","s":"ABCUSDT","U":"1","u":2}', "wrong type"),
    ],
)
def test_a_line_that_cannot_be_used_is_counted_and_reading_goes_on(
    tmp_path: Path, line: bytes, what: str
) -> None:
    good = make.timed([make.diff(1, 2), make.diff(3, 4)])
    found, problems = records(make.write(tmp_path / "file", [good[0], line, good[1]]))
    assert len(found) == 2
    assert problems.total == 1
    assert problems.lines()[0].startswith(f"{tmp_path / 'file'}:2: ")
    assert what in problems.lines()[0]


def test_many_bad_lines_are_all_counted_and_a_few_shown(tmp_path: Path) -> None:
    path = make.write(tmp_path / "file", [make.trade(), *[b"rubbish"] * 100])
    _, problems = records(path)
    assert problems.total == 100
    assert len(problems.lines()) == 21
    assert problems.lines()[-1] == "… and 80 more"


def test_a_truncated_gzip_file_is_read_up_to_its_reported_end(tmp_path: Path) -> None:
    content = gzip.compress(
        b"".join(line + b"\n" for line in make.timed([make.diff(n, n) for n in range(1, 2000)]))
    )
    path = tmp_path / "cut.gz"
    path.write_bytes(content[: len(content) // 2])
    found, problems = records(path)
    assert 100 < len(found) < 1999
    assert problems.lines() == [f"{path}:{len(found) + 1}: the gzip stream ends early: the file was cut off"]


def test_a_damaged_gzip_file_is_read_up_to_the_reported_damage(tmp_path: Path) -> None:
    content = bytearray(
        gzip.compress(
            b"".join(line + b"\n" for line in make.timed([make.diff(n, n) for n in range(1, 9000)]))
        )
    )
    content[len(content) // 2] ^= 0xFF
    path = tmp_path / "broken.gz"
    path.write_bytes(bytes(content))
    found, problems = records(path)
    assert len(found) > 100
    assert problems.total >= 1


def refused(path: Path) -> str:
    with pytest.raises(UnreadableRecording) as caught:
        records(path)
    assert caught.value.path == path
    return str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "none") == f"cannot read {tmp_path / 'none'}: no such file or directory"


@pytest.mark.skipif(
    not Path("/proc/self/mem").exists(), reason="needs a file whose first byte cannot be read"
)
def test_a_file_that_opens_and_cannot_be_read_is_named() -> None:
    assert refused(Path("/proc/self/mem")) == "cannot read /proc/self/mem: input/output error"


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path) == f"cannot read {tmp_path}: is a directory"


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "empty"
    path.write_bytes(content)
    assert refused(path) == f"cannot read {path}: the file is empty"


@pytest.mark.parametrize(
    "content", [bytes(range(256)) * 40, gzip.compress(b"\x00\xff" * 1000, mtime=0), b"hello\nworld\n"]
)
def test_a_file_of_no_known_format_is_refused_with_its_beginning(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rubbish"
    path.write_bytes(content)
    assert refused(path).startswith(
        f"cannot read {path}:1: not a recording in a known format; it begins with"
    )


def test_another_compression_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file.xz"
    path.write_bytes(b"\xfd7zXZ" + bytes(100))
    assert refused(path).endswith("compressed with xz; only gzip, zstd and plain text can be read")
