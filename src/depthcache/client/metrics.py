"""Statistics of a client for operators: books, connections and weight budgets, as values and for Prometheus.

Counting happens where the events happen, natively for frequent ones; statistics are read on request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from depthcache.errors import PackageMissing
from depthcache.io.forks import HomeProcess
from depthcache.model import CompleteTo, Coverage, Status, compact_json
from depthcache.naming import publish
from depthcache.pickling import OneProcess

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["BookStats", "BudgetStats", "Collector", "ConnectionStats", "Stats", "prometheus_text"]

_DELAY_BUCKETS_S = tuple(2**power / 1e6 for power in range(27))
_REQUEST_BUCKETS_S = tuple(2**power / 1e3 for power in range(17))
SCRAPE_TIMEOUT_S = 5.0
"""How long a scrape waits for the event loop; Prometheus's default scrape timeout is 10 s."""


_BOOK_COUNTERS = {
    "applied": "Updates applied",
    "old": "Updates at or before the id of the book, skipped; normal after a snapshot",
    "gaps": "Gaps in the update ids. Each costs at least one snapshot",
    "resets": "How often the exchange reset its update ids",
    "crossed": "How often the best prices touched or crossed. A crossed book cannot be read",
    "malformed": "Frames that could not be parsed",
    "dropped_buffers": "How often buffered updates were dropped because the buffer was full",
    "snapshots": "Snapshots installed",
    "refreshes": "Snapshots compared with the live book and merged",
    "corrections": "Wrong prices that a comparison corrected",
    "levels_changed": "Levels set or deleted by updates",
    "losses": "How often the book lost sync",
    "reconnects": "How often the connection that carries the book was lost and replaced",
    "detect_seconds": "Time to detect all losses of sync, from the last proof of the book",
    "recover_seconds": "Time to recover from all losses of sync",
}
"""What each counter of a book counts: those of `LiveBook.counters`, and its losses of sync."""
_CONNECTION_COUNTERS = {
    "frames": "Frames received on the current connection",
    "received_bytes": "Bytes received on the current connection",
    "connects": "Connection attempts, including failed ones",
}
"""What each counter of a connection counts."""


class _Jsonable:
    """Base class of statistics: conversion to JSON."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain dicts, lists, numbers, text and None, with one key per attribute.

        `complete_to` is written as by `depthcache.CompleteTo.to_dict`, so infinity never occurs.
        """
        values: Any = self
        return {each.name: _plain(getattr(self, each.name)) for each in fields(values)}

    def to_json(self) -> bytes:
        """Encode `to_dict` as compact JSON in UTF-8."""
        return compact_json(self.to_dict())


def _plain(value: Any) -> Any:
    if isinstance(value, _Jsonable | CompleteTo):
        return value.to_dict()
    if isinstance(value, Coverage):
        return value._asdict()
    if isinstance(value, Status):
        return value.value
    if isinstance(value, tuple):
        return [_plain(each) for each in cast("Sequence[Any]", value)]
    return dict(cast("dict[str, int]", value)) if isinstance(value, dict) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class BookStats(_Jsonable):
    """Statistics of one book. Times are in seconds; counts start when the book was added.

    Attributes:
        exchange, symbol: the book.
        status: its current status.
        counters: as `LiveBook.counters`.
        age_s: time since the last update was received, or the snapshot if no update followed it; None before
            the first snapshot.
        confirmed_s: time since the book was last confirmed to be right; None before that.
        levels: the number of complete levels, as (bids, asks).
        complete_to: the complete range, as `LiveBook.complete_to`.
        in_sync: the fraction of time in sync, from 0.0 to 1.0, since the book was first synced.
        losses: the number of times it lost sync.
        reconnects: the number of times its connection was lost and replaced.
        detect_s, recover_s: total time to detect losses of sync, and to recover from them.
        delays: a histogram of the delay of updates, from the exchange's event time (by an estimate of its
            clock) to receipt: entry `i` counts those above 2**(i-1) and up to 2**i microseconds.
        delays_sum_s: the sum of all delays.
    """

    exchange: str
    symbol: str
    status: Status
    counters: dict[str, int]
    age_s: float | None
    confirmed_s: float | None
    levels: tuple[int, int]
    complete_to: CompleteTo
    in_sync: float
    losses: int
    reconnects: int
    detect_s: float
    recover_s: float
    delays: tuple[int, ...]
    delays_sum_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStats(_Jsonable):
    """Statistics of one group of streams and its current connection.

    Attributes:
        exchange: the exchange.
        number: the number of the group; constant for as long as it has streams.
        streams: the number of streams in the group.
        is_open: whether the connection is open.
        frames, received_bytes: received on the current connection.
        quiet_s: seconds since the last frame, ping or pong; None before the first.
        connects: the number of connection attempts.
        delays, delays_sum_s: the sums over the books whose diffs it currently carries, as in `BookStats`.
    """

    exchange: str
    number: int
    streams: int
    is_open: bool
    frames: int
    received_bytes: int
    quiet_s: float | None
    connects: int
    delays: tuple[int, ...]
    delays_sum_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStats(_Jsonable):
    """Statistics of one weight budget.

    Attributes:
        pool: the name of the budget; exchanges that share a limit share a pool.
        limit: the exchange's limit, in weight per minute.
        allowed: the weight that this client may use per minute.
        used: the weight that this process used in the last minute.
        exchange_used: the weight last reported by the exchange, including other programs at this address;
            None if unknown.
        waiting, in_flight: the number of requests of this client that are queued and in flight.
        stopped_s: seconds until requests resume; 0.0 if they are not stopped.
        times: a histogram of response times: entry `i` counts those above 2**(i-1) and up to 2**i
            milliseconds.
        times_sum_s: the sum of all response times, in seconds.
    """

    pool: str
    limit: int
    allowed: int
    used: int
    exchange_used: int | None
    waiting: int
    in_flight: int
    stopped_s: float
    times: tuple[int, ...]
    times_sum_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats(_Jsonable):
    """Statistics of a client at one moment; empty before it is started and after it has ended.

    Attributes:
        books: all books, in the order they were added.
        connections: all groups of streams.
        budgets: all weight budgets that the client uses.
    """

    books: tuple[BookStats, ...]
    connections: tuple[ConnectionStats, ...]
    budgets: tuple[BudgetStats, ...]


