"""Other people's clients as judges of the embedded exchange, and other people's tests of the book server.

Each client keeps books of the exchange over real sockets; every look at a book is compared with the truth at
the update id that the client holds.

One file a judge, `judges/judge_*.py`: a program for an environment of its own, which begins with its
requirements (the inline metadata of PEP 723) and with what it wants to be judged on (its table [tool.judge]).
`python -m tests.rivals.judging [NAME…]` runs all or those, and shows a table; with `--served` the clients
read from a book server of ours instead, over TLS, which reads from the embedded exchange; with `--faults`,
too, and the exchange loses diffs, cuts connections and bans the server while they are judged. Not here: what
a judge does.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from benches.environments import Unavailable, python_with
from depthcache import blocking, simulator
from depthcache import server as book_server
from depthcache.errors import InvalidArgument
from tests.server.exchanging import beyond

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "judges"
ENVIRONMENTS = ROOT / "build" / "judges"
PROGRAM_S = 300
LEVELS = 100
"""Levels a side that are compared; as many as a look shows (`judges/report.py`)."""
_IDS_SEARCHED = 1_000
"""The newest ids, where a client names none; for a quiet market that is minutes."""
_BAN_S = 0.5
_DEPTH = 1_000
"""Levels a side that a book server keeps complete: as many as judges ask for (`judges/report.py`)."""
_AUTHORITIES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""Variables with the certificate to trust, of OpenSSL (and so of aiohttp and websockets), and of requests."""
_METADATA = re.compile(r"(?m)^# /// script\n((?:#.*\n)+?)# ///$")

Level = tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """One program, as its own head describes it."""

    name: str
    path: Path
    client: str
    requirements: tuple[str, ...]
    least_python: tuple[int, int]
    books: dict[str, list[str]]
    """Exchange names to symbols."""
    tls: bool
    """Whether it takes wss and https alone."""
    smoke: bool
    """Whether `make test` runs it, too: cheap, and the only one of its kind."""
    server: bool = False
    """Whether it judges the book server, with these books, instead of keeping books itself."""
    faults: bool = True
    """Whether it notices that updates are missing; nautilus_trader does not."""
    trusts: bool = True
    """Whether it can be told to trust a certificate; nautilus_trader cannot, and reads without TLS."""

    @property
    def version(self) -> str:
        """Of the client, as it is pinned."""
        return next(each.partition("==")[2] for each in self.requirements if each.startswith(self.client))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one judge found of one venue."""

    exchange: str
    books: int
    updates: int
    looks: int
    differences: int
    faults: int = 0
    """Of the exchange, each before a look."""


def judges() -> list[Judge]:
    """All there are, by name."""
    return [_read(path) for path in sorted(FOLDER.glob("judge_*.py"))]


def find(
    judge: Judge,
    *,
    seed: int = 11,
    updates: int = 10,
    looks: int = 5,
    served: bool = False,
    faults: bool = False,
) -> list[Finding]:
    """Let a judge keep its books, and compare. `served`: it reads from a book server, over TLS. `faults`: of
    the exchange, one after each look but the last of a book, so that each is followed by a look.

    Raises Unavailable; AssertionError where it did not finish.
    """
    python = environment(judge)
    if judge.server:
        return [_of_server(judge, python, seed=seed)]
    seen: list[dict[str, Any]] = []
    with simulator.serve(seed=seed, symbols=judge.books, tls=judge.tls and not served) as server:
        trouble = Trouble(server, looks) if faults else None
        with _book_server(judge, server) if served else _itself(server) as ends:
            for look in _looks(judge, python, ends, updates=updates, looks=looks):
                seen.append(look)
                if trouble is not None:
                    trouble.after(look)
        found = [_finding(server, exchange, seen, trouble) for exchange in judge.books]
    wanted = {(exchange, symbol) for exchange, symbols in judge.books.items() for symbol in symbols}
    for book in wanted:
        held = sum((look["exchange"], look["symbol"]) == book for look in seen)
        assert held >= looks, f"{judge.client} looked {held} times at {book}, not {looks}"
    return found


class Trouble:
    """Faults of the exchange, in turn."""

    def __init__(self, server: simulator.Server, looks: int) -> None:
        self.caused: Counter[str] = Counter()
        self._server, self._looks = server, looks
        self._seen: Counter[tuple[str, str]] = Counter()

    def after(self, look: dict[str, Any]) -> None:
        """Cause the next one: of this book's stream, of all connections, or of all requests as well."""
        exchange, symbol = look["exchange"], look["symbol"]
        self._seen[exchange, symbol] += 1
        if self._seen[exchange, symbol] >= self._looks:
            return
        kind = ("gap", "cut", "ban")[self.caused.total() % 3]
        if kind == "cut":
            self._server.cut()
        else:
            self._server.next_diffs(symbol, "drop", exchange=exchange)
        if kind == "ban":
            self._server.ban(_BAN_S, exchange=exchange)
        self.caused[exchange] += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ends:
    """Where a judge connects, and the variables of the environment that make it trust the certificate."""

    rest: dict[str, str]
    websocket: dict[str, str]
    environment: Mapping[str, str]


