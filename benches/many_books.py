"""500 books at once: their cost, their latency, and a burst of ten times the traffic.

The exchange runs in its own process and serves 500 symbols over loopback: two fifths play the recorded day of
spot BTCUSDT (46 levels a frame), the others that of NEXOUSDT (2), each forwards and then backwards; together
5,000 frames and about 100,000 level updates a second. The comparison is with the bare native receiver of the
same streams, which has no books. Each contestant runs in its own process; in every round the client runs
between two bare receivers on one exchange, whose difference is the noise of the machine. The burst comes
once, after that.

    python -m benches.many_books --serve --rate 5000      the exchange alone
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import time_ns
from urllib.parse import parse_qsl, urlsplit

import depthcache
from benches import market_data, paced, paced_exchange
from benches.cpu import MAX_OF_BARE, _cpu_s
from benches.measure import Row, above, above_beside, estimate, ratio_beside, ratio_of, span
from depthcache import _native, venues
from depthcache.io.network import native as native_network
from depthcache.simulator import responses
from depthcache.simulator.commands import parse_target
from depthcache.simulator.interface import Exchange, HttpResponse, Session
from depthcache.simulator.listing import ListedSymbol, exchange_info
from depthcache.simulator.profiles import SPOT_BTC
from depthcache.simulator.rebuilt import snapshot_body
from depthcache.simulator.recorded_session import RecordedSession, diff_stream
from depthcache.simulator.server import Server

BOOKS = 500
RATE = 5_000
BURST = 10
ROUNDS = 6
"""The fewest whose interval reaches 95 %."""
SECONDS = 2.0
DELAYS_S = 1.0
"""After that, for the latency: measuring delays costs CPU itself."""
SETTLE_S = 0.8
DEADLINE_S = 90.0
DEPTH = 20
STREAMS_A_CONNECTION = 200
MOST_START_S = 60.0
MOST_ABOVE_MS = 0.1
MOST_DRAIN_S = 1.0
BUSY = ("spot BTCUSDT 2024-08", 2)
THIN = ("spot NEXOUSDT 2024-07", 3)
"""A recording, and how many out of five symbols play it."""
MOST_DIFFS = 3_000
SYMBOLS = tuple(f"S{number:03}USDT" for number in range(BOOKS))
CONTESTANTS = ("bare", "books")
AGAIN = "bare again"


class NotMeasured(Exception):
    """A contestant failed, with the reason."""


# --- the exchange -----------------------------------------------------------------------------------


class ManyBooksExchange(Exchange):
    """500 symbols in turn, a frame each."""

    def __init__(self, *, rate: int) -> None:
        self._venue = venues.venue(paced.VENUE)
        self.rate = rate
        self._number = 0
        self._due_ns: int | None = None
        self._sessions: list[paced_exchange.StampingSession] = []
        played = {}
        for title, _ in (BUSY, THIN):
            capture = market_data.load(title)
            short = market_data.shortened(capture, MOST_DIFFS)
            played[title] = (
                paced_exchange.start_of(capture, paced.FIRST_ID),
                paced_exchange.there_and_back(short),
            )
        kinds = [BUSY[0]] * BUSY[1] + [THIN[0]] * THIN[1]
        self._changes = [played[kinds[index % len(kinds)]][1] for index in range(BOOKS)]
        self._starts = [played[kinds[index % len(kinds)]][0] for index in range(BOOKS)]
        self._keys = [diff_stream(symbol) for symbol in SYMBOLS]
        self._index = {symbol: index for index, symbol in enumerate(SYMBOLS)}

    def venues(self) -> tuple[str, ...]:
        """One."""
        return (paced.VENUE,)

    def symbols(self, venue: str) -> tuple[str, ...]:
        """All."""
        return SYMBOLS

    def request(self, venue: str, target: str, now_ns: int, *, client: str = "client") -> HttpResponse:
        """Snapshot, exchangeInfo, time, ping; and the rate, set by the benchmark."""
        parts, time_ms = urlsplit(target), time_ns() // 1_000_000
        asked = dict(parse_qsl(parts.query))
        if parts.path == "/rate":
            self.rate = int(asked["frames"])
            return responses.ok(json.dumps({"sent": self._number}).encode())
        if parts.path == self._venue.depth_path:
            question = responses.depth_question(self._venue, asked)
            if isinstance(question, HttpResponse):
                return question
            return responses.ok(self._snapshot(*question, time_ms))
        if parts.path == self._venue.exchange_info_path:
            info = exchange_info(self._venue, dict.fromkeys(SYMBOLS, ListedSymbol(SPOT_BTC)), time_ms)
            return responses.ok(json.dumps(info).encode())
        return responses.time(time_ms)

    def accept(
        self, venue: str, target: str, now_ns: int, *, client: str = "client"
    ) -> Session | HttpResponse:
        """A connection."""
        parsed = parse_target(target, self._venue)
        if parsed is None:
            return responses.no_such_path()
        session = paced_exchange.StampingSession(self._venue, parsed, self._on_change)
        self._sessions.append(session)
        self._on_change(session, now_ns)
        return session

    def advance(self, now_ns: int) -> None:
        """Send what is due."""
        for _ in range(4 * paced_exchange.MOST_AT_ONCE):
            if self._due_ns is None or self._due_ns > now_ns:
                return
            self._due_ns += 1_000_000_000 // self.rate
            self._send()
        if self._due_ns is not None and self._due_ns < now_ns - 100_000_000:
            self._due_ns = now_ns  # too slow for the rate: skip what was not sent

    def next_ns(self) -> int | None:
        """When the next frame is due."""
        return self._due_ns

    def _on_change(self, session: RecordedSession, now_ns: int) -> None:
        self._sessions = [each for each in self._sessions if each.is_open]
        if not any(each.is_listening for each in self._sessions):
            self._due_ns = None
        elif self._due_ns is None:
            self._due_ns = now_ns

    def _applied(self, index: int) -> int:
        """The number of diffs sent for a symbol."""
        return self._number // BOOKS + (1 if index < self._number % BOOKS else 0)

    def _send(self) -> None:
        index = self._number % BOOKS
        count = self._number // BOOKS
        self._number += 1
        number = paced.FIRST_ID + 1 + count
        sides = self._changes[index][count % len(self._changes[index])]
        payload = (
            f'{{"e":"depthUpdate","E":{time_ns() // 1_000_000},"s":"{SYMBOLS[index]}",'
            f'"U":{number},"u":{number},{sides}'
        )
        for session in self._sessions:
            session.on_data(self._keys[index], payload)

    def _snapshot(self, symbol: str, limit: int, time_ms: int) -> bytes:
        index = self._index[symbol]
        count, changes = self._applied(index), self._changes[index]
        book = depthcache.Book(paced.VENUE, symbol)
        book.load_snapshot(self._starts[index])
        turn = count // len(changes) * len(changes)
        for past in range(count - turn):
            number = paced.FIRST_ID + 1 + past
            book.apply(f'{{"e":"depthUpdate","E":1,"s":"{symbol}","U":{number},"u":{number},{changes[past]}')
        exact = book.exact
        bids, asks = list(exact.bids[:limit]), list(exact.asks[:limit])
        return snapshot_body(self._venue, symbol, paced.FIRST_ID + count, bids, asks, time_ms=time_ms)


def serve(rate: int) -> None:
    """Until stdin ends."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    with Server(ManyBooksExchange(rate=rate)) as server:
        print(json.dumps({"url": server.url, "ca_file": None}), flush=True)
        sys.stdin.read()


