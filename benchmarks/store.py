"""Building a store of large JPEG files: meddiff's against Pillow in a loop, and against its decoder alone.

``python benchmarks/store.py`` prints JSON. All sides read the same grey files of 1,024 px, which are in the
machine's memory, and make 256 px of them: a loop that opens, converts and resizes; `build_store` with
`decoding` full and reduced, on all CPUs; and on all CPUs the decoder alone, which decodes to half the size
and throws it away. The files are X-rays of 256 px, enlarged, with noise.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from image_files import real_images
from meddiff.data.decoding.pixels import Decoding, PixelFormat
from meddiff.data.stores.build import build_store
from meddiff.data.stores.store import Store
from meddiff.data.tables import SPLITS
from meddiff.devices.cpus import thread_map, usable_cpus

NATIVE, SIZE, IMAGES = 1024, 256, 200
NOISE, QUALITY = 2.0, 90  # deviation of grey values, quality of JPEG
AIM = 2000.0  # images a second


def measure(runs: int = 3) -> dict[str, Any]:
    """Images per second of all sides in each run, and their ratios.

    Args:
        runs: of all sides, which take turns in each.

    Returns:
        source, images, native_size, size, threads; images_per_second of `plain`, `full`, `reduced` and
        `decoder`, one value a run; ratio: reduced against plain; share: reduced against the aim, which is the
        decoder's speed or 2,000, whichever is less; difference of a pixel between full and reduced: mean and
        largest.
    """
    with tempfile.TemporaryDirectory() as name:
        images = real_images(Path(name), IMAGES, SIZE)
        files = _files(Path(name), images.files)
        sides: dict[str, Callable[[], Any]] = {
            "plain": lambda: _plain(files),
            "full": lambda: _build(Path(name), "full"),
            "reduced": lambda: _build(Path(name), "reduced"),
            "decoder": lambda: _decode(files),
        }
        for side in sides.values():
            side()
        speeds: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(runs):
            for side, work in sides.items():
                started = time.perf_counter()
                work()
                speeds[side].append(len(files) / (time.perf_counter() - started))
        stores = [Store.open(Path(name) / side, SPLITS[0]).images.astype(int) for side in ("full", "reduced")]
    difference = np.abs(stores[0] - stores[1])
    return {
        "source": f"{images.source}, as grey JPEG of {NATIVE} px",
        "images": len(files),
        "native_size": NATIVE,
        "size": SIZE,
        "threads": usable_cpus(),
        "images_per_second": speeds,
        "ratio": _ratios(speeds["reduced"], speeds["plain"]),
        "share": _ratios(speeds["reduced"], [min(AIM, speed) for speed in speeds["decoder"]]),
        "difference": {"mean": float(difference.mean()), "largest": int(difference.max())},
    }


def _ratios(ours: list[float], others: list[float]) -> dict[str, Any]:
    runs = [a / b for a, b in zip(ours, others, strict=True)]
    return {"runs": runs, "median": median(runs)}


def _files(folder: Path, source: list[Path]) -> list[Path]:
    """Large JPEG files, and split files in which nearly all of them are one split."""
    (folder / "films").mkdir()
    rng = np.random.default_rng(0)
    for number, file in enumerate(source):
        with Image.open(file) as image:
            film = image.convert("L").resize((NATIVE, NATIVE), Image.Resampling.BICUBIC)
        values = np.asarray(film) + rng.normal(0, NOISE, (NATIVE, NATIVE))
        film = Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8))
        film.save(folder / "films" / f"{number:04d}.jpg", quality=QUALITY)
    paths = [f"films/{number:04d}.jpg" for number in range(len(source))]
    table = pd.DataFrame({"image_id": paths, "path": paths, "label": 0, "group": paths})
    (folder / "large").mkdir()
    for split, rows in zip(SPLITS, (table[2:], table[:1], table[1:2]), strict=True):
        rows.to_csv(folder / "large" / f"{split}.csv", index=False)
    return [folder / path for path in paths]


def _plain(files: list[Path]) -> np.ndarray:
    """uint8 [N, 256, 256]."""
    made = np.empty((len(files), SIZE, SIZE), np.uint8)
    for row, file in enumerate(files):
        with Image.open(file) as image:
            made[row] = np.asarray(image.convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    return made


def _build(folder: Path, decoding: Decoding) -> None:
    pixels = PixelFormat(SIZE, 1, decoding=decoding)
    build_store(folder / "large", folder, folder / decoding, pixels, ["negative", "positive"])


def _decode(files: list[Path]) -> None:
    def decode(file: Path) -> None:
        with Image.open(file) as image:
            image.draft(None, (2 * SIZE, 2 * SIZE))
            image.load()

    for _ in thread_map(decode, files):
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    print(json.dumps(measure(parser.parse_args().runs), indent=1))
