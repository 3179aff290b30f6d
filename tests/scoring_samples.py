"""Runs of scoring with a tiny network, for the tests of run_scoring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
import yaml

from core_samples import SIDE, tiny_config
from meddiff.config.schema.compute import ComputeConfig
from meddiff.diffusion.denoiser import Denoiser
from meddiff.models.checkpoint import save_weights
from meddiff.models.spec import ModelSpec
from meddiff.networks.unet import UNetDenoiser
from meddiff.scoring.error_file import load_errors
from meddiff.scoring.images import Shard
from meddiff.scoring.labelled_file import ScoredFiles
from meddiff.scoring.passes import Passes
from meddiff.scoring.run import score_shard
from meddiff.scoring.score import score
from meddiff.scoring.settings import ScoringSettings

IMAGES = 10
SETTINGS = {"seed": 2, "noise_levels": "uniform", "precision": "fp32", "batch_size": 8}


def write_unet(folder: Path) -> Path:
    """Weights of an untrained network."""
    spec = ModelSpec(tiny_config("unet"), num_classes=2, channels=1, image_size=SIDE)
    torch.manual_seed(0)
    save_weights(folder / "model.safetensors", spec.build())
    (folder / "config.yaml").write_text(yaml.safe_dump({**spec.to_dict(), "seed": 0}))
    return folder


def watch_passes(monkeypatch: pytest.MonkeyPatch, before: Callable[[int], None]) -> None:
    """Have `before` called with the number of network inputs of every pass of a UNet, before it."""
    forward, for_all_classes = UNetDenoiser.forward, UNetDenoiser.for_all_classes

    def watched(self, z, logsnr, class_ids):
        before(len(z))
        return forward(self, z, logsnr, class_ids)

    def all_watched(self, z, logsnr):
        before(self.num_classes * len(z))
        return for_all_classes(self, z, logsnr)

    monkeypatch.setattr(UNetDenoiser, "forward", watched)
    monkeypatch.setattr(UNetDenoiser, "for_all_classes", all_watched)


def limit_memory(monkeypatch: pytest.MonkeyPatch, largest: int) -> list[int]:
    """Let UNets run out of memory with more than `largest` inputs a pass; inputs of all passes."""
    sizes: list[int] = []

    def before(inputs: int) -> None:
        sizes.append(inputs)
        if inputs > largest:
            raise torch.OutOfMemoryError("tried to allocate too much")

    watch_passes(monkeypatch, before)
    return sizes


def run(
    weights: Path,
    store: Path,
    folder: Path,
    steps: int,
    name: str = "errors.nc",
    *,
    shard: tuple[int, int] = (1, 1),
    save_minutes: float = 10.0,
    evidence: str | None = None,
    earlier: Path | None = None,
    **changes: Any,
) -> xr.Dataset:
    """Score the test split into `folder`, or one shard of it; what was written.

    Args:
        evidence: name of the file of evidence maps; None makes none.
        earlier: errors file of an earlier run, with its maps in ``evidence.nc`` beside it.
        changes: of `SETTINGS`, and other arguments of `score_shard`.
    """
    settings = {key: changes.pop(key, value) for key, value in SETTINGS.items()}
    batch_size = settings.pop("batch_size")
    score_shard(
        weights,
        Shard(store, "test", *shard),
        ScoringSettings(steps=steps, **settings),
        ScoredFiles(folder / name, folder / evidence if evidence else None),
        folder / "state",
        batch_size=batch_size,
        compute=ComputeConfig(save_minutes=save_minutes),
        earlier=None if earlier is None else ScoredFiles(earlier, earlier.with_name("evidence.nc")),
        **changes,
    )
    return load_errors(folder / name)


def score_images(
    denoiser: Denoiser,
    images: Any,
    image_ids: Sequence[str],
    batch_size: int = 128,
    errors: np.ndarray | None = None,
    on_batch: Callable[[np.ndarray], None] | None = None,
    **settings: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Errors and logSNR of images; `settings` are those of `ScoringSettings`."""
    passes = Passes(denoiser, batch_size)
    scores = score(passes, images, image_ids, ScoringSettings(**settings), errors=errors, on_batch=on_batch)
    return scores.errors, scores.logsnr


def assert_same(one: xr.Dataset, other: xr.Dataset) -> None:
    """The same content, up to rounding of the errors."""
    xr.testing.assert_allclose(one, other, rtol=1e-5)
    assert one.attrs == other.attrs
    assert one["image"].values.tolist() == other["image"].values.tolist()
    np.testing.assert_array_equal(one["logsnr"], other["logsnr"])


def stop_after(batches: int) -> Callable[[], Callable[[], bool]]:
    """Stands in for `stop_signal`: asked to stop after so many batches."""
    asked = iter(range(1, 1000))
    return lambda: lambda: next(asked) >= batches
