"""What readers get is what the book says, at one update id."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from depthcache import Book, FrozenBook, wire
from tests.engine import load
from tests.markets.test_router import WALL_NS, Rig
from tests.server.asking import PATH, ask, book, diff, serving


class Served:
    """A server with some books."""

    def __init__(self, native: Any) -> None:
        self.native, self.port = native, native.port
        self.books: dict[str, Book] = {}
        for exchange, symbol in (
            ("binance.com", "BTCUSDT"),
            ("binance.com", "ETHUSDT"),
            ("binance.com", "币安人生USDT"),
            ("binance.us", "BTCUSDT"),
        ):
            self.add(exchange, symbol)

    def add(self, exchange: str, symbol: str) -> Book:
        made = book(symbol, exchange)
        self.books[f"{exchange}/{symbol}"] = made
        self.native.add(exchange, symbol, made)
        return made


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as native:
        yield Served(native)


@pytest.mark.parametrize("levels", [0, 1, 20, 50, 1_000])
def test_a_read_is_the_message_of_the_book(served: Served, levels: int) -> None:
    held = served.books["binance.com/BTCUSDT"]
    answer = ask(served.port, f"{PATH}?levels={levels}")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == wire.encode(held, levels, counters=False)
    frozen = wire.decode(answer.body)
    assert isinstance(frozen, FrozenBook)
    assert frozen.exact.bids[:] == held.freeze(levels).exact.bids[:]


def test_all_levels_and_floats_on_request(served: Served) -> None:
    held = served.books["binance.com/BTCUSDT"]
    assert ask(served.port, f"{PATH}?levels=all").body == wire.encode(held, counters=False)
    floats = ask(served.port, f"{PATH}?exact=false").json
    assert floats["bids"] == [list(level) for level in held.bids[:20]]
    assert len(ask(served.port, PATH).json["asks"]) == 20


def test_names_are_found_in_any_case_and_script(served: Served) -> None:
    assert ask(served.port, "/v1/books/binance.com/ethusdt").json["symbol"] == "ETHUSDT"
    named = ask(served.port, f"/v1/books/binance.com/{quote('币安人生usdt')}")
    assert named.json["symbol"] == "币安人生USDT"


def test_an_update_shows_at_once_in_both_sides_and_the_tag(served: Served) -> None:
    first = ask(served.port, PATH)
    tag = first.headers["etag"]
    same = ask(served.port, PATH, headers={"If-None-Match": f'"x", {tag}'})
    assert (same.status, same.body, same.headers["etag"]) == (304, b"", tag)
    served.books["binance.com/BTCUSDT"].apply(diff("BTCUSDT", 101, 102, [["999.99", "7.5"]]))
    changed = ask(served.port, PATH, headers={"If-None-Match": tag})
    assert changed.status == 200
    assert (changed.json["last_update_id"], changed.json["bids"][0]) == (102, ["999.99", "7.50000000"])
    assert changed.headers["etag"] != tag


def test_a_book_that_takes_the_place_of_another_has_a_tag_of_its_own(served: Served) -> None:
    """At the same id, after as many updates: a reader must not go on with the levels of the former."""
    tag = ask(served.port, PATH).headers["etag"]
    other = Book("binance.com", "BTCUSDT")
    other.load_snapshot(b'{"lastUpdateId":100,"bids":[["1.00","2.00"]],"asks":[]}', limit=100)
    served.native.add("binance.com", "BTCUSDT", other)
    read = ask(served.port, PATH, headers={"If-None-Match": tag})
    assert (read.status, read.json["bids"]) == (200, [["1.00", "2.00"]])


@pytest.mark.parametrize("query", ["", "?levels=3", "?exact=false", "?levels=all", "?levels=0"])
def test_a_body_that_is_given_again_is_that_of_the_book_now(served: Served, query: str) -> None:
    held = served.books["binance.com/BTCUSDT"]
    for number in range(3):
        first, second = (ask(served.port, PATH + query) for _ in range(2))
        assert (first.body, first.headers["etag"]) == (second.body, second.headers["etag"])
        assert second.json["last_update_id"] == held.last_update_id == 100 + number
        held.apply(diff("BTCUSDT", 101 + number, 101 + number, [["999.99", f"{number + 3}.5"]]))
    held.apply(diff("BTCUSDT", 900, 901, []))  # a gap
    assert ask(served.port, PATH + query).status == 425
    stale = ask(served.port, f"{PATH}{query}{'&' if query else '?'}on_stale=serve")
    assert (stale.status, stale.json["status"]) == (200, "buffering")
    assert ask(served.port, PATH + query).status == 425, "what was served stale is not given again"


def test_a_body_that_is_given_again_is_not_too_old() -> None:
    rig = Rig(load("native")).synced()
    with serving() as native:
        native.add("binance.com", "BTCUSDT", rig.book)
        for _ in range(2):
            assert ask(native.port, f"{PATH}?max_age=5").status == 200
        rig.router.set_virtual_time(10**12, WALL_NS + 10**12)
        assert ask(native.port, f"{PATH}?max_age=5").error["code"] == "too_old"
        assert ask(native.port, PATH).status == 200
        rig.router.set_virtual_time(10**12, 10**18)
        moved = ask(native.port, PATH).json["received_time_us"]
        assert moved == (rig.book.updated_ns + 10**18 - 10**12) // 1_000, "the wall clock was set"


def test_best_and_analytics_are_those_of_the_book(served: Served) -> None:
    held = served.books["binance.com/BTCUSDT"]
    assert ask(served.port, f"{PATH}/best").body == wire.encode_best(held)
    fill, found = ask(served.port, f"{PATH}/fill?side=buy&quote=12500").json, held.fill("buy", quote=12500)
    assert {name: fill[name] for name in found._fields} == found._asdict()
    depth, within = ask(served.port, f"{PATH}/depth?bps=1.5").json, held.depth_within(1.5)
    assert depth["bids"] == within.bids._asdict()
    assert (depth["mid"], depth["update_id"]) == (within.mid, within.update_id)
    prices = ask(served.port, f"{PATH}/prices").json
    assert (prices["bid"], prices["ask"]) == (held.bids[0].price, held.asks[0].price)
    for name in ("mid", "microprice", "spread", "spread_bps"):
        assert prices[name] == getattr(held, name)
    for side in ("buy", "sell"):
        move = ask(served.port, f"{PATH}/size_to_move?side={side}&bps=1.5").json
        size = held.size_to_move(side, 1.5)  # type: ignore[arg-type]
        assert {name: move[name] for name in size._fields} == size._asdict()
    for group, levels in ((0.05, 3), (0.1, None), (7, 100)):
        query = f"group={group}&levels={'all' if levels is None else levels}"
        summed, groups = ask(served.port, f"{PATH}/grouped?{query}").json, held.grouped(group, levels)
        assert [summed["bids"], summed["asks"]] == [
            [list(level) for level in found] for found in (groups.bids, groups.asks)
        ]
        found = {name: summed[name] for name in ("group", "complete", "update_id")}
        assert found == {"group": group, "complete": groups.complete, "update_id": groups.update_id}
    for query, arguments in (("", {}), ("?levels=7", {"levels": 7}), ("?bps=3", {"bps": 3})):
        answer, imbalance = ask(served.port, f"{PATH}/imbalance{query}").json, held.imbalance(**arguments)
        assert {name: answer[name] for name in imbalance._fields} == imbalance._asdict()


def listed(served: Served, query: str) -> list[str]:
    found = ask(served.port, f"/v1/books?{query}").json["books"]
    return [f"{each['exchange']}/{each['symbol']}" for each in found]


def test_the_list_has_a_line_for_each_book(served: Served) -> None:
    assert listed(served, "") == sorted(served.books)
    line = ask(served.port, "/v1/books").json["books"][0]
    head = json.loads(wire.encode_status(served.books["binance.com/BTCUSDT"]))
    assert {name: line[name] for name in head if name not in ("schema", "type")} == {
        name: head[name] for name in head if name not in ("schema", "type")
    }
    assert (line["levels"], line["coverage"]) == ({"bids": 50, "asks": 50},) * 2
    assert (line["complete_to"], line["age_s"]) == ({"bids": "all", "asks": "all"}, 0.0)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("exchange=binance.us", ["binance.us/BTCUSDT"]),
        ("symbol=*usdt&exchange=binance.com&limit=1", ["binance.com/BTCUSDT"]),
        ("symbol=E*", ["binance.com/ETHUSDT"]),
        ("symbol=nothing*", []),
        ("status=stale", []),
        ("status=synced&symbol=btcusdt", ["binance.com/BTCUSDT", "binance.us/BTCUSDT"]),
    ],
)
def test_the_list_is_filtered(served: Served, query: str, expected: list[str]) -> None:
    assert listed(served, query) == expected


def test_pages_follow_each_other_without_a_loss_or_a_repeat(served: Served) -> None:
    for number in range(25):
        served.add("binance.com", f"P{number:03}USDT")
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = ask(served.port, f"/v1/books?limit=4{cursor and f'&cursor={quote(cursor)}'}").json
        assert 1 <= len(page["books"]) <= 4
        seen += [f"{each['exchange']}/{each['symbol']}" for each in page["books"]]
        cursor = page["next"]
    assert seen == sorted(served.books)


def test_many_books_at_once_and_those_that_are_missing(served: Served) -> None:
    served.native.add("binance.com", "EMPTYUSDT", Book("binance.com", "EMPTYUSDT"))
    query = "symbols=ethusdt,NOUSDT,binance.us/*,BTCUSDT,EMPTYUSDT,ETHUSDT&levels=3"
    answer = ask(served.port, f"/v1/books?{query}").json
    names = [f"{each['exchange']}/{each['symbol']}" for each in answer["books"]]
    assert names == ["binance.com/ETHUSDT", "binance.us/BTCUSDT"]
    expected = wire.encode(served.books["binance.com/ETHUSDT"], 3, counters=False)
    assert answer["books"][0] == json.loads(expected)
    missing = {each["book"]: each["error"]["code"] for each in answer["missing"]}
    assert missing == {
        "NOUSDT": "unknown_book",
        "BTCUSDT": "ambiguous_symbol",
        "binance.com/EMPTYUSDT": "not_synced",
    }


def test_only_the_first_of_many_unknown_names_get_neighbours(served: Served) -> None:
    missing = ask(served.port, "/v1/books?symbols=" + ",".join(["ETHUSD"] * 40)).json["missing"]
    near = [bool(each["error"]["near"]) for each in missing]
    assert near == [True] * 16 + [False] * 24


@pytest.mark.slow  # pyarrow takes a second to be imported
@pytest.mark.parametrize("exact", [True, False])
def test_many_books_as_arrow_have_the_columns_of_the_library(served: Served, exact: bool) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from depthcache import Columns

    accept = {"Accept": "text/html, application/vnd.apache.arrow.stream;q=0.9"}
    query = f"symbols=*,NOUSDT&exchange=binance.com&levels=5&exact={str(exact).lower()}"
    answer = ask(served.port, f"/v1/books?{query}", headers=accept)
    assert answer.headers["content-type"] == "application/vnd.apache.arrow.stream"
    table = pyarrow.ipc.open_stream(io.BytesIO(answer.body)).read_all()
    held = [each for name, each in sorted(served.books.items()) if name.startswith("binance.com/")]
    expected = pyarrow.table(Columns(held, 5, exact=exact))
    assert table.to_pylist() == expected.to_pylist()
    assert table.schema.names == expected.schema.names
    missing = json.loads(table.schema.metadata[b"depthcache.missing"])
    assert [each["book"] for each in missing] == ["NOUSDT"]


def test_a_removed_book_is_gone_and_another_takes_its_place(served: Served) -> None:
    assert served.native.remove("binance.com", "BTCUSDT")
    assert ask(served.port, PATH).status == 404
    served.add("binance.com", "BTCUSDT")
    assert ask(served.port, PATH).status == 200


def test_statistics_and_metrics_count_books_and_responses(served: Served) -> None:
    ask(served.port, PATH)
    ask(served.port, "/v1/books/binance.com/NOUSDT")
    stats = ask(served.port, "/v1/stats").json
    assert (stats["books"]["all"], stats["books"]["synced"]) == (4, 4)
    assert stats["responses"]["read_book"] == {"200": 1, "404": 1}
    assert stats["connections"]["accepted"] == 3
    parser = pytest.importorskip("prometheus_client.parser")
    families = {each.name: each for each in parser.text_string_to_metric_families(metrics(served))}
    synced = families["depthcache_book_synced"].samples
    assert [sample.value for sample in synced] == [1.0] * 4
    assert {sample.labels["symbol"] for sample in synced} == {"BTCUSDT", "ETHUSDT", "币安人生USDT"}
    snapshots = families["depthcache_book_snapshots"].samples
    assert [sample.value for sample in snapshots] == [1.0] * 4
    responses = families["depthcache_server_responses"].samples
    assert {"route": "read_book", "status": "404"} in [sample.labels for sample in responses]


@pytest.mark.parametrize("name", ["binance.us", "BINANCE.US", "us", "Us"])
def test_an_exchange_goes_by_its_other_names(served: Served, name: str) -> None:
    served.native.set_aliases({"binance.us": "binance.us", "us": "binance.us"})

    def found(path: str) -> list[str]:
        return [each["exchange"] for each in ask(served.port, path).json["books"]]

    assert ask(served.port, f"/v1/books/{name}/BTCUSDT").json["exchange"] == "binance.us"
    assert ask(served.port, f"/v1/books/{name}/BTCUSDT/best").status == 200
    assert found(f"/v1/books?exchange={name}") == ["binance.us"]
    assert found(f"/v1/books?symbols={name}/BTC*,{name}/BTCUSDT") == ["binance.us"]
    assert found(f"/v1/books?exchange={name}&symbols=BTC*") == ["binance.us"]
    near = ask(served.port, f"/v1/books/{name}/BTCUSD").error["near"]
    assert near[0] == "binance.us/BTCUSDT"


def metrics(served: Served) -> str:
    answer = ask(served.port, "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.body.decode()


def test_it_is_ready_once_every_book_came_and_not_all_are_lost(served: Served) -> None:
    assert ask(served.port, "/readyz", token=None).json == {"status": "ready", "books": 4, "synced": 4}
    late = Book("binance.com", "LATEUSDT")
    served.native.add("binance.com", "LATEUSDT", late)
    answer = ask(served.port, "/readyz", token=None)
    assert (answer.status, answer.error["code"], answer.error["synced"]) == (503, "not_ready", 4)
    late.load_snapshot(b'{"lastUpdateId":1,"bids":[["1","1"]],"asks":[["2","1"]]}', limit=100)
    assert ask(served.port, "/readyz", token=None).status == 200
    late.apply(diff("LATEUSDT", 9, 10, []))  # a gap
    assert ask(served.port, "/readyz", token=None).json["synced"] == 4
    for name in served.books:
        served.native.remove(*name.split("/"))
    assert ask(served.port, "/readyz", token=None).error["message"] == "no book is synced now"


def test_health_needs_no_token(served: Served) -> None:
    assert ask(served.port, "/healthz", token=None).json == {"status": "ok"}


def test_head_is_get_without_a_body(served: Served) -> None:
    answer = ask(served.port, PATH, method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) == len(ask(served.port, PATH).body)


def test_a_read_does_not_deepen_the_book() -> None:
    """A reader of a program sets a depth target, for which the client asks the exchange; these do not."""
    rig = Rig(load("native")).synced()
    rig.router.set_depth_target(1, 0, requested=2)

    def is_shallow() -> bool:
        return any(rig.router.shallow() for _ in range(9))

    assert not is_shallow()
    with serving() as native:
        native.add("binance.com", "BTCUSDT", rig.book)
        for path in (
            "?levels=50",
            "?levels=all",
            "/best",
            "/imbalance?levels=9",
            "/fill?side=buy&base=1",
            "/grouped?group=1&levels=50",
            "/prices",
        ):
            assert ask(native.port, PATH + path).status == 200
        arrow = {"Accept": "application/vnd.apache.arrow.stream"}
        for headers in ({}, arrow):
            path = "/v1/books?symbols=BTCUSDT&levels=50"
            assert ask(native.port, path, headers=headers).status == 200
    assert not is_shallow()
    rig.book.freeze(50)
    assert is_shallow()
