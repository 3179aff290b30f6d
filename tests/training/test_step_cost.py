"""What a training step must not do: wait for the device, or do what need not be done every step."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from trainer_samples import CONFIGS, SEED, trainer, weights

from core_samples import tiny_config
from meddiff.config.schema.training import TrainConfig
from meddiff.training.batches import BatchReader, ahead
from meddiff.training.optim import build_optimizer, epoch_batches, order
from meddiff.training.trainer import _STEPS_BETWEEN_LOSS_CHECKS

# Their result is needed before the CPU can go on: on a GPU each would wait for all that is queued.
_WAITING_OPS = {
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "unique",
    "_unique2",
    "equal",
    "is_nonzero",
}
_WAITING_METHODS = {"item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__"}


class Operations(TorchDispatchMode):
    """Counts operations that wait, also in the backward pass and inside of optimizers."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        if name in _WAITING_OPS:
            self.waiting[name] += 1
        return function(*args, **(kwargs or {}))


class Methods(TorchFunctionMode):
    """Counts calls that bring a value to the CPU; where the tensors are there already, no operation shows."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: Counter[str] = Counter()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(function, "__name__", "")
        if name in _WAITING_METHODS:
            self.waiting[name] += 1
        return function(*args, **(kwargs or {}))


def waiting(run: Any, store: Any, steps: range) -> Counter[str]:
    """What waited, and how often, in `steps` of a training."""
    reader = BatchReader(store.images, store.labels, run.processes, run.config, SEED)
    batches = [reader.batch(rows) for rows in order(len(store), run.config.batch_size, SEED, steps)]
    run._step(batches[0], steps[0], 1000)  # the state of the optimizer is made
    with Operations() as operations, Methods() as methods:
        for step, batch in zip(steps, batches, strict=True):
            run._step(batch, step, 1000)
    return operations.waiting + methods.waiting


@pytest.mark.parametrize("kind", CONFIGS)
def test_steps_between_the_checks_of_the_loss_wait_for_nothing(kind, splits, tmp_path):
    run = trainer(CONFIGS[kind], tmp_path)
    assert waiting(run, splits[0], range(1, 11)) == Counter()


def test_the_check_of_the_loss_would_be_counted(splits, tmp_path):
    run = trainer(CONFIGS["timm"], tmp_path)
    found = waiting(run, splits[0], range(_STEPS_BETWEEN_LOSS_CHECKS, _STEPS_BETWEEN_LOSS_CHECKS + 2))
    assert "__bool__" in found


def test_nothing_around_a_step_waits_either(splits, tmp_path):
    """From asking whether to stop to asking again: progress, the clock, the next batch and the step."""
    run = trainer(tiny_config("timm", train={"epochs": 1, "batch_size": 2}), tmp_path)
    counts: list[int] = []

    def stop() -> bool:
        counts.append(operations.waiting.total() + methods.waiting.total())
        return False

    with Operations() as operations, Methods() as methods:
        run.run(*splits, save_every_seconds=1e9, stop=stop)
    # The first step checks the loss, and the state is saved after it; the tenth ends the epoch.
    assert counts[0] > 0
    assert len(set(counts[1:9])) == 1 and counts[9] > counts[8]


def test_augmentation_waits_for_nothing(splits, tmp_path):
    everything = {"hflip": 0.5, "rotation": 10.0, "shift": 0.1, "scale": 0.1, "blur_sigma": [0.1, 2.0]}
    run = trainer(tiny_config("timm", train={"epochs": 3, "augmentation": everything}), tmp_path)
    assert waiting(run, splits[0], range(1, 4)) == Counter()


def test_gradients_are_dropped_and_not_set_to_zero(splits, tmp_path):
    run = trainer(CONFIGS["unet"], tmp_path)
    waiting(run, splits[0], range(1, 3))
    assert all(parameter.grad is None for parameter in run.model.parameters())


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_one_kernel_updates_all_weights_as_the_plain_optimizer_does(name):
    torch.manual_seed(0)
    start = [torch.randn(5, 3), torch.randn(7)]
    gradients = [[torch.randn_like(value) for value in start] for _ in range(5)]
    config = TrainConfig(epochs=1, lr=1e-2, optimizer=name, weight_decay=0.1)
    ours, plain = ([torch.nn.Parameter(value.clone()) for value in start] for _ in range(2))
    fused = build_optimizer(ours, config)
    assert all(group["fused"] for group in fused.param_groups)
    kind = type(fused)
    loops = kind(plain, lr=1e-2, betas=(0.9, 0.999), weight_decay=0.1, foreach=False, fused=False)
    for step in gradients:
        for parameters, optimizer in ((ours, fused), (plain, loops)):
            for parameter, gradient in zip(parameters, step, strict=True):
                parameter.grad = gradient.clone()
            optimizer.step()
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_gradient_scaler_skips_a_step_without_asking():
    """As half precision does it: gradients are unscaled, one is infinite, and the step changes nothing."""
    torch.manual_seed(0)
    parameter = torch.nn.Parameter(torch.ones(3))
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=1000)
    optimizer = build_optimizer([parameter], TrainConfig(epochs=1, lr=0.1))
    Accelerator()  # its state is where the wrapped optimizer looks
    prepared = AcceleratedOptimizer(optimizer, device_placement=False, scaler=scaler)
    moved = []
    for gradient in (1.0, float("inf"), 1.0):
        before = parameter.detach().clone()
        parameter.grad = scaler.scale(torch.full((3,), gradient))
        scaler.unscale_(optimizer)
        with Operations() as operations:
            prepared.step()
        assert operations.waiting == Counter()
        moved.append((before - parameter).detach())
    torch.testing.assert_close(moved[0], torch.full((3,), 0.1))
    assert not moved[1].any()
    assert (moved[2] > 0).all() and scaler.get_scale() == 4.0
    prepared.zero_grad()
    assert parameter.grad is None


def test_batches_made_ahead_are_the_same(splits, tmp_path):
    train, _ = splits
    run = trainer(tiny_config("timm", train={"accumulate": 2}), tmp_path)
    reader = BatchReader(train.images, train.labels, run.processes, run.config, SEED)
    orders = epoch_batches(len(train), 8, SEED, 0)
    threaded = list(ahead(map(reader.batch, orders)))
    assert [batch.size for batch in threaded] == [8, 8, 4]
    for rows, batch in zip(orders, threaded, strict=True):
        assert [len(part.labels) for part in batch.parts] == [len(rows) // 2] * 2
        images = torch.cat([part.images for part in batch.parts])
        assert np.array_equal(images.numpy(), train.images[rows])


def test_a_failure_ahead_is_raised_at_its_item():
    def items():
        yield 1
        raise OSError("disk")

    made = ahead(items())
    assert next(made) == 1
    with pytest.raises(OSError, match="disk"):
        next(made)


def test_the_average_follows_after_restoring_and_compiling(splits, tmp_path):
    """The tensors that were paired at the start are still those of both networks."""
    train, valid = splits
    run = trainer(CONFIGS["unet"], tmp_path)
    run.run(train, valid)
    again = trainer(CONFIGS["unet"], tmp_path)
    assert again.history.step == 9
    for network in (again.model, again.eval_model):
        network.load_state_dict(weights(network))
        network.compile(backend="eager")
    before = weights(again.eval_model)
    with torch.no_grad():
        for parameter in again.model.parameters():
            parameter.add_(1.0)
    again.ema.update(11)  # it moves after every second step, from the first
    decay = again.ema.decay(11)
    online = weights(again.model)
    plain = again.model.plain_parameters()
    for name, value in weights(again.eval_model).items():
        expected = online[name] if name in plain else torch.lerp(before[name], online[name], 1.0 - decay)
        torch.testing.assert_close(value, expected)