class Collector(OneProcess):
    """A collector for prometheus_client that reads the statistics of one client at each scrape.

    Register it with `prometheus_client.REGISTRY.register(books.collector())`, and remove it with
    `unregister`. Any thread may scrape. It yields nothing before the client is started, after it is closed,
    and in a forked child. A registry accepts the collector of one client only.
    """

    _pickle_instead = "call collector() of a client in the other process instead"

    def __init__(self, read: Callable[[], Stats]) -> None:
        """`read`: returns the statistics; called on the thread of the scrape.

        Raises PackageMissing without the package prometheus-client.
        """
        _check_package("collector()")
        self._read = read
        self._home = HomeProcess()

    def collect(self) -> Iterator[Metric]:
        """Yield the current metric families; none while the client is not running."""
        stats = self._read() if self._home.is_here else Stats(books=(), connections=(), budgets=())
        if stats.books or stats.connections or stats.budgets:
            yield from _metrics(stats)

    def describe(self) -> Iterator[Metric]:
        """Yield all metric families without samples, so that the registry knows their names."""
        yield from _metrics(Stats(books=(), connections=(), budgets=()))


def prometheus_text(stats: Stats) -> str:
    """Format statistics in the Prometheus text format, for your own endpoint or a textfile collector.

    Needs the package prometheus-client. Raises PackageMissing without it.
    """
    _check_package("prometheus()")
    from prometheus_client import generate_latest
    from prometheus_client.registry import CollectorRegistry

    class Fixed:
        def collect(self) -> Iterator[Metric]:
            return _metrics(stats)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Fixed())
    return generate_latest(registry).decode()


def _check_package(wanted_for: str) -> None:
    if find_spec("prometheus_client") is None:
        raise PackageMissing(package="prometheus-client", wanted_for=wanted_for)


