"""How well scores tell images that are unlike the training data from test images.

Test images are the negative ones, and those of one shift the positive ones. The bootstrap draws groups, so a
changed image is drawn together with its original; all models of a dataset have the same resamples, which
makes differences between them paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from meddiff.evaluate.metrics.ranking import Floats, Ranking
from meddiff.evaluate.over_seeds import by_seeds, counts, limits_over_seeds, replicates, same_images
from meddiff.evaluate.statistics import Resampling, bootstrap, percentile_interval
from meddiff.runs import ScoringRun

TEST, MEAN, WORST = "test", "mean", "worst"  # beside the shifts
COLUMNS = ["dataset", "model", "score", "shift", "images", "auroc", "ci_low", "ci_high"]
COLUMNS += ["difference", "difference_ci_low", "difference_ci_high", "beyond", "aurc", "seeds", "votes"]
NUMBERS = COLUMNS[COLUMNS.index("images") :]


@dataclass(frozen=True)
class Scored:
    """The images that one run was tried on, those of the test split first.

    Attributes:
        ids, groups: [I] text.
        shifts: [I] name of the shift, ``test`` of test images.
        scores: kind -> [I], larger = less like the training data.
        beyond: kind -> share of test images beyond what one in twenty validation images is, where known.
        wrong: [T] bool, whether each test image is decided wrongly.
    """

    ids: np.ndarray
    groups: np.ndarray
    shifts: np.ndarray
    scores: Mapping[str, Floats]
    beyond: Mapping[str, float]
    wrong: np.ndarray

    def shift_names(self) -> list[str]:
        """The shifts, in the order of the images."""
        return [name for name in dict.fromkeys(self.shifts.tolist()) if name != TEST]


@dataclass(frozen=True)
class _Areas:
    """AUROC of one model's score.

    Attributes:
        points: [seeds, shifts + 1] of each run, the last being the mean over shifts.
        draws: [samples, shifts + 1] of resamples, mean over runs.
    """

    points: Floats
    draws: Floats


def benchmark(
    runs: Sequence[tuple[ScoringRun, Scored]], baselines: Sequence[str], resampling: Resampling
) -> pd.DataFrame:
    """AUROC of every score for every shift, their mean and the worst; means over seeds.

    Rows of the shift ``test`` have the share of test images beyond what one in twenty validation images is,
    and the area under the risk-coverage curve where images are referred by the score. The differences are to
    the baseline's score with the highest mean AUROC.

    Args:
        runs: of one or more datasets.
        baselines: names of the models that are some.
        resampling: how intervals are made.

    Returns:
        `COLUMNS`; NaN where a value is not defined. The worst shift has no interval: that of a smallest
        value would not cover it.

    Raises:
        DataError: if the runs of a dataset were tried on different images.
    """
    rows = []
    for dataset in dict.fromkeys(run.dataset for run, _ in runs):
        here = [(run, scored) for run, scored in runs if run.dataset == dataset]
        same_images(f"shifts of {dataset}", [scored.ids for _, scored in here])
        models = by_seeds(here, "model")
        areas = {
            (model, kind): _areas([scored for scored in of], trainings, kind, resampling)
            for (model,), (trainings, of) in models.items()
            for kind in of[0].scores
        }
        known = {key: found.points[:, -1].mean() for key, found in areas.items() if key[0] in baselines}
        reference = areas[max(known, key=known.__getitem__)] if known else None
        for (model, kind), found in areas.items():
            trainings, of = models[(model,)]
            ends = [dataset, model, kind], counts(trainings)
            rows += [[*ends[0], *row, *ends[1]] for row in _rows(of, kind, found, reference, resampling)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _areas(runs: list[Scored], trainings: Sequence[int], kind: str, resampling: Resampling) -> _Areas:
    statistics = [_statistic(run, kind) for run in runs]
    ones = np.ones((1, len(runs[0].ids)), dtype=np.int64)
    points = replicates(np.stack([statistic(ones)[0] for statistic in statistics]), trainings)

    def average(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"areas": np.mean([statistic(weights) for statistic in statistics], axis=0)}

    return _Areas(points, bootstrap(average, runs[0].groups, resampling)["areas"])


def _statistic(run: Scored, kind: str):
    """A function from weights [B, I] to AUROC [B, shifts + 1]."""
    parts = []
    for name in run.shift_names():
        rows = np.flatnonzero((run.shifts == name) | (run.shifts == TEST))
        parts.append((rows, Ranking(run.scores[kind][rows], run.shifts[rows] == name)))

    def areas(weights: np.ndarray) -> Floats:
        found = np.stack([ranking.auroc(weights[:, rows]) for rows, ranking in parts], axis=1)
        return np.concatenate([found, found.mean(axis=1, keepdims=True)], axis=1)

    return areas


def _rows(
    runs: list[Scored], kind: str, found: _Areas, reference: _Areas | None, resampling: Resampling
) -> list[list]:
    """Rows of one model's score from the column shift on, without seeds."""
    confidence, undefined = resampling.confidence, [np.nan] * 3
    value = found.points.mean(axis=0)
    low, high = limits_over_seeds(found.points, percentile_interval(found.draws, confidence), confidence)
    differences = np.full((3, len(value)), np.nan)
    if reference is not None and reference is not found:
        limits = percentile_interval(found.draws - reference.draws, confidence)
        differences = np.stack([value - reference.points.mean(axis=0), *limits])
    names, shifts = runs[0].shift_names(), runs[0].shifts
    test = shifts == TEST
    risk = [Ranking(run.scores[kind][test], run.wrong).mean_risk(np.ones((1, test.sum())))[0] for run in runs]
    beyond = float(np.mean([run.beyond.get(kind, np.nan) for run in runs]))
    rows = [[TEST, int(test.sum()), *undefined, *undefined, beyond, float(np.mean(risk))]]
    for i, name in enumerate([*names, MEAN]):
        images = int((shifts == name).sum() if name != MEAN else (~test).sum())
        area = [float(x) for x in (value[i], max(low[i], 0.0), min(high[i], 1.0))]
        rows.append([name, images, *area, *map(float, differences[:, i]), np.nan, np.nan])
    worst = float(value[:-1].min())
    return [*rows, [WORST, rows[-1][1], worst, np.nan, np.nan, *undefined, np.nan, np.nan]]
