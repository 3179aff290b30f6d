"""Benchmarks compare the same work, and run."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a benchmark, with few images and without the real ones."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name: str, **changes: object) -> ModuleType:
        module = importlib.import_module(name)
        for key, value in changes.items():
            monkeypatch.setattr(module, key, value)
        monkeypatch.setattr(importlib.import_module("image_files"), "REAL", BENCHMARKS / "not there")
        return module

    return load


@pytest.fixture
def two_threads():
    """As on the machine of most users; tests have one."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_both_loaders_make_the_same_inputs(benchmark):
    result = benchmark("loader", IMAGES=32, BATCH_SIZE=16, SIZE=64, ROUNDS=2, REPEATS=1).measure(runs=1)
    assert result["largest_difference"] < 1e-6
    assert "phantom" in result["source"]
    assert result["ratio"]["median"] == pytest.approx(
        result["images_per_second"]["ours"][0] / result["images_per_second"]["plain"][0]
    )


@pytest.mark.slow
def test_training_benchmark_times_both_datasets(benchmark, two_threads):
    result = benchmark("training", IMAGES=32, LEAD=1, STEPS=1, ROUNDS=1, WORKERS=(0, 1)).measure(runs=2)
    assert [(entry["dataset"], entry["threads"]) for entry in result["comparisons"]] == [
        ("nih_cxr", 2),
        ("phantom_chest", 2),
        ("nih_cxr", 1),
        ("phantom_chest", 1),
    ]
    for entry in result["comparisons"]:
        milliseconds = entry["milliseconds"]
        workers = [0, 1] if entry["threads"] == 2 else [0]
        plain = [f"plain, {number} workers" for number in workers]
        assert list(milliseconds) == ["ours", "passes", *plain]
        assert milliseconds[entry["faster"]] == min((milliseconds[name] for name in plain), key=np.median)
        ratios = [a / b for a, b in zip(milliseconds[entry["faster"]], milliseconds["ours"], strict=True)]
        assert entry["ratio"]["runs"] == pytest.approx(ratios) and len(ratios) == 2
    for number, name in enumerate(("train_step_ratio", "train_step_ratio_phantom")):
        assert result[name] == result["comparisons"][number]["ratio"]


@pytest.mark.slow
def test_both_recipes_learn_alike(benchmark, tmp_path):
    """The loss falls by about as much, so both do the same to the same network."""
    training, reference = benchmark("training", _TOTAL=60), benchmark("reference_training")
    images = training.phantom_images(tmp_path / "images", 64, 32)
    config = training.load_model("tiny_unet", "phantom_chest", "fixed", training.ROOT / "config")
    sums = [0.0, *(float(value) for value in training._ours(config, images, tmp_path / "state"))]
    data = reference.batches(training._files(config, images), config.train.batch_size, 0)
    network = reference.plain(reference.untrained(config, 32, training.SEED))
    losses = [np.diff(sums).tolist(), list(reference.train(network, config, data, 60))]
    assert [len(values) for values in losses] == [60, 60]
    start, end = ([sum(values[part]) / 10 for values in losses] for part in (slice(10), slice(-10, None)))
    assert start[0] == pytest.approx(start[1], rel=0.3)
    assert end[0] == pytest.approx(end[1], rel=0.3)
    assert max(end) < 0.6 * min(start)
