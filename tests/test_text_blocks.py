"""Numbers on pages are those of runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta

from meddiff.cli import main
from meddiff.cli.quote import PAGES
from meddiff.errors import DataError
from meddiff.records.text_blocks import Cell, cells, disagreements, first_table, refreshed, sources

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


def test_values_that_cannot_be_the_same_are_named(page):
    text = refreshed(TEXT, page.parent)
    table = page.parent / "results/run/table.md"
    # 70 + 10 is as far as the interval goes, the difference's goes to 10 * sqrt(2).
    for other in ("78.0 [69.0, 84.0]", "82.0 [69.0, 90.0]", "84.1 [74.1, 94.1]"):
        table.write_text(MADE.replace("70.0 [60.0, 80.0]", other))
        assert disagreements(text, page.parent) == []
    for other in ("84.2 [74.2, 94.2]", "55.8 [45.8, 65.8]", "80.1 [80.0, 80.2]"):  # intervals overlap in all
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


def test_two_values_drawn_alike_agree_as_often_as_the_level_says():
    """And lie in each other's interval less often: that is why they are not asked to."""
    draws = np.random.default_rng(0).binomial(150, 0.8, (2000, 2))
    shares = draws / 150
    low, high = (beta.ppf(q, draws + a, 150 - draws + b) for q, a, b in ((0.025, 0, 1), (0.975, 1, 0)))
    pairs = [
        [Cell("", "", *run) for run in zip(*image, strict=True)]
        for image in zip(shares, low, high, strict=True)
    ]
    agree = np.mean([one.agrees_with(other) for one, other in pairs])
    mutual = np.mean([a.low <= b.value <= a.high and b.low <= a.value <= b.high for a, b in pairs])
    assert 0.94 < agree < 0.98
    assert mutual < 0.90


def test_the_command_writes_and_checks(page, caplog, monkeypatch):
    monkeypatch.chdir(page.parent)
    assert main(["quote", "PAGE.md"]) == 0
    assert "**90.0** [80.0, 95.0]" in page.read_text()
    assert main(["quote", "PAGE.md", "--check"]) == 0
    (page.parent / "results/run/table.md").write_text(
        MADE.replace("90.0** [80.0, 95.0]", "60.0** [50.0, 70.0]")
    )
    assert main(["quote", "PAGE.md", "--check"]) == 1
    assert "A \\| B / Accuracy (%): 90.0 in the text, 60.0 in the run" in caplog.text

    assert main(["quote"]) == 1
    assert "docs/results.md: there is no such file; go where the Snakefile is" in caplog.text


def quoted(root: Path) -> dict[str, str]:
    """Source -> page that quotes it, of all pages that the command knows."""
    return {
        source: str(page) for page in PAGES for source in sources((root / page).read_text(encoding="utf-8"))
    }


def test_benchmarks_on_the_page_are_those_measured(root: Path, tmp_path: Path):
    text = (root / quoted(root)["benchmarks/results/latest.md"]).read_text(encoding="utf-8")
    shutil.copytree(root / "benchmarks/results", tmp_path / "benchmarks/results")
    assert refreshed(text, tmp_path) == text


def test_every_block_is_filled_and_stands_on_a_page_that_the_command_knows(root: Path):
    made = {source.split("/")[1] for source in quoted(root) if source.startswith("results/")}
    assert made == {"demo", "nih_cxr"}
    for page in [root / "README.md", *(root / "docs").glob("*.md")]:
        text = page.read_text(encoding="utf-8")
        assert not sources(text) or page.relative_to(root) in PAGES
        for body in text.split("<!-- from ")[1:]:
            assert "| --: |" in body.split("<!-- end -->")[0] or "|---|" in body.split("<!-- end -->")[0]
