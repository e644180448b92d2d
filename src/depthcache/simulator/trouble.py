"""Trouble on command: what goes wrong with an invented exchange because a test says so, and when it ends.

    exchange.trouble.silence("binance.com", "BTCUSDT")               # one symbol delivers nothing any more
    exchange.trouble.next_diffs("binance.com", "BTCUSDT", "overlap")  # its next diff repeats ids of the last
    exchange.trouble.ban("binance.com", 30, now_ns)                   # 418 for half a minute

What happens to messages, handshakes and requests. Connections as a whole and the phases of a market are the
exchange's own methods (`close_all`, `half_open`, `burst`, `reset_ids` …). Not here: chances (`faults`), what
is done with this (`exchange`, `sessions`).
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
    """Each method begins something; most end by themselves or by their opposite."""

    silent: set[tuple[str, str]] = field(default_factory=set)
    """Venue and symbol whose streams deliver nothing, though the market moves."""
    mute_venues: set[str] = field(default_factory=set)
    """Venues whose new subscriptions are acknowledged and deliver nothing."""
    lag_s: dict[str, float] = field(default_factory=dict)
    """How old snapshots of a venue are."""
    foreign: dict[str, float] = field(default_factory=dict)
    """Weight pool to the share of each minute's weight that other programs spend."""
    slow_s: dict[str, float] = field(default_factory=dict)
    """How long answers of a venue take."""
    behind_s: dict[str, float] = field(default_factory=dict)
    """How late the streams of a venue are."""
    late_s: dict[str, float] = field(default_factory=dict)
    """How late the venue sends its streams to everybody."""
    late_replies_s: dict[str, float] = field(default_factory=dict)
    """How late replies to control messages of a venue are."""
    refused_subscribes: dict[str, int] = field(default_factory=dict)
    """How many of the next SUBSCRIBEs of a venue are answered with an error."""
    _next: dict[tuple[str, str], deque[str]] = field(default_factory=dict)
    """What happens to a symbol's next diffs."""
    _refused: dict[str, tuple[int, HttpResponse]] = field(default_factory=dict)
    refused_snapshots: dict[tuple[str, str], deque[HttpResponse]] = field(default_factory=dict)
    """Venue and symbol to the responses that its next depth requests get."""
    unlisted: dict[tuple[str, str], int] = field(default_factory=dict)
    """Venue and symbol to how many of the next lists come from a node that does not know it."""
    refused_connects: int = 0
    """How many handshakes were refused."""
    _no_connects: HttpResponse | None = None
    _no_connects_until_ns: int = 0
    _resets_until_ns: int = 0

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

    def next_diffs(self, venue: str, symbol: str, fault: str, count: int = 1) -> None:
        """What happens to the next diffs of a symbol, after those that were ordered before.

        `drop`, `duplicate`, `reorder` (comes after its successor), `overlap` (repeats the ids of the one
        before), `corrupt`, `garble`, `truncate`, `drip` (byte by byte, over a second). `count`: of how many.
        Raises InvalidArgument.
        """
        if fault not in _MESSAGE_FAULTS:
            raise InvalidArgument(name="fault", value=fault, allowed=", ".join(_MESSAGE_FAULTS))
        self._next.setdefault((venues.venue(venue).name, symbol), deque()).extend([fault] * count)

    def lag_streams(self, venue: str, seconds: float) -> None:
        """Everything on the venue's streams is so late, and snapshots are ahead of it by that; 0 ends it."""
        self.behind_s[venues.venue(venue).name] = seconds

    def late_streams(self, venue: str, seconds: float) -> None:
        """The venue sends its streams so late, whoever subscribes when: what a new subscription brings first
        was made so long before it, and snapshots are ahead of it by that. Event times tell when it was made.
        0 ends it: what waits is still sent in its order."""
        self.late_s[venues.venue(venue).name] = seconds

    def delay_replies(self, venue: str, seconds: float) -> None:
        """Replies to SUBSCRIBE and its relatives are so late, after data that came by them; 0 ends it."""
        self.late_replies_s[venues.venue(venue).name] = seconds

    def refuse_subscribes(self, venue: str, count: int = 1) -> None:
        """The next SUBSCRIBEs are answered with an error, and nothing is subscribed."""
        self.refused_subscribes[venues.venue(venue).name] = count

    # --- requests -----------------------------------------------------------------------------

    def ban(self, venue: str, seconds: float, now_ns: int) -> None:
        """418 with Retry-After to every request of the venue's pool."""
        words = "Way too much request weight used; IP banned. Please use WebSocket Streams to avoid bans."
        self._refuse(venue, seconds, now_ns, responses.error(-1003, words, status=418))

    def limit_hit(self, venue: str, seconds: float, now_ns: int) -> None:
        """429 with Retry-After."""
        words = "Too much request weight used; please use WebSocket Streams for live updates."
        self._refuse(venue, seconds, now_ns, responses.error(-1003, words, status=429))

    def forbid(self, venue: str, seconds: float, now_ns: int) -> None:
        """403 with a page of HTML, as the firewall in front of the exchange answers."""
        self._refuse(venue, seconds, now_ns, HttpResponse(403, _HTML), told=False)

    def not_here(self, venue: str, seconds: float, now_ns: int) -> None:
        """451: not served in this region."""
        self._refuse(venue, seconds, now_ns, HttpResponse(451, _HTML), told=False)

    def outage(self, venue: str, seconds: float, now_ns: int) -> None:
        """503 to every request, and no connection can be made."""
        self._refuse(venue, seconds, now_ns, HttpResponse(503, b"Service Unavailable."), told=False)
        self.refuse_connects(seconds, now_ns)

    def refuse_connects(self, seconds: float, now_ns: int, *, status: int = 503, told: bool = False) -> None:
        """No connection can be made: handshakes are answered with that HTTP `status`. `told`: with a
        Retry-After of the seconds that are left."""
        headers = {"Retry-After": "1"} if told else {}
        self._no_connects = HttpResponse(status, b"Service Unavailable", headers)
        self._no_connects_until_ns = now_ns + round(seconds * _S_NS)

    def refuse_snapshots(
        self, venue: str, symbol: str, code: int, count: int = 1, *, words: str = "", status: int = 400
    ) -> None:
        """The next depth requests of a symbol are refused with that `code` and `words`, whatever is true."""
        response = responses.error(code, words or _WORDS.get(code, "Refused."), status=status)
        key = (venues.venue(venue).name, symbol)
        self.refused_snapshots.setdefault(key, deque()).extend([response] * count)

    def unlist(self, venue: str, symbol: str, count: int = 1) -> None:
        """The next responses of exchangeInfo come from a node that does not know the symbol."""
        self.unlisted[venues.venue(venue).name, symbol] = count

    def reset_connects(self, seconds: float, now_ns: int) -> None:
        """No connection can be made: handshakes are not answered, the connection is reset."""
        self._resets_until_ns = now_ns + round(seconds * _S_NS)

    def slow_answers(self, venue: str, seconds: float) -> None:
        """Answers to requests take so long, until clients have given up where that is long; 0 ends it."""
        self.slow_s[venues.venue(venue).name] = seconds

    def lag_snapshots(self, venue: str, seconds: float) -> None:
        """Snapshots are so old, as from a node behind; 0 ends it."""
        self.lag_s[venues.venue(venue).name] = seconds

    def foreign_weight(self, venue: str, share: float) -> None:
        """Another program behind the same address spends that share of each minute's weight."""
        self.foreign[venues.venue(venue).weight_pool] = share

    # --- asked by the exchange ------------------------------------------------------------------

    def refusal(self, venue: Venue, now_ns: int) -> HttpResponse | None:
        """The response to every request of a venue's pool now, if there is one."""
        until_ns, response = self._refused.get(venue.weight_pool, (0, None))
        return None if response is None or now_ns >= until_ns else _timed(response, until_ns, now_ns)

    def refused_connect(self, now_ns: int) -> HttpResponse | None:
        """The response to a handshake now, if no connection can be made."""
        until_ns = self._no_connects_until_ns
        response = self._no_connects
        if response is None or now_ns >= until_ns:
            return None
        self.refused_connects += 1
        return _timed(response, until_ns, now_ns)

    def refused_snapshot(self, venue: str, symbol: str) -> HttpResponse | None:
        """The response to a depth request that came now, if it is refused."""
        ordered = self.refused_snapshots.get((venue, symbol))
        return ordered.popleft() if ordered else None

    def listed(self, venue: str, symbols: Mapping[str, T]) -> Mapping[str, T]:
        """What the node that is asked for the list now knows of the symbols that are listed."""
        hidden = {key for key, left in self.unlisted.items() if key[0] == venue and left > 0}
        for key in hidden:
            self.unlisted[key] -= 1
        return {name: each for name, each in symbols.items() if (venue, name) not in hidden}

    def resets_connects(self, now_ns: int) -> bool:
        """Whether handshakes are answered with a reset now."""
        return now_ns < self._resets_until_ns

    def is_silent(self, venue: str, symbol: str) -> bool:
        """Whether a symbol delivers nothing."""
        return (venue, symbol) in self.silent

    def of_next_diff(self, venue: str, symbol: str) -> str:
        """What happens to the diff of a symbol that is sent now; empty where nothing does."""
        ordered = self._next.get((venue, symbol))
        return ordered.popleft() if ordered else ""

    def refuses_subscribe(self, venue: str) -> bool:
        """Whether the SUBSCRIBE that came now is answered with an error."""
        left = self.refused_subscribes.get(venue, 0)
        self.refused_subscribes[venue] = max(0, left - 1)
        return left > 0

    def spent_by_others(self, venue: Venue, clock_ns: int) -> int:
        """What other programs have spent of this minute's weight, evenly over it."""
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
    """The response, with the seconds that are left where it tells them."""
    if "Retry-After" not in response.headers:
        return response
    left_s = -(-(until_ns - now_ns) // _S_NS)
    return HttpResponse(response.status, response.body, {**response.headers, "Retry-After": str(left_s)})
