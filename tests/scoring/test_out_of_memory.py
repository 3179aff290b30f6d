"""Where memory runs out, work goes on in smaller parts with the same results."""

from __future__ import annotations

from itertools import chain, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core_samples import SIDE, tiny_config
from meddiff.config.schema.experiment import StoppingConfig
from meddiff.devices.out_of_memory import Halving, is_out_of_memory
from meddiff.errors import MeddiffError
from meddiff.models.kinds import build_model
from meddiff.scoring import blocks as scored_blocks
from scoring_samples import IMAGES, SETTINGS, assert_same, limit_memory, run, score_images

CPU = torch.device("cpu")


@settings(max_examples=50)
@given(
    length=st.integers(0, 30),
    size=st.integers(1, 40),
    largest=st.integers(1, 40),
    kind=st.sampled_from([list, np.array]),
)
def test_parts_are_the_whole_whatever_fits(length, size, largest, kind):
    calls = []

    def function(part):
        calls.append(len(part))
        if len(part) > largest:
            raise torch.OutOfMemoryError
        return list(part)

    halving = Halving(size, CPU, "testing")
    assert list(chain(*halving(function, kind(range(length))))) == list(range(length))
    assert max(calls, default=0) <= size
    failed = [n for n in calls if n > largest]
    assert all(next_n <= n // 2 for n, next_n in pairwise(failed))
    if failed:
        assert halving.size == failed[-1] // 2


def test_the_real_failure_of_the_cpu_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    with pytest.raises(MemoryError) as caught:
        np.empty(1 << 60, dtype=np.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        RuntimeError("CUDA error: an illegal memory access"),
    ],
)
def test_other_failures_are_passed_on(error):
    def function(part):
        raise error

    halving = Halving(4, CPU, "testing")
    with pytest.raises(RuntimeError) as caught:
        halving(function, [1, 2, 3])
    assert caught.value is error and halving.size == 4


def test_each_halving_is_said_once_and_kept(caplog, monkeypatch):
    torch.manual_seed(0)
    denoiser = build_model(tiny_config("unet"), 2, 1, SIDE)
    images = np.random.default_rng(0).integers(0, 256, (9, SIDE, SIDE, 1), dtype=np.uint8)
    names = [f"image {i}" for i in range(9)]
    expected, logsnr = score_images(denoiser, images, names, seed=1, steps=4, batch_size=64)
    sizes = limit_memory(monkeypatch, 10)
    with caplog.at_level("WARNING", logger="meddiff"):
        errors, same_logsnr = score_images(denoiser, images, names, seed=1, steps=4, batch_size=64)
    np.testing.assert_allclose(errors, expected, rtol=1e-5)
    np.testing.assert_array_equal(logsnr, same_logsnr)
    assert [record.getMessage() for record in caplog.records] == [
        "scoring: out of memory with 32 at a time, going on with 16",
        "scoring: out of memory with 16 at a time, going on with 8",
        "scoring: out of memory with 8 at a time, going on with 4",
    ]
    assert sizes[:3] == [64, 32, 16] and max(sizes[3:]) == 8
    assert sum(sizes[3:]) == 9 * 4 * 2  # nothing is done twice


@pytest.mark.parametrize("stopping", [StoppingConfig(), StoppingConfig(kind="exact")], ids=["all", "exact"])
def test_a_run_with_little_memory_is_a_run_with_enough(weights, store, tmp_path, monkeypatch, stopping):
    enough = run(weights, store, tmp_path / "enough", 9, batch_size=32, stopping=stopping)
    limit_memory(monkeypatch, 4)
    assert_same(run(weights, store, tmp_path / "little", 9, batch_size=32, stopping=stopping), enough)


def test_a_block_of_images_goes_on_with_what_the_one_before_learned(weights, store, tmp_path, monkeypatch):
    enough = run(weights, store, tmp_path / "enough", 4, batch_size=32)
    monkeypatch.setattr(scored_blocks, "_PAIRS_OF_BLOCK", 8)  # four images
    sizes = limit_memory(monkeypatch, 8)
    assert_same(run(weights, store, tmp_path / "little", 4, batch_size=32), enough)
    assert [size for size in sizes if size > 8] == [32, 16]  # tried once


def test_too_little_for_one_image_says_what_to_do(weights, store, tmp_path, monkeypatch):
    sizes = limit_memory(monkeypatch, 1)
    with pytest.raises(MeddiffError, match=r"scoring: memory of cpu does not suffice .*more memory"):
        run(weights, store, tmp_path, 2)
    assert sizes == [SETTINGS["batch_size"], 4, 2]
    monkeypatch.undo()
    assert run(weights, store, tmp_path, 2).sizes["image"] == IMAGES
