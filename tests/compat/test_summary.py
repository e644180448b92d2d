"""`print_summary` and its pictures, for managers on real sockets and for made-up stats."""

from __future__ import annotations

import builtins
import io
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFont

from depthcache import (
    BookStats,
    BudgetStats,
    CompleteTo,
    ConnectionStats,
    InvalidArgument,
    Stats,
    Status,
    simulator,
)
from depthcache.compat.ubldc import BinanceLocalDepthCacheManager, summary_png
from depthcache.compat.ubldc.summary import print_summary, summary_text

FILES = ["print_summary.png", "print_summary.txt", "print_summary_plain.png"]


class _Invented:
    """What a summary asks of a manager, with facts of one's own."""

    exchange, depth_cache_update_interval = "binance.com", 100

    def __init__(self, facts: Stats) -> None:
        from depthcache.compat.ubldc.stream_api import StreamApi

        self._facts = facts
        self._books: list[Any] = []
        self._ubwa = StreamApi(self)  # type: ignore[arg-type]

    def stats(self) -> Stats:
        return self._facts

    def get_user_agent(self) -> str:
        return "depthcache_1.2.3-python_3.11.7"

    def get_ubwa_manager(self) -> object:
        return self._ubwa

    def get_ubra_manager(self) -> object:
        return self

    def get_used_weight(self, cached: bool = False) -> dict[str, object] | None:
        return {"weight": 17} if cached else None


def invented(*books: BookStats) -> Any:
    connection = ConnectionStats(
        exchange="binance.com", number=1, streams=len(books), is_open=False, frames=0, received_bytes=0,
        quiet_s=None, connects=2, delays=(), delays_sum_s=0.0,
    )  # fmt: skip
    budget = BudgetStats(
        pool="binance.com spot", limit=6000, allowed=3000, used=70, exchange_used=None, waiting=1,
        in_flight=2, stopped_s=4.0, times=(), times_sum_s=0.0,
    )  # fmt: skip
    return _Invented(Stats(books=books, connections=(connection,), budgets=(budget,)))


def book(symbol: str, status: Status = Status.SYNCED, age_s: float | None = 0.5) -> BookStats:
    return BookStats(
        exchange="binance.com", symbol=symbol, status=status, counters={"applied": 7, "gaps": 3}, age_s=age_s,
        confirmed_s=age_s, levels=(40, 50), complete_to=CompleteTo(99.5, float("inf")),
        in_sync=1.0, losses=2, detect_s=0.0, recover_s=0.0, delays=(),
        delays_sum_s=0.0, reconnects=0,
    )  # fmt: skip


def picture(path: Path | str) -> Image.Image:
    """A picture that was written, read whole."""
    with Image.open(path) as opened:
        return opened.convert("RGB")


def cells(text: str, first: str) -> list[str]:
    """The cells of the row that begins with this."""
    row = next(line for line in text.splitlines() if line.startswith(f" {first} "))
    return [cell.strip() for cell in row.split("|")]


@pytest.fixture(scope="module")
def running() -> Iterator[BinanceLocalDepthCacheManager]:
    with (
        simulator.serve(seed=5) as server,
        BinanceLocalDepthCacheManager("binance.com", settings=server.settings) as ubldc,
    ):
        ubldc.create_depthcache(["BTCUSDT", "ETHUSDT"])
        ends = time.monotonic() + 60
        while not all(map(ubldc.is_depth_cache_synchronized, ubldc.get_list_of_depthcaches())):
            assert time.monotonic() < ends, "waited too long"
            time.sleep(0.01)
        yield ubldc


