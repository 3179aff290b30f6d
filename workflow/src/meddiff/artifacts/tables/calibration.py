"""The table of calibration: probabilities as they come, and as they are after calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.layout import in_layout_order, row_title, rows_of, several_seeds, with_preset
from meddiff.artifacts.render import NONE, Block, Cell, Column, Grid
from meddiff.artifacts.settings import Confidence, DecidedLayout, Line, each_with, layout, prevalences
from meddiff.evaluate.folds.means import over_seeds_and_folds
from meddiff.evaluate.metrics.catalogue import CALIBRATED, METRICS, OF_CALIBRATED
from meddiff.evaluate.summary import read_all_metrics

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Probabilities before and after calibration, which was fitted on the validation split. Slope and intercept are
1 and 0 where probabilities are right; a slope below 1 is of probabilities that are too extreme, an intercept
below 0 of events that are rarer than said.
"""
_PAIR = ["ci_low", "ci_high"]


class Settings(DecidedLayout):
    """What the table depends on; `prevalence` is that of datasets with another mix than in validation."""

    confidence: Confidence
    prevalence: dict[str, dict[Line, float]] = Field(default_factory=dict)


def plan(experiment: Experiment) -> list[Wanted]:
    """Wherever the validation split is scored."""
    runs = experiment.decided_runs()
    if not experiment.settings.score.validation:
        return []
    settings = Settings(
        **layout(experiment, runs, folds=True),
        confidence=experiment.settings.evaluate.confidence,
        prevalence=prevalences(experiment, folds=True),
    )
    return [Wanted(settings, {"metrics": [experiment.metrics(run) for run in runs]})]


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from metrics files, one a run."""
    metrics = read_all_metrics(each_with(settings.runs, files["metrics"], "metrics"))
    table = table_of(metrics, settings)
    return table, with_preset([grid_of(table, settings)], settings)


def table_of(metrics: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Each metric of raw and of calibrated probabilities, side by side, mean over seeds.

    Returns:
        Columns dataset, model, decision, metric, raw, raw_ci_low, raw_ci_high, calibrated, calibrated_ci_low,
        calibrated_ci_high, seeds, votes, n, folds (where there are some); rows in the order of the layout.
    """
    wanted = [*OF_CALIBRATED, *(name + CALIBRATED for name in OF_CALIBRATED)]
    table = over_seeds_and_folds(metrics[metrics["metric"].isin(wanted)], settings.confidence, settings.folds)
    after = table["metric"].str.endswith(CALIBRATED)
    keys = ["dataset", "model", "decision", "metric"]
    raw = table[~after].rename(columns={"value": "raw", **{c: f"raw_{c}" for c in _PAIR}})
    calibrated = table[after].assign(metric=lambda part: part["metric"].str.removesuffix(CALIBRATED))
    calibrated = calibrated.rename(columns={"value": "calibrated", **{c: f"calibrated_{c}" for c in _PAIR}})
    limits = [f"calibrated_{c}" for c in _PAIR]
    both = raw.merge(calibrated[[*keys, "calibrated", *limits]], on=keys, how="left")
    columns = [*keys, "raw", *(f"raw_{c}" for c in _PAIR), "calibrated", *limits, "seeds", "votes", "n"]
    columns += ["folds"] * bool(settings.folds)
    both["metric"] = pd.Categorical(both["metric"], OF_CALIBRATED, ordered=True)
    both = both.sort_values("metric", kind="stable").astype({"metric": str})
    return in_layout_order(both, settings)[columns]


def grid_of(table: pd.DataFrame, settings: Settings) -> Grid:
    """Metrics before and after, one block a dataset; intervals are in the CSV."""
    cells = {(row.dataset, row.model, row.decision, row.metric): row for row in table.itertuples()}
    blocks = []
    for dataset, title in settings.dataset_titles().items():
        here = table[table["dataset"] == dataset]
        rows = [
            [
                Cell(row_title(model, decision, settings)),
                *(_cell(cells.get((dataset, model, decision, name))) for name in OF_CALIBRATED),
            ]
            for model, decision in rows_of(here, list(settings.model_titles()))
        ]
        blocks += [Block(title, rows)] if rows else []
    columns = [Column("Model"), *(Column(METRICS[name].title) for name in OF_CALIBRATED)]
    return Grid(_caption(table, settings), "calibration", columns, blocks)


def _cell(row: object | None) -> Cell:
    if row is None or (pd.isna(row.raw) and pd.isna(row.calibrated)):
        return NONE
    raw, calibrated = ("–" if pd.isna(x) else f"{x:.3f}".replace("-", "−") for x in (row.raw, row.calibrated))
    return Cell(f"{raw} → {calibrated}")


def _caption(table: pd.DataFrame, settings: Settings) -> str:
    parts = [
        "Probabilities on the test set before → after calibration on the validation set: a slope and an "
        "offset of each class for diffusion models, a slope (temperature) for baselines. After it, images "
        "are decided for the most probable class, which knows how frequent classes are. Slope and intercept "
        "are 1 and 0 where probabilities are right; they are of the last of two classes, and of more of the "
        "predicted one. ECE is above 0 for right probabilities, too: few images vary; the smooth one varies "
        "less. Accuracies are fractions, NLL is in nats. – means not defined: no finite slope fits where no "
        "image is misplaced. Intervals are in the CSV."
    ]
    if several := several_seeds(table):
        parts.append(several)
    for dataset, shares in settings.prevalence.items():
        mix = ", ".join(f"{100 * share:g} % {name}" for name, share in shares.items())
        parts.append(
            f"On {settings.dataset_titles()[dataset]} calibrated probabilities are for {mix}. They are "
            "measured on test images in their own mix, where they are wrong by that difference."
        )
    return " ".join(parts)


ARTIFACT = Table("Making the table of calibration", CAPTION, Settings, plan, make)
