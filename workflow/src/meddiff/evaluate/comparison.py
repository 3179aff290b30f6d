"""Every diffusion classifier against the best baseline of its dataset, image by image, with paired tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from meddiff.errors import DataError
from meddiff.evaluate.folds.comparison import Pair, mean_auroc_test
from meddiff.evaluate.folds.means import FoldSet
from meddiff.evaluate.metrics.catalogue import point_metrics
from meddiff.evaluate.metrics.images import Images
from meddiff.evaluate.paired import holm, paired_test
from meddiff.evaluate.proportion import difference_interval
from meddiff.evaluate.statistics import Resampling
from meddiff.runs import Run, is_pair

Predicted = tuple[Run, pd.DataFrame]

CHOSEN_BY = "balanced_accuracy"
VALIDATION, TEST = "validation", "test"
COLUMNS = ["dataset", "model", "decision", "seed", "votes", "baseline", "chosen_on", "n"]
COLUMNS += ["accuracy", "baseline_accuracy", "difference", "ci_low", "ci_high"]
COLUMNS += ["only_model_correct", "only_baseline_correct", "p_value"]
COLUMNS += ["auroc", "baseline_auroc", "auroc_difference", "auroc_ci_low", "auroc_ci_high", "auroc_p_value"]


def compare(
    tables: Sequence[Predicted],
    resampling: Resampling,
    validation: Sequence[Predicted] = (),
    sets: Sequence[FoldSet] = (),
) -> pd.DataFrame:
    """Each diffusion result against the best baseline of its dataset, of the same seed of training.

    The best baseline is the one with the highest balanced accuracy (`CHOSEN_BY`) on the validation split,
    averaged over seeds. Where there are no predictions of that split it is the one that is best on the test
    images themselves, a choice that favours the baseline. Datasets without a baseline have no rows.

    All folds of a dataset are compared with one baseline, the best by the mean over folds. Accuracies are
    compared on the test images of all folds together, each of which is tested once; AUROCs fold by fold, and
    then averaged (`meddiff.evaluate.folds.comparison.mean_auroc_test`). Interval and test are for other test
    images: that models of other folds share training images has no part in them.

    Args:
        tables: each run with its predictions on the test split.
        resampling: how intervals are made.
        validation: the baselines, each with its predictions on the validation split.
        sets: folds that are compared together. Each fold has rows of its own, too, which are not tested for
            themselves: `p_holm` and `auroc_p_holm` are missing there.

    Returns:
        Columns dataset, model, decision, seed, votes, baseline, chosen_on (``validation`` or ``test``), n;
        accuracy, baseline_accuracy, difference, ci_low, ci_high (percent); only_model_correct,
        only_baseline_correct (images); p_value (paired permutation test that swaps whole groups); auroc,
        baseline_auroc, auroc_difference, auroc_ci_low, auroc_ci_high, auroc_p_value
        (`meddiff.evaluate.paired.auroc_test`); p_holm and auroc_p_holm (corrected for the number of rows
        that have them).

    Raises:
        DataError: if the baseline was not run with a seed, or on other images.
    """
    images = {run: _images(run, table) for run, table in tables}
    rows = []
    for name, datasets in _together(images, sets).items():
        baseline, chosen_on = _best_baseline(datasets, tables, validation)
        for run in images:
            if baseline is not None and run.dataset == datasets[0] and run.decision != "softmax":
                pairs = [_pair(images, run.model_copy(update={"dataset": d}), baseline) for d in datasets]
                identity = [run.model, run.decision, run.seed, run.votes, baseline, chosen_on]
                rows.append([name, *identity, *_compare(pairs, resampling, is_pair(name))])
                if name != datasets[0]:
                    single = zip(datasets, pairs, strict=True)
                    rows += [[d, *identity, *_compare([pair], resampling)] for d, pair in single]
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"votes": "Int64"})
    shown = ~table["dataset"].isin([fold for one in sets for fold in one.folds])
    known = shown & table["auroc_p_value"].notna()
    table.loc[known, "auroc_p_holm"] = holm(table.loc[known, "auroc_p_value"])
    return table.assign(p_holm=pd.Series(holm(table.loc[shown, "p_value"]), table.index[shown]))


def _together(images: Mapping[Run, Images], sets: Sequence[FoldSet]) -> dict[str, list[str]]:
    """What is compared together, by name: folds, or a single dataset."""
    names = {fold: one.name for one in sets for fold in one.folds}
    found: dict[str, list[str]] = {}
    for dataset in dict.fromkeys(run.dataset for run in images):
        found.setdefault(names.get(dataset, dataset), []).append(dataset)
    return found


def _images(run: Run, table: pd.DataFrame) -> Images:
    return Images(table.sort_values("image_id", ignore_index=True), run.decision == "majority")


def _best_baseline(
    datasets: Sequence[str], tables: Sequence[Predicted], validation: Sequence[Predicted]
) -> tuple[str | None, str]:
    """Its name, None where there is none, and the images that it was chosen on."""
    for chosen_on, predicted in ((VALIDATION, validation), (TEST, tables)):
        found = [
            (run.model, point_metrics(table, vote_shares=False)[CHOSEN_BY])
            for run, table in predicted
            if run.dataset in datasets and run.decision == "softmax"
        ]
        means = pd.DataFrame(found, columns=["model", "value"]).groupby("model", sort=False)["value"].mean()
        if means.notna().any():
            return str(means.idxmax()), chosen_on
    return None, TEST


def _pair(images: Mapping[Run, Images], run: Run, baseline: str) -> Pair:
    """The images of a run and of the baseline of the same seed."""
    other = Run(dataset=run.dataset, model=baseline, seed=run.seed, decision="softmax")
    if other not in images:
        raise DataError(
            f"{run.dataset}: baseline {other.model} has no run with seed {run.seed}, which {run.model} has; "
            "give both the same seeds"
        )
    ours, theirs = images[run], images[other]
    if not ours.table["image_id"].equals(theirs.table["image_id"]):
        raise DataError(
            f"{run.dataset}: {run.model} and {other.model} were evaluated on different images; predict again"
        )
    return ours, theirs


def _compare(pairs: Sequence[Pair], resampling: Resampling, same_images: bool = False) -> list[float]:
    ours, theirs = (np.concatenate([pair[k].correct for pair in pairs]) for k in (0, 1))
    groups = np.concatenate([first.groups for first, _ in pairs])
    change = ours.astype(float) - theirs
    limits = map(float, difference_interval(change, groups, resampling.confidence))
    test = paired_test(ours, theirs, groups)
    percent = [100 * value for value in (ours.mean(), theirs.mean(), change.mean(), *limits)]
    ranked = mean_auroc_test(pairs, resampling, same_images)
    aurocs = [ranked.first, ranked.second, ranked.first - ranked.second, ranked.low, ranked.high]
    return [len(change), *percent, test.only_a, test.only_b, test.p_value, *aurocs, ranked.p_value]
