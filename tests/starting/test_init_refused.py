"""What `init` cannot begin with: the message says what is there and what to say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from layout_samples import Folder
from meddiff.cli import main
from meddiff.errors import ConfigError, DataError, MeddiffError


def table(folder: Folder, *columns: Callable[[int], object], header: str, rows: int = 40) -> None:
    """A table of images, whose cells are functions of the row."""
    lines = [header]
    for number in range(rows):
        folder.image(f"images/{number:04d}.png", "L")
        lines.append(",".join(str(cell(number)) for cell in columns))
    folder.text("labels.csv", *lines)


def name_of(number: int) -> str:
    return f"{number:04d}.png"


def empty(folder: Folder) -> None:
    folder.root.mkdir(parents=True)


def no_images(folder: Folder) -> None:
    folder.text("labels.csv", "file,label", "a.png,1")


def other_names(folder: Folder) -> None:
    table(folder, lambda n: f"scan{n}.png", lambda n: n % 2, header="file,label")


def no_label(folder: Folder) -> None:
    table(folder, name_of, lambda n: n * 1.5, header="file,score")


def one_class(folder: Folder) -> None:
    table(folder, name_of, lambda n: "sick", header="file,label")


def rare(folder: Folder) -> None:
    table(folder, name_of, lambda n: int(n == 0), header="file,label")


def damaged(folder: Folder) -> None:
    table(folder, name_of, lambda n: n % 2, header="file,label")
    for file in (folder.root / "images").iterdir():
        file.write_bytes(b"no image")


def two_arrays(folder: Folder) -> None:
    folder.root.mkdir()
    for name in ("a.npz", "b.npz"):
        np.savez(folder.root / name, x=np.zeros(1))


def several_labels(folder: Folder) -> None:
    folder.root.mkdir()
    arrays = {}
    for part in ("train", "val", "test"):
        arrays |= {f"{part}_images": np.zeros((4, 28, 28), np.uint8)}
        arrays |= {f"{part}_labels": np.zeros((4, 14), np.uint8)}
    np.savez(folder.root / "chestmnist.npz", **arrays)


@pytest.mark.parametrize(
    "make, wishes, words",
    [
        (empty, {}, ["is empty", "folder a class"]),
        (no_images, {}, ["no image file", "1 .csv", "--csv"]),
        (other_names, {}, ["nothing that could label", "--image COLUMN", "file: 40 values (such as scan"]),
        (no_label, {}, ["--label COLUMN", "score: 40 values"]),
        (no_label, {"label": "score"}, ["--label score", "40 values in 40 rows"]),
        (no_label, {"label": "grade"}, ["--label grade", "no such column", "file: 40 values"]),
        (no_label, {"image": "path"}, ["--image path", "no table has such a column"]),
        (no_label, {"csv": "other.csv"}, ["--csv other.csv", "there are: labels.csv"]),
        (rare, {"group": "patient"}, ["--group patient", "the columns are: file, label"]),
        (one_class, {}, ["--label COLUMN", "label: 1 value (sick 40)"]),
        (one_class, {"label": "label"}, ["1 value in 40 rows", "two classes are needed"]),
        (rare, {}, ["fewer than two classes", "0 39, 1 1"]),
        (damaged, {}, ["none of the images looked at can be read", ".png: is not an image"]),
        (two_arrays, {}, ["a.npz, b.npz", "meddiff init"]),
        (several_labels, {}, ["multi-label"]),
    ],
)
def test_message(
    make: Callable, wishes: dict, words: list[str], tmp_path: Path, place: Path, start: Callable
) -> None:
    folder = Folder(tmp_path / "data")
    make(folder)
    with pytest.raises(DataError) as refused:
        start(folder.root, **wishes)
    for word in words:
        assert word in str(refused.value)
    assert not [*place.glob("config/*/*.yaml"), *place.glob("data/**/*.png")]


def test_ids_as_a_label(tmp_path: Path, start: Callable) -> None:
    folder = Folder(tmp_path / "data")
    table(folder, name_of, lambda n: f"x{n}", lambda n: n % 2, header="file,accession,label", rows=1000)
    with pytest.raises(DataError, match=r"--label accession: has 1,000 values in 1,000 rows"):
        start(folder.root, label="accession")


@pytest.mark.parametrize("path", ["nowhere", "data/labels.txt"])
def test_no_such_folder(path: str, tmp_path: Path, start: Callable) -> None:
    Folder(tmp_path / "data").text("labels.txt", "a")
    with pytest.raises(DataError, match="expected a folder"):
        start(tmp_path / path)


def test_files_that_are_there_are_kept(tmp_path: Path, place: Path, start: Callable) -> None:
    folder = Folder(tmp_path / "data")
    table(folder, name_of, lambda n: n % 2, header="file,label")
    model = place / "config/models/eyes_unet.yaml"
    model.write_text("mine")
    with pytest.raises(
        ConfigError, match=r"eyes_unet\.yaml: is there already; take another --name, or --force"
    ):
        start(folder.root)
    assert model.read_text() == "mine" and not (place / "config/datasets/eyes.yaml").exists()
    start(folder.root, force=True)
    assert "UNet" in model.read_text()


@pytest.mark.parametrize("name", ["Eyes", "../eyes", "1eye", "my eyes", ""])
def test_a_name_that_is_none(name: str, tmp_path: Path, start: Callable) -> None:
    with pytest.raises(ConfigError, match="a name has at most 64"):
        start(tmp_path, name=name)


def test_elsewhere_than_in_the_workflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", str(tmp_path), "--name", "eyes"]) == 1
    assert "go where the Snakefile is" in caplog.text


def test_a_place_that_cannot_be_written(
    tmp_path: Path, place: Path, start: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path / "data")
    table(folder, name_of, lambda n: n % 2, header="file,label")
    (place / "config/datasets").rmdir()
    (place / "config/datasets").write_text("a file where the folder should be")
    with pytest.raises((MeddiffError, OSError), match="datasets"):
        start(folder.root)
