"""The hard-wired hosts of the UNICORN libraries lead elsewhere in this process."""

from __future__ import annotations

import functools
from typing import Any

import requests


def redirect(rest: str, websocket: str) -> Any:
    """The module with the depth cache manager, for spot at these addresses."""
    send = requests.Session.request

    def redirected(self: Any, method: str, url: str, *arguments: Any, **options: Any) -> Any:
        host = url.split("/")[2]
        if not host.endswith("binance.com"):  # such as a node of a cluster
            return send(self, method, url, *arguments, **options)
        return send(self, method, url.replace(f"https://{host}", rest), *arguments, **options)

    requests.Session.request = redirected  # type: ignore[method-assign]
    import unicorn_binance_local_depth_cache.manager as library

    made = library.BinanceWebSocketApiManager
    library.BinanceWebSocketApiManager = functools.partial(made, websocket_base_uri=f"{websocket}/")
    return library
