"""KID and its scale, when FID is given, and both against closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.image.kid import poly_mmd

from meddiff.evaluate.over_seeds import over_seeds
from meddiff.evaluate.statistics import Resampling
from meddiff.explaining.metrics import FID, KID, KID_HALVES, KID_SOURCE
from meddiff.explaining.set_distances import KernelDistance, frechet_distance, set_distances

SETTINGS = Resampling(bootstrap_samples=400, confidence=0.95, bootstrap_seed=0)


def distances(sizes: dict[str, int], dimensions: int = 4, shift: float = 0.0, per_group: int = 1):
    """Generated and target images from one distribution; those of the source are shifted."""
    rng = np.random.default_rng(7)
    sets = {name: rng.standard_normal((n, dimensions)) for name, n in sizes.items()}
    sets["source"] += shift
    groups = {name: (np.arange(n) // per_group).astype(str) for name, n in sizes.items()}
    return sets, set_distances(sets, groups, SETTINGS)


def test_kid_is_that_of_torchmetrics():
    sets, found = distances(
        {"generated": 30, "target": 30, "source": 30}, shift=0.5
    )  # torchmetrics: equal ones
    for metric, name in ((KID, "generated"), (KID_SOURCE, "source")):
        expected = poly_mmd(*(torch.from_numpy(sets[key]) for key in ("target", name)))
        assert found[metric][0] == pytest.approx(float(expected))
        assert found[metric][3] == len(sets[name])


def test_the_scale_has_what_perfect_and_unchanged_images_would_have():
    _, found = distances({"generated": 60, "target": 60, "source": 60}, shift=1.0)
    value, low, high, n, note = found[KID_HALVES]
    assert n == 60 and not note
    # Over random halves the unbiased estimate is zero on average, whatever the images are.
    assert abs(value) < 0.1 * (high - low) and low < 0 < high
    assert low < found[KID][0] < high < found[KID_SOURCE][0]


def test_halves_share_no_group():
    """Two equal images a group: apart they would be missing from the other half, which pulls KID below 0."""
    rng = np.random.default_rng(0)
    pairs = np.repeat(rng.standard_normal((40, 3)), 2, axis=0)
    sets = dict.fromkeys(("generated", "target", "source"), pairs)
    together = {name: np.repeat(np.arange(40), 2) for name in sets}
    whole = set_distances(sets, together, SETTINGS)[KID_HALVES]
    singly = set_distances(sets, {name: np.arange(80) for name in sets}, SETTINGS)[KID_HALVES]
    assert whole[2] - whole[1] > 1.2 * (singly[2] - singly[1])


@pytest.mark.parametrize(("images", "given"), [(40, True), (39, False)])
def test_fid_takes_ten_images_a_dimension_of_each_set(images, given):
    for short in ("generated", "target"):
        sizes = {"generated": 60, "target": 60, "source": 20} | {short: images}
        _, found = distances(sizes)
        assert np.isnan(found[FID][0]) != given
        assert (f"{images} for 4 feature dimensions, 10 for each are needed" in found[FID][4]) != given


@pytest.mark.parametrize(
    ("sizes", "metric", "note"),
    [
        ({"generated": 9, "target": 30, "source": 30}, KID, "9 counterfactuals and 30 real images"),
        ({"generated": 30, "target": 30, "source": 9}, KID_SOURCE, "9 real images of the source and 30"),
        ({"generated": 30, "target": 19, "source": 30}, KID_HALVES, "19 groups of real images"),
    ],
)
def test_too_few_images_have_no_distance(sizes, metric, note):
    _, found = distances(sizes)
    value, low, high, _, said = found[metric]
    assert np.isnan([value, low, high]).all() and said.startswith("too few images") and note in said


@pytest.mark.parametrize("metric", [KID, KID_HALVES, KID_SOURCE])
def test_over_seeds_an_unbiased_distance_may_be_negative(metric):
    seeds = pd.DataFrame({"seed": [0, 1, 2], "value": [-0.01, 0.0, 0.01], "metric": metric, "n": 30})
    table = over_seeds(seeds.assign(ci_low=-0.05, ci_high=0.05), 0.95, ["metric"])
    assert table["ci_low"].item() < -0.01 and table["ci_high"].item() > 0.01


def test_frechet_distance_of_known_gaussians():
    """Axis-aligned Gaussians: |difference of means|^2 + sum (s - t)^2."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((4000, 3))
    white = (base - base.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(base, rowvar=False))).T
    s, t, shift = np.array([1.0, 2.0, 0.5]), np.array([1.5, 1.0, 0.5]), np.array([0.3, 0.0, -1.0])
    expected = (shift**2).sum() + ((s - t) ** 2).sum()
    assert frechet_distance(white * s, white * t + shift) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(white, white) == pytest.approx(0.0, abs=1e-9)


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
    got = KernelDistance(x, y)(np.ones((1, n)), np.ones((1, m)))
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
    got = KernelDistance(x, y)(weights, np.ones((1, 3)))
    assert got == pytest.approx([within_x + within_y - 2 * between])
    alone = np.array([[4.0, 0.0, 0.0, 0.0]])
    assert np.isnan(KernelDistance(x, y)(alone, np.ones((1, 3)))).all()
