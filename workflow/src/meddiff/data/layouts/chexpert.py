"""CheXpert's list, by the protocol that the authors document."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from meddiff.config.schema.data.classes import ClassConfig
from meddiff.config.schema.data.layout import CheXpertFormat
from meddiff.data.flow import Flow
from meddiff.data.layouts.canonical import KEY, Rows, leads_out
from meddiff.data.layouts.values import canonical_label, class_of_value
from meddiff.data.tables import read_csv
from meddiff.errors import DataError

_FILM = re.compile(r"(?:.*/)?train/(patient\d+)/study1/view1_frontal\.jpg")


def read_chexpert(layout: CheXpertFormat, classes: Sequence[ClassConfig], csv: Path) -> Rows:
    """Keep first frontal films with positive XOR negative; blanks are 0, uncertain (-1) rows go."""
    known = class_of_value(classes)
    if set(known) != {"0", "1"}:
        raise DataError(
            f"{layout.csv}: classes have values {', '.join(known)}; the chexpert format has 1 for "
            f"{layout.positive} and 0 for {layout.negative}: use exactly these two"
        )
    rows = read_csv(csv, ["Path", layout.positive, layout.negative])
    patient = rows["Path"].map(lambda path: m[1] if (m := _FILM.fullmatch(path)) else None)
    flow = Flow(len(rows)).then("not the frontal film of a first study", int(patient.isna().sum()))
    rows, patient = rows[patient.notna()], patient.dropna()
    cells = rows[[layout.positive, layout.negative]].replace("", "0").map(canonical_label)
    bad = ~cells.isin(["0", "1", "-1"]).all(axis=1)
    bad_path = rows["Path"].map(lambda path: leads_out(path) or "\0" in path).astype(bool)
    problems = [
        f"row {row}: {rows.at[row, 'Path']!r} is no path below the dataset's folder"
        for row in rows.index[bad_path]
    ]
    problems += [
        f"row {row}: {layout.positive}={rows.at[row, layout.positive]!r}, "
        f"{layout.negative}={rows.at[row, layout.negative]!r}; known values are 1, 0, -1 and blank"
        for row in rows.index[bad]
    ]
    positive, negative = cells[layout.positive] == "1", cells[layout.negative] == "1"
    unsure, either = (cells == "-1").any(axis=1), positive ^ negative
    labels = f"{layout.positive} and {layout.negative}"
    flow = flow.then(f"{labels}: one of them uncertain", int(unsure.sum()))
    flow = flow.then(f"{labels}: neither or both", int((~unsure & ~either).sum()))
    keep = ~bad_path & ~bad & ~unsure & either
    rows, patient, label = rows[keep], patient[keep], positive[keep]
    # The first component names the archive, which is the folder of the CSV.
    folder = PurePosixPath(layout.csv).parent
    path = rows["Path"].map(lambda name: str(folder.joinpath(*PurePosixPath(name).parts[1:])))
    table = pd.DataFrame(
        {
            "image_id": patient + "_study1_view1_frontal",
            "path": path,
            "label": label.map({True: known["1"], False: known["0"]}),
            f"{KEY}patient": patient,
        }
    )
    return Rows(table.rename(index=lambda row: f"row {row}"), problems, flow)


def balanced(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Keep equally many images of each label; a hash of id and seed draws, so row order has no part."""
    draw = table["image_id"].map(lambda name: hashlib.sha256(f"balance/{seed}/{name}".encode()).hexdigest())
    rank = draw.groupby(table["label"]).rank(method="first")
    size = table["label"].value_counts().min() if len(table) else 0
    return table[rank <= size]
