"""Training that begins from the weights of another training: all of them but those of the classes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from core_samples import ARCHITECTURES, SIDE, tiny_config, tiny_document, write_store
from meddiff.cli import main
from meddiff.errors import CheckpointError, ConfigError
from meddiff.io import read_json
from meddiff.models.checkpoint import save_weights
from meddiff.models.spec import RUN, WEIGHTS, ModelSpec
from meddiff.weights.own_run import begin_from, check_fit, class_tensors

ANEW = {
    "unet": {"class_embedding.weight"},
    "dit": {
        f"backbone.transformer_blocks.{i}.norm1.emb.class_embedder.embedding_table.weight" for i in range(2)
    },
    "timm": {"backbone.fc.weight", "backbone.fc.bias"},
}
FROM = {"pretrained": {"dataset": "pool", "model": "net", "seed": 0}}


def built(kind: str, seed: int, classes: int, preset: str = "fixed", **architecture: Any) -> torch.nn.Module:
    torch.manual_seed(seed)
    config = tiny_config(kind, preset, architecture={**ARCHITECTURES[kind], **architecture})
    return ModelSpec(config, classes, 1, SIDE).build()


@pytest.mark.parametrize("preset", ["fixed", "official"])
@pytest.mark.parametrize("kind", ANEW)
def test_weights_are_those_of_the_training_but_for_the_classes(kind, preset, tmp_path):
    before, after, untouched = (built(kind, seed, n, preset) for seed, n in ((0, 1), (1, 3), (1, 3)))
    save_weights(tmp_path / WEIGHTS, before)
    assert set(begin_from(after, tmp_path / WEIGHTS)) == ANEW[kind]
    for name, tensor in after.state_dict().items():
        source = untouched if name in ANEW[kind] else before
        torch.testing.assert_close(tensor, source.state_dict()[name], rtol=0, atol=0)


@pytest.mark.parametrize("kind", ANEW)
def test_classes_begin_anew_where_there_are_as_many(kind, tmp_path):
    before, after = built(kind, 0, 2), built(kind, 1, 2)
    save_weights(tmp_path / WEIGHTS, before)
    begin_from(after, tmp_path / WEIGHTS)
    name = sorted(ANEW[kind])[-1]
    assert not torch.equal(after.state_dict()[name], before.state_dict()[name])


def test_nothing_but_the_classes_may_differ():
    """What is of the classes is found by name: a network whose classes lie elsewhere would be noticed."""
    for kind in ANEW:
        one, many = (built(kind, 0, n).state_dict() for n in (1, 5))
        differ = {name for name in one if one[name].shape != many[name].shape}
        assert differ == class_tensors(built(kind, 0, 5)) == ANEW[kind]


@pytest.mark.parametrize(
    ("kind", "architecture", "name", "there", "here"),
    [
        ("unet", {"block_out_channels": [4, 16]}, "backbone.conv_in.weight", [4, 4, 3, 3], [8, 4, 3, 3]),
        (
            "dit",
            {"num_layers": 1},
            "backbone.transformer_blocks.1.attn1.to_k.bias",
            "missing",
            [16],
        ),
    ],
)
def test_another_shape_is_named_with_both(kind, architecture, name, there, here, tmp_path):
    before, after = built(kind, 0, 1, **architecture), built(kind, 1, 2)
    save_weights(tmp_path / WEIGHTS, before)
    kept = {name: tensor.clone() for name, tensor in after.state_dict().items()}
    with pytest.raises(CheckpointError, match="cannot begin from these weights") as caught:
        begin_from(after, tmp_path / WEIGHTS)
    assert f"{name} is {there} there and {here} here" in str(caught.value)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in after.state_dict().items())
    with pytest.raises(ConfigError, match="the weights of pool/net/seed0 do not fit") as caught:
        check_fit(after, before, "pool/net/seed0")
    assert f"{name} is {there} there and {here} here" in str(caught.value)


def test_a_damaged_file_is_refused(tmp_path):
    before = built("unet", 0, 1)
    save_weights(tmp_path / WEIGHTS, before)
    tensors = load_file(tmp_path / WEIGHTS)
    tensors["backbone.conv_in.bias"][0] = float("nan")
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"NaN or infinite in 1 tensors: backbone.conv_in.bias"):
        begin_from(built("unet", 1, 2), tmp_path / WEIGHTS)


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Train by the command line below a folder; returns the weights' folder."""
    monkeypatch.setenv("MEDDIFF_STATE_DIR", str(tmp_path / "state"))

    def call(out: str, store: Path, document: dict[str, Any], *more: str) -> Path:
        params = json.dumps({"model": document, "seed": 0})
        words = ["train", "--params", params, "--store", str(store), "--out", str(tmp_path / out), *more]
        assert main(words) == 0
        return tmp_path / out

    return call


def test_the_command_trains_on_one_class_and_then_on_two(train, tmp_path, caplog):
    caplog.set_level("INFO", "meddiff")
    one = write_store(tmp_path / "one", {"train": 8, "valid": 2, "test": 2}, classes=1)
    two = write_store(tmp_path / "two", {"train": 8, "valid": 4, "test": 2})
    settings = {"epochs": 1, "select": "last", "warmup_steps": 0, "lr": 1e-9}
    first = train("first", one, tiny_document("unet", train=settings))
    tuned = tiny_document("unet", train=settings, **FROM)
    second = train("second", two, tuned, "--pretrained", str(first))
    assert "training begins from" in caplog.text and "anew begin class_embedding.weight" in caplog.text
    # A learning rate so small that a step changes nothing to speak of.
    before, after = load_file(first / WEIGHTS), load_file(second / WEIGHTS)
    for name in before.keys() - ANEW["unet"]:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6)
    inputs = read_json(second / RUN)["inputs"]
    assert "weights/own_run.py" in inputs["code"]
    assert "weights/own_run.py" not in read_json(first / RUN)["inputs"]["code"]
    # Other weights are another training.
    other = train("other", one, tiny_document("unet", train={**settings, "lr": 1e-3}))
    third = train("third", two, tuned, "--pretrained", str(other))
    assert read_json(third / RUN)["inputs"]["pretrained"] != inputs["pretrained"]


def test_what_will_not_fit_is_known_before_anything_is_trained(tmp_path, caplog, monkeypatch):
    """The weights are to be made in the same run: both networks are compared without memory."""
    monkeypatch.chdir(tmp_path)
    store = write_store(tmp_path / "images")

    def approve(**architecture: Any) -> int:
        due = {
            **{
                "run": "eyes/net/seed0",
                "decision": "none",
                "weights": "results/trial/eyes/net/seed0/weights",
            },
            **{"model": tiny_document("dit", **FROM), "seed": 0, "stores": [str(store)], "pretrained": None},
            **{"num_classes": 2, "channels": 1, "image_size": SIDE},
            "begins_from": {
                "run": "pool/net/seed0",
                "model": tiny_document("dit", architecture={**ARCHITECTURES["dit"], **architecture}),
                **{"num_classes": 1, "channels": 1, "image_size": SIDE},
            },
        }
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps([due])))
        return main(["approve", "--experiment", "trial", "-"])

    assert approve() == 0
    assert approve(num_attention_heads=4) == 1
    assert "pool/net/seed0" in caplog.text
    assert "backbone.pos_embed.proj.bias is [32] there and [16] here" in caplog.text
