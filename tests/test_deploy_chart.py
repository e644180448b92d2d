"""The Helm chart: its schema refuses what is wrong, and what it renders is what Kubernetes takes."""

from __future__ import annotations

import copy
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from depthcache import venues
from depthcache.cli import cli
from depthcache.cluster import shared_secrets
from depthcache.cluster.data_folder import NodeOptions
from depthcache.cluster.given_peers import parse_peer
from depthcache.server import ServerConfig
from tests.support.charts import (
    CHART,
    NAMESPACE,
    RELEASE,
    VALUE_FILES,
    defaults,
    merged,
    of_kind,
    rendered,
    run_helm,
    schema,
    values_of,
)

NAMES = [path.name.removesuffix("-values.yaml") for path in VALUE_FILES]
SCHEMA, DEFAULTS = schema(), defaults()
TEMPLATES = {path.name: path.read_text("utf-8") for path in (CHART / "templates").iterdir()}
OLDEST, NEWEST = "1.27", "1.37"
VALID = {"secretName": "books-cluster"}


def judged(values: Mapping[str, Any]) -> list[str]:
    """What the schema says against values: the path of each, and why."""
    validator = jsonschema.Draft7Validator(SCHEMA)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(values)]


# --- the values ----------------------------------------------------------------------------


def test_there_are_five_value_files_and_each_suits_the_schema() -> None:
    assert NAMES == ["default", "ephemeral", "large", "private", "production"]
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert judged(DEFAULTS) == []
    for name in NAMES:
        assert judged(values_of(name)) == [], name


