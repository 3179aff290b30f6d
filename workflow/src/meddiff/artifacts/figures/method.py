"""The picture of the method: how one test image is noised, scored and decided. Drawn from stored files."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten, wrap
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Figure, Files, Wanted, style_of
from meddiff.artifacts.settings import one_file
from meddiff.artifacts.style import GREY, axes_at, blank, drawing, text_at, ticks_at
from meddiff.config.schema.figure import FigureStyle
from meddiff.config.schema.kinds.pixels import PixelModel
from meddiff.config.schema.strict import Strict
from meddiff.evaluate.method import count_votes, example_image, noised, step_table, stored_image
from meddiff.text import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
How one test image is decided: of the images that the experiment's last diffusion model decides correctly on
its first dataset, the one with median vote entropy. Top: the image, and what noise does to it at three of
its steps. Below: one point a step, the runner-up's error minus the decision's error, in percent of their
mean, coloured by the class that gets the vote; the axis is linear up to the median size and logarithmic
beyond. Right: the votes, which give the decision, and their entropy, which is its uncertainty. Errors and
votes are the stored ones; the noise in the images is a draw of its own.
"""
_DARK = "#222222"
_POINTS = 9.5
_HEADING_POINTS = 11.0
# Inches around and between the parts; the rest is shared out.
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.75, 0.1, 0.48, 0.5
_VOTES_WIDTH = 2.2  # bar and its labels
_PART_GAP = 0.45
_PLOT_SHARE = 0.56  # of the height that is left to images and plot
_ROW_GAP = 0.5
_IMAGE_GAP = 0.18  # between neighbouring images, at least
_BAR_WIDTH = 0.42
_RESULT_HEIGHT = 1.3  # of the text below the bar
_LABEL_ROOM = 1.35  # of the plot's height, above and below the points
_SMALLEST_LABELLED = 0.06  # share of votes
_TICKS = [digit * 10.0**power for power in range(-4, 3) for digit in (1, 3)]


class Settings(Strict):
    """What the picture depends on."""

    wavelet: bool = Field(description="whether the model works on Haar coefficients")
    seed: int = Field(default=0, ge=0, description="of the noise in the pictures")
    style: FigureStyle


def plan(experiment: Experiment) -> list[Wanted]:
    """Of the first dataset, the last model whose errors can be shown as an image, and its first seeds."""
    in_pixels = [m for m in experiment.models if isinstance(experiment.any_dataset(m), PixelModel)]
    if not in_pixels:
        return []
    run = next(run for run in experiment.scored_runs() if run.model == in_pixels[-1])
    store = experiment.store(run.dataset, run.model)
    settings = Settings(
        wavelet=experiment.config.model(run.model, run.dataset).wavelet,
        style=style_of(experiment, "method", FigureStyle(width=9.0, height=4.7)),
    )
    files = {"errors": [experiment.errors(run)], "manifest": [f"{store}/manifest.json"]}
    return [Wanted(settings, files, behind=[f"{store}/test.npy"])]


def data(settings: Settings, files: Files) -> pd.DataFrame:
    """The steps of the image (`step_table`) from the errors file of a run, with image_id and label."""
    from meddiff.scoring.error_file import load_errors

    errors = load_errors(one_file(files, "errors"))
    image = errors.sel(image=example_image(errors))
    return step_table(image).assign(image_id=str(image["image"].values), label=int(image["label"]))


def draw(table: pd.DataFrame, settings: Settings, files: Files) -> Drawing:
    """The figure: the image from the store that was scored, its steps, its votes.

    Args:
        table: as `data` returns it.

    Raises:
        DataError: if the store has not the image.
    """
    from meddiff.data.stores.store import Store
    from meddiff.scoring.error_file import load_errors

    errors = load_errors(one_file(files, "errors"))
    store = Store.open(one_file(files, "manifest").parent, str(errors.attrs.get("split", "test")))
    image = stored_image(store.images, store.image_ids, table["image_id"].iloc[0])
    table = table.astype({"logsnr": np.float32})  # as the errors file has it
    levels = table.loc[table["shown"], "logsnr"].sort_values(ascending=False).to_numpy()
    pictures = noised(image, levels, settings.wavelet, settings.seed)
    names = errors["class"].values.astype(str).tolist()
    return draw_method(table, names, int(table["label"].iloc[0]), image, pictures, settings.style)


