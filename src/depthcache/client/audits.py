"""Audits of live books: pending comparisons, and the sum of several."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Protocol, TypeVar

from depthcache._native import BookReader
from depthcache.arguments import parse_real
from depthcache.client.config import parse_timeout
from depthcache.client.waiters import sync_timeout
from depthcache.core.client import ClientCore
from depthcache.core.markets.cross_check import Source
from depthcache.core.notices import AuditDone, RequestRefusal
from depthcache.errors import BookClosed, RequestRejected
from depthcache.model import Audit, Status

__all__ = ["Audits", "CallCore"]

_BETWEEN_AUDITS_S = 20.0

T = TypeVar("T")


class CallCore(Protocol):
    """`io.runner.Runner.call_core`."""

    def __call__(self, call: Callable[[ClientCore, int], T]) -> T:
        """Return the result of `call(core, now)`."""
        ...


class Audits:
    """The audits of one client. All methods must be called on its event loop."""

    def __init__(self, call_core: CallCore, *, is_closed: Callable[[], bool]) -> None:
        self._call_core, self._is_closed = call_core, is_closed
        self._numbers = count(1)
        self._awaited: dict[int, asyncio.Future[Audit]] = {}

    def begin(self, market: int, limit: int) -> None:
        """Schedule a snapshot with that limit to be merged into a book; the result is not reported."""
        self._ask(market, next(self._numbers), limit)

    async def once(self, market: int, book: BookReader, limit: int, *, timeout_s: float | None) -> Audit:
        """Compare a book with a snapshot at one update id.

        Raises SyncTimeout, BookClosed and RequestRejected.
        """
        timeout_s = parse_timeout(timeout_s)
        if self._is_closed() or book.status is Status.CLOSED:
            raise BookClosed(exchange=book.exchange, symbol=book.symbol, reason=book.reason)
        number = next(self._numbers)
        done = self._awaited[number] = asyncio.get_running_loop().create_future()
        try:
            self._ask(market, number, limit)
            async with asyncio.timeout(timeout_s):
                found: Audit = await done
                return found
        except TimeoutError:
            awaited = "the snapshot to compare it with"
            raise sync_timeout([book], timeout_s or 0.0, asked=1, awaited=awaited) from None
        except _AuditFailed as failed:
            if (refusal := failed.refusal) is not None:
                raise RequestRejected(
                    url=refusal.url, status=refusal.status, code=refusal.code, text=refusal.text
                ) from None
            raise BookClosed(exchange=book.exchange, symbol=book.symbol, reason=str(failed)) from None
        finally:
            self._awaited.pop(number, None)

    async def for_some_time(
        self, market: int, book: BookReader, limit: int, *, seconds: float, timeout_s: float | None
    ) -> Audit:
        """Compare a book for `seconds`, also with other streams of the exchange. Raises as `once` does."""
        seconds = parse_real(seconds, name="seconds", allowed="seconds, 0 or more", least=0)
        first = await self.once(market, book, limit, timeout_s=timeout_s)
        if seconds <= 0:
            return first
        loop = asyncio.get_running_loop()
        self._call_core(lambda core, now_ns: core.start_cross_check(market, now_ns))
        found, ends_at = [first], loop.time() + seconds
        try:
            while (left_s := ends_at - loop.time()) > 0:
                await asyncio.sleep(min(left_s, _BETWEEN_AUDITS_S))
                with suppress(RequestRejected):  # a refused snapshot is no finding about the book
                    found.append(await self.once(market, book, limit, timeout_s=timeout_s))
        finally:
            sources = {} if self._is_closed() else self._end_cross_check(market)
        return _summed(found, sources)

    def on_done(self, done: AuditDone) -> None:
        """A comparison was made or abandoned."""
        awaited = self._awaited.get(done.audit)
        if awaited is None or awaited.done():
            return
        if done.found is None:
            awaited.set_exception(_AuditFailed(done.reason, done.refusal))
        else:
            awaited.set_result(Audit(*done.found))

    def _ask(self, market: int, number: int, limit: int) -> None:
        self._call_core(lambda core, now_ns: core.audit(market, number, limit, now_ns))

    def _end_cross_check(self, market: int) -> dict[str, Source]:
        return self._call_core(lambda core, now_ns: core.end_cross_check(market, now_ns))


def _summed(found: list[Audit], sources: dict[str, Source]) -> Audit:
    named = {"rest": (len(found), 0)}
    named |= {name.partition("@")[2]: (each.compared, each.skipped) for name, each in sources.items()}
    parts = [each[1:5] for each in found]
    parts += [(each.checked, each.differing, each.missing, each.extra) for each in sources.values()]
    checked, differing, missing, extra = map(sum, zip(*parts, strict=True))
    return Audit(found[-1].update_id, checked, differing, missing, extra, named)


class _AuditFailed(Exception):
    """There will be no comparison: the exchange refused the snapshot, or the book was closed."""

    def __init__(self, reason: str, refusal: RequestRefusal | None) -> None:
        super().__init__(reason)
        self.refusal = refusal
