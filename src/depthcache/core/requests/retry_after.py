"""The Retry-After header in seconds: a number, or a date relative to the exchange's own clock.

RFC 9110, 10.2.3 and 5.6.7. The clock of this machine is never used: a date without a Date header in the
response counts as missing if the exchange's clock is unknown too.
"""

from __future__ import annotations

__all__ = ["stop_seconds"]

_SHORTEST_S, _LONGEST_S = 1.0, 3 * 86_400.0
"""Bans last up to three days (spot docs, 2026-07-21)."""
_MOST_DIGITS = 9
_LONGEST_TEXT = 64
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CENTURY_TURNS = 70
"""Two-digit years from here on belong to the last century (the obsolete dates of RFC 850)."""


def stop_seconds(retry_after: str | None, date: str | None, exchange_s: float | None) -> float | None:
    """How long to stop, between a second and three days; None if there is no usable value.

    `date`: the Date header of the same response. `exchange_s`: seconds since 1970 on the exchange's clock, if
    known; used if that header is missing.
    """
    text = (retry_after or "").strip()
    if _is_number(text):
        digits = text.lstrip("0")
        return _bounded(float(digits or "0") if len(digits) <= _MOST_DIGITS else _LONGEST_S)
    until_s = _seconds_since_1970(text)
    if until_s is None:
        return None
    now_s = _seconds_since_1970((date or "").strip())
    if now_s is None:
        now_s = exchange_s
    return None if now_s is None else _bounded(until_s - now_s)


def _bounded(seconds: float) -> float:
    return min(max(seconds, _SHORTEST_S), _LONGEST_S)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _seconds_since_1970(text: str) -> float | None:
    """Parse one of the three forms of an HTTP date; None for anything else."""
    if len(text) > _LONGEST_TEXT or not text.isascii():
        return None
    words = text.replace(",", " ").split()
    if len(words) == 4 and words[1].count("-") == 2:  # Sunday, 06-Nov-94 08:49:37 GMT
        words[1:2] = words[1].split("-")
    if len(words) == 6 and words[5].upper() == "GMT":  # Sun, 06 Nov 1994 08:49:37 GMT
        day, month, year, time = words[1:5]
    elif len(words) == 5:  # Sun Nov  6 08:49:37 1994
        month, day, time, year = words[1:]
    else:
        return None
    clock = time.split(":")
    if month.lower() not in _MONTHS or len(clock) != 3 or len(year) not in (2, 4):
        return None
    if not all(_is_number(number) and len(number) <= 2 for number in (day, *clock)) or not _is_number(year):
        return None
    hour, minute, second = map(int, clock)
    if not (1 <= int(day) <= 31 and hour < 24 and minute < 60 and second <= 60):
        return None
    years = int(year) + (0 if len(year) == 4 else 1900 if int(year) >= _CENTURY_TURNS else 2000)
    days = _days_since_1970(years, _MONTHS.index(month.lower()) + 1, int(day))
    return days * 86_400.0 + hour * 3_600 + minute * 60 + second


def _days_since_1970(year: int, month: int, day: int) -> int:
    """In the Gregorian calendar, with years that start in March, so that February comes last."""
    if month <= 2:
        year, month = year - 1, month + 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719_469
