"""Stable Diffusion through the rules: one pretrained folder, one joint training, a zero-shot model."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file
from workflow_samples import DATASET, Project

pytestmark = pytest.mark.slow

SKIN = {
    **DATASET,
    "title": "Small skin phantom",
    "format": {"kind": "isic"},
    "channels": 3,
    "classes": [
        {"value": 0, "name": "benign", "prompt": "a benign lesion"},
        {"value": 1, "name": "melanoma", "prompt": "a melanoma"},
    ],
}
ZERO_SHOT = {
    "title": "Small Stable Diffusion (zero-shot)",
    "kind": "stable_diffusion",
    "pretrained": {
        "name": "small",
        "generate": "tiny_stable_diffusion",
        "datasets": ["small_chest", "small_skin"],
        "autoencoder_steps": 2,
    },
}
JOINT = {
    **ZERO_SHOT,
    "title": "Small Stable Diffusion",
    "train_on": "joint",
    "train": {
        "steps": 3,
        "batch_size": 8,
        "accumulate": 2,
        "lr_schedule": "constant",
        "warmup_steps": 0,
        "select": "last",
    },
}
EXPERIMENT = {
    "title": "Latent diffusion",
    "datasets": ["small_chest", "small_skin"],
    "models": ["small_resnet", "small_joint", "small_zero_shot"],
    "preset": "official",
    "score": {"steps": 2},
    "evaluate": {"bootstrap_samples": 100, "ablation_steps": [1, 2]},
}
RUNS = "results/latent"


@pytest.fixture(scope="module")
def done(clone: Project) -> Project:
    """The experiment, run once."""
    files = {
        "datasets/small_skin": SKIN,
        "models/small_joint": JOINT,
        "models/small_zero_shot": ZERO_SHOT,
        "experiments/latent": EXPERIMENT,
    }
    for name, document in files.items():
        (clone.folder / f"config/{name}.yaml").write_text(yaml.safe_dump(document))
    (clone.folder / "config/config.yaml").write_text("experiment: latent\n")
    planned = clone.planned()
    assert planned["generate_pretrained"] == planned["train_joint_model"] == 1
    assert planned["select_joint_classes"] == planned["take_pretrained_weights"] == 2
    assert planned["train_model"] == 2  # the baseline
    assert planned["build_store"] == 4  # squashed and, for training as published, cropped
    clone.snakemake()
    return clone


def weights(project: Project, run: str) -> dict[str, torch.Tensor]:
    return load_file(project.folder / RUNS / run / "seed0/weights/model.safetensors")


def test_one_training_serves_both_datasets(done):
    joint = weights(done, "joint/small_joint")
    chest, skin = (weights(done, f"{dataset}/small_joint") for dataset in ("small_chest", "small_skin"))
    zero_shot = weights(done, "small_skin/small_zero_shot")
    assert torch.equal(chest["class_tokens"], joint["class_tokens"][[0, 1, 4]])
    assert torch.equal(skin["class_tokens"], joint["class_tokens"][[2, 3, 4]])
    assert torch.equal(skin["class_tokens"], zero_shot["class_tokens"])
    unet = [name for name in joint if name.startswith("unet.")]
    assert all(
        torch.equal(chest[name], joint[name]) and torch.equal(skin[name], joint[name]) for name in unet
    )
    assert any(not torch.equal(zero_shot[name], joint[name]) for name in unet)
    frozen = [name for name in joint if name.startswith("vae.")]
    assert all(torch.equal(zero_shot[name], joint[name]) for name in frozen)


def test_every_image_is_decided_and_shown(done):
    for dataset in EXPERIMENT["datasets"]:
        for model in ("small_joint", "small_zero_shot"):
            table = pd.read_csv(
                done.folder / RUNS / dataset / model / "seed0/votes0/predictions/majority.csv"
            )
            assert len(table) == 12
    table = (done.folder / RUNS / "tables/classification.md").read_text()
    assert "Small Stable Diffusion (zero-shot)" in table
    assert done.planned() == {}


def test_chains_of_joint_zero_shot_and_generated_weights(done):
    status, text = done.provenance(f"{RUNS}/tables/classification.md")
    assert status == 0, text
    assert all(f"[{command}, " in text for command in ("select", "zeroshot", "generate", "train", "fetch"))


def test_a_prompt_retrains_the_joint_model_and_nothing_else(done):
    path = done.folder / "config/datasets/small_skin.yaml"
    before = path.read_text()
    path.write_text(before.replace("a melanoma", "a malignant melanoma"))
    try:
        planned = done.planned()
    finally:
        path.write_text(before)
    assert planned["train_joint_model"] == 1 and planned["take_pretrained_weights"] == 1
    assert not {"train_model", "build_store", "split_dataset", "generate_pretrained"} & set(planned)


def test_joint_training_needs_one_model(done):
    path = done.folder / "config/models/small_joint.yaml"
    before = path.read_text()
    changed = {**JOINT, "datasets": {"small_skin": {"train": {"lr": 0.5}}}}
    path.write_text(yaml.safe_dump(changed))
    try:
        text = done.snakemake("-n", expect=1)
    finally:
        path.write_text(before)
    assert "small_joint.yaml: one model is trained on all datasets" in text
