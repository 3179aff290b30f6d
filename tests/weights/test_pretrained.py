"""Pretrained weights: fetched once, checked, and used without a network."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from core_samples import SIDE, tiny_config, tiny_document, write_store
from meddiff.cli import main
from meddiff.config.schema.pretrained import PretrainedConfig
from meddiff.errors import CheckpointError
from meddiff.io import read_json
from meddiff.models.kinds import build_model
from meddiff.weights.pretrained import fetch_pretrained, verified_manifest
from weight_samples import small_weights

CONFIG = PretrainedConfig(repo="timm/test_resnet.r160_in1k", files=["model.safetensors"])
FIRST = small_weights("first")


@pytest.fixture
def no_network(monkeypatch):
    """Any connection is an error."""

    def refuse(*arguments: Any) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def mine(tmp_path_factory) -> Path:
    """A folder of the user's with the weights of a network for 1000 classes and RGB images."""
    folder = tmp_path_factory.mktemp("mine")
    torch.manual_seed(1)
    save_file(timm.create_model("test_resnet").state_dict(), folder / "model.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    return folder


class Hub:
    """The Hugging Face hub as its client shows it: one repository, two commits."""

    def __init__(self, files: dict[str, dict[str, bytes]]) -> None:
        self.commits, self.head, self.asked, self.broken = files, "new", [], False

    def model_info(self, repo: str, revision: str) -> SimpleNamespace:
        if self.broken:
            raise huggingface_hub.errors.LocalEntryNotFoundError("no connection")
        self.asked.append((repo, revision))
        return SimpleNamespace(sha=self.head if revision == "main" else revision)

    def snapshot_download(self, repo: str, revision: str, allow_patterns: list[str], local_dir: Path) -> str:
        for path, content in self.commits[revision].items():
            if path in allow_patterns:
                local_dir.mkdir(parents=True, exist_ok=True)
                (local_dir / path).write_bytes(content)
        (local_dir / ".cache").mkdir(exist_ok=True)
        (local_dir / ".cache" / "model.safetensors").write_bytes(b"bookkeeping")
        return str(local_dir)


@pytest.fixture
def hub(monkeypatch) -> Hub:
    hub = Hub(
        {
            "old": {"model.safetensors": FIRST, "model.bin": b"pickle"},
            "new": {"model.safetensors": FIRST, "model.bin": b"pickle"},
        }
    )
    monkeypatch.setattr(huggingface_hub, "model_info", hub.model_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.snapshot_download)
    return hub


def test_download_is_recorded_with_its_commit(hub, tmp_path):
    fetch_pretrained("net", CONFIG, None, tmp_path / "net")
    manifest = verified_manifest(tmp_path / "net")
    assert manifest["repo"] == CONFIG.repo and manifest["revision"] == "new"
    assert manifest["files"]["model.safetensors"]["size"] == len(FIRST) and len(manifest["files"]) == 1
    assert not (tmp_path / "net" / "model.bin").exists()


def test_fetched_again_from_the_same_commit(hub, tmp_path):
    fetch_pretrained("net", CONFIG, None, tmp_path / "net")
    before = (tmp_path / "net" / "manifest.json").read_bytes()
    (tmp_path / "net" / "manifest.json").unlink()
    hub.head = "old"
    fetch_pretrained("net", CONFIG, None, tmp_path / "net")
    assert hub.asked[-1] == (CONFIG.repo, "new")
    assert (tmp_path / "net" / "manifest.json").read_bytes() == before
    hub.commits["new"]["model.safetensors"] = small_weights("another")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: expected \d+ bytes with SHA-256"):
        fetch_pretrained("net", CONFIG, None, tmp_path / "net")
    # Another revision is another thing: it is recorded anew.
    fetch_pretrained("net", CONFIG.model_copy(update={"revision": "old"}), None, tmp_path / "net")
    assert verified_manifest(tmp_path / "net")["revision"] == "old"


def test_a_damaged_download_is_not_recorded(hub, tmp_path):
    hub.commits["new"]["model.safetensors"] = FIRST[:-1]
    with pytest.raises(CheckpointError, match=r"model\.safetensors: is damaged: .*; delete it and fetch it"):
        fetch_pretrained("net", CONFIG, None, tmp_path / "net")
    assert not (tmp_path / "net" / "record.json").exists()
    hub.commits["new"]["model.safetensors"] = FIRST
    fetch_pretrained("net", CONFIG, None, tmp_path / "net")


def test_hub_that_does_not_answer(hub, tmp_path):
    hub.broken = True
    with pytest.raises(CheckpointError) as caught:
        fetch_pretrained("net", CONFIG, None, tmp_path / "net")
    assert CONFIG.repo in str(caught.value) and "--config pretrained_net=PATH" in str(caught.value)
    assert not (tmp_path / "net" / "manifest.json").exists()


def test_own_folder_is_copied_without_a_network(no_network, mine, tmp_path):
    fetch_pretrained("net", CONFIG, mine, tmp_path / "net")
    assert sorted(p.name for p in (tmp_path / "net").iterdir()) == [
        "manifest.json",
        "model.safetensors",
        "record.json",
    ]
    assert str(mine) not in (tmp_path / "net" / "manifest.json").read_text()
    assert verified_manifest(tmp_path / "net")["revision"] == "main"


def test_own_folder_without_the_files(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere: no such folder; it was named as pretrained_net"):
        fetch_pretrained("net", CONFIG, tmp_path / "nowhere", tmp_path / "net")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"has no file model\.safetensors"):
        fetch_pretrained("net", CONFIG, tmp_path / "empty", tmp_path / "net")


def test_patterns_keep_the_folders_of_a_pipeline(tmp_path):
    source = tmp_path / "pipeline"
    for path in ("model_index.json", "unet/a.safetensors", "unet/a.bin", "tokenizer/merges.txt"):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        content = small_weights(path) if path.endswith(".safetensors") else f'"{path}"'.encode()
        (source / path).write_bytes(content)
    config = PretrainedConfig(repo="a/b", files=["model_index.json", "unet/*.safetensors", "tokenizer/*.txt"])
    fetch_pretrained("sd", config, source, tmp_path / "out")
    manifest = verified_manifest(tmp_path / "out")
    assert set(manifest["files"]) == {"model_index.json", "unet/a.safetensors", "tokenizer/merges.txt"}


@pytest.mark.parametrize("files", [["*"], ["model.bin"], ["a.safetensors", "b.pkl"], []])
def test_pickles_cannot_be_asked_for(files):
    with pytest.raises(ValueError, match="files"):
        PretrainedConfig(repo="a/b", files=files)


def test_changed_or_missing_file_is_named(mine, tmp_path):
    fetch_pretrained("net", CONFIG, mine, tmp_path / "net")
    path = tmp_path / "net" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(CheckpointError, match=rf"{path}: expected"):
        verified_manifest(tmp_path / "net")
    path.unlink()
    with pytest.raises(CheckpointError, match=rf"{path}: missing"):
        verified_manifest(tmp_path / "net")
    with pytest.raises(CheckpointError, match=r"manifest\.json: missing"):
        verified_manifest(tmp_path)


@pytest.mark.parametrize("channels", [1, 3])
def test_weights_are_fitted_to_channels_and_classes(no_network, mine, channels):
    model = build_model(tiny_config("timm"), 2, channels, SIDE)
    model.load_pretrained(mine)
    saved, loaded = load_file(mine / "model.safetensors"), model.backbone.state_dict()
    first = saved["conv1.0.weight"]
    expected = first if channels == 3 else first.sum(dim=1, keepdim=True)
    torch.testing.assert_close(loaded["conv1.0.weight"], expected)
    assert loaded["fc.weight"].shape == (2, saved["fc.weight"].shape[1])
    others = [name for name in saved if name not in ("conv1.0.weight", "fc.weight", "fc.bias")]
    assert all(torch.equal(loaded[name], saved[name]) for name in others)


def test_position_embeddings_are_fitted_to_the_image_size(no_network, tmp_path):
    saved = timm.create_model("test_vit").state_dict()  # 160 px
    save_file(saved, tmp_path / "model.safetensors")
    config = tiny_config("timm", architecture={"model_name": "test_vit"})
    model = build_model(config, 2, 3, 96)
    model.load_pretrained(tmp_path)
    assert model.backbone.pos_embed.shape[1] == 37 and saved["pos_embed"].shape[1] == 101
    assert torch.equal(model.backbone.state_dict()["norm.weight"], saved["norm.weight"])
    assert model(torch.zeros(1, 3, 96, 96)).shape == (1, 2)


def test_another_models_weights(no_network, tmp_path):
    model = build_model(tiny_config("timm"), 2, 1, SIDE)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be used as pretrained weights"):
        model.load_pretrained(tmp_path)
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be used .* of test_resnet"):
        model.load_pretrained(tmp_path)


def test_pretrained_weights_that_are_no_numbers(no_network, mine, tmp_path):
    """Training would blame its learning rate."""
    tensors = load_file(mine / "model.safetensors")
    tensors["conv1.0.weight"][0, 0, 0, 0] = float("nan")
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors: values that are NaN .*: conv1\.0\.weight"
    ):
        build_model(tiny_config("timm"), 2, 3, SIDE).load_pretrained(tmp_path)


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Train by the command line; returns the exit code."""
    monkeypatch.setenv("MEDDIFF_STATE_DIR", str(tmp_path / "state"))
    store = write_store(tmp_path / "images", {"train": 4, "valid": 2, "test": 2})

    def call(out: str, *options: str, **document: Any) -> int:
        model = tiny_document("timm", **document)
        params = json.dumps({"model": model, "seed": 0})
        return main(
            ["train", "--params", params, "--store", str(store), "--out", str(tmp_path / out), *options]
        )

    return call


def test_training_begins_from_them_and_says_so(no_network, mine, train, tmp_path):
    fetch_pretrained("net", CONFIG, mine, tmp_path / "net")
    # A rate so small that the weights stay what they were.
    settings = {"pretrained": CONFIG.model_dump(), "train": {"epochs": 1, "lr": 1e-12}}
    assert train("out", "--pretrained", str(tmp_path / "net"), **settings) == 0
    trained = load_file(tmp_path / "out" / "model.safetensors")
    saved = load_file(mine / "model.safetensors")
    torch.testing.assert_close(
        trained["backbone.layer1.0.conv1.weight"], saved["layer1.0.conv1.weight"], atol=1e-9, rtol=0
    )
    first = read_json(tmp_path / "out" / "run.json")["inputs"]
    assert len(first["pretrained"]) == 64
    assert str(tmp_path) not in json.dumps(first)


def test_training_wants_them_where_the_configuration_does(mine, train, tmp_path, caplog):
    assert train("out", train={"epochs": 1}, pretrained=CONFIG.model_dump()) == 1
    assert "--pretrained: a folder must be given" in caplog.text
    fetch_pretrained("net", CONFIG, mine, tmp_path / "net")
    assert train("out", "--pretrained", str(tmp_path / "net"), train={"epochs": 1}) == 1
    path = tmp_path / "net" / "model.safetensors"
    path.write_bytes(b"x")
    settings = {"pretrained": CONFIG.model_dump(), "train": {"epochs": 1}}
    assert train("out", "--pretrained", str(tmp_path / "net"), **settings) == 1
    assert f"{path}: expected" in caplog.text
    assert not (tmp_path / "out").exists()


def test_command(no_network, mine, tmp_path):
    params = CONFIG.model_dump_json(exclude={"name"})
    arguments = ["--params", params, "--name", "net", "--folder", str(mine)]
    assert main(["pretrained", *arguments, "--out", str(tmp_path / "net")]) == 0
    assert verified_manifest(tmp_path / "net")["repo"] == CONFIG.repo


def test_shipped_baselines_begin_from_the_published_weights(root):
    """Spec section 5: repositories of timm that go with its own names of the weights."""
    import yaml

    tags = set()
    for path in (root / "config" / "models").glob("*.yaml"):
        document = yaml.safe_load(path.read_text())
        if document["kind"] == "timm" and "pretrained" in document:
            known = timm.get_pretrained_cfg(document["architecture"]["model_name"])
            assert document["pretrained"]["repo"] == known.hf_hub_id
            tags.add(known.hf_hub_id.partition("/")[2].partition(".")[2])
    assert tags == {
        *("tv_in1k", "tv2_in1k", "ra_in1k", "ra2_in1k"),
        *("augreg_in21k_ft_in1k", "augreg2_in21k_ft_in1k", "ms_in22k_ft_in1k"),
    }
