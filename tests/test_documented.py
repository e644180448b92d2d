"""Every public name is fully documented: a walk over the public API that fails on missing text.

It covers classes, methods, properties, fields, members of enums, parameters and the errors that are named.
The stub documents native names.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import depthcache
from depthcache import _native, blocking, doctor, errors, recording, rest, server, simulator, venues, wire

ROOT = Path(__file__).parents[1]
STUB = ROOT / "src" / "depthcache" / "_native.pyi"
MODULES: tuple[ModuleType, ...] = (
    depthcache,
    blocking,
    doctor,
    recording,
    rest,
    server,
    simulator,
    venues,
    wire,
)
CONSTANTS = {"depthcache.simulator.PROFILES", "depthcache.simulator.TINY"}
"""Values without a docstring of their own: the page of the simulator tells what they are."""
SAID_ONCE = {"depthcache.simulator.SimulatedExchange", "depthcache.simulator.RecordedExchange"}
"""Classes that say once, for all of their methods, what `venue`, `now_ns` and the like are."""
ERRORS = {
    name
    for space in (errors, builtins)
    for name, value in vars(space).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}
LOOKS_LIKE_AN_ERROR = re.compile(r"\b[A-Z][a-z]+(?:[A-Z]\w*)+\b|\b[A-Z]\w*(?:Error|Timeout|Exception)\b")
RAISES = re.compile(r"\bRaises?:?\s(.*?)(?:\.\s|\.$|\n\n|$)", re.DOTALL)
SEE = re.compile(r"(?:[Aa]s(?: for)?|those of|what)\s+`(depthcache(?:\.\w+)+)`")


@dataclass(frozen=True)
class Documented:
    """One public thing: its name, its words, and the parameters those must mention."""

    name: str
    text: str
    parameters: tuple[str, ...] = ()


def public() -> Iterator[tuple[str, Any]]:
    for module in MODULES:
        for name in module.__all__:
            value = getattr(module, name)
            if not isinstance(value, ModuleType):
                yield f"{module.__name__}.{name}", value


@cache
def stub() -> dict[str, ast.ClassDef]:
    tree = ast.parse(STUB.read_text("utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def stub_text(cls: str, member: str | None = None) -> str:
    """The docstring of a native class or of one of its members, all overloads together."""
    nodes: list[Any] = (
        [stub()[cls]]
        if member is None
        else [node for node in stub()[cls].body if getattr(node, "name", None) == member]
    )
    return "\n".join(ast.get_docstring(node) or "" for node in nodes).strip()


def stub_parameters(cls: str, member: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for node in stub()[cls].body:
        if isinstance(node, ast.FunctionDef) and node.name == member:
            for each in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
                found[each.arg] = None
    return tuple(name for name in found if name not in ("self", "cls"))


def parameters(function: Any) -> tuple[str, ...]:
    kinds = (inspect.Parameter.VAR_POSITIONAL,)
    return tuple(
        each.name
        for each in inspect.signature(function).parameters.values()
        if each.name not in ("self", "cls") and each.kind not in kinds and not each.name.startswith("_")
    )


def is_native(cls: type) -> bool:
    return vars(_native).get(cls.__name__) is cls


@cache
def definition(cls: type) -> ast.ClassDef:
    """The class in its file, which is not where it says that it is."""
    for module in [each for name, each in sys.modules.items() if name.startswith("depthcache")]:
        if vars(module).get(cls.__name__) is cls and module.__file__ is not None:
            tree = ast.parse(Path(module.__file__).read_text("utf-8"))
            for node in tree.body:
                if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
                    return node
    raise LookupError(cls)


def fields_of(cls: type) -> tuple[str, ...]:
    """The fields of a dataclass or a named tuple that have no words of their own below them."""
    names = getattr(cls, "__dataclass_fields__", None) or getattr(cls, "_fields", ())
    with_words: set[str] = set()
    for base in cls.__mro__:
        if not base.__module__.startswith("depthcache") or is_native(base):
            continue
        waiting: list[str] = []
        for node in definition(base).body:
            if isinstance(node, ast.AnnAssign | ast.Assign):
                targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
                waiting += [target.id for target in targets if isinstance(target, ast.Name)]
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                with_words |= set(waiting)
                waiting.clear()
            else:
                waiting.clear()
    return tuple(name for name in names if name not in with_words and not name.startswith("_"))


def own(value: Any) -> str:
    """The docstring that a thing has itself, none that it inherits from outside this package."""
    text = value.__doc__ or ""
    return "" if text == getattr(type(value), "__doc__", None) else inspect.cleandoc(text)


def members(name: str, cls: type) -> Iterator[Documented]:
    for member in sorted(vars_of(cls)):
        definer = next(base for base in cls.__mro__ if member in vars(base))
        value = vars(definer)[member]
        place = f"{name}.{member}"
        if is_native(definer):
            yield Documented(
                place, stub_text(definer.__name__, member), stub_parameters(definer.__name__, member)
            )
        elif isinstance(value, property):
            yield Documented(place, own(value))
        elif isinstance(value, staticmethod | classmethod):
            yield Documented(place, own(value.__func__), parameters(value.__func__))
        elif inspect.isfunction(value):
            yield Documented(place, own(value), parameters(value))


def vars_of(cls: type) -> set[str]:
    return {
        member
        for base in cls.__mro__
        if base.__module__.startswith("depthcache")
        for member in vars(base)
        if not member.startswith("_")
    }


def class_and_members(name: str, cls: type) -> Iterator[Documented]:
    native = is_native(cls)
    text = stub_text(cls.__name__) if native else own(cls)
    made_by = next((vars(cls)[each] for each in ("__init__", "__new__") if each in vars(cls)), None)
    asked: tuple[str, ...] = fields_of(cls) if not native else ()
    if not native and not asked and inspect.isfunction(made_by):
        text += "\n" + own(made_by)
        asked = parameters(made_by)
        if not made_by.__doc__ and not issubclass(cls, BaseException):
            asked = ()  # it is made by the package, not by users
    yield Documented(name, text, asked)
    if issubclass(cls, Enum):
        source = {
            node.targets[0].id: following
            for node, following in neighbours(cls)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for member in cls:
            after = source[member.name]
            said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            yield Documented(f"{name}.{member.name}", "said" if said else "")
    yield from members(name, cls)


def neighbours(cls: type) -> list[tuple[ast.stmt, ast.stmt | None]]:
    body = definition(cls).body
    return list(zip(body, [*body[1:], None], strict=True))


def everything() -> Iterator[Documented]:
    for name, value in public():
        if inspect.isclass(value):
            yield from class_and_members(name, value)
        elif inspect.isfunction(value):
            yield Documented(name, own(value), parameters(value))


ALL = {each.name: each for each in everything()}


def full_text(each: Documented) -> str:
    """The words of a thing and of what they refer to; of some classes the words are for all their methods."""
    above = each.name.rpartition(".")[0]
    text = each.text + "\n" + (ALL[above].text if above in SAID_ONCE else "")
    for name in SEE.findall(text):
        assert name in ALL, f"{each.name} refers to {name}, which is not public"
        text += "\n" + ALL[name].text
    return text


def test_the_walk_sees_native_and_python_classes_alike() -> None:
    for name in (
        "depthcache.LiveBook.best",
        "depthcache.LiveBook.wait_synced",
        "depthcache.Side.to_numpy",
        "depthcache.Policy",
        "depthcache.Status.SYNCED",
        "depthcache.blocking.LiveBook.audit",
        "depthcache.simulator.Pair.run_for",
    ):
        assert name in ALL
    assert len(ALL) > 150


@pytest.mark.parametrize("name", ALL)
def test_every_public_thing_has_words(name: str) -> None:
    assert ALL[name].text.strip()


def test_every_parameter_and_field_is_mentioned() -> None:
    silent = [
        f"{each.name}({parameter})"
        for each in ALL.values()
        for parameter in each.parameters
        if not re.search(rf"\b{parameter}\b", full_text(each))
    ]
    assert silent == []


def test_only_errors_that_exist_are_named() -> None:
    known = ERRORS | {name.rpartition(".")[2] for name in ALL}
    wrong = [
        f"{each.name}: {word}"
        for each in ALL.values()
        for sentence in RAISES.findall(each.text)
        for word in LOOKS_LIKE_AN_ERROR.findall(sentence)
        if word not in known
    ]
    assert wrong == []


def test_every_public_name_is_on_a_page_of_the_reference() -> None:
    pages = "\n".join(
        page.read_text("utf-8") for page in sorted((ROOT / "docs" / "reference" / "api").glob("*.md"))
    )
    shown = set(re.findall(r"^::: (\S+)$", pages, re.MULTILINE)) | set(
        re.findall(r"`(depthcache(?:\.\w+)+)`", pages)
    )
    assert {name for name, _ in public()} - shown == set()
    assert shown >= CONSTANTS
