"""Training in several processes through the rule."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from workflow_samples import Project

pytestmark = pytest.mark.slow

EXPERIMENT = "config/experiments/smallest.yaml"
WEIGHTS = "results/smallest/small_chest/small_unet/seed0/weights"
TARGET = f"{WEIGHTS}/model.safetensors"


def record(project: Project) -> dict[str, Any]:
    return json.loads((project.folder / WEIGHTS / "run.json").read_text())


def test_two_processes_train_what_one_does_and_their_number_is_not_tracked(clone):
    clone.edit_yaml(EXPERIMENT, compute={"processes": 2, "save_minutes": 1})
    clone.snakemake(TARGET)
    together, weights = record(clone), load_file(clone.folder / TARGET)
    assert together["processes"] == 2
    clone.edit_yaml(EXPERIMENT, compute={"processes": 1, "save_minutes": 5})
    assert clone.planned(TARGET) == {}
    shutil.rmtree(clone.folder / ".meddiff/state")  # or it would go on from the end
    # Weights that were made before are kept and taken, unless others are asked for.
    clone.snakemake("--force", TARGET, "--config", "retrain=small_chest/small_unet/seed0")
    alone = record(clone)
    assert alone["processes"] == 1 and alone["inputs"] == together["inputs"]
    assert alone["epochs"][0]["loss"] == pytest.approx(together["epochs"][0]["loss"], rel=1e-5)
    for name, tensor in load_file(clone.folder / TARGET).items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-3, atol=1e-4)
