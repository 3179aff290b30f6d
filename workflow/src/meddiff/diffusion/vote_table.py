"""How far ahead a class must be before a vote of N steps may stop, as a table (numpy and scipy only).

Stopping a vote by a Beta posterior is the rule of Aggarwal et al. 2023 ("Adaptive-Consistency", EMNLP);
bounding the probability that a stopped decision differs from that of the whole, uniformly over what the
whole may be, and computing it exactly by recursion, is that of Gandy 2009 ("Sequential implementation of
Monte Carlo tests with uniformly bounded resampling risk", JASA 104).

Two classes. With a uniform prior the votes are a Pólya urn, so that the posterior predictive probability
that the rival ends with at least as many votes as the leader (a beta-binomial tail) is a recursion from the
last step backwards. Stop where it is below a level: since chance has an opportunity at every step, not delta,
but the largest level up to delta with which

    P(stop for the class that the full run decides against, at any look | votes of the full run) <= delta

for all votes of the full run. Given these votes all orders of the steps are equally likely, since noise and
noise levels are independent draws: no prior is involved, and the bound holds for every image. It is worst for
the closest result, because a further vote for the winner, in any place, makes stopping for the loser less
likely; there it is computed exactly over the lattice of votes.

More classes. The leader must be ahead of every rival by the same table, indexed by the votes of the two
together, with delta / (K - 1) in place of delta (a union bound over the classes that could be stopped for).
The other classes' votes may leave the two any number T <= N of votes, so the bound is required for all T.
The predictive probability is that of the case in which all remaining steps vote for one of the two.

Where classes share the lowest error of a step exactly its vote is divided. It is rounded here to what stops
later: up for a rival, down for the leader.

Low-discrepancy noise levels are not independent draws, and in the spread order not all orders are equally
likely: there the bound is an approximation.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import gammaln

from meddiff.diffusion.vote import Floats, Ints

_SMALLEST_LEVEL = 1e-6  # of delta; below it there is nothing to gain
_HALVINGS = 16


@lru_cache(maxsize=64)
def most_rival_votes(steps: int, classes: int, delta: float, min_steps: int = 1) -> Ints:
    """The most votes that a rival may have for stopping, by the number of votes of leader and rival.

    Args:
        steps: N of the full run.
        classes: K, 2 or more.
        delta: largest probability that the decision differs from that of the full run.
        min_steps: number of votes before which nothing stops.

    Returns:
        [N + 1], read-only and never decreasing; -1 where no result is clear enough.
    """
    risk = catching_up(steps)
    share = delta / (classes - 1)
    low, high = np.log(share * _SMALLEST_LEVEL), np.log(share)
    best = np.full(steps + 1, -1)
    for level in (high, *[None] * _HALVINGS):  # the largest level first, then bisection
        middle = (low + high) / 2 if level is None else level
        most = (risk < np.exp(middle)).sum(axis=1) - 1  # risk grows with the rival's votes
        most[:min_steps] = -1
        if disagreement(most, classes) <= share:
            best, low = most, middle
        else:
            high = middle
    best.setflags(write=False)
    return best


def catching_up(steps: int) -> Floats:
    """Posterior predictive probability that the rival ends with at least as many votes as the leader.

    Returns:
        [N + 1, N + 1], entry (n, r) after n votes of which the rival has r; 1 where r > n.
    """
    risk = np.ones((steps + 1, steps + 1))
    votes = np.arange(steps + 1)
    risk[steps] = 2 * votes >= steps
    for n in range(steps - 1, -1, -1):
        rival = votes[: n + 1]
        for_rival = (rival + 1) / (n + 2)
        risk[n, : n + 1] = (1 - for_rival) * risk[n + 1, : n + 1] + for_rival * risk[n + 1, 1 : n + 2]
    return risk


def disagreement(most: Ints, classes: int) -> float:
    """Largest probability, over the votes of the full run, that a pair of classes stops for the loser.

    `most` as of `most_rival_votes`. Of two classes the pair has all N votes, and the winner may be stopped
    for first; of more it has any number up to N, and stopping for the winner is left out of account.
    """
    steps = len(most) - 1
    totals = np.array([steps]) if classes == 2 else np.arange(1, steps + 1)
    n, winner, log_paths = _first_crossings(most, both_sides=classes == 2)
    if not len(n):
        return 0.0
    total, of_winner = totals[:, None], (totals[:, None] + 1) // 2
    possible = (n <= total) & (winner <= of_winner) & (n - winner <= total - of_winner)
    with np.errstate(invalid="ignore"):
        log_share = _log_choose(total - n, of_winner - winner) - _log_choose(total, of_winner)
    probabilities = np.where(possible, np.exp(np.where(possible, log_paths + log_share, -np.inf)), 0.0)
    return float(probabilities.sum(axis=1).max())


def _first_crossings(most: Ints, both_sides: bool) -> tuple[Ints, Ints, Floats]:
    """Where paths of votes are stopped for the loser: votes, those of the winner, log number of paths."""
    steps = len(most) - 1
    paths = np.zeros(steps + 2)  # share of all 2^n paths, by the winner's votes
    paths[0] = 1.0
    found = []
    votes = np.arange(steps + 2)
    for n in range(1, steps + 1):
        paths[1:] = (paths[1:] + paths[:-1]) / 2
        paths[0] /= 2
        crossed = np.flatnonzero((votes <= most[n]) & (paths > 0))
        found += [(n, winner, np.log(paths[winner]) + n * np.log(2)) for winner in crossed]
        paths[crossed] = 0.0
        if both_sides:
            paths[n - votes <= most[n]] = 0.0
    columns = np.array(found, dtype=np.float64).reshape(-1, 3).T
    return columns[0].astype(np.int64), columns[1].astype(np.int64), columns[2]


def _log_choose(n: Ints, k: Ints) -> Floats:
    return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
