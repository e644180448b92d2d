"""What is public stands here, name by name: whoever changes the list changes a contract."""

from __future__ import annotations

import subprocess
import sys

import pytest

import depthcache

PUBLIC = {
    # live books
    "connect", "blocking", "Books", "LiveBook", "Settings", "Endpoints", "Policy",
    "Snapshot", "SnapshotRequest",
    # books without a network
    "Book", "APPLIED", "STALE", "WAITING", "GAP", "IGNORED",
    # what is known of live books
    "Audit", "Lag", "Facts", "BookFacts", "BudgetFacts", "ConnectionFacts",
    # what is read
    "BookReader", "FrozenBook", "Side", "Level", "Levels", "Integers", "Best", "CompleteTo", "Coverage",
    "BookArrays", "BookIntegers", "Columns", "MissingBook",
    # what is computed
    "MidPrice", "Spread", "Imbalance", "Depth", "DepthWithin", "Fill", "SizeToMove", "GroupedBook",
    "Status", "Outcome", "SnapshotOutcome",
    # following them
    "FollowMode", "FollowOptions", "Update", "Updates", "Listener", "Changes",
    # what can go wrong
    "DepthCacheError", "UsageError", "UnknownExchange", "UnknownSymbol", "InvalidArgument",
    "UnreadableRecording", "SymbolMismatch", "NumberTooWide", "PackageMissing",
    "ExchangeError", "MalformedMessage",
    "MalformedFrame", "MalformedSnapshot", "RequestRejected", "NetworkError", "ConnectionFailed",
    "BookError", "BookNotSynced", "BooksNotSynced", "BookClosed", "SyncTimeout",
    # tools
    "doctor", "recording", "rest", "simulator",
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


def test_every_error_is_public() -> None:
    assert set(depthcache.errors.__all__) <= PUBLIC


def test_what_does_not_exist_says_so() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'DepthCache'"):
        depthcache.DepthCache  # noqa: B018


def test_the_words_of_apply_are_the_outcomes() -> None:
    outcomes = {
        depthcache.APPLIED, depthcache.STALE, depthcache.WAITING, depthcache.GAP, depthcache.IGNORED
    }  # fmt: skip
    assert outcomes == set(depthcache.Outcome)


def test_a_program_that_only_replays_bytes_does_not_load_the_network() -> None:
    heavy = {"aiohttp", "rich", "click", "depthcache.simulator", "depthcache.recording"}
    code = f"import sys, depthcache; depthcache.Book('binance.com'); print({heavy} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
