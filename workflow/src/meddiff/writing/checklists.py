"""The check lists, filled in, as a CSV file: one row an item."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from meddiff.errors import DataError
from meddiff.result_csv import read_csv, write_csv
from meddiff.writing import claim, tripod
from meddiff.writing.facts import Facts
from meddiff.writing.item import Filled, filled
from meddiff.writing.settings import WritingSettings

if TYPE_CHECKING:
    import pandas as pd

LISTS: tuple[ModuleType, ...] = (claim, tripod)
COLUMNS = ["list", "number", "section", "asks", "status", "text", "links"]
STATUSES = {
    "run": "answered by the run",
    "author": "said by the authors",
    "open": "to be said",
    "not_applicable": "not applicable",
}


def fill(settings: WritingSettings, facts: Facts) -> dict[str, list[Filled]]:
    """Title of a list -> its items with their answers."""
    return {one.TITLE: [filled(item, settings, facts) for item in one.ITEMS] for one in LISTS}


def write_checklists(lists: dict[str, list[Filled]], path: Path) -> None:
    """Write them; links are anchors of the report, separated by spaces."""
    import pandas as pd

    rows = [
        {**asdict(item), "list": title, "links": " ".join(item.links)}
        for title, items in lists.items()
        for item in items
    ]
    write_csv(pd.DataFrame(rows)[COLUMNS], path)


def read_checklists(path: Path) -> dict[str, list[Filled]]:
    """What `write_checklists` wrote.

    Raises:
        DataError: if the file cannot be read, or has a status that does not exist.
    """
    text = dict.fromkeys(COLUMNS, str)
    table: pd.DataFrame = read_csv(path, COLUMNS, "run snakemake, which makes it again", text)
    found: dict[str, list[Filled]] = {}
    for row in table.fillna("").to_dict("records"):
        if row["status"] not in STATUSES:
            raise DataError(f"{path}: item {row['number']}: unknown status {row['status']!r}")
        title, links = row.pop("list"), tuple(row.pop("links").split())
        found.setdefault(title, []).append(Filled(**row, links=links))
    return found
