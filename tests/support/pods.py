"""What a kubelet does with a pod of the chart, on this machine: its arguments, environment, mounts and user.

Each pod has an address of its own (127.0.0.11, 127.0.0.12, …) and a mount namespace: everything but its
volumes is read-only, and `/etc/hosts` has the names of the pods and services. Its processes have user 10001
and no capabilities. What differs from Kubernetes: paths of mounts, and the address that a node listens on.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.charts import NAMESPACE, of_kind

__all__ = ["Pod", "Pods", "mount_secret", "skip_without_namespaces"]

USER = 10001
ROOT = Path(__file__).parents[2]
_SANDBOX = """
mkdir -p "$WORK/seen"
count=0
for path in $HIDDEN; do
    count=$((count + 1)); mkdir -p "$WORK/seen/$count"; mount --bind "$path" "$WORK/seen/$count"
done
[ -z "$CLOSED" ] || mount -t tmpfs -o mode=755 tmpfs "$CLOSED"
count=0
for path in $HIDDEN; do
    count=$((count + 1)); mkdir -p "$path"; mount --bind "$WORK/seen/$count" "$path"
done
mount --bind "$WORK/hosts" /etc/hosts
for path in "$POD/data" "$POD/tmp"; do mount --bind "$path" "$path"; done
mount -o remount,bind,ro /
cd /
exec setpriv --reuid=10001 --regid=10001 --clear-groups --no-new-privs \\
    --bounding-set=-all --inh-caps=-all -- "$@"