def draw_method(
    steps: pd.DataFrame,
    class_names: Sequence[str],
    label: int,
    image: np.ndarray,
    noised: Sequence[np.ndarray],
    style: FigureStyle,
) -> Drawing:
    """The figure in three numbered parts.

    Args:
        steps: as `meddiff.evaluate.method.step_table` returns it.
        class_names: K names.
        label: the true class.
        image: [H, W, C] in [-1, 1].
        noised: the image at the noise levels of the steps that are ``shown``, least noise first.
        style: its looks.
    """
    class_names = [one_line(name) for name in class_names]
    colors = [style.colors[k % len(style.colors)] for k in range(len(class_names))]
    with drawing():
        figure = blank(style.width, style.height)
        width = style.width - _LEFT - _RIGHT - _VOTES_WIDTH - _PART_GAP
        free = style.height - _TOP - _BOTTOM - _ROW_GAP
        plot_top = _BOTTOM + _PLOT_SHARE * free
        side = min((1 - _PLOT_SHARE) * free, (width - 3 * _IMAGE_GAP) / 4)
        plot = axes_at(figure, _LEFT, _BOTTOM, width, plot_top - _BOTTOM)
        _draw_steps(plot, steps, class_names, colors)
        panels = _draw_images(figure, steps, image, noised, (_LEFT, plot_top + _ROW_GAP, width, side))
        _connect(figure, panels[1:], plot, steps)
        votes_left, image_top = _LEFT + width + _PART_GAP, plot_top + _ROW_GAP + side
        bar_bottom = _BOTTOM + _RESULT_HEIGHT
        bar = axes_at(figure, votes_left, bar_bottom, _VOTES_WIDTH, image_top - bar_bottom)
        _draw_votes(bar, steps, class_names, colors)
        _draw_result(figure, steps, class_names, label, (votes_left, bar_bottom - 0.15))
        top = image_top + 0.28
        times = f"{len(steps)} times" if len(steps) > 1 else "once"
        second = "2  Predict the noise for each class: the smaller error wins"
        _heading(figure, _LEFT, top, f"1  Add noise to the image, {times}")
        _heading(figure, _LEFT, plot_top + 0.12, second)
        _heading(figure, votes_left, top, "3  Count the votes")
    return figure


def _draw_steps(axes: Axes, steps: pd.DataFrame, names: Sequence[str], colors: Sequence[str]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.axhline(0, color=GREY, linewidth=0.9, zorder=1.5)
    for (k, shown), part in steps.groupby(["winner", "shown"]):
        axes.scatter(
            part["logsnr"],
            part["difference_percent"],
            s=58 if shown else 30,
            color=colors[int(k)] if k >= 0 else GREY,  # grey: the vote is divided
            edgecolors=_DARK if shown else "white",
            linewidths=1.2 if shown else 0.7,
            zorder=4 if shown else 3,
        )
    _difference_axis(axes, np.abs(steps["difference_percent"].to_numpy()))
    axes.patch.set_visible(False)  # the lines to the images run behind the points
    axes.invert_xaxis()
    axes.xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True))
    axes.set_xlabel("logSNR of the noised image  (more noise to the right)", fontsize=_POINTS)
    axes.set_ylabel("error difference (%)", fontsize=_POINTS)
    axes.tick_params(labelsize=_POINTS - 1)
    for column, y, align in (("best", 0.97, "top"), ("runner_up", 0.03, "bottom")):
        k = int(steps[column].iloc[0])
        axes.text(
            0.99,
            y,
            f"smaller error for {shorten(names[k], 40, placeholder='…')}",
            transform=axes.transAxes,
            ha="right",
            va=align,
            color=colors[k],
            fontsize=_POINTS,
            fontweight="bold",
            zorder=5,
            bbox={"color": "white", "alpha": 0.85, "pad": 1},
        )


