"""What a client was asked for, before it runs: which exchange a URL is told to be of."""

from __future__ import annotations

import pytest

from depthcache import venues
from depthcache.client.config import Wanted, wanted
from depthcache.settings import Settings


def asked(name: str) -> Wanted:
    return wanted(name, ["BTCUSDT"], depth=100, on_stale="raise", speed_ms=None, settings=Settings())


@pytest.mark.parametrize("name", venues.names())
def test_what_comes_from_a_host_of_several_exchanges_is_of_the_one_asked_for(name: str) -> None:
    ends, places = venues.venue(name).endpoints, asked(name).places()
    assert (places[ends.rest], places[ends.websocket]) == (name, name)


def test_what_nobody_asked_for_is_of_the_exchange_named_first() -> None:
    places = asked("binance.us").places()
    assert places["https://api.binance.com"] == "binance.com"
    assert places["wss://fstream.binance.com"] == "binance.com-futures"
