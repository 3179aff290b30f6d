"""All metrics as one nested mapping."""

from __future__ import annotations

import pandas as pd
import pytest

from meddiff.errors import DataError
from meddiff.evaluate.metrics_tree import metrics_tree, read_metrics_tree


def table(*rows):
    return pd.DataFrame(rows, columns=["dataset", "model", "seed", "decision", "metric", "value"])


def test_nests_and_averages_over_seeds():
    tree = metrics_tree(
        table(
            ("chest", "unet", 0, "mean", "f1", 0.5),
            ("chest", "unet", 1, "mean", "f1", 0.7),
            ("chest", "unet", 0, "majority", "f1", 1.0),
            ("skin", "resnet", 0, "softmax", "auroc", 0.25),
        )
    )
    assert tree == {
        "chest": {"unet": {"mean": {"f1": pytest.approx(0.6)}, "majority": {"f1": 1.0}}},
        "skin": {"resnet": {"softmax": {"auroc": 0.25}}},
    }


def test_undefined_values_are_left_out(tmp_path):
    """JSON has no NaN; and a mean over fewer seeds than there are would look like one over all."""
    path = tmp_path / "metrics.csv"
    rows = [
        ("chest", "unet", 0, "mean", "f1", float("nan")),
        ("chest", "unet", 1, "mean", "f1", 0.5),
        ("chest", "unet", 0, "mean", "auroc", 0.5),
    ]
    table(*rows).to_csv(path, index=False, na_rep="nan")
    assert read_metrics_tree(path) == {"chest": {"unet": {"mean": {"auroc": 0.5}}}}


@pytest.mark.parametrize("text", ["", "dataset,model\na,b\n"])
def test_another_table_is_named(tmp_path, text):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"metrics\.csv"):
        read_metrics_tree(path)
