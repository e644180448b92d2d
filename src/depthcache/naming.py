"""The module names that public classes report: the module users import from, not the defining file.

Tracebacks, `repr`, `help` and pickles then show `depthcache.BookNotSynced`, and moving a file does not break
pickles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

__all__ = ["publish"]


def publish(module: str, *names: Callable[..., Any]) -> None:
    """Set the module name of classes and functions; that module must export each of them."""
    for each in names:
        if isinstance(each, type):
            _resolve(each)
        each.__module__ = module


def _resolve(cls: Any) -> None:
    """Replace text annotations with types, since the reported module does not have all names of the file."""
    texts: dict[str, str] = cls.__dict__.get("__annotations__", {})  # noqa: RUF063 - its own alone
    if not texts or hasattr(cls, "__required_keys__"):  # a TypedDict remembers its own module
        return
    try:
        found = get_type_hints(cls)
    except NameError:
        return  # some names exist for type checkers only
    cls.__annotations__ = {name: found[name] for name in texts}
