"""The depth chart of a book, drawn with matplotlib: how much can be traded down or up to a price.

One freeze is one moment. What is not proven is never drawn as if it were: prices beyond the complete range
are hatched, and a side ends at its last held level unless the side is known as a whole. Text takes the
colours of the user's style; words and position tell bids from asks, not colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from typing import Any

from depthcache.arguments import parse_real, parse_whole
from depthcache.errors import BookEmpty, InvalidArgument, PackageMissing, UnknownExchange
from depthcache.foreign_text import clean
from depthcache.pictures.numbers import plain
from depthcache.venues import venue

__all__ = ["DEFAULT_BPS", "DEFAULT_LEVELS", "depth_chart"]

DEFAULT_BPS = 100.0
"""1 % of the mid, which is what matters of a book of 20,000 levels. Where the book is complete for less, it
is twice as far as that, so half of the picture is proven."""
DEFAULT_LEVELS = 20
"""At least so many of each side, where levels lie far apart."""

_COLOURS = {"bids": "#2f86cc", "asks": "#d9661f"}
_MARGIN = 1.04
_HEADROOM = 1.3
"""Above the curves is room for words."""


def depth_chart(
    book: Any,
    *,
    ax: Any = None,
    levels: object = None,
    bps: object = None,
    cumulative: str = "base",
    on_stale: str | None = None,
    max_age: float | None = None,
) -> Any:
    """Draw the book of this moment; see `BookReader.plot`."""
    window = _parse_window(levels, bps)
    if cumulative not in ("base", "quote"):
        raise InvalidArgument(name="cumulative", value=cumulative, allowed="'base' or 'quote'")
    family = _family(book.exchange)
    if cumulative == "quote" and family == "inverse":
        allowed = "'base' on COIN-M, where a book does not know what a contract is worth"
        raise InvalidArgument(name="cumulative", value=cumulative, allowed=allowed)
    axes_class = _matplotlib("matplotlib.axes").Axes
    if ax is not None and not isinstance(ax, axes_class):
        raise InvalidArgument(name="ax", value=ax, allowed="Axes of matplotlib, or None for a new figure")
    frozen = book.freeze(on_stale=on_stale, max_age=max_age)
    if not len(frozen.bids) and not len(frozen.asks):
        raise BookEmpty(exchange=frozen.exchange, symbol=frozen.symbol, side="bids")
    if ax is None:
        ax = _matplotlib("matplotlib.pyplot").subplots(figsize=(8, 4), layout="constrained")[1]
    _draw(ax, frozen, window, cumulative=cumulative)
    ax.set_xlabel("price", parse_math=False)
    ax.set_ylabel(_unit(cumulative, family))
    return ax


@dataclass(frozen=True, slots=True)
class _Window:
    """Which part is drawn: the best `levels` of each side, or what lies within `bps` of the mid."""

    levels: int | None
    bps: float | None


def _parse_window(levels: object, bps: object) -> _Window:
    if levels is not None and bps is not None:
        raise InvalidArgument(name="levels", value=levels, allowed="levels or bps, not both")
    if levels is not None:
        allowed = "a whole number of levels a side, 1 or more, or None"
        return _Window(parse_whole(levels, name="levels", allowed=allowed, least=1), None)
    if bps is not None:
        allowed = "basis points above 0, at most 10,000, or None"
        return _Window(None, parse_real(bps, name="bps", allowed=allowed, least=1e-9, most=10_000))
    return _Window(None, None)


def _matplotlib(module: str) -> Any:
    """A module of matplotlib, which may not be installed. Raises PackageMissing."""
    try:
        import_module("matplotlib")
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise PackageMissing(package="matplotlib", wanted_for="plot()") from None
    return import_module(module)


def _family(exchange: str) -> str:
    try:
        return venue(exchange).family
    except UnknownExchange:  # an offline book may be of any
        return "spot"


def _unit(cumulative: str, family: str) -> str:
    if cumulative == "quote":
        return "cumulative value (quote asset)"
    return f"cumulative quantity ({'contracts' if family in ('inverse', 'options') else 'base asset'})"


# --- drawing ---------------------------------------------------------------------------------


def _draw(ax: Any, frozen: Any, window: _Window, *, cumulative: str) -> None:
    arrays = frozen.to_numpy()
    held = {"bids": arrays.bids, "asks": arrays.asks}
    best = [side[0, 0] for side in held.values() if len(side)]
    centre = sum(best) / len(best)
    proven = {
        name: None if bound is None else float(bound) for name, bound in frozen.complete_to._asdict().items()
    }
    reach = _reach(proven, centre, window)
    counts = {name: _count(side[:, 0], centre, reach, window) for name, side in held.items()}
    farthest = [abs(side[counts[name] - 1, 0] - centre) for name, side in held.items() if counts[name]]
    goes_on = window.levels is None and any(counts[name] < len(side) for name, side in held.items())
    half = max([*farthest, reach]) if goes_on else max(farthest, default=reach) * _MARGIN or reach
    low, high = centre - half, centre + half
    if window == _Window(None, None):
        counts = {name: int((abs(side[:, 0] - centre) <= half).sum()) for name, side in held.items()}
    top = 0.0
    for name, side in held.items():
        edge = low if name == "bids" else high
        top = max(top, _side(ax, name, side, counts[name], edge, proven[name], cumulative))
    ax.set_xlim(low, high)
    ax.set_ylim(0, _HEADROOM * top or 1.0)
    _complete_range(ax, frozen, low, high)
    if len(best) == 2:
        _mark(ax, centre, f"mid {plain(frozen.exact.mid)}", row=1, is_right=True, linestyle=":")
    _axis(ax)
    _title(ax, frozen)
    if not any(counts.values()):
        ax.text(
            0.5, 0.5, f"no level within {window.bps:g} bps of the mid", transform=ax.transAxes, ha="center"
        )


def _reach(proven: dict[str, float | None], centre: float, window: _Window) -> float:
    """How far from the mid levels are drawn."""
    if window.bps is not None:
        return centre * window.bps / 10_000
    bids, asks = proven["bids"], proven["asks"]
    complete = max(centre - (bids or 0.0), (asks or float("inf")) - centre)
    return min(centre * DEFAULT_BPS / 10_000, 2 * complete)


def _count(prices: Any, centre: float, reach: float, window: _Window) -> int:
    """How many of the best levels of a side are drawn."""
    if window.levels is not None:
        return min(window.levels, len(prices))
    near = int((abs(prices - centre) <= reach).sum())
    return near if window.bps is not None else max(near, min(DEFAULT_LEVELS, len(prices)))


def _side(
    ax: Any, name: str, side: Any, count: int, edge: float, proven: float | None, cumulative: str
) -> float:
    """One step a level, from the best price outwards; returns the height of the last."""
    is_bids = name == "bids"
    at, words = (0.0 if is_bids else 1.0, 1.0), name if len(side) else f"no {name}"
    _words(ax, at, words, row=1, is_right=is_bids, color=_COLOURS[name], weight="bold")
    if not count:
        return 0.0
    numpy = import_module("numpy")
    prices, quantities = side[:count, 0], side[:count, 1]
    sums = numpy.cumsum(quantities * prices if cumulative == "quote" else quantities)
    total = float(sums[-1])
    end = prices[-1]
    if count < len(side):  # nothing in between is held, and it is known where the next level is
        end = max(edge, side[count, 0]) if is_bids else min(edge, side[count, 0])
    elif proven in (0.0, float("inf")):
        end = edge
    xs = numpy.concatenate([prices[:1], prices, [end]])
    ys = numpy.concatenate([[0.0], sums, [total]])
    colour = _COLOURS[name]
    ax.fill_between(xs, ys, step="post", alpha=0.25, color=colour, linewidth=0)
    ax.plot(xs, ys, drawstyle="steps-post", color=colour, linewidth=1.5, label=name)
    return total


def _complete_range(ax: Any, frozen: Any, low: float, high: float) -> None:
    """Hatch what lies beyond the complete range, and say where it ends."""
    exact = frozen.exact.complete_to
    for name, bound, edge in (("bids", exact.bids, low), ("asks", exact.asks, high)):
        if bound is None:
            ax.axvspan(low, high, **_HATCHED)
        elif low < bound < high:
            ax.axvspan(*sorted((edge, float(bound))), **_HATCHED)
            outside = abs(float(bound) - edge) > (high - low) / 5
            text = f"complete to {plain(bound)}"
            _mark(ax, float(bound), text, row=0, is_right=outside == (name == "asks"), linestyle="--")


_HATCHED: dict[str, Any] = {
    "facecolor": "none",
    "edgecolor": "#7f7f7f66",
    "hatch": "///",
    "linewidth": 0,
    "zorder": 0,
}


def _mark(ax: Any, price: float, text: str, *, row: int, is_right: bool, linestyle: str) -> None:
    """A line at a price, with its words beside it."""
    ax.axvline(price, color="#7f7f7f", linewidth=1, linestyle=linestyle)
    _words(ax, (price, 1.0), text, row=row, is_right=is_right, xycoords=("data", "axes fraction"))


def _words(ax: Any, at: tuple[float, float], text: str, *, row: int, is_right: bool, **options: Any) -> None:
    """Words near the top, right or left of a position, in rows that do not overlap."""
    options = {"xycoords": "axes fraction", "fontsize": "small"} | options
    side = (
        {"xytext": (4, -4 - 14 * row), "ha": "left"}
        if is_right
        else {"xytext": (-4, -4 - 14 * row), "ha": "right"}
    )
    ax.annotate(text, at, textcoords="offset points", va="top", parse_math=False, **side, **options)


def _axis(ax: Any) -> None:
    """Numbers as people write them: no offset, no exponent, and few enough to fit."""
    ticker = _matplotlib("matplotlib.ticker")
    for axis, bins in ((ax.xaxis, 6), (ax.yaxis, 5)):
        axis.set_major_locator(ticker.MaxNLocator(bins))
        axis.set_major_formatter(ticker.FuncFormatter(_tick))
    ax.spines[["top", "right"]].set_visible(False)


def _tick(value: float, _: object) -> str:
    return plain(Decimal(f"{value:.12g}"), ",f")


def _title(ax: Any, frozen: Any) -> None:
    moment = frozen.event_time or frozen.updated_at
    facts = [f"update id {frozen.last_update_id}"]
    if moment is not None:
        facts.append(f"{moment:%Y-%m-%d %H:%M:%S} UTC")
    if frozen.status != "synced":
        facts.insert(0, f"{str(frozen.status).upper()}: last known book, not current")
    name = f"{clean(frozen.symbol or '?')} on {clean(frozen.exchange)}"
    ax.set_title(name + "\n" + ", ".join(facts), loc="left", fontsize="medium", parse_math=False)