"""


def mount_secret(content: Mapping[str, bytes], folder: Path) -> None:
    """Lay files as the kubelet lays a Secret: links into a hidden folder, for the group of the pod."""
    hidden = folder / "..2026_12_01_00_00_00.1"
    hidden.mkdir(parents=True)
    for name, text in content.items():
        (hidden / name).write_bytes(text)
        os.chown(hidden / name, 0, USER)
        (hidden / name).chmod(0o440)
        (folder / name).symlink_to(Path("..data") / name)
    (folder / "..data").symlink_to(hidden.name)
    for each in (folder, hidden):
        os.chown(each, 0, USER)
        each.chmod(0o3775)


@dataclass
class Pod:
    """One pod of the StatefulSet, or of the job."""

    name: str
    address: str
    spec: dict[str, Any]
    pods: Pods
    process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        return self.pods.folder / self.name

    @property
    def log(self) -> str:
        path = self.folder.with_suffix(".log")
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def make_volumes(self) -> None:
        """New volumes: empty, root's, and for the group of the pod."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("data", "tmp"):
            (self.folder / name).mkdir(parents=True)
            os.chown(self.folder / name, 0, USER)
            (self.folder / name).chmod(0o2775)

    def start(self) -> None:
        """Run the container."""
        [container] = self.spec["containers"]
        command = [*container.get("command", ["depthcache"]), *container["args"]]
        with self.folder.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(
                self.sandboxed(command),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self.environment(),
            )

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run another command in the container: `kubectl exec`."""
        return subprocess.run(
            self.sandboxed(command), capture_output=True, text=True, check=False, env=self.environment()
        )

    def pre_stop(self) -> subprocess.CompletedProcess[str]:
        """Run the hook that precedes SIGTERM."""
        return self.run(*self.spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"])

    def sandboxed(self, command: Sequence[str]) -> list[str]:
        """The command inside of the pod, with its variables filled in."""
        filled = [re.sub(r"\$\((\w+)\)", lambda name: self.variables()[name[1]], each) for each in command]
        own = [self.localised(each) for each in filled]
        if own[0] == "depthcache":
            own[:1] = [sys.executable, "-m", "depthcache"]
        return ["unshare", "--mount", "--propagation=private", "/bin/sh", "-euc", _SANDBOX, "sh", *own]

    def localised(self, argument: str) -> str:
        """An argument with the paths and the address of this machine."""
        found = argument.replace("--listen=0.0.0.0", f"--listen={self.address}")
        for mount in ("/data/", "/secrets"):
            found = found.replace(f"={mount}", f"={self.mounted(mount)}")
        return found

    def mounted(self, path: str) -> str:
        return str(self.pods.folder / "secrets") if path == "/secrets" else f"{self.folder}{path}"

    def variables(self) -> dict[str, str]:
        """The environment of the spec. A label that the pod does not have is empty, as in Kubernetes."""
        found = {}
        for each in self.spec["containers"][0].get("env", []):
            fields = {"metadata.name": self.name, "spec.nodeName": f"machine-{self.name[-1]}"}
            path = each.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
            found[each["name"]] = each.get("value", fields.get(path, ""))
        return found

    def environment(self) -> dict[str, str]:
        """That of the processes, and what the sandbox needs."""
        closed = _closed()
        hidden = [] if closed is None else [each for each in _needed() if each.is_relative_to(closed)]
        return {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "TMPDIR": str(self.folder / "tmp"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.pods.environment,
            **self.variables(),
            "WORK": str(self.pods.folder),
            "POD": str(self.folder),
            "CLOSED": "" if closed is None else str(closed),
            "HIDDEN": " ".join(map(str, hidden)),
        }


@dataclass
class Pods:
    """The pods of a release."""

    objects: list[dict[str, Any]]
    folder: Path
    """Which all users may enter."""
    environment: Mapping[str, str]
    nodes: list[Pod] = field(default_factory=list)

    def __post_init__(self) -> None:
        stateful = of_kind(self.objects, "StatefulSet")
        self.name, spec = stateful["metadata"]["name"], stateful["spec"]
        for ordinal in range(spec["replicas"]):
            pod = Pod(f"{self.name}-{ordinal}", f"127.0.0.{11 + ordinal}", spec["template"]["spec"], self)
            pod.make_volumes()
            self.nodes.append(pod)
        self.write_hosts()

    def write_hosts(self) -> None:
        """The names that the DNS of Kubernetes has, those of services with all addresses."""
        headless = f"{self.name}-nodes.{NAMESPACE}.svc"
        service = f"{self.name}.{NAMESPACE}.svc"
        lines = ["127.0.0.1 localhost"]
        lines += [f"{pod.address} {pod.name}.{headless} {headless} {service}" for pod in self.nodes]
        (self.folder / "hosts").write_text("\n".join(lines) + "\n", "utf-8")

    def end(self) -> None:
        """End all processes, whatever their state."""
        for pod in self.nodes:
            if pod.process is not None:
                pod.process.kill()
                pod.process.wait()

    @property
    def grace_s(self) -> int:
        return int(self.nodes[0].spec["terminationGracePeriodSeconds"])


def skip_without_namespaces(folder: Path) -> None:
    """Skip the test where a process cannot have mounts of its own, as another user than root."""
    if os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("setpriv")):
        pytest.skip("NOT TESTED: pods need root, unshare and setpriv")
    pod = Pod("probe", "127.0.0.10", {"containers": [{}]}, Pods.__new__(Pods))
    pod.pods.folder, pod.pods.environment = folder, {}
    (folder / "hosts").write_text("127.0.0.1 localhost\n", "utf-8")
    pod.make_volumes()
    ran = pod.run(
        "/bin/sh", "-c", "id -u; touch /etc/probe 2>/dev/null || echo read-only; touch $TMPDIR/a && echo own"
    )
    if "mount" in ran.stderr or "unshare" in ran.stderr:
        pytest.skip(f"NOT TESTED: no mounts of one's own here: {ran.stderr}")
    assert ran.stdout.split() == ["10001", "read-only", "own"], ran.stdout + ran.stderr


def _needed() -> list[Path]:
    """What processes of a pod read: the interpreter, its environment, the package."""
    return list(dict.fromkeys(Path(each).resolve() for each in (sys.base_prefix, sys.prefix, str(ROOT))))


def _closed() -> Path | None:
    """The folder above them that other users may not enter, if there is one: such as /root."""
    for path in _needed():
        for each in reversed(path.parents):
            if not each.stat().st_mode & 0o001:
                return each
    return None
