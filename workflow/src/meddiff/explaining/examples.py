"""The images of a run that its figure shows, in one small file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from meddiff.data.stores.store import Store
from meddiff.errors import DataError
from meddiff.explaining.archives import read_archive
from meddiff.explaining.edits import COUNTERFACTUAL, FACTUAL, read_pixels
from meddiff.explaining.lesions import KnownLesions
from meddiff.io import atomic_path

_SHOWN = ["image_id", "source", "target", "qualified", "qualified_oracle", "valid", "valid_oracle"]
_SHOWN += ["control", "control_oracle", "l1", "class_l1", "inside_lesion", "lesion_area"]
_PICTURES = ("input", "factual", "counterfactual", "mask")


@dataclass(frozen=True)
class Examples:
    """Rows of a figure.

    Attributes:
        table: one row an example: `image_id, source, target, qualified, qualified_oracle, valid,
            valid_oracle, control, control_oracle, l1, class_l1, inside_lesion, lesion_area`, as far as the
            measures have them.
        pictures: ``input``, ``factual`` and ``counterfactual``, uint8 [E, H, W, C], and ``mask``, uint8
            [E, H, W], 1 inside the lesion and empty where it is not known.
    """

    table: pd.DataFrame
    pictures: dict[str, np.ndarray]


def choose_examples(measures: pd.DataFrame, number: int) -> pd.DataFrame:
    """The main counterfactuals to show: of each class the first `number`, in their random order.

    The first goes to the class that follows its own (the last one is followed by the first), the second to
    the one after that, and so on: from K - 1 images a class on every target is shown. Images that the
    classifier decides for their true class come before others, of which only as many are taken as are needed;
    whether the counterfactual is a good one plays no part.
    """
    main = measures[(measures["main"] == 1) & (measures["role"] == COUNTERFACTUAL)]
    classes = sorted({*main["source"], *main["target"]})
    rank = {k: i for i, k in enumerate(classes)}
    ordered = main.sort_values(["source", "qualified"], ascending=[True, False], kind="stable")
    place = ordered.groupby("source")["image_id"].transform(lambda ids: pd.factorize(ids)[0])
    steps = 1 + place % max(len(classes) - 1, 1)
    wanted = (ordered["source"].map(rank) + steps) % len(classes)
    return ordered[(place < number) & (ordered["target"].map(rank) == wanted)].reset_index(drop=True)


def make_examples(
    measures: pd.DataFrame, number: int, images_dir: Path, store: Store, lesions: KnownLesions | None
) -> Examples:
    """Read the images of `choose_examples`."""
    chosen = choose_examples(measures, number)
    factual = measures[(measures["role"] == FACTUAL) & (measures["main"] == 1)].set_index("image_id")["file"]
    rows = [store.image_ids.index(image_id) for image_id in chosen["image_id"]]
    nothing = np.zeros(store.images.shape[1:3], dtype=bool)
    masks = []
    for image_id, source in zip(chosen["image_id"], chosen["source"], strict=True):
        mask = lesions.of(image_id, source) if lesions else None
        masks.append(nothing if mask is None else mask)
    pictures = {
        "input": np.array(store.images[rows]),
        "factual": np.stack([read_pixels(images_dir / factual[name]) for name in chosen["image_id"]]),
        "counterfactual": np.stack([read_pixels(images_dir / file) for file in chosen["file"]]),
        "mask": np.stack(masks).astype(np.uint8),
    }
    return Examples(chosen[[column for column in _SHOWN if column in chosen]], pictures)


def write_examples(examples: Examples, path: Path) -> None:
    """Write a NumPy archive, atomically."""
    table = {f"table_{name}": values.to_numpy() for name, values in examples.table.items()}
    table["table_image_id"] = examples.table["image_id"].to_numpy(dtype=str)
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **examples.pictures, **table)


def read_examples(path: Path) -> Examples:
    """Read what `write_examples` wrote.

    Raises:
        DataError: if it is no such file.
    """
    arrays = read_archive(path, "examples", "run `measure` again")
    if missing := [name for name in (*_PICTURES, "table_image_id") if name not in arrays]:
        raise DataError(f"{path}: {missing} are missing; run `measure` again")
    columns = {name.removeprefix("table_"): a for name, a in arrays.items() if name.startswith("table_")}
    return Examples(pd.DataFrame(columns), {name: arrays[name] for name in _PICTURES})
