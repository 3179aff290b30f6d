"""Training in several processes through the rule."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

WEIGHTS = "results/smallest/small_chest/small_unet/seed0/weights"


def test_a_model_is_trained_by_two_processes_and_nothing_else_is_stale(project):
    before = load_file(project.folder / WEIGHTS / "model.safetensors")
    project.edit_yaml("config/experiments/smallest.yaml", compute={"processes": 2, "save_minutes": 1})
    assert project.planned() == {}
    shutil.rmtree(project.folder / ".meddiff/state")  # or it would go on from the end
    target = f"{WEIGHTS}/model.safetensors"
    said = project.snakemake("--force", "--printshellcmds", target)
    assert "gpu=2" in said
    record = json.loads((project.folder / WEIGHTS / "run.json").read_text())
    assert record["processes"] == 2
    after = load_file(project.folder / WEIGHTS / "model.safetensors")
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, rtol=1e-3, atol=1e-4)
