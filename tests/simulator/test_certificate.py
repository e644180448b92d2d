"""`serve(tls=True)`: https and wss with a new certificate, whose authority disappears with the server."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

import depthcache
from depthcache import simulator
from depthcache.errors import InvalidArgument, PackageMissing, UsageError
from depthcache.simulator.certificate import OwnCertificate
from tests.simulator.recordings import Writer

DEADLINE_S = 30.0
SPOT = "binance.com"


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["native", "aiohttp"])
async def test_a_client_with_its_settings_keeps_a_right_book(transport: Any) -> None:
    with simulator.serve(seed=1, symbols={SPOT: ["BTCUSDT"]}, tls=True) as server:
        ends = server.settings.endpoints[SPOT]
        assert ends.rest.startswith("https://127.0.0.1:")
        assert ends.websocket.startswith("wss://127.0.0.1:")
        settings = replace(server.settings, transport=transport)
        async with depthcache.connect(SPOT, ["BTCUSDT"], settings=settings) as books:
            await books.wait_synced(timeout=DEADLINE_S)
            assert simulator.differences(books["BTCUSDT"], server.truth(SPOT, "BTCUSDT")) == 0


async def test_a_recording_is_served_so_too(tmp_path: Path) -> None:
    writer = Writer()
    writer.diff(0, 11, 12)
    writer.snapshot(0.1, 12)
    path = writer.write(tmp_path / "recording")
    with simulator.serve(files=[path], exchange=SPOT, tls=True) as server:
        trust = ssl.create_default_context(cafile=server.settings.ca_file)
        async with ClientSession() as http, http.get(server.url + "/api/v3/ping", ssl=trust) as response:
            assert await response.json() == {}


def test_the_environment_tells_every_kind_of_program_whom_to_trust() -> None:
    with simulator.serve(seed=1, symbols={SPOT: ["BTCUSDT"]}, tls=True) as server:
        environment = dict(server.environment)
        file = str(server.settings.ca_file)
        others = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
        for name in ("DEPTHCACHE_CA_FILE", *others):
            assert environment[name] == file
        assert environment["DEPTHCACHE_BINANCE_COM_REST"].startswith("https://127.0.0.1:")
        assert environment["DEPTHCACHE_BINANCE_COM_WEBSOCKET"].startswith("wss://127.0.0.1:")
        settings = depthcache.Settings.from_environment(environment)
        assert settings.ca_file == file
        text = Path(file).read_text()
        assert "BEGIN CERTIFICATE" in text
        assert "PRIVATE" not in text
    assert not Path(file).parent.exists()


def test_without_tls_no_authority_is_named() -> None:
    with simulator.serve(seed=1, symbols={SPOT: ["BTCUSDT"]}, tls=False) as server:
        assert server.url.startswith("http://")
        assert not any("CA" in name.split("_") or "CERT" in name.split("_") for name in server.environment)


def test_the_certificate_is_for_loopback_by_all_its_names() -> None:
    certificate = OwnCertificate()
    for name in ("localhost", "127.0.0.1", "::1"):
        trust = ssl.create_default_context(cafile=certificate.ca_file)
        client, server = ssl.MemoryBIO(), ssl.MemoryBIO()
        ours = trust.wrap_bio(server, client, server_hostname=name)
        theirs = certificate.context.wrap_bio(client, server, server_side=True)
        done = 0
        while done < 2:
            done = 0
            for side in (ours, theirs):
                try:
                    side.do_handshake()
                    done += 1
                except ssl.SSLWantReadError:
                    pass
    certificate.remove()
    certificate.remove()
    assert not certificate.ca_file.parent.exists()


def test_an_authority_is_removed_at_the_end_of_the_program() -> None:
    program = "from depthcache.simulator.certificate import OwnCertificate as O; o = O(); print(o.ca_file)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    assert not Path(ran.stdout.strip()).parent.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_takes_no_file_away() -> None:
    program = (
        "import os, sys; from depthcache.simulator.certificate import OwnCertificate as O; o = O()\n"
        "if (child := os.fork()) == 0: sys.exit(0)\n"
        "os.waitpid(child, 0); print(o.ca_file.exists())"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "True\n"


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(PackageMissing, match=r'pip install "depthcache\[tls\]"') as caught:
        simulator.serve(seed=1, tls=True)
    assert caught.value.package == "trustme"


def test_what_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ca_file"):
        simulator.serve(seed=1, tls=True, ca_file=tmp_path)
    for wrong in ("yes", 1):
        with pytest.raises(InvalidArgument, match="tls"):
            simulator.serve(seed=1, tls=wrong)  # type: ignore[arg-type]
