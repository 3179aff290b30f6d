"""Runs as the workflow leaves them, of untrained tiny networks, made by the commands that rules call."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from core_samples import SIDE, tiny_config
from meddiff.bundles.bundle import MANIFEST, SUMS
from meddiff.cli import main
from meddiff.config.datasets.folds import whole
from meddiff.models.checkpoint import save_weights
from meddiff.models.spec import ModelSpec, write_config
from meddiff.records.files import Files, weights_inputs, weights_outputs
from meddiff.records.record import recorded

NAMES = ["no finding", "effusion", "<script>alert(1)</script>"]
STEPS = 24
_COUNTS = {"train": 2, "valid": 12, "test": 6}
DATASET = "eyes"


def make_data(root: Path, classes: int = 2, channels: int = 1, dataset: str = DATASET) -> None:
    """A repository's images, splits and store, with the records that the workflow keeps.

    Images are of noise, as PNG below ``pictures``; their ids are their names.
    """
    rng = np.random.default_rng(3)
    (root / "pictures").mkdir(parents=True)
    splits = root / f"splits/{dataset}"
    splits.mkdir(parents=True)
    for split, count in _COUNTS.items():
        rows = []
        for i in range(count):
            name = f"{split}-{i:02d}"
            pixels = rng.integers(0, 256, (2 * SIDE, 2 * SIDE, channels), dtype=np.uint8)
            Image.fromarray(pixels.squeeze()).save(root / f"pictures/{name}.png")
            rows.append({"image_id": name, "path": f"{name}.png", "label": i % classes, "group": name})
        pd.DataFrame(rows).to_csv(splits / f"{split}.csv", index=False)
    params = {
        "format": {"kind": "folders"},
        "classes": [{"name": name, "value": k} for k, name in enumerate(NAMES[:classes])],
        "channels": channels,
        "bits": None,
    }
    with contextlib.chdir(root):
        table = Path(f"data/{whole(dataset)}/table.csv")
        with recorded("validate", Files([], [table]), {**params, "convert": []}, Path(".state")):
            table.parent.mkdir(parents=True)
            table.write_text("image_id\n")
        store = [f"--params={json.dumps(params)}", f"--size={SIDE}", "--root=pictures"]
        store += [f"--splits-dir=splits/{dataset}", f"--out-dir=data/{dataset}/store/{SIDE}", "--threads=1"]
        assert main(["store", *store]) == 0


def make_run(
    root: Path, kind: str, classes: int = 2, channels: int = 1, dataset: str = DATASET, **score: Any
) -> Path:
    """A finished run of an untrained network on the images of `make_data`.

    Args:
        root: the repository.
        kind: ``unet``, ``dit`` or ``timm``.
        classes, channels, dataset: as of the images.
        score: what the scoring has otherwise.
    """
    run, store = Path(f"results/trial/{dataset}/tiny_{kind}/seed0"), f"data/{dataset}/store/{SIDE}"
    with contextlib.chdir(root):
        names = tuple(NAMES[:classes])
        spec = ModelSpec(tiny_config(kind), classes, channels, SIDE, names)
        weights = run / "weights"
        with recorded("train", Files([], weights_outputs(weights)), {}, Path(".state")):
            torch.manual_seed(0)
            network = spec.build()
            with torch.no_grad():  # layers that begin at zero would tell no classes apart
                for parameter in network.parameters():
                    parameter.add_(0.1 * torch.randn_like(parameter))
            save_weights(weights_inputs(weights)[0], network)
            write_config(weights, spec, 0)
        if kind == "timm":
            _baseline(run, store)
        else:
            _diffusion(run, store, score)
    return root / run


def _diffusion(run: Path, store: str, score: dict[str, Any]) -> None:
    params = {"seed": 0, "steps": STEPS, "noise_levels": "uniform", "precision": "fp32", **score}
    given = [
        f"--params={json.dumps(params)}",
        f"--weights={run}/weights",
        f"--store={store}",
    ]
    votes = run / "votes0"
    for split, errors in (("test", "errors"), ("valid", "errors_valid")):
        assert main(["score", *given, f"--split={split}", f"--out={votes}/{errors}.nc"]) == 0
        for rule in ("majority", "mean"):
            out = f"{votes}/scores/{split}/{rule}.csv"
            assert main(["vote", f"--errors={votes}/{errors}.nc", f"--decision={rule}", f"--out={out}"]) == 0
    assert main(["profile", f"--errors={votes}/errors_valid.nc", f"--out={votes}/profile.json"]) == 0
    for rule in ("majority", "mean"):
        _decide(votes, rule, [f"--profile={votes}/profile.json", f"--errors={votes}/errors.nc"], [])


def _baseline(run: Path, store: str) -> None:
    for split in ("test", "valid"):
        given = [f"--weights={run}/weights", f"--store={store}", f"--split={split}"]
        assert main(["predict", *given, f"--out={run}/scores/{split}/softmax.csv"]) == 0
    _decide(run, "softmax", [f"--validation={run}/scores/valid/softmax.csv"], ["--temperature"])


def _decide(folder: Path, rule: str, unlike: list[str], method: list[str]) -> None:
    valid, test = (f"{folder}/scores/{split}/{rule}.csv" for split in ("valid", "test"))
    calibration, out = f"{folder}/calibration/{rule}.json", f"{folder}/predictions/{rule}.csv"
    assert main(["calibrate", f"--scores={valid}", *method, f"--out={calibration}"]) == 0
    triage = json.dumps({"triage": {"ppv": 0.6, "npv": 0.6, "coverage": 0.6, "confidence": 0.6}})
    given = [
        f"--scores={test}",
        f"--calibration={calibration}",
        f"--params={triage}",
        *unlike,
        f"--out={out}",
    ]
    assert main(["decide", *given]) == 0
    params = {
        **{"dataset": DATASET, "model": "tiny", "seed": 0, "decision": rule, "votes": 0},
        **{"bootstrap_samples": 100, "confidence": 0.95, "bootstrap_seed": 0, "operating_point": "youden"},
    }
    given = [f"--predictions={out}", f"--params={json.dumps(params)}", f"--out={folder}/metrics/{rule}.csv"]
    assert main(["metrics", *given]) == 0


def renewed(bundle: Path) -> None:
    """Make the checksums those of the files as they are."""
    names = [line.split("  ", 1)[1] for line in (bundle / SUMS).read_text().splitlines()]
    sums = {name: hashlib.sha256((bundle / name).read_bytes()).hexdigest() for name in names}
    (bundle / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))


def edited(bundle: Path, **changes: object) -> None:
    """Change the manifest, checksums and all."""
    document = json.loads((bundle / MANIFEST).read_text())
    (bundle / MANIFEST).write_text(json.dumps(document | changes))
    renewed(bundle)
