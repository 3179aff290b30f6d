"""What lies in a folder: images, tables, lists and arrays."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from meddiff.data.decoding.images import is_image_file
from meddiff.data.layouts.cells import PARQUET
from meddiff.data.layouts.folder import walk_files
from meddiff.errors import DataError

TABLES = (".csv", ".tsv", *PARQUET)
_KINDS_SHOWN = 5


@dataclass(frozen=True)
class Listing:
    """Files of a dataset's folder, as sorted paths below it with slashes.

    Attributes:
        root: the folder.
        named: the file that was named in place of the folder; None where the folder was.
        files: all of them.
        images: those that end like images, or have no ending and begin as DICOM files do.
    """

    root: Path
    named: str | None
    files: list[str]
    images: list[str]

    @property
    def tables(self) -> list[str]:
        """CSV and Parquet files; only the one that was named, if one was."""
        if self.named is not None and self.named.lower().endswith(TABLES):
            return [self.named]
        return self.ending(*TABLES)

    def ending(self, *suffixes: str) -> list[str]:
        """Files with one of these endings, in lower case."""
        return [path for path in self.files if PurePosixPath(path).suffix.lower() in suffixes]

    def in_words(self) -> str:
        """How many files of which kind there are."""
        kinds = Counter(PurePosixPath(path).suffix.lower() or "no ending" for path in self.files)
        shown = [f"{number:,} {kind}" for kind, number in kinds.most_common(_KINDS_SHOWN)]
        return ", ".join([*shown, *["others"] * (len(kinds) > _KINDS_SHOWN)]) or "no files"


def list_folder(path: Path) -> Listing:
    """List a folder, or the folder of a file.

    Raises:
        DataError: there is nothing, or no file in the folder.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder; expected a folder of images or a CSV file")
    root = path if path.is_dir() else path.parent
    try:
        files = sorted(walk_files(root))
    except OSError as error:
        raise DataError(f"{root}: cannot be read: {error.strerror}") from error
    named = None if path.is_dir() else path.name
    if named is not None and not named.lower().endswith((*TABLES, ".npz")):
        raise DataError(f"{path}: expected a folder, a table ({', '.join(TABLES)}) or an .npz file")
    if not files:
        raise DataError(
            f"{root}: is empty; expected images, and a table with their labels or a folder a class"
        )
    images = [path for path in files if is_image_file(root / path)]
    return Listing(root, named, files, images)
