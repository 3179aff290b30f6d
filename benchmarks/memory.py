"""Peak memory of scoring, with few images and with many: it should be nearly the same.

``python benchmarks/memory.py`` prints JSON. Each number of images is scored in a process of its own, with as
many steps and classes as in the paper, tiny images, and a network that costs nothing, so what is measured is
what scoring itself keeps.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FEW, MANY = 1_000, 20_000
STEPS, CLASSES, SIDE = 501, 2, 8
_BATCH_SIZE = 4096
_KIBIBYTES = 1024


def measure(few: int = FEW, many: int = MANY, steps: int = STEPS, side: int = SIDE) -> dict[str, Any]:
    """Peak resident memory in bytes (`ru_maxrss`) and seconds of both runs, and the ratio of the peaks.

    Args:
        few, many: numbers of images.
        steps: classification steps.
        side: of an image, in pixels.
    """
    runs = {str(images): _in_process(images, steps, side) for images in (few, many)}
    peaks = [run["peak_bytes"] for run in runs.values()]
    return {"steps": steps, "classes": CLASSES, "side": side, "images": runs, "ratio": peaks[1] / peaks[0]}


def _in_process(images: int, steps: int, side: int) -> dict[str, float]:
    sizes = [str(number) for number in (images, steps, side)]
    command = [sys.executable, __file__, "--score", *sizes]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def _score(images: int, steps: int, side: int) -> dict[str, float]:
    """Score generated images in this process."""
    import numpy as np
    import torch

    from meddiff.scoring.blocks import in_blocks, score_to_file
    from meddiff.scoring.images import ImageRows
    from meddiff.scoring.labelled_file import ImageSet, ScoredFiles
    from meddiff.scoring.passes import Passes
    from meddiff.scoring.settings import ScoringSettings
    from scaled_input import ScaledInput

    torch.set_num_threads(1)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shape = (images, side, side, 1)
        stored = np.lib.format.open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
        rng = np.random.default_rng(0)
        for row in range(images):
            stored[row] = rng.integers(0, 256, shape[1:], dtype=np.uint8)
        ids = [f"image {row}" for row in range(images)]
        with ImageRows(stored, np.arange(images)) as rows:
            score_to_file(
                in_blocks(images, CLASSES, folder / "state", 600.0, lambda: False),
                Passes(ScaledInput(side, [0.5, 0.75, 1.0]), _BATCH_SIZE),
                rows,
                ImageSet(ids, np.arange(images) % CLASSES, ids, ["no", "yes"]),
                ScoringSettings(seed=0, steps=steps),
                ScoredFiles(folder / "errors.nc"),
                attributes={},
                model="a network without weights",
            )
        written = (folder / "errors.nc").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIBIBYTES
    return {"peak_bytes": peak, "seconds": time.monotonic() - started, "file_bytes": written}


def main() -> None:
    """Print what `measure` returns, or what one of its processes does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--score", type=int, nargs=3, metavar=("IMAGES", "STEPS", "SIDE"), help="score in this process only"
    )
    args = parser.parse_args()
    print(json.dumps(_score(*args.score) if args.score else measure(), indent=1))


if __name__ == "__main__":
    main()
