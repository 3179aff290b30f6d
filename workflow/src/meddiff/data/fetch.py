"""Make a dataset's files available and record what they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meddiff.config.dataset import CheXpertFormat, DatasetConfig, PhantomSource
from meddiff.data import phantom
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
    """Generate a phantom into `root`, or check a local folder; write the manifest of its files.

    `manifest` is ``{"files": {path: {"sha256", "size"}}}`` with paths relative to `root`: content only,
    neither the root's own path nor times, so that moving a dataset makes nothing stale. Local files stay
    where they are.

    Args:
        name: the dataset's name, for messages.
        dataset: its source and format are used.
        root: the folder of the images; made for a phantom, and given by the user for a local source.
        manifest: the file to write.
        threads: for hashing; default all CPUs of this process.

    Raises:
        DataError: the local folder is not there, or has no image or no CSV where the format expects it.
    """
    if isinstance(dataset.source, PhantomSource):
        _generate(dataset, root)
        paths = sorted(_walk(root, "."))
    else:
        paths = sorted(_local_files(name, dataset, root))
    entries = thread_map(lambda path: _entry(root / path), paths, threads)
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


def _local_files(name: str, dataset: DatasetConfig | FetchParams, root: Path) -> set[str]:
    how = f"say where it is with `--config root_{name}=PATH` or MEDDIFF_ROOT_{name.upper()}=PATH"
    if not root.is_dir():
        raise DataError(f"dataset {name}: there is no folder {root}; {how}")
    layout = dataset.format
    if not (root / layout.csv).is_file():
        raise DataError(f"dataset {name}: {root} has no file {layout.csv} (format.csv); {how}")
    folder = str(Path(layout.csv).parent) if isinstance(layout, CheXpertFormat) else layout.image_dir
    if not (root / folder).is_dir():
        raise DataError(f"dataset {name}: {root} has no folder {folder} (format.image_dir); {how}")
    images = {path for path in _walk(root, folder) if is_image(path)}
    if not images:
        raise DataError(f"dataset {name}: there are no image files below {root / folder}; {how}")
    return images | {Path(layout.csv).as_posix()}


def _walk(root: Path, folder: str) -> Iterator[str]:
    """Paths of all files below `folder`, relative to `root`; links are followed, each folder once."""
    seen: set[str] = set()
    for parent, folders, files in os.walk(root / folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from ((Path(parent) / file).relative_to(root).as_posix() for file in files)


def _entry(path: Path) -> dict[str, int | str]:
    try:
        return {"size": path.stat().st_size, "sha256": sha256_file(path)}
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
