"""Scoring: the error of an image's step is the same however the work was divided."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from core_samples import SIDE, tiny_config
from meddiff.config.schema.experiment import StoppingConfig
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.errors import classification_errors
from meddiff.diffusion.step_order import in_order, spread_order
from meddiff.diffusion.stopping import cut, make_rule, stopping_steps
from meddiff.diffusion.vote import majority, mean
from meddiff.models.kinds import build_model
from meddiff.scoring import passes
from meddiff.scoring.score import step_levels
from meddiff.scoring.settings import ScoringSettings
from scoring_samples import score_images

IMAGES, STEPS = 11, 5
NAMES = [f"patient {i}" for i in range(IMAGES)]


@pytest.fixture(scope="module", params=["unet", "dit"])
def denoiser(request) -> Denoiser:
    """An untrained network whose output differs between classes (zero-init off, or there is none)."""
    torch.manual_seed(0)
    changes = {"adaln_zero_init": False} if request.param == "dit" else {}
    return build_model(tiny_config(request.param, **changes), 3, 1, SIDE)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (IMAGES, SIDE, SIDE, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def reference(denoiser, images) -> tuple[np.ndarray, np.ndarray]:
    return score_images(denoiser, images, NAMES, seed=4, steps=STEPS)


def assert_same(scored: tuple[np.ndarray, np.ndarray], reference: tuple[np.ndarray, np.ndarray]) -> None:
    np.testing.assert_allclose(scored[0], reference[0], rtol=1e-5)
    np.testing.assert_array_equal(scored[1], reference[1])
    np.testing.assert_array_equal(majority(scored[0]), majority(reference[0]))
    np.testing.assert_array_equal(mean(scored[0]), mean(reference[0]))


def test_shape_and_meaning(denoiser, images, reference):
    errors, logsnr = reference
    assert errors.shape == (IMAGES, STEPS, 3) and errors.dtype == np.float32
    assert logsnr.shape == (IMAGES, STEPS) and logsnr.dtype == np.float32
    assert np.isfinite(errors).all() and (errors > 0).all()
    assert (errors[..., 0] != errors[..., 1]).all()
    assert len(np.unique(logsnr)) == IMAGES * STEPS


@pytest.mark.parametrize("batch_size", [1, 4, 21, 1000])
def test_batch_size_does_not_matter(denoiser, images, reference, batch_size):
    assert_same(score_images(denoiser, images, NAMES, seed=4, steps=STEPS, batch_size=batch_size), reference)


def test_order_of_images_does_not_matter(denoiser, images, reference):
    order = np.random.default_rng(1).permutation(IMAGES)
    errors, logsnr = score_images(
        denoiser, images[order], [NAMES[i] for i in order], seed=4, steps=STEPS, batch_size=9
    )
    back = np.argsort(order)
    assert_same((errors[back], logsnr[back]), reference)


def test_scored_apart_is_scored_together(denoiser, images, reference):
    errors, logsnr = np.empty_like(reference[0]), np.empty_like(reference[1])
    for shard in range(3):
        rows = np.arange(shard, IMAGES, 3)
        errors[rows], logsnr[rows] = score_images(
            denoiser, images[rows], [NAMES[i] for i in rows], seed=4, steps=STEPS
        )
    assert_same((errors, logsnr), reference)


def test_what_is_missing_is_completed_and_the_rest_is_kept(denoiser, images, reference):
    partial = reference[0].copy()
    partial[2:5, 1:] = np.nan
    partial[7, 3, 1] = np.nan  # one class of a step: the step is done again
    partial[0, 0] = 123.0  # not to be touched
    errors, logsnr = score_images(denoiser, images, NAMES, seed=4, steps=STEPS, errors=partial)
    assert (errors[0, 0] == 123.0).all()
    errors[0, 0] = reference[0][0, 0]
    assert_same((errors, logsnr), reference)


def test_more_steps_continue_fewer(denoiser, images, reference):
    errors, logsnr = score_images(denoiser, images, NAMES, seed=4, steps=2)
    np.testing.assert_allclose(errors, reference[0][:, :2], rtol=1e-5)
    np.testing.assert_allclose(logsnr, reference[1][:, :2], rtol=1e-6)


@pytest.mark.parametrize("change", [{"seed": 5}, {"noise_levels": "low_discrepancy"}])
def test_other_seed_or_levels_are_other_draws(denoiser, images, reference, change):
    _, logsnr = score_images(denoiser, images, NAMES, **{"seed": 4, "steps": STEPS, **change})
    # The first step of both kinds of levels is the same draw.
    assert (logsnr[:, 1:] != reference[1][:, 1:]).all()


def test_bf16_is_near_and_summed_in_fp32(denoiser, images, reference):
    errors, logsnr = score_images(denoiser, images, NAMES, seed=4, steps=STEPS, precision="bf16")
    assert errors.dtype == np.float32
    np.testing.assert_allclose(errors, reference[0], rtol=0.1)
    assert (errors != reference[0]).mean() > 0.5  # the body did run in bf16
    np.testing.assert_array_equal(logsnr, reference[1])


def test_a_pass_is_never_larger_than_asked_for_and_has_no_null_class(denoiser, images, monkeypatch):
    watched = copy.deepcopy(denoiser).train()
    for table in (module for module in watched.modules() if isinstance(module, torch.nn.Embedding)):
        torch.nn.init.constant_(table.weight[watched.null_class], torch.nan)
    sizes = watch_passes(watched, monkeypatch)
    errors, _ = score_images(watched, images, NAMES, seed=4, steps=STEPS, batch_size=32)
    assert max(map(len, sizes)) == 10 and sum(map(len, sizes)) == IMAGES * STEPS
    assert np.isfinite(errors).all() and not watched.training


def watch_passes(denoiser: Denoiser, monkeypatch) -> list[Tensor]:
    """The inputs z of every pass from now on; each is for all classes."""
    seen: list[Tensor] = []
    run = denoiser.for_all_classes

    def watched(z: Tensor, logsnr: Tensor) -> Tensor:
        seen.append(z.clone())
        return run(z, logsnr)

    monkeypatch.setattr(denoiser, "for_all_classes", watched)
    return seen


STOPPED_STEPS = 25
RULES = [
    StoppingConfig(kind="exact"),
    StoppingConfig(kind="sequential", delta=0.2),
    StoppingConfig(kind="sequential", decision="mean", delta=0.4),
]


@pytest.fixture(scope="module")
def full(denoiser, images) -> np.ndarray:
    return score_images(denoiser, images, NAMES, seed=4, steps=STOPPED_STEPS)[0]


@pytest.mark.parametrize("config", RULES, ids=["exact", "sequential", "mean"])
@pytest.mark.parametrize(
    ("batch_size", "fill", "order"), [(3, 1, 1), (12, 8, -1), (90, None, 1), (6000, None, -1)]
)
def test_images_stop_where_the_full_errors_say(
    denoiser, images, full, monkeypatch, config, batch_size, fill, order
):
    """Whatever the size of batches, how they are filled, and the order of images."""
    monkeypatch.setattr(passes, "_CPU_FILL", fill)
    rule = make_rule(config, STOPPED_STEPS, 3)
    stops = stopping_steps(full, rule)
    assert len(set(stops)) > 1 and stops.min() < STOPPED_STEPS
    errors, logsnr = score_images(
        denoiser,
        images[::order],
        NAMES[::order],
        seed=4,
        steps=STOPPED_STEPS,
        batch_size=batch_size,
        stopping=rule,
    )
    errors = errors[::order]
    np.testing.assert_array_equal(stopping_steps(errors, rule), stops)
    np.testing.assert_allclose(cut(errors, stops), cut(full, stops), rtol=1e-5)
    assert np.isfinite(logsnr).all()
    if fill == 1:
        np.testing.assert_array_equal(np.isnan(errors), np.isnan(cut(full, stops)))


@pytest.mark.parametrize("config", RULES, ids=["exact", "sequential", "mean"])
@pytest.mark.parametrize("batch_size", [3, 90])
def test_images_stop_where_the_full_errors_in_spread_order_say(denoiser, images, full, config, batch_size):
    rule = make_rule(config, STOPPED_STEPS, 3)
    logsnr, order = step_levels(denoiser, NAMES, ScoringSettings(4, STOPPED_STEPS, order="spread"))
    np.testing.assert_array_equal(order, spread_order(logsnr, 4, NAMES))
    stops = stopping_steps(in_order(full, order), rule)
    settings = {"seed": 4, "steps": STOPPED_STEPS, "stopping": rule, "order": "spread"}
    # Begun in the order drawn, which leaves other steps behind.
    begun, _ = score_images(denoiser, images, NAMES, batch_size, **settings | {"order": "drawn"})
    for errors in (None, begun):
        errors, _ = score_images(denoiser, images, NAMES, batch_size, errors, **settings)
        np.testing.assert_array_equal(stopping_steps(in_order(errors, order), rule), stops)
        np.testing.assert_allclose(cut(errors, stops, order), cut(full, stops, order), rtol=1e-5)


def test_images_are_encoded_once_while_they_are_worked_on(denoiser, images, full, monkeypatch):
    encoded = []
    encode = denoiser.encode_pixels
    monkeypatch.setattr(denoiser, "encode_pixels", lambda x: encoded.append(len(x)) or encode(x))
    rule = make_rule(RULES[0], STOPPED_STEPS, 3)
    score_images(denoiser, images, NAMES, seed=4, steps=STOPPED_STEPS, batch_size=33, stopping=rule)
    assert sum(encoded) == IMAGES


def test_on_batch_sees_the_result_grow(denoiser, images):
    done = []
    score_images(
        denoiser,
        images,
        NAMES,
        seed=4,
        steps=2,
        batch_size=15,
        on_batch=lambda errors: done.append(int(np.isfinite(errors).all(axis=2).sum())),
    )
    assert done == [5, 10, 15, 20, 22]


def test_no_images(denoiser, images):
    errors, logsnr = score_images(denoiser, images[:0], [], seed=0, steps=4)
    assert errors.shape == (0, 4, 3) and logsnr.shape == (0, 4)


def test_classes_share_the_noise(denoiser, monkeypatch):
    """What all classes get in one pass is what one pass a class gives, with the same z for all."""
    generator = torch.Generator().manual_seed(0)
    x, eps = torch.randn(2, 4, *denoiser.input_shape, generator=generator)
    t = torch.rand(4, generator=generator)
    seen = watch_passes(denoiser.eval(), monkeypatch)
    with torch.no_grad():
        errors = classification_errors(denoiser, x, t, eps)
        (z,) = seen
        logsnr = denoiser.schedule.logsnr(t)
        for c in range(3):
            eps_hat = denoiser.predict_eps(z, logsnr, torch.full((4,), c))
            expected = (eps_hat - eps).square().flatten(1).sum(dim=1)
            torch.testing.assert_close(errors[:, c], expected, rtol=1e-5, atol=1e-5)
