"""Following books: the modes, and the asyncio stream of items.

A native follower tracks what changed in its books, however slow its consumer is. The blocking twin is in
`blocking`, callbacks are in `callbacks`. Which item is produced when is decided in
`crates/book/src/follow.rs`, and readable in `reference/follow.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeAlias

from depthcache._native import Update
from depthcache.arguments import parse_on_stale, parse_real, parse_whole
from depthcache.engine import Follower
from depthcache.errors import InvalidArgument, UsageError
from depthcache.io.followers import Followers, FollowSpec
from depthcache.model import OnStale, Status
from depthcache.naming import publish
from depthcache.pickling import OneProcess

if TYPE_CHECKING:
    from depthcache.client.client import Client

__all__ = [
    "BUFFER",
    "BUFFER_BYTES",
    "LEVELS",
    "AnyMode",
    "FollowMode",
    "UpdateStream",
    "Updates",
    "make_follower",
    "parse_follow_spec",
]

LEVELS, BUFFER, BUFFER_BYTES = 20, 1_000, 16 * 1024 * 1024
"""Defaults of all calls that follow books: levels per side, and what mode `every` keeps."""
_WITHOUT_A_PAUSE = 64
"""The number of consecutive items after which the event loop gets its turn."""


class FollowMode(StrEnum):
    """When following a book yields an item.

    You may pass the text instead: `book.updates("best")`. Memory is bounded in every mode: for a slow
    consumer, updates are conflated, or dropped in mode `every`.
    """

    EVERY = "every"
    """Every update, with the levels it changed."""
    LATEST = "latest"
    """The newest book, when any level changed."""
    INTERVAL = "interval"
    """The newest book at most every `interval_ms`, if any level changed."""
    BEST = "best"
    """The newest book, when the best price or size changes."""
    LEVELS = "levels"
    """The newest book, when any of the best `levels` changes."""
    STATUS = "status"
    """The book, when its status changes."""


AnyMode: TypeAlias = FollowMode | Literal["every", "latest", "interval", "best", "levels", "status"]


def parse_follow_spec(
    mode: AnyMode,
    levels: int | None,
    *,
    interval_ms: float | None,
    on_stale: OnStale | None,
    default: OnStale,
    buffer: int,
    buffer_bytes: int,
) -> FollowSpec:
    """Check what a consumer wants. `default`: used if `on_stale` is None. Raises InvalidArgument."""
    try:
        parsed = FollowMode(mode)
    except ValueError:
        allowed = " or ".join(repr(each.value) for each in FollowMode)
        raise InvalidArgument(name="mode", value=mode, allowed=allowed) from None
    least = 1 if parsed is FollowMode.LEVELS else 0
    if levels is not None or least:
        allowed = f"a number of levels, {least} or more" + ("" if least else ", or None for all")
        levels = parse_whole(levels, name="levels", allowed=allowed, least=least)
    allowed = "a whole number, 0 or more"
    return FollowSpec(
        mode=parsed.value,
        levels=levels,
        interval_ns=_interval_ns(parsed, interval_ms),
        on_stale=default if on_stale is None else parse_on_stale(on_stale),
        buffer=parse_whole(buffer, name="buffer", allowed=allowed, least=0),
        buffer_bytes=parse_whole(buffer_bytes, name="buffer_bytes", allowed=allowed, least=0),
    )


def _interval_ns(mode: FollowMode, interval_ms: object) -> int:
    if mode is not FollowMode.INTERVAL:
        if interval_ms is not None:
            allowed = "None; only mode='interval' takes interval_ms"
            raise InvalidArgument(name="interval_ms", value=interval_ms, allowed=allowed)
        return 0
    allowed = "milliseconds, 1 to 86,400,000 (one day)"
    if interval_ms is None:
        text = "the mode 'interval' needs interval_ms=, such as 1000"
        raise InvalidArgument(name="interval_ms", value=None, allowed=allowed, text=text)
    wait_ms = parse_real(interval_ms, name="interval_ms", allowed=allowed, least=1, most=86_400_000)
    return round(wait_ms * 1_000_000)


def make_follower(
    client: Client[Any], spec: FollowSpec, tell: Callable[[], None], *, market: int | None, announces: bool
) -> Follower:
    """Create a follower of one market, or of all current and future markets of the client (None).

    Raises UsageError before the client was started.
    """
    markets = client.markets if market is None else lambda: (market,)
    every_book = market is None
    follower = client.followers.follow(markets, spec, tell, every_book=every_book, announces=announces)
    if not (every_book or follower.markets):
        follower.finish()  # the book was removed in the meantime
    return follower


class UpdateStream(OneProcess):
    """What the streams of both APIs share: a follower and its end."""

    _pickle_instead = "pickle its updates instead"

    def __init__(self, followers: Followers, follower: Follower, *, is_single: bool) -> None:
        self._followers, self._follower, self._is_single = followers, follower, is_single
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """Whether the stream has ended."""
        return self._closed

    @property
    def held(self) -> int:
        """The number of items waiting for the consumer in mode `every`; 0 in all other modes."""
        return self._follower.held_items

    @property
    def held_bytes(self) -> int:
        """The approximate memory of these items, in bytes; at most `buffer_bytes`."""
        return self._follower.held_bytes

    def close(self) -> None:
        """Stop following; the iteration ends. May be called more than once."""
        if not self._closed:
            self._closed = True
            self._followers.forget(self._follower)

    def __del__(self) -> None:
        """Stop following when an unfinished iterator is garbage collected."""
        if not getattr(self, "_closed", True):
            self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self._follower.markets} books, {self.held} items waiting"
        return f"<{type(self).__module__}.{type(self).__name__}: {state}>"

    def take_now(self, now_ns: int) -> Update | None:
        """Take the item that is due at `now_ns` of the client's clock, if any.

        The last item of a single book closes the stream.
        """
        item = None if self._closed else self._follower.take(now_ns)
        if item is None:
            if self._follower.is_over:
                self.close()
        elif self._is_single and item.status is Status.CLOSED:
            self.close()
        return item


class _Signal:
    """A waiting task on an event loop."""

    def __init__(self) -> None:
        self.waiting: asyncio.Future[None] | None = None

    def tell(self) -> None:
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)


class Updates(UpdateStream):
    """The items of one book or of all books: `async for update in book.updates():`.

    You can leave the loop at any point (`break`, an exception, cancellation) without losing items; the next
    `async for` continues there. To end it, call `close()`, use `async with`, or drop the last reference. Only
    one task at a time may iterate, on the event loop of the client.
    """

    def __init__(self, client: Client[Any], spec: FollowSpec, *, market: int | None) -> None:
        """Created by `updates` of a book or client.

        `spec`: what to follow. `market`: the number of the book; None for all books.
        """
        self._client, self._signal, self._given = client, _Signal(), 0
        follower = make_follower(client, spec, self._signal.tell, market=market, announces=True)
        super().__init__(client.followers, follower, is_single=market is not None)

    def close(self) -> None:
        """Stop following; the iteration ends. May be called more than once."""
        super().close()
        self._signal.tell()

    async def aclose(self) -> None:
        """Stop following, as `close` does."""
        self.close()

    def __aiter__(self) -> Self:
        return self

    if not TYPE_CHECKING:  # type checkers report plain `for` by themselves

        def __iter__(self) -> NoReturn:
            """Raises TypeError: these items come asynchronously."""
            raise TypeError("iterate with `async for`; for plain `for`, use depthcache.blocking.connect")

    async def __anext__(self) -> Update:
        """Wait for the next item. Iteration ends after an item with status `closed`, or with the client."""
        self._client.check_loop()
        if self._given >= _WITHOUT_A_PAUSE:
            self._given = 0
            await asyncio.sleep(0)  # before taking an item, so that cancellation loses none
        while True:
            update = self.take_now(self._client.now_ns())
            if update is not None:
                self._given += 1
                return update
            if self._closed:
                raise StopAsyncIteration
            await self._wait()

    async def _wait(self) -> None:
        if self._signal.waiting is not None:
            raise UsageError("another task already waits on this stream: create one stream per task")
        self._given = 0
        self._signal.waiting = asyncio.get_running_loop().create_future()
        try:
            await self._signal.waiting
        finally:
            self._signal.waiting = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


publish(
    "depthcache",
    FollowMode,
    Updates,
)
