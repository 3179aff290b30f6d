"""Reliability curves: the diagonal for right probabilities, the gap for others, no value without images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from meddiff.errors import DataError
from meddiff.evaluate.acting.reliability import reliability_curves
from meddiff.evaluate.statistics import Resampling
from meddiff.readout.from_logits import from_probabilities
from meddiff.runs import Run

HOW = Resampling(bootstrap_samples=200, confidence=0.95, bootstrap_seed=0)


def drawn(power: float, images: int = 4000) -> pd.DataFrame:
    """Events with the probability p, which is said to be p^power; calibrated ones are p."""
    generator = np.random.default_rng(0)
    p = generator.uniform(0.2, 0.9, size=images)
    ids = [f"{i:05d}" for i in range(images)]
    said = p**power
    table = from_probabilities(ids, ids, generator.random(images) < p, np.stack([1 - said, said], axis=1))
    return table.assign(calibrated_0=1 - p, calibrated_1=p)


def run(**changes: object) -> Run:
    return Run(**{"dataset": "d", "model": "m", "seed": 0, "votes": None, "decision": "softmax", **changes})


def test_right_probabilities_lie_on_the_diagonal_and_others_where_events_are() -> None:
    table = reliability_curves([(run(), drawn(2))], HOW)
    raw, calibrated = (
        part.set_index("probability") for _, part in table.groupby("probabilities", sort=False)
    )
    inside = calibrated.loc[0.25:0.85]
    np.testing.assert_allclose(inside["value"], inside.index, atol=0.05)
    covered = (inside["ci_low"] <= inside.index) & (inside.index <= inside["ci_high"])
    assert covered.mean() > 0.8 and (inside["ci_high"] - inside["ci_low"] < 0.15).all()
    assert raw.loc[0.25, "value"] == pytest.approx(0.5, abs=0.05)
    assert calibrated["images"].sum() == raw["images"].sum() == 4000
    # Nobody has such a probability: there is nothing to say.
    assert calibrated.loc[[0.0, 0.025], "value"].isna().all() and calibrated.loc[0.0, "images"] == 0


def test_images_of_all_seeds_count_in_one_curve() -> None:
    first, second = drawn(1, 300), drawn(2, 300)
    other = run(seed=1)
    table = reliability_curves([(run(), first), (other, second.sample(frac=1, random_state=0))], HOW)
    assert set(table["seeds"]) == {2} and table["votes"].isna().all()
    assert table.groupby("probabilities")["images"].sum().tolist() == [300, 300]
    with pytest.raises(DataError, match="different images"):
        reliability_curves([(run(), first), (other, second.iloc[1:])], HOW)


def test_one_image_has_no_curve() -> None:
    table = reliability_curves([(run(), drawn(1, 1).drop(columns=["calibrated_0", "calibrated_1"]))], HOW)
    assert table["value"].isna().all() and set(table["probabilities"]) == {"raw"}
