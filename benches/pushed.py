"""What a message to a subscriber costs, how late it is, and whether subscribers make the books late.

Three programs take part. One serves 500 books (`python -m benches.pushed`, the contestant). One relays the
frames of the same exchange and keeps no books (crates/server/examples/relay.rs). One is both the exchange and
the subscribers (push.rs), so no Python runs where delays are measured. All of them run all the time on the
same frames; the subscribers connect to one after the other. What is compared was measured in turns, next to
each other.
"""

from __future__ import annotations

import argparse
import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benches import many_books, market_data, paced, paced_exchange
from benches.measure import Estimate, Row, above, above_beside, estimate, span
from benches.memory import resident
from depthcache import _native, blocking, server, venues
from depthcache.io.network import native as native_network
from depthcache.simulator.listing import ListedSymbol, exchange_info
from depthcache.simulator.profiles import SPOT_BTC

BOOKS, RATE = many_books.BOOKS, many_books.RATE
SUBSCRIBERS, BOOKS_EACH = 20, 25
MANY, SILENT = 1_000, 100
LEVELS = 20
SECONDS = 0.4
SETTLE_S = 0.15
LINGER_S, IDLE_S = 0.05, 600
START_S = 60.0
MOST_CPU_US = 20.0
MOST_ABOVE_RELAY_MS = 0.3
MOST_ABOVE_ALONE_MS = 0.1
LEAST_SENT = 0.98
"""Of the wanted rate: where less was sent, the machine is too small for the load, and the row says so."""
TOKEN = "dcr_benchmark_benchmark"  # noqa: S105
JSON, MESSAGE_PACK = "depthcache.v1.json", "depthcache.v1.msgpack"


Measured = dict[str, float]


class NotMeasured(Exception):
    """One of the programs failed, with the reason."""


@dataclass(frozen=True, slots=True)
class Readers:
    """A kind of subscribers. `path`: what they connect to. `protocol`: a subprotocol of `/v1/ws`; empty for
    the exchange's own, with the streams in the path."""

    name: str
    path: str
    protocol: str = ""
    mode: str = ""


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many they are, and how many books each of them follows. `silent`: so many never read."""

    subscribers: int
    books: int
    silent: int = 0


EXCHANGE = Readers("the exchange's diffs", f"/{paced.VENUE}/stream?streams=")
KINDS = (
    Readers("every, JSON", "/v1/ws", JSON, "every"),
    Readers("every, MessagePack", "/v1/ws", MESSAGE_PACK, "every"),
    EXCHANGE,
)
RELAYED = Readers("bare relay", "/stream?streams=")


# --- the contestant, in its own process -------------------------------------------------------------


def serve_books(url: str) -> None:
    """Serve 500 books; each line of stdin is a question."""
    probe = _native._Probe(times=False)
    native_network.Transport = partial(_native.Transport, _probe=probe)  # type: ignore[assignment,attr-defined]
    # Views are forgotten at once, so that a run without subscribers may follow one with them.
    _native.BookServer = partial(_served, _native.BookServer)  # type: ignore[assignment,misc]
    settings = paced.Endpoint(url, None).settings
    with (
        tempfile.TemporaryDirectory() as folder,
        blocking.connect(paced.VENUE, many_books.SYMBOLS, depth=LEVELS, settings=settings) as books,
    ):
        config = server.ServerConfig(port=0, data_dir=folder, read_token=TOKEN, idle_s=IDLE_S)
        with server.serve(books, config) as running:
            books.wait_synced(timeout=START_S)
            print(json.dumps({"port": running.port}), flush=True)
            for line in sys.stdin:
                print(json.dumps(answer(line.strip(), probe, books)), flush=True)


def _served(make: Any, *arguments: Any, limits: dict[str, float], **options: Any) -> Any:
    return make(*arguments, limits=limits | {"linger_s": LINGER_S}, **options)


def answer(question: str, probe: _native._Probe, books: Any) -> dict[str, float]:
    """Memory of this process; how late its books were since the last `late`; what went wrong."""
    if question == "memory":
        return {"bytes": resident()}
    if question == "late":
        probe.set_times(True)
        probe.take_delays_ns()
        return {}
    if question == "lateness":
        delays = sorted(probe.take_delays_ns())
        probe.set_times(False)
        return {"p99_ms": delays[int(0.99 * len(delays))] / 1e6 if delays else float("inf")}
    lost = sum(book.counters["gaps"] for book in books)
    return {"gaps": lost, "unsynced": sum(book.status.value != "synced" for book in books)}


# --- all programs -----------------------------------------------------------------------------------


class Program:
    """A program that answers each line with one of JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port: int = 0

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all its threads."""
        threads = Path(f"/proc/{self._process.pid}/task").iterdir()
        return sum(int(each.joinpath("schedstat").read_text("ascii").split()[0]) for each in threads) / 1e9

    def ask(self, question: str) -> dict[str, Any]:
        """Ask and wait. Raises NotMeasured where the program has ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        except OSError:
            pass
        return self.line()

    def line(self) -> dict[str, Any]:
        """Its next line. Raises NotMeasured, also where it does not come for long."""
        stdout = self._process.stdout
        assert stdout is not None
        is_there, *_ = select.select([stdout], [], [], START_S)
        said = stdout.readline() if is_there else ""
        if not said:
            name = " ".join(map(str, self._process.args))[:60]  # type: ignore[arg-type]
            raise NotMeasured(f"not measured: {name} {'ended' if is_there else 'is too slow to answer'}")
        found: Any = json.loads(said)
        return found if isinstance(found, dict) else {"port": found}


