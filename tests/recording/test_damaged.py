"""Whatever a file contains, verify ends with a report or an error: a bad line never stops the others."""

from __future__ import annotations

import math
import random
import re
from pathlib import Path

import pytest

from depthcache.errors import UnreadableRecording
from depthcache.recording import verify
from depthcache.recording.verify import NewBook
from depthcache.simulator.recorded import RecordedExchange
from tests.recording import make
from tests.recording.test_foreign import DAY, FORMATS, NS

PIECES = (
    b"null", b"true", b"-1", b"1e400", b"99999999999999999999999", b'""', b"[]", b"{}", b'"\\ud800"', b"\x00",
    b"\xff", b'"', b"{", b"}", b",", b":", b"\\", b"\n", b"NaN", b'"x"', b"\xef\xbb\xbf", b'"stream"',
)  # fmt: skip
VALUE = re.compile(rb'(?<=[:\[,])("[^"]*"|-?\d+(\.\d+)?)')
FUTURES = [make.diff(n, n, previous=n - 1) for n in (10, 11)]


def own(day: list[bytes]) -> list[bytes]:
    lines = [b'{"depthcache":1,"kind":"recording"}']
    for number, text in enumerate(day):
        kind = b'"symbol":"ABCUSDT","snapshot"' if text.startswith(b'{"lastUpdateId"') else b'"frame"'
        lines.append(b'{"time":%d,"connection":1,%s:%s}' % (NS + number, kind, text))
    lines.append(b'{"time":%d,"event":"lost","frames":3,"from":1,"reason":"x"}' % (NS + 98))
    held = b'"last_update_id":13,"bids":[["1.00","5"]],"asks":[["1.10","7"]]'
    return [*lines, b'{"time":%d,"event":"book","symbol":"ABCUSDT",%s}' % (NS + 99, held)]


def damaged(lines: list[bytes], dice: random.Random) -> bytes:
    for _ in range(dice.randint(1, 3)):
        number = dice.randrange(len(lines))
        line = bytearray(lines[number])
        values = list(VALUE.finditer(bytes(line)))
        if values and dice.random() < 0.6:
            found = dice.choice(values)
            line[found.start() : found.end()] = dice.choice(PIECES)
        elif dice.random() < 0.6:
            at = dice.randrange(len(line) + 1)
            line[at : at + dice.randint(0, 6)] = dice.choice(PIECES)
        else:
            del line[dice.randrange(len(line) + 1) :]
        lines[number] = bytes(line)
    return b"".join(line + b"\n" for line in lines)


@pytest.mark.parametrize("seed", range(3))
def test_damage_anywhere_is_a_report_or_a_refusal(new_book: NewBook, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    path = tmp_path / "file"
    for _ in range(40):
        write = dice.choice([*FORMATS, own, make.timed, list])
        content = damaged(write(dice.choice([DAY, FUTURES])), dice)
        path.write_bytes(content)
        try:
            report = verify([path], new_book=new_book)
            exchange = RecordedExchange([path], speed=math.inf)
        except UnreadableRecording:
            continue
        assert all(line.isprintable() for line in report.problems.lines()), content
        assert exchange.venues()


def test_a_text_in_cryptofeed_3_that_is_no_utf_8_is_one_line(tmp_path: Path) -> None:
    lines = [b'{"t":"recv","ts":1723075200.1,"data":"\xff"}', b'{"t":"recv","ts":1723075200.1,"data":"{}"}']
    report = verify([make.write(tmp_path / "file", lines)])
    assert report.faults == ["2 lines could not be used"]


def test_a_ticker_without_numbers_is_one_line(tmp_path: Path) -> None:
    lines = [make.snapshot(10), make.diff(11, 11), make.ticker(11, bid=("x", "1")), make.diff(12, 12)]
    report = verify([make.write(tmp_path / "file", lines)])
    assert (report.faults, report.rows[0].applied) == (["1 line could not be used"], 2)
