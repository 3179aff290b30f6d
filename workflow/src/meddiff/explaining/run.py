"""From weights and a store to the counterfactuals of a run, with resuming: images, their table, features."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from meddiff.config.schema.compute import DEFAULT_COMPUTE, ComputeConfig
from meddiff.config.schema.counterfactual import ExplainParams
from meddiff.data.stores.store import Store
from meddiff.explaining.edits import COUNTERFACTUAL, Edit, edit_table, plan
from meddiff.explaining.feature_network import FeatureNetwork
from meddiff.explaining.judging import SelfJudge, feature_distances, oracle_columns, write_features
from meddiff.explaining.making import make_images
from meddiff.io import atomic_path, sha256_file, sha256_json
from meddiff.models.kinds import network_module
from meddiff.models.spec import WEIGHTS, ModelSpec, read_spec
from meddiff.models.trained import default_device, device_name, load_model
from meddiff.provenance import code_hash
from meddiff.scoring.batch_size import automatic_batch_size
from meddiff.signals import stop_signal
from meddiff.state_folder import reserved

log = logging.getLogger("meddiff")


@dataclass(frozen=True)
class ExplainFiles:
    """What is read and written.

    Attributes:
        weights: folder with weights and configuration of the diffusion model.
        store, split: the images.
        oracle: folder of the weights of a baseline that classifies too, or None.
        feature_network: folder of those of a baseline for features and their distances, or None.
        images: folder to write, with one lossless PNG an edit (`meddiff.explaining.edits.Edit.file`); what is
            in it is replaced.
        table: CSV to write: `meddiff.explaining.edits.COLUMNS`; `prediction` and `p_<k>`, decision and
            probabilities of the model itself (not of cycles); `oracle_prediction` and `oracle_p_<k>`; and
            `feature_distance` to the test image. Columns of a network that is not given are left out.
        features: NumPy archive to write, see `meddiff.explaining.judging.write_features`; its `generated` are
            the experiment's counterfactuals in the order of the table.
    """

    weights: Path
    store: Path
    split: str
    oracle: Path | None
    feature_network: Path | None
    images: Path
    table: Path
    features: Path


def explain_run(
    files: ExplainFiles,
    params: ExplainParams,
    state_root: Path,
    *,
    batch_size: int = 0,
    compute: ComputeConfig = DEFAULT_COMPUTE,
) -> None:
    """Make the counterfactuals of one diffusion model, have them classified, and write both.

    What was made before for the same weights, code, data and settings is taken over: a run that was stopped
    goes on, and one with more images or a larger comparison makes only the new ones.

    Args:
        files: what to read and write.
        params: settings.
        state_root: where partial results live.
        batch_size: network inputs a pass; 0 for what fits the device (`meddiff.scoring.batch_size`).
        compute: how often partial classifications are saved; attention kernel, memory format, compilation,
            which change images only by rounding.

    Raises:
        Interrupted: when asked to stop; what is made is kept.
        CheckpointError: if weights are damaged, of another kind, or not for these images.
        DataError: if the store is damaged.
        MeddiffError: if a value is not finite, or one image does not fit into memory.
    """
    store = Store.open(files.store, files.split)
    read_spec(files.weights).check_use(files.weights, store, diffusion=True)
    device = default_device()
    judges = (files.oracle, files.feature_network)
    oracle, network = (FeatureNetwork.load(folder, device) if folder else None for folder in judges)
    if files.oracle:
        read_spec(files.oracle).check_classes(files.oracle, store)
    denoiser, spec = load_model(files.weights, device, compute, params.precision)
    edits = plan(store.image_ids, store.labels, store.num_classes, params)
    made, stop = state_root / _state_key(files, spec, params)[:16], stop_signal()
    batch_size = batch_size or automatic_batch_size(denoiser, store.images.shape[1:], params.precision)
    started = time.monotonic()
    with reserved(made, stop):
        make_images(denoiser, store, edits, made, params, batch_size, stop)
        checksums = [sha256_file(made / edit.file) for edit in edits]
        code = code_hash(["meddiff.scoring.score", network_module(spec.model.kind)])
        every = 60 * compute.save_minutes
        judge = SelfJudge(denoiser, code, params, batch_size, every, stop, str(files.weights))
        columns = judge.columns(edits, checksums, made)
        if oracle:
            columns |= oracle_columns(oracle, edits, made, batch_size)
        if network:
            columns["feature_distance"] = feature_distances(network, store, edits, made, batch_size)
        log.info("%d images in %.0f s on %s", len(edits), time.monotonic() - started, device_name(device))
        counterfactuals = [edit for edit in edits if edit.main and edit.role == COUNTERFACTUAL]
        write_features(network, store, counterfactuals, made, batch_size, files.features)
        _publish(edits, made, files.images)
        with atomic_path(files.table) as temporary:
            rows = edit_table(edits, checksums).assign(**columns)
            rows.to_csv(temporary, index=False, na_rep="nan", lineterminator="\n")


def _state_key(files: ExplainFiles, spec: ModelSpec, params: ExplainParams) -> str:
    settings = params.model_dump(
        include={"sampling_steps", "sampler", "extra_last_step", "seed", "precision"}
    )
    return sha256_json(
        {
            "settings": settings,
            "weights": sha256_file(files.weights / WEIGHTS),
            "spec": spec.to_dict(),
            "store": sha256_file(files.store / "manifest.json"),
            "split": files.split,
            "code": code_hash(["meddiff.explaining.counterfactuals", network_module(spec.model.kind)]),
        }
    )


def _publish(edits: Sequence[Edit], folder: Path, target: Path) -> None:
    """Fill `target` beside it, then swap: it never holds half of a run, or another run's images."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for edit in edits:
        out = partial / edit.file
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(folder / edit.file, out)
        except OSError:  # another file system, or one without links
            shutil.copyfile(folder / edit.file, out)
    shutil.rmtree(target, ignore_errors=True)
    partial.replace(target)
