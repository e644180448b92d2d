"""`depthcache cluster backup` and `restore`: the books of a cluster to a file, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from depthcache.cli.cluster_options import (
    SECONDS,
    asking,
    node_of,
    parts,
    print_json,
    until,
    write_file,
)
from depthcache.cli.streams import tell

if TYPE_CHECKING:
    from depthcache.cli.cluster_nodes import AnyNode
    from depthcache.cluster.backup import Backup, BookDifference, KeptBook

__all__ = ["backup", "restore"]

_FILE = click.Path(path_type=Path, allow_dash=True)
_STREAM = "-"
_MOST_SHOWN = 20


@click.command(short_help="Write the books that the cluster keeps to a file.")
@click.argument("file", required=False, type=_FILE)
@asking
def backup(file: Path | None, as_json: bool, **where: Any) -> int:
    """Write the list of books, with their replicas and settings, to a file of readable JSON.

    FILE is replaced as a whole; - is standard output. Without FILE, a file with the name of the cluster and
    the time is made in this folder. It has no secrets, and nothing about nodes: it fits any cluster. It has
    no credentials of exchanges either; back up data folders for those.

    \b
    depthcache cluster backup books.json
    depthcache cluster backup - | ssh backup 'cat > books.json'

    Exit code 0: done. 2: it could not be done.
    """
    from datetime import UTC, datetime

    from depthcache.cluster.backup import Backup, kept_books

    is_stream = str(file) == _STREAM
    if is_stream and as_json:
        raise click.UsageError("the backup itself is JSON on standard output: leave out --json")
    status = node_of(where, manages=False).ask("GET", "")
    made = Backup(str(status["cluster"]), datetime.now(UTC), kept_books(status))
    text = made.encode()
    away = [each["id"] for each in status["nodes"] if each["state"] in ("away", "suspect")]
    if away:
        tell(f"depthcache: nodes that this one does not see may know newer changes: {', '.join(away)}")
    if is_stream:
        click.echo(text, nl=False)
        return 0
    path = file or Path(f"{made.cluster}-{made.made_at:%Y%m%dT%H%M%SZ}.json")
    write_file(path, text)
    if as_json:
        print_json({"file": str(path), "cluster": made.cluster, "books": len(made.books)})
    else:
        click.echo(f"{_books(len(made.books))} of cluster {made.cluster} written to {path}")
    return 0


@click.command(short_help="Keep the books that a backup lists.")
@click.argument("file", type=_FILE)
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--exact", is_flag=True, help="Also remove books that the backup does not have.")
@click.option("--yes", is_flag=True, help="With --exact: do not ask before books are removed.")
@click.option("--edited", is_flag=True, help="Accept a backup that was edited by hand.")
@click.option(
    "--timeout", type=SECONDS, default=0.0, help="Seconds to wait until all are synced.  [default: 0]"
)
@asking
def restore(
    file: Path,
    dry_run: bool,
    exact: bool,
    yes: bool,
    edited: bool,
    timeout: float,
    as_json: bool,
    **where: Any,
) -> int:
    """Add the books of a backup, and give those that the cluster keeps otherwise the replicas and settings of
    the backup. Other books stay as they are, unless --exact removes them.

    The whole file is checked before anything changes. It may be of another cluster. If the command fails in
    the middle, repeat it: what is done already is not done again. FILE - is standard input.

    \b
    depthcache cluster restore books.json --dry-run
    depthcache cluster restore books.json --timeout 60
    depthcache cluster restore books.json --exact --yes

    Exit code 0: done, or nothing to do. 1: --dry-run found differences, or not all books were synced within
    --timeout. 2: it could not be done.
    """
    from depthcache.cli.cluster_nodes import AnyNode
    from depthcache.cluster.backup import differences, kept_books

    if yes and not exact:
        raise click.UsageError("--yes belongs to --exact: nothing else asks")
    wanted = _read(file, is_edited=edited)
    node = AnyNode(
        node_of(where, manages=not dry_run),
        on_change=lambda url, why: tell(f"depthcache: {why}; going on at {url}"),
    )
    status = node.ask("GET", "")
    node.learn(status["nodes"])
    found = differences(kept_books(status), wanted.books)
    removed = found.removed if exact else ()
    changes = len(found.added) + len(found.changed) + len(removed)
    report = _report(found, exact=exact) | {"cluster": str(status["cluster"]), "dry_run": dry_run}
    if dry_run:
        _tell(report, _difference_lines(found, exact=exact), as_json=as_json)
        return 1 if changes else 0
    if removed and not yes:
        _confirm(len(removed), is_stream=str(file) == _STREAM)
    _change(node, [*found.added, *(after for _, after in found.changed)], removed)
    code = 0
    lines = [_done(found, exact=exact)]
    if timeout:
        late = _late(node, wanted, timeout)
        report["not_synced"] = late
        lines += [f"{name}: {why}" for name, why in list(late.items())[:_MOST_SHOWN]]
        lines[0] += f", {len(late):,} not synced after {timeout:g} s" if late else ", all synced"
        code = 1 if late else 0
    _tell(report, lines, as_json=as_json)
    return code


# --- files -------------------------------------------------------------------------------------


def _read(file: Path, *, is_edited: bool) -> Backup:
    """Raises BackupUnreadable, OSError."""
    import sys

    from depthcache.cluster.backup import Backup

    if str(file) == _STREAM:
        return Backup.parse(sys.stdin.buffer.read(), name="standard input", is_edited=is_edited)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise OSError(f"cannot read {file}: {(error.strerror or str(error)).lower()}") from None
    return Backup.parse(content, name=str(file), is_edited=is_edited)


# --- changes -----------------------------------------------------------------------------------


def _change(node: AnyNode, put: Sequence[KeptBook], removed: Sequence[KeptBook]) -> None:
    """Carry out the difference in requests that may be repeated. Raises UsageError with what is done."""
    from depthcache.cli.cluster_client import NodeRefused
    from depthcache.errors import ConnectionFailed, UsageError

    requests = [*_puts(put), *_removals(removed)]
    done, total = 0, len(put) + len(removed)
    for method, body in requests:
        try:
            node.ask(method, "/books", body)
        except (NodeRefused, ConnectionFailed) as error:
            is_old = isinstance(error, NodeRefused) and error.status == 405
            reason = "the nodes run an older release, which cannot restore" if is_old else str(error)
            again = "; repeat the command to go on" if done or not is_old else ""
            raise UsageError(f"{done:,} of {total:,} changes are done: {reason}{again}") from None
        done += len(body["symbols"])


def _puts(books: Sequence[KeptBook]) -> Iterator[tuple[str, dict[str, Any]]]:
    groups: dict[tuple[Any, ...], list[str]] = {}
    for each in books:
        groups.setdefault((each.key.exchange, each.replicas, each.settings), []).append(each.key.symbol)
    for (exchange, replicas, settings), symbols in groups.items():
        for part in parts(symbols):
            facts = {"replicas": replicas, "settings": dict(settings)}
            yield "PUT", {"exchange": exchange, "symbols": part, **facts}


def _removals(books: Sequence[KeptBook]) -> Iterator[tuple[str, dict[str, Any]]]:
    groups: dict[str, list[str]] = {}
    for each in books:
        groups.setdefault(each.key.exchange, []).append(each.key.symbol)
    for exchange, symbols in groups.items():
        for part in parts(symbols):
            yield "DELETE", {"exchange": exchange, "symbols": part}


def _confirm(count: int, *, is_stream: bool) -> None:
    import sys

    if is_stream or not sys.stdin.isatty():
        raise click.UsageError(f"--exact would remove {_books(count)}: add --yes, or look with --dry-run")
    click.confirm(f"Remove {_books(count)} that the backup does not have?", abort=True)


def _late(node: AnyNode, wanted: Backup, timeout_s: float) -> dict[str, str]:
    """The books of a backup that are not synced as often as possible after a while, and why."""
    from depthcache.cli.cluster_look import look
    from depthcache.cli.cluster_status import is_wrong, possible, why_not

    keys = {(each.key.exchange, each.key.symbol) for each in wanted.books}

    def missing(status: dict[str, Any]) -> list[dict[str, Any]]:
        most = possible(status)
        rows = [each for each in status["books"] if (each["exchange"], each["symbol"]) in keys]
        return [each for each in rows if is_wrong(each, most)]

    if until(timeout_s, lambda: not missing(node.ask("GET", ""))):
        return {}
    status, _ = node.use(look)
    return {
        f"{each['symbol']} on {each['exchange']}": why_not(each, status["nodes"]) for each in missing(status)
    }


# --- words -------------------------------------------------------------------------------------


def _report(found: BookDifference, *, exact: bool) -> dict[str, Any]:
    return {
        "added": [each.to_dict() for each in found.added],
        "changed": [{"before": one.to_dict(), "after": other.to_dict()} for one, other in found.changed],
        "removed": [each.to_dict() for each in found.removed] if exact else [],
        "left": 0 if exact else len(found.removed),
        "same": found.same,
    }


def _difference_lines(found: BookDifference, *, exact: bool) -> list[str]:
    rows = [f"+ {_named(each)}: {each.words()}" for each in found.added]
    rows += [f"~ {_named(after)}: {before.words()} -> {after.words()}" for before, after in found.changed]
    rows += [f"- {_named(each)}: {each.words()}" for each in found.removed] if exact else []
    return [*rows, _summary(found, exact=exact, verbs=("to add", "to change", "to remove"))]


def _done(found: BookDifference, *, exact: bool) -> str:
    return _summary(found, exact=exact, verbs=("added", "changed", "removed"))


def _summary(found: BookDifference, *, exact: bool, verbs: tuple[str, str, str]) -> str:
    counts = (len(found.added), len(found.changed), len(found.removed) if exact else 0)
    words = [f"{_books(count)} {verb}" for count, verb in zip(counts, verbs, strict=True) if count]
    words += [f"{found.same:,} as in the backup"] if found.same or not words else []
    left = 0 if exact else len(found.removed)
    words += [f"{left:,} not in the backup, left alone"] if left else []
    return ", ".join(words)


def _tell(report: dict[str, Any], lines: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print_json(report)
    else:
        click.echo("\n".join(lines))


def _named(book: KeptBook) -> str:
    return f"{book.key.symbol} on {book.key.exchange}"


def _books(count: int) -> str:
    return f"{count:,} {'book' if count == 1 else 'books'}"
