"""A look at some of the images: sizes, kinds of pixels, and a sheet with examples of each class."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from meddiff.config.schema.data.intensity import Percentiles
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.decoding.checks import check_image
from meddiff.data.decoding.dataset_images import DatasetImages
from meddiff.data.decoding.picture import Picture
from meddiff.errors import DataError, MeddiffError
from meddiff.io import atomic_path

_LOOKED_AT = 100
_THUMB, _ROW, _MARGIN, _TITLE = 72, 16, 6, 18  # pixels; images a row
_MOST_ROWS = 40
_BY_PERCENTILE = Percentiles(kind="percentile")


@dataclass(frozen=True)
class Looks:
    """What a sample of images looks like.

    Attributes:
        sides: the shorter side of each, in pixels.
        sizes: (width, height) -> images.
        modes: kind of pixels -> images.
        traits: what the check of images counts (`meddiff.data.decoding.checks`) -> images.
        peak: the largest value of 16-bit images that say nothing of their bits; 0 where there are none.
        rangeless: images of numbers without a range, such as TIFF of floating-point ones.
        unreadable: what is wrong with those that cannot be read.
    """

    sides: Sequence[int]
    sizes: Mapping[tuple[int, int], int]
    modes: Mapping[str, int]
    traits: Mapping[str, int]
    peak: int
    rangeless: int
    unreadable: Sequence[str]

    @property
    def side(self) -> int:
        """The median of the shorter sides."""
        return int(np.median(self.sides))

    @property
    def coloured(self) -> int:
        """Images whose channels differ."""
        return self.traits.get("colour", 0)

    @property
    def channels(self) -> int:
        """3 where most images are in colour, else 1."""
        return 3 if self.coloured > len(self.sides) / 2 else 1

    @property
    def keys(self) -> dict[str, Any]:
        """Keys of a dataset's file without which these images would be refused."""
        keys: dict[str, Any] = {}
        if self.rangeless:
            keys["intensity"] = _BY_PERCENTILE.model_dump()
        elif 0 < self.peak < 1 << 15:
            keys["bits"] = max(8, self.peak.bit_length())
        grey = len(self.sides) - self.coloured
        wanted = {
            "rgb_to_grey": self.channels == 1 and self.coloured > 0,
            "grey_to_rgb": self.channels == 3 and grey > 0,
            "cmyk_to_rgb": self.traits.get("cmyk", 0) > 0,
            "drop_alpha": self.traits.get("translucent", 0) > 0,
        }
        if convert := [name for name, is_so in wanted.items() if is_so]:
            keys["convert"] = convert
        return keys

    def in_words(self) -> list[str]:
        """For comments."""
        (width, height), number = max(self.sizes.items(), key=lambda item: (item[1], item[0]))
        size = f"{width} x {height} px"
        if len(self.sizes) > 1:
            size = (
                f"{len(self.sizes)} sizes, mostly {size} ({number}); shorter sides {min(self.sides)} to "
                f"{max(self.sides)} px"
            )
        modes = ", ".join(f"{mode} {number}" for mode, number in self.modes.items())
        lines = [f"{len(self.sides)} images looked at: {size}; pixels {modes}; {self.coloured} in colour."]
        if self.peak:
            lines.append(f"The largest value is {self.peak:,}: `bits` says how many bits white has.")
        return lines + [f"Cannot be read: {text}" for text in self.unreadable[:3]]


def look(table: pd.DataFrame, dataset: DatasetConfig, images: DatasetImages) -> Looks:
    """Look at some images of a canonical table, chosen by a hash of their ids.

    Args:
        table: the canonical table.
        dataset: what is known of it.
        images: its pictures.

    Raises:
        DataError: none of them can be read.
    """
    sides, sizes, modes, traits = [], Counter(), Counter(), Counter()
    peak, rangeless, unreadable = 0, 0, []
    trial = dataset.model_copy(update={"intensity": _BY_PERCENTILE})
    for path in _chosen(table, _LOOKED_AT)["path"]:
        checked = check_image(images, trial, path)
        if checked.problem is not None:
            unreadable.append(checked.problem)
            continue
        with images.reading(path) as picture:
            deep = picture.deep
            sides.append(min(picture.size))
            sizes[picture.size] += 1
            modes[_mode(picture)] += 1
            traits.update(checked.traits)
            without = deep is not None and not deep.dicom and (deep.bits is None or deep.signed)
            rangeless += without
            peak = max(peak, 0 if deep is not None and deep.dicom else picture.peak)
    if not sides:
        raise DataError(f"none of the images looked at can be read; the first: {unreadable[0]}")
    return Looks(sides, sizes, dict(modes.most_common()), traits, peak, rangeless, unreadable)


def _mode(picture: Picture) -> str:
    """The kind of pixels, in a word or two."""
    if picture.deep is None:
        return picture.image.mode
    kind = "DICOM" if picture.deep.dicom else "grey"
    return f"{kind} of {picture.deep.bits} bits" if picture.deep.bits else f"{kind} without a range"


def contact_sheet(path: Path, table: pd.DataFrame, dataset: DatasetConfig, images: DatasetImages) -> None:
    """Write a PNG with sixteen images of each class, chosen by a hash of their ids.

    Args:
        path: the file.
        table: the canonical table.
        dataset: its classes and channels.
        images: its pictures.
    """
    names = [entry.name for entry in dataset.classes][:_MOST_ROWS]
    step = _THUMB + _MARGIN
    height = len(names) * (_TITLE + step) + _MARGIN
    sheet = Image.new("RGB", (_ROW * step + _MARGIN, height), "white")
    drawing, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for row, name in enumerate(names):
        of_class = table[table["label"] == row]
        top = row * (_TITLE + step) + _MARGIN
        title = f"{name}: {len(of_class):,} images".encode("latin-1", "replace").decode("latin-1")
        drawing.text((_MARGIN, top - 2), title, fill="black", font=font)
        for column, file in enumerate(_chosen(of_class, _ROW)["path"]):
            try:
                with images.reading(file) as picture:
                    pixels = picture.to_8_bit(dataset.channels, dataset.bits, dataset.intensity)
            except MeddiffError:  # `validate` names the file; here its place stays empty
                continue
            thumb = pixels.convert("RGB")
            thumb.thumbnail((_THUMB, _THUMB))
            sheet.paste(thumb, (_MARGIN + column * step, top + _TITLE))
    with atomic_path(path) as temporary:
        sheet.save(temporary)


def _chosen(table: pd.DataFrame, number: int) -> pd.DataFrame:
    """Some rows, whatever the order of the table."""
    order = table["image_id"].map(lambda name: hashlib.sha256(name.encode()).hexdigest())
    return table.iloc[np.argsort(order.to_numpy(dtype=str), kind="stable")[:number]]
