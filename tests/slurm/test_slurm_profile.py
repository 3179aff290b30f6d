"""What the profile asks a cluster for: read as Snakemake reads it, and seen by a stand-in for sbatch."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
import yte
from workflow_samples import Project, make_project

ACCOUNTING = "AccountingStorageType   = accounting_storage/slurmdbd"
NO_ACCOUNTING = "AccountingStorageType   = accounting_storage/none"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is first on PATH, for stand-ins, and no variable of a site is set."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), os.environ["PATH"]]))
    for name in [name for name in os.environ if name.startswith("MEDDIFF_SLURM_")]:
        monkeypatch.delenv(name)
    return folder


def write_program(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def profile(root: Path) -> dict:
    return yte.process_yaml((root / "slurm/config.yaml").read_text(), require_use_yte=True)


def status_command(root: Path) -> str:
    return profile(root)["slurm-status-command"]


def test_sacct_where_there_is_a_job_database(programs, root):
    write_program(programs, "scontrol", f'echo "{ACCOUNTING}"')
    write_program(programs, "sacct", "exit 1")  # an outage while Snakemake starts
    assert status_command(root) == "sacct"


def test_squeue_where_there_is_none(programs, root):
    write_program(programs, "scontrol", f'echo "{NO_ACCOUNTING}"')
    write_program(programs, "sacct", 'echo "Slurm accounting storage is disabled"; exit 1')
    assert status_command(root) == "squeue"


def test_controller_that_does_not_answer(programs, root):
    write_program(programs, "scontrol", 'echo "Unable to contact slurm controller" >&2; exit 1')
    write_program(programs, "sacct", "exit 1")
    assert status_command(root) == "sacct"


def test_machine_without_slurm(programs, root, monkeypatch):
    monkeypatch.setenv("PATH", str(programs))
    assert status_command(root) == "squeue"


def test_status_command_can_be_named(programs, root, monkeypatch):
    write_program(programs, "scontrol", f'echo "{ACCOUNTING}"')
    monkeypatch.setenv("MEDDIFF_SLURM_STATUS", "squeue")
    assert status_command(root) == "squeue"


def test_cancelled_jobs_are_seen(programs, root, monkeypatch):
    """The executor takes "CANCELLED by 1000" for a running job."""
    write_program(programs, "scontrol", f'echo "{ACCOUNTING}"')
    write_program(programs, "sacct", 'echo "1|COMPLETED\n2|CANCELLED by 1000\n3|RUNNING"; echo "$@" >&2')
    monkeypatch.chdir(root)
    assert status_command(root) == "sacct"
    result = subprocess.run(["sacct", "-X", "--name", "a b"], text=True, capture_output=True, check=True)
    assert result.stdout.splitlines() == ["1|COMPLETED", "2|CANCELLED", "3|RUNNING"]
    assert result.stderr == "-X --name a b\n"
    write_program(programs, "sacct", "echo partly; exit 3")
    failed = subprocess.run(["sacct"], text=True, capture_output=True, check=False)
    assert (failed.returncode, failed.stdout) == (3, "")  # an outage stays one


def test_slurm_decides_account_and_partition_unless_told(programs, root, monkeypatch):
    document = profile(root)
    assert set(document["default-resources"]) == {"mem_mb", "runtime"}
    assert "slurm_partition" not in document["set-resources"]["train_model"]
    monkeypatch.setenv("MEDDIFF_SLURM_ACCOUNT", "1234")  # a number stays a name
    monkeypatch.setenv("MEDDIFF_SLURM_PARTITION", "cpu-long")
    monkeypatch.setenv("MEDDIFF_SLURM_GPU_PARTITION", "gpu-a100")
    document = profile(root)
    assert document["default-resources"]["slurm_account"] == "'1234'"
    assert document["default-resources"]["slurm_partition"] == "'cpu-long'"
    assert document["set-resources"]["train_model"]["slurm_partition"] == "'gpu-a100'"


def test_partition_of_all_jobs_is_that_of_gpu_jobs_too(programs, root, monkeypatch):
    monkeypatch.setenv("MEDDIFF_SLURM_PARTITION", "main")
    assert profile(root)["set-resources"]["score_shard"]["slurm_partition"] == "'main'"


@pytest.mark.slow
def test_status_may_fail_for_a_day(programs, root):
    document = profile(root)
    assert document["slurm-status-attempts"] / document["max-status-checks-per-second"] >= 24 * 3600


def test_several_gpus_as_gres(programs, root, monkeypatch):
    monkeypatch.setenv("MEDDIFF_SLURM_GPU_REQUEST", "gres")
    monkeypatch.setenv("MEDDIFF_SLURM_TRAIN_GPUS", "4")
    rules = profile(root)["set-resources"]
    assert (rules["train_model"]["gres"], rules["train_model"]["gpu"]) == ("'gpu:a100:4'", 0)
    assert rules["score_shard"]["gres"] == "'gpu:a100:1'"
    monkeypatch.setenv("MEDDIFF_SLURM_GPU_MODEL", "any")
    assert profile(root)["set-resources"]["score_shard"]["gres"] == "'gpu:1'"


def test_every_rule_with_a_gpu_is_in_the_profile(programs, root):
    rules = "".join(path.read_text() for path in sorted((root / "workflow/rules").glob("*.smk")))
    blocks = re.split(r"^ *(?:use )?rule (\w+)(?: as (\w+) with)?:$", rules, flags=re.MULTILINE)[1:]
    with_gpu = set()
    for name, derived, body in zip(blocks[::3], blocks[1::3], blocks[2::3], strict=True):
        if re.search(r"^ +gpu=", body, re.MULTILINE) or (derived and name in with_gpu):
            with_gpu.add(derived or name)
    assert with_gpu == set(profile(root)["set-resources"])


@pytest.fixture(scope="module")
def with_data(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Project:
    """The smallest experiment with its images prepared, so that its GPU jobs come first."""
    project = make_project(tmp_path_factory.mktemp("with_data") / "repository", root)
    project.snakemake("datasets")
    return project


def refused(project: Project, programs: Path, *arguments: str) -> list[str]:
    """The calls of sbatch in a run on a cluster that refuses every job."""
    calls = programs / "calls"
    write_program(programs, "sbatch", f'echo "$*" >> {calls}; echo "refused" >&2; exit 1')
    write_program(programs, "scontrol", f'echo "{NO_ACCOUNTING}"')
    write_program(programs, "sinfo", 'echo "normal*"')
    for name in ("squeue", "sacct", "sacctmgr", "sshare"):
        write_program(programs, name, "exit 1")
    project.snakemake("--profile", "slurm", "--config", "experiment=smallest", "--", *arguments, expect=1)
    return calls.read_text().splitlines()


def of_rule(calls: list[str], rule: str) -> list[dict[str, str | None]]:
    """Options of sbatch -> values (None: not given) in the calls for one rule, in order."""
    options = {
        "gpus": r" --gpus=(\S+)",
        "gres": r" --gres=(\S+)",
        "memory": r" --mem (\d+)",
        "minutes": r" -t (\d+)",
        "cpus": r" --cpus-per-task=(\d+)",
        "partition": r" -p (\S+)",
        "signal": r" --signal=(\S+)",
        "nodes": r" --nodes=(\d+)",
        "comment": r" --comment (\S+)",
    }
    found = []
    for call in calls:
        # What Slurm is asked comes before the command that the job runs.
        asked = call.split(" --wrap=")[0]
        if f"--comment rule_{rule}" in asked:
            values = {name: re.search(pattern, asked) for name, pattern in options.items()}
            found.append({name: match and match.group(1) for name, match in values.items()})
    return found


@pytest.mark.slow
def test_refused_jobs_ask_for_more_and_leave_the_others_alone(with_data, programs):
    calls = refused(with_data, programs, "weights")
    unet = [call for call in of_rule(calls, "train_model") if "small_unet" in call["comment"]]
    first, second = unet[0], unet[1]
    assert (first["gpus"], first["gres"]) == ("a100:1", None)
    assert (first["memory"], second["memory"]) == ("16000", "32000")
    assert (first["minutes"], second["minutes"]) == ("2880", "5760")
    assert (first["cpus"], first["signal"], first["partition"]) == ("8", "USR1@300", "normal")
    assert first["nodes"] == "1"
    # Three models, each tried four times, and each in vain.
    tried = {call["comment"] for call in of_rule(calls, "train_model")}
    assert len(tried) == 3 and len(calls) == 3 * 4
    assert all(" --requeue " in call and " --job-name meddiff_" in call for call in calls)


@pytest.mark.slow
def test_gres_instead_of_gpus(with_data, programs, monkeypatch):
    monkeypatch.setenv("MEDDIFF_SLURM_GPU_REQUEST", "gres")
    monkeypatch.setenv("MEDDIFF_SLURM_GPU_MODEL", "h100")
    monkeypatch.setenv("MEDDIFF_SLURM_MAX_HOURS", "72")
    calls = of_rule(refused(with_data, programs, "weights"), "train_model")
    assert {(call["gpus"], call["gres"]) for call in calls} == {(None, "gpu:h100:1")}
    assert [call["minutes"] for call in calls if "small_unet" in call["comment"]] == [
        "2880",
        "4320",
        "4320",
        "4320",
    ]


@pytest.mark.slow
def test_rules_without_a_gpu_are_small(tmp_path, root, programs):
    project = make_project(tmp_path / "repository", root)
    calls = of_rule(refused(project, programs, "datasets"), "validate_dataset")
    assert (calls[0]["gpus"], calls[0]["gres"], calls[0]["signal"]) == (None, None, None)
    # It decodes every image, in as many threads as a job with a GPU has processors.
    assert (calls[0]["memory"], calls[0]["minutes"], calls[0]["cpus"]) == ("4000", "60", "8")
    assert not (project.folder / "data/small_chest/table.csv").exists()
