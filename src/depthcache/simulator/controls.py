"""Trouble on command: the methods that `Server` and `Pair` share.

Each method calls one of `SimulatedExchange` or of its `trouble` with the current time, and finds the exchange
by the symbol. `faults` causes trouble by chance.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from difflib import get_close_matches
from typing import Literal, TypeAlias, TypeVar

from depthcache import venues
from depthcache.arguments import parse_real, parse_whole
from depthcache.errors import InvalidArgument, UnknownSymbol
from depthcache.simulator.exchange import SimulatedExchange
from depthcache.simulator.profiles import Profile

__all__ = ["ExchangeControls", "MessageFault"]

T = TypeVar("T")
_MOST_REASON_BYTES = 123
"""RFC 6455: a control frame has 125 bytes, two of them for the code."""

MessageFault: TypeAlias = Literal[
    "drop", "duplicate", "reorder", "overlap", "corrupt", "garble", "truncate", "drip"
]
"""Faults of a single diff."""


class ExchangeControls:
    """Trouble on command at a simulated exchange.

    `symbol` may be in upper or lower case. `exchange`, an exchange name, may be omitted: with a symbol, if
    only one exchange lists it; without a symbol, the method then affects all exchanges that are simulated
    here. Each method takes effect at once. Those of a server may be called from any thread.

    Every method raises UnknownExchange for an unknown name, InvalidArgument for an exchange that is not
    simulated here and for values out of range, and UnknownSymbol for a symbol that is not listed, or is
    listed on several exchanges. A server of recordings raises UsageError, because it serves them unchanged.
    """

    @abstractmethod
    def _command(self, work: Callable[[SimulatedExchange], T]) -> T:
        """Call `work` with the exchange and send the consequences. Raises UsageError for recordings."""

    # --- connections --------------------------------------------------------------------------

    def cut(self) -> None:
        """Break every connection without a close frame."""
        self._command(lambda made: made.cut(made.now_ns))

    def close_all(self, code: int, reason: str = "", *, exchange: str | None = None) -> None:
        """Close every connection (of an `exchange`) with a close frame of this `code` and `reason`; code 1006
        closes without a close frame."""
        code = parse_whole(code, name="code", allowed="1000 to 4999", least=1_000, most=4_999)
        if not isinstance(reason, str) or len(reason.encode(errors="replace")) > _MOST_REASON_BYTES:
            allowed = f"text of at most {_MOST_REASON_BYTES} bytes, the limit of a close frame"
            raise InvalidArgument(name="reason", value=reason, allowed=allowed)

        def close(made: SimulatedExchange) -> None:
            for name in _exchanges(made, exchange):
                made.close_all(made.now_ns, code, reason, name)

        self._command(close)

    def half_open(self, *, exchange: str | None = None) -> None:
        """Make every connection (of an `exchange`) half-open: nothing gets through any more, and neither end
        is notified."""

        def kill(made: SimulatedExchange) -> None:
            for name in _exchanges(made, exchange):
                made.half_open(made.now_ns, name)

        self._command(kill)

    def announce_shutdown(self) -> None:
        """Send `serverShutdown` on every connection. To close them, call `close_all`."""
        self._command(lambda made: made.announce_shutdown(made.now_ns))

    def refuse_connects(self, seconds: float, *, status: int = 503, retry_after: bool = False) -> None:
        """Refuse WebSocket handshakes with this HTTP `status` for `seconds`; 0 ends it.

        `retry_after`: add a Retry-After header with the remaining seconds.
        """
        seconds, status = _seconds(seconds), _http_status(status)
        self._command(
            lambda made: made.trouble.refuse_connects(seconds, made.now_ns, status=status, told=retry_after)
        )

    def reset_connects(self, seconds: float) -> None:
        """Reset connections instead of answering WebSocket handshakes for `seconds`; 0 ends it."""
        seconds = _seconds(seconds)
        self._command(lambda made: made.trouble.reset_connects(seconds, made.now_ns))

    # --- streams ------------------------------------------------------------------------------

    def silence(self, symbol: str, *, exchange: str | None = None) -> None:
        """Stop all streams of a `symbol` (of an `exchange`), while acknowledgements, pings and REST continue.
        `resume` ends it."""
        self._on_market(symbol, exchange, lambda made, name, listed: made.trouble.silence(name, listed))

    def resume(self, symbol: str, *, exchange: str | None = None) -> None:
        """Let a `symbol` (of an `exchange`) send data and trade again, after `silence`, `halt` or
        `set_status`."""

        def resume(made: SimulatedExchange, name: str, listed: str) -> None:
            made.trouble.resume(name, listed)
            made.set_status(name, listed, "TRADING")

        self._on_market(symbol, exchange, resume)

    def silence_new(self, *, on: bool = True, exchange: str | None = None) -> None:
        """While `on`, acknowledge new subscriptions (of an `exchange`) but send no data for them."""
        self._on_exchanges(exchange, lambda made, name: made.trouble.silence_new(name, on=on))

    def next_diffs(
        self, symbol: str, fault: MessageFault, *, count: int = 1, exchange: str | None = None
    ) -> None:
        """Apply a `fault` to the next `count` diffs of a `symbol` (of an `exchange`).

        `fault`: `drop`, `duplicate`, `reorder` (send after its successor), `overlap` (repeat ids of the
        previous diff), `corrupt`, `garble`, `truncate` or `drip` (send byte by byte within a second). Calls
        add up: these diffs come after those of earlier calls.
        """
        count = _count(count)
        self._on_market(
            symbol,
            exchange,
            lambda made, name, listed: made.trouble.next_diffs(name, listed, fault=fault, count=count),
        )

    def lag_streams(self, seconds: float, *, exchange: str | None = None) -> None:
        """Delay everything on the streams (of an `exchange`) by `seconds`, so that snapshots are ahead of
        them; 0 ends it."""
        seconds = _seconds(seconds)
        self._on_exchanges(exchange, lambda made, name: made.trouble.lag_streams(name, seconds))

    def late_streams(self, seconds: float, *, exchange: str | None = None) -> None:
        """Delay the streams (of an `exchange`) at their source by `seconds`: unlike with `lag_streams`, a new
        subscription begins with messages from before it. 0 ends it, after the waiting ones are sent in order.
        """
        seconds = _seconds(seconds)
        self._on_exchanges(exchange, lambda made, name: made.trouble.late_streams(name, seconds))

    def delay_replies(self, seconds: float, *, exchange: str | None = None) -> None:
        """Delay replies to control messages such as SUBSCRIBE (of an `exchange`) by `seconds`, so that data
        arrives before them; 0 ends it."""
        seconds = _seconds(seconds)
        self._on_exchanges(exchange, lambda made, name: made.trouble.delay_replies(name, seconds))

    def refuse_subscribes(self, count: int = 1, *, exchange: str | None = None) -> None:
        """Answer the next `count` SUBSCRIBE messages (of an `exchange`) with an error, without
        subscribing."""
        count = _count(count)
        self._on_exchanges(exchange, lambda made, name: made.trouble.refuse_subscribes(name, count))

    # --- requests -----------------------------------------------------------------------------

    def ban(self, seconds: float, *, exchange: str | None = None) -> None:
        """Answer every request (of an `exchange`) with 418 and Retry-After for `seconds`; 0 ends it.
        Exchanges that share a weight limit are banned together."""
        self._refuse(
            seconds, exchange, lambda made, name, seconds, now_ns: made.trouble.ban(name, seconds, now_ns)
        )

    def rate_limit(self, seconds: float, *, exchange: str | None = None) -> None:
        """As `ban` for `seconds` at an `exchange`, but with 429."""
        self._refuse(
            seconds,
            exchange,
            lambda made, name, seconds, now_ns: made.trouble.limit_hit(name, seconds, now_ns),
        )

    def forbid(self, seconds: float, *, exchange: str | None = None) -> None:
        """As `ban` for `seconds` at an `exchange`, but with 403 and an HTML page, like the firewall in front
        of the exchange."""
        self._refuse(
            seconds, exchange, lambda made, name, seconds, now_ns: made.trouble.forbid(name, seconds, now_ns)
        )

    def block_region(self, seconds: float, *, exchange: str | None = None) -> None:
        """As `ban` for `seconds` at an `exchange`, but with 451: not available in this region."""
        self._refuse(
            seconds,
            exchange,
            lambda made, name, seconds, now_ns: made.trouble.not_here(name, seconds, now_ns),
        )

    def outage(self, seconds: float, *, exchange: str | None = None) -> None:
        """Answer every request (of an `exchange`) with 503 and accept no new connections for `seconds`; 0
        ends it. Open connections stay: for a complete outage, call `cut` as well."""
        self._refuse(
            seconds, exchange, lambda made, name, seconds, now_ns: made.trouble.outage(name, seconds, now_ns)
        )

    def refuse_snapshots(
        self,
        symbol: str,
        code: int,
        *,
        count: int = 1,
        message: str = "",
        status: int = 400,
        exchange: str | None = None,
    ) -> None:
        """Refuse the next `count` snapshot requests of a `symbol` (of an `exchange`) with this error `code`,
        `message` (that of the exchange if empty) and HTTP `status`."""
        count, status = _count(count), _http_status(status)
        code = parse_whole(code, name="code", allowed="a whole number such as -1121", least=-(2**31))
        if not isinstance(message, str):
            raise InvalidArgument(name="message", value=message, allowed="text")
        self._on_market(
            symbol,
            exchange,
            lambda made, name, listed: made.trouble.refuse_snapshots(
                name, listed, code=code, count=count, words=message, status=status
            ),
        )

    def unlist(self, symbol: str, *, count: int = 1, exchange: str | None = None) -> None:
        """Answer the next `count` exchangeInfo requests from a node that does not know the `symbol` (of an
        `exchange`)."""
        count = _count(count)
        self._on_market(
            symbol, exchange, lambda made, name, listed: made.trouble.unlist(name, listed, count=count)
        )

    def slow_responses(self, seconds: float, *, exchange: str | None = None) -> None:
        """Delay REST responses (of an `exchange`) by `seconds`; 0 ends it."""
        seconds = _seconds(seconds)
        self._on_exchanges(exchange, lambda made, name: made.trouble.slow_answers(name, seconds))

    def lag_snapshots(self, seconds: float, *, exchange: str | None = None) -> None:
        """Serve snapshots (of an `exchange`) that are `seconds` old, as a lagging node does; 0 ends it."""
        seconds = _seconds(seconds)
        self._on_exchanges(exchange, lambda made, name: made.trouble.lag_snapshots(name, seconds))

    def foreign_weight(self, share: float, *, exchange: str | None = None) -> None:
        """Let other programs behind the same address use this `share` (0.0 to 1.0) of the weight of each
        minute (of an `exchange`)."""
        share = parse_real(share, name="share", allowed="0.0 to 1.0", least=0, most=1)
        self._on_exchanges(exchange, lambda made, name: made.trouble.foreign_weight(name, share))

    # --- markets ------------------------------------------------------------------------------

    def halt(self, symbol: str, *, exchange: str | None = None) -> None:
        """Halt trading of a `symbol` (of an `exchange`): its status is HALT, but data continues. `resume`
        ends it. Like all market controls, it applies to all exchanges with the same books."""
        self.set_status(symbol, "HALT", exchange=exchange)

    def set_status(self, symbol: str, status: str, *, exchange: str | None = None) -> None:
        """Set the trading `status` of a `symbol` (of an `exchange`): TRADING, HALT (data continues), BREAK
        (nothing changes), CANCEL_ONLY …"""
        self._on_market(
            symbol, exchange, lambda made, name, listed: made.set_status(name, listed, status=status)
        )

    def delist(self, symbol: str, *, exchange: str | None = None) -> None:
        """Delist a `symbol` (of an `exchange`): its streams go silent, and REST of spot and options no longer
        knows it. `list_symbol` lists it again."""
        self._on_market(symbol, exchange, lambda made, name, listed: made.delist(name, listed))

    def list_symbol(
        self, symbol: str, *, profile: Profile | None = None, exchange: str | None = None
    ) -> None:
        """List a new `symbol`, or list a delisted one again with its market as it was.

        `profile`: how a new symbol trades; None takes the default for the symbol. `exchange`: may be omitted
        if only one is simulated.
        """

        def add(made: SimulatedExchange) -> None:
            names = _exchanges(made, exchange)
            if len(names) != 1:
                raise InvalidArgument(name="exchange", value=exchange, allowed=f"one of {', '.join(names)}")
            made.list_symbol(names[0], symbol, profile)

        self._command(add)

    def set_tick(self, symbol: str, tick: int, *, exchange: str | None = None) -> None:
        """Change the `tick` of a `symbol` (of an `exchange`), in units of its profile's price decimals.
        Levels off the new tick stay until they are traded or cancelled."""
        self._on_market(symbol, exchange, lambda made, name, listed: made.set_tick(name, listed, tick=tick))

    def burst(self, symbol: str, seconds: float, *, times: float = 10.0, exchange: str | None = None) -> None:
        """Let the market of a `symbol` (of an `exchange`) move `times` as fast for `seconds`."""
        seconds = _seconds(seconds)
        times = parse_real(times, name="times", allowed="0.001 to 1,000,000", least=0.001, most=1e6)
        self._on_market(
            symbol,
            exchange,
            lambda made, name, listed: made.burst(name, listed, seconds=seconds, times=times),
        )

    def empty_side(
        self, symbol: str, side: Literal["bids", "asks"], *, seconds: float, exchange: str | None = None
    ) -> None:
        """Keep one `side` (bids or asks) of a `symbol` (of an `exchange`) empty for `seconds`."""
        seconds = _seconds(seconds)
        self._on_market(
            symbol,
            exchange,
            lambda made, name, listed: made.empty_side(name, listed, side=side, seconds=seconds),
        )

    def cross(self, symbol: str, seconds: float, *, exchange: str | None = None) -> None:
        """Publish a touching or crossed book of a `symbol` (of an `exchange`) for `seconds`."""
        seconds = _seconds(seconds)
        self._on_market(
            symbol, exchange, lambda made, name, listed: made.cross(name, listed, seconds=seconds)
        )

    def huge_event(self, symbol: str, levels: int = 1_000, *, exchange: str | None = None) -> None:
        """Set this many `levels` of a `symbol` (of an `exchange`) in its next event."""
        levels = _count(levels, name="levels")
        self._on_market(
            symbol, exchange, lambda made, name, listed: made.huge_event(name, listed, levels=levels)
        )

    def reset_ids(self, symbol: str, *, exchange: str | None = None) -> None:
        """Restart the update ids of a `symbol` (of an `exchange`) at a thousandth of their value, like a
        reset of a testnet. Symbols that share ids restart together."""
        self._on_market(symbol, exchange, lambda made, name, listed: made.reset_ids(name, listed))

    def end_faults(self) -> None:
        """End all faults by chance (`Faults`)."""

        def end(made: SimulatedExchange) -> None:
            if made.faults is not None:
                made.faults.end()

        self._command(end)

    # --- inside -------------------------------------------------------------------------------

    def _on_market(
        self, symbol: str, exchange: str | None, act: Callable[[SimulatedExchange, str, str], None]
    ) -> None:
        if not isinstance(symbol, str):
            raise InvalidArgument(name="symbol", value=symbol, allowed="a text such as 'BTCUSDT'")
        self._command(lambda made: act(made, *_market(made, symbol, exchange)))

    def _on_exchanges(self, exchange: str | None, act: Callable[[SimulatedExchange, str], None]) -> None:
        def on_each(made: SimulatedExchange) -> None:
            for name in _exchanges(made, exchange):
                act(made, name)

        self._command(on_each)

    def _refuse(
        self,
        seconds: float,
        exchange: str | None,
        act: Callable[[SimulatedExchange, str, float, int], None],
    ) -> None:
        seconds = _seconds(seconds)
        self._on_exchanges(exchange, lambda made, name: act(made, name, seconds, made.now_ns))


def _exchanges(made: SimulatedExchange, name: str | None) -> tuple[str, ...]:
    """The named exchange; all of them without a name."""
    served = made.venues()
    if name is None:
        return served
    found = venues.venue(name).name
    if found not in served:
        raise InvalidArgument(name="exchange", value=name, allowed=" or ".join(served))
    return (found,)


def _market(made: SimulatedExchange, symbol: str, name: str | None) -> tuple[str, str]:
    """The exchange and the listed symbol that a name means."""
    names = _exchanges(made, name)
    found = [
        (each, listed) for each in names for listed in made.symbols(each) if listed == _spelled(symbol, each)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        ways = " or ".join(f"exchange={each!r}" for each, _ in found)
        raise UnknownSymbol(
            symbol=symbol,
            exchange=None,
            reason=f"several exchanges list it, pass one: {ways}",
            ambiguous=True,
        )
    listed = dict.fromkeys(listed for each in names for listed in made.symbols(each))
    near = get_close_matches(symbol.upper(), listed, n=3)
    raise UnknownSymbol(
        symbol=symbol,
        exchange=names[0] if len(names) == 1 else None,
        reason="the simulated exchange does not list it",
        near=tuple(near),
    )


def _spelled(symbol: str, exchange: str) -> str | None:
    """The symbol as the exchange spells it; None if it is not a possible symbol."""
    try:
        return venues.parse_symbol(symbol, venues.venue(exchange))
    except InvalidArgument:
        return None


def _seconds(seconds: float) -> float:
    allowed = "seconds, 0 or more, up to 1,000,000,000"
    return parse_real(seconds, name="seconds", allowed=allowed, least=0, most=1e9)


def _http_status(status: int) -> int:
    return parse_whole(status, name="status", allowed="an HTTP status, 100 to 599", least=100, most=599)


def _count(count: int, *, name: str = "count") -> int:
    return parse_whole(count, name=name, allowed="a whole number, 0 or more", least=0)
