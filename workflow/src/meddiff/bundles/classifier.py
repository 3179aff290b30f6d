"""A model that answers about images that are in no dataset."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from meddiff.bundles.answers import CLASS, Answers
from meddiff.bundles.bundle import ALL_STEPS, AS_USED, Bundle, is_bundle
from meddiff.bundles.pictures import Given, Input, listed, read
from meddiff.bundles.runs import RunFolder, check_classes
from meddiff.bundles.usage import Fitted, Usage
from meddiff.errors import ConfigError, DataError
from meddiff.models.spec import WEIGHTS, ModelSpec

if TYPE_CHECKING:
    from torch import nn

    from meddiff.bundles.explanation import Explanation

log = logging.getLogger("meddiff")

_IMAGES_AT_ONCE = 256


class Classifier:
    """A trained model with what a run knows of it: how images are prepared, scored, decided and calibrated.

    Attributes:
        usage: how the model is used.
        class_names: names of its classes, in the order of the class index.
        decision: the decision rule.
        all_steps: whether every image gets all steps; else it stops when its decision is clear.

    Images may be files (JPEG, PNG, BMP, TIFF, GIF, WebP, DICOM), folders of these, NumPy arrays (uint8 [H, W]
    or [H, W, 3], uint16 [H, W]) or Pillow's images. What the model cannot take is refused with the reason.

    >>> classifier = Classifier.from_folder(bundle)
    >>> classifier.class_names
    ['no finding', 'effusion']
    >>> table = classifier.predict(images)
    >>> table["class"].isin(classifier.class_names).all()
    np.True_
    >>> shares = table[["p_no finding", "p_effusion"]].sum(axis=1)
    >>> bool((abs(shares - 1) < 1e-9).all())
    True
    """

    def __init__(
        self,
        source: Bundle | RunFolder,
        decision: str | None = None,
        all_steps: bool = False,
        device: str = "auto",
    ) -> None:
        """Take a model from where it lies; see `from_folder`."""
        self._source, self._device = source, device
        self.spec: ModelSpec = source.spec
        self.usage: Usage = source.usage if isinstance(source, Bundle) else source.usage()
        check_classes(self._folder, self.spec, self.usage)
        self.class_names = list(self.usage.class_names)
        self.decision = decision or self.usage.decisions[0]
        if self.decision not in self.usage.decisions:
            raise ConfigError(
                f"decision: {self._folder} has no rule {self.decision!r}; there are "
                f"{', '.join(self.usage.decisions)}"
            )
        if isinstance(source, RunFolder) and not all_steps and not source.can_stop(self.usage):
            log.warning(
                "%s: errors_valid.nc is not here, so nothing can be fitted to images that stop early: all "
                "steps are evaluated",
                source.decided,
            )
            all_steps = True
        self.all_steps = all_steps
        self.stopping = self.usage.stopping(self.decision, all_steps)

    @classmethod
    def from_folder(
        cls,
        folder: str | os.PathLike[str],
        *,
        decision: str | None = None,
        all_steps: bool = False,
        device: str = "auto",
    ) -> Self:
        """The model in a folder. Nothing in it is unpickled, and nothing is downloaded.

        Args:
            folder: a bundle of `meddiff export`, or ``results/<experiment>/<dataset>/<model>/seed<k>`` of a
                run, or the folder ``weights`` in it.
            decision: decision rule, one that the run has used; majority where it has.
            all_steps: evaluate all steps of every image, as the run's predictions are made where it did not
                stop early.
            device: ``cpu``, ``cuda``, or ``auto`` for a GPU where there is one.

        Raises:
            CheckpointError: if it holds no model, a damaged one, or one of other classes than it says.
            DataError: if the records of the run are missing.
            ConfigError: if there is no such decision rule or device.
        """
        if device not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"device: expected auto, cpu or cuda, got {device!r}")
        path = Path(folder)
        return cls(Bundle(path) if is_bundle(path) else RunFolder.open(path), decision, all_steps, device)

    @property
    def _folder(self) -> Path:
        return self._source.folder

    @property
    def is_diffusion(self) -> bool:
        """Whether it decides by the errors of a diffusion model; else it is a baseline."""
        return self.usage.scoring is not None

    @cached_property
    def network(self) -> nn.Module:
        """The network with its weights, in eval mode on its device."""
        import torch

        from meddiff.models.checkpoint import load_tensors, read_weights

        source, has_gpu = self._source, torch.cuda.is_available()
        if self._device == "cuda" and not has_gpu:
            raise ConfigError("device: PyTorch finds no GPU here; say cpu or auto")
        device = torch.device("cuda" if has_gpu and self._device != "cpu" else "cpu")
        network = self.spec.build()
        if isinstance(source, Bundle):
            tensors, path = source.tensors(), source.folder
        else:
            path = source.weights / WEIGHTS
            tensors = read_weights(path)
        load_tensors(path, tensors, network)
        if self.usage.scoring is None:
            return network.to(device).eval()
        from meddiff.config.schema.compute import DEFAULT_COMPUTE
        from meddiff.networks.prepare import prepare_network

        precision = self.usage.scoring.precision
        return prepare_network(network, DEFAULT_COMPUTE, device, precision).eval()

    @cached_property
    def fitted(self) -> Fitted:
        """What was fitted on validation images that were scored as images are here."""
        if isinstance(self._source, Bundle):
            return self._source.fitted(self.decision, ALL_STEPS if self.all_steps else AS_USED)
        return self._source.fitted(self.usage, self.decision, self.stopping)

    def read(self, images: Given | Iterable[Given]) -> list[Input]:
        """The images as the network sees them, those of folders included; refused ones say why."""
        return list(read(listed(images), self.usage.pixels))

    def predict(
        self, images: Given | Iterable[Given], *, image_ids: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Classify images.

        Args:
            images: one or many.
            image_ids: one an image, of which the noise of a diffusion model is a function; by default a hash
                of what the network sees. With the id that an image has in its dataset and `all_steps` the
                answer is the one in the run's predictions.

        Returns:
            One row an image: ``image``, ``refused`` (the reason; blank where it was answered),
            ``note`` (what had to be assumed of the image; blank where nothing had to be), ``class``,
            ``decision`` (the rule), ``p_<class>`` (by majority the share of votes, of an image that stopped
            early the one to be expected of all its steps, as in the run's predictions),
            ``calibrated_<class>``, ``at_operating_point`` (of two classes, the one at the threshold chosen on
            validation images), ``triage`` (a class where it is sure, or ``refer``), ``in_set_<class>`` (1
            where the image may be of it, else 0),
            ``unlike`` (unlike the images that the model was trained on, as one of twenty of these would be),
            ``uncertainty_<kind>``, ``ood_<kind>``, ``steps_used``, ``steps``, and ``image_id``. What was
            not fitted has no column. Of refused images all but the first three columns are missing values;
            where all are refused there is no further column than ``class``.

        Raises:
            ConfigError: if there are not as many ids as images.
        """
        return self.answer(self.read(images), image_ids)

    def answer(self, inputs: Sequence[Input], image_ids: Sequence[str] | None = None) -> pd.DataFrame:
        """`predict` of what was read."""
        if image_ids is not None and len(image_ids) != len(inputs):
            raise ConfigError(f"image_ids: expected one an image ({len(inputs)}), got {len(image_ids)}")
        taken = [row for row, one in enumerate(inputs) if one.pixels is not None]
        ids = [inputs[row].image_id if image_ids is None else image_ids[row] for row in taken]
        given = [(one.name, one.refused, one.note) for one in inputs]
        parts = [pd.DataFrame(given, columns=["image", "refused", "note"])]
        if taken:
            answers = Answers(self.class_names, self.decision, self.fitted, self.usage.deciding)
            tables = []
            for first in range(0, len(taken), _IMAGES_AT_ONCE):
                here = slice(first, first + _IMAGES_AT_ONCE)
                pixels = np.stack([inputs[row].pixels for row in taken[here]])
                tables.append(answers.shown(self._decided(answers, pixels, ids[here])))
            parts.append(pd.concat(tables, ignore_index=True).set_axis(taken))
        else:
            parts.append(pd.DataFrame({CLASS: [None] * len(inputs)}, dtype=object))
        return pd.concat(parts, axis=1)

    def _decided(self, answers: Answers, pixels: np.ndarray, ids: Sequence[str]) -> pd.DataFrame:
        """The table of predictions of images [I, H, W, C]."""
        scoring = self.usage.scoring
        if scoring is None:
            from meddiff.networks.classifier import predict_logits

            return answers.of_logits(predict_logits(self.network, pixels, description="classifying"), ids)
        from meddiff.bundles.scoring import score_images

        scored = score_images(self.network, pixels, ids, scoring, self.stopping)
        return answers.of_errors(scored.errors, scored.logsnr, ids)

    def explain(self, image: Given, *, image_id: str | None = None) -> Explanation:
        """Say why an image is classified as it is.

        Args:
            image: one image.
            image_id: as in `predict`.

        Returns:
            Its answer, its counterfactuals, and maps of where in it the evidence lies.

        Raises:
            DataError: if the image is refused.
        """
        found = self.read(image)
        if len(found) != 1:
            raise DataError(f"{image}: has {len(found)} images; explain them one by one")
        return self.explain_input(found[0], image_id)

    def explain_input(self, one: Input, image_id: str | None = None) -> Explanation:
        """`explain` of what was read."""
        from meddiff.bundles.explanation import explain_baseline, explain_diffusion

        if one.pixels is None:
            raise DataError(one.refused)
        name = one.image_id if image_id is None else image_id
        answers = Answers(self.class_names, self.decision, self.fitted, self.usage.deciding)
        answer: dict[str, Any] = {"image": one.name, "note": one.note}
        if self.usage.scoring is None:
            answer |= answers.shown(self._decided(answers, one.pixels[None], [name])).iloc[0].to_dict()
            return explain_baseline(self.network, self.class_names, answer, one.pixels)
        from meddiff.bundles.scoring import evidence_of, score_images

        scored = score_images(self.network, one.pixels[None], [name], self.usage.scoring, self.stopping)
        answer |= answers.shown(answers.of_errors(scored.errors, scored.logsnr, [name])).iloc[0].to_dict()
        maps = evidence_of(self.network, one.pixels, name, self.usage.scoring, scored.errors[0])
        return explain_diffusion(self.network, self.usage, answer, one.pixels, maps)
