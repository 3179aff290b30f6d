"""From weights and a store to the errors file of one shard, with saving and resuming."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np

from meddiff.config.compute import DEFAULT_COMPUTE, ComputeConfig
from meddiff.config.experiment import ALL_STEPS, StoppingConfig
from meddiff.data.store import Store
from meddiff.diffusion.error_file import make_errors, save_errors
from meddiff.diffusion.score import score
from meddiff.diffusion.stopping import cut, make_rule, stopping_steps
from meddiff.errors import MeddiffError
from meddiff.io import sha256_file, sha256_json
from meddiff.models import network_module
from meddiff.partial_errors import PartialErrors
from meddiff.provenance import code_hash, environment
from meddiff.run_model import WEIGHTS, default_device, device_name, load_model
from meddiff.signals import stop_signal
from meddiff.state_folder import reserved

log = logging.getLogger("meddiff")


def shard_rows(images: int, shard: int, shards: int) -> np.ndarray:
    """Rows of a split that shard `shard` (1 to `shards`) scores: every `shards`-th image."""
    return np.arange(shard - 1, images, shards)


def score_shard(
    weights_dir: Path,
    store_dir: Path,
    split: str,
    out: Path,
    state_root: Path,
    *,
    seed: int,
    steps: int,
    noise_levels: str,
    batch_size: int,
    precision: str,
    stopping: StoppingConfig = ALL_STEPS,
    shard: int = 1,
    shards: int = 1,
    save_every_seconds: float = 600.0,
    compute: ComputeConfig = DEFAULT_COMPUTE,
) -> None:
    """Score one shard of a split and write its errors file.

    What was already computed for the same weights, code, data and settings is loaded and completed,
    also where the earlier run had fewer steps or stopped elsewhere. With a stopping rule the errors file
    has NaN after the step at which an image stopped, whatever was computed beyond it.

    Args:
        weights_dir: folder with weights and their configuration.
        store_dir, split: the images.
        out: the errors file to write.
        state_root: where partial results live.
        seed, steps, noise_levels, batch_size, precision: see `meddiff.diffusion.score.score`.
        stopping: when the classification of an image stops.
        shard, shards: which share of the images, counted from 1.
        save_every_seconds: how often partial results are saved.
        compute: attention kernel, memory format, compilation; changes errors only by rounding.

    Raises:
        Interrupted: when asked to stop; the partial result is saved.
        MeddiffError: if an error is not finite.
    """
    store = Store.open(store_dir, split)
    device = default_device()
    denoiser, spec = load_model(weights_dir, device, compute, precision)
    rows = shard_rows(len(store.image_ids), shard, shards)
    image_ids = [store.image_ids[row] for row in rows]
    attributes: dict[str, Any] = {
        "weights_sha256": sha256_file(weights_dir / WEIGHTS),
        "store_sha256": sha256_file(store_dir / "manifest.json"),
        "split": split,
        "seed": seed,
        "noise_levels": noise_levels,
        "precision": precision,
        "model": spec.model.title,
    }
    code = code_hash(["meddiff.diffusion.score", network_module(spec.model.kind)])
    # The configuration too: the same weights mean something else under another schedule or prediction.
    key = sha256_json({**attributes, "spec": spec.to_dict(), "code": code, "shard": [shard, shards]})
    # A stopping rule changes no error, so it is not in the key: another one goes on from what is there.
    rule = make_rule(stopping, steps, store.num_classes)
    folder, stop = state_root / key[:16], stop_signal()
    started = time.monotonic()
    with reserved(folder, stop):
        partial = PartialErrors(folder / "errors.npy", save_every_seconds, stop)
        known = partial.load(len(rows), steps, store.num_classes)
        before = np.isfinite(known).all(axis=2)
        errors, logsnr = score(
            denoiser,
            store.images[rows],
            image_ids,
            seed=seed,
            steps=steps,
            levels=noise_levels,
            batch_size=batch_size,
            precision=precision,
            errors=known,
            stopping=rule,
            on_batch=partial.on_batch,
        )
        used = stopping_steps(errors, rule) if rule else np.full(len(rows), steps)
        needed = np.arange(steps) < used[:, None]
        if not np.isfinite(errors[needed]).all():
            raise MeddiffError(
                f"{weights_dir}: some noise-prediction errors are not finite; with score.precision "
                f"{precision!r} try 'bf16' or 'fp32'"
            )
        partial.save(errors)
    log.info("scored %d images in %.0f s on %s", len(rows), time.monotonic() - started, device_name(device))
    if rule:
        attributes["stopping"] = json.dumps(stopping.model_dump(), sort_keys=True)
        new = np.isfinite(errors).all(axis=2) & ~before
        log.info(
            "%.1f of %d steps an image were needed; of the %d (image, step) pairs scored now, %d were not",
            used.mean() if len(used) else 0.0,
            steps,
            new.sum(),
            (new & ~needed).sum(),
        )
    dataset = make_errors(
        cut(errors, used) if rule else errors,
        logsnr,
        image_ids,
        store.labels[rows],
        [store.groups[row] for row in rows],
        store.class_names,
        {**attributes, "device": device_name(device), "torch": environment()["versions"]["torch"]},
    )
    save_errors(dataset, out)
