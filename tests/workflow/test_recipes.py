"""The recipes of CONTRIBUTING.md, carried out in a copy of the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from workflow_samples import Project

BLOCK = re.compile(r"^`([\w./]+)`:\n\n```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A file of a recipe: a new one, or an edit of one that is there where `language` is ``diff``."""

    path: str
    language: str
    text: str

    def write(self, folder: Path) -> Path:
        """Write the file, or edit it, in a copy of the repository."""
        path = folder / self.path
        if self.language == "diff":
            before = "".join(line[1:] for line in self._lines if line[0] != "+")
            after = "".join(line[1:] for line in self._lines if line[0] != "-")
            old = path.read_text(encoding="utf-8")
            assert old.count(before) == 1, f"{self.path} has no longer, or not only once:\n{before}"
            path.write_text(old.replace(before, after), encoding="utf-8")
        else:
            assert not path.exists(), f"{self.path} is an example and a file of the project"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.text, encoding="utf-8")
        return path

    @property
    def _lines(self) -> list[str]:
        """Lines with a mark, also where an editor has cut that of a blank line."""
        return [line if line.strip() else " \n" for line in self.text.splitlines(keepends=True)]


def recipe(root: Path, title: str) -> list[Block]:
    """The files of the recipe below a heading."""
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split(f"\n### {title}\n")[1].split("\n### ")[0]
    return [Block(*found) for found in BLOCK.findall(section)]


def follow(project: Project, root: Path, title: str) -> list[Path]:
    """Write all files of a recipe, and run those that are tests."""
    paths = [block.write(project.folder) for block in recipe(root, title)]
    tests = [str(path) for path in paths if path.name.startswith("test_")]
    variables = {"PYTHONPATH": str(project.folder / "workflow/src")}
    options = ("-q", "-p", "no:cacheprovider", "-c", "/dev/null")
    assert tests, "a recipe has a test"
    replace(project, variables=variables).run(sys.executable, "-m", "pytest", *options, *tests)
    return paths


@pytest.mark.parametrize("title", ["Add a figure"])
def test_recipes_are_written_as_the_linter_wants(root: Path, tmp_path: Path, title: str) -> None:
    shutil.copytree(root / "workflow/src", tmp_path / "workflow/src")
    shutil.copy(root / "pyproject.toml", tmp_path)
    files = [str(block.write(tmp_path)) for block in recipe(root, title) if block.path.endswith(".py")]
    assert files
    for command in (["check"], ["format", "--diff"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", *files]
        result = subprocess.run(ruff, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_add_a_figure(project: Project, root: Path) -> None:
    module, _ = follow(project, root, "Add a figure")
    assert project.planned() == {"plot_vote_shares": 1}
    project.snakemake()
    for suffix in ("csv", "png", "pdf"):
        assert (project.folder / f"results/smallest/figures/vote_shares.{suffix}").stat().st_size > 0
    assert project.planned() == {}
    module.write_text(module.read_text().replace("Test images", "Images"))
    assert project.planned() == {"plot_vote_shares": 1}
    project.edit_yaml("config/experiments/smallest.yaml", figures={"vote_shares": {"dpi": 99}})
    project.snakemake()
    module.unlink()
    project.edit_yaml("config/experiments/smallest.yaml", figures={"step_ablation": {}})
    assert "figures.vote_shares: there is no such figure" in project.snakemake("-n", expect=1)
