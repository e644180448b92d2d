"""Random faults between an exchange and its clients, with a seed to repeat them.

    faults = Faults(seed=7, drop=0.01, cut=0.001, until_ns=60_000_000_000)
    exchange = SimulatedExchange({"binance.com": ["BTCUSDT"]}, faults=faults)

Each probability applies to one message, request, handshake, or event of a market. No faults happen from
`until_ns` on, so that a test can check that all books recover. `ExchangeControls` causes the same trouble on
command.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, fields

from depthcache.arguments import parse_real, parse_seed, parse_whole

__all__ = ["Faults"]


@dataclass(slots=True, kw_only=True)
class Faults:
    """Probabilities of faults, from 0.0 to 1.0. Raises InvalidArgument for other values.

    Attributes:
        seed: seed of the random generator; the same seed does the same to the same messages.
        drop: a data message is lost.
        duplicate: a data message arrives twice.
        reorder: a data message arrives after its successor.
        overlap: a diff begins at an id that was already sent, and repeats changes of the previous diff.
        late: a data message and all behind it arrive up to `late_ns` late.
        cut: the connection breaks without a close frame, instead of a data message.
        drip: the bytes of a data message arrive one by one within `late_ns`; on a `Pair`, it is late by that.
        mute: a subscription is acknowledged, but its stream sends nothing.
        unsubscribable: a SUBSCRIBE message gets an error and has no effect.
        refuse: a handshake gets 503.
        reset: a handshake gets no response; the connection is reset.
        silent: the stream of a data message stops, while pings continue.
        half_open: the connection is dead from then on, without a close.
        close: the connection is closed with 1000, 1001, 1008 or 1011 in turn (1006 is `cut`).
        shutdown: the end of the connection is announced, but does not follow.
        corrupt, truncate: a data message is no longer valid JSON.
        garble: a diff is valid JSON, but its last id is not a number.
        late_ack: the reply to a control message arrives up to `late_ns` late, after data.
        html: a snapshot request gets 502 and an HTML page.
        fail: a snapshot request gets 503.
        refused: a snapshot request gets 400, or an error with status 200, as from a node that does not know
            the symbol, thinks that it does not trade, or refuses the limit.
        slow: a snapshot arrives up to `late_ns` late.
        lagging: a snapshot is up to `lag_changes` single changes old, as from a lagging node.
        burst: events of a market happen ten times as fast for up to `late_ns`, the limit of the next three
            as well.
        still: nothing happens in a market, as in an unannounced BREAK.
        no_bids, no_asks: one side of a market is empty.
        crossed: a bid at or above the best ask appears in a market.
        huge: one event of a market sets 500 to 1,000 levels.
        new_ids: the update ids of a market restart far below, like at a reset of a testnet.
        from_ns, until_ns: faults happen between these times of the exchange's clock.
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
    """How often each fault has happened."""
    _generator: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name, 0.0)
            if each.type == "float":
                allowed = "a probability from 0.0 to 1.0"
                parsed = parse_real(value, name=each.name, allowed=allowed, least=0, most=1)
                setattr(self, each.name, parsed)
        self.seed = parse_seed(self.seed)
        allowed = "nanoseconds, 0 or more"
        self.late_ns = parse_whole(self.late_ns, name="late_ns", allowed=allowed, least=0)
        allowed = "changes, 1 or more"
        self.lag_changes = parse_whole(self.lag_changes, name="lag_changes", allowed=allowed, least=1)
        self._generator = random.Random(self.seed)

    def happens(self, name: str, now_ns: int) -> bool:
        """Whether the fault `name` happens at `now_ns` of the exchange's clock; counts it if so."""
        chance: float = getattr(self, name)
        if not chance or now_ns < self.from_ns or (self.until_ns is not None and now_ns >= self.until_ns):
            return False
        if self._generator.random() >= chance:
            return False
        self.counts[name] = self.counts.get(name, 0) + 1
        return True

    def delay_ns(self) -> int:
        """A random delay in nanoseconds."""
        return int(self._generator.random() * self.late_ns)

    def refusal(self) -> tuple[int, int]:
        """A random HTTP status and error code for a refused snapshot."""
        return self._generator.choice((400, 400, 200)), self._generator.choice(
            (-1121, -1122, -4108, -4021, -1130, -1102)
        )

    def close_code(self) -> int:
        """The close code of the next closed connection."""
        return self._generator.choice((1000, 1001, 1008, 1011))

    def share(self) -> float:
        """A random share, above 0.0 and at most 1.0."""
        return 1.0 - self._generator.random()

    def between(self, least: int, most: int) -> int:
        """A random whole number from `least` to `most`."""
        return self._generator.randint(least, most)

    def lag(self) -> int:
        """A random age of a snapshot in single changes."""
        return self._generator.randint(1, max(1, self.lag_changes))

    def end(self) -> None:
        """End all faults."""
        self.until_ns = 0
