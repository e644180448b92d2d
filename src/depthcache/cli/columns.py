"""Rows as aligned columns of plain text: readable, and easy to cut with grep and awk."""

from __future__ import annotations

from collections.abc import Sequence

import click

__all__ = ["show_columns"]


def show_columns(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a line of headings and one for each row; wide characters take two cells, an empty text is `-`."""
    from rich.cells import cell_len

    shown = [tuple(cell or "-" for cell in row) for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(headings, *shown, strict=True)]
    lines = [
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        for row in (headings, *shown)
    ]
    click.echo("\n".join(line.rstrip() for line in lines))
