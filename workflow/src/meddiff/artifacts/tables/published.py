"""The published curves beside ours: step ablation and uncertainty, point by point."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.cells import VALIDATION_WORDS, published_cell
from meddiff.artifacts.layout import row_title, rows_of, with_preset
from meddiff.artifacts.published import PUBLISHED, PUBLISHED_VALIDATION
from meddiff.artifacts.render import NONE, Block, Cell, Column, Grid
from meddiff.artifacts.settings import Confidence, DecidedLayout, layout
from meddiff.errors import ConfigError
from meddiff.evaluate.curves import OURS
from meddiff.result_csv import read_csv

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
The curves of the step ablation and of the uncertainty figure, point by point: ours with confidence
intervals, what the paper's figures show, and the difference. Values with * are of the validation images and
not compared.
"""
# Figure -> the column with the position on its horizontal axis.
POSITIONS = {"step_ablation": "steps", "uncertainty": "removed_percent"}
COLUMNS = ["figure", "dataset", "model", "decision", "position", "accuracy_percent", "ci_low_percent"]
COLUMNS += ["ci_high_percent", "published_percent", "published_split", "difference", "difference_ci_low"]
COLUMNS += ["difference_ci_high"]
_SPLITS = {PUBLISHED: "test", PUBLISHED_VALIDATION: "valid"}

_READING_ERROR = "±0.3"
_TITLES = {
    "step_ablation": "Accuracy (%) after the first classification steps, columns by their number",
    "uncertainty": "Accuracy (%) of the images left after the most uncertain ones are removed, columns by "
    "the percentage removed",
}


class Settings(DecidedLayout):
    """What the table depends on; `confidence` is that of the intervals in the figures' data."""

    confidence: Confidence


def plan(experiment: Experiment) -> list[Wanted]:
    """Where published values are shown and something is scored."""
    if not (experiment.settings.published and experiment.scored_runs()):
        return []
    runs = experiment.reported_runs()
    settings = Settings(**layout(experiment, runs), confidence=experiment.settings.evaluate.confidence)
    return [Wanted(settings, {"figures": [experiment.figure(name) for name in POSITIONS]})]


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from the data of the figures `POSITIONS`."""
    paths = files["figures"]
    if len(paths) != len(POSITIONS):
        raise ConfigError(f"--input figures: got {len(paths)} files; expected {' and '.join(POSITIONS)}")
    table = compare_curves(
        {name: read_figure_data(path, name) for name, path in zip(POSITIONS, paths, strict=True)}
    )
    return table, grids_of(table, settings)


def compare_curves(figures: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Ours and published at every position that both have.

    Args:
        figures: figure -> its data, as its CSV has it; the keys are `POSITIONS`.

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


def grids_of(table: pd.DataFrame, settings: Settings) -> list[Grid]:
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


def _grid(figure: str, table: pd.DataFrame, settings: Settings) -> Grid:
    positions = sorted(set(table["position"]))
    cells = {(row.dataset, row.model, row.decision, row.position): row for row in table.itertuples()}
    blocks = []
    for dataset, title in settings.dataset_titles().items():
        here = table[table["dataset"] == dataset]
        rows = []
        for model, decision in rows_of(here, list(settings.model_titles())):
            found = [cells.get((dataset, model, decision, position)) for position in positions]
            rows.append([Cell(row_title(model, decision, settings)), *map(_ours, found)])
            rows.append([Cell("paper (Δ)"), *map(_paper, found)])
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
        return NONE
    return Cell(f"{row.accuracy_percent:.1f}", f"[{row.ci_low_percent:.1f}, {row.ci_high_percent:.1f}]")


def _paper(row: Any | None) -> Cell:
    return NONE if row is None else published_cell(row.published_percent, row)


ARTIFACT = Table("Comparing the curves with the published ones", CAPTION, Settings, plan, make)
