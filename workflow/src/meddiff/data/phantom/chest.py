"""A phantom of CheXpert: stylised frontal chest films, with and without pleural effusion.

In patient coordinates x runs from -1 to 1 across the film and y from -1 (top) to 1 (bottom). Each lung
lies between the mediastinum and the chest wall and ends below at a diaphragm dome, which falls towards
the wall and leaves a sharp costophrenic angle. Fluid fills that angle up to a meniscus that climbs
towards the wall.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from meddiff.config.schema.data.layout import CheXpertFormat
from meddiff.config.schema.data.source import PhantomSource
from meddiff.data.phantom import common
from meddiff.data.phantom.common import Case, Drawing, step
from meddiff.data.tables import write_csv
from meddiff.errors import ConfigError
from meddiff.progress import track

LABEL_COLUMNS = [
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
]

_TOP_FOLDER = "CheXpert-v1.0-small"
_ANGLE_Y = 0.66  # where the dome meets the chest wall
# Share of patients with a second study, with a lateral view, and followed by a patient whose labels
# the format drops: enough of each for the filters to matter in a demo of a few hundred images.
_SECOND_STUDY, _LATERAL, _DROPPED = 0.08, 0.12, 0.08
# Positive and negative cell of the rows that the format must drop: uncertain, both, neither.
_DROPPED_CELLS = [("-1.0", ""), ("1.0", "-1.0"), ("1.0", "1.0"), ("0.0", "")]


def generate(source: PhantomSource, layout: CheXpertFormat, root: Path) -> None:
    """Write the dataset below `root`: JPEG files, CheXpert's CSV, ``phantom.csv`` and ``masks/``.

    Raises:
        ConfigError: `layout` names a label column that CheXpert's CSV does not have.
    """
    for column in (layout.positive, layout.negative):
        if column not in LABEL_COLUMNS:
            raise ConfigError(f"format: {column!r} is no CheXpert label; they are {', '.join(LABEL_COLUMNS)}")
    rows: list[dict[str, str]] = []
    truth = []
    top = PurePosixPath(layout.csv).parent
    for index in track(range(source.images), "drawing chest films"):
        case = common.draw_case(source, index)
        drawing = draw(source, case)
        patient, film = f"patient{2 * index + 1:05d}", "study1/view1_frontal.jpg"
        path = str(top / "train" / patient / film)
        image_id = f"{patient}_study1_view1_frontal"
        common.save_jpeg(drawing.pixels, root / path)
        common.save_mask(drawing.mask, root / "masks" / f"{image_id}.png")
        truth.append((case, image_id, path))
        cells = ("1.0", "") if case.label else (("", "1.0") if index % 3 else ("0.0", "1.0"))
        rows.append(_row(source, layout, index, patient, film, cells))
        for part, (other, view, marks) in enumerate(_decoys(source, case, cells), start=1):
            common.save_jpeg(draw(source, case, part).pixels, root / top / "train" / other / view)
            rows.append(_row(source, layout, index, other, view, marks))
    common.save_truth(truth, root)
    write_csv(pd.DataFrame(rows), root / layout.csv)


def draw(source: PhantomSource, case: Case, part: int = 0) -> Drawing:
    """Draw one film, uint8 [H,W] with W = 7/6 H, and the mask of the angles that are or would be filled.

    The extent of the fluid is drawn for both classes alike; only in a positive film is it painted.
    Its height and its contrast fall with the difficulty, the contrast to nothing at 1. Difficult negative
    films carry a faint basal haze of random strength, so that faint fluid is truly ambiguous.

    Args:
        source: seed, height and difficulty range are used.
        case: the image's label, difficulty and cue.
        part: 0 for the usable film, others for further films of the same case.
    """
    rng = common.stream(source, common.STREAM_PIXELS, case.index, part)
    x, y = common.grid(source.native_size, round(source.native_size * 7 / 6))
    angle, scale = rng.uniform(-0.03, 0.03), rng.uniform(0.96, 1.05)
    px = (x * np.cos(angle) + y * np.sin(angle)) * scale + rng.uniform(-0.03, 0.03)
    py = (y * np.cos(angle) - x * np.sin(angle)) * scale * rng.uniform(0.98, 1.02) + rng.uniform(-0.03, 0.03)

    lungs = _lungs(px, py, apex=rng.uniform(0.33, 0.39))
    film = _anatomy(rng, px, py, lungs)
    sides = [(-1,), (1,), (-1, 1)][rng.choice(3, p=[0.4, 0.4, 0.2])]
    height = (0.62 - 0.28 * case.difficulty) * rng.uniform(0.85, 1.15)
    contrast = (1 - case.difficulty) ** 0.6 * rng.uniform(0.9, 1.0)
    haze = rng.uniform(0, 0.16)
    fluid = sum(_fluid(px, py, side, height) for side in sides)
    opacity = contrast if case.label else haze * case.difficulty
    film += opacity * fluid * np.clip(0.76 - film, 0, 1)

    film += 0.03 * common.smooth_field(rng, x, y) + rng.normal(0, rng.uniform(0.02, 0.045), film.shape)
    film = np.clip(film, 0, 1) ** rng.uniform(0.9, 1.1) * rng.uniform(0.93, 1.03)
    if case.cue:  # a laterality marker, as a technician puts it on the cassette
        film[(abs(x + 0.8) < 0.12) & (abs(y + 0.82) < 0.1)] = 0.97
    return Drawing(common.to_uint8(film), (fluid > 0.5) & (lungs > 0.5))


def _lungs(x: np.ndarray, y: np.ndarray, apex: float) -> np.ndarray:
    wall = 0.86 * np.sqrt(np.clip(1 - ((y - 0.45) / 1.4) ** 2, 0, 1))
    dome = apex + (_ANGLE_Y + 0.06 - apex) * (np.clip(abs(x) - 0.36, 0, 1) / 0.48) ** 2
    inner = 0.15 + 0.05 * step(-y - 0.55)
    return step(wall - abs(x)) * step(abs(x) - inner) * step(dome - y) * step(y + 0.86)


def _anatomy(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    shoulders = step(1.02 - abs(x) + 0.35 * np.clip(y + 0.5, -1, 1), 0.08)
    film = 0.06 + (0.66 + 0.06 * np.clip(y, -1, 1)) * shoulders
    wave = y * rng.uniform(18, 19) + 4.5 * (abs(x) - 0.3) ** 2 + rng.uniform(0, 0.5 * np.pi)
    ribs = np.clip(np.sin(wave), 0, 1) * rng.uniform(0.07, 0.13)
    vessels = 0.12 * np.exp(-(((abs(x) - 0.24) / 0.13) ** 2) - ((y + 0.02) / 0.28) ** 2)
    film += lungs * (rng.uniform(0.14, 0.26) + ribs + vessels - film)
    size = rng.uniform(0.85, 1.2)
    heart = step(1 - np.hypot((x - 0.14) / (0.34 * size), (y - 0.26) / 0.33), 0.12)
    film += heart * np.clip(0.7 - film, 0, 1)
    spine = 0.07 * np.exp(-((x / 0.07) ** 2)) * step(np.sin(y * 24), 0.6)
    clavicle = 0.16 * np.exp(-(((y + 0.62 + 0.25 * (abs(x) - 0.35)) / 0.05) ** 2)) * step(abs(x) - 0.1)
    return film + spine + clavicle * lungs


def _fluid(x: np.ndarray, y: np.ndarray, side: int, height: float) -> np.ndarray:
    towards_wall = np.clip((side * x - 0.3) / 0.52, 0, 1)
    surface = _ANGLE_Y - height * (0.25 + 0.75 * towards_wall**2)
    return step(side * x) * step(y - surface, 0.05)


def _decoys(
    source: PhantomSource, case: Case, cells: tuple[str, str]
) -> list[tuple[str, str, tuple[str, str]]]:
    rng = common.stream(source, common.STREAM_LAYOUT, case.index)
    second, lateral, dropped = rng.random(3)
    patient = f"patient{2 * case.index + 1:05d}"
    decoys = []
    if lateral < _LATERAL:
        decoys.append((patient, "study1/view2_lateral.jpg", cells))
    if second < _SECOND_STUDY:
        decoys.append((patient, "study2/view1_frontal.jpg", cells))
    if dropped < _DROPPED:
        other = _DROPPED_CELLS[rng.integers(len(_DROPPED_CELLS))]
        decoys.append((f"patient{2 * case.index + 2:05d}", "study1/view1_frontal.jpg", other))
    return decoys


def _row(
    source: PhantomSource,
    layout: CheXpertFormat,
    index: int,
    patient: str,
    film: str,
    cells: tuple[str, str],
) -> dict[str, str]:
    rng = common.stream(source, common.STREAM_LAYOUT, index, part=1)
    frontal = "frontal" in film
    row = {
        "Path": f"{_TOP_FOLDER}/train/{patient}/{film}",
        "Sex": "Female" if rng.random() < 0.4 else "Male",
        "Age": str(rng.integers(20, 90)),
        "Frontal/Lateral": "Frontal" if frontal else "Lateral",
        "AP/PA": ("PA" if rng.random() < 0.2 else "AP") if frontal else "",
    }
    row |= dict.fromkeys(LABEL_COLUMNS, "")
    row[layout.positive], row[layout.negative] = cells
    return row
