"""How fast and how late the exchange is: figures that the core and the books both rely on.

Figures of one venue live in its file (`venues`), choices in `core.policy`. The native engine has those that
it needs, too; a test compares them.
"""

from __future__ import annotations

__all__ = ["ARBITRATION_PATIENCE_NS", "NODE_LAG_S", "SLOWEST_STREAM_NS"]

SLOWEST_STREAM_NS = 1_000_000_000
"""A stream with changes sends at least this often: no venue offers a slower one (`Venue.stream_speeds`)."""

ARBITRATION_PATIENCE_NS = SLOWEST_STREAM_NS * 3 // 2
"""How long one of several connections may be behind another with the same diff."""

NODE_LAG_S = 30
"""How far the book of a REST node may be behind the time it tells or answers at (options, 2026-04)."""
