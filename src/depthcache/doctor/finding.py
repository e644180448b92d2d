"""What a check found, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Report", "Verdict"]


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    """Nothing is wrong."""
    WARN = "warn"
    """Books work, but something should be looked at."""
    FAIL = "fail"
    """Books cannot work like this."""
    INFO = "info"
    """A fact that nobody knows in advance; never wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check.

    Attributes:
        check: its name.
        verdict: how it ended.
        measured: what was seen, in words and numbers.
        advice: what to do; empty where nothing is wrong.
    """

    check: str
    verdict: Verdict
    measured: str
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All findings of one exchange.

    Attributes:
        exchange: its name as asked for.
        findings: in the order in which they were made.
    """

    exchange: str
    findings: tuple[Finding, ...]

    @property
    def is_good(self) -> bool:
        """Whether no check failed."""
        return all(finding.verdict is not Verdict.FAIL for finding in self.findings)
