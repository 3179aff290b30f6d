"""Who is in the data: numbers of a dataset's images and people, and the tables that show them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from artifact_samples import command_of, outputs_of
from meddiff.artifacts.tables import flow, participants
from meddiff.cli import main
from meddiff.config import DatasetConfig
from meddiff.config.dataset_slices import DescribeParams, FetchParams, SplitParams, ValidateParams, slice_of
from meddiff.data.flow import read_flow, read_origin
from meddiff.data.participants import describe, read_participants
from meddiff.data.tables import read_splits
from meddiff.errors import DataError

DATASET = DatasetConfig.model_validate(
    {
        "title": "Chest phantom",
        "source": {"kind": "phantom", "images": 60, "native_size": 16},
        "format": {"kind": "chexpert"},
        "classes": [{"value": 0, "name": "no finding"}, {"value": 1, "name": "effusion"}],
        "image_size": 16,
        "channels": 1,
        "split": {"kind": "recipe", "valid": 0.2, "test": 0.2},
        "participants": {"age": "Age", "sex": "Sex", "view": "AP/PA"},
    }
)
PARAMS = {"datasets": [{"name": "chest", "title": "Chest"}]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the commands on data write, as the rules call them."""
    folder = tmp_path_factory.mktemp("made")
    root, manifest, table = folder / "root", folder / "raw.json", folder / "table.csv"
    for command, slice_model, options in (
        ("fetch", FetchParams, ["--dataset", "chest", "--root", root, "--manifest", manifest]),
        (
            "validate",
            ValidateParams,
            ["--root", root, "--manifest", manifest, "--table", table, "--flow", folder / "flow.json"],
        ),
        ("split", SplitParams, ["--table", table, "--out-dir", folder / "splits"]),
        (
            "describe",
            DescribeParams,
            [
                *("--splits-dir", folder / "splits", "--root", root),
                *("--manifest", manifest, "--out", folder / "participants.csv"),
            ],
        ),
    ):
        assert main([command, "--params", slice_of(DATASET, slice_model), *map(str, options)]) == 0, command
    return folder


def labels(made: Path) -> pd.DataFrame:
    """The CSV of the phantom, with the split of each of its used images."""
    rows = pd.read_csv(made / "root" / DATASET.format.csv, dtype=str, keep_default_na=False)
    splits = pd.concat(frame.assign(split=name) for name, frame in read_splits(made / "splits").items())
    return rows.assign(path=rows["Path"]).merge(splits[["path", "split", "label"]], on="path")


def test_numbers_are_those_of_the_images_of_each_split(made: Path) -> None:
    table = read_participants(made / "participants.csv").set_index(["split", "what", "level"])
    rows = labels(made)
    assert len(rows) == 60
    for split in ("train", "valid", "test", "all"):
        part = rows if split == "all" else rows[rows["split"] == split]
        ages = part["Age"].astype(int)
        assert table.loc[(split, "images", ""), "images"] == len(part)
        assert table.loc[(split, "class", "effusion"), "images"] == (part["label"] == 1).sum()
        assert table.loc[(split, "sex", "Female"), "images"] == (part["Sex"] == "Female").sum()
        assert table.loc[(split, "view", "AP"), "images"] == (part["AP/PA"] == "AP").sum()
        assert table.loc[(split, "age", ""), "median"] == ages.median()
        assert table.loc[(split, "age", ""), "quartile_low"] == ages.quantile(0.25)
    assert (table.loc[(slice(None), slice(None), "unknown"), "images"] == 0).all()


def test_the_flow_adds_up_to_the_rows_of_the_file(made: Path) -> None:
    rows = pd.read_csv(made / "root" / DATASET.format.csv, dtype=str, keep_default_na=False)
    found = read_flow(made / "flow.json")
    assert found.found == len(rows) and found.used == 60 == len(pd.read_csv(made / "table.csv"))
    films = rows["Path"].str.contains("study1/view1_frontal")
    uncertain = films & ((rows["Pleural Effusion"] == "-1.0") | (rows["No Finding"] == "-1.0"))
    assert found.left_out["not the frontal film of a first study"] == (~films).sum() > 0
    assert found.left_out["Pleural Effusion and No Finding: one of them uncertain"] == uncertain.sum() > 0
    assert found.left_out["Pleural Effusion and No Finding: neither or both"] > 0
    assert next(iter(found.left_out)).startswith("not the frontal film")  # as they are left out
    assert list(found.left_out)[-1].startswith("drawn by lot")
    assert read_origin(made / "splits/origin.json").left_out == 0


