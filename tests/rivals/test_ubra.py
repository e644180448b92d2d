"""A real manager of UNICORN Binance REST API, given to the drop-in as its `ubra_manager`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from depthcache import Settings, simulator
from depthcache.compat.ubldc import BinanceLocalDepthCacheManager, DepthCacheNotFound, DepthCacheOutOfSync
from tests.compat.conftest import until

pytestmark = [pytest.mark.rivals, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

CALLS = {"binance.com": "/api/v3/depth", "binance.com-futures": "/fapi/v1/depth"}


@pytest.fixture
def server() -> Iterator[simulator.Server]:
    with simulator.serve(seed=5) as server:
        yield server


@pytest.mark.parametrize("exchange", CALLS)
def test_it_brings_the_snapshots_tells_of_unknown_symbols_and_goes_on_afterwards(
    exchange: str, server: simulator.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = pytest.importorskip("requests")
    library = pytest.importorskip("unicorn_binance_rest_api")
    send, asked = requests.Session.request, []

    def redirected(self: Any, method: str, url: str, *arguments: Any, **options: Any) -> Any:
        host = url.split("/")[2]
        asked.append(url.removeprefix(f"https://{host}"))
        return send(self, method, url.replace(f"https://{host}", server.url), *arguments, **options)

    monkeypatch.setattr(requests.Session, "request", redirected)
    ubra = library.BinanceRestApiManager(exchange=exchange, warn_on_update=False)
    settings = Settings(endpoints=server.settings.endpoints, proxies=False)
    with BinanceLocalDepthCacheManager(exchange, ubra_manager=ubra, settings=settings) as ubldc:
        ubldc.create_depthcache("BTCUSDT")
        until(lambda: ubldc.is_depth_cache_synchronized("BTCUSDT"))
        assert CALLS[exchange] in asked
        ubldc.create_depthcache("BTCUSDX")

        def told() -> bool:
            try:
                ubldc.get_asks("BTCUSDX")
            except DepthCacheNotFound as error:
                return "does not know the symbol" in error.reason
            except DepthCacheOutOfSync:
                pass
            return False

        until(told)
    assert ubra.get_server_time() if exchange == "binance.com" else ubra.futures_ping() == {}
