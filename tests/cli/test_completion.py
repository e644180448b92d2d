"""Shell completion: what click's protocol responds, and what a real bash makes of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from depthcache import venues
from depthcache.cli import cli, main
from depthcache.cli.exchange_name import EXCHANGE_NAME

CODE = "import sys; from depthcache.cli import main; sys.exit(main())"


def completed(*words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What bash is offered for the last of these words."""
    monkeypatch.setenv("_DEPTHCACHE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(("depthcache", *words)))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    with pytest.raises(SystemExit):
        cli.main([], prog_name="depthcache", standalone_mode=False)
    return [line.partition(",")[2] for line in capsys.readouterr().out.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("symbols", "binance.com-f"), [name for name in venues.names() if "com-f" in name]),
        (("symbols", "binance.t"), ["binance.tr"]),
        (("audit", "--exchange", "trb"), ["trbinance.com"]),
        (("record", "--exchange", "binance.u"), ["binance.us"]),
        (("doctor", "--exchange", "binance.u"), ["binance.us"]),
        (("verify", "--exchange", "binance.u"), ["binance.us"]),
        (("simulate", "--exchange", "binance.u"), ["binance.us"]),
        (("sym",), ["symbols"]),
        (("simulate", "--fau"), ["--faults"]),
        (("simulate", "--faults", "ro"), ["rough"]),
        (("simulate", "--faults", "rough,dro"), ["rough,drop="]),
        (("symbols", "zzz"), []),
        (("cluster", "dr"), ["drain"]),
        (("cluster", "add", "--exchange", "binance.u"), ["binance.us"]),
        (("cluster", "token", "re"), ["read"]),
    ],
)
def test_commands_options_and_exchange_names_are_completed(
    words: tuple[str, ...],
    offered: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert completed(*words, monkeypatch=monkeypatch, capsys=capsys) == offered


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", "--exchange = binance.com-fu"),
        ("zsh", "--exchange=binance.com-fu"),
        ("fish", "--exchange=binance.com-fu"),
    ],
)
def test_a_value_behind_an_equals_sign_is_completed(
    shell: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_DEPTHCACHE_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", f"depthcache audit {words}")
    last = words.split()[-1]
    monkeypatch.setenv("COMP_CWORD", last if shell == "fish" else str(1 + len(words.split())))
    with pytest.raises(SystemExit):
        main([], prog_name="depthcache")
    front = "" if shell == "bash" else "--exchange="
    assert f"{front}binance.com-futures" in re.split(r"[\s,]", capsys.readouterr().out)


def test_an_empty_word_is_offered_every_name_and_alias(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    every = {name for each in venues.names() for name in (each, *venues.venue(each).aliases)}
    assert set(completed("symbols", "", monkeypatch=monkeypatch, capsys=capsys)) == every


def test_files_are_completed_behind_the_dashes_of_simulate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert completed("simulate", "--", "my_pro", monkeypatch=monkeypatch, capsys=capsys) == ["my_pro"]


def test_every_option_and_argument_that_names_an_exchange_has_the_type() -> None:
    groups = [each for each in cli.commands.values() if isinstance(each, click.Group)]
    named = [
        (name, each.type)
        for group in (cli, *groups)
        for name, command in group.commands.items()
        for each in command.params
        if each.name == "exchange"
    ]
    assert len(named) >= 6
    assert [name for name, kind in named if kind is not EXCHANGE_NAME] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script(shell: str) -> None:
    environment = {"_DEPTHCACHE_COMPLETE": f"{shell}_source", "PATH": "/usr/bin:/bin"}
    call = [sys.executable, "-c", CODE]
    ran = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert f"_DEPTHCACHE_COMPLETE={shell}_complete" in ran.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_bash_itself_completes_an_exchange(tmp_path: Path) -> None:
    program = tmp_path / "depthcache"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{CODE}' \"$@\"\n")
    program.chmod(0o755)
    page = (Path(__file__).parents[2] / "docs" / "reference" / "commands.md").read_text("utf-8")
    [documented] = re.findall(r"^eval .*bash_source.*$", page, re.MULTILINE)
    script = """
        function=$(complete -p depthcache | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        COMP_WORDS=(depthcache symbols binance.com-v) COMP_CWORD=2
        "$function" depthcache binance.com-v symbols
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    script = documented + script
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    ran = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["binance.com-vanilla-options", "binance.com-vanilla-options-testnet"]
