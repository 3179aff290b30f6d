"""Efficiency: replayed procedures are what scoring with them gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from efficiency_samples import DELTAS, NUMBERS, STEPS, table_of, with_signal_at_some_levels
from evaluate_samples import sample_errors
from meddiff.config.schema.experiment import StoppingConfig
from meddiff.diffusion import vote
from meddiff.diffusion.step_order import in_order, spread_order
from meddiff.diffusion.stopping import cut, make_rule, stopping_steps
from meddiff.errors import DataError
from meddiff.evaluate import replay as replaying
from meddiff.evaluate.efficiency import METRICS, RunErrors, procedures
from meddiff.evaluate.metrics.catalogue import point_metrics
from meddiff.evaluate.replay import EXACT, FIRST, SEQUENTIAL, SPREAD, Procedure, replay
from meddiff.readout.from_errors import errors_in_order, from_errors
from meddiff.readout.predictions import probabilities


def cell(
    table: pd.DataFrame,
    decision: str,
    rule: str,
    metric: str,
    setting: float | None = None,
    levels: str = "uniform",
) -> pd.Series:
    """The row of one procedure and metric."""
    rows = table[(table["decision"] == decision) & (table["rule"] == rule) & (table["metric"] == metric)]
    rows = rows[rows["levels"] == levels]
    rows = rows if setting is None else rows[rows["setting"] == setting]
    assert len(rows) == 1
    return rows.iloc[0]


def stopped(dataset: xr.Dataset, config: StoppingConfig) -> xr.Dataset:
    """The errors file that scoring with `config` writes."""
    errors = dataset["errors"].values
    rule = make_rule(config, *errors.shape[1:])
    order = None
    if config.order == "spread":
        order = spread_order(
            dataset["logsnr"].values, int(dataset.attrs["seed"]), dataset["image"].values.tolist()
        )
    used = stopping_steps(in_order(errors, order), rule)
    stopped = dataset.assign(errors=(dataset["errors"].dims, cut(errors, used, order)))
    return stopped.assign_attrs(stopping=config.model_dump_json())


def test_procedures_are_those_below_the_full_run_and_the_full_run() -> None:
    found = procedures(RunErrors(sample_errors(steps=STEPS)), NUMBERS, DELTAS)
    numbers = [p.setting for p in found if p.rule == FIRST and p.decision == "majority"]
    assert numbers == [1, 5, 25, STEPS]
    assert [p.setting for p in found if p.rule == SEQUENTIAL and p.decision == "mean"] == [0.01, 0.2]
    assert [p.decision for p in found if p.rule == EXACT] == ["majority"]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("decision", ["majority", "mean"])
def test_a_replayed_rule_is_what_scoring_with_it_gives(classes, decision, monkeypatch) -> None:
    monkeypatch.setattr(replaying, "_BLOCK_ELEMENTS", 7 * STEPS * classes)  # several blocks
    dataset = sample_errors(steps=STEPS, classes=classes).assign_attrs(seed=7)
    configs = [StoppingConfig(kind="sequential", decision=decision, delta=0.2)]
    configs += [configs[0].model_copy(update={"order": "spread"})]
    configs += [StoppingConfig(kind="exact")] * (decision == "majority")
    order = spread_order(dataset["logsnr"].values, 7, dataset["image"].values.tolist())
    for config in configs:
        setting = np.nan if config.delta is None else config.delta
        rule = SPREAD if config.order == "spread" else config.kind
        (got,) = replay(dataset["errors"].values, [Procedure(decision, rule, setting)], spread=order)
        expected = from_errors(stopped(dataset, config), decision)
        assert expected["steps_used"].min() < STEPS
        np.testing.assert_array_equal(got.steps, expected["steps_used"])
        np.testing.assert_array_equal(got.prediction, expected["prediction"])
        p = probabilities(expected)[np.arange(len(expected)), expected["prediction"]]
        np.testing.assert_allclose(got.confidence, p)
        kind = "vote_entropy" if decision == "majority" else "softmax_entropy"
        np.testing.assert_allclose(got.uncertainty, expected[f"uncertainty_{kind}"], atol=1e-12)


def test_step_ablation_of_a_stopped_run_takes_steps_as_they_were_evaluated() -> None:
    dataset = sample_errors(steps=STEPS).assign_attrs(seed=7)
    errors = stopped(dataset, StoppingConfig(kind="exact", order="spread"))
    assert np.isnan(errors["errors"].values[:, 0]).any()
    ordered = errors_in_order(errors)
    done = np.isfinite(ordered).all(axis=2)
    assert (np.diff(done.astype(int), axis=1) <= 0).all() and done[:, 0].all()
    np.testing.assert_array_equal(vote.majority(ordered), vote.majority(dataset["errors"].values))
    drawn = stopped(dataset, StoppingConfig(kind="exact"))
    np.testing.assert_array_equal(errors_in_order(drawn), drawn["errors"].values)


def test_first_steps_are_a_run_of_so_many_steps() -> None:
    dataset = sample_errors(steps=STEPS)
    expected = from_errors(dataset.isel(step=slice(5)), "majority")
    (got,) = replay(dataset["errors"].values, [Procedure("majority", FIRST, 5)])
    assert (got.steps == 5).all()
    np.testing.assert_array_equal(got.prediction, expected["prediction"])
    np.testing.assert_array_equal(got.uncertainty, expected["uncertainty_vote_entropy"])


@pytest.mark.parametrize("config", [None, StoppingConfig(kind="sequential", delta=0.2)])
def test_values_are_those_of_the_metrics(config) -> None:
    dataset = sample_errors(steps=STEPS)
    table = table_of(dataset)
    expected = from_errors(stopped(dataset, config) if config else dataset, "majority")
    values = point_metrics(expected, vote_shares=True)
    rule = (SEQUENTIAL, 0.2) if config else (FIRST, STEPS)
    for metric, name in (("accuracy", "accuracy"), ("aurc", "aurc_vote_entropy"), ("ece", "ece")):
        assert cell(table, "majority", rule[0], metric, rule[1])["value"] == pytest.approx(values[name])
    agrees = expected["prediction"] == vote.majority(dataset["errors"].values)
    assert cell(table, "majority", rule[0], "agreement", rule[1])["value"] == pytest.approx(agrees.mean())


def test_exact_is_the_full_run_and_differences_are_paired() -> None:
    table = table_of(sample_errors(steps=STEPS, skill=0.1))
    for metric, value in (("accuracy", 0.0), ("agreement", 0.0)):
        row = cell(table, "majority", EXACT, metric)
        assert row[["difference", "difference_ci_low", "difference_ci_high"]].tolist() == [value] * 3
    row = cell(table, "majority", EXACT, "accuracy")
    assert row["ci_low"] < row["value"] < row["ci_high"]
    assert STEPS / 2 < row["steps_ci_low"] < row["steps"] < row["steps_ci_high"] < STEPS
    assert row["passes"] == pytest.approx(2 * row["steps"])
    full = table[(table["rule"] == FIRST) & (table["setting"] == STEPS)]
    assert (full["difference"] == 0).all() and (full["steps"] == STEPS).all()
    assert (full.loc[full["metric"] == "agreement", "value"] == 1).all()


def test_smaller_delta_takes_more_steps_and_all_take_fewer_than_exact() -> None:
    table = table_of(sample_errors(steps=STEPS))
    steps = [cell(table, "majority", SEQUENTIAL, "ece", delta)["steps"] for delta in (0.2, 0.01)]
    assert steps[0] < steps[1] < cell(table, "majority", EXACT, "ece")["steps"]


def test_mean_over_seeds_and_groups() -> None:
    seeds = [sample_errors(steps=STEPS, seed=seed, per_group=3) for seed in (0, 1)]
    table = table_of(*seeds)
    single = [table_of(seed) for seed in seeds]
    for metric in METRICS:
        values = [cell(one, "mean", FIRST, metric, 5)["value"] for one in single]
        row = cell(table, "mean", FIRST, metric, 5)
        assert row["value"] == pytest.approx(np.mean(values))
        assert row["seeds"] == 2 and row["images"] == 60
    alone = table_of(sample_errors(steps=STEPS, per_group=1))
    grouped = single[0]
    widths = [t["ci_high"].sub(t["ci_low"])[t["metric"] == "accuracy"].mean() for t in (alone, grouped)]
    assert widths[0] != widths[1]


def test_weights_fitted_on_validation_images_beat_the_plain_decisions() -> None:
    run = RunErrors(with_signal_at_some_levels(0, "test"), with_signal_at_some_levels(1, "valid"))
    table = table_of(run)
    for weighted, plain in (("weighted_votes", "majority"), ("weighted_errors", "mean")):
        row = cell(table, weighted, FIRST, "accuracy", 5)
        assert row["value"] > cell(table, plain, FIRST, "accuracy", 5)["value"] + 0.03
        # Compared with the full run of the plain decision.
        full = cell(table, plain, FIRST, "accuracy", STEPS)["value"]
        assert row["difference"] == pytest.approx(row["value"] - full)
        assert cell(table, weighted, FIRST, "agreement", 5)["value"] < 1
    assert cell(table, "weighted_errors", FIRST, "accuracy", 25)["value"] > 0.97
    pd.testing.assert_frame_equal(
        table[table["decision"] == "majority"].reset_index(drop=True),
        table_of(run.test)[lambda t: t["decision"] == "majority"].reset_index(drop=True),
    )


def test_test_labels_do_not_reach_the_weights() -> None:
    test, validation = with_signal_at_some_levels(0, "test"), with_signal_at_some_levels(1, "valid")
    turned = test.assign(label=1 - test["label"])
    one, other = (
        cell(table_of(RunErrors(t, validation)), "weighted_votes", FIRST, "accuracy", 25)
        for t in (test, turned)
    )
    assert one["value"] + other["value"] == pytest.approx(1)


def test_other_noise_levels_are_measured_beside() -> None:
    test = sample_errors(steps=STEPS)
    other = sample_errors(steps=STEPS, seed=3).assign(image=test["image"], label=test["label"])
    run = RunErrors(test, variants={"low_discrepancy": other})
    table = table_of(run)
    row = cell(table, "majority", FIRST, "agreement", STEPS, "low_discrepancy")
    expected = (vote.majority(test["errors"].values) == vote.majority(other["errors"].values)).mean()
    assert row["value"] == pytest.approx(expected) and expected < 1
    correct = vote.majority(other["errors"].values) == test["label"].values
    assert cell(table, "majority", FIRST, "accuracy", STEPS, "low_discrepancy")["value"] == correct.mean()
    with pytest.raises(DataError, match="different images"):
        table_of(RunErrors(test, variants={"antithetic": other.isel(image=slice(20))}))


def test_order_of_images_does_not_matter() -> None:
    dataset = sample_errors(steps=STEPS)
    pd.testing.assert_frame_equal(table_of(dataset.isel(image=slice(None, None, -1))), table_of(dataset))


def test_errors_of_stopped_runs_are_refused() -> None:
    dataset = stopped(sample_errors(steps=STEPS), StoppingConfig(kind="exact"))
    with pytest.raises(DataError, match=r"efficiency of unet on data0.*not of all steps.*kind: none"):
        table_of(dataset)


def test_seeds_must_have_the_same_images_and_steps() -> None:
    with pytest.raises(DataError, match="different images"):
        table_of(sample_errors(steps=STEPS), sample_errors(steps=STEPS).isel(image=slice(30)))
    with pytest.raises(DataError, match="differ in steps"):
        table_of(sample_errors(steps=STEPS), sample_errors(steps=STEPS - 2))
