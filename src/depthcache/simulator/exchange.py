"""A simulated Binance: random markets with their streams and snapshots, and faults on request.

    exchange = SimulatedExchange({"binance.com": ["BTCUSDT"], "binance.com-futures": ["ETHUSDT"]}, seed=1)

Sans-I/O: `pair` runs it on a virtual clock, `server` on real sockets. A market starts to move with the first
request for it. The seed and the times of the calls determine everything. `market` and `running_market` move
markets, `streams` formats messages, `rest` answers requests, `limits` refuses them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from depthcache import venues
from depthcache.arguments import parse_seed, parse_whole
from depthcache.errors import InvalidArgument
from depthcache.simulator import responses, rest
from depthcache.simulator.cached import CachedSnapshots
from depthcache.simulator.commands import parse_target
from depthcache.simulator.faults import Faults
from depthcache.simulator.interface import Close, Cut, Exchange, HttpResponse, split_target
from depthcache.simulator.limits import Breaches, Limits
from depthcache.simulator.listing import (
    ListedSymbol,
    check_status,
    check_symbols,
    check_tick,
    leader,
    leaders,
    profiles,
)
from depthcache.simulator.market import Ids, Market
from depthcache.simulator.profiles import Profile, profile_of
from depthcache.simulator.running_market import LateMessage, Phase, RunningMarket, RunningStream
from depthcache.simulator.sessions import LiveSession
from depthcache.simulator.streams import Diffs, best_ticker, partial_depth
from depthcache.simulator.trouble import Trouble
from depthcache.venues import Venue

__all__ = ["SimulatedExchange", "Symbols"]

EPOCH_MS = 1_790_000_000_000
"""Default of the exchange's clock at the caller's time 0 (2026-09-21)."""

Symbols: TypeAlias = Mapping[str, Iterable[str] | Mapping[str, Profile]]
"""Exchange name to symbols, or to symbols with their profiles."""

_MS_NS = 1_000_000
_FIRST_IDS = {
    "spot": 50_000_000_000,
    "linear": 5_123_000_000_000,
    "inverse": 1_007_000_000_000,
    "options": 4_640_000,
}
_LEAST_TO_BEGIN_ANEW = 1_000_000
"""Ids below this do not restart by chance, because the new ones would soon reach the old ones."""
_NO_CLOSE_FRAME = 1006
_ID_STEPS = {"spot": 1, "linear": 130, "inverse": 14, "options": 3}
_EXTRA_SPEEDS = {"@bookTicker": 0, "@depth5": 250, "@depth10": 250, "@depth20": 250}


class SimulatedExchange(Exchange):
    """A simulated exchange without I/O. Before any other call for a time, call `advance` with it.

    Arguments of the methods: `now_ns` is the caller's monotonic clock in nanoseconds, `venue` an exchange
    name, `symbol` one of its symbols, `target` path and query of a URL as the venue sees them, and `client`
    the address that is charged for requests.
    """

    def __init__(
        self,
        symbols: Symbols | None = None,
        *,
        seed: int = 0,
        faults: Faults | None = None,
        epoch_ms: int = EPOCH_MS,
        history: int = 50_000,
        lifetime_s: float | None = None,
        evicts_beyond: int | None = None,
    ) -> None:
        """`symbols`: None lists the usual symbols on every venue; clients get errors for any other, as at
        Binance. `seed`: the same seed gives the same markets. `faults`: faults by chance. `epoch_ms`: the
        exchange's clock at time 0, in milliseconds since 1970. `history`: number of single changes per market
        for which the truth is kept. `lifetime_s`: lifetime of connections; None takes the venue's 24 hours.
        `evicts_beyond`: levels beyond this rank vanish without a message in the streams. Raises
        UnknownExchange."""
        self.faults: Final = faults
        self.trouble: Final = Trouble()
        self.breaches: Final[list[str]] = Breaches()
        """Everything that a client did against the rules of the exchange, such as exceeding a limit."""
        self.connects: int = 0
        """Number of accepted connections."""
        self._lifetime_s, self._evicts_beyond = lifetime_s, evicts_beyond
        self._id_history: Final = rest.IdHistory()
        self._seed = parse_seed(seed)
        self._epoch_ms = parse_whole(epoch_ms, name="epoch_ms", allowed="milliseconds since 1970", least=0)
        self._history = parse_whole(history, name="history", allowed="changes, 0 or more", least=0)
        self._listed: dict[str, dict[str, ListedSymbol]] = {}
        """Listed symbols, by the leader of the venues that have the same books."""
        self._leaders: dict[str, str] = {}
        self._venues: dict[str, Venue] = {}
        for name, given in (
            dict.fromkeys(leaders(), ()) if symbols is None else check_symbols(symbols)
        ).items():
            venue = venues.venue(name)
            self._venues[venue.name] = venue
            self._leaders[venue.name] = leader(venue)
            listed = self._listed.setdefault(leader(venue), {})
            for symbol, profile in profiles(venue.family, given, usual=symbols is None).items():
                listed.setdefault(venues.parse_symbol(symbol, venue), ListedSymbol(profile))
        self._running: dict[tuple[str, str], RunningMarket] = {}
        self._ids: dict[str, Ids] = {}
        self._sessions: list[LiveSession] = []
        self.limits: Final = Limits()
        """The request weight that clients have used."""
        self._due: list[
            tuple[int, int, RunningMarket | tuple[RunningMarket, RunningStream] | LateMessage]
        ] = []
        self._order = count()
        self._now_ns = 0

    # --- getters ------------------------------------------------------------------------------

    def venues(self) -> tuple[str, ...]:
        """The exchange names that are served."""
        return tuple(self._venues)

    def symbols(self, venue: str) -> tuple[str, ...]:
        """The symbols of a venue."""
        return tuple(self._symbols(self._served(venue)))

    def truth(self, venue: str, symbol: str) -> Market:
        """The market, for its true book: `truth(…).book_at(update_id)`. Raises UnknownExchange, KeyError."""
        return self._running_market(self._served(venue), symbol).market

    @property
    def epoch_ms(self) -> int:
        """The exchange's clock at time 0, in milliseconds since 1970."""
        return self._epoch_ms

    @property
    def now_ns(self) -> int:
        """The time up to which everything has happened."""
        return self._now_ns

    def sessions(self) -> tuple[LiveSession, ...]:
        """The open connections, oldest first."""
        return tuple(self._sessions)

    def next_ns(self) -> int | None:
        """Time of the next event; None if none is due."""
        times = [session.next_ping_ns for session in self._sessions]
        times += [session.next_out_ns for session in self._sessions if session.next_out_ns is not None]
        if self._due:
            times.append(self._due[0][0])
        return min(times, default=None)

    # --- what happens -------------------------------------------------------------------------

    def advance(self, now_ns: int) -> None:
        """Process everything that is due, in the order of its time."""
        self._now_ns = max(self._now_ns, now_ns)
        while self._due and self._due[0][0] <= now_ns:
            at_ns, _, what = heapq.heappop(self._due)
            if isinstance(what, RunningMarket):
                self._move(what, at_ns)
            elif isinstance(what, LateMessage):
                what.send(at_ns)
            else:
                self._flush(*what, at_ns)
        for session in tuple(self._sessions):
            session.on_time(now_ns, self._time_ms(now_ns))

    def request(self, venue: str, target: str, now_ns: int, *, client: str = "client") -> HttpResponse:
        """Answer a GET request."""
        running, clock_ns = self._venues[venue], self._time_ms(now_ns) * _MS_NS
        path, asked = split_target(target)
        query = dict(parse_qsl(asked, keep_blank_values=True))
        weight, response = self._response(running, path, query, now_ns)
        if response.status == 404:
            return response
        told = self.trouble.refusal(running, now_ns)
        if told is not None:
            return told
        others = self.trouble.spent_by_others(running, clock_ns)
        refusal = self.limits.refusal(running, weight, client, clock_ns, others=others)
        if refusal is not None:
            self.breaches.append(f"HTTP {refusal.status} for {target}")
        response = response if refusal is None else refusal
        headers = {**self.limits.headers(running, client), **response.headers}
        slow_ns = round(self.trouble.slow_s.get(running.name, 0.0) * 1e9)
        return HttpResponse(response.status, response.body, headers, response.delay_ns + slow_ns)

    def accept(
        self, venue: str, target: str, now_ns: int, *, client: str = "client"
    ) -> LiveSession | HttpResponse | Cut:
        """Answer a WebSocket handshake."""
        meant = parse_target(target, self._venues[venue])
        if meant is None:
            return responses.no_such_path()
        refusal = self.limits.connect_refusal(self._venues[venue], client, now_ns)
        if refusal is not None:
            self.breaches.append("more connects than allowed")
            return refusal
        faults, trouble = self.faults, self.trouble
        told = trouble.refused_connect(now_ns)
        if told is not None or (faults is not None and faults.happens("refuse", now_ns)):
            return told or HttpResponse(503, b"Service Unavailable")
        if trouble.resets_connects(now_ns) or (faults is not None and faults.happens("reset", now_ns)):
            return Cut()
        session = LiveSession(
            self._venues[venue],
            meant,
            self.faults,
            self._on_change,
            now_ns,
            lifetime_s=self._lifetime_s,
            trouble=self.trouble,
            breaches=self.breaches,
        )
        self.connects += 1
        self._sessions.append(session)
        self._on_change(session, now_ns)
        return session

    def cut(self, now_ns: int) -> None:
        """Break every connection without a close frame."""
        for session in tuple(self._sessions):
            session.end(Cut(), now_ns)

    def half_open(self, now_ns: int, venue: str | None = None) -> None:
        """Make every connection (of a venue) half-open: nothing gets through, and no close is sent."""
        for session in self._sessions_of(venue):
            session.die()

    def close_all(self, now_ns: int, code: int, reason: str = "", venue: str | None = None) -> None:
        """Close every connection (of a venue) with a close frame of this `code` and `reason`; code 1006
        closes without a close frame."""
        for session in self._sessions_of(venue):
            session.end(Cut() if code == _NO_CLOSE_FRAME else Close(code, reason), now_ns)

    def announce_shutdown(self, now_ns: int) -> None:
        """Send `serverShutdown` on every connection (spot docs, 2026-05-08). `close_all` closes them."""
        event = f'{{"e":"serverShutdown","E":{self._time_ms(now_ns)}}}'
        for session in tuple(self._sessions):
            session.tell("!serverShutdown", event)

    def _sessions_of(self, venue: str | None) -> list[LiveSession]:
        name = None if venue is None else self._served(venue).name
        return [each for each in self._sessions if name in (None, each.venue.name)]

    # --- phases of a market -------------------------------------------------------------------

    def set_status(self, venue: str, symbol: str, status: str) -> None:
        """Set the trading `status` of a symbol: TRADING, HALT (data continues), BREAK (nothing changes),
        CANCEL_ONLY …

        Applies to all venues with the same books. Raises UnknownExchange, InvalidArgument, KeyError.
        """
        self._symbols(self._served(venue))[symbol].status = check_status(status)

    def delist(self, venue: str, symbol: str) -> None:
        """Delist a symbol: its streams go silent.

        Futures keep it in exchangeInfo with status SETTLING and still serve depth (USD-M, measured
        2026-10-07). Elsewhere it is gone, and REST returns -1121 (assumed). Raises UnknownExchange, KeyError.
        """
        served = self._served(venue)
        listed = self._symbols(served)
        listed[symbol].status = "SETTLING"
        if served.family not in ("linear", "inverse"):
            del listed[symbol]

    def list_symbol(self, venue: str, symbol: str, profile: Profile | None = None) -> None:
        """List a new symbol, or list a delisted one again with its market as it was.

        `profile`: the profile of a new symbol. Clients that have already subscribed to it receive data from
        now on. Raises UnknownExchange, and InvalidArgument for an impossible symbol or one that is listed.
        """
        served = self._served(venue)
        name, listed = venues.parse_symbol(symbol, served), self._symbols(served)
        if name in listed:
            raise InvalidArgument(name="symbol", value=symbol, allowed=f"one that {venue} does not list")
        running = self._running.get((self._leaders[served.name], name))
        listed[name] = (
            ListedSymbol(profile or profile_of(served.family, name)) if running is None else running.listed
        )
        listed[name].status = "TRADING"
        for session in tuple(self._sessions):
            self._on_change(session, self._now_ns)

    def set_tick(self, venue: str, symbol: str, tick: int) -> None:
        """Change the tick, in units of the profile's price decimals. Levels off the new tick stay until they
        are traded or cancelled, as at Binance. Raises UnknownExchange, InvalidArgument, KeyError."""
        running = self._running_market(self._served(venue), symbol)
        running.listed.profile = check_tick(tick, running.listed.profile)
        running.market.set_tick(tick)

    def burst(self, venue: str, symbol: str, seconds: float, *, times: float = 10.0) -> None:
        """Let the market of a symbol move `times` as fast for `seconds`. Raises UnknownExchange, KeyError."""
        self._begin(venue, symbol, Phase.BURST, seconds, times=times)

    def empty_side(self, venue: str, symbol: str, side: str, seconds: float) -> None:
        """Keep a `side` (bids or asks) of a symbol empty for `seconds`: its next event removes all levels
        one by one, and no new ones come. Raises UnknownExchange, InvalidArgument, KeyError."""
        phases = {"bids": Phase.NO_BIDS, "asks": Phase.NO_ASKS}
        if side not in phases:
            raise InvalidArgument(name="side", value=side, allowed="bids or asks")
        self._begin(venue, symbol, phases[side], seconds)

    def cross(self, venue: str, symbol: str, seconds: float) -> None:
        """Publish a touching or crossed book for `seconds`. Binance never did in recordings (2026-09-04).
        Raises UnknownExchange, KeyError."""
        self._begin(venue, symbol, Phase.CROSSED, seconds)

    def huge_event(self, venue: str, symbol: str, levels: int = 1_000) -> None:
        """Set this many `levels` in the next event of a symbol. Raises UnknownExchange, KeyError."""
        self._running_market(self._served(venue), symbol).huge = levels

    def reset_ids(self, venue: str, symbol: str) -> None:
        """Restart the update ids at a thousandth of their value, like a reset of a testnet (about monthly and
        unannounced; spot testnet docs, 2026-07).

        Snapshots, streams and the truth use the new ids; the truth still knows the old ones. Symbols that
        share ids restart together. Raises UnknownExchange, KeyError.
        """
        ids = self._running_market(self._served(venue), symbol).market.ids
        last_id = ids.last
        ids.last //= 1_000
        for running in self._running.values():
            if running.market.ids is ids:
                running.on_new_ids(last_id)

    def _begin(self, venue: str, symbol: str, phase: Phase, seconds: float, *, times: float = 1.0) -> None:
        until_ns = self._now_ns + round(seconds * 1e9)
        self._running_market(self._served(venue), symbol).begin(phase, until_ns, times=times)

    # --- markets and streams ------------------------------------------------------------------

    def _move(self, running: RunningMarket, at_ns: int) -> None:
        if running.cached is not None:
            running.cached.on_time(at_ns)
        may_begin_anew = self.faults is not None and running.market.ids.last >= _LEAST_TO_BEGIN_ANEW
        if may_begin_anew and self.faults is not None and self.faults.happens("new_ids", at_ns):
            self.reset_ids(running.venue.name, running.symbol)
        changes = running.move(self.faults, at_ns)
        if self._evicts_beyond is not None:
            running.market.evict(self._evicts_beyond)
        if self.trouble.lag_s:
            self._id_history.on_event(running, at_ns)
        for stream in tuple(running.streams.values()):
            if stream.diffs is not None:
                stream.diffs.on_changes(changes)
            if stream.every_ns == 0:
                self._say(running, stream, at_ns)
        self._push(running.next_ns(at_ns), running)

    def _flush(self, running: RunningMarket, stream: RunningStream, at_ns: int) -> None:
        if not stream.listeners and not self.trouble.late_s.get(running.venue.name):
            running.end(stream)  # it was kept for new subscribers while it was late
        if stream.is_over:
            return
        self._say(running, stream, at_ns)
        self._push(at_ns + stream.every_ns, (running, stream))

    def _say(self, running: RunningMarket, stream: RunningStream, at_ns: int) -> None:
        time_ms, name, fault = self._time_ms(at_ns), running.venue.name, ""
        if stream.diffs is not None:
            fault = self.trouble.of_next_diff(name, running.symbol) if stream.diffs.is_due else ""
            said = stream.diffs.take(time_ms, repeats=self._repeats(fault, at_ns))
        elif stream.kind == "@bookTicker":
            said = best_ticker(running.venue, running.symbol, running.market, time_ms)
        else:
            levels = int(stream.kind.partition("@depth")[2].partition("@")[0])
            said = partial_depth(running.venue, running.symbol, running.market, levels, time_ms)
        if said is None or (stream.diffs is None and said == stream.said):
            return
        stream.said = said
        if self.trouble.is_silent(name, running.symbol):
            return
        stream.last_ns = max(stream.last_ns, at_ns + round(self.trouble.late_s.get(name, 0.0) * 1e9))
        behind_ns = round(self.trouble.behind_s.get(name, 0.0) * 1e9)
        message = LateMessage(stream, said, fault, behind_ns)
        if stream.last_ns > at_ns:
            self._push(stream.last_ns, message)
        else:
            message.send(at_ns)

    def _repeats(self, fault: str, at_ns: int) -> float:
        """Share of the previous diff that the next one repeats."""
        if fault == "overlap":
            return 0.5
        by_chance = self.faults is not None and self.faults.happens("overlap", at_ns)
        return self.faults.share() if by_chance and self.faults is not None else 0.0

    def _on_change(self, session: LiveSession, now_ns: int) -> None:
        """A client connected, disconnected or changed its subscriptions."""
        if not session.is_open and session in self._sessions:
            self._sessions.remove(session)
        wanted = set(session.streams)
        for running in self._running.values():
            for stream in tuple(running.streams.values()):
                if session in stream.listeners and stream.name not in wanted:
                    stream.listeners.remove(session)
                    if not stream.listeners and not self.trouble.late_s.get(running.venue.name):
                        running.end(stream)
        for name in session.streams:
            self._listen(session, name, now_ns)

    def _listen(self, session: LiveSession, name: str, now_ns: int) -> None:
        found = next(filter(None, (self._parse_stream(each, name) for each in self._heard(session))), None)
        if found is None:
            return  # acknowledged and silent, as at Binance (measured 2026-10-07)
        venue, symbol, kind, every_ns = found
        running = self._running_market(venue, symbol)
        stream = running.streams.get(name)
        if stream is None:
            is_diff = kind in dict(venue.stream_speeds).values()
            diffs = Diffs(venue, symbol, running.market) if is_diff else None
            stream = running.streams[name] = RunningStream(name, kind, every_ns, diffs)
            if every_ns:
                self._push(now_ns - now_ns % every_ns + every_ns, (running, stream))
        if session not in stream.listeners:
            stream.listeners.append(session)

    def _heard(self, session: LiveSession) -> list[Venue]:
        """The venues whose streams a session can receive: USD-M and options share a host (SDKs, 2026-11)."""
        here = session.venue.stream_url()
        others = (each for each in self._venues.values() if each.stream_url() == here)
        return [session.venue, *others]

    def _parse_stream(self, venue: Venue, name: str) -> tuple[Venue, str, str, int] | None:
        lowered, at, rest = name.partition("@")
        kind = at + rest
        symbol = next((known for known in self._symbols(venue) if _is_named(venue, known, lowered)), None)
        if symbol is None:
            return None
        for speed_ms, suffix in venue.stream_speeds:
            if kind == suffix:
                return venue, symbol, kind, speed_ms * _MS_NS
        base, _, speed = kind.removeprefix("@").partition("@")
        if "@" + base in _EXTRA_SPEEDS and (not speed or speed in ("100ms", "500ms")):
            usual_ms = _EXTRA_SPEEDS["@" + base]
            if usual_ms and not speed and venue.family == "options":
                return None  # 100 and 500 ms alone (options SDK 8.7.0, 2026-11)
            if usual_ms and venue.family == "spot":
                usual_ms = 1_000  # spot docs, web-socket-streams "Partial Book Depth Streams", 2026-07-21
            return venue, symbol, kind, (int(speed.removesuffix("ms")) if speed else usual_ms) * _MS_NS
        return None

    def _running_market(self, venue: Venue, symbol: str) -> RunningMarket:
        name = self._leaders[venue.name]
        running = self._running.get((name, symbol))
        if running is None:
            listed, kind = self._symbols(venue)[symbol], venue.family
            ids = self._ids.setdefault(
                name if venue.continuity == "chained" else name + symbol,
                Ids(_FIRST_IDS[kind], _ID_STEPS[kind]),
            )
            seed = f"{self._seed}/{name}/{symbol}"
            market = Market(listed.profile, ids, seed=seed, history=self._history)
            cached = CachedSnapshots(market, self._now_ns, seed=seed) if venue.snapshot_lag_s else None
            running = self._running[name, symbol] = RunningMarket(venue, symbol, market, listed, cached)
            self._push(self._now_ns + listed.profile.interval_ms * _MS_NS, running)
        return running

    # --- responses ----------------------------------------------------------------------------

    def _response(
        self, venue: Venue, path: str, query: Mapping[str, str], now_ns: int
    ) -> tuple[int, HttpResponse]:
        """The weight of a request, and the response."""
        time_ms = self._time_ms(now_ns)
        if path == venue.depth_path:
            return self._depth(venue, query, now_ns)
        if path == venue.time_path:
            return 1, responses.time(time_ms)
        if path == venue.ping_path:
            return 1, responses.ok(b"{}")
        if path == venue.exchange_info_path:
            listed = self.trouble.listed(venue.name, self._symbols(venue))
            return venue.exchange_info_weight, rest.info(venue, listed, query, time_ms)
        return 0, responses.no_such_path()

    def _depth(self, venue: Venue, query: Mapping[str, str], now_ns: int) -> tuple[int, HttpResponse]:
        question = responses.depth_question(venue, query)
        if isinstance(question, HttpResponse):
            return 1, question
        symbol, limit = question
        weight = venue.snapshot_weight(limit)
        refused = self.trouble.refused_snapshot(venue.name, symbol)
        if refused is not None:
            return weight, refused
        listed = self._symbols(venue).get(symbol)
        if listed is None:
            return weight, responses.unknown_symbol()
        if listed.status == "PENDING_TRADING" and venue.family in ("linear", "inverse"):
            return weight, responses.not_trading()
        if venue.takes_symbols and query.get("symbolStatus", listed.status) != listed.status:
            return weight, responses.other_status()
        running = self._running_market(venue, symbol)
        held = self._id_history.id_of(running, self.trouble.lag_s.get(running.venue.name, 0.0), now_ns)
        response = rest.depth(
            venue, running, limit, self.faults, update_id=held, now_ns=now_ns, epoch_ms=self._epoch_ms
        )
        return weight, response

    def _served(self, name: str) -> Venue:
        return self._venues[venues.venue(name).name]

    def _symbols(self, venue: Venue) -> dict[str, ListedSymbol]:
        return self._listed[self._leaders[venue.name]]

    def _time_ms(self, now_ns: int) -> int:
        return self._epoch_ms + now_ns // _MS_NS

    def _push(
        self, at_ns: int, what: RunningMarket | tuple[RunningMarket, RunningStream] | LateMessage
    ) -> None:
        heapq.heappush(self._due, (at_ns, next(self._order), what))


def _is_named(venue: Venue, symbol: str, lowered: str) -> bool:
    return venue.stream(symbol).partition("@")[0] == lowered
