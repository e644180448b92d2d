"""A process without free file descriptors: clients raise a clear error of this package at once."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import depthcache
from depthcache import NetworkError, blocking
from depthcache.io.network import native as native_network

HEAD = """
import asyncio, os, resource, sys
import depthcache
from depthcache import Endpoints, Settings
from depthcache.io import thread
from depthcache.io.network import aiohttp, native, sessions
ends = Endpoints(rest="http://127.0.0.1:1", websocket="ws://127.0.0.1:1")
settings = Settings(endpoints={"binance.com": ends}, proxies=False, transport=sys.argv[1])
left = int(sys.argv[2])

def use_up() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    held = []
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        for number in held[:left]:
            os.close(number)
"""
ASYNC = """
async def main() -> None:
    use_up()
    async with depthcache.connect("binance.com", ["BTCUSDT"], settings=settings):
        await asyncio.sleep(0)

try:
    asyncio.run(main())
except depthcache.NetworkError as error:
    print(type(error).__name__, error)
else:
    print("fine")
"""
BLOCKING = """
from depthcache import blocking
use_up()
try:
    with blocking.connect("binance.com", ["BTCUSDT"], settings=settings):
        pass
except depthcache.NetworkError as error:
    print(type(error).__name__, error)
else:
    print("fine")
"""


TRIED = [(ASYNC, 1, "native"), (ASYNC, 3, "native"), (BLOCKING, 0, "aiohttp"), (BLOCKING, 2, "native")]


def outcome(program: str, left: int, transport: str) -> str:
    call = [sys.executable, "-c", HEAD + program, transport, str(left)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_client_that_lacks_descriptors_says_so() -> None:
    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(lambda each: outcome(*each), TRIED))
    for text in outcomes:
        assert text.startswith("NetworkError no file descriptor is left"), outcomes


WORDS = "no file descriptor is left .Too many open files.; `ulimit -n`"


def too_many(*_: object, **__: object) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def test_a_client_without_its_wake_socket_ends_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_network.socket, "socket", too_many)
    before = threading.active_count()
    with pytest.raises(NetworkError, match=WORDS):
        async with depthcache.connect("binance.com", ["BTCUSDT"]):
            pass
    assert threading.active_count() == before


async def test_a_client_without_a_transport_ends_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_network, "Transport", too_many)
    with pytest.raises(NetworkError, match=WORDS):
        async with depthcache.connect("binance.com", ["BTCUSDT"]):
            pass


def test_a_blocking_client_without_a_loop_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "new_event_loop", too_many)
    with pytest.raises(NetworkError, match=WORDS), blocking.connect("binance.com", ["BTCUSDT"]):
        pass