def _difference_axis(axes: Axes, sizes: np.ndarray) -> None:
    """Linear around zero, logarithmic beyond the typical size: a few noise levels differ far more."""
    largest = float(sizes.max()) or 1.0
    typical = float(np.median(sizes)) or largest
    axes.set_yscale("symlog", linthresh=typical, linscale=1.0)
    scale = axes.yaxis.get_transform()
    limit = float(scale.inverted().transform(_LABEL_ROOM * scale.transform([largest]))[0])
    axes.set_ylim(-limit, limit)
    above = [tick for tick in _TICKS if 0.4 * typical <= tick <= limit]
    above = above[:: -(-len(above) // 3)] if above else []
    ticks = [*(-tick for tick in reversed(above)), 0.0, *above]
    ticks_at(axes.yaxis, ticks, [_minus(f"{tick:+g}") if tick else "0" for tick in ticks])


def _draw_images(
    figure: Drawing,
    steps: pd.DataFrame,
    image: np.ndarray,
    noised: Sequence[np.ndarray],
    box: tuple[float, float, float, float],
) -> list[Axes]:
    left, bottom, width, side = box
    levels = steps.loc[steps["shown"], "logsnr"].sort_values(ascending=False)
    titles = ["test image", *(f"logSNR {_minus(f'{level:z.1f}')}" for level in levels)]
    spacing = (width - side) / len(noised)
    panels = []
    for i, (pixels, title) in enumerate(zip([image, *noised], titles, strict=True)):
        axes = axes_at(figure, left + i * spacing, bottom, side, side)
        shown = (pixels[..., 0] if pixels.shape[-1] == 1 else pixels) / 2 + 0.5
        axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(title, fontsize=_POINTS, fontweight="normal", pad=3)
        panels.append(axes)
    return panels


def _connect(figure: Drawing, panels: Sequence[Axes], plot: Axes, steps: pd.DataFrame) -> None:
    from matplotlib.patches import ConnectionPatch

    shown = steps[steps["shown"]].sort_values("logsnr", ascending=False)
    for axes, row in zip(panels, shown.itertuples(), strict=True):
        figure.add_artist(
            ConnectionPatch(
                (0.5, 0.0),
                (row.logsnr, row.difference_percent),
                axes.transAxes,
                plot.transData,
                color=GREY,
                linewidth=0.8,
                linestyle=(0, (3, 2)),
                shrinkB=5,
                zorder=-1,
            )
        )


def _draw_votes(axes: Axes, steps: pd.DataFrame, names: Sequence[str], colors: Sequence[str]) -> None:
    counts, _ = count_votes(steps)
    best, runner_up = int(steps["best"].iloc[0]), int(steps["runner_up"].iloc[0])
    others = [k for k in range(len(names)) if k not in (best, runner_up)]
    top = 1.0
    for k in [best, *others, runner_up]:
        share = counts[k] / len(steps)
        axes.bar(0, share, bottom=top - share, width=_BAR_WIDTH, align="edge", color=colors[k], linewidth=0)
        if share >= _SMALLEST_LABELLED:
            name = "\n".join(wrap(names[k], 19))  # fits beside the bar
            text = f"{name}\n{counts[k]:.4g} of {len(steps)} votes"
            position = (_BAR_WIDTH + 0.1, top - share / 2)
            axes.text(*position, text, va="center", fontsize=_POINTS, color=colors[k], fontweight="bold")
        top -= share
    axes.set_xlim(0, _VOTES_WIDTH)
    axes.set_ylim(0, 1)
    axes.set_axis_off()


def _draw_result(
    figure: Drawing, steps: pd.DataFrame, names: Sequence[str], label: int, position: tuple[float, float]
) -> None:
    lines = [
        ("Decision", names[int(steps["best"].iloc[0])]),
        ("True class", names[label]),
        ("Uncertainty", f"{count_votes(steps)[1]:z.2f} (vote entropy, 0 to 1)"),
    ]
    left, top = position
    for i, (what, value) in enumerate(lines):
        y = top - 0.44 * i
        text_at(figure, left, y, what, fontsize=_POINTS - 1, color=GREY, va="top")
        value = shorten(value, 34, placeholder="…")
        text_at(figure, left, y - 0.17, value, fontsize=_POINTS, color=_DARK, va="top")


def _heading(figure: Drawing, left: float, bottom: float, text: str) -> None:
    looks = {"fontsize": _HEADING_POINTS, "fontweight": "bold", "color": _DARK}
    text_at(figure, left, bottom, text, **looks, bbox={"color": "white", "pad": 1})


def _minus(number: str) -> str:
    """With a minus sign as matplotlib prints it."""
    return number.replace("-", "−")


ARTIFACT = Figure("Drawing how one image is decided", CAPTION, Settings, plan, data, draw)
