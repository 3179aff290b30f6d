"""The table of localisation: whether evidence maps find the known lesion, beside other maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.cells import estimate, plain, signed
from meddiff.artifacts.layout import with_preset
from meddiff.artifacts.render import NONE, Block, Cell, Column, Grid
from meddiff.artifacts.settings import Confidence, ScoredLayout, each_with, layout
from meddiff.errors import DataError
from meddiff.evaluate.folds.means import over_seeds_and_folds
from meddiff.result_csv import read_csv
from meddiff.runs import ScoringRun

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
How well evidence maps, the difference of the classes' errors in each pixel, find the lesion that a
phantom is known to have, beside Grad-CAM of the best baseline and the places where lesions of training
images lie, on the same test images: those that show a lesion and are decided rightly by mean error.
Everything that is chosen is chosen on the validation split.
"""

METHODS = {"evidence": "evidence map", "grad_cam": "Grad-CAM", "prior": "usual places"}
SHOWN = {
    "pointing": "Pointing game (%)",
    "iou": "IoU",
    "inside": "Inside (%)",
    "average_precision": "Average precision",
}
_PERCENT = ("pointing", "inside")
_GAIN = "_gain"  # ends the names of differences
KEYS = ["dataset", "model", "method", "against", "metric"]
_COLUMNS = ["dataset", "model", "seed", "votes", "method", "against", "metric", "value"]
_COLUMNS += ["ci_low", "ci_high", "n", "detail"]


class Settings(ScoredLayout):
    """What the table depends on; `confidence` is that of the intervals in the metrics files."""

    confidence: Confidence


def plan(experiment: Experiment) -> list[Wanted]:
    """Where there are evidence maps of images with known lesions."""
    runs = experiment.located_runs()
    if not runs:
        return []
    settings = Settings(
        **layout(experiment, runs, list(dict.fromkeys(run.dataset for run in runs)), folds=True),
        confidence=experiment.settings.evaluate.confidence,
    )
    return [Wanted(settings, {"metrics": [experiment.localisation(run, "metrics") for run in runs]})]


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from metrics files of ``localise``, one a run."""
    pairs = each_with(settings.runs, files["metrics"], "metrics")
    metrics = pd.concat([_read(path, run) for run, path in pairs], ignore_index=True)
    table = over_seeds_and_folds(metrics, settings.confidence, settings.folds, KEYS)
    of_sets = [metrics[metrics["dataset"].isin(one.folds)].assign(dataset=one.name) for one in settings.folds]
    details = pd.concat([metrics, *of_sets]).groupby(KEYS, sort=False)["detail"]
    details = details.agg(lambda found: "; ".join(dict.fromkeys(found)))
    table["detail"] = [details[tuple(key)] for key in table[KEYS].itertuples(index=False)]
    grids = [
        _grid(name, title, part, settings)
        for name, title in settings.dataset_titles().items()
        if not (part := table[table["dataset"] == name]).empty
    ]
    return table, with_preset(grids, settings)


def _read(path: Path, run: ScoringRun) -> pd.DataFrame:
    numbers = ["votes", "value", "ci_low", "ci_high", "n"]
    table = read_csv(path, _COLUMNS, "run `localise` again", numbers=numbers)
    expected = run.model_dump(exclude_none=True)
    found = {key: sorted(set(table[key].dropna())) for key in ("dataset", "model", "seed", "votes")}
    if table.empty or found != {key: [expected[key]] if key in expected else [] for key in found}:
        raise DataError(f"{path}: is of {found}, expected {expected}; files go in the order of the runs")
    return table.fillna({"against": "", "detail": ""})


def _grid(dataset: str, title: str, table: pd.DataFrame, settings: Settings) -> Grid:
    blocks = []
    for model, name in settings.model_titles().items():
        part = table[table["model"] == model]
        if not part.empty:
            blocks.append(Block(f"{name}, n = {int(part['n'].iloc[0])}", list(_rows(part))))
    level = f"{100 * settings.confidence:g} %"
    caption = (
        f"Evidence maps against the known lesions of {title}, on the n test images that show one and are "
        f"decided rightly by mean error: means with {level} confidence intervals, and paired differences "
        "below them. Pointing game: the largest value lies in the lesion. IoU: of the lesion and what is "
        "above a threshold, in standard deviations of the map. Inside: share of the positive values in the "
        "lesion. Average precision: of pixels. Usual places: how often a place lies in a lesion of the same "
        "class in training. Smoothing, thresholds, the baseline of Grad-CAM and its layer are chosen on "
        f"validation images. {_said(table)}"
    )
    columns = [Column("Map"), *map(Column, SHOWN.values())]
    return Grid(caption, f"localisation_{dataset}", columns, blocks)


def _rows(part: pd.DataFrame) -> list[list[Cell]]:
    own = part[part["against"] == ""]
    rows = [[Cell(METHODS[method]), *_cells(of, "")] for method, of in own.groupby("method", sort=False)]
    gains = part[part["against"] != ""].groupby("against", sort=False)
    return rows + [
        [Cell(f"{METHODS['evidence']} − {METHODS[other]}"), *_cells(of, _GAIN)] for other, of in gains
    ]


def _cells(rows: pd.DataFrame, suffix: str) -> list[Cell]:
    by_metric: dict[str, Any] = {row.metric: row for row in rows.itertuples()}
    written = signed if suffix else plain
    return [
        estimate(by_metric[metric + suffix], *((100, 0) if metric in _PERCENT else (1, 2)), written)
        if metric + suffix in by_metric
        else NONE
        for metric in SHOWN
    ]


def _said(table: pd.DataFrame) -> str:
    """Which baseline Grad-CAM is of."""
    found = table.loc[table["method"] == "grad_cam", "detail"].drop_duplicates()
    return f"Grad-CAM: {'; '.join(found)}." if len(found) else ""


ARTIFACT = Table("Making the table of localisation", CAPTION, Settings, plan, make)
