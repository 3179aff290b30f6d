"""The flow of participants: images found, left out and why, and used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.render import Block, Cell, Column, Grid
from meddiff.artifacts.settings import DatasetEntry, each_with
from meddiff.config.schema.strict import Strict

if TYPE_CHECKING:
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Flow of participants: how many images every dataset's list has, how many are left out and why, and how many
are used for training, validation and test.
"""
FOUND, LEFT_OUT, CHECKED = "found", "left out", "checked"
COLUMNS = ["dataset", "step", "reason", "images"]
_TITLES = {
    FOUND: "Images in the dataset's list",
    CHECKED: "Opened and checked",
    "train": "Used for training",
    "valid": "Used for validation",
    "test": "Used for test",
}


class Settings(Strict):
    """What the table depends on."""

    datasets: list[DatasetEntry] = Field(min_length=1)


def plan(experiment: Experiment) -> list[Wanted]:
    """Every experiment has one."""
    datasets = {name: dataset.title for name, dataset in experiment.config.datasets.items()}
    settings = Settings(datasets=[{"name": name, "title": title} for name, title in datasets.items()])
    files = {
        "flow": [f"data/{name}/flow.json" for name in datasets],
        "origin": [f"splits/{name}/origin.json" for name in datasets],
        "participants": list(map(experiment.participants, datasets)),
    }
    return [Wanted(settings, files)]


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from what `validate`, `split` and `describe` wrote, one file each a dataset."""
    from meddiff.data.flow import read_flow, read_left_out
    from meddiff.data.participants import read_participants

    named = {
        name: each_with(settings.datasets, files[name], name, "dataset")
        for name in ("flow", "origin", "participants")
    }
    rows: list[list] = []
    for (entry, flow), (_, origin), (_, participants) in zip(*named.values(), strict=True):
        listed, unused = read_flow(flow), read_left_out(origin)
        rows.append([entry.name, FOUND, "", listed.found])
        rows += [[entry.name, LEFT_OUT, reason, number] for reason, number in listed.left_out.items()]
        rows.append([entry.name, CHECKED, "", listed.used])
        rows += [[entry.name, LEFT_OUT, "in no split", unused]] * bool(unused)
        table = read_participants(participants)
        sizes = table[table["what"] == "images"].set_index("split")["images"]
        rows += [[entry.name, split, "", int(sizes[split])] for split in ("train", "valid", "test")]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table, [grid_of(table, settings)]


def grid_of(table: pd.DataFrame, settings: Settings) -> Grid:
    """The flow for reading, one block a dataset."""
    blocks = [
        Block(entry.title, [_row(row) for row in table[table["dataset"] == entry.name].itertuples()])
        for entry in settings.datasets
    ]
    caption = (
        "Flow of participants. Images that are damaged, that show nothing, or whose label is not known are "
        "not left out but end the run, but for published splits, which are used as they are."
    )
    return Grid(caption, "flow", [Column(""), Column("Images")], blocks)


def _row(row: object) -> list[Cell]:
    if row.step == LEFT_OUT:
        return [Cell(f"left out: {row.reason}"), Cell(f"−{row.images:,}" if row.images else "0")]
    return [Cell(_TITLES[row.step]), Cell(f"{row.images:,}")]


ARTIFACT = Table("Counting the flow of participants", CAPTION, Settings, plan, make)
