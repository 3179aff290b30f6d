"""The audit of shortcuts for reading: one grid of accuracies a dataset, and one of the subsets."""

from __future__ import annotations

from typing import Any

import pandas as pd

from meddiff.artifacts.layout import row_title, rows_of, signed, vote_seeds
from meddiff.artifacts.render import Block, Cell, Column, Grid
from meddiff.config.schema.audit import ALL_IMAGES
from meddiff.evaluate.audit import (
    AGAINST,
    FOLLOWS,
    GAP,
    MINIMUM_GROUPS,
    NOT_SHOWN,
    RIGHT,
    RULE,
    UNDEFINED,
    WRONG,
)
from meddiff.evaluate.settings import AuditEntry, AuditSettings

_NONE = Cell("–")

Rows = dict[tuple[str, str, str, str], Any]


def audit_grids(table: pd.DataFrame, rules: dict[str, dict[str, str]], settings: AuditSettings) -> list[Grid]:
    """The tables to read.

    Args:
        table: as `meddiff.evaluate.audit.audit` returns it.
        rules: dataset -> stratum -> name of the class that the rule answers with.
    """
    grids = []
    for dataset in settings.dataset_titles():
        here = table[table["dataset"] == dataset]
        grids.append(_accuracies(here, rules[dataset], settings.audits[dataset], dataset, settings))
    return [*grids, _subsets(table, settings)]


def _accuracies(
    table: pd.DataFrame, rule: dict[str, str], entry: AuditEntry, dataset: str, settings: AuditSettings
) -> Grid:
    test = table[table["split"] == "test"]
    cells = _cells(test)
    strata = [name for name in dict.fromkeys(test["stratum"]) if name != ALL_IMAGES]
    columns = [
        Column("Model"),
        Column("all images"),
        *(Column(name, f"by {entry.title}") for name in strata),
        Column("right", "where the rule is"),
        Column("wrong", "where the rule is"),
        Column("Gap"),
        Column("Cue"),
    ]
    shown = [(name, "accuracy") for name in (ALL_IMAGES, *strata)]
    shown += [(ALL_IMAGES, metric) for metric in (RIGHT, WRONG)]
    compared = _compared(cells)
    counts = [
        _count(cells[RULE, "rule", *key], compared if key[1] in (RIGHT, WRONG) else None) for key in shown
    ]
    lines = [[Cell("Images"), *counts, Cell(""), Cell("")]]
    for model, decision in [(RULE, "rule"), *rows_of(test, list(settings.model_titles()))]:
        line = [Cell(_title(model, decision, settings))]
        line += [_percent(cells[model, decision, *key]) for key in shown]
        gap = cells[model, decision, ALL_IMAGES, GAP]
        lines.append([*line, _points(gap), Cell(gap.verdict)])
    return Grid(
        _accuracy_caption(table, rule, entry, dataset, settings),
        f"audit-{dataset}",
        columns,
        [Block("", lines)],
    )


def _subsets(table: pd.DataFrame, settings: AuditSettings) -> Grid:
    """Balanced accuracy and AUROC of all images and of the subset, one block a dataset."""
    test = table[table["split"] == "test"]
    some = any(entry.subset is not None for entry in settings.audits.values())
    width = 5 if some else 3
    blocks = []
    for dataset, title in settings.dataset_titles().items():
        here, entry = test[test["dataset"] == dataset], settings.audits[dataset]
        cells = _cells(here)
        groups = _groups(entry)
        rows = []
        for model, decision in [(RULE, "rule"), *rows_of(here, list(settings.model_titles()))]:
            line = [Cell(_title(model, decision, settings))]
            for group in groups:
                line.append(_percent(cells.get((model, decision, group, "balanced_accuracy"))))
                line.append(_fraction(cells.get((model, decision, group, "auroc"))))
            rows.append(line + [_NONE] * (width - len(line)))
        sizes = [_described(cells.get((RULE, "rule", group, "accuracy")), group, entry) for group in groups]
        blocks.append(Block(f"{title} ({'; '.join(sizes)})", rows))
    columns = [Column("Model")]
    for group in ("all images", "subset")[: 1 + some]:
        columns += [Column("balanced acc. (%)", group), Column("AUROC", group)]
    subset = " and on one stratum alone, in which the cue is the same for all" * some
    caption = (
        f"Audit of shortcuts: balanced accuracy and AUROC on all test images{subset}, with "
        f"{100 * settings.confidence:g} % confidence intervals{_seeds(test)}. – means that "
        f"{'there is no such stratum or that ' * some}a class has no image{' in it' * some}."
    )
    return Grid(caption, "audit-subset", columns, blocks)


