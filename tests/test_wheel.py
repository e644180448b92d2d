"""The wheel under test installs on old systems: what its tags promise."""

from __future__ import annotations

import os
import platform
from importlib.metadata import distribution

import pytest


@pytest.mark.skipif("TESTED_WHEEL" not in os.environ, reason="the package under test is no wheel")
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="manylinux tags are for Linux with glibc")
def test_the_wheel_needs_no_newer_glibc_than_2_17_and_no_certain_python() -> None:
    text = distribution("depthcache").read_text("WHEEL")
    assert text is not None
    tags = [line.removeprefix("Tag: ") for line in text.splitlines() if line.startswith("Tag: ")]
    machine = platform.machine()
    assert f"cp311-abi3-manylinux_2_17_{machine}" in tags, tags
