"""Batches that are queued before the last result is there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core_samples import SIDE, tiny_config
from meddiff.devices.transfer import evaluated, fetch, to_device
from meddiff.diffusion.majority_rule import MajorityRule
from meddiff.errors import Interrupted
from meddiff.models.kinds import build_model
from meddiff.scoring import run as run_scoring
from meddiff.scoring.passes import Passes
from meddiff.scoring.settings import ScoringSettings
from scoring_samples import IMAGES, assert_same, limit_memory, run, stop_after, watch_passes

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
PAIRS_OF_BATCH = 4


@pytest.fixture
def one_ahead(monkeypatch):
    """Queue as for a CUDA device."""
    monkeypatch.setattr(Passes, "ahead", lambda self, settings: 1)


@pytest.mark.parametrize("ahead", [0, 1, 3, 50])
def test_results_come_in_order_and_only_so_many_are_waited_for(ahead):
    queued, done = [], []

    def queue(batch: int):
        queued.append(batch)
        return lambda: np.array(batch * 10)

    for batch, result in evaluated(iter(range(7)), queue, ahead):
        assert len(queued) == min(7, batch + 1 + ahead)
        done.append((batch, int(result)))
    assert done == [(i, 10 * i) for i in range(7)]


def test_only_a_cuda_device_without_a_stopping_rule_gets_a_batch_ahead():
    every, stopping = ScoringSettings(0, 4), ScoringSettings(0, 4, stopping=MajorityRule(4))
    passes = Passes(build_model(tiny_config("unet"), 2, 1, SIDE))
    assert passes.ahead(every) == passes.ahead(stopping) == 0
    passes.device = CUDA
    assert passes.ahead(every) == 1 and passes.ahead(stopping) == 0


def test_copies_on_the_cpu():
    array = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(fetch(to_device(array, CPU))(), array)


def test_queued_ahead_has_the_bytes_of_one_after_the_other(weights, store, tmp_path, one_ahead, monkeypatch):
    run(weights, store, tmp_path / "ahead", 4)
    monkeypatch.undo()
    run(weights, store, tmp_path / "after", 4)
    assert (tmp_path / "ahead/errors.nc").read_bytes() == (tmp_path / "after/errors.nc").read_bytes()


@pytest.mark.parametrize("batches", [1, 2, 9])
def test_interrupted_loses_no_more_than_the_batch_in_flight(
    reference, weights, store, tmp_path, one_ahead, passes, monkeypatch, batches
):
    monkeypatch.setattr(run_scoring, "stop_signal", stop_after(batches))
    with pytest.raises(Interrupted):
        run(weights, store, tmp_path, 4)
    assert sum(passes) // 2 == PAIRS_OF_BATCH * (batches + 1)  # one is queued
    (state,) = (tmp_path / "state").rglob("errors-0000.npy")
    assert np.isfinite(np.load(state)).all(axis=2).sum() == PAIRS_OF_BATCH * batches
    monkeypatch.setattr(run_scoring, "stop_signal", stop_after(1000))
    assert_same(run(weights, store, tmp_path, 4), reference)
    assert sum(passes) // 2 == IMAGES * 4 + PAIRS_OF_BATCH


def test_an_error_loses_no_more_than_the_batches_in_flight(weights, store, tmp_path, one_ahead, monkeypatch):
    calls = []

    def before(inputs: int) -> None:
        calls.append(inputs)
        if len(calls) == 6:
            raise RuntimeError("a cable was pulled")

    watch_passes(monkeypatch, before)
    with pytest.raises(RuntimeError, match="cable"):
        run(weights, store, tmp_path, 4, save_minutes=0)
    (state,) = (tmp_path / "state").rglob("errors-0000.npy")
    # The sixth batch fails while the fifth is in flight.
    assert np.isfinite(np.load(state)).all(axis=2).sum() == PAIRS_OF_BATCH * 4


def test_little_memory_and_a_batch_ahead(reference, weights, store, tmp_path, one_ahead, monkeypatch):
    limit_memory(monkeypatch, 4)
    assert_same(run(weights, store, tmp_path, 4), reference)
