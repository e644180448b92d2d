"""What operators want to know of a client: books, connections and budgets, as values and for Prometheus.

Everything is counted where it happens, natively for what happens often, and read only when somebody asks.
Not here: the counting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from depthcache.errors import PackageMissing
from depthcache.model import CompleteTo, Status
from depthcache.naming import publish

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["BookStats", "BudgetStats", "ConnectionStats", "Stats", "prometheus_text"]

_DELAY_BUCKETS_S = tuple(2**power / 1e6 for power in range(27))
_REQUEST_BUCKETS_S = tuple(2**power / 1e3 for power in range(17))


@dataclass(frozen=True, slots=True, kw_only=True)
class BookStats:
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
        detect_s, recover_s: of all losses together: from the last proof to the word, from the word to sync.
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
class ConnectionStats:
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
class BudgetStats:
    """One weight budget.

    Attributes:
        pool: its name: the exchanges that share one limit share one pool.
        limit: the exchange's, a minute.
        most: what this client may use in any minute.
        used: what this process has used in the last minute.
        counted: what the exchange counted last, all programs of the address together; None if unknown.
        waiting, in_flight: requests of this client.
        stopped_s: for so long nobody may ask, 0.0 otherwise.
        times: how many answers came within 2**i milliseconds, each counted once in the smallest such i.
        times_sum_s: all of these times together.
    """

    pool: str
    limit: int
    most: int
    used: int
    counted: int | None
    waiting: int
    in_flight: int
    stopped_s: float
    times: tuple[int, ...]
    times_sum_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A client at one moment; all empty before it runs and after its end.

    Attributes:
        books: every book, in the order they were added.
        connections: every group of streams.
        budgets: every weight budget that the client draws on.
    """

    books: tuple[BookStats, ...]
    connections: tuple[ConnectionStats, ...]
    budgets: tuple[BudgetStats, ...]


def prometheus_text(stats: Stats) -> str:
    """The facts in the text format of Prometheus, for a page of one's own or a text file collector.

    Needs the package prometheus-client. Raises PackageMissing without it.
    """
    try:
        from prometheus_client import generate_latest
        from prometheus_client.registry import CollectorRegistry
    except ModuleNotFoundError:
        raise PackageMissing(package="prometheus-client", wanted_for="the text of Prometheus") from None

    class Collector:
        def collect(self) -> Iterable[Metric]:
            return _metrics(stats)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry).decode()


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
        ("most", "Weight a minute that this client may use"),
        ("used", "Weight of this process in the last minute"),
        ("counted", "Weight that the exchange counted last"),
        ("waiting", "Requests in line"),
        ("in_flight", "Requests on their way"),
        ("stopped_s", "Seconds until anybody may ask again"),
    ):
        family = GaugeMetricFamily(f"depthcache_budget_{name}", words, labels=["pool"])
        for budget in stats.budgets:
            value = getattr(budget, name)
            if value is not None:
                family.add_metric([budget.pool], value)
        yield family


def _request_times(stats: Stats) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    words = "From sending a request to its answer"
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
