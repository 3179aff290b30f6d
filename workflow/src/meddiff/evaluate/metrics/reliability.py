"""Whether probabilities are as frequent as they say, as functions of image weights.

Slope and intercept are of a probability and whether its event happened (`Images.events`): of two classes that
of the second one, as is usual in medicine (Van Calster et al. 2019, BMC Med. 17); of more that of the
predicted class and whether it is right. Calibration errors are always of the predicted class.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from meddiff.evaluate.metrics.ranking import Floats

_MODES = 128  # of the cosine series: what is narrower than a hundredth is not resolved
_HALVINGS = 16
_STEPS = 60  # of Newton's method, which needs ten or so
_CONVERGED = 1e-11
_FLAT = 1e-100  # a slope that says nothing of where to go
_LARGEST_LOGIT = 80.0


class SmoothError:
    """The smooth calibration error of Błasiok and Nakkiran (2024, ICLR), within [0, 1]; it has no bins.

    The gap between event and probability is smoothed by a Gaussian that is reflected at 0 and 1, and the
    absolute values of that are summed up. The Gaussian's standard deviation is not chosen: it is the one that
    equals the error itself.
    """

    def __init__(self, probability: np.ndarray, happened: np.ndarray) -> None:
        """Prepare what does not depend on weights; arguments are [I]."""
        modes = np.pi * np.arange(_MODES)
        # The reflected Gaussian multiplies the coefficients of a cosine series.
        self._series = np.cos(probability[:, None] * modes) * (happened - probability)[:, None]
        self._decay = -(modes**2) / 2
        places = (np.arange(2 * _MODES) + 0.5) / (2 * _MODES)
        self._at_places = np.cos(modes[:, None] * places) * np.where(modes > 0, 2.0, 1.0)[:, None]

    def __call__(self, weights: np.ndarray) -> Floats:
        """[B] values for weights [B, I]."""
        coefficients = weights @ self._series / weights.sum(axis=1, keepdims=True)
        low, high = np.zeros(len(coefficients)), np.ones(len(coefficients))
        for _ in range(_HALVINGS):  # the error falls as the width rises
            width = (low + high) / 2
            smoothed = coefficients * np.exp(self._decay * width[:, None] ** 2)
            wider = np.abs(smoothed @ self._at_places).mean(axis=1) > width
            low, high = np.where(wider, width, low), np.where(wider, high, width)
        return (low + high) / 2


def slope(logit: np.ndarray, happened: np.ndarray, weights: np.ndarray) -> Floats:
    """[B] Cox's calibration slope (1958, Biometrika 45): of a logistic regression of the event on the logit.

    Below 1 where probabilities are too extreme. NaN where there is none: without both outcomes, where all
    logits are equal, and where they separate the outcomes.

    Args:
        logit: [I] of the probability.
        happened: bool [I].
        weights: [B, I].
    """
    scale = logit.std() or 1.0
    x, w = (logit - logit.mean()) / scale, np.asarray(weights, dtype=np.float64)
    known = _overlapping(x, happened, w)
    found = np.full(len(w), np.nan)
    found[known] = _regression(x, happened, w[known])[1] / scale
    return found


def intercept(logit: np.ndarray, happened: np.ndarray, weights: np.ndarray) -> Floats:
    """[B] calibration intercept, or calibration in the large: what is added to every logit.

    That of a logistic regression of the event with the logit as offset, so of a slope of 1. Below 0 where
    events are less frequent than probabilities say. NaN without both outcomes; arguments are as of `slope`.
    """
    w = np.asarray(weights, dtype=np.float64)
    events, total = w @ happened, w.sum(axis=1)
    known = (events > 0) & (events < total)
    low, high = (np.full(known.sum(), sign * _LARGEST_LOGIT) for sign in (-1, 1))
    at, w = np.zeros(known.sum()), w[known]
    for _ in range(_STEPS):
        p = expit(logit + at[:, None])
        excess = (w * p).sum(axis=1) - events[known]
        low, high = np.where(excess < 0, at, low), np.where(excess < 0, high, at)
        newton = at - excess / np.maximum((w * p * (1 - p)).sum(axis=1), _FLAT)
        inside = (newton >= low) & (newton <= high)
        step, at = at, np.where(inside, newton, (low + high) / 2)
        if np.abs(at - step).max(initial=0) < _CONVERGED:
            break
    found = np.full(len(known), np.nan)
    found[known] = at
    return found


def _overlapping(x: np.ndarray, happened: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[B] whether a finite slope exists (Albert & Anderson 1984): outcomes overlap in `x`."""
    drawn = weights > 0
    least, most = (
        [edge(np.where(drawn & (happened == outcome), x, fill), axis=1) for outcome in (False, True)]
        for edge, fill in ((np.min, np.inf), (np.max, -np.inf))
    )
    return (most[0] > least[1]) & (most[1] > least[0])


def _regression(x: np.ndarray, happened: np.ndarray, weights: np.ndarray) -> Floats:
    """[2, B] intercept and slope of weighted logistic regressions, by Newton's method with bounded steps."""
    at = np.zeros((2, len(weights)))
    for _ in range(_STEPS):
        p = expit(at[0][:, None] + at[1][:, None] * x)
        residual, spread = weights * (happened - p), weights * p * (1 - p)
        gradient = np.stack([residual.sum(axis=1), residual @ x])
        aa, ab, bb = spread.sum(axis=1), spread @ x, spread @ x**2
        determinant = np.maximum(aa * bb - ab**2, np.finfo(float).tiny)
        step = (
            np.stack([bb * gradient[0] - ab * gradient[1], aa * gradient[1] - ab * gradient[0]]) / determinant
        )
        at += np.clip(step, -1, 1)
        if np.abs(step).max(initial=0) < _CONVERGED:
            break
    return at
