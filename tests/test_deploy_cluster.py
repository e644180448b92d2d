"""The unit and the compose file of nodes fit the command, and parsers of such files take them."""

from __future__ import annotations

import copy
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml

import depthcache
from depthcache.cli import cli
from depthcache.cluster.shared_secrets import SECRET_FILES
from tests.support.charts import RELEASE, defaults, merged, schema
from tests.test_deploy import instructions, options
from tests.test_docs import BLOCK

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UNIT = (DEPLOY / "depthcache-cluster.service").read_text("utf-8")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
CLUSTER: Any = cli.commands["cluster"]


def parsed(words: list[str]) -> dict[str, Any]:
    """The options of `depthcache cluster …` as the command reads them."""
    program, group, name, *arguments = words
    assert (program.rpartition("/")[2], group) == ("depthcache", "cluster")
    context: click.Context = CLUSTER.commands[name].make_context(name, arguments)
    return context.params


# --- the unit ------------------------------------------------------------------------------


def variables() -> dict[str, str]:
    lines = (DEPLOY / "depthcache-cluster.env").read_text("utf-8").splitlines()
    return {
        name: shlex.split(value)[0]
        for name, _, value in (line.partition("=") for line in lines if not line.startswith("#"))
    }


def command(name: str) -> list[str]:
    """A command of the unit, with its variables and folders."""
    text = options_of_unit()[name].removeprefix("-").replace("\\", "")
    given = variables()["NODE_OPTIONS"]
    text = text.replace("%S", "/var/lib").replace("%d", "/run/credentials/x").replace("$NODE_OPTIONS", given)
    return text.split()


def options_of_unit() -> dict[str, str]:
    # One option may be there several times, which no parser of .ini files takes.
    lines = [line for line in UNIT.splitlines() if not line.startswith("LoadCredential=")]
    return dict(options("\n".join(lines)))


def test_the_commands_of_the_unit_would_start() -> None:
    start, stop = parsed(command("ExecStart")), parsed(command("ExecStop"))
    assert start["secrets"] == Path("/run/credentials/x")
    assert start["data_dir"] == stop["data_dir"] == Path("/var/lib/depthcache-cluster/node")
    assert start["peers"] == ("10.0.0.1", "10.0.0.2", "10.0.0.3")
    assert (start["zone"], start["egress"], start["listen"]) == ("rack1", "office", "10.0.0.1")
    assert options_of_unit()["StateDirectory"] == "depthcache-cluster"
    rest = {name: value for name, value in variables().items() if name != "NODE_OPTIONS"}
    assert depthcache.Settings.from_environment(rest) is not None
    assert all(name.startswith("DEPTHCACHE_") for name in rest)


def test_the_unit_gives_the_node_every_secret_and_no_other_file() -> None:
    given = re.findall(r"^LoadCredential=(.+):/etc/depthcache/secrets/(.+)$", UNIT, re.MULTILINE)
    assert [name for name, file in given if name == file] == list(SECRET_FILES)


def test_the_unit_waits_for_the_drain_and_the_handover() -> None:
    service = options_of_unit()
    stop, start = parsed(command("ExecStop")), parsed(command("ExecStart"))
    assert float(service["TimeoutStopSec"]) > max(stop["timeout"], start["handover_s"]) + 10
    assert service["ExecStop"].startswith("-"), "the last node has none to drain to"
    assert stop["is_self"] is True


def test_the_unit_is_confined_as_the_other_ones_are() -> None:
    other = options((DEPLOY / "depthcache-serve.service").read_text("utf-8"))
    own, begin = options_of_unit(), list(other).index("DynamicUser")
    assert {name: own.get(name) for name in list(other)[begin:]} == dict(list(other.items())[begin:])
    assert (own["Type"], own["KillSignal"], own["StateDirectoryMode"]) == ("notify", "SIGTERM", "0700")


@pytest.mark.slow
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not on this machine: the unit is read by configparser alone")
    file = tmp_path / "depthcache-under-test.service"

    def verified(unit: str) -> str:
        file.write_text(re.sub(r"^(ExecSt\w+=-?)\S+", r"\1/bin/true", unit, flags=re.MULTILINE), "utf-8")
        ran = subprocess.run(
            [analyze, "verify", "--man=no", str(file)], capture_output=True, text=True, check=False
        )
        return ran.stdout + ran.stderr

    assert verified(UNIT) == ""
    assert "LoadCredentials" in verified(UNIT.replace("LoadCredential=", "LoadCredentials=", 1))


# --- the compose file ----------------------------------------------------------------------


def test_the_nodes_of_the_compose_file_would_start_and_know_each_other() -> None:
    nodes = {name: each for name, each in COMPOSE["services"].items() if name.startswith("node-")}
    assert list(nodes) == ["node-1", "node-2", "node-3"]
    for name, node in nodes.items():
        start = parsed(["depthcache", *node["command"].split()])
        assert start["hosts"] == (name,)
        assert start["peers"] == tuple(nodes)
        assert (start["listen"], str(start["secrets"])) == ("0.0.0.0", "/secrets")  # noqa: S104
        assert node["volumes"] == ["secrets:/secrets:ro", f"{name}:/data"]
        assert float(node["stop_grace_period"].removesuffix("s")) > start["handover_s"] + 10
        assert node["ports"][0].startswith("127.0.0.1:"), "only this machine"
    assert set(COMPOSE["volumes"]) == {"secrets", *nodes}
    published = [node["ports"][0].split(":")[1] for node in nodes.values()]
    assert len(set(published)) == 3


