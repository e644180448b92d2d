"""The registry: every exchange name leads to its venue, everything else to a helpful error."""

from __future__ import annotations

import pytest

from depthcache import venues
from depthcache.errors import UnknownExchange

EXPECTED = (
    "binance.com",
    "binance.com-margin",
    "binance.com-isolated_margin",
    "binance.com-data",
    "binance.com-testnet",
    "binance.com-margin-testnet",
    "binance.com-isolated_margin-testnet",
    "binance.com-demo",
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


@pytest.mark.parametrize("name", EXPECTED)
def test_a_name_is_accepted_in_any_letter_case_and_keeps_its_spelling(name: str) -> None:
    assert venues.venue(name.upper()) is venues.venue(name.title()) is venues.venue(name)
    assert venues.venue(name.upper()).name == name


def test_an_error_proposes_at_most_three_names_and_says_where_all_are() -> None:
    with pytest.raises(UnknownExchange) as caught:
        venues.venue("binance")
    told = str(caught.value)
    assert told.endswith("`depthcache exchanges` lists all")
    assert sum(f"'{name}'" in told for name in EXPECTED) <= 3
    assert len(told) < 200


@pytest.mark.parametrize(
    "name",
    [
        "portfolio",
        "Portfolio Margin",
        "pm",
        "PAPI",
        "binance.com-pm",
        "binance.com_papi",
        "binance.com-portfolio_margin",
        "binance.com-portfoliomargin",
    ],
)
def test_names_of_portfolio_margin_suggest_which_exchange_to_use(name: str) -> None:
    with pytest.raises(UnknownExchange) as caught:
        venues.venue(name)
    assert caught.value.hint == (
        "portfolio margin has no order books of its own, use "
        "'binance.com', 'binance.com-futures' or 'binance.com-coin_futures'"
    )
    assert str(caught.value).startswith(
        f"unknown exchange {name!r}: {caught.value.hint}; `depthcache exchanges`"
    )
    assert caught.value.near == ()


@pytest.mark.parametrize("name", ["nbstream", "equity", "alpha", "binance.com-alpha", "ipmi", "papillon"])
def test_other_names_that_do_not_exist_have_no_hint(name: str) -> None:
    with pytest.raises(UnknownExchange) as caught:
        venues.venue(name)
    assert caught.value.hint == ""
    assert "portfolio" not in str(caught.value)


def environment_of(name: str) -> str:
    return next((mode for mode in ("testnet", "demo") if name.endswith(f"-{mode}")), "production")


def test_testnet_and_demo_never_share_hosts_or_budgets_with_each_other_or_production() -> None:
    for part in ("rest", "websocket", "pool"):
        found: dict[str, set[str]] = {}
        for each in map(venues.venue, venues.names()):
            value = each.weight_pool if part == "pool" else getattr(each.endpoints, part)
            found.setdefault(value, set()).add(environment_of(each.name))
        assert all(len(environments) == 1 for environments in found.values()), part


@pytest.mark.parametrize(
    ("names", "pool"),
    [
        (("", "-margin", "-isolated_margin", "-data"), "binance.com spot"),
        (("-testnet", "-margin-testnet", "-isolated_margin-testnet"), "binance.com spot testnet"),
        (("-demo",), "binance.com spot demo"),
        (("-futures", "-coin_futures"), "binance.com futures"),
        (("-futures-testnet", "-coin_futures-testnet"), "binance.com futures testnet"),
        (("-futures-demo", "-coin_futures-demo"), "binance.com futures demo"),
        (("-vanilla-options",), "binance.com options"),
        (("-vanilla-options-testnet",), "binance.com options testnet"),
    ],
)
def test_these_share_one_budget_and_no_others(names: tuple[str, ...], pool: str) -> None:
    sharing = {name for name in venues.names() if venues.venue(name).weight_pool == pool}
    assert sharing == {f"binance.com{name}" for name in names}
    assert len({venues.venue(name).weight_per_minute for name in sharing}) == 1
