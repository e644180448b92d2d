"""Alerts and the page of metrics fit what real nodes serve; each alert fires on its fault alone."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.scraped import CLUSTER, read, scrape, two_nodes
from tests.support.promql import Samples, unknown_in

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy" / "prometheus"
RULES = DEPLOY / "alerts.yml"
PAGE = ROOT / "docs" / "how-to" / "cluster-alerts.md"
BASE = "https://github.com/depthcache/depthcache/blob/main/docs/how-to/cluster-alerts.md#"


def alerts() -> dict[str, dict[str, Any]]:
    """Every alert of the file."""
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


ALERTS = alerts()


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """What two real nodes serve after some reads."""

    async def look() -> list[str]:
        async with two_nodes(tmp_path_factory.mktemp("nodes")) as programs:
            for program in programs:
                status, _ = await asyncio.to_thread(read, program, "/v1/books/binance.com/SYM0USDT?levels=1")
                assert status == 200
            return [await scrape(program) for program in programs]

    return Samples(asyncio.run(look()), alerts=ALERTS)


# --- against real nodes ------------------------------------------------------------------------


@pytest.mark.slow
def test_every_metric_is_on_its_page_and_no_other(samples: Samples) -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    served = {each for each in samples.families if each.startswith("depthcache_")}
    assert set(re.findall(r"^\| `(depthcache_\w+)` \|", page, re.MULTILINE)) == served
    for group in re.findall(r"^\| `depthcache_\w+`.*$", page, re.MULTILINE):
        assert group.count("|") >= 4, group


@pytest.mark.slow
def test_every_alert_names_metrics_and_labels_that_nodes_serve(samples: Samples) -> None:
    assert samples.values["depthcache_cluster_info"]["cluster"] == {CLUSTER}
    for name, rule in ALERTS.items():
        named = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        assert unknown_in(rule["expr"], samples, also=named) == [], name


@pytest.mark.slow
def test_a_metric_label_or_state_that_no_node_serves_is_found(samples: Samples) -> None:
    for expression, found in (
        ("depthcache_cluster_nope > 0", ["depthcache_cluster_nope"]),
        ('depthcache_cluster_books{state="gone"}', ['depthcache_cluster_books: state="gone"']),
        ('depthcache_cluster_books{kind="x"}', ["depthcache_cluster_books: label kind"]),
        ("sum by (job, pool) (depthcache_cluster_books)", ["label pool"]),
        ('rate(depthcache_server_responses_total{status=~"5.."}[5m])', []),
    ):
        assert unknown_in(expression, samples) == found, expression


# --- the file of alerts ------------------------------------------------------------------------


def test_each_alert_says_how_bad_it_is_how_long_it_waits_and_what_to_do() -> None:
    assert len(ALERTS) > 30
    for name, rule in ALERTS.items():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, name
        assert re.fullmatch(r"Depthcache([A-Z][a-z]+)+", name), name
        assert rule["labels"]["severity"] in ("page", "ticket"), name
        assert re.fullmatch(r"[1-9]\d*[mhd]", rule["for"]), name
        notes = rule["annotations"]
        assert set(notes) == {"summary", "description", "runbook_url"}, name
        assert len(notes["summary"]) < 120, name
        assert len(notes["description"]) > 60, name


def test_each_alert_has_a_section_of_its_own_that_agrees_on_how_bad_it_is() -> None:
    page = PAGE.read_text("utf-8")
    sections = re.findall(r"^### (\w+)\n\n\*(page|ticket)\.\*", page, re.MULTILINE)
    assert len(re.findall(r"^### ", page, re.MULTILINE)) == len(sections)
    assert sections == [(name, rule["labels"]["severity"]) for name, rule in ALERTS.items()]
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook_url"] == BASE + name.lower()


def test_the_metrics_that_the_page_of_alerts_asks_for_exist() -> None:
    metrics = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    for name in re.findall(r"\bdepthcache_\w+", PAGE.read_text("utf-8")):
        assert f"| `{name}` |" in metrics, name


def test_every_event_that_an_alert_names_is_a_log_line() -> None:
    from depthcache import logs

    text = json.dumps(ALERTS) + PAGE.read_text("utf-8")
    events = set(re.findall(r'event=\\*"(\w+)\\*"', text)) | set(re.findall(r"`([a-z]+_[a-z_]+)`", text))
    named = {each for each in events if not each.startswith(("depthcache_", "limit_"))}
    assert len(named) > 4
    assert named <= {*logs.__all__, "on_stale", "scrape_configs"}


def test_the_job_of_the_alerts_is_that_of_the_scrape() -> None:
    given = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))
    [job] = given["scrape_configs"]
    assert set(re.findall(r'job="(\w+)"', RULES.read_text("utf-8"))) == {job["job_name"]} == {"depthcache"}
    assert [Path(each).name for each in given["rule_files"]] == [RULES.name]
    assert job["scheme"] == "https"
    assert Path(job["authorization"]["credentials_file"]).name == "read.token"
    assert Path(job["tls_config"]["ca_file"]).name == "authority.pem"
    assert "credentials" not in job["authorization"], "a secret in a file that is not one"


# --- with promtool -----------------------------------------------------------------------------

DAY_S = 86_400
_UNITS_S = {"m": 60, "h": 3_600, "d": DAY_S}
HEALTHY: dict[str, str] = {
    "up": "1",
    "depthcache_cluster_info{version='1.0'}": "1",
    "depthcache_build_info{version='1.0'}": "1",
    **{
        f"depthcache_cluster_books{{state='{state}'}}": str(count)
        for state, count in {"whole": 10, "short": 0, "unsynced": 0, "untraded": 0}.items()
    },
    **{
        f"depthcache_cluster_replicas{{state='{state}'}}": str(count)
        for state, count in {"synced": 20, "starting": 0, "stale": 0, "waiting": 0}.items()
    },
    "depthcache_cluster_unsynced_seconds": "0",
    "depthcache_cluster_short_seconds": "0",
    "depthcache_cluster_impossible_replicas": "0",
    "depthcache_cluster_nodes{state='away'}": "0",
    "depthcache_cluster_peer_changes_total{peer='b2',state='suspect'}": "1",
    "depthcache_cluster_peer_clock_offset_seconds{peer='b2'}": "-0.01",
    "depthcache_cluster_wanted_set_hash": "123456789012345",
    "depthcache_cluster_ready": "1",
    "depthcache_cluster_has_authority_key": "1",
    "depthcache_cluster_certificate_end_timestamp_seconds{of='node'}": "in 6 d",
    "depthcache_cluster_certificate_end_timestamp_seconds{of='authority'}": "in 3000 d",
    "depthcache_cluster_disk_writable": "1",
    "depthcache_cluster_disk_free_bytes": "5e9",
    "depthcache_cluster_disk_size_bytes": "1e10",
    "depthcache_cluster_moves_total{what='began'}": "20",
    "depthcache_cluster_failed_copies_total": "5",
    "depthcache_cluster_take_over_seconds_bucket{le='1'}": "0+10x{}",
    "depthcache_cluster_take_over_seconds_bucket{le='65.536'}": "0+10x{}",
    "depthcache_cluster_take_over_seconds_bucket{le='+Inf'}": "0+10x{}",
    "depthcache_budget_stopped_seconds{pool='spot'}": "0",
    "depthcache_budget_exchange_used{pool='spot'}": "3000",
    "depthcache_budget_limit{pool='spot'}": "6000",
    "depthcache_budget_waiting{pool='spot'}": "0",
    "depthcache_budget_request_seconds_count{pool='spot'}": "0+1x{}",
    "depthcache_connection_delay_seconds_bucket{exchange='binance.com',le='0.016384'}": "0+50x{}",
    "depthcache_connection_delay_seconds_bucket{exchange='binance.com',le='1.048576'}": "0+50x{}",
    "depthcache_connection_delay_seconds_bucket{exchange='binance.com',le='+Inf'}": "0+50x{}",
    "depthcache_book_confirmed_seconds{exchange='binance.com',symbol='BTCUSDT'}": "20",
    "depthcache_book_synced{exchange='binance.com',symbol='BTCUSDT'}": "1",
    "depthcache_server_responses_total{route='read_book',status='200'}": "0+100x{}",
    "depthcache_server_responses_total{route='read_book',status='503'}": "0+1x{}",
    "depthcache_server_read_seconds_bucket{le='0.25'}": "0+100x{}",
    "depthcache_server_read_seconds_bucket{le='10'}": "0+100x{}",
    "depthcache_server_read_seconds_bucket{le='+Inf'}": "0+100x{}",
    "depthcache_server_failed_total": "0+1x{}",
    "depthcache_server_slow_total": "2",
    "depthcache_server_refused_total{reason='connections'}": "3",
    "depthcache_log_events_total{event='node_housekeeping_failed'}": "1",
    "depthcache_log_events_total{event='message_refused'}": "0",
    "depthcache_log_events_total{event='unexpected'}": "0",
    "process_open_fds": "300",
    "process_max_fds": "1024",
}
"""Series of one of two healthy nodes: values, what is added each minute, or how far away a time is."""
A, B = "a:42081", "b:42081"
GONE = ""
"""A series that is not there."""
Planted = tuple[dict[str, str], dict[str, str]]
ONE = {"instance": A}
PLANTED: dict[str, Planted] = {
    "DepthcacheBookUnavailable": ({"depthcache_cluster_unsynced_seconds": "121"}, {}),
    "DepthcacheReplicasMissing": ({"depthcache_cluster_short_seconds": "601"}, {}),
    "DepthcacheTooFewNodes": ({"depthcache_cluster_impossible_replicas": "1"}, {}),
    "DepthcacheBooksUntraded": ({"depthcache_cluster_books{state='untraded'}": "1"}, {}),
    "DepthcacheStaleReplicas": ({"depthcache_cluster_replicas{state='stale'}": "3"}, ONE),
    "DepthcacheBookNotProven": (
        {"depthcache_book_confirmed_seconds{exchange='binance.com',symbol='BTCUSDT'}": "241"},
        ONE,
    ),
    "DepthcacheClusterDown": ({"up": "0", f"up {B}": "0"}, {}),
    "DepthcacheNotScraped": ({"up": GONE, f"up {B}": GONE}, {}),
    "DepthcacheNodeDown": ({"up": "0"}, ONE),
    "DepthcacheNodeAway": ({"depthcache_cluster_nodes{state='away'}": "1"}, {}),
    "DepthcacheNodeFlaps": (
        {"depthcache_cluster_peer_changes_total{peer='b2',state='suspect'}": "0+1x{}"},
        {"peer": "b2"},
    ),
    "DepthcacheNodeNotReady": ({"depthcache_cluster_ready": "0"}, ONE),
    "DepthcacheNodesDisagree": ({"depthcache_cluster_wanted_set_hash": "5"}, {}),
    "DepthcacheClockOffset": (
        {"depthcache_cluster_peer_clock_offset_seconds{peer='b2'}": "-5.5"},
        {"peer": "b2"},
    ),
    "DepthcacheVersionsDiffer": (
        {"depthcache_cluster_info{version='1.0'}": GONE, "depthcache_cluster_info{version='1.1'}": "1"},
        {},
    ),
    "DepthcacheMovesStorm": ({"depthcache_cluster_moves_total{what='began'}": "0+10x{}"}, {}),
    "DepthcacheTakeOverSlow": (
        {
            "depthcache_cluster_take_over_seconds_bucket{le='1'}": "0+5x{}",
            "depthcache_cluster_take_over_seconds_bucket{le='65.536'}": "0+5x{}",
        },
        ONE,
    ),
    "DepthcacheCopiesFail": ({"depthcache_cluster_failed_copies_total": "0+2x{}"}, ONE),
    "DepthcacheAddressBanned": (
        {"depthcache_budget_stopped_seconds{pool='spot'}": "60"},
        ONE | {"pool": "spot"},
    ),
    "DepthcacheWeightNearLimit": (
        {"depthcache_budget_exchange_used{pool='spot'}": "4900"},
        ONE | {"pool": "spot"},
    ),
    "DepthcacheRequestsQueue": ({"depthcache_budget_waiting{pool='spot'}": "1"}, ONE | {"pool": "spot"}),
    "DepthcacheUpdatesLate": (
        {
            "depthcache_connection_delay_seconds_bucket{exchange='binance.com',le='0.016384'}": "0+48x{}",
            "depthcache_connection_delay_seconds_bucket{exchange='binance.com',le='1.048576'}": "0+48x{}",
        },
        ONE | {"exchange": "binance.com"},
    ),
    "DepthcacheReadsFail": (
        {"depthcache_server_responses_total{route='read_book',status='503'}": "0+20x{}"},
        {},
    ),
    "DepthcacheReadsSlow": ({"depthcache_server_read_seconds_bucket{le='0.25'}": "0+98x{}"}, ONE),
    "DepthcacheNodesUnanswered": ({"depthcache_server_failed_total": "0+61x{}"}, ONE),
    "DepthcacheSlowReaders": ({"depthcache_server_slow_total": "0+1x{}"}, ONE),
    "DepthcacheConnectionsRefused": (
        {"depthcache_server_refused_total{reason='connections'}": "0+1x{}"},
        ONE | {"reason": "connections"},
    ),
    "DepthcacheCertificateEnds": (
        {"depthcache_cluster_certificate_end_timestamp_seconds{of='node'}": "in 2 d"},
        ONE | {"of": "node"},
    ),
    "DepthcacheCertificateEndsSoon": (
        {"depthcache_cluster_certificate_end_timestamp_seconds{of='node'}": "in 0.9 d"},
        ONE | {"of": "node"},
    ),
    "DepthcacheAuthorityEnds": (
        {"depthcache_cluster_certificate_end_timestamp_seconds{of='authority'}": "in 89 d"},
        ONE | {"of": "authority"},
    ),
    "DepthcacheNoAuthorityKey": (
        {"depthcache_cluster_has_authority_key": "0", f"depthcache_cluster_has_authority_key {B}": "0"},
        {},
    ),
    "DepthcacheOneAuthorityKey": ({"depthcache_cluster_has_authority_key": "0"}, {}),
    "DepthcacheDiskNotWritable": ({"depthcache_cluster_disk_writable": "0"}, ONE),
    "DepthcacheDiskNearlyFull": ({"depthcache_cluster_disk_free_bytes": "9e8"}, ONE),
    "DepthcacheHousekeepingFails": (
        {"depthcache_log_events_total{event='node_housekeeping_failed'}": "0+1x{}"},
        ONE | {"event": "node_housekeeping_failed"},
    ),
    "DepthcacheForgedMessages": ({"depthcache_log_events_total{event='message_refused'}": "0+1x{}"}, ONE),
    "DepthcacheInternalError": ({"depthcache_log_events_total{event='unexpected'}": "0+1x{}"}, ONE),
    "DepthcacheFewFilesLeft": ({"process_open_fds": "900"}, ONE),
    "DepthcacheMetricsIncomplete": (
        {"depthcache_build_info{version='1.0'}": GONE},
        ONE | {"version": "1.0"},
    ),
}
"""For each alert what differs on node a (or b, where it says so), and the labels with which it then fires."""
WITH = {
    "DepthcacheClusterDown": {"DepthcacheNodeDown"},
    "DepthcacheCertificateEndsSoon": {"DepthcacheCertificateEnds"},
}
"""Alerts that fire together with another one."""


def long_enough(name: str) -> int:
    """Minutes after which an alert must fire: its windows, its `for`, and a moment."""
    waits = ALERTS[name]["for"]
    return 31 + int(waits[:-1]) * _UNITS_S[waits[-1]] // 60


def series(planted: Mapping[str, str], minutes: int) -> list[dict[str, str]]:
    """The input of promtool: both nodes, with what differs."""
    found: list[dict[str, str]] = []
    for instance in (A, B):
        suffix = "" if instance == A else f" {B}"
        own = {name: value for name, value in planted.items() if name.endswith(B) == bool(suffix)}
        values = HEALTHY | {name.removesuffix(suffix): value for name, value in own.items()}
        for name, value in values.items():
            if value == GONE:
                continue
            metric, _, labels = name.partition("{")
            labels = f"job='depthcache',instance='{instance}'" + (f",{labels}" if labels else "}")
            if value.startswith("in "):
                value = str(minutes * 60 + float(value[3:-2]) * DAY_S)
            shown = value.format(minutes) if "{}" in value else f"{value}x{minutes}"
            found.append({"series": f"{metric}{{{labels}", "values": shown})
    return found


def firing(name: str, labels: Mapping[str, str]) -> str:
    shown = {
        "alertname": name,
        "alertstate": "firing",
        "severity": ALERTS[name]["labels"]["severity"],
        **labels,
    }
    return "ALERTS{" + ", ".join(f'{label}="{value}"' for label, value in sorted(shown.items())) + "}"


def tools() -> Path:
    """The folder of promtool and prometheus."""
    found = subprocess.run(["tools/prometheus.sh"], cwd=ROOT, capture_output=True, text=True, check=True)
    return Path(found.stdout.strip())


def promtool(*arguments: str) -> str:
    done = subprocess.run([tools() / "promtool", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_alert_has_a_fault_that_it_fires_on() -> None:
    assert list(PLANTED) == list(ALERTS)
    for name, rule in ALERTS.items():
        named = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
        assert named <= {"job", *PLANTED[name][1]}, name


@pytest.mark.processes
def test_the_rules_are_what_prometheus_takes() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", str(RULES))
    promtool("check", "config", "--syntax-only", str(DEPLOY / "prometheus.yml"))


@pytest.mark.processes
def test_each_alert_fires_on_its_fault_and_no_other_does(tmp_path: Path) -> None:
    """Prometheus evaluates the rules over some hours of series; of others none may even be pending."""
    healthy = {
        "interval": "1m",
        "input_series": series({}, 90),
        "promql_expr_test": [_expect("ALERTS", [], 90)],
    }
    tests = [healthy, *(_test(name) for name in PLANTED)]
    path = tmp_path / "tests.yml"
    path.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    assert "SUCCESS" in promtool("test", "rules", str(path))


def _test(name: str) -> dict[str, Any]:
    planted, labels = PLANTED[name]
    minutes, own = long_enough(name), "|".join((name, *WITH.get(name, ())))
    fires = _expect(
        f"ALERTS{{alertname='{name}', alertstate='firing'}}",
        [firing(name, {"job": "depthcache", **labels})],
        minutes,
    )
    others = _expect(f"ALERTS{{alertname!~'{own}'}}", [], minutes)
    return {"interval": "1m", "input_series": series(planted, minutes), "promql_expr_test": [fires, others]}


def _expect(expression: str, labels: list[str], minutes: int) -> dict[str, Any]:
    return {
        "expr": expression,
        "eval_time": f"{minutes}m",
        "exp_samples": [{"labels": each, "value": 1} for each in labels],
    }
