"""The published curves beside ours: step ablation and uncertainty, point by point."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from meddiff.artifacts.layout import (
    VALIDATION_MARK,
    VALIDATION_WORDS,
    row_title,
    rows_of,
    signed,
    with_preset,
)
from meddiff.artifacts.render import Block, Cell, Column, Grid
from meddiff.evaluate.figure_data import OURS, PUBLISHED, PUBLISHED_VALIDATION
from meddiff.evaluate.settings import CurvesSettings
from meddiff.result_csv import read_csv

# Figure -> the column with the position on its horizontal axis.
POSITIONS = {"step_ablation": "steps", "uncertainty": "removed_percent"}
COLUMNS = ["figure", "dataset", "model", "decision", "position", "accuracy_percent", "ci_low_percent"]
COLUMNS += ["ci_high_percent", "published_percent", "published_split", "difference", "difference_ci_low"]
COLUMNS += ["difference_ci_high"]
_SPLITS = {PUBLISHED: "test", PUBLISHED_VALIDATION: "valid"}

_NONE = Cell("–")
_READING_ERROR = "±0.3"
_TITLES = {
    "step_ablation": "Accuracy (%) after the first classification steps, columns by their number",
    "uncertainty": "Accuracy (%) of the images left after the most uncertain ones are removed, columns by "
    "the percentage removed",
}


def compare_curves(figures: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Ours and published at every position that both have.

    Args:
        figures: figure -> its data, as `meddiff.evaluate.figure_data` makes it; the keys are `POSITIONS`.

    Returns:
        Columns `COLUMNS` in the order of the figures' rows; differences are ours minus published in
        percentage points, and their limits those of ours minus published. Published values of the validation
        images have none.
    """
    parts = []
    for figure, position in POSITIONS.items():
        table = figures[figure].rename(columns={position: "position"})
        keys = ["dataset", "model", "decision", "position"]
        ours, published = table[table["source"] == OURS], table[table["source"].isin(_SPLITS)]
        values = published[[*keys, "accuracy_percent"]].rename(
            columns={"accuracy_percent": "published_percent"}
        )
        values["published_split"] = published["source"].map(_SPLITS)
        both = ours.merge(values, on=keys, how="inner", sort=False)
        for source, name in (("accuracy", ""), ("ci_low", "_ci_low"), ("ci_high", "_ci_high")):
            compared = both["published_percent"].where(both["published_split"] == "test")
            both[f"difference{name}"] = both[f"{source}_percent"] - compared
        parts.append(both.assign(figure=figure)[COLUMNS])
    return pd.concat(parts, ignore_index=True)


def curve_grids(table: pd.DataFrame, settings: CurvesSettings) -> list[Grid]:
    """One grid a figure; for each model a row of ours and a row of published values with the difference."""
    grids = [_grid(figure, table[table["figure"] == figure], settings) for figure in POSITIONS]
    return with_preset(grids, settings, beside_published=True)


def read_figure_data(path: Path, figure: str) -> pd.DataFrame:
    """Read the CSV of a figure.

    Raises:
        DataError: if it cannot be read or is of another figure.
    """
    needed = ["dataset", "model", "decision", "source", POSITIONS[figure], "ci_low_percent"]
    return read_csv(path, needed, f"expected the data of the figure {figure}")


def _grid(figure: str, table: pd.DataFrame, settings: CurvesSettings) -> Grid:
    positions = sorted(set(table["position"]))
    cells = {(row.dataset, row.model, row.decision, row.position): row for row in table.itertuples()}
    blocks = []
    for dataset, title in settings.dataset_titles().items():
        here = table[table["dataset"] == dataset]
        rows = []
        for model, decision in rows_of(here, list(settings.model_titles())):
            found = [cells.get((dataset, model, decision, position)) for position in positions]
            rows.append([Cell(row_title(model, decision, settings)), *map(_ours, found)])
            rows.append([Cell("paper (Δ)"), *map(_published, found)])
        blocks += [Block(title, rows)] if rows else []
    caption = (
        f"{_TITLES[figure]}: ours with {100 * settings.confidence:g} % confidence intervals and, below, what "
        f"the paper's figure shows ({_READING_ERROR} from reading it) and ours minus published in percentage "
        "points, with the interval that our own value leaves."
    )
    if (table["published_split"] == "valid").any():
        caption += f" {VALIDATION_WORDS}"
    none = " There is no position that both have."
    columns = [Column("Model"), *(Column(f"{position:g}") for position in positions)]
    return Grid(
        caption + (none if not blocks else ""), f"published-{figure.replace('_', '-')}", columns, blocks
    )


def _ours(row: Any | None) -> Cell:
    if row is None:
        return _NONE
    return Cell(f"{row.accuracy_percent:.1f}", f"[{row.ci_low_percent:.1f}, {row.ci_high_percent:.1f}]")


def _published(row: Any | None) -> Cell:
    if row is None:
        return _NONE
    if row.published_split == "valid":
        return Cell(f"{row.published_percent:.1f}{VALIDATION_MARK}")
    interval = f"[{signed(row.difference_ci_low)}, {signed(row.difference_ci_high)}]"
    return Cell(f"{row.published_percent:.1f}", f"({signed(row.difference)} {interval})")
