"""`help(book)` shows the text of the stub for every native class, method and property."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import depthcache
from depthcache import _native

STUB = ast.parse((Path(__file__).parents[1] / "src" / "depthcache" / "_native.pyi").read_text("utf-8"))
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
PUBLIC = [name for name in CLASSES if name in depthcache.__all__]


def own_members(name: str) -> dict[str, Any]:
    """What the native class defines itself and users may call."""
    found = vars(getattr(_native, name)).items()
    return {member: value for member, value in found if not member.startswith("_")}


def stub_text(cls: str, member: str | None = None) -> str:
    nodes: list[Any] = [CLASSES[cls]]
    if member is not None:
        nodes = [node for node in CLASSES[cls].body if getattr(node, "name", None) == member]
    return "\n".join(ast.get_docstring(node) or "" for node in nodes).strip()


def words(text: str | None) -> str:
    return " ".join(inspect.cleandoc(text or "").split())


def first_sentence(text: str | None) -> str:
    return re.split(r"(?<=[.:;])\s", words(text) + " ")[0]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_native_thing_has_the_words_of_the_stub(name: str) -> None:
    assert words(getattr(_native, name).__doc__) == words(stub_text(name))
    silent = {member for member, value in own_members(name).items() if not value.__doc__}
    assert silent == set()
    other = {
        member: (words(value.__doc__), words(stub_text(name, member)))
        for member, value in own_members(name).items()
        if words(value.__doc__) != words(stub_text(name, member))
    }
    assert other == {}


@pytest.mark.parametrize("name", sorted(CLASSES.keys() - set(PUBLIC)))
def test_where_both_have_words_they_begin_alike(name: str) -> None:
    pairs = [(getattr(_native, name).__doc__, stub_text(name))]
    pairs += [(value.__doc__, stub_text(name, member)) for member, value in own_members(name).items()]
    for native, stub in pairs:
        assert not (native and stub) or first_sentence(native) == first_sentence(stub)


def test_help_of_a_live_book_shows_them() -> None:
    text = inspect.getdoc(depthcache.LiveBook.microprice) or ""
    assert "Stoikov (2018)" in text
    assert inspect.getdoc(depthcache.LiveBook.best_bid) is not None
