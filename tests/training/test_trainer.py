"""The training loop: it learns, stops and resumes exactly, keeps the best, and reports trouble."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from core_samples import ARCHITECTURES, SIDE, tiny_config, write_store
from torch import Tensor, nn

from meddiff.checkpoint import load_state
from meddiff.data.store import Store
from meddiff.data.tensors import to_unit_range
from meddiff.errors import CheckpointError, MeddiffError
from meddiff.models import build_model, build_task
from meddiff.optim import epoch_batches
from meddiff.train import STATE_FILE, Interrupted, Trainer

SEED = 3
STEPS_PER_EPOCH = 3  # 20 images in batches of 8
TRAIN = {"epochs": 3, "validate_every": 2}  # validated after steps 6 and 9
# Each network with the randomness that is hardest to resume: dropout of its own.
CONFIGS = {
    "unet": tiny_config(
        "unet", "official", train=TRAIN, architecture={**ARCHITECTURES["unet"], "dropout": 0.2}
    ),
    "dit": tiny_config("dit", "official", train=TRAIN, block_label_dropout=0.3),
    "timm": tiny_config("timm", train=TRAIN),
}


@pytest.fixture(scope="module")
def splits(tmp_path_factory) -> tuple[Store, Store]:
    folder = write_store(tmp_path_factory.mktemp("store"))
    return Store.open(folder, "train"), Store.open(folder, "valid")


def trainer(config: Any, state_dir: Path, task: Any = None) -> Trainer:
    torch.manual_seed(SEED)
    model = build_model(config, 2, 1, SIDE)
    return Trainer(model, task or build_task(config, SEED), config.train, SEED, state_dir)


def after(steps: int) -> Callable[[], bool]:
    counter = itertools.count(1)
    return lambda: next(counter) >= steps


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def everything(finished: Trainer, best: nn.Module) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All that a run leaves behind, without the time it took."""
    state = load_state(finished.state_dir / STATE_FILE)
    values = {k: v for k, v in vars(finished.history).items() if k != "seconds"}
    return {**state.tensors, **{f"best.{k}": v for k, v in weights(best).items()}}, values


def assert_same(one: tuple[dict, dict], other: tuple[dict, dict]) -> None:
    assert one[1] == other[1]
    assert one[0].keys() == other[0].keys()
    assert [name for name in one[0] if not torch.equal(one[0][name], other[0][name])] == []


@pytest.fixture(scope="module")
def uninterrupted(splits, tmp_path_factory) -> dict[str, tuple[dict, dict]]:
    results = {}
    for kind, config in CONFIGS.items():
        run = trainer(config, tmp_path_factory.mktemp(kind))
        results[kind] = everything(run, run.run(*splits))
    return results


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_run_is_reproducible_and_the_seed_matters(kind, splits, uninterrupted, tmp_path):
    run = trainer(CONFIGS[kind], tmp_path / "same")
    assert_same(everything(run, run.run(*splits)), uninterrupted[kind])
    assert uninterrupted[kind][1]["step"] == 3 * STEPS_PER_EPOCH
    assert [("valid_f1" in record) for record in uninterrupted[kind][1]["epochs"]] == [False, True, True]


@pytest.mark.parametrize(
    "stops",
    [[1], [4, 1], [3], [6], [1, 1, 1, 1, 1, 1, 1, 1, 1]],
    ids=["in an epoch", "twice", "at an epoch's end", "after validation", "at every step"],
)
@pytest.mark.parametrize("kind", CONFIGS)
def test_stopped_and_resumed_is_uninterrupted_bit_for_bit(kind, stops, splits, uninterrupted, tmp_path):
    done = 0
    for steps in stops:
        with pytest.raises(Interrupted, match="run again"):
            trainer(CONFIGS[kind], tmp_path).run(*splits, stop=after(steps))
        done += steps
        assert load_state(tmp_path / STATE_FILE).values["step"] == done
    run = trainer(CONFIGS[kind], tmp_path)
    assert run.history.step == done
    assert_same(everything(run, run.run(*splits)), uninterrupted[kind])


class Killed(BaseException):
    """As sudden as a lost node: nothing is saved any more."""


def kill(*_: Any) -> None:
    raise Killed


@pytest.mark.parametrize("epoch", [0, 1, 2])
@pytest.mark.parametrize("kind", ["unet", "timm"])
def test_killed_after_an_epoch(kind, epoch, splits, uninterrupted, tmp_path):
    with pytest.raises(Killed):
        trainer(CONFIGS[kind], tmp_path).run(
            *splits, on_epoch=lambda record: kill() if record["epoch"] == epoch else None
        )
    run = trainer(CONFIGS[kind], tmp_path)
    assert run.history.step == [0, 6, 9][epoch]  # only validated epochs are saved of themselves
    assert_same(everything(run, run.run(*splits)), uninterrupted[kind])


