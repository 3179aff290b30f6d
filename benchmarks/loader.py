"""Images a second from disk to network input: meddiff's store against decoding every file at every use.

``python benchmarks/loader.py`` prints JSON. Both sides make the same batches of Haar coefficients of real
X-rays at 256 px, on the CPU with one thread. The files are read once before, so that both
sides find them in the machine's memory.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from image_files import real_images
from meddiff.config.schema.training import TrainConfig
from meddiff.devices.host_memory import keep_freed_memory
from meddiff.diffusion.haar import haar_transform_of_pixels
from meddiff.training.batches import BatchReader
from meddiff.training.distributed import Processes
from meddiff.training.optim import epoch_batches
from reference_data import ImageFiles, plain_batches, seconds_of_batches
from separate import SeparateProcess

SIZE, IMAGES, BATCH_SIZE = 256, 256, 64
ROUNDS = 5  # in which both sides take turns in a run: the machine's own speed changes within seconds
REPEATS = 10  # of our side in a round: it would be too short to time otherwise


def measure(runs: int = 3, threads: int = 1) -> dict[str, Any]:
    """Images per second of both sides in each run, and their ratios.

    Args:
        runs: of both sides, which take turns in each.
        threads: of torch, for both sides; left so.

    Returns:
        source, size, batch_size, threads; images_per_second of `plain` and `ours`, one value a run; ratio:
        one value a run, and their median; largest_difference of a coefficient between the sides.
    """
    torch.set_num_threads(threads)
    keep_freed_memory()  # as training on a CPU does
    with tempfile.TemporaryDirectory() as name, SeparateProcess(threads) as elsewhere:
        images = real_images(Path(name), IMAGES, SIZE)
        orders = epoch_batches(IMAGES, BATCH_SIZE, seed=0, epoch=0)
        config = TrainConfig(epochs=1, batch_size=BATCH_SIZE)
        processes = Processes(Accelerator(cpu=True))
        reader = BatchReader(images.store.images, images.store.labels, processes, config, seed=0)

        files = ImageFiles(images.files, images.labels, SIZE)

        def ours() -> Iterator[Tensor]:
            for batch in reader.read(iter(orders)):
                yield haar_transform_of_pixels(batch.parts[0].images)

        plain = plain_batches(files, orders)
        difference = max(float((a - b).abs().max()) for a, b in zip(plain, ours(), strict=True))
        elsewhere(seconds_of_batches, files, orders)
        seconds: dict[str, list[float]] = {"plain": [], "ours": []}
        for _ in range(runs):
            rounds = [
                (elsewhere(seconds_of_batches, files, orders), _seconds(ours, REPEATS)) for _ in range(ROUNDS)
            ]
            for side, values in zip(("plain", "ours"), zip(*rounds, strict=True), strict=True):
                seconds[side].append(sum(values))
    ratios = [a / b for a, b in zip(seconds["plain"], seconds["ours"], strict=True)]
    return {
        "source": images.source,
        "size": SIZE,
        "batch_size": BATCH_SIZE,
        "threads": threads,
        "images_per_second": {
            side: [ROUNDS * IMAGES / value for value in values] for side, values in seconds.items()
        },
        "ratio": {"runs": ratios, "median": median(ratios)},
        "largest_difference": difference,
    }


def _seconds(batches: Callable[[], Iterator[Tensor]], repeats: int) -> float:
    """Wall-clock time of all batches, each dropped before the next is made."""
    started = time.perf_counter()
    for _ in range(repeats):
        for _ in batches():
            pass
    return (time.perf_counter() - started) / repeats


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    print(json.dumps(measure(parser.parse_args().runs), indent=1))
