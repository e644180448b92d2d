"""What a cluster decides: no I/O, no clock, no lock, no log. Time is an argument, effects are values."""

from __future__ import annotations

__all__: list[str] = []
