"""What a check found, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from depthcache.foreign_text import clean

__all__ = ["Finding", "Report", "Severity"]

_LONGEST = 1_000
"""Characters of one text of a finding."""


class Severity(StrEnum):
    """How a check ended."""

    OK = "ok"
    """Nothing is wrong."""
    WARN = "warn"
    """Books work, but something should be looked at."""
    FAIL = "fail"
    """Books cannot work like this."""
    INFO = "info"
    """A fact about the exchange that cannot be known in advance; never a fault."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check.

    Attributes:
        check: its name.
        severity: how it ended.
        measured: what was seen, in words and numbers.
        advice: what to do; empty where nothing is wrong.

    What was measured often comes from outside: all texts are cleaned here.
    """

    check: str
    severity: Severity
    measured: str
    advice: str = ""

    def __post_init__(self) -> None:
        for name in ("check", "measured", "advice"):
            object.__setattr__(self, name, clean(getattr(self, name), most=_LONGEST))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All findings of one exchange.

    Attributes:
        exchange: its name as given.
        findings: in the order in which they were made.
    """

    exchange: str
    findings: tuple[Finding, ...]

    @property
    def is_good(self) -> bool:
        """Whether no check failed."""
        return all(finding.severity is not Severity.FAIL for finding in self.findings)
