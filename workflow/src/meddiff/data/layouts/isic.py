"""The list of ISIC images in the authors' package: `image_name`, `target`, and what images may share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from meddiff.config.schema.data.classes import ClassConfig
from meddiff.config.schema.data.layout import ISICFormat
from meddiff.data.flow import Flow
from meddiff.data.layouts.canonical import KEY, Rows, leads_out
from meddiff.data.layouts.values import canonical_label, class_of_value, known_values
from meddiff.data.tables import read_csv

_KEYS = {"patient": "patient_id", "lesion": "lesion_id"}


def read_isic(layout: ISICFormat, classes: Sequence[ClassConfig], csv: Path) -> Rows:
    """A row for each image; patient and lesion where the file has them."""
    rows = read_csv(csv, ["image_name", "target"]).rename(index=lambda row: f"row {row}")
    name, value = rows["image_name"], rows["target"]
    label = value.map(canonical_label).map(class_of_value(classes))
    unusual, outside = name.str.contains("\0", regex=False).astype(bool), name.map(leads_out).astype(bool)
    problems = [
        f"{where}: unknown label {value[where]!r}; known are {known_values(classes)}"
        for where in rows.index[label.isna()]
    ]
    problems += [f"{where}: no image name" for where in rows.index[name == ""]]
    problems += [
        f"{where}: {name[where]!r} is outside the dataset's folder; expected one below {layout.image_dir!r}"
        for where in rows.index[outside]
    ]
    problems += [
        f"{where}: {name[where]!r} has a NUL, which no file name can" for where in rows.index[unusual]
    ]
    keep = label.notna() & (name != "") & ~outside & ~unusual
    blank = pd.Series("", index=rows.index, dtype=object)
    table = pd.DataFrame(
        {
            "image_id": name[keep].map(lambda text: PurePosixPath(f"{text}.jpg").stem),
            "path": name[keep].map(lambda text: str(PurePosixPath(layout.image_dir) / f"{text}.jpg")),
            "label": label[keep],
            **{f"{KEY}{kind}": rows.get(column, blank)[keep] for kind, column in _KEYS.items()},
        }
    )
    return Rows(table, problems, Flow(len(rows)))
