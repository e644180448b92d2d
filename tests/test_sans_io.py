"""The cores do no I/O, read no clock, take no lock and write no log, by their syntax trees."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "depthcache"
FILES = sorted([*(PACKAGE / "core").rglob("*.py"), *(PACKAGE / "cluster" / "core").rglob("*.py")])

ALLOWED = frozenset(
    {
        "__future__",
        "collections",
        "collections.abc",
        "contextlib",
        "dataclasses",
        "difflib",
        "enum",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
        "itertools",
        "json",
        "math",
        "msgspec",
        "re",
        "typing",
        "zlib",
    }
)
"""Modules that only handle data. Everything else is refused, so that asyncio,
socket, threading, time, logging, random, selectors, ssl, aiohttp, concurrent … need no list."""

BUILT_IN_EFFECTS = frozenset({"open", "print", "input", "exec", "eval", "__import__", "breakpoint"})


def violations(source: str) -> list[str]:
    """Everything in a source text that could reach the outside world."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if not _is_allowed(alias.name)]
        elif isinstance(node, ast.ImportFrom):
            if node.level or not _is_allowed(node.module or ""):
                found.append("." * node.level + (node.module or ""))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found += [node.func.id] if node.func.id in BUILT_IN_EFFECTS else []
        elif isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            found.append("async")
        elif isinstance(node, ast.Global):
            found.append("global")
    return found


def _is_allowed(module: str) -> bool:
    return module in ALLOWED or module.split(".")[0] == "depthcache"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_reaches_nothing_outside(path: Path) -> None:
    assert violations(path.read_text("utf-8")) == []


def test_there_is_a_core_to_read() -> None:
    assert {"client.py", "scheduler.py", "streams.py", "supervisor.py", "node.py", "ownership.py"} <= {
        path.name for path in FILES
    }


@pytest.mark.parametrize(
    "line",
    [
        "import asyncio",
        "import socket",
        "import threading",
        "import time",
        "from time import monotonic_ns",
        "import logging",
        "import random",
        "import selectors",
        "import ssl",
        "import aiohttp",
        "import concurrent.futures",
        "from concurrent import futures",
        "import os",
        "import datetime",
        "import urllib.request",
        "from http import client",
        "import multiprocessing",
        "import json, time",
        "from . import something",
        "def f():\n    import time",
        "if True:\n    from asyncio import sleep",
        "print('x')",
        "open('x')",
        "__import__('time')",
        "async def f(): ...",
    ],
)
def test_a_planted_violation_is_caught(line: str) -> None:
    assert violations(line) != []
