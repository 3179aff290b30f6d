"""The slices of a dataset's configuration that each data rule depends on.

A rule passes only its slice (`slice_of`), so that an edit elsewhere in the dataset's file reruns nothing.
The commands also take the complete document and read their slice out of it.
"""

from __future__ import annotations

import json
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from meddiff.config.schema.audit import AuditConfig
from meddiff.config.schema.data.balance import Balance
from meddiff.config.schema.data.classes import ClassConfig
from meddiff.config.schema.data.intensity import Intensity
from meddiff.config.schema.data.layout import Format
from meddiff.config.schema.data.leaks import LeaksConfig
from meddiff.config.schema.data.participants import ParticipantsConfig
from meddiff.config.schema.data.source import Source
from meddiff.config.schema.data.split import OfficialSplit, Split
from meddiff.config.schema.dataset import Bits, Conversions, DatasetConfig, Decoding
from meddiff.config.schema.strict import Strict
from meddiff.errors import ConfigError
from meddiff.text import script_safe_json


class FetchParams(Strict):
    """What `fetch` depends on."""

    source: Source
    format: Format


class OfficialParams(Strict):
    """What `getsplits` depends on."""

    split: OfficialSplit


class ValidateParams(Strict):
    """What `validate` depends on; the split says which rows are wanted."""

    format: Format
    classes: list[ClassConfig] = Field(min_length=1)
    channels: Literal[1, 3] = 3
    convert: Conversions = ()
    bits: Bits | None = None
    intensity: Intensity | None = None
    split: Split


class SplitParams(Strict):
    """What `split` depends on; the format is that of published split files.

    Of `leaks` it is what moves images to another split: what is only reported changes no split.
    """

    format: Format
    classes: list[ClassConfig] = Field(min_length=1)
    split: Split
    leaks: LeaksConfig = LeaksConfig()
    balance: Balance | None = None


class LeaksParams(Strict):
    """What `leaks` depends on, beside the splits; the kind of split says whether these are published."""

    classes: list[ClassConfig] = Field(min_length=1)
    split: Split
    leaks: LeaksConfig = LeaksConfig()


class StoreParams(Strict):
    """What `store` depends on, beside the size."""

    format: Format
    classes: list[ClassConfig] = Field(min_length=1)
    channels: Literal[1, 3] = 3
    bits: Bits | None = None
    decoding: Decoding = "full"
    intensity: Intensity | None = None


class StratifyParams(Strict):
    """What `stratify` depends on."""

    format: Format
    audit: AuditConfig


class DescribeParams(Strict):
    """What `describe` depends on, beside the splits."""

    format: Format
    classes: list[ClassConfig] = Field(min_length=1)
    participants: ParticipantsConfig | None = None


_ABOUT_ROWS = {
    *("columns", "where", "label_separator", "blank", "others", "several", "group_columns", "keep"),
    *("repeats", "missing", "image_id"),
}

Slice = TypeVar(
    "Slice",
    FetchParams,
    OfficialParams,
    ValidateParams,
    SplitParams,
    LeaksParams,
    StoreParams,
    StratifyParams,
    DescribeParams,
)


def slice_of(dataset: DatasetConfig, slice_model: type[Slice]) -> str:
    """The JSON string that a rule passes as ``--params``: the fields of `slice_model` only.

    Of published splits the checksums say all: where the files are found and what could be drawn instead are
    left out. Prompts are, since only text-to-image models depend on them. Of a format, files and stores of
    images depend on where these lie, and not on what becomes of the rows.
    """
    exclude: dict[str, Any] = {"classes": {"__all__": {"prompt"}}, "split": {"url", "recipe"}}
    if slice_model in (FetchParams, StoreParams):
        exclude["format"] = _ABOUT_ROWS
    document = dataset.model_dump(mode="json", include=set(slice_model.model_fields), exclude=exclude)
    if slice_model is SplitParams:
        moves = document.pop("leaks") and dataset.leaks.what_moves()
        document |= {"leaks": moves} if moves else {}
    return script_safe_json(document)


def parse_slice(text: str, slice_model: type[Slice]) -> Slice:
    """Read `slice_model` out of ``--params``: its own slice, or a complete dataset document.

    Raises:
        ConfigError: the text is no JSON object, or a key is unknown, missing or has an impossible value.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"--params: not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"--params: expected a JSON object, got {text!r}")
    if unknown := sorted(set(document) - set(DatasetConfig.model_fields)):
        known = ", ".join(DatasetConfig.model_fields)
        raise ConfigError(f"--params: unknown keys {', '.join(unknown)}; a dataset has {known}")
    try:
        return slice_model.model_validate(
            {k: v for k, v in document.items() if k in slice_model.model_fields}
        )
    except ValidationError as error:
        lines = [f"--params: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ConfigError("\n".join(lines)) from error
