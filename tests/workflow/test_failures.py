"""After whatever failure: a run that ends with status 0 leaves results of today's configuration."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from meddiff.scoring.error_file import load_errors

if TYPE_CHECKING:
    from workflow_samples import Project

pytestmark = pytest.mark.slow

RESULTS = "results/smallest"
RUN = f"{RESULTS}/small_chest/small_resnet/seed0"
UNET = f"{RESULTS}/small_chest/small_unet/seed0"
VOTES = f"{UNET}/votes0"
WEIGHTS = f"{RUN}/weights/model.safetensors"
EXPERIMENT = "config/experiments/smallest.yaml"
SLURM = ("sbatch", "sacct", "squeue", "scontrol", "sinfo", "sacctmgr", "scancel", "srun")
# Fails in every job that runs a network of this kind, and is no setting that a result depends on.
IMPOSSIBLE = {"attention": "flash"}


def learning_rate(project: Project, lr: float, model: str = "small_unet") -> None:
    project.edit_yaml(f"config/models/{model}.yaml", train={"lr": lr})


def trained_with(project: Project, run: str = UNET) -> float:
    """The learning rate of the weights that are there."""
    record = json.loads((project.folder / run / "weights/run.json").read_text())
    return record["inputs"]["params"]["model"]["train"]["lr"]


def contents(project: Project, *patterns: str) -> dict[str, bytes]:
    files = [path for pattern in patterns for path in project.folder.glob(pattern) if path.is_file()]
    return {path.relative_to(project.folder).as_posix(): path.read_bytes() for path in sorted(files)}


def test_a_failed_training_is_not_forgotten(project):
    """The next run tries again, the old weights are kept, and going back trains nothing."""
    before = contents(project, f"{RESULTS}/tables/*.*", f"{UNET}/weights/*.*", f"{VOTES}/errors.nc")
    learning_rate(project, 2e-3)
    project.edit_yaml(EXPERIMENT, compute=IMPOSSIBLE)
    for _ in range(2):
        assert "flash is not possible" in project.snakemake(expect=1)
    kept = list(project.folder.glob(f"{UNET}/weights/kept/*/model.safetensors"))
    assert [path.read_bytes() for path in kept] == [before[f"{UNET}/weights/model.safetensors"]]

    project.edit_yaml(EXPERIMENT, compute={"attention": "auto"})
    shutil.rmtree(project.folder / ".meddiff/state")  # as docs/reruns.md says one may
    undone = project.folder.parent / "undone"
    shutil.copytree(project.folder, undone, symlinks=True)
    project.snakemake()
    assert trained_with(project) == 2e-3
    assert project.planned() == {}

    other = type(project)(undone)
    learning_rate(other, 1e-3)
    other.snakemake()
    assert contents(other, f"{RESULTS}/tables/*.*", f"{UNET}/weights/*.*", f"{VOTES}/errors.nc") == before
    log = (other.folder / "logs/smallest/small_chest/small_unet/seed0/train.log").read_text()
    assert "nothing is trained" in log
    scored = "".join(
        p.read_text()
        for p in other.folder.glob("logs/smallest/small_chest/small_unet/seed0/votes0/score-*.log")
    )
    assert "its errors are taken over" in scored


def test_a_failed_scoring_is_not_forgotten(project):
    project.edit_yaml(EXPERIMENT, score={"steps": 5}, compute=IMPOSSIBLE)
    for _ in range(2):
        assert "flash is not possible" in project.snakemake(expect=1)
    project.edit_yaml(EXPERIMENT, compute={"attention": "auto"})
    assert project.planned()["score_shard"] == 4
    project.snakemake()
    for path in project.folder.glob(f"{RESULTS}/*/*/*/*/errors.nc"):
        assert load_errors(path).sizes["step"] == 5
    assert project.planned() == {}


def test_a_failed_validation_is_not_forgotten(project, tmp_path):
    """Labels that are wrong stay an error, and the old splits are used for nothing."""
    images = local_images(project, tmp_path)
    project.edit_yaml(EXPERIMENT, models=["small_resnet"])
    arguments = ["--config", f"root_small_chest={images}"]
    project.snakemake(*arguments)
    labels = images / "CheXpert-v1.0-small/train.csv"
    text = labels.read_text()
    labels.write_text(text.replace(",1.0", ",7.0", 1))
    for _ in range(3):
        assert "7.0" in project.snakemake(*arguments, expect=1)
    labels.write_text(text)
    project.snakemake(*arguments)
    assert project.planned(*arguments) == {}


def local_images(project: Project, folder: Path) -> Path:
    """Make the phantom's images a folder of the user's."""
    images = folder / "images"
    shutil.copytree(project.folder / "data/small_chest/raw", images)
    path = project.folder / "config/datasets/small_chest.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "source": {"kind": "local"}}))
    return images


def test_a_refused_submission_is_not_forgotten(project, tmp_path):
    """A scheduler that takes no job: weights stay, and the next run trains."""
    before = (project.folder / WEIGHTS).read_bytes()
    learning_rate(project, 2e-3, "small_resnet")
    for name in SLURM:
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text("#!/bin/sh\necho 'sbatch: error: Batch job submission failed' >&2\nexit 1\n")
        script.chmod(0o755)
    refusing = type(project)(project.folder, {"PATH": f"{tmp_path / 'bin'}:{project.environment['PATH']}"})
    refusing.snakemake("--profile", "slurm", "--config", "experiment=smallest", expect=1)
    (kept,) = project.folder.glob(f"{RUN}/weights/kept/*/model.safetensors")
    assert kept.read_bytes() == before
    project.snakemake()
    assert trained_with(project, RUN) == 2e-3


def test_without_slurm_the_profile_touches_nothing(project):
    before = contents(project, f"{RUN}/weights/*.*")
    learning_rate(project, 2e-3, "small_resnet")
    folder = project.folder.parent / "bin"
    folder.mkdir()
    for place in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(place).glob("*"):
            if program.name not in SLURM:
                (folder / program.name).unlink(missing_ok=True)
                (folder / program.name).symlink_to(program)
    bare = type(project)(project.folder, {"PATH": str(folder)})
    text = bare.snakemake("--profile", "slurm", "--config", "experiment=smallest", expect=1)
    assert "There is no Slurm here" in text and "Traceback" not in text
    assert contents(project, f"{RUN}/weights/*.*") == before


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("data/small_chest/raw.json", "fetch_dataset"),
        ("data/small_chest/table.csv", "validate_dataset"),
        ("data/small_chest/flow.json", "validate_dataset"),
        ("splits/small_chest/origin.json", "split_dataset"),
        ("splits/small_chest/leaks.csv", "find_leaks"),
        ("data/small_chest/participants.csv", "describe_participants"),
        ("data/small_chest/store/16/manifest.json", "build_store"),
        ("data/small_chest/store/16/train.npy", "build_store"),
        (WEIGHTS, "train_model"),
        (f"{RUN}/weights/run.json", "train_model"),
        (f"{VOTES}/errors.nc", "gather_errors"),
        (f"{VOTES}/scores/test/mean.csv", "vote"),
        (f"{VOTES}/predictions/mean.csv", "decide"),
        (f"{RUN}/scores/test/softmax.csv", "predict_baseline"),
        (f"{RUN}/predictions/softmax.csv", "decide"),
        (f"{RUN}/metrics/softmax.csv", "compute_metrics"),
        (f"{VOTES}/metrics/mean.csv", "compute_vote_metrics"),
    ],
)
def test_a_removed_file_is_made_again(finished, tmp_path, path, rule):
    file = finished.folder / path
    file.rename(tmp_path / "removed")
    try:
        assert finished.planned().get(rule) == 1
    finally:
        (tmp_path / "removed").rename(file)


def test_without_the_records_of_snakemake_nothing_is_believed(project):
    """Everything is made again; weights and errors that were made from the same are taken."""
    shutil.rmtree(project.folder / ".snakemake")
    learning_rate(project, 2e-3)
    planned = project.planned()
    assert planned["train_model"] == 3 and planned["make_classification_table"] == 1
    project.snakemake()
    assert trained_with(project) == 2e-3
    log = project.folder / "logs/smallest/small_chest/small_resnet/seed0/train.log"
    assert "nothing is trained" in log.read_text()
    assert project.planned() == {}


def test_older_tables_that_were_put_back_are_made_again(project, tmp_path):
    """As by git, with the records beside them, and with times of today."""
    tables = project.folder / RESULTS / "tables"
    shutil.copytree(tables, tmp_path / "older")
    project.edit_yaml(EXPERIMENT, evaluate={"bootstrap_samples": 200})
    project.snakemake()
    newer = contents(project, f"{RESULTS}/tables/*.*")
    shutil.rmtree(tables)
    shutil.copytree(tmp_path / "older", tables, copy_function=shutil.copy)
    assert project.planned()["make_classification_table"] == 1
    project.snakemake()
    assert contents(project, f"{RESULTS}/tables/*.*") == newer
    assert project.planned() == {}


def test_removed_weights_are_taken_from_their_version(project):
    before = contents(project, f"{RESULTS}/tables/*.*", f"{RUN}/weights/*.*")
    hours = (project.folder / RUN / "weights/provenance/model.safetensors.json").read_text()
    (project.folder / WEIGHTS).unlink()
    project.snakemake()
    assert contents(project, f"{RESULTS}/tables/*.*", f"{RUN}/weights/*.*") == before
    assert (project.folder / RUN / "weights/provenance/model.safetensors.json").read_text() == hours
    assert project.planned() == {}


def test_a_named_file_that_is_missing_stops_the_run(project):
    """Snakemake alone would leave out the job that needs it, and all before it."""
    for split in ("train", "valid", "test"):
        shutil.copy(project.folder / f"splits/small_chest/{split}.csv", project.folder / f"mine_{split}.csv")
    files = {split: f"mine_{split}.csv" for split in ("train", "valid", "test")}
    path = project.folder / "config/datasets/small_chest.yaml"
    document = {**yaml.safe_load(path.read_text()), "split": {"kind": "files", **files}}
    path.write_text(yaml.safe_dump(document))
    project.snakemake("datasets")
    path.write_text(yaml.safe_dump({**document, "split": {**document["split"], "train": "typo.csv"}}))
    for _ in range(2):
        text = project.snakemake(expect=1)
        assert "config/datasets/small_chest.yaml: split.train: typo.csv: there is no such file" in text


def test_a_killed_run_goes_on(project):
    """Killed with all its jobs while it trains: the next run ends with what an undisturbed one makes."""
    project = replace(project, warm=False)
    learning_rate(project, 2e-3)
    command = [sys.executable, "-m", "snakemake", "--nolock"]
    process = subprocess.Popen(
        command,
        cwd=project.folder,
        env=project.environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    log = project.folder / "logs/smallest/small_chest/small_unet/seed0/train.log"
    old = log.stat().st_mtime_ns
    while log.stat().st_mtime_ns == old and process.poll() is None:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    project.snakemake()
    assert trained_with(project) == 2e-3
    assert project.planned() == {}
    with open(project.folder / RESULTS / "tables/metrics.csv", newline="") as stream:
        assert {row["model"] for row in csv.DictReader(stream)} == {"small_unet", "small_dit", "small_resnet"}
