"""Every diffusion classifier against the best baseline of its dataset, image by image, with paired tests."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from meddiff.errors import DataError
from meddiff.evaluate.metrics.catalogue import point_metrics
from meddiff.evaluate.metrics.images import Images
from meddiff.evaluate.paired import auroc_test, holm, paired_test
from meddiff.evaluate.proportion import difference_interval
from meddiff.evaluate.statistics import Resampling
from meddiff.runs import Run

Predicted = tuple[Run, pd.DataFrame]

CHOSEN_BY = "balanced_accuracy"
VALIDATION, TEST = "validation", "test"
COLUMNS = ["dataset", "model", "decision", "seed", "votes", "baseline", "chosen_on", "n"]
COLUMNS += ["accuracy", "baseline_accuracy", "difference", "ci_low", "ci_high"]
COLUMNS += ["only_model_correct", "only_baseline_correct", "p_value"]
COLUMNS += ["auroc", "baseline_auroc", "auroc_difference", "auroc_ci_low", "auroc_ci_high", "auroc_p_value"]


def compare(
    tables: Sequence[Predicted], resampling: Resampling, validation: Sequence[Predicted] = ()
) -> pd.DataFrame:
    """Each diffusion result against the best baseline of its dataset, of the same seed of training.

    The best baseline is the one with the highest balanced accuracy (`CHOSEN_BY`) on the validation split,
    averaged over seeds. Where there are no predictions of that split it is the one that is best on the test
    images themselves, a choice that favours the baseline. Datasets without a baseline have no rows.

    Args:
        tables: each run with its predictions on the test split.
        resampling: how intervals are made.
        validation: the baselines, each with its predictions on the validation split.

    Returns:
        Columns dataset, model, decision, seed, votes, baseline, chosen_on (``validation`` or ``test``), n;
        accuracy, baseline_accuracy, difference, ci_low, ci_high (percent); only_model_correct,
        only_baseline_correct (images); p_value (paired permutation test that swaps whole groups); auroc,
        baseline_auroc, auroc_difference, auroc_ci_low, auroc_ci_high, auroc_p_value
        (`meddiff.evaluate.paired.auroc_test`); p_holm and auroc_p_holm (corrected for the number of rows).

    Raises:
        DataError: if the baseline was not run with a seed, or on other images.
    """
    images = {run: _images(run, table) for run, table in tables}
    rows = []
    for dataset in dict.fromkeys(run.dataset for run in images):
        baseline, chosen_on = _best_baseline(dataset, tables, validation)
        for run in images:
            if baseline is not None and run.dataset == dataset and run.decision != "softmax":
                other = Run(dataset=dataset, model=baseline, seed=run.seed, decision="softmax")
                identity = [dataset, run.model, run.decision, run.seed, run.votes, baseline, chosen_on]
                rows.append([*identity, *_compare(images, run, other, resampling)])
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"votes": "Int64"})
    known = table["auroc_p_value"].notna()
    table.loc[known, "auroc_p_holm"] = holm(table.loc[known, "auroc_p_value"])
    return table.assign(p_holm=holm(table["p_value"]))


def _images(run: Run, table: pd.DataFrame) -> Images:
    return Images(table.sort_values("image_id", ignore_index=True), run.decision == "majority")


def _best_baseline(
    dataset: str, tables: Sequence[Predicted], validation: Sequence[Predicted]
) -> tuple[str | None, str]:
    """Its name, None where there is none, and the images that it was chosen on."""
    for chosen_on, predicted in ((VALIDATION, validation), (TEST, tables)):
        found = [
            (run.model, point_metrics(table, vote_shares=False)[CHOSEN_BY])
            for run, table in predicted
            if run.dataset == dataset and run.decision == "softmax"
        ]
        means = pd.DataFrame(found, columns=["model", "value"]).groupby("model", sort=False)["value"].mean()
        if means.notna().any():
            return str(means.idxmax()), chosen_on
    return None, TEST


def _compare(images: dict[Run, Images], run: Run, other: Run, resampling: Resampling) -> list[float]:
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
    change = ours.correct.astype(float) - theirs.correct
    limits = map(float, difference_interval(change, ours.groups, resampling.confidence))
    test = paired_test(ours.correct, theirs.correct, ours.groups)
    percent = [100 * value for value in (ours.correct.mean(), theirs.correct.mean(), change.mean(), *limits)]
    ranked = auroc_test(ours, theirs, resampling)
    aurocs = [ranked.first, ranked.second, ranked.first - ranked.second, ranked.low, ranked.high]
    return [len(change), *percent, test.only_a, test.only_b, test.p_value, *aurocs, ranked.p_value]
