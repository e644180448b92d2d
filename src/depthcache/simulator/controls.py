"""Trouble on command, as methods: the same on a served exchange (`Server`) and on a virtual clock (`Pair`).

Each method is a command of `SimulatedExchange` or of its `trouble`, without the clock, and with the exchange
named only where it must be. Not here: what the trouble does (`exchange`, `trouble`), chances (`faults`).
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
"""RFC 6455: 125 bytes of a control frame, without the two of the code."""

MessageFault: TypeAlias = Literal[
    "drop", "duplicate", "reorder", "overlap", "corrupt", "garble", "truncate", "drip"
]
"""What can happen to a diff on its way."""


class ExchangeControls:
    """Trouble on command at a simulated exchange.

    `symbol` is taken in any case. `exchange`, an exchange name, may be left out where only one exchange lists
    the symbol; trouble without a symbol then befalls all exchanges that are simulated here. Each method acts
    at once and returns; from another thread, too, on a server.

    Every method raises UnknownExchange for a name that does not exist, InvalidArgument for an exchange that
    is not simulated here and for other values that cannot work, UnknownSymbol for a symbol that is not
    listed, or is listed on several exchanges. A server of recordings raises UsageError: what was recorded is
    served as it was.
    """

    @abstractmethod
    def _command(self, work: Callable[[SimulatedExchange], T]) -> T:
        """Do this with the exchange, and send what comes of it. Raises UsageError for recordings."""

    # --- connections --------------------------------------------------------------------------

    def cut(self) -> None:
        """Break every connection without a close frame."""
        self._command(lambda made: made.cut(made.now_ns))

    def close_all(self, code: int, reason: str = "", *, exchange: str | None = None) -> None:
        """Close every connection (of an `exchange`) with a close frame of that `code` and `reason`; 1006
        closes without one."""
        code = parse_whole(code, name="code", allowed="1000 to 4999", least=1_000, most=4_999)
        if not isinstance(reason, str) or len(reason.encode(errors="replace")) > _MOST_REASON_BYTES:
            allowed = f"text of at most {_MOST_REASON_BYTES} bytes, as a close frame carries"
            raise InvalidArgument(name="reason", value=reason, allowed=allowed)

        def close(made: SimulatedExchange) -> None:
            for name in _exchanges(made, exchange):
                made.close_all(made.now_ns, code, reason, name)

        self._command(close)

    def half_open(self, *, exchange: str | None = None) -> None:
        """Every connection (of an `exchange`) is dead: nothing comes through any more, and neither end says
        so."""

        def kill(made: SimulatedExchange) -> None:
            for name in _exchanges(made, exchange):
                made.half_open(made.now_ns, name)

        self._command(kill)

    def announce_shutdown(self) -> None:
        """Send `serverShutdown` on every connection; `close_all` is the end itself."""
        self._command(lambda made: made.announce_shutdown(made.now_ns))

    def refuse_connects(self, seconds: float, *, status: int = 503, retry_after: bool = False) -> None:
        """For so many `seconds` handshakes get that HTTP `status`; 0 ends it.

        `retry_after`: with a Retry-After of the seconds that are left.
        """
        seconds, status = _seconds(seconds), _http_status(status)
        self._command(
            lambda made: made.trouble.refuse_connects(seconds, made.now_ns, status=status, told=retry_after)
        )

    def reset_connects(self, seconds: float) -> None:
        """For so many `seconds` handshakes get no response: the connection is reset; 0 ends it."""
        seconds = _seconds(seconds)
        self._command(lambda made: made.trouble.reset_connects(seconds, made.now_ns))

    # --- streams ------------------------------------------------------------------------------

    def silence(self, symbol: str, *, exchange: str | None = None) -> None:
        """A `symbol` (of an `exchange`) delivers nothing on any stream; acknowledgements, pings and REST go
        on. `resume` ends it."""
        self._on_market(symbol, exchange, lambda made, name, listed: made.trouble.silence(name, listed))

    def resume(self, symbol: str, *, exchange: str | None = None) -> None:
        """A `symbol` (of an `exchange`) delivers and trades again: the end of `silence`, `halt` and
        `set_status`."""

        def resume(made: SimulatedExchange, name: str, listed: str) -> None:
            made.trouble.resume(name, listed)
            made.set_status(name, listed, "TRADING")

        self._on_market(symbol, exchange, resume)

    def silence_new(self, *, on: bool = True, exchange: str | None = None) -> None:
        """While `on`, new subscriptions (of an `exchange`) are acknowledged and bring nothing."""
        self._on_exchanges(exchange, lambda made, name: made.trouble.silence_new(name, on=on))

    def next_diffs(
        self, symbol: str, fault: MessageFault, *, count: int = 1, exchange: str | None = None
    ) -> None:
        """What happens to the next diffs of a `symbol` (of an `exchange`), after those ordered before.

        `fault`: `drop`, `duplicate`, `reorder` (comes after its successor), `overlap` (repeats ids of the one
        before), `corrupt`, `garble`, `truncate`, `drip` (byte by byte, over a second). `count`: of how many.
        """
        count = _count(count)
        self._on_market(
            symbol,
            exchange,
            lambda made, name, listed: made.trouble.next_diffs(name, listed, fault=fault, count=count),
        )

    def lag_streams(self, seconds: float, *, exchange: str | None = None) -> None:
        """Everything on the streams (of an `exchange`) is so many `seconds` late, and snapshots are ahead of
        it by that; 0 ends it."""
        seconds = _seconds(seconds)
        self._on_exchanges(exchange, lambda made, name: made.trouble.lag_streams(name, seconds))

    def late_streams(self, seconds: float, *, exchange: str | None = None) -> None:
        """As `lag_streams`, but the exchange itself is so many `seconds` late: a new subscription (of an
        `exchange`) begins with what was made before it. 0 ends it; what waits is still sent, in order."""
        seconds = _seconds(seconds)
        self._on_exchanges(exchange, lambda made, name: made.trouble.late_streams(name, seconds))

    def delay_replies(self, seconds: float, *, exchange: str | None = None) -> None:
        """Replies to SUBSCRIBE and its relatives (of an `exchange`) are so many `seconds` late, after data
        that came by them; 0 ends it."""
        seconds = _seconds(seconds)
        self._on_exchanges(exchange, lambda made, name: made.trouble.delay_replies(name, seconds))

    def refuse_subscribes(self, count: int = 1, *, exchange: str | None = None) -> None:
        """The next `count` SUBSCRIBEs (of an `exchange`) get an error, and nothing is
        subscribed."""
        count = _count(count)
        self._on_exchanges(exchange, lambda made, name: made.trouble.refuse_subscribes(name, count))

    # --- requests -----------------------------------------------------------------------------

    def ban(self, seconds: float, *, exchange: str | None = None) -> None:
        """For so many `seconds` every request (of an `exchange`) gets 418 and Retry-After; 0 ends
        it. Exchanges that count their weight together are banned together."""
        self._refuse(
            seconds, exchange, lambda made, name, seconds, now_ns: made.trouble.ban(name, seconds, now_ns)
        )

    def rate_limit(self, seconds: float, *, exchange: str | None = None) -> None:
        """As `ban`, for so many `seconds` at an `exchange`, with 429."""
        self._refuse(
            seconds,
            exchange,
            lambda made, name, seconds, now_ns: made.trouble.limit_hit(name, seconds, now_ns),
        )

    def forbid(self, seconds: float, *, exchange: str | None = None) -> None:
        """As `ban`, for so many `seconds` at an `exchange`, with 403 and a page of HTML, as the firewall in
        front of the exchange responds."""
        self._refuse(
            seconds, exchange, lambda made, name, seconds, now_ns: made.trouble.forbid(name, seconds, now_ns)
        )

    def block_region(self, seconds: float, *, exchange: str | None = None) -> None:
        """As `ban`, for so many `seconds` at an `exchange`, with 451: not available in this region."""
        self._refuse(
            seconds,
            exchange,
            lambda made, name, seconds, now_ns: made.trouble.not_here(name, seconds, now_ns),
        )

    def outage(self, seconds: float, *, exchange: str | None = None) -> None:
        """For so many `seconds` every request (of an `exchange`) gets 503, and no new connection
        can be made; open ones stay, so `cut` them for a whole outage. 0 ends it."""
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
        """The next `count` depth requests of a `symbol` (of an `exchange`) are refused with that error
        `code`, `message` (the exchange's own when empty) and HTTP `status`."""
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
        """The next `count` responses of exchangeInfo come from a node that does not know the `symbol` (of an
        `exchange`)."""
        count = _count(count)
        self._on_market(
            symbol, exchange, lambda made, name, listed: made.trouble.unlist(name, listed, count=count)
        )

    def slow_responses(self, seconds: float, *, exchange: str | None = None) -> None:
        """Responses to requests (of an `exchange`) take so many `seconds`; 0 ends it."""
        seconds = _seconds(seconds)
        self._on_exchanges(exchange, lambda made, name: made.trouble.slow_answers(name, seconds))

    def lag_snapshots(self, seconds: float, *, exchange: str | None = None) -> None:
        """Snapshots (of an `exchange`) are so many `seconds` old, as from a node behind; 0 ends it."""
        seconds = _seconds(seconds)
        self._on_exchanges(exchange, lambda made, name: made.trouble.lag_snapshots(name, seconds))

    def foreign_weight(self, share: float, *, exchange: str | None = None) -> None:
        """Another program behind the same address spends that `share` (0.0 to 1.0) of each minute's weight
        (of an `exchange`)."""
        share = parse_real(share, name="share", allowed="0.0 to 1.0", least=0, most=1)
        self._on_exchanges(exchange, lambda made, name: made.trouble.foreign_weight(name, share))

    # --- markets ------------------------------------------------------------------------------

    def halt(self, symbol: str, *, exchange: str | None = None) -> None:
        """Trading of a `symbol` (of an `exchange`) stops: its status is HALT, and data goes on. `resume` ends
        it. As for all of these: exchanges with the same books share it."""
        self.set_status(symbol, "HALT", exchange=exchange)

    def set_status(self, symbol: str, status: str, *, exchange: str | None = None) -> None:
        """Let a `symbol` (of an `exchange`) enter a phase, its `status`: TRADING, HALT (data goes on), BREAK
        (nothing moves), CANCEL_ONLY …"""
        self._on_market(
            symbol, exchange, lambda made, name, listed: made.set_status(name, listed, status=status)
        )

    def delist(self, symbol: str, *, exchange: str | None = None) -> None:
        """End a `symbol` (of an `exchange`): its streams go silent, and REST of spot and options does not
        know it any more; `list_symbol` brings it back."""
        self._on_market(symbol, exchange, lambda made, name, listed: made.delist(name, listed))

    def list_symbol(
        self, symbol: str, *, profile: Profile | None = None, exchange: str | None = None
    ) -> None:
        """List a new `symbol`, or one that was delisted, with its market as it was left.

        `profile`: how a new one trades; the usual way when None. `exchange`: where; may be left out while
        only one is simulated.
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
        """For so many `seconds` the market of a `symbol` (of an `exchange`) moves `times` as fast."""
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
        """For so many `seconds` a `symbol` (of an `exchange`) has no `side`, bids or asks."""
        seconds = _seconds(seconds)
        self._on_market(
            symbol,
            exchange,
            lambda made, name, listed: made.empty_side(name, listed, side=side, seconds=seconds),
        )

    def cross(self, symbol: str, seconds: float, *, exchange: str | None = None) -> None:
        """For so many `seconds` the book that is published of a `symbol` (of an `exchange`) touches or
        crosses itself."""
        seconds = _seconds(seconds)
        self._on_market(
            symbol, exchange, lambda made, name, listed: made.cross(name, listed, seconds=seconds)
        )

    def huge_event(self, symbol: str, levels: int = 1_000, *, exchange: str | None = None) -> None:
        """The next event of a `symbol` (of an `exchange`) sets so many `levels` at once."""
        levels = _count(levels, name="levels")
        self._on_market(
            symbol, exchange, lambda made, name, listed: made.huge_event(name, listed, levels=levels)
        )

    def reset_ids(self, symbol: str, *, exchange: str | None = None) -> None:
        """Update ids of a `symbol` (of an `exchange`) begin again at a thousandth of what they were, as when
        a testnet is reset; where symbols share their ids, all of them."""
        self._on_market(symbol, exchange, lambda made, name, listed: made.reset_ids(name, listed))

    def end_faults(self) -> None:
        """Nothing goes wrong by chance any more: the end of the exchange's `Faults`."""

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
    """The exchange that is named; without a name all."""
    served = made.venues()
    if name is None:
        return served
    found = venues.venue(name).name
    if found not in served:
        raise InvalidArgument(name="exchange", value=name, allowed=" or ".join(served))
    return (found,)


def _market(made: SimulatedExchange, symbol: str, name: str | None) -> tuple[str, str]:
    """The one listed symbol that is meant, with its exchange."""
    names = _exchanges(made, name)
    found = [
        (each, listed) for each in names for listed in made.symbols(each) if listed == _spelled(symbol, each)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        ways = " or ".join(f"exchange={each!r}" for each, _ in found)
        raise UnknownSymbol(
            symbol=symbol, exchange=None, reason=f"it is listed on several exchanges: name one, {ways}"
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
    """The symbol as that exchange spells it; None for what cannot be one."""
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
