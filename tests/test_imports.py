"""Import rules: those of ARCHITECTURE.md, checked in every syntax tree."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "depthcache"
FILES = sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")])

PUBLIC = frozenset(
    {
        "depthcache",
        "errors",
        "model",
        "blocking",
        "client.aio",
        "client.callbacks",
        "client.follow",
        "client.live_book",
        "client.metrics",
        "offline",
        "wire",
        "rest",
        "settings",
        "logs",
    }
)
"""What programs may use: the package itself and the files that make up its surface."""

OUTER = PUBLIC | frozenset({"recording", "simulator", "venues"})
"""What commands and everything else around the library may use: no core, no io, no native module."""

LEAVES = frozenset({"foreign_text", "naming", "service_links"})
"""Import nothing, and everything may import them."""

RULES: dict[str, frozenset[str]] = {
    "foreign_text": frozenset(),
    "naming": frozenset(),
    "service_links": frozenset(),
    "pickling": frozenset(),
    "errors": frozenset({"pickling"}),
    "arguments": frozenset({"errors", "model"}),
    "exchange_figures": frozenset(),
    "model": frozenset({"pickling"}),
    "events": frozenset({"model"}),
    "engine": frozenset({"events", "model"}),
    "_native": frozenset({"engine", "errors", "events", "model"}),
    "venues": frozenset({"arguments", "errors", "model"}),
    "reference": frozenset(
        {"arguments", "engine", "errors", "events", "exchange_figures", "model", "pickling"}
    ),
    "wire": frozenset({"_native", "errors", "model"}),
    "core": frozenset(
        {"venues.venue", "arguments", "engine", "errors", "events", "exchange_figures", "model"}
    ),
    "pictures": frozenset({"arguments", "errors", "venues"}),
    "logs": frozenset({"errors", "model", "core.notices"}),
    "io": frozenset({"core", "venues", "engine", "errors", "events", "model", "_native", "logs", "wire"}),
    "simulator": frozenset({"arguments", "io", "reference", "pickling"}) | OUTER,
    "recording": frozenset({"io", "reference"}) | OUTER,
    "doctor": frozenset({"arguments", "io", "core.bodies", "core.requests.responses"}) | OUTER,
    "server": OUTER | {"_native", "arguments", "naming", "pickling"},
    "cli": OUTER | {"cluster", "doctor", "server"},
    "__main__": frozenset({"cli"}),
    "pytest_plugin": frozenset({"arguments", "errors", "simulator"}),
    "web": OUTER,
    "cluster": OUTER | {"client", "core.notices", "doctor.finding", "io", "server"},
    "compat": OUTER | {"arguments", "pickling"},
}
"""Part → parts it may import besides itself. `a.b` allows that module alone."""

TOP = frozenset({path.stem for path in PACKAGE.glob("*.py")} - {"__init__"})
SURFACE = frozenset({"core", "client", "venues", "io", "_native", "depthcache"}) | TOP
"""For the client and the files directly in the package."""

RULES["client"] = (SURFACE - {"blocking"}) | {"pictures"}

RULES["depthcache"] = SURFACE | frozenset({"doctor", "server", "simulator", "recording"})

TYPES_ONLY = {
    ("depthcache", "doctor"),
    ("depthcache", "server"),
    ("depthcache", "simulator"),
    ("depthcache", "recording"),
}
"""Imports that may only serve the type checker."""

VIRTUAL_CLIENT = {"simulator/pair.py"}
"""The one file of the simulator that puts the client, its core and its runner on a virtual clock."""


def part_of(path: Path) -> str:
    """The part a file belongs to: its folder, or its own name directly in the package."""
    relative = path.relative_to(PACKAGE)
    if len(relative.parts) > 1:
        return relative.parts[0]
    return "depthcache" if relative.stem == "__init__" else relative.stem


def imported(source: str) -> list[tuple[str, bool]]:
    """Every module of this package that a source imports, and whether for types alone."""
    tree = ast.parse(source)
    typed = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in typed) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.append(("depthcache." + "relative", False))
        elif isinstance(node, ast.ImportFrom) and node.module == "depthcache":
            found += [(f"depthcache.{alias.name}", id(node) in typed) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(f"{node.module}.{alias.name}", id(node) in typed) for alias in node.names]
    return [(name, types) for name, types in found if name.split(".")[0] == "depthcache"]


def violations(part: str, source: str, *, file: str = "") -> list[str]:
    """What a file of that part imports against the rules."""
    allowed = RULES.get(part, SURFACE) | LEAVES
    if file in VIRTUAL_CLIENT:
        allowed |= frozenset({"client", "core", "engine", "_native"})
    wrong = []
    for name, types_only in imported(source):
        module = name.removeprefix("depthcache").removeprefix(".")
        target = module.split(".")[0]
        if target == part or (part == "depthcache" and not module):
            continue
        fits = any(_fits(module, rule) for rule in allowed)
        fits = fits or (target not in _parts() and "depthcache" in allowed)
        if not fits or ((part, target) in TYPES_ONLY and not types_only):
            wrong.append(name)
    return wrong


def _fits(module: str, rule: str) -> bool:
    return module == rule or module.startswith(f"{rule}.")


def _parts() -> set[str]:
    return {part_of(path) for path in FILES} | set(RULES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_file_imports_only_what_its_place_allows(path: Path) -> None:
    file = str(path.relative_to(PACKAGE))
    assert violations(part_of(path), path.read_text("utf-8"), file=file) == []


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("venues", "from depthcache.core.policy import Policy"),
        ("venues", "import depthcache.io.network.interface"),
        ("venues", "from depthcache import _native"),
        ("core", "from depthcache.io.network.interface import Network"),
        ("core", "from depthcache._native import Router"),
        ("core", "if TYPE_CHECKING:\n    from depthcache._native import Router"),
        ("engine", "from depthcache._native import BookReader"),
        ("events", "from depthcache.engine import Router"),
        ("core", "from depthcache.venues import names"),
        ("core", "from depthcache.venues.binance_com import BINANCE_COM"),
        ("core", "from depthcache.reference.router import Router"),
        ("core", "def f():\n    from depthcache.simulator import exchange"),
        ("core", "from . import policy"),
        ("io", "from depthcache.client.aio import connect"),
        ("io", "from depthcache.simulator.exchange import Exchange"),
        ("io", "from depthcache.reference import book"),
        ("reference", "from depthcache._native import Book"),
        ("reference", "from depthcache.venues.venue import Venue"),
        ("client", "from depthcache.simulator import exchange"),
        ("client", "from depthcache.reference import book"),
        ("blocking", "from depthcache.cli import main"),
        ("depthcache", "from depthcache.reference import book"),
        ("depthcache", "from depthcache import simulator"),
        ("simulator", "from depthcache.core.client import ClientCore"),
        ("simulator", "from depthcache._native import Book"),
        ("recording", "from depthcache.core.requests.scheduler import RequestScheduler"),
        ("recording", "from depthcache._native import Book"),
        ("cli", "from depthcache.core.client import ClientCore"),
        ("cli", "from depthcache._native import Book"),
        ("cli", "from depthcache.io.runner import Runner"),
        ("web", "from depthcache import core"),
        ("cluster", "import depthcache._native"),
        ("compat", "from depthcache.core import policy"),
        ("compat", "from depthcache.io.network.user_snapshots import OwnSnapshots"),
        ("compat", "from depthcache._native import Book"),
        ("errors", "from depthcache.model import Status"),
        ("model", "from depthcache.errors import BookError"),
        ("wire", "from depthcache.venues.venue import Venue"),
        ("wire", "from depthcache.reference.reader import FrozenBook"),
        ("reference", "from depthcache.wire import encode"),
        ("_native", "from depthcache.venues.venue import Venue"),
        ("pictures", "from depthcache._native import BookReader"),
        ("pictures", "from depthcache.client.live_book import LiveBook"),
        ("core", "from depthcache.pictures.html import book_html"),
    ],
)
def test_a_planted_violation_is_caught(part: str, line: str) -> None:
    assert violations(part, line) != []


def against_the_core_of_a_cluster(source: str) -> list[str]:
    """What a file of the cluster's core imports besides the core and errors."""
    allowed = ("depthcache.cluster.core.", "depthcache.cluster.errors.", "depthcache.errors.")
    return [name for name, _ in imported(source) if not name.startswith(allowed)]


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "cluster" / "core").glob("*.py")), ids=lambda path: path.stem
)
def test_the_core_of_a_cluster_imports_only_itself_and_errors(path: Path) -> None:
    assert against_the_core_of_a_cluster(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "from depthcache.cluster.seam import Handler",
        "from depthcache.cluster import runner",
        "import depthcache",
    ],
)
def test_a_planted_import_of_the_core_of_a_cluster_is_caught(line: str) -> None:
    assert against_the_core_of_a_cluster(line) != []


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("core", "from depthcache.engine import Router"),
        ("core", "from depthcache.events import MarketChange"),
        ("core", "from depthcache.venues.venue import Venue"),
        ("client", "from depthcache._native import Router"),
        ("client", "from depthcache.io.runner import Runner"),
        ("cli", "import depthcache"),
        ("cli", "from depthcache import connect"),
        ("cli", "from depthcache.simulator import serve"),
        ("simulator", "from depthcache.io.network.interface import Network"),
        ("simulator", "import json"),
        ("recording", "from depthcache import Book"),
    ],
)
def test_what_is_allowed_passes(part: str, line: str) -> None:
    assert violations(part, line) == []
