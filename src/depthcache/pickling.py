"""Helpers for pickling: the state of errors, and objects that cannot leave their process.

Native values implement their own pickling.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, ClassVar, NoReturn, TypeVar

__all__ = ["FixedMapping", "OneProcess", "attributes", "bare", "deep", "is_same", "portable"]

K = TypeVar("K")
V = TypeVar("V", covariant=True)

_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})


class OneProcess:
    """Base class of objects tied to their process: pickling or copying them raises TypeError."""

    __slots__ = ()
    _pickle_instead: ClassVar[str] = "create one in the other process instead"
    """What to do instead, for the error message."""

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        article = "an" if name[0] in "AEIOU" else "a"
        raise TypeError(
            f"{article} {name} belongs to the process that made it and cannot be pickled or copied: "
            f"{self._pickle_instead}"
        )


def bare(cls: Any, *args: object) -> Any:
    """Create an object without calling `__init__`; pickles refer to this function by name."""
    return cls.__new__(cls, *args)


def attributes(error: BaseException) -> dict[str, Any]:
    """All attributes set on an error, including those in slots of subclasses."""
    slots = (name for cls in type(error).__mro__ for name in _slots(cls) if hasattr(error, name))
    return {name: getattr(error, name) for name in slots} | vars(error)


def _slots(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


def portable(value: object) -> object:
    """The value itself, or its `repr` if pickle cannot transfer it, such as a local function.

    An error must always be transferable: `multiprocessing.Pool` hangs if unpickling a result fails.
    """
    if type(value) in _PLAIN:
        return value
    try:
        pickle.loads(pickle.dumps(value))  # noqa: S301 - own bytes
    except Exception:  # noqa: BLE001 - whatever a foreign class raises
        return repr(value)
    return value


def deep(value: object, memo: dict[int, Any]) -> object:
    """A deep copy, or the value itself if it cannot be copied."""
    try:
        return deepcopy(value, memo)
    except Exception:  # noqa: BLE001 - whatever a foreign class raises
        return value


def is_same(one: Mapping[str, object], two: Mapping[str, object]) -> bool:
    """Whether both mappings hold values that are equal, or look the same (arrays, NaN)."""
    return one.keys() == two.keys() and all(_is_same(one[name], two[name]) for name in one)


def _is_same(one: object, two: object) -> bool:
    try:
        return one is two or bool(one == two) or (type(one) is type(two) and repr(one) == repr(two))
    except Exception:  # noqa: BLE001 - arrays refuse to be compared as a whole
        return type(one) is type(two) and repr(one) == repr(two)


class FixedMapping(Mapping[K, V]):
    """A read-only mapping, like `types.MappingProxyType`, that can be pickled and copied."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[K, V]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: K) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __reduce__(self) -> tuple[type[FixedMapping[K, V]], tuple[dict[K, V]]]:
        return FixedMapping, (self._items,)

    def __repr__(self) -> str:
        return repr(self._items)
