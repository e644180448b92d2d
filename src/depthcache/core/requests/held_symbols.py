"""The symbols that a book server holds: asked for once it holds none of a name, to suggest similar ones."""

from __future__ import annotations

from typing import Protocol

from depthcache.core.bodies import UnreadableBody, listed_in
from depthcache.core.context import Context
from depthcache.core.requests.exchange_info import near_symbols
from depthcache.core.requests.responses import ClassifiedResponse, ResponseAction
from depthcache.core.requests.scheduler import PendingRequest, Purpose, Requester, RequestScheduler
from depthcache.venues.venue import Venue

__all__ = ["HeldSymbols", "NearSymbolsSubscriber"]


class NearSymbolsSubscriber(Protocol):
    """Wants names similar to its own: the supervisor of a market."""

    symbol: str
    owner: str
    """As `Requester.owner`."""

    def on_near(self, near: tuple[str, ...], now_ns: int) -> None:
        """Similar symbols that the server holds, best match first; none if it does not say."""


class HeldSymbols(Requester):
    """The symbols of one venue at its book servers. One request serves all subscribers that wait for it."""

    def __init__(self, context: Context, venue: Venue, scheduler: RequestScheduler) -> None:
        self._context, self._venue, self._scheduler = context, venue, scheduler
        self.owner: str = f"held symbols {venue.name}"
        self._waiting: list[NearSymbolsSubscriber] = []
        self._server: int | None = None

    def server(self) -> int | None:
        """The number of the book server that is asked."""
        return self._server

    def ask(self, subscriber: NearSymbolsSubscriber, server: int | None, now_ns: int) -> None:
        """Report the symbols similar to the subscriber's, once."""
        self._waiting.append(subscriber)
        if len(self._waiting) == 1:
            self._server = server
            url = self._venue.exchange_info_url(server=server or 0)
            self._scheduler.ask(PendingRequest(self, self._venue, Purpose.FACT, now_ns, url=url), now_ns)

    def on_response(
        self, pending: PendingRequest, response: ClassifiedResponse, body: bytes, now_ns: int
    ) -> None:
        """The list arrived, or a refusal."""
        try:
            held = listed_in(body, self._venue) if response.action is ResponseAction.INSTALL else {}
        except UnreadableBody:
            held = {}
        self._tell(held, now_ns)

    def on_failure(self, pending: PendingRequest, reason: str, now_ns: int) -> None:
        """No list arrived."""
        self._tell({}, now_ns)

    def _tell(self, held: dict[str, str], now_ns: int) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            with self._context.guard(each.owner, "on_near", now_ns):
                each.on_near(near_symbols(each.symbol, held), now_ns)
