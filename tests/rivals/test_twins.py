"""The same session by the old library and by the drop-in, side by side on one embedded exchange.

Every result agrees, or stands in `DIFFERENT` with the reason. The report lists both; run with
`pytest -m rivals tests/rivals/test_twins.py`. Not here: the programs (`benches/twins`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from benches.old_library import NotInstalled, run_both, urls_of
from depthcache import simulator

pytestmark = [pytest.mark.rivals, pytest.mark.slow]

SPOT = "binance.com"
MARKETS = ("BTCUSDT", "ETHUSDT", "BNBUSDT")
DIFFERENT = {
    "set_refresh_request of nobody": "D29: a plain KeyError",
    "set_resync_request of nobody": "D28: a plain KeyError",
    "set_resync_request of None": "the text of a ValueError",
    "create a tuple": "D31: a TypeError",
    "a stream carries it, in capitals": "D28: lower case only",
    "restarts": "D25: never counted",
    "time of the last restart is known": "D25: never known",
    "resync, in capitals": "D28: lower case only",
    "synchronized of a stopped one": "D8: claims to be synchronized",
    "version": "2.14.0; here the version of this package",
}
"""Steps whose results differ on purpose, and what the old library does there."""


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, dict[str, Any]]]:
    with simulator.serve(seed=5, symbols={SPOT: MARKETS}) as server:
        exchange: Any = server.exchange

        def do(what: str) -> None:
            trouble = exchange.trouble
            acts: dict[str, Callable[[], object]] = {
                "stand still": lambda: [trouble.silence(SPOT, name) for name in MARKETS],
                "move on": lambda: [trouble.resume(SPOT, name) for name in MARKETS],
                "gap": lambda: [trouble.next_diffs(SPOT, name, "drop") for name in MARKETS],
                "cut": lambda: exchange.cut(exchange.now_ns),
            }
            server.on_exchange(acts[what])

        return {
            name: {line["step"]: line for line in lines}
            for name, lines in both("session.py", server, do).items()
        }


def both(
    script: str, server: simulator.Server, do: Callable[[str], None] = lambda _: None
) -> dict[str, list[dict[str, Any]]]:
    try:
        return run_both(script, urls_of(server), do)
    except NotInstalled as error:
        pytest.skip(str(error))


def test_both_take_every_step(results: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        Console(width=170, highlight=False).print(report(results))
    assert list(results["old"]) == list(results["new"])
    assert len(results["old"]) > 80


def test_results_agree_except_where_the_drop_in_differs_on_purpose(
    results: dict[str, dict[str, Any]],
) -> None:
    differing = {
        step for step, line in results["old"].items() if line["result"] != results["new"][step]["result"]
    }
    assert differing == set(DIFFERENT)


def test_the_drop_in_is_back_sooner_in_every_trouble(results: dict[str, dict[str, Any]]) -> None:
    for step in ("all synced", "all synced after a cut", "all synced after a resync"):
        assert results["new"][step]["seconds"] < results["old"][step]["seconds"]


@pytest.mark.parametrize("price", [99_999.7, 999.7])
def test_d01_where_prices_straddle_a_power_of_ten_the_old_best_prices_are_wrong_and_these_right(
    price: float, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = replace(
        simulator.PROFILES["spot"]["BTCUSDT"],
        start_price=round(price * 10**8),
        gap_ticks=1,
        body_ticks=600,
        far=0.0,
    )
    exchange = simulator.SimulatedExchange({SPOT: {"BTCUSDT": profile}}, seed=3, history=1_000_000)
    with simulator.Server(exchange) as server:
        found = both("straddle.py", server)
        for line in (line for lines in found.values() for line in lines):
            bids, asks = server.truth(SPOT, "BTCUSDT").book_at(line["update_id"])
            line["truth"] = [float(max(bids)[0]), float(min(asks)[0])]
    wrong = {
        name: [line for line in lines if line["synchronized"] and line["best"] != line["truth"]]
        for name, lines in found.items()
    }
    with capsys.disabled():
        for name, lines in found.items():
            print(f"\n{name}: {len(wrong[name])} of {len(lines)} best prices are wrong", wrong[name][-1:])
    assert all(len(lines) > 10 for lines in found.values())
    assert wrong["new"] == []
    assert len(wrong["old"]) > 0


def report(results: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="the same session twice", title_justify="left")
    for heading, width in (("step", 34), ("old library 2.14.0", 48), ("drop-in", 48), ("why", 24)):
        table.add_column(heading, width=width)
    for step, line in results["old"].items():
        other = results["new"].get(step, {"result": "-"})
        same = line["result"] == other["result"] and "seconds" not in line
        table.add_row(step, shown(line), "same" if same else shown(other), DIFFERENT.get(step, ""))
    return table


def shown(line: dict[str, Any]) -> str:
    if line.get("seconds") is not None:
        return f"{line['seconds']:.3f} s"
    result = line["result"]
    is_side = isinstance(result, list) and result and isinstance(result[0], list)
    return f"{len(result)} levels, {result[0]} …" if is_side else str(result)
