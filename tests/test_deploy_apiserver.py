"""A real kube-apiserver takes everything that the chart renders, with strict checks, and refuses a typo."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apiserver import ApiServer, Refused, apiserver
from tests.support.charts import CHART, NAMESPACE, VALUE_FILES, of_kind, programs, rendered, run_helm

pytestmark = [pytest.mark.slow, pytest.mark.processes]

NAMES = [path.name.removesuffix("-values.yaml") for path in VALUE_FILES]


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    folder = programs("apiserver")
    if folder is None:
        pytest.skip("NOT TESTED: no kube-apiserver; `tools/kubernetes.sh apiserver` builds it")
    with apiserver(folder, tmp_path_factory.mktemp("kubernetes")) as server:
        labels = {f"pod-security.kubernetes.io/{each}": "restricted" for each in ("enforce", "warn")}
        namespace = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": labels},
        }
        server.create(namespace, is_dry=False)
        priority = {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "market-data"},
            "value": 1000,
        }
        server.create(priority, is_dry=False)
        yield server


@pytest.mark.parametrize("name", NAMES)
def test_every_object_is_taken_without_a_warning(kubernetes: ApiServer, name: str) -> None:
    for each in rendered(name):
        if each["kind"] == "ServiceMonitor":  # of the Prometheus operator, which is not there
            continue
        assert kubernetes.create(each) == [], each["kind"]
        if "template" in each.get("spec", {}):
            pod = {"apiVersion": "v1", "kind": "Pod", **copy.deepcopy(each["spec"]["template"])}
            pod["metadata"] |= {"name": "one", "namespace": NAMESPACE}
            claims = each["spec"].get("volumeClaimTemplates", [])
            pod["spec"]["volumes"] += [
                {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": "one"}}
                for claim in claims
            ]
            assert kubernetes.create(pod) == [], "the restricted standard for pods"


def planted(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The StatefulSet with something else at a path."""
    stateful = copy.deepcopy(of_kind(rendered("production"), "StatefulSet"))
    inside: Any = stateful
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    return stateful


CONTAINER = ("spec", "template", "spec", "containers", 0)
TYPOS = {
    "a misspelled field": (("spec", "podManagmentPolicy"), "Parallel", "unknown field"),
    "a misspelled field of a container": ((*CONTAINER, "livenesProbe"), {}, "unknown field"),
    "a policy of no kind": (("spec", "podManagementPolicy"), "parallel", "podManagementPolicy"),
    "a port of no name": ((*CONTAINER, "ports", 0, "name"), "Readers!", "ports[0].name"),
    "a label that cannot be read": (
        (*CONTAINER, "env", 2, "valueFrom"),
        {"fieldRef": {"fieldPath": "a"}},
        "fieldPath",
    ),
}


@pytest.mark.parametrize("what", TYPOS)
def test_a_planted_typo_is_refused(kubernetes: ApiServer, what: str) -> None:
    path, value, place = TYPOS[what]
    with pytest.raises(Refused, match=place.replace("[", r"\[")):
        kubernetes.create(planted(path, value))


def test_a_pod_with_more_rights_is_noticed(kubernetes: ApiServer) -> None:
    warnings = kubernetes.create(planted((*CONTAINER, "securityContext", "allowPrivilegeEscalation"), True))
    assert any("allowPrivilegeEscalation" in each for each in warnings)


def test_helm_installs_and_upgrades(kubernetes: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(kubernetes.kubeconfig(), "utf-8")
    file = str(CHART / "ci" / "production-values.yaml")
    # No hooks: no controller runs the job. No monitor: its operator is not there.
    usual = (
        "--kubeconfig",
        str(tmp_path / "config"),
        "--namespace",
        NAMESPACE,
        "--no-hooks",
        "--values",
        file,
    )
    usual += ("--set", "serviceMonitor.enabled=false", "--wait=hookOnly")
    ran = run_helm("install", "ours", str(CHART), *usual)
    assert ran.returncode == 0, ran.stderr
    changed = (
        "nodes=7,shutdown.drainSeconds=10,node.depth=50,persistence.whenScaled=Delete,spread.zones=Required,"
        "image.digest=,image.tag=0.2,networkPolicy.enabled=false,books=null"
    )
    ran = run_helm("upgrade", "ours", str(CHART), *usual, "--set", changed)
    assert ran.returncode == 0, ran.stderr
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets/ours-depthcache"
    status, answer, _ = kubernetes.ask("GET", path)
    assert status == 200
    assert json.loads(answer)["spec"]["replicas"] == 7
    # The size of a volume cannot be changed: Kubernetes says so, and the release stays as it is.
    ran = run_helm("upgrade", "ours", str(CHART), *usual, "--set", "persistence.size=9Gi")
    assert ran.returncode != 0
    assert "field is immutable" in ran.stderr