@pytest.mark.slow
def test_a_table_each_for_streams_caches_and_weight(
    running: BinanceLocalDepthCacheManager, capsys: pytest.CaptureFixture[str]
) -> None:
    running.print_summary(add_string="first\r\n second")
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[0].strip("= ") == running.get_user_agent()
    assert " exchange: binance.com" in lines
    assert " depth caches: 2, in sync: 2" in lines
    assert lines.index(" second") == lines.index(" first") + 1
    assert cells(text, "binance.com #1")[1:3] == ["open", "2"]
    name, status, _, bids, asks, below, above, _, gaps, resyncs = cells(text, "BTCUSDT")
    assert (name, status, gaps, resyncs) == ("BTCUSDT", "synced", "0", "0")
    assert int(bids) > 100
    assert int(asks) > 100
    assert 0 < float(below) < float(above)
    weight = next(line for line in lines if line.startswith(" binance.com spot"))
    assert [cell.strip() for cell in weight.split("|")][1:3] == ["6000", "3000"]
    assert set(lines[-1]) == {"="}
    assert "\x1b" not in text, "plain where stdout is no terminal"


def test_every_figure_is_in_its_column() -> None:
    text = summary_text(invented(book("AUSDT", Status.STALE, None)))
    assert cells(text, "AUSDT")[:7] == ["AUSDT", "stale", "-", "40", "50", "99.5", "all"]
    assert cells(text, "AUSDT")[8:] == ["3", "2"]
    assert cells(text, "binance.com #1") == ["binance.com #1", "closed", "1", "0.0", "-", "0", "2"]
    assert cells(text, "binance.com spot") == [
        "binance.com spot", "6000", "3000", "70", "-", "1", "2", "4.0",
    ]  # fmt: skip
    assert " update_interval_ms=100" in text
    assert " binance_api_status={'weight': 17}" in text


def test_a_title_takes_the_place_of_the_name_which_is_the_footer_then() -> None:
    lines = summary_text(invented(), title="My caches").splitlines()
    assert lines[0].strip("= ") == "My caches"
    assert lines[-1].strip("= ") == "Powered by depthcache_1.2.3-python_3.11.7"
    lines = summary_text(invented(), title="My caches", footer="the end").splitlines()
    assert lines[-1].strip("= ") == "the end"
    assert summary_text(invented(), footer="alone").splitlines()[-1].strip("= ") == "alone"


def test_what_a_program_adds_is_no_markup() -> None:
    text = summary_text(invented(), add_string="[red]levels[/] [[1.0, 2.0]]", title="[b]", footer="[/b]")
    assert " [red]levels[/] [[1.0, 2.0]]" in text.splitlines()
    assert "[/b]" in text.splitlines()[-1]


def test_a_long_line_of_a_program_is_not_broken() -> None:
    assert f" {'x' * 500}" in summary_text(invented(), add_string="x" * 500).splitlines()


def test_of_hundreds_those_in_need_of_attention_are_shown() -> None:
    books = [book(f"S{number}USDT") for number in range(300)]
    books[250] = book("LATEUSDT", Status.DISCONNECTED, 9.0)
    text = summary_text(invented(*books))
    rows = [line for line in text.splitlines() if "USDT" in line]
    assert len(rows) == 60
    assert rows[0].startswith(" LATEUSDT")
    assert " and 240 more; those that need attention are shown first" in text.splitlines()
    assert " depth caches: 300, in sync: 299" in text


def test_before_the_first_cache_there_is_little_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    with BinanceLocalDepthCacheManager("binance.com") as ubldc:
        ubldc.print_summary()
        assert " depth caches: 0, in sync: 0" in capsys.readouterr().out.splitlines()
    ubldc.print_summary()
    assert "depth caches: 0" in capsys.readouterr().out, "also after the end"


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_summary(invented(book("AUSDT"), book("BUSDT", Status.STALE)), title="T")
    assert "\x1b[32m" in shown.getvalue()
    assert "AUSDT" in shown.getvalue()


# --- pictures --------------------------------------------------------------------------------


