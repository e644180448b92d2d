"""Texts for users keep plain English: phrases that read like a riddle do not come back.

Only phrases are listed, never ordinary English words. Each has a plainer way to say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from depthcache.cli import cli

ROOT = Path(__file__).parents[1]
PHRASES = {
    r"(is|are) another than last told": "when … changes",
    r"of \d+ ms round trips": "with … ms round trips",
    r"break other clients are tests here": "every common client bug has a regression test here",
    r"whichever brings": "the first copy wins",
    r"in one line per purpose": "requests queue per purpose",
    r"no (line|queue) waits for ever": "weighted round-robin prevents starvation",
    r"costs is waiting": "the cost is cache misses",
    r"nor anybody to let go": "so … are never released",
    r"does not bring along": "an optional dependency",
    r"mistake, and no \w+'s": "a bug in …; … are unaffected",
    r"from the last proof to the word": "time to detect",
    r"from the word to sync": "time to recover",
    r"from the bell at once": "bytes drained per read",
    r"\d+ bars, \d+ not reached": "thresholds, missed",
    r"asks for all asks for none": "a request for all levels sets no target",
    r"there, too\b": "also there",
    r"\bwhoever\b": "the component's name",
    r"\b(is|are) told (once|when|by|how|what|that)\b": "learns, sees, gets a log line",
}


def texts() -> Iterator[tuple[str, str]]:
    """What users read, with its name: README, pages of the documentation, help of every command."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        yield str(path.relative_to(ROOT)), path.read_text("utf-8")
    program = cli.make_context("depthcache", [], resilient_parsing=True)
    yield "depthcache --help", program.get_help()
    for name, command in cli.commands.items():
        inside = command.make_context(name, [], parent=program, resilient_parsing=True)
        yield f"depthcache {name} --help", inside.get_help()
        for below, each in command.commands.items() if isinstance(command, click.Group) else ():
            context = each.make_context(below, [], parent=inside, resilient_parsing=True)
            yield f"depthcache {name} {below} --help", context.get_help()


TEXTS = dict(texts())


def riddles(text: str) -> list[str]:
    flat = " ".join(text.split())
    return [found[0] for phrase in PHRASES for found in re.finditer(phrase, flat, re.IGNORECASE)]


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_has_a_phrase_that_gave_way(name: str) -> None:
    assert riddles(TEXTS[name]) == []


def test_a_phrase_is_noticed_across_lines_and_plain_words_are_not() -> None:
    assert riddles("an item comes when the price is another\nthan last told") == ["is another than last told"]
    assert riddles("58 bars, 6 not reached") == ["58 bars, 6 not reached"]
    assert (
        riddles("Bars of a chart, a bell, a line and anybody: all fine. The proxy is told apart by its port.")
        == []
    )
