"""Who is in the images: ``participants:``."""

from __future__ import annotations

from pydantic import Field, model_validator

from meddiff.config.schema.audit import ColumnValue
from meddiff.config.schema.strict import Column, InnerPath, Strict


class ParticipantsConfig(Strict):
    """Columns of a CSV file in the dataset's folder that describe an image and the person in it."""

    age: Column | None = Field(default=None, description="in years")
    sex: Column | None = None
    view: Column | None = Field(default=None, description="of the image, such as AP or PA")
    csv: InnerPath | None = Field(
        default=None, description="relative to the dataset's folder; the format's where not given"
    )
    id_column: Column | None = Field(
        default=None, description="column with image ids or file names; given together with `csv`"
    )

    @model_validator(mode="after")
    def _says_something(self) -> ParticipantsConfig:
        if not self.columns():
            raise ValueError("name a column of age, sex or view, or leave the key out")
        return self

    def columns(self) -> dict[str, ColumnValue]:
        """What -> column, of those that are named."""
        named = {"age": self.age, "sex": self.sex, "view": self.view}
        return {
            what: ColumnValue(kind="column", column=column, csv=self.csv, id_column=self.id_column)
            for what, column in named.items()
            if column is not None
        }
