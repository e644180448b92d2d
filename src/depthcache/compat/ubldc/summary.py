"""`print_summary` and `print_summary_to_png`: the state of a manager as text and as a picture.

Not here: where the figures come from (`manager.facts()`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from depthcache.compat.ubldc.manager import BinanceLocalDepthCacheManager

__all__ = ["print_summary", "print_summary_to_png"]


def print_summary(
    manager: BinanceLocalDepthCacheManager,
    *,
    add_string: str | None = None,
    footer: str | None = None,
    title: str | None = None,
) -> None:
    """Print the state of a manager and its caches to the standard output."""
    raise NotImplementedError


def print_summary_to_png(
    manager: BinanceLocalDepthCacheManager,
    *,
    print_summary_export_path: str | None = None,
    height_per_row: float = 12.5,
    add_string: str | None = None,
    footer: str | None = None,
    title: str | None = None,
) -> None:
    """Write the same as text and pictures into a folder."""
    raise NotImplementedError
