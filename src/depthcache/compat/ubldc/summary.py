"""`print_summary`: the state of a manager, as tables of connections, caches and weight.

It fits the width of a terminal, and is plain text elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from io import StringIO
from time import monotonic
from typing import IO

from rich.box import MARKDOWN
from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from depthcache import BookStats, BudgetStats, ConnectionStats, Status
from depthcache.compat.ubldc.human import human_bytes, human_seconds
from depthcache.compat.ubldc.managed import Managed

__all__ = ["print_summary", "print_summary_to_png", "summary_text"]

_PLAIN_WIDTH, _WIDEST = 96, 400
_MOST_ROWS = 60
"""Most caches in the table. If there are more, those that need attention most are shown."""
_STYLES = {Status.SYNCED: "green", Status.CLOSED: "dim"}


def print_summary(
    manager: Managed,
    *,
    add_string: str | None = None,
    footer: str | None = None,
    title: str | None = None,
) -> None:
    """Print the state of a manager and its caches to the standard output.

    `add_string`: additional lines below the figures. `title`: replaces name and version, which then become
    the footer. `footer`: replaces the footer.
    """
    shown = _summary(manager, add_string=add_string, footer=footer, title=title)
    if sys.stdout.isatty():
        Console(file=sys.stdout, highlight=False).print(shown)
    else:
        _print_plain(shown, sys.stdout)


def summary_text(
    manager: Managed,
    *,
    add_string: str | None = None,
    footer: str | None = None,
    title: str | None = None,
) -> str:
    """The summary as plain text."""
    written = StringIO()
    _print_plain(_summary(manager, add_string=add_string, footer=footer, title=title), written)
    return written.getvalue()


def print_summary_to_png(
    manager: Managed,
    *,
    print_summary_export_path: str | None = None,
    height_per_row: float = 12.5,
    add_string: str | None = None,
    footer: str | None = None,
    title: str | None = None,
) -> None:
    """Write the summary into a folder as `print_summary.txt`, `print_summary_plain.png` and, with the time,
    `print_summary.png`.

    `print_summary_export_path`: the folder, created if missing; None takes the current one.
    `height_per_row`: pixels per line. Raises InvalidArgument, OSError, and ImportError without Pillow
    (`pip install "depthcache[png]"`).
    """
    from depthcache.compat.ubldc.summary_png import write

    text = summary_text(manager, add_string=add_string, footer=footer, title=title)
    write(text, print_summary_export_path, height_per_row=height_per_row)


def _print_plain(shown: RenderableType, file: IO[str]) -> None:
    """Print as wide as the widest table, without colours and trailing blanks."""
    measuring = Console(file=StringIO(), width=_WIDEST, color_system=None)
    tables = (
        [each for each in shown.renderables if isinstance(each, Table)] if isinstance(shown, Group) else []
    )
    width = max([_PLAIN_WIDTH, *(measuring.measure(table).maximum for table in tables)])
    written = StringIO()
    Console(file=written, width=width, color_system=None, highlight=False, soft_wrap=True).print(shown)
    file.write("".join(f"{line.rstrip()}\n" for line in written.getvalue().splitlines()))
    file.flush()


def _summary(manager: Managed, *, add_string: str | None, footer: str | None, title: str | None) -> Group:
    if title is not None and footer is None:
        footer = f"Powered by {manager.get_user_agent()}"
    stats = manager.stats()
    parts: list[RenderableType] = [
        Rule(Text(title or manager.get_user_agent()), characters="=", style="bold"),
        *_figures(manager, stats.books, stats.connections),
        *_lines(add_string),
        Text(),
        _connections(manager, stats.connections),
        Text(),
        *_books(manager, stats.books),
    ]
    if stats.budgets:
        parts += [Text(), _budgets(stats.budgets)]
    return Group(*parts, Rule(Text(footer or ""), characters="=", style="bold"))


def _figures(
    manager: Managed,
    books: Sequence[BookStats],
    connections: Sequence[ConnectionStats],
) -> Iterable[Text]:
    streams = manager.get_ubwa_manager()
    uptime = human_seconds(monotonic() - streams.rates.begun)
    frames, received = sum(c.frames for c in connections), sum(c.received_bytes for c in connections)
    speed, frequency = streams.rates.of("received bytes", received), streams.rates.of("frames", frames)
    synced = sum(book.status is Status.SYNCED for book in books)
    words = [
        f"exchange: {manager.exchange}",
        f"uptime: {uptime} since {streams.get_date_of_timestamp(streams.start_time)}",
        f"depth caches: {len(books)}, in sync: {synced}",
        f"streams: {len(connections)}, subscriptions: {sum(c.streams for c in connections)}",
        f"receiving: {human_bytes(speed)}/s, {frequency:.1f} frames/s, {human_bytes(received)} so far",
        f"update_interval_ms={manager.depth_cache_update_interval}",
        f"binance_api_status={manager.get_ubra_manager().get_used_weight(cached=True)}",
    ]
    return [Text(f" {each}") for each in words]


def _lines(add_string: str | None) -> Iterable[Text]:
    """The additional lines of the program, each with a leading blank like in the old summary."""
    return [Text(f" {line.removeprefix(' ')}") for line in str(add_string or "").splitlines()]


def _connections(manager: Managed, connections: Sequence[ConnectionStats]) -> Table:
    table = _table(("stream", "state"), ("subscriptions", "frames/s", "quiet s", "frames", "connects"))
    rates = manager.get_ubwa_manager().rates
    for each in connections:
        table.add_row(
            f"{each.exchange} #{each.number}",
            Text("open", "green") if each.is_open else Text("closed", "red"),
            str(each.streams),
            f"{rates.of(('frames', each.number), each.frames):.1f}",
            _number(each.quiet_s),
            f"{each.frames:,}",
            str(each.connects),
        )
    return table


def _books(manager: Managed, books: Sequence[BookStats]) -> Iterable[RenderableType]:
    rates = manager.get_ubwa_manager().rates
    figures = ("age s", "bids", "asks", "complete from", "to", "updates/s", "gaps", "resyncs")
    table = _table(("depth cache", "status"), figures)
    # Count all of them, shown or not: a rate needs the previous count.
    speeds = {book.symbol: rates.of(("updates", book.symbol), book.counters["applied"]) for book in books}
    shown = sorted(books, key=_attention)[:_MOST_ROWS] if len(books) > _MOST_ROWS else books
    for book in shown:
        table.add_row(
            book.symbol,
            Text(str(book.status), _STYLES.get(book.status, "yellow")),
            _number(book.age_s),
            str(book.levels[0]),
            str(book.levels[1]),
            _price(book.complete_to.bids),
            _price(book.complete_to.asks),
            f"{speeds[book.symbol]:.1f}",
            str(book.counters["gaps"]),
            str(book.losses),
        )
    yield table
    if len(shown) < len(books):
        yield Text(f" and {len(books) - len(shown)} more; those that need attention are shown first")


def _budgets(budgets: Sequence[BudgetStats]) -> Table:
    names = ("limit", "allowed", "used", "counted", "waiting", "in flight", "stopped s")
    table = _table(("weight a minute",), names)
    for each in budgets:
        figures = (each.limit, each.allowed, each.used, each.exchange_used, each.waiting, each.in_flight)
        shown = ["-" if figure is None else str(figure) for figure in figures]
        table.add_row(each.pool, *shown, _number(each.stopped_s))
    return table


def _table(left: Iterable[str], right: Iterable[str]) -> Table:
    table = Table(box=MARKDOWN, show_edge=False, pad_edge=True, header_style="bold")
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _attention(book: BookStats) -> tuple[bool, float]:
    """Sorts caches that are not in sync first, then the oldest."""
    return book.status is Status.SYNCED, -(book.age_s or 0.0)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _price(value: object) -> str:
    """A bound of the complete range; 0 and infinity mean the whole side."""
    return "-" if value is None else "all" if value in (0.0, float("inf")) else f"{value:.10g}"
