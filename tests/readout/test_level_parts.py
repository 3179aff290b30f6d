"""Bands of noise levels share the difference between mean errors."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from meddiff.readout.level_parts import parts_by_level


def test_parts_by_hand():
    errors = np.array([[[1.0, 3.0], [2.0, 1.0], [5.0, 6.0]], [[1.0, 2.0], [np.nan, 4.0], [np.nan, np.nan]]])
    logsnr = np.array([[-4.0, 0.0, 3.0], [2.0, 0.0, 1.0]])
    parts = parts_by_level(errors, logsnr, [0.0])
    np.testing.assert_allclose(parts[:, 0], [[2 / 3, 0.0], [0.0, 1.0]])
    assert np.isnan(parts_by_level(errors[1:, 1:], logsnr[1:, 1:], [0.0])).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.floats(-3, 3), max_size=5))
def test_parts_add_up_to_the_difference(seed, edges):
    generator = np.random.default_rng(seed)
    images, steps, classes = generator.integers(2, 9, 3)
    errors = generator.random((images, steps, classes))
    errors[:, 1:][generator.random((images, steps - 1)) < 0.4] = np.nan
    parts = parts_by_level(errors, generator.normal(size=(images, steps)), sorted(edges))
    mean = np.nanmean(errors, axis=1)
    assert parts.shape == (images, classes - 1, len(edges) + 1)
    np.testing.assert_allclose(parts.sum(axis=2), mean[:, 1:] - mean[:, :1], atol=1e-12)
