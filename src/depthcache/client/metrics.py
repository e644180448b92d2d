"""What operators want to know of a client: books, connections and budgets, as values and for Prometheus.

Everything is counted where it happens, natively for what happens often, and read only on request.
Not here: the counting.
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
"""How long a scrape waits for an event loop; Prometheus gives up after 10 s by default."""


_COUNTERS = (
    "applied", "old", "gaps", "resets", "crossed", "malformed", "dropped_buffers", "snapshots", "refreshes",
    "corrections", "levels_changed", "losses", "reconnects", "detect_seconds", "recover_seconds",
)  # fmt: skip
"""Of a book: what `LiveBook.counters` counts, and what becomes of it while it is lost."""


class _Jsonable:
    """Base of the statistics: their values as JSON."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Every attribute by its name as plain dicts, lists, numbers, text and None.

        `complete_to` is that of `depthcache.CompleteTo.to_dict`, so infinity never occurs.
        """
        values: Any = self
        return {each.name: _plain(getattr(self, each.name)) for each in fields(values)}

    def to_json(self) -> bytes:
        """The same as compact JSON in UTF-8."""
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
    """One book. Times in seconds; counts since the book was made.

    Attributes:
        exchange, symbol: which book.
        status: what it is now.
        counters: as `LiveBook.counters`.
        age_s: since the last applied update, or the snapshot before one; None before that.
        confirmed_s: since the last proof that the book is right, None before one.
        levels: complete levels a side, bids and asks.
        complete_to: how deep it is proven, as `LiveBook.complete_to`.
        in_sync: part of the time since it was first synced in which it was.
        losses: how often it was lost.
        reconnects: how often the connection that carries it was lost and another took its place.
        detect_s, recover_s: total time to detect losses, total time to recover from them.
        delays: how many updates came at most 2**i microseconds after the exchange's event time, by an
            estimate of its clock, each counted once in the smallest such i.
        delays_sum_s: all of them together.
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
    """One group of streams and the connection that carries it now.

    Attributes:
        exchange: whose streams they are.
        number: of the group, for as long as it has streams.
        streams: how many it carries.
        is_open: whether frames can come.
        frames, received_bytes: on this connection.
        quiet_s: since the last frame, ping or pong; None while nothing came.
        connects: how often it was connected, or tried.
        delays, delays_sum_s: of the books whose diffs it carries now, all together, as in `BookStats`.
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
    """One weight budget.

    Attributes:
        pool: its name: the exchanges that share one limit share one pool.
        limit: the exchange's, a minute.
        allowed: what this client may use in any minute.
        used: what this process has used in the last minute.
        exchange_used: the exchange's own last count, which includes other programs behind the address; None
            if unknown.
        waiting, in_flight: requests of this client.
        stopped_s: seconds until requests resume; 0.0 while they are not stopped.
        times: how many responses came within 2**i milliseconds, each counted once in the smallest such i.
        times_sum_s: all of these times together.
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
    """A client at one moment; all empty before it runs and after its end.

    Attributes:
        books: every book, in the order they were added.
        connections: every group of streams.
        budgets: every weight budget that the client draws on.
    """

    books: tuple[BookStats, ...]
    connections: tuple[ConnectionStats, ...]
    budgets: tuple[BudgetStats, ...]


class Collector(OneProcess):
    """The statistics of one client for prometheus_client, read at each scrape.

    Register it with `prometheus_client.REGISTRY.register(books.collector())`; `unregister` removes it. Any
    thread may scrape. Before the client runs, after it is closed and in a forked child it yields nothing. A
    registry accepts the collector of one client.
    """

    _pickle_instead = "ask a client of the other process for its own with collector()"

    def __init__(self, read: Callable[[], Stats]) -> None:
        """`read`: returns the statistics, on the thread of the scrape. Raises PackageMissing without the
        package prometheus-client."""
        _check_package("a collector of Prometheus")
        self._read = read
        self._home = HomeProcess()

    def collect(self) -> Iterator[Metric]:
        """The metric families now; none while the client does not run."""
        stats = self._read() if self._home.is_here else Stats(books=(), connections=(), budgets=())
        if stats.books or stats.connections or stats.budgets:
            yield from _metrics(stats)

    def describe(self) -> Iterator[Metric]:
        """All families without samples, for the registry to learn their names."""
        yield from _metrics(Stats(books=(), connections=(), budgets=()))


