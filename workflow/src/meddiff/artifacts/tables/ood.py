"""How well scores tell images that are unlike the training data from test images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.cells import difference, plain
from meddiff.artifacts.layout import several_seeds, with_preset
from meddiff.artifacts.render import NONE, Block, Cell, Column, Grid
from meddiff.artifacts.settings import ScoredLayout, each_with, layout
from meddiff.evaluate.ood import MEAN, TEST, WORST, Scored, benchmark
from meddiff.evaluate.statistics import Resampling
from meddiff.pipeline.experiment import BASELINE_DECISIONS, VALIDATION
from meddiff.pipeline.shifts import Shifts
from meddiff.runs import Run, ScoringRun

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Images unlike the training data: AUROC of telling those of each shift from test images. Of a diffusion
classifier by its error profile, by the mean error, by the rate of change of the error along the noise levels,
and by the entropy of the votes; of a baseline by its largest probability and by the energy of its logits. No
score takes a further pass through the network.
"""
TITLES = {
    "profile": "error profile",
    "mean_error": "mean error",
    "path_change": "path change",
    "vote_entropy": "vote entropy",
    "max_softmax": "max. softmax",
    "energy": "energy",
}


class Settings(ScoredLayout, Resampling):
    """What the table depends on.

    Attributes:
        steps: by how many steps images are scored; None for all.
    """

    steps: int | None


def plan(experiment: Experiment) -> list[Wanted]:
    """Where an experiment has shifts."""
    shifts = Shifts(experiment)
    runs = shifts.runs()
    if not runs:
        return []
    scored = [run for run in runs if run.votes is not None]
    baselines = [run for run in runs if run.votes is None]
    predicted = [Run(**run.model_dump(), decision=BASELINE_DECISIONS[0]) for run in baselines]
    fields = layout(experiment, runs, shifts.datasets())
    settings = Settings(**fields, **experiment.resampling(), steps=experiment.settings.shifts.steps)
    files = {
        "profiles": [experiment.profile(run) for run in scored],
        "errors": [experiment.errors(run) for run in scored],
        "shifted_errors": [shifts.result(run) for run in scored],
        "validation": [experiment.scores(run, VALIDATION) for run in predicted],
        "scores": [experiment.scores(run) for run in predicted],
        "shifted_scores": [shifts.result(run) for run in baselines],
    }
    return [Wanted(settings, files)]


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from errors and profiles of diffusion classifiers, and from predictions of baselines."""
    baselines = [entry.name for entry in settings.models if entry.family != "diffusion"]
    table = benchmark([*_diffusion(settings, files), *_baselines(settings, files)], baselines, settings)
    return table, with_preset(grids_of(table, settings), settings)


def _diffusion(settings: Settings, files: Files) -> Iterator[tuple[ScoringRun, Scored]]:
    from meddiff.readout.from_errors import from_errors
    from meddiff.readout.ood import profile_scores, read_profile, share_beyond
    from meddiff.readout.predictions import uncertainties
    from meddiff.scoring.error_file import load_errors

    runs = [run for run in settings.runs if run.votes is not None]
    names = ("profiles", "errors", "shifted_errors")
    for of_run in zip(*(each_with(runs, files[name], name) for name in names), strict=True):
        profile_path, *error_paths = (path for _, path in of_run)
        profile, limits = read_profile(profile_path)
        both = [load_errors(path) for path in error_paths]
        beyond = share_beyond(profile_scores(profile, both[0]), limits)
        both = [errors.isel(step=slice(settings.steps)) for errors in both]
        tables = [from_errors(errors, "majority") for errors in both]
        scores = [
            {**profile_scores(profile, errors), "vote_entropy": uncertainties(table)["vote_entropy"]}
            for errors, table in zip(both, tables, strict=True)
        ]
        yield of_run[0][0], _scored(tables, scores, beyond)


def _baselines(settings: Settings, files: Files) -> Iterator[tuple[ScoringRun, Scored]]:
    from meddiff.readout.ood import limits, logit_scores, share_beyond
    from meddiff.readout.predictions import read_predictions

    runs = [run for run in settings.runs if run.votes is None]
    names = ("validation", "scores", "shifted_scores")
    for of_run in zip(*(each_with(runs, files[name], name) for name in names), strict=True):
        validation, *tables = (read_predictions(path) for _, path in of_run)
        scores = [logit_scores(table) for table in tables]
        beyond = share_beyond(scores[0], limits(logit_scores(validation)))
        yield of_run[0][0], _scored(tables, scores, beyond)


def _scored(
    tables: list[pd.DataFrame], scores: list[dict[str, np.ndarray]], beyond: dict[str, float]
) -> Scored:
    """Test images and shifted ones together; the shift is what a shifted image's id begins with."""
    from meddiff.readout.predictions import is_correct

    test, shifted = (table["image_id"].to_numpy(str) for table in tables)
    names = [image_id.partition(":")[0] for image_id in shifted.tolist()]
    return Scored(
        np.concatenate([test, shifted]),
        np.concatenate([table["group"].to_numpy(str) for table in tables]),
        np.array([TEST] * len(test) + names),
        {kind: np.concatenate([part[kind] for part in scores]) for kind in scores[0]},
        beyond,
        ~is_correct(tables[0]),
    )


