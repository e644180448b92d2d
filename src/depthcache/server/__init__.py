"""The book server: one process keeps the books, every program reads them over HTTP.

    async with depthcache.connect("binance.com", ["BTCUSDT"]) as books:
        async with server.serve(books, server.ServerConfig(port=0)) as running:
            print(running.url, running.read_token)

Reads are native, on threads of their own: they need no interpreter lock, cost no exchange weight and never
delay a book. `depthcache serve` is the same as a command. Not here: the protocol (`crates/server`).
"""

from __future__ import annotations

from depthcache.naming import publish
from depthcache.server.app import BookServer, serve
from depthcache.server.config import ServerConfig
from depthcache.server.documents import openapi

__all__ = ["BookServer", "ServerConfig", "openapi", "serve"]

publish("depthcache.server", BookServer, ServerConfig, openapi, serve)


def __dir__() -> list[str]:
    return list(__all__)
