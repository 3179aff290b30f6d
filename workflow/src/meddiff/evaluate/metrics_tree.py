"""All metrics as one nested mapping, for tools that compare commits (``dvc metrics diff``)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from meddiff.config.datasets.folds import fold_number, whole
from meddiff.result_csv import read_csv

_LEVELS = ["dataset", "model", "decision", "metric"]

Tree = dict[str, dict[str, dict[str, dict[str, float]]]]


def metrics_tree(table: pd.DataFrame) -> Tree:
    """Nest a tidy table of metrics.

    Args:
        table: columns dataset, model, seed, votes, decision, metric, value (`meddiff.evaluate.summary`).

    Returns:
        dataset -> model -> decision -> metric -> value, the mean over seeds and vote seeds. A dataset with
        folds has the mean over its folds, beside each of them. A metric that is undefined for one of these is
        left out.
    """
    means = table.groupby(_LEVELS, sort=True)["value"].mean(skipna=False)
    of_folds = means[[fold_number(name) is not None for name in means.index.get_level_values("dataset")]]
    wholes = of_folds.rename(whole, level="dataset").groupby(_LEVELS).mean(skipna=False)
    means = pd.concat([means, wholes]).sort_index().dropna()
    tree: Tree = {}
    for (dataset, model, decision, metric), value in means.items():
        tree.setdefault(dataset, {}).setdefault(model, {}).setdefault(decision, {})[metric] = float(value)
    return tree


def read_metrics_tree(path: Path) -> Tree:
    """Nest the table ``tables/metrics.csv``.

    Raises:
        DataError: if it cannot be read or lacks columns.
    """
    return metrics_tree(
        read_csv(path, [*_LEVELS, "value"], "make the table of metrics again", numbers=["value"])
    )
