"""What the server serves as files: OpenAPI for programs, the API for people, and the live page (`page/`)."""

from __future__ import annotations

import gzip
import json
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

from depthcache._native import _server_routes

__all__ = ["documents", "gzipped", "openapi", "page_files"]

_WORDS = {
    101: "The socket is open; docs/how-to/stream.md has its messages.",
    200: "As asked.",
    201: "It is made.",
    202: "It is begun, and goes on after the response.",
    204: "Done; nothing to say.",
    304: "The book is the one that the sender has (If-None-Match).",
    400: "A parameter cannot work: its name, its value and what is allowed.",
    401: "No token, or an unknown one.",
    403: "The token may not do this, or the request is made for a foreign host, origin or site.",
    404: "Not held here, with the names most like it; or the server is no node of a cluster.",
    409: "There is such a book, with other options; or what is there does not allow it.",
    410: "The book is closed for good, with the reason.",
    426: "This is a WebSocket: connect to it with HTTP/1.1.",
    425: "The book is not synced, or too old; Retry-After says when to ask again.",
    429: "Too many requests from this address.",
    503: "Not now; Retry-After says when to ask again.",
}
_TEXT = {
    "read_metrics": "text/plain",
    "read_docs": "text/html",
    "stream_books": "text/event-stream",
    "read_cluster_authority": "application/x-pem-file",
}
_ARROW = "application/vnd.apache.arrow.stream"


