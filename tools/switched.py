"""Compile all mutants of a crate into one build; an environment variable selects the active one.

cargo-mutants builds once per mutant, which takes over an hour for hundreds. Here the body of a function
becomes a `match` on a number from the environment (`MUTANT=17`), with one arm per mutant: one build for all,
and one run of the tests each. Mutants that do not compile are found in the compiler's errors and left out.

Not here: which mutants exist (cargo-mutants) and which may survive (`mutants`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Mutant = dict[str, Any]
"""One entry of `cargo mutants --list --json`."""

LONGEST_CPU_S = 60
"""The tests take seconds; a run with this much CPU time hangs, however busy the machine is."""

_SWITCH = """
pub(crate) mod mutant_switch {
    static NUMBER: std::sync::OnceLock<usize> = std::sync::OnceLock::new();

    #[inline(never)]
    pub(crate) fn number() -> usize {
        let named = || std::env::var("MUTANT").map_or(0, |text| text.parse().expect("a number"));
        *NUMBER.get_or_init(named)
    }
}
"""
_BEFORE_SIGNATURE = re.compile(r"(\s*(//[^\n]*|#\[[^\n]*\])\n)*")
_ARM = re.compile(r"(?:(\d+)|_) => \{")
_INLINE = re.compile(r"#\[inline[^\]]*\]")
"""Inlined copies of bodies inside copies of bodies would never finish compiling."""


@dataclass(slots=True)
class Build:
    """One build with all mutants of a crate."""

    tests: list[Path]
    """The test programs, in the order in which they run."""
    numbers: dict[int, Mutant]
    """The mutant behind each number."""
    broken: list[Mutant] = field(default_factory=list)
    """Those that do not compile."""


def can_be_switched(mutant: Mutant, source: str) -> bool:
    """Whether the mutant is in a function body, and copies of the body have the same type."""
    if mutant["function"] is None:
        return False
    start, end = _span(mutant["function"], source)
    return "-> impl" not in source[start : _body(source, start, end)]


def build(root: Path, tree: Path, mutants: list[Mutant], tests: list[str]) -> Build:
    """Copy the crates of `root` to `tree`, insert every mutant and compile.

    `tests`: names of the crate's test programs; the name of the crate stands for its unit tests.
    """
    left = dict(enumerate(mutants, 1))
    broken: list[Mutant] = []
    while True:
        _copy(root, tree)
        lines = _write(root, tree, left)
        programs, errors = _compile(tree, mutants[0]["package"], tests)
        if programs:
            return Build([programs[test] for test in tests], left, broken)
        numbers = {lines[place] for places in errors for place in places if place in lines}
        if not numbers:
            raise SystemExit(f"the tests do not compile, and no mutant is the cause: see {tree}")
        broken += [left.pop(number) for number in sorted(numbers)]


def outcome(built: Build, number: int) -> str:
    """Run one test program after the other: `alive`, `noticed` or `hanging`."""
    environment = {**os.environ, "MUTANT": str(number)}
    limited = ["sh", "-c", f'ulimit -t {LONGEST_CPU_S} && exec "$0" -q']
    for program in built.tests:
        run = subprocess.run([*limited, program], env=environment, capture_output=True, check=False)
        if run.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            return "hanging"
        if run.returncode:
            return "noticed"
    return "alive"


def _copy(root: Path, tree: Path) -> None:
    """Copy with new modification times: cargo takes an older file for an unchanged one."""
    shutil.rmtree(tree / "crates", ignore_errors=True)
    shutil.copytree(root / "crates", tree / "crates", copy_function=shutil.copy)
    for name in ("Cargo.toml", "Cargo.lock"):
        shutil.copy(root / name, tree / name)


def _write(root: Path, tree: Path, mutants: dict[int, Mutant]) -> dict[tuple[str, int], int]:
    """Write the sources with all bodies; return the mutant on each line of each file."""
    files: defaultdict[str, list[int]] = defaultdict(list)
    for number, mutant in mutants.items():
        files[mutant["file"]].append(number)
    lines: dict[tuple[str, int], int] = {}
    for file, numbers in files.items():
        text = _switched((root / file).read_text("utf-8"), {number: mutants[number] for number in numbers})
        (tree / file).write_text(text, "utf-8")
        arm = 0
        for place, line in enumerate(text.split("\n"), 1):
            if begins := _ARM.match(line):
                arm = int(begins[1] or 0)
            if arm:
                lines[file, place] = arm
    library = tree / next(iter(files)).partition("/src/")[0] / "src" / "lib.rs"
    library.write_text(library.read_text("utf-8") + _SWITCH, "utf-8")
    return lines


def _switched(source: str, mutants: dict[int, Mutant]) -> str:
    """The source of a file in which each mutated body is a `match`; each arm starts a line."""
    bodies: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for number, mutant in mutants.items():
        start, end = _span(mutant["function"], source)
        bodies[_body(source, start, end) + 1, end - 1].append(number)
    pieces, done = [], 0
    for (start, end), numbers in sorted(bodies.items()):
        pieces.append(source[done:start] + " match crate::mutant_switch::number() {\n")
        for number in numbers:
            at, until = _span(mutants[number], source)
            changed = source[start:at] + mutants[number]["replacement"] + source[until:end]
            pieces.append(f"{number} => {{{changed}}}\n")
        pieces.append(f"_ => {{{source[start:end]}}}\n}}\n")
        done = end
    return _INLINE.sub("", "".join(pieces) + source[done:])


def _compile(
    tree: Path, package: str, tests: list[str]
) -> tuple[dict[str, Path], list[list[tuple[str, int]]]]:
    """The test programs, or the positions of the compiler errors."""
    own = package.replace("-", "_")
    wanted = [word for test in tests for word in (["--lib"] if test == own else ["--test", test])]
    command = ["cargo", "test", "--profile", "mutants", "-p", package, "--no-run", "--message-format=json"]
    environment = {**os.environ, "CARGO_TARGET_DIR": str(tree / "target")}
    run = subprocess.run(
        [*command, *wanted], cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    messages = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    if run.returncode == 0:
        made = [message for message in messages if message.get("executable")]
        return {message["target"]["name"]: Path(message["executable"]) for message in made}, []
    told = [message["message"] for message in messages if message["reason"] == "compiler-message"]
    errors = [message for message in told if message["level"] == "error"]
    return {}, [[(span["file_name"], span["line_start"]) for span in error["spans"]] for error in errors]


def _span(place: dict[str, Any], source: str) -> tuple[int, int]:
    """The offsets of a span that is given in lines and columns, both counted from 1."""
    starts = [0]
    for line in source.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    span = place["span"]
    start, end = (starts[at["line"] - 1] + at["column"] - 1 for at in (span["start"], span["end"]))
    return start, end


def _body(source: str, start: int, end: int) -> int:
    """The position of the brace that opens the body of the function beginning at `start`."""
    before = _BEFORE_SIGNATURE.match(source, start)
    depth = 0
    for at in range(before.end() if before else start, end):
        depth += (source[at] in "([") - (source[at] in ")]")
        if source[at] == "{" and depth == 0:
            return at
    raise ValueError(f"a function without a body: {source[start:end]}")
