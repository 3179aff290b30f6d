"""The dataset files that we ship read folders in the layouts that the owners ship, with generated pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from layout_samples import (
    Folder,
    chestxray14,
    chexpert_full,
    ham10000,
    isic2017,
    isic2018,
    isic2019,
    isic2020,
    kermany_chest,
    mura,
    padchest,
    rsna_pneumonia,
)
from meddiff.config.dataset_slices import FetchParams, StoreParams, ValidateParams, parse_slice, slice_of
from meddiff.config.load import load_dataset
from meddiff.data.layouts.rows import read_table
from meddiff.data.obtain.fetch import fetch, read_manifest
from meddiff.data.splitting.splits import make_splits
from meddiff.data.validate import Validated, validate_dataset

CONFIG = Path(__file__).parents[2] / "config"
SPLITS = ("train", "valid", "test")


def made(
    name: str, make: Callable[[Folder], None], tmp_path: Path
) -> tuple[Validated, dict[str, pd.DataFrame]]:
    """A dataset that went the way of the rules, up to its splits."""
    folder = Folder(tmp_path / "data")
    make(folder)
    dataset = load_dataset(name, CONFIG)
    fetch(name, dataset, folder.root, tmp_path / "raw.json")
    found = validate_dataset(dataset, folder.root, read_manifest(tmp_path / "raw.json"), 1)
    return found, make_splits(dataset, found.table)


@pytest.mark.parametrize(
    "name, make, images, groups, left_out",
    [
        ("ham10000", ham10000, [10] * 7, 35, {}),
        ("ham10000_melanoma", ham10000, [10, 10], 10, {"a label of no class": 50}),
        ("ham10000_malignant", ham10000, [40, 30], 35, {}),
        ("isic2017", isic2017, [18, 18], 36, {}),
        ("isic2018", isic2018, [10] * 7, 35, {}),
        ("isic2019", isic2019, [30, 18], 48, {"a label of no class": 6}),
        ("isic2020", isic2020, [20, 20], 10, {}),
        ("chestxray14", chestxray14, [31, 30], 38, {"part: of no split": 4, "a label of no class": 15}),
        (
            "chexpert_full",
            chexpert_full,
            [18, 18],
            None,
            {
                "Frontal/Lateral is not Frontal": 6,
                "an uncertain label": 10,
                "a label of no class": 8,
            },
        ),
        (
            "padchest",
            padchest,
            [11, 20],
            None,
            {
                "Projection is not PA, AP or AP_horizontal": 4,
                "no label": 12,
                "a label of no class": 12,
                "image not found": 1,
            },
        ),
        (
            "rsna_pneumonia",
            rsna_pneumonia,
            [15, 15],
            30,
            {"a label of no class": 15, "further rows of an image": 15},
        ),
        ("mura", mura, [32, 32], 32, {}),
        ("kermany_chest", kermany_chest, [36, 36], 36, {}),
    ],
)
def test_a_public_dataset_as_its_owners_ship_it(
    tmp_path: Path, name: str, make: Callable, images: list[int], groups: int | None, left_out: dict[str, int]
) -> None:
    found, splits = made(name, make, tmp_path)
    assert found.table["label"].value_counts().sort_index().tolist() == images
    assert groups is None or found.table["group"].nunique() == groups
    assert dict(found.flow.left_out) == left_out
    assert found.flow.used == len(found.table)
    assert all(len(splits[split]) for split in SPLITS)
    assert sum(map(len, splits.values())) == len(found.table)


def test_official_splits_are_those_of_the_lists(tmp_path: Path) -> None:
    _, splits = made("chestxray14", chestxray14, tmp_path)
    test = (tmp_path / "data/test_list.txt").read_text().split()
    assert set(splits["test"]["image_id"]) <= {name.removesuffix(".png") for name in test}
    patients = [set(splits[name]["group"]) for name in SPLITS]
    assert not (patients[0] & patients[1] or patients[0] & patients[2] or patients[1] & patients[2])


def test_equal_names_in_different_folders_are_different_images(tmp_path: Path) -> None:
    found, splits = made("mura", mura, tmp_path)
    assert "train/XR_WRIST/patient00001/study1_negative/image1" in set(found.table["image_id"])
    assert set(splits["test"]["group"]) == {f"patient{i + 11185:05d}" for i in range(12)}


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONFIG / "datasets").glob("*.yaml")))
def test_rules_get_what_the_file_says(name: str) -> None:
    dataset = load_dataset(name, CONFIG)
    seen = parse_slice(slice_of(dataset, ValidateParams), ValidateParams)
    assert seen.format == dataset.format
    assert [one.all_values for one in seen.classes] == [one.all_values for one in dataset.classes]


@pytest.mark.parametrize("slice_model", [FetchParams, StoreParams])
def test_what_becomes_of_rows_reads_no_image_again(slice_model) -> None:
    padchest = load_dataset("padchest", CONFIG)
    changed = padchest.model_copy(
        update={"format": padchest.format.model_copy(update={"others": "error", "where": []})}
    )
    assert slice_of(changed, slice_model) == slice_of(padchest, slice_model)
    assert slice_of(changed, ValidateParams) != slice_of(padchest, ValidateParams)


def test_chexpert_small_is_read_as_the_file_of_the_full_one_says(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "CheXpert-v1.0-small")
    chexpert_full(folder)
    (folder.root / "train").mkdir()
    for film in folder.root.glob("*train [123])/*"):
        film.rename(folder.root / "train" / film.name)
    table = (folder.root / "CheXpert-v1.0 batch 1 (validate & csv)/train.csv").read_text()
    (folder.root / "train.csv").write_text(table.replace("CheXpert-v1.0/", "CheXpert-v1.0-small/"))
    dataset = load_dataset("chexpert_full", CONFIG)
    small = dataset.format.model_copy(update={"csv": "train.csv", "image_dir": "train"})
    found = read_table(dataset.model_copy(update={"format": small}), folder.root)
    assert found["label"].value_counts().to_dict() == {0: 18, 1: 18}
    assert found["path"].iloc[0] == "train/patient00001/study1/view1_frontal.jpg"
