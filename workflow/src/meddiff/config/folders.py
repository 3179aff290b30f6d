"""The folders that the workflow writes to, which must not be something else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from meddiff.errors import ConfigError

REPORT = "report"
WRITTEN = ("results", "logs", "data", "splits", ".meddiff", ".snakemake")


def check_checkout(folder: Path) -> None:
    """Raise an error if Snakemake takes a part of the checkout's path for a wildcard.

    Raises:
        ConfigError: if there are braces in it.
    """
    if {"{", "}"} & set(str(folder)):
        raise ConfigError(
            f"{folder}: Snakemake reads braces in a path as wildcards; move the checkout to a folder without"
        )


def check_folders(experiment: str, datasets: Iterable[str], root: Path = Path()) -> None:
    """Raise an error if something other than a folder has the place of one.

    Args:
        experiment: name of the folder below ``results``.
        datasets: names of the folders below ``data`` and ``splits``.
        root: where the Snakefile is.

    Raises:
        ConfigError: naming the file, or the symbolic link that leads nowhere; or a dataset that has the name
            of a folder of the results.
    """
    datasets = list(datasets)
    if REPORT in datasets:
        raise ConfigError(
            f"config/datasets/{REPORT}.yaml: results/{experiment}/{REPORT} is the folder of the report; give "
            "the dataset another name"
        )
    places = [*WRITTEN, f"results/{experiment}", f"logs/{experiment}", ".meddiff/state", ".meddiff/seen"]
    places += [f"{parent}/{name}" for name in datasets for parent in ("data", "splits")]
    for place in places:
        path = root / place
        try:
            blocked = not path.is_dir() and (path.exists() or path.is_symlink())
        except OSError as error:  # a loop of links, or a folder that must not be read
            raise ConfigError(f"{place}: cannot be used: {error.strerror}") from error
        if blocked:
            what = "a symbolic link that leads nowhere" if path.is_symlink() else "a file"
            raise ConfigError(
                f"{place}: the workflow needs a folder here, but there is {what}; move or delete it"
            )
