"""Undocumented names that tests and programs of the old library use.

The expectations come from release 2.14.0, as of 2026-11-30.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from depthcache import InvalidArgument
from depthcache.compat.ubldc import BinanceLocalDepthCacheManager
from depthcache.compat.ubldc.aliases import what_is_missing
from tests.compat.conftest import Makes, until
from tests.support.by_hand import FromThread

RUNNER = [sys.executable, "-m", "depthcache.compat.ubldc"]
ITEMS = {"1.2": 2.0, "1.10": 3.0, "1.3": 1.0, "10": 0.5, "9.5": 0.0}
WHOLE = [[1.1, 3.0], [1.2, 2.0], [1.3, 1.0], [9.5, 0.0], [10.0, 0.5]]


@pytest.mark.parametrize(
    ("items", "options", "expected"),
    [
        (ITEMS, {}, WHOLE),
        (ITEMS, {"reverse": True}, WHOLE[::-1]),
        (ITEMS, {"limit_count": None, "threshold_volume": None}, WHOLE),
        (ITEMS, {"limit_count": 0}, []),
        (ITEMS, {"limit_count": 2}, WHOLE[:2]),
        (ITEMS, {"limit_count": -1}, WHOLE[:-1]),
        (ITEMS, {"limit_count": 100}, WHOLE),
        (ITEMS, {"threshold_volume": 0}, WHOLE[:1]),
        (ITEMS, {"threshold_volume": -5}, WHOLE[:1]),
        (ITEMS, {"threshold_volume": 2.4}, WHOLE[:1]),
        (ITEMS, {"threshold_volume": 5.7}, WHOLE[:2]),
        (ITEMS, {"threshold_volume": 5.69}, WHOLE[:1]),
        (ITEMS, {"threshold_volume": 1e9}, WHOLE),
        (ITEMS, {"threshold_volume": inf}, WHOLE),
        (ITEMS, {"threshold_volume": nan}, WHOLE[:1]),
        (ITEMS, {"limit_count": 1, "threshold_volume": 1e9}, WHOLE[:1]),
        (ITEMS, {"limit_count": 2, "reverse": True, "threshold_volume": 6.0}, [[10.0, 0.5], [9.5, 0.0]]),
        ({}, {"threshold_volume": 1}, []),
        ({"1.2": "2.0", "1.1": "3"}, {}, [[1.1, 3.0], [1.2, 2.0]]),
        ({1.2: 2.0, 1.1: 3}, {}, [[1.1, 3.0], [1.2, 2.0]]),
        ({"1.10": 1.0, "1.1": 2.0}, {}, [[1.1, 1.0], [1.1, 2.0]]),
        ({"1.1": 0.0, "1.2": 5.0, "1.3": 1.0}, {"threshold_volume": 1.0}, [[1.1, 0.0], [1.2, 5.0]]),
    ],
)
def test_select_from_depthcache(items: Any, options: dict[str, Any], expected: list[list[float]]) -> None:
    assert BinanceLocalDepthCacheManager._select_from_depthcache(items, **options) == expected


def test_select_from_depthcache_takes_its_arguments_in_the_old_order() -> None:
    select = BinanceLocalDepthCacheManager._select_from_depthcache
    assert select(ITEMS, 2, True, 6.0) == [[10.0, 0.5], [9.5, 0.0]]
    for items in (None, [["1.2", "3"]]):
        with pytest.raises(InvalidArgument, match="items"):
            select(items)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="float"):
        select({"a": 1.0})


def test_add_depthcache(make: Makes, by_hand: FromThread) -> None:
    manager = make()
    assert manager._add_depthcache() is False
    assert manager._add_depthcache(None, 5) is False
    assert manager.get_list_of_depthcaches() == []
    assert manager._add_depthcache(market="BTCUSDT", refresh_interval=61) is True
    until(lambda: manager.is_depth_cache_synchronized("btcusdt"))
    assert manager.depth_caches["btcusdt"]["refresh_interval"] == 61


def test_the_signal_buffer(make: Makes) -> None:
    ubwa = make().ubwa
    assert ubwa.pop_stream_signal_from_stream_signal_buffer() is False
    assert ubwa.add_to_stream_signal_buffer() is False
    assert ubwa.add_to_stream_signal_buffer("NOTHING", "an id") is False
    assert ubwa.add_to_stream_signal_buffer("CONNECT", "an id") is True
    assert ubwa.add_to_stream_signal_buffer("DISCONNECT", stream_id="an id") is True
    assert ubwa.add_to_stream_signal_buffer(signal_type="FIRST_RECEIVED_DATA", data_record="{}") is True
    assert ubwa.add_to_stream_signal_buffer("STREAM_UNREPAIRABLE", "an id", error_msg=OSError("x")) is True
    found = [ubwa.pop_stream_signal_from_stream_signal_buffer() for _ in range(4)]
    assert all(each.pop("timestamp") > 1.7e9 for each in found)
    assert found == [
        {"type": "CONNECT", "stream_id": "an id"},
        {"type": "DISCONNECT", "stream_id": "an id", "last_received_data_record": None},
        {"type": "FIRST_RECEIVED_DATA", "stream_id": None, "first_received_data_record": "{}"},
        {"type": "STREAM_UNREPAIRABLE", "stream_id": "an id", "error": "x"},
    ]
    for number in range(3_000):
        ubwa.add_to_stream_signal_buffer("CONNECT", str(number))
    assert len(ubwa.stream_signal_buffer) == 1_000, "nobody may come for them"


# --- imports -------------------------------------------------------------------------------------


def ran(source: str, folder: Path, *, module: bool = False) -> subprocess.CompletedProcess[str]:
    (folder / "program.py").write_text(source)
    named = ["-m", "program"] if module else ["program.py"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [*RUNNER, *named],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


LICENCES = """
from lucit_licensing_python.exceptions import NoValidatedLucitLicense
import lucit_licensing_python
from unicorn_binance_local_depth_cache.licensing_manager import NoValidatedLucitLicense as Same
assert Same is NoValidatedLucitLicense
try:
    raise NoValidatedLucitLicense("none")
