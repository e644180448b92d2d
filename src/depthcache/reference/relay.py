"""A relayed market: its diffs come from a book server, which also says what its own book is.

The states of the server's book come in the stream of its diffs:

    {"stream":"btcusdt@depth@100ms@state1","data":{"e":"bookState","s":"BTCUSDT","status":"buffering",
     "reason":"updates are missing","u":50093239202,"server":"65f3a2b1c","generation":1}}

A relayed book is never synced unless a server says, in order with the diffs, that its own book is. `u` is
the id up to which diffs were sent before the state: a book that is behind it has missed some. After a new
connection the book continues from its id; a first state below that id, or one of another generation of the
same server's book, shows that the diffs do not continue it. While the server of another connection holds
a synced book, neither counts, because that server's diffs do; only a later generation counts.

The twin of `crates/book/src/market/relay.rs`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from depthcache.model import Status
from depthcache.reference import reasons
from depthcache.reference.names import printable

__all__ = ["BookState", "Relay", "Report", "StateChange", "parse_book_state"]

_MOST_OF_REASON = 300
"""Most characters of what a server says."""
_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class BookState:
    """The state of a server's book.

    Attributes:
        status, reason: what the server says of it.
        update_id: up to which id its diffs were sent before this; None before one.
        server: what tells the server from others.
        generation: changes where the diffs do not lead to the levels that the server holds now.
    """

    status: str
    reason: str = ""
    update_id: int | None = None
    server: str = ""
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What the server of one connection said last, and its server and generation.

    `status` is stale for an unknown word.
    """

    status: Status
    reason: str
    origin: tuple[str, int]

    @property
    def rank(self) -> int:
        """Lowest for the best status."""
        return list(Status).index(self.status)


class StateChange(NamedTuple):
    """What a state means for the book that is held.

    Attributes:
        is_news: it is another than the last of its connection.
        leads: its server leads, so the book must be checked against it.
        is_rebuilt: the server rebuilt its book.
        was_synced: its connection said `synced` before.
    """

    is_news: bool
    leads: bool = False
    is_rebuilt: bool = False
    was_synced: bool = False


class Relay:
    """What the servers of a market say."""

    def __init__(self) -> None:
        self.reports: dict[int, Report] = {}
        self.origin: tuple[str, int] | None = None
        """The server and generation of the book that is held."""

    def is_led_by_another(self, connection: int) -> bool:
        """Whether the server of another connection holds a synced book."""
        return any(
            report.status is Status.SYNCED for number, report in self.reports.items() if number != connection
        )

    def _is_of_later_generation(self, origin: tuple[str, int]) -> bool:
        """Whether the server of the held book rebuilt it: no other connection continues the new one."""
        return self.origin is not None and self.origin[0] == origin[0] and self.origin[1] < origin[1]

    def upstream(self) -> tuple[Status, str] | None:
        """The best of what the servers say; None before one has said anything."""
        best = min(self.reports.values(), key=lambda report: report.rank, default=None)
        return None if best is None else (best.status, best.reason)

    def condition(self) -> tuple[Status, str] | None:
        """What hides the book; None where a server's book is synced."""
        status, reason = self.upstream() or (Status.STALE, reasons.WAITING_FOR_STATE)
        if status is Status.SYNCED:
            return None
        return (Status.HALTED if status is Status.HALTED else Status.STALE), reason

    def on_state(self, connection: int, name: str, said: BookState) -> StateChange:
        """A server says what its book is."""
        before = self.reports.pop(connection, None)
        words = f"{said.status}: {said.reason}" if said.reason else said.status
        status = Status(said.status) if said.status in set(Status) else Status.STALE
        origin = (said.server, said.generation)
        now = self.reports[connection] = Report(
            status, f"{name}: {printable(words)[:_MOST_OF_REASON]}", origin
        )
        was_synced = before is not None and before.status is Status.SYNCED
        if status is not Status.SYNCED or (
            self.is_led_by_another(connection) and not self._is_of_later_generation(origin)
        ):
            return StateChange(is_news=now != before)
        other, self.origin = self.origin, origin
        is_rebuilt = other is not None and other[0] == said.server and other[1] != said.generation
        return StateChange(is_news=now != before, leads=True, is_rebuilt=is_rebuilt, was_synced=was_synced)


def parse_book_state(raw: bytes) -> BookState | None:
    """The state in a valid frame; None where it carries anything else."""
    found: object = json.loads(raw).get("data")
    data = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    status, update_id, generation = data.get("status"), data.get("u"), data.get("generation", 0)
    if data.get("e") != "bookState" or not isinstance(status, str):
        return None
    if not (_is_id(generation) and (update_id is None or _is_id(update_id))):
        return None
    reason, server = (
        text if isinstance(text := data.get(name), str) else "" for name in ("reason", "server")
    )
    return BookState(status, reason=reason, update_id=update_id, server=server, generation=generation)


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_ID
