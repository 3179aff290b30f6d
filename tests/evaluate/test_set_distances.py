"""KID and its scale, and when FID is given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from meddiff.evaluate.over_seeds import over_seeds
from meddiff.evaluate.settings import Resampling
from meddiff.explaining.set_distances import FID, KID, KID_HALVES, KID_SOURCE, set_distances

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
