"""What the page shows of one case beside decisions: pictures, steps, maps, edits."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from meddiff.cases.index import Decided, per_mille
from meddiff.cases.pictures import LARGEST_SIDE, data_uri, signed_map
from meddiff.cases.settings import ShownDataset, ShownErrors
from meddiff.cases.words import sentences
from meddiff.data.stores.store import Store
from meddiff.errors import DataError
from meddiff.explaining.edits import COUNTERFACTUAL, FACTUAL, read_edit_table, read_pixels

if TYPE_CHECKING:
    import xarray as xr

_ORACLE, _OWN = "oracle_prediction", "prediction"


@dataclass(frozen=True)
class Pictures:
    """The test images of a dataset that are here.

    Attributes:
        stores: side in pixels -> the images.
        rows: side -> image id -> row of it.
    """

    stores: dict[int, Store]
    rows: dict[int, dict[str, int]]

    @classmethod
    def of(cls, dataset: ShownDataset, ids: Sequence[str]) -> Pictures:
        """Open the stores of `dataset`.

        Raises:
            DataError: if one is damaged, or lacks one of the images `ids`.
        """
        here = {int(side): Path(path) for side, path in dataset.stores.items()}
        stores = {
            side: Store.open(path, "test") for side, path in here.items() if (path / "test.npy").is_file()
        }
        rows = {side: {name: row for row, name in enumerate(s.image_ids)} for side, s in stores.items()}
        for side, known in rows.items():
            if missing := [name for name in ids if name not in known]:
                raise DataError(
                    f"{dataset.stores[str(side)]}: has no test image {missing[0]!r}, of which there are "
                    "predictions: they were made from different splits; run the workflow again"
                )
        return cls(stores, rows)

    @property
    def largest(self) -> int | None:
        """The side of the most detailed pictures; None where there are none."""
        return max(self.stores, default=None)

    def pixels(self, side: int, image_id: str) -> np.ndarray:
        """uint8 [H, W, C]."""
        return np.asarray(self.stores[side].images[self.rows[side][image_id]])

    def shown(self, image_id: str) -> dict[str, str]:
        """Side -> picture: the most detailed one, and those that are noised, which are as models see them."""
        wanted = [side for side in self.stores if side == self.largest or side <= LARGEST_SIDE]
        return {str(side): data_uri(self.pixels(side, image_id)) for side in wanted}


def noise_words(seed: int, ids: Sequence[str]) -> list[list[int]]:
    """Two 32-bit words an image, from which the page draws the noise that was scored (`noise_keys`)."""
    from meddiff.diffusion.noise import noise_keys

    return noise_keys(seed, ids).tolist()


def edited(scored: ShownErrors, ids: Sequence[str]) -> list[int]:
    """Places among `ids` of the images that there is a counterfactual of, in ascending order."""
    if not (scored.counterfactuals and scored.images and Path(scored.images).is_dir()):
        return []
    table = read_edit_table(Path(scored.counterfactuals))
    table = table[table["main"]]
    both = [set(table.loc[table["role"] == role, "image_id"]) for role in (FACTUAL, COUNTERFACTUAL)]
    return [at for at, name in enumerate(ids) if name in both[0] & both[1]]


def scored_details(scored: ShownErrors, ids: Sequence[str], names: Sequence[str]) -> list[dict[str, Any]]:
    """What one model's errors say about images.

    Args:
        scored: the model's files. Where a file is not there its part is left out.
        ids: of I images.
        names: K classes.

    Returns:
        I entries: ``model``; from errors `meddiff.cases.steps.Votes.shown`, ``says`` (sentences), ``key``
        (`noise_words`) and ``levels`` (kind of noise levels); from evidence ``evidence`` (`signed_map`,
        positive: for the class ``best``, against ``rival``); from counterfactuals ``edits``.

    Raises:
        DataError: if a file is damaged, or lacks one of the images.
    """
    found: list[dict[str, Any]] = [{"model": scored.model} for _ in ids]
    if Path(scored.errors).is_file():
        _add_steps(found, scored, ids, names)
    if scored.counterfactuals and scored.images and Path(scored.images).is_dir():
        edits = _edits(Path(scored.counterfactuals), Path(scored.images), set(ids))
        for entry, name in zip(found, ids, strict=True):
            if name in edits:
                entry["edits"] = edits[name]
    return found


def _add_steps(
    found: list[dict[str, Any]], scored: ShownErrors, ids: Sequence[str], names: Sequence[str]
) -> None:
    from meddiff.cases.steps import votes_of
    from meddiff.scoring.error_file import open_errors
    from meddiff.scoring.evidence_file import open_evidence, pair_map

    with ExitStack() as stack:
        stored = stack.enter_context(open_errors(scored.errors))
        rows = _rows_of(stored, ids, scored.errors)
        keys = noise_words(int(stored.attrs["seed"]), ids)
        levels = str(stored.attrs["noise_levels"])
        votes = votes_of(_picked(stored, rows))
        for entry, one, key in zip(found, votes, keys, strict=True):
            entry |= one.shown | {"says": sentences(one, names), "key": key, "levels": levels}
        if scored.evidence is None or not Path(scored.evidence).is_file():
            return
        maps = stack.enter_context(open_evidence(scored.evidence))
        rows = _rows_of(maps, ids, scored.evidence)
        for entry, one, row in zip(found, votes, rows, strict=True):
            # One at a time: maps of many classes and large images do not fit into memory together.
            pair = pair_map(maps.isel(image=[row]), names[one.best], names[one.rival])[0]
            entry["evidence"] = signed_map(pair)


def _rows_of(dataset: xr.Dataset, ids: Sequence[str], path: str) -> list[int]:
    """Where images are in a file."""
    known = {name: row for row, name in enumerate(dataset["image"].values.astype(str).tolist())}
    if missing := [name for name in ids if name not in known]:
        raise DataError(
            f"{path}: has no image {missing[0]!r}, of which there are predictions; run the workflow again"
        )
    return [known[name] for name in ids]


def _picked(dataset: xr.Dataset, rows: Sequence[int]) -> xr.Dataset:
    """Some images of an errors file in memory; they are read one by one, since HDF5 is slow with lists."""
    arrays = {
        name: (dataset[name].dims, np.stack([dataset[name][row].values for row in rows]))
        for name in ("errors", "logsnr")
    }
    return dataset.drop_vars([*arrays]).isel(image=list(rows)).load().assign(arrays)


def _edits(path: Path, images: Path, ids: set[str]) -> dict[str, dict[str, Any]]:
    """Image id -> ``factual`` (picture) and ``targets``: ``to``, ``picture``, and the classes that the model
    itself (``own``) and the ``oracle`` see in it."""
    table = read_edit_table(path)
    table = table[table["main"] & table["image_id"].isin(ids)]
    found: dict[str, dict[str, Any]] = {}
    for name, part in table.groupby("image_id", sort=False):
        factual, others = part[part["role"] == FACTUAL], part[part["role"] == COUNTERFACTUAL]
        if factual.empty or others.empty:
            continue
        found[name] = {
            "factual": data_uri(read_pixels(images / factual["file"].iloc[0])),
            "targets": [
                {
                    "to": int(row["target"]),
                    "picture": data_uri(read_pixels(images / row["file"])),
                    "own": _class(row, _OWN),
                    "oracle": _class(row, _ORACLE),
                }
                for _, row in others.iterrows()
            ],
        }
    return found


def _class(row: pd.Series, column: str) -> int | None:
    return int(row[column]) if column in row and pd.notna(row[column]) else None


def shares_of(decided: Sequence[Decided], at: int) -> list[list[int]]:
    """Per mille of each class, one list a run."""
    return [per_mille(one.shares[at]) for one in decided]
