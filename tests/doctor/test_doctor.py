"""The doctor: a healthy exchange, and each fault of a host with the advice it leads to."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from depthcache import Settings, doctor, simulator
from depthcache.doctor import Finding, Report, Severity
from depthcache.errors import InvalidArgument, UnknownExchange
from depthcache.venues import Endpoints

pytestmark = pytest.mark.slow

RestResponse = Callable[[web.Request], Awaitable[web.StreamResponse]]


def finding(report: Report, check: str) -> Finding:
    return next(each for each in report.findings if each.check.startswith(check))


@asynccontextmanager
async def scripted(response: RestResponse) -> Any:
    """An exchange that answers everything like this."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", response)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    place = f"127.0.0.1:{runner.addresses[0][1]}"
    ends = Endpoints(rest=f"http://{place}", websocket=f"ws://{place}")
    try:
        yield Settings(endpoints={"binance.com": ends, "binance.com-futures": ends}, proxies=False)
    finally:
        await runner.cleanup()


def json_answer(request: web.Request, *, offset_ms: int = 0, weight: str | None = "1") -> web.Response:
    import time

    headers = {} if weight is None else {"X-MBX-USED-WEIGHT-1M": weight}
    if request.path.endswith("/time"):
        return web.json_response({"serverTime": int(time.time() * 1e3) + offset_ms}, headers=headers)
    if request.path.endswith("/exchangeInfo"):
        return web.json_response({"symbols": [{"symbol": "BTCUSDT", "status": "TRADING"}]}, headers=headers)
    return web.json_response({}, headers=headers)


@pytest.mark.parametrize(
    "exchange", ["binance.com", "binance.com-futures", "binance.com-coin_futures", "binance.us"]
)
async def test_a_healthy_exchange_gets_no_complaint(exchange: str) -> None:
    with simulator.serve(seed=3) as server:
        report = await doctor.examine(exchange, seconds=1.5, settings=server.settings)
    assert [each for each in report.findings if each.severity is Severity.FAIL] == []
    assert report.is_good
    for check in ("DNS", "REST", "weight header", "symbol", "route", "id chain", "book"):
        assert finding(report, check).severity is Severity.OK, finding(report, check)


async def test_futures_are_asked_the_open_questions() -> None:
    with simulator.serve(seed=3) as server:
        report = await doctor.examine("binance.com-futures", seconds=1.5, settings=server.settings)
    assert "no: acknowledged, but nothing arrived" in finding(report, "does an explicit @250ms").measured
    assert "no: acknowledged, but nothing arrived" in finding(report, "does /market/stream").measured
    assert "yes" in finding(report, "is @0ms still served").measured
    assert all(each.severity is Severity.INFO for each in report.findings if each.check.endswith("?"))


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_private_certificate_authority_needs_ca_file(trusted: bool, tmp_path: Path) -> None:
    authority = trustme.CA()
    file = tmp_path / "authorities.pem"
    authority.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with simulator.serve(seed=3, tls=context, ca_file=file) as server:
        settings = server.settings if trusted else replace(server.settings, ca_file=None)
        report = await doctor.examine("binance.com", seconds=1.0, settings=settings)
    found = finding(report, "TLS")
    assert found.severity is (Severity.OK if trusted else Severity.FAIL), found
    assert trusted or (not report.is_good and "ca_file" in found.advice)


async def test_a_failed_name_lookup_advises_to_check_the_name_servers() -> None:
    ends = Endpoints(rest="http://no-such-host.invalid", websocket="ws://no-such-host.invalid")
    settings = Settings(endpoints={"binance.com": ends}, proxies=False)
    report = await doctor.examine("binance.com", settings=settings)
    assert not report.is_good
    assert "name server" in finding(report, "DNS").advice


async def test_a_server_in_place_of_the_exchange_is_said_first() -> None:
    settings = Settings(server="http://127.0.0.1:9", proxies=False)
    report = await doctor.examine("binance.com", settings=settings)
    first = report.findings[0]
    assert (first.check, first.severity) == ("book server", Severity.INFO)
    assert "127.0.0.1:9: checked instead of the exchange" in first.measured


