"""A published model is not trained anew unless the user says so."""

from __future__ import annotations

import os
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
    assert f"--config retrain={RUN}" in text and f"python -m meddiff keep {RUN}" in text
    assert (project.folder / WEIGHTS).read_bytes() == before

    keep = [sys.executable, "-m", "meddiff", "keep", RUN]
    environment = {**os.environ, "PYTHONPATH": str(project.folder / "workflow/src")}
    done = subprocess.run(
        keep, cwd=project.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project.folder / WEIGHTS).read_bytes() == before
    assert project.planned() == {}

    project.edit_yaml("config/models/small_resnet.yaml", train={"lr": 3e-3})
    project.snakemake(WEIGHTS, "--config", f"retrain={RUN}")
    assert (project.folder / WEIGHTS).read_bytes() != before
    assert project.planned(WEIGHTS) == {}


def test_an_edited_module_and_another_split_are_named(published):
    project = published
    path = project.folder / "workflow/src/meddiff/baselines.py"
    path.write_text(path.read_text() + "\n# an edit\n")
    project.edit_yaml("config/datasets/small_chest.yaml", split={"seed": 1})
    text = project.snakemake(WEIGHTS, expect=1)
    assert "code baselines.py" in text and "images or splits" in text
    assert (project.folder / WEIGHTS).is_file()
