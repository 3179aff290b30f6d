"""How networks judge generated images: the diffusion classifier itself, and a baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meddiff.config.schema.counterfactual import ExplainParams
from meddiff.data.stores.store import Store
from meddiff.devices.out_of_memory import Halving
from meddiff.diffusion import vote
from meddiff.diffusion.denoiser import Denoiser
from meddiff.explaining.edits import Edit, read_images
from meddiff.explaining.feature_network import FeatureNetwork
from meddiff.io import atomic_path, sha256_json
from meddiff.scoring.partial_errors import PartialErrors, complete
from meddiff.scoring.passes import Passes
from meddiff.scoring.settings import ScoringSettings

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class SelfJudge:
    """A diffusion classifier that is asked about its own counterfactuals.

    Attributes:
        denoiser: in eval mode, on the device to compute on.
        code: hash of the code that scores with it.
        params: settings.
        batch_size: network inputs a pass.
        save_every_seconds: how often partial errors are saved.
        stop: whether to stop.
        model: name of the weights, for messages.
    """

    denoiser: Denoiser
    code: str
    params: ExplainParams
    batch_size: int
    save_every_seconds: float
    stop: Callable[[], bool]
    model: str

    def columns(self, edits: Sequence[Edit], checksums: Sequence[str], folder: Path) -> Columns:
        """`prediction` and `p_<k>` of all edits; NaN for those that are not `judged`.

        Args:
            edits: all images of a run.
            checksums: SHA-256 of their files.
            folder: where the files are; errors are kept in ``errors`` below it.
        """
        classes = self.denoiser.num_classes
        p = np.full((len(edits), classes), np.nan)
        prediction = np.full(len(edits), np.nan)
        asked = np.flatnonzero([edit.judged for edit in edits])
        settings = [(edits[i].from_t, edits[i].cfg_scale, edits[i].role) for i in asked]
        for setting in dict.fromkeys(settings):
            # One setting at a time: a new one in the comparison leaves the results of the others valid.
            rows = asked[[other == setting for other in settings]]
            tally = vote.tally(self._errors([edits[i] for i in rows], [checksums[i] for i in rows], folder))
            by_majority = self.params.decision == "majority"
            p[rows] = tally.vote_shares() if by_majority else tally.softmax()
            prediction[rows] = tally.majority() if by_majority else tally.lowest_mean()
        return {"prediction": prediction, **_by_class("p", p)}

    def _errors(self, edits: Sequence[Edit], checksums: Sequence[str], folder: Path) -> np.ndarray:
        key = sha256_json(
            {
                "images": list(checksums),
                "settings": self.params.model_dump(include={"seed", "precision", "noise_levels"}),
                "code": self.code,
            }
        )
        path = folder / "errors" / f"{key[:16]}.npy"
        params = self.params
        completed = complete(
            PartialErrors(path, self.save_every_seconds, self.stop),
            Passes(self.denoiser, self.batch_size, "classifying counterfactuals"),
            _EditImages(folder, edits),
            [edit.file for edit in edits],
            ScoringSettings(params.seed, params.validity_steps, params.noise_levels, params.precision),
            model=self.model,
            precision_key="counterfactuals.precision",
        )
        return completed.errors


@dataclass(frozen=True)
class _EditImages:
    """Written images, read when they are scored."""

    folder: Path
    edits: Sequence[Edit]

    def __getitem__(self, rows: list[int]) -> np.ndarray:
        return read_images(self.folder, [self.edits[row] for row in rows])


def oracle_columns(oracle: FeatureNetwork, edits: Sequence[Edit], folder: Path, batch_size: int) -> Columns:
    """`oracle_prediction` and `oracle_p_<k>` of all edits."""
    in_parts = Halving(batch_size, oracle.device, "classifying with the oracle")
    p = np.concatenate(in_parts(lambda part: oracle.probabilities(read_images(folder, part)), edits))
    return {"oracle_prediction": p.argmax(axis=1), **_by_class("oracle_p", p)}


def feature_distances(
    network: FeatureNetwork, store: Store, edits: Sequence[Edit], folder: Path, batch_size: int
) -> np.ndarray:
    """[M] distance of each edit to its test image."""

    def distances(part: Sequence[Edit]) -> np.ndarray:
        inputs = np.stack([np.array(store.images[edit.row]) for edit in part])
        return network.distances(read_images(folder, part), inputs)

    return np.concatenate(Halving(batch_size, network.device, "feature distances")(distances, edits))


def write_features(
    network: FeatureNetwork | None,
    store: Store,
    edits: Sequence[Edit],
    folder: Path,
    batch_size: int,
    path: Path,
) -> None:
    """Write what distances between sets of images are made from, as a NumPy archive.

    It has `generated` [M, D] of `edits` and `real` [I, D] of all images of `store`, both float32; it is empty
    without a network.
    """
    arrays = {}
    if network:
        in_parts = Halving(batch_size, network.device, "features")
        generated = in_parts(lambda part: network.features(read_images(folder, part)), edits)
        real = in_parts(network.features, store.images)
        arrays = {
            "generated": np.concatenate(generated).astype(np.float32),
            "real": np.concatenate(real).astype(np.float32),
        }
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **arrays)


def _by_class(name: str, p: np.ndarray) -> Columns:
    return {f"{name}_{k}": p[:, k] for k in range(p.shape[1])}
