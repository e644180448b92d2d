"""Unmodified programs of the old library run like with `python`, on the embedded exchange."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from depthcache import simulator

pytestmark = pytest.mark.slow

RUNNER = ["-m", "depthcache.compat.ubldc"]


@pytest.fixture(scope="module")
def server() -> Iterator[simulator.Server]:
    with simulator.serve(seed=6) as server:
        yield server


def ran(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


SCRIPTS = {
    "what it sees": (
        '"""Its text."""\nimport sys\n'
        "print(__name__, __file__, __doc__, __package__, sys.argv, sys.path[0])\n"
        "print(sys.path.count(sys.path[0]))\n"
        "print(sys.modules['__main__'].__dict__ is globals(), sorted(n for n in globals() if n[:2] != '__'))"
    ),
    "an exit code": "import sys; print('out'); sys.exit(7)",
    "an exit with words": "import sys; sys.exit('sorry')",
    "an error": (
        "def inner():\n    raise RuntimeError('deep') from KeyError(3)\n\n"
        "def outer():\n    inner()\n\nouter()\n"
    ),
    "an error while another is handled": "try:\n    1 / 0\nexcept ZeroDivisionError:\n    {}['x']\n",
    "a syntax error": "print('no')\nx = (\n",
    "a hook of its own": (
        "import sys, traceback\n"
        "sys.excepthook = lambda kind, error, trace: print(len(traceback.extract_tb(trace)), kind, error)\n"
        "def f():\n    raise ValueError('x')\nf()\n"
    ),
    "something at exit": "import atexit; atexit.register(print, 'bye'); raise SystemExit(3)",
    "an encoding": "# -*- coding: latin-1 -*-\nprint(len('\xe9'))\n",
    "a neighbour": "import neighbour; print(neighbour.VALUE)",
    "a thread that lives on": (
        "import threading, sys\n"
        "def late():\n    threading.main_thread().join(); print('late', sys.modules['__main__'].WORD)\n"
        "threading.Thread(target=late).start()\nWORD = 'here'\n"
    ),
    "something pickled": (
        "import pickle\nclass C: pass\nprint(type(pickle.loads(pickle.dumps(C()))) is C, C.__module__)\n"
    ),
    "a dataclass and hints": (
        "import dataclasses, typing\n@dataclasses.dataclass\nclass P:\n    x: 'int' = 1\n"
        "print(typing.get_type_hints(P), P())\n"
    ),
}


@pytest.mark.parametrize("source", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_a_program_runs_as_python_runs_it(tmp_path: Path, source: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "neighbour.py").write_text("VALUE = 'near'")
    (tmp_path / "folder" / "script.py").write_bytes(
        source.encode("latin-1" if "latin-1" in source else "utf-8")
    )
    arguments = ["folder/script.py", "-x", "a b"]
    plain = ran(*arguments, cwd=tmp_path)
    under = ran(*RUNNER, *arguments, cwd=tmp_path)
    assert (under.returncode, under.stdout, under.stderr) == (plain.returncode, plain.stdout, plain.stderr)


def test_a_missing_program_and_none_at_all(tmp_path: Path) -> None:
    plain, under = ran("no.py", cwd=tmp_path), ran(*RUNNER, "no.py", cwd=tmp_path)
    assert (under.returncode, under.stderr) == (plain.returncode, plain.stderr)
    assert (ran(*RUNNER, cwd=tmp_path).returncode, ran(*RUNNER, "-z", cwd=tmp_path).returncode) == (2, 2)
    helped = ran(*RUNNER, "--help", cwd=tmp_path)
    assert (helped.returncode, helped.stdout.split()[0]) == (0, "usage:")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_a_program_as_it_ends_any(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(f"import os; os.kill(os.getpid(), {int(signal.SIGINT)})\nprint('no')")
    plain, under = ran("script.py", cwd=tmp_path), ran(*RUNNER, "script.py", cwd=tmp_path)
    assert under.returncode == plain.returncode == -signal.SIGINT
    assert under.stderr == plain.stderr


def test_modules_and_folders_run_too(tmp_path: Path) -> None:
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "__main__.py").write_text(
        "import sys, unicorn_binance_local_depth_cache\nprint(__name__, sys.argv[1:])"
    )
    assert ran(*RUNNER, "-m", "tool", "a", cwd=tmp_path).stdout == "__main__ ['a']\n"
    assert ran(*RUNNER, "tool", "a", cwd=tmp_path).stdout == "__main__ ['a']\n"


IMPORTS = """
import unicorn_binance_local_depth_cache
from unicorn_binance_local_depth_cache import BinanceLocalDepthCacheManager, DepthCacheOutOfSync
from unicorn_binance_local_depth_cache import DepthCacheAlreadyStopped, DepthCacheNotFound
from unicorn_binance_local_depth_cache import DepthCacheClusterNotReachableError
from unicorn_binance_local_depth_cache.cluster import Cluster
from unicorn_binance_local_depth_cache.cluster_endpoints import ClusterEndpoints
from unicorn_binance_local_depth_cache.licensing_manager import NoValidatedLucitLicense
from unicorn_binance_local_depth_cache.manager import __version__
import unicorn_binance_local_depth_cache.exceptions as exceptions
import unicorn_binance_local_depth_cache.manager
from unicorn_binance_rest_api import BinanceRestApiManager, BinanceAPIException
from unicorn_binance_rest_api.manager import BinanceRestApiManager as Again
from unicorn_binance_rest_api.exceptions import UnknownExchange
assert exceptions.DepthCacheOutOfSync is DepthCacheOutOfSync
manager = unicorn_binance_local_depth_cache.manager
assert manager.BinanceLocalDepthCacheManager is BinanceLocalDepthCacheManager
assert Again is BinanceRestApiManager
print(__version__)
with BinanceRestApiManager(exchange="binance.com", warn_on_update=False) as ubra:
    print("BTCUSDT" in [row["symbol"] for row in ubra.get_exchange_info()["symbols"]])
