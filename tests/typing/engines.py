"""Both engines satisfy the protocols of `depthcache.engine`. Checked by mypy and pyright, never run."""

from __future__ import annotations

from typing import assert_type

from depthcache import _native, engine, reference
from depthcache.core.client import ClientCore
from depthcache.events import Event


def routers() -> list[engine.Router]:
    return [_native.Router(), reference.Router()]


def readers() -> list[engine.Reader]:
    return [_native.Router().reader(1), reference.Router().reader(1)]


def followers() -> list[engine.Follower]:
    return [
        _native.Router().follow("latest", most_items=1, most_bytes=1),
        reference.Router().follow("latest", most_items=1, most_bytes=1),
    ]


def both_tell_the_same_events() -> None:
    assert_type(_native.Router().take_events(), list[Event])
    assert_type(reference.Router().take_events(), list[Event])


def the_core_runs_on_either() -> list[ClientCore]:
    return [ClientCore(router, random=float) for router in routers()]
