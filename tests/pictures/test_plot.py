"""The depth chart: what is drawn, what is marked as not proven, what is refused, and that no window opens."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import depthcache
from depthcache import BookClosed, BookEmpty, BookNotSynced, InvalidArgument, PackageMissing
from tests.engine import Levels, diff, snapshot
from tests.support.by_hand import ByHand

BIDS: Levels = [("99", "1"), ("98", "2"), ("97", "4")]
ASKS: Levels = [("101", "8"), ("103", "16")]


@pytest.fixture(autouse=True)
def _no_windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    monkeypatch.setattr(pyplot, "show", lambda *_, **__: pytest.fail("nobody asked for a window"))
    yield
    pyplot.close("all")


def loaded(
    *, bids: Levels = BIDS, asks: Levels = ASKS, limit: int = 5, exchange: str = "binance.com", **options: Any
) -> depthcache.Book:
    book = depthcache.Book(exchange, "BTCUSDT", **options)
    book.load_snapshot(snapshot(bids=bids, asks=asks), limit=limit)
    return book


def new_axes() -> Axes:
    """Axes that pyplot has never heard of."""
    figure = Figure()
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def steps(ax: Axes, side: str) -> list[tuple[float, float]]:
    """The corners of a side's curve, from the best price outwards."""
    for line in ax.get_lines():
        if line.get_label() == side:
            assert line.get_drawstyle() == "steps-post"
            xs, ys = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
            return [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
    return []


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def hatched(ax: Axes) -> list[tuple[float, float]]:
    return [
        (patch.get_x(), patch.get_x() + patch.get_width())  # type: ignore[attr-defined]
        for patch in ax.patches
        if patch.get_hatch()
    ]


def drawn(ax: Axes) -> None:
    assert ax.figure is not None
    ax.figure.canvas.draw()  # type: ignore[attr-defined]


def test_each_side_is_a_staircase_from_its_best_price_outwards() -> None:
    ax = loaded().plot(bps=300)
    assert steps(ax, "bids") == [(99, 0), (99, 1), (98, 3), (97, 7), (pytest.approx(100 - 3 * 1.04), 7)]
    assert steps(ax, "asks") == [(101, 0), (101, 8), (103, 24), (pytest.approx(100 + 3 * 1.04), 24)]
    assert ax.get_xlim() == pytest.approx((100 - 3 * 1.04, 100 + 3 * 1.04))
    assert ax.get_ylim()[0] == 0
    drawn(ax)


def test_quote_sums_up_price_times_quantity() -> None:
    ax = loaded().plot(cumulative="quote")
    assert steps(ax, "bids")[-1][1] == 99 + 2 * 98 + 4 * 97
    assert ax.get_ylabel() == "cumulative value (quote asset)"
    assert loaded().plot().get_ylabel() == "cumulative quantity (base asset)"
    coin = loaded(exchange="binance.com-coin_futures")
    assert coin.plot().get_ylabel() == "cumulative quantity (contracts)"
    with pytest.raises(InvalidArgument, match="COIN-M"):
        coin.plot(cumulative="quote")


def test_what_is_not_proven_is_hatched_and_said() -> None:
    book = loaded(bids=BIDS[:2], asks=[("101", "8"), ("101.5", "3")], limit=2)
    book.apply(diff(11, 11, bids=[("96", "9")], asks=[("104", "9")]))
    ax = book.plot(bps=500)
    assert hatched(ax) == [pytest.approx((95.84, 98)), pytest.approx((101.5, 104.16))]
    assert "complete to 98" in texts(ax)
    assert "complete to 101.5" in texts(ax)
    assert steps(ax, "bids")[-1] == (96, 12)


def test_a_known_whole_side_goes_on_to_the_edge_and_a_cut_one_to_the_next_level() -> None:
    ax = loaded().plot(levels=2)
    _, high = ax.get_xlim()
    assert steps(ax, "asks")[-1] == (pytest.approx(high), 24)
    assert steps(ax, "bids")[-1] == (97, 3)
    assert steps(loaded(limit=2).plot(bps=150), "asks")[-1] == (101.5, 8)
    assert hatched(ax) == []


def test_the_mid_and_the_moment_are_said() -> None:
    book = loaded()
    book.apply(diff(11, 12, bids=[("99.5", "1")]))
    ax = book.freeze().plot()
    assert "mid 100.25" in texts(ax)
    title = ax.get_title(loc="left")
    assert title == "BTCUSDT on binance.com\nupdate id 12, 2023-11-14 22:13:20 UTC"
    assert {"bids", "asks"} <= set(texts(ax))


def test_by_default_one_percent_of_a_deep_book_is_drawn() -> None:
    bids = [(f"{1_000 - at * 0.01:.2f}", "1") for at in range(20_000)]
    asks = [(f"{1_000.01 + at * 0.01:.2f}", "1") for at in range(20_000)]
    ax = loaded(bids=bids, asks=asks, limit=5_000).plot()
    assert ax.get_xlim() == pytest.approx((990, 1_010), abs=0.05)
    assert len(steps(ax, "bids")) == pytest.approx(1_000, abs=5)


def test_by_default_half_of_the_picture_is_complete_and_thin_books_show_twenty_levels() -> None:
    bids = [(f"{1_000 - at * 0.01:.2f}", "1") for at in range(100)]
    asks = [(f"{1_000.01 + at * 0.01:.2f}", "1") for at in range(100)]
    book = loaded(bids=bids, asks=asks, limit=100)
    book.apply(diff(11, 11, bids=[("995", "1"), ("400", "1")]))
    ax = book.plot()
    low, high = ax.get_xlim()
    assert high - low == pytest.approx(2 * 2 * 0.99, rel=0.05)
    thin = loaded(bids=[(str(100 - at), "1") for at in range(60)], asks=ASKS)
    assert len(steps(thin.plot(), "bids")) - 2 == 20


def test_one_sided_and_empty_books() -> None:
    ax = loaded(asks=[]).plot()
    assert "no asks" in texts(ax)
    assert not [text for text in texts(ax) if text.startswith("mid")]
    assert steps(ax, "bids")[1] == (99, 1)
    drawn(ax)
    assert "no bids" in texts(loaded(bids=[("99", "1")][:0]).plot())
    with pytest.raises(BookEmpty):
        loaded(bids=[], asks=[]).plot()
    nothing = loaded().plot(bps=0.5)
    assert "no level within 0.5 bps of the mid" in texts(nothing)
    drawn(nothing)


async def test_books_that_cannot_be_read_are_refused(exchange: list[ByHand]) -> None:
    with pytest.raises(BookNotSynced):
        depthcache.Book("binance.com").plot()
    async with depthcache.connect("binance.com", ["BTCUSDT"], settings=depthcache.Settings()) as books:
        await books.wait_synced(timeout=20)
        book = books["BTCUSDT"]
        assert steps(book.plot(), "bids")[1] == (1.1, 5)
        assert steps(book.exact.plot(), "bids")[1] == (1.1, 5)
    with pytest.raises(BookClosed):
        book.plot()


def test_the_last_known_book_is_drawn_as_such() -> None:
    book = loaded(on_stale="serve")
    book.apply(diff(15, 16))
    title = book.plot().get_title(loc="left")
    assert "BUFFERING: last known book, not current" in title


def test_one_call_may_draw_the_last_known_book_of_a_book_that_raises() -> None:
    book = loaded()
    book.apply(diff(15, 16))
    with pytest.raises(BookNotSynced):
        book.plot()
    for reader in (book, book.exact):
        title = reader.plot(on_stale="serve", max_age=10).get_title(loc="left")
        assert "BUFFERING: last known book, not current" in title
    with pytest.raises(InvalidArgument, match="on_stale"):
        book.plot(on_stale="sometimes")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="max_age"):
        book.plot(max_age=-1)


