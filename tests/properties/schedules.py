"""One schedule of faults: a client and a simulated exchange, all determined by one number."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from depthcache import venues
from depthcache._native import Router
from depthcache.core.policy import Policy
from depthcache.model import Status
from depthcache.simulator import PROFILES, TINY, Faults, Pair, Profile, SimulatedExchange, differences
from depthcache.venues import Venue

OPTIONS_SHARE = 0.15
FAULTS_S = 8.0
HEALED_WITHIN_S = 150.0
"""A market that breaks is looked up once a minute, snapshots of options are up to a minute old."""
QUIET_S = 2.0
DETECTED_WITHIN_NS = (65_000_000_000, 185_000_000_000)
"""The published time to detect, of options at last, with 3 s in which the loop may only be late."""
S_NS = 1_000_000_000

TINY_FUTURES = replace(
    TINY, price_decimals=2, tick=1, start_price=268_163, quantity_decimals=3, median_quantity=2_400
)
OPTION = replace(PROFILES["options"]["BTC-261225-126000-C"], interval_ms=700)
QUIET_OPTION = replace(OPTION, interval_ms=14_000)
PLACES = (
    ("binance.com", "BTCUSDT", TINY, (100, 1000)),
    ("binance.com", "ETHUSDT", replace(TINY, interval_ms=700, levels=60), (100,)),
    ("binance.com-futures", "BTCUSDT", TINY_FUTURES, (100, 0, 250, 500)),
    ("binance.com-futures", "ETHUSDT", replace(TINY_FUTURES, levels=40), (100, 250)),
    ("binance.com-coin_futures", "BTCUSD_PERP", replace(TINY_FUTURES, quantity_decimals=0), (100, 0)),
    ("trbinance.com", "BTCUSDT", TINY, (100,)),
    ("binance.us", "BTCUSDT", replace(TINY, fewest=0, levels=6), (100, 1000)),
    ("binance.com-margin", "BNBUSDT", replace(TINY, interval_ms=400), (100,)),
)
OPTIONS = (
    ("binance.com-vanilla-options", "BTC-261225-126000-C", OPTION, (100, 500)),
    ("binance.com-vanilla-options", "BTC-261225-126000-P", QUIET_OPTION, (100, 500)),
)
"""Their snapshots are old, so that whoever waits for them waits long: in schedules of their own."""
ACTS = (
    *("nothing",) * 4, "audit", "audit", "again", "prove", "break", "halt", "tick", "others", "lag", "ahead",
    "cut", "close", "slow", "refused", "silent", "next", "next", "huge", "burst", "empty", "cross", "anew",
)  # fmt: skip
VENUES: WeakKeyDictionary[Pair, dict[tuple[str, str], tuple[Venue, int]]] = WeakKeyDictionary()
"""How each book of a pair was begun."""


@dataclass
class Outcome:
    """What was seen."""

    seed: int
    checks: int = 0
    gaps: int = 0
    resyncs: int = 0
    wrong: str | None = None


def run(seed: int, engine: Callable[..., Any] = Router, *, options: bool | None = None) -> Outcome:
    """One schedule on an engine; `wrong` says what broke, if anything did. `options`: whether it is one of
    options, None leaves that to the dice."""
    dice = random.Random(seed)
    outcome = Outcome(seed)
    pair = make(dice, seed, engine, options)
    seen: dict[tuple[str, str], int | None] = {}
    behind: dict[tuple[str, str], tuple[int, int]] = {}
    pauses = random.Random(-seed)

    def check_age(key: tuple[str, str], held: int | None) -> None:
        """The truth is younger than the published time to detect."""
        if held is None or held >= pair.exchange.truth(*key).last_update_id:
            behind.pop(key, None)
            return
        before = behind.get(key)
        if before is None or before[0] != held:
            behind[key] = (held, pair.now_ns)
        elif pair.now_ns - before[1] > DETECTED_WITHIN_NS[key[0] == OPTIONS[0][0]] and outcome.wrong is None:
            behind_s = (pair.now_ns - before[1]) / S_NS
            outcome.wrong = f"{key} says synced and is {behind_s:.1f} s behind: {pair.books[key]!r}"

    def check() -> None:
        for key, book in pair.books.items():
            held = book.last_update_id if book.status is Status.SYNCED else None
            check_age(key, held)
            if held is None or seen.get(key) == held:
                continue
            seen[key] = held
            outcome.checks += 1
            wrong = differences(book, pair.exchange.truth(*key))
            if wrong and outcome.wrong is None:
                at_s = pair.now_ns / S_NS
                outcome.wrong = f"{key} says synced at {at_s:.3f} s with {wrong} wrong levels: {book!r}"

    pair.on_step = check
    ends: list[Callable[[], None]] = []
    pause(pair, pauses)
    for _ in range(4):
        pair.run_for(FAULTS_S / 4)
        while ends and dice.random() < 0.7:
            ends.pop()()
        act(pair, dice, ends)
        pause(pair, pauses)
    for end in reversed(ends):
        end()
    # A book may be synced from a snapshot alone and lose that with its first diff: twice is for that.
    for _ in range(2):
        if not pair.run_until_synced(within_s=HEALED_WITHIN_S):
            late = [f"{key}: {book!r}" for key, book in pair.books.items() if book.status != "synced"]
            outcome.wrong = outcome.wrong or f"not synced {HEALED_WITHIN_S:g} s after the faults: {late}"
        pair.run_for(QUIET_S)
    for book in pair.books.values():
        outcome.gaps += book.counters["gaps"]
        outcome.resyncs += book.counters["snapshots"]
    outcome.wrong = outcome.wrong or next(iter(pair.unexpected), None)
    pair.close()
    return outcome


def act(pair: Pair, dice: random.Random, ends: list[Callable[[], None]]) -> None:
    """What a program, its neighbours or the exchange may do at any time; `ends` take back what lasts."""
    if not pair.books:
        return
    key = name, symbol = dice.choice(list(pair.books))
    exchange = pair.exchange
    trouble = exchange.trouble
    match dice.choice(ACTS):
        case "audit":
            pair.audit(*key)
        case "again":
            venue, speed_ms = VENUES[pair].pop(key)
            pair.remove(*key)
            add(pair, venue, symbol, speed_ms)
        case "prove":
            pair.start_cross_check(*key)
            ends.append(lambda: key in pair.books and bool(pair.end_cross_check(*key)))
        case "cut":
            exchange.cut(pair.now_ns)
        case "close":
            exchange.close_all(pair.now_ns, dice.choice((1000, 1001, 1008, 1011)))
        case "break" | "halt" as how:
            exchange.set_status(name, symbol, how.upper())
            ends.append(lambda: exchange.set_status(name, symbol, "TRADING"))
        case "tick":
            exchange.set_tick(name, symbol, dice.choice((1, 2, 5)))
        case "others":
            trouble.foreign_weight(name, 0.6)
            ends.append(lambda: trouble.foreign_weight(name, 0.0))
        case "lag":
            trouble.lag_snapshots(name, dice.uniform(0.5, 5))
            ends.append(lambda: trouble.lag_snapshots(name, 0))
        case "ahead":
            seconds = dice.uniform(0.5, 3)
            if seconds < 1.5:
                trouble.lag_streams(name, seconds)
                ends.append(lambda: trouble.lag_streams(name, 0))
            else:  # for whoever subscribes; old ids may go on arriving after snapshots have new ones
                trouble.late_streams(name, 5 * (seconds - 1.2))
                ends.append(lambda: trouble.late_streams(name, 0))
                if seconds > 2.5:
                    exchange.reset_ids(name, symbol)
        case "slow":
            trouble.slow_answers(name, dice.uniform(1, 4))
            ends.append(lambda: trouble.slow_answers(name, 0))
        case "refused":
            trouble.limit_hit(name, dice.uniform(1, 5), pair.now_ns)
        case "silent":
            trouble.silence(name, symbol)
            ends.append(lambda: trouble.resume(name, symbol))
        case "next":
            fault = dice.choice(
                ("drop", "duplicate", "reorder", "overlap", "corrupt", "garble", "truncate", "drip")
            )
            trouble.next_diffs(name, symbol, fault, dice.randint(1, 3))
        case "huge" if dice.random() < 0.3:
            exchange.huge_event(name, symbol, dice.randint(500, 1_000))
        case "burst":
            exchange.burst(name, symbol, dice.uniform(0.5, 2))
        case "empty":
            exchange.empty_side(name, symbol, dice.choice(("bids", "asks")), dice.uniform(0.3, 2))
        case "cross":
            exchange.cross(name, symbol, dice.uniform(0.1, 2))
        case "anew":
            exchange.reset_ids(name, symbol)


def pause(pair: Pair, dice: random.Random) -> None:
    """What may happen to the machine or to the event loop; a stream may fall silent in the middle of it."""
    kind = dice.choices(("none", "hold", "sleep"), (0.9, 0.06, 0.04))[0]
    if kind == "none" or not pair.books:
        return
    key = dice.choice(list(pair.books))
    seconds, is_silent = dice.choice((0.5, 4.0, 20.0, 80.0)), dice.random() < 0.4
    if kind == "sleep":
        pair.sleep(seconds, half_open=is_silent)
        return
    pair.hold()
    if is_silent:
        pair.exchange.trouble.silence(*key)
    pair.run_for(seconds)
    pair.release()
    pair.run_for(dice.choice((0.1, 3.0)))
    if is_silent:
        pair.exchange.trouble.resume(*key)


def make(dice: random.Random, seed: int, engine: Callable[..., Any], options: bool | None = None) -> Pair:
    """A client with one to three books, and an exchange with faults of some kinds."""
    is_option = dice.random() < OPTIONS_SHARE if options is None else options
    chosen = [dice.choice(OPTIONS)] if is_option else dice.sample(PLACES, dice.randint(1, 3))
    symbols: dict[str, dict[str, Profile]] = {}
    for name, symbol, profile, _ in chosen:
        symbols.setdefault(name, {})[symbol] = profile
    exchange = SimulatedExchange(symbols, seed=seed, faults=faults(dice, seed), history=20_000)
    policy = Policy(
        bootstrap_from_depth20=dice.random() < 0.3,
        redundant=dice.random() < 0.3,
        refresh_s=dice.choice((0.0, 2.0, 3600.0)),
        streams_per_connection=dice.choice((1, 200)),
        overlap_s=0.5,
    )
    latency_ns = round(dice.uniform(0.001, 0.4) * S_NS)
    router = engine(buffer_bytes=2_000) if dice.random() < 0.1 and not is_option else engine()
    pair = Pair(exchange, policy=policy, seed=seed, latency_ns=latency_ns, router=router)
    life_s = dice.choice((86_400.0, 86_400.0, 13.0))
    VENUES[pair] = {}
    for name, symbol, _, speeds in chosen:
        venue, speed_ms = smaller(venues.venue(name), dice), dice.choice(speeds)
        add(pair, replace(venue, connection_lifetime_s=life_s), symbol, speed_ms)
        if dice.random() < 0.1:
            exchange.trouble.next_diffs(venue.name, symbol, "garble", 2)
    return pair


def add(pair: Pair, venue: Venue, symbol: str, speed_ms: int) -> None:
    """Begin a book, as it will be begun again."""
    VENUES[pair][venue.name, symbol] = venue, speed_ms
    pair.add(venue, symbol, depth=1, speed_ms=speed_ms)


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
        garble=chance(0.02),
        truncate=chance(0.02),
        late_ack=chance(0.5),
        html=chance(0.3),
        overlap=chance(0.2),
        drip=chance(0.02),
        unsubscribable=chance(0.3),
        reset=chance(0.3),
        burst=chance(0.01),
        still=chance(0.01),
        no_bids=chance(0.01),
        no_asks=chance(0.01),
        crossed=chance(0.01),
        huge=chance(0.0003),
        new_ids=chance(0.004),
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
        refused=random.Random(f"{seed}/refused").choice((0.0, 0.0, 0.1, 0.5)),
        until_ns=round(FAULTS_S * S_NS),
    )


def smaller(venue: Venue, dice: random.Random) -> Venue:
    """The venue with snapshots smaller than its books, most of the time: levels beyond stay unknown."""
    limit = dice.choice((5, 10, 20, None))
    return venue if limit is None else replace(venue, depth_limits=(limit,))