def _accuracy_caption(
    table: pd.DataFrame, rule: dict[str, str], entry: AuditEntry, dataset: str, settings: AuditSettings
) -> str:
    overall = table[(table["model"] == RULE) & (table["stratum"] == ALL_IMAGES)]
    scores = overall[overall["metric"] == "accuracy"].set_index("split")["value"]
    answers = "; ".join(f"{stratum}: {name}" for stratum, name in rule.items())
    return (
        f"Audit of shortcuts on {settings.dataset_titles()[dataset]}: accuracy (%) on the test split with "
        f"{100 * settings.confidence:g} % confidence intervals{_seeds(table)}. The rule knows the "
        f"{entry.title} only and answers with the most frequent class of the training split ({answers}); it "
        f"is right on {100 * scores['train']:.1f} % of the training, {100 * scores['valid']:.1f} % of the "
        f"validation and {100 * scores['test']:.1f} % of the test images. Numbers of images are of all "
        f"classes and, in brackets, of {' / '.join(entry.classes)}. Where the rule is right and where it is "
        "wrong, accuracy is taken within each class and averaged over the classes that have at least "
        f"{MINIMUM_GROUPS} patients, lesions or images on both sides: {_listed(table, entry)}. Gap: the one "
        f"minus the other, in percentage points. Last column: {FOLLOWS} where the interval of the gap is "
        f"above 0, {AGAINST} where it is below, {NOT_SHOWN} where it includes 0, {UNDEFINED} without such a "
        "class. Reliance on the cue makes such a gap; so do images that are harder for another reason where "
        "the rule is wrong. –: not defined (too few images), or in brackets a class that is not compared."
    )


def _compared(cells: Rows) -> list[bool]:
    """Of each class, whether its images are compared: only these are counted in the row of the gap."""
    return [count != "0" for count in cells[RULE, "rule", ALL_IMAGES, GAP].n_by_class.split("/")]


def _listed(table: pd.DataFrame, entry: AuditEntry) -> str:
    """The classes that are compared, in words."""
    compared = _compared(_cells(table[table["split"] == "test"]))
    return (
        ", ".join(name for name, there in zip(entry.classes, compared, strict=True) if there) or "none here"
    )


def _groups(entry: AuditEntry) -> list[str]:
    """What balanced accuracy and AUROC are shown of."""
    return [ALL_IMAGES, *([entry.subset] if entry.subset is not None else [])]


def _cells(table: pd.DataFrame) -> Rows:
    return {(row.model, row.decision, row.stratum, row.metric): row for row in table.itertuples()}


def _title(model: str, decision: str, settings: AuditSettings) -> str:
    return "Rule" if model == RULE else row_title(model, decision, settings)


def _seeds(table: pd.DataFrame) -> str:
    votes = vote_seeds(table)
    if table["seeds"].max() > 1:
        each = f", of a diffusion model each the mean over {votes} vote seeds" * (votes > 1)
        return (
            f" (mean over seeds{each} ± their standard deviation; intervals for other images and other seeds)"
        )
    if votes > 1:
        return (
            f" (of a diffusion model mean over {votes} vote seeds of one training ± their standard deviation;"
            " intervals for other images and other vote seeds)"
        )
    return ""


def _count(row: Any, compared: list[bool] | None = None) -> Cell:
    """Numbers of images; of classes that are not compared none are counted, though they may have some."""
    if not row.n:
        return _NONE
    counts = row.n_by_class.split("/")
    shown = [n if there else "–" for n, there in zip(counts, compared or [True] * len(counts), strict=True)]
    return Cell(str(row.n), f"({' / '.join(shown)})")


def _described(row: Any | None, group: str, entry: AuditEntry) -> str:
    counts = (
        "no image"
        if row is None
        else ", ".join(
            f"{count} {name}" for count, name in zip(row.n_by_class.split("/"), entry.classes, strict=True)
        )
    )
    return f"{'all' if group == ALL_IMAGES else f'subset {group}'}: {counts}"


def _spread(row: Any, scale: float, form: str) -> str:
    deviation = "" if pd.isna(row.sd) else f"± {scale * row.sd:{form}} "
    return f"{deviation}[{scale * row.ci_low:{form}}, {scale * row.ci_high:{form}}]"


def _percent(row: Any | None) -> Cell:
    if row is None or pd.isna(row.value):
        return _NONE
    return Cell(f"{100 * row.value:.1f}", _spread(row, 100, ".1f"))


def _fraction(row: Any | None) -> Cell:
    return _NONE if row is None or pd.isna(row.value) else Cell(f"{row.value:.3f}", _spread(row, 1, ".3f"))


def _points(row: Any) -> Cell:
    if pd.isna(row.value):
        return _NONE
    deviation = "" if pd.isna(row.sd) else f"± {100 * row.sd:.1f} "
    return Cell(
        signed(100 * row.value), f"{deviation}[{signed(100 * row.ci_low)}, {signed(100 * row.ci_high)}]"
    )
