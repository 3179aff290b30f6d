"""What each image of a counterfactual run measures: how much changed, where, and what classifiers say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from meddiff.data.stores.store import Store
from meddiff.errors import DataError
from meddiff.explaining import image_distances
from meddiff.explaining.edits import COUNTERFACTUAL, FACTUAL, read_pixels
from meddiff.explaining.lesions import KnownLesions
from meddiff.readout.predictions import probabilities

_BATCH = 64  # images in memory at once
_KEYS = ["image_id", "source", "target", "role", "main", "front", "from_t", "cfg_scale", "file"]


def measure_images(
    table: pd.DataFrame,
    images_dir: Path,
    store: Store,
    predictions: pd.DataFrame,
    oracle: pd.DataFrame | None,
    lesions: KnownLesions | None,
) -> pd.DataFrame:
    """Measures of every image of a run, in the order of its table.

    Args:
        table: as ``explain`` writes it (`meddiff.explaining.edits.read_edit_table`).
        images_dir: the folder with its images.
        store: the test images.
        predictions: of the diffusion classifier on them.
        oracle: of the baseline on them; None without one.
        lesions: where they are known; None where there are none.

    Returns:
        `image_id, group, source, target, role, main, front, from_t, cfg_scale, file`;
        `qualified` (1: the classifier decides the test image for its true class) and `qualified_oracle`;
        `valid`, `control`, `gain` of counterfactuals by the model itself, and `valid_oracle`,
        `control_oracle`, `gain_oracle` by the oracle: whether it is decided for the target, whether the
        factual reconstruction made with the same settings is, too, and the gain of the target's
        probability. The first two are NaN where the judge is wrong on the test image itself: what it took
        for the target before, or for a third class, was not flipped by the edit;
        `l1, l2, ssim, changed_share, feature_distance` (to the test image, see
        `meddiff.explaining.image_distances`);
        `class_l1` (to the factual reconstruction), `inside_lesion` (share of that difference inside the
        lesion) and `lesion_area` (share of the image that the lesion covers). NaN where not defined.

    Raises:
        DataError: if table, predictions and store are not of the same images, or an image is missing.
    """
    rows = {image_id: row for row, image_id in enumerate(store.image_ids)}
    known = predictions.set_index("image_id")
    for image_id in dict.fromkeys(table["image_id"]):
        if image_id not in rows or image_id not in known.index:
            raise DataError(
                f"image {image_id!r} has a counterfactual but is not in the store or has no prediction; "
                "they belong to different splits: run `explain` again"
            )
    measures = table[_KEYS].astype({"main": int, "front": int})
    measures.insert(1, "group", known.loc[table["image_id"], "group"].to_numpy())
    measures = measures.assign(**_judgements(table, predictions, "", ""))
    if oracle is not None:
        if missing := sorted(set(table["image_id"]) - set(oracle["image_id"])):
            raise DataError(
                f"image {missing[0]!r} has a counterfactual but no prediction of the oracle; they belong to "
                "different splits: predict again with the oracle"
            )
        measures = measures.assign(**_judgements(table, oracle, "oracle_", "_oracle"))
    if "feature_distance" in table:
        measures["feature_distance"] = table["feature_distance"]
    factual = table[(table["role"] == FACTUAL) & table["main"]].set_index("image_id")["file"]
    parts = []
    for start in range(0, len(table), _BATCH):
        part = table.iloc[start : start + _BATCH]
        parts.append(_changes(part, images_dir, store, rows, factual, lesions))
    return pd.concat([measures, pd.concat(parts)], axis=1)


def _judgements(
    table: pd.DataFrame, predictions: pd.DataFrame, prefix: str, suffix: str
) -> dict[str, np.ndarray]:
    """What one judge says about test images, counterfactuals, and their factual reconstructions."""
    target, each = table["target"].to_numpy(), np.arange(len(table))
    columns = [f"{prefix}p_{k}" for k in range(probabilities(predictions).shape[1])]
    missing = [column for column in (f"{prefix}prediction", *columns) if column not in table.columns]
    if missing:
        raise DataError(f"the table of counterfactuals has no columns {missing}; run `explain` again")
    after = table[columns].to_numpy(dtype=np.float64)[each, target]
    positions = pd.Index(predictions["image_id"]).get_indexer(table["image_id"])
    before = probabilities(predictions)[positions, target]
    right = predictions["prediction"].to_numpy()[positions] == table["source"].to_numpy()
    asked = (table["role"] == COUNTERFACTUAL).to_numpy()
    decided = {
        f"valid{suffix}": table[f"{prefix}prediction"].to_numpy(),
        f"control{suffix}": _of_factual(table, f"{prefix}prediction", asked),
    }
    flips = {name: np.where(asked & right, of == target, np.nan) for name, of in decided.items()}
    gain = np.where(asked, after - before, np.nan)
    return {f"qualified{suffix}": right.astype(int), **flips, f"gain{suffix}": gain}


def _of_factual(table: pd.DataFrame, column: str, asked: np.ndarray) -> np.ndarray:
    """[M] `column` of the factual reconstruction with the same image and settings; NaN but for `asked`."""
    keys = ["image_id", "from_t", "cfg_scale"]
    factual = table[table["role"] == FACTUAL].set_index(keys)[column]
    found = factual.reindex(pd.MultiIndex.from_frame(table[keys])).to_numpy(dtype=np.float64)
    if np.isnan(found[asked]).any():
        row = table[asked].iloc[int(np.isnan(found[asked]).argmax())]
        raise DataError(
            f"image {row['image_id']!r}: no factual reconstruction with from_t {row['from_t']:g} and "
            f"cfg_scale {row['cfg_scale']:g} has a {column}; run `explain` again"
        )
    return np.where(asked, found, np.nan)


def _changes(
    part: pd.DataFrame,
    images_dir: Path,
    store: Store,
    rows: dict[str, int],
    factual: pd.Series,
    lesions: KnownLesions | None,
) -> pd.DataFrame:
    images = np.stack([read_pixels(images_dir / file) for file in part["file"]]) / 255.0
    inputs = np.stack([np.array(store.images[rows[image_id]]) for image_id in part["image_id"]]) / 255.0
    if images.shape != inputs.shape:
        raise DataError(
            f"{images_dir}: images are {list(images.shape[1:])}, the store's {list(inputs.shape[1:])}; run "
            "`explain` again"
        )
    found = pd.DataFrame(
        {
            "l1": image_distances.l1(images, inputs),
            "l2": image_distances.l2(images, inputs),
            "ssim": image_distances.ssim(images, inputs),
            "changed_share": image_distances.changed_share(images, inputs),
            "class_l1": np.nan,
            "inside_lesion": np.nan,
            "lesion_area": np.nan,
        },
        index=part.index,
    )
    paired = np.flatnonzero((part["main"] & (part["role"] == COUNTERFACTUAL)).to_numpy())
    if not len(paired):
        return found
    chosen = part.iloc[paired]
    own = np.stack([read_pixels(images_dir / factual[name]) for name in chosen["image_id"]]) / 255.0
    found.loc[chosen.index, "class_l1"] = image_distances.l1(images[paired], own)
    if lesions is not None:
        pairs = zip(chosen["image_id"], chosen["source"], strict=True)
        masks = [lesions.of(image_id, source) for image_id, source in pairs]
        marked = [i for i, mask in enumerate(masks) if mask is not None]
        if marked:
            mask = np.stack([masks[i] for i in marked])
            inside = image_distances.share_inside(images[paired][marked], own[marked], mask)
            found.loc[chosen.index[marked], "inside_lesion"] = inside
            found.loc[chosen.index[marked], "lesion_area"] = mask.mean(axis=(1, 2))
    return found
