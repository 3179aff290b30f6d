"""The experiments that are shipped: what they would run, and with what."""

from __future__ import annotations

import re

import pytest
import yaml

pytestmark = pytest.mark.slow

BASELINES = 7
SINGLE_DIFFUSION, STABLE_DIFFUSION = 2, 2  # UNet and DiT; fine-tuned and zero-shot
DATASETS = 2
VOTE_SEEDS = 3


def test_slurm_profile_runs_the_paper(clone):
    """The literal command of docs/paper.md, on a machine without data or a cluster."""
    planned = clone.planned("--profile", "slurm")
    assert planned["train_model"] == DATASETS * (BASELINES + SINGLE_DIFFUSION)
    assert planned["train_joint_model"] == 1
    assert planned["take_pretrained_weights"] == DATASETS
    assert planned["predict_baseline"] == 2 * DATASETS * BASELINES  # the test split and the validation split
    diffusion = DATASETS * (SINGLE_DIFFUSION + STABLE_DIFFUSION)
    assert planned["make_counterfactuals"] == diffusion
    assert planned["gather_errors"] == VOTE_SEEDS * diffusion
    assert planned["score_shard"] == 8 * VOTE_SEEDS * diffusion


@pytest.mark.parametrize("chosen", ["experiment=paper_official", "preset=official"])
def test_the_paper_as_published_has_results_of_its_own(clone, chosen):
    text = clone.snakemake("-n", "--profile", "slurm", "--config", chosen)
    assert len(set(re.findall(r"results/(paper[\w-]*)/", text))) == 1 and "results/paper/" not in text
    assert '"preset": "official"' in clone.snakemake("-n", "-p", "--profile", "slurm", "--config", chosen)


def test_released_weights_train_nothing(clone):
    planned = clone.planned("--profile", "slurm", "--config", "weights=official")
    assert not [rule for rule in planned if rule.startswith("train")]
    assert planned["import_official_weights"] == DATASETS * (BASELINES + SINGLE_DIFFUSION + 1)


def test_threads_of_cluster_jobs_are_not_capped_by_this_machine(clone):
    text = clone.snakemake("-n", "-p", "--profile", "slurm", "weights")
    assert set(re.findall(r"meddiff train .* --threads (\d+)", text)) == {"8"}


def test_demo_is_the_default(clone):
    (clone.folder / "config/config.yaml").write_text("experiment: demo\n")
    planned = clone.planned()
    assert planned["train_model"] == 8
    assert planned["fetch_dataset"] == 2


def test_conda_environments_have_the_pins_of_pip(root):
    lines = (root / "envs/requirements.txt").read_text().splitlines()
    pins = [line for line in lines if "==" in line]
    for name in ("cpu", "gpu"):
        dependencies = yaml.safe_load((root / f"envs/{name}.yaml").read_text())["dependencies"]
        assert dependencies[-1]["pip"] == pins
