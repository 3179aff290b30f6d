"""From weights and a store to the errors file of one shard, with saving and resuming."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np

from meddiff.config.schema.compute import DEFAULT_COMPUTE, ComputeConfig
from meddiff.config.schema.experiment import ALL_STEPS, StoppingConfig
from meddiff.data.stores.store import Store
from meddiff.diffusion.stopping import make_rule
from meddiff.io import sha256_file, sha256_json
from meddiff.models.kinds import network_module
from meddiff.models.spec import WEIGHTS, read_spec
from meddiff.models.trained import default_device, device_name, load_model
from meddiff.provenance import code_hash, environment
from meddiff.scoring.batch_size import automatic_batch_size
from meddiff.scoring.blocks import LabelledImages, score_to_file
from meddiff.scoring.earlier import MADE_FROM, earlier_errors
from meddiff.scoring.image_rows import ImageRows
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
    earlier: Path | None = None,
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
        seed, steps, noise_levels, precision: see `meddiff.scoring.score.score`.
        batch_size: network inputs a pass; 0 for what fits the device (`meddiff.scoring.batch_size`).
        stopping: when the classification of an image stops.
        shard, shards: which share of the images, counted from 1.
        earlier: the errors file of an earlier run, to take over what was made from the same.
        save_every_seconds: how often partial results are saved.
        compute: attention kernel, memory format, compilation; changes errors only by rounding.

    Raises:
        Interrupted: when asked to stop; the partial result is saved.
        CheckpointError: if the weights are damaged, of a classifier, or not for these images.
        DataError: if the store is damaged.
        MeddiffError: if an error is not finite, or one image does not fit into memory.
    """
    store = Store.open(store_dir, split)
    read_spec(weights_dir).check_use(weights_dir, store, diffusion=True)
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
    code = code_hash(["meddiff.scoring.score", network_module(spec.model.kind)])
    # The configuration too: the same weights mean something else under another schedule or prediction.
    made_from = {**attributes, "spec": spec.to_dict(), "code": code}
    attributes[MADE_FROM] = sha256_json(made_from)
    key = sha256_json({**made_from, "shard": [shard, shards]})
    # A stopping rule changes no error, so it is not in the key: another one goes on from what is there.
    rule = make_rule(stopping, steps, store.num_classes)
    folder, stop = state_root / key[:16], stop_signal()
    started = time.monotonic()
    written = {**attributes, "device": device_name(device), "torch": environment()["versions"]["torch"]}
    if rule:
        written["stopping"] = json.dumps(stopping.model_dump(), sort_keys=True)
    with reserved(folder, stop), ImageRows(store.images, rows) as images:
        groups = [store.groups[row] for row in rows]
        score_to_file(
            denoiser,
            LabelledImages(images, image_ids, store.labels[rows], groups, store.class_names),
            out,
            folder,
            written,
            seed=seed,
            steps=steps,
            noise_levels=noise_levels,
            batch_size=batch_size or automatic_batch_size(denoiser, store.images.shape[1:], precision),
            precision=precision,
            model=str(weights_dir),
            rule=rule,
            spread=stopping.order == "spread",
            earlier=lambda: earlier_errors(earlier, attributes[MADE_FROM], image_ids),
            save_every_seconds=save_every_seconds,
            stop=stop,
        )
    log.info("scored %d images in %.0f s on %s", len(rows), time.monotonic() - started, device_name(device))