def _metrics(stats: Stats) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

    names = ["exchange", "symbol"]
    synced = GaugeMetricFamily("depthcache_book_synced", "1 while the book can be trusted", labels=names)
    status = GaugeMetricFamily(
        "depthcache_book_status",
        "1 for the status that the book has, 0 for every other",
        labels=[*names, "status"],
    )
    in_sync = GaugeMetricFamily("depthcache_book_in_sync_ratio", "Fraction of time in sync", labels=names)
    age = GaugeMetricFamily("depthcache_book_age_seconds", "Time since the last update", labels=names)
    proven = GaugeMetricFamily(
        "depthcache_book_confirmed_seconds", "Time since the book was confirmed", labels=names
    )
    levels = GaugeMetricFamily("depthcache_book_complete_levels", "Complete levels", labels=[*names, "side"])
    delays = HistogramMetricFamily(
        "depthcache_book_delay_seconds", "Time from the exchange's event time to receipt", labels=names
    )
    counts = _counters("book", _BOOK_COUNTERS, names)
    for book in stats.books:
        labels = [book.exchange, book.symbol]
        synced.add_metric(labels, float(book.status is Status.SYNCED))
        for each in Status:
            status.add_metric([*labels, each.value], float(book.status is each))
        in_sync.add_metric(labels, book.in_sync)
        for family, value in ((age, book.age_s), (proven, book.confirmed_s)):
            if value is not None:
                family.add_metric(labels, value)
        for side, held in zip(("bids", "asks"), book.levels, strict=True):
            levels.add_metric([*labels, side], held)
        delays.add_metric(labels, _buckets(book.delays, _DELAY_BUCKETS_S), book.delays_sum_s)
        own: dict[str, float] = {"losses": book.losses, "reconnects": book.reconnects}
        own |= {"detect_seconds": book.detect_s, "recover_seconds": book.recover_s}
        for name, count in (book.counters | own).items():
            counts[name].add_metric(labels, count)
    yield from (synced, status, in_sync, age, proven, levels, delays, *counts.values())
    yield from _of_connections(stats)
    yield from _of_budgets(stats)


def _of_connections(stats: Stats) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

    names = ["exchange", "connection"]
    words = "Time from the exchange's event time to receipt, for the books on this connection"
    delays = HistogramMetricFamily("depthcache_connection_delay_seconds", words, labels=names)
    gauges = {
        "open": GaugeMetricFamily(
            "depthcache_connection_open", "1 while the connection is open", labels=names
        ),
        "streams": GaugeMetricFamily("depthcache_connection_streams", "Streams carried", labels=names),
        "quiet": GaugeMetricFamily(
            "depthcache_connection_quiet_seconds", "Time since the last frame, ping or pong", labels=names
        ),
    }
    counts = _counters("connection", _CONNECTION_COUNTERS, names)
    for each in stats.connections:
        labels = [each.exchange, str(each.number)]
        gauges["open"].add_metric(labels, float(each.is_open))
        gauges["streams"].add_metric(labels, each.streams)
        delays.add_metric(labels, _buckets(each.delays, _DELAY_BUCKETS_S), each.delays_sum_s)
        if each.quiet_s is not None:
            gauges["quiet"].add_metric(labels, each.quiet_s)
        for name, family in counts.items():
            family.add_metric(labels, getattr(each, name))
    yield from (*gauges.values(), delays, *counts.values())


def _of_budgets(stats: Stats) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    yield _request_times(stats)
    for name, words in (
        ("limit", "Weight per minute allowed by the exchange"),
        ("allowed", "Weight per minute that this client may use"),
        ("used", "Weight used by this process in the last minute"),
        ("exchange_used", "Weight last reported by the exchange, for all programs at this address"),
        ("waiting", "Requests queued"),
        ("in_flight", "Requests in flight"),
        ("stopped_s", "Seconds until requests resume"),
    ):
        metric = "stopped_seconds" if name == "stopped_s" else name
        family = GaugeMetricFamily(f"depthcache_budget_{metric}", words, labels=["pool"])
        for budget in stats.budgets:
            value = getattr(budget, name)
            if value is not None:
                family.add_metric([budget.pool], value)
        yield family


def _request_times(stats: Stats) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    words = "Time from sending a request to its response"
    family = HistogramMetricFamily("depthcache_budget_request_seconds", words, labels=["pool"])
    for budget in stats.budgets:
        family.add_metric([budget.pool], _buckets(budget.times, _REQUEST_BUCKETS_S), budget.times_sum_s)
    return family


def _counters(of: str, texts: dict[str, str], labels: list[str]) -> dict[str, Any]:
    from prometheus_client.core import CounterMetricFamily

    return {
        name: CounterMetricFamily(f"depthcache_{of}_{name}", text, labels=labels)
        for name, text in texts.items()
    }


def _buckets(counts: tuple[int, ...], bounds_s: tuple[float, ...]) -> list[tuple[str, float]]:
    """Convert counts to cumulative counts by upper bound in seconds, the format of Prometheus."""
    seen = 0
    buckets: list[tuple[str, float]] = []
    for bound_s, count in zip(bounds_s, counts, strict=False):
        seen += count
        buckets.append((str(bound_s), float(seen)))
    return [*buckets, ("+Inf", float(sum(counts)))]


publish(
    "depthcache",
    BookStats,
    BudgetStats,
    ConnectionStats,
    Stats,
)
