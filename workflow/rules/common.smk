import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

# Slurm's warning before the walltime ends goes to every process of a job: to this one, the shell and the command.
# Commands that can save do so. The others, and those that wait for them, must not die of it.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)

# The package is used from the source tree, so that jobs run the code that the DAG was built from,
# in whichever environment a rule runs.
SOURCE = str(Path(workflow.basedir) / "workflow" / "src")
sys.path.insert(0, SOURCE)
# Snakemake fills in braces of the prefix.
PREFIX = f"export PYTHONPATH={shlex.quote(SOURCE)}${{PYTHONPATH:+:$PYTHONPATH}}; "
shell.prefix(PREFIX.replace("{", "{{").replace("}", "}}"))

from snakemake.exceptions import WorkflowError

from meddiff.config import Config, top_level
from meddiff.config.folders import check_checkout, check_folders
from meddiff.config.sources import SPLITS, sources
from meddiff.config.schema.augmentation import differences_in_words
from meddiff.config.weights import OFFICIAL_FILES, OFFICIAL_FOLDER_ID
from meddiff.artifacts.lookup import code_of as artifact_code
from meddiff.artifacts.lookup import planned
from meddiff.data import params as data_params
from meddiff.pipeline.experiment import Experiment
from meddiff.data.obtain.listing import refresh_manifest, seen_path
from meddiff.errors import MeddiffError
from meddiff.models.kinds import network_module, task_module
from meddiff.provenance import code_files
from meddiff.sharing import running
from meddiff.sharing.absent import absent_files, is_spared
from meddiff.sharing.doubts import edited, mark_doubtful
from meddiff.text import script_safe_json
from meddiff.weights.released import importer_module

try:
    check_checkout(Path(workflow.basedir))
    top_level([])  # Snakemake reads the file less strictly
    CONFIG = Config(config)
    check_folders(CONFIG.results_name, CONFIG.datasets)
except MeddiffError as error:
    raise WorkflowError(str(error)) from None

EXPERIMENT = Experiment(CONFIG)
RESULTS = f"results/{CONFIG.results_name}"
LOGS = f"logs/{CONFIG.results_name}"
RUN = "{dataset}/{model}/seed{seed}"
VOTES = "{dataset}/{model}/seed{seed}/votes{votes}"
JOINT_RUN = "joint/{model}/seed{seed}"
DIFFUSION_DECISIONS = ("majority", "mean")
BASELINE_DECISIONS = ("softmax",)
VALIDATION = "valid"


def to_json(value):
    """One string per rule: names are kept and the order of keys does not matter (params trigger)."""
    return script_safe_json(value)


def code_of(*modules):
    """Source files whose content decides what `modules` compute, relative to the working folder."""
    return [os.path.relpath(path) for path in code_files(modules)]


def compute_settings():
    """How networks are run: a resource of the rules that run one, since it changes results by rounding only."""
    return to_json(CONFIG.experiment.compute.model_dump(mode="json"))


def keep_wildcards(pattern):
    """Double the braces of `pattern`, for helpers that fill in some other wildcard."""
    return pattern.replace("{", "{{").replace("}", "}}")


def any_dataset(model):
    """The configuration of `model` on one dataset, for what does not differ between datasets."""
    return CONFIG.model(model, next(iter(CONFIG.datasets)))


def is_diffusion(model):
    return any_dataset(model).family == "diffusion"


def zero_shot_models():
    """Models that are used as they come."""
    return [model for model in CONFIG.experiment.models if any_dataset(model).train is None]


def joint_models():
    """Models that are trained once, on all datasets together."""
    trained = [model for model in CONFIG.experiment.models if model not in zero_shot_models()]
    return [model for model in trained if getattr(any_dataset(model), "train_on", None) == "joint"]


def single_models():
    """Models that are trained on each dataset."""
    special = {*zero_shot_models(), *joint_models()}
    return [model for model in CONFIG.experiment.models if model not in special]


def image_size(dataset, model):
    """Side in pixels of the images that `model` is trained on."""
    return CONFIG.model(model, dataset).image_size or CONFIG.datasets[dataset].image_size


def store_dir(wildcards):
    size = image_size(wildcards.dataset, wildcards.model)
    return f"data/{wildcards.dataset}/store/{size}"


def store_sizes():
    """The distinct (dataset, size) pairs that the experiment needs."""
    models = CONFIG.experiment.models
    return sorted({(d, image_size(d, m)) for d in CONFIG.datasets for m in models})


def model_runs():
    """One dictionary of wildcards for every trained model."""
    return [
        {"dataset": dataset, "model": model, "seed": seed}
        for dataset in CONFIG.datasets
        for model in CONFIG.experiment.models
        for seed in CONFIG.experiment.seeds
    ]


def with_votes(run):
    """`run` once for every vote seed that its model is scored with."""
    return [{**run, "votes": votes} for votes in CONFIG.experiment.score.vote_seeds(run["seed"])]


def scoring_runs():
    """The runs of diffusion models with each of their vote seeds: each has one errors file."""
    return [scored for run in model_runs() if is_diffusion(run["model"]) for scored in with_votes(run)]


def decision_runs():
    """One dictionary of wildcards for every table of predictions; only those of votes have a vote seed."""
    return [
        {**decided, "decision": decision}
        for run in model_runs()
        for decided in (with_votes(run) if is_diffusion(run["model"]) else [run])
        for decision in (DIFFUSION_DECISIONS if is_diffusion(run["model"]) else BASELINE_DECISIONS)
    ]


def run_dir(run):
    """Folder of a trained model."""
    return f"{RESULTS}/{RUN}".format(**run)


def decided_dir(run):
    """Folder of what a model decides: with a vote seed one of its own in the folder of the trained model."""
    return f"{RESULTS}/{VOTES}".format(**run) if "votes" in run else run_dir(run)


def errors_file(run):
    return f"{decided_dir(run)}/errors.nc"


def further_errors_file(run, further):
    return f"{decided_dir(run)}/errors_{further}.nc"


def prediction_file(run):
    return f"{decided_dir(run)}/predictions/{run['decision']}.csv"


def metrics_file(run):
    return f"{decided_dir(run)}/metrics/{run['decision']}.csv"
