"""What a run's evidence maps are compared with: the images, where their lesions are, and other maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meddiff.data.phantom.truth import MARKED_CLASSES, lesion_masks
from meddiff.data.stores.store import Store
from meddiff.errors import DataError
from meddiff.localising.own_class import decided_rightly, own_class_maps
from meddiff.localising.saliency_file import read_saliency
from meddiff.readout.predictions import read_predictions
from meddiff.scoring.evidence_file import load_evidence

EVIDENCE, GRAD_CAM, PRIOR = "evidence", "grad_cam", "prior"


@dataclass(frozen=True)
class Split:
    """The images of a split whose lesions are known, with the maps to be compared.

    Attributes:
        image_ids, groups: I each.
        labels: int [I].
        right: bool [I], whether the diffusion classifier decides them rightly by mean error.
        masks: bool [I, H, W].
        maps: method -> [I, H, W]; of Grad-CAM one for each layer, named ``grad_cam/<layer>``.
    """

    image_ids: list[str]
    groups: list[str]
    labels: np.ndarray
    right: np.ndarray
    masks: np.ndarray
    maps: dict[str, np.ndarray]


@dataclass(frozen=True)
class Known:
    """Where lesions of a dataset are known.

    Attributes:
        root: folder of its images.
        phantom: its layout.
        store: folder of the image store.
    """

    root: Path
    phantom: str
    store: Path

    def split(self, name: str, evidence: Path, grad_cam: Path | None) -> Split:
        """The images of a split that show a lesion.

        Args:
            name: ``valid`` or ``test``.
            evidence: file of the evidence maps.
            grad_cam: file of Grad-CAM maps, if there is one.

        Raises:
            DataError: if a file is wrong, or is of other images.
        """
        dataset = load_evidence(evidence)
        side = Store.open(self.store, name).images.shape[1]
        shown = np.isin(dataset["label"].values, MARKED_CLASSES[self.phantom])
        masks = lesion_masks(self.root, dataset["image"].values[shown].tolist(), side)
        shown[np.flatnonzero(shown)[~masks.any(axis=(1, 2))]] = False  # too small for a pixel of the store
        masks = masks[masks.any(axis=(1, 2))]
        dataset = dataset.isel(image=np.flatnonzero(shown))
        ids, labels = dataset["image"].values.tolist(), dataset["label"].values
        maps = {EVIDENCE: enlarged(own_class_maps(dataset), side), PRIOR: self._prior(labels, side)}
        if grad_cam is not None:
            maps |= _of_same_images(grad_cam, ids)
        groups = dataset["group"].values.tolist()
        return Split(ids, groups, labels, decided_rightly(dataset), masks, maps)

    def _prior(self, labels: np.ndarray, side: int) -> np.ndarray:
        """[I, H, W] how often each place is in the lesion of a training image of the same class."""
        train = Store.open(self.store, "train")
        frequency = {}
        for k in np.unique(labels):
            ids = [train.image_ids[row] for row in np.flatnonzero(train.labels == k)]
            frequency[k] = lesion_masks(self.root, ids, side).mean(axis=0) if ids else np.zeros((side, side))
        return np.stack([frequency[k] for k in labels]) if len(labels) else np.empty((0, side, side))


def enlarged(maps: np.ndarray, side: int) -> np.ndarray:
    """Maps [I, h, w] of a latent space as [I, side, side], each value spread evenly over its pixels.

    Raises:
        DataError: if `side` is no multiple of theirs.
    """
    factor, rest = divmod(side, maps.shape[-1])
    if rest:
        raise DataError(f"evidence maps of {maps.shape[-1]} pixels do not fit images of {side}")
    return maps.repeat(factor, axis=1).repeat(factor, axis=2) / factor**2


def best_baseline(validation: Sequence[Path]) -> int:
    """Which baseline has the highest balanced accuracy on the validation split; of equals the first.

    Args:
        validation: their predictions of it.
    """
    scores = []
    for path in validation:
        table = read_predictions(path)
        scores.append((table["prediction"] == table["label"]).groupby(table["label"]).mean().mean())
    return int(np.argmax(scores))


def _of_same_images(path: Path, image_ids: list[str]) -> dict[str, np.ndarray]:
    dataset = read_saliency(path)
    rows = {image_id: row for row, image_id in enumerate(dataset["image"].values.tolist())}
    if missing := [image_id for image_id in image_ids if image_id not in rows]:
        raise DataError(f"{path}: has no map of image {missing[0]!r}; make it again with `meddiff gradcam`")
    maps = dataset["saliency"].transpose("image", "layer", "y", "x").values[[rows[i] for i in image_ids]]
    return {f"{GRAD_CAM}/{name}": maps[:, k] for k, name in enumerate(dataset["layer"].values.tolist())}
