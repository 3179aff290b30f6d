"""The report of a finished run, opened as a reader would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from browser_pages import WIDTHS, Opened, is_cut_off, serious_violations
from playwright.sync_api import Page
from workflow_samples import MODELS, Project

from meddiff.artifacts.settings import decision_title
from meddiff.pipeline.reporting import CAPTION
from meddiff.reporting.page import page as page_of
from meddiff.reporting.parts import parts_after_cases, parts_before_cases
from report_samples import BASELINE, DATASET, DIFFUSION, participants, rows_of_accuracy, sample

pytestmark = pytest.mark.slow

Open = Callable[..., Opened]
HOSTILE = "<script>window.struck = true</script><img src=x onerror=window.struck=true>"
TABLE = "#tables-classification-1"
SHOWN = f"{TABLE} tbody tr:not(.block):not([hidden]) th"


@pytest.fixture(scope="module")
def report(everything: Project) -> Path:
    """The page of a run with everything."""
    return everything.folder / "results/smallest/report/index.html"


def names_in(page: Page) -> list[str]:
    """Names of the rows that are shown, from top to bottom."""
    return page.locator(SHOWN).evaluate_all("cells => cells.map(cell => cell.dataset.text)")


def accuracies(everything: Project) -> dict[str, float]:
    """Name of a row -> accuracy as the table shows it, from the CSV."""
    table = pd.read_csv(everything.folder / "results/smallest/tables/classification.csv")
    rows = table[table["metric"] == "accuracy"]
    return {
        MODELS[row.model]["title"]
        + (f" ({decision_title(row.decision)})" if row.decision != "softmax" else ""): round(row.value, 1)
        for row in rows.itertuples()
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_goes_wrong_and_nothing_is_cut_off(
    report: Path, opened: Open, width: int, scheme: str
) -> None:
    found = opened(report, width=width, scheme=scheme)
    page = found.page
    charts = page.locator("figure.chart")
    assert charts.count() >= 5
    for number in range(charts.count()):
        charts.nth(number).scroll_into_view_if_needed()
        charts.nth(number).locator("svg").wait_for()
        assert not charts.nth(number).locator(".picture").is_visible()
    assert not is_cut_off(page)
    assert serious_violations(page) == {}
    assert found.problems == []


def test_rows_are_sorted_and_filtered_as_the_csv_says(
    report: Path, everything: Project, opened: Open
) -> None:
    page, values = opened(report).page, accuracies(everything)
    first = names_in(page)
    assert set(first) == set(values) and len(first) == 5
    head = page.locator(f"{TABLE} th", has_text="Accuracy")
    button = head.get_by_role("button")
    button.focus()
    for key, sign, state in (("Enter", -1, "descending"), ("Space", 1, "ascending")):
        page.keyboard.press(key)
        assert head.get_attribute("aria-sort") == state
        assert names_in(page) == sorted(first, key=lambda name, sign=sign: sign * values[name])
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "none" and names_in(page) == first
    page.locator(f"{TABLE} input").fill("UNET mean")
    wanted = [name for name in first if "UNet" in name and "mean" in name]
    assert names_in(page) == wanted == ["Small UNet (mean error)"]
    assert page.locator(f"{TABLE} [role=status]").text_content() == f"1 of {len(first)} rows"
    page.keyboard.press("Escape")
    assert names_in(page) == first


def test_links_of_the_contents_bring_to_the_top_of_their_parts(report: Path, opened: Open) -> None:
    page = opened(report).page
    links = page.locator(".contents a")
    assert links.count() >= 8
    for link in reversed(links.all()):  # the first is followed while charts are drawn
        link.click()
        page.locator("figure.chart .live svg").last.wait_for()
        part = link.get_attribute("href")
        page.wait_for_function(
            """part => Math.abs(document.querySelector(part).getBoundingClientRect().top - 16) < 4
                || scrollY + innerHeight >= document.documentElement.scrollHeight - 1""",
            arg=part,
        )
        assert page.locator(".contents a[aria-current]").evaluate_all("all => all.map(a => a.hash)") == [part]


def test_a_chart_shows_values_and_can_be_changed_for_the_figure(report: Path, opened: Open) -> None:
    page = opened(report).page
    figure = page.locator("#figures-step_ablation")
    figure.scroll_into_view_if_needed()
    figure.locator("svg").wait_for()
    box = figure.locator("svg .mark-line path").first.bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + box["height"] / 2)
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert "Accuracy (%)" in tip.text_content() and "Small" in tip.text_content()
    figure.get_by_role("button").click()
    assert figure.locator("img").is_visible() and not figure.locator("svg").is_visible()


def test_without_scripts_there_are_tables_and_pictures(report: Path, opened: Open) -> None:
    found = opened(report, scripts=False, width=390)
    page = found.page
    assert page.locator(f"{TABLE} tbody tr").first.is_visible()
    pictures = page.locator("figure.chart .picture")
    assert pictures.count() >= 5 and all(one.is_visible() for one in pictures.all())
    assert not page.locator(".tools").first.is_visible() and not page.locator(".live").first.is_visible()
    assert not is_cut_off(page)


def test_a_name_with_a_script_in_it_stays_text(tmp_path: Path, opened: Open) -> None:
    unet = rows_of_accuracy(DIFFUSION, "majority", 90.0, 83.3, 94.7)
    resnet = rows_of_accuracy(BASELINE, "softmax", 80.0, 71.7, 86.7)
    tables = {
        "tables/classification": [unet, {**resnet, "family": HOSTILE}],
        "tables/participants": participants([HOSTILE, "انصباب"], [60, 60]),
    }
    titles = dict.fromkeys((DATASET, DIFFUSION, BASELINE, "experiment"), HOSTILE)
    given = sample(tmp_path, tables, classes=[HOSTILE, "انصباب"], titles=titles)
    path = tmp_path / "index.html"
    path.write_text(page_of(given.settings, [*parts_before_cases(given), *parts_after_cases(given)]), "utf-8")
    found = opened(path, width=390)
    assert found.page.evaluate("window.struck") is None
    assert found.page.locator("h1").text_content() == HOSTILE
    assert found.problems == [] and not is_cut_off(found.page)


def test_the_report_of_snakemake_has_the_page_too(everything: Project, tmp_path: Path) -> None:
    """With the category and the caption that its rule says, beside tables and figures."""
    path = tmp_path / "snakemake.html"
    everything.snakemake("--report", str(path))
    text = path.read_text(encoding="utf-8")
    assert '"Report"' in text and "results/smallest/report/index.html" in text
    assert " ".join(CAPTION.split())[:40] in " ".join(text.split())
    assert all(f'"{category}"' in text for category in ("Tables", "Figures"))
