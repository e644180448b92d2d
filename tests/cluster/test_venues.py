"""Books of every family, read in every encoding, through losses of nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.readers import reading
from tests.cluster.venue_readers import BOOKS, KINDS, running

pytestmark = pytest.mark.slow


@pytest.mark.processes
@pytest.mark.parametrize("policy", [{}, {"DEPTHCACHE_BOOTSTRAP_FROM_DEPTH20": "true"}])
async def test_no_reader_of_any_family_notices_a_loss(tmp_path: Path, policy: dict[str, str]) -> None:
    async with running(tmp_path, policy=policy) as cluster, reading(cluster, BOOKS, KINDS) as readers:
        await cluster["b"].kill()
        await cluster.settled()
        await readers.progress()
        await cluster["b"].restart()
        await cluster.settled()
        cluster["c"].freeze()
        await cluster.settled()
        await readers.progress()
        cluster["c"].thaw()
        await cluster.settled()
