"""Trouble on command: what goes wrong with an invented exchange because a test says so, and when it ends.

    exchange.trouble.silence("binance.com", "BTCUSDT")   # one symbol delivers nothing any more
    exchange.trouble.ban("binance.com", 30, now_ns)       # 418 for half a minute

Silent symbols, lagging snapshots, bans, outages, other programs behind
the same address. Connections are the exchange's own (`half_open`, `close_all`, `announce_shutdown`). Not
here: chances (`faults`), what is done with this (`exchange`, `sessions`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from depthcache import venues
from depthcache.simulator import answers
from depthcache.simulator.interface import HttpAnswer
from depthcache.venues import Venue

__all__ = ["Trouble"]

_S_NS = 1_000_000_000
_HTML = b"<html><head><title>403 Forbidden</title></head><body>Request blocked.</body></html>"


@dataclass(slots=True)
class Trouble:
    """Each method begins something; most end by themselves or by their opposite."""

    silent: set[tuple[str, str]] = field(default_factory=set)
    """Venue and symbol whose streams deliver nothing, though the market moves."""
    mute_venues: set[str] = field(default_factory=set)
    """Venues whose new subscriptions are acknowledged and deliver nothing."""
    lag_s: dict[str, float] = field(default_factory=dict)
    """How old snapshots of a venue are."""
    foreign: dict[str, float] = field(default_factory=dict)
    """Weight pool to the share of each minute's weight that other programs spend."""
    drops: dict[tuple[str, str], int] = field(default_factory=dict)
    """Diffs of a symbol that are lost next."""
    _refused: dict[str, tuple[int, HttpAnswer]] = field(default_factory=dict)
    _no_connects_until_ns: int = 0

    # --- streams ------------------------------------------------------------------------------

    def silence(self, venue: str, symbol: str) -> None:
        """One symbol delivers nothing on any stream; acknowledgements, pings and REST go on."""
        self.silent.add((venues.venue(venue).name, symbol))

    def resume(self, venue: str, symbol: str) -> None:
        """It delivers again."""
        self.silent.discard((venues.venue(venue).name, symbol))

    def silence_new(self, venue: str, *, on: bool = True) -> None:
        """Subscriptions from now on are acknowledged and bring nothing."""
        name = venues.venue(venue).name
        (self.mute_venues.add if on else self.mute_venues.discard)(name)

    def drop_next(self, venue: str, symbol: str, count: int = 1) -> None:
        """The next messages of a symbol's diff streams are lost."""
        self.drops[venues.venue(venue).name, symbol] = count

    # --- requests -----------------------------------------------------------------------------

    def ban(self, venue: str, seconds: float, now_ns: int) -> None:
        """418 with Retry-After to every request of the venue's pool."""
        words = "Way too much request weight used; IP banned. Please use WebSocket Streams to avoid bans."
        self._refuse(venue, seconds, now_ns, answers.error(-1003, words, status=418))

    def limit_hit(self, venue: str, seconds: float, now_ns: int) -> None:
        """429 with Retry-After."""
        words = "Too much request weight used; please use WebSocket Streams for live updates."
        self._refuse(venue, seconds, now_ns, answers.error(-1003, words, status=429))

    def forbid(self, venue: str, seconds: float, now_ns: int) -> None:
        """403 with a page of HTML, as the firewall in front of the exchange answers."""
        self._refuse(venue, seconds, now_ns, HttpAnswer(403, _HTML), told=False)

    def not_here(self, venue: str, seconds: float, now_ns: int) -> None:
        """451: not served in this region."""
        self._refuse(venue, seconds, now_ns, HttpAnswer(451, _HTML), told=False)

    def outage(self, venue: str, seconds: float, now_ns: int) -> None:
        """503 to every request, and no connection can be made."""
        self._refuse(venue, seconds, now_ns, HttpAnswer(503, b"Service Unavailable."), told=False)
        self._no_connects_until_ns = now_ns + round(seconds * _S_NS)

    def refuse_connects(self, seconds: float, now_ns: int) -> None:
        """No connection can be made."""
        self._no_connects_until_ns = now_ns + round(seconds * _S_NS)

    def lag_snapshots(self, venue: str, seconds: float) -> None:
        """Snapshots are so old, as from a node behind; 0 ends it."""
        self.lag_s[venues.venue(venue).name] = seconds

    def foreign_weight(self, venue: str, share: float) -> None:
        """Another program behind the same address spends that share of each minute's weight."""
        self.foreign[venues.venue(venue).weight_pool] = share

    # --- asked by the exchange ------------------------------------------------------------------

    def refusal(self, venue: Venue, now_ns: int) -> HttpAnswer | None:
        """The answer to every request of a venue's pool now, if there is one."""
        until_ns, answer = self._refused.get(venue.weight_pool, (0, None))
        if answer is None or now_ns >= until_ns:
            return None
        if "Retry-After" not in answer.headers:
            return answer
        left_s = -(-(until_ns - now_ns) // _S_NS)
        return HttpAnswer(answer.status, answer.body, {**answer.headers, "Retry-After": str(left_s)})

    def refuses_connects(self, now_ns: int) -> bool:
        """Whether no connection can be made now."""
        return now_ns < self._no_connects_until_ns

    def takes_away(self, venue: str, symbol: str, *, is_diff: bool) -> bool:
        """Whether a message of a symbol is not delivered."""
        if (venue, symbol) in self.silent:
            return True
        left = self.drops.get((venue, symbol), 0) if is_diff else 0
        if left:
            self.drops[venue, symbol] = left - 1
        return bool(left)

    def spent_by_others(self, venue: Venue, clock_ns: int) -> int:
        """What other programs have spent of this minute's weight, evenly over it."""
        into_minute = clock_ns % (60 * _S_NS) / (60 * _S_NS)
        return round(self.foreign.get(venue.weight_pool, 0.0) * into_minute * venue.weight_per_minute)

    # --- inside -------------------------------------------------------------------------------

    def _refuse(
        self, venue: str, seconds: float, now_ns: int, answer: HttpAnswer, *, told: bool = True
    ) -> None:
        if told:
            answer = HttpAnswer(answer.status, answer.body, {**answer.headers, "Retry-After": "1"})
        self._refused[venues.venue(venue).weight_pool] = (now_ns + round(seconds * _S_NS), answer)
