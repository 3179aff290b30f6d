"""Confidence intervals of shares and of other measures within [0, 1] that hold near 0 and 1 too.

A bootstrap cannot show what its sample lacks: where all of 10 images are decided rightly it says 100 %, but
a classifier that is right on 70 % is not excluded. The intervals here are those of Clopper & Pearson (1934,
Biometrika 26) for the number of independent images that the sample is worth, as Korn & Graubard (1998, Survey
Methodology 24) do it for samples in groups: the number of images divided by the *design effect* (variance of
the share over that of as many independent images), times the squared ratio of the t quantiles of images and
of groups.

Where nearly all images agree, the design effect cannot be estimated: images of one patient that are all right
say nothing about how alike they are. So it is a mean of the estimate and of the largest possible one,
weighted k : 1 for k expected independent images of the rarer kind (Kish's number of images times the rarer
share). The largest is that of images that are all alike within their group. Images in groups of one have a
design effect of 1, and the interval of their share is the exact one. `tests/evaluate/test_proportion.py`
simulates coverage: at 95 % it is 93 % or more for 10 to 2,000 images, shares of .5 to .99, groups of 1 to 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, stdtrit

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Images in groups.

    Attributes:
        index: [I] number of each image's group, 0..G - 1.
        sizes: [G] images in each group.
    """

    index: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, groups: ArrayLike) -> Sample:
        """The sample whose image i is in group ``groups[i]``."""
        _, index, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
        return cls(index.reshape(-1), sizes)

    @property
    def images(self) -> int:
        """I."""
        return len(self.index)

    @property
    def independent(self) -> float:
        """Number of independent images that it is worth if a group's images are all alike (Kish 1965)."""
        return float(self.images**2 / (self.sizes.astype(np.float64) ** 2).sum()) if self.images else 0.0

    @property
    def largest_effect(self) -> float:
        """Design effect if a group's images are all alike, at least 1."""
        return self.images / self.independent if self.images else 1.0

    def sums(self, values: Floats) -> Floats:
        """[G, M] sums over groups of `values` [I, M]."""
        order = np.argsort(self.index, kind="stable")
        starts = np.append(0, np.cumsum(self.sizes)[:-1])
        return np.add.reduceat(values[order], starts, axis=0)

    def mean_variance(self, values: Floats) -> Floats:
        """[M] variance of the mean over images of `values` [I, M].

        Groups are independent; images of a group need not be. With fewer than two groups it is 0.
        """
        groups = len(self.sizes)
        if groups < 2:
            return np.zeros(values.shape[1])
        influence = (values - values.mean(axis=0)) / self.images  # what each image adds to the error
        variance = groups / (groups - 1) * (self.sums(influence) ** 2).sum(axis=0)
        # A divisor of I - 1 would do the same to that of independent images; G / (G - 1) is for groups.
        return variance * (1 - 1 / self.images)

    def bootstrap_variance(self, draws: ArrayLike) -> Floats:
        """[...] variance of a statistic, from its values [B, ...] in resamples of groups.

        Resamples without a value (NaN) are left out. A bootstrap's own variance is (G - 1) / G of this one.
        """
        draws = np.asarray(draws, dtype=np.float64)
        known, groups = np.isfinite(draws), len(self.sizes)
        number = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, draws, 0.0).sum(axis=0) / number
        squares = (np.where(known, draws - mean, 0.0) ** 2).sum(axis=0)
        return squares / np.maximum(number - 1, 1) * (groups / max(groups - 1, 1))

    def t_factor(self, confidence: float) -> float:
        """Squared ratio of the t quantiles of images and of groups, 1 where each image is a group."""
        images, groups = self.images, len(self.sizes)
        if images == groups or groups < 2:
            return 1.0
        upper = (1 + confidence) / 2
        return float((stdtrit(images - 1, upper) / stdtrit(groups - 1, upper)) ** 2)


