"""Counterfactuals whose every pixel is known, and what is measured of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core_samples import SIDE, write_store
from meddiff.config.schema.counterfactual import ExplainParams
from meddiff.data.stores.store import Store
from meddiff.explaining.edits import edit_table, plan
from meddiff.explaining.measure_run import MeasureFiles, MeasureSettings, make_measures
from meddiff.io import sha256_file
from meddiff.readout.from_logits import from_probabilities
from meddiff.readout.predictions import write_predictions

IMAGES = 24
FRONT = {"from_t": [0.25, 0.5], "cfg_scale": [1.0, 2.0], "images_per_class": 3}
PARAMS = ExplainParams(
    from_t=0.5,
    cfg_scale=2.0,
    sampling_steps=1,
    sampler="ddim",
    extra_last_step=False,
    images_per_class=None,
    seed=0,
    precision="fp32",
    validity_steps=1,
    decision="majority",
    noise_levels="uniform",
    front=FRONT,
)
SETTINGS = MeasureSettings(
    dataset="chest",
    model="unet",
    seed=0,
    phantom="chexpert",
    mask_margin=0,
    examples=2,
    bootstrap_samples=50,
    confidence=0.9,
    bootstrap_seed=0,
)
# Grey levels by which images differ from the test image; a counterfactual in the mask's four rows, and below.
FACTUAL, CYCLE, INSIDE, OUTSIDE = 2, 5, -50, 2
WRONG_SELF, NOT_FLIPPED = 3, 1  # test image of class 1 misclassified; one of class 0 that is not flipped
# Of class 0: images that the oracle takes for class 1 before any edit; one whose factual it takes for it,
# too; and one whose factual the model itself does.
WRONG_ORACLE, CONTROL_ORACLE, CONTROL_SELF = (5, 6, 7), 2, 4


@dataclass(frozen=True)
class Run:
    """Files of a run and the store of its test images."""

    files: MeasureFiles
    store: Store


def measured_run(folder: Path) -> Run:
    """A run and its measures, written to `folder`."""
    store_dir = write_store(folder / "data", {"train": 2, "valid": 2, "test": IMAGES})
    store = Store.open(store_dir, "test")
    labels, rng = store.labels, np.random.default_rng(0)
    edits = plan(store.image_ids, labels, 2, PARAMS)
    (folder / "masks").mkdir()
    for name in store.image_ids:
        mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
        mask[:4] = 255
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    for edit in edits:
        above, below = {
            "factual": (FACTUAL, FACTUAL),
            "cycle": (CYCLE, CYCLE),
            "counterfactual": (INSIDE, OUTSIDE),
        }[edit.role]
        pixels = store.images[edit.row].astype(int)
        pixels[:4] += above
        pixels[4:] += below
        path = folder / "images" / edit.file
        path.parent.mkdir(parents=True, exist_ok=True)
        assert pixels.min() >= 0 and pixels.max() <= 255
        Image.fromarray(pixels.astype(np.uint8)[..., 0]).save(path)

    order = [edit.image_id for edit in edits if edit.role == "factual"]
    misclassified = [name for name in order if labels[store.image_ids.index(name)] == 1][WRONG_SELF]
    healthy = [name for name in order if labels[store.image_ids.index(name)] == 0]
    unflipped = healthy[NOT_FLIPPED]
    table = edit_table(edits, [sha256_file(folder / "images" / edit.file) for edit in edits])
    asked, factual = table["role"] != "cycle", table["role"] == "factual"
    after = np.where(asked, np.where(table["image_id"] == unflipped, 0.25, 0.75), np.nan)
    for k in range(2):
        table[f"p_{k}"] = np.where(table["target"] == k, after, 1 - after)
        table[f"oracle_p_{k}"] = np.where(table["target"] == k, 0.9, 0.1)
    chosen = np.where(after > 0.5, table["target"], table["source"])
    chosen[factual & (table["image_id"] == healthy[CONTROL_SELF])] = 1
    table["prediction"] = np.where(asked, chosen, np.nan)
    table["oracle_prediction"] = table["target"]
    table.loc[factual & (table["image_id"] == healthy[CONTROL_ORACLE]), "oracle_prediction"] = 1
    table["feature_distance"] = 0.5
    table.to_csv(folder / "counterfactuals.csv", index=False, na_rep="nan")

    own = np.where(np.eye(2)[labels] == 1, 0.8, 0.2)
    own[store.image_ids.index(misclassified)] = own[store.image_ids.index(misclassified)][::-1]
    of_oracle = np.where(np.eye(2)[labels] == 1, 0.6, 0.4)
    for i in WRONG_ORACLE:
        of_oracle[store.image_ids.index(healthy[i])] = [0.4, 0.6]
    for name, p in (("own", own), ("oracle", of_oracle)):
        predictions = from_probabilities(store.image_ids, store.groups, labels, p)
        write_predictions(predictions, folder / f"{name}.csv")
    features = {name: rng.standard_normal((IMAGES, 1)).astype(np.float32) for name in ("generated", "real")}
    np.savez(folder / "features.npz", **features)
    files = MeasureFiles(
        table=folder / "counterfactuals.csv",
        images=folder / "images",
        features=folder / "features.npz",
        store=store_dir,
        predictions=folder / "own.csv",
        oracle=folder / "oracle.csv",
        root=folder,
        measures=folder / "measures.csv",
        metrics=folder / "metrics.csv",
        examples=folder / "examples.npz",
    )
    make_measures(SETTINGS, files)
    return Run(files, store)
