"""What fewer classification steps cost, replayed from the stored errors of all steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.cells import difference, estimate
from meddiff.artifacts.layout import in_layout_order, row_title, rows_of, vote_seeds, with_preset
from meddiff.artifacts.render import Block, Cell, Column, Grid
from meddiff.artifacts.settings import ScoredLayout, each_with, layout
from meddiff.errors import ConfigError
from meddiff.evaluate.efficiency import RunErrors, efficiency
from meddiff.evaluate.replay import EXACT, FIRST, METRICS, SEQUENTIAL, SPREAD, WEIGHTED
from meddiff.evaluate.statistics import Resampling
from meddiff.pipeline.experiment import VALIDATION
from meddiff.runs import ScoringRun

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
What fewer classification steps cost, replayed from the stored errors of all steps. The first n steps of
every image; exact stopping, where each image stops when its majority cannot change any more; sequential
stopping, where it stops when another outcome is unlikely. By majority, with independent noise levels in the
order drawn, δ is the largest probability of another decision than by all steps; in spread order and by mean
error it is a setting that promises nothing, and the agreement with all steps says what it costs.
Differences to all steps have paired intervals.
"""
_TITLES = {"accuracy": "Accuracy (%)", "agreement": "Agreement (%)", "aurc": "AURC", "ece": "ECE"}
_KEYS = ["levels", "rule", "setting"]


class Settings(ScoredLayout, Resampling):
    """What the table depends on.

    Attributes:
        steps: numbers of steps of runs without a stopping rule.
        deltas: of the sequential rules.
        weights: whether weights are fitted on validation errors.
        variants: other noise levels that were scored.
    """

    steps: list[int] = Field(min_length=1)
    deltas: list[float] = Field(min_length=1)
    weights: bool = False
    variants: list[str] = Field(default_factory=list)