except NoValidatedLucitLicense as error:
    print(lucit_licensing_python.exceptions.__name__, error)
"""


@pytest.mark.slow
def test_programs_of_2022_find_their_licence_error(tmp_path: Path) -> None:
    done = ran(LICENCES, tmp_path)
    assert (done.stdout, done.stderr) == ("lucit_licensing_python.exceptions none\n", "")


MISSING = {
    "from unicorn_binance_websocket_api.manager import BinanceWebSocketApiManager": (
        "unicorn-binance-websocket-api"
    ),
    "from unicorn_binance_rest_api.enums import SIDE_BUY": "unicorn-binance-rest-api",
    "from unicorn_binance_rest_api import BinanceOrderException": "unicorn-binance-rest-api",
}


@pytest.mark.slow
@pytest.mark.parametrize("line", MISSING)
def test_a_library_beside_the_drop_in_that_is_missing_is_said_in_one_line(tmp_path: Path, line: str) -> None:
    package = line.split()[1].partition(".")[0]
    if is_installed(package):
        pytest.skip(f"{package} is installed")
    source = f"import unicorn_binance_local_depth_cache\ndef f():\n    {line}\nf()\n"
    for module in (False, True) if package == "unicorn_binance_websocket_api" else (False,):
        done = ran(source, tmp_path, module=module)
        assert done.returncode == 1
        [told] = done.stderr.splitlines()
        assert "program.py:3: " in told
        assert f"pip install {MISSING[line]}" in told
        assert f"{package} is not installed" in told
        assert package in told.partition(" is not installed")[0]


@pytest.mark.slow
def test_a_program_may_try_an_import_and_other_imports_fail_as_ever(tmp_path: Path) -> None:
    if is_installed("unicorn_binance_websocket_api"):
        pytest.skip("it is installed")
    tries = "try:\n    import unicorn_binance_websocket_api\nexcept ImportError:\n    print('without')\n"
    done = ran(
        tries + "import importlib.util as u; print(u.find_spec('unicorn_binance_websocket_api'))", tmp_path
    )
    assert (done.stdout, done.stderr) == ("without\nNone\n", "")
    done = ran("import not_there_at_all", tmp_path)
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'not_there_at_all'\n")


def test_errors_of_libraries_that_are_there_are_their_own() -> None:
    assert what_is_missing(ImportError("x", name="json")) is None
    assert what_is_missing(ImportError("x")) is None
