"""What evidence maps add to the time of scoring.

``python benchmarks/evidence.py`` prints JSON. Untrained tiny networks at 32 px score the same images with
maps and without, in turn, on one CPU thread: with more, both sides are divided in the same way.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from image_files import ROOT
from meddiff.config.load import load_model
from meddiff.diffusion.denoiser import Denoiser
from meddiff.models.kinds import build_model
from meddiff.scoring.blocks import in_blocks, score_to_file
from meddiff.scoring.labelled_file import ImageSet, ScoredFiles
from meddiff.scoring.passes import Passes
from meddiff.scoring.settings import ScoringSettings

NETWORKS, DATASET = ("tiny_unet", "tiny_dit"), "phantom_chest"
SIZE, IMAGES, STEPS, BATCH_SIZE = 32, 16, 101, 256
ROUNDS = 3  # in which both sides take turns in a run


def measure(runs: int = 3, images: int = IMAGES, steps: int = STEPS) -> dict[str, Any]:
    """Time both sides `runs` times.

    Returns:
        size, images, steps, and for each network ``seconds_with``, ``seconds_without`` and ``added`` (the
        share by which the former is longer), each one value a run, and the ``median`` of the last.
    """
    torch.set_num_threads(1)
    return {
        "size": SIZE,
        "images": images,
        "steps": steps,
        **{name: _measure(name, runs, images, steps) for name in NETWORKS},
    }


def _measure(name: str, runs: int, images: int, steps: int) -> dict[str, Any]:
    torch.manual_seed(0)
    denoiser = build_model(load_model(name, DATASET, "fixed", ROOT / "config"), 2, 1, SIZE).eval()
    sides: dict[bool, list[float]] = {True: [], False: []}
    _seconds(denoiser, 1, steps, maps=True)
    for _ in range(runs):
        turns = {maps: 0.0 for maps in sides}
        for turn in range(ROUNDS):
            for maps in (True, False) if turn % 2 else (False, True):
                turns[maps] += _seconds(denoiser, images, steps, maps)
        for maps, seconds in turns.items():
            sides[maps].append(seconds / ROUNDS)
    added = [one / other - 1 for one, other in zip(sides[True], sides[False], strict=True)]
    return {
        "seconds_with": sides[True],
        "seconds_without": sides[False],
        "added": added,
        "median": median(added),
    }


def _seconds(denoiser: Denoiser, images: int, steps: int, maps: bool) -> float:
    pixels = np.random.default_rng(0).integers(0, 256, (images, SIZE, SIZE, 1), dtype=np.uint8)
    ids = [str(row) for row in range(images)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        score_to_file(
            in_blocks(images, 2, folder / "state", 600.0, lambda: False, maps),
            Passes(denoiser, BATCH_SIZE),
            pixels,
            ImageSet(ids, np.arange(images) % 2, ids, ["no", "yes"]),
            ScoringSettings(seed=0, steps=steps),
            ScoredFiles(folder / "errors.nc", folder / "evidence.nc" if maps else None),
            attributes={},
            model=name,
        )
        return time.perf_counter() - started


def main() -> None:
    """Print the times as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    print(json.dumps(measure(parser.parse_args().runs)))


if __name__ == "__main__":
    main()
