"""Every venue can be served under its own name, with its books, next to those on the same hosts."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from depthcache import Settings, Status, simulator, venues
from depthcache.simulator import TINY, Pair, SimulatedExchange
from depthcache.simulator.interface import HttpResponse, Session, Text

S = 1_000_000_000
PRODUCTION = ("binance.com", "binance.com-margin", "binance.com-isolated_margin", "binance.com-data")
TESTNET = ("binance.com-testnet", "binance.com-margin-testnet", "binance.com-isolated_margin-testnet")
EVERY = {name: {"1000ABC-1": TINY} for name in venues.names()}


def snapshot(made: SimulatedExchange, name: str, now_ns: int = 0) -> bytes:
    path = venues.venue(name).depth_path
    return made.request(name, f"{path}?symbol=1000ABC-1&limit=100", now_ns).body


def opened(made: SimulatedExchange, name: str, kind: str) -> Session:
    session = made.accept(name, f"/ws/1000abc-1{kind}", 0)
    assert not isinstance(session, HttpResponse)
    return session


def heard(made: SimulatedExchange, *sessions: Session, until_ns: int) -> list[list[Any]]:
    said: list[list[Any]] = [[] for _ in sessions]
    while (next_ns := made.next_ns()) is not None and next_ns <= until_ns:
        made.advance(next_ns)
        for to, session in zip(said, sessions, strict=True):
            to += [json.loads(each.text) for each in session.take() if isinstance(each, Text)]
    return said


def test_all_of_them_are_served_at_once() -> None:
    made = SimulatedExchange(EVERY, seed=1)
    assert made.venues() == venues.names()
    for name in made.venues():
        assert json.loads(snapshot(made, name))["bids"]


@pytest.mark.parametrize("names", [PRODUCTION, TESTNET])
def test_venues_with_the_same_books_show_the_same_market(names: tuple[str, ...]) -> None:
    made = SimulatedExchange(EVERY, seed=1)
    sessions = [opened(made, name, "@depth@100ms") for name in names]
    frames = heard(made, *sessions, until_ns=5 * S)
    assert len(frames[0]) > 30
    assert all(each == frames[0] for each in frames)
    assert len({snapshot(made, name, 5 * S) for name in names}) == 1
    assert len({id(made.truth(name, "1000ABC-1")) for name in names}) == 1


def test_all_others_have_books_of_their_own() -> None:
    made = SimulatedExchange(EVERY, seed=1)
    markets = {id(made.truth(name, "1000ABC-1")) for name in made.venues()}
    assert len(markets) == len(venues.names()) - len(PRODUCTION) - len(TESTNET) + 2


def test_a_margin_name_alone_has_the_market_that_spot_would_have() -> None:
    alone = SimulatedExchange({"binance.com-margin": {"1000ABC-1": TINY}}, seed=1)
    assert alone.venues() == ("binance.com-margin",)
    spot = SimulatedExchange({"binance.com": {"1000ABC-1": TINY}}, seed=1)
    assert snapshot(alone, "binance.com-margin") == snapshot(spot, "binance.com")


def test_what_happens_to_a_symbol_happens_under_every_name() -> None:
    made = SimulatedExchange(EVERY, seed=1)
    made.set_status("binance.com-margin", "1000ABC-1", "BREAK")
    (frames,) = heard(made, opened(made, "binance.com", "@depth@100ms"), until_ns=5 * S)
    assert frames == []
    made.delist("binance.com-data", "1000ABC-1")
    assert made.symbols("binance.com-isolated_margin") == ()
    assert made.symbols("binance.com-testnet") == ("1000ABC-1",)


def test_the_top_stream_ends_at_the_end_of_a_diff() -> None:
    made = SimulatedExchange(EVERY, seed=1)
    top = venues.venue("binance.com").top_stream
    assert top is not None
    diffs, tops = heard(
        made, opened(made, "binance.com", "@depth@100ms"), opened(made, "binance.com", top), until_ns=20 * S
    )
    assert len(tops) > 50
    assert {each["lastUpdateId"] for each in tops} <= {each["u"] for each in diffs}
    assert max(len(each[side]) for each in tops for side in ("bids", "asks")) == 20


# --- with a client ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", venues.names())
def test_a_client_follows_each_of_them_by_its_own_name(name: str) -> None:
    made = Pair(SimulatedExchange({name: {"1000ABC-1": TINY}}, seed=1))
    book = made.add(name, "1000abc-1")
    assert made.run_until_synced(within_s=120)
    made.run_for(5)
    assert (book.exchange, book.symbol, book.status) == (name, "1000ABC-1", Status.SYNCED)
    assert made.differences() == 0


@pytest.mark.slow
def test_a_client_follows_all_of_them_at_once() -> None:
    # USD-M and options have one host, where a symbol is one or the other.
    symbols = {name: "1000ABC-1-C" if "options" in name else "1000ABC-1" for name in venues.names()}
    made = Pair(SimulatedExchange({name: {symbol: TINY} for name, symbol in symbols.items()}, seed=1))
    for name, symbol in symbols.items():
        made.add(name, symbol)
    made.run_for(180)  # options are followed once a snapshot is shown that is younger than the first diff
    assert made.is_synced()
    assert made.differences() == 0


# --- on sockets -------------------------------------------------------------------------------------


async def test_each_has_its_own_path_and_variables() -> None:
    with simulator.serve(seed=1, symbols=EVERY) as server:
        assert len(server.environment) == 2 * len(venues.names())
        assert Settings.from_environment(server.environment).endpoints == server.settings.endpoints
        async with aiohttp.ClientSession() as http:
            for name in venues.names():
                venue = server.settings.venue(name)
                assert venue.endpoints.rest == f"{server.url}/{name}"
                async with http.get(venue.snapshot_url("1000ABC-1", 100)) as response:
                    assert (response.status, "lastUpdateId" in await response.json()) == (200, True)
                async with http.get(venue.exchange_info_url(["1000ABC-1"])) as response:
                    assert venue.listing_key in await response.json()
                async with http.ws_connect(venue.stream_url()) as line:
                    await line.send_json(
                        {"method": "SUBSCRIBE", "params": [venue.stream("1000ABC-1")], "id": 1}
                    )
                    assert await line.receive_json(timeout=20) is not None


@pytest.mark.parametrize(
    ("path", "name"),
    [("/eapi/v1/time", "binance.com-vanilla-options"), ("/fapi/v1/time", "binance.com-futures")],
)
async def test_each_family_has_a_place_without_a_name(path: str, name: str) -> None:
    with simulator.serve(seed=1, symbols={name: {"1000ABC-1": TINY}}) as server:
        async with aiohttp.ClientSession() as http, http.get(server.url + path) as response:
            assert response.status == 200
