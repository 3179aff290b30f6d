"""A dataset with folds through the workflow: what is shared, what is averaged, what a subset leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from workflow_samples import DATASET, Project, make_project

pytestmark = pytest.mark.slow

RESULTS = "results/smallest"
TABLES = [f"{RESULTS}/tables/{name}.csv" for name in ("classification", "comparison", "flow")]
TARGETS = [*TABLES, f"{RESULTS}/metrics.json"]
FOLDS = [f"small_chest-fold{number}" for number in (1, 2, 3)]
KEYS = ["model", "decision", "metric"]


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Project:
    """The smallest experiment with three folds, up to some of its tables."""
    project = make_project(tmp_path_factory.mktemp("folds") / "repository", root)
    split = {"kind": "folds", "folds": 3, "valid": 0.2, "seed": 0}
    dataset = {**DATASET, "split": split, "balance": {"train": "smallest"}}
    (project.folder / "config/datasets/small_chest.yaml").write_text(yaml.safe_dump(dataset))
    models = ["small_dit", "small_resnet"]
    project.edit_yaml("config/experiments/smallest.yaml", models=models, score={"shards": 1})
    project.snakemake(*TARGETS)
    return project


def test_images_are_checked_once_and_tested_once(folded: Project) -> None:
    data = folded.folder / "data"
    assert sorted(path.parent.name for path in data.glob("*/table.csv")) == ["small_chest"]
    assert sorted(path.parent.name for path in data.glob("*/store")) == FOLDS
    table = pd.read_csv(data / "small_chest/table.csv")
    tests = [pd.read_csv(folded.folder / f"splits/{fold}/test.csv") for fold in FOLDS]
    assert sorted(pd.concat(tests)["image_id"]) == sorted(table["image_id"])
    for fold in FOLDS:
        sizes = pd.read_csv(folded.folder / f"splits/{fold}/train.csv")["label"].value_counts()
        assert sizes.nunique() == 1
        origin = json.loads((folded.folder / f"splits/{fold}/origin.json").read_text())
        assert origin["note"].startswith(f"Fold {fold[-1]} of 3") and list(origin["balanced"]) == ["train"]


def test_tables_show_the_means_of_the_metrics_files(folded: Project) -> None:
    files = {
        fold: sorted((folded.folder / RESULTS / fold).glob("*/seed0/**/metrics/*.csv")) for fold in FOLDS
    }
    found = {fold: pd.concat(map(pd.read_csv, of)) for fold, of in files.items()}
    by_fold = pd.concat({fold: table.set_index(KEYS)["value"] for fold, table in found.items()}, axis=1)
    table = pd.read_csv(folded.folder / TABLES[0])
    assert list(table["dataset"].unique()) == ["small_chest", *FOLDS]
    shown = table[table["dataset"] == "small_chest"].set_index(KEYS)
    assert len(shown) and set(shown["folds"]) == {3} and set(shown["n"]) == {60}
    np.testing.assert_allclose(shown["value"], 100 * by_fold.loc[shown.index].mean(axis=1))
    np.testing.assert_allclose(shown["sd"], 100 * by_fold.loc[shown.index].std(axis=1, ddof=1))
    assert (shown["ci_low"] <= shown["value"]).all() and (shown["value"] <= shown["ci_high"]).all()
    words = (folded.folder / TABLES[0]).with_suffix(".md").read_text()
    assert "Small chest phantom (mean of 3 folds)" in words and "fold 1 of 3" not in words
    tree = json.loads((folded.folder / f"{RESULTS}/metrics.json").read_text())
    assert list(tree) == ["small_chest", *FOLDS]
    accuracy = by_fold.loc["small_resnet", "softmax", "accuracy"].mean()
    assert tree["small_chest"]["small_resnet"]["softmax"]["accuracy"] == pytest.approx(accuracy)
    pairs = pd.read_csv(folded.folder / TABLES[1]).set_index("dataset")
    assert set(pairs.loc["small_chest", "n"]) == {60} and pairs.loc[FOLDS, "p_holm"].isna().all()
    status, chain = folded.provenance(TABLES[0])
    assert status == 0, chain


def test_fewer_folds_make_tables_again_and_nothing_else(folded: Project) -> None:
    planned = folded.planned("--config", "folds_small_chest=1,3", "--", *TARGETS)
    made = {"make_classification_table", "make_comparison_table", "make_flow_table", "make_metrics_table"}
    assert set(planned) == {*made, "collect_metrics"}
    assert folded.planned(*TARGETS) == {}
    everything = folded.planned("-k")
    assert not {"train_model", "score_shard", "validate_dataset", "split_dataset"} & set(everything)
