"""Counterfactuals whose every pixel is known: measures, metrics and examples made from their files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core_samples import SIDE
from counterfactual_samples import (
    CYCLE,
    FACTUAL,
    IMAGES,
    INSIDE,
    OUTSIDE,
    SETTINGS,
    WRONG_ORACLE,
    Run,
    measured_run,
)
from meddiff.errors import DataError
from meddiff.explaining.examples import choose_examples, read_examples
from meddiff.explaining.measure_run import MeasureSettings, make_measures
from meddiff.explaining.metrics import METRICS
from meddiff.explaining.set_distances import KernelDistance, frechet_distance
from meddiff.explaining.summary import summarise


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return measured_run(tmp_path_factory.mktemp("run"))


def changed(**settings: int | None) -> MeasureSettings:
    return MeasureSettings(**{**SETTINGS.model_dump(), **settings})


@pytest.fixture(scope="module")
def metrics(run) -> pd.DataFrame:
    return pd.read_csv(run.files.metrics, na_values=["nan"], keep_default_na=False)


def value(metrics: pd.DataFrame, source: int, metric: str) -> pd.Series:
    (row,) = metrics[(metrics["source"] == source) & (metrics["metric"] == metric)].itertuples()
    return row


def test_every_direction_has_every_metric(metrics):
    for source, target in ((0, 1), (1, 0)):
        rows = metrics[(metrics["source"] == source) & (metrics["target"] == target)]
        assert rows["metric"].tolist() == METRICS
    assert metrics["value"].isna().tolist() == (metrics["note"] != "").tolist()


def test_only_images_decided_for_their_true_class_count(metrics):
    per_class = IMAGES // 2
    assert value(metrics, 0, "validity").n == per_class
    assert value(metrics, 1, "validity").n == value(metrics, 1, "composition_l1").n == per_class - 1


def test_what_classifiers_say(metrics):
    per_class = IMAGES // 2
    assert value(metrics, 0, "validity").value == pytest.approx((per_class - 1) / per_class)
    assert value(metrics, 1, "validity").value == value(metrics, 1, "validity_oracle").value == 1
    # Probability of the target: .2 before and .75 after, but for the one that stays (.25).
    expected = (0.55 * (per_class - 1) + 0.05) / per_class
    assert value(metrics, 0, "target_gain").value == pytest.approx(expected)
    assert value(metrics, 1, "target_gain_oracle").value == pytest.approx(0.5)


def test_a_flip_counts_only_where_the_judge_was_right_on_the_input(metrics):
    row = value(metrics, 0, "validity_oracle")
    assert (row.value, row.n) == (1, IMAGES // 2 - len(WRONG_ORACLE))


def test_the_control_is_of_factual_reconstructions_taken_for_the_target(metrics):
    per_class = IMAGES // 2
    of_self, of_oracle = value(metrics, 0, "control"), value(metrics, 0, "control_oracle")
    assert (of_self.value, of_self.n) == (pytest.approx(1 / per_class), per_class)
    right = per_class - len(WRONG_ORACLE)
    assert (of_oracle.value, of_oracle.n) == (pytest.approx(1 / right), right)
    assert value(metrics, 1, "control").value == value(metrics, 1, "control_oracle").value == 0


def test_an_oracle_that_takes_all_inputs_for_the_target_has_flipped_nothing(run, tmp_path):
    """Three classes, as found: the oracle said the target of every unedited image, and "100 [100, 100]"."""
    oracle = pd.read_csv(run.files.oracle, dtype={"image_id": str})
    healthy = oracle["label"] == 0
    oracle.loc[healthy, ["prediction", "p_0", "p_1"]] = [1, 0.4, 0.6]
    oracle.to_csv(tmp_path / "oracle.csv", index=False)
    outputs = {name: tmp_path / name for name in ("measures", "metrics", "examples")}
    make_measures(SETTINGS, replace(run.files, oracle=tmp_path / "oracle.csv", **outputs))
    metrics = pd.read_csv(tmp_path / "metrics", na_values=["nan"], keep_default_na=False)
    for metric in ("validity_oracle", "control_oracle"):
        row = value(metrics, 0, metric)
        assert np.isnan(row.value) and row.n == 0 and "oracle decides none of the test images" in row.note
    assert value(metrics, 1, "validity_oracle").n == IMAGES // 2 - 1


def test_a_run_without_decisions_of_its_factuals_is_refused(run, tmp_path):
    table = pd.read_csv(run.files.table, dtype={"image_id": str})
    table.loc[table["role"] == "factual", "prediction"] = np.nan
    table.to_csv(tmp_path / "table.csv", index=False, na_rep="nan")
    with pytest.raises(DataError, match=r"no factual reconstruction with from_t .* has a prediction"):
        make_measures(SETTINGS, replace(run.files, table=tmp_path / "table.csv"))


def test_distances_by_hand(metrics):
    # Half of the rows are in the mask.
    assert value(metrics, 0, "l1").value == pytest.approx((OUTSIDE - INSIDE) / 2 / 255)
    assert value(metrics, 0, "l2").value == pytest.approx(np.sqrt((INSIDE**2 + OUTSIDE**2) / 2) / 255)
    assert value(metrics, 1, "composition_l1").value == pytest.approx(FACTUAL / 255)
    assert value(metrics, 1, "reversibility_l1").value == pytest.approx(CYCLE / 255)
    assert value(metrics, 0, "class_l1").value == pytest.approx((FACTUAL - INSIDE) / 2 / 255)
    assert value(metrics, 0, "feature_distance").value == 0.5
    # After a 3x3 mean the mask's rows and the row next to them are above .05 of the range.
    assert value(metrics, 0, "changed_share").value == pytest.approx(5 / 8)
    assert value(metrics, 0, "ssim").note == "images are smaller than the window of SSIM"


def test_the_change_is_inside_the_lesion_where_the_image_shows_one(metrics):
    assert value(metrics, 1, "change_inside_lesion").value == pytest.approx(1)
    assert value(metrics, 1, "lesion_area").value == pytest.approx(0.5)
    assert "not known" in value(metrics, 0, "change_inside_lesion").note  # a healthy film has no lesion


def test_a_margin_widens_the_lesion(run, tmp_path):
    outputs = {name: tmp_path / name for name in ("measures", "metrics", "examples")}
    files = replace(run.files, **outputs)
    make_measures(changed(mask_margin=1), files)
    assert value(pd.read_csv(files.metrics), 1, "lesion_area").value == pytest.approx(5 / 8)


def test_intervals_hold_their_value_and_groups_are_drawn_whole(run, metrics):
    shown = metrics[metrics["ci_low"].notna()]
    assert (shown["ci_low"] <= shown["value"] + 1e-12).all()
    assert (shown["value"] <= shown["ci_high"] + 1e-12).all()
    one_group = pd.read_csv(run.files.measures, dtype={"image_id": str}).assign(group="all")
    tested = pd.DataFrame({"label": run.store.labels, "group": run.store.groups})
    table = summarise(one_group, dict(np.load(run.files.features)), tested, SETTINGS)
    row = value(table, 0, "l1")
    assert row.ci_low == row.ci_high == row.value
    row = value(table, 0, "validity")
    assert row.ci_low < 0.1 and row.ci_high > 0.99  # all images of one group say as much as one


def test_kid_and_fid_are_of_the_qualified_and_the_real_images_of_the_target(run, metrics):
    measures = pd.read_csv(run.files.measures, dtype={"image_id": str})
    features = np.load(run.files.features)
    chosen = measures[(measures["main"] == 1) & (measures["role"] == "counterfactual")]
    used = features["generated"][((chosen["source"] == 1) & (chosen["qualified"] == 1)).to_numpy()]
    real = features["real"][run.store.labels == 0]
    assert (len(used), len(real)) == (IMAGES // 2 - 1, IMAGES // 2)
    expected = KernelDistance(used, real)(np.ones((1, len(used))), np.ones((1, len(real))))[0]
    assert value(metrics, 1, "kid").value == pytest.approx(expected)
    assert value(metrics, 1, "fid").value == pytest.approx(frechet_distance(used, real))


@pytest.mark.parametrize(
    ("change", "metric", "note"),
    [
        ({"images": 4}, "kid", "too few images: 4 counterfactuals and 12 real images"),
        ({"dimensions": 2}, "fid", "too few images for FID: 12 for 2 feature dimensions, 10 for each"),
        ({"images": 4}, "kid_halves", "too few images: 12 groups of real images, 20 are needed"),
        ({"network": False}, "kid", "no feature network"),
        ({"qualified": False}, "validity", "no test image of the source class is decided for it"),
    ],
)
def test_what_cannot_be_estimated_is_left_out_with_the_reason(run, change, metric, note):
    measures = pd.read_csv(run.files.measures, dtype={"image_id": str})
    features = dict(np.load(run.files.features))
    if "images" in change:
        rows = measures.index[(measures["source"] == 0) & (measures["main"] == 1)]
        kept = measures.loc[rows, "image_id"].unique()[: change["images"]]
        measures.loc[~measures["image_id"].isin(kept), "qualified"] = 0
    if "dimensions" in change:
        rng = np.random.default_rng(1)
        features = {name: rng.standard_normal((len(f), change["dimensions"])) for name, f in features.items()}
    if "network" in change:
        features = {}
    if "qualified" in change:
        measures["qualified"] = 0
    tested = pd.DataFrame({"label": run.store.labels, "group": run.store.groups})
    row = value(summarise(measures, features, tested, SETTINGS), 0, metric)
    assert np.isnan(row.value) and np.isnan(row.ci_low) and row.note.startswith(note)


def test_without_an_oracle_its_metrics_say_so(run, tmp_path):
    table = pd.read_csv(run.files.table, dtype={"image_id": str})
    table.drop(columns=[c for c in table if "oracle" in c or "feature" in c]).to_csv(
        tmp_path / "table.csv", index=False, na_rep="nan"
    )
    np.savez(tmp_path / "features.npz")
    outputs = {name: tmp_path / name for name in ("measures", "metrics", "examples")}
    files = replace(
        run.files, table=tmp_path / "table.csv", features=tmp_path / "features.npz", oracle=None, **outputs
    )
    make_measures(changed(phantom=None), files)
    metrics = pd.read_csv(tmp_path / "metrics", keep_default_na=False)
    assert value(metrics, 0, "validity").value not in ("", "nan")
    assert "counterfactuals.oracle" in value(metrics, 0, "validity_oracle").note
    assert "not known" in value(metrics, 1, "change_inside_lesion").note


def test_features_and_tables_of_other_runs_are_refused(run, tmp_path):
    other = {"generated": np.zeros((3, 2)), "real": np.zeros((IMAGES, 2))}
    np.savez(tmp_path / "features.npz", **other)
    with pytest.raises(DataError, match="features of 3 counterfactuals for 24"):
        make_measures(SETTINGS, replace(run.files, features=tmp_path / "features.npz"))
    predictions = pd.read_csv(run.files.predictions, dtype=str).iloc[1:]
    predictions.to_csv(tmp_path / "own.csv", index=False)
    with pytest.raises(DataError, match="different splits"):
        make_measures(SETTINGS, replace(run.files, predictions=tmp_path / "own.csv"))


def test_examples_are_the_first_images_that_are_decided_right(run):
    measures = pd.read_csv(run.files.measures, dtype={"image_id": str})
    chosen = choose_examples(measures, IMAGES)
    assert chosen["source"].tolist() == [0] * 12 + [1] * 12
    assert chosen["qualified"].tolist() == [1] * 23 + [0]  # the misclassified one is the last of its class
    shown = read_examples(run.files.examples)
    assert shown.table["source"].tolist() == [0, 0, 1, 1]
    for i, row in enumerate(shown.table.itertuples()):
        image = run.store.images[run.store.image_ids.index(row.image_id)]
        np.testing.assert_array_equal(shown.pictures["input"][i], image)
        np.testing.assert_array_equal(shown.pictures["factual"][i], image + FACTUAL)
        assert shown.pictures["mask"][i].sum() == (4 * SIDE if row.source else 0)


@pytest.mark.parametrize(("number", "classes"), [(1, 3), (2, 3), (3, 4), (2, 2), (5, 3)])
def test_examples_of_several_classes_show_every_target(number, classes):
    rows = [
        {"image_id": f"{source}-{i}", "source": source, "target": target, "qualified": int(i != 1)}
        for i in range(6)
        for source in range(classes)
        for target in range(classes)
        if source != target
    ]
    chosen = choose_examples(pd.DataFrame(rows).assign(main=1, role="counterfactual"), number)
    assert chosen["source"].tolist() == [k for k in range(classes) for _ in range(number)]
    for source, part in chosen.groupby("source"):
        order = [f"{source}-{i}" for i in (0, 2, 3, 4, 5, 1)]  # the misclassified one comes last
        assert part["image_id"].tolist() == order[:number]
        targets = part["target"].tolist()
        assert targets[0] == (source + 1) % classes
        assert len(set(targets)) == min(number, classes - 1) and source not in targets
