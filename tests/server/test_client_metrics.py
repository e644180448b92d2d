"""`/metrics` has what the client counts: connections, weight budgets, losses of sync; each family once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from depthcache import blocking, server, simulator
from depthcache.server.client_metrics import ClientMetrics
from tests.server.asking import ask, serving

parser = pytest.importorskip("prometheus_client.parser")


def families(port: int, token: str) -> dict[str, Any]:
    text = ask(port, "/metrics", token=token).body.decode()
    found = list(parser.text_string_to_metric_families(text))
    assert [name for name, count in Counter(each.name for each in found).items() if count > 1] == []
    return {each.name: each for each in found}


def test_the_families_of_the_client_join_those_of_the_server(tmp_path: Path) -> None:
    with (
        simulator.serve(seed=3) as exchange,
        blocking.connect("binance.com", ["BTCUSDT"], settings=exchange.settings) as books,
        server.serve(books, server.ServerConfig(port=0, data_dir=tmp_path)) as running,
    ):
        books.wait_synced()
        own = {each.name for each in parser.text_string_to_metric_families(books.prometheus())}
        while "depthcache_budget_used" not in (found := families(running.port, running.read_token)):
            pass  # until the thread of requests had its first turn
        assert own <= set(found)
        assert found["depthcache_connection_open"].samples
        assert "depthcache_server_connections" in found


class Books:
    """A client that counts how often it is looked at."""

    def __init__(self) -> None:
        self.looks = 0
        self.is_held = False

    def collector(self) -> Books:
        return self

    def collect(self) -> Any:
        self.looks += 1
        if self.is_held:
            raise TimeoutError
        return iter(())


def test_the_client_is_looked_at_only_while_somebody_reads_and_not_too_often() -> None:
    now_s, held = 100.0, Books()
    with serving() as native:
        metrics = ClientMetrics(held, native)

        def look() -> int:
            metrics.renew(lambda: now_s)
            return held.looks

        assert look() == 1, "the first reader finds something"
        now_s += 60
        assert look() == 1, "nobody read"
        ask(native.port, "/metrics")
        assert look() == 2
        ask(native.port, "/metrics")
        now_s += 5
        assert look() == 2, "too early"
        now_s += 5
        held.is_held = True
        assert look() == 3
        assert ask(native.port, "/metrics").status == 200, "the text before stays"


def test_reads_of_books_are_timed_and_nothing_else(tmp_path: Path) -> None:
    with (
        simulator.serve(seed=3) as exchange,
        blocking.connect("binance.com", ["BTCUSDT"], settings=exchange.settings) as books,
        server.serve(books, server.ServerConfig(port=0, data_dir=tmp_path)) as running,
    ):
        books.wait_synced()
        paths = ("/v1/books/binance.com/BTCUSDT", "/v1/books", "/v1/books?symbols=*", "/healthz", "/nothing")
        for path in paths:
            ask(running.port, path, token=running.read_token)
        found = families(running.port, running.read_token)["depthcache_server_read_seconds"]
    values = {
        (sample.name.rpartition("_")[2], *sample.labels.values()): sample.value for sample in found.samples
    }
    assert values["count",] == values["bucket", "+Inf"] == 3
    assert 0 < values["sum",] < 60


def test_the_release_and_every_event_of_the_log_are_there_from_the_beginning(tmp_path: Path) -> None:
    from depthcache import __version__, logs

    with (
        simulator.serve(seed=3) as exchange,
        blocking.connect("binance.com", ["BTCUSDT"], settings=exchange.settings) as books,
        server.serve(books, server.ServerConfig(port=0, data_dir=tmp_path)) as running,
    ):
        before = logs.counts()["message_refused"]
        logs.message_refused(peer="b2")
        books.wait_synced()
        while "depthcache_build_info" not in (found := families(running.port, running.read_token)):
            pass  # until the thread of requests had its first turn
    [release] = found["depthcache_build_info"].samples
    assert release.labels["version"] == __version__
    events = {each.labels["event"]: each.value for each in found["depthcache_log_events"].samples}
    assert events.keys() == {*logs.__all__}
    assert events["message_refused"] == before + 1
