"""Recordings of other programs are read if they have the exchange's messages, never skipped silently."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard

from depthcache.errors import UnreadableRecording
from depthcache.recording import (
    Break,
    Diff,
    Frame,
    Problems,
    Record,
    RecordedResponse,
    RecordedSnapshot,
    Report,
    Ticker,
    read,
    verify,
)
from depthcache.recording.verify import NewBook
from depthcache.simulator.recorded import RecordedExchange
from tests.recording import make

NS = 1_723_075_200_000_000_000  # 2024-08-08T00:00:00Z


def records(path: Path) -> tuple[list[Record], Problems]:
    problems = Problems()
    return list(read([path], problems)), problems


def one(path: Path, line: bytes) -> Record:
    found, problems = records(make.write(path / "file", [line]))
    assert problems.lines() == []
    (record,) = found
    return record


def what_is_wrong(path: Path, line: bytes) -> str:
    """Why a line between two good ones cannot be used."""
    lines = [make.diff(1, 1), line, make.diff(2, 2)]
    found, problems = records(make.write(path / "file", lines))
    assert len(found) == 2
    assert problems.total == 1
    text = problems.lines()[0]
    assert text.startswith(f"{path / 'file'}:2: ")
    return text.removeprefix(f"{path / 'file'}:2: ")


def quoted(body: bytes) -> bytes:
    return json.dumps(body.decode()).encode()


def iso(number: int) -> bytes:
    """Times with seven decimals, 100 ms apart."""
    return b"2024-08-08T00:00:%02d.%d123456Z" % (number // 10, number % 10)


# --- one day in every format ----------------------------------------------------------------------

DAY = [
    make.diff(9, 10),
    make.snapshot(10),
    make.diff(11, 11),
    make.ticker(11),
    make.diff(12, 13),
    make.trade(),
]


def tardis_snapshot(body: bytes, symbol: bytes = b"abcusdt") -> bytes:
    return b'{"stream":"%s@depthSnapshot","generated":true,"data":%s}' % (symbol, body)


def cryptofeed_3(day: Sequence[bytes]) -> list[bytes]:
    kinds = [b"http" if line.startswith(b'{"lastUpdateId"') else b"recv" for line in day]
    return [
        b'{"t":"%s","ts":%d.%06d,"data":%s}' % (kind, NS // 10**9 + n, n, quoted(line))
        for n, (kind, line) in enumerate(zip(kinds, day, strict=True))
    ]


def tardis_raw(day: Sequence[bytes]) -> list[bytes]:
    lines = [tardis_snapshot(each) if each.startswith(b'{"lastUpdateId"') else each for each in day]
    return [iso(n) + b" " + line for n, line in enumerate(lines)]


def tardis_machine(day: Sequence[bytes]) -> list[bytes]:
    lines = [tardis_snapshot(each) if each.startswith(b'{"lastUpdateId"') else each for each in day]
    return [b'{"localTimestamp":"%s","message":%s}' % (iso(n), line) for n, line in enumerate(lines)]


def objects(day: Sequence[bytes]) -> list[bytes]:
    return [b'{"recv_ns":%d,"payload":%s}' % (NS + n, line) for n, line in enumerate(day)]


def text_bodies(day: Sequence[bytes]) -> list[bytes]:
    return [b'{"id":%d,"ts":%.3f,"raw":%s}' % (n, NS / 1e9 + n, quoted(line)) for n, line in enumerate(day)]


def in_two_envelopes(day: Sequence[bytes]) -> list[bytes]:
    return [
        b'{"offset":%d,"value":{"received_at":"2024-08-08 00:00:0%d.5","msg":%s}}' % (n, n, line)
        for n, line in enumerate(day)
    ]


def beside(day: Sequence[bytes]) -> list[bytes]:
    """The time as one more key of the frame itself."""
    return [line[:-1] + b',"local_timestamp":%d}' % (NS // 1000 + n) for n, line in enumerate(day)]


def seconds(day: Sequence[bytes]) -> list[bytes]:
    return [b"%d.%06d %s" % (NS // 10**9, n, line) for n, line in enumerate(day)]


FORMATS = [cryptofeed_3, tardis_raw, tardis_machine, objects, text_bodies, in_two_envelopes, beside, seconds]


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd", "CRLF"])
def test_a_day_in_every_format_is_the_same_book(
    new_book: NewBook, tmp_path: Path, write: Callable[[Sequence[bytes]], list[bytes]], kind: str
) -> None:
    end = b"\r\n" if kind == "CRLF" else b"\n"
    content = b"".join(line + end for line in write(DAY))
    packed = {"gzip": gzip.compress, "zstd": zstandard.compress}.get(kind, bytes)(content)
    (tmp_path / "file").write_bytes(packed)
    report = verify([tmp_path / "file"], new_book=new_book)
    assert report.problems.lines() == []
    assert report.faults == []
    (row,) = report.rows
    assert (row.snapshot_lastUpdateId, row.applied, row.stale_dropped, row.final_u) == (10, 2, 1, 13)
    assert row.checked == ("snapshot", "bookTicker")


@pytest.mark.parametrize("write", FORMATS)
def test_every_format_is_served_as_an_exchange(
    tmp_path: Path, write: Callable[[Sequence[bytes]], list[bytes]]
) -> None:
    exchange = RecordedExchange([make.write(tmp_path / "file", write(DAY))])
    assert exchange.symbols("binance.com") == ("ABCUSDT",)
    assert exchange.problems.lines() == []


@pytest.mark.parametrize("write", FORMATS)
def test_every_format_has_the_times_of_receipt(
    tmp_path: Path, write: Callable[[Sequence[bytes]], list[bytes]]
) -> None:
    found, _ = records(make.write(tmp_path / "file", write(DAY)))
    times = [each.time_ns for each in found]
    assert None not in times
    assert times == sorted(times, key=lambda each: each or 0)
    assert all(NS <= (each or 0) < NS + 20_000_000_000 for each in times)


# --- cryptofeed 3 ---------------------------------------------------------------------------------


def test_lines_of_cryptofeed_3_are_put_in_the_order_of_their_times(new_book: NewBook, tmp_path: Path) -> None:
    lines = cryptofeed_3(DAY)
    for order in ([2, 0, 4, 1, 3, 5], [5, 4, 3, 2, 1, 0]):
        path = make.write(tmp_path / "file", [lines[number] for number in order])
        report = verify([path], new_book=new_book)
        assert (report.faults, report.rows[0].applied) == ([], 2)


def test_a_line_that_comes_too_late_for_its_order_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("depthcache.recording.formats._MOST_UNORDERED", 3)
    day = [make.diff(n, n) for n in range(1, 9)]
    lines = cryptofeed_3(day)
    _, problems = records(make.write(tmp_path / "file", [*lines[1:], lines[0]]))
    assert problems.lines() == [f"{tmp_path / 'file'}:8: received earlier than the 3 lines before it"]


def test_files_of_cryptofeed_3_are_merged(new_book: NewBook, tmp_path: Path) -> None:
    lines = cryptofeed_3(DAY)
    one = make.write(tmp_path / "http", lines[1:2])
    two = make.write(tmp_path / "ws", [*lines[:1], *lines[2:]])
    assert verify([one, two], new_book=new_book).rows[0].applied == 2


def test_a_cut_file_of_cryptofeed_3_gives_what_is_there(tmp_path: Path) -> None:
    lines = cryptofeed_3([make.diff(n, n, bids=[(f"0.{n * 7919 % 99991}", "1")]) for n in range(1, 1_000)])
    content = gzip.compress(b"\n".join(lines))
    (tmp_path / "file").write_bytes(content[: len(content) // 2])
    found, problems = records(tmp_path / "file")
    assert len(found) > 100
    assert problems.total == 1
    assert "ends early" in problems.lines()[0]


def test_the_keys_of_cryptofeed_3_may_have_any_order(new_book: NewBook, tmp_path: Path) -> None:
    lines = [
        b'{"data":%s,"ts":%d.5,"t":"recv","conn":"ws.1"}' % (quoted(DAY[n]), n + NS // 10**9) for n in (0, 2)
    ]
    lines.append(b'{"ts":"%d.7","t":"http","data":%s}' % (NS // 10**9, quoted(DAY[1])))
    report = verify([make.write(tmp_path / "file", lines)], new_book=new_book)
    assert (report.faults, report.rows[0].applied) == ([], 1)


def test_other_lines_of_cryptofeed_3(tmp_path: Path) -> None:
    lines = [
        b'{"t":"http","ts":1723075200.1,"data":"{\\"symbols\\":[]}"}',
        b'{"t":"recv","ts":1723075200.2,"data":%s}' % quoted(make.diff(1, 1)),
        b'{"t":"send","ts":1723075200.3,"data":"{}"}',
        b'{"t":"http","ts":1723075200.4,"data":"<html>"}',
        b'{"t":"what","ts":1723075200.5,"data":"{}"}',
        b'{"t":"recv","ts":"soon","data":"{}"}',
        b'{"foo":1}',
    ]
    found, problems = records(make.write(tmp_path / "file", lines))
    assert [type(each) for each in found] == [RecordedResponse, Frame]
    assert [line.partition(": ")[2].partition(": ")[0] for line in problems.lines()] == [
        "a response that is not JSON",
        "a line of cryptofeed 3 of unknown kind 'what'",
        "a line of cryptofeed 3 whose ts is not a time",
        "not a line of cryptofeed 3",
    ]


# --- tardis ---------------------------------------------------------------------------------------


def test_a_tardis_time_is_read_to_the_nanosecond(tmp_path: Path) -> None:
    record = one(tmp_path, b"2024-08-08T00:00:00.0123456Z " + make.diff(1, 2))
    assert isinstance(record, Frame)
    assert record.time_ns == NS + 12_345_600
    assert record.about == Diff("ABCUSDT", 1, 2, None, 1_700_000_000_002, "spot")


@pytest.mark.parametrize(
    ("body", "family"),
    [
        (b'{"lastUpdateId":5,"bids":[],"asks":[]}', None),
        (b'{"lastUpdateId":5,"E":1,"T":1,"bids":[],"asks":[]}', "usdm"),
        (
            b'{"lastUpdateId":5,"E":1,"T":1,"symbol":"ABCUSD_PERP","pair":"ABCUSD","bids":[],"asks":[]}',
            "coinm",
        ),
    ],
)
def test_a_generated_snapshot_belongs_to_the_symbol_of_its_stream(
    tmp_path: Path, body: bytes, family: str | None
) -> None:
    stream = b"abcusd_perp" if family == "coinm" else b"abcusdt"
    for line in (tardis_snapshot(body, stream), iso(1) + b" " + tardis_snapshot(body, stream)):
        record = one(tmp_path, line)
        assert isinstance(record, RecordedSnapshot)
        assert (record.symbol, record.body, record.venue) == (stream.decode().upper(), body, family)


def test_a_blank_line_of_tardis_tells_of_a_lost_connection(new_book: NewBook, tmp_path: Path) -> None:
    day = [make.diff(9, 10), make.snapshot(10), make.diff(11, 11), make.diff(20, 20), make.snapshot(20)]
    lines = tardis_raw([*day, make.diff(21, 21)])
    lines[3:3] = [b"", b""]
    path = make.write(tmp_path / "file", lines)
    assert [type(each) for each in records(path)[0]].count(Break) == 1
    report = verify([path], new_book=new_book)
    assert (report.faults, report.breaks, report.rows[0].final_u) == ([], 1, 21)
    del lines[3:5]
    report = verify([make.write(tmp_path / "file", lines)], new_book=new_book)
    assert report.faults == ["ABCUSDT (spot) has 1 gap"]


@pytest.mark.parametrize("kind", ["book_change", "trade", "book_snapshot_20_100ms", "disconnect"])
def test_normalised_lines_of_tardis_machine_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    line: dict[str, Any] = {"type": kind, "symbol": "BTCUSDT", "exchange": "binance"}
    line |= {"bids": [{"price": 1.0, "amount": 2.0}], "localTimestamp": "2024-08-08T00:00:00.0123456Z"}
    words = what_is_wrong(tmp_path, json.dumps(line).encode())
    assert words.startswith(f"normalised by tardis-machine ({kind}), without update ids")


def test_a_csv_file_of_tardis_is_refused_by_name(tmp_path: Path) -> None:
    head = b"exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
    with pytest.raises(UnreadableRecording, match="a CSV file of tardis, without update ids"):
        records(make.write(tmp_path / "file", [head, b"binance,BTCUSDT,1,2,true,bid,1.0,2.0"]))


# --- envelopes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "time_ns"),
    [
        ("recv_ns", NS + 123, NS + 123),
        ("received_ns", str(NS + 123), NS + 123),
        ("recv_us", NS // 1000, NS),
        ("ts", NS / 1e9 + 0.25, NS + 250_000_000),
        ("timestamp", NS // 10**6, NS),
        ("t", NS // 10**9, NS),
        ("time", "2024-08-08T00:00:00.000001+00:00", NS + 1_000),
        ("local_timestamp", NS // 1000 + 7, NS + 7_000),
        ("localTimestamp", "2024-08-08T00:00:00.0000001Z", NS + 100),
        ("receivedAt", "2024-08-08T02:00:00+02:00", NS),
        ("receipt_timestamp", 1723075200.000001, NS + 1_000),
        ("timestamp_ms", NS // 10**6, NS),
        ("arrival_time", NS, NS),
        ("seq", 5, None),
        ("ts", 12345.6, None),
        ("time", "yesterday", None),
        ("exchange_timestamp", NS, None),
        ("ts", None, None),
        ("ts", True, None),
    ],
)
def test_the_time_of_receipt_is_known_by_its_name_and_its_unit_by_its_size(
    tmp_path: Path, name: str, value: object, time_ns: int | None
) -> None:
    for key in ("payload", "data", "message", "body", "x"):
        line = b'{%s:%s,"%s":%s}' % (quoted(name.encode()), json.dumps(value).encode(), key.encode(), DAY[0])
        assert one(tmp_path, line).time_ns == time_ns


def test_names_of_receipt_go_before_names_of_any_time(tmp_path: Path) -> None:
    line = b'{"timestamp":%d,"recv_ns":%d,"payload":%s}' % (NS // 10**6, NS + 5, DAY[0])
    assert one(tmp_path, line).time_ns == NS + 5


def test_the_letters_of_a_frame_are_no_times_of_receipt(tmp_path: Path) -> None:
    frame = b'{"T":1723075200000,"e":"depthUpdate","E":1723075200000,"s":"ABCUSDT","U":1,"u":2,"b":[],"a":[]}'
    assert one(tmp_path, frame).time_ns is None


def test_the_envelope_of_a_snapshot_is_read(tmp_path: Path) -> None:
    url = b"https://fapi.binance.com/fapi/v1/depth?symbol=abcusdt&limit=500"
    for beside in (b'"symbol":"abcusdt","limit":500', b'"url":"%s"' % url):
        line = b'{"requested_ns":%d,"recv_ns":%d,%s,"body":%s}' % (NS, NS + 9, beside, make.snapshot(10))
        record = one(tmp_path, line)
        assert isinstance(record, RecordedSnapshot)
        assert (record.symbol, record.limit, record.time_ns, record.requested_ns) == (
            "ABCUSDT", 500, NS + 9, NS
        )  # fmt: skip


def test_partial_depth_of_futures_is_known_by_the_stream_beside_it(tmp_path: Path) -> None:
    payload = make.diff(1, 2, previous=0, wrapped=False)
    for stream, kind in ((b"abcusdt@depth20@100ms", type(None)), (b"abcusdt@depth@100ms", Diff)):
        record = one(tmp_path, b'{"channel":"%s","ts":%d,"payload":%s}' % (stream, NS, payload))
        assert isinstance(record, Frame)
        assert type(record.about) is kind


def test_the_snapshot_of_the_websocket_api_is_one(tmp_path: Path) -> None:
    response = b'{"id":"1","status":200,"result":%s,"rateLimits":[]}' % make.snapshot(10)
    found, problems = records(make.write(tmp_path / "file", [make.diff(9, 10), response]))
    assert problems.lines() == []
    assert isinstance(found[1], RecordedSnapshot)
    assert (found[1].symbol, found[1].last_update_id) == ("ABCUSDT", 10)


def test_values_that_no_rule_needs_may_have_any_type(tmp_path: Path) -> None:
    data = b'"s":"ABCUSDT","ps":null,"T":null,"st":"1","U":1,"u":2,"pu":-1,"b":[],"a":[]'
    record = one(tmp_path, b'{"e":"depthUpdate","E":"1700000000002",%s}' % data)
    assert isinstance(record, Frame)
    assert record.about == Diff("ABCUSDT", 1, 2, -1, 1_700_000_000_002, "usdm")


# --- nothing is passed over unread ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"foo":1}', "no message of Binance, bare or in a known envelope; its keys are 'foo'"),
        (b"{}", "an empty object"),
        (b'{"foo":{"bar":{"e":1}}}', "its keys are 'foo'"),
        (b'{"arg":{"channel":"books"},"data":[{"asks":[],"bids":[]}]}', "its keys are 'arg', 'data'"),
        (b'{"a":%s,"b":%s}' % (make.diff(3, 3), make.diff(4, 4)), "2 messages in one line"),
        (b"[%s,%s]" % (make.diff(3, 3), make.diff(4, 4)), "a JSON array of 2 values"),
        (b"[]", "a JSON array of 0 values"),
        (b'"text"', "JSON, but not an object"),
        (b"17", "JSON, but not an object"),
        (b"null", "JSON, but not an object"),
        (
            b'{"stream":"abcusdt@depth","data":{"foo":1}}',
            "a message of a depth stream that is not a depth update",
        ),
        (b'{"stream":"abcusdt@bookTicker","data":{"foo":1}}', "not a bookTicker"),
        (b'{"stream":"abcusdt@depth","data":[]}', "a message of @depth with a value of the wrong type"),
        (b'{"stream":"abcusdt@depthSnapshot","data":[]}', "of the wrong type"),
        (
            b'{"stream":"abcusdt@depthSnapshot","data":{"e":"depthUpdate"}}',
            "a depthSnapshot without lastUpdateId",
        ),
        (b'{"e":"depthUpdate","s":"ABCUSDT"}', "without s, U and u"),
        (b'{"e":"bookTicker","u":"1"}', "a bookTicker with a value of the wrong type"),
        (b'{"e":5,"E":5}', "its keys are 'e', 'E'"),
        (b'{"ts":1,"payload":{"result":1}}', "its keys are 'ts', 'payload'"),
        (b'{"ts":1,"payload":"{cut"}', "its keys are 'ts', 'payload'"),
        (b'{"\\u001b[2J\\n":1}', r"its keys are '\x1b[2J\n'"),
        (b'{"' + b"k" * 10_000 + b'":1}', "its keys are 'kkkkkkkkkkkkkkkkkkkkkkkk'"),
        (b"{%s}" % b",".join(b'"%d":1' % n for n in range(500)), "and 492 more"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not JSON"),
        (b'{"s":"\\ud800"}', "not JSON"),
        (b'{"e":"\xff"}', "not JSON"),
    ],
)
def test_a_line_of_no_known_shape_is_counted_with_its_shape(tmp_path: Path, line: bytes, words: str) -> None:
    text = what_is_wrong(tmp_path, line)
    assert words in text
    assert len(text) < 700
    assert text.isprintable()


@pytest.mark.parametrize(
    "line",
    [
        b'{"result":null,"id":1}',
        b'{"error":{"code":2,"msg":"x"},"id":1}',
        b'{"code":-1121,"msg":"Invalid symbol."}',
        b'{"id":1,"status":200,"result":{"serverTime":1},"rateLimits":[]}',
        make.trade(),
        b'{"stream":"!miniTicker@arr","data":[{"e":"24hrMiniTicker","E":1,"s":"ABC"}]}',
        b'[{"e":"24hrMiniTicker","E":1,"s":"ABC"}]',
        b'{"e":"holders","holders":{"btcusdt@depth@100ms@state1":["10.0.0.1:42081"]}}',
        b'{"e":"nodes","nodes":["10.0.0.1:42081","10.0.0.2:42081"]}',
        b'{"e":"serverShutdown","E":1700000000000}',
        b'{"e":"kline","E":1,"s":"ABCUSDT","k":{"t":1}}',
        b'{"stream":"abcusdt@kline_1m","data":{"e":"kline","E":1,"s":"ABCUSDT","k":{"t":1}}}',
        b'{"stream":"abcusdt@depth5@100ms","data":{"lastUpdateId":1,"bids":[],"asks":[]}}',
    ],
)
def test_other_messages_of_the_exchange_are_no_problem(tmp_path: Path, line: bytes) -> None:
    found, problems = records(make.write(tmp_path / "file", [line, make.diff(1, 1)]))
    assert problems.lines() == []
    assert len(found) == 2


def test_unread_lines_are_a_fault_with_the_first_line_and_its_shape(
    new_book: NewBook, tmp_path: Path
) -> None:
    lines = [*DAY, b'{"foo":1}', b'{"foo":2}']
    report: Report = verify([make.write(tmp_path / "file", lines)], new_book=new_book)
    assert not report.right
    assert report.faults == ["2 lines could not be used"]
    assert str(report.problems.first[0]) == (
        f"{tmp_path / 'file'}:7: no message of Binance, bare or in a known envelope; its keys are 'foo': "
        "'{\"foo\":1}'"
    )


def test_a_file_of_nothing_known_is_a_fault(tmp_path: Path) -> None:
    report = verify([make.write(tmp_path / "file", [b'{"foo":1}'] * 3)])
    assert (report.faults, report.rows) == (["3 lines could not be used"], [])


def test_a_json_array_is_refused_with_what_helps(tmp_path: Path) -> None:
    for content in (b"[%s,%s]" % (DAY[0], DAY[1]), b"[\n  %s,\n  %s\n]" % (DAY[0], DAY[1])):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(
            UnreadableRecording, match="a JSON array; one frame or snapshot per line is needed"
        ):
            records(tmp_path / "file")


def test_answers_of_cryptofeed_with_headers_behind_them_are_read(tmp_path: Path) -> None:
    url = b"https://api.binance.com/api/v3/depth?symbol=ABCUSDT&limit=100"
    line = b'%s -> 1723075200.5: %s header: {"x-mbx-used-weight":"5"}' % (url, make.snapshot(10))
    record = one(tmp_path, line)
    assert isinstance(record, RecordedSnapshot)
    assert record.body == make.snapshot(10)


def test_the_stream_of_all_tickers_holds_tickers(tmp_path: Path) -> None:
    record = one(tmp_path, make.ticker(5).replace(b"abcusdt@bookTicker", b"!bookTicker"))
    assert isinstance(record, Frame)
    assert isinstance(record.about, Ticker)


def test_a_ticker_in_an_envelope_is_one(tmp_path: Path) -> None:
    record = one(tmp_path, b'{"recv_ns":%d,"payload":%s}' % (NS, make.ticker(5)))
    assert isinstance(record, Frame)
    assert isinstance(record.about, Ticker)


# --- whose data it is -----------------------------------------------------------------------------


def test_a_url_beside_a_snapshot_tells_the_exchange_of_the_diffs(new_book: NewBook, tmp_path: Path) -> None:
    """Payloads of Binance.US look like those of spot: its diffs must not miss its snapshot."""
    url = b'"url":"https://api.binance.us/api/v3/depth?symbol=ABCUSDT&limit=100"'
    objects = [b'{"body":%s,"time":%d}' % (DAY[n], NS + n) for n in (0, 2, 3, 4, 5)]
    objects.insert(1, b'{"body":%s,"time":%d,%s}' % (DAY[1], NS + 1, url))
    lines = cryptofeed_3(DAY)
    lines[1] = lines[1].replace(b'"http",', b'"http",%s,' % url)
    for day in (objects, lines):
        report = verify([make.write(tmp_path / "file", day)], new_book=new_book)
        assert report.faults == []
        assert [(row.venue, row.applied, row.oracle_equal) for row in report.rows] == [("us", 2, 2)]


def test_a_url_in_one_file_tells_the_exchange_of_another(new_book: NewBook, tmp_path: Path) -> None:
    us = b'{"body":%s,"url":"https://api.binance.us/api/v3/depth?symbol=ABCUSDT"}' % DAY[1]
    files = [make.write(tmp_path / "http", [us]), make.write(tmp_path / "ws", DAY[2:])]
    for exchange in (None, "binance.us"):
        report = verify(files, exchange=exchange, new_book=new_book)
        assert report.faults == []
        assert [(row.venue, row.applied) for row in report.rows] == [("us", 2)]


def test_a_snapshot_whose_diffs_are_of_another_exchange_is_a_fault(new_book: NewBook, tmp_path: Path) -> None:
    usdm = b'{"body":%s,"url":"https://fapi.binance.com/fapi/v1/depth?symbol=ABCUSDT"}' % DAY[1]
    files = [make.write(tmp_path / "http", [usdm]), make.write(tmp_path / "ws", DAY[2:])]
    (fault,) = verify(files, new_book=new_book).faults
    assert fault.startswith(
        "ABCUSDT (usdm) has a snapshot but no updates, ABCUSDT (spot) has updates but no snapshot"
    )
    assert verify(files, exchange="spot", new_book=new_book).faults == []


def futures(last_update_id: int, price: str) -> bytes:
    body = make.snapshot(last_update_id, [(price, "1")], [(price + "9", "1")])
    return b'{"E":1700000000000,"T":1700000000000,' + body[1:]


def test_one_file_may_hold_spot_and_futures(new_book: NewBook, tmp_path: Path) -> None:
    day = [
        make.diff(10, 11),
        make.diff(500, 510, previous=490),
        make.snapshot(10),
        futures(505, "1.0"),
        make.diff(12, 12),
        make.diff(511, 520, previous=510),
    ]
    report = verify([make.write(tmp_path / "file", objects(day))], new_book=new_book)
    assert report.faults == []
    assert [(row.venue, row.applied) for row in report.rows] == [("spot", 2), ("usdm", 2)]


def two_markets(price: str) -> list[bytes]:
    """USD-M shares its ids between symbols, and a bare snapshot names none: here one of ABCUSDT."""
    return [
        futures(505, "1.00"),
        make.diff(500, 510, previous=490, bids=[("1.005", "2"), ("0.5", "1")]),
        make.diff(501, 509, previous=491, bids=[(price, "2")], symbol="XYZUSDT"),
    ]


def test_a_snapshot_without_symbol_belongs_to_the_market_of_its_prices(
    new_book: NewBook, tmp_path: Path
) -> None:
    report = verify([make.write(tmp_path / "file", two_markets("77.0"))], new_book=new_book)
    assert report.faults == []
    assert [(row.symbol, row.applied) for row in report.rows] == [("ABCUSDT", 1), ("XYZUSDT", None)]


@pytest.mark.parametrize("price", ["1.003", "1.008"])
def test_a_snapshot_that_may_be_of_two_markets_is_counted(
    new_book: NewBook, tmp_path: Path, price: str
) -> None:
    report = verify([make.write(tmp_path / "file", two_markets(price))], new_book=new_book)
    assert "no update near this snapshot identifies its symbol" in report.problems.lines()[0]


def test_a_negative_pu_makes_no_futures_of_spot(new_book: NewBook, tmp_path: Path) -> None:
    day = [make.snapshot(10), make.diff(11, 11, previous=-1), make.diff(12, 12, previous=-1)]
    report = verify([make.write(tmp_path / "file", day)], new_book=new_book)
    assert (report.faults, report.rows[0].venue, report.rows[0].applied) == ([], "spot", 2)


@pytest.mark.parametrize("beside", [b'"id":7,"error":null', b'"code":0,"msg":""', b'"id":7,"result":null'])
def test_the_envelope_of_a_message_does_not_make_it_a_reply(
    new_book: NewBook, tmp_path: Path, beside: bytes
) -> None:
    day = [b'{"recv_ns":%d,%s,"payload":%s}' % (NS + n, beside, line) for n, line in enumerate(DAY)]
    report = verify([make.write(tmp_path / "file", day)], new_book=new_book)
    assert (report.faults, report.rows[0].applied) == ([], 2)
    unknown = b'{"recv_ns":1723075200000000000,%s,"payload":{"foo":1}}' % beside
    assert "its keys are 'recv_ns'" in what_is_wrong(tmp_path, unknown)
