"""The audit of shortcuts: how far strata give the label away, and whether a classifier follows them.

A *rule* sees the stratum of an image and nothing else: it answers with the class that is most frequent in
the stratum in the training split, of equally frequent ones with the first. Where the rule is wrong, a
classifier that follows the same cue is led astray.

`cue_gap` is the accuracy on images where the rule is right minus that on images where it is wrong, taken
within each class and averaged over the classes. Within a class, since the images on which the rule is wrong
may all be of one class, and a classifier that prefers the other would have a gap without any cue. A class
counts only if it has enough groups on both sides; without such a class the gap is not defined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from meddiff.config.schema.audit import ALL_IMAGES
from meddiff.errors import DataError
from meddiff.evaluate.intervals import equal_share_of_classes
from meddiff.evaluate.over_seeds import over_seeds
from meddiff.evaluate.proportion import Sample, bounded_interval
from meddiff.evaluate.statistics import Resampling, bootstrap, difference_limits
from meddiff.evaluate.summary import discrimination, sizes_as_text
from meddiff.readout.from_logits import from_probabilities
from meddiff.readout.predictions import is_correct
from meddiff.runs import Run

RULE = "(rule)"  # no model has this name: brackets are not allowed in names
RIGHT, WRONG, GAP = "accuracy_rule_right", "accuracy_rule_wrong", "cue_gap"
# With fewer the bootstrap has too few different images to tell how far the accuracy is off.
MINIMUM_GROUPS = 10
FOLLOWS, NOT_SHOWN, AGAINST, UNDEFINED = "follows the cue", "not shown", "against the cue", "not defined"
COLUMNS = ["dataset", "split", "model", "decision", "stratum", "metric", "value", "ci_low", "ci_high"]
COLUMNS += ["sd", "seeds", "votes", "n", "n_by_class", "verdict"]
NUMBERS = ["value", "ci_low", "ci_high", "sd", "seeds", "votes", "n"]

_KEYS = ["dataset", "split", "model", "decision", "stratum", "metric", "n_by_class"]


@dataclass(frozen=True)
class Stratified:
    """The images of a dataset, divided into strata.

    Attributes:
        images: its table of strata (`meddiff.data.strata`).
        strata: names in the order of rows; those left out come after them.
        classes: K.
    """

    images: pd.DataFrame
    strata: Sequence[str]
    classes: int

    @cached_property
    def names(self) -> list[str]:
        """All strata that have images, or are named, in the order of rows."""
        return list(dict.fromkeys([*self.strata, *sorted(set(self.images["stratum"]))]))

    @cached_property
    def shares(self) -> pd.DataFrame:
        """Share of each class in each stratum of the training split (`fit_rule`)."""
        return fit_rule(self.images, self.classes)

    def of_split(self, split: str) -> pd.DataFrame:
        """The images of one split."""
        return self.images[self.images["split"] == split]


def audit(
    tables: Sequence[tuple[Run, pd.DataFrame]], datasets: Mapping[str, Stratified], resampling: Resampling
) -> pd.DataFrame:
    """Measure the rule and every run, over all images and within each stratum.

    Args:
        tables: each run with its predictions on the test split.
        datasets: those that are audited, in the order of rows.
        resampling: how intervals are made.

    Returns:
        Columns `COLUMNS`, values as fractions, averaged over seeds and vote seeds; `stratum` is ``all`` or a
        name, and `n_by_class` the numbers of images in the order of classes. Of each dataset first the rule
        (model ``(rule)``), on all three splits, then the models as they come. Metrics: accuracy,
        balanced_accuracy and auroc (NaN where a class has no image); accuracy_rule_right,
        accuracy_rule_wrong and cue_gap (see the module). `verdict` says on which side of 0 the interval of
        a model's gap lies.

    Raises:
        DataError: predictions are not of the images in the test split, or a label is another one.
    """
    rows = []
    for dataset, stratified in datasets.items():
        for split in ("train", "valid", "test"):
            images = stratified.of_split(split)
            identity = {"dataset": dataset, "split": split, "model": RULE, "decision": "rule", "seed": 0}
            # Its probabilities are shares of counts, as those of votes are.
            measured = _Measured(_rule_predictions(images, stratified.shares), images, stratified, True)
            rows += [identity | row for row in measured.rows(resampling)]
        test = stratified.of_split("test").sort_values("image_id", ignore_index=True)
        for run, table in tables:
            if run.dataset == dataset:
                table = _of_same_images(table, test, run)
                measured = _Measured(table, test, stratified, run.decision == "majority")
                identity = {**run.model_dump(), "split": "test"}
                rows += [identity | row for row in measured.rows(resampling)]
    result = over_seeds(pd.DataFrame(rows), resampling.confidence, _KEYS)
    result["verdict"] = [_verdict(row) for row in result.itertuples()]
    return result[COLUMNS]


def fit_rule(strata: pd.DataFrame, classes: int) -> pd.DataFrame:
    """Share of each class [K] in each stratum of the training split; the rule is the largest of a row.

    A stratum without training images gets the shares of all training images.

    Args:
        strata: a table of strata.
        classes: K.
    """
    train = strata[strata["split"] == "train"]
    counts = pd.crosstab(train["stratum"], train["label"]).reindex(columns=range(classes), fill_value=0)
    shares = counts.div(counts.sum(axis=1), axis=0).reindex(sorted(set(strata["stratum"])))
    return shares.fillna(train["label"].value_counts(normalize=True).reindex(range(classes), fill_value=0.0))


class CueGap:
    """Accuracy where the rule is right, where it is wrong, and their difference, by image weights.

    Attributes:
        compared: the classes that have enough groups on both sides.
        images: [I] bool: the images of these classes.
        sides: [I] bool each: those of them where the rule is right, and where it is wrong.
        sizes: [C] images of each compared class on either side.
    """

    def __init__(self, table: pd.DataFrame, rule_right: np.ndarray, classes: int) -> None:
        """Find the classes to compare.

        Args:
            table: predictions.
            rule_right: [I] bool, whether the rule gives the label.
            classes: K.
        """
        label, groups = table["label"].to_numpy(), table["group"].to_numpy()
        halves = (rule_right, ~rule_right)
        self.compared = [
            k
            for k in range(classes)
            if all(len(np.unique(groups[(label == k) & half])) >= MINIMUM_GROUPS for half in halves)
        ]
        self.images = np.isin(label, self.compared)
        self.sides = [half & self.images for half in halves]
        self._correct = is_correct(table)[:, None]
        self._members = [half[:, None] & (label[:, None] == self.compared) for half in halves]
        self.sizes = [members.sum(axis=0).astype(np.float64) for members in self._members]

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Metric -> [B] values; NaN where a compared class has no image on one side.

        Args:
            weights: [B, I] whole numbers >= 0.
        """
        if not self.compared:
            return {name: np.full(len(weights), np.nan) for name in (RIGHT, WRONG, GAP)}
        right, wrong = (self._accuracy(weights, members) for members in self._members)
        return {RIGHT: right, WRONG: wrong, GAP: right - wrong}

    def _accuracy(self, weights: np.ndarray, members: np.ndarray) -> np.ndarray:
        number, hits = weights @ members.astype(float), weights @ (members & self._correct).astype(float)
        shares = np.divide(hits, number, out=np.full_like(hits, np.nan), where=number > 0)
        return shares.mean(axis=1)


