"""A small experiment on a throwaway cluster: its main process, its jobs, and ways to disturb them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import xarray as xr
import yaml
from slurm_cluster import GPU_PARTITION, Cluster, wait_until
from workflow_samples import EXPERIMENT, MODELS, Project, make_project

EPOCHS = 80  # enough to be stopped in the middle
EXPERIMENT_NAME = "cluster"
RUNS = Path("results") / EXPERIMENT_NAME / "small_chest"
UNET, RESNET = RUNS / "small_unet/seed0", RUNS / "small_resnet/seed0"
VOTES = UNET / "votes0"
PATIENCE = 300.0  # seconds; only waited for in full where something does not work
# What makes a test shorter; everything else is the profile as it is shipped.
QUICK_POLLING = (
    "--slurm-init-seconds-before-status-checks=2",
    "--max-status-checks-per-second=1",
    "--latency-wait=20",
)


def make_cluster_project(folder: Path, root: Path) -> Project:
    """One UNet that is scored in two shards and one baseline, each trained for some seconds."""
    project = make_project(folder, root)
    for name in ("small_unet", "small_resnet"):
        project.edit_yaml(f"config/models/{name}.yaml", train={**MODELS[name]["train"], "epochs": EPOCHS})
    experiment = {**EXPERIMENT, "models": ["small_unet", "small_resnet"]}
    path = project.folder / f"config/experiments/{EXPERIMENT_NAME}.yaml"
    path.write_text(yaml.safe_dump(experiment))
    (project.folder / "config/config.yaml").write_text(f"experiment: {EXPERIMENT_NAME}\n")
    return project


def on_cluster(prepared: Project, folder: Path, cluster: Cluster, **variables: str) -> Project:
    """A copy of a project with the settings of a site: as little as this cluster needs."""
    shutil.copytree(prepared.folder, folder, symlinks=True)
    variables = {
        "MEDDIFF_SLURM_GPU_PARTITION": GPU_PARTITION,
        "MEDDIFF_SLURM_CPUS": "1",
        **variables,
        "PATH": cluster.environment["PATH"],
        "SLURM_CONF": str(cluster.conf),
        "OMP_NUM_THREADS": "1",
        "MEDDIFF_STATE_DIR": str(folder / ".meddiff/state"),
    }
    # Commands are stopped and killed here, so each is a process of its own.
    return Project(folder, variables, warm=False)


def same_results(project: Project, expected: Project, *paths: Path) -> None:
    """Assert that result files have the same content, bit for bit (attributes of devices and dates aside)."""
    for path in paths:
        here, there = project.folder / path, expected.folder / path
        if path.suffix == ".nc":
            with xr.open_dataset(here) as one, xr.open_dataset(there) as other:
                xr.testing.assert_identical(one, other)
        else:
            assert here.read_bytes() == there.read_bytes(), path


class Head:
    """The main Snakemake process of a run on the cluster, in the background."""

    def __init__(self, project: Project, log: Path, *targets: str) -> None:
        self.log = log
        self.records = project.folder / ".snakemake/log"
        self.earlier = set(self.records.glob("*.log"))
        command = [sys.executable, "-m", "snakemake", "--profile", "slurm", *QUICK_POLLING]
        command += ["--config", f"experiment={EXPERIMENT_NAME}", "--", *targets]
        with open(log, "w") as stream:
            self.process = subprocess.Popen(
                command,
                cwd=project.folder,
                env=project.environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def output(self) -> str:
        return self.log.read_text()

    def everything(self) -> str:
        """Snakemake's own log of this run, which has what is not shown."""
        return "".join(path.read_text() for path in set(self.records.glob("*.log")) - self.earlier)

    def wait(self, seconds: float) -> int:
        """The exit status; the process is killed if it takes longer."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"not finished after {seconds:.0f} s:\n{self.output()}") from None

    def kill(self) -> None:
        """End it without a chance to clean up."""
        self.process.kill()
        self.process.wait()

    def submitted(self) -> dict[str, str]:
        """Snakemake's number of each job -> Slurm's number of its latest submission."""
        return dict(re.findall(r"Job (\d+) has been submitted with SLURM jobid (\d+)", self.everything()))

    def finished(self) -> set[str]:
        """Slurm's numbers of the jobs that this process knows to be finished."""
        numbers = re.findall(r"Finished jobid: (\d+)", self.everything())
        return {self.submitted()[number] for number in numbers if number in self.submitted()}


@dataclass(frozen=True)
class Held:
    """A command of a job, stopped where it is (SIGSTOP): what is done to it comes at a known moment."""

    pid: int
    job: str


def commands(project: Project, *words: str) -> list[Held]:
    """The running commands of jobs of `project` with all `words` in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            line = (entry / "cmdline").read_bytes().decode().split("\0")
            if line[1:3] != ["-m", "meddiff"] or Path(os.readlink(entry / "cwd")) != project.folder:
                continue
            variables = (entry / "environ").read_bytes().decode().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        job = next((v.split("=")[1] for v in variables if v.startswith("SLURM_JOB_ID=")), None)
        if job and all(any(word in part for part in line) for word in words):
            found.append(Held(int(entry.name), job))
    return found


def hold(project: Project, *words: str, other_than: Held | None = None) -> Held:
    """Wait for a command with all `words`, of another job than `other_than`, and stop it where it is."""
    job = other_than.job if other_than else None

    def running() -> list[Held]:
        return [one for one in commands(project, *words) if one.job != job]

    wait_until(lambda: bool(running()), f"a command with {words}", PATIENCE)
    held = running()[0]
    os.kill(held.pid, signal.SIGSTOP)
    return held


def hold_trainings(project: Project, *models: str, other_than: Iterable[Held] = ()) -> list[Held]:
    """Stop the training of each model in the middle, as soon as it has saved its state at least once.

    Models are watched at the same time: while one is waited for, another could come to its end.
    """
    jobs = {one.job for one in other_than}
    held: dict[str, Held] = {}

    def hold_if_in_the_middle(model: str) -> None:
        words = ("train", f"{model}/seed0/weights")
        trained = [one for one in commands(project, *words) if one.job not in jobs]
        log = project.folder / f"logs/{EXPERIMENT_NAME}/small_chest/{model}/seed0/train.log"
        # A state is saved after each epoch's line, so two lines mean one state. Each command's log is new.
        if trained and log.read_text().count(" epoch ") >= 2:
            held[model] = trained[0]
            os.kill(held[model].pid, signal.SIGSTOP)

    def all_are_held() -> bool:
        for model in models:
            if model not in held:
                hold_if_in_the_middle(model)
        return len(held) == len(models)

    wait_until(all_are_held, f"{' and '.join(models)} to train", PATIENCE)
    return [held[model] for model in models]


def share_a_card(times: Iterable[tuple[str, str]]) -> bool:
    """Whether any two of the runs on one node, given by their (start, end), overlap."""
    return any(start < end for (_, end), (start, _) in pairwise(sorted(times)))
