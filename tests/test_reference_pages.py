"""The reference cannot rot: all settings, commands, log lines, metrics, errors and exchanges stand there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import depthcache
from depthcache import errors, logs, metrics
from depthcache.metrics import BookFacts, BudgetFacts, ConnectionFacts, Facts
from depthcache.model import Status

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"


def pages_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_pages", ROOT / "tools" / "reference_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = pages_tool()


@pytest.mark.parametrize("name", TOOL.PAGES)
def test_the_page_is_what_the_programs_say_themselves(name: str) -> None:
    written, said = (REFERENCE / name).read_text("utf-8"), TOOL.PAGES[name]()
    # Words, not spaces: versions of the library that formats help differ in where they break lines.
    assert written.split() == said.split(), "run tools/reference_pages.py"


def test_every_log_line_is_on_its_page() -> None:
    assert len(TOOL.log_lines()) == len(logs.__all__)


def test_every_command_and_option_is_on_its_page() -> None:
    from depthcache.cli import cli

    page = (REFERENCE / "commands.md").read_text("utf-8")
    for name, command in cli.commands.items():
        part = page.split(f"## depthcache {name}\n", 1)[1].split("\n## ", 1)[0]
        options = [option for each in command.params for option in each.opts if option.startswith("--")]
        assert [option for option in options if option not in part] == []


def test_every_error_is_in_the_tree_and_in_the_table() -> None:
    page = (REFERENCE / "api" / "errors.md").read_text("utf-8")
    tree = re.findall(r"\b[A-Z]\w+\b", page.split("```text\n", 1)[1].split("```", 1)[0])
    assert set(errors.__all__) <= set(tree)
    bases = {
        "DepthCacheError",
        "UsageError",
        "ExchangeError",
        "NetworkError",
        "BookError",
        "MalformedMessage",
    }
    table = set(re.findall(r"`([A-Z]\w+)`", page.split("| error |", 1)[1].split("\n## ", 1)[0]))
    assert set(errors.__all__) - bases <= table


def some_facts() -> Facts:
    counters = depthcache.Book("binance.com").counters
    book = BookFacts(
        exchange="binance.com", symbol="BTCUSDT", status=Status.SYNCED, counters=counters, age_s=1.0,
        confirmed_s=1.0, levels=(1, 1), in_sync=1.0, losses=0, detect_s=0.0, recover_s=0.0, delays=(1,),
        delays_sum_s=1e-6,
    )  # fmt: skip
    connection = ConnectionFacts(
        exchange="binance.com", number=1, streams=1, is_open=True, frames=1, received_bytes=1, quiet_s=0.0,
        connects=1,
    )  # fmt: skip
    budget = BudgetFacts(
        pool="spot", limit=6000, most=3000, used=1, counted=1, waiting=0, in_flight=0, stopped_s=0.0,
        times=(1,), times_sum_s=0.001,
    )  # fmt: skip
    return Facts(books=(book,), connections=(connection,), budgets=(budget,))


def test_every_metric_is_on_its_page_and_no_other() -> None:
    text = metrics.prometheus_text(some_facts())
    told = set(re.findall(r"^# TYPE (depthcache_\w+) \w+$", text, re.MULTILINE))
    page = (REFERENCE / "metrics.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(depthcache_\w+)` \|", page, re.MULTILINE)) == told


def test_every_metric_that_documents_name_exists() -> None:
    text = metrics.prometheus_text(some_facts())
    samples = set(re.findall(r"^(depthcache_\w+)\{", text, re.MULTILINE))
    named = {
        name
        for page in (ROOT / "docs" / "how-to").glob("*.md")
        for name in re.findall(r"\bdepthcache_(?:book|connection|budget)_\w+", page.read_text("utf-8"))
    }
    assert named - samples == set()
