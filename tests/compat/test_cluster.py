"""The client of a cluster on real sockets, against a server as the documentation describes it."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from depthcache import ConnectionFailed, InvalidArgument, RequestRejected, Settings, UsageError
from depthcache.compat.ubldc import (
    BinanceLocalDepthCacheManager,
    DepthCacheClusterNotReachableError,
)
from depthcache.compat.ubldc.cluster import Cluster
from depthcache.compat.ubldc.cluster_endpoints import ClusterEndpoints
from depthcache.compat.ubldc.cluster_requests import cluster_url
from tests.compat.fake_cluster import HOST, Asked, FakeCluster, serving

pytestmark = pytest.mark.slow

DIRECT = Settings(proxies=False)


@pytest.fixture
def server() -> Iterator[FakeCluster]:
    with serving(FakeCluster()) as server:
        yield server


@pytest.fixture
def cluster(server: FakeCluster) -> Iterator[Cluster]:
    with Cluster(HOST, server.port, settings=DIRECT) as cluster:
        server.asked.clear()
        yield cluster


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listening:
        return int(listening.getsockname()[1])


def test_the_address_is_tried_at_once_and_no_response_is_an_error() -> None:
    port = free_port()
    with pytest.raises(DepthCacheClusterNotReachableError) as caught:
        Cluster(HOST, port, settings=DIRECT)
    assert caught.value.url == f"http://{HOST}:{port}/"
    assert str(port) in caught.value.message


def test_something_else_at_the_address_is_no_cluster(server: FakeCluster) -> None:
    server.instead["test"] = (200, b'{"app":{"name":"another"},"result":"OK"}')
    with pytest.raises(DepthCacheClusterNotReachableError):
        Cluster(HOST, server.port, settings=DIRECT)
    server.instead["test"] = (200, b"<html>")
    with pytest.raises(DepthCacheClusterNotReachableError):
        Cluster(HOST, server.port, settings=DIRECT)


@pytest.mark.parametrize(
    ("address", "port", "url"),
    [
        ("books", None, "http://books/"),
        ("books", 80, "http://books/"),
        ("books", 42081, "http://books:42081/"),
        ("::1", 42081, "http://[::1]:42081/"),
        ("https://books.example", 443, "https://books.example/"),
        ("https://books.example", 80, "https://books.example/"),
        ("https://books.example:8443/cluster/", None, "https://books.example:8443/cluster/"),
    ],
)
def test_addresses_become_urls(address: str, port: int | None, url: str) -> None:
    assert cluster_url(address, port) == url


@pytest.mark.parametrize(
    ("address", "port"), [("", 80), (None, 80), ("ftp://x", 80), ("x", 0), ("x", 70_000), ("x:port", 80)]
)
def test_what_is_no_address_is_refused_by_name(address: str | None, port: int) -> None:
    with pytest.raises(InvalidArgument, match="ubdcc_"):
        cluster_url(address, port)


def test_reads_have_the_shape_of_the_server(server: FakeCluster, cluster: Cluster) -> None:
    assert cluster.create_depthcache("binance.com", "BTCUSDT", desired_quantity=2)["result"] == "OK"
    response = cluster.get_asks("binance.com", "BTCUSDT", limit_count=2)
    assert response == {"asks": [[100.5, 1.0], [100.6, 2.0]], "event": "GET_ASKS", "result": "OK"}
    assert cluster.get_bids(exchange="binance.com", market="BTCUSDT")["bids"][0] == [100.5, 1.0]
    assert server.asked[0] == Asked(
        "POST",
        "/create_depthcache",
        {},
        {"exchange": "binance.com", "market": "BTCUSDT", "desired_quantity": 2},
    )
    assert server.asked[1].query == {"exchange": "binance.com", "market": "BTCUSDT", "limit_count": "2"}


def test_errors_of_the_server_are_dictionaries_as_it_sent_them(cluster: Cluster) -> None:
    response = cluster.get_asks("binance.com", "NOBODY")
    assert (response["result"], response["error_id"]) == ("ERROR", "#7000")


def test_c1_a_server_that_only_takes_get_creates_a_cache() -> None:
    with serving(FakeCluster(takes_post=False)) as old, Cluster(HOST, old.port, settings=DIRECT) as cluster:
        old.asked.clear()
        response = cluster.create_depthcache("binance.com", "BTCUSDT", desired_quantity=2)
        assert response["result"] == "OK"
        assert [each.method for each in old.asked] == ["POST", "GET"]
        assert old.asked[-1].query == {
            "exchange": "binance.com",
            "market": "BTCUSDT",
            "desired_quantity": "2",
        }
        assert asyncio.run(cluster.create_depthcache_async("binance.com", "ETHUSDT"))["result"] == "OK"
        assert [each.method for each in old.asked] == ["POST", "GET", "GET"], "it is remembered"
        assert {market for _, market in old.caches} == {"BTCUSDT", "ETHUSDT"}


def test_secrets_never_appear_in_a_url(server: FakeCluster, cluster: Cluster) -> None:
    assert cluster.add_credentials("binance.com", "KEY", "SECRET")["id"] == "binance.com-1"
    server.instead["add_credentials"] = (405, b"")
    response = cluster.add_credentials("binance.com", "KEY", "SECRET")
    assert isinstance(response["error"], RequestRejected)
    assert [each.method for each in server.asked] == ["POST", "POST"]
    assert "SECRET" not in str(response["error"])


def test_several_markets_go_in_one_post(server: FakeCluster, cluster: Cluster) -> None:
    assert cluster.create_depthcaches("binance.com", ["A", "B"])["result"] == "OK"
    assert cluster.create_depthcaches("binance.com", ("C",))["result"] == "OK"
    assert cluster.create_depthcaches("binance.com", "D")["result"] == "OK"
    assert sorted(cluster.get_depthcache_list()["depthcache_list"]["binance.com"]) == ["A", "B", "C", "D"]
    assert server.asked[0].posted == {"exchange": "binance.com", "markets": ["A", "B"]}


def test_every_call_has_a_blocking_and_a_coroutine_twin(server: FakeCluster, cluster: Cluster) -> None:
    calls: dict[str, tuple[object, ...]] = {
        "create_depthcache": ("binance.com", "BTCUSDT"),
        "create_depthcaches": ("binance.com", ["ETHUSDT"]),
        "get_asks": ("binance.com", "ETHUSDT"),
        "get_bids": ("binance.com", "ETHUSDT"),
        "get_cluster_info": (),
        "get_depthcache_list": (),
        "get_depthcache_info": ("binance.com", "ETHUSDT"),
        "add_credentials": ("binance.com", "k", "s"),
        "remove_credentials": ("id",),
        "get_credentials_list": (),
        "get_test": (),
        "stop_depthcache": ("binance.com", "BTCUSDT"),
    }
    for name, arguments in calls.items():
        if name == "stop_depthcache":
            server.caches["binance.com", "BTCUSDT"] = {}
        blocking = getattr(cluster, name)(*arguments)
        assert blocking["result"] == "OK", name
        server.caches.pop(("binance.com", "BTCUSDT"), None)
        if name == "stop_depthcache":
            server.caches["binance.com", "BTCUSDT"] = {}
        assert asyncio.run(getattr(cluster, f"{name}_async")(*arguments)) == blocking, name
    assert cluster.test_connection() is True
    assert asyncio.run(cluster.test_connection_async()) is True
    endpoints = {name for name in vars(ClusterEndpoints) if not name.startswith("_")}
    assert endpoints == {name for name in calls if name != "get_test"} | {"test"}
    assert {each.path.strip("/") for each in server.asked} == endpoints


@pytest.mark.parametrize(
    ("name", "arguments", "missing"),
    [
        ("create_depthcache", {"exchange": "binance.com"}, "exchange, market"),
        ("create_depthcaches", {"exchange": "binance.com"}, "exchange, markets"),
        ("create_depthcaches", {"exchange": "binance.com", "markets": []}, "exchange, markets"),
        ("get_asks", {"market": "BTCUSDT"}, "exchange, market"),
        ("get_bids", {}, "exchange, market"),
        ("get_depthcache_info", {}, "exchange, market"),
        ("stop_depthcache", {}, "exchange, market"),
        ("add_credentials", {"account_group": "x"}, "account_group, api_key, api_secret"),
        ("remove_credentials", {}, "credential_id"),
    ],
)
def test_what_is_missing_is_a_value_error_that_names_it(
    server: FakeCluster, cluster: Cluster, name: str, arguments: dict[str, object], missing: str
) -> None:
    with pytest.raises(ValueError, match=f"Missing mandatory parameter: {missing}"):
        getattr(cluster, name)(**arguments)
    with pytest.raises(UsageError, match=missing):
        asyncio.run(getattr(cluster, f"{name}_async")(**arguments))
    assert server.asked == []


def test_debug_tells_the_times_of_the_client_also_for_a_post(server: FakeCluster, cluster: Cluster) -> None:
    debug = cluster.create_depthcache("binance.com", "BTCUSDT", debug=True)["debug"]
    assert debug["request_time"] > 0
    assert debug["transmission_time"] == debug["request_time"] - debug["cluster_execution_time"]
    assert server.asked[0].query == {"debug": "true"}
    assert asyncio.run(cluster.get_asks_async("binance.com", "BTCUSDT", debug=True))["debug"]["request_time"]


def test_one_connection_serves_many_calls_of_both_kinds(server: FakeCluster, cluster: Cluster) -> None:
    async def ask() -> None:
        for _ in range(5):
            await cluster.get_cluster_info_async()

    for _ in range(5):
        cluster.get_cluster_info()
        asyncio.run(ask())
    assert server.connections == 1


def test_failures_are_answers_too_an_exception_or_its_text(server: FakeCluster, cluster: Cluster) -> None:
    server.instead["get_cluster_info"] = (500, b"Internal Server Error")
    response = cluster.get_cluster_info()
    assert isinstance(response["error"], RequestRejected)
    text = asyncio.run(cluster.get_cluster_info_async())["error"]
    assert isinstance(text, str)
    assert "500" in text
    server.instead["get_cluster_info"] = (200, b"[1]")
    assert "error" in cluster.get_cluster_info()
    server.instead["get_cluster_info"] = (200, b"{")
    assert "error" in cluster.get_cluster_info()


def test_a_server_that_is_gone_is_an_error_in_the_answer() -> None:
    with serving(FakeCluster()) as server:
        cluster = Cluster(HOST, server.port, settings=DIRECT)
        cluster.close()
    with cluster:
        assert isinstance(cluster.get_asks("binance.com", "BTCUSDT")["error"], ConnectionFailed)
        assert cluster.test_connection() is False
        assert json.dumps(asyncio.run(cluster.get_asks_async("binance.com", "BTCUSDT")))


def test_a_server_that_does_not_answer_is_given_up(
    server: FakeCluster, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("depthcache.compat.ubldc.cluster_requests._TIMEOUT_S", 0.2)
    server.hangs.add("create_depthcache")
    response = cluster.create_depthcache("binance.com", "BTCUSDT")
    assert "no complete response within" in str(response["error"])


def test_a_cancelled_call_is_cancelled(server: FakeCluster, cluster: Cluster) -> None:
    server.hangs.add("get_asks")

    async def run() -> None:
        task = asyncio.create_task(cluster.get_asks_async("binance.com", "BTCUSDT"))
        await asyncio.to_thread(server.hanging.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    server.released.set()
    assert cluster.test_connection() is True, "the session goes on"


def test_over_https_with_a_private_authority(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(tls)
    with serving(FakeCluster(), tls) as server:
        trusting = Settings(proxies=False, ca_file=tmp_path / "ca.pem")
        with Cluster(f"https://{HOST}", server.port, settings=trusting) as cluster:
            assert cluster.get_cluster_info()["version"] == "0.9.1"
        with pytest.raises(DepthCacheClusterNotReachableError):
            Cluster(f"https://{HOST}", server.port, settings=DIRECT)


def test_the_cluster_of_a_manager_takes_its_exchange_where_none_is_named(server: FakeCluster) -> None:
    manager = BinanceLocalDepthCacheManager(
        "binance.com", ubdcc_address=HOST, ubdcc_port=server.port, settings=DIRECT
    )
    with manager as ubldc:
        cluster = ubldc.cluster
        assert cluster is not None
        assert cluster.create_depthcache(markets=["BTCUSDT", "ETHUSDT"])["result"] == "OK"
        assert cluster.get_asks(market="ETHUSDT", limit_count=1)["asks"] == [[100.5, 1.0]]
        with pytest.raises(ValueError, match="market"):
            cluster.get_asks()
    assert set(server.caches) == {("binance.com", "BTCUSDT"), ("binance.com", "ETHUSDT")}
    assert not [each for each in threading.enumerate() if each.name == "depthcache rest"]


def test_d34_a_manager_for_a_cluster_alone_asks_no_exchange(server: FakeCluster) -> None:
    nowhere = Settings.from_environment({"DEPTHCACHE_BINANCE_COM_REST": f"http://{HOST}:1"}, proxies=False)
    manager = BinanceLocalDepthCacheManager(ubdcc_address=HOST, ubdcc_port=server.port, settings=nowhere)
    with manager as ubldc:
        assert ubldc.cluster is not None
        assert ubldc.cluster.test_connection()


def test_a_cluster_that_is_dropped_leaves_no_thread(server: FakeCluster) -> None:
    cluster = Cluster(HOST, server.port, settings=DIRECT)
    thread = next(each for each in threading.enumerate() if each.name == "depthcache rest")
    del cluster
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()


def test_names_of_earlier_releases_still_work(server: FakeCluster, cluster: Cluster) -> None:
    assert cluster.ubdcc_get_credentials_list()["credentials"] == []
    with pytest.warns(DeprecationWarning, match="licences ended"):
        assert cluster.submit_license("x", "y")["result"] == "OK"
    assert [each.path for each in server.asked] == ["/get_credentials_list"]
