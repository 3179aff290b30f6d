"""From logits or probabilities of a discriminative model to a table of predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import softmax

from meddiff.diffusion import vote
from meddiff.readout.predictions import PROBABILITY, UNCERTAINTY, logarithms, table_of
from meddiff.readout.scores import Readout


def from_logits(
    image_ids: Sequence[str],
    groups: Sequence[str],
    labels: np.ndarray,
    logits: np.ndarray,
    class_names: Sequence[str],
) -> pd.DataFrame:
    """Predictions of a discriminative baseline, which uses one step per image.

    Args:
        image_ids, groups: I strings each.
        labels: int [I].
        logits: [I, K], whose softmax are the probabilities.
        class_names: K names.
    """
    logits = np.asarray(logits, dtype=np.float64)
    p = softmax(logits, axis=1)
    return table_of(
        np.asarray(image_ids, dtype=str),
        np.asarray(groups, dtype=str),
        labels,
        class_names,
        Readout(logits, p, p.argmax(axis=1)),
        {"softmax_entropy": vote.entropy(p)},
        np.ones(len(p), dtype=np.int64),
        1,
    )


def from_probabilities(
    image_ids: Sequence[str], groups: Sequence[str], labels: np.ndarray, probabilities: np.ndarray
) -> pd.DataFrame:
    """Predictions from class probabilities alone, of classes that are named by their index.

    Args:
        image_ids, groups: I strings each.
        labels: int [I].
        probabilities: [I, K]; rows sum to 1.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    names = [str(k) for k in range(p.shape[1])]
    table = from_logits(image_ids, groups, labels, logarithms(p), names)
    # As they are given, without a detour over logarithms.
    table[[PROBABILITY + name for name in names]] = p
    kinds = {"prediction": p.argmax(axis=1), UNCERTAINTY + "softmax_entropy": vote.entropy(p)}
    return table.assign(**kinds)
