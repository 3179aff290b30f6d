"""Rare classes: weights of the loss, and epochs with as many images of every class."""

from __future__ import annotations

import dataclasses
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from trainer_samples import SEED, Scripted, trainer

from core_samples import tiny_config
from meddiff.errors import ConfigError
from meddiff.models.kinds import build_task
from meddiff.models.spec import ModelSpec
from meddiff.training.optim import epoch_batches, order
from meddiff.training.tasks import diffusion
from meddiff.training.tasks.class_weights import class_weights
from meddiff.training.tasks.classification import classification_loss

COUNTS = [17, 3, 6]
LABELS = np.repeat([0, 1, 2], COUNTS)


@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=4).filter(any),
    batch_size=st.integers(1, 20),
    seed=st.integers(0, 5),
    epoch=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_a_balanced_epoch_has_as_many_images_of_every_class(counts, batch_size, seed, epoch):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    batches = epoch_batches(len(labels), batch_size, seed, epoch, labels)
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    rows = np.concatenate(batches)
    assert len(rows) == len(labels)
    of_class = Counter(labels[rows].tolist())
    assert set(of_class) == set(labels.tolist())
    assert max(of_class.values()) - min(of_class.values()) <= 1
    for one in of_class:
        often = np.bincount(rows[labels[rows] == one], minlength=len(labels))[labels == one]
        assert often.max() - often.min() <= 1
    again = epoch_batches(len(labels), batch_size, seed, epoch, labels)
    assert all(np.array_equal(one, other) for one, other in zip(batches, again, strict=True))


def test_balanced_epochs_differ_and_reach_every_image():
    epochs = [np.concatenate(epoch_batches(26, 8, SEED, epoch, LABELS)) for epoch in range(20)]
    assert len({tuple(rows) for rows in epochs}) == 20
    assert set(np.concatenate(epochs).tolist()) == set(range(26))
    # In a batch, classes are mixed.
    assert all(len(set(LABELS[rows[:8]].tolist())) > 1 for rows in epochs)


def test_steps_go_through_balanced_epochs():
    expected = [batch for epoch in (0, 1) for batch in epoch_batches(26, 8, SEED, epoch, LABELS)]
    for start in (0, 3, 5):
        found = list(order(26, 8, SEED, range(start, 8), LABELS))
        assert all(np.array_equal(a, b) for a, b in zip(found, expected[start:], strict=True))


@pytest.mark.parametrize("kind", ["timm", "dit"])
@pytest.mark.parametrize("sampler", ["shuffled", "balanced"])
def test_the_sampler_of_the_configuration_feeds_the_loss(kind, sampler, splits, tmp_path):
    train, valid = splits
    labels = np.array([0] * 16 + [1] * 4)
    seen: list[int] = []

    class Watch(Scripted):
        def loss(self, model, images, labels, keys, steps):
            seen.extend(labels.tolist())
            return sum(p.sum() for p in model.parameters() if p.requires_grad) * labels.float()

        def classify(self, model, store, on_batch):
            return np.zeros(len(store), dtype=np.int64)

    config = tiny_config(kind, train={"epochs": 1, "sampler": sampler})
    trainer(config, tmp_path, Watch([])).run(dataclasses.replace(train, labels=labels), valid)
    assert Counter(seen) == ({0: 16, 1: 4} if sampler == "shuffled" else {0: 10, 1: 10})


@pytest.mark.parametrize("given", ["none", "balanced", [1.0, 20.0, 0.5]])
def test_the_loss_of_an_image_is_times_the_weight_of_its_class(given):
    task = build_task(tiny_config("timm", class_weights=given), SEED, COUNTS)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(26, 3, generator=generator)
    images, labels = torch.zeros(26, 1, 8, 8), torch.from_numpy(LABELS)
    network = nn.Module()
    network.forward = lambda images: logits
    found = task.loss(network, images, labels, None, None)
    weights = {
        "none": np.ones(3),
        "balanced": compute_class_weight("balanced", classes=np.arange(3), y=LABELS),
    }.get(str(given), np.array(given) if isinstance(given, list) else None)
    expected = torch.from_numpy(weights[LABELS]) * -torch.log_softmax(logits.double(), 1)[range(26), labels]
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    if given == "none":
        assert torch.equal(found, classification_loss(network, images, labels))


@pytest.mark.parametrize("given", ["none", "balanced", [1.0, 20.0, 0.5]])
def test_the_loss_of_a_diffusion_model_is_weighted_likewise_with_and_without_labels(given, monkeypatch):
    """Dropped labels change what the network is told, and not which image's loss counts how much."""
    config = tiny_config("dit", class_weights=given, label_dropout=0.5)
    assert ("class_weights" in config.model_dump()) == (given != "none")
    plain = torch.rand(26, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(diffusion, "training_loss", lambda *args, **options: plain)
    labels = torch.from_numpy(LABELS)
    found = build_task(config, SEED, COUNTS).loss(None, None, labels, None, None)
    weights = class_weights(given, COUNTS)
    assert torch.equal(found, plain if weights is None else plain * weights[labels])


@pytest.mark.parametrize("kind", ["unet", "dit"])
def test_models_without_weights_are_what_they_were_before_there_were_any(kind):
    """What decides whether a training is made again, but for code: its resolved spec."""
    spec = ModelSpec(tiny_config(kind), num_classes=2, channels=1, image_size=16).to_dict()
    assert "class_weights" not in str(spec)
    written = ModelSpec(tiny_config(kind, class_weights="none"), num_classes=2, channels=1, image_size=16)
    assert written.to_dict() == spec


def test_balanced_weights_are_one_on_average():
    task = build_task(tiny_config("timm", class_weights="balanced"), SEED, COUNTS)
    assert task._weights[LABELS].mean().item() == pytest.approx(1)
    # 26 images, three classes
    assert task._weights.tolist() == pytest.approx([26 / 51, 26 / 9, 26 / 18])


@pytest.mark.parametrize(
    ("counts", "reason"), [(None, "needs the number"), ([1, 0, 2], "class 1"), ([3, 1, 0], "class 2")]
)
def test_balanced_weights_that_cannot_be(counts, reason):
    with pytest.raises(ConfigError, match=f"class_weights: balanced: .*{reason}"):
        build_task(tiny_config("timm", class_weights="balanced"), SEED, counts)


def test_as_many_weights_as_classes():
    dataset = SimpleNamespace(classes=["a", "b", "c"], image_size=16)
    for kind, weights, problems in (
        ("timm", [1, 2, 3], 0),
        ("timm", [1, 2], 1),
        ("timm", "balanced", 0),
        ("unet", [1, 2], 1),
        ("dit", [1, 2], 1),
        ("dit", [1, 2, 3], 0),
    ):
        model = tiny_config(kind, class_weights=weights)
        found = [text for text in model.problems_with(dataset, ["one"]) if "class_weights" in text]
        assert len(found) == problems and all("one a class, 3, got 2" in text for text in found)
