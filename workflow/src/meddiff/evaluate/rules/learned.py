"""What decision rules take from the validation split: fitted rules, and the calibration of every rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meddiff.config.schema.experiment import StoppingConfig
from meddiff.diffusion.stopping import cut, make_rule, stopping_steps
from meddiff.errors import DataError
from meddiff.readout.calibration import Calibration, fit
from meddiff.readout.candidates import CANDIDATES
from meddiff.readout.fitted import FITTED
from meddiff.readout.from_errors import error_array
from meddiff.readout.rules import RULES, Rule
from meddiff.readout.scores import Readout

if TYPE_CHECKING:
    import xarray as xr

EXACT = "majority, exact"
STOPPING = {
    EXACT: StoppingConfig(kind="exact"),
    "majority, delta 0.01": StoppingConfig(kind="sequential", delta=0.01),
    "majority, delta 0.1": StoppingConfig(kind="sequential", delta=0.1),
    "mean, delta 0.01": StoppingConfig(kind="sequential", delta=0.01, decision="mean"),
}
_CANNOT = "which rules that are fitted need; leave --validation out"


@dataclass(frozen=True)
class Learned:
    """What was fitted on validation images.

    Attributes:
        rules: name -> rule, of `meddiff.readout.fitted`.
        calibrations: name -> calibration of the scores, of every rule with a row.
    """

    rules: Mapping[str, Rule]
    calibrations: Mapping[str, Calibration]


def readouts(
    errors: np.ndarray, logsnr: np.ndarray, fitted: Mapping[str, Rule]
) -> Iterator[tuple[str, np.ndarray, Readout]]:
    """What each rule is called, the errors that it uses, and what it makes of them.

    Args:
        errors: [I, S, K]; where they are of all steps, rules that stop are replayed.
        logsnr: [I, S].
        fitted: further rules.
    """
    for name, rule in {**RULES, **CANDIDATES, **fitted}.items():
        yield name, errors, rule(errors, logsnr)
    if np.isnan(errors).any():
        return
    for name, config in STOPPING.items():
        used = cut(errors, stopping_steps(errors, make_rule(config, *errors.shape[1:])))
        yield name, used, RULES[config.decision](used, logsnr)


def learned(validation: xr.Dataset, errors: xr.Dataset) -> Learned:
    """All that is fitted, to judge rules on `errors`.

    Scores that a fitted rule is calibrated on are of the half of the validation images that it was not fitted
    on.

    Args:
        validation: errors of the validation split by the same model.
        errors: those that the rules are for.

    Raises:
        DataError: if `validation` is not of all steps, of other weights or classes, or has fewer than two
            groups with images of a class.
    """
    found, labels = _checked(validation, errors), validation["label"].values
    logsnr = validation["logsnr"].transpose("image", "step").values
    names, groups = validation["class"].values.tolist(), validation["group"].values.astype(str)
    scores = {name: readout.scores for name, _, readout in readouts(found, logsnr, {})}
    first = _first_half(labels, groups, names)
    for name, make in FITTED.items():
        scores[name] = np.empty((len(labels), len(names)))
        for half in (first, ~first):
            rule = make(found[half], logsnr[half], labels[half])
            scores[name][~half] = rule(found[~half], logsnr[~half]).scores
    return Learned(
        {name: make(found, logsnr, labels) for name, make in FITTED.items()},
        {name: fit(own, labels, names, offsets=True) for name, own in scores.items()},
    )


def _checked(validation: xr.Dataset, errors: xr.Dataset) -> np.ndarray:
    """[I, S, K] errors of `validation`."""
    for of, here, there in (
        ("classes", *(dataset["class"].values.tolist() for dataset in (validation, errors))),
        ("weights", *(dataset.attrs.get("weights_sha256") for dataset in (validation, errors))),
    ):
        if here != there:
            raise DataError(f"these are errors of the {of} {here}, and those to be judged of {there}")
    found = error_array(validation)
    if np.isnan(found).any():
        raise DataError(
            f"these errors are not of all steps (score with `stopping: {{kind: none}}`), {_CANNOT}"
        )
    return found


def _first_half(labels: np.ndarray, groups: np.ndarray, names: list[str]) -> np.ndarray:
    """[I] whether an image is in one half of the groups, where both halves have images of every class."""
    # From the rarest class on: its groups that are in no half yet, in turn, to the half that has fewer first.
    halves: dict[str, bool] = {}
    for k in np.argsort(np.bincount(labels, minlength=len(names)), kind="stable"):
        own = np.unique(groups[labels == k]).tolist()
        known = [halves[group] for group in own if group in halves]
        begin = 2 * sum(known) <= len(known)
        for i, group in enumerate(group for group in own if group not in halves):
            halves[group] = begin == (i % 2 == 0)
        if len({halves[group] for group in own}) < 2:
            raise DataError(f"there are fewer than two groups with images of class {names[k]!r}, {_CANNOT}")
    return np.array([halves[group] for group in groups.tolist()])
