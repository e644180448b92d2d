"""The pytest plugin: an embedded exchange, or a pair in virtual time, as fixtures.

    @pytest.mark.depthcache(symbols="BTCUSDT,ETHUSDT", seed=7, faults="rough")
    def test_my_program(depthcache_server):
        ...

pytest loads this file in every environment that has depthcache installed, so it imports nothing of depthcache
until a fixture is used. Not here: the exchange (`simulator`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

if TYPE_CHECKING:
    from depthcache.simulator import Faults, Pair, Server

__all__ = ["depthcache_pair", "depthcache_server"]

T = TypeVar("T")

_MARKER = "depthcache"
_OPTIONS = ("symbols", "seed", "faults")
_REGISTERED = (
    "depthcache(symbols=..., seed=..., faults=...): what the fixtures depthcache_server and depthcache_pair "
    "simulate; on functions, classes and modules, the nearest value wins"
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _REGISTERED)


@pytest.fixture
def depthcache_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """An embedded exchange on loopback (`depthcache.simulator.Server`), closed after the test.

    Pass its `settings` to `depthcache.connect`. Code that connects without `settings=`, and programs that the
    test starts, find it through the environment. Exchange names that it does not simulate get 404. Configured
    by `@pytest.mark.depthcache(symbols=…, seed=…, faults=…)`; the seed is 0 by default.
    """
    from depthcache import simulator
    from depthcache.simulator.environment import closed_environment, without_proxies

    with _made(request, simulator.serve) as server, pytest.MonkeyPatch.context() as environment:
        variables = {**closed_environment(server), **without_proxies(os.environ)}
        for name, value in variables.items():
            environment.setenv(name, value)
        yield server


@pytest.fixture
def depthcache_pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """An embedded exchange and its clients in virtual time (`depthcache.simulator.Pair`).

    Use it in a plain `def test_…`: its `run` method runs its own event loop. Configured as
    `depthcache_server`; the seed is also that of the clients' pauses. Closed after the test.
    """
    from depthcache.simulator import Pair, SimulatedExchange

    def make(*, seed: int, **options: Any) -> Pair:
        return Pair(SimulatedExchange(seed=seed, **options), seed=seed)

    pair = _made(request, make)
    try:
        yield pair
    finally:
        pair.close()


def _made(request: pytest.FixtureRequest, make: Callable[..., T]) -> T:
    """What `make` makes of the markers of a test. A wrong argument fails the test in one line."""
    from depthcache.errors import UsageError

    try:
        given = _given(request.node.iter_markers(_MARKER))
        seed = given.get("seed", 0)
        return make(
            seed=seed, symbols=_symbols(given.get("symbols")), faults=_faults(given.get("faults"), seed)
        )
    except UsageError as error:
        wrong = f"@pytest.mark.{_MARKER}: {error}"
    pytest.fail(wrong, pytrace=False)


def _given(markers: Iterable[pytest.Mark]) -> dict[str, Any]:
    from difflib import get_close_matches

    from depthcache.arguments import parse_seed
    from depthcache.errors import InvalidArgument

    given: dict[str, Any] = {}
    for marker in markers:  # the nearest first
        if marker.args:
            allowed = f"keyword arguments alone: {', '.join(_OPTIONS)}"
            raise InvalidArgument(name="positional argument", value=marker.args[0], allowed=allowed)
        for name, value in marker.kwargs.items():
            if name not in _OPTIONS:
                near = get_close_matches(name, _OPTIONS, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise InvalidArgument(name="argument", value=name, allowed=f"{', '.join(_OPTIONS)}{hint}")
            given.setdefault(name, value)
    if "seed" in given:
        given["seed"] = parse_seed(given["seed"])
    return given


def _symbols(given: object) -> Mapping[str, Any] | None:
    """A mapping as `serve` takes it, or text as the command line takes it, or several of those."""
    from depthcache.errors import InvalidArgument
    from depthcache.simulator.texts import parse_symbols

    if given is None or isinstance(given, Mapping):
        return cast("Mapping[str, Any] | None", given)
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, Iterable) or not all(isinstance(each, str) for each in cast("Any", texts)):
        allowed = (
            "text such as 'BTCUSDT,ETHUSDT' or 'binance.com-futures:BTCUSDT', a list of such texts, or "
            "exchange names with their symbols, such as {'binance.com': ['BTCUSDT']}"
        )
        raise InvalidArgument(name="symbols", value=given, allowed=allowed)
    return parse_symbols(cast("Iterable[str]", texts))


def _faults(given: object, seed: int) -> Faults | None:
    """New ones for each test: faults count, and draw from a generator."""
    from dataclasses import replace

    from depthcache.errors import InvalidArgument
    from depthcache.simulator import Faults
    from depthcache.simulator.texts import parse_faults

    match given:
        case None:
            return None
        case Faults():
            return replace(given, counts={})
        case str():
            return parse_faults(given, seed=seed)
        case _:
            allowed = "a Faults, or text such as 'rough' or 'drop=0.01,cut=0.001'"
            raise InvalidArgument(name="faults", value=given, allowed=allowed)