@contextmanager
def _itself(server: simulator.Server) -> Iterator[_Ends]:
    """The embedded exchange."""
    ends = server.settings.endpoints.items()
    yield _Ends(
        rest={name: each.rest for name, each in ends},
        websocket={name: each.websocket for name, each in ends},
        environment=server.environment,
    )


@contextmanager
def _book_server(judge: Judge, server: simulator.Server) -> Iterator[_Ends]:
    """A book server that reads from it and speaks its protocol: beyond this machine, over TLS and with a key
    in the path, where the client can trust it."""
    with tempfile.TemporaryDirectory() as folder:
        config = book_server.ServerConfig(port=0, data_dir=folder, **(beyond() if judge.trusts else {}))
        with (
            blocking.connect(judge.books, depth=_DEPTH, settings=server.settings) as books,
            book_server.serve(books, config) as running,
        ):
            books.wait_synced()
            ends = {name: running.endpoints(name) for name in judge.books}
            yield _Ends(
                rest={name: each.rest for name, each in ends.items()},
                websocket={name: each.websocket for name, each in ends.items()},
                environment=dict.fromkeys(
                    _AUTHORITIES if judge.trusts else (), str(running.certificate_file)
                ),
            )


def environment(judge: Judge) -> str:
    """The interpreter for a judge: this one, where all it requires is installed, else one that is made once.

    Raises Unavailable where that cannot be installed.
    """
    return python_with(judge.client, judge.requirements, least_python=judge.least_python, folder=ENVIRONMENTS)


def _read(path: Path) -> Judge:
    head = _METADATA.search(path.read_text("utf-8"))
    assert head is not None, f"{path.name} does not begin with its requirements"
    told = tomllib.loads("".join(line[2:] + "\n" for line in head[1].splitlines()))
    own = told["tool"]["judge"]
    return Judge(
        name=path.stem.removeprefix("judge_"),
        path=path,
        client=own["client"],
        requirements=tuple(told["dependencies"]),
        least_python=_version(told["requires-python"].removeprefix(">=")),
        books=own["books"],
        tls=own.get("tls", False),
        smoke=own.get("smoke", False),
        server=own.get("server", False),
        faults=own.get("faults", True),
        trusts=own.get("trusts", True),
    )


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)


def _looks(judge: Judge, python: str, ends: _Ends, *, updates: int, looks: int) -> Iterator[dict[str, Any]]:
    task = {
        "books": [(exchange, symbol) for exchange, symbols in judge.books.items() for symbol in symbols],
        "rest": ends.rest,
        "websocket": ends.websocket,
        "updates": updates,
        "looks": looks,
    }
    yield from told(judge, python, task, ends.environment)


def told(
    judge: Judge, python: str, task: dict[str, Any], environment: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """The lines of its program. AssertionError where it did not finish."""
    proxies = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [python, str(judge.path), json.dumps(task)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **proxies, **environment, "PYTHONDONTWRITEBYTECODE": "1"},
        ) as program,
    ):
        assert program.stdout is not None
        limit = threading.Timer(PROGRAM_S, program.kill)
        limit.start()
        try:
            for line in program.stdout:
                if line.startswith("{"):  # some print
                    yield json.loads(line)
            status = program.wait()
        finally:
            limit.cancel()
            program.kill()
        errors.seek(0)
        assert status == 0, f"{judge.client} failed: {errors.read(3_000)}"


