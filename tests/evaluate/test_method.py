"""What the picture of the method shows: which image and steps, and the noise."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluate_samples import sample_errors
from meddiff.diffusion import vote
from meddiff.evaluate.method import example_image, noised, step_table


def errors_with(winners: list[list[int]], labels: list[int]) -> xr.Dataset:
    """Errors of two classes in which image i votes for ``winners[i]``."""
    errors = sample_errors(images=len(winners), steps=len(winners[0]))
    votes = np.asarray(winners)
    errors["errors"].values[:] = np.stack([votes + 1.0, 2.0 - votes], axis=-1)
    errors["label"].values[:] = labels
    return errors


def test_example_is_the_correct_image_with_median_entropy() -> None:
    winners = [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 0]]
    assert example_image(errors_with(winners, [0, 0, 0, 0, 1])) == "image00001"  # entropies 0 0 | h h h
    assert example_image(errors_with(winners, [0, 0, 0, 0, 0])) == "image00002"  # the last is wrong now
    assert example_image(errors_with(winners, [1, 1, 1, 1, 0])) == "image00001"  # all are wrong: all count


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 50), st.integers(1, 25), st.integers(2, 4), st.booleans())
def test_example_and_steps_agree_with_the_vote(seed: int, steps: int, classes: int, early: bool) -> None:
    errors = sample_errors(images=9, steps=steps, classes=classes, seed=seed, early_stop=early and steps > 1)
    image = errors.sel(image=example_image(errors))
    shuffled = errors.isel(image=np.random.default_rng(seed).permutation(9))
    assert example_image(shuffled) == str(image["image"].values)
    table = step_table(image)
    tally = vote.tally(image["errors"].values)
    assert len(table) == int(tally.steps)
    assert set(table["best"]) == {int(tally.majority())}
    np.testing.assert_array_equal(np.bincount(table["winner"], minlength=classes), tally.counts)
    best, runner_up = table["best"].iloc[0], table["runner_up"].iloc[0]
    assert runner_up != best
    assert tally.counts[runner_up] == max(np.delete(tally.counts, best))
    favoured = table["difference_percent"] > 0
    np.testing.assert_array_equal(favoured, table[f"error_{runner_up}"] > table[f"error_{best}"])
    assert 1 <= table["shown"].sum() <= 3


def test_difference_is_in_percent_of_the_mean_error() -> None:
    image = errors_with([[0, 1, 0]], [0]).isel(image=0)
    image["errors"].values[:] = [[90, 110], [110, 90], [0, 0]]
    table = step_table(image)
    assert table["difference_percent"].tolist() == pytest.approx([20, -20, 0])
    assert table["winner"].tolist() == [0, 1, vote.DIVIDED]


@pytest.mark.parametrize(("wavelet", "scale"), [(True, 2.0), (False, 1.0)])
def test_noise_has_the_ratio_that_was_scored(wavelet: bool, scale: float) -> None:
    image, levels = np.full((100, 100, 1), 0.05), np.array([6.0, 1.0])
    shown = noised(image, levels, wavelet, 0)
    for level, pixels in zip(levels, shown, strict=True):
        signal, noise = 1 / (1 + np.exp(-level)), scale**2 / (1 + np.exp(level))
        eps = (pixels * np.sqrt(signal + noise) - np.sqrt(signal) * image) / np.sqrt(noise)
        inside = np.abs(pixels) < 1
        # Clipping cuts the tails of the noise, so the middle half of it is compared: +- 0.6745.
        quartiles = np.quantile(np.where(inside, eps, np.sign(eps) * 9), [0.25, 0.75])
        np.testing.assert_allclose(quartiles, [-0.6745, 0.6745], atol=0.05)
    clean = noised(image, np.array([40.0]), wavelet, 0)[0]
    np.testing.assert_allclose(clean, image, atol=1e-6)
