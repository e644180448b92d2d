"""A new venue: after one registered value, every part of the package knows it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from decimal import Decimal
from math import isnan
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest

import depthcache
from depthcache import InvalidArgument, UnknownExchange, simulator, venues
from depthcache.core.requests.budget import Budgets
from depthcache.doctor.finding import Severity
from depthcache.doctor.wire import examine_book
from depthcache.model import Status
from depthcache.recording import verify
from depthcache.recording.origin import origin_of_url
from depthcache.reference import Router
from depthcache.simulator import TINY, Pair, SimulatedExchange
from depthcache.venues import Endpoints, Family, Venue, registry

NAME = "nova.example"
NOVA = Venue(
    name=NAME,
    aliases=("nova",),
    family="inverse",
    endpoints=Endpoints(rest="https://fapi.nova.example/rest", websocket="wss://feeds.nova.example:8443"),
    stream_route="/all/combined",
    continuity="chained",
    range_basis="unaudited",
    range_evidence="invented",
    symbol_separators="~",
    depth_path="/nova/v7/depth",
    exchange_info_path="/nova/v7/listed",
    listing_key="contracts",
    status_key="state",
    time_path="/nova/v7/clock",
    ping_path="/nova/v7/alive",
    depth_limits=(7, 70),
    any_depth_limit=False,
    depth_weights=((7, 1), (70, 4)),
    weight_pool="nova",
    weight_per_minute=321,
    stream_speeds=((40, "@depth@40ms"), (400, "@depth@400ms")),
    streams_per_connection=3,
    messages_per_second=4,
    names_per_message=2,
    connects_per_5_minutes=20,
    ping_interval_s=60.0,
    connection_lifetime_s=3_600.0,
)
FAMILIES = get_args(Family)
ENGINES: list[Callable[[], object]] = [lambda: None, Router]


def of_family(family: Family) -> Venue:
    return replace(NOVA, family=family, continuity="contiguous" if family == "spot" else "chained")


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of its own for each test."""
    monkeypatch.setattr(registry, "_by_name", dict(registry._by_name))


@pytest.fixture
def nova() -> Venue:
    venues.register(NOVA)
    return NOVA


# --- the registry -------------------------------------------------------------------------------


def test_it_is_found_by_its_names_and_by_what_looks_like_them(nova: Venue) -> None:
    assert venues.venue(NAME) is venues.venue("nova") is nova
    assert venues.names()[-1] == NAME
    with pytest.raises(UnknownExchange) as unknown:
        venues.venue("nova.exampel")
    assert unknown.value.near == (NAME,)


@pytest.mark.parametrize("name", [NAME, "nova", "NOVA", "binance.com", "Binance.com", "binance.tr"])
@pytest.mark.usefixtures("nova")
def test_a_name_that_is_taken_is_refused_and_nothing_changes(name: str) -> None:
    before = venues.names()
    with pytest.raises(InvalidArgument):
        venues.register(replace(NOVA, name="another", aliases=(name,)))
    assert venues.names() == before


@pytest.mark.parametrize("name", ["", "two words", "red\x1b[31m", "line\nbreak", "\u202eback", 3, None])
def test_what_cannot_be_a_name_is_refused(name: Any) -> None:
    before = venues.names()
    for wrong in (replace(NOVA, name=name), replace(NOVA, name="another", aliases=(name,))):
        with pytest.raises(InvalidArgument, match="printable names"):
            venues.register(wrong)
    with pytest.raises(InvalidArgument, match="a Venue"):
        venues.register(name)
    assert venues.names() == before


# --- arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize("connect", [depthcache.connect, depthcache.blocking.connect])
@pytest.mark.usefixtures("nova")
def test_connect_checks_depth_speed_and_symbols_by_its_facts(connect: Callable[..., object]) -> None:
    settings = depthcache.Settings()
    connect(NAME, ["BTCUSD_PERP"], depth=70, speed_ms=400, settings=settings)
    for bad, allowed in (
        ({"depth": 71}, f"1 to 70 levels on {NAME}"),
        ({"speed_ms": 100}, f"40, 400 (milliseconds, {NAME})"),
    ):
        with pytest.raises(InvalidArgument, match=re.escape(allowed)):
            connect(NAME, ["BTCUSD_PERP"], settings=settings, **({"depth": 7} | bad))


@pytest.mark.usefixtures("nova")
def test_settings_reach_it_elsewhere() -> None:
    given = {"DEPTHCACHE_NOVA_REST": "http://127.0.0.1:9", "DEPTHCACHE_NOVA_EXAMPLE_WEBSOCKET": "ws://h"}
    found = depthcache.Settings.from_environment(given).venue(NAME)
    assert (found.endpoints.rest, found.endpoints.websocket) == ("http://127.0.0.1:9", "ws://h")
    assert found == NOVA


def test_symbols_are_spelled_by_its_family(nova: Venue) -> None:
    assert venues.parse_symbol("btc~usd_perp", nova) == "BTCUSD_PERP"
    assert venues.meant("BTC/USD", nova) == (NAME, "BTCUSD_PERP")
    assert venues.meant("BTC/USDT:USDT", nova) == ("binance.com-futures", "BTCUSDT")
    assert venues.meant("BTC/USD:BTC", venues.venue("binance.com")) == (
        "binance.com-coin_futures",
        "BTCUSD_PERP",
    )
    testnet = replace(nova, environment="testnet")
    assert venues.meant("BTC/USDT:USDT", testnet) == ("binance.com-futures-testnet", "BTCUSDT")


