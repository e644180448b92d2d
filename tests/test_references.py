"""What a module's docstring names in backticks exists: modules, files, and names of the module itself.

After "Not here:" a bare word must be a module or a name that the module imports or defines; before it, any
identifier of the module will do as well.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import depthcache
import depthcache.simulator
from depthcache import _native

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "depthcache"
FILES = [path for path in sorted(SOURCE.rglob("*.py")) if "reference" not in path.relative_to(SOURCE).parts]
REFERENCE = re.compile(r"`([^`\s]+)`")
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
FILE = re.compile(r"(crates|src|tests|docs|benches|tools|examples)/[\w./-]+")
MODULES = {path.stem for path in FILES} | {path.parent.name for path in FILES}
NOT_HERE = "Not here:"


def dead_references(path: Path, source: str) -> list[str]:
    """The backticked words of a module's docstring that lead nowhere."""
    tree = ast.parse(source)
    text = ast.get_docstring(tree) or ""
    before, marker, after = text.partition(NOT_HERE)
    own = top_level(tree)
    is_twin = "compat" in path.parts or path.name in OF_WORDS
    known = own | identifiers(tree)
    lenient = [] if is_twin else [word for word in references(before) if not exists(word, path, known)]
    strict = [word for word in references(after) if not exists(word, path, own)] if marker else []
    return lenient + strict + [word for word in paths_of_members(tree, text) if not exists(word, path, own)]


def paths_of_members(tree: ast.Module, besides: str) -> Iterator[str]:
    """In the other docstrings: dotted words that begin with the name of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            text = node.value.value
            if isinstance(text, str) and inspect.cleandoc(text) != besides:
                yield from (
                    word for word in references(text) if "." in word and word.split(".")[0] in MODULES
                )


def references(text: str) -> Iterator[str]:
    """Backticked words that can be names or paths; code with spaces, calls and commands are none."""
    for word in REFERENCE.findall(text):
        if DOTTED.fullmatch(word) or FILE.fullmatch(word):
            yield word


def exists(word: str, path: Path, names: set[str]) -> bool:
    """Whether a word is a file, a module of this package or one above it, or one of the names."""
    if FILE.fullmatch(word):
        return (ROOT / word).exists()
    if word in names or hasattr(builtins, word) or word in WORDS:
        return True
    steps = word.removeprefix("depthcache.").split(".")
    if word == "depthcache" or all(step in names for step in steps) or steps[0] in sys.stdlib_module_names:
        return True
    if steps[0] in PUBLIC and all(step in PUBLIC[steps[0]] for step in steps[1:]):
        return True
    package = path.parent
    while True:
        if is_module_path(package, steps):
            return True
        if package == SOURCE:
            return False
        package = package.parent


def is_module_path(package: Path, steps: list[str]) -> bool:
    """Whether the steps lead from a package to a module, or to a name that a module holds."""
    for index, step in enumerate(steps):
        module = next(
            (each for each in (package / f"{step}.py", package / f"{step}.pyi") if each.exists()), None
        )
        if module is not None:
            rest = set(steps[index + 1 :])
            return not rest or rest <= members(ast.parse(module.read_text("utf-8")))
        initial = package / step / "__init__.py"
        if not initial.exists():
            rest = set(steps[index:])
            return index > 0 and rest <= top_level(ast.parse((package / "__init__.py").read_text("utf-8")))
        package = package / step
    return True


def top_level(tree: ast.Module) -> set[str]:
    """What a module defines or imports, and the members of its classes."""
    found = members(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(each.asname or each.name).split(".")[-1] for each in node.names}
    return found


def members(tree: ast.Module) -> set[str]:
    """What a module defines, and the members of its classes."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            found.add(node.name)
            found |= {
                each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            found |= {name.id for each in node.body for name in ast.walk(each) if isinstance(name, ast.Name)}
    for each in tree.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(each.name)
        elif isinstance(each, ast.Assign | ast.AnnAssign):
            found |= {name.id for name in ast.walk(each) if isinstance(name, ast.Name)}
    return found


def identifiers(tree: ast.Module) -> set[str]:
    """Every name, argument, attribute and word of a text in a module, docstrings aside."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            found.add(node.arg)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            found |= set(re.findall(r"\w+", node.value))
    return found


PUBLIC = {
    name: set(dir(getattr(module, name)))
    for module in (depthcache, depthcache.simulator, _native)
    for name in dir(module)
    if not name.startswith("__")
}
"""Public names, and those of the native module, with their members."""
OF_WORDS = {"wire.py", "trouble.py"}
"""They describe messages and methods that are written elsewhere, as the twins of another library do; what
follows "Not here:" is checked for them, too."""
WORDS = {"localhost", "ubra_manager", "lastUpdateId", "pu", "U", "u", "msg"}
"""Words of the network, of the exchange's messages and of the library that `compat` replaces."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_docstring_names_what_does_not_exist(path: Path) -> None:
    assert dead_references(path, path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("docstring", "dead"),
    [
        ("Not here: budgets (`pacing`).", ["pacing"]),
        ("Not here: budgets (`requests.scheduler`), `slot`.", ["slot"]),
        ("The parts: `markets.supervisor`, `markets.gone`.", ["markets.gone"]),
        ("Not here: `scheduler.Requester`, `requests.scheduler.Requester`.", ["scheduler.Requester"]),
        (
            "Reads `crates/book/src/router.rs`. Not here: `crates/book/src/gone.rs`.",
            ["crates/book/src/gone.rs"],
        ),
        ("Takes a `slot`, never a `gone_slot`.", ["gone_slot"]),
        (
            '"""\n"""As `scheduler.Requester.owner`, not `requests.scheduler.Requester.owner`.',
            ["scheduler.Requester.owner"],
        ),
    ],
)
def test_a_dead_reference_is_noticed(docstring: str, dead: list[str]) -> None:
    source = f'"""{docstring}"""\n\ndef take(slot: int) -> int:\n    return slot\n'
    assert dead_references(SOURCE / "core" / "client.py", source) == dead
