"""The training loop: it learns, sees every image, keeps the best, clips, and reports trouble."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from trainer_samples import CONFIGS, SEED, Scripted, trainer, weights

from core_samples import SIDE, tiny_config, write_store
from meddiff.data.stores.store import Store
from meddiff.diffusion.pixels import in_unit_range
from meddiff.errors import MeddiffError
from meddiff.models.checkpoint import load_state
from meddiff.models.kinds import build_model
from meddiff.training.optim import epoch_batches
from meddiff.training.state import STATE_FILE
from meddiff.training.trainer import Trainer
from scoring_samples import score_images


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_few_images_are_learnt(kind, tmp_path):
    folder = write_store(tmp_path, {"train": 8, "valid": 8, "test": 2})
    train, valid = Store.open(folder, "train"), Store.open(folder, "valid")
    epochs = {"unet": 30, "dit": 100, "timm": 40}[kind]
    settings = {"epochs": epochs, "lr": 5e-3, "warmup_steps": 5, "validate_every": epochs}
    run = trainer(tiny_config(kind, train=settings), tmp_path / "state")
    best = run.run(train, valid)
    losses = [record["loss"] for record in run.history.epochs]
    assert len(losses) == epochs
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:5])
    if kind == "timm":
        assert run.history.epochs[-1]["valid_accuracy"] == 1.0
    if kind == "dit":  # so small a UNet needs thousands of steps before it looks at the class
        errors, _ = score_images(best, valid.images, valid.image_ids, seed=0, steps=51)
        rows = np.arange(len(valid))
        gain = (errors[rows, :, 1 - valid.labels] - errors[rows, :, valid.labels]).mean(axis=1)
        assert gain.mean() > 3 * gain.std(ddof=1) / np.sqrt(len(gain))  # the true class explains better


def test_every_epoch_takes_every_image_once(splits, tmp_path):
    """The batches that reach the loss are those of `epoch_batches`, with their labels."""
    train, valid = splits
    seen: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    class Watch:
        def loss(self, model, images, labels, keys, steps):
            seen.append((images, labels, keys, steps))
            return model(in_unit_range(images)).square().sum(dim=1)

        def classify(self, model, store, on_batch):
            return np.zeros(len(store), dtype=np.int64)

    trainer(CONFIGS["timm"], tmp_path, Watch()).run(train, valid)
    batches = [b for epoch in range(3) for b in epoch_batches(20, 8, SEED, epoch)]
    assert len(seen) == len(batches) == 9
    for step, (rows, (images, labels, keys, steps)) in enumerate(zip(batches, seen, strict=True)):
        assert torch.equal(images, torch.from_numpy(train.images[rows]))
        assert labels.tolist() == train.labels[rows].tolist()
        assert steps.tolist() == [step] * len(rows)
        assert len({tuple(key) for key in keys.tolist()}) == len(rows)


def test_best_is_the_first_strictly_best_validation(splits, tmp_path):
    train, valid = splits
    truth, wrong = valid.labels, 1 - valid.labels
    some = np.where(np.arange(len(truth)) < 4, wrong, truth)
    task = Scripted([wrong, some, truth, some, truth])
    config = tiny_config(
        "timm", train={"epochs": 5, "ema": {"beta": 0.5, "update_after_step": 0, "update_every": 1}}
    )
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
            return model(in_unit_range(images)).sum(dim=1) * 0 + 2.0

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
            x = model.encode_pixels(images)
            return 1e6 * model(x, torch.zeros(len(x)), labels).square().flatten(1).sum(dim=1)

    config = tiny_config("unet", preset, train={"epochs": 1})
    run = trainer(config, tmp_path, Huge([valid.labels]))
    norms: list[tuple[float, float]] = []

    def look(optimizer, args, kwargs):
        norm = {
            inside: sum(
                p.grad.square().sum()
                for n, p in run.model.named_parameters()
                if (n in plain) == inside and p.requires_grad
            )
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

    def watched(model, *rest):
        modes.append((model, model.training))
        return classify(model, *rest)

    run.task.classify = watched
    run.run(train, valid)
    assert modes == [(run.ema.model, False)] * 2
    assert not torch.equal(run.ema.model.backbone.conv_in.weight, run.model.backbone.conv_in.weight)


def test_loss_that_is_not_finite(splits, tmp_path):
    config = tiny_config("unet", train={"lr": 1e30, "warmup_steps": 0, "clip_grad_norm": 1e30})
    with pytest.raises(MeddiffError, match=r"loss became NaN or infinite by step \d+; lower train\.lr"):
        trainer(config, tmp_path).run(*splits)
    state = load_state(tmp_path / STATE_FILE)
    assert state.values["step"] == 1 and torch.isfinite(state.tensors["loss_sum"])


def test_divergence_at_the_last_step_is_found_in_validation(splits, tmp_path):
    """The loss of the only step is finite; the weights after it are not usable."""
    settings = {"lr": 1e30, "warmup_steps": 0, "batch_size": 32, "epochs": 1, "ema": None}
    with pytest.raises(MeddiffError, match=r"validation: .* training has diverged; lower train\.lr"):
        trainer(tiny_config("dit", train=settings), tmp_path).run(*splits)
    assert load_state(tmp_path / STATE_FILE) is None


def test_accumulated_parts_are_one_batch(splits, tmp_path):
    """Same gradients as one pass over the whole batch, up to rounding."""
    train, valid = splits
    whole, parts = (
        trainer(tiny_config("dit", train={"epochs": 2, "accumulate": n}), tmp_path / str(n)) for n in (1, 3)
    )
    expected = weights(whole.run(train, valid))
    for name, tensor in weights(parts.run(train, valid)).items():
        assert torch.allclose(tensor, expected[name], atol=2e-5), name
    losses = [[record["loss"] for record in run.history.epochs] for run in (whole, parts)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_length_in_steps_and_the_last_weights(splits, tmp_path):
    """Five steps of three an epoch; nothing is validated, and the last weights are returned."""
    train, valid = splits
    config = tiny_config("timm", train={"epochs": None, "steps": 5, "select": "last"})
    run = trainer(config, tmp_path, Scripted([]))
    model = run.run(train, valid)
    assert run.history.step == 5
    assert [record["step"] for record in run.history.epochs] == [3, 5]
    assert all("valid_f1" not in record for record in run.history.epochs)
    assert model is run.eval_model


def test_training_images_are_augmented_and_validation_images_are_not(splits, tmp_path):
    train, valid = splits
    seen: list[Tensor] = []

    class Watch(Scripted):
        def loss(self, model, images, labels, keys, steps):
            seen.append(images)
            return super().loss(model, images, labels, keys, steps)

        def classify(self, model, store, on_batch):
            assert np.array_equal(store.images, valid.images)
            return np.zeros(len(store), dtype=np.int64)

    config = tiny_config("timm", train={"epochs": 1, "augmentation": {"hflip": 1.0}})
    trainer(config, tmp_path, Watch([])).run(train, valid)
    rows = epoch_batches(20, 8, SEED, 0)[0]
    assert torch.equal(seen[0], torch.from_numpy(train.images[rows]).flip(2))
