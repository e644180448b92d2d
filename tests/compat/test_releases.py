"""The update check: only on request, with a timeout, and with responses in the format of the old library."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import depthcache
from depthcache import Settings
from depthcache.compat.ubldc import BinanceLocalDepthCacheManager, releases
from depthcache.compat.ubldc.releases import Releases, is_newer

OFFLINE = Settings(proxies=False)


class Index:
    """A package index that tells of one release, or hangs."""

    def __init__(self) -> None:
        self.version, self.status, self.asked = "9.9.9", 200, 0
        self.body: bytes | None = None
        self.hangs = False
        self.asked_once, self.released = threading.Event(), threading.Event()
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.asked += 1
                index.asked_once.set()
                if index.hangs:
                    index.released.wait(60)
                body = index.response() if index.body is None else index.body
                try:
                    self.send_response(index.status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except ConnectionError:
                    pass

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/pypi/depthcache/json"

    def response(self) -> bytes:
        """As docs.pypi.org/api/json describes it (2026-11)."""
        files = [
            {
                "filename": f"depthcache-{self.version}.{end}",
                "packagetype": kind,
                "size": 1,
                "upload_time_iso_8601": "2026-11-25T10:00:00.000000Z",
                "url": f"https://files.example/depthcache-{self.version}.{end}",
            }
            for end, kind in (("tar.gz", "sdist"), ("whl", "bdist_wheel"))
        ]
        info = {
            "version": self.version,
            "summary": "short",
            "description": "long",
            "release_url": f"https://index.example/depthcache/{self.version}/",
        }
        return json.dumps({"info": info, "urls": files, "releases": {}}).encode()


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    index = Index()
    monkeypatch.setenv("DEPTHCACHE_RELEASES_URL", index.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    thread = threading.Thread(target=index.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield index
    index.released.set()
    index.server.shutdown()
    index.server.server_close()
    thread.join()


def test_the_newest_release_has_the_format_of_the_old_library(index: Index) -> None:
    info = BinanceLocalDepthCacheManager.get_latest_release_info()
    assert info is not None
    expected: dict[str, Any] = {
        "tag_name": "9.9.9",
        "name": "9.9.9",
        "html_url": "https://index.example/depthcache/9.9.9/",
        "tarball_url": "https://files.example/depthcache-9.9.9.tar.gz",
        "zipball_url": "https://files.example/depthcache-9.9.9.tar.gz",
        "body": "long",
        "prerelease": False,
        "published_at": "2026-11-25T10:00:00.000000Z",
    }
    assert {name: info[name] for name in expected} == expected
    assert [asset["name"] for asset in info["assets"]] == ["depthcache-9.9.9.tar.gz", "depthcache-9.9.9.whl"]


def test_a_manager_knows_its_own_version_and_whether_there_is_a_newer_one(index: Index) -> None:
    with BinanceLocalDepthCacheManager(settings=OFFLINE) as ubldc:
        assert ubldc.get_version() == ubldc.version == depthcache.__version__
        assert ubldc.get_user_agent().startswith(f"depthcache_{depthcache.__version__}-python_3.")
        assert ubldc.get_latest_version() == "9.9.9"
        assert ubldc.is_update_available() is True
    assert index.asked == 1, "an answer holds for an hour"


def test_an_answer_older_than_an_hour_is_asked_for_once_not_each_time(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(releases, "monotonic", lambda: now)
    known = Releases("1.0")
    known.latest_version()
    now += 3_601
    for _ in range(3):
        assert known.latest_version() == "9.9.9"
    assert index.asked == 2


@pytest.mark.parametrize(
    ("latest", "installed", "newer"),
    [
        ("0.2.0", "0.1.0", True),
        ("0.10.0", "0.9.0", True),
        ("0.1.0", "0.1.0", False),
        ("0.1.0", "0.2.0", False),  # the old library: an update
        ("0.1.0", "0.1.0.dev3", False),
        ("0.2.0", "0.1.0.dev3+g123", True),
        ("1.0", "1.0.0", False),
        ("1.0.0", "1.0.0rc1", True),
        ("1.0.0rc2", "1.0.0rc1", True),
        ("1.0.0a1", "0.9", True),
        ("v2.0", "1.0", True),
        ("1!0.1", "9.0", True),
        ("nonsense", "1.0", False),
        ("1.0", "nonsense", False),
    ],
)
def test_newer_is_newer_and_a_newer_installed_one_is_no_update(
    latest: str, installed: str, newer: bool
) -> None:
    assert is_newer(latest, installed) is newer


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"info":{}}', b'{"info":{"version":"1"},"urls":[{}]}'])
def test_an_answer_that_makes_no_sense_is_none(index: Index, body: bytes) -> None:
    index.body = body
    known = Releases("1.0")
    assert known.latest_release_info() is None
    assert known.latest_version() is None
    assert known.is_update_available() is False


def test_an_index_that_fails_or_hangs_is_none_after_a_while(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.status = 503
    assert Releases.latest_release_info() is None
    index.status, index.hangs = 200, True
    monkeypatch.setattr(releases, "_TIMEOUT_S", 0.2)
    assert Releases("1.0").is_update_available() is False


def test_d33_the_constructor_never_waits_for_an_index(
    index: Index, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    index.hangs = True
    caplog.set_level(logging.INFO, logger="unicorn_binance_local_depth_cache")
    with BinanceLocalDepthCacheManager(settings=OFFLINE, warn_on_update=True):
        assert index.asked_once.wait(30)  # it hangs, and the constructor has long returned
        index.released.set()
        looking = [each for each in threading.enumerate() if each.name == "depthcache releases"]
        for thread in looking:
            thread.join(30)
    assert f"depthcache {depthcache.__version__} is installed, 9.9.9 is available" in caplog.text
    assert capfd.readouterr() == ("", "")


def test_d33_nothing_is_asked_unless_a_program_asks(index: Index) -> None:
    with (
        BinanceLocalDepthCacheManager(settings=OFFLINE),
        BinanceLocalDepthCacheManager(settings=OFFLINE, warn_on_update=False),
    ):
        assert [each for each in threading.enumerate() if each.name == "depthcache releases"] == []
    assert index.asked == 0
