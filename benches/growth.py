"""How much an object holds: finds what grows although everything that came has gone.

Memory says it too, but late, and not where.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

__all__ = ["entries", "grown"]

_CONTAINERS = (dict, list, set, frozenset, deque)
_SKIPPED = (type, ModuleType, BuiltinFunctionType, CodeType, asyncio.AbstractEventLoop, asyncio.Future)
BOUNDED = (
    "Allowance._freed",
    "Deadlines._heap",
    "Clock._heard",
    "MessageProofs._known",
    "RoundTrips._took_ns",
)
"""What is given back with time, or full at some time."""


def entries(*roots: object, without: Iterable[object] = ()) -> Counter[str]:
    """The number of entries of all containers that are reachable, by the attribute that holds them.

    What runs is left out: event loops, tasks and what they alone hold. `without`: further objects that are
    left out.
    """
    found: Counter[str] = Counter()
    seen = {id(each) for each in without}
    todo: list[tuple[object, str]] = [(root, type(root).__name__) for root in roots]
    while todo:
        each, name = todo.pop()
        if id(each) in seen or isinstance(each, _SKIPPED):
            continue
        seen.add(id(each))
        if isinstance(each, _CONTAINERS):
            found[name] += len(each)
        todo += _held(each, name)
    return found


def grown(before: Mapping[str, int], after: Mapping[str, int], *, by: int = 0) -> list[str]:
    """What has more entries than before, by more than this; a sentence each."""
    return [
        f"{name} grew from {before.get(name, 0):,} to {count:,} entries"
        for name, count in sorted(after.items())
        if count > before.get(name, 0) + by and name not in BOUNDED
    ]


def _held(each: Any, name: str) -> list[tuple[object, str]]:
    """What an object holds, with names."""
    if isinstance(each, FunctionType):
        return [(held, name) for cell in each.__closure__ or () for held in gc.get_referents(cell)]
    if isinstance(each, MethodType):
        return [(each.__self__, type(each.__self__).__name__)]
    if isinstance(each, (*_CONTAINERS, tuple)) or not (named := _attributes(each)):
        return [(held, _name(held, name)) for held in gc.get_referents(each)]
    return [(held, f"{type(each).__name__}.{attribute}") for attribute, held in named.items()]


def _attributes(each: Any) -> dict[str, Any]:
    found = dict(getattr(each, "__dict__", {}))
    for kind in type(each).__mro__:
        slots = vars(kind).get("__slots__", ())
        names = {slots} if isinstance(slots, str) else {*slots}
        for name in names - {"__dict__", "__weakref__"}:
            if hasattr(each, name):
                found[name] = getattr(each, name)
    return found


def _name(held: object, name: str) -> str:
    return name if isinstance(held, (*_CONTAINERS, tuple)) else type(held).__name__
