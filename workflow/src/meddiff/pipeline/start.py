"""What is looked at when a run starts: before Snakemake plans, and before it deletes anything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from meddiff.config.sources import SPLITS, sources
from meddiff.data.obtain.listing import refresh_manifest, seen_path
from meddiff.errors import ConfigError, MeddiffError, ReleaseError
from meddiff.pipeline.data import folders_of
from meddiff.pipeline.experiment import Experiment
from meddiff.pipeline.training import Training
from meddiff.pipeline.wildcards import Wildcards
from meddiff.provenance import SOURCE
from meddiff.sharing import running
from meddiff.sharing.absent import is_spared
from meddiff.sharing.doubts import edited, mark_doubtful

_TRAINING_RULES = ("train_model", "train_joint_model")


class Job(Protocol):
    """What is read of a job of Snakemake's."""

    rule: Any  # has a name
    wildcards: Wildcards
    output: Iterable[str]


def announcement(experiment: Experiment) -> str:
    """The first line of a run."""
    return f"Experiment {experiment.config.results_name}: results are in {experiment.results}"


def names_of(experiment: Experiment) -> dict[str, str]:
    """What the plug-in that shows a run needs to know of it (`snakemake_logger_plugin_meddiff.ending`)."""
    return {"name": experiment.config.results_name, "results": str(experiment.results)}


def refresh_manifests(experiment: Experiment) -> None:
    """Look for images that were edited since they were listed.

    Raises:
        DataError: see `meddiff.data.obtain.listing.refresh_manifest`.
    """
    for name, dataset in experiment.config.on_disk.items():
        root = Path(experiment.config.places.root(name))
        manifest, table = Path(f"data/{name}/raw.json"), Path(f"data/{name}/table.csv")
        refresh_manifest(name, dataset, root, manifest, table, seen_path(name))


def look_before_planning(experiment: Experiment, kept: Iterable[str], warn: Callable[[str], None]) -> None:
    """Look at what would go unnoticed in the plan.

    Args:
        experiment: what is to be run.
        kept: all files that the workflow makes and keeps.
        warn: is given what the user should know.

    Raises:
        ConfigError: if a file that the user names is not there.
    """
    # Snakemake's own message about a folder in use advises --unlock.
    if said := running.advice():
        warn(said)
    running.announce()
    check_sources(experiment)
    # Not while another run may be between a file and its record.
    if not running.others():
        mark_doubtful(kept)
    # Those who read these files check them, and their content is tracked: what is edited is used.
    for path in edited(
        f"splits/{name}/{split}.csv" for name in experiment.config.every_dataset for split in SPLITS
    ):
        warn(
            f"{path}: was edited since it was drawn, and results are made from it as it is. Splits of your "
            "own are named in the dataset's file: `split: {kind: files, ...}`."
        )


def check_sources(experiment: Experiment) -> None:
    """Check the files that the user names and no job makes.

    Snakemake would say nothing where one is missing: it leaves out a job whose input cannot be had, if the
    outputs are there, and everything before that job with it.

    Raises:
        ConfigError: naming those that are not there.
    """
    name = experiment.config.results_name
    missed = [s for s in sources(experiment.config) if not s.is_there()]
    missed = [source for source in missed if not is_spared(name, source.path, source.made)]
    if missed:
        raise ConfigError("\n".join(f"{s.key}: {s.path}: there is no such file" for s in missed))


def due_training(experiment: Experiment, job: Job, made: set[str]) -> dict[str, Any]:
    """A training job that is due, as `meddiff.training.due.DueTraining` reads it.

    Args:
        experiment: of the job.
        job: of one of the rules that train.
        made: the outputs of all jobs that are due.
    """
    training, wildcards = Training(experiment), job.wildcards
    datasets = [experiment.config.every_dataset[name] for name in training.datasets(wildcards)]
    stores_change = made.intersection(training.manifests(wildcards))
    pretrained = [path for path in training.pretrained(wildcards) if path not in made]
    return {
        **json.loads(training.settings(wildcards)),
        "run": training.run(wildcards),
        "decision": training.decision(wildcards),
        "weights": experiment.weights(training.trained(wildcards)),
        "num_classes": sum(len(dataset.classes) for dataset in datasets),
        "channels": datasets[0].channels,
        "image_size": experiment.image_size(training.datasets(wildcards)[0], wildcards.model),
        "stores": None if stores_change else training.stores(wildcards),
        "pretrained": next(iter(folders_of(pretrained)), None),
        "begins_from": training.beginning(wildcards),
    }


def approve_due_trainings(experiment: Experiment, jobs: Iterable[Job]) -> None:
    """Keep the weights that are there before they are trained again.

    The networks are built in a process of their own, since planning does without torch.

    Args:
        experiment: of the jobs.
        jobs: all jobs that are due.

    Raises:
        ReleaseError: if published weights would be trained again, or cannot be; the process said why.
    """
    jobs = list(jobs)
    made = {str(file) for job in jobs for file in job.output}
    due = [due_training(experiment, job, made) for job in jobs if job.rule.name in _TRAINING_RULES]
    if not due:
        return
    name = experiment.config.results_name
    command = [sys.executable, "-m", "meddiff", "approve", "--experiment", name, "-"]
    path = os.pathsep.join([str(SOURCE.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    if subprocess.run(command, input=json.dumps(due), text=True, env=environment, check=False).returncode:
        raise ReleaseError("Nothing was changed. See above.")


def check_cluster(executor: str) -> None:
    """Stop where jobs are to be submitted and there is nothing to submit them with.

    Args:
        executor: name of Snakemake's executor plugin.

    Raises:
        MeddiffError: if that is Slurm and it is not here.
    """
    if executor == "slurm" and shutil.which("sbatch") is None:
        raise MeddiffError(
            "There is no Slurm here (no sbatch on PATH): start this on the login node of the cluster, or "
            "leave out --profile slurm to run on this machine. Nothing was changed."
        )