@contextmanager
def program(*command: str | Path) -> Iterator[Program]:
    """A running one that has told its port."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            made = Program(process)
            made.port = made.line()["port"]
            yield made
        finally:
            process.kill()


class Stage:
    """Exchange, server, relay and subscribers."""

    def __init__(self, load: Program, books: Program, relay: Program) -> None:
        self.load, self.books, self.relay = load, books, relay

    def connect(self, readers: Readers, crowd: Crowd) -> None:
        """Let subscribers follow."""
        port = self.relay.port if readers is RELAYED else self.books.port
        self.tell(
            "connect",
            port=port,
            path=readers.path,
            token=TOKEN,
            protocol=readers.protocol,
            mode=readers.mode,
            levels=LEVELS,
            subscribers=crowd.subscribers,
            books=crowd.books,
            silent=crowd.silent,
        )

    def tell(self, op: str, **fields: object) -> dict[str, Any]:
        """A command of the load."""
        return self.load.ask(json.dumps({"op": op, **fields}))

    def measure(self, seconds: float) -> Measured:
        """Messages and their delays, the CPU of both servers, how late the books were, in so many seconds."""
        time.sleep(SETTLE_S)
        self.books.ask("late")
        before = self.books.cpu_s, self.relay.cpu_s
        seen = self.tell("measure", seconds=seconds)
        after = self.books.cpu_s, self.relay.cpu_s
        return {
            **{name: float("inf") if value is None else value for name, value in seen.items()},
            "cpu_s": after[0] - before[0],
            "relay_cpu_s": after[1] - before[1],
            "bytes": self.books.ask("memory")["bytes"],
            "books_p99_ms": self.books.ask("lateness")["p99_ms"],
        }

    def with_readers(self, readers: Readers, crowd: Crowd, *, seconds: float) -> Measured:
        """The same, with subscribers."""
        self.connect(readers, crowd)
        try:
            return self.measure(seconds)
        finally:
            self.tell("disconnect")

    def check(self) -> None:
        """Raises NotMeasured where a book was lost."""
        found = self.books.ask("lost")
        if any(found.values()):
            raise NotMeasured(f"not measured: {found}")


def write_market(folder: Path) -> None:
    """What the exchange plays."""
    turns = [0] * many_books.BUSY[1] + [1] * many_books.THIN[1]
    (folder / "kinds.json").write_text(json.dumps(turns))
    for kind, (title, _) in enumerate((many_books.BUSY, many_books.THIN)):
        capture = market_data.load(title)
        short = market_data.shortened(capture, many_books.MOST_DIFFS)
        (folder / f"start_{kind}.json").write_bytes(paced_exchange.start_of(capture, paced.FIRST_ID))
        (folder / f"changes_{kind}.txt").write_text("\n".join(paced_exchange.there_and_back(short)))
    listed = dict.fromkeys(many_books.SYMBOLS, ListedSymbol(SPOT_BTC))
    info = exchange_info(venues.venue(paced.VENUE), listed, time.time_ns() // 1_000_000)
    (folder / "exchange_info.json").write_text(json.dumps(info))


@contextmanager
def stage(programs: Path, *, rate: int = RATE) -> Iterator[Stage]:
    """All of them, with synced books and a market that moves. `programs`: where the native ones are."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_market(folder)
        load = stack.enter_context(program(programs / "push", str(folder), str(BOOKS), str(rate)))
        url = f"http://127.0.0.1:{load.port}"
        books = stack.enter_context(program(sys.executable, "-m", "benches.pushed", "--url", url))
        streams = ",".join(f"{symbol.lower()}@depth@100ms" for symbol in many_books.SYMBOLS)
        connections = -(-BOOKS // many_books.STREAMS_A_CONNECTION)
        relay = stack.enter_context(program(programs / "relay", str(load.port), streams, str(connections)))
        made = Stage(load, books, relay)
        made.tell("start")
        yield made


def run(programs: Path, *, rounds: int, seconds: float = SECONDS) -> list[Row]:
    """All rows. Half as many rounds again as elsewhere: of nine, the second and the eighth are the ends of
    the interval, so one disturbed round widens none."""
    rounds = rounds * 3 // 2
    try:
        with stage(programs) as made:
            rows = [*costs(made, rounds=rounds, seconds=seconds), *many(made, rounds=rounds, seconds=seconds)]
            made.check()
            return rows
    except NotMeasured as why:
        return [Row("messages to subscribers", str(why), None, 1.0)]


def costs(made: Stage, *, rounds: int, seconds: float) -> Iterator[Row]:
    """CPU of a message, and its delay above the relay's. Each round lies between two without subscribers and
    two of the relay."""
    few = Crowd(SUBSCRIBERS, BOOKS_EACH)
    alone: list[Measured] = []
    relayed: list[Measured] = []
    found: dict[Readers, list[Measured]] = {kind: [] for kind in KINDS}
    for number in range(rounds + 1):
        alone.append(made.measure(seconds))
        relayed.append(made.with_readers(RELAYED, few, seconds=seconds))
        if number < rounds:
            for kind in KINDS:
                found[kind].append(made.with_readers(kind, few, seconds=seconds))
    before, after = relayed[:-1], relayed[1:]
    noise = above([each["p99_ms"] for each in after], [each["p99_ms"] for each in before])
    cost = cost_of(before, alone, "relay_cpu_s")
    yield Row(f"{RELAYED.name}: CPU for a message", f"{cost.median:.1f} us at {shown(relayed)}")
    yield Row(f"{RELAYED.name}: p50 / p99 from frame to socket", late(relayed))
    for kind, ours in found.items():
        cost = cost_of(ours, alone, "cpu_s")
        yield Row.of(
            f"{kind.name}: CPU for a message, of {MOST_CPU_US:.0f} us",
            f"{cost.median:.1f} us at {shown(ours)}",
            Estimate(cost.median / MOST_CPU_US, cost.low / MOST_CPU_US, cost.high / MOST_CPU_US),
            1.0,
        )
        p99 = [[each["p99_ms"] for each in rows] for rows in (ours, before, after)]
        yield Row.of(
            f"{kind.name}: p99 above the relay's, in ms",
            f"{late(ours)}; relay against itself: {span(noise.interval)}",
            above_beside(*p99),
            MOST_ABOVE_RELAY_MS,
        )


def cost_of(rows: Sequence[Measured], alone: Sequence[Measured], name: str) -> Estimate:
    """Microseconds of CPU for a message, above what the process spends without subscribers."""
    return estimate(
        1e6 * (each[name] - (one[name] + two[name]) / 2) / max(1, each["messages"])
        for each, one, two in zip(rows, alone, alone[1:], strict=False)
    )


def many(made: Stage, *, rounds: int, seconds: float) -> Iterator[Row]:
    """How late the books are with and without 1,000 subscribers, a tenth of which never reads."""
    crowd = Crowd(MANY, 1, silent=SILENT)
    alone = [made.measure(seconds)]
    found: list[Measured] = []
    for _ in range(rounds):
        found.append(made.with_readers(KINDS[0], crowd, seconds=seconds))
        alone.append(made.measure(seconds))
    what = f"{MANY:,} subscribers, {SILENT} silent"
    p99 = [[each["books_p99_ms"] for each in rows] for rows in (found, alone[:-1], alone[1:])]
    noise = above(p99[2], p99[1])
    yield Row.of(
        f"{what}: p99 of the books above without, in ms",
        f"{median(p99[0]):.3f} ms, without {median(p99[1]):.3f} ms; without against itself: "
        f"{span(noise.interval)}",
        above_beside(*p99),
        MOST_ABOVE_ALONE_MS,
    )
    cost = cost_of(found, alone, "cpu_s")
    yield Row(f"{what}: CPU for a message", f"{cost.median:.1f} us at {shown(found)}")
    mib = [each["bytes"] / 2**20 for each in (alone[0], found[-1])]
    yield Row(f"{what}: memory of the server", f"{mib[1]:.0f} MiB, {mib[0]:.0f} MiB before")


def late(rows: Sequence[Measured]) -> str:
    """Delays of messages."""
    return " / ".join(f"{median(each[name] for each in rows):.3f}" for name in ("p50_ms", "p99_ms")) + " ms"


def shown(rows: Sequence[Measured]) -> str:
    """Messages a second; and frames, where the exchange could not send as many as it should."""
    messages, frames = (
        median(each[name] / each["seconds"] for each in rows) for name in ("messages", "frames")
    )
    short = f" (of {RATE:,} frames a second only {frames:,.0f} fit this machine)"
    return f"{messages:,.0f}/s{short if frames < LEAST_SENT * RATE else ''}"


def main(arguments: Sequence[str] | None = None) -> None:
    """The contestant."""
    parser = argparse.ArgumentParser(prog="python -m benches.pushed")
    parser.add_argument("--url", required=True, help="of the exchange whose books are served")
    serve_books(parser.parse_args(arguments).url)


if __name__ == "__main__":
    main()
