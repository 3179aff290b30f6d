"""One small sample of each kind of file that outlives a version, in every version of its format.

``python tests/formats/format_samples.py`` writes those of today's versions that are not there yet, from what
today's readers make of the newest older ones. A sample is never written again: it is what some meddiff wrote.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from error_samples import save_errors, save_evidence
from meddiff.bundles import bundle
from meddiff.data.stores import store_files
from meddiff.data.stores.store import Store
from meddiff.errors import CheckpointError, DataError, MeddiffError, ReleaseError
from meddiff.models import spec
from meddiff.models.checkpoint import read_weights, save_weights
from meddiff.readout import calibration_file, ood, predictions
from meddiff.records import record
from meddiff.scoring import error_file, evidence_file
from meddiff.weights import releases

SAMPLES = Path(__file__).parent / "samples"
NETWORKS = ("unet", "dit", "timm", "stable_diffusion")


@dataclass(frozen=True)
class Kind:
    """A kind of file, or folder, that outlives a version.

    Attributes:
        module: has ``FORMAT_VERSION``, that of the files that are written today.
        suffix: of its samples.
        read: by today's reader; takes the path.
        write: what was read, by today's writer; None where a sample has to be made by hand.
        error: what a file of a newer version raises; None where it is as if there were none.
        exact: whether the same content is the same bytes whatever the versions of libraries and defaults.
    """

    module: ModuleType
    suffix: str
    read: Callable[[Path], Any]
    write: Callable[[Any, Path], object] | None
    error: type[MeddiffError] | None
    exact: bool = False


def _read_release(path: Path) -> releases.Release:
    with tempfile.TemporaryDirectory() as root:
        place = releases.release_path("trial", Path(root))
        place.parent.mkdir(parents=True)
        shutil.copy(path, place)
        return releases.read_release("trial", Path(root))


def _write_release(release: releases.Release, path: Path) -> None:
    with tempfile.TemporaryDirectory() as root:
        shutil.copy(releases.write_release(release, Path(root)), path)


def _read_weights(folder: Path) -> dict[str, Any]:
    specs = {network: spec.read_spec(folder / network) for network in NETWORKS}
    return {**specs, "tensors": read_weights(folder / "unet" / spec.WEIGHTS)}


def _write_weights(content: dict[str, Any], folder: Path) -> None:
    for network in NETWORKS:
        (folder / network).mkdir(parents=True)
        spec.write_config(folder / network, content[network], seed=0)
    layer = torch.nn.Linear(2, 1)
    layer.load_state_dict(content["tensors"])
    save_weights(folder / "unet" / spec.WEIGHTS, layer)


def _read_store(folder: Path) -> dict[str, Store]:
    return {split: Store.open(folder, split) for split in ("train", "valid", "test")}


def _read_record(path: Path) -> dict[str, Any] | None:
    with tempfile.TemporaryDirectory() as root:
        result = Path(root, "majority.csv")
        record.record_path(result).parent.mkdir()
        shutil.copy(path, record.record_path(result))
        return record.read_record(result)


KINDS = {
    "errors": Kind(error_file, ".nc", error_file.load_errors, save_errors, DataError),
    "evidence": Kind(evidence_file, ".nc", evidence_file.load_evidence, save_evidence, DataError),
    "predictions": Kind(
        predictions,
        ".csv",
        predictions.read_predictions,
        predictions.write_predictions,
        DataError,
        exact=True,
    ),
    "calibration": Kind(
        calibration_file,
        ".json",
        calibration_file.read_calibration,
        lambda content, path: calibration_file.write_calibration(path, content),
        DataError,
        exact=True,
    ),
    "profile": Kind(
        ood,
        ".json",
        ood.read_profile,
        lambda content, path: ood.write_profile(path, *content),
        DataError,
        exact=True,
    ),
    "bundle": Kind(
        bundle,
        ".json",
        bundle.read_manifest,
        lambda content, path: bundle.write_manifest(path, content),
        CheckpointError,
        exact=True,
    ),
    "weights": Kind(spec, "", _read_weights, _write_weights, CheckpointError),
    "release": Kind(releases, ".json", _read_release, _write_release, ReleaseError, exact=True),
    "store": Kind(store_files, "", _read_store, None, DataError),
    "record": Kind(record, ".json", _read_record, None, None),
}


def sample(name: str, version: int) -> Path:
    """Where the sample of a version of a kind lies."""
    return SAMPLES / f"{name}-v{version}{KINDS[name].suffix}"


def versions(name: str) -> list[int]:
    """The versions of a kind that have a sample."""
    found = SAMPLES.glob(f"{name}-v*")
    return sorted(int(path.name.removeprefix(f"{name}-v").removesuffix(KINDS[name].suffix)) for path in found)


def config_version(folder: Path) -> int | None:
    """What ``config.yaml`` of weights says."""
    return yaml.safe_load((folder / spec.CONFIG).read_text()).get("format_version")


def write_missing() -> None:
    """Write the samples of today's versions that are not there."""
    for name, kind in KINDS.items():
        today = sample(name, kind.module.FORMAT_VERSION)
        if today.exists():
            continue
        if kind.write is None:
            sys.exit(f"{today}: has to be made by hand")
        kind.write(kind.read(sample(name, kind.module.FORMAT_VERSION - 1)), today)


if __name__ == "__main__":
    write_missing()
