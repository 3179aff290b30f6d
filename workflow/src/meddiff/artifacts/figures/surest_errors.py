"""The figure of the surest errors of a dataset: images that each model decides wrongly without a doubt."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Figure, Files, Wanted, style_of
from meddiff.artifacts.settings import (
    DecidedLayout,
    Line,
    class_names,
    decision_title,
    each_with,
    layout,
    one_file,
)
from meddiff.artifacts.style import GREY, axes_at, blank, drawing, text_at
from meddiff.config.schema.figure import FigureStyle
from meddiff.readout.predictions import calibrated, is_correct, probabilities, read_predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from meddiff.pipeline.experiment import Experiment
    from meddiff.runs import Run

CAPTION = """\
The test images that each model decides wrongly with the highest probability of the decided class
(calibrated where there is a calibration), the surest one on the left. Below each image: the decided class
with its probability, and the true class. An image that several models have in their rows may be labelled
wrongly, or lack what tells the classes apart. Of the first seeds, and of a model's first decision rule.
"""
IMAGES = 6
_STYLE = FigureStyle(width=7.6, height=1.2)
_POINTS = 7.5
_TEXT_INCHES, _GAP_INCHES, _NOTE_INCHES = 1.25, 0.08, 0.3
_COLUMNS = ["dataset", "model", "seed", "votes", "decision"]


class Settings(DecidedLayout):
    """What the figure depends on; its height is at most that of one row of images.

    Attributes:
        classes: dataset -> names in order of the class index.
    """

    classes: dict[str, list[Line]]
    images: int = Field(default=IMAGES, ge=1)
    style: FigureStyle


def plan(experiment: Experiment) -> list[Wanted]:
    """One a dataset that models are trained on."""
    wanted = []
    for dataset in experiment.datasets:
        runs = _first_runs(experiment, dataset)
        store = experiment.store(dataset, runs[0].model)
        settings = Settings(
            **layout(experiment, runs, [dataset]),
            classes={dataset: class_names(experiment)[dataset]},
            style=style_of(experiment, "surest_errors", _STYLE),
        )
        files = {
            "predictions": [experiment.predictions(run) for run in runs],
            "manifest": [f"{store}/manifest.json"],
        }
        wanted.append(Wanted(settings, files, behind=[f"{store}/test.npy"], part=dataset))
    return wanted


def _first_runs(experiment: Experiment, dataset: str) -> list[Run]:
    """Of every model on its own dataset the first seeds and the first decision."""
    first: dict[str, Run] = {}
    for run in experiment.reported_runs():
        if run.dataset == dataset and run.tested_on is None:
            first.setdefault(run.model, run)
    return list(first.values())


def data(settings: Settings, files: Files) -> pd.DataFrame:
    """One row an error that is shown.

    Columns dataset, model, seed, votes, decision, rank (from 1), image_id, label, prediction, probability.
    """
    one_file(files, "manifest")  # before anything is read
    rows = []
    for run, path in each_with(settings.runs, files["predictions"], "predictions"):
        table = read_predictions(path)
        fitted = calibrated(table)
        shares = probabilities(table) if fitted is None else fitted
        found = table[["image_id", "label", "prediction"]].assign(
            probability=shares[np.arange(len(table)), table["prediction"]]
        )
        found = found[~is_correct(table)].sort_values(["probability", "image_id"], ascending=[False, True])
        found = found.head(settings.images).assign(**{name: getattr(run, name) for name in _COLUMNS})
        rows.append(found.assign(rank=np.arange(1, len(found) + 1)))
    columns = [*_COLUMNS, "rank", "image_id", "label", "prediction", "probability"]
    return pd.concat(rows, ignore_index=True)[columns].astype({"votes": "Int64"})


def draw(table: pd.DataFrame, settings: Settings, files: Files) -> Drawing:
    """One row a model.

    Args:
        table: as `data` returns it.

    Raises:
        DataError: if the store is damaged.
    """
    from meddiff.data.stores.store import Store

    store = Store.open(one_file(files, "manifest").parent, "test")
    row_of = {name: row for row, name in enumerate(store.image_ids)}
    pictures = {name: np.asarray(store.images[row_of[name]]) for name in set(table["image_id"])}
    return draw_rows(table, pictures, settings)


def draw_rows(table: pd.DataFrame, pictures: dict[str, np.ndarray], settings: Settings) -> Drawing:
    """As `draw`.

    Args:
        table: as `data` returns it.
        pictures: image id -> uint8 [H, W, C].
    """
    style, titles = settings.style, settings.model_titles()
    side = min(style.height, (style.width - _TEXT_INCHES) / settings.images - _GAP_INCHES)
    step = side + _NOTE_INCHES + _GAP_INCHES
    height = step * len(settings.runs) + _GAP_INCHES
    with drawing():
        figure = blank(style.width, height)
        for y, run in enumerate(settings.runs):
            bottom = height - (y + 1) * step + _NOTE_INCHES
            lines = [shorten(titles[run.model], 24, placeholder="…")]
            lines += [decision_title(run.decision)] * (run.decision != "softmax")
            place = {"ha": "right", "va": "center", "fontsize": _POINTS}
            text_at(figure, _TEXT_INCHES - 0.1, bottom + side / 2, "\n".join(lines), **place)
            here = table[(table["model"] == run.model) & (table["decision"] == run.decision)]
            if here.empty:
                looks = {"color": GREY, "va": "center", "fontsize": _POINTS}
                text_at(figure, _TEXT_INCHES, bottom + side / 2, "no errors", **looks)
            for x, (_, error) in enumerate(here.iterrows()):
                left = _TEXT_INCHES + x * (side + _GAP_INCHES)
                axes = axes_at(figure, left, bottom, side, side)
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                pixels = pictures[error["image_id"]]
                grey = pixels.shape[-1] == 1
                shown = pixels[..., 0] if grey else pixels
                axes.imshow(shown, cmap="gray" if grey else None, vmin=0, vmax=255, interpolation="nearest")
                note = _note(error, settings.classes[run.dataset])
                axes.set_xlabel(note, fontsize=_POINTS - 1.5, labelpad=1.5)
    return figure


def _note(error: pd.Series, names: Sequence[str]) -> str:
    decided, true = (
        shorten(names[int(error[kind])], 17, placeholder="…") for kind in ("prediction", "label")
    )
    return f"{decided} {100 * error['probability']:.0f} %\nis {true}"


ARTIFACT = Figure("Drawing the surest errors", CAPTION, Settings, plan, data, draw)
