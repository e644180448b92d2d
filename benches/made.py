"""Market data made by the simulator, for machines without the recordings: four markets like the recorded.

A fixed seed makes the same bytes on every machine in a few seconds; they are kept in build/. Profiles are the
simulator's, adjusted where the figures of `market_statistics` differed from the recorded ones. Every market
starts with some diffs that are older than its snapshot, whose id lies inside the last of them, as in a
recording.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from benches.captures import Capture, expected
from depthcache import venues
from depthcache.simulator.market import ASKS, BIDS, Ids, Market
from depthcache.simulator.profiles import PROFILES, Profile
from depthcache.simulator.streams import Diffs, snapshot

FOLDER = Path(__file__).parents[1] / "build" / "made-market-data"
BEFORE = 5
"""Diffs ahead of the snapshot."""
WARM = 200
"""Diffs before those, in which the market takes its shape."""
START_MS = 1_723_161_255_208
LIMIT = 1_000


@dataclass(frozen=True, slots=True)
class Made:
    """How one market is made."""

    title: str
    exchange: str
    symbol: str
    stream: str
    diffs: int
    profile: Profile


_SPOT, _LINEAR, _INVERSE = PROFILES["spot"], PROFILES["linear"], PROFILES["inverse"]
"""Profiles of the simulator."""
MARKETS = MappingProxyType(
    {
        "spot BTCUSDT 2024-08": Made(
            "spot BTCUSDT, made",
            "binance.com",
            "BTCUSDT",
            "btcusdt@depth@100ms",
            6_000,
            replace(
                _SPOT["BTCUSDT"],
                quantity_step=1_000,
                levels=2_700,
                levels_per_event=(3.13, 1.27, 0.71),
                inside=0.055,
                at_best=0.04,
                body_ticks=11_000,
                body_sigma=0.85,
                far=0.02,
                phantoms=0.04,
            ),
        ),
        "USD-M ETHUSDT 2024-08": Made(
            "USD-M ETHUSDT, made",
            "binance.com-futures",
            "ETHUSDT",
            "ethusdt@depth@0ms",
            6_000,
            replace(
                _LINEAR["ETHUSDT"],
                levels=6_000,
                levels_per_event=(3.77, 1.17, 0.70),
                body_ticks=140,
                body_sigma=1.5,
                far=0.2,
                inside=0.045,
                at_best=0.045,
                deletes=0.105,
                phantoms=0.014,
            ),
        ),
        "COIN-M BTCUSD_PERP 2024-08": Made(
            "COIN-M BTCUSD_PERP, made",
            "binance.com-coin_futures",
            "BTCUSD_PERP",
            "btcusd_perp@depth@0ms",
            20_000,
            replace(
                _INVERSE["BTCUSD_PERP"],
                levels=2_600,
                levels_per_event=(2.12, 1.27, 0.64),
                body_ticks=310,
                body_sigma=1.35,
                inside=0.21,
                at_best=0.08,
            ),
        ),
        "spot NEXOUSDT 2024-07": Made(
            "spot NEXOUSDT, made",
            "binance.com",
            "NEXOUSDT",
            "nexousdt@depth@100ms",
            40_000,
            replace(
                _SPOT["NEXOUSDT"],
                quantity_step=1_000_000,
                levels=560,
                gap_ticks=1,
                levels_per_event=(0.45, 0.82, 0.36),
                at_best=0.02,
                body_ticks=2,
                body_sigma=1.5,
                reuse=0.5,
                deletes=0.014,
            ),
        ),
    }
)
"""By the title of the recording that a market stands for."""


def load(like: str) -> Capture:
    """The market that stands for the recording of that title; made unless build/ has it."""
    about = MARKETS[like]
    file = FOLDER / f"{about.symbol.lower()}-{_key(about)}.gz"
    if not file.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        with gzip.open(part, "wb", compresslevel=1) as lines:
            for line in lines_of(about):
                lines.write(line + b"\n")
        part.replace(file)
    with gzip.open(file) as lines:
        read = lines.read().splitlines()
    before, body, after = read[:BEFORE], read[BEFORE], read[BEFORE + 1 :]
    return expected(
        about.title, about.exchange, about.symbol, snapshot=body, before=before, after=after, like=like
    )


def lines_of(about: Made) -> Iterator[bytes]:
    """Some frames, the snapshot, and the other frames."""
    venue, profile = venues.venue(about.exchange), about.profile
    chained = venue.continuity == "chained"
    ids = Ids(5_123_107_832_349 if chained else 50_093_239_189, step=90 if chained else 1)
    market = Market(profile, ids, seed=f"benchmark {about.symbol}", history=1)
    diffs = Diffs(venue, about.symbol, market)
    head = f'{{"stream":"{about.stream}","data":'.encode()
    time_ms = START_MS
    for number in range(-WARM - BEFORE, about.diffs):
        diffs.on_changes(market.move())
        body = b""
        if number == -1:
            sides = market.levels(BIDS, LIMIT), market.levels(ASKS, LIMIT)
            update_id = market.last_update_id
            body = snapshot(venue, about.symbol, market, sides, update_id=update_id, time_ms=time_ms)
            diffs.on_changes(market.move())
        time_ms += profile.interval_ms
        if (text := diffs.take(time_ms)) is not None and number >= -BEFORE:
            yield head + text.encode() + b"}"
        if body:
            yield body


def _key(about: Made) -> str:
    """Changes with the way in which the data are made."""
    from depthcache.simulator import market, profiles, streams

    sources = [Path(str(module.__file__)).read_bytes() for module in (market, profiles, streams)]
    whole = b"".join([*sources, Path(__file__).read_bytes(), repr(about).encode()])
    return hashlib.sha256(whole).hexdigest()[:12]
