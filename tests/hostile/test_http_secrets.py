"""The password of a proxy or host appears nowhere: in no log, reason, repr, error, recording or output."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

import depthcache
from depthcache import Policy, Settings
from depthcache.errors import InvalidArgument
from depthcache.io.network.proxies import proxy_for
from depthcache.rest import Rest
from depthcache.venues import Endpoints
from tests.hostile.test_http_responses import recorded
from tests.support.peers import NETWORKS

USER, PARTS = "mallory", ("Tr0ub4dor", "zwei", "drei")
UNESCAPED = {
    f"{scheme}{name}": f"{scheme}{USER}:{PARTS[0]}{sign}{PARTS[1]}@127.0.0.1:1"
    for scheme in ("http://", "https://", "socks5://", "")
    for name, sign in (("hash", "#"), ("slash", "/"), ("question", "?"))
}
OTHERS = {
    "escaped": f"http://{USER}:{PARTS[0]}%23{PARTS[1]}@127.0.0.1:1",
    "escaped socks": f"socks5://{USER}:{PARTS[0]}%2F{PARTS[1]}@127.0.0.1:1",
    "escaped https": f"https://{USER}:{PARTS[0]}@127.0.0.1:1",
    "several signs": f"http://{USER}:{PARTS[0]}#/{PARTS[1]}?@{PARTS[2]}@127.0.0.1:1",
    "before the scheme": f"{USER}:{PARTS[0]}://{PARTS[1]}@127.0.0.1:1",
    "before a second scheme": f"http:{PARTS[0]}://{PARTS[1]}@127.0.0.1:1",
    "spaces around": f" http://{USER}:{PARTS[0]}#{PARTS[1]}@127.0.0.1:1 ",
    "in the user": f"http://{USER}#{PARTS[0]}:x@127.0.0.1:1",
    "brackets": f"http://{USER}:[{PARTS[0]}]@127.0.0.1:1",
    "no host": f"http://{USER}:{PARTS[0]}",
    "port": f"http://{USER}:{PARTS[0]}@127.0.0.1:{PARTS[1]}",
    "large port": f"http://{USER}:{PARTS[0]}@127.0.0.1:99999",
    "kind": f"socks4://{USER}:{PARTS[0]}@127.0.0.1:1",
    "long socks": f"socks5://{USER}:{PARTS[0] * 40}@127.0.0.1:1",
    "no utf-8": f"http://{USER}:{PARTS[0]}%ff@127.0.0.1:1",
    "nfkc": f"http://{USER}:{PARTS[0]}℀@127.0.0.1:1",
    "line break": f"http://{USER}:{PARTS[0]}\n{PARTS[1]}@127.0.0.1:1",
}
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def leaks(text: str) -> list[str]:
    return [part for part in (USER, *PARTS) if part in text]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("proxy", UNESCAPED.values(), ids=UNESCAPED)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_the_error_names_the_variable_and_the_escape(
    proxy: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, proxy)
    with pytest.raises(depthcache.ConnectionFailed) as caught:
        proxy_for("wss://exchange.example/stream")
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert leaks(shown) == []
    assert variable in caught.value.reason
    assert (
        next(escape for sign, escape in (("#", "%23"), ("?", "%3F"), ("/", "%2F")) if sign in proxy[9:])
        in shown
    )


@pytest.mark.parametrize("proxy", OTHERS.values(), ids=OTHERS)
def test_no_way_of_writing_a_proxy_shows_its_secret(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    try:
        shown = repr(proxy_for("wss://exchange.example/stream"))
    except depthcache.ConnectionFailed as error:
        shown = "".join(traceback.format_exception(error)) + repr(error)
    assert leaks(shown) == []


class Everything(logging.Handler):
    """Every record as a program would write it, with its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(logging.Formatter("%(message)s").format(record))


