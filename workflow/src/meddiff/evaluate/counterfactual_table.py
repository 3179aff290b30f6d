"""The table of counterfactual metrics: one row a model and direction."""

from __future__ import annotations

from typing import Any

import pandas as pd

from meddiff.evaluate.counterfactual_metrics import METRICS
from meddiff.evaluate.counterfactual_settings import CounterfactualTableSettings
from meddiff.evaluate.layout import over_seeds
from meddiff.evaluate.render import Block, Cell, Column, Grid
from meddiff.evaluate.similarity import CHANGED

KEYS = ["dataset", "model", "source", "target", "metric"]
_NONE = Cell("–")
# Metric -> title, group of columns, and how a value is shown.
_PERCENT, _SMALL, _PLAIN = "percent", "small", "plain"
SHOWN: dict[str, tuple[str, str, str]] = {
    "validity": ("itself", "Validity (%)", _PERCENT),
    "validity_oracle": ("oracle", "Validity (%)", _PERCENT),
    "l1": ("L1", "Distance to the image", _SMALL),
    "l2": ("L2", "Distance to the image", _SMALL),
    "ssim": ("SSIM", "Distance to the image", _PLAIN),
    "feature_distance": ("features", "Distance to the image", _PLAIN),
    "changed_share": ("Changed (%)", "", _PERCENT),
    "kid": ("KID", "Distance to the class", _PLAIN),
    "fid": ("FID", "Distance to the class", _PLAIN),
    "composition_l1": ("Composition", "", _SMALL),
    "reversibility_l1": ("Reversibility", "", _SMALL),
    "change_inside_lesion": ("change", "Inside the lesion (%)", _PERCENT),
    "lesion_area": ("area", "Inside the lesion (%)", _PERCENT),
}


def counterfactual_table(metrics: pd.DataFrame, settings: CounterfactualTableSettings) -> pd.DataFrame:
    """Tidy metrics averaged over seeds.

    Returns:
        Columns dataset, model, source, target, metric, value, ci_low, ci_high, sd, seeds, n, note; rows in
        the order of the layout and of `METRICS`.
    """
    table = over_seeds(metrics, KEYS)
    notes = metrics[metrics["note"] != ""].groupby(KEYS, sort=False)["note"].first()
    table["note"] = [notes.get(tuple(key), "") for key in table[KEYS].itertuples(index=False)]
    ranks = {
        "dataset": list(settings.dataset_titles()),
        "model": list(settings.model_titles()),
        "metric": METRICS,
    }
    return table.sort_values(
        KEYS,
        key=lambda column: column.map(ranks[column.name].index) if column.name in ranks else column,
        kind="stable",
    ).reset_index(drop=True)


def counterfactual_grid(table: pd.DataFrame, settings: CounterfactualTableSettings) -> Grid:
    """The table for reading: blocks of datasets; metrics that no row has are left out."""
    shown = [name for name in SHOWN if table.loc[table["metric"] == name, "value"].notna().any()]
    columns = [Column("Model and direction"), Column("n")]
    columns += [Column(SHOWN[name][0], SHOWN[name][1]) for name in shown]
    cells = {(r.dataset, r.model, r.source, r.target, r.metric): r for r in table.itertuples()}
    blocks = []
    for dataset, title in settings.dataset_titles().items():
        here = table[table["dataset"] == dataset]
        rows = []
        for model, name in settings.model_titles().items():
            part = here[here["model"] == model]
            for source, target in dict.fromkeys(zip(part["source"], part["target"], strict=True)):
                key = (dataset, model, source, target)
                line = [Cell(f"{name}: {settings.direction(dataset, source, target)}")]
                line.append(Cell(str(cells[*key, "validity"].n)))
                rows.append([*line, *(_cell(cells[*key, metric], SHOWN[metric][2]) for metric in shown)])
        blocks += [Block(title, rows)] if rows else []
    return Grid(_caption(table, settings, shown), "counterfactuals", columns, blocks)


def _cell(row: Any, form: str) -> Cell:
    if pd.isna(row.value):
        return _NONE
    scale, digits = (100, 0) if form == _PERCENT else (1, 3)
    value = f"{scale * row.value:.{digits}f}"
    # Limits of the small numbers would fill the table without being read; they are in the CSV.
    if form == _SMALL or pd.isna(row.ci_low):
        return Cell(value)
    return Cell(value, f"[{scale * row.ci_low:.{digits}f}, {scale * row.ci_high:.{digits}f}]")


def _caption(table: pd.DataFrame, settings: CounterfactualTableSettings, shown: list[str]) -> str:
    titles = settings.model_titles()
    made = {how: [titles[m] for m in titles if settings.made.get(m) == how] for how in settings.made.values()}
    parts = [
        "Counterfactuals of test images whose true and predicted class is the source; n of them, with "
        f"{100 * settings.confidence:g} % bootstrap intervals.",
        *(f"{', '.join(models)}: {how}." for how, models in made.items()),
        "Validity: share decided for the target, by the diffusion classifier itself"
        + (f" and by {settings.oracle}, which was trained on its own." if settings.oracle else "."),
        "L1 (mean absolute) and L2 (root mean square) differences are fractions of the range of pixels.",
        f"Changed: pixels whose difference, after a 3x3 mean, is larger than {CHANGED:g} of the range.",
        "Composition: L1 of the factual reconstruction to the image; reversibility: L1 of the way to the "
        "target and back.",
    ]
    if settings.features and {"feature_distance", "kid", "fid"} & set(shown):
        parts.append(
            f"Feature distances, KID and FID are made with the features of {settings.features}, not of "
            "Inception, and compare with nothing but each other; KID and FID are against the real test "
            "images of the target class."
        )
    if "change_inside_lesion" in shown:
        parts.append(
            "Inside the lesion: share of the difference to the factual reconstruction that is inside the "
            f"known lesion widened by {_pixels(settings.mask_margin)}, and what share of the image that is."
        )
    parts += _left_out(table)
    if table["seeds"].max() > 1:
        parts.append("Mean over seeds; intervals are means of the seeds' limits.")
    return " ".join(parts)


def _left_out(table: pd.DataFrame) -> list[str]:
    """Why there are dashes: each reason with the metrics it is of."""
    missing = table[table["value"].isna() & (table["note"] != "")]
    reasons: dict[str, list[str]] = {}
    for row in missing.itertuples():
        metrics = reasons.setdefault(row.note.split(":")[0], [])  # numbers are in the CSV
        if row.metric in SHOWN and row.metric not in metrics:
            metrics.append(row.metric)
    return [
        f"Not estimated where there is a dash: {', '.join(m.replace('_', ' ') for m in metrics)} ({note})."
        for note, metrics in reasons.items()
        if metrics
    ]


def _pixels(number: int) -> str:
    return f"{number} pixel{'s' * (number != 1)}"
