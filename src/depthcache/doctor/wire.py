"""Streams: does the route deliver, does the id chain hold, does a book come out right?"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
from aiohttp import WSMsgType

from depthcache.core.bodies import UnreadableBody, read_json, whole
from depthcache.doctor.finding import Finding, Severity
from depthcache.doctor.reach import Host
from depthcache.errors import DepthCacheError
from depthcache.io.network import http
from depthcache.io.network.sessions import route_arguments
from depthcache.settings import Settings

__all__ = ["Heard", "examine_book", "examine_streams", "listen"]

_OPEN_S = 10.0
_BOOK_S = 20.0
_DEPTH = 100
_IDS = range(1 << 63)
_MOST_DIFFS = 50_000


@dataclass(slots=True)
class Heard:
    """What came on a socket."""

    diffs: list[dict[str, Any]] = field(default_factory=list)
    acknowledged: bool = False
    pings: int = 0
    error: str = ""


async def listen(host: Host, url: str, streams: list[str], *, seconds: float) -> Heard:
    """Subscribe and listen for some seconds, or until something breaks."""
    heard = Heard()
    try:
        route = host.route(url)
        async with asyncio.timeout(_OPEN_S):
            socket = await host.sessions.of(route).ws_connect(
                url, autoping=False, compress=0, **route_arguments(route)
            )
    except Exception as error:  # noqa: BLE001 - whatever a peer sends is a finding
        heard.error = http.describe_error(error)
        return heard
    try:
        async with asyncio.timeout(seconds):
            await socket.send_str(json.dumps({"method": "SUBSCRIBE", "params": streams, "id": 1}))
            while True:
                message = await socket.receive()
                if message.type is WSMsgType.TEXT:
                    _take(heard, message.data)
                elif message.type is WSMsgType.PING:
                    heard.pings += 1
                    await socket.pong(message.data)
                else:
                    heard.error = f"the connection ended (close code {socket.close_code})"
                    break
    except TimeoutError:
        pass
    except (aiohttp.ClientError, OSError) as error:
        heard.error = http.describe_error(error)
    finally:
        await socket.close()
    return heard


async def examine_streams(host: Host, *, seconds: float) -> AsyncIterator[Finding]:
    """The configured route, with the diff stream of the symbol."""
    venue = host.venue
    name = venue.stream(host.symbol)
    heard = await listen(host, venue.stream_url(), [name], seconds=seconds)
    check = f"route {venue.stream_route}"
    if heard.error and not heard.diffs:
        advice = "WebSockets are blocked on the way: check firewall and proxy"
        yield Finding(check, Severity.FAIL, heard.error, advice)
        host.can_go_on = False
        return
    if not heard.diffs:
        describe_error = "acknowledged, " if heard.acknowledged else "not acknowledged, "
        advice = "a quiet symbol, or the exchange moved its streams: try a busy --symbol, then report it"
        yield Finding(check, Severity.FAIL, f"{describe_error}nothing of {name} within {seconds:g} s", advice)
        return
    yield Finding(check, Severity.OK, f"{len(heard.diffs)} updates of {name} in {seconds:g} s")
    yield _examine_chain(host, heard.diffs)


def _examine_chain(host: Host, diffs: list[dict[str, Any]]) -> Finding:
    contiguous = host.venue.continuity == "contiguous"
    rule = "U == previous u + 1" if contiguous else "pu == previous u"
    broken = 0
    for before, after in itertools.pairwise(diffs):
        first = whole(after.get("U"), _IDS)
        follows = (first or 0) - 1 if contiguous else after.get("pu")
        broken += follows != before.get("u")
    if not broken:
        return Finding("id chain", Severity.OK, f"{rule} held {max(0, len(diffs) - 1)} times")
    advice = (
        "updates are lost on the way, or the exchange changed its rules: books would resync again and again"
    )
    return Finding("id chain", Severity.FAIL, f"{rule} was broken {broken} times", advice)


async def examine_book(host: Host, settings: Settings) -> AsyncIterator[Finding]:
    """The client itself: a book becomes synced and is the exchange's."""
    import depthcache  # the whole client; only a doctor who gets this far needs it

    try:
        limits = host.venue.depth_limits
        depth = min(_DEPTH, limits[-1])
        books = depthcache.connect(host.venue.name, [host.symbol], depth=depth, settings=settings)
        async with books:
            await books.wait_synced(timeout=_BOOK_S)
            [book] = books
            limit = next(limit for limit in limits if limit >= depth)
            found = await book.audit(limit, timeout=_BOOK_S)
    except DepthCacheError as error:
        yield Finding(
            "book", Severity.FAIL, str(error), "see the findings above; otherwise please report this"
        )
        return
    describe_error = f"synced; {found.checked:,} prices compared at update id {found.update_id}"
    if found.is_clean:
        yield Finding("book", Severity.OK, f"{describe_error}, all right")
    else:
        wrong = found.differing + found.missing + found.extra
        yield Finding(
            "book", Severity.FAIL, f"{describe_error}, {wrong} wrong", "please report this with a recording"
        )


def _take(heard: Heard, text: str) -> None:
    try:
        value = read_json(text.encode("utf-8", "backslashreplace"))
    except UnreadableBody:
        return
    if not isinstance(value, dict):
        return
    message = cast("dict[str, Any]", value)
    data = message.get("data", message)
    diff = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    if diff.get("e") == "depthUpdate" and all(isinstance(diff.get(side), list) for side in ("b", "a")):
        if len(heard.diffs) < _MOST_DIFFS:
            heard.diffs.append(diff)
    elif "result" in message:
        heard.acknowledged = True
