"""Which images a counterfactual run makes, what their files are called, and the table of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import numpy as np
import pandas as pd

from meddiff.config.schema.counterfactual import ExplainParams
from meddiff.csv_text import check_numbers, read_rows
from meddiff.data.decoding.pictures import open_picture
from meddiff.errors import DataError

S = TypeVar("S", bound=Sequence)

FACTUAL, COUNTERFACTUAL, CYCLE = "factual", "counterfactual", "cycle"

# Columns of the table before those of the classifiers.
COLUMNS = ["image_id", "source", "target", "role", "main", "front", "from_t", "cfg_scale", "file", "sha256"]
_TEXT = ("image_id", "role", "file", "sha256")


@dataclass(frozen=True)
class Edit:
    """One image to make.

    Attributes:
        row: of the test image in its split.
        image_id: of the test image.
        classes: its class and the target; for a cycle, its class once more.
        from_t, cfg_scale: settings of the sampler.
        main: whether it belongs to the experiment's counterfactuals.
        front: whether it belongs to the comparison of settings.
    """

    row: int
    image_id: str
    classes: tuple[int, ...]
    from_t: float
    cfg_scale: float
    main: bool
    front: bool

    @property
    def source(self) -> int:
        """Class of the test image."""
        return self.classes[0]

    @property
    def target(self) -> int:
        """Class of the counterfactual; the source's own for a factual reconstruction."""
        return self.classes[1]

    @property
    def role(self) -> str:
        """``factual``, ``counterfactual``, or ``cycle`` for one that goes back to the source."""
        if len(self.classes) > 2:
            return CYCLE
        return FACTUAL if self.source == self.target else COUNTERFACTUAL

    @property
    def judged(self) -> bool:
        """Whether the diffusion classifier is asked about it: counterfactuals, and factuals as a control."""
        return self.role != CYCLE

    @property
    def file(self) -> str:
        """Path of the image below the folder of a run: no two edits have the same."""
        # Ids may hold slashes and anything else; quoting keeps different ids different.
        name = "__".join([quote(self.image_id, safe=""), *map(str, self.classes)])
        return f"from_t{self.from_t!r}_cfg{self.cfg_scale!r}/{name}.png"

    @property
    def before(self) -> Edit | None:
        """The counterfactual that a cycle starts from; None for what starts from the test image."""
        return replace(self, classes=self.classes[:-1]) if self.role == CYCLE else None

    @property
    def noise_name(self) -> str:
        """Name of the noise: that of what the edit starts from, so that its targets share their noise."""
        return "__".join([self.image_id, *map(str, self.classes[:-1])]) if self.before else self.image_id


def chosen_rows(image_ids: Sequence[str], labels: np.ndarray, per_class: int | None, seed: int) -> np.ndarray:
    """Rows of the images of each class in random order, at most `per_class`; class after class.

    The order of an image depends on `seed` and its id only: more images a class are the same ones and some
    more.
    """
    order = [hashlib.blake2b(f"{seed}\0{name}".encode()).digest() for name in image_ids]
    rows = sorted(range(len(image_ids)), key=lambda row: (labels[row], order[row]))
    by_class = [[row for row in rows if labels[row] == k][:per_class] for k in np.unique(labels)]
    return np.array([row for part in by_class for row in part], dtype=np.int64)


def plan(image_ids: Sequence[str], labels: np.ndarray, num_classes: int, params: ExplainParams) -> list[Edit]:
    """All images to make.

    Of every chosen image: the factual reconstruction, the counterfactual of each other class, and the way
    back of each. Then the factual reconstructions and counterfactuals of the comparison, without those that
    are there already.

    Args:
        image_ids: of the split, unique.
        labels: int [I].
        num_classes: number of classes K.
        params: settings.
    """
    edits: dict[str, Edit] = {}

    def add(row: int, classes: tuple[int, ...], from_t: float, cfg_scale: float, front: bool) -> None:
        edit = Edit(int(row), image_ids[row], classes, from_t, cfg_scale, main=not front, front=front)
        earlier = edits.get(edit.file)
        edits[edit.file] = replace(earlier, front=True) if earlier else edit

    for row in chosen_rows(image_ids, labels, params.images_per_class, params.seed):
        source = int(labels[row])
        others = [k for k in range(num_classes) if k != source]
        ways = [(source, source), *((source, k) for k in others), *((source, k, source) for k in others)]
        for classes in ways:
            add(row, classes, params.from_t, params.cfg_scale, front=False)
    if params.front:
        rows = chosen_rows(image_ids, labels, params.front.images_per_class, params.seed)
        for from_t in params.front.from_t:
            for cfg_scale in params.front.cfg_scale:
                for row in rows:
                    for k in range(num_classes):
                        add(row, (int(labels[row]), k), from_t, cfg_scale, front=True)
    return list(edits.values())


def edit_table(edits: Sequence[Edit], checksums: Sequence[str]) -> pd.DataFrame:
    """One row an edit, columns `COLUMNS`."""
    values = [[getattr(edit, name) for name in COLUMNS[:-1]] for edit in edits]
    table = pd.DataFrame(values, columns=COLUMNS[:-1]).assign(sha256=list(checksums))
    return table.astype({"main": int, "front": int})


def read_edit_table(path: Path) -> pd.DataFrame:
    """Read the table of a run's images.

    Raises:
        DataError: if it cannot be read or lacks columns.
    """
    repair = "run `explain` again"
    header, rows = read_rows(path, ours=True, repair=repair)
    if missing := [column for column in COLUMNS if column not in header]:
        raise DataError(f"{path}: columns {missing} are missing; {repair}")
    text = pd.DataFrame([row for _, row in rows], [line for line, _ in rows], header, dtype=object)
    check_numbers(path, text, [name for name in header if name not in _TEXT], repair)
    table = pd.read_csv(
        path, dtype={"image_id": str}, na_values=["nan"], keep_default_na=False, float_precision="round_trip"
    )
    return table.astype({"main": bool, "front": bool})


def read_images(folder: Path, edits: Sequence[Edit]) -> np.ndarray:
    """Written images, uint8 [N, H, W, C].

    Raises:
        DataError: if one is missing or not an image.
    """
    return np.stack([read_pixels(folder / edit.file) for edit in edits])


def read_pixels(path: Path) -> np.ndarray:
    """One written image, uint8 [H, W, C].

    Raises:
        DataError: if it is missing or not an image.
    """
    try:
        with open_picture(path) as image:
            pixels = np.array(image)
    except DataError:
        raise
    # Pillow reports damage with whatever comes up where it is; nothing else runs in this block.
    except Exception as error:
        raise DataError(f"{path}: not a readable image: {error}; run `explain` again") from error
    return pixels if pixels.ndim == 3 else pixels[..., None]


def is_whole(path: Path) -> bool:
    """Whether a written image is there and its checksums, which PNG has of every part, fit."""
    try:
        with open_picture(path) as image:
            image.verify()
    except Exception:  # as in `read_pixels`
        return False
    return True


def batches(items: S, size: int) -> list[S]:
    """`items` in parts of `size`; the last one may be smaller."""
    return [items[start : start + size] for start in range(0, len(items), size)]
