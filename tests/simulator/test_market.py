"""The simulated market behaves like recorded ones, and knows its true book at every id."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from statistics import quantiles

import pytest

from depthcache.errors import InvalidArgument
from depthcache.simulator.market import ASKS, BIDS, Change, Ids, Market, decimal_text
from depthcache.simulator.profiles import PROFILES, TINY, Profile, profile_of

EVENTS = 2_500

# Recorded figures: market data of 2021 to 2026, spot and USD-M 2024-08, COIN-M 2024-08, NEXOUSDT 2024-07.
# family, symbol, levels an event (p50, p95), shares: new, change, delete, delete of unknown, unchanged
RECORDED = [
    ("spot", "BTCUSDT", 22, 173, (0.400, 0.109, 0.390, 0.088, 0.013)),
    ("spot", "ETHUSDT", 18, 175, (0.245, 0.459, 0.240, 0.040, 0.017)),
    ("spot", "NEXOUSDT", 1, 6, (0.021, 0.935, 0.021, 0.002, 0.021)),
    ("linear", "BTCUSDT", 34, 252, (0.194, 0.543, 0.177, 0.040, 0.047)),
    ("linear", "ETHUSDT", 39, 225, (0.125, 0.688, 0.115, 0.020, 0.052)),
    ("inverse", "BTCUSD_PERP", 8, 51, (0.296, 0.252, 0.294, 0.134, 0.025)),
]


def made(family: str, symbol: str, *, seed: str = "1") -> Market:
    return Market(profile_of(family, symbol), Ids(1_000), seed=seed)


def kind(change: Change) -> str:
    if not change.quantity:
        return "delete" if change.before else "unknown"
    if not change.before:
        return "new"
    return "unchanged" if change.quantity == change.before else "change"


@pytest.mark.slow
@pytest.mark.parametrize(("family", "symbol", "median", "p95", "shares"), RECORDED)
def test_it_moves_like_the_recorded_ones(
    family: str, symbol: str, median: int, p95: int, shares: tuple[float, ...]
) -> None:
    market = made(family, symbol)
    events = [market.move() for _ in range(EVENTS)]
    sizes = quantiles([len(event) for event in events], n=20)
    assert abs(sizes[9] - median) <= max(0.35 * median, 1.5)
    assert abs(sizes[18] - p95) <= max(0.5 * p95, 3)
    changes = [change for event in events for change in event]
    counts = Counter(map(kind, changes))
    for name, share in zip(("new", "change", "delete", "unknown", "unchanged"), shares, strict=True):
        assert counts[name] / len(changes) == pytest.approx(share, abs=0.06), name


@pytest.mark.slow
@pytest.mark.parametrize(("family", "symbol"), [row[:2] for row in RECORDED])
def test_it_stays_a_market(family: str, symbol: str) -> None:
    """Bursts, far updates, prices used again, sizes that stay: what naive books get wrong."""
    market = made(family, symbol)
    profile, reused, far, count = market.profile, 0, 0, 0
    seen: dict[tuple[int, int], None] = {}
    for _ in range(EVENTS):
        best = [market.best(side) for side in (BIDS, ASKS)]
        for change in market.move():
            count += 1
            reused += (change.side, change.price) in seen
            seen[change.side, change.price] = None
            far += abs(change.price - (best[change.side] or 0)) > 1_000 * profile.tick
        bid, ask = market.best(BIDS), market.best(ASKS)
        assert bid is not None
        assert ask is not None
        assert 0 < bid < ask
    assert reused / count > 0.25
    assert (far / count > 0.15) == (symbol in ("BTCUSDT", "BTCUSD_PERP") and family != "inverse")
    for side in (BIDS, ASKS):
        assert len(market.levels(side)) == pytest.approx(profile.levels, rel=0.3)


def test_the_truth_of_every_id_is_the_changes_up_to_it() -> None:
    market = Market(TINY, Ids(5), seed="x", history=10_000)
    sides = [dict(side) for side in market.sides_at(market.last_update_id)]
    remembered = {}
    for _ in range(60):
        for change in market.move():
            if change.quantity:
                sides[change.side][change.price] = change.quantity
            else:
                sides[change.side].pop(change.price, None)
            remembered[change.update_id] = [dict(side) for side in sides]
    for update_id, (bids, asks) in remembered.items():
        assert market.sides_at(update_id) == (bids, asks)


def test_the_truth_is_exact_and_best_first() -> None:
    market = made("linear", "BTCUSDT")
    bids, asks = market.book_at(market.last_update_id)
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0][0] == Decimal(decimal_text(market.best(BIDS) or 0, 2))
    assert all(isinstance(number, Decimal) for level in bids for number in level)


def test_what_is_forgotten_or_has_not_happened_is_refused() -> None:
    market = Market(TINY, Ids(5), seed="x", history=20)
    first = market.last_update_id
    for _ in range(30):
        market.move()
    for update_id in (first, market.last_update_id + 1):
        with pytest.raises(InvalidArgument, match="the ids in the history"):
            market.sides_at(update_id)
    assert market.sides_at(market.id_before(20)) != market.sides_at(market.last_update_id)
    assert market.id_before(0) == market.last_update_id


def test_the_same_seed_is_the_same_market() -> None:
    def changes(seed: str) -> list[Change]:
        market = made("spot", "ETHUSDT", seed=seed)
        return [change for _ in range(20) for change in market.move()]

    assert changes("1") == changes("1")
    assert changes("1") != changes("2")


def test_spot_ids_have_no_holes_and_futures_ids_do() -> None:
    spot, futures = made("spot", "BTCUSDT"), Market(profile_of("linear", "BTCUSDT"), Ids(9, 130), seed="1")
    ids = [change.update_id for _ in range(20) for change in spot.move()]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    ids = [change.update_id for _ in range(20) for change in futures.move()]
    assert ids == sorted(set(ids))
    assert ids[-1] - ids[0] > 10 * len(ids)


@pytest.mark.parametrize("family", PROFILES)
def test_any_symbol_has_a_profile(family: str) -> None:
    profile = profile_of(family, "SOMETHINGUSDT")
    assert isinstance(profile, Profile)
    assert (profile.base, profile.quote) == ("SOMETHING", "USDT")
    Market(profile, Ids(1), seed="1").move()


@pytest.mark.parametrize(
    ("mantissa", "decimals", "text"),
    [(5, 0, "5"), (5, 3, "0.005"), (123456, 3, "123.456"), (0, 2, "0.00"), (100, 2, "1.00")],
)
def test_numbers_are_written_with_fixed_decimals(mantissa: int, decimals: int, text: str) -> None:
    assert decimal_text(mantissa, decimals) == text
