"""Publishing a finished run with DVC, and restoring it in clones of the repository."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from test_staleness import FROM_ERRORS, ONE_DIFFUSION_MODEL, REPORT, TRAINING
from workflow_samples import DATASET, Project

from meddiff.io import sha256_file
from meddiff.weights.releases import read_release

pytestmark = pytest.mark.slow

RESULTS = "results/smallest"
BAD_CLASSES = [{"value": 0, "name": "no finding"}, {"value": 5, "name": "effusion"}]
RUNS = [f"{RESULTS}/small_chest/{model}/seed0" for model in ("small_dit", "small_resnet", "small_unet")]
DVC_FILES = [
    "data/small_chest.dvc",
    f"{RESULTS}/records.zip.dvc",
    f"{RESULTS}/report.dvc",
    *(f"{run}.dvc" for run in RUNS),
]


@dataclass(frozen=True)
class Repository(Project):
    """A project under git and DVC."""

    @property
    def environment(self) -> dict[str, str]:
        """As a project's, with its own code; git and DVC use nothing of the machine's own."""
        names = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
        return {
            **super().environment,
            **dict.fromkeys(names, "tests"),
            "PYTHONPATH": str(self.folder / "workflow/src"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "DVC_SITE_CACHE_DIR": str(self.folder / ".dvc/tmp/site"),
        }

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def dvc(self, *arguments: str, expect: int = 0) -> str:
        return self.run(self.python, "-m", "dvc", *arguments, expect=expect)

    def meddiff(self, *arguments: str, expect: int = 0) -> str:
        return self.run(self.python, "-m", "meddiff", *arguments, expect=expect)

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def clone(self, folder: Path) -> Repository:
        self.git("clone", "--quiet", str(self.folder), str(folder))
        return Repository(folder)


def under_git(finished: Project, folder: Path) -> Repository:
    """A copy of the finished run under git, as it would be after the first `git add --all`."""
    shutil.copytree(finished.folder, folder, symlinks=True)
    repository = Repository(folder)
    repository.git("init", "--quiet")
    repository.commit("A run")
    return repository


@pytest.fixture(scope="module")
def published(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The finished run, published into a folder that is the remote. Tests must not change it."""
    folder = tmp_path_factory.mktemp("published")
    repository = under_git(finished, folder / "repository")
    repository.dvc("remote", "add", "--quiet", "--default", "storage", str(folder / "remote"))
    repository.meddiff("publish", "--config", "experiment=smallest")
    repository.commit("Publish the run")
    return repository


