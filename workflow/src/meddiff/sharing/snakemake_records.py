"""Snakemake's records of how files were made, packed so that another folder can go on from them.

Without them Snakemake has only the times of files to judge by, which no clone and no download keeps. A record
is a JSON file below ``.snakemake/metadata``, named by the path of the output in URL-safe Base64; a name that
is longer than file names may be is divided into folders that begin with ``@``.
"""

from __future__ import annotations

import base64
import json
import os
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from meddiff.data.obtain.archive import Archive
from meddiff.errors import ReleaseError
from meddiff.io import atomic_path, read_json

METADATA = Path(".snakemake/metadata")
# Marks of jobs that were killed. Without this folder Snakemake takes the records for those of an old version.
_INCOMPLETE = Path(".snakemake/incomplete")
TIMESTAMP = ".snakemake_timestamp"
_STEP_NS = 1_000_000


def record_file(output: str) -> Path:
    """Where Snakemake's record of an output is, or would be."""
    return METADATA / _member_of(output)


def is_incomplete(output: str) -> bool:
    """Whether a job that makes an output has started and not ended."""
    return (_INCOMPLETE / _member_of(output)).exists()


def recorded_inputs(prefix: str) -> Iterator[list[str]]:
    """The inputs that each output whose path begins with `prefix` was made from, as Snakemake has noted."""
    for output, record in _records():
        if output.startswith(prefix):
            yield read_json(record).get("input") or []


def pack_records(outputs: Iterable[str], archive: Path) -> None:
    """Write the records of `outputs` into one zip archive, always as the same bytes.

    The command line is left out: it names folders of this machine, and Snakemake does not judge by it.

    Raises:
        ReleaseError: if Snakemake has no record of an output.
    """
    records = dict(_records())
    wanted = sorted(set(outputs))
    if unknown := [output for output in wanted if output not in records]:
        raise ReleaseError(
            f"{unknown[0]} (and {len(unknown) - 1} more): Snakemake has no record of how it was made; run "
            "its rule again, or say `snakemake --touch` if you know that it is up to date"
        )
    with atomic_path(archive) as path, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for output in wanted:
            record = {**read_json(records[output]), "shellcmd": None}
            # The first time that a zip archive can name, so that the bytes do not depend on the day.
            member = zipfile.ZipInfo(records[output].relative_to(METADATA).as_posix())
            member.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(member, json.dumps(record, sort_keys=True))


def unpack_records(archive: Path, folders: Iterable[str]) -> None:
    """Put the records of an archive where Snakemake finds them, over older ones.

    Args:
        archive: made by `pack_records`.
        folders: records are taken of files below these only.

    Raises:
        DataError: if it is no safe or complete archive.
        ReleaseError: if it has a record of another file.
    """
    allowed = tuple(folder.rstrip("/") + "/" for folder in folders)
    with Archive(archive) as packed:
        for member in packed.members:
            if not (output := _output_of(member)).startswith(allowed) or ".." in PurePosixPath(output).parts:
                raise ReleaseError(f"{archive}: has a record of {output!r}, which is not of this experiment")
        _INCOMPLETE.mkdir(parents=True, exist_ok=True)
        packed.extract(packed.members, lambda member: METADATA / member)


def set_times(folders: Iterable[str]) -> None:
    """Give the recorded files below `folders` the times of now, in the order in which they were made.

    Their content decides whether something is stale, but Snakemake reads it only where an input looks newer.
    """
    allowed = tuple(folder.rstrip("/") + "/" for folder in folders)
    made = [(read_json(record).get("endtime") or 0, path) for path, record in _records()]
    paths = [path for _, path in sorted(made) if path.startswith(allowed) and Path(path).exists()]
    start = time.time_ns() - len(paths) * _STEP_NS
    for number, path in enumerate(paths):
        # For a folder, Snakemake looks at a file that it keeps in there.
        for file in {Path(path), Path(path, TIMESTAMP)}:
            if file.exists():
                _set_time(file, start + number * _STEP_NS)


def _set_time(path: Path, moment_ns: int) -> None:
    try:
        os.utime(path, ns=(moment_ns, moment_ns))
    except PermissionError:
        # A link into a cache that belongs to someone else: Snakemake will compare checksums.
        return


def _records() -> Iterator[tuple[str, Path]]:
    """Output -> its record, of all that Snakemake has."""
    for path in sorted(METADATA.rglob("*")):
        if path.is_file():
            yield _output_of(path.relative_to(METADATA).as_posix()), path


def _member_of(output: str) -> str:
    """Path below ``.snakemake/metadata`` of the record of an output; the inverse of `_output_of`."""
    encoded = base64.urlsafe_b64encode(output.encode()).decode()
    most = os.pathconf(METADATA.parent if METADATA.parent.is_dir() else ".", "PC_NAME_MAX") - 1
    *folders, name = [encoded[i : i + most] for i in range(0, len(encoded), most)]
    return "/".join([*(f"@{folder}" for folder in folders), name])


def _output_of(member: str) -> str:
    """The output whose record has this path below ``.snakemake/metadata``.

    Raises:
        ReleaseError: if it is no such path.
    """
    encoded = "".join(part.removeprefix("@") for part in PurePosixPath(member).parts)
    try:
        return base64.b64decode(encoded, altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise ReleaseError(f"{METADATA / member}: is no record of Snakemake's: {error}") from error
