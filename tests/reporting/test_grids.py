"""Tables of the page are those that the Markdown was made from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meddiff.artifacts.render import Block, Cell, Column, Grid, to_markdown
from meddiff.errors import DataError
from meddiff.reporting.grids import read_grids
from meddiff.text import one_line

HOSTILE = [
    "<script>alert(1)</script>",
    "a|b",
    r"a\|b",
    "a\\",
    "*a*",
    "**",
    "[x](y)",
    "`a`",
    "胸水",
    "انصباب",
    "$5_a_",
]
WORDS = st.sampled_from(HOSTILE) | st.text(max_size=12)
TEXT = WORDS.map(one_line).filter(bool)
INTERVAL = st.sampled_from(["", "[42.8, 94.5]", "(+1.0 [−2.0, +3.0])", "± 1.2 [0.1, 0.2]"])
NUMBER = st.floats(-999, 999).map(lambda value: f"{value:+.1f}".replace("-", "−"))
CELL = st.builds(Cell, NUMBER, INTERVAL, st.booleans())


@given(TEXT, TEXT, TEXT, st.lists(st.tuples(CELL, CELL), min_size=1, max_size=3))
@settings(max_examples=20)
def test_what_was_written_is_read_back(tmp_path_factory, caption, heading, name, cells) -> None:
    columns = [Column("Model"), Column("A", "chest"), Column("B", "chest")]
    rows = [[Cell(name), *pair] for pair in cells]
    path = tmp_path_factory.mktemp("grids") / "a.md"
    grids = [Grid(caption, "a", columns, [Block(heading, rows)]), Grid("second", "b", columns, [])]
    path.write_text("\n".join(map(to_markdown, grids)), encoding="utf-8")
    first, second = read_grids(path)
    assert (first.caption, first.groups, second.rows) == (caption, [("", 1), ("chest", 2)], 0)
    assert first.titles == ["Model", "A", "B"]
    ((found, found_rows),) = first.blocks
    assert (found, len(found_rows)) == (heading, len(cells))
    for (label, *shown), pair in zip(found_rows, cells, strict=True):
        assert label.value == name
        assert [(c.value, c.detail, c.best) for c in shown] == [(c.value, c.detail, c.best) for c in pair]
        assert [c.number for c in shown] == [float(c.value.replace("−", "-")) for c in pair]


@pytest.mark.parametrize(
    ("value", "number"),
    [("1.2×", 1.2), ("18 (50.0 %)", 18), ("0.030 → 0.1", 0.03), ("–", None), ("Small 1", None)],
)
def test_cells_are_sorted_by_the_number_they_begin_with(
    tmp_path: Path, value: str, number: float | None
) -> None:
    grid = Grid("a", "a", [Column("Model"), Column("B")], [Block("", [[Cell("m"), Cell(value)]])])
    (tmp_path / "a.md").write_text(to_markdown(grid), encoding="utf-8")
    (table,) = read_grids(tmp_path / "a.md")
    assert table.blocks[0][1][0][1].number == number


def test_another_markdown_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Title\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.md: has no table"):
        read_grids(tmp_path / "a.md")


def test_numbers_have_a_minus_and_zero_has_no_sign(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    path.write_text(
        "A.\n\n| M | v |\n| :-- | --: |\n| a-1 | -0.000 [-0.028, 0.1] |\n| b | **-0.04** |\n", "utf-8"
    )
    rows = read_grids(path)[0].blocks[0][1]
    assert [(row[0].value, row[1].value, row[1].detail) for row in rows] == [
        ("a-1", "0.000", "[−0.028, 0.1]"),
        ("b", "−0.04", ""),
    ]
    assert rows[1][1].number == -0.04
