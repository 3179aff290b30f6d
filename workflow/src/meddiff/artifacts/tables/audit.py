"""The audit of shortcuts: accuracies by stratum, one grid a dataset, and one grid of the subsets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.cells import estimate, signed
from meddiff.artifacts.layout import row_title, rows_of, vote_seeds, with_preset
from meddiff.artifacts.render import NONE, Block, Cell, Column, Grid
from meddiff.artifacts.settings import DatasetEntry, DecidedLayout, Line, each_with, layout
from meddiff.config.schema.audit import ALL_IMAGES
from meddiff.errors import ConfigError
from meddiff.evaluate.audit import (
    AGAINST,
    FOLLOWS,
    GAP,
    MINIMUM_GROUPS,
    NOT_SHOWN,
    RIGHT,
    RULE,
    UNDEFINED,
    WRONG,
    Stratified,
    audit,
)
from meddiff.evaluate.statistics import Resampling

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Is the label given away by where an image comes from? The rule knows the stratum of an image only, and
answers with the most frequent class of the training split. Accuracy of the rule and of every model by
stratum, and where the rule is right and wrong; then balanced accuracy and AUROC within one stratum, where
the cue is the same for all images.
"""

Rows = dict[tuple[str, str, str, str], Any]


class AuditedDataset(DatasetEntry):
    """A dataset as shown, and what its audit names."""

    cue: Line = Field(description="what tells the strata apart")
    strata: list[str] = Field(description="in the order shown; if empty, as they come in the file")
    subset: str | None
    classes: list[Line] = Field(min_length=2, description="names in order of the class index")


class Settings(DecidedLayout, Resampling):
    """What the table depends on."""

    datasets: list[AuditedDataset] = Field(min_length=1)


def plan(experiment: Experiment) -> list[Wanted]:
    """Where the configuration of a dataset names strata."""
    names, runs = experiment.audited_datasets(), experiment.audited_runs()
    if not names:
        return []
    fields = {**layout(experiment, runs, names), **experiment.resampling()}
    settings = Settings(**fields | {"datasets": [_audited(experiment, name) for name in names]})
    predictions = [experiment.predictions(run) for run in runs]
    strata = [experiment.strata(name) for name in names]
    return [Wanted(settings, {"predictions": predictions, "strata": strata})]


