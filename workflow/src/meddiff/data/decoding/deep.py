"""Values of more than 8 bits, and the rules by which they become 8."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from meddiff.config.schema.data.intensity import FileWindow, FullRange, Intensity, Percentiles, Window
from meddiff.errors import DataError

HOW = (
    "say `intensity: {kind: percentile, low: 0.5, high: 99.5}` or `intensity: {kind: window, center: C, "
    "width: W}` in the dataset's file"
)
_BLOCK = 1 << 22  # values that are converted at once
_MOST_LEVELS = 1 << 16

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Deep:
    """Values as they are stored, and what the file says of them.

    Attributes:
        values: [H, W], or [H, W, 3] RGB; integers or floating-point numbers.
        bits: how many of them the file says are significant; None where values have no fixed range.
        signed: whether half of the range of `bits` is below zero.
        dicom: whether it is a DICOM file.
        rescale: from stored values to the file's units; None where they are the same.
        window: from these units to shares of white between 0 and 1, as the file itself says; None where it
            says nothing.
        inverted: whether the lowest value is white.
        padding: lowest and highest of the stored values that are no part of the image.
    """

    values: np.ndarray
    bits: int | None
    signed: bool = False
    dicom: bool = False
    rescale: Function | None = None
    window: Function | None = None
    inverted: bool = False
    padding: tuple[float, float] | None = None

    def rule(self, intensity: Intensity | None) -> Intensity:
        """`intensity`, or what is done where a dataset says nothing."""
        return intensity or (FileWindow(kind="dicom") if self.dicom else FullRange(kind="full_range"))

    def by_its_range(self, intensity: Intensity | None) -> bool:
        """Whether black and white are the lowest and highest value of the image: it has no window."""
        return isinstance(self.rule(intensity), FileWindow) and self.window is None and self._is_deep()

    def _is_deep(self) -> bool:
        # DICOM has windows for grey only; colours of 16 bits take their full range.
        return self.values.ndim == 2 and (self.bits is None or self.bits > 8)


def to_8_bit(
    path: str | os.PathLike[str], deep: Deep, bits: int | None = None, intensity: Intensity | None = None
) -> np.ndarray:
    """Scale `deep` by a rule: shares of white times 255, rounded; padding becomes black.

    Args:
        path: the file, for messages.
        deep: what was read.
        bits: significant bits, in place of what the file says.
        intensity: the rule; None for a DICOM file's own window, and for the full range of others.

    Returns:
        uint8 of the shape of `deep.values`.

    Raises:
        DataError: the rule cannot be applied to these values, or a value is outside of the range of `bits`.
    """
    values = deep.values
    if values.dtype.kind == "f":
        _check_finite(path, values)
    low, high = values.min(), values.max()
    rule = deep.rule(intensity)
    if values.dtype.kind == "f" or int(high) - int(low) >= _MOST_LEVELS:
        kept = values if deep.padding is None else values[~_is_padding(values, deep)]
        units = _units(deep, kept.ravel())
        shares = _shares(path, deep, bits, rule, _Levels(units, None))
        return _by_blocks(values, lambda part: _shades(part, shares, deep))
    levels = np.arange(int(low), int(high) + 1)
    counts = _counts(values, int(low), len(levels))
    counts[_is_padding(levels, deep)] = 0
    shares = _shares(path, deep, bits, rule, _Levels(_units(deep, levels), counts))
    table = _shades(levels, shares, deep)
    return _by_blocks(values, lambda part: table[part.astype(np.int64) - int(low)])


@dataclass(frozen=True)
class _Levels:
    """Values in the file's units, and how many pixels have each; None where every pixel has its own."""

    units: np.ndarray
    counts: np.ndarray | None

    def present(self) -> np.ndarray:
        return self.units if self.counts is None else self.units[self.counts > 0]

    def range(self) -> tuple[float, float]:
        found = self.present()
        return (float(found.min()), float(found.max())) if found.size else (0.0, 0.0)

    def percentiles(self, *percents: float) -> list[float]:
        """The smallest values that at least so many percent of the pixels do not exceed."""
        if not self.present().size:
            return [0.0 for _ in percents]
        if self.counts is None:
            ranks = [max(int(np.ceil(percent / 100 * self.units.size)), 1) - 1 for percent in percents]
            sorted_there = np.partition(self.units, ranks)
            return [float(sorted_there[rank]) for rank in ranks]
        order = np.argsort(self.units, kind="stable")
        upto = np.cumsum(self.counts[order])
        wanted = [max(int(np.ceil(percent / 100 * upto[-1])), 1) for percent in percents]
        return [float(self.units[order][np.searchsorted(upto, count)]) for count in wanted]