# --- books --------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("router", ENGINES, ids=["native", "reference"])
def test_a_client_follows_it_without_a_difference(family: Family, router: Callable[[], object]) -> None:
    venues.register(of_family(family))
    exchange = SimulatedExchange({NAME: {"1000ABC": TINY}}, seed=1)
    pair = Pair(exchange, router=router())
    book = pair.add(NAME, "1000abc", depth=7)
    assert pair.run_until_synced()
    pair.run_for(30)
    assert (book.exchange, book.status, pair.unexpected) == (NAME, Status.SYNCED, ())
    assert (pair.differences(), exchange.breaches) == (0, [])
    assert book.counters["applied"] > 100
    assert book.counters["gaps"] == 0


@pytest.mark.usefixtures("nova")
def test_requests_use_their_own_budget() -> None:
    exchange = SimulatedExchange({NAME: {"1000ABC": TINY}, "binance.com": {"1000ABC": TINY}}, seed=1)
    budgets = Budgets()
    pair = Pair(exchange, budgets=budgets)
    for name in exchange.venues():
        pair.add(name, "1000ABC", depth=7)
    assert pair.run_until_synced()
    spent = {each.weight_pool: budgets.of(each) for each in map(venues.venue, exchange.venues())}
    assert spent["nova"] is not spent["binance.com spot"]


@pytest.mark.parametrize("family", FAMILIES)
def test_quantities_are_contracts_where_its_family_says_so(family: Family) -> None:
    venues.register(of_family(family))
    book = depthcache.Book(NAME)
    body = {"lastUpdateId": 1, "bids": [["99", "10"]], "asks": [["100", "10"]]}
    book.load_snapshot(json.dumps(body).encode(), limit=70)
    pair = Pair(SimulatedExchange({NAME: {"1000ABC": TINY}}, seed=1))
    live = pair.add(NAME, "1000ABC", depth=7)
    assert pair.run_until_synced()
    for each in (book, book.exact, book.freeze(), live, live.freeze()):
        assert isnan(each.fill("buy", base=Decimal("0.001")).quote) == (family == "inverse")
        if family == "inverse":
            with pytest.raises(InvalidArgument, match="contractSize"):
                each.fill("buy", quote=10)


# --- on sockets -----------------------------------------------------------------------------------


@pytest.fixture
def server(nova: Venue) -> Iterator[simulator.Server]:
    with simulator.serve(seed=1, symbols={nova.name: {"1000ABC": TINY}}) as server:
        yield server


async def test_recording_verify_facts_and_metrics_name_it(server: simulator.Server, tmp_path: Path) -> None:
    settings = replace(server.settings, record_to=tmp_path)
    async with depthcache.connect(NAME, ["1000ABC"], depth=7, settings=settings) as books:
        await books.wait_synced(timeout=20)
        async for _ in books["1000ABC"].updates("every", None):
            break
        facts, text, path = books.stats(), books.prometheus(), books.recording
    assert [book.exchange for book in facts.books] == [NAME]
    assert {connection.exchange for connection in facts.connections} == {NAME}
    assert [(budget.pool.split()[0], budget.limit) for budget in facts.budgets] == [("nova", 321)]
    assert f'exchange="{NAME}"' in text
    assert path is not None
    for exchange in (None, NAME, "nova"):
        report = verify([path], exchange=exchange)
        assert [(row.venue, row.symbol) for row in report.rows] == [(NAME, "1000ABC")]
        assert report.rows[0].snapshot_lastUpdateId is not None
        assert report.faults == []


async def test_the_doctor_compares_as_many_levels_as_it_gives(server: simulator.Server) -> None:
    host: Any = SimpleNamespace(venue=server.settings.venue(NAME), symbol="1000ABC")
    findings = [each async for each in examine_book(host, server.settings)]
    assert [each.severity for each in findings] == [Severity.OK]


@pytest.mark.usefixtures("nova")
def test_a_snapshot_without_a_limit_has_as_many_levels_as_it_gives() -> None:
    exchange = SimulatedExchange({NAME: {"1000ABC": TINY}}, seed=1)
    response = exchange.request(NAME, f"{NOVA.depth_path}?symbol=1000ABC", 0)
    assert response.status == 200
    assert len(json.loads(response.body)["bids"]) <= 70


@pytest.mark.parametrize("url", [NOVA.snapshot_url("1000ABC", 7), NOVA.stream_url()])
@pytest.mark.usefixtures("nova")
def test_a_recorded_url_names_it_although_its_host_is_called_like_another(url: str) -> None:
    assert origin_of_url(url) == NAME


# --- one venue, or another ------------------------------------------------------------------------


def test_a_venue_is_the_same_whatever_its_endpoints_and_limits_are() -> None:
    elsewhere = venues.with_endpoints(NOVA, Endpoints(rest="http://h", websocket="ws://h"))
    smaller = replace(NOVA, depth_limits=(7,), depth_weights=((7, 1),))
    assert NOVA == elsewhere == smaller
    assert {NOVA, elsewhere, smaller} == {NOVA}
    assert {NOVA: 1}[smaller] == 1
    assert asdict(elsewhere) != asdict(NOVA)
    assert replace(NOVA, name="another") != NOVA
    assert NOVA != NAME


@pytest.mark.parametrize("name", venues.names())
def test_the_family_and_environment_of_every_venue(name: str) -> None:
    families = {"coin_futures": "inverse", "futures": "linear", "options": "options"}
    found = next((family for word, family in families.items() if word in name), "spot")
    environment = next((each for each in ("testnet", "demo") if name.endswith(f"-{each}")), "production")
    venue = venues.venue(name)
    assert (venue.family, venue.environment) == (found, environment)