async def test_a_closed_port_advises_to_check_the_firewall() -> None:
    ends = Endpoints(rest="http://127.0.0.1:9", websocket="ws://127.0.0.1:9")
    settings = Settings(endpoints={"binance.com": ends}, proxies=False)
    report = await doctor.examine("binance.com", settings=settings)
    assert report.findings[0].check != "book server"
    assert finding(report, "REST").severity is Severity.FAIL
    assert "firewall" in finding(report, "REST").advice


@pytest.mark.parametrize(("status", "body"), [(451, ""), (403, "<html>Forbidden</html>")])
async def test_a_region_that_is_not_served_is_pointed_to_the_data_mirror(status: int, body: str) -> None:
    async def response(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    async with scripted(response) as settings:
        report = await doctor.examine("binance.com", settings=settings)
    assert "binance.com-data" in finding(report, "REST").advice


async def test_a_missing_weight_header_is_a_warning() -> None:
    async def response(request: web.Request) -> web.Response:
        return json_answer(request, weight=None)

    async with scripted(response) as settings:
        report = await doctor.examine("binance.com", seconds=0.5, settings=settings)
    assert finding(report, "weight header").severity is Severity.WARN
    assert finding(report, "route").severity is Severity.FAIL


async def test_a_clock_that_is_90_seconds_off_is_a_warning_with_the_figure() -> None:
    async def response(request: web.Request) -> web.Response:
        return json_answer(request, offset_ms=90_000)

    async with scripted(response) as settings:
        report = await doctor.examine("binance.com", seconds=0.5, settings=settings)
    assert finding(report, "clock").severity is Severity.WARN
    assert "s behind the exchange" in finding(report, "clock").measured
    assert "NTP" in finding(report, "clock").advice


async def test_a_stream_that_is_acknowledged_and_silent_fails() -> None:
    with simulator.serve(seed=3) as server:
        server.on_exchange(lambda: server.exchange.trouble.silence("binance.com", "BTCUSDT"))  # type: ignore[attr-defined]
        report = await doctor.examine("binance.com", seconds=1.0, settings=server.settings)
    assert finding(report, "route").severity is Severity.FAIL
    assert "acknowledged" in finding(report, "route").measured


async def test_lost_updates_break_the_id_chain() -> None:
    exchange = simulator.SimulatedExchange(seed=3, faults=simulator.Faults(drop=0.4))
    with simulator.Server(exchange) as server:
        report = await doctor.examine("binance.com", seconds=2.0, settings=server.settings)
    assert finding(report, "id chain").severity is Severity.FAIL


async def test_an_unknown_symbol_is_a_finding_and_an_unknown_exchange_an_error() -> None:
    with simulator.serve(symbols={"binance.com": ["BTCUSDT"]}, seed=3) as server:
        report = await doctor.examine("binance.com", "NOSUCH", settings=server.settings)
        assert finding(report, "symbol").severity is Severity.FAIL
        with pytest.raises(InvalidArgument):
            await doctor.examine("binance.com", "no symbol", settings=server.settings)
    with pytest.raises(UnknownExchange):
        await doctor.examine("binance.con")


def run(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-c", "import sys; from depthcache.cli import main; sys.exit(main())", *arguments]
    environment = {**os.environ, **environment, "NO_COLOR": "1"}
    return subprocess.run(call, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_shows_findings_and_ends_with_the_verdict() -> None:
    with simulator.serve(seed=3) as server:
        done = run("doctor", "--seconds", "1", environment=dict(server.environment))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "binance.com: this host can keep books"
    assert "ok   id chain: U == previous u + 1 held" in done.stdout


def test_the_command_writes_json_and_exits_with_1_when_something_failed() -> None:
    environment = {"DEPTHCACHE_BINANCE_COM_REST": "http://127.0.0.1:9", "DEPTHCACHE_PROXIES": "off"}
    done = run("doctor", "--json", environment=environment)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["exchange"] == "binance.com"
    assert {"check", "severity", "measured", "advice"} <= report["findings"][0].keys()
