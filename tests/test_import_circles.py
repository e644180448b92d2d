"""Imports go one way: no circle in the package, and one direction between the rooms of the core.

Every import of every syntax tree counts, those under TYPE_CHECKING and those inside functions as well: a
circle is hard to read whenever it runs. What `from depthcache import …` brings is the module that makes it,
for the package itself loads nothing. Which part may import which other: `test_imports`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import depthcache

PACKAGE = Path(__file__).parents[1] / "src" / "depthcache"
ROOMS = {
    "client": {"markets", "connections", "requests", "shared"},
    "markets": {"connections", "requests", "shared"},
    "connections": {"shared"},
    "requests": {"shared"},
    "shared": set[str](),
}
"""Each room of the core and those it may import. What goes the other way goes through a Protocol of the room
below. `shared`: the files that lie directly in the core, without `client`."""


def name_of(path: Path) -> str:
    """`core.client` of `core/client.py`, `venues` of `venues/__init__.py`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> Mapping[str, str]:
    """Every module below the package, with its source."""
    files = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")]
    return {name: path.read_text("utf-8") for path in sorted(files) if (name := name_of(path))}


def imported(source: str, known: Mapping[str, str]) -> set[str]:
    """The modules of this package that a source imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {_home(node.module, alias.name, known) for alias in node.names}
    below = {name.removeprefix("depthcache.") for name in found if name.startswith("depthcache.")}
    return {name for name in below if name in known}


def _home(module: str, name: str, known: Mapping[str, str]) -> str:
    if module == "depthcache" and name in depthcache._HOME_OF:
        return depthcache._HOME_OF[name]
    inner = f"{module}.{name}"
    return inner if inner.removeprefix("depthcache.") in known else module


def circles(graph: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """Of each knot of modules that import one another, one circle, as short as there is."""
    reached = {name: _reached(name, graph) for name in graph}
    told: set[str] = set()
    for name in sorted(graph):
        if name in reached[name] and name not in told:
            told |= {other for other in reached[name] if name in reached[other]}
            yield _way(name, name, graph)


def _reached(start: str, graph: Mapping[str, set[str]]) -> set[str]:
    found, waiting = set[str](), list(graph[start])
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += graph[name]
    return found


def _way(start: str, end: str, graph: Mapping[str, set[str]]) -> list[str]:
    ways = [[start]]
    seen = set[str]()
    for way in ways:
        for name in sorted(graph[way[-1]]):
            if name == end:
                return [*way, end]
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    raise AssertionError("there is none")


@cache
def all_circles() -> tuple[list[str], ...]:
    return tuple(circles(graph(modules())))


def graph(known: Mapping[str, str]) -> dict[str, set[str]]:
    return {name: imported(source, known) for name, source in known.items()}


PARTS = sorted({name.split(".")[0] for name in modules()})


@pytest.mark.parametrize("part", PARTS)
def test_no_module_imports_itself_over_others(part: str) -> None:
    found = [
        " → ".join(circle) for circle in all_circles() if part in {name.split(".")[0] for name in circle}
    ]
    assert found == []


def room_of(module: str) -> str:
    """The room of `core.markets.supervisor`."""
    inner = module.split(".")[1:]
    if len(inner) > 1 or inner[0:1] in (["markets"], ["connections"], ["requests"]):
        return inner[0]
    return "client" if inner == ["client"] else "shared"


def against_the_direction(graph: Mapping[str, set[str]]) -> list[str]:
    """Imports from one room of the core into another that is not below it."""
    return [
        f"{name} imports {other}"
        for name, imports in graph.items()
        for other in sorted(imports)
        if {name.split(".")[0], other.split(".")[0]} == {"core"} and name != "core" != other
        if room_of(name) != room_of(other) and room_of(other) not in ROOMS[room_of(name)]
    ]


def test_the_rooms_of_the_core_import_one_way() -> None:
    assert against_the_direction(graph(modules())) == []


@pytest.mark.parametrize(
    ("importing", "planted"),
    [
        ("core.context", "core.connections.connection"),
        ("core.connections.connection", "core.requests.scheduler"),
        ("core.requests.scheduler", "core.markets.supervisor"),
        ("core.connections.pool", "core.markets.maintenance"),
        ("core.markets.bootstrap", "core.client"),
    ],
)
def test_a_planted_import_against_the_direction_is_noticed(importing: str, planted: str) -> None:
    assert against_the_direction({importing: {planted}}) != []


@pytest.mark.parametrize(
    "line",
    [
        "from depthcache.b import B",
        "from depthcache import b",
        "import depthcache.b",
        "if TYPE_CHECKING:\n    from depthcache.b import B",
        "def f():\n    from depthcache.b import B",
    ],
)
def test_a_planted_circle_is_found_and_shown(line: str) -> None:
    known = {"a": line, "b": "from depthcache.c import C", "c": "from depthcache.a import A", "d": line}
    assert list(circles(graph(known))) == [["a", "b", "c", "a"]]


def test_the_package_stands_for_the_modules_that_make_its_names() -> None:
    known = {
        "client.live_book": "from depthcache import connect",
        "client.aio": "from depthcache.client.live_book import LiveBook",
    }
    assert list(circles(graph(known))) == [["client.aio", "client.live_book", "client.aio"]]
