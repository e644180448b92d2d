"""A real kube-apiserver with etcd, on loopback: it takes objects, and no kubelet runs any."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

__all__ = ["ApiServer", "Refused", "apiserver"]

DEADLINE_S = 300.0
_TOKEN = "for-this-test-alone"  # noqa: S105
_PATHS = {
    "v1": "/api/v1",
    "apps/v1": "/apis/apps/v1",
    "batch/v1": "/apis/batch/v1",
    "networking.k8s.io/v1": "/apis/networking.k8s.io/v1",
    "policy/v1": "/apis/policy/v1",
    "scheduling.k8s.io/v1": "/apis/scheduling.k8s.io/v1",
}
_PLURALS = {"NetworkPolicy": "networkpolicies", "PriorityClass": "priorityclasses"}
_OF_CLUSTER = {"Namespace", "PriorityClass"}


class Refused(Exception):
    """The server does not take an object."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """How to ask it."""

    port: int

    def create(self, found: dict[str, Any], *, is_dry: bool = True) -> list[str]:
        """Create an object, or only check it, strictly. Returns the warnings. Raises Refused."""
        kind, namespace = found["kind"], found["metadata"].get("namespace")
        plural = _PLURALS.get(kind, f"{kind.lower()}s")
        inside = "" if kind in _OF_CLUSTER else f"/namespaces/{namespace}"
        query = "fieldValidation=Strict" + ("&dryRun=All" if is_dry else "")
        status, answer, warnings = self.ask(
            "POST", f"{_PATHS[found['apiVersion']]}{inside}/{plural}?{query}", found
        )
        if status not in (200, 201):
            raise Refused(answer)
        return warnings

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, str, list[str]]:
        """Status, body and warnings of a response."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it made its certificate itself
        connection = HTTPSConnection("127.0.0.1", self.port, timeout=60, context=context)
        headers = {"Authorization": f"Bearer {_TOKEN}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode()
            return response.status, text, response.msg.get_all("Warning") or []
        finally:
            connection.close()

    def kubeconfig(self) -> str:
        """A file for helm, in YAML."""
        where = {"server": f"https://127.0.0.1:{self.port}", "insecure-skip-tls-verify": True}
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "tests", "cluster": where}],
                "users": [{"name": "tests", "user": {"token": _TOKEN}}],
                "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
                "current-context": "tests",
            }
        )

    def is_ready(self) -> bool:
        """Whether it takes objects."""
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except (OSError, HTTPException):
            return False


@contextmanager
def apiserver(programs: Path, folder: Path) -> Iterator[ApiServer]:
    """Run one until the end of the block. `programs`: the folder with `etcd` and `kube-apiserver`."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    (folder / "accounts.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    (folder / "tokens.csv").write_text(f"{_TOKEN},tests,tests\n", "utf-8")
    clients, peers, port = _free_ports(3)
    store, peer = f"http://127.0.0.1:{clients}", f"http://127.0.0.1:{peers}"
    commands: dict[str, list[str]] = {
        "etcd": [
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls={store}",
            f"--advertise-client-urls={store}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ],
        "kube-apiserver": [
            f"--etcd-servers={store}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={folder / 'certificates'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'accounts.key'}",
            f"--service-account-signing-key-file={folder / 'accounts.key'}",
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=AlwaysAllow",
            "--disable-admission-plugins=ServiceAccount",  # its controller does not run
            "--endpoint-reconciler-type=none",
        ],
    }
    server = ApiServer(port)
    with ExitStack() as stack:
        running = {}
        for name, arguments in commands.items():
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            running[name] = subprocess.Popen([programs / name, *arguments], stdout=log, stderr=log)
            stack.callback(_end, running[name])
        never, until_s = threading.Event(), time.monotonic() + DEADLINE_S
        while not server.is_ready():
            for name, process in running.items():
                log_text = (folder / f"{name}.log").read_text("utf-8", "replace")[-4_000:]
                assert process.poll() is None, f"{name} has ended: {log_text}"
            assert time.monotonic() < until_s, server.ask("GET", "/readyz?verbose")
            never.wait(0.2)
        yield server


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
