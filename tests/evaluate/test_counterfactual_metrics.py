"""Counterfactuals whose every pixel is known: measures, metrics, table and figures made from their files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core_samples import SIDE, write_store
from meddiff.cli import main
from meddiff.config.schema.counterfactual import ExplainParams
from meddiff.data.stores.store import Store
from meddiff.errors import DataError
from meddiff.evaluate.counterfactual_settings import CounterfactualTableSettings, MeasureSettings
from meddiff.evaluate.counterfactual_table import counterfactual_grid, counterfactual_table
from meddiff.evaluate.predictions import from_probabilities, write_predictions
from meddiff.explaining.edits import edit_table, plan
from meddiff.explaining.examples import choose_examples, read_examples
from meddiff.explaining.measure_run import MeasureFiles, make_measures
from meddiff.explaining.metrics import METRICS, summarise
from meddiff.io import sha256_file

IMAGES = 24
FRONT = {"from_t": [0.25, 0.5], "cfg_scale": [1.0, 2.0], "images_per_class": 3}
PARAMS = ExplainParams(
    from_t=0.5,
    cfg_scale=2.0,
    sampling_steps=1,
    sampler="ddim",
    extra_last_step=False,
    images_per_class=None,
    seed=0,
    precision="fp32",
    validity_steps=1,
    decision="majority",
    noise_levels="uniform",
    front=FRONT,
)
SETTINGS = {
    "dataset": "chest",
    "model": "unet",
    "seed": 0,
    "phantom": "chexpert",
    "mask_margin": 0,
    "examples": 2,
    "bootstrap_samples": 50,
    "confidence": 0.9,
    "bootstrap_seed": 0,
}
# Grey levels by which images differ from the test image; a counterfactual in the mask's four rows, and below.
FACTUAL, CYCLE, INSIDE, OUTSIDE = 2, 5, -50, 2
WRONG_SELF, NOT_FLIPPED = 3, 1  # test image of class 1 misclassified; one of class 0 that is not flipped
# Of class 0: images that the oracle takes for class 1 before any edit; one whose factual it takes for it,
# too; and one whose factual the model itself does.
WRONG_ORACLE, CONTROL_ORACLE, CONTROL_SELF = (5, 6, 7), 2, 4


@dataclass(frozen=True)
class Run:
    files: MeasureFiles
    store: Store


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    store_dir = write_store(folder / "data", {"train": 2, "valid": 2, "test": IMAGES})
    store = Store.open(store_dir, "test")
    labels, rng = store.labels, np.random.default_rng(0)
    edits = plan(store.image_ids, labels, 2, PARAMS)
    (folder / "masks").mkdir()
    for name in store.image_ids:
        mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
        mask[:4] = 255
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
    for edit in edits:
        above, below = {
            "factual": (FACTUAL, FACTUAL),
            "cycle": (CYCLE, CYCLE),
            "counterfactual": (INSIDE, OUTSIDE),
        }[edit.role]
        pixels = store.images[edit.row].astype(int)
        pixels[:4] += above
        pixels[4:] += below
        path = folder / "images" / edit.file
        path.parent.mkdir(parents=True, exist_ok=True)
        assert pixels.min() >= 0 and pixels.max() <= 255
        Image.fromarray(pixels.astype(np.uint8)[..., 0]).save(path)

    order = [edit.image_id for edit in edits if edit.role == "factual"]
    misclassified = [name for name in order if labels[store.image_ids.index(name)] == 1][WRONG_SELF]
    healthy = [name for name in order if labels[store.image_ids.index(name)] == 0]
    unflipped = healthy[NOT_FLIPPED]
    table = edit_table(edits, [sha256_file(folder / "images" / edit.file) for edit in edits])
    asked, factual = table["role"] != "cycle", table["role"] == "factual"
    after = np.where(asked, np.where(table["image_id"] == unflipped, 0.25, 0.75), np.nan)
    for k in range(2):
        table[f"p_{k}"] = np.where(table["target"] == k, after, 1 - after)
        table[f"oracle_p_{k}"] = np.where(table["target"] == k, 0.9, 0.1)
    chosen = np.where(after > 0.5, table["target"], table["source"])
    chosen[factual & (table["image_id"] == healthy[CONTROL_SELF])] = 1
    table["prediction"] = np.where(asked, chosen, np.nan)
    table["oracle_prediction"] = table["target"]
    table.loc[factual & (table["image_id"] == healthy[CONTROL_ORACLE]), "oracle_prediction"] = 1
    table["feature_distance"] = 0.5
    table.to_csv(folder / "counterfactuals.csv", index=False, na_rep="nan")

    own = np.where(np.eye(2)[labels] == 1, 0.8, 0.2)
    own[store.image_ids.index(misclassified)] = own[store.image_ids.index(misclassified)][::-1]
    of_oracle = np.where(np.eye(2)[labels] == 1, 0.6, 0.4)
    for i in WRONG_ORACLE:
        of_oracle[store.image_ids.index(healthy[i])] = [0.4, 0.6]
    for name, p in (("own", own), ("oracle", of_oracle)):
        predictions = from_probabilities(store.image_ids, store.groups, labels, p)
        write_predictions(predictions, folder / f"{name}.csv")
    features = {name: rng.standard_normal((IMAGES, 1)).astype(np.float32) for name in ("generated", "real")}
    np.savez(folder / "features.npz", **features)
    files = MeasureFiles(
        table=folder / "counterfactuals.csv",
        images=folder / "images",
        features=folder / "features.npz",
        store=store_dir,
        predictions=folder / "own.csv",
        oracle=folder / "oracle.csv",
        root=folder,
        measures=folder / "measures.csv",
        metrics=folder / "metrics.csv",
        examples=folder / "examples.npz",
    )
    make_measures(json.dumps(SETTINGS), files)
    return Run(files, store)


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
    make_measures(json.dumps(SETTINGS), replace(run.files, oracle=tmp_path / "oracle.csv", **outputs))
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
        make_measures(json.dumps(SETTINGS), replace(run.files, table=tmp_path / "table.csv"))


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
    make_measures(json.dumps({**SETTINGS, "mask_margin": 1}), files)
    assert value(pd.read_csv(files.metrics), 1, "lesion_area").value == pytest.approx(5 / 8)


def test_intervals_hold_their_value_and_groups_are_drawn_whole(run, metrics):
    shown = metrics[metrics["ci_low"].notna()]
    assert (shown["ci_low"] <= shown["value"] + 1e-12).all()
    assert (shown["value"] <= shown["ci_high"] + 1e-12).all()
    one_group = pd.read_csv(run.files.measures, dtype={"image_id": str}).assign(group="all")
    tested = pd.DataFrame({"label": run.store.labels, "group": run.store.groups})
    table = summarise(one_group, dict(np.load(run.files.features)), tested, MeasureSettings(**SETTINGS))
    row = value(table, 0, "l1")
    assert row.ci_low == row.ci_high == row.value
    row = value(table, 0, "validity")
    assert row.ci_low < 0.1 and row.ci_high > 0.99  # all images of one group say as much as one


def test_kid_and_fid_are_of_the_qualified_and_the_real_images_of_the_target(run, metrics):
    from meddiff.explaining.similarity import KernelDistance, frechet_distance

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
    row = value(summarise(measures, features, tested, MeasureSettings(**SETTINGS)), 0, metric)
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
    make_measures(json.dumps({**SETTINGS, "phantom": None}), files)
    metrics = pd.read_csv(tmp_path / "metrics", keep_default_na=False)
    assert value(metrics, 0, "validity").value not in ("", "nan")
    assert "counterfactuals.oracle" in value(metrics, 0, "validity_oracle").note
    assert "not known" in value(metrics, 1, "change_inside_lesion").note


def test_features_and_tables_of_other_runs_are_refused(run, tmp_path):
    other = {"generated": np.zeros((3, 2)), "real": np.zeros((IMAGES, 2))}
    np.savez(tmp_path / "features.npz", **other)
    with pytest.raises(DataError, match="features of 3 counterfactuals for 24"):
        make_measures(json.dumps(SETTINGS), replace(run.files, features=tmp_path / "features.npz"))
    predictions = pd.read_csv(run.files.predictions, dtype=str).iloc[1:]
    predictions.to_csv(tmp_path / "own.csv", index=False)
    with pytest.raises(DataError, match="different splits"):
        make_measures(json.dumps(SETTINGS), replace(run.files, predictions=tmp_path / "own.csv"))


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


LAYOUT = {
    "datasets": [{"name": "chest", "title": "Chest"}],
    "models": [{"name": "unet", "title": "A UNet", "family": "diffusion"}],
    "runs": [{"dataset": "chest", "model": "unet", "seed": 0}],
    "classes": {"chest": ["healthy", "effusion"]},
    "oracle": "A ResNet",
}
STYLE = {"width": 7.0, "height": 1.2, "dpi": 60}


def test_table_for_reading(run, tmp_path):
    params = {
        **LAYOUT,
        "confidence": 0.9,
        "features": "A ResNet",
        "mask_margin": 0,
        "made": {"unet": "from t = 0.5 in 1 ddim steps with guidance 2"},
    }
    outputs = [tmp_path / f"t.{suffix}" for suffix in ("csv", "md", "tex")]
    arguments = [a for path in outputs for a in (f"--out-{path.suffix[1:]}", str(path))]
    command = ["table", "--kind", "counterfactuals", "--params", json.dumps(params)]
    assert main([*command, "--metrics", str(run.files.metrics), *arguments]) == 0
    text = outputs[1].read_text()
    judged = r"A UNet: healthy → effusion \| 12 \| 9"
    judged += "".join(rf" \| {share} \[\d+, \d+\]" for share in (92, 100, 8, 11))
    assert re.search(judged + r" \| 0\.102 \| 0\.139 \|", text)
    assert "made with A ResNet" in text and "A UNet: from t = 0.5" in text
    assert "A dash: change inside the lesion, area of the lesion (where the lesion is or would be" in text
    assert "SSIM |" not in text  # no image is large enough: no column, and the caption says why
    assert "Without a column: SSIM (images are smaller" in text
    table = pd.read_csv(outputs[0])
    assert len(table) == 2 * len(METRICS) and table["seeds"].eq(1).all()


@pytest.mark.parametrize(
    ("missing", "said", "unsaid"),
    [
        ([], ["Control: ", "KID is against", "FID is given", "Changed: "], ["A dash: KID"]),
        (["kid", "kid_halves", "kid_source", "fid"], ["Distances of features"], ["KID is", "FID is"]),
        (["validity_oracle", "control_oracle"], ["Control: "], ["by the oracle, A ResNet"]),
        (METRICS, [], ["Control: ", "Changed: ", "Composition: ", "Distances of features", "A dash"]),
    ],
)
def test_the_caption_is_about_the_columns_that_are_there(metrics, missing, said, unsaid):
    settings = CounterfactualTableSettings(
        **LAYOUT, confidence=0.9, features="A ResNet", mask_margin=0, made={"unet": "somehow"}
    )
    gone = metrics["metric"].isin(missing)
    table = metrics.assign(note=metrics["note"].mask(gone, "for a reason: 3 of 4"))
    table.loc[gone, ["value", "ci_low", "ci_high"]] = np.nan
    grid = counterfactual_grid(counterfactual_table(table, settings), settings)
    titles = [column.title for column in grid.columns]
    assert all(text in grid.caption for text in said)
    assert not any(text in grid.caption for text in unsaid)
    assert ("n oracle" in titles) == ("validity_oracle" not in missing)
    if missing:
        assert "Without a column: " in grid.caption and "(for a reason)" in grid.caption


@pytest.mark.parametrize(
    ("kind", "option"), [("counterfactuals", "examples"), ("counterfactual_front", "measures")]
)
def test_figures(run, tmp_path, kind, option):
    params = {**LAYOUT, "style": STYLE}
    if kind == "counterfactual_front":
        params |= {"confidence": SETTINGS["confidence"]}
        params["style"] = {**STYLE, "height": 3.0}
    files = []
    for attempt in ("a", "b"):
        outputs = [tmp_path / f"{attempt}.{suffix}" for suffix in ("csv", "png", "pdf")]
        arguments = [a for path in outputs for a in (f"--out-{path.suffix[1:]}", str(path))]
        command = ["figure", "--kind", kind, "--params", json.dumps(params)]
        assert main([*command, f"--{option}", str(getattr(run.files, option)), *arguments]) == 0
        files.append([path.read_bytes() for path in outputs])
    assert files[0] == files[1]  # equal figures are equal bytes
    table = pd.read_csv(tmp_path / "a.csv")
    if kind == "counterfactuals":
        assert table["inside_lesion"].isna().tolist() == [True, True, False, False]
        return
    # Four settings, two judges; the six images of the comparison, all of them decided right.
    assert len(table) == 8 and (table["images"] == 6).all()
    own = table[table["judge"] == "itself"]
    # Of the comparison's images one factual is taken for the target, and by the oracle only.
    assert own["control_percent"].tolist() == [0] * 4
    of_oracle = table[table["judge"] == "oracle"]
    assert of_oracle["control_percent"].to_numpy() == pytest.approx(np.full(4, 100 / 6))
    assert own["validity_percent"].to_numpy() == pytest.approx(np.full(4, 100 * 5 / 6))
    assert own["l1"].to_numpy() == pytest.approx(np.full(4, (OUTSIDE - INSIDE) / 2 / 255))
