"""What can go wrong between an exchange and its client, as chances: seeded, so that it can be repeated.

    faults = Faults(seed=7, drop=0.01, cut=0.001, until_ns=60_000_000_000)
    exchange = SimulatedExchange({"binance.com": ["BTCUSDT"]}, faults=faults)

Every chance is that of one message, one request, one handshake, or one event of a market. From `until_ns` on
nothing goes wrong any more, so that a test can ask whether all books come back. Each can be had on command,
too (`trouble`, and the exchange's own methods). Not here: what a fault looks like to the client (`sessions`,
`running_market`, `exchange`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, fields

from depthcache.arguments import parse_real, parse_seed, parse_whole

__all__ = ["Faults"]


@dataclass(slots=True, kw_only=True)
class Faults:
    """Chances from 0.0 to 1.0. Raises InvalidArgument for others.

    Attributes:
        seed: the same seed does the same to the same messages.
        drop: a data message is lost.
        duplicate: it comes twice.
        reorder: it comes after its successor.
        overlap: a diff begins at an id that was sent already: it repeats changes of the one before.
        late: it comes up to `late_ns` later, with all behind it.
        cut: the connection breaks without a close frame instead of it.
        drip: its bytes come one by one, within `late_ns`; in memory it comes late by that.
        mute: a subscription is acknowledged and brings nothing.
        unsubscribable: a SUBSCRIBE gets an error, and nothing is subscribed.
        refuse: a handshake gets 503.
        reset: it gets no response: the connection is reset.
        silent: the stream of it brings nothing any more, though pings go on.
        half_open: the connection is dead from then on, without a close.
        close: it is closed with 1000, 1001, 1008 or 1011 in turn (1006 is `cut`).
        shutdown: its end is announced (and does not come by that).
        corrupt, truncate: the message is no valid JSON any more.
        garble: it is valid JSON, and a diff's last id is none.
        late_ack: the reply to a control message comes up to `late_ns` late, after data.
        html: a snapshot request gets 502 and a page of HTML.
        fail: a snapshot request gets 503.
        refused: it is refused with 400 (or with an error under 200), as by a node that does not know the
            symbol, takes it for one that does not trade, or refuses the limit.
        slow: a snapshot arrives up to `late_ns` late.
        lagging: a snapshot is up to `lag_changes` single changes old, as from a server behind.
        burst: events of a market come ten times as fast, for up to `late_ns`, as all of these:
        still: nothing happens in it, as in an unannounced BREAK.
        no_bids, no_asks: one side of it is empty.
        crossed: a bid at or above the best ask appears.
        huge: one event of it sets 500 to 1,000 levels.
        new_ids: its update ids restart far below, as at the reset of a testnet.
        from_ns, until_ns: faults happen in between, on the exchange's clock.
    """

    seed: int = 0
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    overlap: float = 0.0
    late: float = 0.0
    drip: float = 0.0
    cut: float = 0.0
    mute: float = 0.0
    unsubscribable: float = 0.0
    refuse: float = 0.0
    reset: float = 0.0
    silent: float = 0.0
    half_open: float = 0.0
    close: float = 0.0
    shutdown: float = 0.0
    corrupt: float = 0.0
    garble: float = 0.0
    truncate: float = 0.0
    late_ack: float = 0.0
    html: float = 0.0
    fail: float = 0.0
    refused: float = 0.0
    slow: float = 0.0
    lagging: float = 0.0
    burst: float = 0.0
    still: float = 0.0
    no_bids: float = 0.0
    no_asks: float = 0.0
    crossed: float = 0.0
    huge: float = 0.0
    new_ids: float = 0.0
    late_ns: int = 3_000_000_000
    lag_changes: int = 400
    from_ns: int = 0
    until_ns: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    """How often each happened."""
    _generator: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name, 0.0)
            if each.type == "float":
                allowed = "a chance from 0.0 to 1.0"
                parsed = parse_real(value, name=each.name, allowed=allowed, least=0, most=1)
                setattr(self, each.name, parsed)
        self.seed = parse_seed(self.seed)
        allowed = "nanoseconds, 0 or more"
        self.late_ns = parse_whole(self.late_ns, name="late_ns", allowed=allowed, least=0)
        allowed = "changes, 1 or more"
        self.lag_changes = parse_whole(self.lag_changes, name="lag_changes", allowed=allowed, least=1)
        self._generator = random.Random(self.seed)

    def happens(self, name: str, now_ns: int) -> bool:
        """Whether the fault of that name happens at `now_ns`, on the exchange's clock."""
        chance: float = getattr(self, name)
        if not chance or now_ns < self.from_ns or (self.until_ns is not None and now_ns >= self.until_ns):
            return False
        if self._generator.random() >= chance:
            return False
        self.counts[name] = self.counts.get(name, 0) + 1
        return True

    def delay_ns(self) -> int:
        """How late something comes."""
        return int(self._generator.random() * self.late_ns)

    def refusal(self) -> tuple[int, int]:
        """HTTP status and code with which a snapshot is refused."""
        return self._generator.choice((400, 400, 200)), self._generator.choice(
            (-1121, -1122, -4108, -4021, -1130, -1102)
        )

    def close_code(self) -> int:
        """With which code a connection is closed."""
        return self._generator.choice((1000, 1001, 1008, 1011))

    def share(self) -> float:
        """How much of something: above 0.0, at most 1.0."""
        return 1.0 - self._generator.random()

    def between(self, least: int, most: int) -> int:
        """How many of something: `least` to `most`."""
        return self._generator.randint(least, most)

    def lag(self) -> int:
        """How many single changes a snapshot is old."""
        return self._generator.randint(1, max(1, self.lag_changes))

    def end(self) -> None:
        """Nothing goes wrong any more."""
        self.until_ns = 0
