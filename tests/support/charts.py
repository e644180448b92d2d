"""The Helm chart: its values, its schema, and what helm renders from them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

__all__ = [
    "CHART",
    "NAMESPACE",
    "RELEASE",
    "VALUE_FILES",
    "defaults",
    "helm",
    "merged",
    "of_kind",
    "programs",
    "rendered",
    "run_helm",
    "schema",
    "values_of",
]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "depthcache"
VALUE_FILES = sorted((CHART / "ci").glob("*-values.yaml"))
RELEASE, NAMESPACE = "books", "market-data"


def schema() -> dict[str, Any]:
    """The schema of the values."""
    return dict(json.loads((CHART / "values.schema.json").read_text("utf-8")))


def defaults() -> dict[str, Any]:
    """The values of the chart itself."""
    return dict(yaml.safe_load((CHART / "values.yaml").read_text("utf-8")))


def values_of(name: str) -> dict[str, Any]:
    """One of the value files, such as `production`, over the defaults."""
    return merged(defaults(), yaml.safe_load((CHART / "ci" / f"{name}-values.yaml").read_text("utf-8")))


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """As helm merges values: tables by key, everything else as a whole."""
    found = dict(base)
    for name, value in over.items():
        before = found.get(name)
        is_table = isinstance(value, Mapping) and isinstance(before, Mapping)
        found[name] = merged(before, value) if is_table else value  # type: ignore[arg-type]
    return found


@cache
def programs(name: str) -> Path | None:
    """The folder that `tools/kubernetes.sh NAME` made, if it did."""
    command = [ROOT / "tools" / "kubernetes.sh", "find", name]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode in (0, 3), ran.stderr
    return Path(ran.stdout.strip()) if ran.returncode == 0 else None


def helm() -> str:
    """The path of helm. Skips the test where it is not there."""
    folder = programs("helm")
    if folder is None:
        pytest.skip("NOT TESTED: the chart is not rendered without helm; `tools/kubernetes.sh helm` gets it")
    return str(folder / "helm")


def run_helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm, and return whatever it says."""
    return subprocess.run([helm(), *arguments], capture_output=True, text=True, check=False)


def rendered(
    name: str, *options: str, release: str = RELEASE, namespace: str = NAMESPACE
) -> list[dict[str, Any]]:
    """The objects of one of the value files, such as `production`, with further options of helm."""
    helm()
    return json.loads(_rendered(name, options, release, namespace))  # type: ignore[no-any-return]


@cache
def _rendered(name: str, options: tuple[str, ...], release: str, namespace: str) -> str:
    file = str(CHART / "ci" / f"{name}-values.yaml")
    ran = run_helm("template", release, str(CHART), "--namespace", namespace, "--values", file, *options)
    assert ran.returncode == 0, ran.stderr
    return json.dumps([each for each in yaml.safe_load_all(ran.stdout) if each])


def of_kind(objects: list[dict[str, Any]], kind: str, name: str | None = None) -> dict[str, Any]:
    """The one object of a kind, and a name."""
    [found] = [each for each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"])]
    return found
