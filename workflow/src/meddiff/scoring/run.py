"""From weights and a store to the errors file of one shard, with saving and resuming."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from meddiff.config.schema.compute import DEFAULT_COMPUTE, ComputeConfig
from meddiff.config.schema.experiment import ALL_STEPS, StoppingConfig
from meddiff.data.stores.relabelled import as_of_model
from meddiff.data.stores.store import Store
from meddiff.diffusion.stopping import make_rule
from meddiff.io import sha256_json
from meddiff.models.kinds import network_module
from meddiff.models.spec import ModelSpec, read_spec
from meddiff.models.trained import default_device, device_name, load_model
from meddiff.provenance import code_hash, environment
from meddiff.scoring.batch_size import automatic_batch_size
from meddiff.scoring.blocks import begin_with, in_blocks, score_to_file
from meddiff.scoring.images import ImageRows, Shard
from meddiff.scoring.labelled_file import ImageSet, ScoredFiles
from meddiff.scoring.origin import MADE_FROM, origin
from meddiff.scoring.passes import Passes
from meddiff.scoring.settings import ScoringSettings
from meddiff.signals import stop_signal
from meddiff.state_folder import reserved

log = logging.getLogger("meddiff")


def score_shard(
    weights_dir: Path,
    shard: Shard,
    settings: ScoringSettings,
    out: ScoredFiles,
    state_root: Path,
    *,
    stopping: StoppingConfig = ALL_STEPS,
    batch_size: int = 0,
    earlier: ScoredFiles | None = None,
    compute: ComputeConfig = DEFAULT_COMPUTE,
) -> None:
    """Score one shard of a split and write its errors file, and that of its evidence maps if asked for.

    What was already computed for the same weights, code, data and settings is loaded and completed,
    also where the earlier run had fewer steps or stopped elsewhere. With a stopping rule the errors file
    has NaN after the step at which an image stopped, whatever was computed beyond it, and maps are of the
    steps up to there. Steps whose errors are known from a run without maps are evaluated again for these.

    Args:
        weights_dir: folder with weights and their configuration.
        shard: the images.
        settings: but for where images stop, which `stopping` says.
        out: the files to write.
        state_root: where partial results live.
        stopping: when the classification of an image stops.
        batch_size: network inputs a pass; 0 for what fits the device (`meddiff.scoring.batch_size`).
        earlier: the files of an earlier run, to take over what was made from the same.
        compute: how often partial results are saved; attention kernel, memory format, compilation, which
            change errors only by rounding.

    Raises:
        Interrupted: when asked to stop; the partial result is saved.
        CheckpointError: if the weights are damaged, of a classifier, or not for these images.
        DataError: if the store is damaged.
        MeddiffError: if an error is not finite, or one image does not fit into memory.
    """
    store = Store.open(shard.store_dir, shard.split)
    store, relabelled = as_of_model(store, shard.relabelling, shard.store_dir)
    read_spec(weights_dir).check_use(weights_dir, store, diffusion=True)
    device = default_device()
    denoiser, spec = load_model(weights_dir, device, compute, settings.precision)
    started = time.monotonic()
    rows = relabelled[shard.rows(len(relabelled))]
    images = _images(store, rows)
    attributes, key = _origin(weights_dir, spec, shard, settings)
    rule = make_rule(stopping, settings.steps, store.num_classes)
    settings = replace(settings, stopping=rule, order=stopping.order)
    batch_size = batch_size or automatic_batch_size(denoiser, store.images.shape[1:], settings.precision)
    folder, stop = state_root / key[:16], stop_signal()
    with reserved(folder, stop), ImageRows(store.images, rows) as pixels:
        seconds, maps = 60 * compute.save_minutes, out.evidence is not None
        blocks = in_blocks(len(rows), store.num_classes, folder, seconds, stop, maps)
        begin_with(blocks, earlier, attributes[MADE_FROM], images.image_ids)
        attributes |= _circumstances(device, stopping)
        passes = Passes(denoiser, batch_size)
        score_to_file(
            blocks, passes, pixels, images, settings, out, attributes=attributes, model=str(weights_dir)
        )
    log.info("scored %d images in %.0f s on %s", len(rows), time.monotonic() - started, device_name(device))


def _images(store: Store, rows: np.ndarray) -> ImageSet:
    """The images of some rows of `store`."""
    ids, groups = ([values[row] for row in rows] for values in (store.image_ids, store.groups))
    return ImageSet(ids, store.labels[rows], groups, store.class_names)


def _origin(
    weights_dir: Path, spec: ModelSpec, shard: Shard, settings: ScoringSettings
) -> tuple[dict[str, Any], str]:
    """What the errors file says of its origin, and what identifies the shard's errors."""
    named = origin(weights_dir, shard, settings) | {"model": spec.model.title}
    code = code_hash(["meddiff.scoring.score", network_module(spec.model.kind)])
    # The configuration too: the same weights mean something else under another schedule or prediction.
    made_from = {**named, "spec": spec.to_dict(), "code": code}
    # A stopping rule changes no error, so it is not in the key: another one goes on from what is there.
    key = sha256_json({**made_from, "shard": [shard.number, shard.of]})
    return {**named, MADE_FROM: sha256_json(made_from)}, key


def _circumstances(device: torch.device, stopping: StoppingConfig) -> dict[str, str]:
    """What the errors file says beside its origin."""
    found = {"device": device_name(device), "torch": environment()["versions"]["torch"]}
    if stopping.kind != "none":
        found["stopping"] = json.dumps(stopping.model_dump(), sort_keys=True)
    return found
