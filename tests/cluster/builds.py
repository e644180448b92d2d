"""Builds of depthcache that nodes in processes run: this one, and older ones."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

import depthcache
from depthcache.cluster.build import FORCED

__all__ = ["OWN", "forced", "older_source"]

ROOT = Path(__file__).parents[2]
OLDER = "298f315a201af819f18ce23a9e5dad3b5f71cecd"
"""The last commit whose nodes speak version 1 of the protocol alone, and say no version."""
OWN: Mapping[str, str] = {}


def forced(protocol: str) -> Mapping[str, str]:
    """This build, made to speak other versions of the protocol between nodes."""
    return {FORCED: protocol}


def older_source(folder: Path) -> Mapping[str, str]:
    """The Python source of `OLDER` with this native module, or the build in `DEPTHCACHE_OLDER_TREE`: a folder
    with `src`. Skips where there is no history, and where that source cannot use this native module."""
    given = os.environ.get("DEPTHCACHE_OLDER_TREE")
    source = Path(given) / "src" if given else _archived(folder)
    build = {"PYTHONPATH": str(source)}
    probe = "import depthcache._native, depthcache.cluster.program; print(depthcache.__file__)"
    ran = subprocess.run(
        [sys.executable, "-c", probe],
        env={**os.environ, **build},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode or str(source) not in ran.stdout:
        pytest.skip(f"NOT TESTED: the source of {OLDER[:8]} does not run here: {ran.stderr[-500:]}")
    return build


def _archived(folder: Path) -> Path:
    made = subprocess.run(["git", "-C", str(ROOT), "archive", OLDER, "src"], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"NOT TESTED: git has no commit {OLDER[:8]} here: {made.stderr.decode()[-200:]}")
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        archive.extractall(folder, filter="data")
    package = Path(depthcache.__file__).parent
    for native in package.glob("_native*.so"):
        shutil.copy(native, folder / "src" / "depthcache")
    return folder / "src"
