"""Read and replay recorded market data: frames and snapshots as Binance sent them.

`read` streams the records of files in the order in which they were received. `verify` replays them through a
book and reports whether it comes out right. Formats are detected. To write recordings, use
`Settings(record_to=…)` or `depthcache record`.
"""

from __future__ import annotations

from depthcache.io.recording.recording_file import RecordingFile
from depthcache.naming import publish
from depthcache.recording.problems import Problem, Problems
from depthcache.recording.progress import OnProgress, Progress
from depthcache.recording.reading import read
from depthcache.recording.records import (
    Break,
    Diff,
    Frame,
    HeldBook,
    Record,
    RecordedResponse,
    RecordedSnapshot,
    SourcePosition,
    Ticker,
)
from depthcache.recording.verify import Report, Row, verify

__all__ = [
    "Break",
    "Diff",
    "Frame",
    "HeldBook",
    "OnProgress",
    "Problem",
    "Problems",
    "Progress",
    "Record",
    "RecordedResponse",
    "RecordedSnapshot",
    "RecordingFile",
    "Report",
    "Row",
    "SourcePosition",
    "Ticker",
    "read",
    "verify",
]

publish(
    "depthcache.recording",
    RecordedResponse,
    Break,
    Diff,
    Frame,
    HeldBook,
    SourcePosition,
    Problem,
    Problems,
    Progress,
    RecordingFile,
    Report,
    Row,
    RecordedSnapshot,
    Ticker,
    read,
    verify,
)


def __dir__() -> list[str]:
    return list(__all__)
