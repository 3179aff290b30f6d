"""Draw the picture of the method: images, per-step error differences, votes."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten, wrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from meddiff.artifacts.style import drawing
from meddiff.diffusion.vote import DIVIDED, entropy, votes
from meddiff.evaluate.settings import MethodSettings
from meddiff.text import one_line

_GREY = "#555555"
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


def draw_method(
    steps: pd.DataFrame,
    class_names: Sequence[str],
    label: int,
    image: np.ndarray,
    noised: Sequence[np.ndarray],
    settings: MethodSettings,
) -> Figure:
    """The figure in three numbered parts.

    Args:
        steps: as `meddiff.evaluate.method.step_table` returns it.
        class_names: K names.
        label: the true class.
        image: [H, W, C] in [-1, 1].
        noised: the image at the noise levels of the steps that are ``shown``, least noise first.
        settings: titles and style.
    """
    style = settings.style
    class_names = [one_line(name) for name in class_names]
    colors = [style.colors[k % len(style.colors)] for k in range(len(class_names))]
    with drawing():
        figure = Figure(figsize=(style.width, style.height))
        FigureCanvasAgg(figure)
        width = style.width - _LEFT - _RIGHT - _VOTES_WIDTH - _PART_GAP
        free = style.height - _TOP - _BOTTOM - _ROW_GAP
        plot_top = _BOTTOM + _PLOT_SHARE * free
        side = min((1 - _PLOT_SHARE) * free, (width - 3 * _IMAGE_GAP) / 4)
        plot = _axes(figure, _LEFT, _BOTTOM, width, plot_top - _BOTTOM)
        _draw_steps(plot, steps, class_names, colors)
        panels = _draw_images(figure, steps, image, noised, (_LEFT, plot_top + _ROW_GAP, width, side))
        _connect(figure, panels[1:], plot, steps)
        votes_left, image_top = _LEFT + width + _PART_GAP, plot_top + _ROW_GAP + side
        bar_bottom = _BOTTOM + _RESULT_HEIGHT
        bar = _axes(figure, votes_left, bar_bottom, _VOTES_WIDTH, image_top - bar_bottom)
        _draw_votes(bar, steps, class_names, colors)
        _draw_result(figure, steps, class_names, label, (votes_left, bar_bottom - 0.15))
        top = image_top + 0.28
        _heading(figure, _LEFT, top, f"1  Add noise to the image, {_times(len(steps))}")
        _heading(
            figure, _LEFT, plot_top + 0.12, "2  Predict the noise for each class: the smaller error wins"
        )
        _heading(figure, votes_left, top, "3  Count the votes")
    return figure


def _draw_steps(axes: Axes, steps: pd.DataFrame, names: Sequence[str], colors: Sequence[str]) -> None:
    best, runner_up = int(steps["best"].iloc[0]), int(steps["runner_up"].iloc[0])
    axes.axhline(0, color=_GREY, linewidth=0.9, zorder=1.5)
    for (k, shown), part in steps.groupby(["winner", "shown"]):
        axes.scatter(
            part["logsnr"],
            part["difference_percent"],
            s=58 if shown else 30,
            color=_GREY if k == DIVIDED else colors[int(k)],
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
    for k, y, align in ((best, 0.97, "top"), (runner_up, 0.03, "bottom")):
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
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FixedFormatter([_minus(f"{tick:+g}") if tick else "0" for tick in ticks]))
    axes.yaxis.set_minor_locator(NullLocator())


def _draw_images(
    figure: Figure,
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
        axes = _axes(figure, left + i * spacing, bottom, side, side)
        shown = (pixels + 1) / 2
        axes.imshow(
            shown[..., 0] if shown.shape[-1] == 1 else shown,
            cmap="gray",
            vmin=0,
            vmax=1,
            interpolation="nearest",
        )
        axes.set_axis_off()
        axes.set_title(title, fontsize=_POINTS, fontweight="normal", pad=3)
        panels.append(axes)
    return panels


def _connect(figure: Figure, panels: Sequence[Axes], plot: Axes, steps: pd.DataFrame) -> None:
    shown = steps[steps["shown"]].sort_values("logsnr", ascending=False)
    for axes, row in zip(panels, shown.itertuples(), strict=True):
        figure.add_artist(
            ConnectionPatch(
                (0.5, 0.0),
                (row.logsnr, row.difference_percent),
                axes.transAxes,
                plot.transData,
                color=_GREY,
                linewidth=0.8,
                linestyle=(0, (3, 2)),
                shrinkB=5,
                zorder=-1,
            )
        )


def _draw_votes(axes: Axes, steps: pd.DataFrame, names: Sequence[str], colors: Sequence[str]) -> None:
    counts = _votes(steps, names)
    best, runner_up = int(steps["best"].iloc[0]), int(steps["runner_up"].iloc[0])
    others = [k for k in range(len(names)) if k not in (best, runner_up)]
    top = 1.0
    for k in [best, *others, runner_up]:
        share = counts[k] / len(steps)
        axes.bar(0, share, bottom=top - share, width=_BAR_WIDTH, align="edge", color=colors[k], linewidth=0)
        if share >= _SMALLEST_LABELLED:
            text = f"{_wrapped(names[k])}\n{counts[k]:.4g} of {len(steps)} votes"
            position = (_BAR_WIDTH + 0.1, top - share / 2)
            axes.text(*position, text, va="center", fontsize=_POINTS, color=colors[k], fontweight="bold")
        top -= share
    axes.set_xlim(0, _VOTES_WIDTH)
    axes.set_ylim(0, 1)
    axes.set_axis_off()


def _votes(steps: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """[K] votes of each class."""
    return votes(steps[[f"error_{k}" for k in range(len(names))]].to_numpy())[1]


def _draw_result(
    figure: Figure, steps: pd.DataFrame, names: Sequence[str], label: int, position: tuple[float, float]
) -> None:
    shares = _votes(steps, names) / len(steps)
    lines = [
        ("Decision", names[int(steps["best"].iloc[0])]),
        ("True class", names[label]),
        ("Uncertainty", f"{entropy(shares):z.2f} (vote entropy, 0 to 1)"),
    ]
    width, height = figure.get_size_inches()
    left, top = position
    for i, (what, value) in enumerate(lines):
        y = (top - 0.44 * i) / height
        figure.text(left / width, y, what, fontsize=_POINTS - 1, color=_GREY, va="top")
        figure.text(
            left / width,
            y - 0.17 / height,
            shorten(value, 34, placeholder="…"),
            fontsize=_POINTS,
            color=_DARK,
            va="top",
        )


def _heading(figure: Figure, left: float, bottom: float, text: str) -> None:
    width, height = figure.get_size_inches()
    figure.text(
        left / width,
        bottom / height,
        text,
        fontsize=_HEADING_POINTS,
        fontweight="bold",
        color=_DARK,
        bbox={"color": "white", "pad": 1},
    )


def _times(count: int) -> str:
    return f"{count} times" if count > 1 else "once"


def _wrapped(name: str) -> str:
    """A class name in lines that fit beside the bar."""
    return "\n".join(wrap(name, 19))


def _minus(number: str) -> str:
    """With a minus sign as matplotlib prints it."""
    return number.replace("-", "−")


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches."""
    total = figure.get_size_inches()
    return figure.add_axes((left / total[0], bottom / total[1], width / total[0], height / total[1]))
