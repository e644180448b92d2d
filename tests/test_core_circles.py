"""Imports go one way: no circle inside a part of the package, and one direction between the core's rooms.

Every import counts, those for the type checker alone and those inside functions, too: a circle is hard to
read and to take apart whenever it is run. Which part may import which other part: `test_imports`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "depthcache"
PARTS = ("cli", "compat", "core", "doctor", "io", "recording", "reference", "simulator", "venues")
CORE = "depthcache.core"

ROOMS = {
    "client": "client",
    **dict.fromkeys(
        [
            "depths",
            "limits",
            "order",
            "pauses",
            "proof",
            "refusals",
            "seed",
            "supervisor",
            "upkeep",
            "uptime",
            "watchdogs",
        ],
        "markets",
    ),
    **dict.fromkeys(["carriage", "link", "plane", "replies", "streams", "subscriptions"], "connections"),
    **dict.fromkeys(["answers", "budget", "clock", "listing", "pacing", "retry_after"], "requests"),
}
"""The room of each file that lies directly in the core; what is not named belongs to all rooms (`shared`)."""

MAY_IMPORT = {
    "client": {"markets", "connections", "requests", "shared"},
    "markets": {"connections", "requests", "shared"},
    "connections": {"shared"},
    "requests": {"shared"},
    "shared": set[str](),
}
"""Client, then markets, then connections and requests side by side, then what all share. What goes up goes
through a Protocol of the lower room: `NoticeSource`, `ConnectionHandler`, `Subscriber`, `Requester`,
`Listed`."""


def modules() -> dict[str, Path]:
    """Every module of the package and its file."""
    found = {}
    for path in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")]:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported(source: str, known: Mapping[str, object]) -> set[str]:
    """The modules among `known` that a source imports, wherever in it."""
    found = set[str]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update(name if name in known else node.module for name in names)
    return found & known.keys()


def graph(part: str) -> dict[str, set[str]]:
    """Module to imported modules, of one part of the package."""
    prefix = f"depthcache.{part}"
    own = {name: path for name, path in modules().items() if name == prefix or name.startswith(f"{prefix}.")}
    return {name: imported(path.read_text("utf-8"), own) - {name} for name, path in own.items()}


def circle(imports: Mapping[str, set[str]]) -> list[str]:
    """The shortest circle of imports, from a module back to itself; empty where there is none."""
    shortest: list[str] = []
    for start in sorted(imports):
        paths, seen = [[start]], {start}
        while paths:
            path = paths.pop(0)
            if start in imports[path[-1]] and (not shortest or len(path) < len(shortest) - 1):
                shortest = [*path, start]
                break
            after = sorted(imports[path[-1]] - seen)
            seen.update(after)
            paths += [[*path, each] for each in after]
    return shortest


def room(module: str) -> str:
    """The room of a module of the core."""
    first, *deeper = module.removeprefix(CORE).removeprefix(".").split(".")
    return first if deeper else ROOMS.get(first, "shared")


def wrong_ways(imports: Mapping[str, set[str]]) -> list[str]:
    """Imports of the core that go from one room into another against its direction."""
    return [
        f"{room(name)}: {name} imports {each} of {room(each)}"
        for name, targets in imports.items()
        for each in sorted(targets)
        if room(name) != room(each) and room(each) not in MAY_IMPORT[room(name)]
    ]


@pytest.mark.parametrize("part", PARTS)
def test_no_part_imports_in_a_circle(part: str) -> None:
    assert " -> ".join(circle(graph(part))) == ""


def test_the_rooms_of_the_core_import_one_way() -> None:
    assert wrong_ways(graph("core")) == []


def test_a_planted_circle_is_found_and_shown() -> None:
    planted = graph("core")
    context, supervisor = (
        next(name for name in planted if name.endswith(end)) for end in (".context", ".supervisor")
    )
    planted[context].add(supervisor)
    shown = circle(planted)
    assert shown[0] == shown[-1]
    assert {context, supervisor} <= set(shown)


@pytest.mark.parametrize(
    "line",
    [
        "from depthcache.core.connections.connection import Link",
        "import depthcache.core.connections.connection",
        "from depthcache.core import link",
        "if TYPE_CHECKING:\n    from depthcache.core.connections.connection import Link",
        "def f() -> None:\n    from depthcache.core.connections.connection import Link",
    ],
)
def test_every_kind_of_import_counts(line: str) -> None:
    assert imported(line, {f"{CORE}.link": None}) == {f"{CORE}.link"}


@pytest.mark.parametrize(
    ("importing", "planted"),
    [
        ("context", "link"),
        ("link", "pacing"),
        ("pacing", "supervisor"),
        ("plane", "upkeep"),
        ("seed", "client"),
    ],
)
def test_a_planted_import_against_the_direction_is_caught(importing: str, planted: str) -> None:
    assert wrong_ways({f"{CORE}.{importing}": {f"{CORE}.{planted}"}}) != []
