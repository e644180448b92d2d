"""Modules of each crate import each other in one direction only, except parents and their children."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CRATES = sorted(path.parent for path in (ROOT / "crates").glob("*/Cargo.toml"))
Module = tuple[str, ...]
_NO_CODE = re.compile(
    r"//[^\n]*|/\*.*?\*/|b?r(#*)\".*?\"\1|[bc]?\"(?:\\.|[^\"\\])*\"|b?'(?:\\.[^']*|[^\\'\n])'", re.S
)
_TESTS = re.compile(r"#\[cfg\(test\)\]\s*mod \w+ \{.*", re.S)
_PATH = re.compile(r"\b(?:crate|super|self)(?:::\w+)*(?:::\{)?")


def modules(crate: Path) -> dict[Module, str]:
    """The code of each file by the path of its module, without tests, comments and strings."""
    source = crate / "src"
    found = {}
    for path in sorted(source.rglob("*.rs")):
        parts = path.relative_to(source).with_suffix("").parts
        module = () if parts == ("lib",) else parts
        found[module] = _NO_CODE.sub("", _TESTS.sub("", path.read_text("utf-8")))
    return found


def paths(code: str) -> Iterator[list[str]]:
    """Every path that begins with `crate`, `super` or `self`; braces give one for each entry."""
    for match in _PATH.finditer(code):
        start = match[0].removesuffix("::{").split("::")
        if match[0].endswith("{"):
            depth, entry = 1, ""
            for letter in code[match.end() :]:
                depth += (letter == "{") - (letter == "}")
                if depth == 0 or (depth == 1 and letter == ","):
                    yield [*start, *re.split(r"::|\s|\{", entry.strip())]
                    entry = ""
                else:
                    entry += letter
                if depth == 0:
                    break
        else:
            yield start


def target(module: Module, path: list[str], known: Mapping[Module, str]) -> Module:
    """The innermost module that a path names."""
    at = () if path[0] == "crate" else module
    for name in path:
        if name == "super":
            at = at[:-1]
        elif name not in ("crate", "self"):
            if (*at, name) not in known:
                break
            at = (*at, name)
    return at


def imports(code_of: Mapping[Module, str]) -> dict[Module, dict[str, set[str]]]:
    """For each module with children: which child imports which other, each with all that is below it."""
    graph: dict[Module, dict[str, set[str]]] = {}
    for module, code in code_of.items():
        for path in paths(code):
            other = target(module, path, code_of)
            common = 0
            while common < min(len(module), len(other)) and module[common] == other[common]:
                common += 1
            if common < min(len(module), len(other)):  # else one is above the other
                siblings = graph.setdefault(module[:common], {})
                siblings.setdefault(module[common], set()).add(other[common])
    return graph


def cycles(code_of: Mapping[Module, str]) -> list[str]:
    """One sentence for each module whose children import each other in a circle."""
    found = []
    for parent, siblings in sorted(imports(code_of).items()):
        try:
            TopologicalSorter(siblings).prepare()
        except CycleError as error:
            circle = " -> ".join(reversed(error.args[1]))
            found.append(f"in {'::'.join(parent) or 'the root'}: {circle}")
    return found


@pytest.mark.parametrize("crate", CRATES, ids=lambda path: path.name)
def test_no_modules_import_each_other_in_a_circle(crate: Path) -> None:
    assert cycles(modules(crate)) == []


@pytest.mark.parametrize(
    ("code_of", "place", "circle"),
    [
        ({"": "", "a": "use crate::b::B;", "b": "use super::a::{self, A};"}, "the root", {"a", "b"}),
        ({"": "", "a": "use crate::{b::B, c};", "b": "", "c": "crate::a::f()"}, "the root", {"a", "c"}),
        ({"": "", "a": "", "a::x": "crate::b::f()", "b": "use crate::a::A;"}, "the root", {"a", "b"}),
        ({"": "", "a": "", "a::x": "use super::y::Y;", "a::y": "use super::x::X;"}, "a", {"x", "y"}),
    ],
)
def test_a_circle_is_found_at_any_depth(code_of: dict[str, str], place: str, circle: set[str]) -> None:
    [found] = cycles({tuple(filter(None, name.split("::"))): code for name, code in code_of.items()})
    where, _, names = found.partition(": ")
    assert (where, set(names.split(" -> "))) == (f"in {place}", circle)


def test_parents_and_children_may_import_each_other() -> None:
    code_of: dict[Module, str] = {
        (): "use crate::a::A;",
        ("a",): "use crate::Root; use self::x::X;",
        ("a", "x"): "use super::A; use crate::Root;",
        ("b",): "use crate::a::x; // crate::b is named by nothing but this comment",
    }
    assert cycles(code_of) == []
