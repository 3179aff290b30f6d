"""What the workflow would do today: the commands of all its jobs, from a dry run of Snakemake."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meddiff.errors import MeddiffError
from meddiff.records.files import Files, parsed_params

_SHELL = "Shell command: "


class WorkflowError(MeddiffError):
    """Snakemake cannot say what it would do."""


@dataclass(frozen=True)
class Job:
    """One job of the workflow.

    Attributes:
        command: the command of meddiff that it calls.
        module: that command's module.
        args: the arguments that it would be called with.
    """

    command: str
    module: Any
    args: argparse.Namespace

    @property
    def params(self) -> Any:
        """Value of ``--params``."""
        return parsed_params(self.args)

    def files(self) -> Files:
        """What the job reads and writes."""
        return self.module.files(self.args)


def require_workflow() -> None:
    """Check that this is the folder of a workflow.

    Raises:
        WorkflowError: if it has no Snakefile.
    """
    if not Path("Snakefile").is_file():
        raise WorkflowError("there is no Snakefile here; go where it is, and run this again")


def dry_run(config: Sequence[str], *, everything: bool) -> tuple[list[str], dict[str, int]]:
    """What Snakemake would do in the working folder.

    Args:
        config: ``KEY=VALUE`` entries for ``--config``.
        everything: all jobs, or only those that ``snakemake`` would run now.

    Returns:
        The shell commands of the jobs, and how many there are of each rule (without the target rule).

    Raises:
        WorkflowError: with what Snakemake says, if the configuration is wrong or a file is missing.
    """
    require_workflow()
    command = [sys.executable, "-m", "snakemake", "-n", "-p", "--nocolor"]
    command += ["--forceall"] * everything + (["--config", *config] if config else [])
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise WorkflowError(f"snakemake -n failed:\n{done.stdout.strip()[-2000:]}")
    lines = done.stdout.splitlines()
    commands = [line.removeprefix(_SHELL) for line in lines if line.startswith(_SHELL)]
    # A target rule has no command.
    return [command for command in commands if command != "None"], _counts(done.stdout)


def _counts(text: str) -> dict[str, int]:
    """Rule -> number of jobs, of a dry run's table."""
    if "Job stats:" not in text:
        return {}
    table = text.split("Job stats:")[1].split("\ntotal ")[0]
    found = re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)
    return {rule: int(count) for rule, count in found if rule != "all"}
