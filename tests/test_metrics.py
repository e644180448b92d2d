"""Stats for operators: as values, and in the format of Prometheus."""

from __future__ import annotations

import asyncio
import json
import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

import depthcache
from depthcache import simulator
from depthcache.client import metrics
from depthcache.core.markets.uptime import Uptime
from depthcache.model import Status
from tests.engine import snapshot

SECOND = 1_000_000_000


@pytest.mark.slow
async def test_facts_tell_of_books_connections_and_budgets() -> None:
    with simulator.serve(seed=4) as server:
        symbols = {"binance.com": ["BTCUSDT", "ETHUSDT"], "binance.com-futures": ["BTCUSDT"]}
        async with depthcache.connect(symbols, settings=server.settings) as books:
            await books.wait_synced()
            while books["binance.com", "BTCUSDT"].counters["applied"] < 5:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0)
            while not all(sum(each.delays) for each in books.stats().connections):  # noqa: ASYNC110
                await asyncio.sleep(0)  # the exchange's clock is asked first
            stats = books.stats()
            text = books.prometheus()
        assert books.stats().books == ()
    assert [(book.exchange, book.symbol, book.status) for book in stats.books] == [
        ("binance.com", "BTCUSDT", "synced"),
        ("binance.com", "ETHUSDT", "synced"),
        ("binance.com-futures", "BTCUSDT", "synced"),
    ]
    first = stats.books[0]
    assert first.counters["applied"] >= 5
    assert first.age_s is not None
    assert 0 <= first.age_s < 30
    assert first.confirmed_s is not None
    assert first.levels[0] >= 100
    assert first.complete_to.bids is not None
    assert first.complete_to.asks is not None
    assert 0 < first.complete_to.bids < first.complete_to.asks
    assert first.in_sync > 0.99
    assert {each.exchange for each in stats.connections} == {"binance.com", "binance.com-futures"}
    assert all(each.is_open and each.frames and each.received_bytes for each in stats.connections)
    assert sum(each.streams for each in stats.connections) == 3
    assert [(budget.limit, budget.allowed) for budget in stats.budgets] == [(6000, 3000), (2400, 1200)]
    for each in stats.connections:
        carried = [book for book in stats.books if book.exchange == each.exchange]
        assert sum(each.delays) == sum(sum(book.delays) for book in carried) > 0
        assert each.delays_sum_s == pytest.approx(sum(book.delays_sum_s for book in carried))
    assert all(budget.exchange_used for budget in stats.budgets)
    assert all(sum(budget.times) >= 1 and budget.times_sum_s > 0 for budget in stats.budgets)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    synced = families["depthcache_book_synced"].samples
    assert {tuple(sample.labels.values()): sample.value for sample in synced} == {
        ("binance.com", "BTCUSDT"): 1.0,
        ("binance.com", "ETHUSDT"): 1.0,
        ("binance.com-futures", "BTCUSDT"): 1.0,
    }
    of_first = [
        (sample.labels["status"], sample.value)
        for sample in families["depthcache_book_status"].samples
        if (sample.labels["exchange"], sample.labels["symbol"]) == ("binance.com", "BTCUSDT")
    ]
    assert of_first == [(each.value, float(each is Status.SYNCED)) for each in Status]
    for family in families.values():
        plain = family.name.removeprefix("depthcache_").replace("_", " ")
        assert family.documentation.lower() != plain, "says nothing"
    assert families["depthcache_book_applied"].samples[0].value >= 5
    assert families["depthcache_book_delay_seconds"].type == "histogram"
    assert "depthcache_budget_used" in families
    assert families["depthcache_budget_request_seconds"].type == "histogram"
    assert "depthcache_connection_open" in families
    assert families["depthcache_connection_delay_seconds"].type == "histogram"
    assert {"depthcache_book_detect_seconds", "depthcache_book_recover_seconds"} <= families.keys()


def test_time_in_sync_detection_and_recovery_are_counted_from_the_first_sync() -> None:
    uptime = Uptime()
    uptime.on_status(Status.BUFFERING, None, 0)
    assert uptime.share(5 * SECOND) == 0.0
    uptime.on_status(Status.SYNCED, 10 * SECOND, 10 * SECOND)
    uptime.on_status(Status.STALE, 52 * SECOND, 60 * SECOND)
    uptime.on_status(Status.BUFFERING, 52 * SECOND, 65 * SECOND)
    assert uptime.share(70 * SECOND) == pytest.approx(50 / 60)
    uptime.on_status(Status.SYNCED, 70 * SECOND, 70 * SECOND)
    assert (uptime.losses, uptime.detect_ns, uptime.recover_ns) == (1, 8 * SECOND, 10 * SECOND)
    assert uptime.share(110 * SECOND) == pytest.approx(0.9)


@pytest.mark.slow
async def test_lag_and_the_times_of_the_last_update_and_proof_are_those_of_the_book() -> None:
    with simulator.serve(seed=4) as server:
        async with depthcache.connect("binance.com", ["BTCUSDT"], settings=server.settings) as books:
            book = books["BTCUSDT"]
            times = (book.updated_ns, book.updated_at, book.confirmed_ns, book.confirmed_at, book.event_time)
            assert (times, book.lag) == ((None,) * 5, None)
            while book.lag is None:  # noqa: ASYNC110 - the exchange's clock is asked first
                await asyncio.sleep(0)
            updated_at, confirmed_ns, lag, now = (
                book.updated_at,
                book.confirmed_ns,
                book.lag,
                depthcache.now_ns(),
            )
            assert updated_at is not None
            assert confirmed_ns is not None
            assert abs(datetime.now(UTC) - updated_at) < timedelta(seconds=60)
            assert 0 <= now - confirmed_ns < 60 * SECOND
            assert -1 < lag.seconds < 60
            assert 0 < lag.error < 60


