"""What the parts of the core share: router, choices, deadlines, and the effects they fill.

No decisions here. Parts never call the outside; they append commands, and the runner performs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from depthcache.core.budget import Budgets
from depthcache.core.commands import Command
from depthcache.core.policy import Policy, backoff_ns
from depthcache.core.timers import Deadlines

if TYPE_CHECKING:
    from depthcache._native import Router
    from depthcache.core.link import Link
    from depthcache.core.supervisor import Supervisor

__all__ = ["Context"]


@dataclass(slots=True)
class Context:
    """Shared by all parts of one client."""

    router: Router
    policy: Policy
    random: Callable[[], float]
    budgets: Budgets = field(default_factory=Budgets)
    own_snapshots: bool = False
    """Snapshots come from the user's own source, which may have kept them for any time."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    commands: list[Command] = field(default_factory=list)
    touched: dict[int, Supervisor] = field(default_factory=dict)
    """Markets whose status may have changed since users were last told."""
    carriers: dict[int, Link] = field(default_factory=dict)
    """The link behind each live connection number."""
    connection_numbers: count[int] = field(default_factory=lambda: count(1))
    link_numbers: count[int] = field(default_factory=lambda: count(1))
    request_numbers: count[int] = field(default_factory=lambda: count(1))

    def backoff_ns(self, attempt: int, base_s: float, cap_s: float) -> int:
        """A pause with this client's jitter."""
        return backoff_ns(attempt, base_s, cap_s, self.random())
