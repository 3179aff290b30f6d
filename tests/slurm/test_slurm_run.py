"""The workflow through sbatch, with the profile as it is shipped, on a cluster without a job database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from slurm_cluster import CPU_NODE, GPU_NODES, Cluster
from slurm_runs import RESNET, UNET, VOTES, Head, on_cluster, same_results, share_a_card
from workflow_samples import Project

pytestmark = pytest.mark.slow

WEIGHTS = ("model.safetensors", "config.yaml")
TABLE = Path("results/cluster/tables/metrics.csv")


@dataclass(frozen=True)
class Run:
    """A finished run: what is on disk, what Slurm knows, what Snakemake printed."""

    project: Project
    jobs: list[dict[str, str]]
    output: str

    def of_rule(self, rule: str) -> list[dict[str, str]]:
        return [job for job in self.jobs if job["Comment"].startswith(f"rule_{rule}")]


@pytest.fixture(scope="module")
def run(cluster: Cluster, prepared: Project, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("on_cluster")
    project = on_cluster(prepared, folder / "repository", cluster)
    head = Head(project, folder / "head.log", str(TABLE))
    assert head.wait(1500) == 0, head.output() + project.logs() + cluster.logs()
    return Run(project, list(cluster.jobs().values()), head.output())


def test_results_are_those_of_the_local_executor(run, local):
    files = [folder / "weights" / name for folder in (UNET, RESNET) for name in WEIGHTS]
    files += [VOTES / name for name in ("errors.nc", "predictions/majority.csv", "predictions/mean.csv")]
    same_results(run.project, local, *files, RESNET / "predictions/softmax.csv", TABLE)


def test_jobs_with_a_gpu_have_an_a100_each(run):
    jobs = [*run.of_rule("train_model"), *run.of_rule("score_shard"), *run.of_rule("predict_baseline")]
    assert len(jobs) == 2 + 2 + 1
    assert {job["NodeList"] for job in jobs} <= set(GPU_NODES)
    assert all("gres/gpu:a100=1" in job["TRES"] or "gres:gpu:a100:1" in job["TresPerJob"] for job in jobs)


def test_no_two_jobs_are_on_one_card_at_once(run):
    for node in GPU_NODES:
        times = [(job["StartTime"], job["EndTime"]) for job in run.jobs if job["NodeList"] == node]
        assert times and not share_a_card(times)


def test_other_jobs_are_elsewhere(run):
    names = ("gather_errors", "vote", "compute_metrics", "compute_vote_metrics")
    jobs = [job for name in names for job in run.of_rule(name)]
    assert len(jobs) == 1 + 2 + 1 + 2
    assert {job["NodeList"] for job in jobs} == {CPU_NODE}


def test_shards_are_scored_at_the_same_time(run):
    one, other = run.of_rule("score_shard")
    assert one["NodeList"] != other["NodeList"]
    assert max(one["StartTime"], other["StartTime"]) < min(one["EndTime"], other["EndTime"])


def test_every_job_ran_once_and_its_log_is_kept(run):
    assert {job["JobState"] for job in run.jobs} == {"COMPLETED"}
    assert len({job["Comment"] for job in run.jobs}) == len(run.jobs)
    kept = {path.stem for path in (run.project.folder / ".snakemake/slurm_logs").rglob("*.log")}
    assert kept == {job["JobId"] for job in run.jobs}


def test_nothing_is_left_to_do(run):
    assert run.project.planned("--config", "experiment=cluster", "--", str(TABLE)) == {}
