"""From weights and a store to the counterfactuals of a run, with resuming: images, their table, features."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image

from meddiff.config.schema.compute import DEFAULT_COMPUTE, ComputeConfig
from meddiff.config.schema.counterfactual import ExplainParams
from meddiff.data.stores.store import Store
from meddiff.devices.out_of_memory import Halving
from meddiff.diffusion.denoiser import Denoiser
from meddiff.errors import Interrupted
from meddiff.explaining.counterfactuals import edit_images
from meddiff.explaining.edits import COUNTERFACTUAL, Edit, batches, edit_table, is_whole, plan, read_images
from meddiff.explaining.feature_network import FeatureNetwork
from meddiff.explaining.judging import SelfJudge, feature_distances, oracle_columns, write_features
from meddiff.io import atomic_path, sha256_file, sha256_json
from meddiff.models.kinds import network_module
from meddiff.models.spec import WEIGHTS, ModelSpec, read_spec
from meddiff.models.trained import default_device, device_name, load_model
from meddiff.progress import track
from meddiff.provenance import code_hash
from meddiff.scoring.batch_size import automatic_batch_size
from meddiff.signals import stop_signal
from meddiff.state_folder import reserved

log = logging.getLogger("meddiff")


def explain_run(
    weights_dir: Path,
    store_dir: Path,
    split: str,
    images_dir: Path,
    table: Path,
    features: Path,
    state_root: Path,
    params: ExplainParams,
    *,
    oracle_dir: Path | None,
    features_dir: Path | None,
    batch_size: int,
    save_every_seconds: float = 600.0,
    compute: ComputeConfig = DEFAULT_COMPUTE,
) -> None:
    """Make the counterfactuals of one diffusion model, have them classified, and write both.

    What was made before for the same weights, code, data and settings is taken over: a run that was stopped
    goes on, and one with more images or a larger comparison makes only the new ones.

    Args:
        weights_dir: folder with weights and configuration of the diffusion model.
        store_dir, split: the images.
        images_dir: folder to write, with one lossless PNG an edit (`meddiff.explaining.edits.Edit.file`);
            what is in it is replaced.
        table: CSV to write: `meddiff.explaining.edits.COLUMNS`; `prediction` and `p_<k>`, decision and
            probabilities of the model itself (not of cycles); `oracle_prediction` and `oracle_p_<k>`;
            and `feature_distance` to the test image. Columns of a network that is not given are left out.
        features: NumPy archive to write, see `meddiff.explaining.judging.write_features`; its `generated`
            are the experiment's counterfactuals in the order of the table.
        state_root: where partial results live.
        params: settings.
        oracle_dir: weights of a baseline that classifies too, or None.
        features_dir: weights of a baseline for features and their distances, or None.
        batch_size: network inputs a pass; 0 for what fits the device (`meddiff.scoring.batch_size`).
        save_every_seconds: how often partial classifications are saved.
        compute: attention kernel, memory format, compilation; changes images only by rounding.

    Raises:
        Interrupted: when asked to stop; what is made is kept.
        CheckpointError: if weights are damaged, of another kind, or not for these images.
        DataError: if the store is damaged.
        MeddiffError: if a value is not finite, or one image does not fit into memory.
    """
    store = Store.open(store_dir, split)
    read_spec(weights_dir).check_use(weights_dir, store, diffusion=True)
    device = default_device()
    oracle, network = (FeatureNetwork.load(d, device) if d else None for d in (oracle_dir, features_dir))
    if oracle_dir:
        read_spec(oracle_dir).check_classes(oracle_dir, store)
    denoiser, spec = load_model(weights_dir, device, compute, params.precision)
    edits = plan(store.image_ids, store.labels, store.num_classes, params)
    made = state_root / _state_key(weights_dir, store_dir, split, spec, params)[:16]
    stop = stop_signal()
    batch_size = batch_size or automatic_batch_size(denoiser, store.images.shape[1:], params.precision)
    started = time.monotonic()
    with reserved(made, stop):
        make_images(denoiser, store, edits, made, params, batch_size, stop)
        checksums = [sha256_file(made / edit.file) for edit in edits]
        code = code_hash(["meddiff.scoring.score", network_module(spec.model.kind)])
        judge = SelfJudge(denoiser, code, params, batch_size, save_every_seconds, stop, str(weights_dir))
        columns = judge.columns(edits, checksums, made)
        if oracle:
            columns |= oracle_columns(oracle, edits, made, batch_size)
        if network:
            columns["feature_distance"] = feature_distances(network, store, edits, made, batch_size)
        log.info("%d images in %.0f s on %s", len(edits), time.monotonic() - started, device_name(device))
        counterfactuals = [edit for edit in edits if edit.main and edit.role == COUNTERFACTUAL]
        write_features(network, store, counterfactuals, made, batch_size, features)
        _publish(edits, made, images_dir)
        with atomic_path(table) as temporary:
            rows = edit_table(edits, checksums).assign(**columns)
            rows.to_csv(temporary, index=False, na_rep="nan", lineterminator="\n")


def make_images(
    denoiser: Denoiser,
    store: Store,
    edits: Sequence[Edit],
    folder: Path,
    params: ExplainParams,
    batch_size: int,
    stop: Callable[[], bool],
) -> None:
    """Write the images that `folder` does not have yet.

    Raises:
        Interrupted: if `stop` says so, before the next step; finished batches are kept.
    """

    def on_step() -> None:
        if stop():
            raise Interrupted("stopped; run again to go on from there")

    every = _batches_of_one_setting(edits, batch_size)
    # A batch that was not finished is made again as a whole: in other company its last bits could differ.
    waiting = [batch for batch in every if not all(_is_made(folder / edit.file) for edit in batch)]
    done = len(every) - len(waiting)
    if done:
        log.info("%d of %d batches of counterfactuals are already made", done, len(every))
    halving = Halving(batch_size, next(denoiser.parameters()).device, "making counterfactuals")

    def edited(part: Sequence[Edit]) -> np.ndarray:
        return edit_images(
            denoiser,
            _starts(part, store, folder),
            [edit.noise_name for edit in part],
            [edit.classes[-1] for edit in part],
            seed=params.seed,
            from_t=part[0].from_t,
            cfg_scale=part[0].cfg_scale,
            steps=params.sampling_steps,
            sampler=params.sampler,
            extra_last_step=params.extra_last_step,
            precision=params.precision,
            on_step=on_step,
        )

    for batch in track(waiting, "making counterfactuals", len(every), done):
        images = np.concatenate(halving(edited, batch))
        for edit, pixels in zip(batch, images, strict=True):
            with atomic_path(folder / edit.file) as temporary:
                Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(temporary)


def _is_made(path: Path) -> bool:
    """Whether an image is there; the crash of a machine may leave empty files, and a disk damaged ones."""
    if not path.is_file():
        return False
    if not is_whole(path):
        log.warning("%s: is damaged; it is made again", path)
        return False
    return True


def _batches_of_one_setting(edits: Sequence[Edit], batch_size: int) -> list[Sequence[Edit]]:
    """Batches in the order in which to make them: cycles start from other edits, so they come last."""

    def setting(edit: Edit) -> tuple[bool, float, float]:
        return edit.before is not None, edit.from_t, edit.cfg_scale

    found = []
    for (_, _, cfg_scale), group in groupby(sorted(edits, key=setting), key=setting):
        # Guidance asks the network twice: with the class and without.
        found += batches(list(group), max(1, batch_size // (1 if cfg_scale == 1 else 2)))
    return found


def _starts(batch: Sequence[Edit], store: Store, folder: Path) -> np.ndarray:
    """What edits start from, uint8 [N, H, W, C]: test images, or counterfactuals made before."""
    if batch[0].before is None:
        return np.stack([np.array(store.images[edit.row]) for edit in batch])
    return read_images(folder, [edit.before for edit in batch])


def _state_key(weights_dir: Path, store_dir: Path, split: str, spec: ModelSpec, params: ExplainParams) -> str:
    settings = params.model_dump(
        include={"sampling_steps", "sampler", "extra_last_step", "seed", "precision"}
    )
    return sha256_json(
        {
            "settings": settings,
            "weights": sha256_file(weights_dir / WEIGHTS),
            "spec": spec.to_dict(),
            "store": sha256_file(store_dir / "manifest.json"),
            "split": split,
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
