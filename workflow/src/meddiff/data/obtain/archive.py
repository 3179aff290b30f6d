"""Unpack parts of a zip archive that nobody vouches for."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from meddiff.errors import DataError
from meddiff.progress import track

_BLOCK = 1 << 20
# Images hardly shrink in a zip; what claims to grow this much is no archive of images.
_LARGEST_RATIO = 100
_RATIO_COUNTS_FROM = 1 << 24
# The disk is not filled to the brim: others write there, too.
_LEFT_FREE = 0.01
_ENCRYPTED = 0x1
_RESOURCES_OF_MACOS = "__MACOSX"
_HOW = "delete it and run again, which fetches it again"
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


class Archive:
    """A zip archive, open for reading; every name in it has been checked.

    Attributes:
        path: the file.
        members: path in the archive -> member, for all regular files; what macOS adds is left out.
    """

    def __init__(self, path: Path) -> None:
        """Open `path` and check its table of contents; nothing is unpacked.

        Raises:
            DataError: it is no zip archive or is cut off; a member has an absolute path, a path with ``..``
                or a backslash, is a link or a device, is encrypted or is there twice; or one or all of them
                claim to be implausibly large.
        """
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError as error:
            raise DataError(f"{path}: there is no such file") from error
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise DataError(f"{path}: is no complete zip archive: {error}; {_HOW}") from error
        self.members: dict[str, zipfile.ZipInfo] = {}
        self._sound: set[str] = set()  # members that agree with their checksum
        try:
            for member in self._zip.infolist():
                self._add(member)
            self._check_size()
        except DataError:
            self._zip.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def find_folder(self, name: str) -> PurePosixPath:
        """The folder called `name` that is nearest to the top.

        Raises:
            DataError: there is none, or there are several at that depth; it lists the archive's folders.
        """
        parents = {parent for path in self.members for parent in PurePosixPath(path).parents}
        found = sorted((p for p in parents if p.name == name), key=lambda p: (len(p.parts), p))
        if not found:
            near = ", ".join(sorted(str(p) for p in parents if 0 < len(p.parts) <= 2)[:20]) or "none"
            raise DataError(f"{self.path}: has no folder {name!r} (source.folder); its folders are {near}")
        if len(found) > 1 and len(found[0].parts) == len(found[1].parts):
            raise DataError(f"{self.path}: has both {found[0]} and {found[1]}; which one is {name!r}?")
        return found[0]

    def extract_folder(self, folder: PurePosixPath, target: Path) -> list[str]:
        """Unpack what is below `folder` into `target` (see `extract`); return paths relative to `target`."""
        below = {
            path: member for path, member in self.members.items() if folder in PurePosixPath(path).parents
        }
        return self.extract(below, lambda path: target / PurePosixPath(path).relative_to(folder))

    def check_rest(self) -> None:
        """Read the members that were not extracted, without writing them, and compare their checksums.

        Raises:
            DataError: one is damaged.
        """
        for path in track(sorted(self.members.keys() - self._sound), f"checking {self.path.name}"):
            try:
                self._copy(self.members[path])
            except _DAMAGE as error:
                raise self._damaged(path, error) from error

    def extract(self, paths: Iterable[str], place: Callable[[str], Path]) -> list[Path]:
        """Unpack members to ``place(path)``.

        A file that is there with the right size and checksum (CRC-32) is kept, so an extraction that was
        killed goes on where it was. Files appear complete or not at all.

        Raises:
            DataError: a member is damaged, two members or a member and a folder want the same place, or the
                disk is too small; it says so before writing where it can.
        """
        wanted = {path: place(path) for path in paths}
        missing = {path: target for path, target in wanted.items() if not self._is_there(path, target)}
        if len(missing) < len(wanted):
            log = logging.getLogger("meddiff")
            log.info(
                "%s: %d of %d files are there already", self.path, len(wanted) - len(missing), len(wanted)
            )
        self._check_space(missing)
        for path, target in track(missing.items(), f"unpacking {self.path.name}", total=len(missing)):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._write(path, target)
            except _DAMAGE as error:
                raise self._damaged(path, error) from error
            except OSError as error:
                raise DataError(f"{self.path}: member {path}: cannot be written: {error}") from error
        self._sound |= wanted.keys()
        return list(wanted.values())

    def _add(self, member: zipfile.ZipInfo) -> None:
        # `filename` is already cut and converted by zipfile; what the archive really says decides.
        name = member.orig_filename
        problem = None
        parts = name.split("/")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if name.startswith("/") or (len(name) > 1 and name[1] == ":"):
            problem = "has an absolute path"
        elif ".." in parts or "\\" in name or "\0" in name:
            problem = "has a path that can lead out of the folder"
        elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            problem = "is a link" if kind == stat.S_IFLNK else "is a device or the like"
        elif member.flag_bits & _ENCRYPTED:
            problem = "is encrypted"
        if problem:
            raise DataError(f"{self.path}: member {name!r} {problem}; such an archive is not unpacked")
        path = PurePosixPath(name)
        if member.is_dir() or parts[0] == _RESOURCES_OF_MACOS or path.name.startswith("._"):
            return
        if str(path) in self.members:
            raise DataError(f"{self.path}: member {name!r} is there twice; such an archive is not unpacked")
        self.members[str(path)] = member

    def _check_size(self) -> None:
        # Member by member: in an archive with other things in it a bomb is a small part of the whole.
        members = self.members.values()
        sizes = {member.orig_filename: (member.compress_size, member.file_size) for member in members}
        sizes["all of it"] = (self.path.stat().st_size, sum(member.file_size for member in members))
        for name, (packed, claimed) in sizes.items():
            if claimed > _RATIO_COUNTS_FROM and claimed > _LARGEST_RATIO * packed:
                raise DataError(
                    f"{self.path}: {name}: has {packed} bytes and claims to unpack to {claimed}, more than "
                    f"{_LARGEST_RATIO} times as many; such an archive is not unpacked"
                )

    def _check_space(self, missing: dict[str, Path]) -> None:
        if not missing:
            return
        folder = next(iter(missing.values())).parent
        while not folder.exists():
            folder = folder.parent
        needed, disk = sum(self.members[p].file_size for p in missing), shutil.disk_usage(folder)
        usable = disk.free - _LEFT_FREE * disk.total
        if needed > usable:
            raise DataError(
                f"{self.path}: unpacking needs {needed / 1e9:.1f} GB, {folder} has {disk.free / 1e9:.1f} GB "
                f"left, of which {max(usable, 0) / 1e9:.1f} may be used; make room and run again"
            )

    def _is_there(self, path: str, target: Path) -> bool:
        member = self.members[path]
        if not target.is_file() or target.stat().st_size != member.file_size:
            return False
        checksum = 0
        with open(target, "rb") as stream:
            while block := stream.read(_BLOCK):
                checksum = zlib.crc32(block, checksum)
        return checksum == member.CRC

    def _write(self, path: str, target: Path) -> None:
        """Write one member beside `target`, then rename; zipfile compares the checksum at the end."""
        member = self.members[path]
        partial = target.with_name(f".{target.name}.partial")
        try:
            with open(partial, "wb") as stream:
                self._copy(member, stream)
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)

    def _copy(self, member: zipfile.ZipInfo, stream: BinaryIO | None = None) -> None:
        """Unpack a member into `stream` or nowhere; its size and checksum must be what the archive says."""
        done = 0
        with self._zip.open(member) as source:
            while block := source.read(_BLOCK):
                done += len(block)
                if done > member.file_size:
                    raise zipfile.BadZipFile(f"is larger than the {member.file_size} bytes it claims")
                if stream is not None:
                    stream.write(block)
        if done != member.file_size:
            raise zipfile.BadZipFile(f"has {done} bytes, claims {member.file_size}")

    def _damaged(self, path: str, error: Exception) -> DataError:
        return DataError(f"{self.path}: member {path}: is damaged: {error}; {_HOW}")
