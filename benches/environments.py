"""Interpreters for other libraries: this one, or an environment made once for exactly these requirements.

Some libraries need another Python, and some cannot be installed next to each other. Each of those gets a
folder whose name is the hash of its requirements and its interpreter, so a changed pin makes a new one. What
cannot be installed raises `Unavailable`, whose words belong in the output. Not here: which library is
compared how.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

__all__ = ["BUILD", "Unavailable", "python_with"]

BUILD = Path(__file__).parents[1] / "build"
INSTALL_S = 600
_NEWEST_MINOR = 15


class Unavailable(Exception):
    """A library cannot be installed here, with the reason."""


def python_with(
    name: str,
    requirements: Sequence[str],
    *,
    least_python: tuple[int, int] = (3, 11),
    folder: Path = BUILD / "peers",
) -> str:
    """The interpreter that has all `requirements`, each pinned with `==`: this one where they are installed,
    else one of an environment below `folder`, which is made on the first call.

    `name`: of the library, for messages and the name of its environment. `least_python`: the oldest
    interpreter it runs on. Raises Unavailable.
    """
    if sys.version_info >= least_python and all(_is_here(each) for each in requirements):
        return sys.executable
    maker = _interpreter(name, least_python)
    key = json.dumps([sorted(requirements), maker])
    environment = folder / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    python = environment / "bin" / "python"
    done = environment / ".installed"
    if not done.exists():
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        for command in ([maker, "-m", "venv", "--clear", str(environment)], [*pip, *requirements]):
            if why := _failure(command):
                raise Unavailable(f"{', '.join(requirements)} cannot be installed: {why}")
        done.touch()
    return str(python)


def _failure(command: Sequence[str]) -> str:
    """Run it; why it failed, empty if it did not."""
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        return f"it takes longer than {INSTALL_S} s"
    return (made.stderr.strip() or "no reason given").splitlines()[-1] if made.returncode else ""


def _interpreter(name: str, least_python: tuple[int, int]) -> str:
    """This one, or the oldest on this machine that is new enough. Raises Unavailable."""
    if sys.version_info >= least_python:
        return sys.executable
    major, least = least_python
    for minor in range(least, _NEWEST_MINOR + 1):
        installed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
        found = [shutil.which(f"python{major}.{minor}"), *installed.glob(f"{major}.{minor}.*/bin/python")]
        for candidate in filter(None, found):
            asked = [str(candidate), "-c", "import sys; print(*sys.version_info[:2], sep='.')"]
            said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
            if said == f"{major}.{minor}":  # a shim may be there without the interpreter behind it
                return str(candidate)
    raise Unavailable(f"{name} needs Python {major}.{least} or newer, which is not on this machine")


def _is_here(requirement: str) -> bool:
    name, _, version = requirement.partition("==")
    try:
        return metadata.version(name) == version
    except metadata.PackageNotFoundError:
        return False
