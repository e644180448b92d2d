"""Public classes name the module from which users import them, so that pickles find them there."""

from __future__ import annotations

import pickle
import subprocess
import sys
import traceback
import typing
from dataclasses import is_dataclass
from types import ModuleType
from typing import Any

import pytest

import depthcache
from depthcache import naming

MODULES = ("depthcache", "blocking", "doctor", "recording", "rest", "simulator", "venues")


def public_classes() -> list[tuple[str, type]]:
    """Every class that a public module offers, with the name under which it does."""
    found = []
    for name in MODULES:
        module: ModuleType = depthcache if name == "depthcache" else getattr(depthcache, name)
        for each in module.__all__:
            value = getattr(module, each)
            if isinstance(value, type) and not hasattr(value, "__origin__"):
                found.append((f"{module.__name__}.{each}", value))
    return found


CLASSES = public_classes()
OF_TYPE_CHECKERS = {"BookArrays", "Integers", "BookIntegers"}
"""Their annotations name numpy's types, which are imported for type checkers alone."""


@pytest.mark.parametrize(("name", "cls"), CLASSES, ids=[name for name, _ in CLASSES])
def test_a_public_class_says_where_users_import_it_from(name: str, cls: type) -> None:
    assert f"{cls.__module__}.{cls.__qualname__}" == name
    assert pickle.loads(pickle.dumps(cls)) is cls  # noqa: S301


VALUES = [
    cls
    for name, cls in CLASSES
    if (issubclass(cls, tuple | Exception) or is_dataclass(cls)) and cls.__name__ not in OF_TYPE_CHECKERS
]


@pytest.mark.parametrize("cls", VALUES, ids=lambda cls: f"{cls.__module__}.{cls.__qualname__}")
def test_annotations_are_found_though_the_names_of_the_file_are_elsewhere(cls: Any) -> None:
    """Frameworks that make schemas look them up in the module that the class names."""
    hints = typing.get_type_hints(cls)
    assert hints.keys() >= vars(cls).get("__annotations__", {}).keys()


def test_tracebacks_name_errors_as_programs_catch_them() -> None:
    with pytest.raises(depthcache.BookNotSynced) as raised:
        depthcache.Book("binance.com", "BTCUSDT").best  # noqa: B018
    assert traceback.format_exception_only(raised.value)[0].startswith("depthcache.BookNotSynced: BTCUSDT on")


def test_a_pickle_of_a_class_that_was_not_loaded_yet_finds_it() -> None:
    state = pickle.dumps(depthcache.BookEmpty(exchange="binance.com", symbol="BTCUSDT", side="bids"))
    code = f"import pickle; print(type(pickle.loads({state!r})))"
    ran = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "<class 'depthcache.BookEmpty'>"


def test_a_class_whose_annotations_only_type_checkers_find_is_published_all_the_same() -> None:
    cls: Any = type("Odd", (), {"__annotations__": {"size": "Nowhere"}})
    naming.publish("depthcache", cls)
    assert (cls.__module__, cls.__annotations__) == ("depthcache", {"size": "Nowhere"})