def test_containers_of_the_compose_file_are_confined() -> None:
    for name, each in COMPOSE["services"].items():
        assert each["read_only"] is True, name
        assert each["cap_drop"] == ["ALL"]
        assert each["security_opt"] == ["no-new-privileges:true"]
        assert "environment" not in each, "no secret in a variable"
    image = dict(instructions((ROOT / "Dockerfile").read_text("utf-8")))
    assert image["ENTRYPOINT"] == '["depthcache"]'
    assert "/secrets" in image["RUN"], "its owner is the owner of a new volume"


@pytest.mark.slow
def test_the_secrets_of_the_compose_file_are_made_once(tmp_path: Path) -> None:
    service = COMPOSE["services"]["secrets"]
    [shell, flags], [script] = service["entrypoint"], service["command"]
    folder = tmp_path / "secrets"
    folder.mkdir()
    program = tmp_path / "depthcache"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m depthcache "$@"\n', "utf-8")
    program.chmod(0o755)
    content = []
    for _ in range(2):
        ran = subprocess.run(
            [shell, flags, script.replace("/secrets", str(folder))],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            check=False,
            capture_output=True,
        )
        assert ran.returncode == 0, ran.stderr
        content.append({each.name: each.read_bytes() for each in folder.iterdir()})
    assert content[0] == content[1]
    assert set(content[0]) == set(SECRET_FILES)


def test_a_parser_of_the_compose_specification_takes_the_file_and_notices_a_typo() -> None:
    compose_spec = pytest.importorskip("compose_spec", reason="NOT TESTED: no compose_spec for this Python")
    read = compose_spec.PyCompose.from_yaml
    found = read(yaml.safe_dump(COMPOSE))
    found.validate()
    assert sorted(found.service_names()) == ["node-1", "node-2", "node-3", "secrets"]
    for change in (
        {"stop_grace_periods": "1s"},
        {"cap_drop": "ALL"},
        {"ports": ["127.0.0.1:web:42081"]},
        {"depends_on": {"secrets": {"condition": "service_done"}}},
    ):
        wrong = copy.deepcopy(COMPOSE)
        wrong["services"]["node-1"] |= change
        with pytest.raises(ValueError, match=r".+"):
            read(yaml.safe_dump(wrong)).validate()


# --- the pages -----------------------------------------------------------------------------


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / "how-to" / page).read_text("utf-8")
    return [match["code"] for match in BLOCK.finditer(text) if match["language"] == language]


def test_the_page_of_machines_shows_the_unit_and_its_options_as_they_are() -> None:
    [shown] = blocks("machines.md", "ini")
    assert [line for line in shown.splitlines() if line not in UNIT.splitlines()] == []
    environment = (DEPLOY / "depthcache-cluster.env").read_text("utf-8").splitlines()
    [options_shown] = [each for each in blocks("machines.md", "text") if "NODE_OPTIONS" in each]
    assert options_shown.splitlines() == environment[1:]


def test_cloud_init_fetches_every_secret() -> None:
    [written] = blocks("machines.md", "yaml")
    files = {each["path"]: each["content"] for each in yaml.safe_load(written)["write_files"]}
    [script] = [each for path, each in files.items() if path.endswith("setup-depthcache")]
    [names] = re.findall(r"for name in (.+); do", script)
    assert tuple(names.split()) == SECRET_FILES
    ran = subprocess.run(["/bin/sh", "-n"], input=script, text=True, check=False, capture_output=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    [given] = re.findall(r'NODE_OPTIONS="(.+)"', files["/etc/depthcache/cluster.env"])
    assert parsed(["depthcache", "cluster", "start", *given.split()])["zone"] == "rack1"


def test_the_values_of_the_page_of_kubernetes_suit_the_chart() -> None:
    found = [yaml.safe_load(each) for each in blocks("kubernetes.md", "yaml")]
    values = [each for each in found if "secretName" in each]
    assert len(values) == 2
    for each in values:
        jsonschema.Draft7Validator(schema()).validate(merged(defaults(), each))
    [scaled] = [each for each in found if each.get("kind") == "ScaledObject"]
    assert scaled["spec"]["scaleTargetRef"]["name"] == f"{RELEASE}-depthcache"
    [trigger] = scaled["spec"]["triggers"]
    metric = re.search(r"depthcache_\w+", trigger["metadata"]["query"])
    assert metric is not None
    assert f"`{metric[0]}`" in (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    [program] = [each for each in found if "env" in each]
    keys = {each["valueFrom"]["secretKeyRef"]["key"] for each in program["env"] if "valueFrom" in each}
    keys |= {item["key"] for volume in program["volumes"] for item in volume["secret"]["items"]}
    assert keys == {"read.token", "authority.pem"}, "no program needs more"


def test_the_table_of_the_page_of_kubernetes_names_values_that_exist() -> None:
    text = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text("utf-8")
    known, named = defaults(), re.findall(r"`([a-z]+[A-Za-z]*\.[A-Za-z]+)`", text)
    named = [each for each in named if each.partition(".")[0] in known]
    assert len(named) > 6
    for each in named:
        first, _, second = each.partition(".")
        assert second in known[first], each
