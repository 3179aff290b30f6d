"""From a rule's parameters to weights, and back from weights to a model."""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from core_samples import tiny_document, write_store
from meddiff import signals
from meddiff.cli import main
from meddiff.config import parse_model
from meddiff.errors import CheckpointError
from meddiff.io import read_json
from meddiff.models.spec import RUN, read_spec, write_config
from meddiff.models.trained import load_model
from meddiff.networks.classifier import TimmClassifier
from meddiff.training import inputs as training_inputs
from meddiff.training.state import STATE_FILE
from meddiff.training.trainer import Trainer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return write_store(tmp_path_factory.mktemp("store"), {"train": 12, "valid": 6, "test": 2})


@pytest.fixture
def train(store, tmp_path, monkeypatch):
    """Train by the command line into a folder; returns the exit code."""
    monkeypatch.setenv("MEDDIFF_STATE_DIR", str(tmp_path / "state"))

    def call(document: dict[str, Any], out: str = "out", seed: int = 0, store: Path = store) -> int:
        params = json.dumps({"model": document, "seed": seed})
        return main(["train", "--params", params, "--store", str(store), "--out", str(tmp_path / out)])

    return call


def states(tmp_path: Path) -> set[str]:
    return {path.parent.name for path in (tmp_path / "state").rglob(STATE_FILE)}


TIMM = tiny_document("timm", train={"epochs": 2})


@pytest.mark.parametrize("kind", ["unet", "dit", "timm"])
def test_trained_weights_load_into_the_same_model_in_eval_mode(kind, train, tmp_path):
    document = tiny_document(kind, train={"epochs": 1}, image_size=16)
    assert train(document) == 0
    out = tmp_path / "out"
    made = ["config.yaml", "model.safetensors", "run.json"]
    assert sorted(path.name for path in out.iterdir() if path.is_file()) == made
    (kept,) = (path for path in (out / "kept").iterdir() if path.is_dir())
    assert all((kept / name).read_bytes() == (out / name).read_bytes() for name in made)
    model, spec = load_model(out, CPU)
    assert not any(module.training for module in model.modules())
    assert (spec.num_classes, spec.channels, spec.image_size) == (2, 1, 8)
    saved = load_file(out / "model.safetensors")
    assert saved.keys() == model.state_dict().keys()
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())
    run = read_json(out / RUN)
    assert run["parameters"] == sum(p.numel() for p in model.parameters())
    assert run["best_epoch"] == 0 and len(run["epochs"]) == 1 and run["device"] == "cpu"
    assert run["inputs"]["params"]["seed"] == 0
    assert yaml.safe_load((out / "config.yaml").read_text())["model"] == spec.model.model_dump(mode="json")


def test_outputs_do_not_depend_on_the_place(train, tmp_path):
    assert train(TIMM, "a") == 0
    os.rename(tmp_path / "state", tmp_path / "earlier state")
    assert train(TIMM, "b/c") == 0
    for name in ("model.safetensors", "config.yaml"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b/c" / name).read_bytes()
    first, second = read_json(tmp_path / "a" / RUN), read_json(tmp_path / "b/c" / RUN)
    assert first.pop("hours") > 0 and second.pop("hours") > 0
    assert first == second
    assert str(tmp_path) not in json.dumps(first)


def test_stop_signal_saves_and_fails_and_the_next_run_goes_on(train, tmp_path, monkeypatch, caplog):
    assert train(TIMM, "straight") == 0
    os.rename(tmp_path / "state", tmp_path / "earlier state")
    step, steps = Trainer._step, []

    def signalled(self, *arguments):
        step(self, *arguments)
        steps.append(arguments[-2])
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Trainer, "_step", signalled)
    assert train(TIMM) == 1
    assert "stopped after step 3 of 4; run again" in caplog.text
    assert not (tmp_path / "out/model.safetensors").exists()
    assert train(TIMM) == 0
    assert steps == [0, 1, 2, 3]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("straight", "out")]
    assert weights[0] == weights[1]


def test_what_changes_the_result_changes_the_state(train, tmp_path, monkeypatch):
    assert train(TIMM) == 0
    seen = states(tmp_path)
    assert len(seen) == 1
    assert train(TIMM) == 0
    assert states(tmp_path) == seen  # the same run: resumed
    other_store = write_store(tmp_path / "other", {"train": 12, "valid": 6, "test": 3})
    changes: list[dict[str, Any]] = [
        {"document": tiny_document("timm", train={"epochs": 2, "lr": 2e-3})},
        {"document": TIMM, "seed": 1},
        {"document": TIMM, "store": other_store},
    ]
    for count, change in enumerate(changes, start=2):
        assert train(**change) == 0
        assert len(states(tmp_path)) == count
    monkeypatch.setattr(training_inputs, "code_hashes", lambda modules: {"train.py": "other"})
    assert train(TIMM) == 0
    assert len(states(tmp_path)) == count + 1


