"""Where the images of a table lie, as ``image_dir`` says it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from meddiff.config.schema.data.layout import TableFormat
from meddiff.data.layouts.files import Located, locate
from meddiff.data.layouts.folder import ImageFolder
from meddiff.starting.looking.columns import spread
from meddiff.starting.looking.listing import Listing

_MOST_FOLDERS = 4
_SAMPLE = 300


def image_dir(listing: Listing, names: pd.Series) -> str | list[str]:
    """The narrowest folder or folders in which the images of a table are found.

    Args:
        listing: of the dataset's folder.
        names: of images, as the table has them.
    """
    sample = pd.Series(spread(list(names[names != ""].unique()), _SAMPLE), dtype=object)
    best, most = ".", -1
    for candidate in _candidates(_near(listing, sample)):
        found = located(listing, candidate, sample)
        number = int((~found.missing & ~found.wrong).sum())
        if number > most:
            best, most = candidate, number
    return best


def located(listing: Listing, folders: str | list[str], names: pd.Series) -> Located:
    """The files of names below some folders."""
    return locate(
        names, folder_of(listing, {"kind": "table", "csv": "-", "image_dir": folders}), listing.images
    )


def folder_of(listing: Listing, layout: dict[str, Any]) -> ImageFolder:
    """A dataset's folder as a table's layout sees it."""
    given = {"image_column": "-", "label_column": "-", **layout}
    return ImageFolder(listing.root, TableFormat.model_validate(given))


def _near(listing: Listing, names: pd.Series) -> list[str]:
    """Folders of the files that are called as the names are."""
    wanted = {PurePosixPath(name.replace("\\", "/")).name for name in names}
    parents = {
        str(PurePosixPath(path).parent)
        for path in listing.images
        if (name := PurePosixPath(path).name) in wanted or name.rsplit(".", 1)[0] in wanted
    }
    return sorted(parents)


def _candidates(parents: Sequence[str]) -> list[str | list[str]]:
    """Folders at every depth, the deepest first: by name where they are few, else as a pattern."""
    parts = [PurePosixPath(parent).parts for parent in parents]
    found: list[str | list[str]] = []
    for depth in range(max(map(len, parts), default=0), 0, -1):
        folders = {"/".join(of[:depth]) for of in parts if of}
        patterns = {_pattern(folder) for folder in folders}
        for several in (folders, patterns):
            usable = len(several) <= _MOST_FOLDERS and not any(re.fullmatch(r"[*/]+", one) for one in several)
            if usable and _apart(several):
                ordered = sorted(several)
                found.append(ordered[0] if len(ordered) == 1 else ordered)
                break
    return [*found, "."]


def _pattern(folder: str) -> str:
    """``images_001/images`` -> ``images_*/images``."""
    return re.sub(r"\d+", "*", folder)


def _apart(folders: Collection[str]) -> bool:
    """Whether none of the folders lies in another one."""
    return not any(
        PurePosixPath(one).is_relative_to(other) for one in folders for other in folders if one != other
    )