def _of_server(judge: Judge, python: str, *, seed: int) -> Finding:
    """What a judge of the book server found: its requests count as looks, its failures as differences."""
    with (
        tempfile.TemporaryDirectory() as folder,
        simulator.serve(seed=seed, symbols=judge.books) as exchange,
        blocking.connect(judge.books, settings=exchange.settings) as books,
        book_server.serve(books, book_server.ServerConfig(port=0, data_dir=folder)) as running,
    ):
        books.wait_synced()
        task = {"url": running.url, "read_token": running.read_token, "admin_token": running.admin_token}
        answers = list(told(judge, python, task, {}))
    return Finding(
        exchange="book server",
        books=sum(map(len, judge.books.values())),
        updates=0,
        looks=sum(each["requests"] for each in answers),
        differences=sum(each["failures"] for each in answers),
    )


def _finding(
    server: simulator.Server, exchange: str, seen: Sequence[dict[str, Any]], trouble: Trouble | None
) -> Finding:
    here = [look for look in seen if look["exchange"] == exchange]
    last = {look["symbol"]: look["updates"] for look in here}
    return Finding(
        exchange=exchange,
        books=len(last),
        updates=sum(last.values()),
        looks=len(here),
        differences=sum(_differences(server, look) for look in here),
        faults=0 if trouble is None else trouble.caused[exchange],
    )


def _differences(server: simulator.Server, look: dict[str, Any]) -> int:
    """Levels that one of both has and the other has not so."""
    exchange, symbol, update_id = look["exchange"], look["symbol"], look["update_id"]
    if update_id is not None:
        return sum(differing(server, look, side, update_id) for side in ("bids", "asks"))
    known: Any = server.exchange
    last = server.on_exchange(lambda: known.truth(exchange, symbol).last_update_id)
    return sum(_fewest(_searched(server, look, side, last)) for side in ("bids", "asks"))


def _searched(server: simulator.Server, look: dict[str, Any], side: str, last: int) -> Iterator[int]:
    for update_id in range(last, last - _IDS_SEARCHED, -1):
        try:
            yield differing(server, look, side, update_id)
        except InvalidArgument:
            return  # older than the market


def _fewest(counts: Iterator[int]) -> int:
    """The least of them; none is looked at behind a zero."""
    least = next(counts)
    while least and (count := next(counts, None)) is not None:
        least = min(least, count)
    return least


def differing(
    server: simulator.Server, look: dict[str, Any], side: str, update_id: int, *, levels: int = LEVELS
) -> int:
    """Levels that one has and the other has not so: a side of a look, and the true book at an update id."""
    bids, asks = server.truth(look["exchange"], look["symbol"]).book_at(update_id)
    true = sorted(bids, reverse=True) if side == "bids" else sorted(asks)
    return len(set(_levels(look[side])) ^ set(_levels(true[:levels])))


def _levels(pairs: Any) -> list[Level]:
    """Numbers of equal value are equal, however they are written."""
    return [(Decimal(str(price)), Decimal(str(quantity))) for price, quantity in pairs]


def main(arguments: Sequence[str]) -> int:
    """Run those judges, all without names; 1 where any found a difference or did not finish. `--served`:
    against a book server; `--faults`: of an exchange that makes them."""
    from rich.console import Console
    from rich.table import Table

    faults = "--faults" in arguments
    served = faults or "--served" in arguments
    names = [each for each in arguments if not each.startswith("--")]
    console, is_good = Console(width=130, highlight=False), True
    columns = ("client", "version", "venue", "books", "events", "looks", "faults", "differences", "seconds")
    table = Table(*columns)
    for judge in judges():
        if (names and judge.name not in names) or (faults and not judge.faults):
            continue
        began = time.monotonic()
        try:
            found = find(judge, served=served, faults=faults)
        except Unavailable as error:
            console.print(f"[bold yellow]SKIPPED {judge.name}: {error}[/]")
            table.add_row(judge.client, judge.version, "skipped")
            continue
        except AssertionError as error:
            console.print(f"[bold red]{judge.name}:[/] {error}", markup=True)
            table.add_row(judge.client, judge.version, "[red]did not finish[/]")
            is_good = False
            continue
        for each in found:
            figures = (each.books, each.updates, each.looks, each.faults, each.differences)
            seconds = f"{time.monotonic() - began:.1f}"
            table.add_row(judge.client, judge.version, each.exchange, *map(str, figures), seconds)
            is_good = is_good and each.differences == 0
    console.print(table)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
