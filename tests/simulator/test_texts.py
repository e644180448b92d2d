"""Symbols and faults as text, as `--symbols`, `--faults` and the pytest marker take them."""

from __future__ import annotations

from dataclasses import fields

import pytest

from depthcache import simulator
from depthcache.errors import InvalidArgument, UnknownExchange
from depthcache.simulator import Faults
from depthcache.simulator.texts import PRESETS, parse_faults, parse_symbols


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["BTCUSDT"], {"binance.com": ("BTCUSDT",)}),
        (["btcusdt, ethusdt"], {"binance.com": ("BTCUSDT", "ETHUSDT")}),
        (["BTCUSDT,BTCUSDT", "BTCUSDT"], {"binance.com": ("BTCUSDT",)}),
        (["binance.com:BTCUSDT,ETHUSDT"], {"binance.com": ("BTCUSDT", "ETHUSDT")}),
        (
            ["ETHUSDT,binance.com-futures:BTCUSDT,币安人生USDT", "BNBUSDT"],
            {"binance.com": ("ETHUSDT", "BNBUSDT"), "binance.com-futures": ("BTCUSDT", "币安人生USDT")},
        ),
        (["binance.tr:BTC_USDT"], {"trbinance.com": ("BTCUSDT",)}),
    ],
)
def test_an_exchange_holds_for_the_symbols_behind_it_in_the_same_text(
    texts: list[str], found: dict[str, tuple[str, ...]]
) -> None:
    assert parse_symbols(texts) == found


@pytest.mark.parametrize("text", ["", ",", "BTCUSDT,", "binance.com:", ":BTCUSDT", "binance.com:,BTCUSDT"])
def test_text_that_names_no_symbol_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"invalid symbols .* 'BTCUSDT,ETHUSDT' or"):
        parse_symbols([text])


def test_an_unknown_exchange_is_told_with_what_is_like_it() -> None:
    with pytest.raises(UnknownExchange, match=r"did you mean 'binance\.com-futures'"):
        parse_symbols(["binance.com-future:BTCUSDT"])


def test_every_chance_of_faults_has_its_name_here() -> None:
    chances = [each.name for each in fields(Faults) if each.type == "float"]
    assert len(chances) > 25
    for name in chances:
        assert getattr(parse_faults(f"{name}=0.25"), name) == 0.25


def test_names_values_and_presets_are_combined_and_the_later_one_wins() -> None:
    faults = parse_faults("rough, cut=0.5,half-open=1,seed=7,late_ns=5,lag_changes=9")
    assert faults == Faults(
        **{**PRESETS["rough"], "cut": 0.5, "half_open": 1.0}, seed=7, late_ns=5, lag_changes=9
    )
    assert parse_faults("cut=0.5,rough").cut == PRESETS["rough"]["cut"]


def test_the_seed_is_the_given_one_unless_the_text_names_one() -> None:
    assert parse_faults("drop=0.1", seed=5).seed == 5
    assert parse_faults("drop=0.1,seed=6", seed=5).seed == 6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("drop=2", r"invalid drop 2.0: expected a probability from 0.0 to 1.0"),
        ("drop=nan", r"invalid drop nan: expected a probability from 0.0 to 1.0"),
        ("drop=often", r"invalid drop 'often': expected a probability from 0.0 to 1.0"),
        ("drop=", r"invalid drop '': expected a probability"),
        ("seed=x", r"invalid seed 'x': expected a whole number"),
        ("late_ns=-1", r"invalid late_ns -1: expected nanoseconds, 0 or more"),
        ("lag_changes=0", r"invalid lag_changes 0: expected changes, 1 or more"),
        ("dorp=0.1", r"invalid faults 'dorp=0.1': .* did you mean 'drop'\?"),
        ("drop", r"invalid faults 'drop': expected a value for drop, such as drop=0\.01"),
        ("rough=1", r"invalid faults 'rough=1'"),
        ("counts=1", r"invalid faults 'counts=1'"),
        ("", r"invalid faults ''"),
        ("drop=0.1,", r"invalid faults"),
    ],
)
def test_what_cannot_be_is_refused_with_name_value_and_what_is_allowed(text: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        parse_faults(text)


def test_a_server_takes_faults() -> None:
    faults = parse_faults("fail=1")
    with simulator.serve(seed=1, symbols=parse_symbols(["BTCUSDT"]), faults=faults) as server:
        assert isinstance(server.exchange, simulator.SimulatedExchange)
        assert server.exchange.faults is faults
