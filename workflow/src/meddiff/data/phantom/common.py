"""What both phantoms share: the draw of each case, smooth fields, and the files beside the images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from meddiff.config.schema.data.source import PhantomSource
from meddiff.data.tables import write_csv

# First word of every seed sequence: one independent random stream for each purpose.
STREAM_PAIR, STREAM_CASE, STREAM_PIXELS, STREAM_LAYOUT = range(4)

_JPEG_QUALITY = 92
_FIELD_WAVES = 4


@dataclass(frozen=True)
class Case:
    """One phantom image before it is drawn.

    Attributes:
        index: 0-based number of the image.
        label: 1 = positive (effusion, melanoma), 0 = negative.
        difficulty: 0 plain to 1 not visible.
        cue: whether the shortcut cue is planted.
    """

    index: int
    label: int
    difficulty: float
    cue: bool


@dataclass(frozen=True)
class Drawing:
    """A drawn image: `pixels` uint8 [H,W] or [H,W,3], and the evidence `mask`, bool [H,W]."""

    pixels: np.ndarray
    mask: np.ndarray


def stream(source: PhantomSource, purpose: int, index: int, part: int = 0) -> np.random.Generator:
    """The random generator for one purpose and index: a pure function of its arguments."""
    return np.random.default_rng([purpose, source.seed, index, part])


def draw_case(source: PhantomSource, index: int) -> Case:
    """Label, difficulty and cue of image `index`; the same however many images are generated.

    Of each two images 2k and 2k+1 one is positive, so the classes are balanced without the label
    being readable from the index.
    """
    first_is_positive = stream(source, STREAM_PAIR, index // 2).random() < 0.5
    label = int(first_is_positive == (index % 2 == 0))
    rng = stream(source, STREAM_CASE, index)
    low, high = source.difficulty
    difficulty = low + (high - low) * float(rng.random())
    agrees = bool(rng.random() < source.shortcut)
    cue = source.shortcut > 0 and agrees == bool(label)
    return Case(index, label, difficulty, cue)


def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel-centre coordinates x and y, each float [H,W], from -1 (left, top) to 1 (right, bottom)."""
    y, x = np.meshgrid(
        (np.arange(height) + 0.5) * 2 / height - 1, (np.arange(width) + 0.5) * 2 / width - 1, indexing="ij"
    )
    return x, y


def step(value: np.ndarray, width: float = 0.04) -> np.ndarray:
    """A soft step: 0 where `value` is well below 0, 1 where well above, over about `width`."""
    return 0.5 * (1 + np.tanh(value / width))


def smooth_field(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A random smooth field [H,W] with a standard deviation of about 1 (a few cosine waves)."""
    field = np.zeros_like(x)
    for _ in range(_FIELD_WAVES):
        kx, ky = rng.normal(0, 2.5, 2)
        field += np.cos(kx * x + ky * y + rng.uniform(0, 2 * np.pi))
    return field * np.sqrt(2 / _FIELD_WAVES)


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Clip `values` (0 black to 1 white) and round them to 0..255."""
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def save_jpeg(pixels: np.ndarray, path: Path) -> None:
    """Write uint8 pixels [H,W] or [H,W,3] as JPEG; make the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=_JPEG_QUALITY, subsampling=0)


def save_mask(mask: np.ndarray, path: Path) -> None:
    """Write a bool mask [H,W] as PNG, 255 inside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)


def save_truth(cases: Iterable[tuple[Case, str, str]], root: Path) -> None:
    """Write ``phantom.csv``: what is known about each usable image.

    Args:
        cases: the case, its image id, and its path relative to `root`.
        root: the folder of the dataset. Masks are in ``masks/<image id>.png``.
    """
    rows = [
        {
            "image_id": image_id,
            "path": path,
            "label": case.label,
            "difficulty": f"{case.difficulty:.4f}",
            "cue": int(case.cue),
            "mask": f"masks/{image_id}.png",
        }
        for case, image_id, path in cases
    ]
    write_csv(pd.DataFrame(rows), root / "phantom.csv")
