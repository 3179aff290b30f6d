"""The stratum of each image: from its id, from a column, and what is wrong with either."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from meddiff.cli import main
from meddiff.config import load_dataset
from meddiff.config.dataset_slices import StratifyParams, slice_of
from meddiff.data.strata import BLANK, STRATA_COLUMNS, read_strata, stratify
from meddiff.errors import ConfigError, DataError
from meddiff.io import sha256_file

TABLE = {"kind": "table", "csv": "labels.csv", "image_column": "file", "label_column": "label"}
IDS = {"title": "archive", "value": {"kind": "image_id", "pattern": r"ISIC_(\d+)(?:_small)?"}}
COLUMN = {"title": "site", "value": {"kind": "column", "column": "site"}}
FILE = {"kind": "column", "csv": "sites.csv", "id_column": "name", "column": "site"}


def params(audit: dict[str, Any], layout: dict[str, Any] | None = None) -> StratifyParams:
    return StratifyParams.model_validate({"format": layout or TABLE, "audit": audit})


def splits_of(*ids: str) -> dict[str, pd.DataFrame]:
    """The images dealt to the three splits in turn, with labels 0 and 1 in turn."""
    rows = [{"image_id": i, "path": f"{i}.jpg", "label": n % 2, "group": i} for n, i in enumerate(ids)]
    frame = pd.DataFrame(rows)
    return {name: frame[k::3].reset_index(drop=True) for k, name in enumerate(("train", "valid", "test"))}


def strata_of(table: pd.DataFrame) -> dict[str, str]:
    return dict(zip(table["image_id"], table["stratum"], strict=True))


def test_number_in_the_id_is_compared_with_limits() -> None:
    audit = IDS | {"strata": [{"name": "old", "below": 100}, {"name": "mid", "below": 200}, {"name": "new"}]}
    splits = splits_of("ISIC_0000099", "ISIC_0000100", "ISIC_0000199_small", "ISIC_0000200")
    table = stratify(params(audit), splits, Path("nowhere"), {})
    assert list(table.columns) == STRATA_COLUMNS
    assert strata_of(table) == {
        "ISIC_0000099": "old",
        "ISIC_0000100": "mid",
        "ISIC_0000199_small": "mid",
        "ISIC_0000200": "new",
    }
    assert table["split"].tolist() == ["train", "train", "valid", "test"]


def test_an_id_that_does_not_match_is_named() -> None:
    with pytest.raises(DataError, match="image id 'photo1' does not match"):
        stratify(params(IDS), splits_of("ISIC_1", "photo1", "ISIC_2"), Path("nowhere"), {})


@pytest.mark.parametrize(
    ("layout", "text", "ids"),
    [
        (TABLE, "file,label,site\na.png,0,N\nb.png,1,S\nc.png,1,\nother.png,0,X\n", ("a", "b", "c")),
        (
            {"kind": "isic", "csv": "labels.csv"},
            "image_name,target,site\nc,1,\na,0,N\nb,1,S\n",
            ("a", "b", "c"),
        ),
        (
            {"kind": "chexpert", "csv": "labels.csv"},
            "Path,site\nX/train/patient1/study1/view1_frontal.jpg,N\n"
            "X/train/patient2/study1/view1_frontal.jpg,S\nX/train/patient2/study1/view2_lateral.jpg,Q\n"
            "X/train/patient3/study1/view1_frontal.jpg,\n",
            tuple(f"patient{k}_study1_view1_frontal" for k in (1, 2, 3)),
        ),
    ],
)
def test_column_of_the_formats_own_table(
    tmp_path: Path, layout: dict[str, Any], text: str, ids: tuple[str, ...]
) -> None:
    (tmp_path / "labels.csv").write_text(text)
    table = stratify(params(COLUMN, layout), splits_of(*ids), tmp_path, {})
    assert [strata_of(table)[image_id] for image_id in ids] == ["N", "S", BLANK]


def test_column_of_another_table_and_names_of_values(tmp_path: Path) -> None:
    (tmp_path / "sites.csv").write_text("name,site\nb,1.0\nimages/a.png,0\nc,2\nc,2\n")
    strata = [{"name": "north", "values": [0]}, {"name": "south", "values": ["1", 2]}]
    audit = {"title": "site", "value": FILE, "strata": strata}
    table = stratify(params(audit), splits_of("a", "b", "c"), tmp_path, {})
    assert strata_of(table) == {"a": "north", "b": "south", "c": "south"}


@pytest.mark.parametrize(
    ("text", "strata", "reason"),
    [
        ("name,site\na,1\nb,1\n", [], "no row of image 'c'"),
        ("name,site\na,1\nb,1\nc,1\na,2\n", [], "row 5: site of 'a' is '2', in row 2 it is '1'"),
        ("name,site\na,1\nb,1\nc,9\n", [{"name": "one", "values": [1]}], "value '9' fits none"),
        (
            "name,site\na,1\nb,\nc,9\n",
            [{"name": "x", "below": 5}, {"name": "rest"}],
            "'b': value '' fits none",
        ),
        ("name,site\na,1\nb,all\nc,9\n", [], "value 'all' needs a name"),
        ("name,place\na,1\n", [], "no column site"),
    ],
)
def test_values_that_are_missing_or_fit_nowhere(
    tmp_path: Path, text: str, strata: list[dict[str, Any]], reason: str
) -> None:
    (tmp_path / "sites.csv").write_text(text)
    audit = {"title": "site", "value": FILE, "strata": strata}
    with pytest.raises(DataError, match=reason):
        stratify(params(audit), splits_of("a", "b", "c"), tmp_path, {})


def test_a_subset_without_images_and_a_changed_file(tmp_path: Path) -> None:
    path = tmp_path / "sites.csv"
    path.write_text("name,site\na,1\nb,1\nc,2\n")
    splits = splits_of("a", "b", "c")
    with pytest.raises(DataError, match="no image is in '3'"):
        stratify(params({"title": "site", "value": FILE, "subset": "3"}), splits, tmp_path, {})
    manifest = {"files": {"sites.csv": {"sha256": sha256_file(path), "size": 1}}}
    audit = params({"title": "site", "value": FILE})
    assert len(stratify(audit, splits, tmp_path, manifest)) == 3
    path.write_text("name,site\na,1\nb,1\nc,3\n")
    with pytest.raises(DataError, match="start Snakemake again"):
        stratify(audit, splits, tmp_path, manifest)


def test_official_isic_splits_have_the_known_strata(official: Path, root: Path) -> None:
    dataset = load_dataset("isic", root / "config")
    splits = {}
    for name in ("train", "valid", "test"):
        rows = pd.read_csv(official / f"splits/isic-{name}.csv")
        ids = rows["image_name"]
        columns = {"image_id": ids, "path": "images/" + ids + ".jpg", "label": rows["target"], "group": ids}
        splits[name] = pd.DataFrame(columns)
    table = stratify(dataset, splits, Path("nowhere"), {})
    test = table[table["split"] == "test"]
    counts = test.groupby(["stratum", "label"]).size().to_dict()
    assert counts == {
        ("ISIC 2019 and before", 1): 443,
        ("ISIC 2020 range", 0): 515,
        ("ISIC 2020 range", 1): 63,
    }


def test_command_writes_what_it_reads(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, frame in splits_of("ISIC_1", "ISIC_2", "ISIC_3").items():
        (tmp_path / "splits").mkdir(exist_ok=True)
        frame.to_csv(tmp_path / f"splits/{name}.csv", index=False)
    (tmp_path / "raw.json").write_text('{"files": {}}')
    places = ["--splits-dir", tmp_path / "splits", "--root", tmp_path, "--manifest", tmp_path / "raw.json"]
    arguments = [*map(str, places), "--out", str(tmp_path / "strata.csv")]
    document = params(IDS).model_dump(mode="json")
    assert main(["stratify", "--params", json.dumps(document), *arguments]) == 0
    table = read_strata(tmp_path / "strata.csv")
    assert table["stratum"].tolist() == ["1", "2", "3"]
    assert table["label"].tolist() == [0, 1, 0]
    del document["audit"]
    assert main(["stratify", "--params", json.dumps(document), *arguments]) == 1
    assert "--params: audit" in caplog.text


def test_rule_gets_a_narrow_slice(make_dataset, root: Path) -> None:
    sliced = json.loads(slice_of(load_dataset("isic", root / "config"), StratifyParams))
    assert set(sliced) == {"audit", "format"}
    with pytest.raises(ConfigError, match="does not have this key"):
        stratify(make_dataset(), splits_of("a", "b", "c"), Path("nowhere"), {})
