"""The environment in which a program finds the embedded exchange and nothing else.

`Server.environment` names what is served. Here every other exchange name leads to the server as well, which
responds with 404: a program that connects to more than is simulated must not reach Binance by mistake.
"""

from __future__ import annotations

from collections.abc import Mapping

from depthcache import venues
from depthcache.simulator.http_server import HOST
from depthcache.simulator.server import Server

__all__ = ["PROXIES_OFF", "closed_environment", "without_proxies"]

PROXIES_OFF = {"DEPTHCACHE_PROXIES": "false"}
"""A proxy does not reach loopback."""
NO_SERVER = {"DEPTHCACHE_SERVER": ""}
"""A book server would take the place of the embedded exchange."""


def closed_environment(server: Server) -> dict[str, str]:
    """The variables of `server.environment`, two for each exchange name that the server does not serve,
    `PROXIES_OFF` and `NO_SERVER`."""
    websocket = server.url.replace("http", "ws", 1)
    variables: dict[str, str] = {}
    for name in venues.names():
        prefix = f"DEPTHCACHE_{name.upper().replace('.', '_').replace('-', '_')}"
        variables[f"{prefix}_REST"] = f"{server.url}/{name}"
        variables[f"{prefix}_WEBSOCKET"] = f"{websocket}/{name}"
    return variables | dict(server.environment) | PROXIES_OFF | NO_SERVER


def without_proxies(given: Mapping[str, str]) -> dict[str, str]:
    """NO_PROXY in both spellings, with loopback added to what is `given`: for clients of other makers."""
    value = given.get("no_proxy") or given.get("NO_PROXY")
    if value != "*":  # which means every host only while it is alone (urllib, requests)
        value = f"{value},{HOST}" if value else HOST
    return {"NO_PROXY": value, "no_proxy": value}
