"""Training steps a second, data included: meddiff's trainer against the recipe as a plain script.

``python benchmarks/training.py`` prints JSON. Both sides train the tiny UNet at 32 px with batches of 32
images on the CPU: once with real X-rays (files of 256 px), once with the chest phantom of the demo, whose
files are so small that decoding them costs little. Both may use the same CPUs: first all of them, where the
plain side is tried with and without two worker processes that read ahead, and the faster one counts; then a
single one. Beside them, the passes of our network alone: what a step would take if all else were free.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from accelerate import Accelerator

from image_files import ROOT, Images, phantom_images, real_images
from meddiff.config.load import load_model
from meddiff.config.schema.compute import DEFAULT_COMPUTE
from meddiff.config.schema.kinds.unet import UNetConfig
from meddiff.diffusion.objective import diffusion_loss
from meddiff.models.kinds import build_task
from meddiff.networks.prepare import prepare_network
from meddiff.training.batches import BatchReader
from meddiff.training.distributed import Processes
from meddiff.training.optim import order
from meddiff.training.trainer import Trainer
from reference_data import ImageFiles
from reference_network import untrained
from reference_training import begin, seconds_a_step
from separate import SeparateProcess

SIZE, IMAGES, SEED = 32, 256, 0
STEPS = 4  # timed in a turn
# Not timed, at the beginning of a turn: the worker processes have read this much ahead while others had
# theirs, and what they read then would cost nothing.
LEAD = 4
ROUNDS = 6  # in which all sides take turns in a run: the machine's own speed changes within seconds
WORKERS = (0, 2)
_TOTAL = 10_000  # length of the learning rate's schedule; the benchmark stops before

Steps = Iterator[Any]


def measure(runs: int = 3) -> dict[str, Any]:
    """Time both sides `runs` times; in a run they take `ROUNDS` turns.

    Args:
        runs: of each comparison.

    Returns:
        batch_size, size, threads; `train_step_ratio` and `train_step_ratio_phantom`, plain / ours on all CPUs
        (one value a run, and their median); and `comparisons`, each with `dataset`, `source`, `threads`,
        `milliseconds` a step of each side and of our `passes` alone (one value a run), `faster`, the plain
        side that counts, and its `ratio`.
    """
    every = torch.get_num_threads()
    comparisons = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = {
            "nih_cxr": real_images(folder / "real", IMAGES, SIZE),
            "phantom_chest": phantom_images(folder / "phantom", IMAGES, SIZE),
        }
        for threads, (dataset, of_dataset) in product(sorted({1, every}, reverse=True), images.items()):
            state = folder / f"state-{dataset}-{threads}"
            compared = _compare(dataset, of_dataset, state, runs, threads, WORKERS if threads > 1 else (0,))
            comparisons.append(
                {"dataset": dataset, "source": of_dataset.source, "threads": threads, **compared}
            )
    ratios = {entry["dataset"]: entry["ratio"] for entry in comparisons if entry["threads"] == every}
    return {
        "batch_size": _config("nih_cxr").train.batch_size,
        "size": SIZE,
        "threads": every,
        "train_step_ratio": ratios["nih_cxr"],
        "train_step_ratio_phantom": ratios["phantom_chest"],
        "comparisons": comparisons,
    }


def _config(dataset: str) -> UNetConfig:
    return load_model("tiny_unet", dataset, "fixed", ROOT / "config")


def _compare(
    dataset: str, images: Images, folder: Path, runs: int, threads: int, workers: Sequence[int]
) -> dict[str, Any]:
    config = _config(dataset)
    torch.set_num_threads(threads)
    sides: dict[str, Callable[[int], float]] = {
        "ours": partial(_seconds_a_step, _ours(config, images, folder)),
        "passes": partial(_seconds_a_step, _passes(config)),
    }
    with SeparateProcess(threads) as elsewhere:
        for number in workers:
            name = f"plain, {number} workers"
            elsewhere(begin, name, config, _files(config, images), SIZE, SEED, number, _TOTAL)
            sides[name] = partial(elsewhere, seconds_a_step, name)
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(runs):
            turns: dict[str, list[float]] = {name: [] for name in sides}
            for _, (name, seconds_of) in product(range(ROUNDS), sides.items()):
                seconds_of(LEAD)
                turns[name].append(seconds_of(STEPS))
            for name, values in turns.items():
                seconds[name].append(mean(values))
    plain = min((f"plain, {number} workers" for number in workers), key=lambda name: median(seconds[name]))
    ratios = [a / b for a, b in zip(seconds[plain], seconds["ours"], strict=True)]
    return {
        "milliseconds": {name: [1000 * value for value in values] for name, values in seconds.items()},
        "faster": plain,
        "ratio": {"runs": ratios, "median": median(ratios)},
    }


def _seconds_a_step(steps: Steps, count: int) -> float:
    started = time.perf_counter()
    for _ in itertools.islice(steps, count):
        pass
    return (time.perf_counter() - started) / count


def _ours(config: UNetConfig, images: Images, folder: Path) -> Steps:
    """Steps of the trainer that `meddiff train` runs; the sum of losses so far after each."""
    processes = Processes(Accelerator(cpu=True))
    device = torch.device("cpu")
    model = prepare_network(untrained(config, SIZE, SEED), DEFAULT_COMPUTE, device, "no")
    trainer = Trainer(model, build_task(config, SEED), config.train, SEED, folder, processes)
    store, steps = images.store, range(_TOTAL)
    reader = BatchReader(store.images, store.labels, processes, config.train, SEED)
    rows = order(len(store), config.train.batch_size, SEED, steps)
    for step, batch in zip(steps, reader.read(rows), strict=True):
        trainer._step(batch, step, _TOTAL)
        yield trainer.state.losses.sum


def _passes(config: UNetConfig) -> Steps:
    """Nothing but the passes of the network that `_ours` trains, with the same input again and again."""
    denoiser = prepare_network(untrained(config, SIZE, SEED), DEFAULT_COMPUTE, torch.device("cpu"), "no")
    denoiser.train()
    batch, generator = config.train.batch_size, torch.Generator().manual_seed(SEED)
    x, eps = torch.randn(2, batch, *denoiser.input_shape, generator=generator)
    t, class_ids = torch.rand(batch, generator=generator), torch.arange(batch) % denoiser.num_classes
    while True:
        loss = diffusion_loss(denoiser, x, class_ids, t, eps, config.loss_weight).mean()
        loss.backward()
        for parameter in denoiser.parameters():
            parameter.grad = None
        yield loss


def _files(config: UNetConfig, images: Images) -> ImageFiles:
    augmentation = config.train.augmentation
    return ImageFiles(images.files, images.labels, SIZE, augmentation.hflip if augmentation else 0.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    print(json.dumps(measure(parser.parse_args().runs), indent=1))
