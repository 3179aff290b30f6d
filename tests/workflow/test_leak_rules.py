"""What splits share, in the workflow: looked for before training, and never a reason to train again."""

from __future__ import annotations

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

REPORT = {"write_methods": 1, "make_report": 1}  # both show what was found
LOOKED_AGAIN = {"find_leaks": 1, "make_leaks_table": 1, **REPORT}
TABLE = "results/smallest/tables/leaks.csv"
SPLITS = "splits/small_chest"
DATASET = "config/datasets/small_chest.yaml"


def test_another_policy_looks_again_and_trains_nothing(project):
    folder = project.folder / SPLITS
    splits = {path: path.read_bytes() for path in folder.glob("t*.csv")}
    project.edit_yaml(DATASET, leaks={"bits": 64})
    assert project.planned() == LOOKED_AGAIN
    project.snakemake(TABLE)
    pairs = pd.read_csv(folder / "leaks.csv")
    assert (pairs["kind"] == "alike").all() and pairs["bits"].max() > 24  # films of one view
    table = pd.read_csv(project.folder / TABLE)
    sizes = table[table["metric"] == "accuracy"].groupby("part")["n"].first()
    assert sizes["leaking"] == pairs.loc[pairs["split"] == "test", "image_id"].nunique()
    assert sizes["all"] == len(pd.read_csv(folder / "test.csv"))

    # What is refused leaves the files of the last run that was not, or stores would be made again.
    project.edit_yaml(DATASET, leaks={"bits": 64, "look_alikes": "error"})
    assert project.planned() == LOOKED_AGAIN
    text = project.snakemake(TABLE, expect=1)
    assert "images that two splits share" in text and "Traceback" not in text
    assert (folder / "leaks.refused.csv").is_file()
    pd.testing.assert_frame_equal(pd.read_csv(folder / "leaks.csv"), pairs)
    assert project.planned() == LOOKED_AGAIN
    assert {path: path.read_bytes() for path in splits} == splits


def test_a_file_of_groups(project):
    csv, folder = project.folder / "groups.csv", project.folder / SPLITS
    train, test = (pd.read_csv(folder / f"{name}.csv")["image_id"][0] for name in ("train", "test"))
    csv.write_text(f"image_id,device\n{train},a\n{test},a\n")
    project.edit_yaml(DATASET, leaks={"groups": {"csv": "groups.csv", "columns": ["device"]}})
    assert project.planned() == LOOKED_AGAIN
    project.snakemake(TABLE)
    assert project.planned() == REPORT
    pairs = pd.read_csv(folder / "leaks.csv").query("kind == 'same_group'")
    assert pairs[["image_id", "other_image_id"]].to_numpy().tolist() == [[test, train]]
    csv.write_text(csv.read_text().replace(",a", ",b"))
    assert project.planned() == LOOKED_AGAIN
    csv.unlink()
    text = project.snakemake("-n", expect=1)
    assert "datasets/small_chest.yaml: leaks.groups.csv: groups.csv: there is no such file" in text


def test_images_are_moved_by_the_rule_of_splits(project):
    project.edit_yaml(DATASET, leaks={"duplicates": "move_to_train"})
    planned = project.planned()
    assert planned["split_dataset"] == planned["find_leaks"] == planned["build_store"] == 1