@pytest.mark.parametrize("validation", [1, 2])
def test_killed_between_the_best_weights_and_the_state(validation, splits, uninterrupted, tmp_path, monkeypatch):
    save, calls = Trainer.save, itertools.count(1)
    monkeypatch.setattr(Trainer, "save", lambda self: kill() if next(calls) == validation else save(self))
    with pytest.raises(Killed):
        trainer(CONFIGS["timm"], tmp_path).run(*splits)
    run = trainer(CONFIGS["timm"], tmp_path)
    assert_same(everything(run, run.run(*splits)), uninterrupted["timm"])


def test_state_is_saved_at_intervals(splits, tmp_path):
    run = trainer(CONFIGS["timm"], tmp_path)
    saved, save = [], run.save
    run.save = lambda: (saved.append(run.history.step), save())
    run.run(*splits, save_every_seconds=0.0)
    assert sorted(set(saved)) == list(range(1, 10))


def test_a_finished_run_is_not_trained_again(splits, uninterrupted, tmp_path):
    trainer(CONFIGS["unet"], tmp_path).run(*splits)
    run = trainer(CONFIGS["unet"], tmp_path)
    run._step = kill
    assert_same(everything(run, run.run(*splits)), uninterrupted["unet"])


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_few_images_are_learnt(kind, tmp_path):
    folder = write_store(tmp_path, {"train": 8, "valid": 8, "test": 2})
    train, valid = Store.open(folder, "train"), Store.open(folder, "valid")
    epochs = 40 if kind == "timm" else 100
    settings = {"epochs": epochs, "lr": 5e-3, "warmup_steps": 5, "validate_every": epochs}
    config = tiny_config(kind, train=settings, validation_steps=15) if kind != "timm" else None
    config = config or tiny_config(kind, train=settings)
    run = trainer(config, tmp_path / "state")
    run.run(train, valid)
    losses = [record["loss"] for record in run.history.epochs]
    assert len(losses) == epochs
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:5])
    assert run.history.epochs[-1]["valid_accuracy"] == 1.0


def test_every_epoch_takes_every_image_once(splits, tmp_path):
    """The batches that reach the loss are those of `epoch_batches`, with their labels."""
    train, valid = splits
    seen: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    class Watch:
        def loss(self, model, images, labels, keys, steps):
            seen.append((images, labels, keys, steps))
            return model(images).square().sum(dim=1)

        def classify(self, model, store):
            return np.zeros(len(store), dtype=np.int64)

    trainer(CONFIGS["timm"], tmp_path, Watch()).run(train, valid)
    batches = [b for epoch in range(3) for b in epoch_batches(20, 8, SEED, epoch)]
    assert len(seen) == len(batches) == 9
    for step, (rows, (images, labels, keys, steps)) in enumerate(zip(batches, seen, strict=True)):
        assert torch.equal(images, to_unit_range(torch.from_numpy(train.images[rows])))
        assert labels.tolist() == train.labels[rows].tolist()
        assert steps.tolist() == [step] * len(rows)
        assert len({tuple(key) for key in keys.tolist()}) == len(rows)


class Scripted:
    """A task whose validation results are given; the loss is a toy."""

    def __init__(self, predictions: list[np.ndarray]) -> None:
        self.predictions = iter(predictions)
        self.models: list[dict[str, Tensor]] = []

    def loss(self, model, images, labels, keys, steps):
        return model(images).square().sum(dim=1)

    def classify(self, model, store):
        self.models.append(weights(model))
        return next(self.predictions)


def test_best_is_the_first_strictly_best_validation(splits, tmp_path):
    train, valid = splits
    truth, wrong = valid.labels, 1 - valid.labels
    some = np.where(np.arange(len(truth)) < 4, wrong, truth)
    task = Scripted([wrong, some, truth, some, truth])
    config = tiny_config("timm", train={"epochs": 5, "ema": {"beta": 0.5, "update_after_step": 0, "update_every": 1}})
    run = trainer(config, tmp_path, task)
    best = run.run(train, valid)
    assert run.history.best_epoch == 2 and run.history.best_f1 == 1.0
    assert not best.training
    assert all(torch.equal(task.models[2][name], value) for name, value in weights(best).items())
    assert not all(torch.equal(task.models[4][name], value) for name, value in weights(best).items())
    assert [p.name for p in tmp_path.glob("best-*")] == ["best-000002.safetensors"]


