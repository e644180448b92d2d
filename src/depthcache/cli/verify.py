"""`depthcache verify`: replay recordings with `recording.verify` and print the report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from depthcache.cli.exchange_name import EXCHANGE_NAME
from depthcache.cli.streams import tell
from depthcache.foreign_text import clean, escaped, json_line

if TYPE_CHECKING:
    from depthcache.recording import OnProgress, Progress
    from depthcache.recording.verify import Report, Row

__all__ = ["verify"]

_WIDTH_WITHOUT_TERMINAL = 190
_TELL_S = 5.0


@click.command(short_help="Check that a recording is complete and its books are right.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--exchange",
    metavar="NAME",
    type=EXCHANGE_NAME,
    help="Exchange name, such as binance.com-futures; by default taken from the recording.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a list with one object per symbol.")
def verify(files: Sequence[Path], exchange: str | None, as_json: bool) -> int:
    """Replay recorded market data and check that every book comes out right.

    FILES are recordings of `depthcache record`, flight dumps, or files of the hftbacktest collector,
    cryptofeed (raw data, also version 3), tardis (raw) or any recorder that writes JSON lines, bare or in
    envelopes with the receive time. They may be plain, gzip or zstd; the format is detected. Lines with
    receive times are merged by time over all files.

    Every update goes through the book that the live client uses. After each update, the best prices are
    compared with the recorded bookTicker. Without a snapshot, only the sequence of update ids is checked.
    The table shows for each market what was checked.

    \b
    depthcache verify btcusdt_20240808.gz btcusdt_20240809.gz
    depthcache verify BINANCE.http.0.0 BINANCE.ws.1.0 --json
    depthcache verify frames.jsonl --exchange binance.com-futures

    Exit code 0: nothing that was checked is wrong. 1: a gap; best prices that differ after more than 5 % of
    the compared updates (10 % for a single symbol); unusable lines; a file of another tool that is cut off;
    or lines that were lost while recording. A recording of `depthcache record` without an end is complete up
    to the last flush, which stderr says. 2: a file cannot be read.
    """
    from depthcache import recording

    report = recording.verify(files, exchange=exchange, on_progress=told_every(_TELL_S))
    if as_json:
        _print_json(report)
    else:
        _print_table(report)
    for line in (*report.problems.lines(), *report.problems.notes):
        tell(escaped(f"depthcache: {line}"))
    return 0 if report.right else 1


def told_every(seconds: float, *, clock: Callable[[], float] = monotonic) -> OnProgress:
    """A callback that prints the progress to stderr, at most once every `seconds`."""
    told_s = clock()

    def on_progress(progress: Progress) -> None:
        nonlocal told_s
        if clock() >= told_s + seconds:
            told_s = clock()
            share = 100 * progress.read_bytes // max(1, progress.total_bytes)
            text = f"{progress.unpacked_bytes // 10**6:,} MB of text, {progress.lines:,} lines"
            tell(f"depthcache: {share} % of the files read: {text}")

    return on_progress


def _print_json(report: Report) -> None:
    import json

    text = json.dumps([row.as_dict() for row in report.rows], indent=2, ensure_ascii=False)
    click.echo(json_line(text))
    for fault in report.faults or [verdict(report)]:
        tell(escaped(f"depthcache: {fault}"))


def _print_table(report: Report) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("symbol", no_wrap=True)
    table.add_column("venue")
    for heading in ("snapshot id", "updates", "old", "applied", "gaps", "final id", "bids", "asks"):
        table.add_column(heading, justify="right")
    table.add_column("best bid", justify="right")
    table.add_column("best ask", justify="right")
    table.add_column("bookTicker equal", justify="right")
    table.add_column("checked against")
    for row in report.rows:
        table.add_row(*map(Text, _cells(row)))
    console.print(table)
    click.echo(escaped(verdict(report)))


def _cells(row: Row) -> list[str]:
    judged = None if row.oracle_equal is None else row.oracle_equal + (row.oracle_different or 0)
    numbers = (
        row.snapshot_lastUpdateId,
        row.diffs_total,
        row.stale_dropped,
        row.applied,
        row.gaps,
        row.final_u,
        row.final_bids,
        row.final_asks,
    )
    compared = "-" if judged is None else f"{row.oracle_equal:,} of {judged:,}" if judged else "none recorded"
    bid, ask = row.best_bid or ("-",), row.best_ask or ("-",)
    return [clean(row.symbol), row.venue, *map(_number, numbers), bid[0], ask[0], compared, _checked(row)]


def _checked(row: Row) -> str:
    words: dict[tuple[str, ...], str] = {("ids",): "ids only", (): "nothing"}
    return words.get(row.checked, " + ".join(row.checked))


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:,}"


def verdict(report: Report) -> str:
    """The outcome in one line."""
    from depthcache.cli.state import counted

    if report.faults:
        return "WRONG: " + "; ".join(report.faults) + "."
    judged = [row for row in report.rows if "snapshot" in row.checked]
    chains = [row for row in report.rows if row.checked == ("ids",)]
    unchecked = len(report.rows) - len(judged) - len(chains)
    parts: list[str] = []
    if judged:
        applied = sum(row.applied or 0 for row in judged)
        equal = sum(row.oracle_equal or 0 for row in judged)
        different = sum(row.oracle_different or 0 for row in judged)
        parts.append(
            f"RIGHT: {counted(len(judged), 'book')}, {counted(applied, 'update')} applied without a gap"
        )
        if equal or different:
            parts.append(f"best prices equal bookTicker after {equal:,} of {equal + different:,} updates")
        else:
            parts.append("no bookTicker was recorded to compare with")
    if chains:
        diffs = sum(row.diffs_total for row in chains)
        parts.append(
            f"IDS ONLY: {counted(len(chains), 'book')} without a snapshot; the ids of "
            f"{counted(diffs, 'update')} have no gap, prices and quantities were not checked"
        )
    if unchecked:
        reason = "without an update that follows a snapshot or another update"
        parts.append(f"NOT CHECKED: {counted(unchecked, 'book')} {reason}")
    if report.breaks:
        parts.append(f"the recording notes {counted(report.breaks, 'interruption')}")
    return "; ".join(parts or ["NOTHING CHECKED: the recording has no depth updates"]) + "."
