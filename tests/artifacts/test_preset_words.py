"""What captions say of presets, of the classes that metrics are of, and of values of other images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from artifact_samples import command_of, outputs_of
from error_samples import save_errors
from evaluate_samples import sample_errors, sample_predictions
from meddiff.artifacts.figures import uncertainty
from meddiff.artifacts.lookup import names
from meddiff.artifacts.tables import classification, metrics, published
from meddiff.cli import main
from meddiff.config.schema.figure import FigureStyle
from meddiff.data.leaks.pairs import COLUMNS as PAIR_COLUMNS
from meddiff.data.leaks.shares import COLUMNS as SHARED_COLUMNS
from meddiff.evaluate.metrics.catalogue import point_metrics
from meddiff.explaining.metrics import COLUMNS, METRICS
from meddiff.localising.run import COLUMNS as FOUND
from meddiff.readout.calibrating import calibrate, with_calibrated, with_triage
from meddiff.readout.calibration_file import write_calibration
from meddiff.readout.predictions import probabilities, write_predictions
from meddiff.result_csv import write_csv
from ood_samples import ood_files

RUN = {"dataset": "isic", "model": "sd", "seed": 0}
DECIDED = {**RUN, "decision": "majority"}
BASELINE = {**RUN, "model": "vit", "decision": "softmax"}
LAYOUT: dict[str, Any] = {
    "datasets": [{"name": "isic", "title": "ISIC"}],
    "models": [
        {"name": "sd", "title": "SD", "family": "diffusion"},
        {"name": "vit", "title": "ViT", "family": "transformer"},
    ],
}
RESAMPLING = {"bootstrap_samples": 20, "confidence": 0.9, "bootstrap_seed": 0}
PUBLISHED = {
    "removed_percent": [0, 50],
    "datasets": {"isic": {"sd": [94.8, 99.0], "vit": [90.0, 91.0]}},
    "validation": {"isic": ["sd"]},
}


# They are of no model.
OF_DATA = ("tables/participants", "tables/flow")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[dict[str, Any], Any]]:
    """Kind of table -> params but for the preset, and options that name its files."""
    folder = tmp_path_factory.mktemp("files")
    runs, predictions, measured = [DECIDED, BASELINE], [], []
    triaged: dict[str, list[Path]] = {"predictions": [], "calibrations": []}
    promised = {"ppv": 0.9, "npv": 0.9, "confidence": 0.9}
    for i, run in enumerate(runs):
        predictions.append(str(folder / f"p{i}.csv"))
        measured.append(str(folder / f"m{i}.csv"))
        table = sample_predictions(run["decision"], images=40)
        write_predictions(table, predictions[-1])
        calibration = calibrate(table, predictions[-1], offsets=True)
        table = with_triage(with_calibrated(table, calibration, "c.json"), calibration, promised)
        triaged["predictions"].append(folder / f"t{i}.csv")
        triaged["calibrations"].append(folder / f"c{i}.json")
        write_predictions(table, triaged["predictions"][-1])
        write_calibration(triaged["calibrations"][-1], calibration)
        params = json.dumps(run | RESAMPLING)
        command = ["metrics", f"--predictions={predictions[-1]}", f"--validation={predictions[-1]}"]
        assert main([*command, "--params", params, f"--out={measured[-1]}"]) == 0
    save_errors(sample_errors(images=40), folder / "errors.nc")
    strata = table[["image_id", "group", "label"]].assign(stratum="a")
    pd.concat([strata.assign(split=name) for name in ("train", "valid", "test")]).to_csv(
        folder / "strata.csv", index=False
    )
    leaks = dict(zip(PAIR_COLUMNS, ["alike", "", "", 3, "test", strata["image_id"][0]], strict=False))
    pd.DataFrame([leaks], columns=PAIR_COLUMNS).to_csv(folder / "leaks.csv", index=False)
    shared = [["alike", "", "test", "train", of, "all", 40, 40, 1] for of in ("all", "x", "y")]
    pd.DataFrame(shared, columns=SHARED_COLUMNS).to_csv(folder / "shared.csv", index=False)
    row = ["isic", "sd", 0, 0, 1]
    changed = pd.DataFrame([[*row, name, 0.5, 0.4, 0.6, 9, ""] for name in METRICS], columns=COLUMNS)
    write_csv(changed, folder / "changed.csv")
    found = pd.DataFrame([["evidence", "", "iou", 0.5, 0.4, 0.6, 9, ""]], columns=FOUND[4:])
    write_csv(found.assign(**RUN, votes=pd.NA)[FOUND], folder / "found.csv")
    curves = uncertainty.Settings(**LAYOUT, **RESAMPLING, style=FigureStyle(), runs=runs, published=PUBLISHED)
    pairs = [(run, sample_predictions(run.decision, images=40)) for run in curves.runs]
    drawn = uncertainty.curves(pairs, curves)
    write_csv(drawn, folder / "uncertainty.csv")
    write_csv(drawn.rename(columns={"removed_percent": "steps"}), folder / "steps.csv")
    decided, scored = LAYOUT | {"runs": runs}, LAYOUT | {"runs": [RUN]}
    confidence = {"confidence": 0.9}
    scores = {"isic": {"sd": {"accuracy": 94.8, "f1": 0.9}}}
    named = LAYOUT["datasets"][0]
    audited = named | {"cue": "site", "strata": [], "subset": None, "classes": ["x", "y"]}
    made = {"classes": {"isic": ["x", "y"]}, "oracle": None, "features": None, "mask_margin": 0}
    return {
        "tables/classification": (decided | confidence | {"published": scores}, {"metrics": measured}),
        "tables/metrics": (decided, {"metrics": measured}),
        "tables/calibration": (decided | confidence, {"metrics": measured}),
        "tables/triage": (
            decided | RESAMPLING | {"promised": promised, "classes": {"isic": ["x", "y"]}},
            triaged,
        ),
        "tables/comparison": (
            decided | RESAMPLING | {"validation": [BASELINE]},
            {"predictions": predictions, "validation": predictions[1:]},
        ),
        "tables/operating_point": (
            decided | confidence | {"operating_point": "youden", "datasets": [named | {"positive": "y"}]},
            {"metrics": measured},
        ),
        "tables/audit": (
            decided | RESAMPLING | {"datasets": [audited]},
            {"predictions": predictions, "strata": folder / "strata.csv"},
        ),
        "tables/leaks": (
            decided | RESAMPLING | {"datasets": [named | {"classes": ["x", "y"]}]},
            {"predictions": predictions, "leaks": folder / "leaks.csv", "shared": folder / "shared.csv"},
        ),
        "tables/localisation": (scored | confidence, {"metrics": folder / "found.csv"}),
        "tables/efficiency": (
            scored | RESAMPLING | {"steps": [1, 5], "deltas": [0.1]},
            {"errors": folder / "errors.nc", "validation": [], "variants": []},
        ),
        "tables/ood": (
            LAYOUT | RESAMPLING | {"runs": [RUN | {"votes": 0}, RUN | {"model": "vit"}], "steps": None},
            ood_files(folder),
        ),
        "tables/published": (
            decided | confidence,
            {"figures": [folder / "steps.csv", folder / "uncertainty.csv"]},
        ),
        "tables/counterfactuals": (
            scored | confidence | made | {"made": {"sd": "somehow"}},
            {"metrics": folder / "changed.csv"},
        ),
    }


@pytest.mark.parametrize(
    "kind", [name for name in names() if name.startswith("tables/") and name not in OF_DATA]
)
@pytest.mark.parametrize(
    ("preset", "words"),
    [
        ({"preset": "fixed"}, "Preset fixed: known faults of the published code are corrected"),
        ({"preset": "official"}, "Preset official: as the published code does it, known faults included."),
        ({"preset": "official", "released": True}, "with the weights that the authors released."),
    ],
    ids=["fixed", "official", "released"],
)
def test_every_table_names_its_preset(files, tmp_path, kind, preset, words):
    params, options = files[kind]
    assert main(command_of(kind, params | preset, tmp_path, **options)) == 0
    text = outputs_of(kind, tmp_path)[1].read_text()
    captions = [line for line in text.splitlines() if line and not line.startswith("|")]
    assert captions and all(words in caption for caption in captions)
    beside = "the paper's values are of a procedure that differs on purpose"
    shown = kind in ("tables/classification", "tables/published") and preset["preset"] == "fixed"
    assert (beside in text) == shown


def test_published_values_of_the_validation_images_are_not_compared():
    scores = {
        "isic": {"sd": {"accuracy": 94.8, "f1": 0.946, "split": "valid"}, "vit": {"accuracy": 95, "f1": 0.9}}
    }
    settings = classification.Settings(**LAYOUT, runs=[DECIDED, BASELINE], confidence=0.9, published=scores)
    rows = [
        {
            **run,
            "metric": metric,
            "value": 0.9,
            "ci_low": 0.8,
            "ci_high": 0.95,
            "n": 50,
            "n_by_class": "25/25",
        }
        for run in (DECIDED, BASELINE)
        for metric in ("accuracy", "f1")
    ]
    table = classification.table_of(pd.DataFrame(rows), settings).set_index(["model", "metric"])
    assert table.loc[("sd", "accuracy"), ["published", "published_split"]].tolist() == [94.8, "valid"]
    assert table.loc["sd", ["difference", "difference_ci_low", "difference_ci_high"]].isna().all(axis=None)
    assert table.loc[("vit", "accuracy"), "difference"] == pytest.approx(-5)
    grid = classification.grid_of(table.reset_index(), settings)
    shown = {row[0].value: (row[2].value, row[2].detail) for block in grid.blocks for row in block.rows}
    assert shown["SD (majority)"] == ("94.8*", "")
    assert shown["ViT"][0] == "95.0" and shown["ViT"][1].startswith("(−5.0")
    assert "* of the validation images" in grid.caption


def test_published_curves_of_the_validation_images_are_marked_and_not_compared():
    settings = uncertainty.Settings(
        **LAYOUT, **RESAMPLING, style=FigureStyle(), runs=[DECIDED, BASELINE], published=PUBLISHED
    )
    pairs = [(run, sample_predictions(run.decision, images=40)) for run in settings.runs]
    data = uncertainty.curves(pairs, settings)
    legend = uncertainty.draw(data, settings, {}).legends[0]
    entries = {text.get_text() for text in legend.get_texts()}
    assert {"paper", "paper, of validation images"} <= entries
    steps = data.rename(columns={"removed_percent": "steps"}).iloc[:0]
    table = published.compare_curves({"step_ablation": steps, "uncertainty": data})
    of_sd, of_vit = (table[table["model"] == name] for name in ("sd", "vit"))
    assert of_sd["published_percent"].tolist() == [94.8, 99.0] and of_sd["difference"].isna().all()
    assert set(of_sd["published_split"]) == {"valid"}
    np.testing.assert_allclose(of_vit["difference"], of_vit["accuracy_percent"] - [90.0, 91.0])
    grid = published.grids_of(table, published.Settings(**LAYOUT, runs=[DECIDED, BASELINE], confidence=0.9))[
        1
    ]
    assert [cell.value for cell in grid.blocks[0].rows[1]] == ["paper (Δ)", "94.8*", "99.0*"]
    assert "* of the validation images" in grid.caption


def test_the_shipped_values_of_stable_diffusion_on_isic_are_of_the_validation_images(root: Path):
    """isic-stable-diffusion/inference.py of the published code opens the validation split."""
    document = yaml.safe_load((root / "config/published.yaml").read_text())
    marked = {
        (dataset, model)
        for dataset, models in document["classification"].items()
        for model, scores in models.items()
        if scores.get("split") == "valid"
    }
    assert marked == {("isic", "stable_diffusion_finetuned"), ("isic", "stable_diffusion_zero_shot")}
    assert document["uncertainty"]["validation"] == {"isic": ["stable_diffusion_finetuned"]}


@pytest.mark.parametrize(
    ("classes", "names", "words"),
    [
        (
            2,
            ["none", "effusion"],
            (
                "F1 is that of the class effusion (ISIC).",
                "recall, F1, AUROC and average precision are those of the class effusion",
            ),
        ),
        (
            3,
            ["a", "b", "c"],
            (
                "F1 is the unweighted mean over the classes (macro average)",
                "AUROC and average precision of each class against all",
            ),
        ),
    ],
)
def test_captions_say_which_classes_metrics_are_of_and_they_are(classes, names, words):
    predictions = sample_predictions("softmax", classes, images=60, skill=0.1)
    found = point_metrics(predictions, False)
    y, decided, p = predictions["label"], predictions["prediction"], probabilities(predictions)
    average = "binary" if classes == 2 else "macro"
    expected = {
        "precision": precision_score(y, decided, average=average),
        "recall": recall_score(y, decided, average=average),
        "f1": f1_score(y, decided, average=average),
        "auroc": roc_auc_score(y, p[:, 1]) if classes == 2 else roc_auc_score(y, p, multi_class="ovr"),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    sizes = "/".join(map(str, np.bincount(y)))
    rows = [
        {
            **BASELINE,
            "metric": name,
            "value": value,
            "ci_low": 0.0,
            "ci_high": 1.0,
            "n": 60,
            "n_by_class": sizes,
        }
        for name, value in found.items()
    ]
    settings = {**LAYOUT, "runs": [BASELINE], "classes": {"isic": names}}
    first = classification.Settings(**settings, confidence=0.9)
    grid = classification.grid_of(classification.table_of(pd.DataFrame(rows), first), first)
    assert words[0] in grid.caption
    assert words[1] in metrics.grid_of(pd.DataFrame(rows), metrics.Settings(**settings)).caption
