"""What images are read out as: scores of the classes, probabilities, and a class."""

from __future__ import annotations

from dataclasses import dataclass

from meddiff.diffusion.vote import Floats, Ints


@dataclass(frozen=True)
class Readout:
    """What a decision rule, or a network, makes of I images.

    Attributes:
        scores: float64 [I, K] evidence for each class on a log scale, up to a constant of the image. Their
            softmax are the probabilities, unless the rule says otherwise.
        probabilities: float64 [I, K], not calibrated.
        prediction: int [I] class index.
    """

    scores: Floats
    probabilities: Floats
    prediction: Ints