def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document of the server, as plain dicts and lists."""
    paths: dict[str, dict[str, Any]] = {}
    for route in _server_routes():
        paths.setdefault(route["path"], {})[route["method"].lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "depthcache book server",
            "version": version("depthcache"),
            "summary": "Live order books that are right, or say that they are not.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "read": {"type": "http", "scheme": "bearer", "description": "The read or the admin token."},
                "manage": {"type": "http", "scheme": "bearer", "description": "The admin token."},
            },
            "schemas": {"Error": _ERROR, "Message": _MESSAGE},
        },
    }


_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
            "description": "Facts of the error are further properties.",
        }
    },
}
_MESSAGE: dict[str, Any] = {
    "type": "object",
    "description": "A message of the schema of depthcache.wire; keys may be added.",
}


_SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "open": [],
    "read": [{"read": []}],
    "message": [{"read": []}, {}],  # the token may come in the first message
    "node": [{"manage": []}],  # nodes prove themselves with certificates
    "manage": [{"manage": []}],
}


def _operation(route: dict[str, Any]) -> dict[str, Any]:
    access = route["access"]
    own_errors: list[int] = route["errors"]
    errors = sorted({400, 403, 429, *own_errors, *(() if access == "open" else (401,))})
    body = _BODIES.get(route["name"])
    return {
        "operationId": route["name"],
        "summary": route["words"],
        "security": _SECURITY[access],
        "parameters": [
            {
                "name": each["name"],
                "in": each["in"],
                "required": each["required"],
                "description": each["words"],
                "schema": json.loads(each["schema"]),
            }
            for each in route["parameters"]
        ],
        **({} if body is None else {"requestBody": _body(body)}),
        "responses": {
            **{str(status): _success(route, status) for status in route["successes"]},
            **{str(status): _failure(status) for status in errors},
        },
    }


_NAMES = {"exchange": {"type": "string"}, "symbols": {"type": "array", "items": {"type": "string"}}}
_DEPTH = {"type": "integer", "minimum": 1, "description": "Complete levels per side."}
_REPLICAS = {"type": "integer", "minimum": 1, "maximum": 64, "description": "Nodes that hold it."}
_SETTINGS: dict[str, dict[str, Any]] = {
    "depth": _DEPTH | {"type": ["integer", "null"]},
    "speed_ms": {"type": ["integer", "null"], "description": "Update speed, where the exchange has several."},
}
_SETTINGS_WORDS = "A setting that is null has its default again."
_OPTIONS = {
    "replicas": _REPLICAS,
    "settings": {"type": "object", "properties": _SETTINGS, "description": _SETTINGS_WORDS},
}
_BODIES: dict[str, dict[str, Any]] = {
    "begin_book": {"properties": {"depth": _DEPTH, "replicas": _REPLICAS}},
    "create_cluster_books": {"required": list(_NAMES), "properties": _NAMES | _OPTIONS},
    "put_cluster_books": {
        "required": [*_NAMES, "replicas"],
        "properties": _NAMES | _OPTIONS,
    },
    "change_cluster_books": {"required": list(_NAMES), "properties": _NAMES | _OPTIONS},
    "stop_cluster_books": {"required": list(_NAMES), "properties": _NAMES},
    "drain_cluster_node": {"properties": {"draining": {"type": "boolean", "default": True}}},
}
"""The objects that requests send, by the name of their route."""


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object", **schema}}}
    return {"required": "required" in schema, "content": content}


def _success(route: dict[str, Any], status: int) -> dict[str, Any]:
    response: dict[str, Any] = {"description": _WORDS[status]}
    if status in (101, 204, 304):
        return response
    if kind := _TEXT.get(route["name"]):
        return response | {"content": {kind: {"schema": {"type": "string"}}}}
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": "#/components/schemas/Message"}}}
    if route["name"] == "list_books":
        content[_ARROW] = {"schema": {"type": "string", "format": "binary"}}
    return response | {"content": content}


def _failure(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": _WORDS[status], "content": {"application/json": {"schema": schema}}}


def documents(*, is_node: bool = False) -> dict[str, tuple[str, bytes]]:
    """Media type and content of each document, by path. `is_node`: of a node of a cluster, whose page shows
    the cluster, too."""
    return {
        "/openapi.json": ("application/json", json.dumps(openapi(), ensure_ascii=False).encode()),
        "/docs": ("text/html; charset=utf-8", _page().encode()),
        "/docs.css": ("text/css; charset=utf-8", _STYLE.encode()),
        **page_files(is_node=is_node),
    }


def page_files(*, is_node: bool = False) -> dict[str, tuple[str, bytes]]:
    """Media type and content of each file of the live page, by path: `/`, and the others under `/page/`."""
    files = {
        "/" if name == "index.html" else f"/page/{name}": (_KINDS[path.suffix], path.read_bytes())
        for path in sorted(_PAGE.rglob("*"))
        if path.suffix in _KINDS and (name := path.relative_to(_PAGE).as_posix())
    }
    if is_node:  # here, so that no other tab moves when the page learns what it is of
        kind, index = files["/"]
        files["/"] = (kind, index.replace(_CLUSTER_TAB, _CLUSTER_TAB.replace(b" hidden", b"")))
    return files


def gzipped(documents: dict[str, tuple[str, bytes]]) -> dict[str, bytes]:
    """The contents that compression makes smaller, compressed, by path."""
    packed = {path: gzip.compress(body, mtime=0) for path, (_, body) in documents.items()}
    return {path: body for path, body in packed.items() if len(body) < len(documents[path][1])}


_PAGE = Path(__file__).parent / "page"
_CLUSTER_TAB = b'<a href="#/cluster" class="tab" hidden>'
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


_STYLE = """\
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif;
color-scheme: light dark } h2 { margin-top: 2.5rem; font-size: 1rem; font-family: ui-monospace, monospace }
table { border-collapse: collapse; width: 100% } td { padding: .25rem 1rem .25rem 0; vertical-align: top }
td:first-child { white-space: nowrap; font-family: ui-monospace, monospace }
"""


_NEEDS = {
    "open": "no token",
    "message": "role read, in the header or in the first message",
    "node": "role manage, or another node of the cluster",
}


def _page() -> str:
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>depthcache book server</title>',
        '<link rel="stylesheet" href="/docs.css"></head><body><h1>depthcache book server</h1>',
        "<p>Send <code>Authorization: Bearer TOKEN</code>. Books are messages of the schema of ",
        "<code>depthcache.wire</code>; errors are <code>{&quot;error&quot;: {&quot;code&quot;, ",
        "&quot;message&quot;, …}}</code>. For programs: <a href=/openapi.json>/openapi.json</a>.</p>",
    ]
    for route in _server_routes():
        parts.append(f"<h2>{route['method']} {escape(route['path'])}</h2>")
        needs = _NEEDS.get(route["access"], f"role {route['access']}")
        parts.append(f"<p>{escape(route['words'])} ({needs})</p>")
        rows = [
            f"<tr><td>{escape(each['name'])}</td><td>{escape(each['words'])}</td></tr>"
            for each in route["parameters"]
        ]
        parts.append(f"<table>{''.join(rows)}</table>" if rows else "")
    return "".join([*parts, "</body></html>"])
