"""The result of a check, and the report of all checks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from depthcache.foreign_text import clean

__all__ = ["Finding", "Report", "Severity"]

_LONGEST = 1_000
"""Most characters of one text of a finding."""


class Severity(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    """Nothing is wrong."""
    WARN = "warn"
    """Books work, but something needs attention."""
    FAIL = "fail"
    """Books cannot work until this is fixed."""
    INFO = "info"
    """A fact about the exchange that only a running exchange can tell; never a fault."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    All three texts are at most 1,000 characters long and free of control characters, because parts of them
    come from the network.

    Attributes:
        check: the name of the check, such as "DNS of api.binance.com".
        severity: the outcome.
        measured: what was observed, with numbers and units.
        advice: what to do; empty if nothing is wrong.
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
    """All findings about one exchange.

    Attributes:
        exchange: the exchange name as given.
        findings: in the order of the checks.
    """

    exchange: str
    findings: tuple[Finding, ...]

    @property
    def is_good(self) -> bool:
        """Whether no check failed."""
        return all(finding.severity is not Severity.FAIL for finding in self.findings)
