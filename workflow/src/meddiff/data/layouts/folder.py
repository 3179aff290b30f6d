"""Where the files of a dataset lie below its folder.

Tables and manifests have canonical paths, as the published layout names them, so that the same images are the
same dataset wherever somebody unpacked them: ``CheXpert-v1.0-small/train/...`` also where the folder on disk
is called otherwise, has one more level above it, or is the dataset's folder itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

from meddiff.config.schema.data.layout import ArraysFormat, CheXpertFormat, Format, PlacesBase
from meddiff.errors import DataError

_DEEPEST = 3
_PATIENT = re.compile(r"patient\d+")


class ImageFolder:
    """A dataset's folder on disk, read by canonical paths.

    Attributes:
        root: the folder as named.
        prefix: the canonical path of `base`; everything below it may lie anywhere under `root`.
        base: the folder on disk that `prefix` stands for.
        names: folders of images as the layout names them, or patterns of such.
    """

    def __init__(self, root: Path, layout: Format) -> None:
        """Find the images of `layout` below `root`.

        Raises:
            DataError: several folders could be meant.
        """
        self.root = root
        self._layout = layout
        if isinstance(layout, CheXpertFormat):
            self.names = [str(PurePosixPath(layout.csv).parent)]
        elif isinstance(layout, ArraysFormat):
            self.names = ["."]
        else:
            self.names = layout.image_dirs if isinstance(layout, PlacesBase) else [layout.image_dir]
        literal = len(self.names) == 1 and not _is_pattern(self.names[0])
        self.prefix = PurePosixPath(self.names[0] if literal else ".")
        self.base = root / self.prefix
        if isinstance(layout, PlacesBase | ArraysFormat) or self._has_images(self.base):
            return
        found = self._search()
        if len(found) > 1:
            names = ", ".join(str(folder) for folder in found)
            raise DataError(f"{root}: the images could be in any of {names}; name one of them as the folder")
        if found:
            self.base = found[0]

    def file(self, path: str) -> Path:
        """The file on disk with this canonical path."""
        return Path(self.name(path))

    def name(self, path: str) -> str:
        """As `file`, as text: of 100,000 files the paths would take longer than to look at them."""
        prefix, base, root = self._as_text
        return base + path[len(prefix) :] if path.startswith(prefix) else root + path

    @cached_property
    def _as_text(self) -> tuple[str, str, str]:
        prefix = "" if self.prefix == PurePosixPath() else f"{self.prefix}/"
        return prefix, os.path.join(self.base, ""), os.path.join(self.root, "")

    def table(self, name: str) -> Path:
        """A file that the format names beside images; also beside these where it is not as named."""
        path = self.file(name)
        if isinstance(self._layout, PlacesBase | ArraysFormat):
            return path
        beside = self.base.parent / PurePosixPath(name).name
        return beside if not path.is_file() and beside.is_file() else path

    @property
    def first(self) -> str:
        """The first folder of images, as the layout names it."""
        return self.names[0]

    def has(self, path: str) -> bool:
        """Whether a canonical path is in one of the folders of images."""
        parent = path.rpartition("/")[0]
        return any(_below(parent, name) is not None for name in self.names)

    def dirs(self, paths: Iterable[str]) -> list[str]:
        """The folders of images that files are in, in the order of the layout and their names."""
        found: dict[str, None] = {}
        parents = {path.rpartition("/")[0] for path in paths}
        for name in self.names:
            matched = {_below(parent, name) for parent in parents} if _is_pattern(name) else {name}
            found |= dict.fromkeys(sorted(matched - {None}))
        return list(found)

    def missing_dirs(self) -> list[str]:
        """Folders of images that are not there, as the layout names them."""
        return [name for name in self.names if not any(path.is_dir() for path in self._places(name))]

    def walk(self) -> Iterator[str]:
        """Canonical paths of all files below the folders of images."""
        seen: set[str] = set()
        for name in self.names:
            for place in self._places(name):
                prefix = self.prefix if place == self.base else PurePosixPath(place.relative_to(self.root))
                start = "" if prefix == PurePosixPath() else f"{prefix}/"
                paths = [start + path for path in walk_files(place)]
                yield from (path for path in paths if path not in seen)
                seen.update(paths)

    def _places(self, name: str) -> list[Path]:
        """The folders on disk that a name of the layout means."""
        if _is_pattern(name):
            return sorted(path for path in self.root.glob(name) if path.is_dir())
        return [self.base if len(self.names) == 1 else self.root / name]

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


def _is_pattern(name: str) -> bool:
    return any(character in name for character in "*?[")


@cache
def _below(parent: str, name: str) -> str | None:
    """The folder that `name` (which may be a pattern) means for files in `parent`; None if it is not above.

    Args:
        parent: canonical path of a folder, blank for the dataset's own.
        name: as a layout names a folder of images.
    """
    parts, wanted = PurePosixPath(parent).parts, PurePosixPath(name).parts
    if len(parts) < len(wanted):
        return None
    if all(fnmatchcase(part, pattern) for part, pattern in zip(parts, wanted, strict=False)):
        return str(PurePosixPath(*parts[: len(wanted)]))
    return None


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
        below = Path(parent).relative_to(folder).as_posix()
        start = "" if below == "." else f"{below}/"
        yield from (start + file for file in files if not file.startswith("."))


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
