"""Error profiles: how the errors of an image go with the noise level, and how unlike the training data it is.

An image has one error at each of a few noise levels drawn at random, so profiles are compared through a model
of what lies behind them, fitted on the images of the validation split (a linear mixed model; of curves that
are seen at few points: Yao, Mueller and Wang 2005, J. Am. Stat. Assoc. 100, 577). With the mean error over
classes e_s at logSNR l_s,

    ln e_s = mean(l_s) + sum_j w_j hat_j(l_s) + noise,   w ~ N(0, covariance),   noise ~ N(0, variance(l_s)),

where mean and variance are smooth curves, and hat_j the piecewise linear functions that are 1 at one of seven
knots, quantiles of logSNR, and 0 at the others. The expected w given an image's errors is its profile: it
exists for any number of steps, and where some are missing.

Scores of an image, larger = less like the validation images:

- ``profile``: distance of its profile from the mean, two-sided: Mahalanobis' with correlations that are
  shrunk by four fifths towards 0 (docs/tried.md has why).
- ``mean_error``: mean over steps of the error in standard deviations of its level, one-sided, as of Graham et
  al. (2023, CVPR Workshops), who take reconstruction errors from several noise levels so.
- ``path_change``: how fast the error changes along the noise levels, two-sided; in the spirit of DiffPath
  (Heng et al. 2024, NeurIPS), which takes the rate of change of the predicted noise along the path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meddiff.diffusion.vote import Floats
from meddiff.errors import DataError

KNOTS, CURVE_KNOTS, VARIANCE_KNOTS = 7, 24, 12  # at quantiles of logSNR
SHRINKAGE = 0.8  # of correlations between the parts of a profile
FLOOR = 0.1  # added to the covariance, of its mean variance: what no validation image does is seen, too
LEAST_IMAGES = 3
_ITERATIONS = 20
_LEAST_VARIANCE, _LEAST_SPREAD = 1e-8, 1e-6
_TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class Curve:
    """A piecewise linear function of logSNR, constant beyond its first and last knot."""

    knots: Floats
    values: Floats

    def __call__(self, logsnr: NDArray[np.floating]) -> Floats:
        return np.interp(logsnr, self.knots, self.values)


@dataclass(frozen=True)
class LevelModel:
    """The fitted mixed model; J is `KNOTS`, or fewer where levels repeat.

    Attributes:
        mean, variance: curves of the logarithmic error, and of the noise about an image's own profile.
        knots: [J] of profiles.
        covariance: [J, J] of w.
    """

    mean: Curve
    variance: Curve
    knots: Floats
    covariance: Floats

    def profiles(self, log_errors: Floats, logsnr: NDArray[np.floating]) -> Floats:
        """[I, J] expected w given the logarithmic errors [I, S], NaN where there is none."""
        residual = log_errors - self.mean(logsnr)
        weight = np.where(np.isfinite(residual), 1 / self.variance(logsnr), 0.0)
        return _posterior(hats(logsnr, self.knots), np.nan_to_num(residual), weight, self.covariance)[0]

    def standardized(self, log_errors: Floats, logsnr: NDArray[np.floating]) -> Floats:
        """[I, S] logarithmic errors in standard deviations of their level over images and noise."""
        hat = hats(logsnr, self.knots)
        between = ((hat @ self.covariance) * hat).sum(axis=-1)
        return (log_errors - self.mean(logsnr)) / np.sqrt(between + self.variance(logsnr))


@dataclass(frozen=True)
class ErrorProfile:
    """What the profiles of validation images are like.

    Attributes:
        model: of errors by noise level.
        center, spread: [J] mean and standard deviation of profiles.
        correlation: [J, J] of these, shrunk.
        change: mean and standard deviation of the logarithmic rate of change.
    """

    model: LevelModel
    center: Floats
    spread: Floats
    correlation: Floats
    change: Floats

    def __call__(self, errors: NDArray[np.floating], logsnr: NDArray[np.floating]) -> dict[str, Floats]:
        """Kind -> [I] score of each image.

        Args:
            errors: [I, S, K], NaN where not evaluated; steps without all classes do not count.
            logsnr: [I, S].
        """
        log_errors = logarithms(errors)
        z = (self.model.profiles(log_errors, logsnr) - self.center) / self.spread
        standard = self.model.standardized(log_errors, logsnr)
        change = (_log_change(standard, logsnr) - self.change[0]) / self.change[1]
        return {
            "profile": np.sqrt(((z @ np.linalg.inv(self.correlation)) * z).sum(axis=1)),
            "mean_error": np.nanmean(standard, axis=1),
            "path_change": np.abs(change),
        }


def logarithms(errors: NDArray[np.floating]) -> Floats:
    """[I, S] logarithm of the mean over classes of errors [I, S, K]; NaN where a class is missing."""
    return np.log(np.maximum(np.asarray(errors, dtype=np.float64).mean(axis=-1), _TINY))


def hats(logsnr: NDArray[np.floating], knots: Floats) -> Floats:
    """[..., J] piecewise linear functions of logSNR [...], each 1 at its knot and 0 at the others."""
    return np.stack([np.interp(logsnr, knots, unit) for unit in np.eye(len(knots))], axis=-1)


def fit(errors: NDArray[np.floating], logsnr: NDArray[np.floating]) -> ErrorProfile:
    """The profile of validation images.

    Args:
        errors: [I, S, K], NaN where not evaluated.
        logsnr: [I, S].

    Raises:
        DataError: if there are too few images.
    """
    if len(errors) < LEAST_IMAGES:
        raise DataError(
            f"error profile: {len(errors)} validation images are too few, it takes {LEAST_IMAGES}; give the "
            "validation split more, or set `score: {validation: false}`"
        )
    log_errors = logarithms(errors)
    model = _fit_model(log_errors, logsnr)
    profiles = model.profiles(log_errors, logsnr)
    spread = np.maximum(profiles.std(axis=0), _LEAST_SPREAD)
    z = (profiles - profiles.mean(axis=0)) / spread
    correlation = (1 - SHRINKAGE) * z.T @ z / len(z) + SHRINKAGE * np.eye(z.shape[1])
    change = _log_change(model.standardized(log_errors, logsnr), logsnr)
    moments = np.array([change.mean(), max(change.std(), _LEAST_SPREAD)])
    return ErrorProfile(model, profiles.mean(axis=0), spread, correlation, moments)


def _fit_model(log_errors: Floats, logsnr: NDArray[np.floating]) -> LevelModel:
    """By expectation and maximization (Laird and Ware 1982, Biometrics 38)."""
    there = np.isfinite(log_errors)
    levels = logsnr[there]
    mean = _least_squares(levels, log_errors[there])
    residual = np.where(there, log_errors - mean(logsnr), 0.0)
    knots = _quantiles(levels, KNOTS)
    hat = hats(logsnr, knots)
    squares, covariance = residual**2 / 2, np.eye(len(knots)) * residual[there].var()
    for _ in range(_ITERATIONS):
        variance = _average(levels, squares[there])
        weight = np.where(there, 1 / variance(logsnr), 0.0)
        expected, uncertain = _posterior(hat, residual, weight, covariance)
        squares = (residual - (hat @ expected[..., None])[..., 0]) ** 2
        squares += ((hat @ uncertain) * hat).sum(axis=-1)
        covariance = expected.T @ expected / len(expected) + uncertain.mean(axis=0)
    floor = FLOOR * np.diag(covariance).mean() * np.eye(len(knots))
    return LevelModel(mean, variance, knots, covariance + floor)


def _posterior(hat: Floats, residual: Floats, weight: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Mean [I, J] and covariance [I, J, J] of w given residuals [I, S] with weights 1 / variance."""
    weighted = (hat * weight[..., None]).swapaxes(1, 2)
    # (C^-1 + M)^-1 = C (1 + M C)^-1, which a covariance of less than full rank allows.
    seen = np.eye(hat.shape[-1]) + weighted @ hat @ covariance
    uncertain = covariance @ np.linalg.inv(seen)
    return (uncertain @ (weighted @ residual[..., None]))[..., 0], uncertain


