"""What files are: size and SHA-256, recorded when they are first seen and checked ever after."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meddiff.errors import CheckpointError, DataError
from meddiff.io import read_json, regular_file, sha256_file
from meddiff.progress import track

Checksums = dict[str, dict[str, Any]]


def checksums(files: Mapping[str, Path]) -> Checksums:
    """Name -> ``{"size", "sha256"}`` of every file.

    Raises:
        CheckpointError: if one cannot be read, or is damaged so that it shows: what is recorded is what all
            later downloads must be.
    """
    for path in files.values():
        _check_whole(path)
    return {name: _checksum(path) for name, path in track(sorted(files.items()), "hashing")}


def check(files: Mapping[str, Path], expected: Checksums, source: Path) -> None:
    """Check `files` (name -> path) against what was recorded of them.

    Args:
        files: the files as they are now.
        expected: their recorded checksums, by the same names.
        source: the file that `expected` comes from, for messages.

    Raises:
        CheckpointError: naming the first file that is missing, unknown or different.
    """
    for name in sorted(expected.keys() | files.keys()):
        path = files.get(name)
        if path is None or not path.is_file():
            raise CheckpointError(f"{path or name}: missing; {source} lists it: fetch it again")
        if name not in expected:
            raise CheckpointError(f"{path}: {source} does not list it; delete one of the two and fetch again")
        _check_regular(path)
        want, size = expected[name], path.stat().st_size
        got = sha256_file(path) if size == want["size"] else "not computed"
        if got != want["sha256"]:
            raise CheckpointError(
                f"{path}: expected {want['size']} bytes with SHA-256 {want['sha256']} ({source}), got {size} "
                f"bytes with SHA-256 {got}; the file is damaged or another one: delete it and fetch it "
                "again, or delete the record if the change is meant"
            )


def _check_regular(path: Path) -> None:
    try:
        regular_file(path)
    except (OSError, DataError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error


def _check_whole(path: Path) -> None:
    """Check that weights have the length that they say, and that JSON is JSON."""
    _check_regular(path)
    try:
        if path.suffix == ".safetensors":
            from safetensors import SafetensorError, safe_open

            try:
                with safe_open(path, "numpy"):
                    pass
            except SafetensorError as error:
                raise ValueError(error) from error
        elif path.suffix == ".json":
            read_json(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: is damaged: {error}; delete it and fetch it again") from error


def _checksum(path: Path) -> dict[str, Any]:
    try:
        return {"size": path.stat().st_size, "sha256": sha256_file(path)}
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
