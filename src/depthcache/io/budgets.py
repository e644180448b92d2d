"""The weight budgets that all clients of this process share, because the exchange counts per address."""

from __future__ import annotations

import os
from threading import Lock

from depthcache.core.requests.budget import Budgets

__all__ = ["shared_budgets"]

_shared = Budgets(Lock)


def _forget() -> None:
    """Start with fresh budgets in a forked child: threads of the parent may have held their locks."""
    global _shared
    _shared = Budgets(Lock)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def shared_budgets() -> Budgets:
    """The budgets of this process."""
    return _shared
