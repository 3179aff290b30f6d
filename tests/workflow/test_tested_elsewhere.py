"""Models of a finished run before another dataset: nothing is trained or fitted again, and tables have it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from workflow_samples import DATASET, Project, copy_of

pytestmark = pytest.mark.slow

EXPERIMENT, RESULTS = "config/experiments/smallest.yaml", "results/smallest"
PAIR = "small_chest-on-small_clinic"
CLINIC = {
    **DATASET,
    "title": "Small clinic",
    "source": {**DATASET["source"], "seed": 5},
    "classes": [{"value": 1, "name": "fluid"}, {"value": 0, "name": "none"}],
    "image_size": 32,  # the models' are 16
}
CLASSES = {"fluid": "effusion", "none": "no finding"}


def test_models_are_tested_on_another_dataset(everything: Project, tmp_path: Path) -> None:
    project = copy_of(everything, tmp_path)
    (project.folder / "config/datasets/small_clinic.yaml").write_text(yaml.safe_dump(CLINIC))
    kept = [path for path in project.folder.glob(f"{RESULTS}/small_chest/**/*") if path.is_file()]
    before = {path: path.stat().st_mtime_ns for path in kept}
    project.edit_yaml(EXPERIMENT, test_on={"small_chest": {"small_clinic": CLASSES}})
    project.snakemake()
    assert project.planned() == {}
    assert {path: path.stat().st_mtime_ns for path in kept} == before

    tables = project.folder / RESULTS / "tables"
    metrics = pd.read_csv(tables / "metrics.csv")
    rows = metrics.groupby("dataset")[["model", "decision"]].agg(lambda column: sorted(set(column)))
    assert rows.loc[PAIR].tolist() == rows.loc["small_chest"].tolist()
    assert "Small chest phantom → Small clinic" in (tables / "classification.md").read_text()
    assert set(pd.read_csv(tables / "comparison.csv")["dataset"]) == {"small_chest", PAIR}
    for name in ("step_ablation", "uncertainty"):
        assert PAIR in set(pd.read_csv(project.folder / RESULTS / f"figures/{name}.csv")["dataset"])

    # The names of the classes are the models', and labels are of them.
    there = project.folder / RESULTS / "small_chest/small_unet/seed0/tested_on/small_clinic/votes0"
    predictions = pd.read_csv(there / "predictions/majority.csv")
    assert {"p_no finding", "p_effusion", "calibrated_effusion"} <= {*predictions.columns}
    split = pd.read_csv(project.folder / "splits/small_clinic/test.csv").set_index("image_id")["label"]
    assert (predictions["label"] == 1 - split[predictions["image_id"]].to_numpy()).all()
    status, chain = project.provenance(f"{RESULTS}/tables/classification.md")
    assert status == 0, chain

    # Another mapping makes again what is of the other dataset, and nothing else.
    swapped = dict(zip(CLASSES, reversed(CLASSES.values()), strict=True))
    project.edit_yaml(EXPERIMENT, test_on={"small_chest": {"small_clinic": swapped}})
    planned = project.planned()
    assert planned["predict_elsewhere"] == 1 and planned["score_shard"] == 2 * 2
    assert not planned.keys() & {"train_model", "predict_baseline", "calibrate", "score_further_shard"}