def _shares(
    path: str | os.PathLike[str], deep: Deep, bits: int | None, rule: Intensity, levels: _Levels
) -> Function:
    """From the file's units to shares of white; what is outside of 0 and 1 is clipped later."""
    if isinstance(rule, Window):
        return _between(rule.center - rule.width / 2, rule.center + rule.width / 2)
    if isinstance(rule, Percentiles):
        return _between(*levels.percentiles(rule.low, rule.high))
    if isinstance(rule, FileWindow):
        if not deep.dicom:
            raise DataError(
                f"{path}: has more than 8 bits but is no DICOM file, so it has no window of its own; {HOW}, "
                "or `intensity: {kind: full_range}`"
            )
        if deep.window is not None:
            return deep.window
        if deep.by_its_range(rule):
            return _between(*levels.range())
    return _full_range(path, deep, bits, levels)


def _full_range(path: str | os.PathLike[str], deep: Deep, bits: int | None, levels: _Levels) -> Function:
    if deep.bits is None:
        low, high = levels.range()
        kind = "floating-point" if deep.values.dtype.kind == "f" else "signed or 32-bit"
        raise DataError(f"{path}: has {kind} values, {low:g} to {high:g}, which have no fixed range; {HOW}")
    bits = bits or deep.bits
    black, white = (-(1 << bits - 1), (1 << bits - 1) - 1) if deep.signed else (0, (1 << bits) - 1)
    kept = deep.values if deep.padding is None else deep.values[~_is_padding(deep.values, deep)]
    for value in (kept.max(initial=black), kept.min(initial=white)):
        if not black <= value <= white:
            raise DataError(
                f"{path}: has the value {int(value)}, but with `bits: {bits}` "
                + (f"white is {white}" if value > white else f"black is {black}")
                + "; give the dataset more bits or mend the file"
            )
    ends = _units(deep, np.array([black, white]))
    return _between(float(ends.min()), float(ends.max()))


def _between(black: float, white: float) -> Function:
    span = white - black
    return lambda units: (units - black) / span if span > 0 else np.zeros(units.shape)


def _shades(stored: np.ndarray, shares: Function, deep: Deep) -> np.ndarray:
    shades = np.rint(np.clip(shares(_units(deep, stored)), 0, 1) * 255).astype(np.uint8)
    if deep.inverted:
        shades = 255 - shades
    shades[_is_padding(stored, deep)] = 0
    return shades


def _units(deep: Deep, stored: np.ndarray) -> np.ndarray:
    return deep.rescale(stored) if deep.rescale is not None else stored.astype(np.float64)


def _is_padding(stored: np.ndarray, deep: Deep) -> np.ndarray:
    if deep.padding is None:
        return np.zeros(stored.shape, bool)
    return (stored >= deep.padding[0]) & (stored <= deep.padding[1])


def _counts(values: np.ndarray, low: int, number: int) -> np.ndarray:
    counts = np.zeros(number, np.int64)
    for part in _blocks(values):
        counts += np.bincount((part.astype(np.int64) - low).ravel(), minlength=number)
    return counts


def _by_blocks(values: np.ndarray, convert: Function) -> np.ndarray:
    """`convert` applied to a few rows after another, which takes little memory beside the result."""
    shades, start = np.empty(values.shape, np.uint8), 0
    for part in _blocks(values):
        shades[start : start + len(part)] = convert(part)
        start += len(part)
    return shades


def _blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    rows = max(_BLOCK // max(values[0].size, 1), 1)
    for start in range(0, len(values), rows):
        yield values[start : start + rows]


def _check_finite(path: str | os.PathLike[str], values: np.ndarray) -> None:
    wrong = sum(int(np.count_nonzero(~np.isfinite(part))) for part in _blocks(values))
    if wrong:
        raise DataError(
            f"{path}: {wrong} of {values.size} values are not numbers (NaN or infinite), which are neither "
            "black nor white; replace them in the file, or leave its row out"
        )
