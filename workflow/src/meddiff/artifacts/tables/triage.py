"""The table of triage: who is decided without a person, and what is kept of what was promised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.cells import estimate
from meddiff.artifacts.layout import in_layout_order, row_title, rows_of, several_seeds, with_preset
from meddiff.artifacts.render import Block, Cell, Column, Grid
from meddiff.artifacts.settings import DecidedLayout, Line, class_names, each_with, layout, prevalences
from meddiff.config.schema.deciding import TriageConfig
from meddiff.evaluate.acting.triage import (
    COVERAGE,
    NEGATIVE,
    NPV,
    OF_CLASS,
    POSITIVE,
    PPV,
    REFERRED,
    RIGHT,
    SET_SIZE,
    in_words,
    measured,
)
from meddiff.evaluate.folds.means import over_seeds_and_folds
from meddiff.evaluate.over_seeds import RESULT_KEYS
from meddiff.evaluate.statistics import Resampling
from meddiff.readout.calibration_file import read_calibration
from meddiff.readout.predictions import read_predictions
from meddiff.readout.triage import fewest
from meddiff.runs import is_pair

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Triage: test images that are decided without a person, and those that are referred to one. Thresholds are
learned on the validation split so that what is promised holds with the stated confidence over draws of it;
where it has too few images for that, all are referred.
"""
_OF_TWO = {
    REFERRED: "Referred (%)",
    POSITIVE: "Sure positive (%)",
    PPV: "PPV (%)",
    NEGATIVE: "Sure negative (%)",
    NPV: "NPV (%)",
}
_OF_MORE = {REFERRED: "Referred (%)", RIGHT: "Sure and right (%)", SET_SIZE: "Classes a set"}
_OF_MORE |= {COVERAGE: "Coverage (%)", OF_CLASS: "Lowest of a class (%)"}


class Settings(DecidedLayout, Resampling):
    """What the table depends on."""

    promised: TriageConfig
    classes: dict[str, list[Line]]
    prevalence: dict[str, dict[Line, float]] = Field(default_factory=dict)


def plan(experiment: Experiment) -> list[Wanted]:
    """Wherever the validation split is scored."""
    if not experiment.settings.score.validation:
        return []
    runs = experiment.decided_runs()
    settings = Settings(
        **layout(experiment, runs, folds=True),
        **experiment.resampling(),
        promised=experiment.settings.evaluate.triage,
        classes=class_names(experiment, folds=True),
        prevalence=prevalences(experiment, folds=True),
    )
    files = {
        "predictions": [experiment.predictions(run) for run in runs],
        "calibrations": [experiment.calibration(run) for run in runs],
    }
    return [Wanted(settings, files)]


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from predictions and calibrations, one of either a run."""
    pairs = each_with(settings.runs, files["predictions"], "predictions")
    calibrations = each_with(settings.runs, files["calibrations"], "calibrations")
    parts = [measured(run, read_predictions(path), settings) for run, path in pairs]
    table = over_seeds_and_folds(pd.concat(parts), settings.confidence, settings.folds)
    numbers = [
        {**run.model_dump(include={*RESULT_KEYS}), "validation": len(read_calibration(path).margins.labels)}
        for run, path in calibrations
    ]
    keys = ["dataset", "model", "decision"]
    validation = pd.DataFrame(numbers)
    for one in settings.folds:
        of_folds = validation[validation["dataset"].isin(one.folds)]
        validation = pd.concat([validation, of_folds.assign(dataset=one.name)])
    least = validation.groupby(keys, as_index=False)["validation"].min()
    table = in_layout_order(table.merge(least, on=keys), settings)
    grids = [
        _grid(table[table["dataset"].isin(names)], settings, names, shown)
        for shown, names in (
            (_OF_TWO, [name for name, of in settings.classes.items() if len(of) == 2]),
            (_OF_MORE, [name for name, of in settings.classes.items() if len(of) > 2]),
        )
        if table["dataset"].isin(names).any()
    ]
    return table, with_preset(grids, settings)


def _grid(table: pd.DataFrame, settings: Settings, names: list[str], shown: dict[str, str]) -> Grid:
    cells = {(row.dataset, row.model, row.decision, row.metric): row for row in table.itertuples()}
    blocks = []
    for dataset in names:
        here = table[table["dataset"] == dataset]
        rows = []
        for model, decision in rows_of(here, list(settings.model_titles())):
            line = [Cell(row_title(model, decision, settings))]
            for name in shown:
                row = cells.get((dataset, model, decision, name))
                if name == OF_CLASS:
                    row = _lowest(here[(here["model"] == model) & (here["decision"] == decision)])
                scale, digits = (1, 2) if name == SET_SIZE else (100, 1)
                line.append(estimate(row, scale, digits))
            rows.append(line)
        title = f"{settings.dataset_titles()[dataset]} ({here['validation'].min()} validation groups)"
        blocks += [Block(title, rows)] if rows else []
    label = "triage" if shown is _OF_TWO else "triage-sets"
    return Grid(
        _caption(table, settings, names), label, [Column("Model"), *map(Column, shown.values())], blocks
    )


def _lowest(table: pd.DataFrame) -> object | None:
    """The row of the class with the lowest coverage."""
    of_classes = table[table["metric"].str.startswith(OF_CLASS)].sort_values("value", kind="stable")
    return next(of_classes.itertuples(), None)


def _caption(table: pd.DataFrame, settings: Settings, names: list[str]) -> str:
    promised, level = settings.promised, f"{100 * settings.confidence:g} %"
    two = len(settings.classes[names[0]]) == 2
    words = in_words(promised.model_dump(), [len(settings.classes[name]) for name in names])
    parts = [
        "Triage of the test images: which are decided, and which are referred to a person. Thresholds are "
        "learned on the validation split, from one image of each group (patient). Promised are "
        f"{words}, over draws of the validation split, for one image of a new group. What was found in the "
        f"test images, with {level} intervals, may be less by chance."
    ]
    if two:
        which = ", ".join(f"{settings.classes[n][1]} ({settings.dataset_titles()[n]})" for n in names)
        number = min(fewest(p, promised.confidence) for p in (promised.ppv, promised.npv))
        parts.append(
            f"Positive is {which}. Such a promise takes at least {number} validation groups that are decided "
            "for the class, all of them rightly, and more where some are not: where there are too few, or "
            "too many errors among the surest, nobody is decided for the class, and – is shown. An image is "
            "decided only for the class that is more probable by its calibrated probability."
        )
    else:
        parts.append(
            "An image whose set has one class is decided for it. A class with too few validation images is "
            "in all sets."
        )
    for dataset in names:
        if (shares := settings.prevalence.get(dataset)) and two:
            mix = ", ".join(f"{100 * share:g} % {name}" for name, share in shares.items())
            parts.append(
                f"On {settings.dataset_titles()[dataset]} it is promised for {mix}; PPV and NPV found are "
                "those of test images in their own mix."
            )
    if any(map(is_pair, names)):
        parts.append("For A → B nothing is promised: images of B are not like those of the validation split.")
    if several := several_seeds(table):
        parts.append(several)
    return " ".join(parts)


ARTIFACT = Table("Making the table of triage", CAPTION, Settings, plan, make)
