"""What the values of a DICOM file mean: units, window, padding (PS3.3, C.11.1 and C.11.2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pydicom import Dataset

Function = Callable[[np.ndarray], np.ndarray]


def rescale(dataset: Dataset) -> Function | None:
    """From stored values to units: lookup table, or slope and intercept; None where the file has neither.

    Raises:
        ValueError: slope and intercept are no numbers, or the table is damaged.
    """
    if table := _first_item(dataset, "ModalityLUTSequence"):
        look_up, _ = _lookup_table(table, dataset)
        return look_up
    slope, intercept = _number(dataset, "RescaleSlope"), _number(dataset, "RescaleIntercept")
    if slope is None and intercept is None:
        return None
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    if slope == 0:
        raise ValueError("its RescaleSlope is 0, by which all values become equal")
    return lambda stored: stored * slope + intercept


def window(dataset: Dataset) -> Function | None:
    """From units to shares of white: VOI lookup table, or the first window; None where the file has neither.

    A window whose width is 0 or less says nothing.

    Raises:
        ValueError: center and width are no numbers, or a lookup table or its function is unknown.
    """
    if table := _first_item(dataset, "VOILUTSequence"):
        look_up, white = _lookup_table(table, dataset)
        return lambda units: look_up(units) / white
    center, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    if center is None or width is None or width <= 0:
        return None
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    if function == "SIGMOID":
        return lambda units: 1 / (1 + np.exp(np.clip(-4 * (units - center) / width, -700, 700)))
    if function == "LINEAR" and width >= 1:
        # C.11.2.1.2.1: of n levels the lowest is black and the highest white, and a half is between two.
        center, width = center - 0.5, width - 1
    elif function not in ("LINEAR", "LINEAR_EXACT"):
        raise ValueError(f"its VOILUTFunction is {function!r}; known are LINEAR, LINEAR_EXACT and SIGMOID")
    if width == 0:
        return lambda units: (units > center).astype(np.float64)
    return lambda units: (units - center) / width + 0.5


def padding(dataset: Dataset) -> tuple[float, float] | None:
    """Lowest and highest stored value that is no part of the image (C.7.5.1.1.2); None where none is."""
    value = _number(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = _number(dataset, "PixelPaddingRangeLimit")
    other = value if limit is None else limit
    return min(value, other), max(value, other)


def lift_shared(dataset: Dataset) -> None:
    """Put what an enhanced file says of its frames where other files say it."""
    for sequence in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        groups = _first_item(dataset, sequence)
        for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            item = _first_item(groups, macro) if groups is not None else None
            for element in item or ():
                if element.keyword not in dataset:
                    dataset.add(element)


def _lookup_table(table: Dataset, dataset: Dataset) -> tuple[Function, float]:
    """A function of units, and its white; what is outside of the table has its first or last value."""
    try:
        entries, first, bits = (int(part) for part in table.LUTDescriptor)
        data = table.LUTData
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError("has a lookup table without LUTDescriptor or LUTData") from error
    entries = entries or 1 << 16
    if isinstance(data, bytes):
        little = dataset.original_encoding[1] is not False
        kind = np.uint8 if len(data) in (entries, entries + 1) else np.dtype("<u2" if little else ">u2")
        data = np.frombuffer(data[: entries * np.dtype(kind).itemsize], kind)
    shades = np.asarray(data, np.float64).ravel()[:entries]
    if shades.size != entries or not 0 < bits <= 16:
        raise ValueError(f"has a lookup table of {shades.size} values where {entries} are announced")
    # Some tables of 12 bits say that they have 16.
    white = (1 << min(bits, max(int(shades.max()).bit_length(), 1))) - 1
    return lambda units: shades[np.clip(np.rint(units - first), 0, entries - 1).astype(np.int64)], white


def _first_item(dataset: Dataset, keyword: str) -> Dataset | None:
    sequence = dataset.get(keyword)
    return sequence[0] if sequence else None


def _number(dataset: Dataset, keyword: str) -> float | None:
    """The first value of an element; None where it is not there or empty."""
    value: Any = dataset.get(keyword)
    if value is not None and not isinstance(value, (str, bytes, int, float)) and hasattr(value, "__len__"):
        value = value[0] if len(value) else None
    if value is None or value in ("", b""):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"its {keyword} is no number") from error
    if not math.isfinite(number):
        raise ValueError(f"its {keyword} is no finite number")
    return number
