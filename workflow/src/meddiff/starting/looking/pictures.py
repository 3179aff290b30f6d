"""A look at some of the images: sizes, kinds of pixels, and a sheet with examples of each class."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.decoding.dataset_images import DatasetImages
from meddiff.errors import DataError, MeddiffError
from meddiff.io import atomic_path

_LOOKED_AT = 200
_THUMB, _ROW, _MARGIN, _TITLE = 72, 16, 6, 18  # pixels; images a row
_MOST_ROWS = 40
_GREY_BY = 8  # of 255, by which channels of a grey JPEG may differ


@dataclass(frozen=True)
class Looks:
    """What a sample of images looks like.

    Attributes:
        sides: the shorter side of each, in pixels.
        sizes: (width, height) -> images.
        modes: kind of pixels -> images.
        coloured: images whose channels differ.
        deepest: the largest value of images with more than 8 bits; 0 where there are none.
        unreadable: what is wrong with those that cannot be read.
    """

    sides: Sequence[int]
    sizes: Counter
    modes: Counter
    coloured: int
    deepest: int
    unreadable: Sequence[str]

    @property
    def side(self) -> int:
        """The median of the shorter sides."""
        return int(np.median(self.sides))

    @property
    def channels(self) -> int:
        """3 where most images are in colour, else 1."""
        return 3 if self.coloured > len(self.sides) / 2 else 1

    @property
    def bits(self) -> int | None:
        """Bits of images with more than 8 and fewer than 16, as their largest value says; else None."""
        return max(10, int(self.deepest).bit_length()) if 255 < self.deepest < 32768 else None

    def in_words(self) -> list[str]:
        """For comments."""
        (width, height), number = self.sizes.most_common(1)[0]
        size = f"{width} x {height} px"
        if len(self.sizes) > 1:
            size = (
                f"{len(self.sizes)} sizes, mostly {size} ({number}); shorter sides {min(self.sides)} to "
                f"{max(self.sides)} px"
            )
        modes = ", ".join(f"{mode} {number}" for mode, number in self.modes.most_common())
        lines = [f"{len(self.sides)} images looked at: {size}; pixels {modes}; {self.coloured} in colour."]
        return lines + [f"Cannot be read: {text}" for text in self.unreadable[:3]]


def look(table: pd.DataFrame, images: DatasetImages) -> Looks:
    """Look at some images of a canonical table, chosen by a hash of their ids.

    Raises:
        DataError: none of them can be read.
    """
    sides, sizes, modes, coloured, deepest, unreadable = [], Counter(), Counter(), 0, 0, []
    for path in _chosen(table, _LOOKED_AT)["path"]:
        try:
            picture = images.picture(path)
            peak = picture.peak
        except MeddiffError as error:
            unreadable.append(str(error))
            continue
        image = picture.image
        sides.append(min(image.size))
        sizes[image.size] += 1
        modes[image.mode] += 1
        coloured += _in_colour(image)
        deepest = max(deepest, peak)
    if not sides:
        raise DataError(f"none of the images looked at can be read; the first: {unreadable[0]}")
    return Looks(sides, sizes, modes, coloured, deepest, unreadable)


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
                picture = images.picture(file).to_8_bit(dataset.channels, dataset.bits or 16)
            except MeddiffError:  # `validate` names the file; here its place stays empty
                continue
            thumb = picture.convert("RGB")
            thumb.thumbnail((_THUMB, _THUMB))
            sheet.paste(thumb, (_MARGIN + column * step, top + _TITLE))
    with atomic_path(path) as temporary:
        sheet.save(temporary)


def _chosen(table: pd.DataFrame, number: int) -> pd.DataFrame:
    """Some rows, whatever the order of the table."""
    order = table["image_id"].map(lambda name: hashlib.sha256(name.encode()).hexdigest())
    return table.iloc[np.argsort(order.to_numpy(dtype=str), kind="stable")[:number]]


def _in_colour(image: Image.Image) -> bool:
    if image.mode in ("L", "I", "F", "1") or image.mode.startswith("I;"):
        return False
    pixels = np.asarray(image.convert("RGB").resize((32, 32)), dtype=np.int16)
    return int((pixels.max(axis=2) - pixels.min(axis=2)).max()) > _GREY_BY
