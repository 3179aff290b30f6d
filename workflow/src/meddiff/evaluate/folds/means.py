"""Means over the folds of a dataset, with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from pydantic import Field
from scipy.special import stdtrit

from meddiff.config.schema.strict import Strict
from meddiff.evaluate.over_seeds import RESULT_KEYS, over_seeds, possible_range
from meddiff.evaluate.summary import class_sizes
from meddiff.runs import is_pair

_LIMITS = ["ci_low", "ci_high"]


class FoldSet(Strict):
    """The folds that results have of one dataset.

    Attributes:
        name: what their mean is called: the dataset, or the pair of it and another one.
        folds: what results call the folds.
        test_per_train: test images of a fold, for one that it trains on.
    """

    name: str
    folds: list[str] = Field(min_length=1)
    test_per_train: float = Field(gt=0)

    @property
    def same_images(self) -> bool:
        """Whether all folds are tested on the same images: the test split of another dataset."""
        return is_pair(self.name)


def over_seeds_and_folds(
    metrics: pd.DataFrame,
    confidence: float,
    sets: Sequence[FoldSet] = (),
    keys: Sequence[str] = RESULT_KEYS,
) -> pd.DataFrame:
    """Tidy metrics averaged over seeds (`meddiff.evaluate.over_seeds.over_seeds`), and over folds.

    Args:
        metrics, confidence, keys: as of `over_seeds`; dataset and metric are among the keys.
        sets: folds whose means are wanted.

    Returns:
        The columns of `over_seeds`. Before the rows of single folds stand those of their means, whose dataset
        is the set's name: `value` is the mean of the folds that have one, `ci_low` and `ci_high` are
        `limits_over_folds`, `sd` is the standard deviation between folds, `n` and `n_largest` are sums over
        the folds' images (of a pair, whose folds test the same images, those of the folds). Where there are
        sets, the column `folds` has the number of folds with a value, missing for what is no mean of them.
    """
    table = over_seeds(metrics, confidence, keys)
    return with_means(table, confidence, sets, keys) if sets else table


def with_means(
    table: pd.DataFrame, confidence: float, sets: Sequence[FoldSet], keys: Sequence[str]
) -> pd.DataFrame:
    """A table of `over_seeds` and the means over folds before it; see `over_seeds_and_folds`."""
    others = [key for key in keys if key != "dataset"]
    rows = []
    for one in sets:
        here = table[table["dataset"].isin(one.folds)]
        for _, part in here.groupby(others, sort=False, dropna=False):
            rows.append(
                {**part.iloc[0][others].to_dict(), "dataset": one.name, **_mean(part, one, confidence)}
            )
    means = pd.DataFrame(rows, columns=[*table.columns, "folds"])
    joined = pd.concat([means.astype(table.dtypes.to_dict()), table.assign(folds=pd.NA)], ignore_index=True)
    return joined.astype({"folds": "Int64"})


def _mean(part: pd.DataFrame, one: FoldSet, confidence: float) -> dict[str, object]:
    known = part[part["value"].notna()]
    values = known["value"].to_numpy(np.float64)
    images = part[["n", "n_largest"]]
    found: dict[str, object] = {
        "value": values.mean() if len(values) else np.nan,
        "sd": values.std(ddof=1) if len(values) > 1 else np.nan,
        "seeds": part["seeds"].min(),
        "votes": part["votes"].min(),
        "folds": len(values),
        "n": images["n"].min() if one.same_images else images["n"].sum(),
        "n_largest": images["n_largest"].max() if one.same_images else images["n_largest"].sum(),
    }
    if not len(values):
        return {**found, **dict.fromkeys(_LIMITS, np.nan)}
    limits = limits_over_folds(
        values, known["ci_low"], known["ci_high"], one.test_per_train, confidence, one.same_images
    )
    clipped = np.clip(limits, *possible_range(str(part["metric"].iloc[0])))
    return {**found, **dict(zip(_LIMITS, clipped, strict=True))}


def limits_over_folds(
    values: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    test_per_train: float,
    confidence: float,
    same_images: bool = False,
) -> tuple[float, float]:
    """Limits of a mean over folds, for other images to train and to test on.

    Folds test different images, but each trains on images that the others train on, too, so their values are
    alike and the variance of their mean is more than S^2 / F. No estimate of it from the folds alone is
    unbiased (Bengio & Grandvalet 2004, JMLR 5). Taken is the corrected one of Nadeau & Bengio (2003, Machine
    Learning 52), (1 / F + test images / training images) S^2, with Student's t of F - 1 degrees of freedom.
    With few folds S^2 may be small by chance (none differ where all images are right): the limits are never
    narrower than what the test images alone leave open, those of the folds added as variances on each side
    of its own, as independent samples.

    Where all folds are tested on the same images, those of another dataset, what these leave open and what
    trainings leave open are added instead, as for seeds (`meddiff.evaluate.over_seeds.limits_over_seeds`).

    Args:
        values: [F] value of each fold.
        low, high: [F] limits of each on account of its test images.
        test_per_train: test images of a fold, for one that it trains on.
        confidence: of the limits.
        same_images: whether all folds are tested on the same images.

    Returns:
        Lower and upper limit; those of the fold where there is one.
    """
    of, least, most = (np.asarray(array, dtype=np.float64) for array in (values, low, high))
    number, mean = len(of), float(of.mean())
    if number < 2:
        return float(least[0]), float(most[0])
    spread = np.sqrt(1 / number + test_per_train) * of.std(ddof=1)
    half = float(stdtrit(number - 1, (1 + confidence) / 2) * spread)
    if same_images:
        return mean - float(np.hypot(mean - least.mean(), half)), mean + float(
            np.hypot(most.mean() - mean, half)
        )
    below, above = (float(np.sqrt(np.square(side).sum()) / number) for side in (of - least, most - of))
    return mean - max(below, half), mean + max(above, half)


def sizes_with_sums(metrics: pd.DataFrame, sets: Iterable[FoldSet] = ()) -> pd.Series:
    """Dataset -> numbers of test images by class, as text (`sizes_as_text`); of folds their sums, too.

    Args:
        metrics: columns dataset and n_by_class.
        sets: folds whose sums are wanted.
    """
    sizes = metrics.groupby("dataset")["n_by_class"].first()
    for one in sets:
        of_folds = [class_sizes(sizes[name]) for name in one.folds]
        summed = of_folds[0] if one.same_images else tuple(np.sum(of_folds, axis=0))
        sizes[one.name] = "/".join(map(str, summed))
    return sizes


def mean_values(table: pd.DataFrame, sets: Iterable[FoldSet], keys: Sequence[str]) -> pd.DataFrame:
    """`table` (columns `keys`, dataset among them, and value) with the mean of each set's folds below it."""
    others = [key for key in keys if key != "dataset"]
    parts = [table]
    for one in sets:
        here = table[table["dataset"].isin(one.folds)]
        means = here.groupby(others, sort=False, dropna=False)["value"].mean().reset_index()
        parts.append(means.assign(dataset=one.name)[table.columns])
    return pd.concat(parts, ignore_index=True)
