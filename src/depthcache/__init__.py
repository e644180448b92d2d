"""Live Binance order books that are correct, or say that they are not.

    async with depthcache.connect("binance.com", ["BTCUSDT"]) as books:
        await books.wait_synced()
        print(books["BTCUSDT"].best)

`connect` and `blocking.connect` create live books; `Book` is an offline book that you feed yourself. The
public API is `__all__`; everything else may change. Names are loaded when first used, so the import itself is
cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from depthcache import blocking as blocking
    from depthcache import doctor as doctor
    from depthcache import recording as recording
    from depthcache import rest as rest
    from depthcache import server as server
    from depthcache import simulator as simulator
    from depthcache import venues as venues
    from depthcache import wire as wire
    from depthcache._native import BookReader, Columns, FrozenBook, Side, Update, now_ns
    from depthcache.client.aio import Books, connect
    from depthcache.client.callbacks import CallbackHandle
    from depthcache.client.follow import FollowMode, Updates
    from depthcache.client.live_book import LiveBook
    from depthcache.client.metrics import BookStats, BudgetStats, ConnectionStats, Stats
    from depthcache.core.policy import Policy
    from depthcache.errors import (
        BookClosed,
        BookEmpty,
        BookError,
        BookNotSynced,
        BooksNotSynced,
        BookTooOld,
        ConnectionFailed,
        DepthCacheError,
        ExchangeError,
        InvalidArgument,
        MalformedFrame,
        MalformedMessage,
        MalformedSnapshot,
        NetworkError,
        NumberTooWide,
        PackageMissing,
        RequestRejected,
        ServerRefused,
        SymbolMismatch,
        SyncTimeout,
        UnknownExchange,
        UnknownSymbol,
        UnreadableMessage,
        UnreadableRecording,
        UnsupportedSchema,
        UsageError,
    )
    from depthcache.io.network.user_snapshots import SnapshotRequest, SnapshotResponse
    from depthcache.model import (
        Audit,
        Best,
        BookArrays,
        BookIntegers,
        Changes,
        CompleteTo,
        Coverage,
        Depth,
        DepthWithin,
        Fill,
        GroupedBook,
        Imbalance,
        Integers,
        Lag,
        Level,
        Levels,
        MissingBook,
        Outcome,
        SizeToMove,
        SnapshotOutcome,
        Status,
    )
    from depthcache.offline import Book
    from depthcache.settings import Settings
    from depthcache.venues import Endpoints

    APPLIED: Final = Outcome.APPLIED
    OLD: Final = Outcome.OLD
    WAITING: Final = Outcome.WAITING
    GAP: Final = Outcome.GAP
    IGNORED: Final = Outcome.IGNORED

    __version__: str

__all__ = [
    "APPLIED",
    "GAP",
    "IGNORED",
    "OLD",
    "WAITING",
    "Audit",
    "Best",
    "Book",
    "BookArrays",
    "BookClosed",
    "BookEmpty",
    "BookError",
    "BookIntegers",
    "BookNotSynced",
    "BookReader",
    "BookStats",
    "BookTooOld",
    "Books",
    "BooksNotSynced",
    "BudgetStats",
    "CallbackHandle",
    "Changes",
    "Columns",
    "CompleteTo",
    "ConnectionFailed",
    "ConnectionStats",
    "Coverage",
    "Depth",
    "DepthCacheError",
    "DepthWithin",
    "Endpoints",
    "ExchangeError",
    "Fill",
    "FollowMode",
    "FrozenBook",
    "GroupedBook",
    "Imbalance",
    "Integers",
    "InvalidArgument",
    "Lag",
    "Level",
    "Levels",
    "LiveBook",
    "MalformedFrame",
    "MalformedMessage",
    "MalformedSnapshot",
    "MissingBook",
    "NetworkError",
    "NumberTooWide",
    "Outcome",
    "PackageMissing",
    "Policy",
    "RequestRejected",
    "ServerRefused",
    "Settings",
    "Side",
    "SizeToMove",
    "SnapshotOutcome",
    "SnapshotRequest",
    "SnapshotResponse",
    "Stats",
    "Status",
    "SymbolMismatch",
    "SyncTimeout",
    "UnknownExchange",
    "UnknownSymbol",
    "UnreadableMessage",
    "UnreadableRecording",
    "UnsupportedSchema",
    "Update",
    "Updates",
    "UsageError",
    "blocking",
    "connect",
    "doctor",
    "now_ns",
    "recording",
    "rest",
    "server",
    "simulator",
    "venues",
    "wire",
]

_MODULES = ("blocking", "doctor", "errors", "recording", "rest", "server", "simulator", "venues", "wire")

_HOMES = {
    "depthcache._native": ("BookReader", "Columns", "FrozenBook", "Side", "Update", "now_ns"),
    "depthcache.client.aio": ("Books", "connect"),
    "depthcache.core.policy": ("Policy",),
    "depthcache.errors": (
        "BookClosed",
        "BookEmpty",
        "BookError",
        "BookNotSynced",
        "BookTooOld",
        "BooksNotSynced",
        "ConnectionFailed",
        "DepthCacheError",
        "ExchangeError",
        "InvalidArgument",
        "MalformedFrame",
        "MalformedMessage",
        "MalformedSnapshot",
        "NetworkError",
        "NumberTooWide",
        "PackageMissing",
        "RequestRejected",
        "ServerRefused",
        "SymbolMismatch",
        "SyncTimeout",
        "UnknownExchange",
        "UnknownSymbol",
        "UnreadableMessage",
        "UnreadableRecording",
        "UnsupportedSchema",
        "UsageError",
    ),
    "depthcache.client.follow": ("FollowMode", "Updates"),
    "depthcache.io.network.user_snapshots": ("SnapshotResponse", "SnapshotRequest"),
    "depthcache.client.callbacks": ("CallbackHandle",),
    "depthcache.client.metrics": ("BookStats", "BudgetStats", "ConnectionStats", "Stats"),
    "depthcache.model": (
        "Audit",
        "Best",
        "BookArrays",
        "BookIntegers",
        "Changes",
        "CompleteTo",
        "Coverage",
        "Depth",
        "DepthWithin",
        "Fill",
        "GroupedBook",
        "Imbalance",
        "Integers",
        "Lag",
        "Level",
        "Levels",
        "MissingBook",
        "Outcome",
        "SizeToMove",
        "SnapshotOutcome",
        "Status",
    ),
    "depthcache.settings": ("Settings",),
    "depthcache.venues": ("Endpoints",),
    "depthcache.client.live_book": ("LiveBook",),
    "depthcache.offline": ("Book",),
}
"""The defining module of each public name."""

_OUTCOMES = ("APPLIED", "OLD", "WAITING", "GAP", "IGNORED")

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name on first use."""
    value = _load(name)
    globals()[name] = value
    return value


def _load(name: str) -> object:
    from importlib import import_module

    if name in _HOME_OF:
        value: object = getattr(import_module(_HOME_OF[name]), name)
        return value
    if name in _OUTCOMES:
        outcome: object = import_module("depthcache.model").Outcome[name]
        return outcome
    if name in _MODULES:
        return import_module(f"depthcache.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("depthcache")
    raise AttributeError(f"module 'depthcache' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
