"""The classifier on data where the Bayes decision is known.

x of class c is N(mu_c, s^2 I) with equal priors, so the Bayes decision is the nearest mean, and the
optimal noise prediction is E[eps | z, c] = sigma (z - alpha mu_c) / (alpha^2 s^2 + sigma^2). With it the
error of class c at one step is proportional to ||x - (alpha s^2 / sigma) eps - mu_c||^2: a step votes for
the mean nearest to x plus isotropic noise. The mean error therefore decides as Bayes does for any means;
the majority does so where all classes have congruent cells: two classes, or the corners of a regular
simplex.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from meddiff.config import parse_model
from meddiff.diffusion.haar import inverse_haar_transform
from meddiff.diffusion.noise import noise_keys, noise_levels, normal
from meddiff.diffusion.pixels import to_unit_range
from meddiff.diffusion.schedule import alpha_sigma
from meddiff.diffusion.vote import majority, mean
from meddiff.networks.pixel_denoiser import PixelDenoiser
from scoring_samples import score_images

DEVIATION = 0.12
IMAGES, STEPS = 1200, 201
CONFIG = {
    "title": "Gaussian toy",
    "family": "diffusion",
    "kind": "unet",
    "prediction": "epsilon",
    "schedule": {"image_size": 8, "noise_size": 8},
    "train": {"epochs": 1},
}
# In [C, H, W] = [1, 2, 2] images; both sets have equal distances between all means.
MEANS = {
    2: [[0.12, 0.0, 0.05, -0.02], [-0.02, 0.12, -0.05, 0.02]],
    3: [[0.15, 0.0, 0.0, 0.1], [0.0, 0.15, 0.0, 0.1], [0.0, 0.0, 0.15, 0.1]],
}


class OptimalDenoiser(PixelDenoiser):
    """The best possible noise prediction for class-conditional Gaussians."""

    def __init__(self, means: Tensor, wavelet: bool) -> None:
        super().__init__(parse_model({**CONFIG, "wavelet": wavelet}), len(means), 1, 2)
        self.means = nn.Parameter(self.encode(means))
        # The Haar transform is orthonormal but for a factor of two.
        self.deviation = DEVIATION / 2 if wavelet else DEVIATION
        self.seen: set[int] = set()

    def forward(self, z: Tensor, logsnr: Tensor, class_ids: Tensor) -> Tensor:
        self.seen |= set(class_ids.tolist())
        alpha, sigma = alpha_sigma(logsnr, z.ndim)
        variance = alpha**2 * self.deviation**2 + sigma**2
        return sigma * (z - alpha * self.means[class_ids]) / variance


def toy(classes: int, wavelet: bool = False) -> tuple[OptimalDenoiser, np.ndarray, np.ndarray]:
    """A denoiser, images (uint8 [I, 2, 2, 1]) and labels."""
    rng = np.random.default_rng(classes)
    means = np.array(MEANS[classes]).reshape(classes, 1, 2, 2)
    labels = np.arange(IMAGES) % classes
    x = means[labels] + DEVIATION * rng.standard_normal((IMAGES, 1, 2, 2))
    images = np.clip(np.round((x + 1) * 127.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    return OptimalDenoiser(torch.tensor(means, dtype=torch.float32), wavelet), images, labels


def bayes(denoiser: OptimalDenoiser, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest mean of every image, and how much nearer it is than the next, in deviations."""
    x = denoiser.encode(to_unit_range(torch.from_numpy(images)))
    squares = (x[:, None] - denoiser.means[None]).flatten(2).square().sum(dim=2).detach().numpy()
    ordered = np.sort(squares, axis=1)
    distance = np.linalg.norm((denoiser.means[0] - denoiser.means[1]).detach())
    return squares.argmin(axis=1), (ordered[:, 1] - ordered[:, 0]) / (2 * distance * denoiser.deviation)


def names(images: np.ndarray) -> list[str]:
    return [f"image {i}" for i in range(len(images))]


@pytest.fixture(
    scope="module", params=[(2, False), (2, True), (3, False)], ids=["two", "two in Haar", "three"]
)
def scored(request):
    denoiser, images, labels = toy(*request.param)
    errors, _ = score_images(denoiser, images, names(images), seed=5, steps=STEPS, batch_size=60_000)
    return denoiser, images, labels, errors


