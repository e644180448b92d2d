"""Either library on the embedded exchange, and how its program talks to the process that started it.

These programs run in their own environments, so they import only the standard library and the library asked
for. The starting process reads their JSON lines; `ask` waits for a line in return.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

DEADLINE_S = 300.0


def library(name: str, rest: str, websocket: str) -> Any:
    """The module with the manager: `old` or `new`, at these hosts."""
    logging.disable(logging.CRITICAL)
    return {"old": old, "new": new}[name](rest, websocket)


def old(rest: str, websocket: str) -> Any:
    """The old library, with its hard-wired hosts redirected in this process."""
    import requests

    send = requests.Session.request

    def redirected(self: Any, method: str, url: str, *arguments: Any, **options: Any) -> Any:
        host = url.split("/")[2]
        response = send(self, method, url.replace(f"https://{host}", rest), *arguments, **options)
        # Binance also sends this header, and the old library needs it.
        response.headers.setdefault("x-mbx-used-weight", response.headers.get("x-mbx-used-weight-1m", "1"))
        return response

    requests.Session.request = redirected
    import unicorn_binance_local_depth_cache.manager as library

    made = library.BinanceWebSocketApiManager
    library.BinanceWebSocketApiManager = functools.partial(made, websocket_base_uri=f"{websocket}/")
    return library


def new(rest: str, websocket: str) -> Any:
    """The drop-in, on the same hosts."""
    import depthcache
    from depthcache.compat.ubldc import manager as library

    endpoints = depthcache.Endpoints(rest=f"{rest}/binance.com", websocket=f"{websocket}/binance.com")
    settings = depthcache.Settings(endpoints={"binance.com": endpoints}, proxies=False)
    made = library.BinanceLocalDepthCacheManager
    library.BinanceLocalDepthCacheManager = functools.partial(made, settings=settings)  # type: ignore[assignment]
    return library


def tell(**what: object) -> None:
    print(json.dumps(what), flush=True)


def ask(what: str) -> None:
    tell(ask=what)
    sys.stdin.readline()


def until(condition: Callable[[], Any]) -> float | None:
    """Seconds until the condition is true; None after the deadline."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > DEADLINE_S:
            return None
        time.sleep(0.002)
    return time.monotonic() - began
