"""The status of a cluster in 80 columns: nodes, books that are not as wanted, request weight, moves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from textwrap import wrap
from typing import Any

from depthcache.cli.state import counted
from depthcache.cluster.book_states import is_wrong, possible, why_not
from depthcache.foreign_text import clean

__all__ = ["is_whole", "is_wrong", "possible", "status_lines", "table", "why_not"]

WIDTH = 80
_MOST_BOOKS, _MOST_MOVES = 20, 5
_SEEN = ("alive", "suspect", "draining")
_SHORT = 8
"""Characters of a node's id that are shown: enough to tell nodes apart, and to name one."""
_ID = re.compile(r"\b[1-9a-f][0-9a-f]{15}\b")


def is_whole(status: Mapping[str, Any]) -> bool:
    """Whether every node is there and every book is synced as often as it can be."""
    nodes = status["nodes"]
    is_there = all(each["state"] in ("alive", "draining", "removed") for each in nodes)
    return is_there and not any(is_wrong(book, possible(status)) for book in status["books"])


def status_lines(
    status: Mapping[str, Any], moves: Sequence[Mapping[str, Any]], *, shows_all: bool = False
) -> list[str]:
    """`moves`: oldest first. `shows_all`: every book, not only those that are not as wanted."""
    nodes, books = status["nodes"], status["books"]
    most = possible(status)
    wrong = [book for book in books if is_wrong(book, most)]
    seen = sum(each["state"] in _SEEN for each in nodes)
    belonging = sum(each["state"] != "removed" for each in nodes)
    state = ", all synced" if books else ""
    few = sum(int(book["synced"]) < int(book["replicas"]) for book in books)
    state += f", {few:,} {'lacks' if few == 1 else 'lack'} replicas" if few else ""
    state = f", {len(wrong):,} not synced as wanted" if wrong else state
    up = f"{seen} of {counted(belonging, 'node')} up"
    versions = len(status.get("versions", ()))
    state += f", {versions} versions" if versions > 1 else ""
    lines = [f"cluster {clean(status['cluster'])}: {up}, {counted(len(books), 'book')}{state}"]
    lines += ["", *_nodes(status)]
    for node in nodes:
        if node["state"] == "incompatible":
            lines += wrap(
                f"node {node['id'][:_SHORT]} is kept out: {_shortened(clean(node['reason']))}", WIDTH
            )
    if not any(each.get("has_authority_key") and each["state"] in _SEEN for each in nodes):
        lines.append("no node that is up has the authority's key: none can join or renew certificates")
    shown = list(books) if shows_all else wrong[:_MOST_BOOKS]
    if shown:
        lines += ["", *_books(shown, nodes)]
    if len(wrong) > len(shown):
        lines.append(f"… and {len(wrong) - len(shown):,} more: --books shows all")
    for section in (_weights(status.get("weight", ())), _moves(moves[-_MOST_MOVES:])):
        lines += ["", *section] if section else []
    return [line.rstrip() for line in lines]


def _nodes(status: Mapping[str, Any]) -> list[str]:
    rows = [("NODE", "STATE", "BOOKS", "SYNCED", "VERSION", "ADDRESS", "ZONE")]
    for node in status["nodes"]:
        states = [book["holders"].get(node["id"]) for book in status["books"]]
        held = [each for each in states if each is not None]
        name = node["id"][:_SHORT] + ("*" if node["id"] == status["node"] else "")
        rows.append(
            (
                name,
                node["state"],
                f"{len(held):,}",
                f"{held.count('synced'):,}",
                _version(node),
                node["address"] or "-",
                node.get("zone") or "-",
            )
        )
    return table(rows, (9, 12, 7, 7, 14, 24, 15), right=(2, 3))


def _version(node: Mapping[str, Any]) -> str:
    """Of its package, and the newest version of the protocol between nodes that it speaks."""
    protocol = node.get("protocol")
    return "-" if protocol is None else f"{node.get('version') or 'older'} ({protocol[1]})"


def _books(books: Iterable[Mapping[str, Any]], nodes: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [("BOOK", "EXCHANGE", "SYNCED", "WHY NOT")]
    rows += [
        (
            book["symbol"],
            book["exchange"],
            f"{book['synced']} of {book['replicas']}",
            _shortened(why_not(book, nodes)) if int(book["synced"]) < int(book["replicas"]) else "",
        )
        for book in books
    ]
    return table(rows, (20, 24, 8, 30))


def _shortened(text: str) -> str:
    """With the beginnings of nodes' ids, as in the table of nodes."""
    return _ID.sub(lambda found: found[0][:_SHORT], text)


def _weights(weights: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [("EGRESS", "POOL", "WEIGHT USED", "LIMIT")]
    for each in weights:
        used = each["used"] if each.get("exchange_used") is None else each["exchange_used"]
        rows.append((each["egress"] or "-", each["pool"], f"{used:,}", f"{each['limit']:,}"))
    return table(rows, (20, 28, 14, 12), right=(2, 3)) if len(rows) > 1 else []


def _moves(moves: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [("UTC", "NODE", "BOOK", "MOVE", "FROM", "WHY")]
    rows += [
        (
            f"{datetime.fromtimestamp(each['at_ms'] / 1_000, UTC):%H:%M:%S}",
            each["node"][:_SHORT],
            each["symbol"],
            each["what"],
            _shortened(each["source"]) or "-",
            _shortened(each["why"]) or (f"after {each['took_s']:.1f} s" if each["what"] == "synced" else ""),
        )
        for each in reversed(moves)
    ]
    return table(rows, (8, 8, 16, 6, 8, 30)) if len(rows) > 1 else []


def table(rows: Sequence[Sequence[str]], widths: Sequence[int], *, right: tuple[int, ...] = ()) -> list[str]:
    """Columns as narrow as their content allows, at most so wide, with two blanks between them."""
    from rich.cells import cell_len, set_cell_size

    texts = [[clean(str(cell)) for cell in row] for row in rows]
    found = [min(most, max(cell_len(row[index]) for row in texts)) for index, most in enumerate(widths)]
    spare = WIDTH - sum(found) - 2 * (len(found) - 1)
    last = max(cell_len(row[-1]) for row in texts)
    found[-1] = min(last, found[-1] + max(spare, 0)) if spare >= 0 else found[-1] + spare
    lines: list[str] = []
    for row in texts:
        cells: list[str] = []
        for index, (cell, width) in enumerate(zip(row, found, strict=True)):
            shown = cell if cell_len(cell) <= width else f"{set_cell_size(cell, width - 1).rstrip()}…"
            pad = " " * (width - cell_len(shown))
            cells.append(pad + shown if index in right else shown + pad)
        lines.append("  ".join(cells).rstrip())
    return lines
