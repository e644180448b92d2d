"""The Grafana dashboard: what Grafana takes, what nodes serve, and data in every panel."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from depthcache import blocking
from tests.cluster.nodes import SPOT, SYMBOLS
from tests.cluster.scraped import read, two_nodes
from tests.cluster.test_seam import free_ports
from tests.support.promql import Samples, unknown_in
from tests.test_watching import ALERTS, DEPLOY, RULES, samples, tools

__all__ = ["samples"]

FILE = Path(__file__).parents[1] / "deploy" / "grafana" / "depthcache-cluster.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
PANELS: list[dict[str, Any]] = [each for each in DASHBOARD["panels"] if each["type"] != "row"]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
OF_PROMETHEUS = {
    *("definition", "expr", "step", "tagKeys", "textFormat", "titleFormat", "useValueForTime"),
    *("target/expr", "target/refId", "target/interval"),
}
"""Fields of variables and annotations that belong to the plugin of Prometheus, not to dashboards."""


def targets() -> list[tuple[str, dict[str, Any]]]:
    """Every query with the title of its panel."""
    return [(panel["title"], target) for panel in PANELS for target in panel["targets"]]


# --- the file ----------------------------------------------------------------------------------


def test_grafana_knows_every_field() -> None:
    dashboard = pytest.importorskip("grafana_foundation_sdk.models.dashboard")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins

    register_default_plugins()
    read_back = json.loads(JSONEncoder().encode(dashboard.Dashboard.from_json(DASHBOARD)))
    unknown = {
        re.sub(r"^/(annotations|templating)/list\[\d+\]/", "", each) for each in lost(DASHBOARD, read_back)
    }
    assert unknown <= OF_PROMETHEUS
    assert lost({"a": [{"b": 1}]}, {"a": [{}]}) == ["/a[0]/b"], "a field that is unknown is found"
    assert DASHBOARD["schemaVersion"] == dashboard.Dashboard().schema_version


def lost(given: Any, found: Any, path: str = "") -> list[str]:
    """The fields that are missing or differ."""
    if isinstance(given, dict) and isinstance(found, dict):
        inner = [
            lost(value, found[key], f"{path}/{key}") if key in found else [f"{path}/{key}"]
            for key, value in given.items()
        ]
        return list(itertools.chain(*inner))
    if isinstance(given, list) and isinstance(found, list) and len(given) == len(found):
        pairs = enumerate(zip(given, found, strict=True))
        return [each for at, (one, other) in pairs for each in lost(one, other, f"{path}[{at}]")]
    return [] if given == found else [path]


def test_it_belongs_to_no_grafana_and_no_data_source() -> None:
    assert "id" not in DASHBOARD
    assert "uid" not in DASHBOARD
    text = FILE.read_text("utf-8")
    assert set(re.findall(r'"uid": "([^"]+)"', text)) == {"${datasource}", "-- Grafana --"}
    for panel in PANELS:
        assert panel["datasource"] == SOURCE, panel["title"]
    for title, target in targets():
        assert target["datasource"] == SOURCE, title


def test_each_panel_says_what_it_shows_and_has_a_place_of_its_own() -> None:
    ids = [each["id"] for each in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert len({each["title"] for each in PANELS}) == len(PANELS) > 30
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        assert len(panel["description"]) > 25, panel["title"]
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        cells = set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
        assert not cells & taken, panel["title"]
        taken |= cells
        names = [each["refId"] for each in panel["targets"]]
        assert len(set(names)) == len(names) > 0, panel["title"]


def test_each_query_looks_at_the_cluster_and_nodes_that_were_chosen() -> None:
    names = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert list(names) == ["datasource", "job", "node"]
    assert names["node"]["multi"]
    for title, target in targets():
        selectors = re.findall(r"\b(?:depthcache_\w+|process_\w+|up|ALERTS)\b(\{[^}]*\})?", target["expr"])
        assert selectors, title
        for selector in selectors:
            assert 'job=~"$job"' in selector, title


@pytest.mark.slow
def test_each_query_names_metrics_and_labels_that_nodes_serve(samples: Samples) -> None:
    for title, target in targets():
        legend = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
        assert unknown_in(target["expr"], samples, also=legend) == [], title
    for each in DASHBOARD["annotations"]["list"][1:]:
        shown = re.findall(r"\{\{(\w+)\}\}", each["titleFormat"] + each["textFormat"])
        assert unknown_in(each["expr"], samples, also=shown) == [], each["name"]


# --- with Prometheus ---------------------------------------------------------------------------


@contextmanager
def prometheus(folder: Path, nodes: list[str], data_folder: Path) -> Iterator[str]:
    """A Prometheus with the configuration of `deploy`, every second; its URL."""
    given = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))
    given["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    given["rule_files"] = [str(RULES)]
    [job] = given["scrape_configs"]
    job["authorization"]["credentials_file"] = str(data_folder / "read.token")
    job["tls_config"]["ca_file"] = str(data_folder / "authority.pem")
    job["static_configs"] = [{"targets": nodes}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(given))
    [port] = free_ports(1)
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(tools() / "prometheus", f"--config.file={folder / 'prometheus.yml'}"),
                *(f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def ask(url: str, path: str, **given: str) -> Any:
    with urlopen(f"{url}/api/v1/{path}?{urlencode(given)}", timeout=30) as response:  # noqa: S310 - loopback
        return json.loads(response.read())["data"]


def query(url: str, expression: str) -> list[Any]:
    shown = expression.replace("$__rate_interval", "10s").replace("$job", "depthcache").replace("$node", ".*")
    return list(ask(url, "query", query=re.sub(r"\[(5|15)m\]", "[10s]", shown))["result"])


@pytest.mark.processes
async def test_each_panel_shows_data_of_real_nodes_and_no_alert_pages(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as programs:
        addresses = [each.node.identity.node.address for each in programs]
        folder = programs[0].folder.path
        with prometheus(tmp_path, addresses, folder) as url:
            await asyncio.to_thread(use, addresses, folder)
            for program in programs:
                for symbol in SYMBOLS:
                    await asyncio.to_thread(read, program, f"/v1/books/{SPOT}/{symbol}?levels=5")
            empty = await asyncio.to_thread(until_full, url)
            assert empty == []
            alerts = await asyncio.to_thread(ask, url, "alerts")
            firing = {each["labels"]["alertname"]: each["labels"]["severity"] for each in alerts["alerts"]}
            assert "page" not in firing.values(), firing
            groups = (await asyncio.to_thread(ask, url, "rules"))["groups"]
            assert {
                rule["name"]: rule["lastError"]
                for group in groups
                for rule in group["rules"]
                if "lastError" in rule
            } == {}
            assert sum(len(group["rules"]) for group in groups) == len(ALERTS)


def use(addresses: list[str], folder: Path) -> None:
    """Follow a book for a moment."""
    server = [f"https://{each}" for each in addresses]
    token = (folder / "read.token").read_text().strip()
    with blocking.connect(
        SPOT, [SYMBOLS[1]], server=server, token=token, ca=folder / "authority.pem"
    ) as books:
        books.wait_synced(timeout=60)
        for _, _ in zip(range(3), books[SYMBOLS[1]].updates("latest"), strict=False):
            pass


def until_full(url: str) -> list[str]:
    """Panels that stay empty for a minute."""
    until_s = time.monotonic() + 60
    left = [(title, target) for title, target in targets() if title != "Firing"]
    while left and time.monotonic() < until_s:
        time.sleep(0.5)
        try:
            left = [(title, target) for title, target in left if not query(url, target["expr"])]
        except OSError:
            continue  # it starts
    return [f"{title}: {target['expr']}" for title, target in left]
