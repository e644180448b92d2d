"""One schedule of faults of a remote client: upstream of its servers, between them and it, or both."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from depthcache import venues
from depthcache._native import Router
from depthcache.core.policy import Policy
from depthcache.model import Status
from depthcache.simulator import Profile, SimulatedExchange, differences
from tests.properties.schedules import (
    FAULTS_S,
    HEALED_WITHIN_S,
    PLACES,
    QUIET_S,
    S_NS,
    Outcome,
    faults,
    smaller,
)
from tests.support.relayed import Close, Cut, Server, Servers, reader_of, remote

DETECTED_WITHIN_NS = 80_000_000_000
"""65 s at the server, as of every client, then its state; or 5 s and a ping between it and the reader."""
ACTS = (
    "nothing",
    "cut",
    "close",
    "half-open",
    "down",
    "refused",
    "slow reader",
    "upstream cut",
    "anew",
    "silent",
    "not held",
)


def run(seed: int, engine: Callable[..., Any] = Router) -> Outcome:
    """One schedule; `wrong` says what broke, if anything did."""
    dice, outcome = random.Random(seed), Outcome(seed)
    servers, reader = make(dice, seed, engine)
    seen: dict[tuple[str, str], int | None] = {}
    behind: dict[tuple[str, str], tuple[int, int]] = {}
    lost_ns: int | None = None

    def check_servers() -> None:
        """It never says synced when no server's book is, but while the state is on its way."""
        nonlocal lost_ns
        states = [book.market.status()[0] for server in servers.servers for book in server.books.values()]
        if Status.SYNCED in states or servers.half_open_until_ns > reader.now_ns:
            lost_ns = None
            return
        lost_ns = reader.now_ns if lost_ns is None else lost_ns
        if reader.now_ns - lost_ns > reader._network._latency_ns and reader.is_synced():
            outcome.wrong = outcome.wrong or f"synced while its servers say {states}: {reader.books}"

    def check() -> None:
        check_servers()
        for key, book in reader.books.items():
            if book.status is not Status.SYNCED or outcome.wrong is not None:
                behind.pop(key, None)
                continue
            held = book.last_update_id
            if held >= servers.truth(*key).last_update_id:
                behind.pop(key, None)
            elif key not in behind or behind[key][0] != held:
                behind[key] = (held, reader.now_ns)
            elif reader.now_ns - behind[key][1] > DETECTED_WITHIN_NS:
                outcome.wrong = f"{key} says synced and is far behind: {book!r}"
            if seen.get(key) == held:
                continue
            seen[key] = held
            outcome.checks += 1
            if wrong := differences(book, servers.truth(*key)):
                at_s = reader.now_ns / S_NS
                outcome.wrong = f"{key} says synced at {at_s:.3f} s with {wrong} wrong levels: {book!r}"

    reader.on_step = check
    ends: list[Callable[[], None]] = []
    for _ in range(4):
        reader.run_for(FAULTS_S / 4)
        while ends and dice.random() < 0.7:
            ends.pop()()
        act(servers, dice, ends)
    for end in reversed(ends):
        end()
    for _ in range(2):
        if not reader.run_until_synced(within_s=HEALED_WITHIN_S):
            late = [repr(book) for book in reader.books.values() if book.status != "synced"]
            outcome.wrong = outcome.wrong or f"not synced {HEALED_WITHIN_S:g} s after the faults: {late}"
        reader.run_for(QUIET_S)
    for book in reader.books.values():
        outcome.gaps += book.counters["gaps"]
        outcome.resyncs += book.counters["snapshots"]
    for pair in (reader, *(server.pair for server in servers.servers)):
        outcome.wrong = outcome.wrong or next(iter(pair.unexpected), None)
        pair.close()
    return outcome


def make(dice: random.Random, seed: int, engine: Callable[..., Any]) -> tuple[Servers, Any]:
    """An exchange, one or two servers, and a reader of them."""
    chosen = dice.sample([place for place in PLACES if place[0] in ("binance.com", "binance.com-futures")], 1)
    (name, symbol, profile, _) = chosen[0]
    symbols: dict[str, dict[str, Profile]] = {name: {symbol: profile}}
    is_upstream_faulty = dice.random() < 0.7
    trouble = faults(dice, seed) if is_upstream_faulty else None
    exchange = SimulatedExchange(
        symbols, seed=seed, history=20_000, **({"faults": trouble} if trouble else {})
    )
    venue = smaller(venues.venue(name), dice)
    count = dice.choice((1, 1, 2, 3))
    made = [
        Server(
            f"s{number}",
            exchange,
            Policy(),
            seed=seed + number,
            latency_ns=round(dice.uniform(0.001, 0.2) * S_NS),
        )
        for number in range(count)
    ]
    for server in made:
        server.add(venue, symbol)
    servers = Servers(exchange, made)
    policy = Policy(redundant=dice.random() < 0.2, refresh_s=dice.choice((0.0, 2.0, 3600.0)))
    latency_ns = round(dice.uniform(0.001, 0.3) * S_NS)
    reader = reader_of(servers, policy=policy, seed=seed, latency_ns=latency_ns, router=engine())
    reader.add(remote(venue, count), symbol, depth=1)
    return servers, reader


def reader_keys(servers: Servers) -> set[tuple[str, str]]:
    """The books of all servers."""
    return {key for server in servers.servers for key in server.books}


def act(servers: Servers, dice: random.Random, ends: list[Callable[[], None]]) -> None:
    """What may happen at any time; `ends` take back what lasts."""
    server, exchange = dice.choice(servers.servers), servers.exchange
    ((name, symbol),) = reader_keys(servers)
    match dice.choice(ACTS):
        case "cut":
            servers.end_sessions(Cut(), server)
        case "close":
            servers.end_sessions(Close(dice.choice((1001, 1008, 1012)), "because"), server)
        case "half-open":
            servers.end_sessions(None, server)
        case "down":
            servers.end_sessions(Cut(), server)
            server.is_down = True
            ends.append(lambda: setattr(server, "is_down", False))
        case "refused":
            server.refuses = True
            ends.append(lambda: setattr(server, "refuses", False))
        case "not held" if all(each.books for each in servers.servers) and len(servers.servers) > 1:
            ends.append(server.let_go())
        case "upstream cut":
            exchange.cut(servers.now_ns)
        case "anew":
            exchange.reset_ids(name, symbol)
        case "silent":
            exchange.trouble.silence(name, symbol)
            ends.append(lambda: exchange.trouble.resume(name, symbol))
        case _:
            pass
