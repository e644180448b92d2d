"""The files of the live page as the server sends them; nothing here needs a browser."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from typing import Any

import pytest

from depthcache.server.documents import documents, gzipped, page_files
from depthcache.server.versions import Versions
from tests.server.asking import ask, serving
from tools.page_scripts import VIEWS, imports_of, scripts_of

MOST_BYTES = 120_000
FOREIGN = {"Host": "127.0.0.1", "Sec-Fetch-Site": "cross-site"}


@pytest.fixture(scope="module")
def native() -> Iterator[Any]:
    found = documents()
    with serving(documents=found, gzipped=gzipped(found)) as native:
        yield native


def test_the_page_and_its_files_need_no_token_and_are_what_they_are(native: Any) -> None:
    index = ask(native.port, "/", token=None)
    assert index.status == 200
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    assert index.body == page_files()["/"][1]
    kinds = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
    for path in page_files():
        if path != "/":
            response = ask(native.port, path, token=None)
            assert response.headers["content-type"] == kinds[path.rpartition(".")[2]]
            assert response.headers["x-content-type-options"] == "nosniff"


def test_they_run_nothing_inline_and_are_framed_by_nobody(native: Any) -> None:
    headers = ask(native.port, "/", token=None).headers
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy
    for rule in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    for path, (kind, body) in page_files().items():
        text = body.decode()
        if kind.startswith("text/html"):
            assert re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=|javascript:", text) is None
        else:
            assert (
                re.search(r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval)\b", text) is None
            ), path


def test_they_ask_no_other_host() -> None:
    known = {"http://www.w3.org/2000/svg"}
    for path, (_, body) in page_files().items():
        assert set(re.findall(r"\bhttps?://[\w.]+[\w./]*", body.decode())) <= known, path


def test_a_browser_that_has_a_file_is_sent_nothing(native: Any) -> None:
    tag = ask(native.port, "/page/app.js", token=None).headers["etag"]
    again = ask(native.port, "/page/app.js", token=None, headers={"If-None-Match": f'"x", {tag}'})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert again.headers["cache-control"] == "no-cache"
    assert ask(native.port, "/page/app.js", token=None, headers={"If-None-Match": '"x"'}).status == 200
    assert ask(native.port, "/page/table.js", token=None).headers["etag"] != tag


@pytest.mark.parametrize(
    ("accepts", "is_packed"),
    [("gzip, deflate, br", True), ("GZIP;q=0.5", True), ("br", False), ("gzip;q=0", False), ("", False)],
)
def test_files_are_compressed_for_those_who_take_that(native: Any, accepts: str, is_packed: bool) -> None:
    response = ask(native.port, "/page/app.js", token=None, headers={"Accept-Encoding": accepts})
    assert ("content-encoding" in response.headers) is is_packed
    assert response.headers["vary"] == "accept-encoding"
    body = gzip.decompress(response.body) if is_packed else response.body
    assert body == page_files()["/page/app.js"][1]


def test_another_site_may_link_to_the_page_and_may_not_load_its_files(native: Any) -> None:
    link = {**FOREIGN, "Sec-Fetch-Mode": "navigate"}
    assert ask(native.port, "/", token=None, headers=link).status == 200
    script = {**FOREIGN, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}
    for path in ("/page/app.js", "/page/session.js", "/"):
        assert ask(native.port, path, token=None, headers=script).status == 403


def test_every_script_is_loaded_by_the_page() -> None:
    scripts = {path for path in page_files() if path.endswith(".js")}
    assert imports_of("/page/app.js", lazy=True) == scripts


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_needs_more_than_120_kb_of_script_as_written(view: str) -> None:
    files = page_files()
    assert sum(len(files[path][1]) for path in scripts_of(view)) <= MOST_BYTES


def test_a_view_is_no_part_of_the_shell_and_of_another_view() -> None:
    shell = imports_of("/page/app.js", lazy=False)
    for view, modules in VIEWS.items():
        own = {f"/page/{name}.js" for name in modules}
        assert not own & shell
        assert all(not own & scripts_of(other) for other in VIEWS if other != view)


class VersionsSpy:
    def __init__(self) -> None:
        self.versions: list[tuple[str, str]] = []

    def set_versions(self, running: str, installed: str) -> None:
        self.versions.append((running, installed))


def test_an_upgrade_is_seen_within_a_minute_and_asks_nobody() -> None:
    spy, now_s = VersionsSpy(), 1_000.0
    versions = Versions(spy)
    running = spy.versions[0][0]
    assert spy.versions == [(running, running)]
    versions.renew(lambda: now_s, lambda _: "99.0")
    versions.renew(lambda: now_s + 59, lambda _: "99.1")
    assert spy.versions[1:] == [(running, "99.0")]
    versions.renew(lambda: now_s + 61, lambda _: "99.1")
    assert spy.versions[2:] == [(running, "99.1")]


def test_stats_say_which_version_runs(native: Any) -> None:
    assert "version" not in ask(native.port, "/v1/stats").json
    native.set_versions("1.0", "1.1")
    assert ask(native.port, "/v1/stats").json["version"] == {"running": "1.0", "installed": "1.1"}


def test_stats_say_that_a_recording_plays_and_that_it_has_ended(native: Any) -> None:
    assert "recording" not in ask(native.port, "/v1/stats").json
    for has_ended, word in ((False, "playing"), (True, "ended")):
        native.set_recording(has_ended)
        assert ask(native.port, "/v1/stats").json["recording"] == word


def test_the_list_of_books_says_prices_and_how_many_updates(native: Any) -> None:
    from tests.server.asking import book, diff

    held = book()
    native.add("binance.com", "BTCUSDT", held)
    held.apply(diff("BTCUSDT", 101, 101, [["999.99", "3.5"]]))
    [line] = ask(native.port, "/v1/books").json["books"]
    assert line["updates"] == 1
    assert line["best"] == {
        "bid": ["999.99", "3.50000000"],
        "ask": ["1000.01", "2.12500000"],
        "update_id": 101,
    }
    held.apply(diff("BTCUSDT", 200, 201, []))
    [line] = ask(native.port, "/v1/books").json["books"]
    assert (line["status"], line["best"]) != ("synced", None)
    assert line["best"] is None
    native.remove("binance.com", "BTCUSDT")
