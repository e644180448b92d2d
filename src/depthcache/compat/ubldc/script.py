"""Run a program of the old library like `python` does, but with the old module names meaning this drop-in.

The program runs as `__main__` with its own arguments, folder, exit code and tracebacks. Processes that it
starts with multiprocessing's spawn method see the same names (`aliases`).
"""

from __future__ import annotations

import io
import os
import runpy
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any

from depthcache.compat.ubldc import aliases

__all__ = ["main"]

_VARIABLE = "UBLDC_SCRIPT"
"""Environment variable that names the program for the processes it starts."""
_USAGE = """usage: python -m depthcache.compat.ubldc SCRIPT [ARGUMENTS …]
       python -m depthcache.compat.ubldc -m MODULE [ARGUMENTS …]

Run an unmodified program for unicorn_binance_local_depth_cache on depthcache.
"""


def main(arguments: list[str]) -> None:
    """Run the program that the arguments name, and end the process like `python SCRIPT` does."""
    match arguments:
        case ["-h" | "--help", *_]:
            sys.stdout.write(_USAGE)
        case ["-m", name, *others]:
            aliases.install()
            sys.argv = [name, *others]
            with _missing_libraries_in_one_line():
                runpy.run_module(name, run_name="__main__", alter_sys=True)
        case [script, *_] if not script.startswith("-"):
            aliases.install()
            sys.argv = arguments
            with _missing_libraries_in_one_line():
                _run(script)
        case _:
            sys.stderr.write(_USAGE)
            sys.exit(2)


def _run(script: str) -> None:
    path = Path(script).absolute()
    if path.is_dir() or path.suffix in (".zip", ".pyz", ".pyc"):
        if not sys.flags.safe_path:
            del sys.path[0]  # runpy inserts the folder of the program
        runpy.run_path(script, run_name="__main__")
        return
    try:
        with io.open_code(str(path)) as file:
            source = file.read()
    except OSError as error:
        why = f"[Errno {error.errno}] {error.strerror}"
        sys.stderr.write(f"{sys.executable}: can't open file {str(path)!r}: {why}\n")
        sys.exit(2)
    if not sys.flags.safe_path:
        sys.path[0] = str(path.resolve().parent)
    program = ModuleType("__main__")
    program.__dict__.update(__file__=str(path), __builtins__=__builtins__, __cached__=None)
    program.__loader__ = SourceFileLoader("__main__", str(path))
    # A new interpreter of multiprocessing imports the module of the spec: see below.
    program.__spec__ = ModuleSpec(__name__, None)
    os.environ[_VARIABLE] = str(path)
    sys.modules["__main__"] = program
    try:
        _execute(source, str(path), program.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        if not (isinstance(error, ImportError) and aliases.what_is_missing(error)):
            _show(error)
        raise


@contextmanager
def _missing_libraries_in_one_line() -> Generator[None]:
    """Print one line instead of a traceback if the program needs another library."""
    try:
        yield
    except ImportError as error:
        line = aliases.what_is_missing(error)
        if line is None:
            raise
        sys.stderr.write(f"{line}\n")
        sys.exit(1)


def _execute(source: bytes, path: str, names: dict[str, Any]) -> None:
    exec(compile(source, path, "exec", dont_inherit=True), names)  # noqa: S102 - the user's own program


def _show(error: BaseException) -> None:
    """Print the traceback without the frames of this file, and suppress Python's own."""
    shown = error.__traceback__
    while shown is not None and _is_ours(shown.tb_frame.f_code):
        shown = shown.tb_next
    sys.excepthook(type(error), error.with_traceback(shown), shown)
    sys.excepthook = _say_nothing


def _is_ours(code: CodeType) -> bool:
    return code.co_filename == __file__


def _say_nothing(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    return None


if __name__ == "__mp_main__":
    # In a process started by multiprocessing's spawn method: the names of the program.
    aliases.install()
    __file__ = sys.argv[0] = os.environ[_VARIABLE]
    with _missing_libraries_in_one_line():
        _execute(Path(__file__).read_bytes(), __file__, globals())
