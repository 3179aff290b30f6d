import shlex
import signal
import sys
from contextlib import contextmanager
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
from meddiff.config.container import check_image
from meddiff.config.folders import check_checkout, check_folders
from meddiff.config.dataset_slices import (
    DescribeParams,
    FetchParams,
    LeaksParams,
    OfficialParams,
    SplitParams,
    StoreParams,
    StratifyParams,
    ValidateParams,
)
from meddiff.config.weights import OFFICIAL_FILES, OFFICIAL_FOLDER_ID
from meddiff.artifacts.lookup import code_of as artifact_code
from meddiff.artifacts.lookup import planned
from meddiff.errors import MeddiffError
from meddiff.pipeline import start
from meddiff.pipeline.cases import Cases, cases_of
from meddiff.pipeline.code import code_of
from meddiff.pipeline.data import Data, folders_of
from meddiff.pipeline.experiment import BASELINE_DECISIONS, VALIDATION, Experiment
from meddiff.pipeline.explaining import Explaining
from meddiff.pipeline.localising import Localising
from meddiff.pipeline.outputs import Outputs
from meddiff.pipeline.reporting import Reporting, page_of
from meddiff.pipeline.scoring import Scoring
from meddiff.pipeline.shifts import Shifts
from meddiff.pipeline.training import Training
from meddiff.pipeline.weights import Weights
from meddiff.pipeline.writing import Writing, written
from meddiff.pipeline.wildcards import ANY_ELSEWHERE, one_of
from meddiff.reporting.assets import asset_files
from meddiff.sharing.absent import absent_files


@contextmanager
def told_by_snakemake():
    """An error of the user's ends Snakemake with its message, and without a traceback."""
    try:
        yield
    except MeddiffError as error:
        raise WorkflowError(str(error)) from None


with told_by_snakemake():
    check_checkout(Path(workflow.basedir))
    top_level([])  # Snakemake reads the file less strictly
    CONFIG = Config(config)
    check_folders(CONFIG.results_name, CONFIG.known_datasets)

EXPERIMENT = Experiment(CONFIG)
DATA = Data(EXPERIMENT)
TRAINING = Training(EXPERIMENT)
WEIGHTS = Weights(EXPERIMENT)
SCORING = Scoring(EXPERIMENT)
SHIFTS = Shifts(EXPERIMENT)
EXPLAINING = Explaining(EXPERIMENT)
LOCALISING = Localising(EXPERIMENT)
# Jobs read this file, too; only the run that plans them asks which files were left out.
OUTPUTS = Outputs(EXPERIMENT, absent_files(CONFIG.results_name) if workflow.is_main_process else ())

RESULTS = EXPERIMENT.results
LOGS = EXPERIMENT.logs
RUN = "{dataset}/{model}/seed{seed}"
# What a trained model is used on: its own dataset's test split, or below it another's.
USED = "{dataset}/{model}/seed{seed}{elsewhere}"
VOTES = f"{USED}/votes{{votes}}"
JOINT_RUN = "joint/{model}/seed{seed}"
COUNTERFACTUALS_OF = f"{RESULTS}/{RUN}/counterfactuals"
