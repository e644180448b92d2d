"""The registry: every exchange name leads to its venue, everything else to a helpful error."""

from __future__ import annotations

import pytest

from depthcache import venues
from depthcache.errors import UnknownExchange

EXPECTED = (
    "binance.com",
    "binance.com-testnet",
    "binance.com-demo",
    "binance.com-futures",
    "binance.com-futures-testnet",
    "binance.com-futures-demo",
    "binance.com-coin_futures",
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
    hosts = [each.endpoints.rest for each in every] + [each.endpoints.websocket for each in every]
    assert len(set(hosts)) == len(hosts)
    assert venues.venue("binance.com").weight_pool != venues.venue("binance.com-demo").weight_pool


def test_usd_m_and_coin_m_share_one_budget() -> None:
    pools = {venues.venue(name).weight_pool for name in ("binance.com-futures", "binance.com-coin_futures")}
    assert len(pools) == 1
