"""Images of another dataset before a model: its classes, and no image without one of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_weights_and_images import SCORE, make_weights

from core_samples import write_store
from meddiff.cli import main
from meddiff.data.stores.relabelled import Relabelling, as_of_model
from meddiff.data.stores.store import Store
from meddiff.errors import DataError
from meddiff.readout.predictions import read_predictions
from meddiff.scoring.error_file import load_errors

# Of the model; what the store calls class 1 is its first, and the last class of the store is none of it.
NAMES = ["effusion", "healthy"]
RELABEL = {"class_names": NAMES, "classes": {"class 1": "effusion", "class 0": "healthy"}}


@pytest.fixture
def store(tmp_path) -> Path:
    """With 9 test images of three classes."""
    return write_store(tmp_path / "data", {"train": 3, "valid": 3, "test": 9}, classes=3)


def test_labels_are_the_models_and_other_images_are_left_out(store, caplog):
    caplog.set_level("INFO", "meddiff")
    split = Store.open(store, "test")
    found, rows = as_of_model(split, Relabelling(**RELABEL), store)
    assert found.class_names == NAMES and len(found) == 9
    assert found.labels.tolist() == [{0: 1, 1: 0, 2: -1}[label] for label in split.labels]
    assert rows.tolist() == [row for row, label in enumerate(split.labels) if label < 2]
    assert f"{store}: left out {9 - len(rows)} of 9 images, of class 2" in caplog.text
    same, every = as_of_model(split, None, store)
    assert same is split and every.tolist() == list(range(9))


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ({"ill": "healthy"}, "no class 'ill'; there are class 0, class 1, class 2"),
        ({"class 0": "ill"}, "no class 'ill'; there are effusion, healthy"),
    ],
)
def test_a_class_that_there_is_not(classes, words, store):
    with pytest.raises(DataError, match=words):
        as_of_model(Store.open(store, "test"), Relabelling(class_names=NAMES, classes=classes), store)


def test_errors_are_those_of_the_images_and_labels_the_models(store, tmp_path, monkeypatch, caplog):
    """Other classes change no error; shards and their order are those of the images that are left."""
    monkeypatch.setenv("MEDDIFF_STATE_DIR", str(tmp_path / "state"))
    folder = make_weights(tmp_path / "weights", "unet", tuple(NAMES))
    params = json.dumps({**SCORE, "relabel": RELABEL})

    def command(name: str, out: str, *more: str) -> int:
        places = ["--params", params, "--weights", str(folder), "--store", str(store)]
        return main([name, *more, *places, "--out", str(tmp_path / out)])

    shards = [str(tmp_path / f"shard{number}.nc") for number in (1, 2)]
    for number, path in enumerate(shards, 1):
        assert command("score", path, "--shard", f"{number}-of-2") == 0
    assert command("gather", "errors.nc", *shards) == 0
    errors, split = load_errors(tmp_path / "errors.nc"), Store.open(store, "test")
    kept = np.flatnonzero(split.labels < 2)
    assert errors["image"].values.tolist() == [split.image_ids[row] for row in kept]
    assert errors["label"].values.tolist() == (1 - split.labels[kept]).tolist()
    assert errors["class"].values.tolist() == NAMES
    # Without relabelling, the weights are not for these images; with another one, the shards are not.
    assert main([*["score", "--split", "test"], "--params", json.dumps(SCORE), "--weights", str(folder),
                 "--store", str(store), "--out", str(tmp_path / "no.nc")]) == 1  # fmt: skip
    assert "number of classes 2, the images have 3" in caplog.text
    params = params.replace('"class 0": "healthy"', '"class 2": "healthy"')
    assert command("gather", "other.nc", *shards) == 1
    assert "was scored with relabelling" in caplog.text


def test_a_baseline_is_asked_about_the_images_that_are_left(store, tmp_path, caplog):
    folder = make_weights(tmp_path / "weights", "timm", tuple(NAMES))
    places = ["predict", "--weights", str(folder), "--store", str(store), "--out", str(tmp_path / "p.csv")]
    assert main([*places, "--relabel", json.dumps(RELABEL)]) == 0
    table, split = read_predictions(tmp_path / "p.csv"), Store.open(store, "test")
    kept = np.flatnonzero(split.labels < 2)
    assert table["image_id"].tolist() == [split.image_ids[row] for row in kept]
    assert table["label"].tolist() == (1 - split.labels[kept]).tolist()
    assert {"p_effusion", "p_healthy"} <= set(table.columns)
    # The classes of the weights are in another order than is said.
    swapped = make_weights(tmp_path / "swapped", "timm", tuple(NAMES[::-1]))
    places[2] = str(swapped)
    assert main([*places, "--relabel", json.dumps(RELABEL)]) == 1
    assert "order of classes" in caplog.text
