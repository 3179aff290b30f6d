"""The flow of participants: how many rows a dataset has, how many are left out and why, how many are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meddiff.errors import DataError
from meddiff.io import read_json, write_json

_REPAIR = "delete it to have it made again"


@dataclass(frozen=True)
class Flow:
    """Rows of a dataset's labels.

    Attributes:
        found: all rows.
        left_out: reason -> rows that are left out for it, in this order.
    """

    found: int
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """What is left."""
        return self.found - sum(self.left_out.values())

    def then(self, reason: str, rows: int) -> Flow:
        """The flow after `rows` more are left out."""
        return Flow(self.found, {**self.left_out, reason: rows})


def write_flow(flow: Flow, path: Path) -> None:
    """Write `flow` as JSON, its reasons as pairs: objects of our JSON files are sorted."""
    write_json(path, {"found": flow.found, "left_out": [list(pair) for pair in flow.left_out.items()]})


def read_flow(path: Path) -> Flow:
    """What `write_flow` wrote.

    Raises:
        DataError: if it cannot be read.
    """
    content = _read(path)
    try:
        return Flow(int(content["found"]), {str(k): int(v) for k, v in content["left_out"]})
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is not the flow of a dataset's rows; {_REPAIR}") from error


@dataclass(frozen=True)
class Origin:
    """What became of the images of a dataset's table when they were split.

    Attributes:
        left_out: images in no split.
        moved: split -> images of it that are in train, because others of theirs are.
        groups: whether it is known of any image of which patient or lesion it is.
        balanced: split -> images that are in no split for its classes to be of equal size.
    """

    left_out: int
    moved: Mapping[str, int]
    groups: bool
    balanced: Mapping[str, int] = field(default_factory=dict)


def read_origin(origin: Path) -> Origin:
    """What ``origin.json`` beside the splits says.

    Raises:
        DataError: if it cannot be read, or does not say.
    """
    content = _read(origin)
    try:
        moved = {str(split): int(number) for split, number in content["moved"].items()}
        balanced = {str(split): int(number) for split, number in content.get("balanced", {}).items()}
        return Origin(int(content["left_out"]), moved, bool(content["groups"]), balanced)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{origin}: does not say what is in no split or moved; {_REPAIR}") from error


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); {_REPAIR}") from error
