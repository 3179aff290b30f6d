"""Jobs in containers, and planning where little is installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import containers
from meddiff.config import Config
from meddiff.config.container import check_image, image_of
from meddiff.errors import ConfigError

# Writes down how it was called, and runs the command that a container would run.
STAND_IN = """\
#!{python}
import json, subprocess, sys
if sys.argv[1:] == ["--version"]:
    print("apptainer version 1.4.0")
    raise SystemExit
with open({calls!r}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
raise SystemExit(subprocess.run(sys.argv[-3:]).returncode)
"""
# Runs Snakemake where nothing can be imported but the standard library and what argv[1] leaves.
BLOCKED = """\
import importlib.abc, json, sys
blocked = set(json.loads(sys.argv.pop(1)))
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(f"not in requirements-plan.txt: {name}", name=name)
sys.meta_path.insert(0, Block())
from snakemake.cli import main
main()
"""


def pins(path: Path) -> dict[str, str]:
    """Name -> version of a file of requirements."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", containers.FILES)
def test_images_are_built_from_the_pins(root, name):
    """Mended by `make containers`."""
    text = (root / "envs" / name).read_text()
    assert text == containers.FILES[name]()
    assert re.search(r"\benvs/requirements\.txt\b", text) and all(step in text for step in containers.STEPS)


def test_planning_needs_some_of_the_pins(root):
    all_pins, few = pins(root / "envs/requirements.txt"), pins(root / "envs/requirements-plan.txt")
    assert few.items() <= all_pins.items() and "snakemake" in few and "torch" not in few


def test_an_image_is_named_by_the_configuration(root):
    top = {"experiment": "demo"}
    assert Config(top, root / "config").container == "meddiff.sif"
    assert Config({**top, "container": "docker://a/b"}, root / "config").container == "docker://a/b"
    for wrong in ("", "my image.sif", 3):
        with pytest.raises(ConfigError, match="--config container: expected an image"):
            image_of({"container": wrong})


def test_an_image_that_is_not_there_is_missed_where_it_is_used(tmp_path):
    image = tmp_path / "image.sif"
    check_image(str(image), ["conda"])
    check_image("docker://a/b", ["apptainer"])
    with pytest.raises(ConfigError, match=r"apptainer build meddiff\.sif envs/meddiff\.def"):
        check_image(str(image), ["apptainer"])
    image.touch()
    check_image(str(image), ["apptainer"])


@pytest.mark.slow
def test_a_job_runs_in_the_image(clone, tmp_path):
    calls, program = tmp_path / "calls", tmp_path / "bin/apptainer"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable, calls=str(calls)))
    program.chmod(0o755)
    variables = {"PATH": f"{program.parent}{os.pathsep}{clone.environment['PATH']}"}
    project = type(clone)(clone.folder, variables)
    arguments = ["data/small_chest/raw.json", "--software-deployment-method", "apptainer", "--config"]
    text = project.snakemake(*arguments, "container=none.sif", expect=1)
    assert "there is no image none.sif" in text and not calls.exists()
    (project.folder / "own.sif").touch()
    project.snakemake(*arguments, "container=own.sif", "--apptainer-args", "--nv --bind /data")
    (call,) = map(json.loads, calls.read_text().splitlines())
    assert call[0] == "exec" and "own.sif" in call and {"--nv", "--bind", "/data"} <= set(call)
    assert "python -m meddiff fetch" in call[-1] and "workflow/src" in call[-1]
    assert (project.folder / "data/small_chest/raw.json").is_file()


@pytest.mark.slow
def test_a_run_is_planned_with_little_installed(root, clone):
    """With `requirements-plan.txt` and what that requires, and nothing else."""
    needed = closure(pins(root / "envs/requirements-plan.txt"))
    blocked = {
        module
        for module, owners in packages_distributions().items()
        if not {canonical(owner) for owner in owners} & (needed | {"meddiff"})
    }
    assert {"torch", "matplotlib", "xarray", "transformers", "sklearn"} <= blocked
    command = [sys.executable, "-c", BLOCKED, json.dumps(sorted(blocked)), "-n", "--config"]
    done = subprocess.run(
        [*command, "experiment=paper"],
        cwd=clone.folder,
        env=clone.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0 and "train_model" in done.stdout, done.stdout


def canonical(name: str) -> str:
    """As PyPI compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(names: dict[str, str]) -> set[str]:
    """Distributions and all that they require here, without extras."""
    found: set[str] = set()
    waiting = [canonical(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            required = distribution(name).requires or []
        except PackageNotFoundError:  # for another platform
            continue
        for line in map(Requirement, required):
            if line.marker is None or line.marker.evaluate({"extra": ""}):
                waiting.append(canonical(line.name))
    return found