def clopper_pearson(share: ArrayLike, number: ArrayLike, confidence: float) -> tuple[Floats, Floats]:
    """Exact limits of a share, by quantiles of Beta distributions, which also take a broken `number`.

    Args:
        share: [...] within [0, 1].
        number: [...] independent images, 0 or more; 0 gives [0, 1].
        confidence: e.g. .95.

    Returns:
        Two arrays [...]; NaN where `share` is.
    """
    share, number = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (share, number)))
    tail, hits = (1 - confidence) / 2, share * number
    misses = number - hits
    with np.errstate(invalid="ignore"):
        low = np.where(hits > 0, betaincinv(np.maximum(hits, 1e-300), misses + 1, tail), 0.0)
        high = np.where(misses > 0, betaincinv(hits + 1, np.maximum(misses, 1e-300), 1 - tail), 1.0)
    known = np.isfinite(share)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def share_interval(values: ArrayLike, groups: ArrayLike, confidence: float) -> tuple[Floats, Floats]:
    """Interval of the mean over images of something within [0, 1], such as whether a decision is right.

    Args:
        values: [I] or [I, M], bool or within [0, 1] (a mean over seeds of right and wrong counts as one
            image still: seeds are no further images).
        groups: [I] group of each image.
        confidence: e.g. .95.

    Returns:
        Lower and upper limits [] or [M]; [0, 1] without images.
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        return np.zeros(values.shape[1:]), np.ones(values.shape[1:])
    sample, columns = Sample.of(groups), values.reshape(len(values), -1)
    variance = sample.mean_variance(columns)
    low, high = bounded_interval(columns.mean(axis=0), variance, sample.images, sample, confidence)
    return low.reshape(values.shape[1:]), high.reshape(values.shape[1:])


def bounded_interval(
    value: ArrayLike,
    variance: ArrayLike,
    most: ArrayLike,
    sample: Sample,
    confidence: float,
    *,
    worst: ArrayLike = 1.0,
    rare: ArrayLike | None = None,
    smallest_effect: float = 1.0,
) -> tuple[Floats, Floats]:
    """Interval of a measure within [0, 1] whose variance is known from a bootstrap or a formula.

    Args:
        value: [...] the measure.
        variance: [...] its variance over samples of groups.
        most: [...] independent images that the sample is worth for this measure if no two are alike: the
            measure's variance is then value (1 - value) / most.
        sample: the images that it is of.
        confidence: e.g. .95.
        worst: [...] factor by which the design effect may be larger than that of groups of equal images.
        rare: [...] share of images of the rarer kind; the nearer of value and 1 - value by default.
        smallest_effect: the least design effect that the variance may give; 0 for a measure whose variance
            can be far below that of a share, such as a mean of small numbers.

    Returns:
        Lower and upper limits [...]; NaN where `value` is.
    """
    value = np.asarray(value, dtype=np.float64)
    binomial = value * (1 - value)
    rare = np.minimum(value, 1 - value) if rare is None else np.asarray(rare, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = np.where(binomial > 0, np.asarray(variance) * most / binomial, np.nan)
    estimate = np.where(np.isfinite(estimate), np.maximum(estimate, smallest_effect), 0.0)
    estimable = (binomial > 0) & (len(sample.sizes) > 1)
    share_of_worst = np.where(estimable, 1 / (1 + sample.independent * rare), 1.0)
    largest = np.maximum(sample.largest_effect * np.asarray(worst, dtype=np.float64), 1.0)
    effect = _effect(estimate, share_of_worst, largest)
    # Without an estimate there is none to allow for: only the largest effect counts then.
    factor = np.where(estimable, sample.t_factor(confidence), 1.0)
    number = np.asarray(most, dtype=np.float64) / np.maximum(effect, 1e-12) * factor
    return clopper_pearson(value, number, confidence)


def difference_interval(
    differences: ArrayLike, groups: ArrayLike, confidence: float
) -> tuple[Floats, Floats]:
    """Interval of the mean paired difference of two classifiers that are right or wrong on the same images.

    That of Bonett & Price (2012, Brit. J. Math. Stat. Psychol. 65), which Fagerland et al. (2014, Stat. Med.
    33) recommend: Wald's, with one image more for either classifier. It keeps a width where the two never
    differ. Groups count as in the module.

    Args:
        differences: [I] or [I, M] within [-1, 1]: right by the first minus right by the second.
        groups: [I] group of each image.
        confidence: e.g. .95.

    Returns:
        Lower and upper limits [] or [M].
    """
    values = np.asarray(differences, dtype=np.float64)
    sample, columns = Sample.of(groups), values.reshape(len(values), -1)
    first, second = np.maximum(columns, 0).mean(axis=0), np.maximum(-columns, 0).mean(axis=0)
    discordant = first + second
    spread = discordant - (first - second) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = np.where(spread > 0, sample.mean_variance(columns) * sample.images / spread, 1.0)
    weight = 1 / (1 + sample.independent * discordant) if len(sample.sizes) > 1 else 1.0
    number = sample.images / _effect(np.maximum(estimate, 1.0), weight, sample.largest_effect)
    first, second = ((number * share + 1) / (number + 2) for share in (first, second))
    error = np.sqrt((first + second - (first - second) ** 2) / (number + 2))
    upper = (1 + confidence) / 2
    # The normal quantile is that of t with infinitely many degrees of freedom.
    plain = len(sample.sizes) in (1, sample.images)
    quantile = stdtrit(np.inf if plain else len(sample.sizes) - 1, upper)
    centre, half = first - second, quantile * error
    shape = values.shape[1:]
    return (
        np.clip(centre - half, -1, 1).reshape(shape),
        np.clip(centre + half, -1, 1).reshape(shape),
    )


def _effect(estimate: Floats, weight: ArrayLike, largest: ArrayLike) -> Floats:
    """Design effect: the mean of an estimate and, with this weight, of the largest possible one."""
    weight = np.asarray(weight)
    return (1 - weight) * estimate + weight * np.maximum(estimate, largest)
