"""Every workspace's lock file fits the manifests of our crates: builds with --locked fail otherwise."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("lock", ["Cargo.lock", "benches/native/Cargo.lock", "fuzz/Cargo.lock"])
def test_a_lock_file_knows_every_dependency_of_our_crates(lock: str) -> None:
    packages = tomllib.loads((ROOT / lock).read_text("utf-8"))["package"]
    locked = {
        package["name"]: {name.split()[0] for name in package.get("dependencies", ())}
        for package in packages
        if "source" not in package
    }
    crates = [tomllib.loads(path.read_text("utf-8")) for path in sorted(ROOT.glob("crates/*/Cargo.toml"))]
    known = {crate["package"]["name"]: crate.get("dependencies", {}) for crate in crates}
    assert known.keys() & locked.keys()
    for name in known.keys() & locked.keys():
        needed = {key if type(told) is str else told.get("package", key) for key, told in known[name].items()}
        assert needed <= locked[name], name
