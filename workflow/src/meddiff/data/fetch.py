"""Make a dataset's files available and record what they are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from meddiff.config.dataset import CheXpertFormat, DatasetConfig, PhantomSource, TableFormat
from meddiff.data import phantom
from meddiff.data.folder import ImageFolder, walk_files
from meddiff.data.images import is_image, thread_map
from meddiff.data.params import FetchParams
from meddiff.errors import DataError
from meddiff.io import read_json, sha256_file, write_json
from meddiff.progress import track


def fetch(
    name: str,
    dataset: DatasetConfig | FetchParams,
    root: Path,
    manifest: Path,
    threads: int | None = None,
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

    Raises:
        DataError: the folder is not there, has no images, or (format table) no CSV.
    """
    if isinstance(dataset.source, PhantomSource):
        _generate(dataset, root)
        found = {path: root / path for path in walk_files(root)}
    else:
        found = _local_files(name, dataset, root)
    paths = sorted(found)
    entries = thread_map(lambda path: _entry(found[path]), paths, threads)
    files = dict(zip(paths, track(entries, f"hashing {name}", total=len(paths)), strict=True))
    write_json(manifest, {"files": files})


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


def _local_files(name: str, dataset: DatasetConfig | FetchParams, root: Path) -> dict[str, Path]:
    """Canonical path -> file, of all images and the CSV."""
    how = f"say where it is with `--config root_{name}=PATH` or MEDDIFF_ROOT_{name.upper()}=PATH"
    if not root.is_dir():
        raise DataError(f"dataset {name}: there is no folder {root}; {how}")
    layout = dataset.format
    folder = ImageFolder(root, layout)
    csv = folder.csv()
    # The other formats may do without: published splits have labels of their own.
    if isinstance(layout, TableFormat) and not csv.is_file():
        raise DataError(f"dataset {name}: {root} has no file {layout.csv} (format.csv); {how}")
    if not folder.base.is_dir():
        key = "format.csv" if isinstance(layout, CheXpertFormat) else "format.image_dir"
        raise DataError(f"dataset {name}: {root} has no folder {folder.prefix} ({key}); {how}")
    files = {path: folder.file(path) for path in folder.walk() if is_image(path)}
    if not files:
        raise DataError(f"dataset {name}: there are no image files below {folder.base}; {how}")
    if csv.is_file():
        files[PurePosixPath(layout.csv).as_posix()] = csv
    return files


def _entry(path: Path) -> dict[str, int | str]:
    try:
        return {"size": path.stat().st_size, "sha256": sha256_file(path)}
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
