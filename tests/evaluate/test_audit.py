"""The audit of shortcuts: cases with known answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from audit_samples import (
    LABEL,
    NOISE,
    OLD,
    RESAMPLING,
    STRATA,
    TEST,
    audit_of,
    predictions_of,
    result_of,
    runs_of,
    strata_of,
)
from meddiff.config import load_dataset
from meddiff.data.strata import stratify
from meddiff.errors import DataError
from meddiff.evaluate import audit as auditing
from meddiff.evaluate.audit import (
    AGAINST,
    FOLLOWS,
    GAP,
    NOT_SHOWN,
    RIGHT,
    RULE,
    UNDEFINED,
    WRONG,
    CueGap,
    Stratified,
)
from meddiff.evaluate.metrics.catalogue import point_metrics
from meddiff.evaluate.summary import DISCRIMINATION
from meddiff.readout.predictions import is_correct


def gaps_of(table: pd.DataFrame) -> dict[str, Any]:
    return {row.model: row for row in table.itertuples() if row.metric == GAP and row.split == "test"}


def test_cue_is_found_where_it_is_used_and_only_there() -> None:
    table = result_of(
        STRATA,
        cue=OLD.astype(int),
        skill=np.where(NOISE, 1 - LABEL, LABEL),
        perfect=LABEL,
        melanoma=np.ones_like(LABEL),  # prefers a class, whatever the archive
        contrary=np.where(NOISE, 1 - OLD, LABEL),
    )
    assert list(table.columns) == auditing.COLUMNS
    gaps = gaps_of(table)
    assert gaps["cue"].value == 1 and gaps[RULE].value == 1
    assert gaps["perfect"].value == gaps["melanoma"].value == 0
    assert gaps["contrary"].value < -0.05
    verdicts = {model: row.verdict for model, row in gaps.items()}
    assert verdicts == {
        RULE: "",
        "cue": FOLLOWS,
        "skill": NOT_SHOWN,
        "perfect": NOT_SHOWN,
        "melanoma": NOT_SHOWN,
        "contrary": AGAINST,
    }


def test_gap_is_within_classes_and_its_parts_add_up() -> None:
    """Of the images on which the rule is wrong most are melanomas, which this classifier prefers."""
    prediction = np.where(NOISE, 1, LABEL)
    table = result_of(STRATA, one=prediction)
    values = table[table["model"] == "one"].set_index(["stratum", "metric"])["value"]
    right = np.equal(OLD, LABEL)
    hit = prediction == LABEL
    expected = [np.mean([hit[side & np.equal(LABEL, k)].mean() for k in (0, 1)]) for side in (right, ~right)]
    assert [values["all", RIGHT], values["all", WRONG]] == pytest.approx(expected)
    assert values["all", GAP] == pytest.approx(expected[0] - expected[1])
    assert values["all", "accuracy"] == pytest.approx(hit.mean())
    assert values["old", "accuracy"] == pytest.approx(hit[OLD].mean())
    counts = table[table["model"] == "one"].set_index(["stratum", "metric"])["n_by_class"]
    assert counts["all", "accuracy"] == "190/210" and counts["new", "auroc"] == "170/30"
    assert counts["all", RIGHT] == "170/180" and counts["all", WRONG] == "20/30"


def test_a_classifier_that_is_always_right_has_intervals_too() -> None:
    found = result_of(STRATA, perfect=LABEL)
    rows = found[found["model"] == "perfect"].set_index(["stratum", "metric"])
    for stratum, images in (("all", 400), ("old", 200), ("new", 200)):
        exact = binomtest(images, images).proportion_ci(0.9).low
        row = rows.loc[(stratum, "accuracy")]
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((exact, 1))
        for metric in ("balanced_accuracy", "auroc"):
            assert 0.8 < rows.loc[(stratum, metric), "ci_low"] < 1
    # The rule is wrong on 20 and 30 images of the classes: one of the two shares may be as low as .86.
    wrong = rows.loc[("all", WRONG)]
    assert 1 - wrong["ci_low"] > (1 - binomtest(20, 20).proportion_ci(0.9).low) / 2
    gap = rows.loc[("all", GAP)]
    assert gap["ci_low"] < 0 < gap["ci_high"] == pytest.approx(1 - wrong["ci_low"])


def test_metrics_within_a_stratum_are_those_of_its_images() -> None:
    score = np.random.default_rng(1).uniform(0.05, 0.95, len(TEST)) * 0.6 + 0.3 * LABEL
    table = predictions_of(STRATA, LABEL, score)
    found = audit_of([(*runs_of("net"), table)])
    found = found[found["model"] == "net"].set_index(["stratum", "metric"])
    for name, mask in {"all": np.full(len(TEST), True), "old": OLD, "new": ~OLD}.items():
        expected = point_metrics(table[mask], False)
        for metric in DISCRIMINATION:
            row = found.loc[(name, metric)]
            assert row["value"] == pytest.approx(expected[metric])
            assert row["ci_low"] <= row["value"] <= row["ci_high"] and row["n"] == mask.sum()


def test_rule_is_fitted_on_the_training_split_only() -> None:
    swapped = STRATA.assign(label=STRATA["label"].where(STRATA["split"] == "train", 1 - STRATA["label"]))
    table = audit_of([], swapped)
    rule = table[(table["metric"] == "accuracy") & (table["stratum"] == "all")].set_index("split")["value"]
    assert rule["train"] == pytest.approx(350 / 400)
    assert rule["test"] == rule["valid"] == pytest.approx(50 / 400)
    unseen = pd.concat([STRATA, TEST[:3].assign(stratum="other")])
    shares = auditing.fit_rule(unseen, 2)
    assert shares.loc["other"].tolist() == pytest.approx([190 / 400, 210 / 400])
    assert shares.loc["old"].tolist() == pytest.approx([0.1, 0.9])


def test_without_images_to_compare_nothing_is_claimed() -> None:
    few = strata_of({("train", "old", 1): 30, ("train", "new", 0): 30, ("valid", "old", 1): 2}
                    | {("test", "old", 1): 40, ("test", "new", 0): 40, ("test", "new", 1): 9})  # fmt: skip
    test = few[few["split"] == "test"]
    table = result_of(few, cue=(test["stratum"] == "old").to_numpy().astype(int))
    row = gaps_of(table)["cue"]
    assert row.verdict == UNDEFINED and np.isnan(row.value) and np.isnan(row.ci_low) and row.n == 0
    undefined = table[(table["stratum"] == "old") & (table["metric"] == "auroc") & (table["split"] == "test")]
    assert undefined["value"].isna().all() and len(undefined) == 2


@given(data=st.data())
@example_settings(max_examples=20)
def test_weighted_gap_is_that_of_the_repeated_images(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    label, right, hit = (rng.integers(0, 2, 120) for _ in range(3))
    frame = pd.DataFrame({"label": label, "prediction": np.where(hit, label, 1 - label)})
    frame["group"] = np.arange(120)
    weights = rng.integers(1, 4, 120)
    gap = CueGap(frame, right.astype(bool), 2)
    repeated = frame.loc[np.repeat(frame.index, weights)].reset_index(drop=True)
    again = CueGap(repeated, np.repeat(right, weights).astype(bool), 2)
    once, twice = gap(weights[None]), again(np.ones((1, len(repeated))))
    assert gap.compared == again.compared == [0, 1]
    for name in (RIGHT, WRONG, GAP):
        np.testing.assert_allclose(once[name], twice[name])
    per_class = [
        [is_correct(frame)[(label == k) & (right == side)].mean() for side in (1, 0)] for k in (0, 1)
    ]
    assert gap(np.ones((1, 120)))[GAP][0] == pytest.approx(np.mean([a - b for a, b in per_class]))


def test_images_of_a_group_count_once_towards_the_minimum() -> None:
    frame = pd.DataFrame(
        {"label": 1, "prediction": 1, "group": [f"p{i}" for i in range(40)]}, index=range(40)
    )
    right = np.arange(40) < 20
    assert CueGap(frame, right, 2).compared == [1]
    assert CueGap(frame.assign(group=[f"p{i // 3}" for i in range(40)]), right, 2).compared == []


def test_predictions_must_be_of_the_test_split() -> None:
    (run,), table = runs_of("net"), predictions_of(STRATA, LABEL)
    for wrong, column in ((table[:-1], "image_id"), (table.assign(label=1 - table["label"]), "label")):
        with pytest.raises(DataError, match=f"differ in {column}"):
            audit_of([(run, wrong)])
    shuffled = table.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(audit_of([(run, shuffled)]), audit_of([(run, table)]))


def test_seeds_are_averaged() -> None:
    runs = [run.model_copy(update={"seed": seed}) for run in runs_of("net") for seed in (0, 1)]
    tables = [predictions_of(STRATA, LABEL), predictions_of(STRATA, OLD.astype(int))]
    table = audit_of(list(zip(runs, tables, strict=True)))
    row = gaps_of(table)["net"]
    assert (row.value, row.seeds) == (0.5, 2) and row.sd == pytest.approx(np.sqrt(0.5))


def test_official_isic_splits_give_the_known_audit(official: Path, root: Path) -> None:
    dataset = load_dataset("isic", root / "config")
    splits = {}
    for name in ("train", "valid", "test"):
        rows = pd.read_csv(official / f"splits/isic-{name}.csv")
        ids = rows["image_name"]
        columns = {"image_id": ids, "path": ids, "label": rows["target"], "group": ids}
        splits[name] = pd.DataFrame(columns)
    strata = stratify(dataset, splits, Path("nowhere"), {})
    assert auditing.fit_rule(strata, 2).idxmax(axis=1).to_dict() == {
        "ISIC 2019 and before": 1,
        "ISIC 2020 range": 0,
    }
    test = strata[strata["split"] == "test"]
    names = [stratum.name for stratum in dataset.audit.strata]
    old = (test["stratum"] == names[0]).to_numpy().astype(int)
    pairs = [(*runs_of("cue"), predictions_of(strata, old))]
    table = auditing.audit(pairs, {"isic": Stratified(strata, names, 2)}, RESAMPLING)
    rule = table[(table["model"] == RULE) & (table["metric"] == "accuracy") & (table["stratum"] == "all")]
    assert [f"{100 * value:.1f}" for value in rule["value"]] == ["94.3", "94.6", "93.8"]
    row = table[(table["model"] == "cue") & (table["stratum"] == names[1]) & (table["metric"] == "auroc")]
    assert row["n_by_class"].tolist() == ["515/63"] and row["value"].tolist() == [0.5]
    assert gaps_of(table)["cue"].verdict == FOLLOWS  # melanomas alone: there is no old benign test image
    assert gaps_of(table)["cue"].n_by_class == "0/506"
