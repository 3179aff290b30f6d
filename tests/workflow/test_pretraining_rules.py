"""Pretraining on images as one class, then on two: what is run, recorded, and made again after a change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from workflow_samples import DATASET, MODELS, Project, copy_of, make_project

pytestmark = pytest.mark.slow

POOL = {
    **DATASET,
    "title": "Chest phantom as one class",
    "source": {**DATASET["source"], "seed": 5},
    "classes": [{"values": [0, 1], "name": "image"}],
}
RUN, BEGUN = "results/smallest/small_pool/small_unet/seed0", "results/smallest/small_chest/small_unet/seed0"
WEIGHTS = "weights/model.safetensors"
# Asked for alone: nothing is scored, and the tables of the data are left out.
TARGETS = (f"{BEGUN}/{WEIGHTS}", f"results/smallest/small_chest/small_resnet/seed0/{WEIGHTS}")


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Project:
    """Weights of one model that begins from a pretraining, and of one that does not. Tests change copies."""
    project = make_project(tmp_path_factory.mktemp("pretrained") / "repository", root)
    (project.folder / "config/datasets/small_pool.yaml").write_text(yaml.safe_dump(POOL))
    # So small a rate that what was trained before can be told from what was not.
    tuned = {"datasets": {"small_chest": {"train": {"lr": 1e-9, "epochs": 1}}}}
    unet = {**MODELS["small_unet"], **tuned, "pretrained": {"dataset": "small_pool"}}
    (project.folder / "config/models/small_unet.yaml").write_text(yaml.safe_dump(unet))
    project.edit_yaml("config/experiments/smallest.yaml", models=["small_unet", "small_resnet"])
    project.snakemake(*TARGETS)
    return project


@pytest.fixture
def project(pretrained: Project, tmp_path: Path) -> Project:
    return copy_of(pretrained, tmp_path)


def test_training_begins_from_the_weights_of_the_pretraining(pretrained):
    before, after = (load_file(pretrained.folder / run / WEIGHTS) for run in (RUN, BEGUN))
    assert before["class_embedding.weight"].shape[0] == 2  # one class, and none
    assert after["class_embedding.weight"].shape[0] == 3
    for name in before.keys() - {"class_embedding.weight"}:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6)


def test_it_is_in_the_chain_of_records_and_in_the_plan(pretrained):
    code, text = pretrained.provenance(f"{BEGUN}/{WEIGHTS}")
    assert code == 0, text
    assert f"{RUN}/weights/" in text and "data/small_pool/raw.json" in text
    assert pretrained.planned(*TARGETS) == {}


def test_a_change_of_the_pretraining_reaches_what_begins_from_it(project):
    model = "config/models/small_unet.yaml"
    project.edit_yaml(model, datasets={"small_pool": {"train": {"lr": 2e-3}}})
    said = project.snakemake("-n", *TARGETS)
    trained = set(re.findall(r"Training (\w+ on \w+)", said))
    assert trained == {"small_unet on small_pool", "small_unet on small_chest"}
    assert project.planned(*TARGETS) == {"train_model": 2}
    # What is only of the other training does not reach back.
    project.edit_yaml(model, datasets={"small_pool": {}, "small_chest": {"train": {"lr": 2e-9, "epochs": 1}}})
    assert project.planned(*TARGETS) == {"train_model": 1}
    # Without the key, the model is another one, and nothing asks for the pretraining.
    document = yaml.safe_load((project.folder / model).read_text())
    document.pop("pretrained")
    (project.folder / model).write_text(yaml.safe_dump(document))
    assert project.planned(*TARGETS) == {"train_model": 1}
