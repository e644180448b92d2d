"""What notebooks show of books, of their sides and of columns: small tables in HTML.

Every table is one moment and says what the book was then: the table stays on the page while the book goes on.
Showing a book never raises: one that cannot be read shows its status and reason instead of levels.

Styles are inline, so nothing else on the page changes. Text has the colour of the page and all other colours
are half transparent, which suits light and dark pages. Colour-blind people can tell blue from orange, and no
information is conveyed by colour alone. Names and reasons come from outside, so all text is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import escape
from typing import Any

from depthcache.errors import BookError, BookTooOld
from depthcache.foreign_text import clean
from depthcache.pictures.numbers import plain

__all__ = ["MOST_BOOKS", "MOST_LEVELS", "MOST_ROWS", "book_html", "books_html", "columns_html", "side_html"]

MOST_LEVELS = 10
"""Of a side."""
MOST_BOOKS = 20
"""Of a client."""
MOST_ROWS = 10
"""Of columns."""

_BIDS, _ASKS, _WARNING = "50,140,210", "225,110,20", "225,110,20"
_LINE = "1px solid rgba(128,128,128,.35)"
_CELL = "padding:1px 8px;white-space:nowrap;border:0;font-variant-numeric:tabular-nums;"
_RIGHT, _LEFT = _CELL + "text-align:right;", _CELL + "text-align:left;"
_FADED = "opacity:.55;"
_NOT_SHOWN = "No levels are shown, because they cannot be trusted now."


# --- one book --------------------------------------------------------------------------------


def book_html(book: Any) -> str:
    """A book: its state, and the best levels of both sides with bars."""
    return _with_state(book, type(book).__name__, lambda frozen: _ladder(frozen.exact))


def side_html(book: Any, side: str) -> str:
    """One side of a book, `bids` or `asks`: the state of the book, and the best levels with bars."""
    return _with_state(book, "Side", lambda frozen: _one_side(frozen.exact, side))


def _with_state(book: Any, kind: str, table: Callable[[Any], str]) -> str:
    age_s = getattr(book, "age", None)  # before the levels: they are never older than that
    try:
        frozen = book.freeze()
    except BookError as error:
        return _box(_head(book, kind, error=error), _facts(book, age_s), f"<div>{_NOT_SHOWN}</div>")
    return _box(_head(book, kind, frozen=frozen), _facts(book, age_s, frozen=frozen), table(frozen))


def _head(book: Any, kind: str, *, frozen: Any = None, error: BookError | None = None) -> str:
    """Whose book it is, and its state at the moment of the levels, or of the refusal to read them."""
    told = book if frozen is None else frozen
    status, reason = (told.status, told.reason) if error is None else _refusal(book, error)
    trusted = error is None and status == "synced"
    if not trusted and frozen is not None:
        reason = f"{reason or status}; last known levels, not current"
    name = f"<b>{_text(book.symbol or '?')}</b> on {_text(book.exchange)}"
    badge = _badge(status, trusted=trusted)
    return f'<div>{name} {badge} {_text(reason)} <span style="{_FADED}">{_text(kind)}</span></div>'


def _refusal(book: Any, error: BookError) -> tuple[str, str]:
    """Status and reason of a book that cannot be read, both of the moment when it refused."""
    if isinstance(error, BookTooOld):
        return "too old", str(error)
    return getattr(error, "status", book.status), getattr(error, "reason", book.reason)


def _badge(status: str, *, trusted: bool) -> str:
    """A status, marked with a sign and an edge where it is not to be trusted."""
    if trusted:
        style = f"background:rgba({_BIDS},.2);"
        return f'<span style="{style}padding:0 6px;border-radius:3px">{_text(status)}</span>'
    style = f"background:rgba({_WARNING},.25);border:1px solid rgba({_WARNING},.9);font-weight:bold;"
    return f'<span style="{style}padding:0 6px;border-radius:3px">&#9888; {_text(status)}</span>'


def _facts(book: Any, age_s: float | None, *, frozen: Any = None) -> str:
    """Update id, age and time, the complete range; of an update, what lies before it."""
    told = book if frozen is None else frozen
    facts: list[str] = []
    if told.last_update_id is not None:
        facts.append(f"update id {told.last_update_id}")
    if age_s is not None:
        facts.append(f"{age_s:.1f} s old when shown")
    if told.updated_at is not None:
        facts.append(f"updated {_time(told.updated_at)}")
    elif told.event_time is not None:
        facts.append(f"event time {_time(told.event_time)}")
    if frozen is not None:
        facts.append(_complete_range(frozen))
    if hasattr(book, "skipped"):
        facts.append(f"{book.skipped} updates skipped before it")
        facts += ["fresh"] if book.is_fresh else []
    return f'<div style="{_FADED}">{" &#183; ".join(_text(each) for each in facts)}</div>'


def _complete_range(frozen: Any) -> str:
    bids, asks = frozen.exact.complete_to
    if bids is None or asks is None:
        return "nothing is proven"
    if bids == 0 and asks == Decimal("inf"):
        return "complete: both sides are known as a whole"
    down = "all bids" if bids == 0 else f"down to {plain(bids)}"
    up = "all asks" if asks == Decimal("inf") else f"up to {plain(asks)}"
    return f"complete {down} and {up}"


def _ladder(exact: Any) -> str:
    """Both sides beside each other, best prices in the middle."""
    bids, asks = exact.bids[:MOST_LEVELS], exact.asks[:MOST_LEVELS]
    prices = _decimals(level.price for level in (*bids, *asks))
    quantities = _decimals(level.quantity for level in (*bids, *asks))
    largest = max((level.quantity for level in (*bids, *asks)), default=Decimal(1))
    covered = exact.coverage
    left = _cells(bids, "bids", covered.bids, prices, quantities, largest)
    right = _cells(asks, "asks", covered.asks, prices, quantities, largest)
    nothing = [f'<td style="{_CELL}"></td>' * 2]
    rows = [
        f"<tr>{(left + nothing * MOST_LEVELS)[at]}{(right + nothing * MOST_LEVELS)[at]}</tr>"
        for at in range(max(len(left), len(right)))
    ]
    head = (
        f'<tr style="border-bottom:{_LINE}">'
        f'<th style="{_RIGHT}" colspan="2">{_shown("bids", len(bids), len(exact.bids))}</th>'
        f'<th style="{_LEFT}" colspan="2">{_shown("asks", len(asks), len(exact.asks))}</th></tr>'
    )
    return _table(head, rows) + _spread(exact, bids, asks) + _beyond(bids, asks, covered)


def _one_side(exact: Any, side: str) -> str:
    levels = getattr(exact, side)
    shown = levels[:MOST_LEVELS]
    prices, quantities = _decimals(each.price for each in shown), _decimals(each.quantity for each in shown)
    largest = max((level.quantity for level in shown), default=Decimal(1))
    covered = getattr(exact.coverage, side)
    cells = _cells(
        shown, "asks", covered, prices, quantities, largest, colour=_BIDS if side == "bids" else _ASKS
    )
    title = f'<th style="{_LEFT}" colspan="2">{_shown(side, len(shown), len(levels))}</th>'
    head = f'<tr style="border-bottom:{_LINE}">{title}</tr>'
    beyond = _BEYOND if covered < len(shown) else ""
    return _table(head, [f"<tr>{each}</tr>" for each in cells]) + beyond


def _shown(side: str, shown: int, held: int) -> str:
    if not held:
        return f"no {side}"
    return f"{side}: {held}" if shown == held else f"{side}: best {shown} of {held:,}"


def _cells(
    levels: Sequence[Any],
    side: str,
    covered: int,
    prices: int,
    quantities: int,
    largest: Decimal,
    *,
    colour: str | None = None,
) -> list[str]:
    """Price and quantity of each level, the price towards the middle."""
    cells: list[str] = []
    for at, level in enumerate(levels):
        faded = _FADED + "font-style:italic;" if at >= covered else ""
        price = f'<td style="{_RIGHT if side == "bids" else _LEFT}{faded}">{level.price:.{prices}f}</td>'
        bar = _bar(level.quantity / largest, colour or (_BIDS if side == "bids" else _ASKS), side)
        quantity = f'<td style="{_RIGHT}min-width:9em;{bar}{faded}">{level.quantity:.{quantities}f}</td>'
        cells.append(quantity + price if side == "bids" else price + quantity)
    return cells


def _bar(share: Decimal, colour: str, side: str) -> str:
    """A bar that grows away from the middle."""
    end = f"{max(share * 100, Decimal(1)):.0f}%"
    way = "left" if side == "bids" else "right"
    return f"background:linear-gradient(to {way},rgba({colour},.4) {end},transparent {end});"


def _spread(exact: Any, bids: Sequence[Any], asks: Sequence[Any]) -> str:
    if not bids or not asks:
        return ""
    bps = plain(Decimal(format(exact.spread_bps, ".3g")))
    return f"<div>spread {plain(exact.spread)} ({bps} bps), mid {plain(exact.mid)}</div>"


_BEYOND = f'<div style="{_FADED}font-style:italic">Levels in italics are beyond the complete range.</div>'


def _beyond(bids: Sequence[Any], asks: Sequence[Any], covered: Any) -> str:
    return _BEYOND if covered.bids < len(bids) or covered.asks < len(asks) else ""


# --- many books ------------------------------------------------------------------------------


def books_html(name: str, books: Iterable[Any]) -> str:
    """The books of a client, one row each; of many books those that are not synced come first."""
    held = [(book, book.status == "synced") for book in books]
    synced = sum(is_synced for _, is_synced in held)
    if len(held) > MOST_BOOKS:
        held.sort(key=lambda pair: pair[1])
    shown, rest = held[:MOST_BOOKS], held[MOST_BOOKS:]
    columns = (
        "exchange",
        "symbol",
        "status",
        "best bid",
        "best ask",
        "spread",
        "age",
        "levels complete",
        "reason",
    )
    left = {"exchange", "symbol", "status", "reason"}
    head = "".join(f'<th style="{_LEFT if each in left else _RIGHT}">{each}</th>' for each in columns)
    rows = [_book_row(book) for book, _ in shown]
    lost = sum(not is_synced for _, is_synced in rest)
    tail = f"{lost:,} of them not synced" if lost else "all synced"
    more = f"<div>… and {len(rest):,} more, {tail}</div>" if rest else ""
    title = f"<div><b>{_text(name)}</b>: {synced:,} of {len(held):,} synced</div>"
    return _box(title, _table(f'<tr style="border-bottom:{_LINE}">{head}</tr>', rows) if rows else "", more)


def _book_row(book: Any) -> str:
    age_s = getattr(book, "age", None)
    covered = book.coverage
    try:
        frozen = book.freeze(1)
    except BookError as error:
        status, reason = _refusal(book, error)
        best, trusted = ["", "", ""], False
    else:
        status, reason, trusted = str(frozen.status), frozen.reason, frozen.status == "synced"
        best = _best_texts(frozen.exact)
    faded = "" if trusted else _FADED
    age = "" if age_s is None else f"{age_s:.1f} s"
    numbers = [*best, age, f"{covered.bids:,} / {covered.asks:,}"]
    return (
        f'<tr><td style="{_LEFT}">{_text(book.exchange)}</td>'
        f'<td style="{_LEFT}"><b>{_text(book.symbol or "?")}</b></td>'
        f'<td style="{_LEFT}">{_badge(status, trusted=trusted)}</td>'
        + "".join(f'<td style="{_RIGHT}{faded}">{each}</td>' for each in numbers)
        + f'<td style="{_LEFT}white-space:normal;">{_text(reason)}</td></tr>'
    )


def _best_texts(exact: Any) -> list[str]:
    """Best bid, best ask and spread, with as many decimals as the two prices need."""
    bid, ask, _ = exact.best
    decimals = _decimals(level.price for level in (bid, ask) if level is not None)
    texts = ["none" if level is None else f"{level.price:.{decimals}f}" for level in (bid, ask)]
    return [*texts, "" if bid is None or ask is None else f"{ask.price - bid.price:.{decimals}f}"]


# --- columns ---------------------------------------------------------------------------------


def columns_html(columns: Any) -> str:
    """The first rows of columns, with the types of Arrow, and the books that were left out."""
    shown = min(len(columns), MOST_ROWS)
    parts = columns._parts()  # noqa: SLF001
    texts = [_column_texts(part, shown) for part in parts]
    types = ["text" if words is not None else _TYPES[kind] for _, kind, _, _, words in parts]
    head = "".join(
        f'<th style="{_LEFT}">{_text(part[0])}<br/><span style="{_FADED}">{kind}</span></th>'
        for part, kind in zip(parts, types, strict=True)
    )
    rows = [
        "<tr>" + "".join(f'<td style="{_LEFT}">{text[at]}</td>' for text in texts) + "</tr>"
        for at in range(shown)
    ]
    more = f"<div>… and {len(columns) - shown:,} more</div>" if len(columns) > shown else ""
    title = f"<div><b>Columns</b>: {len(columns):,} levels{_left_out(columns.missing)}</div>"
    return _box(title, _table(f'<tr style="border-bottom:{_LINE}">{head}</tr>', rows), more)


_TYPES = {
    "i": "int32",
    "l": "int64",
    "g": "float64",
    "b": "bool",
    "tsu:UTC": "time in UTC",
    "d:38,18": "decimal128",
}
"""What the letters of the Arrow C data interface mean here."""


def _column_texts(part: tuple[str, str, Any, Any, list[str] | None], count: int) -> list[str]:
    """The first values of a column."""
    _, kind, memory, validity, words = part
    raw = memoryview(memory).cast("B")
    there = [True] * count if validity is None else _bits(memoryview(validity).cast("B"), count)
    if kind == "b":
        return [str(bit) for bit in _bits(raw, count)]
    width = {"c": 1, "i": 4, "d:38,18": 16}.get(kind, 8)
    values = [raw[at * width : (at + 1) * width] for at in range(count)]
    return [
        _value(kind, value, words) if is_there else "" for value, is_there in zip(values, there, strict=True)
    ]


def _value(kind: str, raw: memoryview, words: list[str] | None) -> str:
    if kind == "g":
        return plain(Decimal(repr(raw.cast("d")[0])))
    number = int.from_bytes(raw, "little", signed=True)
    if words is not None:
        return _text(words[number])
    if kind == "d:38,18":
        return plain(Decimal(number).scaleb(-18))
    return (
        _time(datetime.fromtimestamp(0, tz=UTC) + timedelta(microseconds=number))
        if kind == "tsu:UTC"
        else str(number)
    )


def _bits(raw: memoryview, count: int) -> list[bool]:
    return [bool(raw[at // 8] >> at % 8 & 1) for at in range(count)]


def _left_out(missing: Sequence[Any]) -> str:
    if not missing:
        return ""
    named = ", ".join(f"{each.symbol} on {each.exchange} ({each.status})" for each in missing[:MOST_BOOKS])
    more = f" and {len(missing) - MOST_BOOKS:,} more" if len(missing) > MOST_BOOKS else ""
    return f"; left out: {_text(named)}{more}"


# --- texts -----------------------------------------------------------------------------------


def _box(*parts: str) -> str:
    return f'<div style="line-height:1.5">{"".join(parts)}</div>'


def _table(head: str, rows: Sequence[str]) -> str:
    style = "border-collapse:collapse;border:0;margin:4px 0;width:auto"
    return f'<table style="{style}"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'


def _text(value: object) -> str:
    """Text of others on one line, harmless in HTML."""
    return escape(clean(value))


def _decimals(numbers: Iterable[Decimal]) -> int:
    """How many decimals show all of them exactly."""
    return max((len(plain(number).partition(".")[2]) for number in numbers), default=0)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
