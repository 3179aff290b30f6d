"""Decision rules: from the errors of an image's steps to a class and probabilities.

A rule is one function ``(errors [I, S, K], logsnr [I, S]) -> Readout`` and one line: of `RULES` where
experiments may use it, and in `meddiff.readout.candidates` or `meddiff.readout.fitted` where `meddiff rules`
is to judge it (docs/rules.md has the ranking). Errors are NaN where a class was not evaluated, and only steps
with all classes count (`meddiff.diffusion.vote`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from meddiff.diffusion import vote
from meddiff.readout.scores import Readout

Rule = Callable[[NDArray[np.floating], NDArray[np.floating]], Readout]


def majority(errors: NDArray[np.floating], logsnr: NDArray[np.floating]) -> Readout:
    """Most votes, of several the lowest mean error (the paper's rule); see `by_votes`."""
    return by_votes(vote.tally(errors), errors.shape[1])


def by_votes(tally: vote.Tally, total: int) -> Readout:
    """The class with most votes.

    Scores are ln((v + 1/2) / (n + K / 2)) for v votes of n evaluated steps, finite where a class has none.
    Probabilities are not their softmax but shares of votes, for an image that stopped those to be expected of
    all `total` steps.
    """
    smoothed = (tally.counts + 0.5) / (tally.steps + tally.counts.shape[-1] / 2)[:, None]
    return Readout(np.log(smoothed), tally.vote_shares(total), tally.majority())


def mean(errors: NDArray[np.floating], logsnr: NDArray[np.floating]) -> Readout:
    """Lowest mean error; scores are -mean / 2, Gaussian log-likelihoods (`meddiff.diffusion.vote`)."""
    tally = vote.tally(errors)
    return Readout(-tally.mean / 2, tally.softmax(), tally.lowest_mean())


def t_score(errors: NDArray[np.floating], logsnr: NDArray[np.floating]) -> Readout:
    """Lowest mean error; the score of each class is minus its paired t against that one, whose score is 0."""
    tally = vote.tally(errors)
    best = tally.lowest_mean()
    others = [np.full_like(best, k) for k in range(errors.shape[-1])]
    scores = 0.0 - np.stack([np.abs(vote.paired_t(errors, best, other)) for other in others], axis=-1)
    return Readout(scores, softmax(scores, axis=-1), best)


RULES: Mapping[str, Rule] = {
    "majority": majority,
    "mean": mean,
    "t_score": t_score,
}