def test_three_files_are_written_and_show_the_text(tmp_path: Path) -> None:
    place = tmp_path / "a new; folder $(x)"  # d36: was part of a command line
    summary_png.write("one\n  two\n", str(place), height_per_row=12.5)
    assert sorted(each.name for each in place.iterdir()) == FILES
    assert (place / "print_summary.txt").read_text() == "one\n  two\n"
    plain = picture(place / "print_summary_plain.png").convert("L")
    width, height = plain.size
    assert height == round(12.5 * (2 + 4))
    background = {colour for _, colour in plain.crop((0, 0, width, 20)).getcolors() or []}
    assert background == {0}
    assert plain.getbbox() is not None
    stamped = picture(place / "print_summary.png")
    assert stamped.size == plain.size
    colours = [colour for _, colour in stamped.crop((0, 0, width, 20)).getcolors(1 << 20) or []]
    reds = [colour for colour in colours if colour[0] > 100 > colour[1]]  # type: ignore[index]
    assert reds, "the time, in red"


def test_d36_pictures_need_no_other_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    with BinanceLocalDepthCacheManager("binance.com") as ubldc:
        ubldc.print_summary_to_png(str(tmp_path), add_string="mine", title="t", footer="f")
    assert sorted(each.name for each in tmp_path.iterdir()) == FILES
    assert " mine" in (tmp_path / "print_summary.txt").read_text().splitlines()
    assert capfd.readouterr() == ("", "")


def test_rows_are_as_high_as_asked_and_no_path_is_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    summary_png.write("x\n" * 10, None, height_per_row=20)
    low = picture("print_summary.png").size
    summary_png.write("x\n" * 10, None, height_per_row=40)
    high = picture("print_summary.png").size
    assert (low[1], high[1]) == (280, 560)
    assert high[0] > 1.8 * low[0]


@pytest.mark.parametrize("height", [0, -1, 1e9, float("nan"), True, "12", None])
def test_a_height_that_cannot_be_drawn_is_refused(tmp_path: Path, height: Any) -> None:
    with pytest.raises(InvalidArgument, match="height_per_row"):
        summary_png.write("x", str(tmp_path), height_per_row=height)
    with pytest.raises(InvalidArgument, match="at most 100,000,000 pixels"):
        summary_png.write("x" * 10_000 + "\n" * 2_000, str(tmp_path), height_per_row=40)
    assert list(tmp_path.iterdir()) == []


def test_wide_letters_take_two_cells(tmp_path: Path) -> None:
    summary_png.write("币安|\nabcd|\n", str(tmp_path), height_per_row=20)
    image = picture(tmp_path / "print_summary_plain.png").convert("L")
    top, bottom = image.crop((0, 40, image.width, 60)), image.crop((0, 60, image.width, 80))
    right = [part.getbbox()[2] for part in (top, bottom)]  # type: ignore[index]
    assert right[0] == right[1], "the bars stand one below the other"


def test_a_system_without_fonts_draws_with_the_one_of_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> object:
        raise OSError("cannot open resource")

    monkeypatch.setattr(ImageFont, "truetype", missing)
    summary_png.write("plain 币\n", str(tmp_path), height_per_row=12.5)
    assert picture(tmp_path / "print_summary.png").getbbox() is not None


def test_without_pillow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *others: Any) -> object:
        if name.startswith("PIL"):
            raise ImportError(name)
        return real(name, *others)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "depthcache\[png\]"'):
        summary_png.write("x", str(tmp_path), height_per_row=12.5)


def test_who_reads_the_files_never_sees_half_of_them(tmp_path: Path) -> None:
    summary_png.write("x\n" * 50, str(tmp_path), height_per_row=12.5)
    failed: list[Exception] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                picture(tmp_path / "print_summary.png")
            except Exception as error:
                failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        summary_png.write("x\n" * 50, str(tmp_path), height_per_row=12.5)
    stop.set()
    reader.join()
    assert failed == []
    assert sorted(each.name for each in tmp_path.iterdir()) == FILES, "nothing is left over"
