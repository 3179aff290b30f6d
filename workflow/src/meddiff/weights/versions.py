"""Trained weights are never lost: each version is kept beside the current one, by what it was made from.

``weights/`` holds the current version, which Snakemake deletes as soon as a job is to make another. Below
``weights/kept/<key>/`` lies every version that was made, under the first digits of the hash of its inputs
(the ``inputs`` of its ``run.json``). Files are hard links where the file system has them, so a version takes
no space of its own until another one replaces it. Training takes a version that is there instead of making
it again: whatever has made Snakemake run the job (a failure, an undone edit, data that were made again and
came out the same), it costs seconds.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from meddiff.io import atomic_path, read_json, sha256_file, sha256_json, write_json

log = logging.getLogger("meddiff")

KEPT = "kept"
FILES = ("config.yaml", "run.json", "model.safetensors")
_RECORDS = "provenance"
_CHECKSUMS = "checksums.json"


def version_dir(weights_dir: Path, inputs: Mapping[str, Any]) -> Path:
    """Where the version that was made from `inputs` is kept.

    Args:
        weights_dir: folder of the current version.
        inputs: `meddiff.training.inputs.training_inputs`.
    """
    return weights_dir / KEPT / sha256_json(inputs)[:16]


def keep_version(weights_dir: Path) -> Path | None:
    """Keep what lies in `weights_dir`, with the records of how it was made.

    Returns:
        The folder of the version; None where there are no whole weights that say what they were made from.
    """
    inputs = _inputs(weights_dir)
    if inputs is None or not all((weights_dir / name).is_file() for name in FILES):
        return None
    folder = version_dir(weights_dir, inputs)
    checksums = {name: sha256_file(weights_dir / name) for name in FILES}
    if _checksums(folder) != checksums or _damaged(folder, checksums):
        (folder / _CHECKSUMS).unlink(missing_ok=True)
        for name in FILES:
            _link(weights_dir / name, folder / name)
        write_json(folder / _CHECKSUMS, checksums)  # last: a version without it is not whole
    for name in FILES:
        record = weights_dir / _RECORDS / f"{name}.json"
        if record.is_file():
            _link(record, folder / _RECORDS / record.name)
    return folder


def take_version(weights_dir: Path, inputs: Mapping[str, Any]) -> bool:
    """Make the kept version that was made from `inputs` the current one.

    Returns:
        Whether there is such a version, whole: every file has the checksum that it was kept with.
    """
    folder = version_dir(weights_dir, inputs)
    checksums = _checksums(folder)
    if checksums is None:
        return False
    if damaged := _damaged(folder, checksums):
        log.warning("%s: damaged since it was kept, so it is not used", folder / damaged[0])
        return False
    for name in FILES:
        _link(folder / name, weights_dir / name)
        record = folder / _RECORDS / f"{name}.json"
        if record.is_file():
            _link(record, weights_dir / _RECORDS / record.name)
    return True


def kept_inputs(weights_dir: Path) -> Iterator[dict[str, Any]]:
    """What each kept version was made from."""
    for folder in sorted((weights_dir / KEPT).glob("*/")):
        inputs = _inputs(folder)
        if inputs is not None and _checksums(folder) is not None:
            yield inputs


def _inputs(folder: Path) -> dict[str, Any] | None:
    """What ``run.json`` says; None where there is none, it is damaged, or nothing was trained."""
    try:
        inputs = read_json(folder / "run.json").get("inputs")
    except (OSError, ValueError, AttributeError):
        return None
    return inputs if isinstance(inputs, dict) and "params" in inputs else None


def _checksums(folder: Path) -> dict[str, str] | None:
    try:
        checksums = read_json(folder / _CHECKSUMS)
    except (OSError, ValueError):
        return None
    return checksums if isinstance(checksums, dict) else None


def _damaged(folder: Path, checksums: Mapping[str, str]) -> list[str]:
    """The files of a version that are missing or not what they were."""
    return [
        name
        for name in FILES
        if not (folder / name).is_file() or sha256_file(folder / name) != checksums.get(name)
    ]


def _link(source: Path, target: Path) -> None:
    """Give the file a second name, or a copy where that is not possible, in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and os.path.samefile(source, target):
        os.utime(target)  # Snakemake judges a file that a job has made by its time
        return
    temporary = target.with_name(f".{target.name}-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:  # another file system, or one without links
        with atomic_path(target, durable=True) as copy:
            shutil.copyfile(source, copy)
        return
    os.utime(temporary)
    temporary.replace(target)
