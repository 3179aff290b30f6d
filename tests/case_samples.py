"""Made-up cases: predictions, errors, maps, images and counterfactuals of any images and classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from error_samples import make_errors, save_errors, save_evidence
from meddiff.cases.collect import collect_cases
from meddiff.cases.part import case_part
from meddiff.cases.settings import CaseSettings
from meddiff.diffusion.noise import noise_keys, noise_levels
from meddiff.io import sha256_file, write_json
from meddiff.readout.from_errors import from_errors
from meddiff.readout.from_logits import from_logits
from meddiff.readout.predictions import write_predictions
from meddiff.reporting.page import page

SEED, STEPS, SIDE = 3, 12, 8
# What a name may be, and what a careless page would make of it.
ODD_CLASSES = ['<script>alert("x")</script>', 'a "quoted" & </script> one', "غير طبيعي", "良性"]
ODD_IDS = [
    "../../up",
    "a/b/c.png",
    "<img src=x onerror=alert(1)>",
    "quo\"te's",
    "معرف",
    "图像 1",
    "plain",
    "100%&#x",
]


def write_images(folder: Path, ids: Sequence[str], labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """An image store with these test images, uint8 [N, H, W, 1], as `meddiff.data.stores.store` reads it."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    images = rng.integers(60, 110, (len(ids), SIDE, SIDE, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[label % SIDE] += 120
    np.save(folder / "test.npy", images)
    index = {"split": "test", "row": range(len(ids)), "image_id": ids, "label": labels, "group": ids}
    pd.DataFrame(index).to_parquet(folder / "index.parquet")
    header = (folder / "test.npy").stat().st_size - images.nbytes
    sha256 = sha256_file(folder / "test.npy", header)
    manifest = {"size": SIDE, "channels": 1, "class_names": list(classes), "format_version": 1}
    write_json(folder / "manifest.json", {**manifest, "splits": {"test": {"n": len(ids), "sha256": sha256}}})
    return images


def write_edits(folder: Path, ids: Sequence[str], labels: np.ndarray, classes: int) -> None:
    """Counterfactuals of some images: flat grey, darker for each class."""
    rows = []
    for at, (name, label) in enumerate(zip(ids, labels, strict=True)):
        for target in range(classes):
            file = f"{at}-{target}.png"
            (folder / "images").mkdir(exist_ok=True)
            Image.fromarray(np.full((SIDE, SIDE), 200 - 100 * target // classes, np.uint8)).save(
                folder / "images" / file
            )
            role = "factual" if target == label else "counterfactual"
            common = {
                "image_id": name,
                "source": label,
                "target": target,
                "role": role,
                "main": 1,
                "front": 0,
            }
            rows.append({**common, "from_t": 0.5, "cfg_scale": 2.0, "file": file, "sha256": "0" * 64})
            rows[-1] |= {"prediction": target, "oracle_prediction": label}
    pd.DataFrame(rows).to_csv(folder / "counterfactuals.csv", index=False, na_rep="nan")


def write_diffusion(
    folder: Path, ids: Sequence[str], labels: np.ndarray, classes: Sequence[str], levels: str
) -> None:
    """Errors, evidence maps and predictions of a diffusion model that is right more often than not."""
    rng, number = np.random.default_rng(1), len(classes)
    keys = np.repeat(np.asarray(noise_keys(SEED, ids)), STEPS, axis=0)
    steps = np.tile(np.arange(STEPS), len(ids))
    t = noise_levels(torch.from_numpy(keys), torch.from_numpy(steps), levels).numpy()
    logsnr = (10 * (0.5 - t)).reshape(len(ids), STEPS)
    errors = rng.normal(100, 3, (len(ids), STEPS, number))
    errors[np.arange(len(ids)), :, labels] -= 2.5
    attributes = {"seed": SEED, "noise_levels": levels, "steps": STEPS}
    dataset = make_errors(errors, logsnr, ids, labels, ids, classes, attributes)
    save_errors(dataset, folder / "errors.nc")
    maps = rng.normal(0, 1, (len(ids), number - 1, SIDE, SIDE)).astype(np.float32)
    evidence = dataset.drop_vars(["errors", "logsnr"]).assign(
        evidence=(("image", "other", "y", "x"), maps), steps_used=("image", np.full(len(ids), STEPS))
    )
    save_evidence(evidence.assign_attrs(space="pixels"), folder / "evidence.nc")
    table = from_errors(dataset, "majority")
    # As `decide` adds them: sets that hold the decision and every second class, and images unlike others.
    sets = {
        f"in_set_{name}": ((table["prediction"] == k) | (k % 2 == 0)) * 1 for k, name in enumerate(classes)
    }
    unlike = {"ood_profile": np.linspace(-1, 0.5, len(ids))}
    write_predictions(table.assign(**sets, **unlike), folder / "majority.csv")


def made_up(
    folder: Path,
    images: int | Sequence[str],
    classes: Sequence[str],
    *,
    edited: int = 2,
    levels: str = "uniform",
    **changes: Any,
) -> CaseSettings:
    """Files of one dataset before a diffusion model and a baseline, and the settings that name them.

    Args:
        folder: gets the files.
        images: their ids, or how many.
        classes: names.
        edited: of how many images there are counterfactuals.
        levels: kind of noise levels.
        changes: of the settings.
    """
    ids = [f"image-{at:05d}" for at in range(images)] if isinstance(images, int) else list(images)
    labels = np.arange(len(ids)) % len(classes)
    write_images(folder / "store", ids, labels, classes)
    write_diffusion(folder, ids, labels, classes, levels)
    write_edits(folder, ids[:edited], labels[:edited], len(classes))
    strata = {"split": "test", "label": labels, "group": ids, "stratum": [f"view {at % 2}" for at in labels]}
    pd.DataFrame({"image_id": ids, **strata}).to_csv(folder / "strata.csv", index=False)
    logits = np.random.default_rng(2).normal(0, 1, (len(ids), len(classes)))
    logits[np.arange(len(ids)), labels] += 1
    write_predictions(from_logits(ids, ids, labels, logits, classes), folder / "softmax.csv")
    runs = [
        {"model": "unet", "title": "UNet", "family": "diffusion", "decision": "majority"},
        {"model": "resnet", "title": "ResNet", "family": "cnn", "decision": "softmax"},
    ]
    scored = {"model": "unet", "title": "UNet", "size": SIDE, "wavelet": False}
    files = {"errors": "errors.nc", "evidence": "evidence.nc"}
    files |= {"counterfactuals": "counterfactuals.csv", "images": "images"}
    dataset = {
        "name": "chest",
        "title": "Chest",
        "classes": list(classes),
        "strata": {"title": "View", "path": str(folder / "strata.csv")},
        "stores": {str(SIDE): str(folder / "store")},
        "runs": [{**run, "predictions": str(folder / f"{run['decision']}.csv")} for run in runs],
        "scored": [{**scored, **{key: str(folder / name) for key, name in files.items()}}],
    }
    return CaseSettings.model_validate({"datasets": [dataset], "most_details": 1000, **changes})


def write_case_page(settings: CaseSettings, folder: Path) -> Path:
    """The report's page with the explorer alone; data beside it."""
    collect_cases(settings, folder / "cases.json", folder / "cases")
    part = case_part(folder / "cases.json", folder / "cases")
    about = SimpleNamespace(title="Made up", results="results/made_up")
    (folder / "index.html").write_text(page(about, [part]), encoding="utf-8")
    return folder / "index.html"
