"""The recipes of CONTRIBUTING.md, carried out in a copy of the repository."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from workflow_samples import MODELS, SCHEDULE, Project

from meddiff.provenance import code_files

BLOCK = re.compile(r"^`([\w./]+)`[^\n]*:\n\n```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# What has to be stated somewhere of every kind of network and every key, and what no addition may break.
STATED = (
    "tests/test_rooms.py",
    "tests/artifacts/test_lookup.py",
    "tests/models/test_kinds.py",
    "tests/test_documentation.py::test_every_key_of_the_configuration_is_documented",
)
TITLES = ("Add a figure", "Add a decision rule", "Add a metric", "Add a kind of network")


@dataclass(frozen=True)
class Block:
    """A file of a recipe: a new one, or edits of one that is there where `language` is ``diff``."""

    path: str
    language: str
    text: str

    def write(self, folder: Path) -> Path:
        """Write the file, or edit it, in a copy of the repository."""
        path = folder / self.path
        if self.language == "diff":
            text = path.read_text(encoding="utf-8")
            for edit in self.text.split("@@\n"):
                lines = edit.splitlines(keepends=True)
                before = "".join(line[1:] for line in lines if line[0] != "+")
                after = "".join(line[1:] for line in lines if line[0] != "-")
                assert text.count(before) == 1, f"{self.path} has no longer, or not only once:\n{before}"
                text = text.replace(before, after)
            path.write_text(text, encoding="utf-8")
        else:
            assert not path.exists(), f"{self.path} is an example and a file of the project"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.text, encoding="utf-8")
        return path


def recipe(root: Path, title: str) -> list[Block]:
    """The files of the recipe below a heading."""
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split(f"\n### {title}\n")[1].split("\n### ")[0]
    return [Block(*found) for found in BLOCK.findall(section)]


def follow(folder: Path, root: Path, title: str) -> list[Path]:
    """Write all files of a recipe into a copy of the repository that has no tests yet."""
    for name in ("tests", "docs"):
        shutil.copytree(
            root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "_build", "_generated")
        )
    shutil.copy(root / "pyproject.toml", folder)
    return [block.write(folder) for block in recipe(root, title)]


@pytest.fixture(params=TITLES)
def followed(
    request: pytest.FixtureRequest, clone: Project, root: Path, tmp_path: Path
) -> tuple[Project, list]:
    """A copy of the repository in which a recipe has been followed, and the recipe's Python files."""
    folder = tmp_path / "repository"
    shutil.copytree(clone.folder, folder)
    paths = [str(path) for path in follow(folder, root, request.param) if path.suffix == ".py"]
    return Project(folder, {"PYTHONPATH": str(folder / "workflow/src")}), paths


def test_what_recipes_make_is_clean(followed: tuple[Project, list[str]]) -> None:
    project, paths = followed
    for command in (["check"], ["format", "--diff"]):
        project.run(sys.executable, "-m", "ruff", *command, "--no-cache", *paths)


@pytest.mark.slow
def test_the_tests_of_recipes_pass(followed: tuple[Project, list[str]]) -> None:
    project, paths = followed
    tests = [path for path in paths if Path(path).name.startswith("test_")]
    assert tests, "a recipe has a test"
    project.run(sys.executable, "-m", "meddiff", "schemas")
    project.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, *STATED)


@pytest.mark.slow
def test_add_a_figure(project: Project, root: Path) -> None:
    module, _ = follow(project.folder, root, "Add a figure")
    assert project.planned() == {"plot_vote_shares": 1, "write_methods": 1, "make_report": 1}
    project.snakemake()
    for suffix in ("csv", "png", "pdf"):
        assert (project.folder / f"results/smallest/figures/vote_shares.{suffix}").stat().st_size > 0
    assert project.planned() == {}
    module.write_text(module.read_text().replace("Test images", "Images"))
    assert project.planned() == {"plot_vote_shares": 1, "make_report": 1}
    project.edit_yaml("config/experiments/smallest.yaml", figures={"vote_shares": {"dpi": 99}})
    project.snakemake()
    module.unlink()
    project.edit_yaml("config/experiments/smallest.yaml", figures={"step_ablation": {}})
    assert "figures.vote_shares: there is no such figure" in project.snakemake("-n", expect=1)


def test_add_a_decision_rule(clone: Project, root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    shutil.copytree(clone.folder, folder)
    follow(folder, root, "Add a decision rule")
    project = Project(folder, {"PYTHONPATH": str(folder / "workflow/src")})
    command = (sys.executable, "-m", "meddiff", "rules", "tests/formats/samples/errors-v2.nc")
    assert any(row.startswith("clearest_step ") for row in project.run(*command).splitlines())
    edited = folder / "workflow/src/meddiff/readout/candidates.py"
    of_predictions = {path.name for path in code_files(["meddiff.cli.vote", "meddiff.readout.from_errors"])}
    assert "rules.py" in of_predictions and edited.name not in of_predictions


@pytest.mark.slow
def test_add_a_metric(project: Project, root: Path) -> None:
    follow(project.folder, root, "Add a metric")
    table, tree = "results/smallest/tables/metrics", "results/smallest/metrics.json"
    project.snakemake(f"{table}.csv", tree)
    assert "Confident errors" in (project.folder / f"{table}.md").read_text()
    rows = pd.read_csv(project.folder / f"{table}.csv").query("metric == 'confident_errors'")
    assert len(rows) == 5
    assert rows["value"].between(rows["ci_low"], rows["ci_high"]).all()
    assert (rows["ci_low"] < rows["ci_high"]).all()
    of_model = json.loads((project.folder / tree).read_text())["small_chest"]["small_resnet"]["softmax"]
    assert of_model["confident_errors"] == rows.set_index("model").loc["small_resnet", "value"]
    assert not {"train_model", "score_shard", "vote", "predict_baseline"} & set(project.planned())


@pytest.mark.slow
def test_add_a_kind_of_network(project: Project, root: Path) -> None:
    follow(project.folder, root, "Add a kind of network")
    changes = {"schedule": SCHEDULE, "validation_steps": 1, "train": {"epochs": 1}}
    project.edit_yaml("config/models/tiny_convnet.yaml", **changes)
    project.edit_yaml("config/experiments/smallest.yaml", models=[*MODELS, "tiny_convnet"])
    assert project.planned()["train_model"] == 1
    project.snakemake("results/smallest/tables/classification.md")
    table = (project.folder / "results/smallest/tables/classification.md").read_text()
    assert "Tiny ConvNet (majority)" in table and "Tiny ConvNet (mean error)" in table
