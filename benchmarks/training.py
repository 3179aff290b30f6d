"""Training steps a second, data included: meddiff's trainer against the recipe as a plain script.

``python benchmarks/training.py`` prints JSON. Both sides train the tiny UNet at 32 px with batches of 32
images on the CPU with one thread: once with real X-rays (files of 256 px), once with the chest phantom of
the demo, whose files are so small that decoding them costs little. The plain side is tried with and without
two worker processes, which take further CPUs and read ahead; the faster one counts.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from accelerate import Accelerator

from image_files import ROOT, Images, phantom_images, real_images
from meddiff.config.compute import DEFAULT_COMPUTE
from meddiff.config.load import load_model
from meddiff.config.model import DiffusionModelConfig
from meddiff.devices.prepare import prepare_network
from meddiff.models import build_task
from meddiff.training.batches import BatchReader
from meddiff.training.distributed import Processes
from meddiff.training.optim import order
from meddiff.training.trainer import Trainer
from reference_data import ImageFiles
from reference_network import untrained
from reference_training import begin, seconds_a_step
from separate import SeparateProcess

SIZE, IMAGES, SEED = 32, 256, 0
WARM_UP, STEPS = 3, 4
ROUNDS = 8  # in which all sides take turns in a run: the machine's own speed changes within seconds
WORKERS = (0, 2)
_TOTAL = 10_000  # length of the learning rate's schedule; the benchmark stops before

Steps = Iterator[Any]


def measure(runs: int = 3, threads: int = 1) -> dict[str, Any]:
    """Time both sides `runs` times; in a run they make `STEPS` steps in turn, `ROUNDS` times.

    Args:
        runs: of each side and dataset.
        threads: of torch, for both sides; left so.

    Returns:
        batch_size, size, threads; `train_step_ratio` and `train_step_ratio_phantom`, plain / ours (one
        value a run, and their median); and for each dataset `source`, `milliseconds` a step of each side (one
        value a run) and `faster`, the plain side that counts.
    """
    torch.set_num_threads(threads)
    results = {}
    with tempfile.TemporaryDirectory() as name, SeparateProcess(threads) as elsewhere:
        real = real_images(Path(name, "real"), IMAGES, SIZE)
        phantom = phantom_images(Path(name, "phantom"), IMAGES, SIZE)
        for key, dataset, images in (("", "nih_cxr", real), ("_phantom", "phantom_chest", phantom)):
            config = load_model("tiny_unet", dataset, "fixed", ROOT / "config")
            result = _compare(config, images, Path(name, f"state{key}"), runs, elsewhere)
            results[f"train_step_ratio{key}"] = result.pop("ratio")
            results[dataset] = result
    return {"batch_size": config.train.batch_size, "size": SIZE, "threads": threads, **results}


def _compare(
    config: DiffusionModelConfig, images: Images, folder: Path, runs: int, elsewhere: SeparateProcess
) -> dict[str, Any]:
    steps = _ours(config, images, folder)
    sides: dict[str, Callable[[int], float]] = {"ours": partial(_seconds_a_step, steps)}
    for workers in WORKERS:
        name = f"plain, {workers} workers"
        elsewhere(begin, name, config, _files(config, images), SIZE, SEED, workers, _TOTAL)
        sides[name] = partial(elsewhere, seconds_a_step, name)
    for seconds_of in sides.values():
        seconds_of(WARM_UP)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        rounds = [[seconds_of(STEPS) for seconds_of in sides.values()] for _ in range(ROUNDS)]
        for name, values in zip(sides, zip(*rounds, strict=True), strict=True):
            seconds[name].append(mean(values))
    plain = min(list(sides)[1:], key=lambda name: median(seconds[name]))
    ratios = [a / b for a, b in zip(seconds[plain], seconds["ours"], strict=True)]
    return {
        "source": images.source,
        "milliseconds": {name: [1000 * value for value in values] for name, values in seconds.items()},
        "faster": plain,
        "ratio": {"runs": ratios, "median": median(ratios)},
    }


def _seconds_a_step(steps: Steps, count: int) -> float:
    started = time.perf_counter()
    for _ in itertools.islice(steps, count):
        pass
    return (time.perf_counter() - started) / count


def _ours(config: DiffusionModelConfig, images: Images, folder: Path) -> Steps:
    """Steps of the trainer that `meddiff train` runs; the sum of losses so far after each."""
    processes = Processes(Accelerator(cpu=True))
    device = torch.device("cpu")
    model = prepare_network(untrained(config, SIZE, SEED), DEFAULT_COMPUTE, device, "no", for_training=True)
    trainer = Trainer(model, build_task(config, SEED), config.train, SEED, folder, processes)
    store, steps = images.store, range(_TOTAL)
    reader = BatchReader(store.images, store.labels, processes, config.train, SEED)
    rows = order(len(store), config.train.batch_size, SEED, steps)
    for step, batch in zip(steps, reader.read(rows), strict=True):
        trainer._step(batch, step, _TOTAL)
        yield trainer.state.loss_sum


def _files(config: DiffusionModelConfig, images: Images) -> ImageFiles:
    augmentation = config.train.augmentation
    return ImageFiles(images.files, images.labels, SIZE, augmentation.hflip if augmentation else 0.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    print(json.dumps(measure(parser.parse_args().runs), indent=1))
