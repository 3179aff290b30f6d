"""The flow of participants: images found, left out and why, and used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.render import Block, Cell, Column, Grid
from meddiff.artifacts.settings import DatasetEntry, Line, each_with
from meddiff.config.schema.strict import Strict
from meddiff.runs import pair

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Flow of participants: how many images every dataset's list has, how many are left out and why, and how many
are used for training, validation and test.
"""
FOUND, LEFT_OUT, CHECKED, MOVED, TEST_SPLIT = "found", "left out", "checked", "moved", "test split"
COLUMNS = ["dataset", "step", "reason", "images"]
_SPLITS = {"train": "training", "valid": "validation", "test": "test"}
_TITLES = {
    FOUND: "Images in the dataset's list",
    CHECKED: "Opened and checked",
    "train": "Used for training",
    "valid": "Used for validation",
    "test": "Used for test",
    TEST_SPLIT: "Images of its test split",
}


class TestedEntry(DatasetEntry):
    """A dataset that models of another one are tested on.

    Attributes:
        tested_on: its name.
        classes: those of its classes that the models have.
    """

    tested_on: str
    classes: list[Line]


class Settings(Strict):
    """What the table depends on."""

    datasets: list[DatasetEntry] = Field(min_length=1)
    elsewhere: list[TestedEntry] = Field(default_factory=list, exclude_if=lambda entries: not entries)


def plan(experiment: Experiment) -> list[Wanted]:
    """Every experiment has one."""
    datasets = {name: dataset.title for name, dataset in experiment.config.every_dataset.items()}
    settings = Settings(
        datasets=[{"name": name, "title": title} for name, title in datasets.items()],
        elsewhere=[
            {
                "name": pair(trained_on, tested_on),
                "title": f"{datasets[trained_on]} → {datasets[tested_on]}",
                "tested_on": tested_on,
                "classes": list(classes),
            }
            for trained_on, others in experiment.settings.test_on.items()
            for tested_on, classes in others.items()
        ],
    )
    files = {
        "flow": [experiment.on_disk(name, "flow.json") for name in datasets],
        "origin": [f"splits/{name}/origin.json" for name in datasets],
        "participants": list(map(experiment.participants, datasets)),
    }
    return [Wanted(settings, files)]


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from what `validate`, `split` and `describe` wrote, one file each a dataset."""
    from meddiff.data.flow import read_flow, read_origin
    from meddiff.data.participants import read_participants

    named = {
        name: each_with(settings.datasets, files[name], name, "dataset")
        for name in ("flow", "origin", "participants")
    }
    rows: list[list] = []
    ungrouped = []
    tables: dict[str, pd.DataFrame] = {}
    for (entry, flow), (_, origin), (_, participants) in zip(*named.values(), strict=True):
        listed, split_up = read_flow(flow), read_origin(origin)
        ungrouped += [entry.title] * (not split_up.groups)
        rows.append([entry.name, FOUND, "", listed.found])
        rows += [[entry.name, LEFT_OUT, reason, number] for reason, number in listed.left_out.items()]
        rows.append([entry.name, CHECKED, "", listed.used])
        drawn = split_up.balanced
        unused = split_up.left_out - sum(drawn.values())
        rows += [[entry.name, LEFT_OUT, "in no split", unused]] * bool(unused)
        rows += [
            [entry.name, LEFT_OUT, f"by lot, for classes of equal size in {_SPLITS[split]}", number]
            for split, number in drawn.items()
        ]
        rows += [
            [entry.name, MOVED, f"from {split} to train", number]
            for split, number in split_up.moved.items()
            if number
        ]
        table = tables[entry.name] = read_participants(participants)
        sizes = table[table["what"] == "images"].set_index("split")["images"]
        rows += [[entry.name, split, "", int(sizes[split])] for split in ("train", "valid", "test")]
    rows += [row for entry in settings.elsewhere for row in _elsewhere(entry, tables[entry.tested_on])]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table, [grid_of(table, settings, ungrouped)]


def _elsewhere(entry: TestedEntry, participants: pd.DataFrame) -> list[list]:
    """Rows of one dataset's test split before models of another dataset."""
    images = participants[(participants["split"] == "test") & (participants["what"] == "class")]
    images = images.set_index("level")["images"]
    others = [name for name in images.index if name not in entry.classes]
    return [
        [entry.name, TEST_SPLIT, "", int(images.sum())],
        *(
            [entry.name, LEFT_OUT, f"{name}, which the models do not have", int(images[name])]
            for name in others
        ),
        [entry.name, "test", "", int(images.drop(others).sum())],
    ]


def grid_of(table: pd.DataFrame, settings: Settings, ungrouped: Sequence[str] = ()) -> Grid:
    """The flow for reading, one block a dataset.

    Args:
        table: as `make` returns it.
        settings: what is shown.
        ungrouped: titles of datasets of whose images it is not known which are of one patient or lesion.
    """
    blocks = [
        Block(entry.title, [_row(row) for row in table[table["dataset"] == entry.name].itertuples()])
        for entry in [*settings.datasets, *settings.elsewhere]
    ]
    caption = (
        "Flow of participants. Images that are damaged, that show nothing, or whose label is not known are "
        "not left out but end the run, but for published splits, which are used as they are."
    )
    if (table["step"] == MOVED).any():
        caption += " Moved are images that share pixels or looks with an earlier split, and their groups."
    if ungrouped:
        caption += (
            f" Without groups: {', '.join(ungrouped)}. There each image is its own group; if patients have "
            "several images, those of one may be in two splits."
        )
    return Grid(caption, "flow", [Column(""), Column("Images")], blocks)


def _row(row: object) -> list[Cell]:
    if row.step == LEFT_OUT:
        return [Cell(f"left out: {row.reason}"), Cell(f"−{row.images:,}" if row.images else "0")]
    if row.step == MOVED:
        return [Cell(f"moved {row.reason}"), Cell(f"{row.images:,}")]
    return [Cell(_TITLES[row.step]), Cell(f"{row.images:,}")]


ARTIFACT = Table("Counting the flow of participants", CAPTION, Settings, plan, make)
