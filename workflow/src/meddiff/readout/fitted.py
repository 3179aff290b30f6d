"""Decision rules that are fitted on the validation split.

Each is a function that makes a rule (`meddiff.readout.rules`) from ``(errors [I, S, K], logsnr [I, S], labels
[I])``, of all steps and with images of every class, and a line of `FITTED`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from meddiff.diffusion import vote
from meddiff.diffusion.level_weights import LevelWeights, fit_level_weights
from meddiff.diffusion.vote import Floats
from meddiff.readout.candidates import centred, evaluated_steps, highest
from meddiff.readout.rules import Rule, by_votes, majority, mean, t_score
from meddiff.readout.scores import Readout

Fit = Callable[[NDArray[np.floating], NDArray[np.floating], NDArray[np.integer]], Rule]

_BANDS = 16  # of noise levels, with as many validation steps each
_PENALTY = 0.1  # inverse strength of the regression's, on standardised features


def weighted_votes(
    errors: NDArray[np.floating], logsnr: NDArray[np.floating], labels: NDArray[np.integer]
) -> Rule:
    """Most votes, each of them weighted by its noise level (`meddiff.diffusion.level_weights`)."""
    weights = fit_level_weights(errors, logsnr, labels)

    def rule(errors: NDArray[np.floating], logsnr: NDArray[np.floating]) -> Readout:
        tally, votes = vote.tally(errors), weighted_ballots(errors, logsnr, weights).sum(axis=1)
        # Counted so that all votes together are the steps.
        shares = votes / votes.sum(axis=1, keepdims=True)
        found = by_votes(replace(tally, counts=shares * tally.steps[:, None]), errors.shape[1])
        return replace(found, prediction=replace(tally, counts=votes).majority())

    return rule


def weighted_errors(
    errors: NDArray[np.floating], logsnr: NDArray[np.floating], labels: NDArray[np.integer]
) -> Rule:
    """Lowest mean error, each weighted by its noise level (`meddiff.diffusion.level_weights`)."""
    weights = fit_level_weights(errors, logsnr, labels)
    return lambda errors, logsnr: mean(errors * weights.of_errors(logsnr)[..., None], logsnr)


def centred_votes(
    errors: NDArray[np.floating], logsnr: NDArray[np.floating], labels: NDArray[np.integer]
) -> Rule:
    """Most votes after each class's `_Offsets` at the step's noise level are taken off its errors."""
    offsets = _Offsets(errors, logsnr, labels)
    return lambda errors, logsnr: majority(offsets.taken_off(errors, logsnr), logsnr)


def centred_mean(
    errors: NDArray[np.floating], logsnr: NDArray[np.floating], labels: NDArray[np.integer]
) -> Rule:
    """Lowest mean error after `_Offsets` are taken off; scores as `t_score`."""
    offsets = _Offsets(errors, logsnr, labels)
    return lambda errors, logsnr: t_score(offsets.taken_off(errors, logsnr), logsnr)


def centred_weighted(
    errors: NDArray[np.floating], logsnr: NDArray[np.floating], labels: NDArray[np.integer]
) -> Rule:
    """`weighted_errors` after `_Offsets` are taken off: a linear discriminant of independent levels."""
    offsets = _Offsets(errors, logsnr, labels)
    rule = weighted_errors(offsets.taken_off(errors, logsnr), logsnr, labels)
    return lambda errors, logsnr: rule(offsets.taken_off(errors, logsnr), logsnr)


def band_regression(
    errors: NDArray[np.floating], logsnr: NDArray[np.floating], labels: NDArray[np.integer]
) -> Rule:
    """Multinomial logistic regression on mean errors in bands of noise levels, which learns the prior too.

    Features are logarithms of errors less their step's mean over classes. A band in which an image has no
    step is taken as on average over validation.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    edges = _edges(logsnr)
    features = _band_means(errors, logsnr, edges)
    usual = np.nan_to_num(np.nanmean(features, axis=0))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=_PENALTY, max_iter=1000))
    model.fit(np.where(np.isfinite(features), features, usual), labels)

    def rule(errors: NDArray[np.floating], logsnr: NDArray[np.floating]) -> Readout:
        found = _band_means(errors, logsnr, edges)
        p = model.predict_proba(np.where(np.isfinite(found), found, usual))
        return highest(np.log(np.maximum(p, np.finfo(np.float32).tiny)), errors)

    return rule


FITTED: Mapping[str, Fit] = {
    "weighted_votes": weighted_votes,
    "weighted_errors": weighted_errors,
    "centred_votes": centred_votes,
    "centred_mean": centred_mean,
    "centred_weighted": centred_weighted,
    "band_regression": band_regression,
}


def weighted_ballots(
    errors: NDArray[np.floating], logsnr: NDArray[np.floating], weights: LevelWeights
) -> Floats:
    """[I, S, K] the vote of each step by class, times the weight of its noise level."""
    return np.stack(vote.ballots(errors)[1], axis=-1) * weights.of_votes(logsnr)[..., None]


class _Offsets:
    """What the errors of each class differ by whatever the image shows, in bands of noise levels.

    Two classes are level where the mean difference of their errors is half way between that of validation
    images of the one and of the other; the offset of a class is the mean of that over its rivals (least
    squares). How frequent a class is has no influence.
    """

    def __init__(
        self, errors: NDArray[np.floating], logsnr: NDArray[np.floating], labels: NDArray[np.integer]
    ) -> None:
        self._edges = _edges(logsnr)
        classes, values = errors.shape[-1], centred(errors)
        bands = len(self._edges) + 1
        # Entry (b, y, k): the mean error of class k in band b for images of class y.
        cell = (np.searchsorted(self._edges, logsnr) * classes + np.asarray(labels)[:, None]).ravel()
        sums = [np.bincount(cell, values[..., k].ravel(), bands * classes) for k in range(classes)]
        number = np.maximum(np.bincount(cell, minlength=bands * classes), 1)
        means = (np.stack(sums, axis=-1) / number[:, None]).reshape(bands, classes, classes)
        own, rivals = np.einsum("bkk->bk", means), np.swapaxes(means, 1, 2)
        # At entry (k, j): of k minus j for images of k, and for images of j.
        of_own, of_rival = own[:, :, None] - means, rivals - own[:, None]
        self._offsets = (of_own + of_rival).mean(axis=2) / 2

    def taken_off(self, errors: NDArray[np.floating], logsnr: NDArray[np.floating]) -> Floats:
        """[I, S, K] errors without the offsets of their band."""
        return errors - self._offsets[np.searchsorted(self._edges, logsnr)]


def _edges(logsnr: NDArray[np.floating]) -> Floats:
    """Inner edges of `_BANDS` bands, or fewer, of as many steps each."""
    return np.unique(np.quantile(logsnr, np.arange(1, _BANDS) / _BANDS))


def _band_means(errors: NDArray[np.floating], logsnr: NDArray[np.floating], edges: Floats) -> Floats:
    """[I, bands * (K - 1)] mean logarithms of errors less their step's mean; NaN without a step."""
    evaluated, band = evaluated_steps(errors), np.searchsorted(edges, logsnr)
    relative = centred(np.log(np.maximum(errors, np.finfo(np.float32).tiny)))[..., 1:]
    columns = []
    for b in range(len(edges) + 1):
        here = evaluated & (band == b)
        number = here.sum(axis=1, keepdims=True)
        sums = np.where(here[..., None], relative, 0.0).sum(axis=1)
        columns.append(np.divide(sums, number, out=np.full(sums.shape, np.nan), where=number > 0))
    return np.concatenate(columns, axis=1)
