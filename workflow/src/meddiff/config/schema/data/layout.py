"""What lies where in the folder of a dataset, and what its tables say: ``format:``."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field

from meddiff.config.schema.data.rows import Join, RowsBase, unset
from meddiff.config.schema.strict import Column, InnerPath, InnerPaths, Strict


class CheXpertFormat(Strict):
    """CheXpert's folder tree and 14-label CSV; positive is effusion, negative is no finding."""

    kind: Literal["chexpert"]
    csv: InnerPath = "CheXpert-v1.0-small/train.csv"
    positive: Column = "Pleural Effusion"
    negative: Column = "No Finding"

    @property
    def tables(self) -> list[str]:
        """Its files with labels."""
        return [PurePosixPath(self.csv).as_posix()]


class ISICFormat(Strict):
    """One folder of JPEG images and a CSV with `image_name` and `target`."""

    kind: Literal["isic"]
    csv: InnerPath = "metadata.csv"
    image_dir: InnerPath = "images"

    @property
    def tables(self) -> list[str]:
        """Its files with labels."""
        return [PurePosixPath(self.csv).as_posix()]


class PlacesBase(RowsBase):
    """Where images lie."""

    image_dir: InnerPaths = Field(
        default=".",
        description="folder of the images, or several; `*` stands for any part of a folder's name",
    )

    @property
    def image_dirs(self) -> list[str]:
        """Folders of images, or patterns of such."""
        given = self.image_dir if isinstance(self.image_dir, list) else [self.image_dir]
        return [PurePosixPath(name).as_posix() for name in given]


class TableFormat(PlacesBase):
    """Any image folder with a table: a column that names images, and one or several that label them."""

    kind: Literal["table"]
    csv: InnerPaths = Field(
        description="CSV or Parquet file (by its ending), or several with the same columns, one after "
        "another; the column `table` says which"
    )
    delimiter: Literal[",", ";", "\t", "|"] = unset(",", "what stands between the cells of CSV files")
    join: list[Join] = unset([], "further tables, whose columns are added")
    image_column: Column = Field(description="names of images: paths, file names, or names without ending")

    @property
    def labels(self) -> list[str]:
        """The files that have the rows."""
        given = self.csv if isinstance(self.csv, list) else [self.csv]
        return [PurePosixPath(name).as_posix() for name in given]

    @property
    def tables(self) -> list[str]:
        """All files that are read beside images."""
        joined = [PurePosixPath(join.csv).as_posix() for join in self.join]
        return list(dict.fromkeys([*self.labels, *joined, *_listed(self)]))


class FoldersFormat(PlacesBase):
    """Images without a table: folders and names say everything.

    Each image file is a row with the columns `path` (below the dataset's folder), `folder` (the one that it
    lies in), `top` (the first one of its path) and `name`; `columns` makes more of them.
    """

    kind: Literal["folders"]
    label_column: Column | None = unset("folder", "column with the class; by default the folder's name")

    @property
    def tables(self) -> list[str]:
        """All files that are read beside images."""
        return _listed(self)


class ArraysFormat(Strict):
    """One `.npz` file with arrays `{train,val,test}_images` and `{train,val,test}_labels`, as MedMNIST's."""

    kind: Literal["arrays"]
    file: InnerPath = Field(description="such as pneumoniamnist_224.npz, below the dataset's folder")

    @property
    def tables(self) -> list[str]:
        """The file has images and labels."""
        return [PurePosixPath(self.file).as_posix()]


def _listed(layout: PlacesBase) -> list[str]:
    files = [PurePosixPath(path).as_posix() for of in layout.lists.values() for path in of.values()]
    return list(dict.fromkeys(files))


Format = Annotated[
    CheXpertFormat | ISICFormat | TableFormat | FoldersFormat | ArraysFormat, Field(discriminator="kind")
]
