"""The automatic batch size."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core_samples import SIDE, tiny_config
from meddiff.cli import parse
from meddiff.models.kinds import build_model
from meddiff.scoring import batch_size
from meddiff.scoring.batch_size import CPU_MOST_INPUTS, MOST_INPUTS, automatic_batch_size, fitting_inputs
from scoring_samples import run

GIB = 2**30


@given(
    used=st.integers(1, 200 * GIB),
    inputs=st.integers(1, 64),
    free=st.integers(0, 200 * GIB),
)
def test_a_power_of_two_that_fits(used, inputs, free):
    chosen = fitting_inputs(used, inputs, free)
    assert chosen.bit_count() == 1 and 1 <= chosen <= MOST_INPUTS
    if chosen > 1:
        assert chosen * used / inputs < 0.75 * free
    if chosen < MOST_INPUTS:  # and the largest one that does, within the safe share
        assert 2 * chosen * used / inputs > 0.65 * free


@pytest.mark.parametrize(
    ("used", "inputs", "free", "expected"),
    [
        (16 * GIB, 16, 80 * GIB, 32),  # 56 fit
        (2 * GIB, 16, 80 * GIB, 256),  # 448 fit
        (GIB // 100, 16, 80 * GIB, MOST_INPUTS),
        (0, 16, 80 * GIB, MOST_INPUTS),
        (80 * GIB, 2, 10 * GIB, 1),
    ],
)
def test_examples(used, inputs, free, expected):
    assert fitting_inputs(used, inputs, free) == expected


def test_on_a_cpu_it_is_a_fixed_number():
    denoiser = build_model(tiny_config("unet"), 2, 1, SIDE)
    assert automatic_batch_size(denoiser, (SIDE, SIDE, 1), "fp32") == CPU_MOST_INPUTS
    for side, expected in ((32, 256), (64, 64), (96, 28), (256, 16)):
        assert automatic_batch_size(denoiser, (side, side, 3), "fp32") == expected


class Card:
    """What `torch.cuda` says of a card on which every network input takes 3 MiB."""

    def __init__(self, free: int) -> None:
        self.free, self.peak = free, 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        values = {
            "empty_cache": lambda: None,
            "reset_peak_memory_stats": lambda device: None,
            "memory_allocated": lambda device: 100 * 2**20,
            "max_memory_allocated": lambda device: 100 * 2**20 + self.peak,
            "mem_get_info": lambda device: (self.free, 80 * GIB),
        }
        for name, value in values.items():
            monkeypatch.setattr(torch.cuda, name, value)


@pytest.mark.parametrize(("free", "expected"), [(GIB, 128), (4 * GIB, 512), (0, 1)])
def test_on_a_card_one_small_pass_is_measured(monkeypatch, free, expected):
    denoiser = build_model(tiny_config("unet"), 3, 1, SIDE)
    card = Card(free)
    card.install(monkeypatch)
    # The parameters say where it computes: only that is made up.
    parameter = SimpleNamespace(device=torch.device("cuda"))
    monkeypatch.setattr(denoiser, "parameters", lambda: iter([parameter]))

    compilations = []

    def backend(graph, inputs):
        compilations.append(graph)
        return graph.forward

    @torch.compile(backend=backend)
    def compiled(x):
        return x + 1

    def measured(passes, images, names, settings):
        assert passes.denoiser is denoiser
        assert images.shape == (len(set(names)), SIDE, SIDE, 1) and images.dtype == np.uint8
        assert passes.pairs == len(images) and settings.steps == 1 and settings.precision == "bf16"
        card.peak = 3 * len(images) * 3 * 2**20
        compiled(torch.ones(2))

    monkeypatch.setattr(batch_size, "score", measured)
    assert automatic_batch_size(denoiser, (SIDE, SIDE, 1), "bf16") == expected
    assert not compilations
    compiled(torch.ones(2))
    assert len(compilations) == 1  # as always


def test_a_run_without_a_number_takes_the_automatic_one(weights, store, tmp_path, passes):
    run(weights, store, tmp_path, 20, batch_size=0)
    assert passes[0] == CPU_MOST_INPUTS
    run(weights, store, tmp_path, 30, batch_size=10)
    assert passes[-1] == 10


@pytest.mark.parametrize("text", ["-1", "many", "1.5"])
def test_command_line_refuses_what_is_no_number_of_inputs(text, capsys):
    arguments = ["score", "--params", "{}", "--weights", "w", "--store", "s", "--out", "o"]
    with pytest.raises(SystemExit):
        parse([*arguments, "--batch-size", text])
    assert f"expected a whole number, at least 0, got '{text}'" in capsys.readouterr().err
    assert parse(arguments)[1].batch_size == 0
