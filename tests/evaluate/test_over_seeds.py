"""Means over seeds: the interval is of what is shown, and so is the number of images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from meddiff.artifacts.layout import image_count
from meddiff.evaluate.over_seeds import over_seeds

KEYS = ["model", "metric"]


def seeds_of(metric: str, *rows: tuple[float, float, float, int]) -> pd.DataFrame:
    columns = ["value", "ci_low", "ci_high", "n"]
    return pd.DataFrame(rows, columns=columns).assign(model="unet", metric=metric, seed=range(len(rows)))


def test_the_interval_of_the_mean_of_two_seeds_has_both_seeds_in_it() -> None:
    """As found: 52.6 [42.2, 63.0], the mean of the limits, said as "the interval of one seed"."""
    table = seeds_of("accuracy", (0.636, 0.532, 0.740, 90), (0.416, 0.312, 0.519, 90))
    (row,) = over_seeds(table, 0.95, KEYS).itertuples()
    assert row.value == pytest.approx(0.526)
    assert row.ci_low < 0.416 and row.ci_high > 0.636
    of_seeds = t.ppf(0.975, 1) * np.std([0.636, 0.416], ddof=1) / np.sqrt(2)
    assert (row.ci_low, row.ci_high) == (max(0.526 - np.hypot(0.104, of_seeds), 0), 1)


def test_more_seeds_narrow_it_to_what_the_images_leave_open() -> None:
    rows = [(0.8 + 0.001 * (-1) ** i, 0.75, 0.84, 100) for i in range(20)]
    (row,) = over_seeds(seeds_of("accuracy", *rows), 0.95, KEYS).itertuples()
    assert row.ci_low == pytest.approx(0.75, abs=1e-3) and row.ci_high == pytest.approx(0.84, abs=1e-3)
    assert row.ci_low < 0.75 and row.ci_high > 0.84


def test_the_number_of_images_is_a_range_where_seeds_differ() -> None:
    table = pd.concat(
        [
            seeds_of("validity", (0.5, 0.3, 0.7, 12), (0.5, 0.3, 0.7, 9), (0.5, 0.3, 0.7, 11)),
            seeds_of("l1", (0.1, 0.1, 0.2, 12), (0.1, 0.1, 0.2, 12)),
        ]
    )
    rows = {row.metric: row for row in over_seeds(table, 0.95, KEYS).itertuples()}
    assert image_count(rows["validity"]) == "9–12" and image_count(rows["l1"]) == "12"
    assert (rows["validity"].seeds, rows["l1"].seeds) == (3, 2)


def test_a_seed_without_a_value_leaves_the_interval_of_the_others() -> None:
    none = (np.nan, np.nan, np.nan, 0)
    (row,) = over_seeds(seeds_of("fid", none, (3.0, 2.0, 5.0, 40)), 0.95, KEYS).itertuples()
    assert (row.value, row.ci_low, row.ci_high) == (3, 2, 5)
    (row,) = over_seeds(seeds_of("fid", none, none), 0.95, KEYS).itertuples()
    assert np.isnan([row.value, row.ci_low, row.ci_high]).all()


@pytest.mark.parametrize(
    ("metric", "least", "most"),
    [("auroc", 0, 1), ("nll", 0, np.inf), ("kid", -np.inf, np.inf), ("cue_gap", -1, 1)],
)
def test_limits_stay_within_what_a_metric_can_be(metric: str, least: float, most: float) -> None:
    table = seeds_of(metric, (0.9, 0.8, 0.95, 50), (0.1, 0.05, 0.2, 50))
    (row,) = over_seeds(table, 0.95, KEYS).itertuples()
    half = np.hypot(0.075, t.ppf(0.975, 1) * 0.4)
    assert (row.ci_low, row.ci_high) == pytest.approx((max(0.5 - half, least), min(0.5 + half, most)))
