"""Every refusal has one shape, a status that means something, and the facts to act on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from depthcache import Book
from tests.server.asking import ADMIN, PATH, ask, book, diff, raw, serving


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as native:
        native.add("binance.com", "BTCUSDT", book())
        lost = book("LOSTUSDT")
        lost.apply(diff("LOSTUSDT", 200, 201, []))
        native.add("binance.com", "LOSTUSDT", lost)
        native.add("binance.com", "EMPTYUSDT", Book("binance.com", "EMPTYUSDT"))
        inverse = Book("binance.com-coin_futures", "BTCUSD_PERP")
        native.add("binance.com-coin_futures", "BTCUSD_PERP", inverse)
        yield native.port


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("levels=-1", "levels"),
        ("levels=two", "levels"),
        ("exact=yes", "exact"),
        ("on_stale=later", "on_stale"),
        ("wait_s=1", "wait_s"),
        ("on_stale=wait&wait_s=31", "wait_s"),
        ("on_stale=wait&wait_s=nan", "wait_s"),
        ("max_age=0", "max_age"),
        ("max_age=nan", "max_age"),
        ("level=5", "level"),
        ("levels=5&levels=6", "levels"),
    ],
)
def test_a_parameter_that_cannot_work_is_named(port: int, query: str, name: str) -> None:
    answer = ask(port, f"{PATH}?{query}")
    assert (answer.status, answer.error["code"], answer.error["name"]) == (400, "invalid_parameter", name)
    assert answer.error["value"] == query.rpartition("=")[2]
    assert answer.error["allowed"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/books?limit=0", "limit"),
        ("/v1/books?limit=1001", "limit"),
        ("/v1/books?status=good", "status"),
        ("/v1/books?cursor=x", "cursor"),
        ("/v1/books?symbol=", "symbol"),
        ("/v1/books?levels=5", "levels"),
        ("/v1/books?symbols=BTCUSDT&limit=5", "limit"),
        (f"/v1/books?symbols={','.join(['B*'] * 17)}", "symbols"),
        (f"/v1/books?symbols={','.join(['B'] * 5_001)}", "symbols"),
        (f"{PATH}/fill?base=1", "side"),
        (f"{PATH}/fill?side=hold&base=1", "side"),
        (f"{PATH}/fill?side=buy", "base"),
        (f"{PATH}/fill?side=buy&base=1&quote=1", "base"),
        (f"{PATH}/fill?side=buy&base=0", "base"),
        (f"{PATH}/fill?side=buy&base=1e400", "base"),
        (f"{PATH}/depth", "bps"),
        (f"{PATH}/size_to_move?side=buy", "bps"),
        (f"{PATH}/size_to_move?bps=1", "side"),
        (f"{PATH}/grouped", "group"),
        (f"{PATH}/grouped?group=0", "group"),
        (f"{PATH}/grouped?group=1e19", "group"),
        (f"{PATH}/grouped?size=1", "size"),
        (f"{PATH}/imbalance?levels=0", "levels"),
        (f"{PATH}/imbalance?levels=1&bps=1", "levels"),
        ("/v1/books/binance.com-coin_futures/BTCUSD_PERP/fill?side=buy&quote=1", "quote"),
        ("/healthz?x=1", "x"),
    ],
)
def test_every_route_names_what_it_refuses(port: int, path: str, name: str) -> None:
    answer = ask(port, path)
    assert (answer.status, answer.error["name"]) == (400, name)


def test_the_former_name_of_a_parameter_is_answered_with_its_name(port: int) -> None:
    answer = ask(port, f"{PATH}/grouped?size=1")
    assert answer.error["allowed"] == "nothing: it is called group"
    assert "group" not in ask(port, f"{PATH}/best?size=1").error["allowed"]


def test_an_unknown_book_names_its_neighbours(port: int) -> None:
    for path in ("/v1/books/binance.com/BTCUSD", "/v1/books/binance.co/BTCUSDT"):
        answer = ask(port, path)
        assert (answer.status, answer.error["code"]) == (404, "unknown_book")
        assert answer.error["near"][0] == "binance.com/BTCUSDT"
    assert ask(port, "/v1/books/binance.com/" + "A" * 5_000).error["near"] == []


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "/best",
        "/fill?side=buy&base=1",
        "/depth?bps=1",
        "/imbalance",
        "/prices",
        "/size_to_move?side=buy&bps=1",
        "/grouped?group=1",
    ],
)
def test_a_book_that_is_not_synced_says_why_and_when_to_ask_again(port: int, rest: str) -> None:
    answer = ask(port, f"/v1/books/binance.com/LOSTUSDT{rest}")
    assert (answer.status, answer.headers["retry-after"]) == (425, "1")
    assert (answer.error["code"], answer.error["status"]) == ("not_synced", "buffering")
    assert "gap" in answer.error["reason"] or "100" in answer.error["reason"]


def test_the_last_known_book_on_request(port: int) -> None:
    answer = ask(port, "/v1/books/binance.com/LOSTUSDT?on_stale=serve&levels=1")
    assert answer.status == 200
    assert (answer.json["status"], answer.json["bids"]) == ("buffering", [["999.99", "1.12500000"]])
    assert answer.json["reason"]
    assert ask(port, "/v1/books/binance.com/EMPTYUSDT?on_stale=serve").status == 425


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/books/", "/v1/books/binance.com", "/v1/book", "/../etc/passwd"]
)
def test_an_unknown_path_is_said(port: int, path: str) -> None:
    answer = ask(port, path)
    assert (answer.status, answer.error["code"]) == (404, "unknown_path")


@pytest.mark.parametrize("method", ["POST", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused_with_those_that_are_there(port: int, method: str) -> None:
    answer = ask(port, PATH, method=method)
    assert (answer.status, answer.error["code"]) == (405, "method_not_allowed")
    assert set(answer.headers["allow"].split(",")) == {"GET", "HEAD", "PUT", "DELETE"}


def test_text_of_others_comes_back_short_and_escaped(port: int) -> None:
    long = "%22%3Cscript%3E" * 1_000
    answer = ask(port, f"/v1/books/binance.com/{long}")
    assert (answer.status, len(answer.error["symbol"])) == (404, 101)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_path_that_is_no_text_is_refused_as_all_else(port: int, method: str) -> None:
    path = "/v1/books/binance.com/%FF%FE"
    answer = ask(port, path, method=method, token=ADMIN)
    assert (answer.status, answer.error["code"], answer.error["name"]) == (400, "invalid_parameter", "path")
    assert ask(port, path, method=method, token=None).status == 401


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
    ],
)
def test_what_is_no_request_ends_the_connection(port: int, data: bytes) -> None:
    assert raw(port, data).split(b"\r\n")[0] in (b"HTTP/1.1 400 Bad Request", b"")
    assert ask(port, "/healthz").status == 200


def test_no_program_takes_requests_in_this_test_so_they_get_503() -> None:
    with serving(delegation_s=0.05) as native:
        answer = ask(native.port, PATH, method="PUT", token=ADMIN)
        assert (answer.status, answer.error["code"]) == (503, "program_silent")
        assert answer.headers["retry-after"] == "1"
        assert native.take_request(0) is None, "nobody waits for it any more"
