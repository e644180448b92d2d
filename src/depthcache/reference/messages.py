"""From the exchange's bytes to exact numbers; anything that differs from the documentation is malformed.

A frame is one JSON object. Wrapped (combined streams) it looks like

    {"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT",
     "U":50093239189,"u":50093239202,"b":[["61737.63000000","0.00000000"]],"a":[]}}

A raw frame is the inner object alone. Futures add `T`, `pu`, `ps` and `st` (Binance spot API docs,
2026-07-21; USD-M docs, 2026-05-28). Unknown keys are ignored; three appeared in 2026 alone. Also ignored is
what no rule needs: `T`, and the third element of a level (archives of 2017 to 2019: `["price","qty",[]]`). An
invalid event time counts as none, an invalid `pu` as missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from string import ascii_lowercase, ascii_uppercase
from typing import Any, TypeAlias, cast

from depthcache.errors import MalformedFrame, MalformedMessage, MalformedSnapshot

__all__ = [
    "DepthSnapshot",
    "DepthUpdate",
    "Frame",
    "Number",
    "is_diff_stream",
    "parse_frame",
    "parse_snapshot",
]

MOST_BYTES = 16 * 1024 * 1024
MOST_NESTING = 64
MOST_DECIMALS = 18
TOO_LARGE = Decimal(10) ** 20
LARGEST_ID = 2**63 - 1
FIRST_MICROSECONDS = 10**14  # higher times are microseconds, lower ones milliseconds
LAST_MICROSECONDS = 10**17  # the year 5138: higher values are not times

_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_SPECIAL = re.compile(rb'["\\{}\[\]]')
_UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)


@dataclass(frozen=True, slots=True)
class Number:
    """A price or quantity as sent: its exact value, and the number of decimals in its text."""

    value: Decimal
    scale: int


Side: TypeAlias = list[tuple[Number, Number]]


@dataclass(frozen=True, slots=True)
class DepthUpdate:
    """One diff depth event: absolute quantities by price; zero deletes."""

    symbol: str
    first_update_id: int  #                  U
    final_update_id: int  #                  u
    previous_final_update_id: int | None  #  pu, futures and options only
    event_time_us: int  #                    E, 0 when absent
    bids: Side
    asks: Side


@dataclass(frozen=True, slots=True)
class DepthSnapshot:
    """One response of the depth endpoint."""

    last_update_id: int
    bids: Side
    asks: Side
    symbol: str | None = None  #            `symbol`, COIN-M only
    pair: str | None = None  #              `pair`, COIN-M only
    event_time_us: int = 0  #               `E`, USD-M and COIN-M; 0 when absent
    transaction_time_us: int = 0  #         `T`, futures and options; 0 when absent

    def foreign_to(self, symbol: str) -> str | None:
        """The symbol or pair in the response if it is not that of `symbol`; ASCII case is ignored."""
        own = symbol.translate(_UPPER)
        if self.symbol is not None and self.symbol.translate(_UPPER) != own:
            return self.symbol
        if self.pair is not None and self.pair.translate(_UPPER) not in (own, own.partition("_")[0]):
            return self.pair
        return None


@dataclass(frozen=True, slots=True)
class Frame:
    """A valid frame: its stream if wrapped, its payload if that is a diff."""

    stream: str | None
    update: DepthUpdate | None


class _Wrong(Exception):
    """What is wrong with a message."""


class _Keys(list[tuple[str, Any]]):
    """A JSON object with all its keys, including duplicates."""

    def all(self, name: str) -> list[Any]:
        return [value for key, value in self if key == name]

    def last(self, name: str) -> Any:
        values = self.all(name)
        return values[-1] if values else None

    def only(self, *names: str) -> None:
        for name in names:
            if len(self.all(name)) > 1:
                raise _Wrong(f"the key {name} appears twice")

    def needed(self, name: str) -> Any:
        values = self.all(name)
        if not values:
            raise _Wrong(f"{name} is missing")
        return values[0]


def is_diff_stream(stream: str) -> bool:
    """Whether this is a diff depth stream; on futures, `rpiDepth` and `depth20` have the same `e`."""
    _, _, kind = stream.partition("@")
    return kind == "depth" or kind.startswith("depth@")


def parse_frame(data: bytes) -> Frame:
    """Parse a frame. Raises MalformedFrame, with the attribute `stream` if it could be read."""
    stream = None
    try:
        top = _load(data)
        wrapped, payload = top.last("stream"), top.last("data")
        if not (isinstance(wrapped, str) and isinstance(payload, _Keys)):
            return Frame(None, _diff(top))
        stream = wrapped
        return Frame(stream, _diff(payload) if is_diff_stream(stream) else None)
    except _Wrong as wrong:
        raise _malformed(MalformedFrame, wrong, data, stream) from None


def parse_snapshot(data: bytes) -> DepthSnapshot:
    """Parse the body of a depth snapshot. Raises MalformedSnapshot."""
    try:
        top = _load(data)
        top.only("lastUpdateId", "bids", "asks", "E")
        return DepthSnapshot(
            _integer(top.needed("lastUpdateId")),
            _side(top.needed("bids")),
            _side(top.needed("asks")),
            _name(top.last("symbol")),
            _name(top.last("pair")),
            _time_us(top.last("E")),
            _time_us(top.last("T")),
        )
    except _Wrong as wrong:
        raise _malformed(MalformedSnapshot, wrong, data, None) from None


def _diff(keys: _Keys) -> DepthUpdate | None:
    if keys.last("e") != "depthUpdate":
        return None
    keys.only("e", "E", "T", "s", "U", "u", "pu", "b", "a")
    symbol = keys.needed("s")
    if not isinstance(symbol, str) or not symbol:
        raise _Wrong("the symbol s must be a string that is not empty")
    first, final = _integer(keys.needed("U")), _integer(keys.needed("u"))
    if first > final:
        raise _Wrong("the first update id U is above the final update id u")
    previous = keys.last("pu") if _is_id(keys.last("pu")) else None
    bids, asks = _side(keys.needed("b")), _side(keys.needed("a"))
    return DepthUpdate(symbol, first, final, previous, _time_us(keys.last("E")), bids, asks)


def _side(levels: Any) -> Side:
    if not isinstance(levels, list) or isinstance(levels, _Keys):
        raise _Wrong("a side must be an array of levels")
    side: Side = []
    for level in cast("list[object]", levels):
        is_array = isinstance(level, list) and not isinstance(level, _Keys)
        texts = cast("list[object]", level) if is_array else []
        if len(texts) not in (2, 3):
            raise _Wrong("a level must be an array of two strings")
        price, quantity = map(_number, texts[:2])
        if not price.value:
            raise _Wrong("a price must be above zero")
        side.append((price, quantity))
    return side


def _number(text: Any) -> Number:
    if not isinstance(text, str):
        raise _Wrong("a price or quantity must be a string")
    if not _NUMBER.fullmatch(text):
        raise _Wrong("a number may only contain digits, one dot and an exponent")
    mantissa, _, power = text.lower().partition("e")
    whole, _, part = mantissa.partition(".")
    digits = (whole + part).lstrip("0")
    if not digits:
        return Number(Decimal(0), 0)
    scale = len(part) - _exponent(power)
    while scale > MOST_DECIMALS and digits.endswith("0"):
        digits, scale = digits[:-1], scale - 1
    if scale > MOST_DECIMALS:
        raise _Wrong("a number may have at most 18 decimals")
    if len(digits) - scale > 20:
        raise _Wrong("a number must be below 10^20")
    exact = Decimal((0, tuple(map(int, str(int(digits)))), -scale))  # scaleb would round to 28 digits
    return Number(exact, max(scale, 0))


def _exponent(power: str) -> int:
    figures = power.lstrip("+-").lstrip("0") or "0"
    size = int(figures) if len(figures) < 10 else 10**9
    return -size if power.startswith("-") else size


def _is_id(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int) and 0 <= value <= LARGEST_ID


def _integer(value: Any) -> int:
    if not _is_id(value):
        raise _Wrong("an id must be an integer of 64 bits that is not negative")
    return cast("int", value)


def _time_us(value: Any) -> int:
    """Convert a time in any unit on the wire to microseconds; 0 if it is not a valid time."""
    if not _is_id(value) or value >= LAST_MICROSECONDS:
        return 0
    return cast("int", value) * (1 if value >= FIRST_MICROSECONDS else 1_000)


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _load(data: bytes) -> _Keys:
    if len(data) > MOST_BYTES:
        raise _Wrong("the message is larger than 16 MiB")
    if _nesting(data) > MOST_NESTING:
        raise _Wrong("nesting is deeper than 64 levels")
    try:
        text = data.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_Keys, parse_int=_whole, parse_float=_Fraction, parse_constant=_refuse
        )
        if "\\u" in text:
            repr_of = json.dumps(value, ensure_ascii=False, default=str)
            repr_of.encode("utf-8")
    except UnicodeError:
        raise _Wrong("the text is not valid UTF-8, or a surrogate is unpaired") from None
    except ValueError as error:
        raise _Wrong(f"not JSON: {error}") from None
    if not isinstance(value, _Keys):
        raise _Wrong("a message must be a JSON object")
    return value


class _Fraction:
    """A JSON number that is not an integer of plausible size; invalid as an id or time."""

    def __init__(self, text: str) -> None:
        self.text = text


def _whole(text: str) -> int | _Fraction:
    return int(text) if len(text) <= 20 and text != "-0" else _Fraction(text)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _nesting(data: bytes) -> int:
    deepest = depth = 0
    inside = False
    position = 0
    while match := _SPECIAL.search(data, position):
        mark, position = match[0], match.end()
        if mark == b"\\":
            position += 1
        elif mark == b'"':
            inside = not inside
        elif not inside and mark in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif not inside and mark in b"}]":
            depth -= 1
    return deepest


def _malformed(
    kind: Callable[..., MalformedMessage], wrong: _Wrong, data: bytes, stream: str | None
) -> MalformedMessage:
    error = kind(what=str(wrong), position=0, excerpt=data)
    error.stream = stream
    return error
