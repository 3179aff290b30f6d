"""Small file helpers: atomic writes, checksums, JSON."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

_HASH_BLOCK = 1 << 16


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
    """
    target = Path(target)
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


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write `text` (UTF-8) to `target` atomically."""
    with atomic_path(target) as path:
        path.write_text(text, encoding="utf-8")


def write_json(target: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically."""
    write_text(target, json.dumps(value, indent=1, sort_keys=True) + "\n")


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
