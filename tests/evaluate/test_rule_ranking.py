"""All rules on the same errors, and the command that prints it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score, log_loss

from error_samples import save_errors
from evaluate_samples import sample_errors
from meddiff import cli
from meddiff.diffusion.level_weights import fit_level_weights
from meddiff.errors import DataError
from meddiff.evaluate.metrics.catalogue import point_metrics
from meddiff.evaluate.replay import EXACT, FIRST, SEQUENTIAL, Procedure, replay
from meddiff.evaluate.rules.learned import STOPPING, learned
from meddiff.evaluate.rules.ranking import CALIBRATED, MEASURES, rule_ranking
from meddiff.readout.candidates import CANDIDATES
from meddiff.readout.fitted import FITTED
from meddiff.readout.from_errors import from_errors
from meddiff.readout.rules import RULES


@pytest.mark.parametrize("classes", [2, 3])
def test_what_is_said_of_the_rules_that_experiments_use_is_what_their_tables_say(classes: int) -> None:
    dataset = sample_errors(classes=classes, per_group=3)
    table = rule_ranking(dataset).set_index("rule")
    assert list(table.index) == [*RULES, *CANDIDATES, *STOPPING]
    for decision, kind in (("majority", "vote_entropy"), ("mean", "softmax_entropy")):
        expected = point_metrics(from_errors(dataset, decision), vote_shares=decision == "majority")
        for metric in ("accuracy", "balanced_accuracy", "ece", "nll"):
            assert table.loc[decision, metric] == pytest.approx(expected[metric])
        assert table.loc[decision, "aurc"] == pytest.approx(expected[f"aurc_{kind}"])
    assert (table.loc[[*RULES, *CANDIDATES], "passes"] == 21 * classes).all()


def test_measures_against_scikit_learn() -> None:
    dataset = sample_errors(classes=3)
    table, label = rule_ranking(dataset).set_index("rule"), dataset["label"].values
    for name, rule in (RULES | CANDIDATES).items():
        found = rule(dataset["errors"].values, dataset["logsnr"].values)
        row = table.loc[name]
        assert row["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(label, found.prediction))
        assert row["nll"] == pytest.approx(log_loss(label, softmax(found.scores, axis=1)), rel=1e-6)
        assert row["difference"] == pytest.approx(row["accuracy"] - table.loc["majority", "accuracy"])
        assert row["ci_low"] <= row["difference"] <= row["ci_high"]
    assert table.loc["majority", ["difference", "ci_low", "ci_high"]].tolist() == [0, 0, 0]


def test_stopping_and_weights_do_what_they_do_in_the_table_of_efficiency() -> None:
    dataset = sample_errors(images=80, steps=61)
    table = rule_ranking(dataset, learned(dataset, dataset)).set_index("rule")
    wanted = {
        "majority, exact": Procedure("majority", EXACT, np.nan),
        "majority, delta 0.1": Procedure("majority", SEQUENTIAL, 0.1),
        "mean, delta 0.01": Procedure("mean", SEQUENTIAL, 0.01),
        "weighted_votes": Procedure("weighted_votes", FIRST, 61),
        "weighted_errors": Procedure("weighted_errors", FIRST, 61),
    }
    errors, logsnr, label = (dataset[name].values for name in ("errors", "logsnr", "label"))
    outcomes = replay(errors, list(wanted.values()), logsnr, fit_level_weights(errors, logsnr, label))
    for name, outcome in zip(wanted, outcomes, strict=True):
        assert table.loc[name, "passes"] == outcome.steps.mean() * 2
        assert table.loc[name, "saved"] == pytest.approx(1 - outcome.steps.mean() / 61)
        assert table.loc[name, "accuracy"] == (outcome.prediction == label).mean()
    assert table.loc["majority, exact", "agreement"] == 1


def test_errors_that_stopped_have_their_own_passes_and_no_further_stopping() -> None:
    stopped, full = sample_errors(early_stop=True), sample_errors()
    table = rule_ranking(stopped, learned(full, stopped)).set_index("rule")
    assert list(table.index) == [*RULES, *CANDIDATES, *FITTED]
    assert (table["passes"] == (10 + 21) / 2 * 2).all()


def test_validation_errors_that_cannot_be_fitted_on_are_refused() -> None:
    dataset = sample_errors(classes=3)
    refused = {
        "not of all steps .*, which rules that are fitted need": sample_errors(classes=3, early_stop=True),
        "fewer than two groups with images of class 'class 2'": dataset.isel(image=slice(0, 5)),
        "errors of the classes": sample_errors(classes=2),
        "errors of the weights b, and those to be judged of a": dataset.assign_attrs(weights_sha256="b"),
    }
    tested = dataset.assign_attrs(weights_sha256="a")
    for message, validation in refused.items():
        with pytest.raises(DataError, match=message):
            learned(validation, tested if "weights" in message else dataset)


@pytest.mark.parametrize("classes", [2, 3])
def test_calibration_mends_what_validation_shows(classes: int) -> None:
    dataset, validation = (sample_errors(300, classes=classes, seed=seed, per_group=2) for seed in (0, 1))
    found = learned(validation, dataset)
    table = rule_ranking(dataset, found).set_index("rule")
    assert list(table.columns[3:]) == [*MEASURES, *(CALIBRATED + name for name in MEASURES)]
    assert list(found.calibrations) == [*RULES, *CANDIDATES, *STOPPING, *FITTED]
    errors, logsnr, label = (dataset[name].values for name in ("errors", "logsnr", "label"))
    p = found.calibrations["t_score"](RULES["t_score"](errors, logsnr).scores)
    row = table.loc["t_score"]
    assert row[f"{CALIBRATED}accuracy"] == (p.argmax(axis=1) == label).mean()
    assert row[f"{CALIBRATED}nll"] == pytest.approx(log_loss(label, p))
    assert row[f"{CALIBRATED}nll"] < row["nll"]


def test_fitted_rules_are_calibrated_on_images_that_they_have_not_seen() -> None:
    # There is nothing to learn, and a regression on its own images would not know.
    dataset = sample_errors(120, classes=3, skill=-0.2, per_group=2)
    noise = dataset.assign(label=("image", np.random.default_rng(0).integers(3, size=120)))
    table = rule_ranking(noise, learned(noise, noise)).set_index("rule")
    assert table.loc["band_regression", "nll"] < np.log(3) - 0.05
    assert learned(noise, noise).calibrations["band_regression"].slope < 0.5


def test_the_command_judges_files_of_any_format_and_one_image(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    one = str(save_errors(sample_errors(images=1), tmp_path / "one.nc"))
    several = str(save_errors(sample_errors(), tmp_path / "several.nc"))
    older = [str(root / f"tests/formats/samples/errors-v{version}.nc") for version in (1, 2)]
    out = tmp_path / "rules.csv"
    assert cli.main(["rules", one, several, *older, "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.endswith(".nc")] == [one, several, *older]
    majority = next(line for line in lines if line.startswith("majority "))
    assert "[+0.0%, +0.0%]" in majority and max(map(len, lines)) < 150
    with open(out, newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["errors", "rule", "passes", "saved", "agreement", *MEASURES]
    assert {row[0] for row in rows} == {one, several, *older}
    assert cli.main(["rules", one, several, "--validation", several]) == 1
    assert "expected one file for each of 2 ERRORS, in their order, got 1" in caplog.text
    assert cli.main(["rules", several, "--validation", one]) == 1
    assert f"{one}: there are fewer than two groups with images of class 'class 1'" in caplog.text
