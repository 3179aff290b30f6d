"""A batch divided among the threads of a CPU."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from core_samples import SIDE, tiny_config
from meddiff.config.schema.experiment import StoppingConfig
from meddiff.devices.side_by_side import SideBySide
from meddiff.diffusion.stopping import cut, make_rule, stopping_steps
from meddiff.models.kinds import build_model
from scoring_samples import score_images

CPU = torch.device("cpu")


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_parts_are_all_rows_in_order(count, two_threads):
    rows = torch.arange(count)
    with SideBySide(CPU, nullcontext) as side_by_side:
        parts = side_by_side(lambda part: rows[part], count)
    assert torch.cat(parts).tolist() == list(range(count))
    assert len(parts) == (2 if count > 1 else 1)


def test_parts_run_at_the_same_time_with_a_thread_each(two_threads):
    together = threading.Barrier(2, timeout=30)

    def run(part: slice) -> int:
        together.wait()  # would time out if one part waited for the other
        assert torch.is_inference_mode_enabled()
        return torch.get_num_threads()

    with SideBySide(CPU, nullcontext) as side_by_side:
        assert side_by_side(run, 8) == [1, 1]
    assert torch.get_num_threads() == 2


def test_an_error_in_a_part_is_raised_and_threads_are_as_before(two_threads):
    def run(part: slice) -> None:
        if part.start:
            raise ValueError("in the second part")

    with pytest.raises(ValueError, match="second part"), SideBySide(CPU, nullcontext) as side_by_side:
        side_by_side(run, 8)
    assert torch.get_num_threads() == 2


def test_one_thread_is_not_divided():
    with SideBySide(CPU, nullcontext) as side_by_side:
        caller = threading.get_ident()
        assert side_by_side(lambda part: (part, threading.get_ident()), 8) == [(slice(0, 8), caller)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("stopping", [None, StoppingConfig(kind="exact")])
def test_errors_are_the_same_by_two_threads(precision, stopping):
    torch.manual_seed(0)
    denoiser = build_model(tiny_config("unet"), 2, 1, SIDE).eval()
    images = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 1), dtype=np.uint8)
    rule = make_rule(stopping, 9, 2) if stopping else None

    def errors(threads: int) -> np.ndarray:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        found, _ = score_images(
            copy.deepcopy(denoiser),
            images,
            list("abcde"),
            seed=3,
            steps=9,
            batch_size=12,
            precision=precision,
            stopping=rule,
        )
        torch.set_num_threads(before)
        return cut(found, stopping_steps(found, rule)) if rule else found

    one, two = errors(1), errors(2)
    assert np.isfinite(one).any()
    np.testing.assert_allclose(two, one, rtol=1e-5 if precision == "fp32" else 0.05)
