"""How frequent classes are where probabilities will be used, as an experiment or the command line says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meddiff.config.schema.dataset import DatasetConfig
from meddiff.config.schema.experiment import ExperimentConfig
from meddiff.errors import ConfigError

PREVALENCE_KEY = "prevalence"
_TOLERANCE = 1e-6

Shares = dict[str, float]


def prevalences(
    experiment: ExperimentConfig, path: Path, datasets: Mapping[str, DatasetConfig], top: Mapping[str, Any]
) -> dict[str, Shares]:
    """Dataset -> class -> share, in the order of the classes, for the datasets that have one.

    ``--config prevalence=DATASET/CLASS=SHARE``, with commas between several, takes the place of what the
    experiment's file says of the datasets that it names. One class may be left out: it has the rest.

    Args:
        experiment: what the file says.
        path: the file.
        datasets: name -> dataset.
        top: the workflow's config dictionary.

    Raises:
        ConfigError: naming the dataset and the class that there is not, or shares that do not sum to 1; or if
            nothing is calibrated.
    """
    wanted = {name: (f"{path}: prevalence", shares) for name, shares in experiment.prevalence.items()}
    if PREVALENCE_KEY in top:
        given = _listed(str(top[PREVALENCE_KEY]))
        wanted |= {name: ("--config prevalence", shares) for name, shares in given.items()}
    if wanted and not experiment.score.validation:
        raise ConfigError(
            f"{next(iter(wanted.values()))[0]}: goes with probabilities calibrated on the validation split: "
            "leave out `score: {validation: false}`"
        )
    found = {}
    for name, (where, shares) in wanted.items():
        if name not in datasets:
            raise ConfigError(f"{where}: there is no dataset {name!r}; there are {', '.join(datasets)}")
        found[name] = _complete(f"{where}: {name}", shares, [c.name for c in datasets[name].classes])
    return found


def _complete(where: str, shares: Shares, classes: list[str]) -> Shares:
    if unknown := [name for name in shares if name not in classes]:
        raise ConfigError(f"{where}: there is no class {unknown[0]!r}; there are {', '.join(classes)}")
    missing, total = [name for name in classes if name not in shares], sum(shares.values())
    if len(missing) > 1:
        raise ConfigError(
            f"{where}: the classes {', '.join(missing)} have no share; one class may be left out at most"
        )
    if missing and total < 1 - _TOLERANCE:
        shares, total, missing = {**shares, missing[0]: 1 - total}, 1.0, []
    if missing:
        raise ConfigError(f"{where}: shares sum to {total:g}, which leaves none for {missing[0]}")
    if abs(total - 1) > _TOLERANCE:
        raise ConfigError(f"{where}: shares sum to {total:g}, expected 1")
    return {name: shares[name] for name in classes}


def _listed(text: str) -> dict[str, Shares]:
    """Dataset -> class -> share, from ``DATASET/CLASS=SHARE,...``."""
    found: dict[str, Shares] = {}
    for entry in text.split(","):
        place, _, number = entry.strip().rpartition("=")
        dataset, _, name = place.partition("/")
        try:
            share = float(number)
        except ValueError:
            share = 0.0
        if not name or not 0 < share < 1:
            raise ConfigError(
                "--config prevalence: expected DATASET/CLASS=SHARE with a share above 0 and below 1, got "
                f"{entry!r}"
            )
        found.setdefault(dataset, {})[name] = share
    return found