def objects_of(found: Any, path: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of an object inside a schema."""
    if isinstance(found, dict):
        if found.get("type") == "object":
            yield path, found
        for name, value in found.items():
            yield from objects_of(value, f"{path}.{name}")
    elif isinstance(found, list):
        for value in found:
            yield from objects_of(value, path)


def test_the_schema_leaves_no_object_open() -> None:
    found = dict(objects_of(SCHEMA))
    assert len(found) > 30
    assert [path for path, each in found.items() if "additionalProperties" not in each] == [
        "$.properties.global"  # helm's own
    ]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a name that is not there": ({"replicas": 3}, "'replicas' was unexpected"),
    "a name that is not there, deeper": ({"node": {"zones": "a"}}, "$.node"),
    "no nodes": ({"nodes": 0}, "$.nodes"),
    "text for a number": ({"nodes": "3"}, "$.nodes"),
    "a null": ({"nodes": None}, "$.nodes"),
    "a port that a process without privileges cannot have": ({"ports": {"readers": 443}}, "$.ports.readers"),
    "a capacity of nothing": ({"node": {"capacity": 0}}, "$.node.capacity"),
    "an egress of no kind": ({"node": {"egress": "nat"}}, "$.node.egress"),
    "an option with its value apart": ({"node": {"extraArgs": ["compat"]}}, "$.node.extraArgs[0]"),
    "a variable with two values": (
        {"node": {"extraEnv": [{"name": "A", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "c"}}}]}},
        "$.node.extraEnv[0]",
    ),
    "a variable that Kubernetes has another name for": (
        {"node": {"extraEnv": [{"name": "A", "valueFrom": {"secretRef": {"name": "a"}}}]}},
        "$.node.extraEnv[0].valueFrom",
    ),
    "a book without an exchange": ({"books": [{"symbols": ["BTCUSDT"]}]}, "$.books[0]"),
    "a symbol that is a command": (
        {"books": [{"exchange": "binance.com", "symbols": ["'; reboot; '"]}]},
        "$.books[0].symbols[0]",
    ),
    "a symbol that is an option": (
        {"books": [{"exchange": "binance.com", "symbols": ["--json"]}]},
        "$.books[0].symbols[0]",
    ),
    "an exchange that is a command": (
        {"books": [{"exchange": "$(reboot)", "symbols": ["A"]}]},
        "$.books[0].exchange",
    ),
    "no symbols": ({"books": [{"exchange": "binance.com", "symbols": []}]}, "$.books[0].symbols"),
    "a tag with the name": ({"image": {"tag": "depthcache:1"}}, "$.image.tag"),
    "half a digest": ({"image": {"digest": "sha256:0123"}}, "$.image.digest"),
    "old clients from nowhere": ({"compat": {"enabled": True}}, "$.compat.networks"),
    "a size without a unit": ({"persistence": {"size": "1"}}, "$.persistence.size"),
    "an amount of no resource": ({"resources": {"limits": {"ram": "1Gi"}}}, "$.resources.limits"),
    "a reader that names nobody": ({"networkPolicy": {"readers": [{}]}}, "$.networkPolicy.readers[0]"),
    "a misspelled selector": (
        {"networkPolicy": {"readers": [{"podSelector": {"matchLabel": {}}}]}},
        "$.networkPolicy.readers[0].podSelector",
    ),
    "a misspelled affinity": ({"affinity": {"nodeAffinities": {}}}, "$.affinity"),
    "a toleration of no effect": ({"tolerations": [{"effect": "NoRun"}]}, "$.tolerations[0].effect"),
    "a spread of no kind": ({"spread": {"zones": "required"}}, "$.spread.zones"),
}


@pytest.mark.parametrize("what", WRONG)
def test_the_schema_refuses_and_names_the_place(what: str) -> None:
    over, place = WRONG[what]
    found = judged(merged(merged(DEFAULTS, VALID), over))
    assert any(place in each for each in found), found


@pytest.mark.slow
def test_helm_refuses_what_the_schema_refuses() -> None:
    for over in ("nodez=3", "node.egress=nat"):
        ran = run_helm("template", RELEASE, str(CHART), "--set", f"secretName=a,{over}")
        assert ran.returncode != 0
        assert over.partition("=")[0].rpartition(".")[2] in ran.stderr


def test_every_symbol_and_exchange_of_the_client_is_taken() -> None:
    book = SCHEMA["definitions"]["book"]["properties"]
    for name in venues.names():
        assert re.search(book["exchange"]["pattern"], name), name
    for symbol in ("BTCUSDT", "1000SATSUSDT", "BTCUSD_PERP", "BTC-261225-100000-C", "币安人生USDT"):
        assert re.search(book["symbols"]["items"]["pattern"], symbol), symbol


# --- the templates -------------------------------------------------------------------------


def used() -> set[str]:
    """The paths of values in the templates, such as `node.zone`."""
    return {
        path for text in TEMPLATES.values() for path in re.findall(r"\.Values\.([A-Za-z][A-Za-z.]*)", text)
    }


def paths(values: Mapping[str, Any], properties: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The paths of all values, tables of fixed names by what is in them."""
    for name, value in values.items():
        inner = properties[name].get("properties")
        if inner and isinstance(value, Mapping):
            yield from paths(value, inner, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_every_value_of_the_templates_is_in_the_schema_and_has_a_default() -> None:
    found = used()
    assert len(found) > 50
    for path in found:
        values, place = DEFAULTS, SCHEMA
        for name in path.split("."):
            assert name in place.get("properties", {}), path
            assert name in values, f"{path} has no default"
            place, values = place["properties"][name], values[name]
            if "$ref" in place:
                place = SCHEMA["definitions"][place["$ref"].rpartition("/")[2]]


def test_every_value_is_used_and_every_one_of_the_schema_is_in_values_yaml() -> None:
    given, allowed = DEFAULTS, SCHEMA["properties"]
    assert set(allowed) - {"global"} == set(given)
    for name, table in allowed.items():
        if isinstance(given.get(name), dict) and "properties" in table:
            assert set(table["properties"]) == set(given[name]), name
    assert set(paths(given, allowed)) - used() == set()


@pytest.mark.slow
def test_helm_finds_nothing_wrong() -> None:
    for file in VALUE_FILES:
        ran = run_helm("lint", "--strict", str(CHART), "--values", str(file))
        assert ran.returncode == 0, ran.stdout
        assert "[WARNING]" not in ran.stdout


# --- what is rendered ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("name", NAMES)
def test_kubernetes_knows_every_field(name: str, version: str) -> None:
    objects = rendered(name)
    kinds = {each["kind"] for each in objects}
    assert {"Service", "StatefulSet"} <= kinds
    for each in objects:
        if each["kind"] != "ServiceMonitor":  # of the Prometheus operator
            kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.slow
def test_the_check_of_fields_notices_a_planted_typo() -> None:
    for path in (("podManagmentPolicy",), ("template", "spec", "containers", 0, "livenessprobe")):
        stateful = copy.deepcopy(of_kind(rendered("production"), "StatefulSet"))
        inside = stateful["spec"]
        for step in path[:-1]:
            inside = inside[step]
        inside[path[-1]] = {}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(stateful, NEWEST, strict=True)


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The templates of pods by the kind of object that makes them."""
    return {
        each["kind"]: each["spec"]["template"] for each in objects if each["kind"] in ("StatefulSet", "Job")
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_pods_are_confined(name: str) -> None:
    for kind, pod in pods(rendered(name)).items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, kind
        assert spec["enableServiceLinks"] is False, "DEPTHCACHE_… variables of services are no settings"
        security = spec["securityContext"]
        assert (security["runAsNonRoot"], security["runAsUser"], security["fsGroup"]) == (True, 10001, 10001)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert security["fsGroupChangePolicy"] == "OnRootMismatch", "other policies open the files of a node"
        [container] = spec["containers"]
        own = container["securityContext"]
        assert own["readOnlyRootFilesystem"] is True
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        [secrets] = [each["secret"] for each in spec["volumes"] if "secret" in each]
        assert secrets["defaultMode"] == 0o440, "not for all users"
        assert "memory" in container["resources"]["limits"]
        assert "cpu" not in container["resources"]["limits"], "a throttled node is late"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_time_to_end_covers_drain_and_handover(name: str) -> None:
    spec = pods(rendered(name))["StatefulSet"]["spec"]
    [container] = spec["containers"]
    [handover] = [each for each in container["args"] if each.startswith("--handover=")]
    hook = container["lifecycle"]["preStop"]["exec"]["command"]
    assert hook[:4] == ["depthcache", "cluster", "drain", "--self"]
    [timeout] = [each for each in hook if each.startswith("--timeout=")]
    needed = int(handover.partition("=")[2]) + int(timeout.partition("=")[2])
    assert spec["terminationGracePeriodSeconds"] >= needed + 10


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_what_selects_nodes_selects_no_other_pod(name: str) -> None:
    objects = rendered(name)
    found = pods(objects)
    labels = {kind: pod["metadata"]["labels"] for kind, pod in found.items()}
    node = labels["StatefulSet"]
    selectors = [each["spec"]["selector"] for each in objects if each["kind"] == "Service"]
    stateful = of_kind(objects, "StatefulSet")["spec"]
    selectors += [
        each["spec"]["selector"]["matchLabels"] for each in objects if each["kind"] == "PodDisruptionBudget"
    ]
    selectors += [
        each["labelSelector"]["matchLabels"]
        for each in stateful["template"]["spec"]["topologySpreadConstraints"]
    ]
    selectors.append(stateful["selector"]["matchLabels"])
    for selector in selectors:
        assert selector.items() <= node.items()
        if "Job" in labels:
            assert not selector.items() <= labels["Job"].items()
    assert not any("helm.sh/chart" in each for each in labels.values()), "another chart restarts no pod by it"


@pytest.mark.slow
def test_nodes_are_found_before_they_are_ready_and_readers_are_not_sent_to_them() -> None:
    objects = rendered("production")
    stateful = of_kind(objects, "StatefulSet")
    names = of_kind(objects, "Service", stateful["spec"]["serviceName"])["spec"]
    readers = of_kind(objects, "Service", stateful["metadata"]["name"])["spec"]
    assert (names["clusterIP"], names["publishNotReadyAddresses"]) == ("None", True)
    assert "publishNotReadyAddresses" not in readers
    assert stateful["spec"]["podManagementPolicy"] == "Parallel"
    [container] = stateful["spec"]["template"]["spec"]["containers"]
    ports = {each["name"] for each in container["ports"]}
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: each["path"] for name, each in probes.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    assert {each["scheme"] for each in probes.values()} == {"HTTPS"}
    assert {each["port"] for each in probes.values()} <= ports
    tolerated = {
        each["key"]: each.get("tolerationSeconds")
        for each in stateful["spec"]["template"]["spec"]["tolerations"]
    }
    assert tolerated == {"node.kubernetes.io/not-ready": 5, "node.kubernetes.io/unreachable": 5}


@pytest.mark.slow
def test_another_number_of_nodes_restarts_no_pod() -> None:
    few, many = (
        of_kind(rendered("default", "--set", f"nodes={count}"), "StatefulSet")["spec"] for count in (3, 9)
    )
    assert (few.pop("replicas"), many.pop("replicas")) == (3, 9)
    assert few == many
    assert "replicas" not in of_kind(rendered("large"), "StatefulSet")["spec"], "an autoscaler sets it"


def arguments(name: str, *options: str) -> list[str]:
    [container] = of_kind(rendered(name, *options), "StatefulSet")["spec"]["template"]["spec"]["containers"]
    return list(container["args"])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_commands_of_the_pods_are_those_of_the_program(name: str) -> None:
    commands: Any = cli.commands["cluster"]
    group, start, *words = arguments(name)
    values = values_of(name)
    assert (group, start) == ("cluster", "start")
    found = commands.commands[start].make_context(start, words).params
    NodeOptions(
        listen=found["listen"], hosts=tuple(each.replace("$(POD_NAME)", "a-0") for each in found["hosts"])
    )
    headless = f"{of_kind(rendered(name), 'StatefulSet')['spec']['serviceName']}.{NAMESPACE}.svc"
    assert found["hosts"][0] == f"$(POD_NAME).{headless}"
    nodes, *others = map(parse_peer, found["peers"])
    assert nodes == f"{headless}:{values['ports']['nodes']}"
    assert others == values["node"]["extraPeers"]
    assert (found["depth"], found["capacity"]) == (values["node"]["depth"], values["node"]["capacity"])
    ServerConfig(
        compat_listen=found["compat_listen"],
        compat_allow=found["compat_allow"],
        access_log=found["access_log"],
    )
    spec = of_kind(rendered(name), "StatefulSet")["spec"]["template"]["spec"]
    _, _, hook, *words = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    drain = commands.commands[hook].make_context(hook, words).params
    assert (drain["is_self"], drain["data_dir"]) == (True, found["data_dir"])


@pytest.mark.slow
def test_a_zone_and_an_egress_come_from_where_the_values_say() -> None:
    def env(name: str) -> dict[str, Any]:
        stateful = of_kind(rendered(name), "StatefulSet")
        [container] = stateful["spec"]["template"]["spec"]["containers"]
        return {each["name"]: each for each in container["env"]}

    label = "metadata.labels['topology.kubernetes.io/zone']"
    assert env("default")["ZONE"]["valueFrom"]["fieldRef"]["fieldPath"] == label
    assert env("private")["ZONE"]["value"] == "zone-a"
    assert "--egress=kubernetes" in arguments("default")
    assert "--egress=proxy-1" in arguments("private")
    assert "--egress=$(MACHINE)" in arguments("production")
    assert not any("--egress" in each for each in arguments("default", "--set", "node.egress=pod"))


@pytest.mark.slow
def test_pods_without_volumes_leave_the_cluster_when_they_end() -> None:
    assert "--ephemeral" in arguments("ephemeral")
    assert "--ephemeral" not in arguments("default")
    stateful = of_kind(rendered("ephemeral"), "StatefulSet")["spec"]
    assert "volumeClaimTemplates" not in stateful
    assert {"name": "data", "emptyDir": {"sizeLimit": "256Mi"}} in stateful["template"]["spec"]["volumes"]


def may(peers: list[dict[str, Any]], labels: Mapping[str, str]) -> bool:
    """Whether a pod of this namespace is one of the peers of a rule."""
    selectors = [each["podSelector"] for each in peers if "namespaceSelector" not in each]
    return any(each.get("matchLabels", {}).items() <= labels.items() for each in selectors)


@pytest.mark.slow
def test_only_nodes_reach_the_port_of_nodes() -> None:
    objects = rendered("production")
    node, job = (pods(objects)[kind]["metadata"]["labels"] for kind in ("StatefulSet", "Job"))
    stranger = {"app": "strategy"}
    policy = of_kind(objects, "NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= node.items()
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    reached: dict[int, list[bool]] = {}
    for rule in policy["ingress"]:
        for port in rule["ports"]:
            before = reached.setdefault(port["port"], [False] * 3)
            found = [may(rule["from"], labels) for labels in (node, job, stranger)]
            reached[port["port"]] = [one or other for one, other in zip(before, found, strict=True)]
    assert reached == {42080: [True, False, False], 42081: [True, True, False]}
    anywhere = {port["port"] for rule in policy["egress"] if "to" not in rule for port in rule["ports"]}
    assert anywhere == {53, 443}


@pytest.mark.slow
def test_a_release_without_a_secret_is_refused_with_what_to_do() -> None:
    ran = run_helm("template", RELEASE, str(CHART))
    assert ran.returncode != 0
    assert "secretName is empty" in ran.stderr
    assert "depthcache cluster secrets DIR" in ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_notes_name_commands_that_fit(name: str) -> None:
    file = str(CHART / "ci" / f"{name}-values.yaml")
    ran = run_helm(
        "install", RELEASE, str(CHART), "--dry-run=client", "--namespace", "here", "--values", file
    )
    assert ran.returncode == 0, ran.stderr
    notes = ran.stdout.partition("NOTES:")[2]
    stateful = of_kind(rendered(name), "StatefulSet")["metadata"]["name"]
    commands = [line.strip() for line in notes.splitlines() if "kubectl" in line]
    assert len(commands) == 3
    assert all(line.startswith("kubectl --namespace here ") for line in commands)
    assert all(f"{stateful}-0 " in line for line in commands[1:])
    assert f"statefulset/{stateful}" in commands[0]


# --- the books -----------------------------------------------------------------------------


@pytest.mark.slow
def test_the_job_adds_and_changes_the_books_once_a_node_answers(tmp_path: Path) -> None:
    script = of_kind(rendered("production"), "ConfigMap")["data"]["add.sh"]
    fake = tmp_path / "depthcache"
    # Two times no node answers; then the cluster is not whole yet, which is enough.
    fake.write_text(
        f"""#!/bin/sh
echo "$*" >> {tmp_path}/calls
if [ "$2" = status ]; then
    [ "$(grep -c status {tmp_path}/calls)" -gt 2 ] && exit 1 || exit 2
fi
""",
        "utf-8",
    )
    (tmp_path / "sleep").write_text("#!/bin/sh\n", "utf-8")
    for each in (fake, tmp_path / "sleep"):
        each.chmod(0o755)
    file = tmp_path / "add.sh"
    file.write_text(script, "utf-8")
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    ran = subprocess.run(["/bin/sh", "-eu", str(file)], env=environment, check=False, capture_output=True)
    assert (ran.returncode, ran.stderr) == (0, b"")
    calls = (tmp_path / "calls").read_text().splitlines()
    where = (
        "--server=https://books-depthcache.market-data.svc:42081"
        " --ca=/secrets/authority.pem --token-file=/secrets/admin.token"
    )
    spot = (
        f"--exchange=binance.com --replicas=3 --depth=1000 --speed-ms=100 {where} -- BTCUSDT ETHUSDT SOLUSDT"
    )
    futures = f"--exchange=binance.com-futures --replicas=2 --depth=500 {where} -- BTCUSDT ETHUSDT"
    assert calls == [
        *[f"cluster status {where}"] * 3,
        f"cluster add {spot}",
        f"cluster set {spot}",
        f"cluster add {futures}",
        f"cluster set {futures}",
    ]


@pytest.mark.slow
def test_a_job_whose_node_never_answers_ends_with_an_error(tmp_path: Path) -> None:
    script = of_kind(rendered("production"), "ConfigMap")["data"]["add.sh"]
    for name, code in (("depthcache", 2), ("sleep", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n", "utf-8")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "add.sh").write_text(script, "utf-8")
    ran = subprocess.run(
        ["/bin/sh", "-eu", str(tmp_path / "add.sh")], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False
    )
    assert ran.returncode == 2


@pytest.mark.slow
def test_the_job_sees_two_files_of_the_secret_alone() -> None:
    objects = rendered("production")
    volumes = pods(objects)["Job"]["spec"]["volumes"]
    [secret] = [each["secret"] for each in volumes if "secret" in each]
    assert [each["key"] for each in secret["items"]] == ["authority.pem", "admin.token"]
    hook = of_kind(objects, "Job")["metadata"]["annotations"]
    assert hook["helm.sh/hook"] == "post-install,post-upgrade"
    assert "Job" not in pods(rendered("default")), "there are no books to add"
    script = of_kind(objects, "ConfigMap")["metadata"]
    assert "annotations" not in script, "it is there before the job"


def test_tokens_of_a_secret_are_what_a_header_takes(tmp_path: Path) -> None:
    secrets = shared_secrets.make(tmp_path / "made")
    for name, token in secrets.tokens.items():
        # The operator of Prometheus does not strip a line end, and then no scrape works.
        assert (tmp_path / "made" / f"{name}.token").read_text() == token
    assert shared_secrets.read(tmp_path / "made") == secrets


@pytest.mark.slow
def test_the_monitor_asks_as_nodes_answer() -> None:
    objects = rendered("production")
    [endpoint] = of_kind(objects, "ServiceMonitor")["spec"]["endpoints"]
    selected = of_kind(objects, "ServiceMonitor")["spec"]["selector"]["matchLabels"]
    services = [each for each in objects if each["kind"] == "Service"]
    [service] = [each for each in services if selected.items() <= each["metadata"]["labels"].items()]
    assert service["spec"]["publishNotReadyAddresses"] is True, "metrics say why a pod is not ready"
    assert endpoint["port"] in {each["name"] for each in service["spec"]["ports"]}
    assert f"--host={endpoint['tlsConfig']['serverName']}" in arguments("production"), (
        "the certificate has it"
    )
    keys = {endpoint["authorization"]["credentials"]["key"], endpoint["tlsConfig"]["ca"]["secret"]["key"]}
    assert keys <= set(shared_secrets.SECRET_FILES)
    assert all(each["kind"] != "ServiceMonitor" for each in rendered("default"))
