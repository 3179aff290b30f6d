"""The commands of the page for beginners do what it says, in a folder where a run has finished."""

from __future__ import annotations

import re
import sys

import pytest
from workflow_samples import Project

from documented_commands import commands

pytestmark = pytest.mark.slow

# What installs, and what deletes: `make` itself is looked at in tests/docs.
NOT_HERE = re.compile(r"^(make |source )")
STAND_INS = {
    "phantom_chest": "small_chest",
    "tiny_unet": "small_unet",
    "demo": "smallest",
    "patient00003": "patient00007",
}
SAID = {
    "classify": "view1_frontal.jpg",
    "snakemake -n": "Nothing to be done",
    "provenance": "The chain holds",
    "plan": "hours with 8 GPUs",
}


def test_the_first_five_minutes(finished: Project) -> None:
    lines = [command.line for command in commands("docs/start.md") if command.whole]
    here = [line for line in lines if not NOT_HERE.match(line)]
    for name, stand_in in STAND_INS.items():
        here = [line.replace(name, stand_in) for line in here]
    assert len(here) == len(SAID)
    project = Project(finished.folder, {"PYTHONPATH": str(finished.folder / "workflow/src")})
    for line, (part, said) in zip(here, SAID.items(), strict=True):
        assert part in line
        program, *arguments = line.split()
        modules = [] if program == "python" else ["-m", program]
        assert said in project.run(sys.executable, *modules, *arguments), line
