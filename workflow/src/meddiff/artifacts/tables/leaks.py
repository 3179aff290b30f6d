"""What splits share, and metrics of the test images that share nothing with training or validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.cells import estimate
from meddiff.artifacts.layout import in_layout_order, row_title, rows_of, several_seeds, with_preset
from meddiff.artifacts.render import NONE, Block, Cell, Column, Grid
from meddiff.artifacts.settings import DatasetEntry, DecidedLayout, Line, each_with, layout
from meddiff.evaluate.statistics import Resampling
from meddiff.evaluate.summary import ALL, CLEAN, DISCRIMINATION, LEAKING, PART_COLUMNS, with_and_without

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
What the splits of a dataset share: images of equal pixels, images that look alike, patients or lesions. Then
metrics of all test images, of those that share nothing with training or validation, and of the others.
"""
SHARED, EVERY_CLASS = "shared", "all"
COLUMNS = [*PART_COLUMNS, "split", "other_split", "class"]
_KIND_TITLES = {"same_pixels": "equal pixels", "alike": "look-alikes", "anything": "anything of these"}
_SPLIT_TITLES = {"train": "training", "valid": "validation", "test": "test"}
_PART_TITLES = {ALL: "all", CLEAN: "share nothing", LEAKING: "share something"}


class ClassedEntry(DatasetEntry):
    """A dataset as shown, and the names of its classes."""

    classes: list[Line] = Field(min_length=2)


class Settings(DecidedLayout, Resampling):
    """What the table depends on."""

    datasets: list[ClassedEntry] = Field(min_length=1)


def plan(experiment: Experiment) -> list[Wanted]:
    """Every experiment has one."""
    datasets = experiment.config.datasets
    runs = [run for run in experiment.reported_runs() if run.tested_on is None]
    fields = {**layout(experiment, runs), **experiment.resampling()}
    entries = [
        {"name": name, "title": dataset.title, "classes": [entry.name for entry in dataset.classes]}
        for name, dataset in datasets.items()
    ]
    leaks, shared = zip(*map(experiment.leaks, datasets), strict=True)
    files = {"predictions": list(map(experiment.predictions, runs)), "leaks": leaks, "shared": shared}
    return [Wanted(Settings(**fields | {"datasets": entries}), files)]


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from predictions, one file a run, and what `leaks` found, two files a dataset."""
    from meddiff.data.leaks.pairs import read_pairs
    from meddiff.data.leaks.shares import read_shared
    from meddiff.readout.predictions import read_predictions

    runs = each_with(settings.runs, files["predictions"], "predictions")
    leaks = each_with(settings.datasets, files["leaks"], "leaks", "dataset")
    shared = each_with(settings.datasets, files["shared"], "shared", "dataset")
    pairs = {entry.name: read_pairs(path) for entry, path in leaks}
    leaking = {name: set(found.loc[found["split"] == "test", "image_id"]) for name, found in pairs.items()}
    counts = pd.concat([_counted(read_shared(path), entry.name) for entry, path in shared])
    tables = [(run, read_predictions(path)) for run, path in runs if leaking[run.dataset]]
    parts = [counts]
    if tables:
        parts.append(in_layout_order(with_and_without(tables, leaking, settings), settings))
    table = pd.concat(parts, ignore_index=True).reindex(columns=COLUMNS)
    return table, with_preset(grids_of(table, settings), settings)


def _counted(shared: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Shares of the images that have something in common with another split, as rows of the table.

    `part` says what is shared; `value` is the share of the `n` images of which that is known.
    """
    what = shared["column"].where(shared["column"] != "", shared["kind"].map(_KIND_TITLES))
    what += (", " + shared["part"]).where(shared["part"] != EVERY_CLASS, "")
    value = shared["shared"] / shared["known"].where(shared["known"] > 0)
    rows = shared[["split", "other_split", "class"]].assign(part=what, value=value, n=shared["known"])
    return rows.assign(dataset=dataset, model="", decision="", metric=SHARED)


