"""What commands say about their files is what their rules say: one can be trusted for the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from meddiff.artifacts.lookup import planned
from meddiff.cli import job_of
from meddiff.config import Config
from meddiff.pipeline.experiment import Experiment
from meddiff.provenance import SOURCE, code_files

pytestmark = pytest.mark.slow

# Prints every job of an experiment: rule, command, outputs, inputs (without ancient ones), which inputs are
# code, and which outputs are not temporary.
SCRIPT = """
import json, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.io import is_flagged
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

name = sys.argv[1]
with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
    resources, config = ResourceSettings(cores=1), ConfigSettings(config={"experiment": name})
    workflow_api = api.workflow(resources, config_settings=config, snakefile=Path("Snakefile"))
    workflow = workflow_api.dag(DAGSettings(forceall=True)).workflow_api._workflow
    workflow._prepare_dag(forceall=True, ignore_incomplete=True, lock_warn_only=True)
    workflow._build_dag()
    jobs = []
    for job in workflow.dag.jobs:
        code = [str(f) for key in ("code", "judge_code") for f in _list(job.input.get(key, []))]
        inputs = [str(f) for f in job.input if str(f) not in code and not is_flagged(f, "ancient")]
        kept = [str(f) for f in job.output if not is_flagged(f, "temp")]
        jobs.append([job.rule.name, job.shellcmd, [str(f) for f in job.output], inputs, code, kept])
print("JOBS" + json.dumps(jobs))
""".replace("_list(", "(lambda x: [x] if isinstance(x, str) else x)(")


def jobs_of(experiment: str, folder: Path) -> list:
    environment = {**os.environ, "PYTHONPATH": str(folder / "workflow/src")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, experiment],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.split("JOBS")[1])


def in_package(path: Path | str) -> str:
    """A file of the package from its folder: rules and commands are of two checkouts. Others as is."""
    return str(path).partition("workflow/src/meddiff/")[2] or str(path)


@pytest.mark.parametrize("experiment", ["paper", "demo", "shortcut", "stopping", "comparing"])
def test_files_of_every_command_are_those_of_its_rule(clone, experiment, monkeypatch):
    monkeypatch.chdir(clone.folder)
    smallest = yaml.safe_load(Path("config/experiments/smallest.yaml").read_text())
    scores = {
        "stopping": {"stopping": {"kind": "exact"}},
        "comparing": {
            "validation": True,
            "weights": True,
            "compare_levels": ["low_discrepancy", "antithetic"],
        },
    }
    for name, score in scores.items():
        document = {**smallest, "score": {**smallest["score"], **score}}
        Path(f"config/experiments/{name}.yaml").write_text(yaml.safe_dump(document))
    config = Config({"experiment": experiment})
    for model in config.experiment.models:
        for dataset in config.datasets:
            # Which network scores is known from the weights' configuration.
            folder = Path(f"results/{experiment}/{dataset}/{model}/seed0/weights")
            folder.mkdir(parents=True, exist_ok=True)
            document = {"model": {"kind": config.model(model, dataset).kind}}
            (folder / "config.yaml").write_text(yaml.safe_dump(document))
    found = jobs_of(experiment, clone.folder)
    assert {artifact.rule for artifact in planned(Experiment(config))} <= {rule for rule, *_ in found}
    for rule, command, outputs, inputs, code, _ in found:
        if command is None:
            continue
        files = job_of(command).files()
        assert sorted(map(str, files.outputs)) == sorted(outputs), rule
        assert sorted(map(in_package, files.inputs)) == sorted(map(in_package, inputs)), rule
        of_command = {path.relative_to(SOURCE).as_posix() for path in code_files(files.code)}
        assert of_command == {path.split("/meddiff/", 1)[1] for path in code}, rule
    # The target rule asks for every file that is kept: none that is lost goes unnoticed.
    (asked,) = (set(inputs) for rule, _, _, inputs, _, _ in found if rule == "all")
    assert {output for *_, kept in found for output in kept} == asked
