"""How models were trained: losses, what was chosen on the validation split, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meddiff.errors import DataError
from meddiff.io import read_json
from meddiff.reporting.charts.figures import model_colors
from meddiff.reporting.charts.lines import COLOR, DASH, PANEL, Scales, Words, X, Y, drawn, lines
from meddiff.reporting.cost import hours_in_words
from meddiff.reporting.inline import data_uri
from meddiff.reporting.page import filled
from meddiff.reporting.part import PagePart
from meddiff.text import script_safe_json

if TYPE_CHECKING:
    import pandas as pd

    from meddiff.reporting.given import Given
    from meddiff.reporting.settings import ReportRun, ReportSettings

JOINT = "joint"
CURVES = {
    "loss": ("Training loss", "Loss (mean of an epoch)", True),
    "valid_f1": ("F1 on the validation split", "F1", False),
}


def training_part(given: Given) -> PagePart:
    """A row for each trained model, and curves of its training where they were recorded."""
    settings = given.settings
    records = [(run, record) for run in settings.runs if (record := run_record(run)) is not None]
    trained = [(run, record) for run, record in records if JOINT not in record]  # or it is a part of another
    html = filled(
        "training.html.j2",
        rows=[_row(run, record, settings) for run, record in trained],
        missing=len(settings.runs) - len(records),
        charts=[chart for name in CURVES if (chart := _chart(name, records, settings)) is not None],
    )
    return PagePart("training", "Training", html)


def run_record(run: ReportRun) -> dict[str, Any] | None:
    """What ``run.json`` says about the training of a model; None where it is not here.

    Raises:
        DataError: if it is no such record.
    """
    path = Path(run.folder) / "weights" / "run.json"
    try:
        record = read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}; run snakemake, which makes it again") from error
    if not isinstance(record, dict):
        raise DataError(f"{path}: is no record of a training; run snakemake, which makes it again")
    return record


def dataset_title(run: ReportRun, settings: ReportSettings) -> str:
    """What a model was trained on."""
    return "All datasets together" if run.dataset == JOINT else settings.dataset_title(run.dataset)


def _row(run: ReportRun, record: Mapping[str, Any], settings: ReportSettings) -> dict[str, str]:
    epochs, best = record.get("epochs") or [], record.get("best_epoch")
    hours = record.get("hours")
    f1 = record.get("best_valid_f1")
    parameters = record.get("parameters")
    return {
        "model": settings.model_titles().get(run.model, run.model),
        "dataset": dataset_title(run, settings),
        "seed": str(run.seed),
        "parameters": f"{parameters / 1e6:.2f}" if parameters else "–",
        "epochs": str(len(epochs)) if epochs else "–",
        "chosen": _epoch_taken(best) if isinstance(best, int) and epochs else "–",
        "loss": f"{epochs[-1]['loss']:.4g}" if epochs and "loss" in epochs[-1] else "–",
        "f1": f"{f1:.3f}" if isinstance(f1, float) and f1 >= 0 else "–",  # below 0: never measured
        "time": hours_in_words(hours) if hours is not None else "–",
        "hours": f"{hours:.6f}" if hours is not None else "",
        "device": str(record.get("device", "–")),
    }


def _epoch_taken(best: int) -> str:
    """The epoch whose weights were kept, from 1; the last one where none was chosen (-1)."""
    return str(best + 1) if best >= 0 else "last"


def _chart(
    name: str, records: list[tuple[ReportRun, dict[str, Any]]], settings: ReportSettings
) -> dict[str, Any] | None:
    """A curve of all models, one panel a dataset: interactive, and as a picture."""
    table = _curve(name, records, settings)
    title, axis, log = CURVES[name]
    if table is None:
        return None
    spec = lines(table, Words("Training step", axis, dash="Seed"), Scales(model_colors(settings), log_y=log))
    if spec is None:
        return None
    return {
        "id": f"training-{name}",
        "title": title,
        "spec": script_safe_json(spec),
        "picture": data_uri("image/svg+xml", drawn(spec).encode()),
    }


def _curve(
    name: str, records: list[tuple[ReportRun, dict[str, Any]]], settings: ReportSettings
) -> pd.DataFrame | None:
    import pandas as pd

    titles = settings.model_titles()
    rows = [
        {
            PANEL: dataset_title(run, settings),
            COLOR: titles.get(run.model, run.model),
            DASH: f"seed {run.seed}",
            X: float(epoch["step"]),
            Y: float(epoch[name]),
        }
        for run, record in records
        for epoch in record.get("epochs") or []
        if name in epoch and "step" in epoch
    ]
    return pd.DataFrame(rows) if rows else None
