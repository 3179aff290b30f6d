"""Make a dataset's files available and record what they are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from meddiff.config.dataset_slices import FetchParams
from meddiff.config.schema.data.source import PhantomSource
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data import phantom
from meddiff.data.obtain.listing import SeenFiles, list_folder
from meddiff.errors import DataError
from meddiff.io import read_json


def fetch(
    name: str,
    dataset: DatasetConfig | FetchParams,
    root: Path,
    manifest: Path,
    threads: int | None = None,
    seen: Path | None = None,
) -> None:
    """Generate a phantom into `root`, or check a folder that is there; write the manifest of its files.

    `manifest` is ``{"files": {path: {"sha256", "size"}}}`` with canonical paths (`ImageFolder`): content
    only, neither the root's own path nor times, so that moving a dataset makes nothing stale. Files stay
    where they are.

    Args:
        name: the dataset's name, for messages.
        dataset: its source and format are used.
        root: the folder of the images; made for a phantom, the user's or an unpacked one for other sources.
        manifest: the file to write.
        threads: for hashing; default all CPUs of this process.
        seen: where checksums are kept (`SeenFiles`); by default they are not.

    Raises:
        DataError: the folder is not there, has no images, or (format table) no CSV.
    """
    if isinstance(dataset.source, PhantomSource):
        _generate(dataset, root)
    list_folder(name, dataset, root, manifest, SeenFiles(seen), threads)


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a ``manifest.json`` as `fetch` writes it.

    Raises:
        DataError: there is no such file, or it is not a manifest.
    """
    try:
        manifest = read_json(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file; run `fetch`") from error
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); run `fetch` again") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise DataError(f"{path}: has no key 'files' with the dataset's files; run `fetch` again")
    return manifest


def _generate(dataset: DatasetConfig | FetchParams, target: Path) -> None:
    """Draw beside `target`, then swap: a killed run leaves no half-filled `target`."""
    partial, old = target.with_name(f"{target.name}.partial"), target.with_name(f"{target.name}.old")
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    phantom.generate(dataset.source, dataset.format, partial)
    if target.exists():
        target.replace(old)
    partial.replace(target)
    shutil.rmtree(old, ignore_errors=True)