def grids_of(table: pd.DataFrame, settings: Settings) -> list[Grid]:
    """The tables to read: what is shared, and metrics where test images share something.

    Args:
        table: as `make` returns it.
        settings: what is shown.
    """
    counts, metrics = table[table["metric"] == SHARED], table[table["metric"] != SHARED]
    blocks = [
        Block(entry.title, _shared_rows(counts[counts["dataset"] == entry.name], entry))
        for entry in settings.datasets
    ]
    caption = (
        "What splits share: of the images of which it is known (patient or lesion may not be), how many "
        "share something with another split. Equal pixels: the same picture, however saved. Look-alikes: "
        "perceptual hashes that differ in few bits. Published splits are not changed for it."
    )
    columns = [Column(""), Column("Shared with"), Column("Images"), Column("By class")]
    grids = [Grid(caption, "leaks-shared", columns, blocks)]
    return [*grids, _metrics_grid(metrics, settings)] if len(metrics) else grids


def _shared_rows(counts: pd.DataFrame, entry: ClassedEntry) -> list[list[Cell]]:
    """One row a split, what it shares and with which other one; what nothing shares has none.

    Anything is shown of all earlier splits together, each kind of each one.
    """
    rows = []
    earlier = {"valid": "train", "test": "train or valid"}
    for (part, split, other), here in counts.groupby(["part", "split", "other_split"], sort=False):
        by_class = {row[0]: row for row in here[["class", "value", "n"]].itertuples(index=False)}
        together = part == _KIND_TITLES["anything"]
        shown = other == earlier[split] if together else other in _SPLIT_TITLES
        if shown and by_class[EVERY_CLASS].value > 0:
            title = f"{_SPLIT_TITLES[split].capitalize()}: {part}"
            others = " or ".join(_SPLIT_TITLES[name] for name in other.split(" or "))
            each = "; ".join(f"{name}: {_of(by_class[name])}" for name in entry.classes)
            rows.append([Cell(title), Cell(others), Cell(_of(by_class[EVERY_CLASS])), Cell(each)])
    return rows or [[Cell("Nothing is shared"), NONE, NONE, NONE]]


def _of(row: Any) -> str:
    if not row.n:
        return "none known"
    return f"{round(row.value * row.n):,} of {int(row.n):,} ({100 * row.value:.1f} %)"


def _metrics_grid(metrics: pd.DataFrame, settings: Settings) -> Grid:
    """One block a dataset whose test images share something, and two or three rows a model."""
    blocks = []
    for entry in settings.datasets:
        here = metrics[metrics["dataset"] == entry.name]
        cells = {(row.model, row.decision, row.part, row.metric): row for row in here.itertuples()}
        rows = []
        for model, decision in rows_of(here, list(settings.model_titles())):
            for part, title in _PART_TITLES.items():
                shown = [cells.get((model, decision, part, metric)) for metric in DISCRIMINATION]
                if shown[0] is not None:
                    name = Cell(f"{row_title(model, decision, settings)}: {title}")
                    values = [estimate(shown[0], 100), estimate(shown[1], 100), estimate(shown[2], digits=3)]
                    number = Cell(str(shown[0].n), f"({shown[0].n_by_class.replace('/', ' / ')})")
                    rows.append([name, number, *values])
        if rows:
            blocks.append(Block(entry.title, rows))
    caption = (
        "All test images, those that share nothing with training or validation, and those that share "
        "something (equal pixels, looks, patient or lesion), with "
        f"{100 * settings.confidence:g} % confidence intervals. In brackets the images of each class. The "
        "parts differ in more than what they share, so a difference between them is no measure of what the "
        f"leak is worth. –: a class has no image there. {several_seeds(metrics)}"
    ).strip()
    columns = [Column("Model"), Column("Images"), Column("Accuracy (%)"), Column("Balanced acc. (%)")]
    return Grid(caption, "leaks-metrics", [*columns, Column("AUROC")], blocks)


ARTIFACT = Table("Comparing test images with those that share nothing", CAPTION, Settings, plan, make)