def grids_of(table: pd.DataFrame, settings: Settings) -> list[Grid]:
    """One table for reading a dataset."""
    titles = settings.dataset_titles()
    return [_grid(table[table["dataset"] == name], titles, name, settings) for name in titles]


def _grid(table: pd.DataFrame, titles: dict[str, str], dataset: str, settings: Settings) -> Grid:
    rows = {(row.model, row.score, row.shift): row for row in table.itertuples()}
    shifts = [name for name in dict.fromkeys(table["shift"]) if name not in (TEST, MEAN, WORST)]
    columns = [Column("Score"), *(Column(titles.get(name, name.replace("_", " "))) for name in shifts)]
    columns += [Column("Mean"), Column("Worst"), Column("Difference"), Column("Beyond (%)"), Column("AURC")]
    lines = []
    for model, title in settings.model_titles().items():
        for kind in dict.fromkeys(table.loc[table["model"] == model, "score"]):
            areas = [_number(rows[model, kind, name].auroc) for name in (*shifts, WORST)]
            mean, test = rows[model, kind, MEAN], rows[model, kind, TEST]
            against = NONE if pd.isna(mean.difference) else Cell(difference(mean, digits=2)[1:-1])
            interval = ", ".join(plain(limit, 2) for limit in (mean.ci_low, mean.ci_high))
            average = Cell(plain(mean.auroc, 2), f"[{interval}]")
            line = [Cell(f"{title} ({TITLES[kind]})"), *areas[:-1], average, areas[-1]]
            lines.append([*line, against, _number(100 * test.beyond, 1), _number(test.aurc, 3)])
    return Grid(
        _caption(table, shifts, titles[dataset], settings), f"ood-{dataset}", columns, [Block("", lines)]
    )


def _number(value: float, digits: int = 2) -> Cell:
    return NONE if pd.isna(value) else Cell(f"{value:.{digits}f}")


def _caption(table: pd.DataFrame, shifts: list[str], title: str, settings: Settings) -> str:
    shown = table[table["shift"].isin(shifts)]
    test = int(table.loc[table["shift"] == TEST, "images"].max())
    steps = "" if settings.steps is None else f", by {settings.steps} classification steps"
    number = "–".join(str(n) for n in sorted({shown["images"].min(), shown["images"].max()}))
    words = [
        f"Images unlike the training data of {title}: AUROC of telling those of each shift ({number} images) "
        f"from {test} test images{steps}, their mean with its {100 * settings.confidence:g} % confidence "
        "interval, and the worst. Difference: of the mean to the baseline's score with the highest mean, "
        "paired. Beyond: share of test images above the score that one in twenty validation images has. "
        "AURC: area under the risk-coverage curve of test images that are referred by the score; lower is "
        "better.",
        several_seeds(table),
    ]
    return " ".join(word for word in words if word)


ARTIFACT = Table("Telling images unlike the training data", CAPTION, Settings, plan, make)