def test_another_learning_rate_begins_anew(train, tmp_path, monkeypatch):
    assert train(TIMM) == 0
    step, steps = Trainer._step, []
    monkeypatch.setattr(Trainer, "_step", lambda self, *a: (steps.append(a[-2]), step(self, *a)))
    assert train(tiny_document("timm", train={"epochs": 2, "lr": 2e-3})) == 0
    assert steps == [0, 1, 2, 3]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_before_the_first_question_is_heard(number):
    signals.listen()
    os.kill(os.getpid(), number)
    asked = signals.stop_signal()
    assert asked()
    signals.listen()  # the next command of this process
    assert not asked()


def test_tensorboard_gets_the_records(store, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("MEDDIFF_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("COMET_API_KEY", raising=False)
    arguments = ["--params", json.dumps({"model": TIMM, "seed": 0}), "--store", str(store)]
    arguments += ["--out", str(tmp_path / "out"), "--trackers", str(tmp_path / "tracked")]
    assert main(["train", *arguments]) == 0
    assert list((tmp_path / "tracked").rglob("events.out.tfevents*"))


def test_missing_configuration_or_weights(train, tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.yaml: missing"):
        load_model(tmp_path, CPU)
    assert train(TIMM) == 0
    weights = tmp_path / "out" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged weights"):
        load_model(tmp_path / "out", CPU)
    weights.unlink()
    with pytest.raises(CheckpointError, match="no such weights"):
        load_model(tmp_path / "out", CPU)


def rewrite_config(folder: Path, model: dict[str, Any], **changes: Any) -> None:
    """Write a configuration as if weights had been made with another."""
    spec = read_spec(folder)
    document = spec.model.model_dump(mode="json", exclude_unset=True) | model
    write_config(folder, replace(spec, model=parse_model(document), **changes), 0)


def test_weights_of_another_architecture(train, tmp_path):
    assert train(TIMM) == 0
    rewrite_config(tmp_path / "out", {}, num_classes=5)
    with pytest.raises(CheckpointError, match=r"fc\.weight: \(2, \d+\) instead of \(5, \d+\)"):
        load_model(tmp_path / "out", CPU)


def test_every_flipped_byte_of_the_configuration_is_noticed(train, tmp_path):
    assert train(TIMM) == 0
    path, rng = tmp_path / "out" / "config.yaml", np.random.default_rng(0)
    whole, spec = path.read_bytes(), read_spec(path.parent)
    for place in rng.permutation(len(whole))[:100]:
        damaged = bytearray(whole)
        damaged[place] ^= rng.integers(1, 256)
        path.write_bytes(damaged)
        try:
            assert read_spec(path.parent) == spec  # another white space
        except CheckpointError as error:
            assert re.match(r".*config\.yaml: .*make (them|the weights) again", str(error), re.DOTALL)


def test_a_configuration_of_earlier_versions_is_read(train, tmp_path):
    assert train(TIMM) == 0
    path = tmp_path / "out" / "config.yaml"
    document, spec = yaml.safe_load(path.read_text()), read_spec(path.parent)
    assert len(document.pop("sha256")) == 64 and document.pop("class_names") == ["class 0", "class 1"]
    assert document.pop("format_version") == 2
    path.write_text(yaml.safe_dump(document))
    assert read_spec(path.parent) == replace(spec, class_names=None)


def test_loading_needs_no_pretrained_weights(train, tmp_path, monkeypatch):
    """A model that began from pretrained weights is built without them: its own are in the file."""
    assert train(TIMM) == 0
    rewrite_config(tmp_path / "out", {"pretrained": {"repo": "a/b", "files": ["model.safetensors"]}})
    monkeypatch.setattr(TimmClassifier, "load_pretrained", None)
    _, spec = load_model(tmp_path / "out", CPU)
    assert spec.model.pretrained.repo == "a/b"


def test_training_errors_have_no_traceback(train, tmp_path, caplog):
    assert train({**TIMM, "colour": "blue"}) == 1
    assert "--params: timm.colour: unknown key" in caplog.text
    assert train(TIMM, store=tmp_path / "nowhere") == 1
    assert "manifest.json: there is no such file" in caplog.text