# --- as JSON, and for a registry ------------------------------------------------------------------


def some_stats(**of_a_book: Any) -> metrics.Stats:
    book = depthcache.Book("binance.com", "BTCUSDT")
    book.load_snapshot(snapshot(10), limit=1000)
    values: dict[str, Any] = {
        "exchange": "binance.com",
        "symbol": "BTCUSDT",
        "status": Status.SYNCED,
        "counters": book.counters,
        "age_s": 0.5,
        "confirmed_s": None,
        "levels": book.coverage,
        "complete_to": book.complete_to,
        "in_sync": 1.0,
        "losses": 0,
        "reconnects": 0,
        "detect_s": 0.0,
        "recover_s": 0.0,
        "delays": (1, 2),
        "delays_sum_s": 0.1,
    }
    connection = metrics.ConnectionStats(
        exchange="binance.com",
        number=1,
        streams=1,
        is_open=True,
        frames=3,
        received_bytes=9,
        quiet_s=None,
        connects=1,
        delays=(1,),
        delays_sum_s=0.1,
    )
    return metrics.Stats(
        books=(metrics.BookStats(**values | of_a_book),), connections=(connection,), budgets=()
    )


def test_statistics_are_plain_dicts_and_json_without_infinity() -> None:
    stats = some_stats()
    told = stats.to_dict()
    assert json.loads(stats.to_json()) == told == json.loads(json.dumps(told, allow_nan=False))
    (book,) = told["books"]
    assert book["complete_to"] == {"bids": "all", "asks": "all"}
    assert (book["levels"], book["delays"], book["confirmed_s"]) == ({"bids": 1, "asks": 1}, [1, 2], None)
    assert type(book["status"]) is str
    assert book == stats.books[0].to_dict()
    assert json.loads(stats.connections[0].to_json())["received_bytes"] == 9
    book["counters"]["applied"] = 99
    assert stats.books[0].counters["applied"] == 0
    with pytest.raises(ValueError, match="JSON compliant"):
        some_stats(age_s=math.inf).to_json()


def families_of(registry: CollectorRegistry) -> dict[str, Metric]:
    return {
        family.name: family for family in text_string_to_metric_families(generate_latest(registry).decode())
    }


def test_a_registry_reads_at_each_scrape_the_families_of_the_text() -> None:
    told = [some_stats(age_s=1.0), some_stats(age_s=2.0)]
    registry = CollectorRegistry(auto_describe=True)
    collector = metrics.Collector(lambda: told[0])
    registry.register(collector)
    assert generate_latest(registry).decode() == metrics.prometheus_text(told[0])
    del told[0]
    assert families_of(registry)["depthcache_book_age_seconds"].samples[0].value == 2.0
    with pytest.raises(ValueError, match="depthcache_book_synced"):
        registry.register(metrics.Collector(lambda: told[0]))
    wanted = registry.restricted_registry(["depthcache_book_gaps_total"])
    assert [sample.name for family in wanted.collect() for sample in family.samples] == [
        "depthcache_book_gaps_total"
    ]
    registry.unregister(collector)
    assert generate_latest(registry) == b""


def test_the_counters_that_a_registry_is_told_are_those_of_a_book() -> None:
    counted = depthcache.Book("binance.com").counters
    assert tuple(metrics._BOOK_COUNTERS)[: len(counted)] == tuple(counted)
    described = {family.name for family in metrics.Collector(some_stats).describe()}
    assert described == {family.name for family in metrics.Collector(some_stats).collect()}


def test_a_forked_child_has_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    collector = metrics.Collector(lambda: pytest.fail("the client is the parent's"))
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert list(collector.collect()) == []


@pytest.mark.slow
def test_a_scrape_on_another_thread_sees_the_live_client_of_either_kind_until_its_end() -> None:
    with simulator.serve(seed=4) as server:
        registry = CollectorRegistry(auto_describe=True)

        def synced() -> list[float]:
            return [sample.value for sample in families_of(registry)["depthcache_book_synced"].samples]

        books = depthcache.blocking.connect("binance.com", ["BTCUSDT"], settings=server.settings)
        collector = books.collector()
        registry.register(collector)
        assert generate_latest(registry) == b""
        with books:
            books.wait_synced(timeout=30)
            with ThreadPoolExecutor() as pool:
                assert pool.submit(synced).result(30) == [1.0]
        assert generate_latest(registry) == b""
        registry.unregister(collector)

        async def scrape() -> None:
            async with depthcache.connect("binance.com", ["BTCUSDT"], settings=server.settings) as live:
                registry.register(live.collector())
                await live.wait_synced(timeout=30)
                assert await asyncio.to_thread(synced) == synced() == [1.0]
                held = metrics.Collector(lambda: live._client.stats_from_any_thread(0.001))
                with (  # the scrape runs while this thread, and so the event loop, waits
                    ThreadPoolExecutor() as pool,
                    pytest.raises(TimeoutError, match="the event loop of the client was blocked"),
                ):
                    pool.submit(lambda: list(held.collect())).result(30)

        asyncio.run(scrape())
        assert generate_latest(registry) == b""
