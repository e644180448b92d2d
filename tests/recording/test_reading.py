"""Several files become one stream, in the order in which the lines were received."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from depthcache.errors import InvalidArgument
from depthcache.recording import Diff, Frame, Problems, read, verify
from tests.recording import make

NS = 1_700_000_000_000_000_000


def ids(*paths: Path) -> list[int]:
    return list(stream(*paths))


def stream(*paths: Path) -> Iterator[int]:
    for record in read(paths, Problems()):
        assert isinstance(record, Frame)
        assert isinstance(record.about, Diff)
        yield record.about.final_update_id


def at(time: int, number: int) -> bytes:
    return b"%d %s" % (NS + time, make.diff(number, number))


def test_lines_with_times_are_merged_by_time_over_all_files(tmp_path: Path) -> None:
    one = make.write(tmp_path / "one", [at(1, 1), at(4, 4)])
    two = make.write(tmp_path / "two", [at(2, 2), at(3, 3), at(5, 5)], compressed=True)
    assert ids(one, two) == ids(two, one) == [1, 2, 3, 4, 5]


def test_one_path_is_enough(tmp_path: Path) -> None:
    one = make.write(tmp_path / "one", [at(1, 1), at(2, 2)])
    for path in (one, str(one)):
        assert len(list(read(path, Problems()))) == 2
        assert verify(path).rows == verify([path]).rows


def test_units_and_formats_of_times_do_not_matter_for_the_merging(tmp_path: Path) -> None:
    one = make.write(
        tmp_path / "one",
        [b"%d %s" % (NS // 1000, make.diff(1, 1)), b"%d %s" % (NS // 1000 + 2_000_000, make.diff(3, 3))],
    )
    two = make.write(tmp_path / "two", [b"%d.5: %s" % (NS // 10**9, make.diff(2, 2))])
    assert ids(two, one) == [1, 2, 3]


def test_equal_times_keep_the_order_of_the_files(tmp_path: Path) -> None:
    one = make.write(tmp_path / "one", [at(1, 1), at(1, 2)])
    two = make.write(tmp_path / "two", [at(1, 3)])
    assert ids(one, two) == [1, 2, 3]
    assert ids(two, one) == [3, 1, 2]


def test_lines_inside_one_file_are_never_sorted(tmp_path: Path) -> None:
    assert ids(make.write(tmp_path / "one", [at(2, 2), at(1, 1)])) == [2, 1]


def test_files_without_times_come_in_the_order_given(tmp_path: Path) -> None:
    one = make.write(tmp_path / "one", [make.diff(1, 1), make.diff(2, 2)])
    two = make.write(tmp_path / "two", [make.diff(3, 3)])
    assert ids(two, one) == [3, 1, 2]


def test_a_file_without_times_keeps_its_place_between_files_with_times(tmp_path: Path) -> None:
    one = make.write(tmp_path / "one", [at(9, 1)])
    two = make.write(tmp_path / "two", [make.diff(2, 2)])
    three = make.write(tmp_path / "three", [at(1, 3)])
    assert ids(one, two, three) == [1, 2, 3]


def test_reading_is_lazy(tmp_path: Path) -> None:
    path = make.write(tmp_path / "one", make.timed([make.diff(n, n) for n in range(1, 1000)]))
    reading = stream(path)
    assert [next(reading), next(reading)] == [1, 2]
    path.write_bytes(b"")  # nothing of it was read to the end
    reading.close()


def test_no_files_are_refused() -> None:
    with pytest.raises(InvalidArgument):
        read([], Problems())
