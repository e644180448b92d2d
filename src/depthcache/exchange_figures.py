"""Timing figures of the exchange that both the core and the books use.

Figures of one venue are in its module in `venues`, design choices in `core.policy`. The native engine has its
own copy; a test compares them.
"""

from __future__ import annotations

__all__ = ["ARBITRATION_PATIENCE_NS", "NODE_LAG_S", "SLOWEST_STREAM_NS"]

SLOWEST_STREAM_NS = 1_000_000_000
"""The longest interval between messages of a stream with changes (`Venue.stream_speeds`)."""

ARBITRATION_PATIENCE_NS = SLOWEST_STREAM_NS * 3 // 2
"""How long one connection may lag behind another for the same diff."""

NODE_LAG_S = 30
"""How far the book of a REST node may lag behind the time in its response (seen on options, 2026-04)."""
