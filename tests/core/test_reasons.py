"""One home each: all reasons are in `reasons`, and only `snapshot_limits` chooses a snapshot limit."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "src" / "depthcache" / "core"
FILES = sorted(CORE.rglob("*.py"))
SAY_WHAT_IS_WRONG = {"bodies.py", "policy.py", "reasons.py"}
"""What is wrong with a body or an argument is said where it is found."""
LIMITS = {"snapshot_limit", "served_limit", "cheapest_limit", "depth_limits"}


def sentences(source: str) -> list[str]:
    """Texts of three words and more that are neither docstrings nor what an argument may be."""
    tree = ast.parse(source)
    left_out = set[int]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            left_out.add(id(node.value))
        elif isinstance(node, ast.keyword) and node.arg == "allowed":
            left_out.update(id(each) for each in ast.walk(node.value))
    found = []
    for node in ast.walk(tree):
        if id(node) in left_out or not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if len(node.value.split()) > 2:
            found.append(node.value)
    return found


def limits_chosen(source: str) -> set[str]:
    """What a source asks a venue about snapshot limits."""
    return {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)} & LIMITS


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name not in SAY_WHAT_IS_WRONG], ids=lambda path: path.name
)
def test_no_part_words_a_reason_of_its_own(path: Path) -> None:
    assert sentences(path.read_text("utf-8")) == []


def test_one_file_chooses_snapshot_limits() -> None:
    found = {path.name: chosen for path in FILES if (chosen := limits_chosen(path.read_text("utf-8")))}
    assert found.pop("snapshot_limits.py") == LIMITS
    assert found == {"client.py": {"snapshot_limit"}}, "the client refuses a depth that costs too much"


def test_a_planted_reason_and_a_planted_choice_are_noticed() -> None:
    planted = """
def f(self, venue):
    '''Not this one here.'''
    self.say(f"no diff came for {venue.cheapest_limit} s")
"""
    assert sentences(planted) == ["no diff came for "]
    assert limits_chosen(planted) == {"cheapest_limit"}
