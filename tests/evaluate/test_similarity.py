"""Distances between images and sets of images against the libraries' definitions and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.image import structural_similarity_index_measure

from meddiff.explaining import similarity
from meddiff.explaining.measures import Evidence, widen


def pictures(n: int, channels: int = 3, seed: int = 0, side: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).random((n, side, side, channels))


def test_l1_and_l2_by_hand():
    a = np.zeros((2, 2, 2, 1))
    b = np.array([[[[0.0], [0.4]], [[0.0], [0.0]]], [[[0.2], [0.2]], [[0.2], [0.2]]]])
    assert similarity.l1(a, b) == pytest.approx([0.1, 0.2])
    assert similarity.l2(a, b) == pytest.approx([0.2, 0.2])


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_that_of_torchmetrics(channels):
    a = pictures(3, channels)
    b = np.clip(a + 0.2 * (pictures(3, channels, seed=1) - 0.5), 0, 1)
    tensors = [torch.from_numpy(x).permute(0, 3, 1, 2) for x in (b, a)]
    _, everywhere = structural_similarity_index_measure(
        *tensors, sigma=1.5, data_range=1.0, reduction="none", return_full_image=True
    )
    # torchmetrics reflects the image at its edges; ours takes whole windows only.
    expected = everywhere[..., 5:-5, 5:-5].flatten(1).mean(dim=1)
    assert similarity.ssim(a, b) == pytest.approx(expected.numpy(), abs=1e-6)
    assert similarity.ssim(a, a) == pytest.approx(np.ones(3))


def test_ssim_needs_room_for_its_window():
    assert np.isnan(similarity.ssim(pictures(2, side=8), pictures(2, side=8))).all()


def test_noise_of_single_pixels_is_no_change_and_a_patch_is():
    a = np.full((2, 12, 12, 1), 0.5)
    b = a.copy()
    b[0, ::2, ::2] += 0.06  # alone, each pixel is above the threshold; its 3 x 3 mean is not
    b[1, 3:9, 3:9] += 0.1
    assert similarity.changed_share(a, b)[0] == 0
    assert similarity.changed_share(a, b)[1] == pytest.approx(32 / 144)  # all of the patch but its corners


def test_share_inside_a_mask_by_hand():
    a, b = np.zeros((3, 4, 4, 1)), np.zeros((3, 4, 4, 1))
    mask = np.zeros((3, 4, 4), dtype=bool)
    mask[:, :2] = True
    b[0, 0, 0], b[0, 3, 3] = 0.3, -0.1
    b[1, 3, 3] = 0.5
    shares = similarity.share_inside(a, b, mask)
    assert shares[:2] == pytest.approx([0.75, 0.0])
    assert np.isnan(shares[2])  # nothing changed


def test_frechet_distance_of_known_gaussians():
    """Axis-aligned Gaussians: |difference of means|^2 + sum (s - t)^2."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((4000, 3))
    white = (base - base.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(base, rowvar=False))).T
    s, t, shift = np.array([1.0, 2.0, 0.5]), np.array([1.5, 1.0, 0.5]), np.array([0.3, 0.0, -1.0])
    expected = (shift**2).sum() + ((s - t) ** 2).sum()
    assert similarity.frechet_distance(white * s, white * t + shift) == pytest.approx(expected, rel=1e-6)
    assert similarity.frechet_distance(white, white) == pytest.approx(0.0, abs=1e-9)


@given(n=st.integers(2, 6), m=st.integers(2, 6), seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_kernel_distance_is_the_unbiased_estimate_by_its_sums(n, m, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, 4)), rng.standard_normal((m, 4))

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (a @ b / 4 + 1) ** 3

    within_x = sum(k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / (n * (n - 1))
    within_y = sum(k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / (m * (m - 1))
    between = sum(k(a, b) for a in x for b in y) / (n * m)
    got = similarity.KernelDistance(x, y)(np.ones((1, n)), np.ones((1, m)))
    assert got == pytest.approx([within_x + within_y - 2 * between])


def test_a_resample_counts_images_as_often_as_they_were_drawn_but_not_with_themselves():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 3)), rng.standard_normal((3, 3))
    weights = np.array([[2.0, 0.0, 1.0, 1.0]])
    drawn = [0, 0, 2, 3]
    pairs = [(i, j) for a, i in enumerate(drawn) for b, j in enumerate(drawn) if i != j and a != b]

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (a @ b / 3 + 1) ** 3

    within_x = np.mean([k(x[i], x[j]) for i, j in pairs])
    within_y = np.mean([k(y[i], y[j]) for i in range(3) for j in range(3) if i != j])
    between = np.mean([k(x[i], b) for i in drawn for b in y])
    # Pairs of an image with itself are left out of the sum, and of the number of pairs.
    got = similarity.KernelDistance(x, y)(weights, np.ones((1, 3)))
    assert got == pytest.approx([within_x + within_y - 2 * between])
    alone = np.array([[4.0, 0.0, 0.0, 0.0]])
    assert np.isnan(similarity.KernelDistance(x, y)(alone, np.ones((1, 3)))).all()


def test_a_widened_mask_and_whose_evidence_it_is():
    mask = np.zeros((1, 5, 5), dtype=bool)
    mask[0, 2, 2] = True
    assert widen(mask, 0).sum() == 1 and widen(mask, 1).sum() == 9
    assert widen(mask, 1)[0, 1:4, 1:4].all()
    evidence = Evidence(classes=(1,), masks={"a": mask[0]})
    assert np.array_equal(evidence.of("a", 1), mask[0])
    assert evidence.of("a", 0) is None and evidence.of("b", 1) is None