@pytest.fixture(scope="module")
def restored(published: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A clone with everything restored. Tests must not change it: they take a `working_copy`."""
    clone = published.clone(tmp_path_factory.mktemp("restored") / "clone")
    clone.meddiff("restore")
    return clone


@pytest.fixture
def working_copy(restored: Repository, tmp_path: Path) -> Repository:
    """A copy of the restored clone."""
    folder = tmp_path / "repository"
    shutil.copytree(restored.folder, folder, symlinks=True)
    return Repository(folder)


def remote_of(repository: Repository) -> Path:
    return repository.folder.parent / "remote"


def stored_copy(repository: Repository, path: str) -> Path:
    """The remote's copy of a file that is tracked by itself."""
    url = repository.dvc("get", ".", path, "--show-url").splitlines()[-1]
    return Path(unquote(urlparse(url).path))


# Publishing


def test_bytes_go_into_dvc_and_descriptions_into_git(published):
    kept = set(published.git("ls-files", "data", "splits", "results").split())
    assert {path for path in kept if path.endswith(".dvc")} == set(DVC_FILES)
    own = {Path(path).relative_to(RESULTS).parts[0] for path in kept if path.startswith(RESULTS)}
    assert own <= {
        *("dvc.yaml", "metrics.json", "release.json", "records.zip.dvc", "tables", "figures", "small_chest"),
        *("provenance", "report.dvc"),
    }
    assert not list(published.folder.glob("results/**/.gitignore"))
    assert published.dvc("status", "--cloud").strip().endswith("in sync.")


def test_the_record_names_weights_and_what_they_were_made_from(published):
    release = read_release("smallest", published.folder)
    assert sorted(release.runs) == [run.removeprefix(f"{RESULTS}/") for run in RUNS]
    for key, run in release.runs.items():
        weights = published.folder / RESULTS / key / "weights"
        assert run.weights_sha256 == sha256_file(weights / "model.safetensors")
        assert run.inputs == json.loads((weights / "run.json").read_text())["inputs"]


def test_weights_are_artifacts(published):
    document = (published.folder / RESULTS / "dvc.yaml").read_text()
    assert "small-chest-small-unet-seed0" in document
    shown = published.dvc("ls", ".", f"{RESULTS}/small_chest/small_unet/seed0/weights")
    assert "model.safetensors" in shown.split()


def test_publishing_again_changes_nothing(published):
    published.meddiff("publish")
    assert published.git("status", "--porcelain") == ""


def test_an_unfinished_run_is_not_published(project, tmp_path):
    repository = under_git(project, tmp_path / "unfinished")
    repository.edit_yaml("config/models/small_unet.yaml", train={"lr": 2e-3})
    text = repository.meddiff("publish", expect=1)
    assert "results/smallest is not finished" in text
    assert "train_model (1)" in text
    assert not (repository.folder / DVC_FILES[0]).exists()


def test_a_run_with_missing_files_is_not_published(project, tmp_path):
    repository = under_git(project, tmp_path / "incomplete")
    (repository.folder / RUNS[2] / "votes0/errors.nc").unlink()
    text = repository.meddiff("publish", expect=1)
    assert "is not finished: snakemake would run" in text and "gather_errors (1)" in text
    assert not (repository.folder / DVC_FILES[0]).exists()


# Restoring


@pytest.mark.parametrize("number", range(5))
def test_nothing_is_to_be_done_in_a_restored_clone(published, tmp_path, number):
    clone = published.clone(tmp_path / "clone")
    assert "Nothing is to be done" in clone.meddiff("restore", "--config", "experiment=smallest")
    assert clone.git("status", "--porcelain") == ""
    shutil.rmtree(tmp_path)


def test_restored_files_are_the_published_ones(published, restored):
    def content(repository):
        folders = [repository.folder / name for name in ("data", "splits", RESULTS)]
        files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
        files = [file for file in files if "kept" not in file.parts]
        return {file.relative_to(repository.folder): sha256_file(file) for file in files}

    assert content(restored) == content(published)


def test_where_results_come_from_is_known_in_a_clone(restored):
    shown = restored.meddiff("provenance", "--records-only", f"{RESULTS}/tables/classification.md")
    assert "data/small_chest/raw.json" in shown


def test_a_learning_rate_retrains_its_model_only(working_copy):
    working_copy.edit_yaml("config/models/small_unet.yaml", train={"lr": 2e-3})
    assert working_copy.planned() == {**TRAINING, **ONE_DIFFUSION_MODEL}


def test_more_steps_score_again(working_copy):
    """What temporary files were made with is restored, too: their rule notices its changed parameters."""
    working_copy.edit_yaml("config/experiments/smallest.yaml", score={"steps": 5})
    both = {rule: 2 * count for rule, count in ONE_DIFFUSION_MODEL.items()}
    assert working_copy.planned() == {**both, **FROM_ERRORS, "plot_method": 1, **REPORT}


def test_weights_and_errors_without_data(published, tmp_path):
    clone = published.clone(tmp_path / "clone")
    text = clone.meddiff("restore", "--only", "weights", "errors")
    assert "Nothing is to be done" in text
    assert not (clone.folder / "data/small_chest").exists()
    text = clone.meddiff("publish", expect=1)
    assert "left out when this run was restored" in text and "python -m meddiff restore" in text
    assert (clone.folder / RUNS[2] / "votes0/errors.nc").is_file()


def test_what_a_job_has_lost_is_missed_in_a_clone_without_data(published, tmp_path):
    """Files that were left out are not asked for, until a job has tried to make them."""
    clone = published.clone(tmp_path / "clone")
    clone.meddiff("restore", "--only", "weights", "errors")
    assert clone.planned() == {}
    clone.edit_yaml("config/datasets/small_chest.yaml", classes=BAD_CLASSES)
    for _ in range(2):
        clone.snakemake("data/small_chest/table.csv", expect=1)
    clone.edit_yaml("config/datasets/small_chest.yaml", classes=DATASET["classes"])
    assert clone.planned()["validate_dataset"] == 1


def test_a_harmless_edit_in_a_restored_clone_trains_and_scores_nothing(published, tmp_path):
    """Everything is made again from the images and comes out the same; weights and errors are taken over."""
    clone = published.clone(tmp_path / "clone")
    clone.meddiff("restore")
    patterns = ("tables/*.*", "*/*/*/*/errors.nc", "*/*/*/weights/*.*")
    files = [path for pattern in patterns for path in (clone.folder / RESULTS).glob(pattern)]
    before = {path: path.read_bytes() for path in files}
    module = clone.folder / "workflow/src/meddiff/data/validate.py"
    module.write_text(module.read_text() + "\n# an edit\n")
    assert clone.planned()["train_model"] == 3
    clone.snakemake()
    assert {path: path.read_bytes() for path in files} == before
    logs = clone.folder / "logs/smallest/small_chest"
    assert all("nothing is trained" in path.read_text() for path in logs.glob("*/*/train.log"))
    scored = list(logs.glob("*/*/*/score-*.log"))
    assert len(scored) == 4
    assert all("its errors are taken over" in path.read_text() for path in scored)


def test_the_configuration_is_published(finished, tmp_path):
    repository = under_git(finished, tmp_path / "repository")
    repository.git("rm", "-r", "--cached", "--quiet", "config")
    repository.git("commit", "--quiet", "--message", "Without configuration")
    repository.meddiff("publish")
    kept = set(repository.git("ls-files", "config").split())
    names = ("experiments/smallest", "datasets/small_chest", "models/small_unet", "models/small_dit")
    assert {f"config/{name}.yaml" for name in names} <= kept


def test_a_release_of_an_earlier_version_is_restored_and_one_of_a_newer_refused(published, tmp_path):
    clone = published.clone(tmp_path / "clone")
    path = clone.folder / RESULTS / "release.json"
    document = json.loads(path.read_text())
    today = document.pop("format_version")
    path.write_text(json.dumps({**document, "format_version": today + 1}))
    text = clone.meddiff("restore", "--only", "weights", expect=1)
    assert f"release.json: was made by a newer meddiff: its format_version is {today + 1}" in text
    assert "update meddiff" in text and "Traceback" not in text
    path.write_text(json.dumps(document))  # the first version does not say which it is
    assert "Nothing is to be done" in clone.meddiff("restore", "--only", "weights")
    assert all((clone.folder / run / "weights/model.safetensors").is_file() for run in RUNS)


def test_what_was_not_published_cannot_be_restored(finished, tmp_path):
    repository = under_git(finished, tmp_path / "repository")
    assert "release.json: is not there" in repository.meddiff("restore", expect=1)


def test_an_object_that_the_remote_lacks_is_named(published, tmp_path):
    moved = Repository(tmp_path / "repository")
    shutil.copytree(published.folder, moved.folder)
    shutil.copytree(remote_of(published), tmp_path / "remote")
    moved.dvc("remote", "modify", "--quiet", "storage", "url", str(tmp_path / "remote"))
    moved.commit("Another remote")
    clone = moved.clone(tmp_path / "clone")
    stored_copy(clone, f"{RUNS[2]}/votes0/errors.nc").unlink()
    text = clone.meddiff("restore", "--only", "errors", expect=1)
    assert "ERROR" in text
    assert "errors.nc" in text
    assert "Traceback" not in text


def test_a_damaged_object_is_found_and_not_used(published, tmp_path):
    moved = Repository(tmp_path / "repository")
    shutil.copytree(published.folder, moved.folder)
    shutil.copytree(remote_of(published), tmp_path / "remote")
    moved.dvc("remote", "modify", "--quiet", "storage", "url", str(tmp_path / "remote"))
    moved.commit("Another remote")
    clone = moved.clone(tmp_path / "clone")
    stored = stored_copy(clone, f"{RUNS[2]}/votes0/errors.nc")
    content = stored.read_bytes()
    stored.chmod(0o644)
    stored.write_bytes(b"x" + content[1:])
    text = clone.meddiff("restore", "--only", "errors", expect=1)
    assert f"{RUNS[2]}/votes0/errors.nc" in text
    assert not (clone.folder / RUNS[2] / "votes0/errors.nc").exists()
    stored.write_bytes(content)
    assert "Nothing is to be done" in clone.meddiff("restore", "--only", "errors")


def test_a_damaged_cache_is_found_and_fetched_again(working_copy):
    errors = working_copy.folder / RUNS[2] / "votes0/errors.nc"
    content = errors.read_bytes()
    cached = next(
        file
        for file in (working_copy.folder / ".dvc/cache/files").rglob("*")
        if file.is_file() and file.read_bytes() == content
    )
    cached.chmod(0o644)
    cached.write_bytes(content[:-1] + b"x")
    cached.chmod(0o444)
    errors.unlink()
    # DVC may notice it by itself; then the first attempt is enough.
    if "Nothing is to be done" not in working_copy.meddiff("restore", "--only", "errors", expect=None):
        assert not errors.exists()
        working_copy.meddiff("restore", "--only", "errors")
    assert errors.read_bytes() == content


def test_a_result_that_is_nowhere_else_is_not_replaced(working_copy):
    errors = working_copy.folder / RUNS[2] / "votes0/errors.nc"
    errors.write_bytes(b"of another run")
    assert "errors.nc" in working_copy.meddiff("restore", "--only", "errors", expect=1)
    assert errors.read_bytes() == b"of another run"


# DVC by itself


def test_one_model_can_be_pushed_and_pulled(published, tmp_path):
    clone = published.clone(tmp_path / "clone")
    clone.dvc("pull", f"{RUNS[0]}.dvc")
    assert sorted(path.parent.name for path in clone.folder.glob(f"{RESULTS}/*/*/seed0")) == ["small_dit"]
    weights = f"{RUNS[0]}/weights/model.safetensors"
    assert sha256_file(clone.folder / weights) == sha256_file(published.folder / weights)
    clone.dvc("remote", "add", "--quiet", "second", str(tmp_path / "second"))
    clone.dvc("push", "--remote", "second", f"{RUNS[0]}.dvc")
    shutil.rmtree(clone.folder / ".dvc/cache")
    shutil.rmtree(clone.folder / RUNS[0])
    clone.dvc("pull", "--remote", "second", f"{RUNS[0]}.dvc")
    assert sha256_file(clone.folder / weights) == sha256_file(published.folder / weights)


def test_repro_leaves_it_to_snakemake(working_copy):
    assert "Data and pipelines are up to date" in working_copy.dvc("repro")
    times = {file: file.stat().st_mtime_ns for file in (working_copy.folder / RESULTS).rglob("*.*")}
    working_copy.edit_yaml(
        "config/experiments/smallest.yaml", figures={"step_ablation": {"colors": ["#000000", "#777777"]}}
    )
    text = working_copy.dvc("repro")
    assert "made  1 figure, 1 report" in text
    written = {f for f, time in times.items() if not f.exists() or f.stat().st_mtime_ns != time}
    assert {file.name.partition(".")[0] for file in written} == {"step_ablation", "index"}


def test_metrics_params_and_plots_between_commits(working_copy):
    metrics = f"{RESULTS}/metrics.json"
    shown = json.loads(working_copy.dvc("metrics", "show", "--json"))
    tree = shown[""]["data"][metrics]["data"]["small_chest"]
    assert set(tree) == {"small_unet", "small_dit", "small_resnet"}
    assert tree == json.loads((working_copy.folder / metrics).read_text())["small_chest"]

    working_copy.edit_yaml("config/models/small_resnet.yaml", train={"lr": 5e-2})
    # It is published, so training it anew must be asked for.
    working_copy.snakemake(metrics, "--config", "retrain=small_chest/small_resnet/seed0")
    working_copy.commit("Another learning rate")
    changed = json.loads(working_copy.dvc("metrics", "diff", "--json", "HEAD~1", "HEAD"))[metrics]
    assert changed
    assert all(name.startswith("small_chest.small_resnet.softmax.") for name in changed)
    params = json.loads(working_copy.dvc("params", "diff", "--json", "HEAD~1", "HEAD"))
    assert params == {
        "config/models/small_resnet.yaml": {"train.lr": {"old": 1e-3, "new": 5e-2, "diff": 0.049}}
    }

    working_copy.dvc("plots", "show", "--out", "plots")
    page = (working_copy.folder / "plots/index.html").read_text()
    for axis in ("steps", "removed_percent"):
        assert f'"field": "{axis}"' in page
    assert '"strokeDash": {"field": "decision"' in page


# Branches


def test_nothing_after_switching_branches_and_back(finished, tmp_path):
    repository = under_git(finished, tmp_path / "repository")
    branch = repository.git("branch", "--show-current").strip()
    repository.git("switch", "--quiet", "--create", "other")
    network = repository.folder / "workflow/src/meddiff/networks/dit.py"
    network.write_text(network.read_text() + "\n# an edit\n")
    repository.edit_yaml("config/models/small_unet.yaml", train={"lr": 2e-3})
    repository.commit("Another network, another learning rate")
    assert repository.planned()["train_model"] == 2
    repository.git("switch", "--quiet", branch)
    assert repository.planned() == {}
