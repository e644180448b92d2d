"""Mutation testing: change the native book in every small way, and check that a test notices.

    python3 tools/mutants.py [FILE…]   only these files, such as ladder/chunks.rs market/read.rs

docs/concepts/mutants.md lists the mutants that may survive, each with its count and a reason. Any other
survivor is an error, and so is a listed one that is noticed or gone.

Not here: the tests (`crates/book/tests`), the choice of files (`.cargo/mutants.toml`), and how hundreds of
mutants become one build (`switched`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import switched
from switched import Mutant

ROOT = Path(__file__).parents[1]
LIST = ROOT / "docs" / "concepts" / "mutants.md"
SOURCES = "crates/book/src/"
PACKAGE = "depthcache-book"
TESTS = ["rules", "depthcache_book", "memory", "ladder", "prefetch", "vectors"]
OWN_TOOLS = ROOT / "build" / "cargo-tools"
VERSION = "27.1.0"
KINDS = ("noticed", "hanging", "alive", "broken")
WORDS = {"CaughtMutant": "noticed", "Timeout": "hanging", "MissedMutant": "alive", "Unviable": "broken"}


def main(files: list[str]) -> int:
    """Run, print a table of counts and every difference from the list; 1 if there is one."""
    tool = find_tool()
    mutants = [mutant for mutant in every_mutant(tool) if not files or short(mutant["file"]) in files]
    if not mutants:
        sys.stderr.write(f"no mutants in {', '.join(files)}; name files relative to {SOURCES}\n")
        return 2
    found = judged(tool, mutants)
    say(table(found))
    alive, slow = (
        Counter({(file, what): n for (file, what, end), n in found.items() if end == kind})
        for kind in ("alive", "hanging")
    )
    looked_at = {short(mutant["file"]) for mutant in mutants}
    allowed = Counter({mutant: n for mutant, n in listed().items() if mutant[0] in looked_at or not files})
    for (file, what), count in sorted((alive - allowed).items()):
        say(f"survived, but not listed in docs/concepts/mutants.md: {file}: {what} ({count} more)\n")
    for (file, what), count in sorted((allowed - alive - slow).items()):
        say(f"listed in docs/concepts/mutants.md, but noticed or gone: {file}: {what} ({count} too many)\n")
    return int(bool(alive - allowed or allowed - alive - slow))


def find_tool() -> str:
    """The path of cargo-mutants, which is built into build/cargo-tools if it is missing."""
    path = os.pathsep.join([os.environ.get("PATH", ""), str(OWN_TOOLS / "bin")])
    if found := shutil.which("cargo-mutants", path=path):
        return found
    say(f"cargo-mutants is missing: building {VERSION} into {OWN_TOOLS.relative_to(ROOT)}\n")
    command = ["cargo", "install", "cargo-mutants", "--version", VERSION, "--locked", "--quiet"]
    subprocess.run([*command, "--root", str(OWN_TOOLS)], check=True)
    return str(OWN_TOOLS / "bin" / "cargo-mutants")


def every_mutant(tool: str) -> list[Mutant]:
    """Every change that cargo-mutants would make with its settings."""
    command = [tool, "mutants", "--list", "--json", "--package", PACKAGE]
    mutants: list[Mutant] = json.loads(
        subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    )
    return mutants


def judged(tool: str, mutants: list[Mutant]) -> Counter[tuple[str, str, str]]:
    """The number of mutants by file, change and outcome."""
    sources = {mutant["file"]: (ROOT / mutant["file"]).read_text("utf-8") for mutant in mutants}
    in_one = [mutant for mutant in mutants if switched.can_be_switched(mutant, sources[mutant["file"]])]
    one_by_one = [mutant["name"] for mutant in mutants if mutant not in in_one]
    ends: list[tuple[str, str]] = []
    if in_one:
        say(f"building {len(in_one)} mutants in one build\n")
        built = switched.build(ROOT, ROOT / "build" / "mutants", in_one, TESTS)
        if switched.outcome(built, 0) != "alive":
            raise SystemExit("the tests fail on unchanged code")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            outcomes = pool.map(lambda number: switched.outcome(built, number), built.numbers)
        ends += zip((mutant["name"] for mutant in built.numbers.values()), outcomes, strict=True)
        ends += [(mutant["name"], "broken") for mutant in built.broken]
    if one_by_one:
        say(f"running {len(one_by_one)} mutants outside function bodies, one build each\n")
        ends += slowly(tool, one_by_one)
    found: Counter[tuple[str, str, str]] = Counter()
    for name, end in ends:
        place, _, what = name.partition(": ")
        found[short(place.split(":")[0]), what, end] += 1
    return found


def slowly(tool: str, names: list[str]) -> list[tuple[str, str]]:
    """The outcomes of mutants that cargo-mutants runs itself, with one build each."""
    wanted = [argument for name in names for argument in ("--re", f"^{re.escape(name)}$")]
    results = ROOT / "build" / "mutants.out" / "outcomes.json"
    results.unlink(missing_ok=True)
    subprocess.run([tool, "mutants", "--package", PACKAGE, *wanted], cwd=ROOT, check=False)
    outcomes = json.loads(results.read_text("utf-8"))["outcomes"]
    tried = [outcome for outcome in outcomes if outcome["scenario"] != "Baseline"]
    ends = [(outcome["scenario"]["Mutant"]["name"], WORDS[outcome["summary"]]) for outcome in tried]
    wished = [end for end in ends if end[0] in names]  # cargo-mutants also runs some that match no pattern
    if len(wished) != len(names):
        raise SystemExit(f"cargo-mutants ran {len(wished)} of {len(names)} mutants: see above")
    return wished


def listed() -> Counter[tuple[str, str]]:
    """The mutants that may survive, from the page."""
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| (\d+) \|", LIST.read_text("utf-8"), re.MULTILINE)
    return Counter({(file, what.replace("\\|", "|")): int(count) for file, what, count in rows})


def table(found: Counter[tuple[str, str, str]]) -> str:
    """The counts per file and in total, as in docs/concepts/mutants.md."""
    lines = ["| file | noticed | survived | do not compile |", "|---|---:|---:|---:|"]
    files = sorted({file for file, _, _ in found})
    for name, among in [*((file, {file}) for file in files), ("all", set(files))]:
        noticed, hanging, alive, broken = (
            sum(n for (file, _, end), n in found.items() if file in among and end == kind) for kind in KINDS
        )
        lines.append(f"| {name} | {noticed + hanging} | {alive} | {broken} |")
    return "\n".join(lines) + "\n"


def short(file: str) -> str:
    """The short name of a file, as in docs/concepts/mutants.md."""
    return file.removeprefix(SOURCES)


def say(text: str) -> None:
    """Print and flush, because child processes print as well."""
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
