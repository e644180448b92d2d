"""Count the instructions of each layer of the native book, and compare them with the stored counts.

    python3 -m benches.instructions [--store]

Valgrind counts, so the figures are the same on any machine under any load. They depend on the compiler: the
stored counts name theirs, and with another compiler nothing is compared. Needs valgrind, cargo and Python's
standard library.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
STORED = ROOT / "benches" / "native" / "instructions.json"
TOLERANCE = 0.03
_PROGRAM = "depthcache-instructions"


class Unable(Exception):
    """Counting or comparing is not possible here; the message says why."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Instructions per operation of each layer, with the compiler that built it."""

    toolchain: str
    layers: Mapping[str, int]

    @classmethod
    def stored(cls) -> Counts:
        """The counts stored in the repository."""
        found = json.loads(STORED.read_text("utf-8"))
        return cls(found["toolchain"], found["layers"])

    def store(self) -> None:
        """Store these counts in the repository."""
        text = json.dumps({"toolchain": self.toolchain, "layers": dict(self.layers)}, indent=2)
        STORED.write_text(text + "\n", "utf-8")


def toolchain() -> str:
    """What makes the counts comparable: compiler and processor family."""
    lines = _output("rustc", "-vV").splitlines()
    facts = dict(line.split(": ", 1) for line in lines if ": " in line)
    return f"rustc {facts['release']} {facts['host']}"


def count() -> Counts:
    """Build, and count every layer; raises `Unable` where valgrind or Rust is missing."""
    for needed in ("cargo", "valgrind"):
        if shutil.which(needed) is None:
            raise Unable(f"{needed} is missing, so no instructions are counted")
    native = ROOT / "benches" / "native"
    target = ROOT / "target" / "instructions"
    subprocess.run(
        ["cargo", "build", "--release", "--locked", "--quiet"],
        cwd=native,
        env=os.environ | {"CARGO_TARGET_DIR": str(target)},
        check=True,
    )
    program = str(target / "release" / _PROGRAM)
    layers = _output(program).splitlines()
    return Counts(toolchain(), {layer: _count(program, layer) for layer in layers})


def worse(counted: Counts, stored: Counts) -> list[str]:
    """A sentence for each layer that exceeds the tolerance or has no stored count."""
    sentences = []
    for layer, now in counted.layers.items():
        before = stored.layers.get(layer)
        if before is None:
            sentences.append(f"{layer}: {now:,}, not stored yet")
        elif now > before * (1 + TOLERANCE):
            sentences.append(f"{layer}: {now:,} instructions, {now / before - 1:.1%} more than {before:,}")
    return sentences


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts beside the stored ones; 1 when a layer became more expensive."""
    parser = argparse.ArgumentParser(prog="python3 -m benches.instructions")
    parser.add_argument("--store", action="store_true", help="store these counts")
    options = parser.parse_args(arguments)
    stored = Counts.stored() if STORED.exists() else Counts("", {})
    try:
        if stored.toolchain not in {"", toolchain()} and not options.store:
            raise Unable(f"not compared: counted with {toolchain()}, stored with {stored.toolchain}")
        counted = count()
    except (Unable, FileNotFoundError) as why:
        print(f"instructions: skipped, {why}")
        return 0
    print(f"instructions per operation, {counted.toolchain}")
    for layer, now in counted.layers.items():
        before = stored.layers.get(layer)
        print(f"  {layer:22} {now:>9,}" + (f"   {now / before - 1:+.1%}" if before else ""))
    if options.store:
        counted.store()
        return 0
    faults = worse(counted, stored)
    print("\n".join(faults) or f"no layer is more than {TOLERANCE:.0%} above its stored count")
    return 1 if faults else 0


def _count(program: str, layer: str) -> int:
    """Instructions per operation of one layer."""
    done = subprocess.run(
        [
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=*::measured",
            program,
            layer,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None or int(found[1]) == 0:
        raise Unable(f"valgrind counted nothing of {layer!r}: {done.stderr[-300:]}")
    return round(int(found[1]) / int(done.stdout))


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
