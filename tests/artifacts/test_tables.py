"""The tables: values, layout, and their Markdown and LaTeX."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from artifact_samples import command_of, outputs_of
from evaluate_samples import sample_predictions
from meddiff.artifacts.layout import in_layout_order
from meddiff.artifacts.render import Block, Cell, Column, Grid, escape_tex, to_latex, to_markdown
from meddiff.artifacts.tables import classification, comparison, metrics
from meddiff.cli import main
from meddiff.errors import DataError
from meddiff.evaluate.comparison import compare
from meddiff.evaluate.metrics.catalogue import point_metrics
from meddiff.evaluate.metrics.images import Images
from meddiff.evaluate.paired import auroc_test, holm, paired_test
from meddiff.readout.predictions import is_correct, write_predictions
from meddiff.runs import Run

LAYOUT: dict[str, Any] = {
    "datasets": [{"name": "chest", "title": "Chest_X"}, {"name": "skin", "title": "Skin"}],
    "models": [
        {"name": "unet", "title": "UNet", "family": "diffusion"},
        {"name": "vit", "title": "ViT", "family": "transformer"},
        {"name": "resnet", "title": "ResNet", "family": "cnn"},
    ],
}
RESAMPLING = {"bootstrap_samples": 100, "confidence": 0.9, "bootstrap_seed": 0}
DECISIONS = [("unet", "majority"), ("unet", "mean"), ("vit", "softmax"), ("resnet", "softmax")]


def grid_of_runs(seeds: list[int], datasets: tuple[str, ...] = ("chest", "skin")) -> list[dict[str, Any]]:
    return [
        {"dataset": dataset, "model": model, "seed": seed, "decision": decision}
        for dataset in datasets
        for model, decision in DECISIONS
        for seed in seeds
    ]


def metrics_of(runs: list[dict[str, Any]], values: dict[str, list[float]]) -> pd.DataFrame:
    """Tidy metrics with accuracy values[model-decision][seed], and F1 one percent point below."""
    rows = []
    for run in runs:
        accuracy = values[f"{run['model']}-{run['decision']}"][run["seed"]]
        for metric, value in {"accuracy": accuracy, "f1": accuracy - 0.01, "auroc": float("nan")}.items():
            rows.append(
                {**run, "metric": metric, "value": value, "ci_low": value - 0.02, "ci_high": value + 0.03}
            )
    return pd.DataFrame(rows).assign(n=50, n_by_class="25/25")


def classification_grid(metrics: pd.DataFrame, settings: classification.Settings) -> Grid:
    return classification.grid_of(classification.table_of(metrics, settings), settings)


VALUES = {
    "unet-majority": [0.80, 0.84],
    "unet-mean": [0.79, 0.79],
    "vit-softmax": [0.85, 0.85],
    "resnet-softmax": [0.70, 0.72],
}


def test_classification_averages_over_seeds_and_compares_with_published_values() -> None:
    runs = grid_of_runs([0, 1])
    published = {"chest": {"unet": {"accuracy": 84.5, "f1": 0.854}, "vit": {"accuracy": 86.9, "f1": 0.869}}}
    settings = classification.Settings(**LAYOUT, runs=runs, published=published, confidence=0.95)
    table = classification.table_of(metrics_of(runs, VALUES), settings)
    keyed = table.set_index(["dataset", "model", "decision", "metric"])
    row = keyed.loc["chest", "unet", "majority", "accuracy"]
    # Images: 2 and 3 points. Seeds: 4 / sqrt(2) / sqrt(2), times 12.706 (t with 1 degree of freedom).
    low, high = 82 - np.hypot(2, 12.706 * 2), min(82 + np.hypot(3, 12.706 * 2), 100)
    assert row[["value", "ci_low", "ci_high"]].tolist() == pytest.approx([82, low, high], abs=0.01)
    same = keyed.loc["chest", "vit", "softmax", "accuracy"]  # both seeds have 85 %
    assert same[["value", "ci_low", "ci_high"]].tolist() == pytest.approx([85, 83, 88])
    assert row["sd"] == pytest.approx(4 / np.sqrt(2))
    assert row[["published", "difference"]].tolist() == pytest.approx([84.5, -2.5])
    assert row[["difference_ci_low", "difference_ci_high"]].tolist() == pytest.approx(
        [low - 84.5, high - 84.5], abs=0.01
    )
    assert (row["seeds"], row["n"], row["n_largest"], row["family"]) == (2, 50, 50, "diffusion")
    assert keyed.loc[("chest", "unet", "majority", "f1"), "difference"] == pytest.approx(81 - 85.4)
    assert np.isnan(keyed.loc[("chest", "unet", "mean", "accuracy"), "published"])
    assert np.isnan(keyed.loc[("skin", "vit", "softmax", "accuracy"), "published"])

    grid = classification.grid_of(table, settings)
    assert [block.title for block in grid.blocks] == ["CNN", "Transformer", "Diffusion"]
    assert [row[0].value for row in grid.blocks[2].rows] == ["UNet (majority)", "UNet (mean error)"]
    heads = ["Accuracy (%)", "paper (Δ)", "F1 (%)", "paper (Δ)", "Accuracy (%)", "F1 (%)"]
    assert [column.title for column in grid.columns[1:]] == heads
    assert [column.group for column in grid.columns] == ["", *["Chest_X"] * 4, *["Skin"] * 2]
    majority = grid.blocks[2].rows[0]
    assert majority[1] == Cell("82.0", "± 2.8 [56.5, 100.0]")
    assert majority[2] == Cell("84.5", "(−2.5 [−28.0, +15.5])")
    vit = grid.blocks[1].rows[0]
    assert [cell.best for cell in vit] == [False, True, False, True, False, True, True]
    assert not any(
        cell.best for block in (grid.blocks[0], grid.blocks[2]) for row in block.rows for cell in row
    )


def test_classification_of_one_seed_without_published_values() -> None:
    runs = grid_of_runs([0], datasets=("skin",))
    settings = classification.Settings(**LAYOUT, runs=runs, confidence=0.9)
    grid = classification_grid(metrics_of(runs, VALUES), settings)
    assert [column.title for column in grid.columns] == ["Model", "Accuracy (%)", "F1 (%)"]
    assert grid.blocks[0].rows[0][1] == Cell("70.0", "[68.0, 73.0]")
    assert "Skin: 50" in grid.caption and "90 %" in grid.caption and "Chest" not in grid.caption


def unequal(runs: list[dict[str, Any]], sizes: str, accuracy: float) -> pd.DataFrame:
    """Metrics on classes of these sizes, where one baseline has `accuracy` and an F1 of 0."""
    values = {"accuracy": accuracy, "f1": 0.0, "balanced_accuracy": 0.5, "auroc": 0.4}
    worse = {"accuracy": accuracy - 0.1, "f1": 0.3, "balanced_accuracy": 0.8, "auroc": 0.9}
    rows = []
    for run in runs:
        for metric, value in (values if run["model"] == "resnet" else worse).items():
            rows.append({**run, "metric": metric, "value": value, "ci_low": value, "ci_high": value})
    return pd.DataFrame(rows).assign(n=sum(map(int, sizes.split("/"))), n_by_class=sizes)


def test_unequal_classes_have_metrics_that_a_constant_answer_does_not_win() -> None:
    """As found, 1 : 50: a classifier with F1 0 was bold with 98 % accuracy, and nothing warned."""
    runs = grid_of_runs([0], datasets=("skin",))
    settings = classification.Settings(
        **LAYOUT, runs=runs, confidence=0.95, classes={"skin": ["benign", "melanoma"]}
    )
    table = classification.table_of(unequal(runs, "50/1", 50 / 51), settings)
    assert set(table["metric"]) == set(classification.SHOWN)
    grid = classification.grid_of(table, settings)
    titles = [column.title for column in grid.columns]
    assert titles == ["Model", "Accuracy (%)", "F1 (%)", "Balanced acc. (%)", "AUROC (%)"]
    constant, vit = grid.blocks[0].rows[0], grid.blocks[1].rows[0]
    assert not any(cell.best for cell in constant) and not vit[1].best
    assert [cell.best for cell in vit[2:]] == [True] * 3
    assert "has an accuracy of 98.0 % on Skin" in grid.caption
    assert "so few test images (Skin: 1 of melanoma)" in grid.caption
    # A model that beats the constant answer is bold.
    better = classification.table_of(unequal(runs, "50/20", 0.95), settings)
    grid = classification.grid_of(better, settings)
    assert grid.blocks[0].rows[0][1].best and "Warning" not in grid.caption


@pytest.mark.parametrize(
    ("sizes", "columns"), [("25/25", 2), ("30/24", 2), ("30/20", 4), ("20/20/30", 4), ("20/20/0", 4)]
)
def test_classes_are_unequal_from_half_as_many_again(sizes: str, columns: int) -> None:
    runs = grid_of_runs([0], datasets=("skin",))
    settings = classification.Settings(**LAYOUT, runs=runs, confidence=0.95)
    grid = classification_grid(unequal(runs, sizes, 0.9), settings)
    assert len(grid.columns) == 1 + columns
    assert ("0 of class 2" in grid.caption) == sizes.endswith("/0")


def test_splits_that_are_not_the_papers_are_said_below_the_table() -> None:
    runs = grid_of_runs([0])
    for other, said in (([], False), (["skin"], True)):
        settings = classification.Settings(**LAYOUT, runs=runs, confidence=0.95, other_splits=other)
        grid = classification_grid(metrics_of(runs, VALUES), settings)
        assert ("The splits of Skin are not the paper's" in grid.caption) == said


def test_training_images_that_were_not_changed_alike_are_said_below_the_table() -> None:
    runs = grid_of_runs([0])
    for unequal_changes in ({}, {"skin": "UNet: nothing; ViT: flips"}):
        settings = classification.Settings(**LAYOUT, runs=runs, confidence=0.95, augmentation=unequal_changes)
        grid = classification_grid(metrics_of(runs, VALUES), settings)
        said = "On Skin training images were not changed" in grid.caption and "ViT: flips" in grid.caption
        assert said == bool(unequal_changes)


def test_a_model_that_is_missing_on_a_dataset_leaves_a_gap() -> None:
    runs = [run for run in grid_of_runs([0]) if (run["dataset"], run["model"]) != ("skin", "vit")]
    settings = classification.Settings(**LAYOUT, runs=runs, confidence=0.95)
    grid = classification_grid(metrics_of(runs, VALUES), settings)
    assert [cell.value for cell in grid.blocks[1].rows[0]] == ["ViT", "85.0", "84.0", "–", "–"]


def comparison_inputs(seeds: list[int], classes: int = 2) -> tuple[comparison.Settings, list]:
    runs = grid_of_runs(seeds, datasets=("chest",))
    settings = comparison.Settings(**LAYOUT, **RESAMPLING, runs=runs)
    skill = {"unet": 0.6, "vit": 0.5, "resnet": 0.1}
    pairs = []
    for run in settings.runs:
        options = {"skill": skill[run.model], "seed": 10 * run.seed + len(run.model), "images": 80}
        pairs.append((run, sample_predictions(run.decision, classes, **options)))
    return settings, pairs


@pytest.mark.parametrize("classes", [2, 3])
def test_comparison_is_with_the_most_accurate_baseline_of_the_same_seed(classes: int) -> None:
    settings, pairs = comparison_inputs([0, 1], classes)
    table = in_layout_order(compare(pairs, settings), settings)
    tables_of = {(run.model, run.decision, run.seed): frame for run, frame in pairs}
    accuracy = {key: is_correct(frame).mean() for key, frame in tables_of.items()}
    best = max(("vit", "resnet"), key=lambda m: accuracy[m, "softmax", 0] + accuracy[m, "softmax", 1])
    assert set(table["baseline"]) == {best}
    assert table[["decision", "seed"]].to_numpy().tolist() == [
        ["majority", 0],
        ["majority", 1],
        ["mean", 0],
        ["mean", 1],
    ]
    np.testing.assert_array_equal(table["p_holm"], holm(table["p_value"]))
    row = table.iloc[1]
    ours, theirs = tables_of["unet", "majority", 1], tables_of[best, "softmax", 1]
    expected = paired_test(is_correct(ours), is_correct(theirs), ours["group"])
    found = (row["only_model_correct"], row["only_baseline_correct"], row["p_value"])
    assert found == (expected.only_a, expected.only_b, expected.p_value)
    assert row["difference"] == pytest.approx(row["accuracy"] - row["baseline_accuracy"])
    assert row["difference"] == pytest.approx(100 * (expected.only_a - expected.only_b) / 80)
    assert row["ci_low"] <= row["difference"] <= row["ci_high"]
    images = [Images(frame, votes) for frame, votes in ((ours, True), (theirs, False))]
    ranking = auroc_test(*images, settings)
    aurocs = [point_metrics(frame, votes)["auroc"] for frame, votes in ((ours, True), (theirs, False))]
    expected_aurocs = [*aurocs, aurocs[0] - aurocs[1], ranking.low, ranking.high, ranking.p_value]
    assert row["auroc":"auroc_p_value"].tolist() == pytest.approx(expected_aurocs)
    np.testing.assert_array_equal(table["auroc_p_holm"], holm(table["auroc_p_value"]))
    grid, ranked = comparison.grids_of(table, settings)
    assert "highest balanced accuracy of these test images themselves" in grid.caption
    assert "corrected for the number of rows, 4." in ranked.caption
    assert [block.title for block in grid.blocks] == ["Chest_X"]
    assert grid.blocks[0].rows[1][6].value == str(expected.only_a)


def test_the_best_baseline_is_chosen_on_the_validation_split() -> None:
    settings, pairs = comparison_inputs([0])
    (resnet, weak), (vit, strong) = (
        (r, f) for name in ("resnet", "vit") for r, f in pairs if r.model == name
    )
    # On the validation split they are the other way round.
    table = compare(pairs, settings, [(resnet, strong), (vit, weak)])
    assert set(table["baseline"]) == {"resnet"} and set(table["chosen_on"]) == {"validation"}
    grid, _ = comparison.grids_of(table, settings)
    assert "balanced accuracy on the validation split (mean over seeds)." in grid.caption
    assert set(compare(pairs, settings)["baseline"]) == {"vit"}


def test_comparison_does_not_depend_on_the_order_of_images() -> None:
    settings, pairs = comparison_inputs([0])
    shuffled = [(run, frame.sample(frac=1, random_state=i)) for i, (run, frame) in enumerate(pairs)]
    pd.testing.assert_frame_equal(compare(pairs, settings), compare(shuffled, settings))


def test_comparison_needs_the_same_images_and_seeds() -> None:
    settings, pairs = comparison_inputs([0])
    fewer = [(run, frame[:70] if run.model == "unet" else frame) for run, frame in pairs]
    with pytest.raises(DataError, match="different images"):
        compare(fewer, settings)
    other_seed = [
        (Run(**(run.model_dump() | {"seed": 5})) if run.model == "unet" else run, frame)
        for run, frame in pairs
    ]
    with pytest.raises(DataError, match="no run with seed 5"):
        compare(other_seed, settings)


def test_comparison_without_a_baseline_says_so() -> None:
    settings, pairs = comparison_inputs([0])
    table = compare([pair for pair in pairs if pair[0].model == "unet"], settings)
    assert table.empty
    settings = settings.model_copy(update={"runs": [r for r in settings.runs if r.model == "unet"]})
    grid = comparison.grids_of(table, settings)[0]
    assert grid.blocks == [] and "there is no baseline to compare with" in grid.caption
    assert "Difference:" not in grid.caption and "p:" not in grid.caption


def test_comparison_of_baselines_only_says_what_is_missing() -> None:
    settings, pairs = comparison_inputs([0])
    baselines = [(run, frame) for run, frame in pairs if run.model != "unet"]
    settings = settings.model_copy(update={"runs": [run for run, _ in baselines]})
    table = compare(baselines, settings)
    assert table.empty
    caption = comparison.grids_of(table, settings)[0].caption
    assert "there is no diffusion classifier to compare with the baselines" in caption
    assert "no baseline" not in caption and "p:" not in caption


@pytest.mark.parametrize("diffusion", [True, False])
def test_rules_of_decision_are_explained_where_there_are_some(diffusion: bool) -> None:
    runs = [run for run in grid_of_runs([0]) if diffusion or run["model"] != "unet"]
    settings = classification.Settings(**LAYOUT, runs=runs, confidence=0.95)
    grid = classification_grid(metrics_of(runs, VALUES), settings)
    assert ("Diffusion models decide" in grid.caption) == diffusion


def test_overview_has_all_metrics_and_marks_undefined_ones() -> None:
    runs = grid_of_runs([0, 1])
    grid = metrics.grid_of(metrics_of(runs, VALUES), metrics.Settings(**LAYOUT, runs=runs))
    assert [column.title for column in grid.columns] == ["Model", "Accuracy", "F1", "AUROC"]
    assert [block.title for block in grid.blocks] == ["Chest_X", "Skin"]
    assert [cell.value for cell in grid.blocks[1].rows[0]] == ["UNet (majority)", "0.820", "0.810", "–"]


def test_markdown() -> None:
    columns = [Column("Model"), Column("Acc", "A|B")]
    text = to_markdown(
        Grid("Cap_tion", "x", columns, [Block("CNN", [[Cell("R_1"), Cell("9", "[8, 10]", True)]])])
    )
    assert text.splitlines() == [
        r"Cap\_tion",
        "",
        r"| Model | A\|B: Acc |",
        "| :-- | --: |",
        "| *CNN* |  |",
        r"| R\_1 | **9** [8, 10] |",
    ]


def test_latex_is_balanced_and_escaped() -> None:
    columns = [Column("Model"), Column("Acc (%)", "A_1"), Column("F1", "A_1"), Column("Acc", "B")]
    row = [Cell("R&D"), Cell("9.0", "± 1.0 [8, 10]", True), Cell("−1"), Cell("<0.001")]
    text = to_latex(Grid("50 % of x_1", "shown", columns, [Block("CNN", [row, row]), Block("", [row])]))
    assert text.count("{") == text.count("}")
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    assert r"\caption{50 \% of x\_1}" in text and r"\label{tab:shown}" in text
    assert r" & \multicolumn{2}{c}{A\_1} & \multicolumn{1}{c}{B} \\" in text
    assert r"\cmidrule(lr){2-3}\cmidrule(lr){4-4}" in text
    assert r"R\&D & \textbf{9.0} $\pm$ 1.0 {[}8, 10] & $-$1 & $<$0.001 \\" in text
    body = [line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {3}
    assert text.isascii()
    assert escape_tex("a\\b") == r"a\textbackslash{}b"


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        Grid("c", "l", [Column("a"), Column("b")], [Block("x", [[Cell("1")]])])


def test_commands_from_predictions_to_tables(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings, pairs = comparison_inputs([0])
    predictions, metrics_files = [], []
    for i, (run, frame) in enumerate(pairs):
        predictions.append(str(tmp_path / f"p{i}.csv"))
        metrics_files.append(str(tmp_path / f"m{i}.csv"))
        write_predictions(frame, predictions[-1])
        params = json.dumps(run.model_dump() | RESAMPLING)
        command = ["metrics", "--predictions", predictions[-1], "--params", params]
        command += ["--validation", predictions[-1]]
        assert main([*command, "--out", metrics_files[-1]]) == 0
    layout, chest = LAYOUT | {"runs": [run.model_dump() for run in settings.runs]}, LAYOUT["datasets"][0]
    baselines = [run.model_dump() for run in settings.runs if run.decision == "softmax"]
    validation = [path for run, path in zip(settings.runs, predictions, strict=True) if run.model != "unet"]
    for name, extra, source in (
        ("tables/classification", {"confidence": 0.9, "published": None}, {"metrics": metrics_files}),
        ("tables/metrics", {}, {"metrics": metrics_files}),
        (
            "tables/operating_point",
            {"confidence": 0.9, "operating_point": "youden", "datasets": [{**chest, "positive": "ill"}]},
            {"metrics": metrics_files},
        ),
        (
            "tables/comparison",
            RESAMPLING | {"validation": baselines},
            {"predictions": predictions, "validation": validation},
        ),
    ):
        outputs = outputs_of(name, tmp_path)
        command = command_of(name, layout | extra, tmp_path, **source)
        assert main(command) == 0
        first = [path.read_bytes() for path in outputs]
        assert main(command) == 0
        assert [path.read_bytes() for path in outputs] == first
        assert "UNet (majority)" in outputs[1].read_text() and r"\toprule" in outputs[2].read_text()
    overview = pd.read_csv(tmp_path / "metrics.csv")
    assert len(overview) == sum(len(pd.read_csv(path)) for path in metrics_files)
    table = pd.read_csv(tmp_path / "classification.csv")
    expected = 100 * is_correct(pairs[0][1]).mean()
    chosen = table.query("model == 'unet' and decision == 'majority' and metric == 'accuracy'")
    assert chosen["value"].tolist() == pytest.approx([expected])

    params, folder = layout | RESAMPLING, tmp_path / "none"
    assert main(command_of("tables/comparison", params, folder, predictions=predictions[:-1])) == 1
    assert "--input predictions: got 3 files for 4 runs" in caplog.text
    assert main(command_of("tables/comparison", params, folder, metrics=metrics_files)) == 1
    assert "--input predictions: missing; given are metrics" in caplog.text
    layout["runs"][0]["model"] = "unknown"
    assert main(command_of("tables/comparison", params, folder, predictions=predictions)) == 1
    assert "model 'unknown' is not one of" in caplog.text
    assert not folder.exists()
