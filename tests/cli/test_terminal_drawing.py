"""The whole screen: exact in size, prices whole at every width, status and reason before anything else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthcache import Book, Status
from depthcache.cli.live import last_lines
from depthcache.cli.state import Meter, state_line
from depthcache.cli.terminal.drawing import picture
from depthcache.cli.terminal.lines import width_of
from tests.cli.shown import ASKS, AT, BIDS, Claims, Clock, Pairs, book, diff, press, screen, session, snapshot

MANY_BIDS: Pairs = [(f"{100 - n / 100:.2f}", f"{1 + n / 7:.5f}") for n in range(60)]
MANY_ASKS: Pairs = [(f"{100 + n / 100:.2f}", f"{1 + n / 9:.5f}") for n in range(1, 60)]
TINY: tuple[Pairs, Pairs] = ([("0.00001234", "1000000000000.00")], [("0.00001235", "7.50")])
LARGE: tuple[Pairs, Pairs] = ([("123456.78", "0.00000001")], [("123456.79", "999999999999.99999999")])
SIZES = [(80, 24), (120, 40), (60, 20), (40, 10), (200, 60), (20, 5), (5, 2), (1, 1)]


def rows(lines: Sequence[str]) -> list[str]:
    """The lines of the ladder."""
    return [line for line in lines if line[:1] in "▾▴" and line.strip()]


# --- every size -----------------------------------------------------------------------------------


@given(
    st.integers(1, 150),
    st.integers(1, 60),
    st.sampled_from([(BIDS, ASKS), (MANY_BIDS, MANY_ASKS), TINY, LARGE, (BIDS, []), ([], ASKS), ([], [])]),
    st.sampled_from(["ladder", "list", "help"]),
    st.integers(1, 3),
)
def test_the_picture_has_exactly_the_size_of_the_terminal(
    width: int, height: int, sides: tuple[Pairs, Pairs], mode: str, count: int
) -> None:
    shown = session([book(f"S{number}USDT", *sides) for number in range(count)])
    shown.mode = mode
    lines = picture(shown, width, height)
    assert len(lines) == height
    assert {width_of(line) for line in lines} == {width}


@given(
    st.integers(30, 150),
    st.integers(8, 50),
    st.sampled_from([(BIDS, ASKS), (MANY_BIDS, MANY_ASKS), TINY, LARGE]),
)
def test_prices_and_sizes_are_whole_at_every_width(
    width: int, height: int, sides: tuple[Pairs, Pairs]
) -> None:
    lines = rows(screen(session([book("BTCUSDT", *sides), book("ETHUSDT")]), width, height))
    held = {Decimal(price): Decimal(size) for side in sides for price, size in side}
    assert lines
    for line in lines:
        price, size = line[1:].split()[:2]
        assert Decimal(price) in held
        if not size.startswith("≈"):
            assert Decimal(size) == held[Decimal(price)]
        assert "…" not in line.split("│")[0]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
@pytest.mark.parametrize("sides", [(MANY_BIDS, MANY_ASKS), TINY, LARGE])
def test_a_usual_terminal_shows_price_size_and_total(
    width: int, height: int, sides: tuple[Pairs, Pairs]
) -> None:
    lines = screen(session([book("BTCUSDT", *sides)]), width, height)
    assert any(re.match(r" +price +size +total", line) for line in lines)
    assert "≈" not in "".join(lines)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("count", [1, 7])
def test_books_with_nothing_in_them_are_a_picture_too(width: int, height: int, count: int) -> None:
    shown = session([Book("binance.com", f"S{number}USDT") for number in range(count)])
    for mode in ("ladder", "list", "help"):
        shown.mode = mode
        assert len(screen(shown, width, height)) == height


# --- the ladder -------------------------------------------------------------------------------------


def test_asks_stand_above_the_spread_and_bids_below_with_totals_from_the_best() -> None:
    lines = screen(session([book()]), 60, 24)
    at = next(number for number, line in enumerate(lines) if "spread" in line)
    assert [line[:32] for line in lines[at - 2 : at + 4]] == [
        "▾ 61838.04  12.00000  13.54698  ",
        "▾ 61837.64   1.54698   1.54698  ",
        "      0.01  spread  0.0016 bps  ",
        "▴ 61837.63   3.78826   3.78826  ",
        "▴ 61837.62   0.61700   4.40526  ",
        "▴ 61837.60   1.00000   5.40526  ",
    ]
    assert "mid 61837.635" in lines[at]


def test_the_spread_stays_in_the_middle_until_it_is_scrolled_and_comes_back() -> None:
    shown = session([book("BTCUSDT", MANY_BIDS, MANY_ASKS)], levels=50)

    def place() -> int | None:
        lines = screen(shown)
        return next((number for number, line in enumerate(lines) if "spread" in line), None)

    middle = place()
    press(shown, "down", "down")
    assert place() == middle - 2  # type: ignore[operator]
    press(shown, "pagedown", "pagedown")
    assert place() is None
    press(shown, *["pagedown"] * 50)
    assert rows(screen(shown))[-1].split()[1] == MANY_BIDS[49][0]
    press(shown, *["pageup"] * 50)
    assert rows(screen(shown))[0].split()[1] == MANY_ASKS[49][0]
    press(shown, "c")
    assert place() == middle


def test_levels_beyond_the_complete_range_are_dimmed_and_said_nowhere_to_be_proven() -> None:
    made = book("BTCUSDT", MANY_BIDS[:3], MANY_ASKS[:3], limit=3)
    made.apply(diff(11, 11, bids=[("90.00", "5.00000")]))
    shown = session([made])
    styles = {line[0][0][2:].strip(): line[0][1] for line in picture(shown, 80, 24) if line[0][0][:1] == "▴"}
    assert styles == {"100.00": "bid", "99.99": "bid", "99.98": "bid", "90.00": "faded"}
    assert "complete 99.98 to 100.03: 3 bids, 3 asks" in "\n".join(screen(shown))


def test_a_size_that_changed_is_marked_and_fades_in_three_steps() -> None:
    made, clock = book(), Clock()
    shown = session([made], clock=clock)
    made.apply(diff(11, 11, bids=[("61837.62000000", "9.00000000")]))
    steps = []
    for _ in range(8):
        shown.frame()
        styles = [style for line in picture(shown, 80, 24) for text, style in line if text == "9.00000"]
        steps.append(styles[0])
    assert steps == ["bid-hot3"] * 2 + ["bid-hot2"] * 2 + ["bid-hot1"] * 2 + ["size"] * 2
    assert "ask-hot" not in str(picture(shown, 80, 24))


def test_levels_that_only_come_into_view_are_not_marked() -> None:
    shown = session([book("BTCUSDT", MANY_BIDS, MANY_ASKS)], levels=5)
    press(shown, "right_square_bracket", "right_square_bracket")
    shown.frame()
    assert "-hot" not in str(picture(shown, 80, 40))
    made = book()
    shown = session([made], levels=2)
    made.apply(diff(11, 11, bids=[(BIDS[0][0], "0")]))
    shown.frame()
    assert [line.split()[1] for line in rows(screen(shown))][2:] == ["61837.62", "61837.60"]
    assert "-hot" not in str(picture(shown, 80, 24))


def test_columns_keep_their_width_when_numbers_get_shorter() -> None:
    made = book("BTCUSDT", [("99.9", "1")], [("100.1", "123456.789")])
    shown = session([made])
    before = rows(screen(shown))[-1]
    made.apply(diff(11, 11, asks=[("100.1", "0"), ("100.2", "1")]))
    shown.frame()
    assert rows(screen(shown))[-1] == before


def test_columns_keep_their_width_when_the_levels_are_grouped() -> None:
    shown = session([book("BTCUSDT", MANY_BIDS, MANY_ASKS)])
    before = rows(screen(shown, 60, 24))[0]
    press(shown, *["plus"] * 6)
    after = rows(screen(shown, 60, 24))[0]
    assert after.split()[1] == "101"
    assert len(after[:12].rstrip()) == len(before[:12].rstrip())


def test_groups_are_multiples_of_the_tick_and_the_true_spread_stays() -> None:
    shown = session([book("BTCUSDT", MANY_BIDS, MANY_ASKS)])
    assert "group 0.01  20 levels" in "\n".join(screen(shown))
    press(shown, "plus", "plus", "plus")
    text = "\n".join(screen(shown))
    assert "group 0.1  20 levels" in text
    assert "0.01  spread" in text
    assert [line.split()[1] for line in rows(screen(shown))][-3:] == ["99.7", "99.6", "99.5"]
    press(shown, *["minus"] * 9)
    assert "group 0.01  20 levels" in "\n".join(screen(shown))


def test_brackets_change_the_levels_in_round_steps() -> None:
    shown = session([book("BTCUSDT", MANY_BIDS, MANY_ASKS)], levels=12)
    seen = []
    for name in ["right_square_bracket"] * 3 + ["left_square_bracket"] * 20:
        press(shown, name)
        seen.append(shown.ladder.levels)
    assert seen[:4] == [15, 20, 30, 20]
    assert seen[-1] == 1
    assert len(rows(screen(shown))) == 2


# --- the state --------------------------------------------------------------------------------------

LONG = "the connection broke: " + "the proxy of the office refused it and said why at some length; " * 2


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_reason_is_shown_before_any_figure_and_whole(width: int) -> None:
    claimed = Claims(book(), status=Status.DISCONNECTED, reason=LONG.strip())
    lines = screen(session([claimed]), width, 24)
    text = " ".join(" ".join(lines[1:8]).split())
    assert text.startswith("DISCONNECTED the connection broke: the proxy")
    assert "said why at some length; the proxy of the office refused" in text
    if width > 40:
        assert LONG.split(";")[1].strip() in text


@given(
    st.text(alphabet="ab: 币", max_size=200),
    st.sampled_from(list(Status)),
    st.integers(1, 130),
    st.integers(1, 50),
    st.booleans(),
)
def test_any_reason_and_any_message_keep_the_size(
    reason: str, status: Status, width: int, height: int, is_frozen: bool
) -> None:
    shown = session([Claims(book(), status=status, reason=reason, since_at=AT), book("ETHUSDT")])
    if is_frozen:
        press(shown, "space")
    shown._say(reason, "bad")
    lines = picture(shown, width, height)
    assert len(lines) == height
    assert {width_of(line) for line in lines} == {width}


def test_a_book_that_is_not_the_present_is_faded_whole() -> None:
    claimed = Claims(book(), status=Status.STALE, reason="no diff came for 30 s")
    shown = session([claimed])
    styles = {
        style for line in picture(shown, 80, 24) for text, style in line if line[0][0][:1] in "▾▴" and text
    }
    assert styles <= {"faded", "", "title"}
    assert "STALE  no diff came for 30 s" in "\n".join(screen(shown))
    spread = next(line for line in picture(shown, 80, 24) if line[0][0].startswith("  not synced: no spread"))
    assert "spread" not in {style for _, style in spread}
    assert "bps" not in "".join(text for text, _ in spread)
    assert not re.search(r"bps +mid", "\n".join(screen(shown)))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 20), (40, 10)])
def test_nothing_moves_when_a_book_is_lost_or_a_message_comes(width: int, height: int) -> None:
    made, clock = book("BTCUSDT", MANY_BIDS, MANY_ASKS), Clock()
    reasons = [
        {"reason": "", "since_at": AT},
        {"status": Status.STALE, "reason": "no diff came for 30 s", "since_at": AT},
        {"status": Status.BUFFERING, "reason": LONG.strip(), "since_at": AT},
        {"reason": "", "since_at": AT, "counters": {**made.counters, "gaps": 12_345}},
    ]
    rows_of_prices = set()
    for claimed in reasons:
        shown = session([Claims(made, **claimed)], clock=clock)
        for _ in range(2):
            lines = screen(shown, width, height)
            rows_of_prices.add(next(at for at, line in enumerate(lines) if " price " in line))
            middle = next(at for at, line in enumerate(lines) if line[:2] == "  " and "spread" in line)
            rows_of_prices.add(-middle)
            shown._say("audit of BTCUSDT: " + LONG, "bad")
    assert len(rows_of_prices) == 2


def test_status_and_time_come_before_the_reason() -> None:
    claimed = Claims(book(), status=Status.BUFFERING, reason="sequence gap: the next diff is 9", since_at=AT)
    for width in (80, 120):
        lines = screen(session([claimed]), width, 40)
        assert lines[1].startswith(" BUFFERING  since 03:04:05 UTC: sequence gap: the next diff is 9")
        assert "since" not in "".join(lines[2:])


def test_what_is_not_synced_shows_no_figure_of_the_past() -> None:
    claimed = Claims(book(), status=Status.BUFFERING, reason="sequence gap")
    state = Meter(claimed).look(0)
    assert state.best is not None
    assert state.spread_bps is None
    line = state_line(state)
    assert " bid " not in line
    assert "complete -" in line


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 20), (40, 10)])
def test_groups_and_levels_are_said_when_they_change(width: int, height: int) -> None:
    shown = session([book("BTCUSDT", MANY_BIDS, MANY_ASKS), book("ETHUSDT")])
    press(shown, "plus")
    assert "prices in groups of 0.02" in screen(shown, width, height)[-1]
    press(shown, "right_square_bracket")
    assert "30 levels a side" in screen(shown, width, height)[-1]
    press(shown, "minus")
    assert "every price as it is" in screen(shown, width, height)[-1]
    press(shown, *["left_square_bracket"] * 20)
    assert "1 level a side" in screen(shown, width, height)[-1]
    assert "1 levels" not in "".join(screen(shown, width, height))
    if height >= 24:
        assert "group 0.01  1 level " in "".join(screen(shown, width, height))


def test_a_book_that_lost_its_place_before_it_was_looked_at_shows_its_last_levels() -> None:
    made = book()
    made.apply(diff(20, 21))
    assert made.status is not Status.SYNCED
    assert len(rows(screen(session([made])))) == 5


def test_a_gap_says_when_it_was() -> None:
    made, clock = book(), Clock()
    shown = session([made], clock=clock)
    assert "no gaps" in "\n".join(screen(shown))
    made.apply(diff(20, 21))
    shown.frame()
    clock.now_ns = 90_000_000_000
    made.load_snapshot(snapshot(BIDS, ASKS, 30))
    shown.frame()
    assert "1 gap, last 90.0 s ago" in "\n".join(screen(shown))


def test_texts_of_the_exchange_cannot_reach_the_terminal() -> None:
    evil = "\x1b[2J\x1b]0;owned\x07\r\n\u202eoops"
    claimed = Claims(book(), symbol=f"BTC{evil}", reason=evil, status=Status.STALE)
    shown = session([claimed, book("ETHUSDT")])
    for mode in ("ladder", "list"):
        shown.mode = mode
        text = "".join(screen(shown))
        assert text.isprintable()
        assert "\\x1b" in text
    assert "".join(last_lines([Meter(claimed).look(0)])).isprintable()


def test_chinese_symbols_take_two_cells_each() -> None:
    names = ["币安人生USDT", "我踏马来了USDT", "BTCUSDT"]
    shown = session([Claims(book(), symbol=name) for name in names])
    shown.mode = "list"
    lines = picture(shown, 80, 24)
    assert {width_of(line) for line in lines} == {80}
    assert all(any(name in line for line in screen(shown)) for name in names)


def test_a_title_says_what_the_books_are() -> None:
    banner = ("simulated market, embedded exchange", "120 comparisons with the truth, differences: 0")
    shown = session([book()], banner=lambda: banner)
    for width, height in SIZES[:4]:
        text = " ".join(" ".join(screen(shown, width, height)).split())
        assert banner[0] in text
        assert banner[1] in text or height < 18


# --- many books -------------------------------------------------------------------------------------


def test_the_list_shows_why_a_book_is_not_synced_in_place_of_its_figures() -> None:
    stale = Claims(book("ETHUSDT"), status=Status.STALE, reason="no diff came for 30 s")
    shown = session([book(), stale])
    press(shown, "l")
    text = "\n".join(screen(shown))
    assert re.search(r"● BTCUSDT .* 0.0 +0.0016 bps +0 ", text)
    assert re.search(r"○ ETHUSDT +stale: no diff came for 30 s", text)


def test_five_hundred_books_are_filtered_sorted_and_walked_through() -> None:
    made = [book(f"S{number:03}USDT", BIDS, [(f"{61_838 + number}", "1")]) for number in range(500)]
    shown = session(made)
    press(shown, "l", "s", "s", "s", "s")
    assert shown.sort == "spread"
    assert shown.meters[shown.order[0]].book.symbol == "S499USDT"
    press(shown, "slash", "4", "9", "7")
    assert "1 of 500 books" in screen(shown)[-1]
    press(shown, "enter")
    assert (shown.mode, shown.state.symbol) == ("ladder", "S497USDT")
    press(shown, "escape", "tab")
    assert shown.state.symbol == "S496USDT"
    press(shown, "shift+tab", "shift+tab")
    assert shown.state.symbol == "S498USDT"
    press(shown, "slash", "z", "z")
    assert "0 of 500 books" in screen(shown)[-1]
    press(shown, "enter")
    assert len(shown.order) == 500


def test_the_list_says_how_it_is_sorted_also_where_that_has_no_column() -> None:
    shown = session([book(), book("ETHUSDT")])
    press(shown, "l")
    for name, narrow in (
        ("status", "↓status"),
        ("age", "↓age"),
        ("updates/s", "↓updates/s"),
        ("spread", "↓spread"),
    ):
        press(shown, "s")
        assert shown.sort == name
        assert f"↓{name}" in "\n".join(screen(shown, 120, 24))
        assert narrow in "\n".join(screen(shown, 32, 24))
        assert "worst" not in "\n".join(screen(shown))


def test_the_list_names_venues_as_a_trader_does() -> None:
    names = ["binance.com", "binance.com-futures", "binance.com-coin_futures", "binance.com-testnet"]
    shown = session([Claims(book(), exchange=name) for name in names])
    press(shown, "l")
    text = "\n".join(screen(shown, 44))
    assert re.findall(r"● BTCUSDT +(\S+(?: testnet)?)  ", text) == ["spot", "COIN-M", "USD-M", "spot testnet"]
    press(shown, "slash", "C", "O", "I", "N", "-", "M")
    assert len(shown.order) == 1


def test_the_last_lines_of_many_books_are_those_that_are_not_synced() -> None:
    states = [Meter(book(f"S{number}USDT")).look(0) for number in range(30)]
    assert last_lines(states) == ["30 of 30 books synced"]
    states += [Meter(Book("binance.com", f"E{number}USDT")).look(0) for number in range(25)]
    lines = last_lines(states)
    assert len(lines) == 22
    assert lines[-2:] == ["… and 15 more that are not synced", "30 of 55 books synced"]
    assert [line.split()[0] for line in last_lines(states[:3]) if line[0] != " "] == [
        "S0USDT",
        "S1USDT",
        "S2USDT",
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_last_lines_break_between_figures_only(width: int) -> None:
    reason = "sequence gap: the book is at 96187676, but the next diff follows 96187679, of the first stream"
    claimed = [
        Claims(book("BTCUSDT", MANY_BIDS, MANY_ASKS), last_update_id=96_187_676_123, since_at=AT, reason=""),
        Claims(book("ETHUSDT"), status=Status.BUFFERING, reason=reason, since_at=AT),
    ]
    lines = last_lines([Meter(each).look(0) for each in claimed], width)
    assert all(len(line) < width for line in lines)
    assert 4 <= len(lines) <= 7
    words = " ".join(" ".join(lines).split())
    assert words == (
        "BTCUSDT binance.com synced since 03:04:05 UTC age 0 ms id 96187676123 bid 100.00 ask 100.01 "
        "0.0 updates/s whole book: 60 bids, 59 asks no gaps "
        f"ETHUSDT binance.com buffering since 03:04:05 UTC: {reason} "
        "age 0 ms id 10 0.0 updates/s complete - no gaps"
    )
    for figure in ("bid 100.00", "ask 100.01", "id 96187676123", "whole book: 60 bids, 59 asks"):
        assert any(figure in line for line in lines)


# --- freeze -----------------------------------------------------------------------------------------


def test_a_frozen_book_stays_as_it_was_and_says_since_when() -> None:
    made = book()
    shown = session([made, book("ETHUSDT")])
    press(shown, "space")
    made.apply(diff(11, 11, bids=[("61837.62000000", "9.00000000")]))
    shown.frame()
    text = "\n".join(screen(shown))
    assert "FROZEN since 03:04:05 UTC" in text
    assert "0.61700" in text
    assert "id 10" in text
    assert "(the list is live)" in text
    press(shown, "plus")
    assert "FROZEN" in "\n".join(screen(shown))
    press(shown, "tab")
    assert "FROZEN" not in "\n".join(screen(shown))
    press(shown, "tab", "space", "minus")
    text = "\n".join(screen(shown))
    assert "FROZEN" not in text
    assert "9.00000" in text
    assert "id 11" in text


def test_the_depth_of_a_frozen_book_is_frozen_too_and_goes_on_beneath() -> None:
    made, clock = book(), Clock()
    shown = session([made], clock=clock)
    press(shown, "space")
    held = screen(shown)[-3:-1]
    assert "17.5" not in "".join(held)
    made.apply(diff(11, 11, asks=[("61837.70000000", "4.00000000")]))
    for second in range(1, 6):
        clock.now_ns = second * 1_000_000_000
        shown.frame()
    assert screen(shown)[-3:-1] == held
    press(shown, "space")
    assert "17.55 BTC" in screen(shown)[-3]
    assert "last 6 s" in screen(shown)[-3]


def test_nothing_is_frozen_before_a_book_came() -> None:
    shown = session([Book("binance.com", "BTCUSDT")])
    press(shown, "space")
    assert "nothing to freeze" in screen(shown)[-1]


# --- help and footer ----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_footer_names_whole_keys_only(width: int) -> None:
    from depthcache.cli.terminal.keys import KEYS

    foot = screen(session([book()]), width)[-1]
    known = {f"{key.shown} {key.label}" for key in KEYS if key.label}
    shown = [part.strip() for part in re.split(r"  +", foot.strip())]
    assert set(shown) <= known
    assert shown[:2] == ["? help", "q quit"]


def test_help_names_every_key_and_any_key_closes_it_where_it_is_whole() -> None:
    from depthcache.cli.terminal.keys import KEYS

    shown = session([book()])
    press(shown, "question_mark")
    text = "\n".join(screen(shown, 80, 40))
    assert all(key.shown in text for key in KEYS)
    press(shown, "space")
    assert shown.mode == "ladder"
    assert shown.frozen_at is None
    press(shown, "question_mark")
    screen(shown, 80, 40)
    press(shown, "down")  # there is nothing to scroll
    assert shown.mode == "ladder"


def test_a_help_that_is_too_long_says_that_it_scrolls() -> None:
    shown = session([book()])
    press(shown, "question_mark")
    assert "↑ ↓ scroll · other keys close the help" in screen(shown, 40, 10)[-1]
    seen = set(screen(shown, 40, 10))
    for _ in range(40):
        press(shown, "down")
        seen.update(screen(shown, 40, 10))
    assert shown.mode == "help"
    assert any("▾ asks, ▴ bids" in line for line in seen)
    assert any("the best price on" in line for line in seen)
    press(shown, "space")
    assert shown.mode == "ladder"


def test_the_help_of_the_demo_is_whole_in_a_small_terminal() -> None:
    banner = ("simulated market, embedded exchange", "1,234,567 comparisons with the truth, differences: 0")
    shown = session([book()], banner=lambda: banner)
    press(shown, "question_mark")
    lines = screen(shown)
    assert "the best price on" in " ".join(lines)
    assert "scroll · other keys" not in lines[-1]


def test_a_time_of_the_system_is_shown_in_utc() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    claimed: Any = Claims(book(), since_at=AT.astimezone(east), reason="")
    assert "SYNCED  since 03:04:05 UTC" in "\n".join(screen(session([claimed])))


def test_the_picture_of_the_documents_shows_ages_as_they_are() -> None:
    texts = (
        Path(__file__)
        .parents[2]
        .joinpath("docs", "pictures", "terminal.svg")
        .read_text("utf-8")
        .replace("&#160;", " ")
    )
    ages = re.findall(r"(\d+) ms", texts)
    assert len(ages) == 9
    assert len(set(ages)) >= 6
    assert "help" in texts
