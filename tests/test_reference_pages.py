"""The reference pages are complete: settings, commands, log lines, metrics, errors and exchanges."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import depthcache
from depthcache import errors, logs, settings_sources
from depthcache.client import metrics
from depthcache.client.metrics import BookStats, BudgetStats, ConnectionStats, Stats
from depthcache.model import Status
from depthcache.reference.transitions import TRANSITIONS

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL, MACHINE = tool("reference_pages"), tool("market_machine")


@pytest.mark.parametrize("name", TOOL.PAGES)
def test_the_page_is_what_the_programs_say_themselves(name: str) -> None:
    written, said = (REFERENCE / name).read_text("utf-8"), TOOL.PAGES[name]()
    # Words, not spaces: versions of the library that formats help differ in where they break lines.
    assert written.split() == said.split(), "run tools/reference_pages.py"


@pytest.mark.parametrize("path", MACHINE.files(), ids=lambda path: path.name)
def test_the_market_machine_is_drawn_from_the_table_of_transitions(path: Path) -> None:
    assert path.read_text("utf-8") == MACHINE.files()[path], "run tools/market_machine.py"


def test_the_picture_of_the_market_machine_names_every_event_that_changes_a_state() -> None:
    changes = [event for (state, event), after in TRANSITIONS.items() if state is not after]
    drawn = " ".join(ET.fromstring(MACHINE.picture()).itertext())  # noqa: S314 - our own
    assert [event.name for event in changes if event.name not in drawn] == []


def test_the_settings_page_shows_a_file_that_can_be_read(tmp_path: Path) -> None:
    [block] = re.findall(r"```toml\n(.*?)```", (REFERENCE / "settings.md").read_text("utf-8"), re.DOTALL)
    file = tmp_path / "settings.toml"
    file.write_text(block, "utf-8")
    assert depthcache.Settings.from_toml(file).policy != depthcache.Policy()


def test_every_variable_on_the_settings_page_is_that_of_its_setting() -> None:
    page = (REFERENCE / "settings.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*?\| `(DEPTHCACHE_\w+)` \|", page, re.MULTILINE)
    assert len(rows) > len(fields(depthcache.Policy))
    assert [row for row in rows if row[1] != settings_sources.variable_of(row[0])] == []


def test_every_log_line_is_on_its_page() -> None:
    assert len(TOOL.log_lines()) == len(logs.__all__)


def test_every_command_and_option_is_on_its_page() -> None:
    import click

    from depthcache.cli import cli

    page = (REFERENCE / "commands.md").read_text("utf-8")
    every = dict(cli.commands)
    for name, command in cli.commands.items():
        if isinstance(command, click.Group):
            every |= {f"{name} {below}": each for below, each in command.commands.items()}
    assert "cluster start" in every
    for name, command in every.items():
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


def some(kind: type) -> Any:
    """A value of such facts, with something in every field."""
    samples = {"str": "x", "int": 1, "float": 1.0, "bool": True, "float | None": 1.0, "int | None": 1}
    samples |= {"tuple[int, ...]": (1,), "tuple[int, int]": (1, 1), "Status": Status.SYNCED}
    samples |= {"CompleteTo": depthcache.Book("binance.com").complete_to}
    samples |= {"dict[str, int]": depthcache.Book("binance.com").counters}
    return kind(**{field.name: samples[str(field.type)] for field in fields(kind)})


def some_facts() -> Stats:
    return Stats(books=(some(BookStats),), connections=(some(ConnectionStats),), budgets=(some(BudgetStats),))


def test_every_metric_that_documents_name_exists() -> None:
    text = metrics.prometheus_text(some_facts())
    samples = set(re.findall(r"^(depthcache_\w+)\{", text, re.MULTILINE))
    named = {
        name
        for page in (ROOT / "docs" / "how-to").glob("*.md")
        for name in re.findall(r"\bdepthcache_(?:book|connection|budget)_\w+", page.read_text("utf-8"))
    }
    assert named - samples == set()
