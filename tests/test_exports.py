"""The list of public names: changing it changes a contract."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import depthcache

PUBLIC = {
    # live books
    "connect", "blocking", "Books", "LiveBook", "Settings", "Endpoints", "Policy",
    "SnapshotResponse", "SnapshotRequest",
    # books without a network
    "Book", "APPLIED", "OLD", "WAITING", "GAP", "IGNORED",
    # what is known of live books
    "Audit", "Lag", "now_ns", "Stats", "BookStats", "BudgetStats", "ConnectionStats",
    # what is read
    "BookReader", "FrozenBook", "Side", "Level", "Levels", "Integers", "Best", "CompleteTo", "Coverage",
    "BookArrays", "BookIntegers", "Columns", "MissingBook",
    # what is computed
    "Imbalance", "Depth", "DepthWithin", "Fill", "SizeToMove", "GroupedBook",
    "Status", "Outcome", "SnapshotOutcome",
    # following them
    "FollowMode", "Update", "Updates", "CallbackHandle", "Changes",
    # what can go wrong
    "DepthCacheError", "UsageError", "UnknownExchange", "UnknownSymbol", "InvalidArgument",
    "UnreadableRecording", "UnreadableMessage", "UnsupportedSchema", "SymbolMismatch", "NumberTooWide",
    "PackageMissing", "ExchangeError", "MalformedMessage",
    "MalformedFrame", "MalformedSnapshot", "RequestRejected", "NetworkError", "ConnectionFailed",
    "ServerRefused",
    "BookError", "BookNotSynced", "BooksNotSynced", "BookClosed", "BookTooOld", "BookEmpty", "SyncTimeout",
    # tools
    "doctor", "recording", "rest", "server", "simulator", "venues", "wire",
}  # fmt: skip

BLOCKING = {"Books", "LiveBook", "Updates", "connect"}


def test_the_public_names_are_these_and_no_others() -> None:
    assert set(depthcache.__all__) == PUBLIC
    assert len(depthcache.__all__) == len(PUBLIC)
    assert set(depthcache.blocking.__all__) == BLOCKING


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(depthcache, name) is not None
    assert name in dir(depthcache)


MODULES = (
    "depthcache",
    *(f"depthcache.{name}" for name in (*depthcache._MODULES, "reference", "compat.ubldc")),
)


@pytest.mark.parametrize("name", MODULES)
def test_a_public_module_lists_its_public_names_alone(name: str) -> None:
    module = import_module(name)
    assert dir(module) == sorted(module.__all__)
    assert all(hasattr(module, each) for each in module.__all__)


def test_every_error_is_public() -> None:
    assert set(depthcache.errors.__all__) <= PUBLIC


def test_what_does_not_exist_says_so() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'DepthCache'"):
        depthcache.DepthCache  # noqa: B018


def test_the_words_of_apply_are_the_outcomes() -> None:
    outcomes = {
        depthcache.APPLIED, depthcache.OLD, depthcache.WAITING, depthcache.GAP, depthcache.IGNORED
    }  # fmt: skip
    assert outcomes == set(depthcache.Outcome)


HEAVY = {"aiohttp", "asyncio", "click", "logging", "msgspec", "numpy", "rich", "ssl", "zstandard"}


def modules_after(code: str) -> set[str]:
    """What a fresh interpreter has loaded after this code, beyond what it always loads."""
    code = f"import sys; before = set(sys.modules); {code}; print(*set(sys.modules) - before)"
    ran = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def test_importing_loads_nothing_before_it_is_needed() -> None:
    loaded = modules_after("import depthcache")
    assert loaded & HEAVY == set()
    assert {name for name in loaded if name.startswith("depthcache")} == {"depthcache"}


def test_a_program_that_only_replays_bytes_does_not_load_the_network() -> None:
    loaded = modules_after("import depthcache; depthcache.Book('binance.com').status")
    assert loaded & {"aiohttp", "click", "numpy", "rich", "zstandard"} == set()
    assert loaded & {"depthcache.simulator", "depthcache.recording", "depthcache.client.client"} == set()


def test_a_live_client_loads_no_second_network_and_no_arrays() -> None:
    loaded = modules_after("import depthcache; depthcache.connect; depthcache.blocking.connect")
    assert loaded & {"aiohttp", "click", "numpy", "rich"} == set()


def test_types_and_the_running_program_find_each_name_in_the_same_place() -> None:
    tree = ast.parse(Path(depthcache.__file__).read_text("utf-8"))
    guard = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        (node.module, alias.name)
        for node in guard.body
        if isinstance(node, ast.ImportFrom) and node.module != "depthcache"
        for alias in node.names
    }
    assert typed == {(home, name) for home, names in depthcache._HOMES.items() for name in names}
