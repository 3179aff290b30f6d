"""Calibration of votes that stopped early: smoothed once, so near that of all steps."""

from __future__ import annotations

import numpy as np
import pytest

from evaluate_samples import sample_errors
from meddiff.config.schema.experiment import StoppingConfig
from meddiff.diffusion import vote
from meddiff.diffusion.stopping import cut, make_rule, stopping_steps
from meddiff.evaluate.metrics.catalogue import point_metrics
from meddiff.evaluate.metrics.images import label_losses
from meddiff.readout.from_errors import from_errors


@pytest.mark.parametrize("classes", [2, 3])
def test_the_loss_of_a_stopped_vote_is_smoothed_once(classes: int) -> None:
    """v votes of n have (v + 1/2) / (n + K / 2), whether an image stopped or not."""
    errors = sample_errors(classes=classes, early_stop=True)
    table = from_errors(errors, "majority")
    counts = vote.votes(errors["errors"].values)[1]
    own = counts[np.arange(len(counts)), table["label"]]
    expected = -np.log((own + 0.5) / (counts.sum(axis=1) + classes / 2))
    np.testing.assert_allclose(label_losses(table, vote_shares=True), expected, rtol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_stopping_changes_calibration_little(classes: int) -> None:
    full = sample_errors(classes=classes, images=600, steps=101, skill=1.4)
    values = full["errors"].values
    rule = make_rule(StoppingConfig(kind="sequential", delta=0.01), 101, classes)
    stops = stopping_steps(values, rule)
    assert stops.mean() < 60
    stopped = full.assign(errors=(("image", "step", "class"), cut(values, stops)))
    every, some = (point_metrics(from_errors(e, "majority"), vote_shares=True) for e in (full, stopped))
    for metric in ("nll", "brier", "ece"):
        assert some[metric] == pytest.approx(every[metric], rel=0.05), metric
