"""Documents stay correct: their code runs, their paths exist, their commands exist."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import depthcache
from depthcache import errors, simulator
from depthcache.server.config_file import read_serve_file
from depthcache.venues import registry

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "depthcache"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
OUTPUT = re.compile(
    r"(?:\n\n(?:(?!```|#)[^\n]+\n)+\n```console\n[^`]*```)?\n\n```text\n(?P<output>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
"""A `text` block after a `python` block is its output; the command that runs it may come between."""
FIRST_PAGES = ("README.md", "docs/index.md", "docs/tutorial.md")
MOST_WORDS = 650


def blocks() -> list[object]:
    """Every block of Python with the output that the page shows, as a parameter named after its place."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text("utf-8")
        for match in BLOCK.finditer(text):
            if match["language"] == "python":
                shown = OUTPUT.match(text, match.end())
                line = text.count("\n", 0, match.start()) + 1
                output = shown and shown["output"]
                found.append(pytest.param(match["code"], output, id=f"{document.relative_to(ROOT)}:{line}"))
    return found


def shape(output: str) -> list[str]:
    """Lines of output without what differs from run to run: numbers, their signs, the width of columns."""
    lines = re.sub(r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?", "N", output).splitlines()
    return [" ".join(line.split()) for line in lines]


def texts(language: str) -> list[str]:
    """The code of every block of a language."""
    return [
        match["code"]
        for document in DOCUMENTS
        for match in BLOCK.finditer(document.read_text("utf-8"))
        if match["language"] == language
    ]


def commands() -> list[list[str]]:
    """Every command that a console block shows, split into words: lines that begin with `$ `."""
    lines = [line for block in texts("console") for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE)]
    return [
        shlex.split(part, comments=True)
        for line in lines
        for part in re.split(r" (?:&&|\|) ", re.sub(r" [>&](?: \S+)?.*$", "", line))
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("code", "output"), blocks())
def test_every_python_block_runs_against_the_embedded_exchange(
    code: str,
    output: str | None,
    served_by_the_embedded_exchange: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It runs, and it prints what the page shows. Output that varies needs a sentence before its block."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_by_name", dict(registry._by_name))  # a block may register a venue
    compiled = compile(code, "block", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    namespace: dict[str, object] = {"__name__": "block"}
    if compiled.co_flags & inspect.CO_COROUTINE:

        async def run() -> None:
            async with asyncio.timeout(60):
                await eval(compiled, namespace)  # noqa: S307

        asyncio.run(run())
    else:
        exec(compiled, namespace)  # noqa: S102
    if output is not None:
        assert shape(capsys.readouterr().out) == shape(output)


def test_outputs_are_compared_without_their_numbers() -> None:
    assert shape("bid 61837.63 x 1e-05\n  basis -26.39, 1,203,019\n") == ["bid N x N", "basis N, N"]
    assert shape("synced 1\n") != shape("stale 1\n")


def test_the_first_pages_show_the_output_of_every_program() -> None:
    for page in FIRST_PAGES:
        text = (ROOT / page).read_text("utf-8")
        programs = [match for match in BLOCK.finditer(text) if match["language"] == "python"]
        assert programs
        assert [match["code"] for match in programs if OUTPUT.match(text, match.end()) is None] == []


def test_the_readme_is_read_in_a_few_minutes() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    [example] = [match["code"] for match in BLOCK.finditer(text) if match["language"] == "python"]
    assert len([line for line in example.splitlines() if line]) <= 8
    prose = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", BLOCK.sub("", text))
    assert len(re.findall(r"\S*\w\S*", prose)) <= MOST_WORDS


@pytest.mark.slow
def test_the_blocks_of_the_first_pages_pass_a_strict_type_checker(tmp_path: Path) -> None:
    """What is shown first is what is copied first: no read in it may be None."""
    pytest.importorskip("mypy")
    shown = [
        match["code"]
        for page in FIRST_PAGES
        for match in BLOCK.finditer((ROOT / page).read_text("utf-8"))
        if match["language"] == "python"
    ]
    assert len(shown) > 5
    files = []
    for number, code in enumerate(shown):
        files.append(tmp_path / f"block_{number}.py")
        files[-1].write_text(code, "utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "--strict", *map(str, files)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_block_is_of_a_language_that_is_checked_here() -> None:
    used = {
        match["language"]
        for document in DOCUMENTS
        for match in re.finditer(
            r"^```(?P<language>\w*)[^\n]*\n.*?^```$", document.read_text("utf-8"), re.M | re.S
        )
    }
    # What shows no code, such as a drawing, says `text`.
    # Units and Dockerfiles: `tests/test_deploy.py`. JavaScript: `tests/server/test_stream_docs.py`.
    assert used <= {"python", "console", "toml", "yaml", "text", "ini", "dockerfile", "javascript", ""}
    pages = [document.name for document in DOCUMENTS if "```javascript" in document.read_text("utf-8")]
    assert pages == ["stream.md"]


@pytest.mark.parametrize("document", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.name)
def test_code_is_no_wider_than_a_page_of_the_site(document: Path) -> None:
    """108 columns fit into a window of 1440 px (docs/assets/site.css); output of programs wraps."""
    blocks = re.finditer(r"^```(\w*)[^\n]*\n(.*?)^```$", document.read_text("utf-8"), re.M | re.S)
    lines = [line for block in blocks if block[1] != "text" for line in block[2].splitlines()]
    assert [line for line in lines if len(line) > 108] == []


def test_every_command_of_a_console_block_would_start() -> None:
    from depthcache.cli import cli

    shown = [words for words in commands() if words[0] == "depthcache" and len(words) > 1]
    assert len(shown) > 5
    program = cli.make_context("depthcache", [], resilient_parsing=True)
    for words in shown:
        rest = [word for word in words[1:] if word not in ("--help", "--version", "--debug")]
        if not rest:
            continue
        command = cli.commands[rest[0]]
        if rest[1:] or "--help" not in words:
            command.make_context(
                rest[0], rest[1:], parent=program
            )  # raises for options and arguments that do not exist


def test_every_other_program_of_a_console_block_is_known_here() -> None:
    makes = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    extras = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    )
    others = {"docker", "systemctl", "journalctl", "install", "kubectl", "helm", "uvicorn", "git", "cd"}
    for words in commands():
        match words[1:] if words[0] == "sudo" else words:
            case ["make", target, *_]:
                assert target in makes
            case ["pip", "install", *packages]:
                asked = re.findall(r"depthcache\[(\w+)\]", " ".join(packages))
                assert set(asked) <= extras
            case ["export", assignment]:
                name, _, value = assignment.partition("=")
                files = ("DEPTHCACHE_SETTINGS", "DEPTHCACHE_CA_FILE")  # of the reader; they must exist
                if name.startswith("DEPTHCACHE_") and name not in files:
                    depthcache.Settings.from_environment({name: value})
            case [program, *_]:
                assert Path(program).name in others | {
                    "depthcache", "source", "python", "python3", "pip", "curl", "jupyter", "cat", "node"
                }, program  # fmt: skip


def test_every_toml_block_is_a_file_of_settings_or_of_a_server(tmp_path: Path) -> None:
    blocks = texts("toml")
    assert blocks
    for block in blocks:
        path = tmp_path / "settings.toml"
        path.write_text(block, "utf-8")
        if "[books]" in block:  # for `depthcache serve`
            depthcache.server.ServerConfig(**read_serve_file(path).server)
        else:
            depthcache.Settings.from_toml(path)


def test_every_method_of_the_table_of_troubles_is_one() -> None:
    page = (ROOT / "docs" / "how-to" / "test-your-program.md").read_text("utf-8")
    rows = page[page.index("| trouble | method |") :].splitlines()
    for row in rows:
        on_pair, on_server = "(`Pair` only)" in row, "on a server also" in row
        for name in re.findall(r"`(?:pair\.)?(\w+)\(", row):
            if not on_server:
                assert hasattr(simulator.Pair, name), name
            if not on_pair:
                assert hasattr(simulator.Server, name), name


def test_every_page_of_the_site_is_in_its_menu_once() -> None:
    def pages(entry: object) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, dict):
            for value in entry.values():
                yield from pages(value)
        elif isinstance(entry, list):
            for value in entry:
                yield from pages(value)

    menu = sorted(pages(tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]["nav"]))
    assert menu == sorted(str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


SHORT_TITLES = {"Coming from UNICORN": "Coming from UNICORN Binance Local Depth Cache"}


def title(page: Path) -> str:
    return page.read_text("utf-8").partition("# ")[2].partition("\n")[0]


@pytest.mark.parametrize(
    "document", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda path: path.name
)
def test_a_link_that_begins_with_a_capital_says_the_title_of_its_page(document: Path) -> None:
    """Prose may link ordinary words. What looks like a title is the title that the reader then sees."""
    links = re.findall(r"\[([A-Z][^\]]*)\]\(([^)#:]+\.md)\)", document.read_text("utf-8"))
    said = [(" ".join(text.split()), title(document.parent / target)) for text, target in links]
    files = {"ARCHITECTURE.md", "BENCHMARKS.md", "CHANGELOG.md", "CONTRIBUTING.md", "Documentation"}
    wrong = [(text, found) for text, found in said if SHORT_TITLES.get(text, text) != found]
    assert [pair for pair in wrong if pair[0] not in files] == []


def test_the_menu_of_the_site_has_the_titles_of_its_pages() -> None:
    menu = re.findall(r'"([^"]+)" = "([^"]+\.md)"', (ROOT / "zensical.toml").read_text("utf-8"))
    assert len(menu) > 40
    titles = [(name, title(ROOT / "docs" / page)) for name, page in menu]
    assert [(name, found) for name, found in titles if SHORT_TITLES.get(name, name) != found] == []


def missing_files(row: str) -> list[str]:
    """The files of a row of the table that do not exist; a bare name belongs to the directory before it."""
    missing, folder = [], None
    for word in re.findall(r"`([^`]*)`", row):
        if re.match(r"(src|crates|tests|docs|benches|fuzz|tools)/|zensical\.toml", word):
            path = ROOT / word
            folder = path if word.endswith("/") else path.parent
        elif re.search(r"\.(py|pyi|rs|md|json|toml)$", word):
            path = (folder or ROOT) / word
        else:
            continue
        if not path.exists():
            missing.append(word)
    return missing


def test_every_path_in_the_table_of_places_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    rows = text.split("## Where is", 1)[1].split("\n## ", 1)[0].splitlines()
    assert len(rows) > 10
    assert [name for row in rows for name in missing_files(row)] == []


def test_a_missing_path_and_a_missing_bare_name_are_noticed() -> None:
    assert missing_files("| what? | `src/depthcache/gone.py`, `errors.py`, `lost.py` |") == [
        "src/depthcache/gone.py",
        "lost.py",
    ]
    assert missing_files(
        "| what? | `src/depthcache/simulator/`: `server.py`, `served.py`; `Venue.family` |"
    ) == ["served.py"]


def test_every_make_command_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {
        name for document in DOCUMENTS for name in re.findall(r"`make ([a-z]+)", document.read_text("utf-8"))
    }
    assert named
    assert named - targets == set()


def test_every_command_in_the_documents_exists() -> None:
    from depthcache.cli import cli

    named = {
        name
        for document in DOCUMENTS
        for name in re.findall(r"`depthcache ([a-z]+)", document.read_text("utf-8"))
    }
    assert named
    assert named - set(cli.commands) == set()


def test_every_public_object_is_documented() -> None:
    bare = [name for name in depthcache.__all__ if not inspect.isdatadescriptor(getattr(depthcache, name))]
    silent = [name for name in bare if not (inspect.getdoc(getattr(depthcache, name)) or "").strip()]
    assert silent == []


def test_the_tree_of_errors_names_every_error() -> None:
    classes = [
        cls for _, cls in inspect.getmembers(errors, inspect.isclass) if cls.__name__ in errors.__all__
    ]
    assert errors.__doc__ is not None
    drawn = set(re.findall(r"\b[A-Z]\w+\b", errors.__doc__.split("\n\n")[1]))
    assert {cls.__name__ for cls in classes} <= drawn
    assert {cls.__name__ for cls in classes} == set(errors.__all__)


def test_the_environment_of_the_tests_points_at_no_real_exchange() -> None:
    assert [
        name for name in os.environ if name.startswith("DEPTHCACHE_") and "binance" in os.environ[name]
    ] == []


def test_every_complaint_has_a_test_that_exists() -> None:
    page = (ROOT / "docs" / "concepts" / "complaints.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \|.*$", page, re.MULTILINE)
    assert [int(number) for number in rows] == [*range(1, 17)]
    for path, name in re.findall(r"`(tests/\S+\.py)::(\w+)`", page):
        assert f"def {name}(" in (ROOT / path).read_text("utf-8"), f"{path}::{name}"


def test_every_test_that_a_document_names_exists() -> None:
    named = {
        match
        for document in DOCUMENTS
        for match in re.findall(r"`(tests/\S+\.py)::(\w+)`", document.read_text("utf-8"))
    }
    assert len(named) > 20
    missing = [(path, name) for path, name in named if f"def {name}(" not in (ROOT / path).read_text("utf-8")]
    assert missing == []


def test_the_glossary_is_sorted_and_names_files_that_are_there() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    for table in glossary.split("## Inside"):
        words = [row.casefold() for row in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)][1:]
        assert words == sorted(words)
    named = re.findall(r"`([\w/]+(?:\.py|\.rs|/))`", glossary)
    assert len(named) > 10
    missing = [name for name in named if not any((root / name).exists() for root in (ROOT, PACKAGE))]
    assert missing == []
