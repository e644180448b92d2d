"""`depthcache watch`."""

from __future__ import annotations

import click

__all__ = ["watch"]


@click.command()
def watch() -> None:
    """To come."""
