"""The rehearsal (`python -m benches.rehearsal`): the short form here, the long one in `make soak`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("cryptography")
pytest.importorskip("zenoh")

from tests.cluster.rehearsal import Report, Step, lines, rehearse

SEED = int(os.environ.get("REHEARSAL_SEED", "1"))


@pytest.mark.slow
async def test_no_reader_notices_an_upgrade_and_what_operators_do(tmp_path: Path) -> None:
    """On a slow machine, too: readers wait for longer."""
    report = await rehearse(tmp_path, seed=SEED, is_short=True, patience=8.0)
    assert report.is_right, "\n".join(lines(report))
    assert min(report.reads[name] for name in ("OwnClient", "RestReader", "SocketReader", "BookSeconds")) > 0


@pytest.mark.slow
@pytest.mark.processes
async def test_no_reader_notices_anything_of_the_whole_rehearsal(tmp_path: Path) -> None:
    report = await rehearse(tmp_path, seed=SEED, is_short=False, patience=3.0)
    assert report.is_right, "\n".join(lines(report))
    assert len(report.reads) == 10


def test_a_report_tells_wrong_reads_from_errors() -> None:
    report = Report(
        1, True, [Step("kill", 0.0, 1.0, ["RestReader 0: X: 3 wrong levels at id 5", "X: status 503"])]
    )
    assert (report.wrong, report.errors, report.is_right) == (1, 1, False)
    assert lines(report)[-1] == "1 errors, 1 wrong reads: FAILED"
    assert Report(1, True, failure="AssertionError: stuck").is_right is False
    assert Report(1, True).is_right is True
