"""What a layout says about its rows: which count, what is derived of them, how they are labelled."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from meddiff.config.schema.data.classes import Label
from meddiff.config.schema.strict import Column, Extraction, InnerPath, Name, Strict


def unset(default: Any, description: str, **more: Any) -> Any:
    """A field that is left out of what rules depend on while it has its default.

    A key that comes with a new version then makes nothing stale that was made before it.
    """
    return Field(default=default, description=description, exclude_if=lambda value: value == default, **more)


class Condition(Strict):
    """What a cell must be for its row to count."""

    model_config = ConfigDict(serialize_by_alias=True)

    column: Column
    equal: Label | None = unset(None, "the cell is this")
    in_: list[Label] | None = unset(None, "the cell is one of these", alias="in", min_length=1)
    not_: Label | list[Label] | None = unset(None, "the cell is not this, or none of these", alias="not")
    less: float | None = unset(None, "the cell is a number below this; a blank one is not")
    at_least: float | None = unset(None, "the cell is a number of at least this; a blank one is not")
    present: bool | None = unset(None, "the cell says something (true), or is blank, NA or the like (false)")

    @model_validator(mode="after")
    def _one_question(self) -> Condition:
        asked = [key for key, value in self if key != "column" and value is not None]
        if len(asked) != 1:
            raise ValueError(
                f"a condition has one of equal, in, not, less, at_least, present; got {len(asked)}: write "
                "several conditions for several questions, all of which must hold"
            )
        return self


class DerivedColumn(Strict):
    """A column that the table does not have: a part of another one."""

    column: Column
    pattern: Extraction = Field(
        description="regular expression that matches the cell as a whole; its one group is the new cell"
    )


class OneHot(Strict):
    """Labels in columns of their own, each with 1 for yes and 0 for no; the columns' names are the values."""

    columns: list[Column] = Field(min_length=1, description="the value of a row is the column that has a 1")
    none: Label | None = unset(None, "the value of a row that has a 1 in none of them")
    blank: Literal["error", "negative", "leave_out"] = unset(
        "error", "a blank cell: an error, a no, or its row is left out"
    )
    uncertain: Literal["error", "negative", "positive", "leave_out"] = unset(
        "error", "a cell with -1: an error, a no, a yes, or its row is left out"
    )


class Join(Strict):
    """A second table, whose columns are added to the first where the keys agree."""

    csv: InnerPath = Field(description="CSV or Parquet file (by its ending) below the dataset's folder")
    key: Column = Field(description="column of the second table, each value once")
    to: Column | None = unset(None, "column of the first table that has the same values; `key` if not given")
    missing: Literal["error", "blank"] = unset("error", "a row without partner: an error, or blank cells")


class RowsBase(Strict):
    """What tables and listings of folders have in common."""

    columns: dict[Column, DerivedColumn] = unset({}, "new column -> what it is made of")
    lists: dict[Column, dict[Name, InnerPath]] = unset(
        {},
        "new column -> its cell -> text file with the images (a line each) that have it, such as official "
        "lists of a split",
    )
    where: list[Condition] = unset([], "rows that count: all of these hold")
    label_column: Column | None = unset(None, "column with the class")
    label_separator: str | None = unset(
        None,
        "what stands between several values of a cell, such as '|'; also of lists such as ['a', 'b']",
        min_length=1,
        max_length=20,
    )
    one_hot: OneHot | None = unset(None, "columns with 1 and 0, one a class, in place of `label_column`")
    blank: Literal["error", "leave_out"] = unset("error", "a row without a label")
    others: Literal["error", "leave_out"] = unset("error", "a row whose label is of no class")
    several: Literal["error", "leave_out"] = unset("error", "a row whose labels are of several classes")
    group_column: Column | None = Field(
        default=None, description="patient or lesion; splits keep it together"
    )
    group_columns: list[Column] = unset([], "several such columns, in place of one")
    keep: Literal["all", "first_per_group"] = unset("all", "all rows, or the first of every group")
    repeats: Literal["error", "merge"] = unset(
        "error",
        "several rows of one image: an error, or one row with the labels of all (tables with a row a finding "
        "or box)",
    )
    missing: Literal["error", "leave_out"] = unset("error", "a row whose image is not there")
    image_id: Literal["stem", "path"] | None = unset(
        None,
        "what names an image: its file's name without ending, or its path below the folder, where files of "
        "different folders have one name",
    )

    @model_validator(mode="after")
    def _labels_are_said_once(self) -> RowsBase:
        # That one of them is there is checked where the classes are known: images may have no labels.
        if self.label_column is not None and self.one_hot is not None:
            raise ValueError("say label_column or one_hot: where the class stands; not both")
        if self.label_separator is not None and self.one_hot is not None:
            raise ValueError("label_separator goes with label_column, not with one_hot")
        if self.one_hot is not None and self.blank != "error":
            raise ValueError("blank: cells of one_hot columns have a rule of their own; say one_hot.blank")
        if self.group_column is not None and self.group_columns:
            raise ValueError("give group_column for one column, or group_columns for several, not both")
        if self.keep != "all" and not self.groups:
            raise ValueError("keep: first_per_group needs group_column or group_columns")
        if both := sorted(self.columns.keys() & self.lists.keys()):
            raise ValueError(f"columns and lists both make the column {both[0]!r}")
        return self

    @property
    def groups(self) -> list[str]:
        """The columns that say which images belong together."""
        return self.group_columns or ([self.group_column] if self.group_column else [])
