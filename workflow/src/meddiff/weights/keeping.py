"""The decision to keep weights as they are, told to Snakemake."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from meddiff.config import Config, top_level
from meddiff.errors import ReleaseError
from meddiff.weights.releases import WEIGHTS, read_release, release_path
from meddiff.weights.versions import version_dir


def keep(run: str, settings: Sequence[str]) -> None:
    """Bring up to date what `run` is trained from, and have its training job take the published weights.

    Args:
        run: ``<dataset>/<model>/seed<k>``, of a published experiment.
        settings: ``key=value`` items of Snakemake's ``--config``.

    Raises:
        ReleaseError: if the run is not published, its weights are not there, or Snakemake fails.
        ConfigError: if `run` or a setting is no such thing.
    """
    experiment = Config(top_level([*settings, f"keep={run}"])).results_name
    release = read_release(experiment)
    if release is None or run not in release.runs:
        raise ReleaseError(f"{run}: is not in {release_path(experiment)}; only published weights are kept")
    folder = release_path(experiment).parent / run
    kept = version_dir((folder / WEIGHTS).parent, release.runs[run].inputs)
    if not (folder / WEIGHTS).is_file() and not kept.is_dir():
        raise ReleaseError(f"{folder / WEIGHTS}: there are no weights to keep; restore them first")
    _snakemake("--config", *settings, f"keep={run}", "--", str(folder / WEIGHTS))


def _snakemake(*arguments: str) -> None:
    if subprocess.run([sys.executable, "-m", "snakemake", *arguments], check=False).returncode:
        raise ReleaseError(f"snakemake {' '.join(arguments)} failed; see above")
