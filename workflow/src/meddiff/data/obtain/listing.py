"""What is in a dataset's folder, by content; a file that was read before is not read again."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from meddiff.config.dataset_slices import FetchParams
from meddiff.config.schema.data.layout import ArraysFormat, CheXpertFormat, PlacesBase
from meddiff.config.schema.data.source import PhantomSource
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.decoding.images import is_image_file
from meddiff.data.layouts.folder import ImageFolder, walk_files
from meddiff.devices.cpus import thread_map
from meddiff.errors import DataError
from meddiff.io import read_json, regular_file, sha256_file, write_json
from meddiff.progress import track

log = logging.getLogger("meddiff")

# Not among the data: it has the times of this machine's files, and only saves work.
_SEEN = Path(".meddiff/seen")

Entry = dict[str, int | str]


def seen_path(name: str) -> Path:
    """Where the workflow keeps the `SeenFiles` of a dataset."""
    return _SEEN / f"{name}.json"


def find_files(name: str, dataset: DatasetConfig | FetchParams, root: Path) -> dict[str, str | Path]:
    """Canonical path -> file: all images and tables of a folder, or whatever a phantom generated.

    Raises:
        DataError: the folder is not there, has no images, or not the tables that its format names.
    """
    if isinstance(dataset.source, PhantomSource):
        return {path: root / path for path in walk_files(root)}
    how = f"say where it is with `--config root_{name}=PATH` or MEDDIFF_ROOT_{name.upper()}=PATH"
    if not root.is_dir():
        raise DataError(f"dataset {name}: there is no folder {root}; {how}")
    layout = dataset.format
    if isinstance(layout, ArraysFormat):
        if not (root / layout.file).is_file():
            raise DataError(f"dataset {name}: {root} has no file {layout.file} (format.file); {how}")
        return {layout.tables[0]: root / layout.file}
    folder = ImageFolder(root, layout)
    tables = {path: folder.table(path) for path in layout.tables}
    # The other formats may do without: published splits have labels of their own.
    for path, file in tables.items() if isinstance(layout, PlacesBase) else ():
        if not file.is_file():
            raise DataError(f"dataset {name}: {root} has no file {path} (format); {how}")
    if missing := folder.missing_dirs():
        key = "format.csv" if isinstance(layout, CheXpertFormat) else "format.image_dir"
        raise DataError(f"dataset {name}: {root} has no folder {missing[0]} ({key}); {how}")
    paths = {path: folder.name(path) for path in folder.walk()}
    files: dict[str, str | Path] = {path: file for path, file in paths.items() if is_image_file(Path(file))}
    if not files:
        raise DataError(f"dataset {name}: there are no image files below {folder.base}; {how}")
    return files | {path: file for path, file in tables.items() if file.is_file()}


class SeenFiles:
    """Checksums of files when they were last read, with size and time to tell whether that still holds."""

    def __init__(self, path: Path | None = None) -> None:
        """Read the record at `path`, or begin one where it is missing or damaged; None keeps none."""
        self._path = path
        self._files: dict[str, list[Any]] = {}
        if path is None:
            return
        try:
            files = dict(read_json(path)["files"])
            if wrong := next((name for name, entry in files.items() if not _is_entry(entry)), None):
                raise ValueError(f"{wrong}: expected size, time and SHA-256")
            self._files = files
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s: not readable (%s); files are read again", path, error)

    def entries(
        self, name: str, files: Mapping[str, str | Path], threads: int | None = None
    ) -> dict[str, Entry | None]:
        """Size and SHA-256 of every file, in the order of their paths; None for one that is gone.

        Files whose size or time has changed are read, and the record is written.

        Raises:
            DataError: one is no regular file, or cannot be read.
        """
        stats = {path: _stat(files[path]) for path in sorted(files)}
        unread = [p for p, s in stats.items() if s is not None and self._files.get(p, [])[:2] != s]
        if unread:
            hashes = thread_map(lambda path: _sha256(files[path]), unread, threads)
            for path, sha256 in zip(unread, track(hashes, f"hashing {name}", len(unread)), strict=True):
                self._files[path] = [*stats[path], sha256]
            if self._path is not None:
                write_json(self._path, {"files": self._files})
        return {
            path: None if stat is None else {"size": stat[0], "sha256": self._files[path][2]}
            for path, stat in stats.items()
        }


def list_folder(
    name: str,
    dataset: DatasetConfig | FetchParams,
    root: Path,
    manifest: Path,
    seen: SeenFiles,
    threads: int | None = None,
) -> None:
    """Write the manifest of a folder: ``{"files": {canonical path: {"sha256", "size"}}}``.

    Raises:
        DataError: see `find_files`; or a file is no regular file or cannot be read.
    """
    entries = seen.entries(name, find_files(name, dataset, root), threads)
    if gone := next((path for path, entry in entries.items() if entry is None), None):
        raise DataError(f"{root}: {gone} went away while the folder was read")
    write_json(manifest, {"files": entries})


def refresh_manifest(
    name: str, dataset: DatasetConfig, root: Path, manifest: Path, table: Path, seen: Path
) -> bool:
    """Bring the manifest up to date if the files in use are no longer what it says.

    Snakemake judges the manifest by content, so what depends on the images becomes stale if, and only if,
    one of them has really changed. Looks at sizes and times only, unless they differ from those in `seen`.

    Args:
        name: the dataset's name, for messages.
        dataset: its source and format are used.
        root: the folder of its images; where it is not there, there is nothing to compare with.
        manifest: written by `list_folder`; where it is missing, the workflow will make it.
        table: the checked table, which says what images are in use; all of `manifest` where it is missing.
        seen: the file of `SeenFiles`.

    Returns:
        Whether the manifest was written.

    Raises:
        DataError: if the manifest or a file in use cannot be read, or the folder is no longer one that could
            be listed. Left to the rules, this would pass in silence: none of them runs.
    """
    if not manifest.is_file():
        return False
    if not root.is_dir():
        if dataset.source.kind == "local":
            log.warning(
                "%s: the images of %s are not here, so edits of them or their labels go unnoticed; name the "
                "folder with --config root_%s=PATH",
                *(root, name, name),
            )
        return False
    try:
        recorded = dict(read_json(manifest)["files"])
        # One file has all images.
        used = recorded if isinstance(dataset.format, ArraysFormat) else _used(recorded, table)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{manifest}: cannot be read ({error}); delete it, and it is made again from {root}"
        ) from error
    folder = ImageFolder(root, dataset.format)
    files: dict[str, str | Path] = {path: folder.name(path) for path in used}
    files |= {path: folder.table(path) for path in dataset.format.tables if path in recorded}
    record = SeenFiles(seen)
    changed = [path for path, entry in record.entries(name, files).items() if entry != recorded.get(path)]
    if not changed:
        return False
    list_folder(name, dataset, root, manifest, record)
    log.warning("%s: %d files have changed, the first is %s", root, len(changed), changed[0])
    return True


def _used(recorded: Mapping[str, Entry], table: Path) -> Iterable[str]:
    """The listed files that the checked table names; all where there is no table."""
    if not table.is_file():
        return recorded
    with open(table, newline="", encoding="utf-8") as stream:
        rows = csv.reader(stream)
        column = next(rows, []).index("path")
        return [row[column] for row in rows if row and row[column] in recorded]


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, list) and [type(part) for part in entry] == [int, int, str]


def _stat(path: str | Path) -> list[int] | None:
    try:
        status = regular_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    return [status.st_size, status.st_mtime_ns]


def _sha256(path: str | Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