def _quantiles(levels: NDArray[np.floating], number: int) -> Floats:
    return np.unique(np.quantile(levels.astype(np.float64), np.linspace(0, 1, number)))


def _least_squares(levels: NDArray[np.floating], values: Floats) -> Curve:
    knots = _quantiles(levels, CURVE_KNOTS)
    return Curve(knots, np.linalg.lstsq(hats(levels, knots), values)[0])


def _average(levels: NDArray[np.floating], values: Floats) -> Curve:
    """Local averages, which are positive where values are."""
    knots = _quantiles(levels, VARIANCE_KNOTS)
    hat = hats(levels, knots)
    return Curve(knots, np.maximum(values @ hat / hat.sum(axis=0), _LEAST_VARIANCE))


def _log_change(standard: Floats, logsnr: NDArray[np.floating]) -> Floats:
    """[I] logarithm of the mean squared difference between neighbouring levels; 0 of less than two steps."""
    order = np.argsort(np.where(np.isfinite(standard), logsnr, np.inf), axis=1, kind="stable")
    squares = np.diff(np.take_along_axis(standard, order, axis=1), axis=1) ** 2
    number = np.isfinite(squares).sum(axis=1)
    mean = np.nansum(squares, axis=1) / np.maximum(number, 1)
    return np.where(number > 0, np.log(np.maximum(mean, _TINY)), 0.0)
