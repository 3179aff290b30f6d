"""What a library would refuse in training is refused before anything is replaced."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from core_samples import ARCHITECTURES, SIDE, tiny_config, tiny_document, write_store
from meddiff.cli import main
from meddiff.errors import ConfigError
from meddiff.models.spec import ModelSpec
from meddiff.training.network_check import check_network, check_trainable


def spec(kind: str, size: int = 8, channels: int = 1, **architecture: Any) -> ModelSpec:
    config = tiny_config(kind, architecture={**ARCHITECTURES[kind], **architecture})
    return ModelSpec(config, 2, channels, size)


@pytest.mark.parametrize("preset", ["fixed", "official"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_what_can_be_trained_passes(kind, channels, preset):
    check_trainable(ModelSpec(tiny_config(kind, preset), 3, channels, 16), images=20)


@pytest.mark.parametrize(
    ("kind", "size", "architecture", "reason"),
    [
        ("timm", 8, {"model_name": "test_resnett"}, "knows no 'test_resnett'; near are test_resnet"),
        ("timm", 8, {"drop_rat": 0.1}, "refused by the library: TypeError: .*drop_rat"),
        ("timm", 8, {"layers": "many"}, "refused by the library"),
        (
            "timm",
            8,
            {"model_name": "test_vit", "patch_size": 16},
            "does not go through|refused by the library",
        ),
        (
            "timm",
            16,
            {"model_name": "vit_tiny_patch16_224", "img_size": 32},
            "does not go through.*doesn't match",
        ),
        ("unet", 8, {"block_out_chanels": [8, 16]}, "refused by the library: TypeError: .*block_out_chanels"),
        ("unet", 8, {"block_out_channels": [8]}, "refused by the library: ValueError"),
        ("unet", 8, {"norm_num_groups": 3}, "refused by the library: ValueError"),
        ("unet", 8, {"down_block_types": ["DownBlock2D", "NoBlock2D"]}, "refused by the library: ValueError"),
        ("unet", 8, {"layers_per_block": [1]}, "refused by the library"),
        ("unet", 8, {"encoder_hid_dim_type": "none-such"}, "refused by the library: ValueError"),
        ("unet", 8, {"class_embed_type": "timestep"}, "does not go through"),
        ("dit", 8, {"num_layer": 2}, "refused by the library: TypeError: .*num_layer"),
        ("dit", 8, {"num_attention_heads": [2]}, "refused by the library"),
        ("dit", 8, {"activation_fn": "none-such"}, "refused by the library"),
        ("dit", 8, {"norm_type": "layer_norm"}, "refused by the library"),
        ("dit", 12, {"patch_size": 4}, "makes|does not go through"),
        (
            "dit",
            8,
            {"num_attention_heads": 1000, "attention_head_dim": 1000, "num_layers": 100},
            "parameters",
        ),
    ],
)
def test_what_the_library_would_refuse(kind, size, architecture, reason):
    with pytest.raises(ConfigError, match=reason) as caught:
        check_network(spec(kind, size, **architecture))
    assert str(caught.value).startswith(f"model 'tiny {kind}': ")


def test_a_network_that_the_class_does_not_enter():
    blocks = {
        "down_block_types": ["DownBlock2D", "DownBlock2D"],
        "mid_block_type": "UNetMidBlock2D",
        "up_block_types": ["UpBlock2D", "UpBlock2D"],
    }
    with pytest.raises(ConfigError, match="no block has cross-attention"):
        check_network(spec("unet", **blocks))


def test_warm_up_ends_before_the_training():
    config = tiny_config("timm", train={"epochs": 3, "batch_size": 8, "warmup_steps": 8})
    # 20 images in batches of 8 are 3 steps an epoch, 9 in all; 16 are 6.
    check_trainable(ModelSpec(config, 2, 1, 8), images=20)
    with pytest.raises(
        ConfigError, match=r"warmup_steps \(8\) must end before the training, which has 6 steps"
    ):
        check_trainable(ModelSpec(config, 2, 1, 8), images=16)


def test_approval_names_every_model_that_cannot_be_trained(tmp_path: Path, caplog, monkeypatch):
    """What `meddiff approve` is told on standard input: the trainings that are due."""
    monkeypatch.chdir(tmp_path)
    store = write_store(tmp_path / "images")

    def due(run: str, **architecture: Any) -> dict[str, Any]:
        return {
            "run": run,
            "decision": "none",
            "weights": f"results/trial/{run}/weights",
            "model": tiny_document("dit", architecture={**ARCHITECTURES["dit"], **architecture}),
            "seed": 0,
            "num_classes": 2,
            "channels": 1,
            "image_size": SIDE,
            "stores": [str(store)],
            "pretrained": None,
        }

    def approve(*trainings: dict[str, Any]) -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(trainings)))
        return main(["approve", "--experiment", "trial", "-"])

    assert approve(due("a/b/seed0")) == 0
    assert approve(due("a/b/seed0", num_layerz=3), due("a/c/seed0"), due("a/d/seed0", num_layers="x")) == 1
    assert "num_layerz" in caplog.text and "a/b/seed0" in caplog.text and "a/d/seed0" in caplog.text
    # Where the images are to be made again, the network is built all the same.
    caplog.clear()
    assert approve({**due("a/b/seed0", num_layerz=3), "stores": None}) == 1
    assert "num_layerz" in caplog.text