def test_foreign_text_is_never_read_as_mathematics() -> None:
    book = depthcache.Book("binance.com")
    book.load_snapshot(snapshot())
    book.apply(diff(11, 11, s="$\\frac{$"))
    ax = book.plot(ax=new_axes())
    assert ax.get_title(loc="left").startswith("$\\frac{$ on binance.com")
    drawn(ax)


def test_prices_on_the_axis_have_no_exponent_and_no_offset() -> None:
    ax = loaded(bids=[("0.00001234", "900000000")], asks=[("0.00001240", "1")]).plot()
    drawn(ax)
    labels = [label.get_text() for label in [*ax.get_xticklabels(), *ax.get_yticklabels()]]
    assert not [label for label in labels if "e" in label]
    assert "500,000,000" in labels or "400,000,000" in labels
    assert ax.xaxis.get_offset_text().get_text() == ""


@pytest.mark.slow
def test_given_axes_are_drawn_into_and_pyplot_hears_nothing() -> None:
    code = (
        "import sys, depthcache\n"
        "from matplotlib.figure import Figure\n"
        "book = depthcache.Book('binance.com')\n"
        'book.load_snapshot(b\'{"lastUpdateId":1,"bids":[["1","1"]],"asks":[["2","1"]]}\')\n'
        "ax = Figure().add_subplot()\n"
        "assert book.plot(ax=ax) is ax\n"
        "ax.figure.savefig(sys.stdout.buffer, format='svg')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert b"</svg>" in ran.stdout


def test_without_axes_each_call_makes_one_figure_of_its_own() -> None:
    from matplotlib import pyplot as plt

    first, second = loaded().plot(), loaded().plot()
    assert first.figure is not second.figure
    assert len(plt.get_fignums()) == 2


def test_text_takes_the_colour_of_the_users_style() -> None:
    with mpl.rc_context({"text.color": "#abcdef"}):
        ax = loaded().plot(ax=new_axes())
    words = next(text for text in ax.texts if text.get_text().startswith("mid"))
    assert to_hex(words.get_color()) == "#abcdef"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"levels": 0}, "invalid levels 0"),
        ({"levels": 2.5}, "invalid levels 2.5"),
        ({"levels": True}, "invalid levels True"),
        ({"bps": 0}, "invalid bps 0"),
        ({"bps": -1}, "invalid bps -1"),
        ({"bps": float("nan")}, "invalid bps nan"),
        ({"bps": "wide"}, "invalid bps 'wide'"),
        ({"levels": 5, "bps": 5}, "levels or bps, not both"),
        ({"cumulative": "both"}, "invalid cumulative 'both'"),
        ({"ax": "here"}, "invalid ax 'here'"),
    ],
)
def test_wrong_arguments_are_refused_with_what_is_allowed(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        loaded().plot(**options)
    assert told in str(caught.value)


def test_without_matplotlib_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "matplotlib.axes")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        PackageMissing, match=r'pip install "depthcache\[plot\]" \(in a checkout: pip install "\.\[plot\]"\)'
    ):
        loaded().plot()
