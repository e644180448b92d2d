"""Programs of the how-to pages do what their pages say, also in trouble."""

from __future__ import annotations

import ast
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from depthcache import Status, Update, blocking
from depthcache.server import ServerConfig
from depthcache.server.private_files import load_tls
from depthcache.simulator import Pair, SimulatedExchange
from tests.test_docs import BLOCK

ROOT = Path(__file__).parents[1]
HOW_TO = ROOT / "docs" / "how-to"
SERVICE = ROOT / "examples" / "service.py"


def python_blocks(page: str) -> list[str]:
    text = (HOW_TO / page).read_text("utf-8")
    return [match["code"] for match in BLOCK.finditer(text) if match["language"] == "python"]


def definitions(block: str) -> dict[str, Any]:
    """The imports, constants and functions of a block, without the program that follows them."""
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef)
    body: list[ast.stmt] = [
        node
        for node in ast.parse(block).body
        if isinstance(node, kept) or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).isupper())
    ]
    namespace: dict[str, Any] = {}
    exec(compile(ast.Module(body, []), "block", "exec"), namespace)  # noqa: S102
    return namespace


# --- systemd and Docker, examples/service.py ---------------------------------------------------


@contextmanager
def exchange_that_never_responds() -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """A socket that accepts connections and stays silent, and the settings that point at it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        yield (
            listening,
            {
                "DEPTHCACHE_BINANCE_COM_REST": f"http://{address}",
                "DEPTHCACHE_BINANCE_COM_WEBSOCKET": f"ws://{address}",
            },
        )


def of_the_page_of_systemd() -> str:
    [program] = python_blocks("systemd-and-docker.md")
    [only_there] = [line for line in program.splitlines(keepends=True) if "os.kill" in line]
    return program.replace(only_there, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "program", [of_the_page_of_systemd(), SERVICE.read_text("utf-8")], ids=["page", "example"]
)
def test_sigterm_ends_a_program_at_once_whose_books_are_not_synced(
    program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (
        exchange_that_never_responds() as (exchange, variables),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
    ):
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        for name, value in (variables | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "PORT": "0"}).items():
            monkeypatch.setenv(name, value)
        with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) as process:
            try:
                exchange.accept()[0].close()  # it handles signals and has begun to connect
                process.send_signal(signal.SIGTERM)
                assert process.communicate(timeout=20)[1] == ""
            finally:
                process.kill()
        assert process.returncode == 0
        told: list[bytes] = []
        while True:
            try:
                told.append(systemd.recv(100))
            except BlockingIOError:
                break
        assert told == ([b"STOPPING=1"] if "STOPPING=1" in program else [])


@pytest.mark.slow
def test_the_program_of_systemd_is_ready_once_its_books_are_synced(
    served_by_the_embedded_exchange: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with subprocess.Popen([sys.executable, "-c", of_the_page_of_systemd()]) as process:
            try:
                assert systemd.recv(100) == b"READY=1"
                process.send_signal(signal.SIGTERM)
                assert systemd.recv(100) == b"STOPPING=1"
                assert process.wait(timeout=30) == 0
            finally:
                process.kill()


@pytest.mark.slow
def test_a_misspelled_symbol_ends_the_program_of_systemd_with_an_error(
    served_by_the_embedded_exchange: None,
) -> None:
    program = of_the_page_of_systemd().replace("BTCUSDT", "NOSUCH")
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert "UnknownSymbol" in ran.stderr.splitlines()[-1]


# --- the book server -----------------------------------------------------------------------


def test_the_pages_name_the_certificate_as_the_server_does(tmp_path: Path) -> None:
    """Its file has a mark in its name, another one for other names."""
    texts = [page.read_text("utf-8") for page in HOW_TO.glob("*.md")]
    shown = {name for text in texts for name in re.findall(r"--cacert (\S+)", text)}
    made = [
        load_tls(ServerConfig(data_dir=tmp_path, tls=True, hosts=hosts))
        for hosts in (("books.example",), ("books.example", "192.0.2.2"))
    ]
    names = [own.certificate_file.name for own in made if own is not None]
    assert len(set(names)) == 2
    assert {re.sub("-[0-9a-f]{8}", "-…", name) for name in names} == shown - {"authority.pem"}, (
        "the second is of a cluster"
    )


def test_the_first_page_leads_to_every_page_about_the_book_server() -> None:
    first = (ROOT / "docs" / "index.md").read_text("utf-8")
    assert [
        page for page in ("serve", "remote", "stream", "page") if f"(how-to/{page}.md)" not in first
    ] == []


# --- health check --------------------------------------------------------------------------


def test_a_service_without_a_book_that_it_needs_is_not_ready() -> None:
    not_ready: Callable[[Any], list[str]] = definitions(python_blocks("health-check.md")[0])["not_ready"]

    def books(needed: Status | None, *others: Status) -> list[SimpleNamespace]:
        named = [("BTCUSDT", needed), *((f"S{number}USDT", each) for number, each in enumerate(others))]
        return [SimpleNamespace(symbol=name, status=each, reason="why") for name, each in named if each]

    synced, nine = Status.SYNCED, [Status.SYNCED] * 9
    assert not_ready(books(synced, *nine)) == []
    for status in (Status.CLOSED, Status.HALTED, Status.STALE):
        assert not_ready(books(status, *nine)) == [f"BTCUSDT: {status}, why"]
    assert not_ready(books(None, *nine)) == ["BTCUSDT: no such book"]
    # Of ten books nine are enough, whatever market that is not needed is halted or gone.
    assert not_ready(books(synced, *nine[1:], Status.STALE)) == []
    assert not_ready(books(synced, *nine[1:], Status.STALE, Status.HALTED, Status.CLOSED)) == []
    assert len(not_ready(books(synced, *nine[2:], Status.STALE, Status.STALE))) == 2


# --- resample with pandas --------------------------------------------------------------------


def resampling() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    collect, pandas, polars = map(definitions, python_blocks("resample-with-pandas.md"))
    return collect, pandas, polars


@pytest.mark.slow
def test_a_gap_begins_at_the_last_proof_and_not_when_silence_is_noticed() -> None:
    row: Callable[[Update], tuple[Any, float | None]] = resampling()[0]["row"]
    pair = Pair(SimulatedExchange({"binance.com": ["BTCUSDT"]}, seed=1), seed=1)
    items: list[Update] = []

    async def collect() -> None:
        async with pair.connect("binance.com", ["BTCUSDT"]) as books:
            async for update in books["BTCUSDT"].updates("best", 1):
                items.append(update)
                if len(items) == 20:
                    pair.silence("BTCUSDT")
                if update.status is not Status.SYNCED:
                    pair.resume("BTCUSDT")
                elif len(items) > 20 and row(items[-2])[1] is None:
                    return

    pair.run(collect())
    lost = next(each for each in items if each.status is not Status.SYNCED)
    rows = [row(each) for each in items]
    at, mid = row(lost)
    assert mid is None
    assert lost.since_at is not None
    assert lost.confirmed_at == at
    assert (lost.since_at - at).total_seconds() > 20
    assert rows[-1][0] >= lost.since_at, "prices come back when the book could be read again"
    assert [price for _, price in rows[:19] if price is None] == []
    # A comparison can prove a book again whose last update is older than the gap.
    old = SimpleNamespace(status=Status.SYNCED, best=items[0].best, mid=1.0, updated_at=1, since_at=5)
    assert row(old) == (5, 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(20))
def test_pandas_and_polars_make_the_same_bars(seed: int) -> None:
    _, pandas, polars = resampling()
    pd, pl = pandas["pd"], polars["pl"]
    dice = random.Random(seed)
    start, at, rows = pd.Timestamp("2026-01-01", tz="UTC"), 0, []
    for _ in range(dice.randint(1, 60)):
        at += dice.choice((0, 1, 130, 500, 1000, 2700))
        rows.append((start + pd.Timedelta(milliseconds=at), dice.choice((None, 1.0, 2.0, 3.0, 4.0))))
    frame = pd.DataFrame(rows, columns=["at", "mid"]).drop_duplicates("at", keep="last")
    mids = pl.DataFrame(frame.itertuples(index=False), schema=polars_schema(pl), orient="row").fill_nan(None)
    bars = pandas["bars"](frame.set_index("at")["mid"].astype(float))
    same = polars["bars"](mids)
    known = bars.dropna()
    assert [*same["at"]] == [*known.index.to_pydatetime()]
    assert same.drop("at").rows() == [*known.itertuples(index=False, name=None)]
    if len(bars):
        assert bars.index[-1] + pd.Timedelta("1s") <= frame["at"].iloc[-1], "the open bar is left out"


def polars_schema(pl: Any) -> dict[str, Any]:
    return {"at": pl.Datetime("us", "UTC"), "mid": pl.Float64}


def test_rows_that_a_loss_overtakes_were_never_proven() -> None:
    text = (HOW_TO / "resample-with-pandas.md").read_text("utf-8")
    assert 'frame["at"][::-1].cummin()' in text
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {"at": pd.to_datetime([1, 5, 9, 3, 12], unit="s"), "mid": [1.0, 2.0, 3.0, None, 4.0]}
    )
    frame["at"] = frame["at"][::-1].cummin()
    frame = frame.drop_duplicates("at", keep="last")
    assert [each.second for each in frame["at"]] == [1, 3, 12]
    assert frame["mid"].isna().tolist() == [False, True, False]


# --- Prometheus ------------------------------------------------------------------------------


def rules() -> dict[str, dict[str, str]]:
    """The alert rules of the page: each name with its expression and `for`."""
    page = (HOW_TO / "prometheus.md").read_text("utf-8")
    [block] = [match["code"] for match in BLOCK.finditer(page) if "- alert:" in match["code"]]
    found = {}
    for text in block.split("- alert: ")[1:]:
        fields = re.findall(r"^        (\w+): (.*(?:\n {10}.*)*)", text, re.MULTILINE)
        found[text.split()[0]] = {name: " ".join(value.removeprefix(">").split()) for name, value in fields}
    return found


def test_there_is_one_set_of_alert_rules_and_each_waits_before_it_fires() -> None:
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    assert [path.name for path in documents if "- alert:" in path.read_text("utf-8")] == ["prometheus.md"]
    assert len(rules()) > 10
    assert [name for name, rule in rules().items() if not re.fullmatch(r"\d+m", rule.get("for", ""))] == []


def test_the_rules_name_metrics_that_exist_and_the_page_explains_each_alert() -> None:
    metrics = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    page = (HOW_TO / "prometheus.md").read_text("utf-8")
    told = page[page.index("| alert | first look |") :]
    for name, rule in rules().items():
        assert f"`{name}`" in told, name
        for metric in re.findall(r"depthcache_\w+", rule["expr"]):
            base = re.sub(r"(?<=_seconds)_(bucket|count)$", "", metric)
            assert f"| `{base}` |" in metrics or base == "depthcache_book_status", metric


def test_a_market_that_stopped_wakes_nobody() -> None:
    pages = {name: rule["expr"] for name, rule in rules().items() if "severity: page" in rule["labels"]}
    of_books = {name: each for name, each in pages.items() if "depthcache_book_synced" in each}
    assert len(of_books) == 2
    excluded = 'unless ignoring (status) depthcache_book_status{status=~"halted|closed"} == 1'
    for name, expression in of_books.items():
        assert expression.count(excluded) == expression.count("depthcache_book_synced"), name


@pytest.mark.slow
def test_a_book_has_as_many_series_as_the_page_says(served_by_the_embedded_exchange: None) -> None:
    with blocking.connect("binance.com", ["BTCUSDT"]) as books:
        books.wait_synced(timeout=30)
        lines = [line for line in books.prometheus().splitlines() if 'symbol="BTCUSDT"' in line]
    series = [line for line in lines if not line.startswith("depthcache_book_status{")]
    buckets = sum("_bucket{" in line for line in series)
    page = (HOW_TO / "prometheus.md").read_text("utf-8")
    assert f"a book has {len(series)} series; {buckets} of them are the buckets" in page
    assert f"{500 * (len(series) - buckets):,} series remain" in page