def test_worst_possible_validation_still_gives_a_model(splits, tmp_path):
    train, valid = splits
    run = trainer(tiny_config("timm", train={"epochs": 1}), tmp_path, Scripted([1 - valid.labels]))
    run.run(train, valid)
    assert run.history.best_f1 == 0.0 and run.history.best_epoch == 0


def test_f1_is_of_the_positive_class_or_the_mean_over_more(tmp_path):
    folder = write_store(tmp_path, {"train": 6, "valid": 6, "test": 1}, classes=3)
    train, valid = Store.open(folder, "train"), Store.open(folder, "valid")
    config = tiny_config("timm", train={"epochs": 1})
    torch.manual_seed(0)
    model = build_model(config, 3, 1, SIDE)
    run = Trainer(model, Scripted([np.zeros(6, dtype=int)]), config.train, 0, tmp_path / "state")
    run.run(train, valid)
    assert run.history.best_f1 == pytest.approx((2 * (1 / 3) / (4 / 3)) / 3)
    assert run.history.epochs[-1]["valid_accuracy"] == pytest.approx(1 / 3)


def test_loss_and_learning_rate_of_the_record(splits, tmp_path):
    train, valid = splits

    class Constant(Scripted):
        def loss(self, model, images, labels, keys, steps):
            # The value does not depend on the weights: 2 a sample, in the short batch too.
            return model(images).sum(dim=1) * 0 + 2.0

    config = tiny_config("timm", train={"epochs": 2, "lr": 0.5, "warmup_steps": 0, "validate_every": 2})
    run = trainer(config, tmp_path, Constant([valid.labels]))
    run.run(train, valid)
    first, last = run.history.epochs
    assert first == {"epoch": 0, "step": 3, "lr": pytest.approx(0.25), "loss": 2.0}
    assert last["lr"] == pytest.approx(0.0) and last["step"] == 6 and last["valid_f1"] == 1.0


@pytest.mark.parametrize(("preset", "clipped"), [("fixed", True), ("official", False)])
def test_clipping_leaves_out_the_class_embedding_as_published_only(preset, clipped, splits, tmp_path):
    """With a huge loss the clipped parameters together get a gradient of norm 1, the others a huge one."""
    train, valid = splits

    class Huge(Scripted):
        def loss(self, model, images, labels, keys, steps):
            x = model.encode(images)
            return 1e6 * model(x, torch.zeros(len(x)), labels).square().flatten(1).sum(dim=1)

    config = tiny_config("unet", preset, train={"epochs": 1})
    run = trainer(config, tmp_path, Huge([valid.labels]))
    norms: list[tuple[float, float]] = []

    def look(optimizer, args, kwargs):
        norm = {
            inside: sum(p.grad.square().sum() for n, p in run.model.named_parameters() if (n in plain) == inside)
            for inside in (False, True)
        }
        norms.append((float(norm[False]) ** 0.5, float(norm[True]) ** 0.5))

    plain = {"class_embedding.weight"}
    run.optimizer.register_step_pre_hook(look)
    run.run(train, valid)
    assert len(norms) == 3
    for backbone, embedding in norms:
        if clipped:
            assert (backbone**2 + embedding**2) ** 0.5 == pytest.approx(1, rel=1e-3)
        else:
            assert backbone == pytest.approx(1, rel=1e-3) and embedding > 10


def test_validation_uses_the_average_in_eval_mode(splits, tmp_path):
    train, valid = splits
    config = CONFIGS["unet"]
    run = trainer(config, tmp_path)
    modes = []
    classify = run.task.classify
    run.task.classify = lambda model, store: (modes.append((model, model.training)), classify(model, store))[1]
    run.run(train, valid)
    assert modes == [(run.ema.model, False)] * 2
    assert not torch.equal(run.ema.model.backbone.conv_in.weight, run.model.backbone.conv_in.weight)


def test_loss_that_is_not_finite(splits, tmp_path):
    config = tiny_config("unet", train={"lr": 1e30, "warmup_steps": 0, "clip_grad_norm": 1e30})
    with pytest.raises(MeddiffError, match=r"loss became NaN or infinite by step \d+; lower train\.lr"):
        trainer(config, tmp_path).run(*splits)
    assert load_state(tmp_path / STATE_FILE) is None


def test_damaged_state_and_lost_best_weights(splits, tmp_path):
    trainer(CONFIGS["timm"], tmp_path).run(*splits)
    (best,) = tmp_path.glob("best-*")
    best.unlink()
    with pytest.raises(CheckpointError, match=r"best-\d+\.safetensors: no such weights"):
        trainer(CONFIGS["timm"], tmp_path).run(*splits)
    state = tmp_path / STATE_FILE
    state.write_bytes(state.read_bytes()[: state.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="damaged resume state"):
        trainer(CONFIGS["timm"], tmp_path)
