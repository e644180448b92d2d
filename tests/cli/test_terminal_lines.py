"""Lines measured in cells: a Chinese character takes two."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from depthcache.cli.terminal.lines import cells, fill, fit, flow, text_of, width_of, wrap

words = st.text(alphabet="ab 币安", max_size=60)


@given(words, st.integers(0, 40))
def test_a_fitted_text_takes_exactly_its_cells(text: str, width: int) -> None:
    assert cells(fit(text, width)) == width


@given(st.lists(words, max_size=5), st.integers(0, 60))
def test_a_filled_line_takes_exactly_its_cells(texts: list[str], width: int) -> None:
    assert width_of(fill(tuple((text, "") for text in texts), width)) == width


@given(words, st.integers(2, 40), st.integers(1, 6))
def test_wrapped_lines_fit_and_lose_nothing_but_spaces_unless_they_say_so(
    text: str, width: int, most: int
) -> None:
    lines = wrap(text, width, most=most)
    assert len(lines) <= most
    assert all(cells(line) <= width for line in lines)
    if not any("…" in line for line in lines):
        assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_reason_breaks_at_spaces() -> None:
    assert wrap("the connection broke: refused", 12, most=9) == ["the", "connection", "broke:", "refused"]


def test_parts_flow_onto_as_many_lines_as_they_need_and_are_never_cut() -> None:
    parts = [(("one", ""),), (("币安币安", ""),), (("far too long for this", ""),), (("two", ""),)]
    assert [text_of(line) for line in flow(parts, 14)] == ["one   币安币安", "two"]
