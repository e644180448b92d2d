"""The budgets that all clients of this process share: the exchange counts by address, not by client.

Not here: what a budget allows (`core.requests.budget`).
"""

from __future__ import annotations

import os
from threading import Lock

from depthcache.core.requests.budget import Budgets

__all__ = ["shared_budgets"]

_shared = Budgets(Lock)


def _forget() -> None:
    """In the child after a fork: locks of threads that are not there any more are never waited for."""
    global _shared
    _shared = Budgets(Lock)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def shared_budgets() -> Budgets:
    """Those of this process."""
    return _shared
