"""Checks of the diff stream, its sequence of update ids, and one book of a real client."""

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
    """What arrived on a WebSocket, and why it ended early, if it did."""

    diffs: list[dict[str, Any]] = field(default_factory=list)
    acknowledged: bool = False
    pings: int = 0
    error: str = ""


async def listen(host: Host, url: str, streams: list[str], *, seconds: float) -> Heard:
    """Subscribe and collect for `seconds`, or until the connection ends. Never raises for network errors."""
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
                    heard.error = f"the exchange closed the connection (close code {socket.close_code})"
                    break
    except TimeoutError:
        pass
    except (aiohttp.ClientError, OSError) as error:
        heard.error = http.describe_error(error)
    finally:
        await socket.close()
    return heard


async def examine_streams(host: Host, *, seconds: float) -> AsyncIterator[Finding]:
    """Check that the venue's route delivers the diff stream of the symbol without a sequence gap."""
    venue = host.venue
    name = venue.stream(host.symbol)
    heard = await listen(host, venue.stream_url(), [name], seconds=seconds)
    check = f"route {venue.stream_route}"
    if heard.error and not heard.diffs:
        advice = "WebSockets are blocked on the way: check the firewall and proxy settings"
        yield Finding(check, Severity.FAIL, heard.error, advice)
        host.can_go_on = False
        return
    if not heard.diffs:
        subscribed = "acknowledged" if heard.acknowledged else "not acknowledged"
        measured = f"subscription to {name} {subscribed}, but no update in {seconds:g} s"
        advice = (
            "the symbol may be quiet: try a busy one with --symbol; if that fails as well, the exchange may "
            "have moved its streams: please report this"
        )
        yield Finding(check, Severity.FAIL, measured, advice)
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
        "updates get lost on the way, or the exchange changed its rules, so books will keep resyncing: run "
        "the doctor from another network; if it fails there as well, please report this"
    )
    measured = f"{rule} failed {broken} of {len(diffs) - 1} times"
    return Finding("id chain", Severity.FAIL, measured, advice)


async def examine_book(host: Host, settings: Settings) -> AsyncIterator[Finding]:
    """Check that a book of a real client becomes synced and matches a snapshot of the exchange."""
    import depthcache  # the whole client, needed by this check alone

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
        advice = "fix what the findings above report first; if there is nothing, please report this"
        yield Finding("book", Severity.FAIL, str(error), advice)
        return
    compared = f"synced; {found.checked:,} prices compared at update id {found.update_id}"
    if found.is_clean:
        yield Finding("book", Severity.OK, f"{compared}, all equal")
    else:
        wrong = found.differing + found.missing + found.extra
        advice = "please report this with a recording (depthcache record)"
        yield Finding("book", Severity.FAIL, f"{compared}, {wrong:,} wrong", advice)


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
