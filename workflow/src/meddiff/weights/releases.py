"""What was published of an experiment: ``results/<experiment>/release.json``, in git beside the results.

``meddiff publish`` writes the record, once the weights lie in DVC. It says which weights are meant and what
they were made from, so that whoever has the repository but not the weights can tell whether a change of
configuration, code or data would make others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from meddiff.config.schema.strict import Strict
from meddiff.errors import ReleaseError
from meddiff.format_version import KEY, as_of_today
from meddiff.io import read_json, sha256_file, write_json

FORMAT_VERSION = 2
RESULTS = Path("results")
RECORD = "release.json"
WEIGHTS, RUN_RECORD = "weights/model.safetensors", "weights/run.json"

# What can be restored by itself, in the order of the pipeline.
Part = Literal["data", "weights", "errors", "results"]
PARTS: tuple[Part, ...] = ("data", "weights", "errors", "results")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class PublishedRun(Strict):
    """One model.

    Attributes:
        weights_sha256: of its ``model.safetensors``.
        inputs: what it was made from, as its ``run.json`` says: for a trained model ``params``, ``code``
            (a hash) and ``data`` (hashes of the stores' manifests).
    """

    weights_sha256: Sha256
    inputs: dict[str, Any]


class Release(Strict):
    """One published experiment.

    Attributes:
        experiment: name of its folder below ``results``.
        runs: ``<dataset>/<model>/seed<k>`` -> model. A model of all datasets has ``joint`` for the dataset.
        tracked: part -> paths that DVC tracks, relative to the repository.
        records_sha256: of the archive with Snakemake's records of the run.
    """

    experiment: str
    runs: dict[str, PublishedRun]
    tracked: dict[Part, list[str]]
    records_sha256: Sha256


def release_path(experiment: str, root: Path = Path()) -> Path:
    """Where the record of an experiment lies.

    Args:
        experiment: name of its folder below ``results`` (`meddiff.config.Config.results_name`).
        root: the repository.
    """
    return root / RESULTS / experiment / RECORD


def write_release(release: Release, root: Path = Path()) -> Path:
    """Write the record of an experiment into the repository `root`; return its path."""
    path = release_path(release.experiment, root)
    write_json(path, {KEY: FORMAT_VERSION, **release.model_dump(mode="json")})
    return path


def read_release(experiment: str, root: Path = Path()) -> Release | None:
    """The record of an experiment, or None where it has not been published.

    Raises:
        ReleaseError: if there is a record that cannot be understood, or a newer meddiff made it.
    """
    path = release_path(experiment, root)
    if not path.is_file():
        return None
    try:
        document = dict(read_json(path))
        found = document.pop(KEY, None)
        document = as_of_today(path, found, document, (_from_version_1,), ReleaseError, "publish again")
        release = Release.model_validate(document)
    except (ValueError, TypeError, ValidationError) as error:
        raise ReleaseError(
            f"{path}: is no record of a release: {error}; take the file from git, or publish again"
        ) from error
    if release.experiment != experiment:
        raise ReleaseError(f"{path}: is the record of {release.experiment!r}; publish {experiment!r} again")
    return release


def _from_version_1(document: dict[str, Any]) -> dict[str, Any]:
    """It differs only in that it does not say its version."""
    return document


def published_runs(experiment: str, root: Path = Path()) -> dict[str, PublishedRun]:
    """Describe the weights that lie in an experiment's folder.

    Returns:
        ``<dataset>/<model>/seed<k>`` -> model, sorted.

    Raises:
        ReleaseError: if weights have no ``run.json``, or it does not say what they were made from.
    """
    folder = root / RESULTS / experiment
    runs = {}
    for weights in sorted(folder.glob(f"*/*/seed*/{WEIGHTS}")):
        run = weights.parent.parent
        key = run.relative_to(folder).as_posix()
        runs[key] = PublishedRun(weights_sha256=sha256_file(weights), inputs=_inputs(run / RUN_RECORD))
    return runs


def _inputs(path: Path) -> dict[str, Any]:
    try:
        record = read_json(path)
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{path}: cannot be read: {error}; make the weights beside it again") from error
    for key in ("inputs", "released"):
        if key in record:
            return record[key] if key == "inputs" else {key: record[key]}
    raise ReleaseError(f"{path}: does not say what the weights were made from; make them again")
