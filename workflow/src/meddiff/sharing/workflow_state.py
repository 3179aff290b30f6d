"""What Snakemake says about the working folder: what is to be done, and which files there are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from meddiff.errors import ReleaseError
from meddiff.records.today import dry_run

_LOCKS = Path(".snakemake/locks")


def jobs_to_do(config: Sequence[str]) -> str:
    """The jobs that ``snakemake`` would run now, as ``rule (number), ...``; empty if there are none.

    Args:
        config: ``KEY=VALUE`` entries for ``--config``.

    Raises:
        WorkflowError: with what Snakemake says, if it cannot plan.
    """
    _, jobs = dry_run(config, everything=False)
    return ", ".join(f"{rule} ({count})" for rule, count in jobs.items())


@dataclass(frozen=True)
class Output:
    """A file or folder that the workflow makes.

    Attributes:
        path: relative to the working folder.
        missing: whether it is not there, but should be.
        removed: whether it was temporary and is gone, as it should be.
    """

    path: str
    missing: bool = False
    removed: bool = False


def output_files(config: Sequence[str]) -> list[Output]:
    """All outputs of the workflow.

    Raises:
        ReleaseError: with what Snakemake says, if it cannot plan.
    """
    command = [sys.executable, "-m", "snakemake", "--summary", "--nocolor"]
    command += ["--config", *config] if config else []
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise ReleaseError(f"snakemake --summary failed:\n{(done.stdout + done.stderr).strip()[-2000:]}")
    lines = done.stdout.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("output_file\t")), None)
    if start is None:
        raise ReleaseError("snakemake --summary: has no table of files")
    header = lines[start].split("\t")
    rows = [dict(zip(header, line.split("\t"), strict=True)) for line in lines[start + 1 :] if "\t" in line]
    return [
        Output(row["output_file"], row["status"] == "missing", row["status"] == "removed temp file")
        for row in rows
    ]


def check_idle() -> None:
    """Check that Snakemake does not run in the working folder: it would be surprised by changing files.

    Raises:
        ReleaseError: if it does, or was killed.
    """
    if _LOCKS.is_dir() and any(_LOCKS.iterdir()):
        raise ReleaseError(
            "Snakemake is running in this folder: wait for its end. If it was killed: `snakemake --unlock`"
        )
