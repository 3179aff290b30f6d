"""Publish a finished run: its bytes into DVC, and a record of it into the folder that git keeps."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from meddiff.config import Config, top_level
from meddiff.config.sources import sources
from meddiff.errors import ReleaseError
from meddiff.io import sha256_file, write_text
from meddiff.sharing.dvc_files import DvcFiles
from meddiff.sharing.layout import ARCHIVE, layout_of
from meddiff.sharing.snakemake_records import pack_records
from meddiff.sharing.workflow_state import check_idle, jobs_to_do, output_files
from meddiff.weights.releases import WEIGHTS, Release, published_runs, release_path, write_release

STAGE = "reproduce"

log = logging.getLogger("meddiff")


def publish(entries: Sequence[str]) -> list[str]:
    """Publish the experiment that `entries` name, from the working folder.

    Args:
        entries: ``KEY=VALUE`` as for ``snakemake --config``.

    Returns:
        The files that were given to ``git add``; committing them is left to the user.

    Raises:
        ReleaseError: if the run is not finished, or DVC or git refuse.
        ConfigError: if there is no such experiment.
    """
    check_idle()
    config = Config(top_level(entries))
    name = config.results_name
    dvc = DvcFiles()
    if jobs := jobs_to_do(entries):
        raise ReleaseError(f"results/{name} is not finished: snakemake would run {jobs}; run it first")
    outputs = output_files(entries)
    if missing := sorted(output.path for output in outputs if output.missing):
        raise ReleaseError(
            f"{missing[0]} (and {len(missing) - 1} more) was left out when this run was restored. Before you "
            f"publish, say\n  python -m meddiff restore --config {' '.join(entries) or f'experiment={name}'}"
        )
    folder = release_path(name).parent
    # Also of temporary outputs that are gone: by them Snakemake knows whether those are to be made again.
    pack_records([output.path for output in outputs], folder / ARCHIVE)
    layout = layout_of(config, [output.path for output in outputs if not output.removed])
    for file in layout.dvc_files.values():
        log.info("into DVC: %s", file.path)
        dvc.track(file.path, file.wdir, file.outs(), keep=file.shared)
    release = Release(
        experiment=name,
        runs=published_runs(name),
        tracked=layout.tracked(),
        records_sha256=sha256_file(folder / ARCHIVE),
    )
    description = _write_dvc_yaml(config, release)
    if dvc.has_remote():
        log.info("%d files sent to the remote of DVC", dvc.push(layout.dvc_files))
    else:
        log.warning("DVC has no remote: `dvc remote add --default NAME URL`, and publish again, to share")
    record = write_release(release)
    # With the settings of DVC: whoever clones the repository needs the remote that was just pushed to.
    git = [*map(str, layout.dvc_files), *sorted(layout.git), str(description), str(record), ".dvc/config"]
    git += _configuration(config)
    if top_level(()).get("experiment") == name:
        dvc.commit_stage(STAGE)
        git.append("dvc.lock")
    _git_add(git)
    return git


def _described(config: Config) -> list[Path]:
    """The files that say what the experiment's datasets and models are."""
    return [
        *(config.root / "datasets" / f"{name}.yaml" for name in config.on_disk),
        *(config.root / "models" / f"{name}.yaml" for name in config.every_model()),
    ]


def _configuration(config: Config) -> list[str]:
    """The files without which a clone could not say what was run; splits of the user's are among them."""
    named = [Path(source.path) for source in sources(config) if source.made.startswith("splits/")]
    inside = [path for path in named if not os.path.relpath(path).startswith("..")]
    if len(inside) < len(named):
        log.warning("split files outside the repository are not published; the splits made from them are")
    experiment = config.root / "experiments" / f"{config.name}.yaml"
    return [os.path.relpath(path) for path in (experiment, *_described(config), *inside)]


def _write_dvc_yaml(config: Config, release: Release) -> Path:
    """Describe the experiment to DVC: its configuration files, and its weights as artifacts."""
    path = release_path(release.experiment).with_name("dvc.yaml")
    document: dict[str, Any] = {
        "params": [os.path.relpath(file, path.parent) for file in _described(config)],
        "artifacts": {
            key.replace("/", "-").replace("_", "-"): {"path": f"{key}/{WEIGHTS}", "type": "model"}
            for key in release.runs
        },
    }
    text = yaml.safe_dump(document, sort_keys=False, width=110)
    write_text(path, f"# Written by `python -m meddiff publish`: what DVC knows of this experiment.\n{text}")
    return path


def _git_add(paths: Sequence[str]) -> None:
    done = subprocess.run(["git", "add", "--", *paths], text=True, capture_output=True, check=False)
    if done.returncode:
        raise ReleaseError(f"git add: {done.stderr.strip()}")
