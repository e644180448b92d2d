"""`depthcache record`: record raw market data with the public API."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import click

from depthcache.cli.exchange_name import exchange_option
from depthcache.cli.log_format import log_format_option
from depthcache.cli.streams import tell

if TYPE_CHECKING:
    from depthcache import LiveBook
    from depthcache.recording import RecordingFile

__all__ = ["record"]

_LOOK_S = 0.2
_TELL_S = 5.0


@click.command(short_help="Record raw market data to files.")
@click.argument("symbols", nargs=-1, required=True, metavar="SYMBOL…")
@click.option(
    "--out", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Folder for the files."
)
@exchange_option()
@click.option(
    "--depth", type=click.IntRange(1), default=1000, show_default=True, help="Levels a side of the snapshots."
)
@log_format_option
@click.option("--seconds", type=click.FloatRange(0), help="Stop after this time; by default at Ctrl-C.")
def record(symbols: Sequence[str], out: Path, exchange: str, depth: int, seconds: float | None) -> int:
    """Record the raw frames and snapshots of books with their receive times, until Ctrl-C.

    Each run writes one file of JSON lines, compressed with zstd. The file is only appended to, so after a
    crash it is readable up to the last half second. It also records gaps and reconnects. After a disk error,
    recording continues in a new file as soon as possible, and that file notes how much was lost. Replay
    recordings with `depthcache verify`, or serve them with `depthcache simulate`.

    \b
    depthcache record BTCUSDT ETHUSDT --out data
    depthcache verify data/*.jsonl.zst

    Exit code 0: everything was recorded. 1: some lines were lost. 2: recording could not start or continue.
    """
    import asyncio

    import depthcache
    from depthcache.cli.interrupt import Interrupt
    from depthcache.cli.log_lines import Lines, written
    from depthcache.cli.state import counted

    settings = depthcache.Settings.from_environment(record_to=out)
    wanted = depthcache.connect(exchange, list(symbols), depth=depth, on_stale="serve", settings=settings)

    async def run() -> tuple[RecordingFile | None, list[LiveBook]]:
        async with wanted as books:
            tell(f"recording {counted(len(books), 'book')} to {books.recording}")
            every = list(books)
            loop = asyncio.get_running_loop()
            end_s = inf if seconds is None else loop.time() + seconds
            told_s, told = loop.time(), (0, "")
            was_synced = False
            while loop.time() < end_s:
                if await interrupt.wait_async(min(_LOOK_S, max(0.0, end_s - loop.time()))):
                    break
                if all(book.status is depthcache.Status.CLOSED for book in books):
                    await books.wait_synced(timeout=0)  # raises with the reason
                synced = sum(book.status is depthcache.Status.SYNCED for book in books)
                was_synced = was_synced or synced > 0
                if not was_synced:
                    with suppress(depthcache.SyncTimeout):
                        await books.wait_any_synced(timeout=0)  # raises if no server accepts this client
                now = (synced, books.recording.error if books.recording else "")
                if now != told or loop.time() >= told_s + _TELL_S:
                    told_s, told = loop.time(), now
                    tell(_state(every, synced) + _losses(books.recording))
        return books.recording, every  # after the close, which may lose lines as well

    def _state(books: Sequence[depthcache.LiveBook], synced: int) -> str:
        gaps = sum(book.counters["gaps"] for book in books)
        return (
            f"{synced} of {counted(len(books), 'book')} synced, {counted(_updates(books), 'update')}, "
            f"{counted(gaps, 'gap')} so far"
        )

    with Interrupt() as interrupt, written(Lines.ALL):
        with asyncio.Runner() as runner:  # creates its loop first, which may exceed the limit of open files
            recording, books = runner.run(run())
        for file in () if recording is None else recording.files:
            click.echo(str(file))
        lost = 0 if recording is None else recording.lost
        updates = counted(_updates(books), "update")
        tell(f"recorded {updates} of {counted(len(books), 'book')}, {counted(lost, 'line')} lost")
        if recording is None or not lost:
            return 0
        tell(f"depthcache: the recording is incomplete{_losses(recording)}")
        return 1


def _updates(books: Sequence[LiveBook]) -> int:
    return sum(book.counters["applied"] + book.counters["old"] for book in books)


def _losses(recording: RecordingFile | None) -> str:
    """What the recording lost, with a leading comma; empty while it is complete."""
    if recording is None or not (recording.lost or recording.error):
        return ""
    from depthcache.cli.state import counted

    between = f" from {_time(recording.lost_from_ns)} to {_time(recording.lost_to_ns)}"
    lost = f", {counted(recording.lost, 'line')} lost{between if recording.lost else ''}"
    return f"{lost}, NOTHING IS BEING WRITTEN: {recording.error}" if recording.error else lost


def _time(at_ns: int | None) -> str:
    return datetime.fromtimestamp((at_ns or 0) / 1e9, UTC).strftime("%H:%M:%S")
