"""Books of every family, read in every encoding, through losses of nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.readers import lose_two, reading
from tests.cluster.venue_readers import (
    BOOKS,
    CM,
    KINDS,
    OPTIONS,
    UM,
    ArrowReader,
    BlockingClient,
    PackedReader,
    running,
)  # fmt: skip

pytestmark = pytest.mark.slow

FEW = (f"{UM}/币安人生USDT", f"{CM}/BTCUSD_PERP", f"{OPTIONS}/BTC-261225-126000-C")


async def test_readers_in_every_encoding_go_on_when_a_node_is_killed(tmp_path: Path) -> None:
    kinds = (BlockingClient, PackedReader, ArrowReader)
    async with running(tmp_path, "ab", FEW) as cluster, reading(cluster, FEW, kinds) as readers:
        await cluster["b"].kill()
        await cluster.settled()
        await readers.progress()


@pytest.mark.processes
@pytest.mark.parametrize("policy", [{}, {"DEPTHCACHE_BOOTSTRAP_FROM_DEPTH20": "true"}])
async def test_no_reader_of_any_family_notices_a_loss(tmp_path: Path, policy: dict[str, str]) -> None:
    async with running(tmp_path, policy=policy) as cluster, reading(cluster, BOOKS, KINDS) as readers:
        await lose_two(cluster, readers)
