"""Any node answers any read: from its own books, else from a node that holds the book."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from depthcache import Book, FrozenBook, wire
from tests.server.asking import DEADLINE_S, READ, Answer, diff, snapshot
from tests.server.clustering import EXCHANGE, Cluster, Node, names
from tests.server.exchanging import options

pytest.importorskip("cryptography")

PATH = f"/v1/books/{EXCHANGE}/BTCUSDT"
ENDPOINTS = (
    "",
    "?levels=3&exact=false",
    "/best",
    "/fill?side=buy&base=2",
    "/depth?bps=5",
    "/imbalance?levels=3",
    "/prices",
    "/size_to_move?side=sell&bps=2",
    "/grouped?group=0.1",
)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as made:
        yield made


def lose(book: Book) -> None:
    """Let a book miss a diff: it is not synced any more."""
    book.apply(diff(str(book.symbol), 900, 901, []))


def told(answer: Answer) -> tuple[int, str]:
    """The status, and who answered."""
    return answer.status, answer.headers["x-depthcache-node"]


# --- one book ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", ENDPOINTS)
def test_a_node_without_the_book_answers_as_its_holder(cluster: Cluster, rest: str) -> None:
    near, far = cluster.nodes("near", "far")
    far.hold("BTCUSDT")
    near.knows("BTCUSDT", far)
    answer, same = near.ask(PATH + rest), far.ask(PATH + rest)
    assert told(answer) == told(same) == (200, "far")
    assert answer.body == same.body
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["node"] == "far"
    assert near.counts() == {"node": "near", "forwarded": 1, "hedged": 0, "failed": 0}


def test_a_forwarded_book_is_a_message_and_its_tag_holds(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    held = far.hold("BTCUSDT")
    near.knows("BTCUSDT", far)
    first = near.ask("/v1/books/binance.com/btcusdt")
    frozen = wire.decode(first.body)
    assert isinstance(frozen, FrozenBook)
    assert frozen.exact.bids[:] == held.freeze(20).exact.bids[:]
    again = near.ask(PATH, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


def test_a_node_that_holds_the_book_answers_itself(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    near.hold("BTCUSDT")
    far.hold("BTCUSDT")
    near.knows("BTCUSDT", far)
    assert told(near.ask(PATH)) == (200, "near")
    assert far.reads("read_book") == 0


def test_a_request_that_cannot_work_is_refused(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    far.hold("BTCUSDT")
    near.knows("BTCUSDT", far)
    answer = near.ask(f"{PATH}/fill?side=up&base=1")
    assert (answer.status, answer.error["name"]) == (400, "side")
    assert near.ask(PATH, token=None).status == 401, "a reader needs a token, whoever holds the book"


def test_two_nodes_that_take_each_other_for_the_holder_ask_once(cluster: Cluster) -> None:
    one, two = cluster.nodes("one", "two")
    one.knows("BTCUSDT", two)
    two.knows("BTCUSDT", one)
    answer = one.ask(PATH)
    assert (answer.status, answer.error["code"]) == (404, "unknown_book")
    assert (one.reads("read_book"), two.reads("read_book")) == (1, 1)


def test_a_node_that_takes_itself_for_the_holder_asks_nobody(cluster: Cluster) -> None:
    one = cluster.node("one")
    one.knows("BTCUSDT", one)
    answer = one.ask(PATH)
    assert (answer.status, answer.error["code"]) == (503, "no_holder_answers")
    assert one.reads("read_book") == 1


# --- replicas that are not current ------------------------------------------------------------


def test_a_stale_replica_is_passed_over(cluster: Cluster) -> None:
    near, stale, fresh = cluster.nodes("near", "stale", "fresh")
    lose(stale.hold("BTCUSDT"))
    fresh.hold("BTCUSDT")
    near.knows("BTCUSDT", stale, fresh)
    for query in ("", "?on_stale=serve", "?on_stale=wait&wait_s=30"):
        answer = near.ask(PATH + query)
        assert told(answer) == (200, "fresh"), query
        assert answer.json["status"] == "synced"


def test_an_own_replica_that_is_stale_gives_way(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    own = near.hold("BTCUSDT")
    far.hold("BTCUSDT")
    near.knows("BTCUSDT", far)
    assert told(near.ask(PATH)) == (200, "near")
    lose(own)
    assert told(near.ask(PATH)) == (200, "far")
    assert told(near.ask(f"{PATH}?on_stale=serve")) == (200, "far")


@pytest.mark.slow
def test_a_replica_that_ceases_to_be_current_during_a_read_gives_way(cluster: Cluster) -> None:
    """Looks at it: one. Between two, it would refuse the reader although another node has the book."""
    compat = [("127.0.0.1", 0, "ubdcc-restapi", [], False)]
    near, far = cluster.nodes("near", "far", exchange=options(), compat=compat)
    own = near.hold("BTCUSDT")
    far.hold("BTCUSDT")
    near.knows("BTCUSDT", far)
    over, levels = threading.Event(), json.loads(snapshot())

    def flicker() -> None:
        last_id = 100
        while not over.is_set():
            last_id += 2
            own.apply(diff("BTCUSDT", last_id, last_id, []))  # the one before is missing
            own.load_snapshot(json.dumps(levels | {"lastUpdateId": last_id}), limit=100)

    paths = [PATH, f"{PATH}/best", f"/{EXCHANGE}/api/v3/depth?symbol=BTCUSDT&limit=5"]
    (old,) = near.native.compat_ports
    with ThreadPoolExecutor(1) as pool:
        flickering = pool.submit(flicker)
        try:
            for _ in range(150):
                assert [answer.status for answer in map(near.ask, paths)] == [200] * 3
                answer: Any = _Port(old).ask(f"/get_bids?exchange={EXCHANGE}&market=BTCUSDT").json
                assert answer["result"] == "OK", answer
        finally:
            over.set()
        flickering.result()
    assert 0 < near.counts()["forwarded"] < 600, "both answer"


def test_without_a_current_replica_the_reader_learns_why(cluster: Cluster) -> None:
    near, one, two = cluster.nodes("near", "one", "two")
    lose(one.hold("BTCUSDT"))  # and two does not hold it
    near.knows("BTCUSDT", two, one)
    answer = near.ask(PATH)
    assert told(answer) == (425, "one"), "what says most"
    assert answer.headers["retry-after"] == "1"
    served = near.ask(f"{PATH}?on_stale=serve")
    assert (told(served), served.json["status"]) == ((200, "one"), "buffering")
    assert near.ask(f"{PATH}?on_stale=wait&wait_s=0.01").status == 425


def test_an_own_stale_replica_is_served_where_none_is_current(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    for node in (near, far):
        lose(node.hold("BTCUSDT"))
    near.knows("BTCUSDT", far)
    assert told(near.ask(f"{PATH}?on_stale=serve")) == (200, "near")
    assert told(near.ask(PATH)) == (425, "near")


# --- holders that do not answer ---------------------------------------------------------------


def test_a_frozen_holder_delays_a_read_by_a_moment(cluster: Cluster) -> None:
    """The frozen one is given up without an answer: nobody waits for its end."""
    near, far = cluster.nodes("near", "far")
    far.hold("BTCUSDT")
    near.native.set_holders(EXCHANGE, "BTCUSDT", [cluster.silent("frozen"), far.holder])
    assert told(near.ask(PATH)) == (200, "far")
    assert near.counts() == {"node": "near", "forwarded": 1, "hedged": 1, "failed": 0}


@pytest.mark.parametrize("path", [PATH, "/v1/books?symbols=BTCUSDT"])
def test_a_read_of_a_frozen_holder_goes_to_one_that_is_named_meanwhile(cluster: Cluster, path: str) -> None:
    near, far = cluster.nodes("near", "far")
    frozen, accepted = cluster.frozen("frozen")
    near.native.set_holders(EXCHANGE, "BTCUSDT", [frozen])
    far.hold("BTCUSDT")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(near.ask, path)
        accepted()
        near.native.set_holders(EXCHANGE, "BTCUSDT", [far.holder, frozen])
        answer = reading.result(DEADLINE_S)
    (found,) = answer.json.get("books", [answer.json])
    assert (answer.status, found["node"]) == (200, "far")
    assert near.counts()["failed"] == 0, "the frozen one was not waited for"


def test_a_holder_that_refused_is_asked_again_once_it_has_the_book(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    frozen, accepted = cluster.frozen("frozen")
    lose(far.hold("BTCUSDT"))
    near.native.set_holders(EXCHANGE, "BTCUSDT", [far.holder, frozen])
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(near.ask, PATH)
        accepted()  # the first one has refused
        far.native.remove(EXCHANGE, "BTCUSDT")
        far.hold("BTCUSDT")
        near.native.set_holders(EXCHANGE, "BTCUSDT", [far.holder, frozen])
        assert told(reading.result(DEADLINE_S)) == (200, "far")


def test_a_dead_holder_is_passed_over(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    far.hold("BTCUSDT")
    dead = cluster.dead("dead")
    near.native.set_holders(EXCHANGE, "BTCUSDT", [dead, far.holder])
    near.native.set_holders(EXCHANGE, "ETHUSDT", [dead])
    assert told(near.ask(PATH)) == (200, "far")
    answer = near.ask("/v1/books/binance.com/ETHUSDT")
    assert (answer.status, answer.error["code"]) == (503, "no_holder_answers")
    assert (answer.error["holders"], answer.headers["retry-after"]) == (["dead"], "1")
    words = "no node that holds ETHUSDT on binance.com answers: "
    assert answer.error["message"] == words + "node dead refuses connections: its process may have ended"


def test_a_holder_that_restarted_is_asked_on_a_new_connection(cluster: Cluster) -> None:
    """The kept one is closed: no reader sees that."""
    near, far = cluster.nodes("near", "far")
    far.hold("BTCUSDT")
    near.knows("BTCUSDT", far)
    assert told(near.ask(PATH)) == (200, "far")
    far.native.drain(0)
    again = cluster.node("far", port=far.port)
    again.hold("BTCUSDT")
    assert told(near.ask(PATH)) == (200, "far")
    assert near.counts()["failed"] == 0


# --- many books -------------------------------------------------------------------------------


@pytest.fixture
def spread(cluster: Cluster) -> tuple[Node, Node, Node]:
    """Books on three nodes; `near` is asked. C is on both others, but lost on the first; D is lost."""
    near, one, two = cluster.nodes("near", "one", "two")
    near.hold("AUSDT")
    one.hold("BUSDT")
    lose(one.hold("CUSDT"))
    two.hold("CUSDT")
    lose(two.hold("DUSDT"))
    two.hold("EUSDT")
    for symbol, holders in {"B": [one], "C": [one, two], "D": [two], "E": [two], "F": [two]}.items():
        near.knows(f"{symbol}USDT", *holders)
    return near, one, two


def test_many_books_come_in_the_order_of_the_request(spread: tuple[Node, Node, Node]) -> None:
    near, *_ = spread
    symbols = "EUSDT,XUSDT,BUSDT,binance.com/ausdt,DUSDT,CUSDT,FUSDT,BUSDT"
    answer = near.ask(f"/v1/books?symbols={symbols}&levels=2")
    assert (answer.status, list(answer.json)) == (200, ["schema", "type", "books", "missing"])
    books = answer.json["books"]
    assert [each["symbol"][0] for each in books] == ["E", "B", "A", "C"]
    assert [each["node"] for each in books] == ["two", "one", "near", "two"]
    assert all(len(each["bids"]) == 2 and each["status"] == "synced" for each in books)
    missing = {each["book"]: each["error"]["code"] for each in answer.json["missing"]}
    assert missing == {
        "XUSDT": "unknown_book",
        "binance.com/DUSDT": "not_synced",
        "binance.com/FUSDT": "unknown_book",
    }
    served = near.ask(f"/v1/books?symbols={symbols}&on_stale=serve").json
    assert [each["symbol"][0] for each in served["books"]] == ["E", "B", "A", "D", "C"]
    assert [each["status"] for each in served["books"]][3:] == ["buffering", "synced"]


def test_a_book_that_moves_while_other_nodes_are_asked_is_not_missing(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    moves = near.hold("AUSDT")
    far.hold("BUSDT")
    near.knows("AUSDT", far)
    with socket.create_server(("127.0.0.1", 0)) as slow:

        def lose_when_asked() -> None:
            connection, _ = slow.accept()
            with connection:
                lose(moves)
                was_answered.wait(DEADLINE_S)

        was_answered, asked = threading.Event(), threading.Thread(target=lose_when_asked)
        asked.start()
        address = f"127.0.0.1:{slow.getsockname()[1]}"
        near.native.set_holders(EXCHANGE, "BUSDT", [("slow", address), far.holder])
        answer = near.ask("/v1/books?symbols=AUSDT,BUSDT").json
        was_answered.set()
        asked.join()
    assert [each["symbol"] for each in answer["books"]] == ["AUSDT", "BUSDT"]
    assert answer["missing"] == []


def test_many_books_as_arrow_are_those_of_json(spread: tuple[Node, Node, Node]) -> None:
    ipc = pytest.importorskip("pyarrow.ipc")
    near, *_ = spread
    symbols = "EUSDT,XUSDT,AUSDT,BUSDT"
    books = near.ask(f"/v1/books?symbols={symbols}&levels=3").json["books"]
    for exact in ("true", "false"):
        accept = {"Accept": "application/vnd.apache.arrow.stream"}
        answer = near.ask(f"/v1/books?symbols={symbols}&levels=3&exact={exact}", headers=accept)
        table = ipc.open_stream(io.BytesIO(answer.body)).read_all()
        rows = table.to_pylist()
        assert [row["symbol"] for row in rows] == [
            each for each in ("EUSDT", "AUSDT", "BUSDT") for _ in range(6)
        ]
        prices = [float(level[0]) for each in books for side in ("bids", "asks") for level in each[side]]
        assert [float(row["price"]) for row in rows] == prices
        assert json.loads(table.schema.metadata[b"depthcache.missing"])[0]["book"] == "XUSDT"


def test_a_pattern_means_the_books_of_all_nodes(cluster: Cluster) -> None:
    """So many and so long that their names are more than one request takes."""
    near, far = cluster.nodes("near", "far")
    symbols = [f"{number:03}{'X' * 36}" for number in range(300)]
    for number, symbol in enumerate(symbols):
        if number % 10 == 0:
            near.hold(symbol)
        else:
            far.hold(symbol)
            near.knows(symbol, far)
    answer = near.ask("/v1/books?symbols=*&levels=1").json
    assert [each["symbol"] for each in answer["books"]] == symbols
    assert [each["node"] for each in answer["books"][:3]] == ["near", "far", "far"]
    assert answer["missing"] == []
    assert far.reads("list_books") == 2


def test_a_symbol_of_several_exchanges_is_ambiguous_wherever_it_is_held(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    near.hold("BTCUSDT")
    far.hold("BTCUSDT", "binance.us")
    near.knows("BTCUSDT", far, exchange="binance.us")
    (missing,) = near.ask("/v1/books?symbols=BTCUSDT").json["missing"]
    assert missing["error"]["code"] == "ambiguous_symbol"
    assert missing["error"]["near"] == ["binance.com/BTCUSDT", "binance.us/BTCUSDT"]
    named = near.ask("/v1/books?symbols=binance.us/BTCUSDT,binance.com/BTCUSDT").json["books"]
    assert [each["node"] for each in named] == ["far", "near"]


def test_many_books_survive_holders_that_do_not_answer(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    far.hold("BUSDT")
    frozen, dead = cluster.silent("frozen"), cluster.dead("dead")
    near.native.set_holders(EXCHANGE, "BUSDT", [frozen, dead, far.holder])
    near.native.set_holders(EXCHANGE, "CUSDT", [dead])
    answer = near.ask("/v1/books?symbols=CUSDT,BUSDT").json
    assert names(answer["books"]) == ["binance.com/BUSDT"]
    assert [each["error"]["code"] for each in answer["missing"]] == ["no_holder_answers"]


# --- the list of books ------------------------------------------------------------------------


def test_the_list_has_the_books_of_all_nodes(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far")
    near.hold("BUSDT")
    near.knows("AUSDT", far)
    near.knows("BUSDT", far)
    near.knows("CUSDT", far, near, status="bridging", reason="taken over")
    whole = near.ask("/v1/books").json["books"]
    assert [each["symbol"] for each in whole] == ["AUSDT", "BUSDT", "CUSDT"]
    assert set(whole[0]) == set(whole[1]) | {"holders"}
    assert (whole[2]["status"], whole[2]["reason"]) == ("bridging", "taken over")
    assert whole[2]["holders"] == ["far", "near"]
    pages: list[str] = []
    query = ""
    while query is not None:
        page = near.ask(f"/v1/books?limit=1{query}").json
        pages += [each["symbol"] for each in page["books"]]
        query = f"&cursor={page['next']}" if page["next"] else None
    assert pages == ["AUSDT", "BUSDT", "CUSDT"]
    chosen = near.ask("/v1/books?status=bridging&symbol=c*&exchange=binance.com").json["books"]
    assert [each["symbol"] for each in chosen] == ["CUSDT"]
    near.native.set_holders(EXCHANGE, "AUSDT", [])
    assert len(near.ask("/v1/books").json["books"]) == 2


# --- other protocols --------------------------------------------------------------------------


def test_a_depth_snapshot_of_the_exchange_comes_from_a_holder(cluster: Cluster) -> None:
    near, one, two = cluster.nodes("near", "one", "two", exchange=options())
    two.hold("BTCUSDT")
    near.knows("BTCUSDT", one, two)
    path = "/binance.com/api/v3/depth?symbol=BTCUSDT&limit="
    for limit in (5, 100):
        answer, same = near.ask(path + str(limit)), two.ask(path + str(limit))
        assert told(answer) == (200, "two")
        assert answer.body == same.body
        assert answer.headers.get("x-depthcache-limit") == same.headers.get("x-depthcache-limit")
        assert answer.headers["x-mbx-used-weight-1m"] == "1"
    assert near.ask("/binance.com/api/v3/depth?symbol=NOUSDT").json["code"] == -1121
    lose(two.books["BTCUSDT"])
    assert (near.ask(f"{path}5").status, near.ask(f"{path}5").json["code"]) == (503, -1001)


def test_a_depth_snapshot_of_which_this_node_can_prove_nothing_comes_from_a_holder(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far", exchange=options())
    own = near.hold("BTCUSDT")
    far.hold("BTCUSDT")
    near.knows("BTCUSDT", far)
    path = "/binance.com/api/v3/depth?symbol=BTCUSDT&limit=5"
    assert told(near.ask(path)) == (200, "near")
    own.load_snapshot(b'{"lastUpdateId":100,"bids":[["9.00","1.00"]],"asks":[["11.00","1.00"]]}', limit=1)
    own.apply(diff("BTCUSDT", 101, 101, [["9.00", "0"]], [["11.00", "0"]]))
    assert (own.status, own.coverage) == ("synced", (0, 0))
    assert told(near.ask(path)) == (200, "far")


def test_exchange_info_is_asked_for_the_books_of_all_nodes(cluster: Cluster) -> None:
    near, far = cluster.nodes("near", "far", exchange=options())
    near.hold("BTCUSDT")
    near.knows("ETHUSDT", far)
    near.knows("ETHUSD", far, exchange="binance.us")
    rows = [{"symbol": "BTCUSDT"}, {"symbol": "ETHUSDT"}]
    asked: list[Any] = []

    def answer() -> None:
        while not near.native.is_over:
            if (request := near.native.take_request(0.05)) is not None:
                asked.append(request[1:])
                near.native.respond(request[0], 200, json.dumps({"symbols": rows}).encode())

    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        pool.submit(answer)
        stack.callback(near.native.drain, 0)
        path = "/binance.com/api/v3/exchangeInfo"
        assert near.ask(f"{path}?symbol=ETHUSDT").json == {"symbols": [{"symbol": "ETHUSDT"}]}
        near.knows("ETHUSDT", far, status="buffering")
        near.hold("ETHUSDT")
        assert near.ask(path).json == {"symbols": rows}
        assert asked == [("exchange_info", EXCHANGE, "", b'["BTCUSDT","ETHUSDT"]')], "a move fetches nothing"
        near.knows("BNBUSDT", far)
        near.ask(path)
        assert json.loads(asked[1][3]) == ["BNBUSDT", "BTCUSDT", "ETHUSDT"]


def test_old_clients_read_all_books_at_once(cluster: Cluster) -> None:
    compat = [("127.0.0.1", 0, "ubdcc-restapi", [], False)]
    near, far = cluster.nodes("near", "far", compat=compat)
    near.hold("BTCUSDT")
    far.hold("ETHUSDT")
    lose(far.hold("BNBUSDT"))
    for symbol in ("ETHUSDT", "BNBUSDT"):
        near.knows(symbol, far)
    (old,) = near.native.compat_ports
    answer: Any = _Port(old).ask("/get_all_depthcaches?levels=2").json
    assert (answer["event"], answer["result"]) == ("GET_ALL_DEPTHCACHES", "OK")
    assert list(answer["depthcaches"]) == [EXCHANGE]
    assert sorted(answer["depthcaches"][EXCHANGE]) == ["BTCUSDT", "ETHUSDT"]
    for symbol, book in answer["depthcaches"][EXCHANGE].items():
        query = f"exchange={EXCHANGE}&market={symbol}&limit_count=2"
        for side in ("asks", "bids"):
            same = _Port(old).ask(f"/get_{side}?{query}").json
            assert (book[side], book["last_update_id"]) == (same[side], same["last_update_id"])
        assert book.keys() == {"asks", "bids", "event_time_us", "last_update_id", "received_time_us"}
    [missing] = answer["missing"]
    assert (missing["exchange"], missing["market"], missing["error_id"]) == (EXCHANGE, "BNBUSDT", "#6000")
    assert len(_Port(old).ask("/get_all_depthcaches").json["depthcaches"][EXCHANGE]["BTCUSDT"]["asks"]) == 20
    for levels in ("0", "1001", "x", "-1"):
        assert _Port(old).ask(f"/get_all_depthcaches?levels={levels}").json["error_id"] == "#1025"
    assert "debug" in _Port(old).ask("/get_all_depthcaches?debug=true").json


def test_old_clients_read_the_books_of_all_nodes(cluster: Cluster) -> None:
    compat = [("127.0.0.1", 0, "ubdcc-restapi", [], False)]
    near, one, two = cluster.nodes("near", "one", "two", compat=compat)
    lose(one.hold("BTCUSDT"))
    two.hold("BTCUSDT")
    near.knows("BTCUSDT", one, two)
    (old,) = near.native.compat_ports
    (same,) = two.native.compat_ports
    asked: Any = lambda port, path: Node.ask(_Port(port), path).json  # noqa: E731
    query = "exchange=binance.com&market=BTCUSDT"
    for path in (
        f"/get_asks?{query}&limit_count=3",
        f"/get_bids?{query}",
        f"/get_bids?{query}&threshold_volume=100",
    ):
        answer = asked(old, path)
        assert answer == asked(same, path)
        assert (answer["result"], answer["last_update_id"]) == ("OK", 100)
    assert "debug" in asked(old, f"/get_asks?{query}&debug=true")
    near.hold("ETHUSDT")
    listed = asked(old, "/get_depthcache_list")["depthcache_list"]["binance.com"]
    copies = {symbol: list(facts["DISTRIBUTION"]) for symbol, facts in listed.items()}
    assert copies == {"BTCUSDT": ["one", "two"], "ETHUSDT": ["near"]}
    assert listed["BTCUSDT"].keys() == listed["ETHUSDT"].keys()
    info = asked(old, f"/get_depthcache_info?{query}")["depthcache_info"]
    assert info == listed["BTCUSDT"]
    near.knows("BTCUSDT", one, two, status="buffering")
    info = asked(old, f"/get_depthcache_info?{query}")["depthcache_info"]
    assert {each["STATUS"] for each in info["DISTRIBUTION"].values()} == {"out_of_sync"}
    for wrong in ("limit_count=x", "threshold_volume=nan"):
        assert asked(old, f"/get_asks?{query}&{wrong}") == asked(same, f"/get_asks?{query}&{wrong}")
        assert asked(old, f"/get_asks?{query}&{wrong}")["error_id"] == "#1025"
    lose(two.books["BTCUSDT"])
    assert asked(old, f"/get_asks?{query}")["error_id"] == "#6000"
    assert asked(old, "/get_asks?exchange=binance.com&market=NO")["error_id"] == "#7000"
    assert near.ask("/compat/get_asks").status == 404, "it is for nodes"


class _Port(Node):
    def __init__(self, port: int) -> None:
        self.port = port


def test_what_a_server_alone_answers_names_no_node() -> None:
    from tests.server.asking import ask, serving

    with serving() as native:
        assert "x-depthcache-node" not in ask(native.port, "/v1/stats", token=READ).headers
        for call in (
            lambda: native.set_holders(EXCHANGE, "BTCUSDT", []),
            lambda: native.set_denied([]),
            lambda: native.replace_certificate("", "", ""),
        ):
            with pytest.raises(ValueError, match=r"no node|without TLS"):
                call()
