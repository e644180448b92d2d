"""Documents stay true: their code runs, their paths exist, their commands are there."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import depthcache
from depthcache import errors, simulator

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[object]:
    """Every code block of a language, as a pytest parameter named after its place."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text("utf-8")
        for match in BLOCK.finditer(text):
            if match["language"] == language:
                line = text.count("\n", 0, match.start()) + 1
                found.append(pytest.param(match["code"], id=f"{document.relative_to(ROOT)}:{line}"))
    return found


@pytest.fixture(scope="module")
def embedded_exchange() -> Iterator[dict[str, str]]:
    with simulator.serve(seed=7) as server:
        yield dict(server.environment)


@pytest.mark.slow
@pytest.mark.parametrize("code", blocks("python"))
def test_every_python_block_runs_against_the_embedded_exchange(
    code: str, embedded_exchange: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable, value in embedded_exchange.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    compiled = compile(code, "block", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    namespace: dict[str, object] = {"__name__": "block"}
    if compiled.co_flags & inspect.CO_COROUTINE:

        async def run() -> None:
            async with asyncio.timeout(60):
                await eval(compiled, namespace)  # noqa: S307

        asyncio.run(run())
    else:
        exec(compiled, namespace)  # noqa: S102


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_path_in_the_table_of_places_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    table = text.split("## Where is", 1)[1].split("\n## ", 1)[0]
    paths = re.findall(r"`((?:src|crates|tests|docs|benches|fuzz)/[^`]+)`", table)
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_make_command_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {
        name for document in DOCUMENTS for name in re.findall(r"`make ([a-z]+)", document.read_text("utf-8"))
    }
    assert named
    assert named - targets == set()


def test_every_command_in_the_documents_exists() -> None:
    from depthcache.cli import cli

    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"`depthcache ([a-z]+)", document.read_text("utf-8"))
    }
    assert named
    assert named - set(cli.commands) == set()


def test_every_public_object_is_documented() -> None:
    bare = [name for name in depthcache.__all__ if not inspect.isdatadescriptor(getattr(depthcache, name))]
    silent = [name for name in bare if not (inspect.getdoc(getattr(depthcache, name)) or "").strip()]
    assert silent == []


def test_the_tree_of_errors_names_every_error() -> None:
    classes = [
        cls for _, cls in inspect.getmembers(errors, inspect.isclass) if cls.__module__ == errors.__name__
    ]
    assert errors.__doc__ is not None
    drawn = set(re.findall(r"\b[A-Z]\w+\b", errors.__doc__.split("\n\n")[1]))
    assert {cls.__name__ for cls in classes} <= drawn
    assert {cls.__name__ for cls in classes} == set(errors.__all__)


def test_the_environment_of_the_tests_points_at_no_real_exchange() -> None:
    assert [
        name for name in os.environ if name.startswith("DEPTHCACHE_") and "binance" in os.environ[name]
    ] == []


def test_every_complaint_has_a_test_that_exists() -> None:
    page = (ROOT / "docs" / "complaints.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \|.*$", page, re.MULTILINE)
    assert [int(number) for number in rows] == [*range(1, 12), 13, 14, 15, 16]
    for path, name in re.findall(r"`(tests/\S+\.py)::(\w+)`", page):
        assert f"def {name}(" in (ROOT / path).read_text("utf-8"), f"{path}::{name}"
