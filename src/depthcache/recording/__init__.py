"""Recorded market data: files of frames and snapshots as Binance sent them, read and replayed.

`read` streams the records of files in the order they were received, `verify` replays them through
a book and judges the outcome. Formats are recognised by themselves. Not here: writing recordings.
"""

from __future__ import annotations

from depthcache.io.recording.recording_file import RecordingFile
from depthcache.recording.problems import Problem, Problems
from depthcache.recording.progress import OnProgress, Progress
from depthcache.recording.reading import read
from depthcache.recording.records import Answer, Break, Diff, Frame, Held, Place, Record, Snapshot, Ticker
from depthcache.recording.verify import Report, Row, verify

__all__ = [
    "Answer",
    "Break",
    "Diff",
    "Frame",
    "Held",
    "OnProgress",
    "Place",
    "Problem",
    "Problems",
    "Progress",
    "Record",
    "RecordingFile",
    "Report",
    "Row",
    "Snapshot",
    "Ticker",
    "read",
    "verify",
]
