"""Why an image is classified as it is: counterfactuals, what they change, and where the evidence lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from meddiff.bundles.usage import Usage
from meddiff.diffusion.sample import Sampling
from meddiff.io import atomic_path

if TYPE_CHECKING:
    from torch import nn

# Ends of the scale: evidence for the class (or lighter), and against it (or darker).
_RED, _BLUE = np.array([178, 24, 43]), np.array([33, 102, 172])


@dataclass(frozen=True)
class Explanation:
    """What a model has to say about one image.

    Attributes:
        answer: its row of `Classifier.predict`, by column.
        image: uint8 [H, W, C], as the network sees it.
        factual: the same denoised as the class that it was decided to be; None of a baseline.
        counterfactuals: class -> the image as it would look as that one, from the same noise.
        evidence: other class -> [h, w], positive where the evidence is for the decided class against
            it; of a baseline one map by Grad-CAM of what speaks for the decided class, named by it.
            A map that is the same everywhere says nothing about where (`blank`).
    """

    answer: Mapping[str, Any]
    image: np.ndarray
    factual: np.ndarray | None = None
    counterfactuals: Mapping[str, np.ndarray] = field(default_factory=dict)
    evidence: Mapping[str, np.ndarray] = field(default_factory=dict)

    def differences(self) -> dict[str, np.ndarray]:
        """Class -> int16 [H, W, C]: its counterfactual less the factual, which differ by the class only."""
        if self.factual is None:
            return {}
        return {
            name: edited.astype(np.int16) - self.factual.astype(np.int16)
            for name, edited in self.counterfactuals.items()
        }

    def blank(self) -> list[str]:
        """Classes whose evidence map has one value everywhere, which is not drawn."""
        return [name for name, values in self.evidence.items() if not np.ptp(values)]

    def pictures(self) -> dict[tuple[str, str], np.ndarray]:
        """(What it is, of which class) -> uint8 [H, W] or [H, W, 3], of all that can be looked at."""
        decided = str(self.answer["class"])
        found: dict[tuple[str, str], np.ndarray] = {("image", ""): _plain(self.image)}
        if self.factual is not None:
            found["factual", decided] = _plain(self.factual)
        for name, edited in self.counterfactuals.items():
            found["counterfactual", name] = _plain(edited)
        for name, change in self.differences().items():
            found["difference", name] = coloured(change.mean(axis=2))
        for name in [name for name in self.evidence if name not in self.blank()]:
            found["evidence", name] = coloured(self.evidence[name])
        return found

    def write(self, folder: Path, class_names: Sequence[str]) -> None:
        """Write all pictures as PNG, one file each: ``<what>.png`` or ``<what>_<index of the class>.png``."""
        for (what, name), pixels in self.pictures().items():
            number = f"_{list(class_names).index(name)}" if name else ""
            with atomic_path(folder / f"{what}{number}.png") as temporary:
                Image.fromarray(pixels).save(temporary)


def explain_diffusion(
    network: nn.Module, usage: Usage, answer: Mapping[str, Any], image: np.ndarray, maps: np.ndarray
) -> Explanation:
    """The explanation of a diffusion model.

    Args:
        network: on the device to compute on.
        usage: how counterfactuals are made.
        answer: of the image.
        image: uint8 [H, W, C].
        maps: [K - 1, h, w], from `meddiff.bundles.scoring.evidence_of`.
    """
    from meddiff.explaining.counterfactuals import edit_images

    names, editing = list(usage.class_names), usage.editing
    decided = names.index(answer["class"])
    others = [k for k in range(len(names)) if k != decided]
    against_first = np.concatenate([np.zeros_like(maps[:1]), maps])
    targets = [decided, *others]
    sampling = Sampling(
        editing.from_t, editing.sampling_steps, editing.cfg_scale, editing.sampler, editing.extra_last_step
    )
    edited = edit_images(
        network,
        np.stack([image] * len(targets)),
        [str(answer["image_id"])] * len(targets),
        targets,
        sampling,
        editing.seed,
        precision=editing.precision,
    )
    return Explanation(
        answer,
        image,
        edited[0],
        {names[k]: one for k, one in zip(others, edited[1:], strict=True)},
        # Of class j against k: how much worse k predicts the noise there.
        {names[k]: against_first[k] - against_first[decided] for k in others},
    )


def explain_baseline(
    network: nn.Module, class_names: Sequence[str], answer: Mapping[str, Any], image: np.ndarray
) -> Explanation:
    """The explanation of a baseline: Grad-CAM at the last layer that has more than one place.

    (The layer that finds lesions best, which `meddiff.localising.run` takes, is known only where there are
    masks of lesions.) The last layer of a network for large images has one place only in small ones.
    """
    from meddiff.localising.grad_cam import grad_cam, layer_names

    decided, side = str(answer["class"]), min(image.shape[:2])
    reduction = {info["module"]: info["reduction"] for info in network.backbone.feature_info}
    names = layer_names(network)
    layer = next((name for name in reversed(names) if reduction[name] < side), names[-1])
    maps = grad_cam(network, image[None], [list(class_names).index(decided)], layer)
    return Explanation(answer, image, evidence={decided: maps[0]})


def _plain(pixels: np.ndarray) -> np.ndarray:
    """[H, W] or [H, W, 3] of stored pixels [H, W, C]."""
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def coloured(values: np.ndarray) -> np.ndarray:
    """uint8 [h, w, 3]: white at 0, red to the largest absolute value, blue to its negative."""
    largest = float(np.abs(values).max())
    share = values[..., None] / largest if largest > 0 else np.zeros((*values.shape, 1))
    ends = np.where(share > 0, _RED, _BLUE)
    return np.rint(255 + np.abs(share) * (ends - 255)).astype(np.uint8)