@contextmanager
def serving() -> Iterator[paced.Endpoint]:
    """Start a new exchange."""
    command = [sys.executable, "-m", "benches.many_books", "--serve", "--rate", str(RATE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None or process.stdin is None:
            raise AssertionError("the process has no pipes")
        try:
            yield paced.Endpoint(**json.loads(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait(30)


# --- one contestant, in its own process -----------------------------------------------------------


@contextmanager
def bare(endpoint: paced.Endpoint) -> Iterator[_native._Probe]:
    """The transport without books, on as many connections as the client uses."""
    probe = _native._Probe(times=False)
    transport = _native.Transport(None, quiet_s=60, pong_s=60, ca_file=endpoint.ca_file, _probe=probe)
    groups = [
        SYMBOLS[start : start + STREAMS_A_CONNECTION] for start in range(0, BOOKS, STREAMS_A_CONNECTION)
    ]
    for number, group in enumerate(groups, 1):
        streams = "/".join(f"{symbol.lower()}@depth@100ms" for symbol in group)
        transport.open(number, f"{endpoint.websocket}/stream?streams={streams}")
    try:
        yield probe
    finally:
        for number in range(1, len(groups) + 1):
            transport.stop(number)
        transport.join()


@contextmanager
def books(endpoint: paced.Endpoint) -> Iterator[_native._Probe]:
    """The client with default settings."""
    probe = _native._Probe(times=False)
    native_network.Transport = partial(_native.Transport, _probe=probe)  # type: ignore[assignment,attr-defined]
    connecting = depthcache.blocking.connect(paced.VENUE, SYMBOLS, depth=DEPTH, settings=endpoint.settings)
    with connecting as all_books:
        all_books.wait_synced(timeout=DEADLINE_S)
        yield probe
        lost = sum(book.counters["gaps"] for book in all_books)
        unsynced = sum(book.status.value != "synced" for book in all_books)
        if lost or unsynced:
            raise AssertionError(f"{lost} gaps, {unsynced} books not synced")


def measure_one(
    contestant: str, endpoint: paced.Endpoint, seconds: float, burst_s: float
) -> dict[str, float]:
    """Start, cost and latency at a constant rate; then the burst, if any, and the time to drain it."""
    begin = time.monotonic()
    with {"bare": bare, "books": books}[contestant](endpoint) as probe:
        start_s = time.monotonic() - begin
        time.sleep(SETTLE_S)
        first, before_s = probe.frames(), _cpu_s()
        time.sleep(seconds)
        spent_s, frames = _cpu_s() - before_s, probe.frames() - first
        probe.set_times(True)
        time.sleep(DELAYS_S)
        delays = sorted(probe.take_delays_ns())
        steady = {
            "start_s": start_s,
            "frames": frames / seconds,
            "cpu_us": spent_s / frames * 1e6,
            "p99_ms": delays[int(0.99 * len(delays))] / 1e6,
        }
        if not burst_s:
            return steady
        set_rate(endpoint, RATE * BURST)
        time.sleep(burst_s)
        set_rate(endpoint, RATE)
        taken, ended = len(probe.take_delays_ns()), time.monotonic()
        while not (late := probe.take_delays_ns()) or sorted(late)[len(late) // 2] > 5e6:
            if time.monotonic() - ended > DEADLINE_S:
                break
            time.sleep(0.05)
        drain_s = time.monotonic() - ended
        time.sleep(1.0)
        after = sorted(probe.take_delays_ns())
        return steady | {
            "burst": taken / burst_s,
            "drain_s": drain_s,
            "p99_after_ms": after[int(0.99 * len(after))] / 1e6,
        }


def set_rate(endpoint: paced.Endpoint, frames: int) -> None:
    """Set the rate of the exchange."""
    from urllib.request import urlopen

    with urlopen(f"{endpoint.rest}/rate?frames={frames}", timeout=30) as response:  # noqa: S310 - loopback
        response.read()


# --- all of them ----------------------------------------------------------------------------------


def run(*, rounds: int = ROUNDS, burst_s: float) -> list[Row]:
    """What 500 books cost on top of receiving their frames."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ("bare", "books", AGAIN)}
    try:
        for _ in range(rounds):
            with serving() as endpoint:
                for name in found:
                    found[name].append(in_its_own_process(name.partition(" ")[0], endpoint, burst_s=0.0))
        burst = {}
        for name in CONTESTANTS:
            with serving() as endpoint:
                burst[name] = in_its_own_process(name, endpoint, burst_s=burst_s)
    except NotMeasured as why:
        return [Row(f"{BOOKS} books", str(why), None, 1.0)]
    column = {name: {key: [each[key] for each in rows] for key in rows[0]} for name, rows in found.items()}
    receiver, ours, again = column.values()
    median = {
        name: {key: statistics.median(values) for key, values in of.items()} for name, of in column.items()
    }
    return [
        Row.of(
            f"start to {BOOKS} synced books, {DEPTH} levels or more",
            f"{median['books']['start_s']:.1f} s",
            estimate(each / MOST_START_S for each in ours["start_s"]),
            1.0,
        ),
        Row.of(
            f"CPU at {median['books']['frames']:,.0f}/s against the bare receiver",
            f"{median['books']['cpu_us']:.1f} us against {median['bare']['cpu_us']:.1f} us a frame; "
            f"bare against itself: {span(ratio_of(again['cpu_us'], receiver['cpu_us']).interval)}",
            ratio_beside(ours["cpu_us"], receiver["cpu_us"], again["cpu_us"]),
            MAX_OF_BARE,
        ),
        Row.of(
            "p99 from sent to readable above the bare receiver's, in ms",
            f"{median['books']['p99_ms']:.3f} ms against {median['bare']['p99_ms']:.3f} ms; "
            f"bare against itself: {span(above(again['p99_ms'], receiver['p99_ms']).interval)}",
            above_beside(ours["p99_ms"], receiver["p99_ms"], again["p99_ms"]),
            MOST_ABOVE_MS,
        ),
        *_rows_of_burst(burst["books"], burst["bare"], burst_s),
    ]


def _rows_of_burst(ours: dict[str, float], receiver: dict[str, float], burst_s: float) -> list[Row]:
    return [
        Row(
            f"a burst of {burst_s:.0f} s",
            f"{ours['burst']:,.0f}/s received, {receiver['burst']:,.0f}/s by the bare receiver",
        ),
        Row("seconds to drain the burst", f"{ours['drain_s']:.2f} s", ours["drain_s"], MOST_DRAIN_S),
        Row(
            "p99 after the burst, against before",
            f"{ours['p99_after_ms']:.3f} ms against {ours['p99_ms']:.3f} ms",
            ours["p99_after_ms"] / ours["p99_ms"],
        ),
    ]


def in_its_own_process(name: str, endpoint: paced.Endpoint, *, burst_s: float) -> dict[str, float]:
    """The measurement of one contestant. `burst_s`: 0 for no burst. Raises NotMeasured."""
    command = paced.contestant("benches.many_books", name, endpoint, SECONDS)
    command += ["--burst", str(burst_s)]
    response = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if response.returncode:
        why = response.stderr.strip().rpartition("\n")[2][:100]
        raise NotMeasured(f"{name} was not measured: {why}")
    measured: dict[str, float] = json.loads(response.stdout)
    return measured


def main(arguments: Sequence[str] | None = None) -> None:
    """The exchange, or one contestant, which prints JSON."""
    parser = argparse.ArgumentParser(prog="python -m benches.many_books")
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--as", dest="contestant", choices=CONTESTANTS)
    parser.add_argument("--url")
    parser.add_argument("--ca-file")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--burst", type=float, default=5.0)
    options = parser.parse_args(arguments)
    if options.serve:
        serve(options.rate)
        return
    endpoint = paced.Endpoint(options.url, options.ca_file)
    print(json.dumps(measure_one(options.contestant, endpoint, options.seconds, options.burst)))


if __name__ == "__main__":
    main()
