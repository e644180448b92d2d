"""The market data of the benchmarks without the recordings, and from recordings of the user's own."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benches import captures, frames, made, market_data, market_statistics

ROOT = Path(__file__).parents[1]
LIKE = list(made.MARKETS)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is kept in build/, and there are no recordings."""
    monkeypatch.setattr(made, "FOLDER", tmp_path / "made")
    monkeypatch.setattr(captures, "GOLDEN", tmp_path / "none")
    monkeypatch.setattr(
        made,
        "MARKETS",
        {like: replace(about, diffs=220) for like, about in made.MARKETS.items()},
    )
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("like", LIKE)
def test_a_made_market_is_applied_without_a_gap_and_ends_as_expected(like: str) -> None:
    capture = market_data.load(like)
    assert (len(capture.before), len(capture.after)) == (made.BEFORE, 220)
    frames.assert_golden(capture)
    assert market_data.source() == "market data made by the simulator"


def test_the_same_seed_makes_the_same_bytes_and_they_are_made_once(folder: Path) -> None:
    first = made.load(LIKE[3])
    (file,) = (folder / "made").iterdir()
    written = file.stat().st_mtime_ns
    assert made.load(LIKE[3]) == first
    assert file.stat().st_mtime_ns == written
    assert list(made.lines_of(made.MARKETS[LIKE[3]])) == [*first.before, first.snapshot, *first.after]


