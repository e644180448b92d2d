"""The layout of the repository: where files belong, and how they begin."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "depthcache"
PYTHON_FILES = sorted(path for path in PACKAGE.rglob("*.py"))
RUST_FILES = sorted((ROOT / "crates").rglob("*.rs"))
FOLDERS = {
    "cli",
    "client",
    "cluster",
    "compat",
    "core",
    "doctor",
    "io",
    "pictures",
    "recording",
    "reference",
    "server",
    "simulator",
    "venues",
}


def tracked() -> list[str]:
    """Paths that git tracks, or an empty list outside a checkout."""
    response = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    return response.stdout.split() if response.returncode == 0 else []


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PYTHON_FILES, ids=name)
def test_every_python_file_begins_with_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert docstring, "a file begins with a docstring"
    assert docstring.strip(), "the docstring says something"


@pytest.mark.parametrize("path", [path for path in RUST_FILES if "target" not in path.parts], ids=name)
def test_every_rust_file_begins_with_what_it_is(path: Path) -> None:
    assert path.read_text("utf-8").startswith("//!")


def test_the_package_has_the_folders_of_the_architecture_and_no_others() -> None:
    found = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert found == FOLDERS


def test_the_tests_stand_in_the_same_tree_as_the_sources() -> None:
    homes = FOLDERS | {
        "books",
        "conformance",
        "captures",
        "hostile",
        "markets",
        "page",
        "properties",
        "typing",
        "rivals",
        "scale",
        "support",
    }
    found = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert found <= homes


def test_nothing_generated_binary_or_recorded_is_tracked() -> None:
    suspects = re.compile(r"\.(so|pyd|whl|gz|zst|parquet|pyc|bin|dat)$|(^|/)(target|build|dist|\.venv)/")
    assert [path for path in tracked() if suspects.search(path)] == []


def test_the_documents_of_the_root_are_those_that_strangers_know() -> None:
    known = {"README.md", "ARCHITECTURE.md", "BENCHMARKS.md", "CHANGELOG.md", "CONTRIBUTING.md"}
    assert {path for path in tracked() if path.endswith(".md") and "/" not in path} == known


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "_native.pyi").is_file()


def test_no_machine_path_is_in_a_tracked_file() -> None:
    suspects = re.compile(r"/(work|root|home/\w+)/")
    own = name(Path(__file__))
    found = []
    for path in tracked():
        file = ROOT / path
        if path == own or not file.is_file():
            continue
        if suspects.search(file.read_text("utf-8", "replace")):
            found.append(path)
    assert found == []
