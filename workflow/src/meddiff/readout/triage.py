"""Triage with a guarantee: which images are decided, and which are referred to a person.

What is promised is learned from validation images whose labels are known, by tests that are exact for any
number of them (learn then test: Angelopoulos et al. 2022). It holds with the stated confidence over draws of
the validation split, if its images are independent, and like those that are decided later. So that they are
independent, one image of each group (patient) is used, and what is promised is of one image of a new patient.

Images are ranked by margins: the score of a class less the highest other one, as rules and networks have
them. Nothing that was fitted on the validation split enters them.

- **Two classes.** An image is surely positive from a margin on, and surely negative up to another. Going down
  from the highest margins, the hypothesis that of the images so far more than 1 - PPV are negative is tested
  by the binomial distribution, until it is not rejected: tests in a fixed order need no correction. To get
  below the margin from which on the promise is not kept, all images above it, whose errors are binomial, must
  pass the test. It is assumed that precision does not fall as the margin rises. The order begins at the
  number of images that could be enough (`fewest`), or a fifth of those of the class if that is more: so early
  that it says something of rare classes, so late that one wrong label among many does not end it.
  An image is decided only for the class that is more probable: where 95 of 100 are negative, an NPV of .95 is
  kept by calling all of them so, the surely positive ones included.
- **More classes.** The classes that an image may be of are those whose margin is not too low for them. The
  threshold of a class is the highest of its own images (Mondrian: Vovk 2012) below which a share of at most
  1 - coverage lies (Wilks 1941), for all classes at once with the stated confidence. An image with one class
  is decided for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc  # scipy.stats is slow to import

from meddiff.diffusion.vote import Floats, Ints

REFER = "refer"
_BEGIN = 0.2  # of the images of the class
_SEARCHED = 1000  # images among which a test allows for one error more


@dataclass(frozen=True)
class Margins:
    """What is known of validation images: one of each group.

    Attributes:
        labels: class index of each image.
        values: margin of that class.
    """

    labels: tuple[int, ...] = ()
    values: tuple[float, ...] = ()


NO_MARGINS = Margins()


@dataclass(frozen=True)
class Sure:
    """Where images of two classes are decided.

    Attributes:
        negative: margins of the last class up to here are surely of the first one; None: none are.
        positive: margins from here on are surely of the last one; None: none are.
    """

    negative: float | None
    positive: float | None


def margins(scores: Floats) -> Floats:
    """[I, K] the score of each class less the highest other one."""
    ordered = np.sort(scores, axis=1)
    best, second = ordered[:, -1:], ordered[:, -2:-1]
    return scores - np.where(scores == best, second, best)


def fewest(precision: float, confidence: float) -> int:
    """The least number of images, none of them wrong, by which a precision is shown."""
    return math.ceil(math.log(1 - confidence) / math.log(precision))


def sure_thresholds(
    known: Margins, ppv: float, npv: float, confidence: float, prevalence: float | None = None
) -> Sure:
    """Thresholds of two classes.

    Args:
        known: of validation images.
        ppv, npv: least precision of positive and of negative decisions, within (0, 1).
        confidence: with which each of the two is promised.
        prevalence: share of the last class where images are decided; as in validation if not given. The
            frequencies in the validation split are then taken as known.
    """
    positive = np.asarray(known.labels) == 1
    values = np.where(positive, known.values, -np.asarray(known.values, dtype=np.float64))
    share = positive.mean() if len(positive) else 0.0
    wanted = share if prevalence is None else prevalence
    if not 0 < share < 1:
        return Sure(None, None)
    odds = wanted / (1 - wanted) * (1 - share) / share
    above = _shown(values, positive, _moved(ppv, 1 / odds), confidence)
    below = _shown(-values, ~positive, _moved(npv, odds), confidence)
    return Sure(None if below is None else -below, above)


def _moved(precision: float, odds: float) -> float:
    """The precision that is to be shown in the validation split for this one where images are decided.

    Args:
        precision: the one to be had.
        odds: those of the decided class in validation, over those where images are decided.
    """
    here = precision / (1 - precision) * odds
    return here / (1 + here)


def _shown(values: Floats, right: NDArray[np.bool_], precision: float, confidence: float) -> float | None:
    """The lowest threshold from which on the precision is shown; None where none is.

    Args:
        values: [n] what images are ranked by.
        right: [n] whether they are of the decided class.
    """
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1)  # equal values go together
    number, wrong = ends + 1, np.cumsum(~right[order])[ends]
    begin = np.searchsorted(number, _first(int(right.sum()), precision, confidence))
    passed = bdtr(wrong[begin:], number[begin:], 1 - precision) <= 1 - confidence
    many = int(np.argmin(passed)) if not passed.all() else len(passed)
    return float(values[order][ends[begin + many - 1]]) if many else None


def _first(of_class: int, precision: float, confidence: float) -> int:
    """At how many images the tests begin: where one error more is allowed for."""
    least, wanted = fewest(precision, confidence), math.ceil(_BEGIN * of_class)
    if wanted <= least:
        return least
    too_many = (bdtr(np.arange(wanted), wanted - 1, 1 - precision) <= 1 - confidence).sum()
    number = np.arange(wanted, wanted + _SEARCHED)
    return int(number[np.argmax(bdtr(too_many, number, 1 - precision) <= 1 - confidence)])


def least_margins(known: Margins, classes: int, coverage: float, confidence: float) -> Floats:
    """[K] the least margin with which a class is still in an image's set; -inf where it always is.

    Args:
        known: of validation images.
        classes: K.
        coverage: least share of images of each class whose set has it.
        confidence: with which this is promised of all classes together, by Bonferroni's correction.
    """
    labels, values = np.asarray(known.labels, dtype=np.int64), np.asarray(known.values, dtype=np.float64)
    found = np.full(classes, -np.inf)
    for k in range(classes):
        own = np.sort(values[labels == k])
        # The j-th lowest of n has a share below it that is at most 1 - coverage with the probability that
        # j or more of n images are below such a quantile.
        chance = bdtrc(np.arange(len(own)), len(own), 1 - coverage)
        enough = chance >= 1 - (1 - confidence) / classes
        if enough.any():
            found[k] = own[np.flatnonzero(enough)[-1]]
    return found


def decide_sure(
    of_last: Floats, probability: Floats, thresholds: Sure, class_names: Sequence[str]
) -> NDArray[np.str_]:
    """[I] name of the class, or `REFER`.

    Args:
        of_last: [I] margins of the last of two classes.
        probability: [I] of it, which rises with the margin.
        thresholds: where images are decided.
        class_names: of both.
    """
    found = np.full(len(of_last), REFER, dtype=object)
    if thresholds.negative is not None:
        found[(of_last <= thresholds.negative) & (probability < 0.5)] = class_names[0]
    if thresholds.positive is not None:
        found[(of_last >= thresholds.positive) & (probability >= 0.5)] = class_names[1]
    return found.astype(str)


def decide_sets(sets: NDArray[np.bool_], class_names: Sequence[str]) -> NDArray[np.str_]:
    """[I] name of the only class of a set, or `REFER`, from sets [I, K]."""
    names = np.asarray(class_names, dtype=object)[sets.argmax(axis=1)]
    return np.where(sets.sum(axis=1) == 1, names, REFER).astype(str)


def labelled(scores: Floats, labels: Ints) -> tuple[float, ...]:
    """Margins of the labels [I], as `Margins` has them."""
    return tuple(map(float, margins(scores)[np.arange(len(labels)), labels]))
