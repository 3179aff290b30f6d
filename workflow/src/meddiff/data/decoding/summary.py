"""What many images have in common: conversions that nobody asked for, and what else is of note."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from meddiff.config.dataset_slices import ValidateParams
from meddiff.config.schema.data.intensity import Conversion
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.decoding.checks import Checked

_NOTES = {
    "turned": "are turned as their orientation tag says",
    "reduced": "are so large that they are read at half of their size or less",
    "inverted": "are inverted, since their lowest value is white (MONOCHROME1, or WhiteIsZero of TIFF)",
    "no window": "are DICOM files without a window of their own: the lowest value of each is black, the "
    "highest white",
}
# In the order in which they are told. What shows nothing is one of these.
_NOTHING = ("black", "white", "one value", "transparent", "one row of pixels")


def conversion_problems(
    dataset: DatasetConfig | ValidateParams, paths: Sequence[str], checked: Sequence[Checked]
) -> list[str]:
    """Say which images would have to be converted although the dataset does not say so, one line a kind.

    Args:
        dataset: its `channels` and `convert` are used.
        paths: of the images.
        checked: what was found out about each. Those that cannot be read do not count.
    """
    sound = [(path, c.traits) for path, c in zip(paths, checked, strict=True) if not (c.problem or c.flaw)]
    has_colour = dataset.channels == 3
    kinds: list[tuple[Conversion, Callable[[frozenset[str]], bool], str, str]] = [
        (
            "rgb_to_grey",
            lambda traits: not has_colour and "colour" in traits,
            "are in colour, but the dataset has `channels: 1`",
            " to have them made grey, or `channels: 3`",
        ),
        (
            "grey_to_rgb",
            lambda traits: has_colour and "colour" not in traits,
            "are grey, but the dataset has `channels: 3`",
            " to have three equal channels made of them, or `channels: 1`",
        ),
        (
            "cmyk_to_rgb",
            lambda traits: "cmyk" in traits,
            "have printing colours (CMYK), of which others are only approximately known",
            " to have them converted without a colour profile, or save them as RGB",
        ),
        (
            "drop_alpha",
            lambda traits: "translucent" in traits,
            "are transparent in places, and what is behind them is not known",
            " to have the colours taken as they are stored, or save them without transparency",
        ),
    ]
    problems = []
    for name, is_so, what, how in kinds:
        found = [path for path, traits in sound if is_so(traits)]
        if found and name not in dataset.convert:
            asked = ", ".join([*dataset.convert, name])
            problems.append(
                f"{len(found)} of {len(checked)} images {what} (the first is {found[0]}): say `convert: "
                f"[{asked}]` in the dataset's file{how}"
            )
    return problems


def notes(dataset: DatasetConfig | ValidateParams, checked: Sequence[Checked]) -> list[str]:
    """What is worth knowing and no problem by itself, with how many images it is of, one line each."""

    def count(trait: str) -> int:
        return sum(trait in c.traits for c in checked)

    lines = [f"{count(trait)} images {text}" for trait, text in _NOTES.items() if count(trait)]
    plain = count("8 bits")
    if dataset.intensity is not None and plain:
        lines.append(f"{plain} images have 8 bits and are taken as they are, whatever `intensity` says")
    empty = [f"{count(kind)} {kind}" for kind in _NOTHING if count(kind)]
    if empty:
        lines.append(f"{sum(c.flaw is not None for c in checked)} images show nothing: {', '.join(empty)}")
    return lines
