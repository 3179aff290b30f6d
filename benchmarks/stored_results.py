"""Stored results of the paper's size, drawn from a seeded random model, where the workflow expects them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from meddiff.config import Config, DatasetConfig
from meddiff.data.stores.store_files import FORMAT_VERSION, INDEX, MANIFEST
from meddiff.data.tables import SPLITS, write_csv
from meddiff.io import write_json
from meddiff.readout.from_logits import from_probabilities
from meddiff.readout.predictions import write_predictions
from meddiff.scoring.error_file import errors_file
from meddiff.scoring.labelled_file import ImageSet

IMAGES = {"chexpert": 2040, "isic": 1019}
SPREAD = 0.35  # of the images' difficulty, in standard deviations of one step's difference
PER_GROUP = 2  # images of one patient


def write_stored_results(config: Config, folder: Path, seed: int = 0) -> None:
    """Write what the evaluation of an experiment reads: errors, baselines' predictions, images, splits.

    Accuracies are near the published ones. An image has a difficulty, and a step's vote is most reliable at
    medium noise.

    Args:
        config: the experiment, with two classes a dataset.
        folder: working folder of the workflow.
        seed: of the random model.
    """
    published = config.published("classification") or {}
    for number, (name, dataset) in enumerate(config.datasets.items()):
        generator = np.random.default_rng([seed, number])
        splits = _splits(name, generator)
        _write_splits(folder, name, splits)
        test = splits["test"]
        for model in config.experiment.models:
            settings = config.model(model, name)
            accuracy = published.get(name, {}).get(model, {}).get("accuracy", 85.0) / 100
            margin = generator.normal(SPREAD * ndtri(accuracy), SPREAD, size=len(test))
            _write_store(folder / "data" / name / "store", dataset, settings.image_size, test)
            for k in config.experiment.seeds:
                run = folder / "results" / config.results_name / name / model / f"seed{k}"
                if settings.family == "diffusion":
                    steps = config.experiment.score.steps
                    classes = [entry.name for entry in dataset.classes]
                    images = ImageSet(test["image_id"], test["label"], test["group"], classes)
                    attributes = {"noise_levels": config.experiment.score.noise_levels, "split": "test"}
                    for votes in config.experiment.score.vote_seeds(k):
                        errors, logsnr = _errors(generator, margin, test["label"], steps)
                        path = run / f"votes{votes}/errors.nc"
                        with errors_file(path, images, steps, attributes) as write:
                            write(0, errors, logsnr)
                else:
                    p_true = 1 / (1 + np.exp(-8 * margin))
                    is_label = np.eye(2, dtype=bool)[test["label"]]
                    p = np.where(is_label, p_true[:, None], 1 - p_true[:, None])
                    table = from_probabilities(test["image_id"], test["group"], test["label"], p)
                    write_predictions(table, run / "predictions/softmax.csv")


def _splits(name: str, generator: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Tables of the splits. All are as large as the test split, which is enough for the audit's rule."""
    number = IMAGES[name]
    splits = {}
    # Numbers on both sides of the limit that the audit of ISIC divides at, in no split twice.
    drawn = iter(np.split(generator.choice(150_000, 3 * number, replace=False), 3))
    for split in SPLITS:
        if name == "isic":
            ids = groups = [f"ISIC_{i:07d}" for i in np.sort(next(drawn))]
        else:
            groups = [f"{split}_patient{i // PER_GROUP:05d}" for i in range(number)]
            ids = [f"{group}_view{i % PER_GROUP + 1}_frontal" for i, group in enumerate(groups)]
        labels = np.arange(number) % 2
        paths = [f"{image_id}.jpg" for image_id in ids]
        splits[split] = pd.DataFrame({"image_id": ids, "path": paths, "label": labels, "group": groups})
    return splits


def _write_splits(folder: Path, name: str, splits: dict[str, pd.DataFrame]) -> None:
    for split, table in splits.items():
        write_csv(table, folder / "splits" / name / f"{split}.csv")
    write_json(folder / "data" / name / "raw.json", {"files": {}})


def _errors(
    generator: np.random.Generator, margin: np.ndarray, labels: pd.Series, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Errors fp32 [I, S, 2] and logSNR fp32 [I, S]."""
    size = (len(labels), steps)
    logsnr = generator.uniform(-12, 12, size=size)
    reliability = 1.5 * np.exp(-((logsnr + 1) ** 2) / 18)
    difference = margin[:, None] * reliability + generator.normal(size=size)
    level = 4000 / (1 + np.exp(-logsnr / 2)) + 50
    errors = level[..., None] + generator.normal(size=(*size, 1))
    wrong = 1 - np.eye(2)[labels][:, None, :]
    return (errors + wrong * difference[..., None]).astype(np.float32), logsnr.astype(np.float32)


def _write_store(stores: Path, dataset: DatasetConfig, size: int | None, test: pd.DataFrame) -> None:
    """Black images, in a file with holes: only the figure of the method looks at one."""
    size = size or dataset.image_size
    store = stores / str(size)
    if (store / MANIFEST).exists():
        return
    store.mkdir(parents=True)
    shape = (len(test), size, size, dataset.channels)
    np.lib.format.open_memmap(store / "test.npy", mode="w+", dtype=np.uint8, shape=shape).flush()
    index = test[["image_id", "label", "group"]].assign(split="test", row=range(len(test)))
    index.to_parquet(store / INDEX, index=False)
    manifest = {
        "format_version": FORMAT_VERSION,
        "size": size,
        "geometry": "squash",
        "channels": dataset.channels,
        "class_names": [entry.name for entry in dataset.classes],
        "splits": {"test": {"n": len(test), "sha256": "", "split_sha256": ""}},
    }
    write_json(store / MANIFEST, manifest)
