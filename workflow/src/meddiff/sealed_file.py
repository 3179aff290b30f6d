"""Files that end with the checksum of all that comes before, which is checked before anything is parsed.

For formats whose readers do not look beyond the end of what they read (HDF5 and so netCDF, NumPy's): to them
such a file is like any other. A library that parses a damaged file makes other numbers of it or an error that
names no file; HDF5 may also work on it for minutes.
"""

from __future__ import annotations

from pathlib import Path

from meddiff.io import sha256_file

_LINE = "\nSHA-256 of all before this line, by meddiff: {}\n"
_LENGTH = len(_LINE.format("0" * 64))


def seal(path: Path) -> None:
    """Add the checksum to a file that has none yet.

    Raises:
        OSError: if it cannot be read or written.
    """
    line = _seal(path, path.stat().st_size)
    with open(path, "ab") as stream:
        stream.write(line)


def damage(path: Path) -> str | None:
    """Why a file is not as `seal` left it, in words; None if it is.

    Raises:
        OSError: if it cannot be read.
    """
    length = path.stat().st_size - _LENGTH
    if length < 0:
        return "is not complete"
    with open(path, "rb") as stream:
        stream.seek(length)
        found = stream.read()
    if found == _seal(path, length):
        return None
    if _LINE.split("{")[0].encode() in found:
        return "is damaged: its checksum does not fit"
    return (
        "does not end with its checksum: it is damaged or not complete, was changed after it was written, or "
        "was written by an earlier version"
    )


def _seal(path: Path, length: int) -> bytes:
    return _LINE.format(sha256_file(path, length=length)).encode("ascii")
