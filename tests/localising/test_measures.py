"""Measures of maps against known regions, and how maps are read."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from meddiff.localising.measures import MEASURES, Reading, choose_reading, measure, smoothed
from meddiff.localising.regions import enlarged

PLAIN = Reading(0.0, 1.0)


def lesions(images: int, side: int = 32) -> np.ndarray:
    """Discs in random places."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    centres = generator.uniform(8, side - 8, size=(images, 2, 1, 1))
    return (y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2 <= 16


def test_by_hand():
    masks = np.zeros((1, 2, 3), dtype=bool)
    masks[0, 0, :2] = True
    maps = np.array([[[4.0, 1.0, 3.0], [-5.0, 2.0, 0.0]]])
    found = {name: values[0] for name, values in measure(maps, masks, PLAIN).items()}
    assert list(found) == list(MEASURES)
    assert found["pointing"] == 1
    assert found["iou"] == 1 / 3  # the deviation is 2.9, so 4 and 3 are found; the mask has 4 and 1
    assert found["inside"] == pytest.approx(5 / 10)
    # Ranked 4 (in), 3, 2, 1 (in): precision 1 at the first, 2/4 at the second.
    assert found["average_precision"] == pytest.approx((1 + 2 / 4) / 2)


def test_a_map_that_says_nothing_hits_by_its_share_and_finds_nothing():
    masks = lesions(4)
    found = measure(np.zeros((4, 32, 32)), masks, PLAIN)
    np.testing.assert_allclose(found["pointing"], masks.mean(axis=(1, 2)))
    np.testing.assert_allclose(found["average_precision"], masks.mean(axis=(1, 2)))
    assert not found["iou"].any() and not found["inside"].any()


def test_a_perfect_map_and_its_scale():
    masks = lesions(5)
    for scale in (1e-6, 1.0, 1e6):
        assert all((values == 1).all() for values in measure(scale * masks, masks, PLAIN).values())


def test_smoothing_and_threshold_are_those_that_suit():
    masks = lesions(30)
    noisy = masks + np.random.default_rng(1).normal(0, 1.2, size=masks.shape)
    reading = choose_reading(noisy, masks)
    assert reading.sigma >= 1
    plain, chosen = (measure(noisy, masks, one) for one in (PLAIN, reading))
    assert chosen["iou"].mean() > plain["iou"].mean() + 0.2
    assert choose_reading(masks.astype(float), masks).sigma == 0
    # In pixels of the image, whatever its size.
    larger = np.kron(noisy[:8], np.ones((1, 2, 2))), np.kron(masks[:8], np.ones((1, 2, 2))) > 0
    assert choose_reading(*larger).sigma == 2 * choose_reading(noisy[:8], masks[:8]).sigma


def test_smoothing_is_scipys_image_by_image():
    maps = np.random.default_rng(2).normal(size=(3, 8, 8))
    expected = [ndimage.gaussian_filter(one, 1.5, mode="nearest") for one in maps]
    np.testing.assert_allclose(smoothed(maps, 1.5), expected)
    assert smoothed(maps, 0) is maps


def test_maps_of_a_latent_space_keep_their_sums():
    maps = np.random.default_rng(3).normal(size=(2, 4, 4))
    np.testing.assert_allclose(enlarged(maps, 16).sum(axis=(1, 2)), maps.sum(axis=(1, 2)))
    np.testing.assert_allclose(enlarged(maps, 16)[:, ::4, ::4], maps / 16)
