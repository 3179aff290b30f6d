"""The tidy metrics file of one run: every metric with its confidence interval."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from meddiff.config.schema.operating_point import YOUDEN, OperatingPoint
from meddiff.errors import DataError
from meddiff.evaluate.intervals import Interval, metric_intervals
from meddiff.evaluate.metrics.catalogue import AT_POINT, THRESHOLD, WeightedMetrics
from meddiff.evaluate.metrics.operating_point import decided_at, threshold
from meddiff.evaluate.over_seeds import over_seeds
from meddiff.evaluate.statistics import Resampling, bootstrap
from meddiff.readout.predictions import class_names, probabilities, scores
from meddiff.result_csv import read_csv
from meddiff.runs import Run

COLUMNS = ["dataset", "model", "seed", "votes", "decision", "metric", "value", "ci_low", "ci_high"]
COLUMNS += ["n", "n_by_class"]
# From here on the most frequent class alone makes an accuracy that is easily taken for skill.
_UNEQUAL = 1.5
FEW_IMAGES = 10  # with fewer the interval of a recall is wider than half of its range

DISCRIMINATION = ("accuracy", "balanced_accuracy", "auroc")
ALL, CLEAN, LEAKING = "all", "clean", "leaking"
_LIMITS = ("ci_low", "ci_high")
_PART_KEYS = ["dataset", "model", "decision", "part", "metric", "n_by_class"]
PART_COLUMNS = [*_PART_KEYS[:-1], "value", *_LIMITS, "sd", "seeds", "votes", "n", "n_by_class"]

Sizes = tuple[int, ...]


class MetricsSettings(Run, Resampling):
    """Params of ``metrics``."""

    operating_point: OperatingPoint = YOUDEN


def summarise(
    table: pd.DataFrame, settings: MetricsSettings, validation: pd.DataFrame | None = None
) -> pd.DataFrame:
    """All metrics of a predictions table, one row each.

    Args:
        table: predictions of the test split.
        settings: whose they are, and how intervals are made.
        validation: predictions of the validation split by the same run. Of two classes an operating point is
            chosen on them (`meddiff.evaluate.metrics.operating_point`); without them there is none.

    Returns:
        Columns `COLUMNS`; values are fractions (not percent), `n` is the number of images and `n_by_class`
        that of each class (``60/58``), and undefined values, such as the vote seed of a baseline, are NaN.

    Raises:
        DataError: if `validation` is of other classes, or lacks one.
    """
    metrics = WeightedMetrics(table, settings.decision == "majority")
    values = metrics.values()
    draws = bootstrap(metrics, metrics.images.groups, settings)
    intervals = metric_intervals(metrics.images, values, draws, settings.confidence)
    if validation is not None and metrics.images.classes == 2:
        point, further, limits = _at_operating_point(table, validation, settings)
        values |= {THRESHOLD: point, **further}
        intervals |= {THRESHOLD: (np.nan, np.nan), **limits}
    identity = [settings.dataset, settings.model, settings.seed, settings.votes, settings.decision]
    counts = [len(table), sizes_as_text(table["label"], metrics.images.classes)]
    rows = [[*identity, metric, value, *intervals[metric], *counts] for metric, value in values.items()]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"votes": "Int64"})


def discrimination(table: pd.DataFrame, vote_shares: bool, resampling: Resampling) -> list[dict[str, object]]:
    """Rows of `DISCRIMINATION` of the images of a predictions table: metric, value, ci_low, ci_high.

    Args:
        table: predictions of one image or more; a metric is NaN where a class it needs has none.
        vote_shares: whether its probabilities are shares of counts.
        resampling: how intervals are made.
    """
    metrics = WeightedMetrics(table, vote_shares, DISCRIMINATION)
    values, draws = metrics.values(), bootstrap(metrics, metrics.images.groups, resampling)
    limits = metric_intervals(metrics.images, values, draws, resampling.confidence)
    rows = [(name, value, *map(float, limits[name])) for name, value in values.items()]
    return [dict(zip(("metric", "value", *_LIMITS), row, strict=True)) for row in rows]


def with_and_without(
    tables: Iterable[tuple[Run, pd.DataFrame]], marked: Mapping[str, Collection[str]], resampling: Resampling
) -> pd.DataFrame:
    """`DISCRIMINATION` of all test images, of those that are marked and of the others.

    Args:
        tables: each run with its predictions on the test split.
        marked: dataset -> image ids.
        resampling: how intervals are made.

    Returns:
        Columns `PART_COLUMNS`, values as fractions, averaged over seeds and vote seeds; `part` is ``all``,
        ``clean`` or ``leaking``, a part without images has no rows.
    """
    rows = []
    for run, table in tables:
        leaks = table["image_id"].isin(set(marked[run.dataset])).to_numpy()
        for part, among in ((ALL, np.ones_like(leaks)), (CLEAN, ~leaks), (LEAKING, leaks)):
            if among.any():
                found = discrimination(table[among], run.decision == "majority", resampling)
                sizes = sizes_as_text(table["label"][among], len(class_names(table)))
                counts = {"part": part, "n": int(among.sum()), "n_by_class": sizes}
                rows += [{**run.model_dump(), **counts, **row} for row in found]
    return over_seeds(pd.DataFrame(rows), resampling.confidence, _PART_KEYS)[PART_COLUMNS]


def _at_operating_point(
    table: pd.DataFrame, validation: pd.DataFrame, settings: MetricsSettings
) -> tuple[float, dict[str, float], dict[str, Interval]]:
    """The lowest probability of those called positive on the validation split, and metrics there."""
    if (others := class_names(validation)) != (names := class_names(table)):
        raise DataError(
            f"the predictions of the validation split are of the classes {others}, and those of the test "
            f"split of {names}; predict both with the same model"
        )
    found, tested = (scores(part)[:, 1] - scores(part)[:, 0] for part in (validation, table))
    chosen = threshold(found, validation["label"] == 1, settings.operating_point)
    called = probabilities(validation)[found >= chosen, 1]
    at_point = WeightedMetrics(decided_at(table, tested, chosen), settings.decision == "majority", AT_POINT)
    values = at_point.values()
    limits = metric_intervals(at_point.images, values, {}, settings.confidence)
    return float(called.min()) if len(called) else np.nan, values, limits


def read_metrics(path: str | Path, run: Run) -> pd.DataFrame:
    """Read a tidy metrics file and check that it belongs to `run`.

    Raises:
        DataError: if it cannot be read, lacks columns, or is of another run.
    """
    table = read_csv(path, repair="run `metrics` again", numbers=["votes", "value", "ci_low", "ci_high", "n"])
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing or table.empty:
        raise DataError(f"{path}: expected rows with columns {COLUMNS}; missing are {missing}")
    for key, expected in run.model_dump().items():
        column = table[key].astype(object)
        found = sorted(set(column.where(column.notna(), None)), key=str)
        if found != [expected]:
            raise DataError(
                f"{path}: {key} is {found}, expected {expected!r}; files go in the order of the runs"
            )
    return table.astype({"votes": "Int64"})


def read_all_metrics(files: Iterable[tuple[Run, Path]]) -> pd.DataFrame:
    """The metrics files of several runs, one below the other; see `read_metrics`."""
    return pd.concat([read_metrics(path, run) for run, path in files], ignore_index=True)


def sizes_as_text(labels: Sequence[int] | np.ndarray, classes: int) -> str:
    """Numbers of images in the order of the class index, such as ``60/58``."""
    return "/".join(str(count) for count in np.bincount(np.asarray(labels), minlength=classes))


def class_sizes(text: str) -> Sizes:
    """What `sizes_as_text` wrote."""
    return tuple(int(count) for count in text.split("/"))


def is_unequal(sizes: Sizes) -> bool:
    """Whether the largest class has half as many images again as the smallest, or more."""
    return max(sizes) >= _UNEQUAL * min(sizes)


def most_frequent_share(sizes: Sizes) -> float:
    """Accuracy of answering with the most frequent class always, within (0, 1]."""
    return max(sizes) / sum(sizes)


def few_images(sizes: Sizes, names: Sequence[str] = ()) -> list[str]:
    """``n of <class>`` for each class with fewer than `FEW_IMAGES`."""
    return [
        f"{size} of {names[k] if k < len(names) else f'class {k}'}"
        for k, size in enumerate(sizes)
        if size < FEW_IMAGES
    ]
