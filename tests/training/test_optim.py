"""Learning rate, batches and optimizer are functions of the configuration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers.optimization import get_cosine_schedule_with_warmup
from hypothesis import given, settings
from hypothesis import strategies as st

from meddiff.config.schema.training import TrainConfig
from meddiff.training.optim import build_optimizer, epoch_batches, lr_factor, set_lr


@given(warmup=st.integers(0, 20), total=st.integers(1, 60))
@settings(max_examples=25, deadline=None)
def test_learning_rate_is_that_of_diffusers(warmup, total):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_cosine_schedule_with_warmup(optimizer, warmup, total)
    for step in range(total):
        assert lr_factor(step, warmup, total) == pytest.approx(scheduler.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        scheduler.step()


def test_constant_learning_rate_after_the_warm_up():
    factors = [lr_factor(step, 4, 10, "constant") for step in range(11)]
    assert factors == [0.0, 0.25, 0.5, 0.75, *[1.0] * 7]


def test_learning_rate_ends_at_zero():
    assert lr_factor(0, 0, 10) == 1.0
    assert lr_factor(0, 5, 10) == 0.0
    assert lr_factor(10, 5, 10) == pytest.approx(0.0)


@given(
    images=st.integers(1, 200),
    batch_size=st.integers(1, 64),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 2000),
)
@settings(max_examples=50, deadline=None)
def test_batches_of_an_epoch_are_a_permutation(images, batch_size, seed, epoch):
    batches = epoch_batches(images, batch_size, seed, epoch)
    assert len(batches) == -(-images // batch_size)
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert sorted(np.concatenate(batches)) == list(range(images))
    again = epoch_batches(images, batch_size, seed, epoch)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


def test_order_differs_between_epochs_and_seeds():
    orders = {
        tuple(epoch_batches(50, 50, seed, epoch)[0]) for seed in range(5) for epoch in range(5)
    }  # includes (seed 0, epoch 1) and (seed 1, epoch 0)
    assert len(orders) == 25


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_weight_decay_is_a_penalty_in_adam_and_decoupled_in_adamw(name, kind):
    parameter = torch.nn.Parameter(torch.tensor([2.0]))
    config = TrainConfig(epochs=1, lr=0.1, optimizer=name, weight_decay=0.5)
    optimizer = build_optimizer([parameter], config)
    assert type(optimizer) is kind
    parameter.grad = torch.tensor([1.0])
    set_lr(optimizer, 0.01)
    optimizer.step()
    # Adam's first step has length lr whatever the gradient; AdamW also shrinks by lr * decay.
    expected = 2.0 - 0.01 - (0.01 * 0.5 * 2.0 if name == "adamw" else 0.0)
    assert parameter.item() == pytest.approx(expected, abs=1e-6)
