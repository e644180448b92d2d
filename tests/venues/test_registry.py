"""The registry: every exchange name leads to its venue, everything else to a helpful error."""

from __future__ import annotations

import pytest

from depthcache import venues
from depthcache.errors import UnknownExchange

EXPECTED = (
    "binance.com",
    "binance.com-testnet",
    "binance.com-demo",
    "binance.com-data",
    "binance.com-margin",
    "binance.com-margin-testnet",
    "binance.com-isolated_margin",
    "binance.com-isolated_margin-testnet",
    "binance.com-futures",
    "binance.com-futures-testnet",
    "binance.com-futures-demo",
    "binance.com-coin_futures",
    "binance.com-coin_futures-testnet",
    "binance.com-coin_futures-demo",
    "binance.com-vanilla-options",
    "binance.com-vanilla-options-testnet",
    "binance.us",
    "trbinance.com",
)


def test_the_names_are_those_of_the_documentation() -> None:
    assert venues.names() == EXPECTED


@pytest.mark.parametrize("name", EXPECTED)
def test_every_name_leads_to_the_venue_of_that_name(name: str) -> None:
    assert venues.venue(name).name == name


def test_an_alias_leads_to_its_venue() -> None:
    assert venues.venue("binance.tr") is venues.venue("trbinance.com")


def test_an_unknown_name_raises_with_the_names_most_like_it() -> None:
    with pytest.raises(UnknownExchange) as caught:
        venues.venue("binance.com-future")
    assert caught.value.near[0] == "binance.com-futures"
    assert caught.value.known == EXPECTED
    assert "did you mean 'binance.com-futures'" in str(caught.value)


@pytest.mark.parametrize("name", ["", "kraken", " binance.com", "binance.com\n", None, 7, ["binance.com"]])
def test_anything_that_is_no_name_raises_the_same_error(name: object) -> None:
    with pytest.raises(UnknownExchange):
        venues.venue(name)  # type: ignore[arg-type]


def test_a_name_in_other_letter_case_is_recognised_as_near() -> None:
    with pytest.raises(UnknownExchange) as caught:
        venues.venue("Binance.US")
    assert caught.value.near[0] == "binance.us"


def test_testnet_and_demo_never_share_hosts_or_budgets_with_production() -> None:
    every = [venues.venue(name) for name in venues.names()]
    trial = [each for each in every if "testnet" in each.name or "demo" in each.name]
    real = [each for each in every if each not in trial]
    for hosts in (lambda each: each.endpoints.rest, lambda each: each.endpoints.websocket):
        assert not set(map(hosts, trial)) & set(map(hosts, real))
    assert not {each.weight_pool for each in trial} & {each.weight_pool for each in real}
    assert venues.venue("binance.com").weight_pool != venues.venue("binance.com-demo").weight_pool


def test_usd_m_and_coin_m_share_one_budget() -> None:
    pools = {venues.venue(name).weight_pool for name in ("binance.com-futures", "binance.com-coin_futures")}
    assert len(pools) == 1


@pytest.mark.parametrize("name", ["binance.com-margin", "binance.com-isolated_margin"])
def test_margin_has_the_books_and_the_budget_of_spot_under_its_own_name(name: str) -> None:
    spot, margin = venues.venue("binance.com"), venues.venue(name)
    assert margin.name == name
    assert (margin.endpoints, margin.weight_pool) == (spot.endpoints, spot.weight_pool)


@pytest.mark.parametrize(
    "name", ["portfolio", "pm", "papi", "binance.com-portfolio_margin", "Portfolio-Margin"]
)
def test_portfolio_margin_is_told_which_exchange_to_use(name: str) -> None:
    with pytest.raises(UnknownExchange, match=r"has no books of its own: take 'binance\.com'"):
        venues.venue(name)


@pytest.mark.parametrize("name", ["pmx", "spam"])
def test_other_names_with_these_letters_are_plainly_unknown(name: str) -> None:
    with pytest.raises(UnknownExchange) as caught:
        venues.venue(name)
    assert caught.value.hint == ""


def test_options_have_two_hundred_streams_a_connection_and_symbols_with_dashes() -> None:
    options = venues.venue("binance.com-vanilla-options")
    assert options.streams_per_connection == 200
    symbol = venues.parse_symbol("btc-261225-126000-c", options)
    assert options.stream(symbol) == "btc-261225-126000-c@depth@100ms"
    assert options.snapshot_url(symbol, 1000) == (
        "https://eapi.binance.com/eapi/v1/depth?symbol=BTC-261225-126000-C&limit=1000"
    )
    assert options.stream_url() == "wss://fstream.binance.com/public/stream"
