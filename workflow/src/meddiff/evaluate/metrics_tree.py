"""All metrics as one nested mapping, for tools that compare commits (``dvc metrics diff``)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from meddiff.errors import DataError

_LEVELS = ["dataset", "model", "decision", "metric"]

Tree = dict[str, dict[str, dict[str, dict[str, float]]]]


def metrics_tree(table: pd.DataFrame) -> Tree:
    """Nest a tidy table of metrics.

    Args:
        table: columns dataset, model, seed, decision, metric, value (`meddiff.evaluate.summary`).

    Returns:
        dataset -> model -> decision -> metric -> value, the mean over seeds. A metric that is undefined for
        a seed is left out.
    """
    means = table.groupby(_LEVELS, sort=True)["value"].mean(skipna=False).dropna()
    tree: Tree = {}
    for (dataset, model, decision, metric), value in means.items():
        tree.setdefault(dataset, {}).setdefault(model, {}).setdefault(decision, {})[metric] = float(value)
    return tree


def read_metrics_tree(path: Path) -> Tree:
    """Nest the table ``tables/metrics.csv``.

    Raises:
        DataError: if it cannot be read or lacks columns.
    """
    try:
        table = pd.read_csv(path, na_values=["nan"], keep_default_na=False, float_precision="round_trip")
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: not a readable CSV file: {error}") from error
    if missing := [column for column in [*_LEVELS, "value"] if column not in table.columns]:
        raise DataError(f"{path}: has no columns {missing}")
    return metrics_tree(table)
