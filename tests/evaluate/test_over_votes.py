"""Several vote seeds of one training: means over both, intervals, pairs with baselines, files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from evaluate_samples import sample_errors, sample_predictions
from meddiff.artifacts.layout import in_layout_order, several_seeds
from meddiff.artifacts.tables import classification, comparison
from meddiff.artifacts.tables import efficiency as efficiency_table
from meddiff.artifacts.tables.audit import _seeds
from meddiff.cli import main
from meddiff.diffusion import vote
from meddiff.errors import DataError
from meddiff.evaluate import curves
from meddiff.evaluate.comparison import compare
from meddiff.evaluate.efficiency import RunErrors, efficiency
from meddiff.evaluate.metrics_tree import metrics_tree
from meddiff.evaluate.over_seeds import limits_over_seeds, over_seeds, replicates
from meddiff.evaluate.proportion import share_interval
from meddiff.evaluate.statistics import Resampling
from meddiff.evaluate.summary import COLUMNS, read_metrics
from meddiff.readout.predictions import is_correct, write_predictions
from meddiff.runs import Run, ScoringRun

KEYS = ["model", "metric"]
LAYOUT: dict[str, Any] = {
    "datasets": [{"name": "chest", "title": "Chest"}],
    "models": [
        {"name": "unet", "title": "UNet", "family": "diffusion"},
        {"name": "resnet", "title": "ResNet", "family": "cnn"},
    ],
}
RESAMPLING = {"bootstrap_samples": 100, "confidence": 0.9, "bootstrap_seed": 0}
PAIRS = [(0, 0), (0, 1), (0, 2), (5, 0), (5, 1), (5, 2)]  # seed of training, vote seed
VALUES = [0.80, 0.83, 0.80, 0.70, 0.72, 0.74]


def run_of(seed: int, votes: int | None, decision: str = "", model: str = "unet") -> dict[str, Any]:
    run = {"dataset": "chest", "model": model, "seed": seed, "votes": votes}
    return {**run, "decision": decision} if decision else run


def metrics_of(pairs: list[tuple[int, int | None]], values: list[float], model: str = "unet") -> pd.DataFrame:
    rows = [
        (seed, votes, value, value - 0.05, value + 0.04)
        for (seed, votes), value in zip(pairs, values, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["seed", "votes", "value", "ci_low", "ci_high"])
    return table.astype({"votes": "Int64"}).assign(model=model, metric="accuracy", n=100)


def test_one_training_has_the_interval_of_other_vote_seeds() -> None:
    values = VALUES[:3]
    (row,) = over_seeds(metrics_of(PAIRS[:3], values), 0.95, KEYS).itertuples()
    assert (row.seeds, row.votes, row.value) == (1, 3, pytest.approx(np.mean(values)))
    assert row.sd == pytest.approx(np.std(values, ddof=1))
    half = t.ppf(0.975, 2) * np.std(values, ddof=1) / np.sqrt(3)
    low, high = np.mean(values) - np.hypot(0.05, half), np.mean(values) + np.hypot(0.04, half)
    assert (row.ci_low, row.ci_high) == pytest.approx((low, high))


def test_vote_seeds_of_one_training_are_no_further_trainings() -> None:
    (row,) = over_seeds(metrics_of(PAIRS, VALUES), 0.95, KEYS).itertuples()
    means = [np.mean(VALUES[:3]), np.mean(VALUES[3:])]
    assert (row.seeds, row.votes) == (2, 3)
    assert row.value == pytest.approx(np.mean(VALUES))
    assert row.sd == pytest.approx(np.std(means, ddof=1))
    half = t.ppf(0.975, 1) * np.std(means, ddof=1) / np.sqrt(2)
    low, high = np.mean(means) - np.hypot(0.05, half), min(np.mean(means) + np.hypot(0.04, half), 1)
    assert (row.ci_low, row.ci_high) == pytest.approx((low, high))


def test_pairs_that_come_in_any_order_are_the_same() -> None:
    table = metrics_of(PAIRS, VALUES)
    expected = over_seeds(table, 0.95, KEYS)
    shuffled = over_seeds(table.sample(frac=1, random_state=1), 0.95, KEYS)
    pd.testing.assert_frame_equal(shuffled, expected)


def test_baselines_have_no_vote_seeds() -> None:
    both = [metrics_of(PAIRS[:3], VALUES[:3]), metrics_of([(0, None)], [0.9], "resnet")]
    rows = over_seeds(pd.concat(both), 0.95, KEYS).set_index("model")
    assert rows.loc["unet", "votes"] == 3 and pd.isna(rows.loc["resnet", "votes"])
    assert rows.loc["resnet", ["value", "ci_low", "ci_high"]].tolist() == pytest.approx([0.9, 0.85, 0.94])
    assert pd.isna(rows.loc["resnet", "sd"])


def test_the_interval_covers_other_trainings_where_all_pairs_taken_alike_do_not() -> None:
    """Three trainings with three vote seeds each, which differ less than the trainings do."""
    generator, size = np.random.default_rng(0), 4000
    trainings = np.repeat(generator.normal(0.8, 0.03, (3, size)), 3, axis=0)
    values = trainings + generator.normal(0, 0.01, (9, size))
    mean = values.mean(axis=0)

    def coverage(of: np.ndarray) -> float:
        low, high = limits_over_seeds(of, (mean, mean), 0.95)  # as of endlessly many images
        return float(np.mean((low <= 0.8) & (high >= 0.8)))

    # 4,000 draws: a standard error of 0.0034.
    assert coverage(replicates(values, [0, 0, 0, 1, 1, 1, 2, 2, 2])) == pytest.approx(0.95, abs=0.012)
    assert coverage(values) < 0.85


@pytest.mark.parametrize(
    ("pairs", "said", "not_said"),
    [
        ([(0, 0)], [], ["seeds"]),
        ([(0, 0), (1, 1)], ["other seeds"], ["vote seeds."]),
        (PAIRS[:3], ["3 vote seeds", "of one training", "not for other trainings"], ["between seeds"]),
        (PAIRS, ["other seeds", "each seed is a training", "3 vote seeds"], ["of one training"]),
    ],
)
def test_captions_say_what_is_averaged(pairs: list, said: list[str], not_said: list[str]) -> None:
    table = over_seeds(metrics_of(pairs, VALUES[: len(pairs)]), 0.95, KEYS)
    text, audited = several_seeds(table), _seeds(table)
    assert all(words in text for words in said) and not any(words in text for words in not_said)
    assert bool(text) == bool(audited) and ("vote seeds" in audited) == any("3 vote" in w for w in said)


def test_the_classification_table_shows_means_over_pairs_beside_baselines() -> None:
    parts = [metrics_of(PAIRS[:3], VALUES[:3]).assign(decision="majority")]
    parts.append(metrics_of([(0, None)], [0.9], "resnet").assign(decision="softmax"))
    metrics = pd.concat(parts).assign(dataset="chest", n_by_class="50/50")
    runs = [run_of(*pair, "majority") for pair in PAIRS[:3]] + [run_of(0, None, "softmax", "resnet")]
    settings = classification.Settings(**LAYOUT, runs=runs, confidence=0.95)
    table = classification.table_of(metrics, settings).set_index("model")
    assert table.loc["unet", ["value", "seeds", "votes"]].tolist() == [pytest.approx(81.0), 1, 3]
    grid = classification.grid_of(table.reset_index(), settings)
    cells = {block.rows[0][0].value: block.rows[0][1] for block in grid.blocks}
    assert cells["UNet (majority)"].value == "81.0" and cells["UNet (majority)"].detail.startswith("± 1.7 [")
    assert "±" not in cells["ResNet"].detail
    assert "3 vote seeds" in grid.caption


def test_the_comparison_pairs_each_vote_seed_with_the_baseline_of_its_training() -> None:
    runs = [run_of(*pair, "majority") for pair in PAIRS]
    runs += [run_of(seed, None, "softmax", "resnet") for seed in (0, 5)]
    settings = comparison.Settings(**LAYOUT, runs=runs, **RESAMPLING)
    frames = [sample_predictions(r.decision, images=80, seed=i) for i, r in enumerate(settings.runs)]
    table = in_layout_order(compare(list(zip(settings.runs, frames, strict=True)), settings), settings)
    assert list(zip(table["seed"], table["votes"], strict=True)) == PAIRS
    baselines = {0: frames[6], 5: frames[7]}
    for i, row in enumerate(table.itertuples()):
        ours, theirs = is_correct(frames[i]).mean(), is_correct(baselines[row.seed]).mean()
        assert row.difference == pytest.approx(100 * (ours - theirs))
    assert is_correct(frames[6]).mean() != is_correct(frames[7]).mean()
    grid = comparison.grids_of(table, settings)[0]
    at = [column.title for column in grid.columns].index("Vote seed")
    assert [row[at].value for row in grid.blocks[0].rows] == ["0", "1", "2"] * 2
    alone = comparison.grids_of(table[table["votes"] == 0], settings)[0]
    assert "Vote seed" not in [column.title for column in alone.columns]


def test_curves_are_means_over_pairs_with_the_interval_of_trainings() -> None:
    errors = [sample_errors(seed=10 * seed + votes) for seed, votes in PAIRS]
    runs = [ScoringRun(**run_of(*pair)) for pair in PAIRS]
    table = curves.step_ablation(zip(runs, errors, strict=True), [5], 0.9)
    row = table[(table["decision"] == "mean") & (table["steps"] == 5)].iloc[0]
    right = [vote.mean(one["errors"].values[:, :5]) == one["label"].values for one in errors]
    accuracy = 100 * np.array([one.mean() for one in right])
    assert row["accuracy_percent"] == pytest.approx(accuracy.mean())
    assert (row["seeds"], row["votes"]) == (2, 3)
    means = accuracy.reshape(2, 3).mean(axis=1)
    half = t.ppf(0.95, 1) * np.std(means, ddof=1) / np.sqrt(2)
    of_images = 100 * np.array(share_interval(np.mean(right, axis=0), np.arange(60), 0.9))
    high = accuracy.mean() + np.hypot(of_images[1] - accuracy.mean(), half)
    assert row["ci_high_percent"] == pytest.approx(min(high, 100))
    assert high < 100 and half > 0.5

    decided = [Run(**run_of(*pair, "mean")) for pair in PAIRS]
    decided.append(Run(**run_of(0, None, "softmax", "resnet")))
    frames = [sample_predictions(run.decision, seed=i) for i, run in enumerate(decided)]
    ranked_by = {"mean": "softmax_entropy", "softmax": "softmax_entropy"}
    removal = curves.removal_curves(zip(decided, frames, strict=True), ranked_by, Resampling(**RESAMPLING))
    whole = removal[removal["removed_percent"] == 0].set_index("model")
    expected = 100 * np.mean([is_correct(frame).mean() for frame in frames[:6]])
    assert whole.loc["unet", "accuracy_percent"] == pytest.approx(expected)
    assert whole.loc["unet", ["seeds", "votes"]].tolist() == [2, 3]
    assert whole.loc["resnet", "seeds"] == 1 and np.isnan(whole.loc["resnet", "votes"])


def test_efficiency_is_a_mean_over_pairs() -> None:
    errors = [sample_errors(seed=10 * seed + votes) for seed, votes in PAIRS]

    def table_of(*chosen: int) -> pd.DataFrame:
        settings = efficiency_table.Settings(
            **LAYOUT, **RESAMPLING, runs=[run_of(*PAIRS[i]) for i in chosen], steps=[5], deltas=[0.1]
        )
        runs = [(settings.runs[k], RunErrors(errors[i])) for k, i in enumerate(chosen)]
        found = efficiency(runs, settings.steps, settings.deltas, settings)
        captions.append(efficiency_table.grids_of(found, settings)[0].caption)
        return found

    captions: list[str] = []
    together = table_of(*range(6))
    alone = [table_of(i) for i in range(6)]
    for column in ("value", "steps", "difference"):
        expected = np.mean([one[column] for one in alone], axis=0)
        np.testing.assert_allclose(together[column], expected, atol=1e-12)
    assert set(together["seeds"]) == {2} and set(together["votes"]) == {3}
    assert "mean over seeds and vote seeds" in captions[0] and "mean over seeds" not in captions[1]
    one_training = table_of(0, 1, 2)
    assert set(one_training["seeds"]) == {1} and "mean over vote seeds" in captions[-1]


def test_the_tree_of_metrics_has_means_over_pairs() -> None:
    table = metrics_of(PAIRS, VALUES).assign(dataset="chest", decision="mean")
    assert metrics_tree(table)["chest"]["unet"]["mean"]["accuracy"] == pytest.approx(np.mean(VALUES))


@pytest.mark.parametrize(("votes", "written"), [(7, "7"), (None, "nan")])
def test_a_file_of_metrics_names_its_vote_seed(tmp_path: Path, votes: int | None, written: str) -> None:
    run = run_of(0, votes, "majority" if votes else "softmax")
    write_predictions(sample_predictions(run["decision"], images=20), tmp_path / "p.csv")
    params = json.dumps({**run, **RESAMPLING})
    command = ["metrics", "--predictions", str(tmp_path / "p.csv"), "--params", params]
    assert main([*command, "--out", str(tmp_path / "m.csv")]) == 0
    text = pd.read_csv(tmp_path / "m.csv", dtype=str, keep_default_na=False)
    assert list(text.columns) == COLUMNS and set(text["votes"]) == {written}
    read = read_metrics(tmp_path / "m.csv", Run(**run))["votes"]
    assert read.isna().all() if votes is None else (read == votes).all()
    for other in (3, None if votes else 0):
        with pytest.raises(DataError, match=r"votes is .*files go in the order of the runs"):
            read_metrics(tmp_path / "m.csv", Run(**{**run, "votes": other}))