def _audited(experiment: Experiment, name: str) -> AuditedDataset:
    """Names and order of what a dataset's audit has, not how images are assigned."""
    dataset = experiment.config.datasets[name]
    return AuditedDataset(
        name=name,
        title=dataset.title,
        cue=dataset.audit.title,
        strata=[stratum.name for stratum in dataset.audit.strata],
        subset=dataset.audit.subset,
        classes=[entry.name for entry in dataset.classes],
    )


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from predictions, one file a run, and tables of strata, one a dataset."""
    from meddiff.data.strata import read_strata
    from meddiff.readout.predictions import read_predictions

    pairs = each_with(settings.runs, files["predictions"], "predictions")
    strata, number = files["strata"], len(settings.datasets)
    if len(strata) != number:
        raise ConfigError(
            f"--input strata: got {len(strata)} files for {number} datasets; give one a dataset"
        )
    datasets = {
        entry.name: Stratified(read_strata(path), entry.strata, len(entry.classes))
        for entry, path in zip(settings.datasets, strata, strict=True)
    }
    table = audit([(run, read_predictions(path)) for run, path in pairs], datasets, settings)
    answers = {entry.name: _answers(datasets[entry.name], entry) for entry in settings.datasets}
    return table, with_preset(grids_of(table, answers, settings), settings)


def _answers(stratified: Stratified, entry: AuditedDataset) -> dict[str, str]:
    """Stratum -> name of the class that the rule answers with."""
    answers = stratified.shares.idxmax(axis=1)
    return {name: entry.classes[answers[name]] for name in stratified.names if name in answers}


def grids_of(table: pd.DataFrame, answers: dict[str, dict[str, str]], settings: Settings) -> list[Grid]:
    """The tables to read.

    Args:
        table: as `meddiff.evaluate.audit.audit` returns it.
        answers: dataset -> stratum -> name of the class that the rule answers with.
    """
    grids = [
        _accuracies(table[table["dataset"] == entry.name], answers[entry.name], entry, settings)
        for entry in settings.datasets
    ]
    return [*grids, _subsets(table, settings)]


def _accuracies(
    table: pd.DataFrame, answers: dict[str, str], entry: AuditedDataset, settings: Settings
) -> Grid:
    test = table[table["split"] == "test"]
    cells = _cells(test)
    strata = [name for name in dict.fromkeys(test["stratum"]) if name != ALL_IMAGES]
    columns = [
        Column("Model"),
        Column("all images"),
        *(Column(name, f"by {entry.cue}") for name in strata),
        Column("right", "where the rule is"),
        Column("wrong", "where the rule is"),
        Column("Gap"),
        Column("Cue"),
    ]
    shown = [(name, "accuracy") for name in (ALL_IMAGES, *strata)]
    shown += [(ALL_IMAGES, metric) for metric in (RIGHT, WRONG)]
    compared = _compared(cells)
    counts = [
        _count(cells[RULE, "rule", *key], compared if key[1] in (RIGHT, WRONG) else None) for key in shown
    ]
    lines = [[Cell("Images"), *counts, Cell(""), Cell("")]]
    for model, decision in [(RULE, "rule"), *rows_of(test, list(settings.model_titles()))]:
        line = [Cell(_title(model, decision, settings))]
        line += [estimate(cells[model, decision, *key], 100) for key in shown]
        gap = cells[model, decision, ALL_IMAGES, GAP]
        lines.append([*line, estimate(gap, 100, number=signed), Cell(gap.verdict)])
    return Grid(
        _accuracy_caption(table, answers, entry, settings),
        f"audit-{entry.name}",
        columns,
        [Block("", lines)],
    )


def _subsets(table: pd.DataFrame, settings: Settings) -> Grid:
    """Balanced accuracy and AUROC of all images and of the subset, one block a dataset."""
    test = table[table["split"] == "test"]
    some = any(entry.subset is not None for entry in settings.datasets)
    width = 5 if some else 3
    blocks = []
    for entry in settings.datasets:
        here = test[test["dataset"] == entry.name]
        cells = _cells(here)
        groups = _groups(entry)
        rows = []
        for model, decision in [(RULE, "rule"), *rows_of(here, list(settings.model_titles()))]:
            line = [Cell(_title(model, decision, settings))]
            for group in groups:
                line.append(estimate(cells.get((model, decision, group, "balanced_accuracy")), 100))
                line.append(estimate(cells.get((model, decision, group, "auroc")), digits=3))
            rows.append(line + [NONE] * (width - len(line)))
        sizes = [_described(cells.get((RULE, "rule", group, "accuracy")), group, entry) for group in groups]
        blocks.append(Block(f"{entry.title} ({'; '.join(sizes)})", rows))
    columns = [Column("Model")]
    for group in ("all images", "subset")[: 1 + some]:
        columns += [Column("balanced acc. (%)", group), Column("AUROC", group)]
    subset = " and on one stratum alone, in which the cue is the same for all" * some
    caption = (
        f"Audit of shortcuts: balanced accuracy and AUROC on all test images{subset}, with "
        f"{100 * settings.confidence:g} % confidence intervals{_seeds(test)}. – means that "
        f"{'there is no such stratum or that ' * some}a class has no image{' in it' * some}."
    )
    return Grid(caption, "audit-subset", columns, blocks)


def _accuracy_caption(
    table: pd.DataFrame, answers: dict[str, str], entry: AuditedDataset, settings: Settings
) -> str:
    overall = table[(table["model"] == RULE) & (table["stratum"] == ALL_IMAGES)]
    scores = overall[overall["metric"] == "accuracy"].set_index("split")["value"]
    answered = "; ".join(f"{stratum}: {name}" for stratum, name in answers.items())
    return (
        f"Audit of shortcuts on {entry.title}: accuracy (%) on the test split with "
        f"{100 * settings.confidence:g} % confidence intervals{_seeds(table)}. The rule knows the "
        f"{entry.cue} only and answers with the most frequent class of the training split ({answered}); it "
        f"is right on {100 * scores['train']:.1f} % of the training, {100 * scores['valid']:.1f} % of the "
        f"validation and {100 * scores['test']:.1f} % of the test images. Numbers of images are of all "
        f"classes and, in brackets, of {' / '.join(entry.classes)}. Where the rule is right and where it is "
        "wrong, accuracy is taken within each class and averaged over the classes that have at least "
        f"{MINIMUM_GROUPS} patients, lesions or images on both sides: {_listed(table, entry)}. Gap: the one "
        f"minus the other, in percentage points. Last column: {FOLLOWS} where the interval of the gap is "
        f"above 0, {AGAINST} where it is below, {NOT_SHOWN} where it includes 0, {UNDEFINED} without such a "
        "class. Reliance on the cue makes such a gap; so do images that are harder for another reason where "
        "the rule is wrong. –: not defined (too few images), or in brackets a class that is not compared."
    )


def _compared(cells: Rows) -> list[bool]:
    """Of each class, whether its images are compared: only these are counted in the row of the gap."""
    return [count != "0" for count in cells[RULE, "rule", ALL_IMAGES, GAP].n_by_class.split("/")]


def _listed(table: pd.DataFrame, entry: AuditedDataset) -> str:
    """The classes that are compared, in words."""
    compared = _compared(_cells(table[table["split"] == "test"]))
    return (
        ", ".join(name for name, there in zip(entry.classes, compared, strict=True) if there) or "none here"
    )


def _groups(entry: AuditedDataset) -> list[str]:
    """What balanced accuracy and AUROC are shown of."""
    return [ALL_IMAGES, *([entry.subset] if entry.subset is not None else [])]


def _cells(table: pd.DataFrame) -> Rows:
    return {(row.model, row.decision, row.stratum, row.metric): row for row in table.itertuples()}


def _title(model: str, decision: str, settings: Settings) -> str:
    return "Rule" if model == RULE else row_title(model, decision, settings)


def _seeds(table: pd.DataFrame) -> str:
    votes = vote_seeds(table)
    if table["seeds"].max() > 1:
        each = f", of a diffusion model each the mean over {votes} vote seeds" * (votes > 1)
        return (
            f" (mean over seeds{each} ± their standard deviation; intervals for other images and other seeds)"
        )
    if votes > 1:
        return (
            f" (of a diffusion model mean over {votes} vote seeds of one training ± their standard deviation;"
            " intervals for other images and other vote seeds)"
        )
    return ""


def _count(row: Any, compared: list[bool] | None = None) -> Cell:
    """Numbers of images; of classes that are not compared none are counted, though they may have some."""
    if not row.n:
        return NONE
    counts = row.n_by_class.split("/")
    shown = [n if there else "–" for n, there in zip(counts, compared or [True] * len(counts), strict=True)]
    return Cell(str(row.n), f"({' / '.join(shown)})")


def _described(row: Any | None, group: str, entry: AuditedDataset) -> str:
    counts = (
        "no image"
        if row is None
        else ", ".join(
            f"{count} {name}" for count, name in zip(row.n_by_class.split("/"), entry.classes, strict=True)
        )
    )
    return f"{'all' if group == ALL_IMAGES else f'subset {group}'}: {counts}"


ARTIFACT = Table("Auditing shortcuts: accuracy by stratum", CAPTION, Settings, plan, make)
