"""The audit of shortcuts: what its tables and its figure show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from artifact_samples import command_of, outputs_of
from audit_samples import (
    LABEL,
    NOISE,
    OLD,
    RESAMPLING,
    STRATA,
    audit_of,
    predictions_of,
    result_of,
    runs_of,
    strata_of,
)
from meddiff.artifacts.figures import audit as figure_module
from meddiff.artifacts.render import to_latex, to_markdown
from meddiff.artifacts.tables.audit import Settings, grids_of
from meddiff.cli import main
from meddiff.data.tables import write_csv
from meddiff.evaluate.audit import FOLLOWS, NOT_SHOWN, RULE, UNDEFINED
from meddiff.readout.from_logits import from_probabilities
from meddiff.readout.predictions import write_predictions

ENTRY = {"cue": "archive", "strata": ["old", "new"], "subset": "new", "classes": ["benign", "melanoma"]}


def layout_of(*models: str) -> dict[str, Any]:
    return {
        "datasets": [{"name": "isic", "title": "ISIC"}],
        "models": [{"name": m, "title": m.title(), "family": "cnn"} for m in models],
        "runs": [run.model_dump() for run in runs_of(*models)],
    }


def settings_of(*models: str, **changes: Any) -> Settings:
    layout = layout_of(*models)
    datasets = [layout["datasets"][0] | ENTRY | changes]
    return Settings(**layout | {"datasets": datasets}, **RESAMPLING.model_dump())


def figure_settings(*models: str) -> figure_module.Settings:
    return figure_module.Settings(**layout_of(*models), confidence=0.9, style={})


def test_without_images_to_compare_no_gap_is_shown() -> None:
    few = strata_of({("train", "old", 1): 30, ("train", "new", 0): 30, ("valid", "old", 1): 2}
                    | {("test", "old", 1): 40, ("test", "new", 0): 40, ("test", "new", 1): 9})  # fmt: skip
    test = few[few["split"] == "test"]
    table = result_of(few, cue=(test["stratum"] == "old").to_numpy().astype(int))
    grids = grids_of(table, {"isic": {"old": "melanoma", "new": "benign"}}, settings_of("cue"))
    assert grids[0].blocks[0].rows[-1][-2].value == "–" and grids[0].blocks[0].rows[-1][-1].value == UNDEFINED
    assert "too few images" in grids[0].caption
    figure = figure_module.draw(figure_module.sides(table), figure_settings("cue"), {})
    assert "not defined: too few images" in [text.get_text() for text in figure.axes[0].texts]


def test_seeds_are_averaged() -> None:
    runs = [run.model_copy(update={"seed": seed}) for run in runs_of("net") for seed in (0, 1)]
    tables = [predictions_of(STRATA, LABEL), predictions_of(STRATA, OLD.astype(int))]
    table = audit_of(list(zip(runs, tables, strict=True)))
    grid = grids_of(table, {"isic": {"old": "melanoma", "new": "benign"}}, settings_of("net"))[0]
    assert "± 70.7" in grid.blocks[0].rows[-1][-2].detail and "mean over seeds" in grid.caption


def test_tables_to_read() -> None:
    settings = settings_of("cue", "perfect")
    table = result_of(STRATA, cue=OLD.astype(int), perfect=LABEL)
    accuracies, subset = grids_of(table, {"isic": {"old": "melanoma", "new": "benign"}}, settings)
    assert [c.title for c in accuracies.columns] == [
        "Model", "all images", "old", "new", "right", "wrong", "Gap", "Cue",
    ]  # fmt: skip
    images, rule, cue, perfect = accuracies.blocks[0].rows
    assert [cell.value for cell in images] == ["Images", "400", "200", "200", "350", "50", "", ""]
    assert images[1].detail == "(190 / 210)"
    assert [cell.value for cell in rule] == ["Rule", "87.5", "90.0", "85.0", "100.0", "0.0", "+100.0", ""]
    assert [cell.value for cell in cue][1:] == [*[cell.value for cell in rule][1:-1], FOLLOWS]
    assert [cell.value for cell in perfect][-2:] == ["0.0", NOT_SHOWN]
    assert (
        "old: melanoma; new: benign" in accuracies.caption and "87.5 % of the training" in accuracies.caption
    )
    assert (
        subset.blocks[0].title == "ISIC (all: 190 benign, 210 melanoma; subset new: 170 benign, 30 melanoma)"
    )
    assert [cell.value for cell in subset.blocks[0].rows[0]] == ["Rule", "87.6", "0.876", "50.0", "0.500"]
    for grid in (accuracies, subset):
        assert "Perfect" in to_markdown(grid) and to_latex(grid).isascii()


def test_counts_of_three_classes_are_of_those_that_are_compared() -> None:
    """As found: "16 (16 / 0 / 0)" beside 68.8 %, though other classes have images where the rule is right."""
    counts = {(split, "old", 0): 16 for split in ("train", "valid", "test")}
    counts |= {
        (split, "new", k): n for split in ("train", "valid", "test") for k, n in ((0, 12), (1, 30), (2, 4))
    }
    strata = strata_of(counts)
    test = strata[strata["split"] == "test"].sort_values("image_id", ignore_index=True)
    p = np.eye(3)[np.where(np.arange(len(test)) % 3 == 0, 2, test["label"])]
    ids = test["image_id"].tolist()
    predictions = from_probabilities(ids, ids, test["label"].to_numpy(), p)
    settings = settings_of("net", classes=["a", "b", "c"])
    table = audit_of([(settings.runs[0], predictions)], strata, 3)
    grid = grids_of(table, {"isic": {"old": "a", "new": "b"}}, settings)[0]
    images = dict(zip([column.title for column in grid.columns], grid.blocks[0].rows[0], strict=True))
    assert (images["all images"].value, images["all images"].detail) == ("62", "(28 / 30 / 4)")
    assert (images["right"].value, images["right"].detail) == ("16", "(16 / – / –)")
    assert (images["wrong"].value, images["wrong"].detail) == ("12", "(12 / – / –)")
    assert (
        "on both sides: a. Gap" in grid.caption and "in brackets a class that is not compared" in grid.caption
    )


def test_without_a_subset_there_are_no_columns_and_no_words_of_one() -> None:
    settings = settings_of("cue", subset=None)
    table = result_of(STRATA, cue=OLD.astype(int))
    subset = grids_of(table, {"isic": {"old": "melanoma", "new": "benign"}}, settings)[1]
    assert {column.group for column in subset.columns} == {"", "all images"}
    assert "stratum" not in subset.caption and len(subset.blocks[0].rows[0]) == 3


def test_figure_shows_both_sides() -> None:
    table = result_of(STRATA, cue=OLD.astype(int), skill=np.where(NOISE, 1 - LABEL, LABEL))
    data = figure_module.sides(table)
    assert data[["model", "rule"]].to_numpy().tolist() == [
        [model, side] for model in (RULE, "cue", "skill") for side in ("right", "wrong")
    ]
    assert data.loc[:1, "accuracy_percent"].tolist() == [100, 0]
    figure = figure_module.draw(data, figure_settings("cue", "skill"), {})
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Rule", "Cue", "Skill"]
    drawn = [line.get_xdata() for line in axes.lines if line.get_linestyle() == "None"]
    np.testing.assert_allclose(np.concatenate(drawn), data["accuracy_percent"])
    assert "90 % interval" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_commands_from_predictions_to_figure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = settings_of("cue")
    write_predictions(predictions_of(STRATA, OLD.astype(int)), tmp_path / "p.csv")
    write_csv(STRATA, tmp_path / "strata.csv")
    params = settings.model_dump()
    files = {"predictions": tmp_path / "p.csv", "strata": tmp_path / "strata.csv"}
    outputs = outputs_of("tables/audit", tmp_path)
    table = command_of("tables/audit", params, tmp_path, **files)
    assert main(table) == 0
    first = [path.read_bytes() for path in outputs]
    assert main(table) == 0
    assert [path.read_bytes() for path in outputs] == first
    assert FOLLOWS in outputs[1].read_text()
    assert outputs[2].read_text().count(r"\begin{table*}") == 2

    folder = tmp_path / "figures"
    looks = figure_settings("cue").model_dump()
    assert main(command_of("figures/audit", looks, folder, table=outputs[0])) == 0
    assert len(pd.read_csv(folder / "audit.csv")) == 4
    assert (folder / "audit.png").read_bytes().startswith(b"\x89PNG")

    assert main(command_of("figures/audit", looks, folder, table=files["strata"])) == 1
    assert "make the audit table again" in caplog.text
    twice = files | {"strata": [files["strata"]] * 2}
    assert main(command_of("tables/audit", params, tmp_path, **twice)) == 1
    assert "--input strata: got 2 files for 1 datasets; give one a dataset" in caplog.text
    assert main(command_of("tables/audit", params, tmp_path, predictions=files["predictions"])) == 1
    assert "--input strata: missing" in caplog.text
    unnamed = params | {"datasets": [{"name": "isic", "title": "ISIC"}]}
    assert main(command_of("tables/audit", unnamed, tmp_path, **files)) == 1
    assert "--params: datasets.0.cue: missing" in caplog.text
