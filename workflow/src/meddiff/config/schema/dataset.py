"""What ``config/datasets/<name>.yaml`` may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from meddiff.config.schema.audit import AuditConfig
from meddiff.config.schema.augmentation import Augmentations
from meddiff.config.schema.data.balance import Balance
from meddiff.config.schema.data.classes import ClassConfig, as_label, is_unlabelled
from meddiff.config.schema.data.intensity import Conversion, Intensity
from meddiff.config.schema.data.layout import ArraysFormat, Format
from meddiff.config.schema.data.leaks import LeaksConfig
from meddiff.config.schema.data.participants import ParticipantsConfig
from meddiff.config.schema.data.rows import RowsBase
from meddiff.config.schema.data.source import Source
from meddiff.config.schema.data.split import Split, is_published
from meddiff.config.schema.strict import NotBool, Side, Strict, Title

Conversions = Annotated[tuple[Conversion, ...], Field(strict=False, max_length=4)]
Bits = Annotated[int, Field(ge=8, le=16)]
Decoding = Literal["full", "reduced"]


class DatasetConfig(Strict):
    """One dataset. Class index = position in `classes`; the last one of two is the positive class."""

    title: Title
    source: Source
    format: Format
    classes: list[ClassConfig] = Field(
        min_length=1,
        max_length=1000,
        description="with one class, a dataset can only be pretrained on; if that has no value, all images "
        "are of it",
    )
    image_size: Side = Field(description="side in pixels that images are resized to")
    channels: Annotated[Literal[1, 3], NotBool] = 3
    bits: Bits | None = Field(
        default=None, description="significant bits of 16-bit grey images: white is 2^bits - 1; default 16"
    )
    decoding: Decoding = Field(
        default="full",
        exclude_if=lambda decoding: decoding == "full",
        description="reduced: JPEG files at least four times as large as the store's images are decoded to a "
        "part of their size, which is faster and changes values a little",
    )
    intensity: Intensity | None = Field(
        default=None,
        description="how more than 8 bits become 8; a DICOM file's own window, and the full range of others",
        exclude_if=lambda rule: rule is None,
    )
    convert: Conversions = Field(
        default=(), description="what may be done to images that are not as `channels` says"
    )
    augmentation: Augmentations = Augmentations()
    split: Split
    balance: Balance | None = Field(
        default=None,
        exclude_if=lambda balance: balance is None,
        description="splits whose images are drawn by lot so that all classes are as large as the smallest",
    )
    sizes: dict[Literal["train", "valid", "test"], Annotated[int, Field(ge=1, le=10**9)]] | None = Field(
        default=None, description="images of each split, for `plan` to know them before the data is there"
    )
    audit: AuditConfig | None = Field(default=None, description="strata for the audit of shortcuts")
    participants: ParticipantsConfig | None = Field(
        default=None, description="columns that describe the people in the images, for the table of them"
    )

    leaks: LeaksConfig = Field(default=LeaksConfig(), description="what splits may have in common")

    @model_validator(mode="after")
    def _published_splits_stay(self) -> DatasetConfig:
        if is_published(self.split) and self.leaks.moves:
            raise ValueError(
                "leaks: published splits are reported on and never changed, so nothing can be moved to "
                "train; say `report`, or draw splits of your own: `split: {kind: recipe}`"
            )
        return self

    @model_validator(mode="after")
    def _classes_are_distinct(self) -> DatasetConfig:
        for attribute, same, values in (
            ("value", as_label, [value for c in self.classes for value in c.all_values]),
            ("name", str.casefold, [c.name for c in self.classes]),
        ):
            if len({same(value) for value in values}) != len(values):
                raise ValueError(f"classes: every {attribute} must be different, got {values}")
        if self.balance is not None and is_published(self.split):
            raise ValueError(
                f"balance: published splits (split.kind: {self.split.kind}) are taken as they are; leave it "
                "out and say `train: {sampler: balanced}` in the models' files, or draw splits with "
                "`split: {kind: recipe}`"
            )
        if self.sizes is not None and len(self.sizes) != 3:
            raise ValueError(f"sizes: expected train, valid and test, got {', '.join(self.sizes)}")
        if self.split.kind == "official" and self.format.kind not in ("chexpert", "isic"):
            raise ValueError(
                "split: `kind: official` goes with the formats chexpert and isic; a table or folders say "
                "which split a row is of with `kind: column` (and `lists` under format), or `kind: files`"
            )
        if self.split.kind == "column" and self.format.kind in ("chexpert", "isic"):
            raise ValueError("split: `kind: column` goes with the formats table and folders")
        if self.source.kind == "phantom" and self.format.kind not in ("chexpert", "isic"):
            raise ValueError("format: a phantom is generated in the layout of 'chexpert' or 'isic'")
        return self

    @model_validator(mode="after")
    def _says_what_is_of_a_class(self) -> DatasetConfig:
        labelled = isinstance(self.format, RowsBase) and (
            self.format.one_hot is not None or self.format.label_column is not None
        )
        if not is_unlabelled(self.classes):
            for position, one in enumerate(self.classes):
                if not one.all_values:
                    raise ValueError(f"classes.{position}: give value, or values for several")
            if isinstance(self.format, RowsBase) and not labelled:
                raise ValueError(
                    "format: say label_column or one_hot: where the class stands; images without labels have "
                    "one class without a value: `classes: [{name: image}]`"
                )
        elif not isinstance(self.format, RowsBase | ArraysFormat):
            raise ValueError(
                f"classes: the format {self.format.kind!r} has labels: say which are of the one class, such "
                "as `classes: [{values: [0, 1], name: image}]`"
            )
        elif labelled and {"label_column", "one_hot"} & self.format.model_fields_set:
            raise ValueError(
                "classes: the one class has no value, so all images are of it: leave out label_column and "
                "one_hot, or give the class its values"
            )
        return self

    @model_validator(mode="after")
    def _arrays_have_splits_and_no_columns(self) -> DatasetConfig:
        if self.format.kind != "arrays":
            if self.split.kind == "arrays":
                raise ValueError(
                    "split: 'arrays' are the splits of an .npz file, and format.kind is "
                    f"{self.format.kind!r}: say `split: {{kind: recipe}}` to draw them"
                )
            return self
        if self.split.kind == "official":
            raise ValueError("split: an .npz file brings its own splits: say `split: {kind: arrays}`")
        columns = [self.audit.value] if self.audit and self.audit.value.kind == "column" else []
        columns += self.participants.columns().values() if self.participants else []
        if any(column.csv is None for column in columns):
            raise ValueError(
                "audit, participants: an .npz file has no columns; name a CSV by `csv` and `id_column`"
            )
        return self