def plan(experiment: Experiment) -> list[Wanted]:
    """Where there are errors of all steps: only these can be replayed."""
    runs, score = experiment.replayable_runs(), experiment.settings.score
    if not runs:
        return []
    settings = Settings(
        **layout(experiment, runs),
        **experiment.resampling(),
        steps=experiment.settings.evaluate.ablation_steps,
        deltas=experiment.settings.evaluate.efficiency_deltas,
        weights=score.weights,
        variants=score.compare_levels,
    )
    files = {
        "errors": [experiment.errors(run) for run in runs],
        "validation": [experiment.errors(run, VALIDATION) for run in runs if score.weights],
        "variants": [experiment.errors(run, levels) for run in runs for levels in score.compare_levels],
    }
    return [Wanted(settings, files)]


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from errors files: of each run one, one of the validation split for weights, and variants."""
    table = efficiency(_errors(settings, files), settings.steps, settings.deltas, settings)
    table = in_layout_order(table, settings)
    return table, with_preset(grids_of(table, settings), settings)


def _errors(settings: Settings, files: Files) -> Iterator[tuple[ScoringRun, RunErrors]]:
    """Each run with its errors."""
    from meddiff.scoring.error_file import load_errors

    kinds, validation = settings.variants, files["validation"]
    for name, wanted in (("validation", int(settings.weights)), ("variants", len(kinds))):
        if len(files[name]) != wanted * len(settings.runs):
            raise ConfigError(
                f"--input {name}: got {len(files[name])} files for {len(settings.runs)} runs; give {wanted} "
                "a run, as weights and variants in --params say"
            )
    for i, (run, path) in enumerate(each_with(settings.runs, files["errors"], "errors")):
        own = files["variants"][i * len(kinds) : (i + 1) * len(kinds)]
        yield (
            run,
            RunErrors(
                load_errors(path),
                load_errors(validation[i]) if validation else None,
                {kind: load_errors(file) for kind, file in zip(kinds, own, strict=True)},
            ),
        )


def grids_of(table: pd.DataFrame, settings: Settings) -> list[Grid]:
    """One grid a dataset, one block a model and decision.

    Args:
        table: as `meddiff.evaluate.efficiency.efficiency` returns it.
    """
    titles = settings.dataset_titles()
    return [
        _grid(dataset, titles[dataset], part, settings)
        for dataset, part in table.groupby("dataset", sort=False)
    ]


def _grid(dataset: str, title: str, table: pd.DataFrame, settings: Settings) -> Grid:
    blocks = []
    for model, decision in rows_of(table, list(settings.model_titles())):
        part = table[(table["model"] == model) & (table["decision"] == decision)]
        own = table.loc[table["model"] == model, "levels"].iloc[0]
        full = part.loc[(part["rule"] == FIRST) & (part["levels"] == own), "setting"].max()
        groups = part.groupby(_KEYS, sort=False, dropna=False)
        rows = [_line(rows.set_index("metric"), full, own) for _, rows in groups]
        blocks.append(Block(row_title(model, decision, settings), rows))
    level = f"{100 * settings.confidence:g} %"
    runs = ["seeds"] * bool(table["seeds"].max() > 1) + ["vote seeds"] * (vote_seeds(table) > 1)
    seeds = f", mean over {' and '.join(runs)}" * bool(runs)
    caption = (
        f"Fewer classification steps on {title}: test set, {level} confidence intervals{seeds}; in brackets "
        "behind accuracy, AURC and ECE the difference to all steps with its paired interval. Steps: mean "
        "over images; each takes one network pass a class. Agreement: share of images decided as by all "
        f"steps. {_stopping(table)} AURC and ECE (calibration error): lower is better; they use vote shares, "
        "or the softmax of mean errors, and of an image that stopped the shares to be expected of all steps "
        "(smoothed once, by half a vote a class)."
    )
    if table["decision"].isin(WEIGHTED).any():
        caption += " Weights of noise levels are fitted on the validation split."
    columns = [Column("Procedure"), Column("Steps"), Column("fewer by"), *map(Column, _TITLES.values())]
    return Grid(caption, f"efficiency_{dataset}", columns, blocks)


def _stopping(table: pd.DataFrame) -> str:
    """What stops an image, and what its δ promises, for the procedures that are there."""
    said = ["Exact: until the majority cannot change."] if (table["rule"] == EXACT).any() else []
    rows = table[table["rule"].isin([SEQUENTIAL, SPREAD])]
    if rows.empty:
        return " ".join(said)
    said.append("Sequential: until another outcome is unlikely.")
    votes = (rows["decision"] == "majority") & (rows["levels"] == "uniform")
    bounded = votes & (rows["rule"] == SEQUENTIAL)
    if bounded.any():
        said.append(
            "By majority, with steps in the order drawn, an image is decided otherwise than by all steps "
            "with a probability of at most δ."
        )
    where = {
        "with noise levels that are not independent draws": ~(rows["levels"] == "uniform"),
        "in spread order": rows["rule"] == SPREAD,
        "by mean error, for which the rule takes differences of errors to be normal": rows["decision"]
        == "mean",
    }
    if loose := [words for words, here in where.items() if here.any()]:
        said.append(
            f"δ is no bound {' nor '.join(loose)}: there, the column of agreement says what it costs."
        )
    return " ".join(said)


def _line(metrics: pd.DataFrame, full: float, own: str) -> list[Cell]:
    any_metric = metrics.iloc[0]
    of_all = any_metric["rule"] == FIRST and any_metric["setting"] == full and any_metric["levels"] == own
    is_full = of_all and any_metric["decision"] not in WEIGHTED
    steps = any_metric["steps"]
    interval = f"[{any_metric['steps_ci_low']:.1f}, {any_metric['steps_ci_high']:.1f}]"
    cells = [
        Cell(_procedure(any_metric, full, own)),
        Cell(f"{steps:.0f}") if any_metric["rule"] == FIRST else Cell(f"{steps:.1f}", interval),
        Cell(f"{full / steps:.1f}×"),
    ]
    return cells + [_value(metrics.loc[name], name, is_full) for name in METRICS]


def _procedure(row: Any, full: float, own: str) -> str:
    if row["rule"] == EXACT:
        return "exact"
    if row["rule"] == SEQUENTIAL:
        return f"sequential, δ = {row['setting']:g}"
    if row["rule"] == SPREAD:
        return f"sequential, spread order, δ = {row['setting']:g}"
    number = f"{row['setting']:g}"
    levels = "" if row["levels"] == own else f", {row['levels'].replace('_', ' ')}"
    return (f"all {number} steps" if row["setting"] == full else f"first {number}") + levels


def _value(row: Any, metric: str, is_full: bool) -> Cell:
    scale, digits = (100, 1) if metric in ("accuracy", "agreement") else (1, 3)
    cell = estimate(row, scale, digits)
    if is_full or metric == "agreement":
        return cell
    return Cell(cell.value, difference(row, scale, digits))


ARTIFACT = Table("Replaying stopping rules from the errors of all steps", CAPTION, Settings, plan, make)
