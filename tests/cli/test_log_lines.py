"""Lines of commands on stderr: text, or JSON that holds whatever the values contain."""

from __future__ import annotations

import inspect
import json
import logging
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from depthcache import logs
from depthcache.cli import cli, main
from depthcache.cli.log_lines import JsonLines, Lines, TextLines, choose, identify, written
from tests.cli.programs import running
from tests.test_logs import sample

HOSTILE = 'EV\nIL\r\x1b[31m\u202e\x00"}\ud800\\{"level": "x"} \u2028中\x9b'
OWN = {"node": "a758f3ac01d2e3f4", "cluster": "amber-fox"}
RESERVED = {"time", "level", "logger", "event", "message", "node", "cluster", "exception"}


class Stderr:
    """What was written to stderr since the last look."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def read(self) -> str:
        return self._capsys.readouterr().err


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Stderr]:
    """The format of the process is as it was at the end."""
    yield Stderr(capsys)
    choose(None)


@contextmanager
def alone(lines: Lines) -> Iterator[None]:
    """Lines reach no handler of pytest, which cannot report all of them."""
    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    try:
        with written(lines):
            yield
    finally:
        root.handlers = before


def written_by(name: str, stderr: Stderr, **given: object) -> list[dict[str, Any]]:
    """The JSON lines of one log function."""
    choose("json")
    identify(**OWN)
    with alone(Lines.ALL):
        getattr(logs, name)(**given)
    return [json.loads(line) for line in stderr.read().splitlines()]


def arguments(name: str, text: str | None = None) -> dict[str, object]:
    """Something for every argument; `text` in the place of each text."""
    found = {
        each.name: sample(str(each.annotation))
        for each in inspect.signature(getattr(logs, name)).parameters.values()
    }
    return {
        key: text if text is not None and isinstance(value, str) else value for key, value in found.items()
    }


# --- JSON --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", logs.__all__)
def test_each_log_function_writes_one_json_object_with_its_values(name: str, stderr: Stderr) -> None:
    given = arguments(name)
    if "node" in given:
        given["node"] = OWN["node"]
    if "cluster" in given:
        given["cluster"] = OWN["cluster"]
    [line] = written_by(name, stderr, **given)
    assert line["event"] == name
    assert line["level"] in ("info", "warning", "error")
    assert line["logger"] in ("depthcache", "depthcache.cluster")
    assert datetime.fromisoformat(line["time"]).utcoffset() is not None
    assert len(line["time"]) == len("2026-11-30T17:46:39.204Z")
    assert line["message"]
    assert {each: line[each] for each in OWN} == OWN
    for argument, value in given.items():
        if argument == "error":
            assert line["error_type"] == "ValueError"
        elif argument != "callback":
            assert line[argument] == value, argument


@pytest.mark.parametrize("name", logs.__all__)
def test_hostile_text_breaks_no_line(name: str, stderr: Stderr) -> None:
    for format_ in ("json", "text"):
        choose(format_)
        with alone(Lines.ALL):
            getattr(logs, name)(**arguments(name, HOSTILE))
        first, *more = stderr.read().split("\n")
        if format_ == "json":
            assert more == [""]
            assert first.isascii()
            assert first.isprintable()
            values = json.loads(first)
            json.dumps(values).encode()
            assert not any("\ud800" in str(each) for each in values.values())
        else:
            assert first.isprintable()
            assert not [
                each for each in more if each and not each.startswith(("Traceback", " ", "ValueError"))
            ]


def test_no_log_function_has_an_argument_that_is_a_field_of_every_line() -> None:
    """`node` and `cluster` are those of the node that writes; another node is `peer`."""
    found = {
        name: RESERVED & inspect.signature(getattr(logs, name)).parameters.keys() for name in logs.__all__
    }
    assert {name: each for name, each in found.items() if each} == {
        "node_removed": {"node"},
        "node_started": {"node", "cluster"},
    }


def test_an_exception_is_in_its_line(stderr: Stderr) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        [line] = written_by("unexpected", stderr, where="a test", error=error)
    assert line["exception"]["type"] == "ValueError"
    assert "raise ValueError" in line["exception"]["traceback"]
    assert "\n" in line["exception"]["traceback"]


def test_a_long_traceback_is_shortened_at_its_beginning() -> None:
    def dive(depth: int) -> None:
        if depth:
            dive(depth - 1)
        raise ValueError("x" * 20_000 + "the end")

    try:
        dive(10)
    except ValueError as error:
        about = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("depthcache", logging.ERROR, "", 0, "text", None, about)
    shown = json.loads(JsonLines().format(record))["exception"]["traceback"]
    assert len(shown) < 17_000
    assert shown.endswith("the end\n")


def test_values_that_json_has_not_are_text() -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    record = logging.LogRecord("other", logging.WARNING, "", 0, "%d and %d", (1,), None)
    facts = {"nan": float("nan"), "odd": Odd(), "big": 10**5_000, "list": [1, Odd], "none": None, "event": 5}
    vars(record).update(facts)
    line = json.loads(JsonLines().format(record))
    assert (line["nan"], line["odd"], line["big"], line["none"]) == ("nan", "<Odd>", "<int>", None)
    assert line["message"] == "%d and %d"
    assert line["event"] == "5"


@pytest.mark.parametrize("format_", [JsonLines, TextLines])
@pytest.mark.parametrize("prefix", ["dcr_", "dca_", "dcx_", f"dcj_{'5' * 64}_"])
def test_a_token_is_not_written_even_if_a_line_has_one(format_: type[logging.Formatter], prefix: str) -> None:
    secret = "SomeSecretOfATest"  # noqa: S105 - it is none
    record = logging.LogRecord("x", logging.WARNING, "", 0, f"see {prefix}{secret}", None, None)
    record.reason = f"{prefix}{secret}"
    shown = format_().format(record)
    assert secret not in shown
    assert prefix[:4] in shown


# --- which lines -------------------------------------------------------------------------------


def test_a_node_writes_no_lines_about_single_books_but_all_about_itself(stderr: Stderr) -> None:
    choose("json")
    with written(Lines.OF_A_NODE):
        for name in logs.__all__:
            getattr(logs, name)(**arguments(name))
        logging.getLogger("asyncio").warning("of another library")
        logging.getLogger("asyncio").info("of no concern")
    lines = [json.loads(line) for line in stderr.read().splitlines()]
    events = {each.get("event") for each in lines}
    assert not events & logs.OF_SINGLE_BOOKS
    assert {"node_away", "take_over_done", "unexpected", "not_written", "certificate_refused"} <= events
    assert [each["message"] for each in lines if each["logger"] == "asyncio"] == ["of another library"]


def test_events_of_single_books_are_those_that_a_program_without_logging_does_not_see(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet: set[str] = set()
    for name in logs.__all__:
        levels: list[bool] = []

        def write(self: logs._Limited, *_: object, levels: list[bool] = levels, **__: object) -> None:
            levels.append(self._quiet)

        monkeypatch.setattr(logs._Limited, "write", write)
        monkeypatch.setattr(logs, "_write", lambda *_, **__: None)
        getattr(logs, name)(**arguments(name))
        if levels == [True]:
            quiet.add(name)
    assert quiet == logs.OF_SINGLE_BOOKS


def test_without_a_format_only_a_node_writes_lines(stderr: Stderr) -> None:
    choose(None)
    for always in (False, True):
        with written(Lines.OF_A_NODE, always=always):
            logs.node_started(node="a1", cluster="test", nodes=1, books=0)
        assert ("node a1 of the cluster test runs" in stderr.read()) == always
    assert logging.getLogger("depthcache").level == logging.NOTSET


def test_text_has_a_time_a_level_and_the_message(stderr: Stderr) -> None:
    choose("text")
    with written(Lines.OF_A_NODE):
        logs.node_suspect(peer="b2")
    at, level, message = stderr.read().rstrip("\n").split(" ", 2)
    assert at.endswith("Z")
    assert datetime.fromisoformat(at)
    assert (level, message) == ("WARNING", "node b2 is suspect: its connection broke, or it is silent")


# --- the option --------------------------------------------------------------------------------


def test_the_commands_that_run_as_services_have_the_option() -> None:
    found = set()
    for name, command in cli.commands.items():
        below = getattr(command, "commands", {"": command})
        for sub, each in below.items():
            if "--log-format" in [option for param in each.params for option in param.opts]:
                found.add(f"{name} {sub}".strip())
    assert found == {"cluster start", "cluster join", "serve", "record"}


def test_an_unknown_format_names_the_variable_and_what_is_allowed(
    stderr: Stderr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHCACHE_LOG_FORMAT", "xml")
    assert main(["serve", "BTCUSDT"]) == 2
    shown = stderr.read()
    assert "DEPTHCACHE_LOG_FORMAT" in shown
    assert "'xml' is not one of 'text', 'json'" in shown


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_why_a_command_fails_is_a_json_line_too(debug: tuple[str, ...], stderr: Stderr) -> None:
    arguments = [*debug, "serve", "--log-format", "json", "BTCUSDT", "--listen", "10.0.0.1"]
    assert main(arguments) == 2
    [line] = map(json.loads, stderr.read().splitlines())
    assert (line["level"], line["event"], line["logger"]) == ("error", "failed", "depthcache.cli")
    assert line["message"].startswith("invalid --listen")
    assert ("exception" in line) == bool(debug)
    assert main(["serve", "--log-format", "json"]) == 2
    assert "name symbols" in json.loads(stderr.read())["message"]
    assert main(["exchanges", "--nope"]) == 2
    assert "Usage:" in stderr.read(), "the next command of the process has no format"


def test_a_fault_of_a_command_is_a_json_line(stderr: Stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("depthcache.connect", broken)
    assert main(["serve", "BTCUSDT", "--log-format", "json", "--check"]) == 1
    [line] = map(json.loads, stderr.read().splitlines())
    assert (line["event"], line["message"]) == ("crashed", "RuntimeError: a fault")
    assert line["exception"]["type"] == "RuntimeError"


@pytest.mark.slow
def test_a_server_writes_json_alone_to_stderr(embedded_exchange: Mapping[str, str], tmp_path: Path) -> None:
    environment = {**embedded_exchange, "DEPTHCACHE_LOG_FORMAT": "json"}
    with running(
        "serve", "BTCUSDT", "--port", "0", "--data-dir", str(tmp_path), "--json", environment=environment
    ) as program:
        json.loads(program.line())
        code, _, err = program.end(signal.SIGTERM)
    assert code == 0
    lines = [json.loads(line) for line in err.splitlines()]
    events = [line["event"] for line in lines]
    assert {"book_status", "connection_open", "said"} <= set(events)
    [synced] = [each for each in lines if each["event"] == "book_status" and each["status"] == "synced"]
    assert (synced["exchange"], synced["symbol"]) == ("binance.com", "BTCUSDT")
    assert "node" not in synced


@pytest.mark.slow
def test_a_node_writes_json_alone_to_stderr_and_says_who_it_is(
    embedded_exchange: Mapping[str, str], tmp_path: Path
) -> None:
    pytest.importorskip("zenoh")
    arguments = ("cluster", "start", "--cluster", "amber-fox", "--data-dir", str(tmp_path / "node"))
    more = ("--port", "0", "--node-port", "0", "--json", "--log-format", "json")
    with running(*arguments, *more, environment=embedded_exchange) as program:
        facts = json.loads(program.line())
        code, _, err = program.end(signal.SIGTERM)
    assert code == 0
    lines = [json.loads(line) for line in err.splitlines()]
    assert [line["event"] for line in lines] == ["node_started", "said"]
    assert {(line["node"], line["cluster"]) for line in lines} == {(facts["node"], "amber-fox")}
    assert lines[0]["books"] == 0
    assert facts["read_token"] not in err
