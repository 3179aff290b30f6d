"""The comparison of every diffusion classifier with the best baseline, image by image."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from meddiff.artifacts.layout import in_layout_order, row_title, signed
from meddiff.artifacts.render import Block, Cell, Column, Grid
from meddiff.errors import DataError
from meddiff.evaluate.paired_test import holm, paired_test
from meddiff.evaluate.predictions import is_correct
from meddiff.evaluate.proportion import difference_interval
from meddiff.evaluate.settings import ComparisonSettings
from meddiff.runs import Run


def compare(tables: Sequence[tuple[Run, pd.DataFrame]], settings: ComparisonSettings) -> pd.DataFrame:
    """Each diffusion result against the most accurate baseline of its dataset and seed of training.

    The baseline is the one with the highest accuracy on these very images, averaged over seeds; that
    choice favours the baseline. Datasets without a baseline have no rows.

    Args:
        tables: each run with its predictions.

    Returns:
        Columns dataset, model, decision, seed, votes, baseline, n; accuracy, baseline_accuracy, difference,
        ci_low, ci_high (percent); only_model_correct, only_baseline_correct (images); p_value (paired
        permutation test that swaps whole groups), p_holm (corrected for the number of rows).

    Raises:
        DataError: if the baseline was not run with a seed, or on other images.
    """
    correct = {run: _correctness(table) for run, table in tables}
    rows = []
    for dataset in settings.dataset_titles():
        runs = [run for run in correct if run.dataset == dataset]
        baseline = _best_baseline(
            {run: correct[run]["correct"].mean() for run in runs if run.decision == "softmax"}
        )
        for run in runs:
            if baseline is not None and run.decision != "softmax":
                other = Run(dataset=dataset, model=baseline, seed=run.seed, decision="softmax")
                rows.append([*_identity(run), baseline, *_compare(correct, run, other, settings)])
    columns = ["dataset", "model", "decision", "seed", "votes", "baseline", "n"]
    columns += ["accuracy", "baseline_accuracy", "difference", "ci_low", "ci_high"]
    columns += ["only_model_correct", "only_baseline_correct", "p_value"]
    table = pd.DataFrame(rows, columns=columns).astype({"votes": "Int64"})
    return in_layout_order(table.assign(p_holm=holm(table["p_value"])), settings)


def comparison_grid(table: pd.DataFrame, settings: ComparisonSettings) -> Grid:
    """The comparison for reading, one block a dataset."""
    several = (table.groupby(["dataset", "model", "decision", "seed"])["votes"].nunique() > 1).any()
    columns = [
        "Model",
        "Best baseline",
        "Seed",
        *["Vote seed"] * bool(several),
        "Accuracy (%)",
        "Baseline (%)",
        "Difference",
        "Only model",
        "Only baseline",
        "p",
        "p (Holm)",
    ]
    titles = settings.model_titles()
    blocks = []
    for dataset, title in settings.dataset_titles().items():
        rows = [
            [
                Cell(row_title(row.model, row.decision, settings)),
                Cell(titles[row.baseline]),
                Cell(str(row.seed)),
                *[Cell(str(row.votes))] * bool(several),
                Cell(f"{row.accuracy:.1f}"),
                Cell(f"{row.baseline_accuracy:.1f}"),
                Cell(signed(row.difference), f"[{signed(row.ci_low)}, {signed(row.ci_high)}]"),
                Cell(str(row.only_model_correct)),
                Cell(str(row.only_baseline_correct)),
                _p_cell(row.p_value),
                _p_cell(row.p_holm),
            ]
            for row in table[table["dataset"] == dataset].itertuples()
        ]
        blocks += [Block(title, rows)] if rows else []
    if not blocks:
        return Grid(_nothing(settings), "comparison", [Column(c) for c in columns], [])
    caption = (
        "Diffusion classifiers against the best baseline of each dataset. The best baseline is the one with "
        "the highest accuracy on the test set itself (mean over seeds), which favours the baseline. "
        f"Difference: percentage points with the paired {100 * settings.confidence:g} % interval. "
        "Only model, only baseline: test images that one of the two alone classifies correctly. p: "
        "two-sided permutation test that swaps the two classifiers on all images of a group (a patient or a "
        "lesion) together; without groups it is McNemar's mid-p test. p (Holm): corrected for the number of "
        f"rows, {len(table)}. Interval and test allow for images in groups."
    )
    return Grid(caption, "comparison", [Column(c) for c in columns], blocks)


def _nothing(settings: ComparisonSettings) -> str:
    """Why there is no comparison."""
    baselines = any(run.decision == "softmax" for run in settings.runs)
    missing = (
        "diffusion classifier to compare with the baselines" if baselines else "baseline to compare with"
    )
    return f"Diffusion classifiers against the best baseline of each dataset: there is no {missing}."


def _p_cell(value: float) -> Cell:
    return Cell(f"{value:.3f}" if value >= 0.001 else "<0.001")


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


def _compare(
    correct: dict[Run, pd.DataFrame], run: Run, other: Run, settings: ComparisonSettings
) -> list[float]:
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
    difference = (change.mean(), *map(float, difference_interval(change, ours["group"], settings.confidence)))
    test = paired_test(ours["correct"], theirs["correct"], ours["group"])
    accuracies = (100 * ours["correct"].mean(), 100 * theirs["correct"].mean())
    return [len(ours), *accuracies, *(100 * d for d in difference), test.only_a, test.only_b, test.p_value]
