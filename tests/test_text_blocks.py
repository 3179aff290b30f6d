"""Numbers in README.md are those of runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from meddiff.cli import main
from meddiff.errors import DataError
from meddiff.records.text_blocks import cells, disagreements, first_table, refreshed, sources

MADE = """# Heading

A caption, of this run.

| Model | Accuracy (%) | Hours |
| :-- | --: | --: |
| *CNN* |  |  |
| A \\| B | **90.0** [80.0, 95.0] | 1.5 |
| C | 70.0 [60.0, 80.0] | 2 |

Further text.

| Another | table |
| :-- | --: |
| x | 1 [0, 2] |
"""
TEXT = """# A page

Before.

<!-- from results/run/table.md -->
nothing yet
<!-- end -->

After, with <!-- a comment -->.
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "results/run").mkdir(parents=True)
    (tmp_path / "results/run/table.md").write_text(MADE)
    (tmp_path / "PAGE.md").write_text(TEXT)
    return tmp_path / "PAGE.md"


def test_a_block_is_written_and_stays(page):
    text = refreshed(TEXT, page.parent)
    assert text == TEXT.replace("nothing yet\n", first_table(MADE))
    assert refreshed(text, page.parent) == text
    assert "A caption" in text and "Further" not in text and "Heading" not in text
    assert disagreements(text, page.parent) == []


def test_values_that_exclude_each_other_are_named(page):
    text = refreshed(TEXT, page.parent)
    table = page.parent / "results/run/table.md"
    within = MADE.replace("70.0 [60.0, 80.0]", "78.0 [69.0, 84.0]")
    table.write_text(within)
    assert disagreements(text, page.parent) == []
    for other in ("82.0 [69.0, 90.0]", "78.0 [71.0, 84.0]"):  # outside of ours; ours is outside
        table.write_text(MADE.replace("70.0 [60.0, 80.0]", other))
        (line,) = disagreements(text, page.parent)
        assert line.startswith("results/run/table.md: C / Accuracy (%): 70.0 in the text, ")
    table.write_text(MADE.replace("| C |", "| D |"))
    assert [line.split(": ")[1:] for line in disagreements(text, page.parent)] == [
        ["C / Accuracy (%)", "only in the text"],
        ["D / Accuracy (%)", "only in the run"],
    ]


def test_what_is_not_here_is_left_alone(page):
    (page.parent / "results/run/table.md").unlink()
    assert refreshed(TEXT, page.parent) == TEXT
    assert disagreements(TEXT, page.parent) == []


def test_cells_have_names_and_numbers():
    (one, other) = cells(first_table(MADE))
    assert (one.row, one.column, one.value, one.low, one.high) == ("A \\| B", "Accuracy (%)", 90, 80, 95)
    assert (other.row, other.value) == ("C", 70)


def test_a_file_without_a_table_is_an_error():
    with pytest.raises(DataError, match="a Markdown file with a table"):
        first_table("# Only\n\ntext\n")


def test_the_command_writes_and_checks(page, caplog):
    assert main(["readme", "--file", str(page)]) == 0
    assert "**90.0** [80.0, 95.0]" in page.read_text()
    assert main(["readme", "--file", str(page), "--check"]) == 0
    (page.parent / "results/run/table.md").write_text(MADE.replace("90.0", "70.0"))
    assert main(["readme", "--file", str(page), "--check"]) == 1
    assert "A \\| B / Accuracy (%): 90.0 in the text, 70.0 in the run" in caplog.text


def test_benchmarks_in_the_readme_are_those_measured(root: Path, tmp_path: Path):
    text = (root / "README.md").read_text(encoding="utf-8")
    assert "benchmarks/results/latest.md" in sources(text)
    shutil.copytree(root / "benchmarks/results", tmp_path / "benchmarks/results")
    assert refreshed(text, tmp_path) == text


def test_every_block_of_the_readme_is_filled(root: Path):
    text = (root / "README.md").read_text(encoding="utf-8")
    assert {source.split("/")[1] for source in sources(text) if source.startswith("results/")} == {
        "demo",
        "nih_cxr",
    }
    for body in text.split("<!-- from ")[1:]:
        assert "| --: |" in body.split("<!-- end -->")[0] or "|---|" in body.split("<!-- end -->")[0]