def prometheus_text(stats: Stats) -> str:
    """The statistics in the Prometheus text format, for a page of your own or a text file collector.

    Needs the package prometheus-client. Raises PackageMissing without it.
    """
    _check_package("the text of Prometheus")
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
    status = GaugeMetricFamily("depthcache_book_synced", "1 while the book can be trusted", labels=names)
    in_sync = GaugeMetricFamily("depthcache_book_in_sync_ratio", "Part of the time in sync", labels=names)
    age = GaugeMetricFamily("depthcache_book_age_seconds", "Since the last update", labels=names)
    proven = GaugeMetricFamily("depthcache_book_confirmed_seconds", "Since the last proof", labels=names)
    levels = GaugeMetricFamily("depthcache_book_complete_levels", "Levels proven", labels=[*names, "side"])
    delays = HistogramMetricFamily(
        "depthcache_book_delay_seconds", "From the exchange's event time to receipt", labels=names
    )
    counts: dict[str, Any] = {}
    for name in _COUNTERS:
        _counter(counts, f"depthcache_book_{name}", names)
    for book in stats.books:
        labels = [book.exchange, book.symbol]
        status.add_metric(labels, float(book.status is Status.SYNCED))
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
            _counter(counts, f"depthcache_book_{name}", names).add_metric(labels, count)
    yield from (status, in_sync, age, proven, levels, delays, *counts.values())
    yield from _of_connections(stats)
    yield from _of_budgets(stats)


def _of_connections(stats: Stats) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

    names = ["exchange", "connection"]
    words = "From the exchange's event time to receipt, of the books that it carries"
    delays = HistogramMetricFamily("depthcache_connection_delay_seconds", words, labels=names)
    gauges = {
        "open": GaugeMetricFamily("depthcache_connection_open", "1 while frames can come", labels=names),
        "streams": GaugeMetricFamily("depthcache_connection_streams", "Streams carried", labels=names),
        "quiet": GaugeMetricFamily("depthcache_connection_quiet_seconds", "Without any sign", labels=names),
    }
    counts: dict[str, Any] = {}
    for name in ("frames", "received_bytes", "connects"):
        _counter(counts, f"depthcache_connection_{name}", names)
    for each in stats.connections:
        labels = [each.exchange, str(each.number)]
        gauges["open"].add_metric(labels, float(each.is_open))
        gauges["streams"].add_metric(labels, each.streams)
        delays.add_metric(labels, _buckets(each.delays, _DELAY_BUCKETS_S), each.delays_sum_s)
        if each.quiet_s is not None:
            gauges["quiet"].add_metric(labels, each.quiet_s)
        own = {"frames": each.frames, "received_bytes": each.received_bytes, "connects": each.connects}
        for name, count in own.items():
            _counter(counts, f"depthcache_connection_{name}", names).add_metric(labels, count)
    yield from (*gauges.values(), delays, *counts.values())


def _of_budgets(stats: Stats) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    yield _request_times(stats)
    for name, words in (
        ("limit", "Weight a minute, by the exchange"),
        ("allowed", "Weight a minute that this client may use"),
        ("used", "Weight of this process in the last minute"),
        ("exchange_used", "Weight that the exchange counted last, all programs of the address together"),
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

    words = "From sending a request to its response"
    family = HistogramMetricFamily("depthcache_budget_request_seconds", words, labels=["pool"])
    for budget in stats.budgets:
        family.add_metric([budget.pool], _buckets(budget.times, _REQUEST_BUCKETS_S), budget.times_sum_s)
    return family


def _counter(counts: dict[str, Any], name: str, labels: list[str]) -> Any:
    from prometheus_client.core import CounterMetricFamily

    if name not in counts:
        words = name.removeprefix("depthcache_").replace("_", " ").capitalize()
        counts[name] = CounterMetricFamily(name, words, labels=labels)
    return counts[name]


def _buckets(counts: tuple[int, ...], bounds_s: tuple[float, ...]) -> list[tuple[str, float]]:
    """Cumulative counts by upper bound in seconds, as Prometheus wants them."""
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
