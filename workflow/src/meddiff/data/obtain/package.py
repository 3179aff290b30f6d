"""A data package: downloaded once for all datasets in it, checked ever after, unpacked in parts."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from meddiff.config.schema.data.source import PackageSource
from meddiff.data.obtain.archive import Archive
from meddiff.errors import DataError
from meddiff.io import read_json, sha256_file, write_json
from meddiff.state_folder import locked

ARCHIVE, RECORD, LOCK = "archive.zip", "archive.json", ".lock"
SPLITS_FOLDER = "splits"

_SPLIT_FILE = re.compile(r"[\w-]+-(?:train|valid|test)\.csv")
_STALLED_AFTER_S = 120
_RETRIES = 5
_SECONDS_BETWEEN_LINES = 30.0

log = logging.getLogger("meddiff")


def prepare(name: str, source: PackageSource, packages: Path) -> None:
    """Make ``<packages>/<file_id>/<folder>`` the dataset's folder of the package, as far as that is not done.

    The archive is kept as ``<packages>/<file_id>/archive.zip``. Its size and SHA-256 are recorded beside it
    at the first download, once all of it could be read. Whatever lies there later must agree with the record
    (and with `source.sha256`). Once the folder is unpacked the archive may be deleted. Split files that the
    package has outside the folder are unpacked into ``<packages>/<file_id>/splits``. Processes that want the
    same package wait for each other.

    Raises:
        DataError: the download fails; the archive is not the recorded or pinned one, is damaged or unsafe, or
            has no such folder. An interrupted download or extraction goes on in the next call.
    """
    package = packages / source.file_id
    package.mkdir(parents=True, exist_ok=True)
    with locked(package / LOCK, "this package"):
        archive, folder = package / ARCHIVE, package / source.folder
        unpacked = package / f"{source.folder}.unpacked.json"
        record = _read_record(package / RECORD)
        _check_pin(source, record, archive)
        if not archive.is_file():
            if record and folder.is_dir() and _read_record(unpacked) == record:
                log.info("%s: %s is unpacked, its archive is gone", name, folder)
                return
            _download(name, source, archive)
        found = _checked(source, archive, record)
        with Archive(archive) as contents:
            _unpack(contents, source.folder, package)
            if not record and not source.sha256:
                contents.check_rest()
        # Not before: what turns out to be damaged must not be what later downloads have to agree with.
        if not record:
            write_json(package / RECORD, found)
        write_json(unpacked, found)


def download_from_drive(file_id: str, target: Path) -> None:
    """Download a file from Google Drive; an interrupted download goes on where it stopped.

    `target` appears when the file is complete; until then its bytes are in a file beside it.

    Raises:
        DataError: the file is not there, not public, over Google's quota, or the network fails.
    """
    import gdown

    try:
        gdown.download(
            id=file_id,
            output=str(target),
            resume=True,
            quiet=not sys.stderr.isatty(),
            retries=_RETRIES,
            timeout=_STALLED_AFTER_S,
            progress=_log_progress(target),
        )
    # The errors of requests, which gdown passes on, are OSErrors.
    except (gdown.DownloadError, OSError) as error:
        raise DataError(f"Google Drive file {file_id}: cannot be downloaded: {error}") from error
    if not target.is_file():
        raise DataError(f"Google Drive file {file_id}: the download ended without a file")


def _log_progress(target: Path) -> Callable[[int, int | None], None]:
    """A callback that logs how far a download is, now and then."""
    last = time.monotonic()

    def show(done: int, total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last > _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            log.info("%s: %.2f of %s GB", target, done / 1e9, f"{total / 1e9:.2f}" if total else "?")

    return show


def _download(name: str, source: PackageSource, archive: Path) -> None:
    log.info("%s: downloading Google Drive file %s to %s", name, source.file_id, archive)
    try:
        download_from_drive(source.file_id, archive)
    except DataError as error:
        raise DataError(
            f"dataset {name}: {error}\n"
            f"Run again to go on, or download the file with a browser and put it at {archive}, or use images "
            f"you have with `--config root_{name}=PATH` or MEDDIFF_ROOT_{name.upper()}=PATH."
        ) from error


def _unpack(contents: Archive, folder: str, package: Path) -> None:
    inside = contents.find_folder(folder)
    contents.extract_folder(inside, package / folder)
    nearest: dict[str, str] = {}
    for path in sorted(contents.members, key=lambda p: (p.count("/"), p)):
        pure = PurePosixPath(path)
        if inside not in pure.parents and _SPLIT_FILE.fullmatch(pure.name):
            nearest.setdefault(pure.name, path)
    contents.extract(nearest.values(), lambda path: package / SPLITS_FOLDER / PurePosixPath(path).name)


def _checked(source: PackageSource, archive: Path, record: dict[str, object] | None) -> dict[str, object]:
    """Size and SHA-256 of the archive, which must be those recorded before and the pinned one."""
    found = {"size": archive.stat().st_size, "sha256": sha256_file(archive)}
    how = "delete it to download it again"
    if source.sha256 and found["sha256"] != source.sha256:
        raise DataError(
            f"{archive}: has SHA-256 {found['sha256']}, expected {source.sha256} (source.sha256); {how}"
        )
    if record and found != record:
        raise DataError(
            f"{archive}: has {found['size']} bytes and SHA-256 {found['sha256']}, but {record['size']} bytes "
            f"and {record['sha256']} were recorded in {archive.with_name(RECORD)} at the first download; "
            f"{how}, or delete the record too if another version of the package is wanted"
        )
    if not record:
        log.info("%s: %s bytes, SHA-256 %s", archive, found["size"], found["sha256"])
    return found


def _check_pin(source: PackageSource, record: dict[str, object] | None, archive: Path) -> None:
    if record and source.sha256 and record["sha256"] != source.sha256:
        raise DataError(
            f"{archive.with_name(RECORD)}: the package downloaded before has SHA-256 {record['sha256']}, "
            f"expected {source.sha256} (source.sha256); delete {archive.parent} to download it again"
        )


def _read_record(path: Path) -> dict[str, object] | None:
    if not path.is_file():
        return None
    try:
        record = read_json(path)
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); delete it") from error
    if not isinstance(record, dict) or set(record) != {"size", "sha256"}:
        raise DataError(f"{path}: expected size and sha256 of the archive; delete it")
    return record
