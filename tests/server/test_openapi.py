"""The OpenAPI document and the page are made of the table that routes requests."""

from __future__ import annotations

from typing import Any

import pytest

from depthcache import _native, server
from depthcache.server.documents import documents
from tests.server.asking import ADMIN, ask, serving

ROUTES = _native._server_routes()


def test_every_route_is_an_operation_and_no_other_is() -> None:
    found = {
        (method.upper(), path)
        for path, operations in server.openapi()["paths"].items()
        for method in operations
    }
    assert found == {(route["method"], route["path"]) for route in ROUTES}
    names = [route["name"] for route in ROUTES]
    assert len(set(names)) == len(names)


def test_every_operation_is_routed() -> None:
    with serving(documents=documents(), delegation_s=0.01) as native:
        for route in ROUTES:
            path = route["path"].format(exchange="x", symbol="y", node="a1", role="read")
            answer = ask(native.port, path, method=route["method"], token=ADMIN)
            assert answer.status != 405
            assert answer.status != 404 or answer.error["code"] in ("unknown_book", "no_cluster")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route["name"])
def test_an_operation_says_what_it_needs_and_returns(route: dict[str, Any]) -> None:
    operation = server.openapi()["paths"][route["path"]][route["method"].lower()]
    needed = {"open": [], "message": [{"read": []}, {}], "node": [{"manage": []}]}
    assert operation["security"] == needed.get(route["access"], [{route["access"]: []}])
    assert {each["name"] for each in operation["parameters"]} == {
        each["name"] for each in route["parameters"]
    }
    for status, response in operation["responses"].items():
        assert response["description"]
        assert ("$ref" in str(response)) == (int(status) >= 400 or "json" in str(response.get("content")))


def test_the_documents_run_no_script_and_name_every_path() -> None:
    with serving(documents=documents()) as native:
        page = ask(native.port, "/docs", token=None)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert b"<script" not in page.body
        assert b"style=" not in page.body
        for route in ROUTES:
            assert route["path"].encode() in page.body
        assert ask(native.port, "/openapi.json", token=None).json == server.openapi()
        assert ask(native.port, "/docs.css", token=None).headers["content-type"].startswith("text/css")
