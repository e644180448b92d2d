"""What `paced` serves: a market that plays the diffs of one day forwards and backwards, at an exact rate.

python -m benches.paced_exchange --rate 5000
"""

from __future__ import annotations

import argparse
import json
import logging
import ssl
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import time_ns
from urllib.parse import parse_qsl, urlsplit

import orjson

import depthcache
from benches import market_data
from benches.captures import Capture
from benches.paced import FIRST_ID, SYMBOL, VENUE
from depthcache import venues
from depthcache.simulator import responses
from depthcache.simulator.commands import parse_target
from depthcache.simulator.interface import Exchange, HttpResponse, Sent, Session, Text
from depthcache.simulator.listing import ListedSymbol, exchange_info
from depthcache.simulator.profiles import SPOT_BTC
from depthcache.simulator.rebuilt import snapshot_body
from depthcache.simulator.recorded_session import RecordedSession, diff_stream
from depthcache.simulator.server import Server

RECORDING = "spot BTCUSDT 2024-08"
MOST_AT_ONCE = 64


class StampedText(Text):
    """A text stamped with the time at which it is sent."""

    __slots__ = ("_head", "_tail")
    _head: str
    _tail: str

    def __init__(self, text: str) -> None:
        head, key, rest = text.partition('"E":')
        object.__setattr__(self, "_head", head + key)
        object.__setattr__(self, "_tail", rest.lstrip("0123456789"))
        object.__setattr__(self, "drip_ns", 0)

    @property
    def text(self) -> str:
        """The frame, sent now."""
        return f"{self._head}{time_ns() // 1_000}{self._tail}"


class StampingSession(RecordedSession):
    """A session whose diffs are stamped."""

    def take(self) -> list[Sent]:
        """The frames to send now, in order."""
        return [
            StampedText(each.text) if isinstance(each, Text) and '"depthUpdate"' in each.text[:100] else each
            for each in super().take()
        ]


class PacedExchange(Exchange):
    """One symbol. `rate`: frames a second; None sends whenever the buffers allow it."""

    def __init__(self, *, rate: int | None) -> None:
        capture = market_data.load(RECORDING)
        self._venue = venues.venue(VENUE)
        self._changes = there_and_back(capture)
        self._book = depthcache.Book(VENUE, SYMBOL)
        self._book.load_snapshot(start_of(capture, FIRST_ID))
        self._every_ns = 0 if rate is None else 1_000_000_000 // rate
        self._next_id = FIRST_ID + 1
        self._due_ns: int | None = None
        self._sessions: list[StampingSession] = []
        self._key = diff_stream(SYMBOL)

    def venues(self) -> tuple[str, ...]:
        """One."""
        return (VENUE,)

    def symbols(self, venue: str) -> tuple[str, ...]:
        """One."""
        return (SYMBOL,)

    def request(self, venue: str, target: str, now_ns: int, *, client: str = "client") -> HttpResponse:
        """Snapshot, exchangeInfo, time, ping."""
        parts, time_ms = urlsplit(target), time_ns() // 1_000_000
        if parts.path == self._venue.depth_path:
            question = responses.depth_question(self._venue, dict(parse_qsl(parts.query)))
            if isinstance(question, HttpResponse):
                return question
            return responses.ok(self._snapshot(question[1], time_ms))
        if parts.path == self._venue.exchange_info_path:
            info = exchange_info(self._venue, {SYMBOL: ListedSymbol(SPOT_BTC)}, time_ms)
            return responses.ok(orjson.dumps(info))
        return responses.time(time_ms)

    def accept(
        self, venue: str, target: str, now_ns: int, *, client: str = "client"
    ) -> Session | HttpResponse:
        """A connection."""
        parsed = parse_target(target, self._venue)
        if parsed is None:
            return responses.no_such_path()
        session = StampingSession(self._venue, parsed, self._on_change)
        self._sessions.append(session)
        self._on_change(session, now_ns)
        return session

    def advance(self, now_ns: int) -> None:
        """Send what is due."""
        for _ in range(MOST_AT_ONCE):
            if self._due_ns is None or self._due_ns > now_ns:
                return
            self._due_ns += self._every_ns
            self._send()

    def next_ns(self) -> int | None:
        """When the next frame is due."""
        return self._due_ns

    def _on_change(self, session: RecordedSession, now_ns: int) -> None:
        self._sessions = [each for each in self._sessions if each.is_open]
        if not any(each.is_listening for each in self._sessions):
            self._due_ns = None
        elif self._due_ns is None:
            self._due_ns = now_ns

    def _send(self) -> None:
        number, self._next_id = self._next_id, self._next_id + 1
        sides = self._changes[(number - FIRST_ID - 1) % len(self._changes)]
        payload = (
            f'{{"e":"depthUpdate","E":{time_ns() // 1_000_000},"s":"{SYMBOL}","U":{number},"u":{number},'
        )
        payload += sides
        self._book.apply(payload)
        for session in self._sessions:
            session.on_data(self._key, payload)

    def _snapshot(self, limit: int, time_ms: int) -> bytes:
        book = self._book.exact
        bids, asks = list(book.bids[:limit]), list(book.asks[:limit])
        update_id = self._next_id - 1
        return snapshot_body(self._venue, SYMBOL, update_id, bids, asks, time_ms=time_ms)


Levels = Sequence[Sequence[str]]


def start_of(capture: Capture, update_id: int) -> bytes:
    """The recorded snapshot under another update id."""
    body = orjson.loads(capture.snapshot)
    changed: bytes = orjson.dumps({"lastUpdateId": update_id, "bids": body["bids"], "asks": body["asks"]})
    return changed


def there_and_back(capture: Capture) -> list[str]:
    """Both sides of every diff newer than the snapshot, then of their inverses, as the ends of payloads."""
    body = orjson.loads(capture.snapshot)
    held = {"b": dict(body["bids"]), "a": dict(body["asks"])}
    there: list[str] = []
    back: list[str] = []
    for frame in (*capture.before, *capture.after):
        data = orjson.loads(frame)["data"]
        if data["u"] <= body["lastUpdateId"]:
            continue
        there.append(_sides(data["b"], data["a"]))
        inverse: dict[str, Levels] = {}
        for side in ("b", "a"):
            # A price may occur twice in one message; the last one counts, in both directions.
            before = {price: held[side].get(price, "0.00000000") for price, _ in data[side]}
            inverse[side] = list(before.items())
            for price, quantity in data[side]:
                held[side][price] = quantity
        back.append(_sides(inverse["b"], inverse["a"]))
    return [*there, *reversed(back)]


def _sides(bids: Levels, asks: Levels) -> str:
    return f'"b":{orjson.dumps(bids).decode()},"a":{orjson.dumps(asks).decode()}}}'


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m benches.paced_exchange")
    parser.add_argument(
        "--rate", type=int, help="frames a second; the default is as fast as the client reads"
    )
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args(arguments)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # clients leave without reading everything
    exchange = PacedExchange(rate=options.rate)
    with tempfile.TemporaryDirectory() as folder:
        context, ca_file = None, None
        if options.tls:
            import trustme

            authority = trustme.CA()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(context)
            ca_file = str(Path(folder) / "authority.pem")
            authority.cert_pem.write_to_path(ca_file)
        with Server(exchange, paced=options.rate is None, tls=context, ca_file=ca_file) as server:
            print(json.dumps({"url": server.url, "ca_file": ca_file}), flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    main()
