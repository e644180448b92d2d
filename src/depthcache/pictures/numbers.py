"""Numbers as text, for tables and for charts."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

__all__ = ["plain"]


def plain(number: Decimal, form: Literal["f", ",f"] = "f") -> str:
    """Every digit that counts, never an exponent."""
    text = format(number, form)
    return text.rstrip("0").rstrip(".") if "." in text else text
