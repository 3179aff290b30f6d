"""Weights and images meet in commands that use both: they must be whole, and made for each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from core_samples import SIDE, tiny_config, tiny_document, write_store
from meddiff.cli import main
from meddiff.models.checkpoint import save_weights
from meddiff.models.spec import ModelSpec, write_config

CLASSES = ("class 0", "class 1")
EXPLAIN = {
    "from_t": 0.5,
    "cfg_scale": 1.0,
    "sampling_steps": 1,
    "sampler": "ancestral",
    "extra_last_step": False,
    "images_per_class": 1,
    "seed": 1,
    "precision": "fp32",
    "validity_steps": 1,
    "decision": "majority",
    "noise_levels": "uniform",
    "front": None,
}
SCORE = {"seed": 0, "steps": 1, "noise_levels": "uniform", "precision": "fp32"}
KINDS = {"score": "unet", "predict": "timm", "explain": "unet"}


def make_weights(folder: Path, kind: str, classes: tuple[str, ...] | None = CLASSES, **shape: int) -> Path:
    shape = {"num_classes": 2, "channels": 1, "image_size": SIDE} | shape
    spec = ModelSpec(tiny_config(kind), **shape, class_names=classes)
    torch.manual_seed(0)
    save_weights(folder / "model.safetensors", spec.build())
    write_config(folder, spec, 0)
    return folder


@pytest.fixture
def images(tmp_path) -> Path:
    return write_store(tmp_path / "data", {"train": 8, "valid": 4, "test": 4})


@pytest.fixture
def call(tmp_path, monkeypatch) -> Callable[..., int]:
    """Run a command on weights and images; its exit code."""
    monkeypatch.setenv("MEDDIFF_STATE_DIR", str(tmp_path / "state"))

    def run(command: str, weights: Path, images: Path, *more: str) -> int:
        outputs = [f"--{name}" for name in ("out-images", "out-table", "out-features")]
        made = [text for name in outputs for text in (name, str(tmp_path / name))]
        arguments: dict[str, list[Any]] = {
            "score": ["--params", json.dumps(SCORE), "--out", tmp_path / "errors.nc"],
            "predict": ["--out", tmp_path / "predictions.csv"],
            "explain": ["--params", json.dumps(EXPLAIN), *made],
        }
        places = ["--weights", weights, "--store", images]
        return main([command, *map(str, [*places, *arguments[command], *more])])

    return run


@pytest.mark.parametrize("command", KINDS)
def test_what_fits_is_used(command, call, images, tmp_path):
    assert call(command, make_weights(tmp_path / "weights", KINDS[command]), images) == 0


@pytest.mark.parametrize("command", KINDS)
@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({"image_size": 2 * SIDE}, f"image size {2 * SIDE}, the images have {SIDE}"),
        ({"channels": 3}, "channels 3, the images have 1"),
        ({"num_classes": 3, "classes": None}, "number of classes 3, the images have 2"),
        (
            {"classes": CLASSES[::-1]},
            "order of classes ['class 1', 'class 0'], the images have ['class 0', 'class 1']",
        ),
    ],
    ids=["size", "channels", "classes", "order"],
)
def test_weights_for_other_images(command, weights, reason, call, images, tmp_path, caplog):
    folder = make_weights(tmp_path / "weights", KINDS[command], **weights)
    assert call(command, folder, images) == 1
    assert f"{folder}: the weights are not for these images: {reason}" in caplog.text


def test_classes_may_have_better_names(call, images, tmp_path):
    assert call("predict", make_weights(tmp_path / "weights", "timm", ("healthy", "sick")), images) == 0


@pytest.mark.parametrize(
    ("command", "kind", "words"),
    [
        ("score", "timm", "of a classifier (kind 'timm'); expected those of a diffusion model"),
        ("explain", "timm", "of a classifier (kind 'timm'); expected those of a diffusion model"),
        ("predict", "dit", "of a diffusion model (kind 'dit'); expected those of a classifier"),
    ],
)
def test_weights_of_the_other_kind(command, kind, words, call, images, tmp_path, caplog):
    folder = make_weights(tmp_path / "weights", kind)
    assert call(command, folder, images) == 1
    assert f"{folder}: the weights are {words}" in caplog.text


@pytest.mark.parametrize(
    ("judge", "reason"),
    [
        ({"classes": CLASSES[::-1]}, "order of classes"),
        ({"num_classes": 3, "classes": None}, "number of classes 3, the images have 2"),
    ],
)
def test_an_oracle_of_other_classes(judge, reason, call, images, tmp_path, caplog):
    weights, oracle = make_weights(tmp_path / "w", "unet"), make_weights(tmp_path / "o", "timm", **judge)
    assert call("explain", weights, images, "--oracle", str(oracle)) == 1
    assert f"{oracle}: the weights are not for these images: {reason}" in caplog.text


def flip(path: Path, place: int) -> None:
    """Flip the last bit of a byte; of the index, that of a label."""
    if path.suffix == ".parquet":
        index = pd.read_parquet(path)
        index.loc[len(index) + place, "label"] ^= 1
        return index.to_parquet(path, index=False)
    whole = bytearray(path.read_bytes())
    whole[place] ^= 1
    path.write_bytes(whole)


@pytest.mark.parametrize("command", KINDS)
@pytest.mark.parametrize("file", ["model.safetensors", "config.yaml", "test.npy", "index.parquet"])
def test_a_flipped_bit_is_not_used(command, file, call, images, tmp_path, caplog):
    weights = make_weights(tmp_path / "weights", KINDS[command])
    assert call(command, weights, images) == 0
    folder = weights if (weights / file).exists() else images
    flip(folder / file, (weights / file).read_bytes().index(b"8\n") if file == "config.yaml" else -1)
    assert call(command, weights, images) == 1
    assert f"{folder / file}: " in caplog.text


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_flipped_bit_is_not_trained_on(split, images, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MEDDIFF_STATE_DIR", str(tmp_path / "state"))
    params = json.dumps({"model": tiny_document("timm", train={"epochs": 1}), "seed": 0})
    command = ["train", "--params", params, "--store", str(images), "--out"]
    assert main([*command, str(tmp_path / "out")]) == 0
    flip(images / f"{split}.npy", -1)
    assert main([*command, str(tmp_path / "other")]) == 1
    assert f"{images / split}.npy: is damaged or was changed: its images have the SHA-256" in caplog.text
    assert np.load(images / f"{split}.npy").shape[0] > 0
