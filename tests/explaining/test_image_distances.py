"""Distances between images against libraries' definitions and by hand, and the masks of lesions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from meddiff.explaining import image_distances
from meddiff.explaining.lesions import KnownLesions, widen


def pictures(n: int, channels: int = 3, seed: int = 0, side: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).random((n, side, side, channels))


def test_l1_and_l2_by_hand():
    a = np.zeros((2, 2, 2, 1))
    b = np.array([[[[0.0], [0.4]], [[0.0], [0.0]]], [[[0.2], [0.2]], [[0.2], [0.2]]]])
    assert image_distances.l1(a, b) == pytest.approx([0.1, 0.2])
    assert image_distances.l2(a, b) == pytest.approx([0.2, 0.2])


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
    assert image_distances.ssim(a, b) == pytest.approx(expected.numpy(), abs=1e-6)
    assert image_distances.ssim(a, a) == pytest.approx(np.ones(3))


def test_ssim_needs_room_for_its_window():
    assert np.isnan(image_distances.ssim(pictures(2, side=8), pictures(2, side=8))).all()


def test_noise_of_single_pixels_is_no_change_and_a_patch_is():
    a = np.full((2, 12, 12, 1), 0.5)
    b = a.copy()
    b[0, ::2, ::2] += 0.06  # alone, each pixel is above the threshold; its 3 x 3 mean is not
    b[1, 3:9, 3:9] += 0.1
    assert image_distances.changed_share(a, b)[0] == 0
    assert image_distances.changed_share(a, b)[1] == pytest.approx(
        32 / 144
    )  # all of the patch but its corners


def test_share_inside_a_mask_by_hand():
    a, b = np.zeros((3, 4, 4, 1)), np.zeros((3, 4, 4, 1))
    mask = np.zeros((3, 4, 4), dtype=bool)
    mask[:, :2] = True
    b[0, 0, 0], b[0, 3, 3] = 0.3, -0.1
    b[1, 3, 3] = 0.5
    shares = image_distances.share_inside(a, b, mask)
    assert shares[:2] == pytest.approx([0.75, 0.0])
    assert np.isnan(shares[2])  # nothing changed


def test_a_widened_mask_and_whose_lesion_it_is():
    mask = np.zeros((1, 5, 5), dtype=bool)
    mask[0, 2, 2] = True
    assert widen(mask, 0).sum() == 1 and widen(mask, 1).sum() == 9
    assert widen(mask, 1)[0, 1:4, 1:4].all()
    lesions = KnownLesions(classes=(1,), masks={"a": mask[0]})
    assert np.array_equal(lesions.of("a", 1), mask[0])
    assert lesions.of("a", 0) is None and lesions.of("b", 1) is None