def _rule_predictions(strata: pd.DataFrame, shares: pd.DataFrame) -> pd.DataFrame:
    probabilities = shares.loc[strata["stratum"]].to_numpy()
    return from_probabilities(
        strata["image_id"].tolist(), strata["group"].tolist(), strata["label"].to_numpy(), probabilities
    )


def _of_same_images(table: pd.DataFrame, test: pd.DataFrame, run: Run) -> pd.DataFrame:
    table = table.sort_values("image_id", ignore_index=True)
    for column in ("image_id", "label"):
        if table[column].tolist() != test[column].tolist():
            raise DataError(
                f"{run.dataset}: predictions of {run.model} (seed {run.seed}) and the table of strata differ "
                f"in {column}; predict again on the test split of today"
            )
    return table


@dataclass(frozen=True)
class _Measured:
    """One predictions table.

    Attributes:
        table: predictions.
        images: rows of the table of strata, of the same images in the same order.
        dataset: what they are of.
        vote_shares: whether its probabilities are shares of counts.
    """

    table: pd.DataFrame
    images: pd.DataFrame
    dataset: Stratified
    vote_shares: bool

    def rows(self, resampling: Resampling) -> list[dict[str, object]]:
        """Its `DISCRIMINATION` of all images and of each stratum, and the gap."""
        stratum = self.images["stratum"].to_numpy()
        parts = {ALL_IMAGES: np.full(len(stratum), True)}
        parts |= {name: stratum == name for name in self.dataset.names}
        rows = []
        for name, among in parts.items():
            if among.any():
                found = discrimination(self.table[among], self.vote_shares, resampling)
                rows += [self._counted(name, among) | row for row in found]
        label = self.images["label"].to_numpy()
        right = self.dataset.shares.idxmax(axis=1)[stratum].to_numpy() == label
        gap = CueGap(self.table, right, self.dataset.classes)
        sides = {RIGHT: gap.sides[0], WRONG: gap.sides[1], GAP: gap.images}
        found = _gap(gap, self.table["group"].to_numpy(), resampling)
        return rows + [self._counted(ALL_IMAGES, sides[str(row["metric"])]) | row for row in found]

    def _counted(self, stratum: str, among: np.ndarray) -> dict[str, object]:
        """How many images a row is of."""
        numbers = sizes_as_text(self.images["label"].to_numpy()[among], self.dataset.classes)
        return {"stratum": stratum, "n": int(among.sum()), "n_by_class": numbers}


def _gap(gap: CueGap, groups: np.ndarray, resampling: Resampling) -> list[dict[str, object]]:
    """Rows of the accuracies on both sides, means of the classes' shares, and of their difference."""
    if not gap.compared:
        return [_row(metric, np.nan, np.nan, np.nan) for metric in (RIGHT, WRONG, GAP)]
    found = gap(np.ones((1, len(groups))))
    draws = bootstrap(gap, groups, resampling)
    values, limits = [], []
    for metric, side, sizes in zip((RIGHT, WRONG), gap.sides, gap.sizes, strict=True):
        most, value = equal_share_of_classes(sizes), float(found[metric][0])
        variance = Sample.of(groups).bootstrap_variance(draws[metric])
        worst = most / (len(sizes) * sizes.min())
        sample = Sample.of(groups[side])
        limits.append(bounded_interval(value, variance, most, sample, resampling.confidence, worst=worst))
        values.append(value)
    rows = [_row(*pair, *side) for *pair, side in zip((RIGHT, WRONG), values, limits, strict=True)]
    difference = difference_limits(values[0], limits[0], values[1], limits[1])
    return [*rows, _row(GAP, values[0] - values[1], *difference)]


def _row(metric: str, value: float, low: float, high: float) -> dict[str, object]:
    return {"metric": metric, "value": value, "ci_low": float(low), "ci_high": float(high)}


def _verdict(row: object) -> str:
    if row.metric != GAP or row.model == RULE:
        return ""
    if np.isnan(row.value):
        return UNDEFINED
    return FOLLOWS if row.ci_low > 0 else AGAINST if row.ci_high < 0 else NOT_SHOWN
