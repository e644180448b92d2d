"""What `/metrics` says of the client and its process: connections, weight budgets, log events, release.

The server has the rest natively and answers while Python is busy; this part is as old as the last look.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING, Any

from depthcache import Book, _native, logs

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["ClientMetrics"]

_EVERY_S = 10.0
_VERSION = version("depthcache")
"""The one that runs, also once another one is installed."""
_NATIVE = frozenset(
    f"depthcache_book_{name}"
    for name in (
        "synced",
        "age_seconds",
        "confirmed_seconds",
        "complete_levels",
        *Book("binance.com", "BTCUSDT").counters,
    )
)


class ClientMetrics:
    """The client's metrics of one server, renewed while somebody asks for them."""

    def __init__(self, books: Any, native: _native.BookServer) -> None:
        self._native = native
        self._collector = books.collector() if find_spec("prometheus_client") else None
        self._seen_reads, self._due_s = -1, 0.0
        self._text = self._more = b""

    def renew(self, clock: Callable[[], float] = monotonic) -> None:
        """Look at the client, if `/metrics` was asked for since the last look and that is long ago enough.

        Called from a thread that may wait for the client's event loop.
        """
        reads, now_s = self._native.metrics_reads, clock()
        if self._collector is None or reads == self._seen_reads or now_s < self._due_s:
            return
        self._seen_reads, self._due_s = reads, now_s + _EVERY_S
        try:
            self._text = _text(self._collector.collect)
        except TimeoutError:
            return  # the loop is held: the text before stays
        self._native.set_metrics(self._text + self._more)

    def set_more(self, text: str) -> None:
        """Show other families, too, in the Prometheus text format: what the owner of the server counts."""
        self._more = text.encode()
        self._native.set_metrics(self._text + self._more)


def _text(collect: Callable[[], Iterator[Metric]]) -> bytes:
    """All families but those that the server has natively."""
    from prometheus_client import ProcessCollector, generate_latest
    from prometheus_client.registry import CollectorRegistry

    class Others:
        def collect(self) -> Iterator[Metric]:
            yield from (family for family in collect() if family.name not in _NATIVE)
            yield from _of_process()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Others())
    ProcessCollector(registry=registry)  # nothing outside Linux
    return generate_latest(registry)


def _of_process() -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    release = GaugeMetricFamily(
        "depthcache_build_info", "1, with the release that runs", labels=["version", "python"]
    )
    release.add_metric([_VERSION, platform.python_version()], 1)
    yield release
    events = CounterMetricFamily(
        "depthcache_log_events", "Log lines by event, the suppressed ones included", labels=["event"]
    )
    for event, count in sorted(logs.counts().items()):
        events.add_metric([event], count)
    yield events
