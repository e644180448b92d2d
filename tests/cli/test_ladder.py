"""The picture of books: drawn from states alone, the same text every time."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from rich.console import Console, RenderableType

from depthcache.cli.ladder import ladder, screen, state_lines
from depthcache.cli.state import BookState, state_line
from tests.cli.states import BUFFERING, SYNCED, WHOLE, Frozen, levels, stale


def text(picture: RenderableType, *, width: int = 100) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(picture)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_a_ladder_has_asks_above_bids_the_best_next_to_the_spread() -> None:
    assert text(ladder(SYNCED, levels=20)) == [
        "BTCUSDT binance.com",
        "   price quantity      sum",
        "61838.04 12.00000 13.54698 ████████",
        "61837.64  1.54698  1.54698 █",
        "    0.01   spread",
        "61837.63  3.78826  3.78826 ██▌",
        "61837.62  0.61700  4.40526 ▍",
    ]


def test_a_ladder_draws_no_more_levels_than_asked() -> None:
    assert len(text(ladder(SYNCED, levels=1))) == 2 + 1 + 2


def test_a_book_that_cannot_be_read_shows_its_status_instead_of_prices() -> None:
    assert text(ladder(BUFFERING, levels=20))[-1].strip() == "buffering"


@pytest.mark.parametrize("frozen", [Frozen(bids=[]), Frozen(asks=[]), Frozen(bids=[], asks=[])])
def test_an_empty_side_is_drawn_as_such(frozen: Frozen) -> None:
    assert any("one side is empty" in line for line in text(ladder(stale(frozen=frozen), levels=5)))


def test_numbers_of_any_size_are_exact() -> None:
    tiny = Frozen(levels(("0.00000001", "92233720368.54775807")), levels(("0.00000002", "1")))
    lines = text(ladder(stale(frozen=tiny), levels=5))
    assert any("0.00000001 92233720368.54775807" in line for line in lines)


def test_a_state_line_says_who_status_age_id_rate_and_how_far_complete() -> None:
    assert (
        state_line(SYNCED) == "BTCUSDT       binance.com          synced        age   82 ms"
        "  id    50093239218  complete 61730.17 to 62010.5, 998 x 1,000 levels  10.0 updates/s"
    )
    assert (
        state_line(BUFFERING) == "ETHUSDT       binance.com-futures  buffering     age       -"
        "  id              -  complete -  0.0 updates/s  a snapshot is on its way"
    )
    assert (
        state_line(WHOLE) == "NEXOUSDT      binance.com          synced        age  43.5 s"
        "  id      134180599  complete whole book, 305 x 818 levels  0.8 updates/s"
    )


def test_a_state_line_is_cut_at_the_edge_and_never_wrapped() -> None:
    (line,) = text(state_lines([stale()]), width=60)
    assert len(line) == 60
    assert line.endswith("…")


@pytest.mark.parametrize(("width", "across"), [(44, 1), (90, 2), (140, 3), (230, 5)])
def test_books_stand_beside_each_other_as_far_as_the_width_allows(width: int, across: int) -> None:
    lines = text(screen([SYNCED] * 5, width=width, height=200, levels=2), width=width)
    assert lines[0].count("BTCUSDT") == across


@pytest.mark.parametrize("height", [8, 24, 50, 100])
@pytest.mark.parametrize("states", [[SYNCED], [SYNCED, BUFFERING, WHOLE], [SYNCED] * 5])
def test_the_picture_fits_the_height_when_one_level_a_side_does(
    states: Sequence[BookState], height: int
) -> None:
    deep = Frozen(
        levels(*((str(100 - n), "1") for n in range(60))), levels(*((str(101 + n), "1") for n in range(60)))
    )
    deeper = [stale(frozen=deep) for _ in states]
    lines = text(screen(deeper, width=230, height=height, levels=50), width=230)
    least = 2 * 1 + 3 + 1 + len(states)
    assert len(lines) <= max(height, least)
    assert len(lines) >= min(height, 50) - 3


def test_no_books_are_drawn_as_such() -> None:
    assert text(screen([], width=80, height=24, levels=20)) == ["no books"]
