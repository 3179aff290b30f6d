"""Mixed precision with a gradient scaler: a loss that overflows costs a step, not the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor
from trainer_samples import SEED, STEPS_PER_EPOCH, weights

from core_samples import SIDE, tiny_config
from meddiff.diffusion.pixels import in_unit_range
from meddiff.errors import Interrupted, MeddiffError
from meddiff.models.checkpoint import load_state
from meddiff.models.kinds import build_model
from meddiff.training.distributed import Processes
from meddiff.training.losses import MOST_SKIPPED
from meddiff.training.state import STATE_FILE
from meddiff.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("any_precision")
SCALE = 2.0**10
INF, NAN = float("inf"), float("nan")


class Overflowing:
    """A task whose images are multiplied by `factor` in the steps `at`, and whose loss by `loss_factor`."""

    def __init__(self, at: Any, factor: float = 1.0, loss_factor: float = 1.0) -> None:
        self.at, self.factor, self.loss_factor = at, factor, loss_factor
        self.losses: dict[int, float] = {}

    def loss(self, model, images, labels, keys, steps):
        step = int(steps[0])
        overflows = step in self.at
        images = in_unit_range(images) * (self.factor if overflows else 1.0)
        losses = model(images).float().square().sum(dim=1) * (self.loss_factor if overflows else 1.0)
        self.losses[step] = losses.mean().item()
        return losses

    def classify(self, model, store, on_batch):
        return np.zeros(len(store), dtype=np.int64)


def trainer(folder: Path, task: Any, **train: Any) -> Trainer:
    """With the gradient scaler that accelerate has for fp16 on a GPU; the network itself is in fp32."""
    config = tiny_config("timm", train={"epochs": 2, "mixed_precision": "fp16", "warmup_steps": 0, **train})
    accelerator = Accelerator(mixed_precision="fp16")
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
    # Only there does accelerate undo the scale before gradients are clipped.
    accelerator.unscale_gradients = lambda optimizer=None: accelerator.scaler.unscale_(
        accelerator._optimizers[0].optimizer
    )
    torch.manual_seed(SEED)
    model = build_model(config, 2, 1, SIDE)
    return Trainer(model, task, config.train, SEED, folder, Processes(accelerator))


def stopped_after(run: Trainer, steps: int, splits: Any) -> dict[str, Tensor]:
    """Weights, running statistics and moments after so many steps."""
    with pytest.raises(Interrupted):
        run.run(*splits, stop=lambda: run.history.step == steps)
    return load_state(run.state_dir / STATE_FILE).tensors


@pytest.mark.parametrize(
    "overflow",
    [{"loss_factor": INF}, {"loss_factor": NAN}, {"factor": INF}, {"loss_factor": 1e36}],
    ids=["infinite loss", "NaN", "infinite activations", "gradients only"],
)
def test_a_step_that_overflows_changes_nothing_but_the_scale(overflow, splits, tmp_path):
    bad = 1
    before = stopped_after(trainer(tmp_path / "a", Overflowing({bad}, **overflow)), bad, splits)
    run = trainer(tmp_path / "b", Overflowing({bad}, **overflow))
    after = stopped_after(run, bad + 1, splits)
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert set(before) - same <= {"skips", "loss_sum"}
    assert load_state(run.state_dir / STATE_FILE).values["scaler"]["scale"] == SCALE / 2
    # The step after it is a step again.
    following = stopped_after(run_again := trainer(tmp_path / "b", run.task), bad + 2, splits)
    assert run_again.history.step == bad + 2
    moved = {name for name in after if not torch.equal(after[name], following[name])}
    assert any(name.startswith("model") for name in moved)
    assert all(torch.isfinite(tensor).all() for tensor in following.values())


def test_training_goes_on_to_its_end_and_counts_the_other_losses(splits, tmp_path):
    task = Overflowing({1, 4}, loss_factor=INF)
    run = trainer(tmp_path, task)
    run.run(*splits)
    assert run.history.step == 2 * STEPS_PER_EPOCH
    for epoch, steps in enumerate(([0, 2], [3, 5])):
        record = run.history.epochs[epoch]
        assert record["skipped"] == 1
        assert record["loss"] == pytest.approx(np.mean([task.losses[step] for step in steps]), rel=1e-5)


def test_a_run_without_overflow_says_nothing_of_skipped_steps(splits, tmp_path):
    run = trainer(tmp_path, Overflowing(()))
    run.run(*splits)
    assert all("skipped" not in record for record in run.history.epochs)


def test_stopped_and_resumed_is_uninterrupted_bit_for_bit(splits, tmp_path):
    task = Overflowing({1}, loss_factor=INF)
    whole = trainer(tmp_path / "whole", task)
    expected = weights(whole.run(*splits))
    stopped_after(trainer(tmp_path / "parts", task), 2, splits)
    resumed = trainer(tmp_path / "parts", task)
    found = weights(resumed.run(*splits))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    drop = ("valid_f1", "valid_accuracy")
    records = [
        [{k: v for k, v in r.items() if k not in drop} for r in x.history.epochs] for x in (whole, resumed)
    ]
    assert records[0] == records[1]


def test_an_epoch_of_skipped_steps_has_no_loss(splits, tmp_path):
    run = trainer(tmp_path, Overflowing(range(STEPS_PER_EPOCH), loss_factor=INF))
    run.run(*splits)
    assert "loss" not in run.history.epochs[0] and run.history.epochs[0]["skipped"] == STEPS_PER_EPOCH
    assert np.isfinite(run.history.epochs[1]["loss"])


def test_too_many_in_a_row_end_the_training(splits, tmp_path):
    run = trainer(tmp_path, Overflowing(range(5, 10**6), loss_factor=NAN), epochs=1000)
    with pytest.raises(MeddiffError, match=r"NaN or infinite in the last \d+ steps.*lower train\.lr"):
        run.run(*splits)
    assert 5 + MOST_SKIPPED <= run.history.step <= 5 + 2 * MOST_SKIPPED + 1


def test_not_one_step_made_is_no_training(splits, tmp_path):
    run = trainer(tmp_path, Overflowing(range(100), loss_factor=INF))
    with pytest.raises(MeddiffError, match=f"in the last {2 * STEPS_PER_EPOCH} steps"):
        run.run(*splits)
