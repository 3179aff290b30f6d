"""What is looked at before planning, and before a job deletes anything."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace

import pytest
from wildcard_samples import job

from meddiff.errors import ConfigError, MeddiffError, ReleaseError
from meddiff.pipeline import start

CHEST = "phantom_chest"


def due(rule: str, wildcards: SimpleNamespace, *output: str) -> SimpleNamespace:
    return SimpleNamespace(rule=SimpleNamespace(name=rule), wildcards=wildcards, output=output)


def test_a_training_that_is_due(experiment):
    demo = experiment("demo")
    found = start.due_training(demo, due("train_model", job(CHEST, "tiny_dit")), set())
    assert found["run"] == f"{CHEST}/tiny_dit/seed0" and found["decision"] == "none"
    assert found["weights"] == f"results/demo/{CHEST}/tiny_dit/seed0/weights"
    assert (found["num_classes"], found["channels"], found["image_size"]) == (2, 1, 32)
    assert found["stores"] == [f"data/{CHEST}/store/32"] and found["pretrained"] is None
    # Images that the same run makes again are compared when training starts.
    made = {f"data/{CHEST}/store/32/manifest.json"}
    assert start.due_training(demo, due("train_model", job(CHEST, "tiny_dit")), made)["stores"] is None


def test_a_joint_training_that_is_due(experiment):
    demo = experiment("demo")
    found = start.due_training(demo, due("train_joint_model", job(model="tiny_stable_diffusion")), set())
    assert found["run"] == "joint/tiny_stable_diffusion/seed0"
    assert found["num_classes"] == sum(len(data.classes) for data in demo.config.datasets.values())
    assert found["pretrained"].startswith("data/pretrained/")


def test_only_trainings_are_approved_and_a_refusal_ends_the_run(experiment, monkeypatch):
    asked = []

    def refuse(command, input, **options):
        asked.append((command[2:], json.loads(input)))
        return SimpleNamespace(returncode=1)

    monkeypatch.setattr(subprocess, "run", refuse)
    demo = experiment("demo")
    start.approve_due_trainings(demo, [due("vote", job(CHEST, "tiny_dit"), "a.csv")])
    assert not asked
    jobs = [due("train_model", job(CHEST, "tiny_dit"), "w"), due("vote", job(CHEST, "tiny_dit"), "a.csv")]
    with pytest.raises(ReleaseError, match=r"^Nothing was changed\. See above\.$"):
        start.approve_due_trainings(demo, jobs)
    ((command, trainings),) = asked
    assert command == ["meddiff", "approve", "--experiment", "demo", "-"]
    assert [training["run"] for training in trainings] == [f"{CHEST}/tiny_dit/seed0"]


def test_a_file_that_the_user_names_and_that_is_not_there(experiment, edited, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start.check_sources(experiment("demo"))
    named = edited("demo", "experiments/demo.yaml", "  oracle: tiny_resnet", "  features: my/network")
    missing = r"demo\.yaml: counterfactuals\.features: my/network/config\.yaml: there is no such file"
    with pytest.raises(ConfigError, match=missing):
        start.check_sources(named)


def test_jobs_are_not_sent_to_a_cluster_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MeddiffError, match="There is no Slurm here"):
        start.check_cluster("slurm")
    start.check_cluster("local")
    (tmp_path / "sbatch").touch(mode=0o755)
    start.check_cluster("slurm")
