"""A cluster as documented, on a real socket: the REST API of UBDCC, up to and after 0.9.1.

It records requests. One endpoint can be made to hang or to return something else.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

HOST = "127.0.0.1"


class Asked(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    posted: Any


@dataclass
class FakeCluster:
    """`takes_post`: whether /create_depthcache is a POST, as the client of 2.14 sends it, or a GET, as UBDCC
    up to 0.9.1 expects it (defect C1)."""

    takes_post: bool = True
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    caches: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    instead: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    hangs: set[str] = field(default_factory=set)
    hanging: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def response(self, asked: Asked) -> tuple[int, bytes]:
        name = asked.path.strip("/")
        if name in self.instead:
            return self.instead[name]
        if name == "create_depthcache" and (asked.method == "POST") is not self.takes_post:
            return 405, b'{"detail":"Method Not Allowed"}'
        handler = getattr(self, f"_{name}", None)
        if handler is None:
            return 404, b'{"detail":"Not Found"}'
        given = asked.query if asked.posted is None else asked.posted
        body = {"event": name.upper(), "result": "OK"} | handler(given)
        if asked.query.get("debug") == "true":
            body["debug"] = {"cluster_execution_time": 0.0, "request_time": 0, "transmission_time": 0}
        return 200, json.dumps(body, sort_keys=True).encode()

    def _test(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"app": {"name": "ubdcc-restapi", "version": "0.9.1"}}

    def _create_depthcache(self, given: Mapping[str, Any]) -> dict[str, Any]:
        key = (given["exchange"], given["market"])
        if key in self.caches:
            return _error("#1024", "exists")
        self.caches[key] = dict(given)
        return {}

    def _create_depthcaches(self, given: Mapping[str, Any]) -> dict[str, Any]:
        markets = given["markets"]
        for market in markets.split(",") if isinstance(markets, str) else markets:
            self.caches[given["exchange"], market] = dict(given)
        return {}

    def _get_asks(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._side("asks", given)

    def _get_bids(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self._side("bids", given)

    def _side(self, side: str, given: Mapping[str, Any]) -> dict[str, Any]:
        if (given["exchange"], given["market"]) not in self.caches:
            return _error("#7000", "not found")
        levels = [[100.5, 1.0], [100.6, 2.0], [100.7, 3.0]]
        return {side: levels[: int(given.get("limit_count", 1_000))]}

    def _stop_depthcache(self, given: Mapping[str, Any]) -> dict[str, Any]:
        found = self.caches.pop((given["exchange"], given["market"]), None)
        return {} if found is not None else _error("#7000", "not found")

    def _get_depthcache_list(self, given: Mapping[str, Any]) -> dict[str, Any]:
        listed: dict[str, dict[str, Any]] = {}
        for (exchange, market), cache in self.caches.items():
            listed.setdefault(exchange, {})[market] = cache
        return {"depthcache_list": listed}

    def _get_depthcache_info(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"depthcache_info": self.caches[given["exchange"], given["market"]]}

    def _get_cluster_info(self, given: Mapping[str, Any]) -> dict[str, Any]:
        db = {"credentials": {}, "depthcaches": {}, "nodes": {}, "pods": {}, "timestamp": 1.0}
        return {"db": db, "version": "0.9.1"}

    def _add_credentials(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"id": f"{given['account_group']}-1"}

    def _remove_credentials(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {} if given["id"] else _error("#1033", "missing")

    def _get_credentials_list(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"credentials": []}


def _error(error_id: str, message: str) -> dict[str, Any]:
    return {"result": "ERROR", "error_id": error_id, "message": message}


@contextmanager
def serving(cluster: FakeCluster, tls: ssl.SSLContext | None = None) -> Iterator[FakeCluster]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            cluster.connections += 1
            super().setup()

        def _handle(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            posted = json.loads(self.rfile.read(length)) if length else None
            asked = Asked(self.command, parts.path, dict(parse_qsl(parts.query)), posted)
            cluster.asked.append(asked)
            if parts.path.strip("/") in cluster.hangs:
                cluster.hanging.set()
                cluster.released.wait(60)
            status, body = cluster.response(asked)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _handle  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except (ConnectionError, ssl.SSLError):
                self.close_connection = True

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass

    server = Server((HOST, 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    cluster.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield cluster
    finally:
        cluster.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
