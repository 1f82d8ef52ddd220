from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from data.columns import columns


def test_a_table_stands_in_columns():
    rows = [["step", "state", "seconds"], ["Trainer", "done", "12.3"], ["Pusher", "", "0.1"], ["x", "cached", ""]]
    assert columns(rows).splitlines() == [
        "  step      state  seconds",
        "  Trainer    done     12.3",
        "  Pusher               0.1",
        "  x        cached",
    ]


def test_each_column_may_have_a_side_of_its_own():
    assert columns([["a", "bb", "c"], ["10", "b", "1e3"]], "rl", indent=0) == " a  bb  c\n10  b   1e3"


def test_a_table_without_rows_is_empty():
    assert columns([]) == ""


CELL = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8)


@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), max_size=5)))
def test_every_cell_is_written_as_it_is(rows: list[list[str]]):
    assert columns(rows).split() == [cell for row in rows for cell in row if cell]
