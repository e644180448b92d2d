"""The unit, the environment, the file and the image of the book server fit the command and their page."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from depthcache import blocking, server, simulator
from depthcache.cli import cli
from depthcache.cli.service_manager import notify
from depthcache.cluster.data_folder import DEFAULT_NODE_PORT, DEFAULT_PORT
from depthcache.server import ServerConfig
from depthcache.server.config import PREFIX, from_environment
from depthcache.server.config_file import read_serve_file
from tests.cli.programs import running
from tests.test_deploy import instructions, options

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UNIT = (DEPLOY / "depthcache-serve.service").read_text("utf-8")
PAGE = (ROOT / "docs" / "how-to" / "serve.md").read_text("utf-8")
IMAGE = instructions((ROOT / "Dockerfile").read_text("utf-8"))


def test_the_command_of_the_unit_would_start(tmp_path: Path) -> None:
    lines = (DEPLOY / "depthcache-serve.env").read_text("utf-8").splitlines()
    variables = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert variables.pop("CONFIG") == "/etc/depthcache/serve.toml"
    assert all(name.startswith("DEPTHCACHE_") for name in variables)
    program, *words = options(UNIT)["ExecStart"].split()
    assert program == "/opt/depthcache/bin/depthcache"
    config = str(DEPLOY / "serve.toml")
    context = cli.commands[words[0]].make_context(
        words[0], [w.replace("${CONFIG}", config) for w in words[1:]]
    )
    assert context.params["config_file"] == Path(config)
    file = read_serve_file(config)
    assert ServerConfig(**file.server).is_loopback
    name, value = options(UNIT)["Environment"].split("=")
    assert from_environment({name: value}) == {"data_dir": "%S/depthcache"}
    assert options(UNIT)["StateDirectory"] == value.removeprefix("%S/")


def test_the_unit_is_confined_as_the_other_one_is() -> None:
    other = options((DEPLOY / "depthcache-record.service").read_text("utf-8"))
    own = options(UNIT)
    begin = list(other).index("DynamicUser")
    assert {name: own.get(name) for name in list(other)[begin:]} == dict(list(other.items())[begin:])
    assert (own["Type"], own["KillSignal"], own["StateDirectoryMode"]) == ("notify", "SIGTERM", "0700")


@pytest.mark.slow
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not on this machine")
    file = tmp_path / "depthcache-under-test.service"
    file.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT, flags=re.MULTILINE), "utf-8")
    command = [analyze, "verify", "--man=no", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no such sockets here")
@pytest.mark.parametrize("is_abstract", [False, True])
def test_the_service_manager_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_abstract: bool
) -> None:
    if is_abstract and sys.platform != "linux":
        pytest.skip("only Linux has abstract sockets")
    name = f"@depthcache-test-{tmp_path.name}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0"))
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notify("READY=1")
        assert manager.recv(100) == b"READY=1"
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
        notify("READY=1")  # never raises
        monkeypatch.delenv("NOTIFY_SOCKET")
        notify("READY=1")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no such sockets here")
def test_serve_tells_when_it_is_ready_and_when_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, simulator.serve(seed=3) as exchange:
        manager.bind(str(path))
        manager.settimeout(30)
        environment = {**exchange.environment, "HOME": str(tmp_path), "NOTIFY_SOCKET": str(path)}
        with running("serve", "BTCUSDT", "--port", "0", environment=environment) as program:
            assert manager.recv(200).splitlines() == [b"READY=1", b"STATUS=1 of 1 books synced"]
            program.end()
        assert manager.recv(200) == b"STOPPING=1"


# --- the image -----------------------------------------------------------------------------


def test_the_image_serves_beyond_the_container_with_tls_and_no_secret() -> None:
    last = IMAGE[max(at for at, (name, _) in enumerate(IMAGE) if name == "FROM") :]
    of_image = dict(last)
    every = dict(word.split("=") for word in of_image["ENV"].split())
    variables = {name: value for name, value in every.items() if name.startswith(PREFIX)}
    given = from_environment(variables)
    config = ServerConfig(**given)
    assert (config.is_tls, config.is_loopback, str(config.data_dir)) == (True, False, of_image["VOLUME"])
    assert config.port == DEFAULT_PORT
    assert list(map(int, of_image["EXPOSE"].split())) == [DEFAULT_PORT, DEFAULT_NODE_PORT]
    assert not {"read_token", "admin_token"} & set(given)
    commands = [line for line in PAGE.splitlines() if "docker run" in line]
    assert commands
    for line in commands:
        assert " depthcache serve " in line, "the image, and the command"
        words = line.split(" depthcache ")[1].split()
        context = cli.commands[words[0]].make_context(words[0], words[1:])
        assert context.params["symbols"] == ("BTCUSDT",)
        assert "--health-cmd healthz" in line


@pytest.mark.slow
def test_the_health_check_asks_the_server(tmp_path: Path) -> None:
    program = [sys.executable, str(DEPLOY / "healthz.py")]
    with (
        simulator.serve(seed=3) as exchange,
        blocking.connect("binance.com", [], settings=exchange.settings) as books,
    ):
        config = ServerConfig(port=0, data_dir=tmp_path, tls=True)
        with server.serve(books, config) as running_server:
            port = str(running_server.port)
            assert subprocess.run([*program, port], check=False).returncode == 0
            unknown = subprocess.run([*program, port, "/nothing"], check=False, capture_output=True)
            assert (unknown.returncode, b"status 40" in unknown.stdout) == (1, True)
        gone = subprocess.run([*program, port], check=False, capture_output=True)
        assert (gone.returncode, gone.stdout.startswith(b"no answer on port")) == (1, True)
