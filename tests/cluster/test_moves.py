"""The history of moves is bounded and survives what cannot be read or written."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthcache.cluster import moves
from depthcache.cluster.moves import Move, Moves


def move(number: int) -> Move:
    return Move(number, "a1", "binance.com", "币安人生USDT", "began", source="b2", why="node c3 is dead")


def test_the_newest_moves_are_kept_in_memory_and_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "_MOST", 10)
    path = tmp_path / "moves.jsonl"
    history = Moves(path)
    for number in range(35):
        history.add(move(number))
        assert len(path.read_bytes().splitlines()) <= 20
    assert history.all() == tuple(move(number) for number in range(25, 35))
    assert Moves(path).all() == history.all()


def test_lines_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "moves.jsonl"
    Moves(path).add(move(1))
    with path.open("ab") as file:
        file.write(b'\xff\n{"at_ms": 1}\n[]\n')
    history = Moves(path)
    history.add(move(2))
    assert history.all() == (move(1), move(2)) == Moves(path).all()


def test_what_a_newer_release_adds_to_a_move_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "moves.jsonl"
    Moves(path).add(move(1))
    path.write_bytes(path.read_bytes().replace(b'"at_ms": 1', b'"at_ms": 1, "weight": 5'))
    assert Moves(path).all() == (move(1),)


def test_a_full_disk_costs_the_file_alone(tmp_path: Path) -> None:
    history = Moves(tmp_path / "missing" / "moves.jsonl")
    history.add(move(1))
    assert history.all() == (move(1),)
