"""What lies where in the folder of a dataset, and what its tables say: ``format:``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from meddiff.config.schema.strict import Column, InnerPath, Strict


class CheXpertFormat(Strict):
    """CheXpert's folder tree and 14-label CSV; positive is effusion, negative is no finding."""

    kind: Literal["chexpert"]
    csv: InnerPath = "CheXpert-v1.0-small/train.csv"
    positive: Column = "Pleural Effusion"
    negative: Column = "No Finding"


class ISICFormat(Strict):
    """One folder of JPEG images and a CSV with `image_name` and `target`."""

    kind: Literal["isic"]
    csv: InnerPath = "metadata.csv"
    image_dir: InnerPath = "images"


class TableFormat(Strict):
    """Any image folder with a CSV: one row an image, a label column, optionally a group column."""

    kind: Literal["table"]
    csv: InnerPath
    image_column: Column
    label_column: Column
    group_column: Column | None = Field(
        default=None, description="patient or lesion; splits keep it together"
    )
    image_dir: InnerPath = "."


class ArraysFormat(Strict):
    """One `.npz` file with arrays `{train,val,test}_images` and `{train,val,test}_labels`, as MedMNIST's."""

    kind: Literal["arrays"]
    file: InnerPath = Field(description="such as pneumoniamnist_224.npz, below the dataset's folder")


Format = Annotated[CheXpertFormat | ISICFormat | TableFormat | ArraysFormat, Field(discriminator="kind")]
