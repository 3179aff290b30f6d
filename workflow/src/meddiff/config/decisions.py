"""What the command line says about published models whose training has become stale."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from meddiff.errors import ConfigError

_RUN = re.compile(r"[a-z][a-z0-9_]*(-fold\d+)?/[a-z][a-z0-9_]*/seed\d+")
ALL = "all"


class Decisions:
    """``--config retrain=RUNS`` and ``keep=RUNS``: commas between runs, each ``<dataset>/<model>/seed<k>``.

    ``retrain=all`` names every run. A decision changes no result of its own, so it is no configuration.

    Attributes:
        keys: the keys of the command line.
    """

    keys = ("retrain", "keep")

    def __init__(self, top: Mapping[str, Any], trained: Sequence[str]) -> None:
        """Read the keys of `top` (the workflow's config dictionary).

        Args:
            trained: the runs that the experiment trains.

        Raises:
            ConfigError: if a value is no list of runs, names one that is not trained, or a run is in both.
        """
        self._runs = {key: self._listed(key, top) for key in self.keys}
        for key, runs in self._runs.items():
            if unknown := sorted(runs - {ALL, *trained}):
                there = ", ".join(trained) or "none"
                raise ConfigError(
                    f"--config {key}: the experiment trains no {unknown[0]}; its runs are {there}"
                )
        if both := self._runs["retrain"] & self._runs["keep"]:
            raise ConfigError(f"--config retrain and keep: {min(both)} is in both; decide for one")

    def of(self, run: str) -> str:
        """``retrain``, ``keep`` or ``none``, for one run."""
        return next((key for key, runs in self._runs.items() if run in runs or ALL in runs), "none")

    @staticmethod
    def _listed(key: str, top: Mapping[str, Any]) -> set[str]:
        runs = {part.strip() for part in str(top[key]).split(",")} if key in top else set()
        for run in sorted(runs):
            if run != ALL and not _RUN.fullmatch(run):
                raise ConfigError(f"--config {key}: expected DATASET/MODEL/seedK or {ALL!r}, got {run!r}")
        return runs
