"""Small file helpers: regular files only, atomic writes, checksums, JSON."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from meddiff.errors import DataError, DiskError, MeddiffError

_HASH_BLOCK = 1 << 16
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than is allowed",
}
# HDF5, Rust and Python put the number into the text of errors that may be of any class.
_ERRNO_IN_TEXT = re.compile(r"(?:errno = |os error |\[Errno )(\d+)")
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")  # NumPy gives no number
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def regular_file(path: str | os.PathLike[str]) -> os.stat_result:
    """The status of a regular file, links followed. Nothing is opened: a pipe or a device may never end.

    Raises:
        DataError: it is something else, a link that leads nowhere or in a circle, or no possible name.
        FileNotFoundError: there is nothing of that name. Other OSErrors as `os.stat`.
    """
    try:
        status = os.stat(path)
    except ValueError as error:
        raise DataError(f"{os.fspath(path)!r}: no file can have this name: {error}") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise DataError(f"{path}: is a link that leads in a circle; remove it or mend it") from error
        if isinstance(error, FileNotFoundError) and os.path.islink(path):
            aim = os.readlink(path)
            raise DataError(f"{path}: is a link to {aim}, where nothing is; remove it or mend it") from error
        raise
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        raise DataError(
            f"{path}: is {_KINDS.get(kind, 'something else')} and no regular file, and is not read; remove it"
        )
    return status


@contextmanager
def atomic_path(target: str | os.PathLike[str], *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it to `target` if the block succeeds.

    The temporary file keeps the suffix of `target`, since many writers choose a format by it.
    On an error the temporary file is removed and `target` is left as it was. A process that is killed leaves
    it; the next one on this machine that writes in the folder removes it.

    Args:
        target: the file to write.
        durable: wait until the disk has it. Without this a crash of the whole machine soon after may leave
            an empty file under the new name; with it, the old or the new content.

    Raises:
        DiskError: there is no space for it.
    """
    target = Path(target)
    with disk_errors(target), _temporary_path(target, durable) as path:
        yield path


@contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """What fails in the block for lack of space becomes a `DiskError` that names `target`.

    Raises:
        DiskError: there is no space.
    """
    try:
        yield
    except MeddiffError:
        raise
    except Exception as error:
        if reason := _why_full(error):
            free = f"free there: {_free(target.parent)}"
            raise DiskError(
                f"{target}: cannot be written: {reason} ({free}); make room and run again"
            ) from error
        raise


@contextmanager
def _temporary_path(target: Path, durable: bool) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    writer = ""
    if space := _process_space():
        _remove_orphans(target.parent.resolve(), space)
        writer = f"{space}-{os.getpid()}-"
    prefix = f".{target.stem}-{writer}"
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=prefix, suffix=target.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes 0600; shared clusters expect the user's umask
        if durable:
            _flush(temporary)
        temporary.replace(target)
        if durable:
            with suppress(OSError):  # some network file systems cannot flush a folder
                _flush(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _why_full(error: BaseException | None) -> str | None:
    """What an error says about a lack of space; None where it is another one."""
    while error is not None:
        in_text = _ERRNO_IN_TEXT.search(str(error))
        number = int(in_text[1]) if in_text else getattr(error, "errno", None)
        if reason := _FULL.get(number):
            return reason
        if _SHORT_WRITE.search(str(error)):
            return "there is no space for all of it"
        error = error.__cause__ or error.__context__
    return None


def _free(folder: Path) -> str:
    while not folder.exists():
        folder = folder.parent
    return f"{shutil.disk_usage(folder).free / 1e6:.0f} MB"


def allocate(handle: int, size: int) -> None:
    """Give an open file `size` bytes, and take the space for them now where the system can do so.

    Raises:
        OSError: there is no space; inside `atomic_path` or `disk_errors` this becomes a `DiskError`.
    """
    try:
        os.posix_fallocate(handle, 0, size)
    except AttributeError:  # not on macOS
        os.ftruncate(handle, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        os.ftruncate(handle, size)


def write_at(handle: int, content: bytes, offset: int) -> None:
    """Write all of `content` at a place in an open file; threads may do so at once."""
    left = memoryview(content)
    while left:
        written = os.pwrite(handle, left, offset)
        left, offset = left[written:], offset + written


@cache
def _process_space() -> str | None:
    """Name of the set of processes in which a process number means the same process; None where unknown.

    Folders are shared by machines and containers, where the same number is another process.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        return hashlib.sha256(f"{boot}{os.stat('/proc/self/ns/pid').st_ino}".encode()).hexdigest()[:12]
    except OSError:  # not Linux
        return None


@cache  # once a process and folder: some folders have thousands of files
def _remove_orphans(folder: Path, space: str) -> None:
    """Remove temporary files whose writer was in `space` and is no more."""
    pattern = re.compile(rf"\..*-{space}-(\d+)-[^-]*")
    with suppress(OSError):  # what cannot be removed does no harm
        for entry in os.scandir(folder):
            match = pattern.fullmatch(entry.name)
            if match and not _is_running(int(match[1])):
                os.unlink(entry.path)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


def _flush(path: Path) -> None:
    """Have a file's content, or a folder's names, written to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(target: str | os.PathLike[str], text: str, *, durable: bool = False) -> None:
    """Write `text` (UTF-8) to `target` atomically; `durable` as in `atomic_path`."""
    with atomic_path(target, durable=durable) as path:
        path.write_text(text, encoding="utf-8")


def write_json(target: str | os.PathLike[str], value: Any, *, durable: bool = False) -> None:
    """Write `value` as indented JSON with sorted keys, atomically; `durable` as in `atomic_path`."""
    write_text(target, json.dumps(value, indent=1, sort_keys=True) + "\n", durable=durable)


def read_json(path: str | os.PathLike[str]) -> Any:
    """Parse the JSON file at `path`."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def sha256_file(path: str | os.PathLike[str], first: int = 0, length: int | None = None) -> str:
    """Hex SHA-256 of a file's bytes, read in blocks: of `length` bytes (default all) from byte `first` on."""
    digest, block = hashlib.sha256(), memoryview(bytearray(_HASH_BLOCK))
    with open(path, "rb", buffering=0) as stream:
        stream.seek(first)
        while count := stream.readinto(block if length is None else block[:length]):
            digest.update(block[:count])
            length = None if length is None else length - count
    return digest.hexdigest()


def sha256_json(value: Any) -> str:
    """Hex SHA-256 of `value` as canonical JSON (sorted keys, no spaces)."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