@pytest.mark.slow
@pytest.mark.parametrize("transport", NETWORKS)
async def test_a_client_that_fails_never_shows_the_secret(
    transport: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = Everything()
    root = logging.getLogger()
    monkeypatch.setattr(root, "level", logging.DEBUG)
    root.addHandler(everything)
    said: set[str] = set()
    policy = Policy(retry_base_s=0.02, connect_base_s=0.02, snapshot_timeout_s=0.5)
    ends = Endpoints(rest="https://exchange.example", websocket="wss://exchange.example")
    try:
        for proxy in (*list(UNESCAPED.values())[::3], *OTHERS.values()):
            monkeypatch.setenv("HTTPS_PROXY", proxy)
            settings = Settings(
                endpoints={"binance.com": ends},
                policy=policy,
                transport=transport,  # type: ignore[arg-type]
                record_to=tmp_path,
            )
            async with depthcache.connect("binance.com", ["BTCUSDT"], settings=settings) as books:
                [book] = books
                with pytest.raises(depthcache.BookError) as caught:
                    await books.wait_synced(timeout=0.05)
                said |= {repr(book), repr(books), repr(settings), book.reason, books.prometheus()}
                said |= {str(caught.value), repr(caught.value), repr(books.stats())}
            with (
                Rest(settings=settings) as rest,
                pytest.raises(depthcache.ConnectionFailed) as failed,
            ):
                await rest.ask_async("binance.com", "/api/v3/time", weight=1, timeout=0.5)
            said |= {"".join(traceback.format_exception(failed.value)), repr(failed.value)}
    finally:
        root.removeHandler(everything)
    texts = [*said, *everything.texts, *(line.decode() for line in recorded(tmp_path))]
    assert len(texts) > 100
    assert [text for text in texts if leaks(text)] == []


GIVEN = {
    "password": f"https://{USER}:{PARTS[0]}@h",
    "unescaped": f"https://{USER}:{PARTS[0]}#{PARTS[1]}@h",
    "slash": f"https://{USER}:{PARTS[0]}/{PARTS[1]}@h:1",
    "user alone": f"https://{USER}{PARTS[0]}@h",
}


@pytest.mark.parametrize("url", GIVEN.values(), ids=GIVEN)
def test_hosts_with_a_password_are_refused_without_showing_it(url: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f'[endpoints."binance.com"]\nrest = "{url}"\n')
    whole = tmp_path / "whole.toml"
    whole.write_text(f'endpoints = "{url}"\n')
    named = tmp_path / "named.toml"
    named.write_text(f'[endpoints]\n"binance.com" = "{url}"\n')
    calls: list[Callable[[], object]] = [
        lambda: Settings(endpoints={"binance.com": Endpoints(rest=url, websocket="wss://h")}),
        lambda: Settings(endpoints={"binance.com": Endpoints(rest="https://h", websocket=url)}),
        lambda: Settings(endpoints={"binance.com": url}),  # type: ignore[dict-item]
        lambda: Settings(endpoints=url),  # type: ignore[arg-type]
        lambda: Settings.from_environment({"DEPTHCACHE_BINANCE_COM_REST": url}),
        lambda: Settings.from_environment({"DEPTHCACHE_BINANCE_COM_RESTS": url}),
        lambda: Settings.from_environment({"DEPTHCACHE_TRANSPORT": url}),
        lambda: Settings.from_toml(file),
        lambda: Settings.from_toml(whole),
        lambda: Settings.from_toml(named),
    ]
    for call in calls:
        with pytest.raises(InvalidArgument) as caught:
            call()
        shown = "".join(traceback.format_exception(caught.value, chain=True)) + repr(caught.value)
        lines = [line for line in shown.splitlines() if not line.startswith("    ")]
        assert leaks("\n".join(lines)) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["doctor"], ["doctor", "--json"], ["--debug", "watch", "BTCUSDT", "--seconds", "0.5"]]
)
def test_the_command_line_says_it_in_one_line_without_a_traceback(command: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name.lower() not in VARIABLES}
    environment["HTTPS_PROXY"] = UNESCAPED["http://hash"]
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from depthcache.cli import main; sys.exit(main())", *command],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert leaks(output) == []
    assert "Traceback" not in output
    assert "HTTPS_PROXY" in output
    assert "%23" in output
