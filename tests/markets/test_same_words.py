"""Both engines use the same texts and figures, which are read from their sources."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from depthcache.reference import reasons

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "src" / "depthcache" / "reference"
NATIVE = sorted((ROOT / "crates" / "book" / "src").rglob("*.rs"))
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
FIGURE = re.compile(r"^(?:pub(?:\(\w+\))? )?const (\w+): \w+ = ([\d_ *<]+);", re.MULTILINE)


def native_texts() -> set[str]:
    """Every text of the native sources, with {} for what is put in."""
    found = set[str]()
    for path in NATIVE:
        for text in LITERAL.findall(path.read_text("utf-8")):
            found.add(re.sub(r"\{[^{}]*\}", "{}", re.sub(r"\\\n\s*", "", text)))
    return found


def texts(source: str) -> dict[str, str]:
    """Name to text of a file of reasons, with {} for what is put in."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            found[ast.unparse(node.targets[0])] = str(node.value.value)
        elif isinstance(node, ast.FunctionDef) and isinstance(node.body[-1], ast.Return):
            text = node.body[-1].value
            assert isinstance(text, ast.JoinedStr), f"{node.name} returns one text"
            parts = [each.value if isinstance(each, ast.Constant) else "{}" for each in text.values]
            found[node.name] = "".join(map(str, parts))
    return found


def native_figures() -> dict[str, set[int]]:
    """Name to values of the whole numbers that the native sources name."""
    found: dict[str, set[int]] = {}
    for path in NATIVE:
        for name, value in FIGURE.findall(path.read_text("utf-8")):
            found.setdefault(name, set()).add(eval(value))  # noqa: S307 - digits, * and << alone
    return found


def figures() -> dict[str, int]:
    """Name to value of the whole numbers that the readable engine names, as the native one would."""
    found = {}
    for path in sorted(REFERENCE.glob("*.py")):
        module = import_module(f"depthcache.reference.{path.stem}")
        for node in ast.parse(path.read_text("utf-8")).body:
            name = ast.unparse(node.targets[0]) if isinstance(node, ast.Assign) else ""
            if name.isupper() and type(getattr(module, name, None)) is int:
                found[name.lstrip("_")] = getattr(module, name)
    return found


REASONS = texts((REFERENCE / "reasons.py").read_text("utf-8"))


@pytest.mark.parametrize("name", REASONS)
def test_both_engines_have_the_same_reasons(name: str) -> None:
    assert REASONS[name] in native_texts()


def test_every_reason_of_the_readable_engine_is_compared() -> None:
    assert REASONS.keys() == set(reasons.__all__)


def test_figures_of_one_name_are_one_figure() -> None:
    native, ours = native_figures(), figures()
    shared = ours.keys() & native.keys()
    assert {name: native[name] for name in shared if native[name] != {ours[name]}} == {}
    assert len(shared) >= 15, "both engines name them alike"


def test_another_word_is_noticed() -> None:
    planted = texts('GAP = "a hole"\ndef f(x: int) -> str:\n    """."""\n    return f"{x} holes"\n')
    assert planted == {"GAP": "a hole", "f": "{} holes"}
    assert not planted.keys() & native_texts()
