"""The listener for clients of the old cluster: answers, refusals, and the defects (C1 to C18) it avoids."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from depthcache import Book, Settings, blocking, server, simulator
from depthcache.compat.ubldc.cluster import Cluster
from depthcache.errors import InvalidArgument
from depthcache.server import ServerConfig
from tests.server.asking import DEADLINE_S, Answer, ask, book, diff, serving
from tests.server.exchanging import KEY, options

SPOT = "binance.com"
NAMED = {"exchange": SPOT, "market": "BTCUSDT"}
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Safari/605.1.15"}
JSON = {"Content-Type": "application/json"}


def old(port: int, path: str, posted: Any = None, **given: Any) -> Any:
    """The answer of a path, which always has status 200."""
    query = f"?{urlencode(given)}" if given else ""
    method, body = ("GET", None) if posted is None else ("POST", json.dumps(posted).encode())
    headers = {} if posted is None else JSON
    answer = ask(port, f"/{path}{query}", token=None, method=method, body=body, headers=headers)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["event"] == path.upper()
    return answer.json


def test_the_protocol_of_the_exchange_is_not_spoken_there() -> None:
    path = f"/{SPOT}/api/v3/depth?symbol=BTCUSDT&limit=5"
    listener = ("127.0.0.1", 0, "ubdcc-restapi", ["10.0.0.0/8"], False)
    with serving(compat=[listener], exchange=options()) as native:
        native.add(SPOT, "BTCUSDT", book())
        assert ask(native.port, path, token=None).status == 200
        for begin in ("", f"/k/{KEY}"):
            answer = ask(native.compat_ports[0], begin + path, token=None)
            assert answer.status == 404
            assert KEY.encode() not in answer.body


@pytest.fixture(scope="module")
def read_only() -> Iterator[Any]:
    listener = ("127.0.0.1", 0, "ubdcc-restapi", ["10.0.0.0/8"], False)
    with serving(compat=[listener], delegation_s=0.01) as native:
        native.add(SPOT, "BTCUSDT", book())
        native.add(SPOT, "EMPTYUSDT", Book(SPOT, "EMPTYUSDT"))
        native.add("binance.com-coin_futures", "BTCUSD_PERP", Book("binance.com-coin_futures", "BTCUSD_PERP"))
        yield native


@pytest.fixture(scope="module")
def port(read_only: Any) -> int:
    return int(read_only.compat_ports[0])


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Any]]:
    """A listener that manages, and the client whose books they are."""
    folder = tmp_path_factory.mktemp("compat")
    config = ServerConfig(port=0, data_dir=folder, compat_listen="localhost:0", compat_manage=True)
    with (
        simulator.serve(seed=3) as exchange,
        blocking.connect(SPOT, ["BTCUSDT"], settings=exchange.settings) as books,
        server.serve(books, config) as running,
    ):
        books.wait_synced()
        yield int(running.compat_urls[0].rpartition(":")[2]), books


# --- reads -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "side"), [("get_asks", "asks"), ("get_bids", "bids")])
def test_a_side_has_its_levels_as_floats_best_first(port: int, path: str, side: str) -> None:
    held = [list(level) for level in getattr(book(), side)]
    assert old(port, path, **NAMED)[side] == held
    assert old(port, path, **NAMED, limit_count=3)[side] == held[:3]
    assert old(port, path, **NAMED, limit_count=-48)[side] == held[:-48]
    assert old(port, path, **NAMED, limit_count=0)[side] == []


def test_a_threshold_keeps_levels_up_to_its_value(port: int) -> None:
    for threshold in (0, 2_300.5, "5e3", 12_345.678, 1e30):
        expected = book().asks.up_to_value(min(float(threshold), 1e15))
        found = old(port, "get_asks", **NAMED, threshold_volume=threshold)["asks"]
        assert found == [list(level) for level in expected]
    both = old(port, "get_asks", **NAMED, threshold_volume=1e6, limit_count=2)
    assert len(both["asks"]) == 2


def test_c6_a_book_is_running_only_while_it_is_synced(port: int) -> None:
    listed = old(port, "get_depthcache_list")["depthcache_list"]
    states = {
        market: [copy["STATUS"] for copy in cache["DISTRIBUTION"].values()]
        for market, cache in listed[SPOT].items()
    }
    assert states == {"BTCUSDT": ["running"], "EMPTYUSDT": ["starting"]}
    with serving(compat=[("127.0.0.1", 0, "ubdcc-restapi", [], False)]) as native:
        lost = book()
        lost.apply(diff("BTCUSDT", 200, 201, []))  # a gap
        native.add(SPOT, "BTCUSDT", lost)
        info = old(native.compat_ports[0], "get_depthcache_info", **NAMED)["depthcache_info"]
        assert [copy["STATUS"] for copy in info["DISTRIBUTION"].values()] == ["out_of_sync"]


def test_c7_a_book_that_is_not_synced_says_so_with_its_own_error(port: int) -> None:
    answer = old(port, "get_asks", exchange=SPOT, market="EMPTYUSDT")
    assert (answer["result"], answer["error_id"]) == ("ERROR", "#6000")
    assert "is out of sync: empty: " in answer["message"]


def test_c11_an_answer_names_its_update_and_its_times(port: int) -> None:
    for path in ("get_asks", "get_bids"):
        answer = old(port, path, **NAMED)
        assert answer["last_update_id"] == 100
        assert answer.keys() >= {"event_time_us", "received_time_us"}


@pytest.mark.parametrize(
    ("query", "error_id", "words"),
    [
        ({}, "#1025", "Missing required parameter: exchange, market"),
        ({"market": "BTCUSDT"}, "#1025", "Missing"),
        ({"exchange": SPOT, "market": ""}, "#1025", "Missing"),
        ({"exchange": SPOT, "market": "BTCUSD"}, "#7000", "near it: binance.com/BTCUSDT"),
        ({**NAMED, "limit_count": "abc"}, "#1025", 'limit_count is "abc"'),
        ({**NAMED, "threshold_volume": "nan"}, "#1025", 'threshold_volume is "nan"'),
        (
            {"exchange": "binance.com-coin_futures", "market": "BTCUSD_PERP", "threshold_volume": 5},
            "#1025",
            "contracts",
        ),
    ],
)
def test_c14_what_cannot_work_is_named(port: int, query: dict[str, Any], error_id: str, words: str) -> None:
    answer = old(port, "get_asks", **query)
    assert (answer["result"], answer["error_id"]) == ("ERROR", error_id)
    assert words in answer["message"]


def test_c14_markets_are_found_in_any_case_and_script(port: int, read_only: Any) -> None:
    assert old(port, "get_bids", exchange=SPOT, market="btcusdt")["result"] == "OK"
    read_only.add(SPOT, "币安人生USDT", book("币安人生USDT"))
    answer = ask(port, f"/get_bids?exchange={SPOT}&market={quote('币安人生usdt')}", token=None)
    assert answer.json["result"] == "OK"
    assert read_only.remove(SPOT, "币安人生USDT")


def test_c16_debug_names_this_process(port: int) -> None:
    path = f"/get_asks?{urlencode(NAMED)}&debug=true"
    debug = ask(port, path, token=None).json["debug"]
    assert debug["url"] == f"http://127.0.0.1:{port}{path}"
    assert (debug["request_time"], debug["transmission_time"]) == (0, 0)
    assert 0 < debug["cluster_execution_time"] < DEADLINE_S
    [[name, uid]] = debug["used_pods"]
    assert name == "depthcache"
    assert uid in old(port, "get_cluster_info")["db"]["pods"]


def test_the_shapes_are_those_of_the_old_cluster(port: int) -> None:
    info = old(port, "get_depthcache_info", **NAMED)["depthcache_info"]
    assert info.keys() == {
        "CREATED_TIME",
        "DESIRED_QUANTITY",
        "DISTRIBUTION",
        "DISTRIBUTION_CHANGES",
        "EXCHANGE",
        "LAST_DISTRIBUTION_CHANGE",
        "MARKET",
        "REFRESH_INTERVAL",
        "UPDATE_INTERVAL",
    }
    assert (info["EXCHANGE"], info["MARKET"], info["DESIRED_QUANTITY"]) == (SPOT, "BTCUSDT", 1)
    [copy] = info["DISTRIBUTION"].values()
    assert copy.keys() == {
        "CREATED_TIME",
        "LAST_RESTART_TIME",
        "POD_UID",
        "RESTARTS",
        "SCHEDULED_START_TIME",
        "STATUS",
    }
    cluster = old(port, "get_cluster_info")
    assert cluster["version"] == "0.9.1"
    assert cluster["db"].keys() == {"credentials", "depthcaches", "nodes", "pods", "timestamp"}
    assert cluster["db"]["depthcaches"] == old(port, "get_depthcache_list")["depthcache_list"]
    roles = {pod["ROLE"] for pod in cluster["db"]["pods"].values()}
    assert roles == {"ubdcc-dcn", "ubdcc-restapi"}
    test = old(port, "test")
    assert (test["app"]["name"], test["result"]) == ("ubdcc-restapi", "OK")
    missing = old(port, "get_depthcache_info", exchange=SPOT)
    assert missing["error_id"] == "#1006"


def test_the_name_is_that_which_the_release_looks_for() -> None:
    listeners = [("127.0.0.1", 0, name, [], False) for name in ("ubdcc-restapi", "lucit-ubdcc-restapi")]
    with serving(compat=listeners) as native:
        names = [old(port, "test")["app"]["name"] for port in native.compat_ports]
    assert names == ["ubdcc-restapi", "lucit-ubdcc-restapi"]


# --- what is not there -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/ubdcc_mgmt_backup",
        "/ubdcc_assign_credentials?uid=x",
        "/shutdown",
        "/docs",
        "/openapi.json",
        "/v1/books",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_c4_c5_nothing_hands_out_or_takes_a_database(port: int, path: str, method: str) -> None:
    answer = ask(port, path, method=method, token=None)
    assert (answer.status, answer.error["code"]) == (404, "unknown_path")


def test_the_tokens_of_the_server_mean_nothing_there_and_its_paths_are_elsewhere(read_only: Any) -> None:
    assert ask(read_only.port, f"/get_asks?{urlencode(NAMED)}").status == 404
    assert ask(read_only.compat_ports[0], "/healthz").status == 404


MANAGING = [
    "create_depthcache",
    "create_depthcaches",
    "stop_depthcache",
    "add_credentials",
    "remove_credentials",
    "get_credentials_list",
]


@pytest.mark.parametrize("path", MANAGING)
def test_a_listener_for_reads_begins_and_ends_nothing(port: int, read_only: Any, path: str) -> None:
    answer = old(port, path, posted={**NAMED, "markets": ["A"], "id": "x"})
    assert (answer["result"], answer["error_id"]) == ("ERROR", "#1014")
    assert "--compat-manage" in answer["message"]
    assert read_only.take_request(0) is None


# --- whom it refuses -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.nip.io"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
@pytest.mark.parametrize("path", ["get_asks", "create_depthcache"])
def test_what_a_page_makes_a_browser_send_is_refused(
    managed: tuple[int, Any], path: str, headers: dict[str, str]
) -> None:
    port, books = managed
    answer = ask(port, f"/{path}?exchange={SPOT}&market=ETHUSDT", token=None, headers=headers)
    assert answer.status == 403
    assert not any(name.startswith("access-control") for name in answer.headers)
    assert "ETHUSDT" not in books


@pytest.mark.parametrize(
    "headers",
    [
        BROWSER,
        BROWSER | {"Referer": "http://evil.example/"},
        {"Referer": "http://127.0.0.1/"},
        BROWSER | {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
)
def test_neither_an_image_tag_nor_a_link_begins_a_book(
    managed: tuple[int, Any], headers: dict[str, str]
) -> None:
    port, books = managed
    path = f"/create_depthcache?exchange={SPOT}&market=ETHUSDT"
    answer = ask(port, path, token=None, headers=headers)
    assert (answer.status, answer.error["code"]) == (403, "foreign_site")
    assert "ETHUSDT" not in books
    assert ask(port, f"/get_asks?{urlencode(NAMED)}", token=None, headers=headers).status == 200


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_who_comes_through_a_proxy_of_this_machine_begins_no_book(
    managed: tuple[int, Any], name: str
) -> None:
    port, books = managed
    headers = {name: "192.0.2.1"}
    path = f"/create_depthcache?exchange={SPOT}&market=ETHUSDT"
    answer = ask(port, path, token=None, headers=headers)
    assert (answer.status, answer.error["code"]) == (403, "foreign_address")
    assert "ETHUSDT" not in books
    assert ask(port, f"/get_asks?{urlencode(NAMED)}", token=None, headers=headers).status == 200


def test_a_form_of_a_page_begins_no_book(managed: tuple[int, Any]) -> None:
    port, books = managed
    body = json.dumps({"exchange": SPOT, "market": "ETHUSDT"}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = ask(
            port,
            "/create_depthcache",
            method="POST",
            token=None,
            body=body,
            headers={"Content-Type": kind},
        )
        assert answer.json["error_id"] == "#1014"
    assert "ETHUSDT" not in books


def test_only_named_networks_and_this_machine_connect() -> None:
    """The machine's own addresses beside loopback stand for other hosts."""
    try:
        own = next(
            info[4][0]
            for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
            if not info[4][0].startswith("127.")
        )
    except (OSError, StopIteration):
        pytest.skip("this machine has no other address")
    for networks, is_taken in (([], False), ([f"{own}/32"], True), (["192.0.2.0/24"], False)):
        with serving(compat=[("0.0.0.0", 0, "ubdcc-restapi", networks, False)]) as native:  # noqa: S104
            assert old(native.compat_ports[0], "test")["result"] == "OK"
            head = f"GET /test HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\n\r\n".encode()
            found = b""
            try:
                with socket.create_connection((own, native.compat_ports[0]), timeout=DEADLINE_S) as stranger:
                    stranger.sendall(head)
                    while part := stranger.recv(1 << 16):
                        found += part
            except ConnectionError:
                pass
            assert (b"ubdcc-restapi" in found) == is_taken
            refused = ask(native.port, "/v1/stats").json["connections"]["refused"]["network"]
            assert refused == (not is_taken)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"compat_listen": "127.0.0.1"}, "compat_listen"),
        ({"compat_listen": "127.0.0.1:99999"}, "compat_listen"),
        ({"compat_listen": "books.example:1"}, "compat_listen"),
        ({"compat_listen_2_8": "127.0.0.1:"}, "compat_listen_2_8"),
        ({"compat_listen": "192.0.2.1:42080"}, "compat_listen"),
        (
            {"compat_listen": "0.0.0.0:1", "compat_allow": ("10.0.0.0/8",), "compat_manage": True},
            "compat_listen",
        ),
        ({"compat_listen": "127.0.0.1:1", "compat_allow": ("10.0.0.1/8",)}, "compat_allow"),
        ({"compat_listen": "127.0.0.1:1", "compat_allow": "10.0.0.0/8"}, "compat_allow"),
        ({"compat_allow": ("10.0.0.0/8",)}, "compat_allow"),
        ({"compat_manage": True}, "compat_manage"),
        ({"compat_manage": "yes", "compat_listen": "127.0.0.1:1"}, "compat_manage"),
    ],
)
def test_a_listener_that_is_not_safe_is_refused_by_name(given: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        ServerConfig(**given)
    assert caught.value.name == name


# --- begin and end books ---------------------------------------------------------------------


@pytest.fixture
def fresh(managed: tuple[int, Any]) -> Iterator[tuple[int, Any]]:
    yield managed
    for held in [held for held in managed[1] if held.symbol != "BTCUSDT"]:
        managed[1].remove(held.symbol, held.exchange)


@pytest.mark.parametrize("is_posted", [True, False])
def test_c1_a_book_is_begun_by_get_and_by_post(fresh: tuple[int, Any], is_posted: bool) -> None:
    port, books = fresh
    given = {"exchange": SPOT, "market": "ethusdt", "desired_quantity": 1}
    posted = {"posted": given | {"update_interval": None, "debug": "true"}} if is_posted else given
    assert old(port, "create_depthcache", **posted) == {"event": "CREATE_DEPTHCACHE", "result": "OK"}
    assert "ETHUSDT" in books
    again = old(port, "create_depthcache", **posted)
    assert again["error_id"] == "#1024"


def test_c2_an_exchange_that_does_not_exist_is_refused_and_kills_nothing(fresh: tuple[int, Any]) -> None:
    port, books = fresh
    answer = old(port, "create_depthcache", exchange="typo", market="BTCUSDT")
    assert (answer["error_id"], answer["message"][:16]) == ("#1017", "unknown exchange")
    assert old(port, "create_depthcaches", exchange=SPOT, markets="B!,ETHUSDT")["failed"] == ["B!"]
    assert "ETHUSDT" in books
    assert old(port, "get_bids", **NAMED)["result"] == "OK"


def test_c9_a_book_that_is_ended_and_begun_at_once_comes_back(fresh: tuple[int, Any]) -> None:
    port, books = fresh
    for _ in range(3):
        assert old(port, "create_depthcache", exchange=SPOT, market="ETHUSDT")["result"] == "OK"
        assert old(port, "stop_depthcache", exchange=SPOT, market="ETHUSDT")["result"] == "OK"
    old(port, "create_depthcache", exchange=SPOT, market="ETHUSDT")
    books.wait_synced(books=["ETHUSDT"])
    assert old(port, "get_bids", exchange=SPOT, market="ETHUSDT")["result"] == "OK"


def test_c10_books_that_are_ended_are_gone(fresh: tuple[int, Any]) -> None:
    port, books = fresh
    old(port, "create_depthcaches", posted={"exchange": SPOT, "markets": ["ETHUSDT", "BNBUSDT"]})
    for market in ("ETHUSDT", "BNBUSDT"):
        assert old(port, "stop_depthcache", exchange=SPOT, market=market)["result"] == "OK"
        assert old(port, "get_bids", exchange=SPOT, market=market)["error_id"] == "#7000"
    assert [held.symbol for held in books] == ["BTCUSDT"]


def test_c12_a_begin_that_is_answered_is_done(fresh: tuple[int, Any]) -> None:
    port, _ = fresh
    old(port, "create_depthcache", exchange=SPOT, market="ETHUSDT")
    assert "ETHUSDT" in old(port, "get_depthcache_list")["depthcache_list"][SPOT]


def test_c15_more_copies_than_there_are_nodes_are_not_promised(fresh: tuple[int, Any]) -> None:
    port, _ = fresh
    answer = old(port, "create_depthcache", exchange=SPOT, market="ETHUSDT", desired_quantity=3)
    assert answer["message"].startswith("kept once")
    info = old(port, "get_depthcache_info", exchange=SPOT, market="ETHUSDT")["depthcache_info"]
    assert (info["DESIRED_QUANTITY"], len(info["DISTRIBUTION"])) == (1, 1)
    for name, value in (("desired_quantity", "x"), ("update_interval", "0"), ("refresh_interval", "-1")):
        refused = old(port, "create_depthcache", exchange=SPOT, market="BNBUSDT", **{name: value})
        assert refused["error_id"] == "#1017"
        assert name in refused["message"]


def test_an_option_without_effect_is_answered_with_the_reason(fresh: tuple[int, Any]) -> None:
    port, _ = fresh
    for symbol, given, words in (
        ("BNBUSDT", {"update_interval": 1000}, ["update_interval has no effect"]),
        ("ADAUSDT", {"refresh_interval": "3600"}, ["refresh_interval has no effect"]),
        ("XRPUSDT", {"refresh_interval": 0, "desired_quantity": 1, "update_interval": ""}, []),
        (
            "SOLUSDT",
            {"refresh_interval": 60, "desired_quantity": 2, "update_interval": 100},
            3 * [" no effect"],
        ),
    ):
        answer = old(port, "create_depthcache", exchange=SPOT, market=symbol, **given)
        assert answer["result"] == "OK"
        assert answer.get("message", "").count(words[0] if words else ":") == len(words), answer


def test_many_markets_come_as_a_list_as_text_and_as_release_2_8_writes_them(fresh: tuple[int, Any]) -> None:
    port, books = fresh
    encoded = base64.b64encode(json.dumps(["SOLUSDT"]).encode()).decode()
    for given in (
        {"posted": {"exchange": SPOT, "markets": ["ETHUSDT"]}},
        {"posted": json.dumps({"exchange": SPOT, "markets": ["ETHUSDT", "ADAUSDT"]})},
        {"exchange": SPOT, "markets": "BNBUSDT,ETHUSDT"},
        {"exchange": SPOT, "markets": encoded},
    ):
        assert old(port, "create_depthcaches", **given)["result"] == "OK"
    assert {held.symbol for held in books} == {"BTCUSDT", "ETHUSDT", "ADAUSDT", "BNBUSDT", "SOLUSDT"}


@pytest.mark.parametrize(
    ("path", "posted", "error_id"),
    [
        ("create_depthcache", {}, "#1016"),
        ("create_depthcache", {"exchange": SPOT, "market": 5}, "#1016"),
        ("create_depthcache", [], "#1014"),
        ("create_depthcaches", {"exchange": SPOT, "markets": []}, "#1016"),
        ("create_depthcaches", {"exchange": SPOT, "markets": [5]}, "#1016"),
        ("create_depthcaches", {"exchange": SPOT, "markets": {"a": 1}}, "#1016"),
        ("stop_depthcache", {"exchange": SPOT}, "#1019"),
        ("stop_depthcache", {"exchange": SPOT, "market": "NOBODY"}, "#7000"),
        ("add_credentials", {"account_group": SPOT}, "#1030"),
        ("add_credentials", {"account_group": "x", "api_key": "k", "api_secret": "s"}, "#1031"),
        ("remove_credentials", {}, "#1033"),
        ("remove_credentials", {"id": "x"}, "#1034"),
    ],
)
def test_what_cannot_be_done_has_the_error_id_of_the_contract(
    managed: tuple[int, Any], path: str, posted: Any, error_id: str
) -> None:
    assert old(managed[0], path, posted=posted)["error_id"] == error_id


def test_c4_secrets_are_not_kept_and_never_come_back(managed: tuple[int, Any]) -> None:
    port, _ = managed
    key, secret = "KEYabcdefghijklmn", "SECRETabcdefghijklmn"
    added = old(port, "add_credentials", posted={"account_group": SPOT, "api_key": key, "api_secret": secret})
    [held] = old(port, "get_credentials_list")["credentials"]
    assert (held["id"], held["account_group"]) == (added["id"], SPOT)
    assert held["api_key_preview"] == "KEYa**********mn"
    for path in ("get_cluster_info", "test", "get_credentials_list"):
        answer = json.dumps(old(port, path))
        assert key not in answer
        assert secret not in answer
    assert old(port, "remove_credentials", posted={"id": added["id"]})["result"] == "OK"
    assert old(port, "get_credentials_list")["credentials"] == []


def test_a_secret_in_an_address_is_refused(managed: tuple[int, Any]) -> None:
    query = urlencode({"account_group": SPOT, "api_key": "k" * 20, "api_secret": "s" * 20})
    answer: Answer = ask(managed[0], f"/add_credentials?{query}", token=None)
    assert answer.status == 405
    assert b"sss" not in answer.body


def test_c17_other_ways_to_read_are_on_the_same_server(read_only: Any) -> None:
    both = ask(read_only.port, "/v1/books?symbols=BTCUSDT&levels=2").json["books"][0]
    assert (len(both["bids"]), len(both["asks"])) == (2, 2)
    assert both["bids"][0] == ["999.99", "1.12500000"], "every digit"


def test_old_responses_are_counted_by_path(read_only: Any, port: int) -> None:
    old(port, "test")
    responses = ask(read_only.port, "/v1/stats").json["responses"]
    assert responses["compat_test"]["200"] >= 1


@pytest.mark.slow
def test_our_own_client_of_the_old_cluster_manages_and_reads(fresh: tuple[int, Any]) -> None:
    port, books = fresh
    with Cluster("127.0.0.1", port, settings=Settings(proxies=False)) as cluster:
        assert cluster.create_depthcache(SPOT, "ETHUSDT")["result"] == "OK"
        books.wait_synced(books=["ETHUSDT"])
        assert len(cluster.get_bids(SPOT, "ETHUSDT", limit_count=5)["bids"]) == 5
        assert cluster.stop_depthcache(SPOT, "ETHUSDT")["result"] == "OK"


def test_a_wildcard_is_shown_as_an_address_that_can_be_asked(tmp_path: Path) -> None:
    config = ServerConfig(
        port=0, data_dir=tmp_path, compat_listen="0.0.0.0:0", compat_allow=("192.0.2.0/24",)
    )
    with (
        simulator.serve(seed=3) as exchange,
        blocking.connect(SPOT, [], settings=exchange.settings) as books,
        server.serve(books, config) as running,
    ):
        [url] = running.compat_urls
        assert url.startswith("http://127.0.0.1:")
        assert old(int(url.rpartition(":")[2]), "test")["result"] == "OK"
