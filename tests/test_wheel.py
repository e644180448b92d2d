"""The wheel under test can be installed on the old systems and interpreters that its tags promise."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tools" / "interpreters.sh"


@pytest.mark.skipif("TESTED_WHEEL" not in os.environ, reason="the package under test is no wheel")
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="manylinux tags are for Linux with glibc")
def test_the_wheel_needs_no_newer_glibc_than_2_17_and_no_certain_python() -> None:
    text = distribution("depthcache").read_text("WHEEL")
    assert text is not None
    tags = [line.removeprefix("Tag: ") for line in text.splitlines() if line.startswith("Tag: ")]
    machine = platform.machine()
    assert f"cp311-abi3-manylinux_2_17_{machine}" in tags, tags


def supported() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    return re.findall(r"Python :: (3\.\d+)", " ".join(tomllib.loads(text)["project"]["classifiers"]))


def test_every_supported_interpreter_is_looked_for() -> None:
    [looked_for] = re.findall(r"^for version in (.*); do$", SCRIPT.read_text("utf-8"), re.MULTILINE)
    assert looked_for.split() == supported() == ["3.11", "3.12", "3.13", "3.14"]


def test_an_interpreter_that_is_not_there_is_named_loudly(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / SCRIPT.name).write_text(SCRIPT.read_text("utf-8"))
    environment = {"PATH": "/nowhere", "PYENV_ROOT": str(tmp_path), "HOME": str(tmp_path)}
    call = [
        "/bin/bash",
        "-c",
        f'dirname() {{ echo "{tmp_path}/tools"; }}; . "$0"',
        str(tmp_path / "tools" / SCRIPT.name),
    ]
    ran = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr == "\n!! NOT TESTED, not on this machine: python3.11 python3.12 python3.13 python3.14\n"
