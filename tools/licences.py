"""Check that the licences of everything inside the wheel, or installed with it, are compatible with MIT.

Reads `cargo metadata` (crates linked into the native module) and the installed metadata of the
run-time Python dependencies. A licence that is not on the list below is an error.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata

ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "PSF-2.0",
    "Python-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}
CLASSIFIERS = {
    "MIT License": "MIT",
    "BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "Python Software Foundation License": "PSF-2.0",
}


def main() -> int:
    """Print dependencies whose licence is not allowed; 1 if there are any."""
    found = {**crates(), **distributions("depthcache")}
    bad = {name: licence for name, licence in found.items() if not suits(licence)}
    for name, licence in sorted(bad.items()):
        sys.stderr.write(f"{name}: licence {licence!r} is not allowed\n")
    sys.stdout.write(f"{len(found)} dependencies, {len(bad)} with a licence that is not allowed\n")
    return 1 if bad else 0


def suits(expression: str) -> bool:
    """Whether each AND part has an allowed OR part."""
    parts = re.split(r"\s+AND\s+", expression.replace("(", "").replace(")", ""))
    return all(any(choice.strip() in ALLOWED for choice in re.split(r"\s+OR\s+|/", part)) for part in parts)


def crates() -> dict[str, str]:
    """The licence of each crate linked into the native module."""
    command = [
        "cargo",
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform=x86_64-unknown-linux-gnu",
    ]
    graph = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in graph["packages"]}
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    waiting = [package["id"] for package in graph["packages"] if package["name"] == "depthcache-binding"]
    found: dict[str, str] = {}
    while waiting:
        identity = waiting.pop()
        package = packages[identity]
        if f"crate {package['name']}" in found:
            continue
        found[f"crate {package['name']}"] = package["license"] or "unknown"
        waiting += [
            dependency["pkg"]
            for dependency in nodes[identity]["deps"]
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"])
        ]
    return found


def distributions(root: str) -> dict[str, str]:
    """The licence of `root` and of each Python distribution that it needs to run."""
    found: dict[str, str] = {}
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if f"python {name}" in found:
            continue
        try:
            facts = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue
        found[f"python {name}"] = licence_of(facts)
        waiting += [
            re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
            for requirement in metadata.requires(name) or []
            if "extra ==" not in requirement
        ]
    return found


def licence_of(facts: metadata.PackageMetadata) -> str:
    """The licence expression; without one, the classifier; without that, the free text."""
    if expression := facts.get("License-Expression"):
        return str(expression)
    for classifier in facts.get_all("Classifier") or []:
        if classifier.startswith("License ::") and (
            known := CLASSIFIERS.get(classifier.rsplit(" :: ", 1)[-1])
        ):
            return known
    return str(facts.get("License") or "unknown").splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
