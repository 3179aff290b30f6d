"""What `init` writes for public datasets reads the images, labels and groups that our own files read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

import layout_samples
from layout_samples import Folder
from meddiff.config.load import Config, load_dataset
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.layouts.folder import ImageFolder
from meddiff.data.layouts.rows import read_rows

SHIPPED = Path(__file__).parents[2] / "config"


def rows_of(dataset: DatasetConfig, root: Path) -> pd.DataFrame:
    """The canonical table, by image id; nothing may be wrong with a row."""
    folder = ImageFolder(root, dataset.format)
    rows = read_rows(dataset, folder, sorted(folder.walk()))
    assert not rows.problems and not len(rows.missing)
    return rows.table.set_index("image_id").sort_index()


def groups_of(table: pd.DataFrame) -> set[frozenset[str]]:
    """Images that belong together."""
    return {frozenset(group.index) for _, group in table.groupby("group")}


def written(place: Path, name: str = "eyes") -> DatasetConfig:
    load_dataset.cache_clear()  # a file that was written a second time
    return Config({"experiment": name}, place / "config").datasets[name]


@pytest.mark.parametrize(
    "name",
    ["ham10000", "isic2017", "isic2018", "isic2020", "chestxray14", "mura", "kermany_chest"],
)
def test_images_labels_and_groups_are_those_of_the_file_that_we_ship(
    name: str, tmp_path: Path, place: Path, start: Callable
) -> None:
    folder = Folder(tmp_path / "data")
    getattr(layout_samples, name)(folder)
    start(folder.root)
    ours, shipped = written(place), load_dataset(name, SHIPPED)
    found, expected = rows_of(ours, folder.root), rows_of(shipped, folder.root)
    assert found["path"].tolist() == expected["path"].tolist()
    value_of = [[str(one.all_values[0]) for one in dataset.classes] for dataset in (ours, shipped)]
    labels = [
        table["label"].map(dict(enumerate(values)))
        for table, values in zip((found, expected), value_of, strict=True)
    ]
    assert labels[0].tolist() == labels[1].tolist()
    assert groups_of(found) == groups_of(expected)
    assert ours.split.kind == shipped.split.kind
    if ours.split.kind == "column":
        assert sorted(found["split"]) == sorted(expected["split"])


@pytest.mark.parametrize(
    "name, label, images",
    [
        ("isic2019", None, 54),  # all nine kinds, of which the shipped file makes two
        ("chexpert_full", "Pneumothorax", None),
        ("padchest", None, 35),  # with the lateral films
    ],
)
def test_where_a_choice_differs_the_images_are_found_all_the_same(
    name: str, label: str | None, images: int | None, tmp_path: Path, place: Path, start: Callable
) -> None:
    folder = Folder(tmp_path / "data")
    getattr(layout_samples, name)(folder)
    start(folder.root, label=label)
    dataset = written(place)
    read = read_rows(dataset, view := ImageFolder(folder.root, dataset.format), sorted(view.walk()))
    found, expected = read.table.set_index("image_id"), load_dataset(name, SHIPPED)
    assert not read.problems and images in (None, len(found))
    shipped = read_rows(
        expected, view := ImageFolder(folder.root, expected.format), sorted(view.walk())
    ).table
    assert set(shipped["path"]) <= set(found["path"])
    if label:
        assert [one.all_values for one in dataset.classes] == [["No Finding"], [label]]
        text = (place / "config/datasets/eyes.yaml").read_text()
        assert "uncertain: leave_out" in text and "others: leave_out" in text


@pytest.mark.parametrize("channels, classes", [(1, 2), (3, 7), (3, 5)])
def test_medmnist(channels: int, classes: int, tmp_path: Path, place: Path, start: Callable) -> None:
    data, rng = tmp_path / "data", np.random.default_rng(0)
    data.mkdir()
    shape = (28, 28) if channels == 1 else (28, 28, 3)
    arrays = {}
    for part, number in (("train", 70), ("val", 21), ("test", 21)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (number, *shape), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(number) % classes).astype(np.uint8)[:, None]
    np.savez(data / "somemnist.npz", **arrays)
    start(data)
    dataset = written(place)
    assert (dataset.channels, len(dataset.classes), dataset.image_size) == (channels, classes, 32)
    assert [one.value for one in dataset.classes] == list(range(classes))
    assert dataset.split.kind == "arrays"
    assert len(rows_of(dataset, data)) == 112


def test_a_table_is_found_in_parquet_and_with_semicolons(
    tmp_path: Path, place: Path, start: Callable
) -> None:
    folder = Folder(tmp_path / "data")
    rows = [{"file": f"a/{i}.png", "grade": f"{i % 3}", "patient": f"p{i // 2}"} for i in range(30)]
    for row in rows:
        folder.image(row["file"], "L")
    for name, write in (
        ("labels.parquet", lambda path: pd.DataFrame(rows).to_parquet(path)),
        ("labels.csv", lambda path: pd.DataFrame(rows).to_csv(path, sep=";", index=False)),
    ):
        write(folder.root / name)
        start(folder.root, force=True)
        found = rows_of(written(place), folder.root)
        assert found["label"].value_counts().tolist() == [10, 10, 10] and found["group"].nunique() == 15
        (folder.root / name).unlink()


def test_deep_and_mixed_images_get_the_keys_without_which_they_are_refused(
    tmp_path: Path, place: Path, start: Callable
) -> None:
    rng = np.random.default_rng(0)
    for number in range(24):
        file = tmp_path / f"data/{('a', 'b')[number % 2]}/{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 4096, (16, 16), dtype=np.uint16)).save(file)
    start(tmp_path / "data")
    assert yaml.safe_load((place / "config/datasets/eyes.yaml").read_text())["bits"] == 12
    colour = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(colour).save(tmp_path / "data/a/colour.png")
    start(tmp_path / "data", force=True)
    assert written(place).convert == ("rgb_to_grey",)


def test_masks_beside_the_images_are_no_images(tmp_path: Path, place: Path, start: Callable) -> None:
    folder = Folder(tmp_path / "data")
    for number in range(24):
        kind = ("benign", "malignant")[number % 2]
        folder.image(f"Dataset/{kind}/{kind} ({number}).png", "L")
        folder.image(f"Dataset/{kind}/{kind} ({number})_mask.png", "L")
    start(folder.root)
    assert len(rows_of(written(place), folder.root)) == 24


def test_what_was_not_taken_stands_in_the_file(tmp_path: Path, place: Path, start: Callable) -> None:
    folder = Folder(tmp_path / "data")
    lines = ["file,melanoma,keratosis,diagnosis_confirm_type"]
    for number in range(30):
        folder.image(f"{number}.png")
        lines.append(f"{number}.png,{number % 2},{int(number % 3 == 0)},seen")
    folder.text("labels.csv", *lines)
    printed = "\n".join(start(folder.root))
    text = (place / "config/datasets/eyes.yaml").read_text()
    for line in ("This is a guess", "Not taken: keratosis (0 20, 1 10): --label keratosis", "No column says"):
        assert line in text and line in printed
    assert "diagnosis_confirm_type" not in text
    start(folder.root, force=True, label="keratosis")
    text = (place / "config/datasets/eyes.yaml").read_text()
    assert "label_column: keratosis" in text and "guess" not in text


def test_the_sheet_has_a_row_for_each_class(tmp_path: Path, place: Path, start: Callable) -> None:
    folder = Folder(tmp_path / "data")
    layout_samples.ham10000(folder)
    start(folder.root)
    with Image.open(place / "data/eyes/contact_sheet.png") as sheet:
        first = np.asarray(sheet)
        assert sheet.width > 16 * 70 and sheet.height > 7 * 70
    start(folder.root, force=True)
    with Image.open(place / "data/eyes/contact_sheet.png") as sheet:
        assert (np.asarray(sheet) == first).all()


def test_rows_of_one_image_are_no_group_of_images(tmp_path: Path, place: Path, start: Callable) -> None:
    folder, lines = Folder(tmp_path / "data"), ["file,class"]
    for number in range(30):
        folder.image(f"{number:04d}-ab.png", "L")
        lines += [f"{number:04d}-ab,{('Normal', 'Opacity')[number % 2]}"] * (1 + number % 2)
    folder.text("boxes.csv", *lines)
    start(folder.root)
    layout = written(place).format
    assert layout.repeats == "merge" and not layout.groups
    assert len(rows_of(written(place), folder.root)) == 30
