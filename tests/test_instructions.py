"""The comparison of instruction counts with their references; needs no valgrind."""

from __future__ import annotations

import re

import pytest

from benches import instructions
from benches.instructions import Counts


def counts(**layers: int) -> Counts:
    return Counts("rustc 1 x", layers)


def test_a_layer_that_costs_more_than_the_tolerance_is_named_with_both_figures() -> None:
    found = instructions.worse(counts(scan=1_031, apply=1_000), counts(scan=1_000, apply=1_000))
    assert found == ["scan: 1,031 instructions, 3.1% more than 1,000"]


def test_a_layer_within_the_tolerance_or_cheaper_is_none() -> None:
    assert instructions.worse(counts(scan=1_030, apply=500), counts(scan=1_000, apply=1_000)) == []


def test_a_layer_that_is_not_stored_is_said() -> None:
    assert instructions.worse(counts(new=7), counts()) == ["new: 7, not stored yet"]


def test_the_stored_counts_are_those_of_the_layers_that_the_program_has() -> None:
    program = (instructions.ROOT / "benches" / "native" / "src" / "main.rs").read_text("utf-8")
    listed = re.search(r"const LAYERS: [^=]*= \[(.*?)\];", program, re.DOTALL)
    assert listed is not None
    assert re.findall(r'"(.*?)"', listed[1]) == list(Counts.stored().layers)


def test_with_another_compiler_nothing_is_compared_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(instructions, "toolchain", lambda: "rustc 0.1 other")
    assert instructions.main([]) == 0
    assert "skipped, not compared: counted with rustc" in capsys.readouterr().out


def test_without_valgrind_nothing_is_counted_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(instructions, "toolchain", lambda: Counts.stored().toolchain)
    monkeypatch.setattr(instructions.shutil, "which", lambda name: None if name == "valgrind" else name)
    assert instructions.main([]) == 0
    assert "skipped, valgrind is missing" in capsys.readouterr().out