def test_both_rules_reach_the_accuracy_of_bayes(scored):
    denoiser, images, labels, errors = scored
    best, _ = bayes(denoiser, images)
    bayes_accuracy = (best == labels).mean()
    for rule in (majority, mean):
        # Sampling error of the difference: only images on which the decisions differ contribute, and
        # one is as likely to be gained as to be lost by it.
        decisions = rule(errors)
        differing = (decisions != best).sum()
        assert abs((decisions == labels).mean() - bayes_accuracy) <= 4 * math.sqrt(differing) / IMAGES
        assert differing < 0.1 * IMAGES


def test_two_classes_reach_the_accuracy_known_in_closed_form():
    denoiser, images, labels = toy(2)
    errors, _ = score_images(denoiser, images, names(images), seed=6, steps=STEPS, batch_size=60_000)
    distance = np.linalg.norm(np.subtract(*MEANS[2]))
    expected = 0.5 * (1 + math.erf(distance / (2 * DEVIATION) / math.sqrt(2)))
    standard_error = math.sqrt(expected * (1 - expected) / IMAGES)
    assert 0.6 < expected < 0.95
    for rule in (majority, mean):
        # Three standard errors of the draw of images, and one of finitely many steps.
        assert abs((rule(errors) == labels).mean() - expected) < 4 * standard_error


def test_clear_images_are_decided_as_bayes_does(scored):
    denoiser, images, _, errors = scored
    best, margin = bayes(denoiser, images)
    clear = margin > 0.6
    assert clear.mean() > 0.2
    for rule in (majority, mean):
        assert (rule(errors)[clear] == best[clear]).mean() > 0.99


def test_errors_are_those_of_the_closed_form(scored):
    denoiser, images, _, errors = scored
    few = 20
    keys = noise_keys(5, names(images)[:few])
    x = denoiser.encode(to_unit_range(torch.from_numpy(images[:few])))
    for step in (0, 3, STEPS - 1):
        steps = torch.full((few,), step)
        logsnr = denoiser.schedule.logsnr(noise_levels(keys, steps, "uniform"))
        alpha, sigma = alpha_sigma(logsnr, 4)
        eps = normal(keys, steps, x.shape[1:])
        variance = alpha**2 * denoiser.deviation**2 + sigma**2
        for c, mu in enumerate(denoiser.means):
            residual = alpha / variance * (sigma * (x - mu) - alpha * denoiser.deviation**2 * eps)
            expected = residual.flatten(1).square().sum(dim=1).detach().numpy()
            np.testing.assert_allclose(errors[:few, step, c], expected, rtol=1e-3, atol=1e-5)


def test_the_null_class_is_never_asked(scored):
    denoiser = scored[0]
    assert denoiser.seen == set(range(denoiser.num_classes))


def test_majority_is_not_bayes_where_cells_are_unequal_but_the_mean_is():
    """Three means on a line: noise throws votes out of the middle cell, so it loses images by majority."""
    line = torch.tensor([[-0.1, 0, 0, 0], [0, 0, 0, 0], [0.1, 0, 0, 0]]).reshape(3, 1, 2, 2)
    denoiser = OptimalDenoiser(line, wavelet=False)
    denoiser.deviation = 0.5  # wide against the middle cell
    images = np.full((40, 2, 2, 1), 128, dtype=np.uint8)
    images[:, 0, 0] = round((0.03 + 1) * 127.5)  # inside the middle cell
    errors, _ = score_images(denoiser, images, names(images), seed=1, steps=1001, batch_size=60_000)
    assert (mean(errors) == 1).mean() > 0.75
    assert (majority(errors) == 1).mean() < 0.25


def test_decode_undoes_encode():
    denoiser, images, _ = toy(2, wavelet=True)
    x = to_unit_range(torch.from_numpy(images[:5]))
    assert denoiser.input_shape == (4, 1, 1)
    torch.testing.assert_close(denoiser.decode(denoiser.encode(x)), x, atol=1e-6, rtol=0)
    torch.testing.assert_close(
        denoiser.decode(denoiser.encode(x)), inverse_haar_transform(denoiser.encode(x))
    )
