"""Every diffusion classifier against the best baseline of its dataset, image by image."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from meddiff.errors import DataError
from meddiff.evaluate.paired_test import holm, paired_test
from meddiff.evaluate.predictions import is_correct
from meddiff.evaluate.proportion import difference_interval
from meddiff.runs import Run


def compare(tables: Sequence[tuple[Run, pd.DataFrame]], confidence: float) -> pd.DataFrame:
    """Each diffusion result against the most accurate baseline of its dataset and seed of training.

    The baseline is the one with the highest accuracy on these very images, averaged over seeds; that
    choice favours the baseline. Datasets without a baseline have no rows.

    Args:
        tables: each run with its predictions.
        confidence: of the intervals.

    Returns:
        Columns dataset, model, decision, seed, votes, baseline, n; accuracy, baseline_accuracy, difference,
        ci_low, ci_high (percent); only_model_correct, only_baseline_correct (images); p_value (paired
        permutation test that swaps whole groups), p_holm (corrected for the number of rows).

    Raises:
        DataError: if the baseline was not run with a seed, or on other images.
    """
    correct = {run: _correctness(table) for run, table in tables}
    rows = []
    for dataset in dict.fromkeys(run.dataset for run in correct):
        runs = [run for run in correct if run.dataset == dataset]
        baseline = _best_baseline(
            {run: correct[run]["correct"].mean() for run in runs if run.decision == "softmax"}
        )
        for run in runs:
            if baseline is not None and run.decision != "softmax":
                other = Run(dataset=dataset, model=baseline, seed=run.seed, decision="softmax")
                rows.append([*_identity(run), baseline, *_compare(correct, run, other, confidence)])
    columns = ["dataset", "model", "decision", "seed", "votes", "baseline", "n"]
    columns += ["accuracy", "baseline_accuracy", "difference", "ci_low", "ci_high"]
    columns += ["only_model_correct", "only_baseline_correct", "p_value"]
    table = pd.DataFrame(rows, columns=columns).astype({"votes": "Int64"})
    return table.assign(p_holm=holm(table["p_value"]))


def _correctness(table: pd.DataFrame) -> pd.DataFrame:
    frame = table[["image_id", "group"]].assign(correct=is_correct(table))
    return frame.sort_values("image_id", ignore_index=True)


def _best_baseline(accuracies: dict[Run, float]) -> str | None:
    if not accuracies:
        return None
    series = pd.Series([*accuracies.values()], index=[run.model for run in accuracies])
    return str(series.groupby(level=0, sort=False).mean().idxmax())


def _identity(run: Run) -> list[str | int | None]:
    return [run.dataset, run.model, run.decision, run.seed, run.votes]


def _compare(correct: dict[Run, pd.DataFrame], run: Run, other: Run, confidence: float) -> list[float]:
    if other not in correct:
        raise DataError(
            f"{run.dataset}: baseline {other.model} has no run with seed {run.seed}, which {run.model} has; "
            "give both the same seeds"
        )
    ours, theirs = correct[run], correct[other]
    if not ours["image_id"].equals(theirs["image_id"]):
        raise DataError(
            f"{run.dataset}: {run.model} and {other.model} were evaluated on different images; predict again"
        )
    change = ours["correct"].astype(float) - theirs["correct"]
    difference = (change.mean(), *map(float, difference_interval(change, ours["group"], confidence)))
    test = paired_test(ours["correct"], theirs["correct"], ours["group"])
    accuracies = (100 * ours["correct"].mean(), 100 * theirs["correct"].mean())
    return [len(ours), *accuracies, *(100 * d for d in difference), test.only_a, test.only_b, test.p_value]