def test_tables_of_participants_and_their_flow(made: Path, tmp_path: Path) -> None:
    files = {"participants": made / "participants.csv"}
    assert main(command_of("tables/participants", PARAMS, tmp_path, **files)) == 0
    text = outputs_of("tables/participants", tmp_path)[1].read_text()
    women = (labels(made)["Sex"] == "Female").sum()
    assert f"| {women} ({100 * women / 60:.1f} %) |" in text and "Patients or lesions" in text
    assert "unknown" not in text and "Ages are medians" in text
    files |= {"flow": made / "flow.json", "origin": made / "splits/origin.json"}
    assert main(command_of("tables/flow", PARAMS, tmp_path, **files)) == 0
    table = pd.read_csv(outputs_of("tables/flow", tmp_path)[0]).set_index("step")["images"]
    assert table["found"] - table["left out"].sum() == table["checked"] == 60
    assert table[["train", "valid", "test"]].sum() == 60
    assert "left out: not the frontal film" in outputs_of("tables/flow", tmp_path)[1].read_text()


def test_what_nobody_knows_is_said(made: Path) -> None:
    splits = {name: frame.head(2) for name, frame in read_splits(made / "splits").items()}
    csv = made / "root/other.csv"
    ids = [image_id for frame in splits.values() for image_id in frame["image_id"]]
    cells = ["40,F", "60,", ",M", "50,F", "51,F", "52,F"]
    csv.write_text("id,age,sex\n" + "".join(f"{i},{c}\n" for i, c in zip(ids, cells, strict=True)))
    who = {"age": "age", "sex": "sex", "csv": "other.csv", "id_column": "id"}
    dataset = DatasetConfig.model_validate(DATASET.model_dump() | {"participants": who})
    table = describe(dataset, splits, made / "root", {})
    grid = participants.grid_of(table.assign(dataset="chest"), participants.Settings(**PARAMS))
    shown = {row[0].value: f"{row[-1].value} {row[-1].detail}" for row in grid.blocks[0].rows}
    assert shown["Age (years)"] == "51 [50, 52]" and shown["Age unknown"] == "1 (16.7 %)"
    assert shown["Sex: F"] == "4 (66.7 %)" and shown["Sex unknown"] == "1 (16.7 %)"
    csv.write_text(csv.read_text().replace("40,F", "old,F"))
    with pytest.raises(DataError, match="'old' is no number of years"):
        describe(dataset, splits, made / "root", {})
    csv.write_text("\n".join(csv.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(DataError, match=r"participants.age\).*\n.*no row of image"):
        describe(dataset, splits, made / "root", {})


def test_without_columns_there_are_images_and_classes(made: Path) -> None:
    dataset = DATASET.model_copy(update={"participants": None})
    table = describe(dataset, read_splits(made / "splits"), made / "nowhere", {})
    assert table["what"].unique().tolist() == ["images", "groups", "class"]
    grid = participants.grid_of(table.assign(dataset="chest"), participants.Settings(**PARAMS))
    assert "Ages" not in grid.caption


def test_images_in_no_split_are_counted(made: Path, tmp_path: Path) -> None:
    for name, frame in read_splits(made / "splits").items():
        frame.iloc[:-1][["image_id"]].to_csv(tmp_path / f"{name}.csv", index=False)
    given = {"kind": "files"} | {name: str(tmp_path / f"{name}.csv") for name in ("train", "valid", "test")}
    command = ["split", "--params", json.dumps(json.loads(slice_of(DATASET, SplitParams)) | {"split": given})]
    command += ["--table", str(made / "table.csv"), "--out-dir", str(tmp_path / "splits")]
    assert main(command) == 0
    assert read_origin(tmp_path / "splits/origin.json").left_out == 3
    files = {"origin": [tmp_path / "splits/origin.json"], "flow": [made / "flow.json"]}
    table, (grid,) = flow.make(flow.Settings(**PARAMS), files | {"participants": [made / "participants.csv"]})
    assert table.query("reason == 'in no split'")["images"].tolist() == [3]
    assert ["left out: in no split", "−3"] in [[cell.value for cell in row] for row in grid.blocks[0].rows]
    (tmp_path / "splits/origin.json").write_text("{}")
    with pytest.raises(DataError, match="does not say what is in no split or moved"):
        read_origin(tmp_path / "splits/origin.json")


def test_images_that_models_of_another_dataset_have_no_class_for(made: Path) -> None:
    pair = {"name": "other-on-chest", "title": "Other → Chest", "tested_on": "chest", "classes": ["effusion"]}
    files = {"origin": [made / "splits/origin.json"], "flow": [made / "flow.json"]}
    files["participants"] = [made / "participants.csv"]
    table, (grid,) = flow.make(flow.Settings(**PARAMS, elsewhere=[pair]), files)
    test = labels(made).query("split == 'test'")["label"]
    rows = table[table["dataset"] == pair["name"]]
    assert rows["step"].tolist() == ["test split", "left out", "test"]
    assert rows["images"].tolist() == [len(test), (test == 0).sum(), (test == 1).sum()]
    assert grid.blocks[1].title == pair["title"]
    assert grid.blocks[1].rows[1][0].value == "left out: no finding, which the models do not have"
