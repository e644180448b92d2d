"""One schedule of trouble: a client and an invented exchange, everything about it drawn from one number.

Not here: how many of them are tried (`test_schedules`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from depthcache import venues
from depthcache.core.policy import Policy
from depthcache.model import Status
from depthcache.simulator import TINY, Faults, Pair, Profile, SimulatedExchange, differences
from depthcache.venues import Venue

FAULTS_S = 8.0
HEALED_WITHIN_S = 90.0
QUIET_S = 2.0
S_NS = 1_000_000_000

TINY_FUTURES = replace(
    TINY, price_decimals=2, tick=1, start_price=268_163, quantity_decimals=3, median_quantity=2_400
)
PLACES = (
    ("binance.com", "BTCUSDT", TINY, (100, 1000)),
    ("binance.com", "ETHUSDT", replace(TINY, interval_ms=700, levels=60), (100,)),
    ("binance.com-futures", "BTCUSDT", TINY_FUTURES, (100, 0, 250, 500)),
    ("binance.com-futures", "ETHUSDT", replace(TINY_FUTURES, levels=40), (100, 250)),
    ("binance.com-coin_futures", "BTCUSD_PERP", replace(TINY_FUTURES, quantity_decimals=0), (100, 0)),
    ("trbinance.com", "BTCUSDT", TINY, (100,)),
)


@dataclass
class Outcome:
    """What was seen."""

    seed: int
    checks: int = 0
    gaps: int = 0
    resyncs: int = 0
    wrong: str | None = None


def run(seed: int, *, router: Any = None) -> Outcome:
    """One schedule; `wrong` says what broke, if anything did."""
    dice = random.Random(seed)
    outcome = Outcome(seed)
    pair = make(dice, seed, router)
    seen: dict[tuple[str, str], int | None] = {}

    def check() -> None:
        for key, book in pair.books.items():
            held = book.last_update_id if book.status is Status.SYNCED else None
            if held is None or seen.get(key) == held:
                continue
            seen[key] = held
            outcome.checks += 1
            wrong = differences(book, pair.exchange.truth(*key))
            if wrong and outcome.wrong is None:
                at_s = pair.now_ns / S_NS
                outcome.wrong = f"{key} says synced at {at_s:.3f} s with {wrong} wrong levels: {book!r}"

    pair.on_step = check
    for _ in range(4):
        pair.run_for(FAULTS_S / 4)
        act(pair, dice)
    # A book may be synced from a snapshot alone and lose that with its first diff: twice is for that.
    for _ in range(2):
        if not pair.run_until_synced(within_s=HEALED_WITHIN_S):
            late = [f"{key}: {book!r}" for key, book in pair.books.items() if book.status != "synced"]
            outcome.wrong = outcome.wrong or f"not synced {HEALED_WITHIN_S:g} s after the faults: {late}"
        pair.run_for(QUIET_S)
    for book in pair.books.values():
        outcome.gaps += book.counters["gaps"]
        outcome.resyncs += book.counters["snapshots"]
    pair.close()
    return outcome


def act(pair: Pair, dice: random.Random) -> None:
    """What a program may do at any time: an audit, a book less, the same book again."""
    if not pair.books:
        return
    name, symbol = dice.choice(list(pair.books))
    match dice.choice(("nothing", "audit", "audit", "again")):
        case "audit":
            pair.audit(name, symbol)
        case "again":
            pair.remove(name, symbol)
            pair.add(name, symbol, depth=1)


def make(dice: random.Random, seed: int, router: Any) -> Pair:
    """A client with one to three books, and an exchange with faults of some kinds."""
    chosen = dice.sample(PLACES, dice.randint(1, 3))
    symbols: dict[str, dict[str, Profile]] = {}
    for name, symbol, profile, _ in chosen:
        symbols.setdefault(name, {})[symbol] = profile
    exchange = SimulatedExchange(symbols, seed=seed, faults=faults(dice, seed), history=20_000)
    policy = Policy(
        seed=dice.random() < 0.3,
        redundant=dice.random() < 0.3,
        refresh_s=dice.choice((0.0, 2.0, 3600.0)),
        streams_per_connection=dice.choice((1, 200)),
        overlap_s=0.5,
    )
    latency_ns = round(dice.uniform(0.001, 0.4) * S_NS)
    pair = Pair(exchange, policy=policy, seed=seed, latency_ns=latency_ns, router=router)
    life_s = dice.choice((86_400.0, 86_400.0, 13.0))
    for name, symbol, _, speeds in chosen:
        venue, speed = smaller(venues.venue(name), dice), dice.choice(speeds)
        pair.add(replace(venue, connection_lifetime_s=life_s), symbol, depth=1, speed_ms=speed)
    return pair


def faults(dice: random.Random, seed: int) -> Faults:
    """Some kinds of faults, each rare or not."""

    def chance(most: float) -> float:
        return dice.choice((0.0, 0.0, most / 5, most))

    return Faults(
        seed=seed,
        silent=chance(0.01),
        half_open=chance(0.005),
        close=chance(0.01),
        shutdown=chance(0.01),
        corrupt=chance(0.02),
        truncate=chance(0.02),
        late_ack=chance(0.5),
        html=chance(0.3),
        drop=chance(0.08),
        duplicate=chance(0.2),
        reorder=chance(0.1),
        late=chance(0.05),
        cut=chance(0.02),
        mute=chance(0.2),
        refuse=chance(0.3),
        fail=chance(0.3),
        slow=chance(0.8),
        lagging=chance(0.8),
        late_ns=round(dice.choice((0.3, 3.0)) * S_NS),
        lag_changes=dice.choice((5, 40, 400)),
        until_ns=round(FAULTS_S * S_NS),
    )


def smaller(venue: Venue, dice: random.Random) -> Venue:
    """The venue with snapshots smaller than its books, most of the time: levels beyond stay unknown."""
    limit = dice.choice((5, 10, 20, None))
    return venue if limit is None else replace(venue, depth_limits=(limit,))
