"""Trouble on command: faults of a simulated exchange that a test starts and ends.

    exchange.trouble.silence("binance.com", "BTCUSDT")               # one symbol delivers nothing any more
    exchange.trouble.next_diffs("binance.com", "BTCUSDT", "overlap")  # its next diff repeats ids of the last
    exchange.trouble.ban("binance.com", 30, now_ns)                   # 418 for half a minute

It affects messages, handshakes and requests. Whole connections and the phases of a market are methods of the
exchange itself (`close_all`, `half_open`, `burst`, `reset_ids` …).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from depthcache import venues
from depthcache.errors import InvalidArgument
from depthcache.simulator import responses
from depthcache.simulator.interface import HttpResponse
from depthcache.venues import Venue

__all__ = ["Trouble"]

T = TypeVar("T")

_S_NS = 1_000_000_000
_MESSAGE_FAULTS = ("drop", "duplicate", "reorder", "overlap", "corrupt", "garble", "truncate", "drip")
_WORDS = {
    -1121: "Invalid symbol.",
    -1122: "Invalid symbol status.",
    -4021: "500 is not valid depth limit",
    -4108: "Symbol is on delivering or delivered or settling or closed or pre-trading.",
}
_HTML = b"<html><head><title>403 Forbidden</title></head><body>Request blocked.</body></html>"


@dataclass(slots=True)
class Trouble:
    """Each method starts a fault. Most faults end by themselves or by another method."""

    silent: set[tuple[str, str]] = field(default_factory=set)
    """Venue and symbol whose streams send nothing, although the market moves."""
    mute_venues: set[str] = field(default_factory=set)
    """Venues whose new subscriptions are acknowledged but get no data."""
    lag_s: dict[str, float] = field(default_factory=dict)
    """Venue to the age of its snapshots."""
    foreign: dict[str, float] = field(default_factory=dict)
    """Weight pool to the share of each minute's weight that other programs use."""
    slow_s: dict[str, float] = field(default_factory=dict)
    """Venue to the delay of its responses."""
    behind_s: dict[str, float] = field(default_factory=dict)
    """Venue to the delay of its streams on their way to a client."""
    late_s: dict[str, float] = field(default_factory=dict)
    """Venue to the delay of its streams at their source."""
    late_replies_s: dict[str, float] = field(default_factory=dict)
    """Venue to the delay of replies to control messages."""
    refused_subscribes: dict[str, int] = field(default_factory=dict)
    """Venue to the number of its next SUBSCRIBE messages that get an error."""
    _next: dict[tuple[str, str], deque[str]] = field(default_factory=dict)
    """Venue and symbol to the faults of the next diffs."""
    _refused: dict[str, tuple[int, HttpResponse]] = field(default_factory=dict)
    refused_snapshots: dict[tuple[str, str], deque[HttpResponse]] = field(default_factory=dict)
    """Venue and symbol to the responses for the next depth requests."""
    unlisted: dict[tuple[str, str], int] = field(default_factory=dict)
    """Venue and symbol to the number of next exchangeInfo responses that lack it."""
    refused_connects: int = 0
    """Number of refused handshakes so far."""
    _no_connects: HttpResponse | None = None
    _no_connects_until_ns: int = 0
    _resets_until_ns: int = 0

    # --- streams ------------------------------------------------------------------------------

    def silence(self, venue: str, symbol: str) -> None:
        """Stop all streams of a symbol, while acknowledgements, pings and REST continue."""
        self.silent.add((venues.venue(venue).name, symbol))

    def resume(self, venue: str, symbol: str) -> None:
        """Let the streams of a symbol send again."""
        self.silent.discard((venues.venue(venue).name, symbol))

    def silence_new(self, venue: str, *, on: bool = True) -> None:
        """Acknowledge new subscriptions, but send no data for them."""
        name = venues.venue(venue).name
        (self.mute_venues.add if on else self.mute_venues.discard)(name)

    def next_diffs(self, venue: str, symbol: str, fault: str, count: int = 1) -> None:
        """Apply a `fault` to the next `count` diffs of a symbol, after those of earlier calls.

        `fault`: `drop`, `duplicate`, `reorder` (send after its successor), `overlap` (repeat ids of the
        previous diff), `corrupt`, `garble`, `truncate` or `drip` (byte by byte within a second). Raises
        InvalidArgument.
        """
        if fault not in _MESSAGE_FAULTS:
            raise InvalidArgument(name="fault", value=fault, allowed=", ".join(_MESSAGE_FAULTS))
        self._next.setdefault((venues.venue(venue).name, symbol), deque()).extend([fault] * count)

    def lag_streams(self, venue: str, seconds: float) -> None:
        """Delay everything on the venue's streams, so that snapshots are ahead of them; 0 ends it."""
        self.behind_s[venues.venue(venue).name] = seconds

    def late_streams(self, venue: str, seconds: float) -> None:
        """Delay the venue's streams at their source: a new subscription begins with messages from before it,
        and snapshots are ahead of the streams. Event times are those of the undelayed messages. 0 ends it,
        after the waiting messages are sent in order."""
        self.late_s[venues.venue(venue).name] = seconds

    def delay_replies(self, venue: str, seconds: float) -> None:
        """Delay replies to control messages such as SUBSCRIBE, so that data arrives before; 0 ends it."""
        self.late_replies_s[venues.venue(venue).name] = seconds

    def refuse_subscribes(self, venue: str, count: int = 1) -> None:
        """Answer the next `count` SUBSCRIBE messages with an error, without subscribing."""
        self.refused_subscribes[venues.venue(venue).name] = count

    # --- requests -----------------------------------------------------------------------------

    def ban(self, venue: str, seconds: float, now_ns: int) -> None:
        """Answer every request of the venue's pool with 418 and Retry-After."""
        words = "Way too much request weight used; IP banned. Please use WebSocket Streams to avoid bans."
        self._refuse(venue, seconds, now_ns, responses.error(-1003, words, status=418))

    def limit_hit(self, venue: str, seconds: float, now_ns: int) -> None:
        """Answer every request of the venue's pool with 429 and Retry-After."""
        words = "Too much request weight used; please use WebSocket Streams for live updates."
        self._refuse(venue, seconds, now_ns, responses.error(-1003, words, status=429))

    def forbid(self, venue: str, seconds: float, now_ns: int) -> None:
        """Answer with 403 and an HTML page, like the firewall in front of the exchange."""
        self._refuse(venue, seconds, now_ns, HttpResponse(403, _HTML), told=False)

    def not_here(self, venue: str, seconds: float, now_ns: int) -> None:
        """Answer with 451: not available in this region."""
        self._refuse(venue, seconds, now_ns, HttpResponse(451, _HTML), told=False)

    def outage(self, venue: str, seconds: float, now_ns: int) -> None:
        """Answer every request with 503, and accept no new connections."""
        self._refuse(venue, seconds, now_ns, HttpResponse(503, b"Service Unavailable."), told=False)
        self.refuse_connects(seconds, now_ns)

    def refuse_connects(self, seconds: float, now_ns: int, *, status: int = 503, told: bool = False) -> None:
        """Refuse handshakes with this HTTP `status`. `told`: add a Retry-After header with the remaining
        seconds."""
        headers = {"Retry-After": "1"} if told else {}
        self._no_connects = HttpResponse(status, b"Service Unavailable", headers)
        self._no_connects_until_ns = now_ns + round(seconds * _S_NS)

    def refuse_snapshots(
        self, venue: str, symbol: str, code: int, count: int = 1, *, words: str = "", status: int = 400
    ) -> None:
        """Refuse the next depth requests of a symbol with this `code` and text, whatever its state."""
        response = responses.error(code, words or _WORDS.get(code, "Refused."), status=status)
        key = (venues.venue(venue).name, symbol)
        self.refused_snapshots.setdefault(key, deque()).extend([response] * count)

    def unlist(self, venue: str, symbol: str, count: int = 1) -> None:
        """Answer the next exchangeInfo requests from a node that does not know the symbol."""
        self.unlisted[venues.venue(venue).name, symbol] = count

    def reset_connects(self, seconds: float, now_ns: int) -> None:
        """Reset connections instead of answering handshakes."""
        self._resets_until_ns = now_ns + round(seconds * _S_NS)

    def slow_answers(self, venue: str, seconds: float) -> None:
        """Delay REST responses, if long enough until clients time out; 0 ends it."""
        self.slow_s[venues.venue(venue).name] = seconds

    def lag_snapshots(self, venue: str, seconds: float) -> None:
        """Serve snapshots of this age, as a lagging node does; 0 ends it."""
        self.lag_s[venues.venue(venue).name] = seconds

    def foreign_weight(self, venue: str, share: float) -> None:
        """Let other programs behind the same address use this share of each minute's weight."""
        self.foreign[venues.venue(venue).weight_pool] = share

    # --- queries of the exchange ----------------------------------------------------------------

    def refusal(self, venue: Venue, now_ns: int) -> HttpResponse | None:
        """The response that refuses every request of a venue's pool now; None if there is none."""
        until_ns, response = self._refused.get(venue.weight_pool, (0, None))
        return None if response is None or now_ns >= until_ns else _timed(response, until_ns, now_ns)

    def refused_connect(self, now_ns: int) -> HttpResponse | None:
        """The response that refuses a handshake now; None if there is none."""
        until_ns = self._no_connects_until_ns
        response = self._no_connects
        if response is None or now_ns >= until_ns:
            return None
        self.refused_connects += 1
        return _timed(response, until_ns, now_ns)

    def refused_snapshot(self, venue: str, symbol: str) -> HttpResponse | None:
        """The response that refuses this depth request; None if there is none."""
        ordered = self.refused_snapshots.get((venue, symbol))
        return ordered.popleft() if ordered else None

    def listed(self, venue: str, symbols: Mapping[str, T]) -> Mapping[str, T]:
        """The listed symbols without those that the responding node does not know."""
        hidden = {key for key, left in self.unlisted.items() if key[0] == venue and left > 0}
        for key in hidden:
            self.unlisted[key] -= 1
        return {name: each for name, each in symbols.items() if (venue, name) not in hidden}

    def resets_connects(self, now_ns: int) -> bool:
        """Whether handshakes are reset now."""
        return now_ns < self._resets_until_ns

    def is_silent(self, venue: str, symbol: str) -> bool:
        """Whether the streams of a symbol are stopped."""
        return (venue, symbol) in self.silent

    def of_next_diff(self, venue: str, symbol: str) -> str:
        """The fault of the next diff of a symbol; empty if there is none. Uses it up."""
        ordered = self._next.get((venue, symbol))
        return ordered.popleft() if ordered else ""

    def refuses_subscribe(self, venue: str) -> bool:
        """Whether this SUBSCRIBE gets an error. Counts it."""
        left = self.refused_subscribes.get(venue, 0)
        self.refused_subscribes[venue] = max(0, left - 1)
        return left > 0

    def spent_by_others(self, venue: Venue, clock_ns: int) -> int:
        """The weight that other programs have used in this minute, spread evenly over it."""
        into_minute = clock_ns % (60 * _S_NS) / (60 * _S_NS)
        return round(self.foreign.get(venue.weight_pool, 0.0) * into_minute * venue.weight_per_minute)

    # --- inside -------------------------------------------------------------------------------

    def _refuse(
        self, venue: str, seconds: float, now_ns: int, response: HttpResponse, *, told: bool = True
    ) -> None:
        if told:
            response = HttpResponse(response.status, response.body, {**response.headers, "Retry-After": "1"})
        self._refused[venues.venue(venue).weight_pool] = (now_ns + round(seconds * _S_NS), response)


def _timed(response: HttpResponse, until_ns: int, now_ns: int) -> HttpResponse:
    """The response with the remaining seconds in its Retry-After, if it has one."""
    if "Retry-After" not in response.headers:
        return response
    left_s = -(-(until_ns - now_ns) // _S_NS)
    return HttpResponse(response.status, response.body, {**response.headers, "Retry-After": str(left_s)})
