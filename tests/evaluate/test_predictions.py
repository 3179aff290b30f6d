"""The predictions table: contents, round trip, and what its reader refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from error_samples import save_errors
from evaluate_samples import sample_errors, sample_predictions
from meddiff.diffusion import vote
from meddiff.errors import DataError
from meddiff.readout.from_errors import from_errors
from meddiff.readout.from_logits import from_logits
from meddiff.readout.predictions import (
    class_names,
    probabilities,
    read_predictions,
    scores,
    write_predictions,
)
from meddiff.scoring.error_file import load_errors

KINDS = ["uncertainty_vote_entropy", "uncertainty_t_score", "uncertainty_softmax_entropy"]


@pytest.mark.parametrize("classes", [2, 3])
def test_from_errors(classes: int) -> None:
    dataset = sample_errors(classes=classes, early_stop=True)
    majority, mean = from_errors(dataset, "majority"), from_errors(dataset, "mean")
    columns = [f"{kind}_class {k}" for kind in ("p", "score") for k in range(classes)]
    expected = ["image_id", "group", "label", "prediction", *columns, *KINDS, "steps_used", "steps"]
    assert list(majority.columns) == list(mean.columns) == expected
    pd.testing.assert_frame_equal(majority[KINDS], mean[KINDS])
    assert majority["steps_used"].tolist() == [10, 21] * 30
    assert (majority["steps"] == 21).all()
    errors = dataset["errors"].values
    np.testing.assert_array_equal(majority["prediction"], vote.majority(errors))
    np.testing.assert_array_equal(mean["prediction"], vote.mean(errors))
    counts, steps = vote.votes(errors)[1], majority[["steps_used"]].to_numpy()
    # Steps that were not evaluated count with the posterior mean under Jeffreys' prior.
    votes = counts + (21 - steps) * (counts + 0.5) / (steps + classes / 2)
    np.testing.assert_allclose(probabilities(majority), votes / 21)


def test_dimension_order_does_not_matter() -> None:
    dataset = sample_errors(images=6)
    pd.testing.assert_frame_equal(
        from_errors(dataset.transpose("class", "step", "image"), "mean"), from_errors(dataset, "mean")
    )


def test_baseline_has_the_same_columns_but_for_uncertainty() -> None:
    logits = np.array([[2.0, 0.0], [-1.0, -1.0], [0.0, 800.0]])
    table = from_logits(["a", "b", "c"], ["a", "b", "b"], np.array([0, 1, 1]), logits, ["healthy", "ill"])
    columns = ["p_healthy", "p_ill", "score_healthy", "score_ill"]
    expected = ["image_id", "group", "label", "prediction", *columns]
    assert list(table.columns) == [*expected, "uncertainty_softmax_entropy", "steps_used", "steps"]
    assert class_names(table) == ["healthy", "ill"]
    np.testing.assert_array_equal(scores(table), logits)
    np.testing.assert_allclose(probabilities(table)[:, 1], 1 / (1 + np.exp(logits[:, 0] - logits[:, 1])))
    assert table["prediction"].tolist() == [0, 0, 1]
    assert table["uncertainty_softmax_entropy"].idxmax() == 1
    assert table["steps_used"].tolist() == table["steps"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("decision", ["majority", "mean", "softmax"])
def test_round_trip_is_exact(tmp_path: Path, decision: str) -> None:
    table = sample_predictions(decision, classes=3)
    table["image_id"] = [f"{i:04d}" for i in range(len(table) - 1)] + ["NA"]  # text that looks like numbers
    write_predictions(table, tmp_path / "p.csv")
    first = (tmp_path / "p.csv").read_bytes()
    read = read_predictions(tmp_path / "p.csv")
    pd.testing.assert_frame_equal(read, table, check_dtype=False, check_exact=True)
    write_predictions(read, tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_bytes() == first


def test_errors_file_round_trip(tmp_path: Path) -> None:
    dataset = sample_errors(per_group=2)
    save_errors(dataset, tmp_path / "errors.nc")
    read = from_errors(load_errors(tmp_path / "errors.nc"), "majority")
    pd.testing.assert_frame_equal(read, from_errors(dataset, "majority"))


def test_incomplete_or_overflowed_errors_are_refused() -> None:
    dataset = sample_errors(images=4)
    dataset["errors"][2] = np.nan
    with pytest.raises(DataError, match=r"image00002.*score again"):
        from_errors(dataset, "majority")
    dataset["errors"][2] = 1.0
    dataset["errors"][3, 0, 1] = np.inf
    with pytest.raises(DataError, match=r"image00003.*fp32"):
        from_errors(dataset, "mean")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label", "2", "row 4: label is '2', expected a class 0..1"),
        ("label", "-1", "row 4: label is '-1', expected a class"),
        ("prediction", "0.5", "row 4: prediction is '0.5', expected a class"),
        ("prediction", "", "row 4: prediction is '', expected a finite number"),
        ("p_class 1", "nan", "row 4: p_class 1 is 'nan', expected a finite number"),
        ("p_class 1", "-0.2", r"row 4: p_class 1 is '-0.2', expected within \[0, 1\]"),
        ("p_class 1", "0.123", "expected p_class 0..p_class 1 that sum to 1"),
        ("score_class 0", "", "row 4: score_class 0 is '', expected a finite number"),
        ("image_id", "image00000", "row 4: image_id is 'image00000', expected an id used once"),
        ("group", "", "row 4: group is '', expected a group id"),
        ("steps_used", "0", "row 4: steps_used is '0', expected a whole number"),
        ("steps_used", "99", "row 4: steps_used is '99', expected at most `steps`"),
        ("uncertainty_t_score", "-inf", "row 4: uncertainty_t_score is '-inf'"),
    ],
)
def test_reader_names_row_and_value(tmp_path: Path, column: str, value: str, message: str) -> None:
    table = sample_predictions("majority", images=5).astype(object)
    table.loc[2, column] = value
    table.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(DataError, match=message):
        read_predictions(tmp_path / "p.csv")


def test_reader_names_missing_columns_and_files(tmp_path: Path) -> None:
    table = sample_predictions("majority", images=5)
    table.drop(columns=["group", *KINDS]).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(DataError, match=r"'group', 'uncertainty_<kind>'"):
        read_predictions(tmp_path / "p.csv")
    table.drop(columns="p_class 1").to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(DataError, match="'p_<class> of two or more classes'"):
        read_predictions(tmp_path / "p.csv")
    table.drop(columns="score_class 1").to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(DataError, match=r"\['score_class 1'\] are missing"):
        read_predictions(tmp_path / "p.csv")
    table[:0].to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(DataError, match="no rows"):
        read_predictions(tmp_path / "p.csv")
    with pytest.raises(DataError, match="there is no such file"):
        read_predictions(tmp_path / "absent.csv")