"""


WITHOUT_THE_REST_LIBRARY = """
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: (
    None if name == "unicorn_binance_rest_api" else find_spec(name, *more)
)
"""
"""For hosts where it is installed, as those are that test against it."""


def test_every_old_name_can_be_imported(tmp_path: Path, server: simulator.Server) -> None:
    import depthcache

    (tmp_path / "script.py").write_text(IMPORTS)
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_THE_REST_LIBRARY)
    variables = {**server.environment, "PYTHONPATH": str(tmp_path)}
    done = ran(*RUNNER, "script.py", cwd=tmp_path, **variables)
    assert (done.stdout, done.stderr) == (f"{depthcache.__version__}\nTrue\n", "")


def test_the_drop_in_comes_before_an_installed_old_library_a_real_rest_library_stays(tmp_path: Path) -> None:
    for name in ("unicorn_binance_local_depth_cache", "unicorn_binance_rest_api"):
        (tmp_path / f"{name}.py").write_text("REAL = True")
    (tmp_path / "script.py").write_text(
        "import unicorn_binance_local_depth_cache as dc, unicorn_binance_rest_api as rest\n"
        "print(hasattr(dc, 'REAL'), hasattr(rest, 'REAL'))"
    )
    assert ran(*RUNNER, "script.py", cwd=tmp_path).stdout == "False True\n"


def test_processes_of_spawn_find_the_same_names(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import multiprocessing, sys\n"
        "from unicorn_binance_local_depth_cache import DepthCacheOutOfSync\n"
        "def f(x):\n    return x * 2, DepthCacheOutOfSync.__module__, __name__, sys.argv[1:]\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(f, [1, 2]))\n"
    )
    done = ran(*RUNNER, "script.py", "a", cwd=tmp_path)
    module = "depthcache.compat.ubldc.exceptions"
    assert done.stdout == f"{[(2, module, '__mp_main__', ['a']), (4, module, '__mp_main__', ['a'])]}\n"
    assert done.stderr == ""
