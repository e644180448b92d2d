"""Too few file descriptors: an error that says so, raised where the client was started, and nothing left."""

from __future__ import annotations

import asyncio
import errno
import os
import threading

import pytest

import depthcache
from depthcache import NetworkError, blocking
from depthcache.io import native_network

WORDS = "the client could not start: .*Too many open files.*`ulimit -n`"


def too_many(*_: object, **__: object) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def test_a_client_without_its_bell_ends_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_blocking_client_without_a_loop_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "new_event_loop", too_many)
    with pytest.raises(NetworkError, match=WORDS), blocking.connect("binance.com", ["BTCUSDT"]):
        pass
