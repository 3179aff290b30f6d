"""A published model is not trained anew unless the user says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from meddiff.weights.releases import Release, published_runs, write_release

if TYPE_CHECKING:
    from workflow_samples import Project

pytestmark = pytest.mark.slow

RUN = "small_chest/small_resnet/seed0"
WEIGHTS = f"results/smallest/{RUN}/weights/model.safetensors"


@pytest.fixture
def published(project: Project) -> Project:
    """The finished run with the record that ``meddiff publish`` writes."""
    runs = published_runs("smallest", project.folder)
    tracked = {"data": [], "weights": [], "errors": [], "results": []}
    release = Release(experiment="smallest", runs=runs, tracked=tracked, records_sha256="0" * 64)
    write_release(release, project.folder)
    return project


def test_stops_then_keeps_then_retrains(published):
    project = published
    assert project.planned() == {}
    before = (project.folder / WEIGHTS).read_bytes()

    project.edit_yaml("config/models/small_resnet.yaml", train={"lr": 2e-3})
    text = project.snakemake(WEIGHTS, expect=1)
    assert f"{RUN}: its weights are published (results/smallest/release.json)" in text
    assert "setting model.train.lr: 0.001 -> 0.002" in text
    keep = f"python -m meddiff keep {RUN} --config experiment=smallest"
    assert f"--config retrain={RUN}" in text and keep in text
    assert (project.folder / WEIGHTS).read_bytes() == before

    project.edit_yaml("config/models/small_resnet.yaml", train={"lr": 1e-3})
    assert project.planned() == {}  # undone: nothing was touched, so nothing is to be done
    project.edit_yaml("config/models/small_resnet.yaml", train={"lr": 2e-3})

    keep = [sys.executable, *keep.split()[1:]]
    environment = {**os.environ, "PYTHONPATH": str(project.folder / "workflow/src")}
    done = subprocess.run(
        keep, cwd=project.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project.folder / WEIGHTS).read_bytes() == before
    # What is written of trainings is looked at again, and says how the kept weights were trained.
    assert project.planned() == {"write_methods": 1, "make_report": 1}

    project.edit_yaml("config/models/small_resnet.yaml", train={"lr": 3e-3})
    project.snakemake(WEIGHTS, "--config", f"retrain={RUN}")
    assert (project.folder / WEIGHTS).read_bytes() != before
    assert project.planned(WEIGHTS) == {}


def test_an_edited_module_and_another_split_are_named(published):
    project = published
    path = project.folder / "workflow/src/meddiff/networks/classifier.py"
    path.write_text(path.read_text() + "\n# an edit\n")
    project.edit_yaml("config/datasets/small_chest.yaml", split={"seed": 1})
    text = project.snakemake(WEIGHTS, expect=1)
    assert "code networks/classifier.py" in text and "images or splits are to be made again" in text
    assert (project.folder / WEIGHTS).is_file()


def test_other_images_are_noticed_when_training_starts(published):
    """They are made in the same run; the weights that were there are kept."""
    project = published
    before = (project.folder / WEIGHTS).read_bytes()
    project.edit_yaml("config/datasets/small_chest.yaml", split={"seed": 1})
    for _ in range(2):
        text = project.snakemake(WEIGHTS, expect=1)
        assert f"{RUN}: its weights are published" in text and "images or splits" in text
    project.edit_yaml("config/datasets/small_chest.yaml", split={"seed": 0})
    project.snakemake(WEIGHTS)
    assert (project.folder / WEIGHTS).read_bytes() == before


def test_published_weights_that_are_gone_are_not_trained(published):
    project = published
    shutil.rmtree((project.folder / WEIGHTS).parent)
    shutil.rmtree(project.folder / ".meddiff/state")
    text = project.snakemake(expect=1)
    assert "python -m meddiff restore --only weights --config experiment=smallest" in text
    assert not (project.folder / WEIGHTS).exists()
