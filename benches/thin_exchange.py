"""What the benchmarks of clusters read: thousands of books with little traffic, and a truth by formula.

All symbols repeat the same sequence of `STEPS` states: state `n % STEPS` is the book at update
id `FIRST_ID + n`. A few *quick* symbols change ten times a second, the others more rarely. So an exchange of
thousands of books costs little, and a reader compares a book with the truth by its update id alone.

    python -m benches.thin_exchange --books 1000        until stdin ends
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from time import time_ns
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from urllib.request import urlopen

from benches.paced import VENUE, Endpoint
from depthcache import venues
from depthcache.simulator import http_server, responses
from depthcache.simulator import server as simulator_server
from depthcache.simulator.commands import parse_target
from depthcache.simulator.interface import Exchange, HttpResponse, Session
from depthcache.simulator.listing import ListedSymbol, exchange_info
from depthcache.simulator.profiles import SPOT_BTC
from depthcache.simulator.recorded_session import RecordedSession, diff_stream, stream_key
from depthcache.simulator.server import Server

__all__ = ["FIRST_ID", "QUICK", "VENUE", "ThinExchange", "levels_at", "serving", "symbols"]

FIRST_ID = 1_000_000
STEPS = 24
LEVELS = 1_000
CHANGED = 4
"""Levels a side that an update changes."""
QUICK, QUICK_S = 20, 0.1
"""How many symbols change often, and how often."""
ROUND_TRIP_NS = 20_000_000
_BEST = 60_000
_TOP = 20

Side = list[tuple[str, str]]


def symbols(count: int) -> tuple[str, ...]:
    """The listed symbols; the first `QUICK` are the quick ones."""
    return tuple(f"S{number:04}USDT" for number in range(count))


@cache
def levels_at(step: int) -> tuple[Side, Side]:
    """Both sides in a state: every level has the quantity of the last update that set it."""
    return _side(step, -1), _side(step, 1)


def _side(step: int, sign: int) -> Side:
    return [(f"{_BEST + sign * (1 + place) / 100:.8f}", _quantity(step, place)) for place in range(LEVELS)]


def _quantity(step: int, place: int) -> str:
    """A place among the best is set once a period, by the update to step `place // CHANGED`."""
    is_set = place < STEPS * CHANGED // 2 and place // CHANGED <= step % STEPS < place // CHANGED + STEPS // 2
    return f"{1 + place / 8 + (0.5 if is_set else 0):.8f}"


@cache
def _changes(step: int) -> str:
    """The end of the update to a state."""
    before, after = levels_at((step - 1) % STEPS), levels_at(step)
    found = [
        [level for level, old in zip(new, earlier, strict=True) if level != old]
        for earlier, new in zip(before, after, strict=True)
    ]
    return f'"b":{json.dumps(found[0])},"a":{json.dumps(found[1])}}}'


@cache
def _body(step: int, limit: int) -> str:
    """The end of a snapshot of a state."""
    bids, asks = levels_at(step)
    return f'"bids":{json.dumps(bids[:limit])},"asks":{json.dumps(asks[:limit])}}}'


@dataclass(slots=True)
class _Turn:
    """Symbols that change one after the other."""

    indices: range
    every_ns: int
    number: int = 0
    due_ns: int = 0


class ThinExchange(Exchange):
    """`books` symbols; those that are not quick change every `interval_s`."""

    def __init__(self, *, books: int, interval_s: float) -> None:
        self._venue = venues.venue(VENUE)
        self._symbols = symbols(books)
        self._index = {symbol: index for index, symbol in enumerate(self._symbols)}
        self._diffs = [diff_stream(symbol) for symbol in self._symbols]
        self._tops = [stream_key(f"{symbol}@depth{_TOP}@100ms") for symbol in self._symbols]
        self._counts = [0] * books
        self._sessions: list[RecordedSession] = []
        self._weights = responses.Weights()
        self._asked = {"snapshots": 0, "weight": 0, "connections": 0}
        every_ns = round(1e9 * interval_s / (books - QUICK))
        self._turns = [
            _Turn(range(QUICK), round(1e9 * QUICK_S / QUICK)),
            _Turn(range(QUICK, books), every_ns),
        ]

    def venues(self) -> tuple[str, ...]:
        """One."""
        return (VENUE,)

    def symbols(self, venue: str) -> tuple[str, ...]:
        """All."""
        return self._symbols

    def request(self, venue: str, target: str, now_ns: int, *, client: str = "client") -> HttpResponse:
        """Snapshot, exchangeInfo, time, ping; and what was asked so far, for the benchmark."""
        parts, time_ms = urlsplit(target), time_ns() // 1_000_000
        query = dict(parse_qsl(parts.query))
        if parts.path == "/asked":
            return responses.ok(json.dumps(self._asked).encode())
        if parts.path == self._venue.depth_path:
            question = responses.depth_question(self._venue, query)
            if isinstance(question, HttpResponse):
                return question
            return self._snapshot(*question, client, now_ns)
        if parts.path == self._venue.exchange_info_path:
            asked = json.loads(query["symbols"]) if "symbols" in query else self._symbols
            info = exchange_info(self._venue, dict.fromkeys(asked, ListedSymbol(SPOT_BTC)), time_ms)
            return responses.ok(json.dumps(info).encode())
        return responses.time(time_ms)

    def accept(
        self, venue: str, target: str, now_ns: int, *, client: str = "client"
    ) -> Session | HttpResponse:
        """A connection."""
        parsed = parse_target(target, self._venue)
        if parsed is None:
            return responses.no_such_path()
        self._asked["connections"] += 1
        session = RecordedSession(self._venue, parsed, self._on_change)
        self._sessions.append(session)
        return session

    def advance(self, now_ns: int) -> None:
        """Send what is due, and skip what is late by more than a second."""
        for turn in self._turns:
            if turn.due_ns < now_ns - 1_000_000_000:
                turn.due_ns = now_ns
            while turn.due_ns <= now_ns:
                self._send(turn.indices[turn.number % len(turn.indices)])
                turn.number += 1
                turn.due_ns += turn.every_ns

    def next_ns(self) -> int | None:
        """When the next frame is due; at rest before the first connection."""
        return min(turn.due_ns for turn in self._turns) if self._sessions else None

    def _on_change(self, session: RecordedSession, now_ns: int) -> None:
        self._sessions = [each for each in self._sessions if each.is_open]

    def _send(self, index: int) -> None:
        self._counts[index] += 1
        count = self._counts[index]
        diff, top = self._diffs[index], self._tops[index]
        payload = best = ""
        for session in self._sessions:
            if session.wants(diff):
                payload = payload or (
                    f'{{"e":"depthUpdate","E":{time_ns() // 1_000_000},"s":"{self._symbols[index]}",'
                    f'"U":{FIRST_ID + count},"u":{FIRST_ID + count},{_changes(count % STEPS)}'
                )
                session.on_data(diff, payload)
            if session.wants(top):
                best = best or f'{{"lastUpdateId":{FIRST_ID + count},{_body(count % STEPS, _TOP)}'
                session.on_data(top, best)

    def _snapshot(self, symbol: str, limit: int, client: str, now_ns: int) -> HttpResponse:
        if symbol not in self._index:
            return responses.unknown_symbol()
        count = self._counts[self._index[symbol]]
        weight = self._venue.snapshot_weight(limit)
        self._asked["snapshots"] += 1
        self._asked["weight"] += weight
        body = f'{{"lastUpdateId":{FIRST_ID + count},{_body(count % STEPS, limit)}'
        response = HttpResponse(200, body.encode(), delay_ns=ROUND_TRIP_NS)
        return self._weights.charged(response, self._venue, weight, client, now_ns)


@contextmanager
def serving(*, books: int, interval_s: float, host: str = "127.0.0.1") -> Iterator[Endpoint]:
    """Start a new exchange in a process of its own."""
    command = [sys.executable, "-m", "benches.thin_exchange", "--books", str(books)]
    command += ["--interval", str(interval_s), "--host", host]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the process that measures
    ) as process:
        if process.stdout is None or process.stdin is None:
            raise AssertionError("the process has no pipes")
        try:
            yield Endpoint(**json.loads(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait(30)


def environment(endpoint: Endpoint) -> dict[str, str]:
    """The variables with which a node finds this exchange, and nothing else."""
    found = {"DEPTHCACHE_PROXIES": "false", "DEPTHCACHE_SERVER": ""}
    for name in venues.names():
        prefix = f"DEPTHCACHE_{name.upper().replace('.', '_').replace('-', '_')}"
        rest = f"{endpoint.url}/{name}"
        found |= {f"{prefix}_REST": rest, f"{prefix}_WEBSOCKET": rest.replace("http", "ws", 1)}
    return found


def asked(endpoint: Endpoint) -> dict[str, Any]:
    """What the exchange was asked so far: `snapshots`, their `weight`, and `connections`."""
    with urlopen(f"{endpoint.rest}/asked", timeout=30) as response:  # noqa: S310 - loopback
        found: dict[str, Any] = json.loads(response.read())
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m benches.thin_exchange")
    parser.add_argument("--books", type=int, required=True)
    parser.add_argument("--interval", type=float, default=2.0)
    parser.add_argument("--host", default=http_server.HOST)
    options = parser.parse_args(arguments)
    for module in (http_server, simulator_server):  # embedded exchanges are for loopback alone
        vars(module)["HOST"] = options.host
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # clients leave without reading everything
    with Server(ThinExchange(books=options.books, interval_s=options.interval)) as server:
        print(json.dumps({"url": server.url, "ca_file": None}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
