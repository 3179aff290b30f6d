"""Calibrated probabilities: what is fitted on the scores of the validation split (numpy and SciPy only).

The model is p = softmax(slope * score + offset) with one slope and one offset a class: for two classes
Platt's (1999), for more what is called bias-corrected temperature scaling (Alexandari et al. 2020). The
logits of a discriminative model get a slope alone, its inverse temperature (Guo et al. 2017).

The offsets hold the frequencies of the classes in the validation split, and probabilities are for images
that have them, too. Where the frequencies are others (`prevalence`), each class's probability is multiplied
by the ratio of the two and all are divided by their sum (Saerens et al. 2002).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import log_softmax, softmax

from meddiff.diffusion.vote import Floats
from meddiff.errors import DataError
from meddiff.readout.triage import NO_MARGINS, Margins

_TOLERANCE = 1e-10


@dataclass(frozen=True)
class Calibration:
    """A fitted calibration of K classes.

    Attributes:
        class_names: K names, in the order of the scores.
        slope: not negative.
        offsets: K, which sum to 0; all 0 where there is a slope only.
        counts: K numbers of validation images, whose frequencies the probabilities are for.
        margins: of validation images, by which images are triaged.
    """

    class_names: tuple[str, ...]
    slope: float
    offsets: tuple[float, ...]
    counts: tuple[int, ...]
    margins: Margins = NO_MARGINS

    def __call__(self, scores: np.ndarray, prevalence: Sequence[float] | None = None) -> Floats:
        """Calibrated probabilities [I, K].

        Args:
            scores: [I, K].
            prevalence: K frequencies of the classes where the probabilities are used, in any unit; those of
                the validation split if not given.
        """
        logits = self.slope * np.asarray(scores, dtype=np.float64) + np.asarray(self.offsets)
        if prevalence is not None:
            wanted, own = np.asarray(prevalence, dtype=np.float64), np.asarray(self.counts)
            logits = logits + np.log(wanted / wanted.sum()) - np.log(own / own.sum())
        return softmax(logits, axis=1)

    def to_dict(self) -> dict[str, object]:
        """As it is stored."""
        return {**asdict(self), "class_names": list(self.class_names)}


def fit(scores: np.ndarray, labels: np.ndarray, class_names: Sequence[str], *, offsets: bool) -> Calibration:
    """Fit by the likelihood of the labels.

    Labels are smoothed as Platt did, so that scores that separate the classes without an error give no
    infinite slope, but by half as much: of a class with n images the label's own probability is (n + 1/2) /
    (n + K/2), as with Jeffreys' prior (docs/tried.md has the comparison).

    Args:
        scores: [I, K] of validation images.
        labels: int [I].
        class_names: K names.
        offsets: whether classes have offsets beside the slope.

    Raises:
        DataError: if a class has no image.
    """
    from scipy.optimize import minimize  # slow to import, and not needed where a calibration is only applied

    scores = np.asarray(scores, dtype=np.float64)
    classes = len(class_names)
    counts = np.bincount(labels, minlength=classes)
    if (absent := [name for name, n in zip(class_names, counts, strict=True) if not n]) or len(labels) < 2:
        raise DataError(
            f"calibration: of {len(labels)} validation images none is of class {', '.join(absent)!r}; give "
            "the validation split images of every class, or set `score: {validation: false}`"
        )
    centred = scores - scores.mean(axis=1, keepdims=True)
    unit = centred.std() or 1.0  # of scores that are sums over pixels, or a few votes
    own = (counts + 0.5) / (counts + classes / 2)
    targets = np.repeat(((1 - own) / (classes - 1))[labels][:, None], classes, axis=1)
    targets[np.arange(len(labels)), labels] = own[labels]

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope, free = parameters[0], np.append(parameters[1:], 0.0) if offsets else np.zeros(classes)
        log_p = log_softmax(slope * centred / unit + free, axis=1)
        residual = (np.exp(log_p) - targets) / len(labels)
        gradient = [(residual * centred / unit).sum(), *(residual.sum(axis=0)[:-1] if offsets else ())]
        return float(-(targets * log_p).sum() / len(labels)), np.asarray(gradient)

    start = np.zeros(classes if offsets else 1)
    bounds = [(0.0, None), *[(None, None)] * (len(start) - 1)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, tol=_TOLERANCE).x
    free = np.append(found[1:], 0.0) if offsets else np.zeros(classes)
    free = free - free.mean()
    return Calibration(
        tuple(class_names), float(found[0] / unit), tuple(map(float, free)), tuple(map(int, counts))
    )