@pytest.mark.slow
@pytest.mark.parametrize("like", LIKE)
def test_made_market_data_has_the_statistics_of_the_recorded(
    like: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(made.MARKETS, like, replace(made.MARKETS[like], diffs=800))
    found = asdict(market_statistics.measure(made.load(like)))
    recorded = asdict(market_statistics.RECORDED[like])
    for share in ("new", "changed", "repeated", "deleted", "unknown", "best"):
        assert found[share] == pytest.approx(recorded[share], abs=0.06), share
    for size in ("levels_mean", "levels_p95", "message_bytes", "distance_median_bps", "snapshot_levels"):
        assert found[size] == pytest.approx(recorded[size], rel=0.4), size
    for width in ("price_bytes", "quantity_bytes", "quantity_digits"):
        assert found[width] == pytest.approx(recorded[width], rel=0.15), width


def recording(path: Path, like: str = LIKE[3], *, without: int | None = None, snapshot: bool = True) -> Path:
    """A made market as a recording of hftbacktest's collector; `without` one of its diffs."""
    capture = made.load(like)
    lines = [*capture.before, *([capture.snapshot] if snapshot else []), *capture.after]
    if without is not None:
        del lines[without]
    with gzip.open(path, "wb") as file:
        for number, line in enumerate(lines):
            file.write(b"%d %s\n" % (1_723_161_253_937_085_768 + number * 10**8, line))
    return path


@pytest.mark.slow
def test_recordings_of_the_users_own_are_market_data_like_any_other(tmp_path: Path) -> None:
    files = [recording(tmp_path / "a.gz"), recording(tmp_path / "b.gz", LIKE[2])]
    found, left_out = market_data.own(files)
    assert {(each.exchange, each.symbol) for each in found} == {
        ("binance.com", "NEXOUSDT"),
        ("binance.com-coin_futures", "BTCUSD_PERP"),
    }
    assert left_out == []
    for capture in found:
        frames.assert_golden(capture)
        made_like = made.load(LIKE[3] if capture.symbol == "NEXOUSDT" else LIKE[2])
        assert capture.after == made_like.after
        assert capture.final_levels == made_like.final_levels


def test_a_market_ends_at_its_first_gap(tmp_path: Path) -> None:
    (found,), _ = market_data.own([recording(tmp_path / "a.gz", without=made.BEFORE + 1 + 200)])
    assert len(found.after) == 200
    frames.assert_golden(found)


def test_files_that_cannot_be_measured_say_why(tmp_path: Path) -> None:
    no_snapshot = recording(tmp_path / "a.gz", snapshot=False)
    gap = recording(tmp_path / "b.gz", without=made.BEFORE + 1 + 50)
    text = tmp_path / "c.txt"
    text.write_text("no recording\n")
    for file, why in (
        (no_snapshot, r"no market of .*a\.gz can be measured: NEXOUSDT \(binance\.com\): no snapshot"),
        (gap, r"50 diffs after its snapshot before its first gap, 100 are needed"),
        (text, r"cannot read .*c\.txt:1: "),
        (tmp_path / "nothing.gz", r"cannot read .*nothing\.gz"),
    ):
        with pytest.raises(market_data.UnusableFiles, match=why):
            market_data.own([file])


@pytest.mark.slow
def test_a_market_whose_side_runs_empty_is_left_out_with_the_reason(tmp_path: Path) -> None:
    capture = made.load(LIKE[3])
    data = json.loads(capture.after[-1])["data"]
    number = data["u"] + 1
    book = frames.fresh_book(capture)
    for frame in capture.after:
        book.apply(frame)
    asks = [[str(level.price), "0"] for level in book.exact.asks]
    last = capture.after[-1][: capture.after[-1].index(b'"U":')].decode()
    last += f'"U":{number},"u":{number},"b":[],"a":{json.dumps(asks)}}}}}'
    path = tmp_path / "one-sided.gz"
    with gzip.open(path, "wb") as file:
        for place, line in enumerate((*capture.before, capture.snapshot, *capture.after, last.encode())):
            file.write(b"%d %s\n" % (1_723_161_253_937_085_768 + place * 10**8, line))
    found, left_out = market_data.own([path, recording(tmp_path / "b.gz", LIKE[2])])
    assert [each.symbol for each in found] == ["BTCUSD_PERP"]
    assert left_out == ["NEXOUSDT (binance.com): a side is empty in the end"]


def test_the_page_shows_the_recorded_statistics() -> None:
    page = (ROOT / "docs" / "concepts" / "made-market-data.md").read_text("utf-8")
    for like, recorded in market_statistics.RECORDED.items():
        assert like in page
        for name, (called, form) in market_statistics.FORMS.items():
            shown = form.format(getattr(recorded, name))
            row = next(line for line in page.splitlines() if line.startswith(f"| {called} |"))
            assert f" {shown} / " in row, (called, like)


def test_a_frame_is_wrapped_as_other_clients_read_it(tmp_path: Path) -> None:
    capture = made.load(LIKE[3])
    path = tmp_path / "raw.gz"
    before, after = (
        [json.dumps(json.loads(frame)["data"], separators=(",", ":")).encode() for frame in diffs]
        for diffs in (capture.before, capture.after)
    )
    with gzip.open(path, "wb") as file:
        for number, line in enumerate((*before, capture.snapshot, *after)):
            file.write(b"%d %s\n" % (1_723_161_253_937_085_768 + number * 10**8, line))
    (found,), _ = market_data.own([path])
    assert {json.loads(frame)["stream"] for frame in found.after} == {"nexousdt@depth"}
    frames.assert_golden(found)


def test_a_diff_that_bridges_the_snapshot_counts_as_received_before_it(tmp_path: Path) -> None:
    capture = made.load(LIKE[3])
    path = tmp_path / "late.gz"
    lines = [*capture.before[:-1], capture.snapshot, capture.before[-1], *capture.after, capture.after[-1]]
    with gzip.open(path, "wb") as file:
        for number, line in enumerate(lines):
            file.write(b"%d %s\n" % (1_723_161_253_937_085_768 + number * 10**8, line))
    (found,), _ = market_data.own([path])
    assert (list(found.before), found.after) == (capture.before, capture.after)
    held = json.loads(capture.snapshot)["lastUpdateId"]
    bridge = json.loads(capture.before[-1])["data"]
    assert bridge["U"] <= held < bridge["u"]
