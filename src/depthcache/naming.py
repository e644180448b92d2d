"""Where public classes say that they are: where users import them from, wherever their file is.

Tracebacks, `repr`, `help` and pickles then say `depthcache.BookNotSynced`, and a file can move without
breaking a pickle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

__all__ = ["publish"]


def publish(module: str, *names: Callable[..., Any]) -> None:
    """Classes and functions are of that module from now on; it must offer each by its name."""
    for each in names:
        if isinstance(each, type):
            _resolve(each)
        each.__module__ = module


def _resolve(cls: Any) -> None:
    """Annotations as types: as texts they are looked up in the module that the class names, where the names
    of its file are not."""
    texts: dict[str, str] = cls.__dict__.get("__annotations__", {})  # noqa: RUF063 - its own alone
    if not texts or hasattr(cls, "__required_keys__"):  # a TypedDict remembers its own module
        return
    try:
        found = get_type_hints(cls)
    except NameError:
        return  # of names that only type checkers see
    cls.__annotations__ = {name: found[name] for name in texts}
