"""Every diffusion classifier against the best baseline of its dataset, image by image, with a paired test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from meddiff.errors import DataError
from meddiff.evaluate.proportion import difference_interval
from meddiff.readout.predictions import is_correct
from meddiff.runs import Run


def compare(tables: Sequence[tuple[Run, pd.DataFrame]], confidence: float) -> pd.DataFrame:
    """Each diffusion result against the most accurate baseline of its dataset and seed of training.

    The baseline is the one with the highest accuracy on these very images, averaged over seeds; that
    choice favours the baseline. Datasets without a baseline have no rows.

    Args:
        tables: each run with its predictions.
        confidence: of the intervals.

    Returns:
        Columns dataset, model, decision, seed, votes, baseline, n; accuracy, baseline_accuracy, difference,
        ci_low, ci_high (percent); only_model_correct, only_baseline_correct (images); p_value (paired
        permutation test that swaps whole groups), p_holm (corrected for the number of rows).

    Raises:
        DataError: if the baseline was not run with a seed, or on other images.
    """
    correct = {run: _correctness(table) for run, table in tables}
    rows = []
    for dataset in dict.fromkeys(run.dataset for run in correct):
        runs = [run for run in correct if run.dataset == dataset]
        baseline = _best_baseline(
            {run: correct[run]["correct"].mean() for run in runs if run.decision == "softmax"}
        )
        for run in runs:
            if baseline is not None and run.decision != "softmax":
                other = Run(dataset=dataset, model=baseline, seed=run.seed, decision="softmax")
                rows.append([*_identity(run), baseline, *_compare(correct, run, other, confidence)])
    columns = ["dataset", "model", "decision", "seed", "votes", "baseline", "n"]
    columns += ["accuracy", "baseline_accuracy", "difference", "ci_low", "ci_high"]
    columns += ["only_model_correct", "only_baseline_correct", "p_value"]
    table = pd.DataFrame(rows, columns=columns).astype({"votes": "Int64"})
    return table.assign(p_holm=holm(table["p_value"]))


def _correctness(table: pd.DataFrame) -> pd.DataFrame:
    frame = table[["image_id", "group"]].assign(correct=is_correct(table))
    return frame.sort_values("image_id", ignore_index=True)


def _best_baseline(accuracies: dict[Run, float]) -> str | None:
    if not accuracies:
        return None
    series = pd.Series([*accuracies.values()], index=[run.model for run in accuracies])
    return str(series.groupby(level=0, sort=False).mean().idxmax())


def _identity(run: Run) -> list[str | int | None]:
    return [run.dataset, run.model, run.decision, run.seed, run.votes]


def _compare(correct: dict[Run, pd.DataFrame], run: Run, other: Run, confidence: float) -> list[float]:
    if other not in correct:
        raise DataError(
            f"{run.dataset}: baseline {other.model} has no run with seed {run.seed}, which {run.model} has; "
            "give both the same seeds"
        )
    ours, theirs = correct[run], correct[other]
    if not ours["image_id"].equals(theirs["image_id"]):
        raise DataError(
            f"{run.dataset}: {run.model} and {other.model} were evaluated on different images; predict again"
        )
    change = ours["correct"].astype(float) - theirs["correct"]
    difference = (change.mean(), *map(float, difference_interval(change, ours["group"], confidence)))
    test = paired_test(ours["correct"], theirs["correct"], ours["group"])
    accuracies = (100 * ours["correct"].mean(), 100 * theirs["correct"].mean())
    return [len(ours), *accuracies, *(100 * d for d in difference), test.only_a, test.only_b, test.p_value]


@dataclass(frozen=True)
class PairedTest:
    """Paired permutation test of equal accuracy.

    Attributes:
        only_a: images that only the first classifier has right.
        only_b: images that only the second has right.
        p_value: two-sided mid-p; 1 where no group speaks for either.
    """

    only_a: int
    only_b: int
    p_value: float


def paired_test(correct_a: ArrayLike, correct_b: ArrayLike, groups: ArrayLike) -> PairedTest:
    """Compare two classifiers whose decisions are swapped group by group.

    If neither is better, swapping the two on all images of a patient changes nothing but the sign of what the
    patient adds to the difference. All 2^G ways to do that are equally likely, and p is the share of them
    with a larger difference than the one found, and half of the share with the same (the mid-p value: with
    the whole of it, differences being whole numbers, the test would reject too rarely). The shares follow
    without drawing, by adding group after group to their distribution. Where every image is its own group it
    is McNemar's mid-p test, which Fagerland et al. (2013, BMC Med. Res. Methodol. 13:91) recommend; that test
    does not hold for groups, since it takes each image as a case of its own.

    Args:
        correct_a, correct_b: [I] bool, of the same images in the same order.
        groups: [I] group of each image.

    Raises:
        ValueError: if the numbers of images differ.
    """
    a, b, names = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool), np.asarray(groups)
    if not a.shape == b.shape == names.shape:
        raise ValueError(f"both classifiers need the same images, got {a.shape}, {b.shape} and {names.shape}")
    _, index = np.unique(names, return_inverse=True)
    sums = np.bincount(index, weights=a.astype(float) - b).astype(np.int64)
    return PairedTest(int((a & ~b).sum()), int((b & ~a).sum()), _sign_flips(sums))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """[M] p-values corrected for their number (Holm 1979, Scand. J. Stat. 6).

    The smallest is multiplied by M, the next by M - 1, and so on, none becoming smaller than one before it,
    and none larger than 1. Rejecting what is below a level then has at most that probability of any false
    rejection, whatever the dependence between the tests.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return corrected


def _sign_flips(sums: NDArray[np.int64]) -> float:
    """Mid-p value of sums [G] against the same with random signs, in absolute value."""
    sizes = np.abs(sums[sums != 0])
    span = int(sizes.sum())
    chances = np.zeros(2 * span + 1)  # of the total -span, .., span
    chances[span] = 1.0
    for size in sizes:
        flipped = np.zeros_like(chances)
        flipped[size:] = chances[:-size]
        flipped[:-size] += chances[size:]
        chances = flipped / 2
    totals, found = np.abs(np.arange(-span, span + 1)), abs(int(sums.sum()))
    if not span:
        return 1.0
    return min(float(chances[totals > found].sum() + chances[totals == found].sum() / 2), 1.0)
