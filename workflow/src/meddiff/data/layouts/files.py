"""Which file is the image of a row: names of tables compared with the files that are there."""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from meddiff.data.decoding.images import is_listed_image
from meddiff.data.layouts.folder import ImageFolder

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_SHOWN = 3


@dataclass(frozen=True)
class Located:
    """The files of rows.

    Attributes:
        path: canonical path of each row's image; where it is not there, the path that was expected.
        missing: rows whose image is not there.
        problems: one for each row whose name means no file below the folder, or several.
        wrong: these rows.
    """

    path: pd.Series
    missing: pd.Series
    problems: list[str]
    wrong: pd.Series


def locate(names: pd.Series, folder: ImageFolder, files: Iterable[str]) -> Located:
    """Find the images that a table names.

    A name is looked for in each folder of images: as it is; with the ending of the one file that has this
    name but for it; and, if it has no folder of its own, as the name of the one file below these folders that
    is called so. Absolute paths count from the dataset's folder where they lead into it. Of all paths that
    are still not found (of another machine, or with a folder more than there is here) as many leading folders
    are taken away as finds most of them: the same number for all rows.

    Args:
        names: of images, as the table has them.
        folder: the dataset's.
        files: canonical paths of the files in it.
    """
    index = _Index(folder, files)
    relative = {name: _relative(name, folder) for name in names.unique()}
    found: dict[str, list[str]] = {name: index.find(inner) for name, inner in relative.items()}
    lost = [name for name, paths in found.items() if not paths and name]
    found |= _without_leading_folders({name: relative[name] for name in lost}, index)
    several, outside = set(), set()
    path: dict[str, str] = {}
    for name, paths in found.items():
        path[name] = paths[0] if paths else str(PurePosixPath(folder.first, relative[name]))
        if len(paths) > 1:
            several.add(name)
        elif not paths and _leads_out(relative[name]):
            outside.add(name)
    problems = []
    for where, name in names.items():
        if name == "":
            problems.append(f"{where}: no image name")
        elif "\0" in name:
            problems.append(f"{where}: {name!r} has a NUL, which no file name can")
        elif name in outside:
            problems.append(
                f"{where}: {name!r} is outside the dataset's folder; expected a path relative to "
                f"{folder.first!r}"
            )
        elif name in several:
            shown = ", ".join(found[name][:_SHOWN])
            problems.append(
                f"{where}: {name!r} could be any of {shown}; say under image_dir which folder is meant"
            )
    wrong = names.isin([*several, *outside, ""]) | names.str.contains("\0", regex=False).astype(bool)
    missing = ~wrong & ~names.isin([name for name, paths in found.items() if paths])
    return Located(names.map(path), missing, problems, wrong)


def advice(missing: Sequence[str], total: int, folder: ImageFolder, files: Iterable[str]) -> str:
    """What to do about images that are not there: how many are, and what files there are.

    Args:
        missing: names of the images that are not there.
        total: rows of the table.
        folder: the dataset's.
        files: canonical paths of the files in it.
    """
    there = [path for path in files if is_listed_image(path) and folder.has(path)]
    endings = Counter(PurePosixPath(path).suffix for path in there)
    kinds = ", ".join(f"{number:,} {ending}" for ending, number in endings.most_common(_SHOWN))
    text = (
        f"{total - len(missing):,} of {total:,} images of the table found in {folder.root}; the first "
        f"that is not there is {missing[0]!r}. There are {len(there):,} image files below "
        f"{', '.join(folder.names)} ({kinds or 'none'})"
    )
    folded = {PurePosixPath(path).name.casefold(): path for path in there}
    if alike := [name for name in missing if _bare_name(name) in folded]:
        like = folded[_bare_name(alike[0])]
        return f"{text}; {like} differs from {alike[0]!r} in upper and lower case or in its folder only"
    if len(missing) == total:
        example = f", such as {min(there)}" if there else ""
        return f"{text}{example}: image_column, image_dir or the dataset's folder is another one"
    return f"{text}. `missing: leave_out` under format leaves these rows out"


class _Index:
    """Files by path, by path without ending, and by bare name."""

    def __init__(self, folder: ImageFolder, files: Iterable[str]) -> None:
        self._folder = folder
        self._paths = {path for path in files if is_listed_image(path)}
        below = [path for path in self._paths if folder.has(path)]
        self._dirs = folder.dirs(below)
        self._stems: Mapping[str, list[str]] = _by(below, lambda path: path.rsplit(".", 1)[0])
        self._names = _by(below, _bare)
        self._bare = _by(below, lambda path: _bare(path).rsplit(".", 1)[0])

    def find(self, relative: str, anywhere: bool = True) -> list[str]:
        """The files that can be meant; none, one, or several.

        Args:
            relative: path below a folder of images.
            anywhere: whether one without a folder may lie in any folder below these.
        """
        if not relative or _leads_out(relative):
            return []
        places = [relative if place == "." else f"{place}/{relative}" for place in self._dirs]
        if exact := [path for path in places if path in self._paths]:
            return exact
        if ending := sorted({path for place in places for path in self._stems.get(place, ())}):
            return ending
        if "/" in relative or not anywhere:
            return []
        return self._names.get(relative) or self._bare.get(relative) or []


def _without_leading_folders(lost: Mapping[str, str], index: _Index) -> dict[str, list[str]]:
    """What is found of names when the same number of leading folders is taken away of all."""
    parts = {name: relative.lstrip("/").split("/") for name, relative in lost.items()}
    deepest = max((len(of) for of in parts.values()), default=0)
    best: dict[str, list[str]] = {}
    for taken in range(1, deepest):
        found = {
            name: paths
            for name, of in parts.items()
            if len(of) > taken and (paths := index.find("/".join(of[taken:]), anywhere=False))
        }
        if len(found) > len(best):
            best = found
    return {name: best.get(name, []) for name in lost}


def _relative(name: str, folder: ImageFolder) -> str:
    """A name as a path with slashes; relative to the images where it is an absolute one that leads there."""
    if _DRIVE.match(name):
        name = name[2:]
    path = name.replace("\\", "/") if "/" not in name else name
    if path.startswith("~"):
        path = os.path.expanduser(path)
    if path.startswith("/"):
        for root in {os.path.abspath(folder.root), os.path.realpath(folder.root)}:
            if path.startswith(root + os.sep):
                inner = PurePosixPath(path[len(root) + 1 :])
                return (
                    str(inner.relative_to(folder.first)) if inner.is_relative_to(folder.first) else str(inner)
                )
        return path
    return posixpath.normpath(path) if path and ".." not in path.split("/") else path


def _bare(path: str) -> str:
    return path.rpartition("/")[2]


def _bare_name(name: str) -> str:
    return _bare(name.replace("\\", "/")).casefold()


def _leads_out(path: str) -> bool:
    return path.startswith("/") or ".." in path.split("/")


def _by(paths: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for path in sorted(paths):
        found[key(path)].append(path)
    return found
