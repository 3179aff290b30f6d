"""The table of participants ("table 1"): images, people and classes of every split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.render import NONE, Block, Cell, Column, Grid
from meddiff.artifacts.settings import DatasetEntry, each_with
from meddiff.config.schema.strict import Strict

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Participants: images of every split, the patients or lesions that they are of, their classes, and age, sex and
view where the dataset has them.
"""
FEW = 10  # test images of a class: of nine, one more or less is 11 %
SPLIT_TITLES = {"train": "Training", "valid": "Validation", "test": "Test", "all": "All"}
_TITLES = {"class": "Class", "sex": "Sex", "view": "View"}


class Settings(Strict):
    """What the table depends on."""

    datasets: list[DatasetEntry] = Field(min_length=1)


def plan(experiment: Experiment) -> list[Wanted]:
    """Every experiment has one."""
    datasets = {name: dataset.title for name, dataset in experiment.config.every_dataset.items()}
    settings = Settings(datasets=[{"name": name, "title": title} for name, title in datasets.items()])
    return [Wanted(settings, {"participants": list(map(experiment.participants, datasets))})]


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from numbers of participants, one file a dataset (`meddiff.data.participants`)."""
    from meddiff.data.participants import read_participants

    tables = [
        read_participants(path).assign(dataset=entry.name)
        for entry, path in each_with(settings.datasets, files["participants"], "participants", "dataset")
    ]
    table = pd.concat(tables, ignore_index=True)
    return table[["dataset", *table.columns.drop("dataset")]], [grid_of(table, settings)]


def grid_of(table: pd.DataFrame, settings: Settings) -> Grid:
    """The table for reading, one block a dataset and one column a split."""
    blocks, aged = [], bool((table["what"] == "age").any())
    for entry in settings.datasets:
        here = table[table["dataset"] == entry.name]
        sizes = here[here["what"] == "images"].set_index("split")["images"]
        rows = []
        for (what, level), part in here.groupby(["what", "level"], sort=False):
            by_split = {row.split: row for row in part.itertuples()}
            if level == "unknown" and not by_split["all"].images:
                continue
            cells = [_cell(by_split[split], int(sizes[split])) for split in SPLIT_TITLES]
            rows.append([Cell(_title(what, level)), *cells])
        blocks.append(Block(entry.title, rows))
    caption = (
        "Participants: numbers of images, with their share of the split. Where it is not known which images "
        "are of one patient or lesion, each counts as its own."
        + " Ages are medians with quartiles, over images." * aged
        + _few(table, settings)
    )
    columns = [Column(""), *map(Column, SPLIT_TITLES.values())]
    return Grid(caption, "participants", columns, blocks)


def _few(table: pd.DataFrame, settings: Settings) -> str:
    """A warning of classes with few test images."""
    titles = {entry.name: entry.title for entry in settings.datasets}
    rows = table[(table["split"] == "test") & (table["what"] == "class") & (table["images"] < FEW)]
    few = [f"{row.level} ({titles[row.dataset]}, {int(row.images)})" for row in rows.itertuples()]
    return (
        f" Classes with fewer than {FEW} test images, which tell little of them: {', '.join(few)}."
        if few
        else ""
    )


def _title(what: str, level: str) -> str:
    if what in ("images", "groups"):
        return "Images" if what == "images" else "Patients or lesions"
    if what == "age":
        return "Age unknown" if level else "Age (years)"
    return f"{_TITLES[what]} {level}" if level == "unknown" else f"{_TITLES[what]}: {level}"


def _cell(row: object, images: int) -> Cell:
    number = int(row.images)
    if row.what in ("images", "groups"):
        return Cell(f"{number:,}")
    if row.what == "age" and not row.level:
        if not number:
            return NONE
        return Cell(f"{row.median:g}", f"[{row.quartile_low:g}, {row.quartile_high:g}]")
    return Cell(f"{number:,}", f"({100 * number / images:.1f} %)" if images else "")


ARTIFACT = Table("Describing participants", CAPTION, Settings, plan, make)
