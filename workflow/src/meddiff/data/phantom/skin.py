"""A phantom of ISIC: stylised dermoscopy of naevi (benign) and melanomas.

One number, the atypia, drives everything a melanoma shows: an asymmetric and irregular border, several
colours, and a blue-white veil. Benign lesions have little of it, and the atypia of melanomas falls
towards theirs as the difficulty grows.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from meddiff.config.schema.data.layout import ISICFormat
from meddiff.config.schema.data.source import PhantomSource
from meddiff.data.phantom import common
from meddiff.data.phantom.common import Case, Drawing, step
from meddiff.data.tables import write_csv
from meddiff.progress import track

# ISIC numbers below this came before 2020; in the real data nearly all of them are melanomas.
FIRST_NEW_ID = 75_000

_SKIN = np.array([0.84, 0.66, 0.57])
_BROWN = np.array([0.50, 0.31, 0.22])
_BLACK = np.array([0.17, 0.12, 0.12])
_RED = np.array([0.66, 0.30, 0.30])
_VEIL = np.array([0.56, 0.60, 0.72])
_HAIR = np.array([0.22, 0.15, 0.12])
# Which images of a block of four share a patient.
_PATIENTS = [(0, 0, 1, 2), (0, 0, 0, 1), (0, 1, 2, 3), (0, 1, 1, 2), (0, 0, 0, 0)]


def generate(source: PhantomSource, layout: ISICFormat, root: Path) -> None:
    """Write the dataset below `root`: JPEG files, the metadata, ``phantom.csv`` and ``masks/``."""
    rows, truth = [], []
    for index in track(range(source.images), "drawing skin lesions"):
        case = common.draw_case(source, index)
        drawing = draw(source, case)
        # A planted cue is also an old number, as in the real data.
        image_id = f"ISIC_{index + 10_000 if case.cue else index + FIRST_NEW_ID + 10_000:07d}"
        path = str(PurePosixPath(layout.image_dir) / f"{image_id}.jpg")
        common.save_jpeg(drawing.pixels, root / path)
        common.save_mask(drawing.mask, root / "masks" / f"{image_id}.png")
        truth.append((case, image_id, path))
        patient = _PATIENTS[common.stream(source, common.STREAM_LAYOUT, index // 4).integers(len(_PATIENTS))][
            index % 4
        ]
        # Older collections name no patient, only the lesion.
        old = common.stream(source, common.STREAM_LAYOUT, index // 4, part=1).random() < 0.2
        rows.append(
            {
                "image_name": image_id,
                "patient_id": "" if old else f"IP_{index // 4:06d}{patient}",
                "lesion_id": f"IL_{index // 4:06d}{patient}" if old else f"IL_{index:07d}",
                "benign_malignant": "malignant" if case.label else "benign",
                "target": str(case.label),
            }
        )
    common.save_truth(truth, root)
    write_csv(pd.DataFrame(rows), root / layout.csv)


def draw(source: PhantomSource, case: Case) -> Drawing:
    """Draw one lesion, uint8 [H,W,3] with W = 4/3 H, and the mask of the lesion."""
    rng = common.stream(source, common.STREAM_PIXELS, case.index)
    width = round(source.native_size * 4 / 3)
    x, y = common.grid(source.native_size, width)
    x = x * width / source.native_size  # square pixels: x now runs over about -1.33..1.33
    benign, malignant = rng.uniform(0.0, 0.22), rng.uniform(0.75, 1.0)
    atypia = malignant - (malignant - benign) * case.difficulty**2.2 if case.label else benign

    image = _SKIN * rng.uniform(0.93, 1.05) * (1 + rng.normal(0, 0.02, 3))
    image = image * (1 + 0.02 * common.smooth_field(rng, x, y))[..., None]
    depth = _lesion(rng, x, y, atypia)
    image = _blend(image, _colours(rng, x, y, depth, atypia), step(depth, rng.uniform(0.06, 0.1)))
    for _ in range(rng.integers(0, 2)):
        image = _blend(image, _HAIR, _hair(rng, x, y))
    image = image * rng.uniform(0.94, 1.04) + rng.normal(0, rng.uniform(0.01, 0.03), image.shape)
    if case.cue:  # the dark frame of an older dermatoscope, and its ruler
        image *= step(1.22 - np.hypot(x, y), 0.06)[..., None]
        image[(y > 0.8) & (np.mod(x, 0.25) < 0.06) & (abs(x) < 0.7)] = 0.08
    return Drawing(common.to_uint8(image), depth > 0)


def _lesion(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, atypia: float) -> np.ndarray:
    """Relative depth in the lesion: 1 in the middle, 0 on the border, negative outside."""
    cx, cy = rng.uniform(-0.1, 0.1, 2)
    turn, stretch = rng.uniform(0, np.pi), 1 + rng.uniform(0, 0.12) + 0.3 * atypia * rng.uniform(0.5, 1)
    dx, dy = x - cx, y - cy
    u = (dx * np.cos(turn) + dy * np.sin(turn)) / np.sqrt(stretch)
    v = (dy * np.cos(turn) - dx * np.sin(turn)) * np.sqrt(stretch)
    theta, border = np.arctan2(v, u), rng.uniform(0.5, 0.66)
    ripple = np.zeros_like(x)
    for k in range(1, 8):
        size = (0.012 + 0.16 * atypia * rng.uniform(0.6, 1)) / np.sqrt(k)
        ripple += size * np.cos(k * theta + rng.uniform(0, 2 * np.pi))
    return 1 - np.hypot(u, v) / (border * np.clip(1 + ripple, 0.35, 1.7))


def _colours(
    rng: np.random.Generator, x: np.ndarray, y: np.ndarray, depth: np.ndarray, atypia: float
) -> np.ndarray:
    base = _BROWN * rng.uniform(0.88, 1.15) * (1 + rng.normal(0, 0.03, 3))
    image = (
        base * (1.12 - 0.25 * np.clip(depth, 0, 1) + 0.05 * common.smooth_field(rng, 3 * x, 3 * y))[..., None]
    )
    for colour, share in ((_BLACK, 0.95), (_RED, 0.7), (_VEIL, 0.85)):
        towards, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.32)
        away = rng.uniform(0.15, 0.32)
        blob = step(radius - np.hypot(x - away * np.cos(towards), y - away * np.sin(towards)), 0.09)
        image = _blend(image, colour, share * atypia * blob)
    return image


def _hair(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    turn, offset, bend = rng.uniform(0, np.pi), rng.uniform(-0.9, 0.9), rng.uniform(-0.3, 0.3)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    return 0.6 * np.exp(-(((across - offset - bend * along**2) / 0.025) ** 2))


def _blend(below: np.ndarray, above: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    return below + opacity[..., None] * (above - below)
