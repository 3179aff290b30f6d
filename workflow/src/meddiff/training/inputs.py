"""What the training of a model depends on: the identity of its weights and of its resume state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meddiff.config.schema.model import AnyModel
from meddiff.config.schema.pretrained import PretrainingRun
from meddiff.data.stores.joint import JointStore
from meddiff.data.stores.store import Store
from meddiff.io import sha256_file, sha256_json
from meddiff.models.kinds import training_modules
from meddiff.models.spec import WEIGHTS, ModelSpec
from meddiff.provenance import code_hashes
from meddiff.weights.pretrained import verified_manifest


def open_stores(store_dirs: Sequence[Path], split: str) -> Store | JointStore:
    """One split of a store, or of several as one; their images are compared with no checksum yet."""
    if len(store_dirs) == 1:
        return Store.open(store_dirs[0], split, checked=False)
    return JointStore.open(store_dirs, split, checked=False)


def training_inputs(
    model: AnyModel, seed: int, store_dirs: Sequence[Path], pretrained_dir: Path | None
) -> dict[str, Any]:
    """Everything that decides what weights training makes. Equal inputs make equal weights.

    Args:
        model: resolved configuration, with the architecture of its pretrained weights.
        seed: of initialisation, data order and noise.
        store_dirs: folders of the image stores.
        pretrained_dir: folder of the weights that training begins from.

    Returns:
        ``params`` (resolved configuration), ``code`` (source file -> SHA-256), ``data`` (SHA-256 of each
        store's manifest) and, where there are some, ``pretrained`` (a hash).

    Raises:
        DataError: if a store is missing.
        CheckpointError: if the pretrained weights are not what their manifest says.
    """
    return known_inputs(
        model,
        seed,
        ModelSpec.for_store(model, open_stores(store_dirs, "train")),
        store_dirs=store_dirs,
        pretrained_dir=pretrained_dir,
    )


def known_inputs(
    model: AnyModel,
    seed: int,
    spec: ModelSpec | None,
    *,
    store_dirs: Sequence[Path] | None = None,
    pretrained_dir: Path | None = None,
) -> dict[str, Any]:
    """Those of `training_inputs` that are known before the run has made the others.

    Args:
        model: resolved configuration.
        seed: see `training_inputs`.
        spec: `model` as it stands before its data; None where its architecture is not known yet.
        store_dirs: the stores; None where they are to be made again.
        pretrained_dir: weights that training begins from; None where there are none, or not yet.

    Raises:
        CheckpointError: if the pretrained weights are not what their manifest says.
    """
    inputs: dict[str, Any] = {"code": code_hashes(training_modules(model))}
    if spec is not None:
        inputs["params"] = {**spec.to_dict(), "seed": seed}
    if store_dirs is not None:
        inputs["data"] = [sha256_file(folder / "manifest.json") for folder in store_dirs]
    if pretrained_dir and isinstance(model.pretrained, PretrainingRun):
        inputs["pretrained"] = sha256_file(pretrained_dir / WEIGHTS)
    elif pretrained_dir:
        inputs["pretrained"] = sha256_json(verified_manifest(pretrained_dir))
    return inputs
