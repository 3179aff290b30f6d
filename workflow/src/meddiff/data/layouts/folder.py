"""Where the files of a dataset lie below its folder.

Tables and manifests have canonical paths, as the published layout names them, so that the same images are the
same dataset wherever somebody unpacked them: ``CheXpert-v1.0-small/train/...`` also where the folder on disk
is called otherwise, has one more level above it, or is the dataset's folder itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from meddiff.config.schema.data.layout import ArraysFormat, CheXpertFormat, Format, TableFormat
from meddiff.errors import DataError

_DEEPEST = 3
_PATIENT = re.compile(r"patient\d+")


class ImageFolder:
    """A dataset's folder on disk, read by canonical paths.

    Attributes:
        root: the folder as named.
        prefix: the canonical path of `base`; everything below it may lie anywhere under `root`.
        base: the folder on disk that `prefix` stands for.
    """

    def __init__(self, root: Path, layout: Format) -> None:
        """Find the images of `layout` below `root`.

        Raises:
            DataError: several folders could be meant.
        """
        self.root = root
        self._layout = layout
        if isinstance(layout, CheXpertFormat):
            self.prefix = PurePosixPath(layout.csv).parent
        elif isinstance(layout, ArraysFormat):
            self.prefix = PurePosixPath()
        else:
            self.prefix = PurePosixPath(layout.image_dir)
        self.base = root / self.prefix
        if isinstance(layout, TableFormat | ArraysFormat) or self._has_images(self.base):
            return
        found = self._search()
        if len(found) > 1:
            names = ", ".join(str(folder) for folder in found)
            raise DataError(f"{root}: the images could be in any of {names}; name one of them as the folder")
        if found:
            self.base = found[0]

    def file(self, path: str) -> Path:
        """The file on disk with this canonical path."""
        canonical = PurePosixPath(path)
        if canonical.is_relative_to(self.prefix):
            return self.base / canonical.relative_to(self.prefix)
        return self.root / canonical

    def csv(self) -> Path:
        """The file with the labels; beside the images where it is not below the folder as named."""
        if isinstance(self._layout, ArraysFormat):
            return self.root / self._layout.file
        path = self.file(self._layout.csv)
        beside = self.base.parent / PurePosixPath(self._layout.csv).name
        return beside if not path.is_file() and beside.is_file() else path

    def walk(self) -> Iterator[str]:
        """Canonical paths of all files below `base`."""
        yield from (str(self.prefix / path) for path in walk_files(self.base))

    def _has_images(self, folder: Path) -> bool:
        if not isinstance(self._layout, CheXpertFormat):
            return folder.is_dir()
        try:
            with os.scandir(folder / "train") as entries:
                return any(_PATIENT.fullmatch(entry.name) for entry in entries)
        except OSError:
            return False

    def _search(self) -> list[Path]:
        """The folders nearest to `root` that can be `base`; several only at the same depth."""
        level = [self.root]
        for _ in range(_DEEPEST + 1):
            if found := [folder for folder in level if self._is_base(folder)]:
                return found
            level = [child for folder in level for child in _children(folder)]
        return []

    def _is_base(self, folder: Path) -> bool:
        if isinstance(self._layout, CheXpertFormat):
            return self._has_images(folder)
        return folder.name == self.prefix.name


def walk_files(folder: Path) -> Iterator[str]:
    """Paths of all files below `folder`, relative to it; links are followed, each folder once.

    Hidden files are left out: macOS puts one beside every image, with the image's ending.
    """
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        below = Path(parent).relative_to(folder)
        yield from ((below / file).as_posix() for file in files if not file.startswith("."))


def _children(folder: Path) -> list[Path]:
    """Sub-folders in order of their names; those of single patients are not worth a look."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e in entries if _is_folder(e) and not _PATIENT.fullmatch(e.name))
    except OSError:
        return []
    return [folder / name for name in names if not name.startswith(".")]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle must not hide its neighbours
        return False
