"""The page of statuses: it names every status and every reason, and reads do what its table says."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import pytest

import depthcache
from depthcache import Status
from depthcache.core import reasons as policy_reasons
from depthcache.reference import reasons as book_reasons
from depthcache.simulator import TINY, Faults, Pair, SimulatedExchange
from tests.engine import Engine
from tests.markets.test_router import Rig
from tests.test_reference_pages import REFERENCE, ROOT, TOOL

PAGE = (REFERENCE / "statuses.md").read_text("utf-8")
ROWS = {
    cells[0].strip("`"): cells[1:]
    for cells in (line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `"))
}


def test_the_table_names_every_status_in_order() -> None:
    assert list(ROWS) == [status.value for status in Status]


def test_every_setting_in_the_table_has_the_value_that_stands_before_it() -> None:
    said = re.findall(r"([\d.]+) s \(`(\w+)`\)", PAGE)
    assert len(said) > 5
    assert [name for seconds, name in said if float(seconds) != getattr(depthcache.Policy(), name)] == []


@pytest.mark.parametrize("module", [book_reasons, policy_reasons], ids=lambda module: module.__name__)
def test_every_reason_is_on_the_page(module: object) -> None:
    found = {name: texts for names in TOOL.reason_templates(module).values() for name, texts in names.items()}
    assert set(found) == set(module.__all__)  # type: ignore[attr-defined]
    assert [text for texts in found.values() for text in texts if f"- `{text}`\n" not in PAGE] == []


def test_the_reasons_of_the_process_are_those_of_the_native_side() -> None:
    source = (ROOT / "crates" / "book" / "src" / "router" / "watchdog.rs").read_text("utf-8")
    for text in TOOL.THIS_PROCESS[:2]:
        assert f'"{text.replace("…", "{}")}"' in source


def outcome(book: depthcache.BookReader, on_stale: depthcache.OnStale) -> str:
    try:
        book.freeze(1, on_stale=on_stale)
    except depthcache.BookError as error:
        return type(error).__name__
    return "read"


@pytest.mark.slow
def test_reads_do_in_every_status_what_the_table_says(engine: Engine) -> None:
    trouble = Faults(seed=5, drop=0.02, cut=0.002, lagging=0.3)
    exchange = SimulatedExchange({"binance.com": {"BTCUSDT": TINY}}, seed=1, faults=trouble)
    pair = Pair(exchange, seed=1, router=engine.Router())
    book = pair.add("binance.com", "BTCUSDT")
    seen: dict[tuple[str, str], set[str]] = defaultdict(set)

    def look(book: Any = book) -> None:
        seen[book.status, "raise"].add(outcome(book, "raise"))
        known = (
            book.last_update_id is not None
        )  # where nothing was installed yet, there is no last known book
        if known or book.status is Status.EMPTY:
            seen[book.status, "serve"].add(outcome(book, "serve"))

    pair.on_step = look
    look()
    pair.run_for(60)
    pair.end_faults()
    assert pair.run_until_synced()
    pair.cross("BTCUSDT", 0.5)
    pair.run_for(5)
    pair.sleep(20)
    look()
    pair.set_status("BTCUSDT", "BREAK")
    pair.run_for(60)
    pair.remove("binance.com", "BTCUSDT")
    look()
    pair.close()
    bridging = Rig(engine)
    bridging.install(live=False)
    look(bridging.book)
    for status, (_, gives, *_) in ROWS.items():
        error, _, also = gives.replace("`", "").partition(", ")
        assert seen[status, "raise"] == {"read" if error == "the book" else error}, status
        assert seen[status, "serve"] == {error if also == 'also under "serve"' else "read"}, status
