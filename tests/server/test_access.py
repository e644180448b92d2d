"""Who may read and manage, and what a page of another site can make a browser do: nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from depthcache import _native
from tests.server.asking import ADMIN, PATH, READ, ask, book, raw, serving

ROUTES = _native._server_routes()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    pages = {"/docs": ("text/html", b"<p>docs"), "/openapi.json": ("application/json", b"{}")}
    with serving(documents=pages, delegation_s=0.01) as native:
        native.add("binance.com", "BTCUSDT", book())
        yield native.port


def path_of(route: dict[str, str]) -> str:
    filled = route["path"].format(exchange="binance.com", symbol="BTCUSDT", node="a1", role="read")
    return filled + {
        "read_fill": "?side=buy&base=1",
        "read_depth": "?bps=1",
        "read_size_to_move": "?side=buy&bps=1",
        "read_grouped": "?group=1",
        "stream_books": "?symbols=NOUSDT",  # a stream has no end
    }.get(route["name"], "")


WRONG = [None, "", READ[:-1], READ + "x", ADMIN.upper(), "ü" * 20]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route["name"])
def test_each_route_takes_the_tokens_that_it_should_and_no_others(port: int, route: dict[str, str]) -> None:
    allowed = {
        "open": [READ, ADMIN, *WRONG],
        "read": [READ, ADMIN],
        "message": [READ, ADMIN, None],  # who sends none has to send it in the first message
        "node": [ADMIN],
        "manage": [ADMIN],
    }[route["access"]]
    joining = dict.fromkeys(("read_cluster_authority", "join_cluster", "renew_node_certificate"), 404)
    expected = {"open_socket": 426, "stream_books": 404, **joining}.get(route["name"], 200)
    for token in [READ, ADMIN, *WRONG]:
        headers = {} if token is None else {"Authorization": f"Bearer {token}".encode().decode("latin-1")}
        answer = ask(port, path_of(route), method=route["method"], token=None, headers=headers)
        if token in allowed:
            is_delegated = route["access"] == "manage" or "/v1/cluster" in route["path"]
            assert answer.status == (503 if is_delegated and route["access"] != "open" else expected)
        elif token == READ:
            assert (answer.status, answer.error["code"]) == (403, "role_too_low")
        else:
            assert (answer.status, answer.error["code"]) == (401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"


def test_tokens_of_a_cluster_are_replaced_while_the_server_runs() -> None:
    def digest(secret: str) -> bytes:
        return hashlib.sha256(secret.encode()).digest()

    def status(native: Any, token: str, method: str = "GET") -> int:
        return ask(native.port, PATH if method == "PUT" else "/v1/books", method=method, token=token).status

    with serving(delegation_s=0.01) as native:
        new, ended = "dcr_new_new_new_new", "dcr_ended_ended_ended"
        native.set_tokens(
            [
                ("read", digest(READ), 2**50),
                ("read", digest(new), None),
                ("read", digest(ended), 1),
                ("manage", digest(ADMIN), None),
            ]
        )
        assert [status(native, token) for token in (READ, new, ended, ADMIN)] == [200, 200, 401, 200]
        assert (status(native, new, "PUT"), status(native, ADMIN, "PUT")) == (403, 503)
        native.set_tokens([("read", digest(new), None)])
        assert [status(native, token) for token in (READ, new, ADMIN)] == [401, 200, 401]
        for wrong in (("read", b"short", None), ("join", digest(new), None)):
            with pytest.raises(ValueError, match="token"):
                native.set_tokens([wrong])
        assert status(native, new) == 200


def test_a_join_token_in_an_address_is_never_repeated(port: int) -> None:
    token = f"dcj_{'a' * 64}_{'s' * 24}"
    for path in (f"/{token}", f"/v1/cluster/{token}", f"/v1/cluster/authority?token={token}"):
        assert token.encode() not in ask(port, path, token=None).body


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Bearer:"])
def test_a_token_of_another_scheme_counts_as_none(port: int, scheme: str) -> None:
    assert ask(port, PATH, token=None, headers={"Authorization": f"{scheme} {READ}"}).status == 401


@pytest.mark.parametrize("place", ["?token=", "?access_token=", "/"])
def test_a_token_in_the_address_is_refused_and_never_repeated(port: int, place: str) -> None:
    answer = ask(port, f"{PATH}{place}{READ}", token=None)
    assert answer.status in (401, 404)
    assert READ.encode() not in answer.body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "BOOKS.example"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "127.0.0.1.nip.io"}, 403),
        ({"Host": ""}, 400),
        ({"Host": "127.0.0.1", "Origin": "http://127.0.0.1"}, 200),
        ({"Host": "127.0.0.1", "Origin": "https://127.0.0.1"}, 403),
        ({"Host": "127.0.0.1", "Origin": "http://127.0.0.1:81"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ({"Sec-Fetch-Site": "something-new"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_hosts_and_origins(port: int, method: str, headers: dict[str, str], status: int) -> None:
    answer = ask(port, PATH, method=method, token=ADMIN, headers=headers)
    assert answer.status == (503 if status == 200 and method != "GET" else status)
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_other_sites_may_link_to_the_documents_alone(port: int) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert ask(port, "/docs", token=None, headers=link).status == 200
    assert ask(port, "/healthz", token=None, headers=link).status == 403
    frame = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert ask(port, "/docs", token=None, headers=frame).status == 403


@pytest.mark.parametrize("hosts", ["", "Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n", "Host: a@127.0.0.1\r\n"])
def test_a_request_names_one_host(port: int, hosts: str) -> None:
    data = f"GET /healthz HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode()
    assert raw(port, data).startswith((b"HTTP/1.1 400", b"HTTP/1.1 403"))


def test_the_host_of_an_absolute_address_counts_too(port: int) -> None:
    data = b"GET http://evil.example/healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    assert raw(port, data).startswith(b"HTTP/1.1 400")


def test_a_preflight_gets_no_permission(port: int) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "PUT"}
    answer = ask(port, PATH, method="OPTIONS", token=None, headers=asked)
    assert answer.status == 403
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("path", [PATH, "/docs", "/nothing", "/v1/books/x/y"])
def test_every_response_forbids_what_pages_could_do_with_it(port: int, path: str) -> None:
    headers = ask(port, path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-cache"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
