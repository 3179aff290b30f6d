"""A run that everything happens to, on a cluster with a job database: it ends with the same results.

Commands are held (SIGSTOP) in the middle of their work, so that each disturbance comes at a known moment.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import pytest
from slurm_cluster import ACCOUNT, GPU_NODES, Cluster, wait_until
from slurm_runs import (
    PATIENCE,
    RESNET,
    UNET,
    VOTES,
    Head,
    Held,
    commands,
    hold,
    hold_trainings,
    on_cluster,
    same_results,
    share_a_card,
)
from workflow_samples import Project

pytestmark = pytest.mark.slow

PREDICTIONS = RESNET / "predictions/softmax.csv"
OUTAGE = 25  # seconds: more attempts, one a second, than the executor makes by default
# From docs/cluster.md: what is still in the queue of a main process that is gone.
CANCEL_LEFTOVERS = "squeue --me -h -o '%i %j' | awk '/ meddiff_/ {print $1}' | xargs -r scancel"


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        project: what is on disk.
        history: Slurm's records.
        finished_before: Slurm's numbers of the jobs that were finished when the main process was killed.
        submitted_after: those of the jobs that the second main process submitted.
        output: the whole log of the first main process.
    """

    project: Project
    history: list[dict[str, str]]
    finished_before: set[str]
    submitted_after: set[str]
    output: str

    def states(self, comment: str) -> list[str]:
        """How the runs of the jobs with one comment ended, in order."""
        records = [r for r in self.history if r["Comment"] == comment]
        return [r["State"].split()[0] for r in sorted(records, key=lambda r: r["Start"])]


def end_walltime(cluster: Cluster, held: Held, seconds: int) -> None:
    """Let the walltime of a running job end so many seconds from now; Slurm looks twice a minute."""
    cluster.run("scontrol", "update", f"JobId={held.job}", f"EndTime=now+{seconds}")


def was_requeued(cluster: Cluster, held: Held) -> bool:
    return int(cluster.jobs()[held.job]["Restarts"]) > 0


def disturb(cluster: Cluster, project: Project) -> None:
    """Everything that can happen to jobs, while the main process runs."""
    first = unet, resnet = hold_trainings(project, "small_unet", "small_resnet")
    # One is warned, which also lets a stopped process go on: it saves and ends. For the other it is too late.
    end_walltime(cluster, unet, 100)
    end_walltime(cluster, resnet, 1)

    unet, resnet = hold_trainings(project, "small_unet", "small_resnet", other_than=first)
    cluster.stop_job_database()
    node = cluster.jobs()[unet.job]["NodeList"]
    cluster.set_node(node, "down")
    cluster.run("scontrol", "requeue", resnet.job)
    for held in (unet, resnet):
        wait_until(lambda job=held: was_requeued(cluster, job), "a job to be requeued", PATIENCE)
    time.sleep(OUTAGE)
    cluster.start_job_database()
    cluster.set_node(node, "resume")

    shard = hold(project, "score", "1-of-2")
    cluster.run("scancel", shard.job)
    shard = hold(project, "score", "1-of-2", other_than=shard)
    wait_until(lambda: in_queue(cluster) == {shard.job}, "the other jobs to end", PATIENCE)


def in_queue(cluster: Cluster) -> set[str]:
    return set(cluster.run("squeue", "--noheader", "--format=%i").stdout.split())


def completed(cluster: Cluster) -> set[str]:
    return {number for number, job in cluster.jobs().items() if job["JobState"] == "COMPLETED"}


@pytest.fixture(scope="module")
def run(accounting_cluster: Cluster, prepared: Project, tmp_path_factory: pytest.TempPathFactory) -> Run:
    cluster, folder = accounting_cluster, tmp_path_factory.mktemp("disturbed")
    site = {"MEDDIFF_SLURM_ACCOUNT": ACCOUNT, "MEDDIFF_SLURM_WARNING": "120"}
    project = on_cluster(prepared, folder / "repository", cluster, **site)
    targets = [str(VOTES / "errors.nc"), str(PREDICTIONS)]
    first = Head(project, folder / "first.log", *targets)
    try:
        disturb(cluster, project)
        wait_until(lambda: completed(cluster) <= first.finished(), "the main process to know", PATIENCE)
    except Exception as error:
        raise AssertionError(f"{error}\n{first.output()}{project.logs()}{cluster.logs()}") from error
    finally:
        first.kill()
    finished, output = first.finished(), first.everything()  # later runs write logs beside its own
    cluster.run("bash", "-c", CANCEL_LEFTOVERS)
    wait_until(lambda: not in_queue(cluster), "jobs to end", PATIENCE)
    assert not commands(project)
    project.snakemake("--unlock")
    second = Head(project, folder / "second.log", *targets)
    assert second.wait(1500) == 0, second.output() + project.logs() + cluster.logs()
    return Run(project, cluster.history(), finished, set(second.submitted().values()), output)


def test_results_are_those_of_an_undisturbed_run(run, local):
    weights = [UNET / "weights/model.safetensors", RESNET / "weights/model.safetensors"]
    same_results(run.project, local, *weights, VOTES / "errors.nc", PREDICTIONS)


def test_jobs_that_were_ended_ran_again(run):
    unet = run.states("rule_train_model_wildcards_small_chest_small_unet_0")
    assert unet == ["FAILED", "NODE_FAIL", "COMPLETED"]  # warned and saved; node down; done
    resnet = run.states("rule_train_model_wildcards_small_chest_small_resnet_0")
    assert resnet == ["TIMEOUT", "REQUEUED", "COMPLETED"]
    # Between the seeds is the dataset that a model is tested on, where that is another.
    shard = run.states("rule_score_shard_wildcards_small_chest_small_unet_0__0_1-of-2")
    assert shard == ["CANCELLED", "CANCELLED", "COMPLETED"]  # by the test; with the main process; done


def test_training_went_on_where_it_was(run):
    assert "run again to go on from there" in run.output  # the log of the job that was warned
    log = (run.project.folder / "logs/cluster/small_chest/small_unet/seed0/train.log").read_text()
    assert "resuming after step" in log and " epoch 0:" not in log


def test_no_finished_job_ran_again(run):
    ends = Counter(record["Comment"] for record in run.history if record["State"] == "COMPLETED")
    assert set(ends.values()) == {1}, ends
    finished = {record["Comment"] for record in run.history if record["JobID"] in run.finished_before}
    again = {record["Comment"] for record in run.history if record["JobID"] in run.submitted_after}
    assert finished and again and not finished & again


def test_no_two_jobs_are_on_one_card_at_once(run):
    for node in GPU_NODES:
        times = [(r["Start"], r["End"]) for r in run.history if r["NodeList"] == node]
        assert times and not share_a_card(times)
