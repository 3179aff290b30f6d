"""The audit of shortcuts in the workflow: it finds a planted cue, and none where the cue tells nothing."""

from __future__ import annotations

import shutil
from typing import Any

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.slow

TARGET = "results/shortcuts/figures/audit.pdf"
AUDIT = {
    "title": "marker",
    "value": {"kind": "column", "csv": "phantom.csv", "id_column": "image_id", "column": "cue"},
    "strata": [{"name": "marker", "values": [1]}, {"name": "no marker", "values": [0]}],
    "subset": "no marker",
}


def cued(dataset: dict[str, Any], title: str, shortcut: float) -> dict[str, Any]:
    """Difficult films, half of them for the test, with a cue that agrees with the label as often as told."""
    source = dataset["source"] | {"images": 800, "difficulty": [0.4, 1.0], "shortcut": shortcut}
    split = dataset["split"] | {"valid": 0.1, "test": 0.5}
    return dataset | {"title": title, "source": source, "split": split, "image_size": 32, "audit": AUDIT}


@pytest.fixture(scope="module")
def audited(clone):
    """One small baseline on a phantom with a cue and on one whose cue agrees with the label by chance."""
    config = clone.folder / "config"
    dataset = yaml.safe_load((config / "datasets/small_chest.yaml").read_text())
    documents = {
        "datasets/cued": cued(dataset, "With a cue", 0.9),
        "datasets/control": cued(dataset, "Control", 0.5),
        "experiments/shortcuts": {
            "title": "Shortcuts",
            "datasets": ["small_chest", "cued", "control"],
            "models": ["small_resnet"],
        },
    }
    for name, document in documents.items():
        (config / f"{name}.yaml").write_text(yaml.safe_dump(document))
    clone.edit_yaml("config/models/small_resnet.yaml", train={"epochs": 10, "batch_size": 32, "lr": 2e-3})
    (config / "config.yaml").write_text("experiment: shortcuts\n")
    clone.snakemake(TARGET)
    return clone


def test_cue_is_found_where_it_was_planted(audited):
    table = pd.read_csv(audited.folder / "results/shortcuts/tables/audit.csv")
    assert table["dataset"].unique().tolist() == ["cued", "control"]
    models = table[table["model"] == "small_resnet"].set_index(["dataset", "stratum", "metric"])
    gap = models.loc[("cued", "all", "cue_gap")]
    assert gap["verdict"] == "follows the cue"
    assert gap["value"] > 0.2 and gap["ci_low"] > 0.1
    rule = table[(table["model"] == "(rule)") & (table["split"] == "test") & (table["stratum"] == "all")]
    rule = rule[rule["metric"] == "accuracy"].set_index("dataset")["value"]
    assert rule["cued"] == pytest.approx(0.9, abs=0.05) and rule["control"] == pytest.approx(0.5, abs=0.08)
    control = models.loc[("control", "all", "cue_gap")]
    assert control["verdict"] != "follows the cue"
    # Where all images have the same cue, following it is worth nothing.
    within = models.loc[("cued", "no marker", "balanced_accuracy"), "value"]
    assert within < models.loc[("cued", "all", "balanced_accuracy"), "value"] - 0.1
    text = (audited.folder / "results/shortcuts/tables/audit.md").read_text()
    assert "With a cue" in text and "Small chest phantom" not in text


def test_strata_are_those_of_the_phantom(audited):
    strata = pd.read_csv(audited.folder / "data/cued/strata.csv").set_index("image_id")["stratum"]
    truth = pd.read_csv(audited.folder / "data/cued/raw/phantom.csv").set_index("image_id")["cue"]
    assert (strata == truth[strata.index].map({1: "marker", 0: "no marker"})).all()


def test_what_an_edit_of_the_audit_reruns(audited, tmp_path):
    folder = tmp_path / "repository"
    shutil.copytree(audited.folder, folder, symlinks=True)
    project = type(audited)(folder)
    assert project.planned(TARGET) == {}
    project.edit_yaml("config/datasets/cued.yaml", audit={"subset": "marker"})
    assert project.planned(TARGET) == {"stratify": 1, "make_audit_table": 1, "plot_audit": 1}
    project.edit_yaml("config/datasets/cued.yaml", audit={"subset": "no marker"})
    project.edit_yaml("config/experiments/shortcuts.yaml", figures={"audit": {"height": 3.0}})
    assert project.planned(TARGET) == {"plot_audit": 1}


def test_experiments_without_an_audit_have_no_such_rule(audited):
    assert "audit" not in audited.snakemake("--list", "--config", "experiment=smallest")
    assert "make_audit_table" in audited.snakemake("--list", "--config", "experiment=shortcut")
