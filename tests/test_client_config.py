"""The configuration of a client before it runs: the exchange of each URL."""

from __future__ import annotations

import pytest

from depthcache import venues
from depthcache.client.config import ClientConfig, parse_config
from depthcache.settings import Settings


def asked(name: str) -> ClientConfig:
    return parse_config(name, ["BTCUSDT"], depth=100, on_stale="raise", speed_ms=None, settings=Settings())


@pytest.mark.parametrize("name", venues.names())
def test_what_comes_from_a_host_of_several_exchanges_is_of_the_one_asked_for(name: str) -> None:
    ends, exchanges_by_url = venues.venue(name).endpoints, asked(name).exchanges_by_url()
    assert (exchanges_by_url[ends.rest], exchanges_by_url[ends.websocket]) == (name, name)


def test_what_nobody_asked_for_is_of_the_exchange_named_first() -> None:
    exchanges_by_url = asked("binance.us").exchanges_by_url()
    assert exchanges_by_url["https://api.binance.com"] == "binance.com"
    assert exchanges_by_url["wss://fstream.binance.com"] == "binance.com-futures"
