"""The figure of counterfactuals: image, factual, counterfactual, and the signed differences."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from meddiff.artifacts.style import drawing
from meddiff.evaluate.counterfactual_settings import CounterfactualFigureSettings
from meddiff.explaining.examples import Examples
from meddiff.runs import TrainedRun

_COLUMNS = ("input", "factual", "counterfactual", "counterfactual\n− factual", "counterfactual\n− input")
_CLIPPED = 0.995  # quantile of the differences that the colours reach to
_POINTS = 7.5
# Inches: text on the left, bar with its labels on the right, headings, between images.
_TEXT_INCHES, _BAR_INCHES, _TOP_INCHES, _GAP_INCHES = 1.45, 0.72, 0.34, 0.05
_BAR_WIDTH, _LONGEST_BAR = 0.09, 2.2
_OUTLINE = "#222222"
_VERDICTS = {1.0: "yes", 0.0: "no"}


def example_table(runs: Sequence[tuple[TrainedRun, Examples]]) -> pd.DataFrame:
    """What the figure shows beside the pictures: one row a row of it, with dataset, model and seed."""
    parts = [examples.table.assign(**run.model_dump()) for run, examples in runs]
    table = pd.concat(parts, ignore_index=True)
    first = ["dataset", "model", "seed"]
    return table[[*first, *(column for column in table if column not in first)]]


def draw_counterfactuals(
    runs: Sequence[tuple[TrainedRun, Examples]], settings: CounterfactualFigureSettings
) -> Figure:
    """One row an example, the models one below the other; one symmetric scale for all differences.

    Differences are averaged over channels. Where the lesion is known it is outlined in them.

    Args:
        runs: all of one dataset.
        settings: titles and style.
    """
    rows = [(run, example, i) for run, example in runs for i in range(len(example.table))]
    style = settings.style
    side = min(style.height, (style.width - _TEXT_INCHES - _BAR_INCHES) / len(_COLUMNS)) - _GAP_INCHES
    height = _TOP_INCHES + len(rows) * (side + _GAP_INCHES)
    differences = [_differences(example, i) for _, example, i in rows]
    sizes = np.concatenate([np.abs(image).ravel() for pair in differences for image in pair])
    limit = max(float(np.quantile(sizes, _CLIPPED)), 0.01)
    colors = [style.colors[0], "#ffffff", style.colors[1 % len(style.colors)]]
    scale = ScalarMappable(Normalize(-limit, limit), LinearSegmentedColormap.from_list("signed", colors))
    with drawing():
        figure = Figure(figsize=(style.width, height))
        FigureCanvasAgg(figure)
        for y, ((run, example, i), pair) in enumerate(zip(rows, differences, strict=True)):
            bottom = height - _TOP_INCHES - (y + 1) * (side + _GAP_INCHES)
            for x, title in enumerate(_COLUMNS):
                axes = _axes(figure, _TEXT_INCHES + x * (side + _GAP_INCHES), bottom, side, side)
                _draw_picture(axes, example, i, x, pair, scale)
                if x == 0:
                    text = _describe(run, example.table.iloc[i], settings)
                    place = {"xy": (-0.07, 0.5), "xycoords": "axes fraction", "ha": "right", "va": "center"}
                    axes.annotate(text, fontsize=_POINTS - 1, **place)
                if y == 0:
                    axes.set_title(title, fontsize=_POINTS, fontweight="normal", pad=3)
        length = min(height - _TOP_INCHES - _GAP_INCHES, _LONGEST_BAR)
        left = _TEXT_INCHES + len(_COLUMNS) * (side + _GAP_INCHES) + _GAP_INCHES
        bar = _axes(figure, left, height - _TOP_INCHES - length, _BAR_WIDTH, length)
        figure.colorbar(scale, cax=bar, extend="both", ticks=MaxNLocator(nbins=5, symmetric=True))
        bar.set_ylabel("signed difference (of the range)", fontsize=_POINTS - 1)
        bar.tick_params(labelsize=_POINTS - 1.5)
    return figure


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches."""
    x, y = figure.get_size_inches()
    return figure.add_axes((left / x, bottom / y, width / x, height / y))


def _differences(examples: Examples, i: int) -> tuple[np.ndarray, ...]:
    """Counterfactual minus factual and minus input, [H, W] each, fractions of the range."""
    after = examples.pictures["counterfactual"][i] / 255.0
    return tuple((after - examples.pictures[name][i] / 255.0).mean(axis=-1) for name in ("factual", "input"))


def _draw_picture(
    axes: Axes,
    examples: Examples,
    i: int,
    column: int,
    differences: tuple[np.ndarray, ...],
    scale: ScalarMappable,
) -> None:
    axes.set_axis_off()
    names = ("input", "factual", "counterfactual")
    if column < len(names):
        pixels = examples.pictures[names[column]][i]
        if pixels.shape[-1] == 1:
            axes.imshow(pixels[..., 0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        else:
            axes.imshow(pixels, interpolation="nearest")
        return
    shown = differences[column - len(names)]
    axes.imshow(shown, cmap=scale.cmap, norm=scale.norm, interpolation="nearest")
    mask = examples.pictures["mask"][i]
    if mask.any():
        axes.contour(mask, levels=[0.5], colors=_OUTLINE, linewidths=0.6)
    # A frame, since the differences are white at their edges.
    height, width = shown.shape
    axes.add_patch(Rectangle((-0.5, -0.5), width, height, fill=False, edgecolor="#999999", linewidth=0.8))


def _describe(run: TrainedRun, row: pd.Series, settings: CounterfactualFigureSettings) -> str:
    """The lines beside a row."""
    names = settings.classes[run.dataset]
    source, target = (shorten(names[int(row[k])], 26, placeholder="…") for k in ("source", "target"))
    judges = [
        f"{judge} {_VERDICTS.get(row[column], 'not asked')}"
        for judge, column in (("itself", "valid"), ("oracle", "valid_oracle"))
        if column in row
    ]
    lines = [settings.model_titles()[run.model], source, f"→ {target}", f"flipped: {', '.join(judges)}"]
    if pd.notna(row.get("inside_lesion", np.nan)):
        lines.append(f"{100 * row['inside_lesion']:.0f} % in {100 * row['lesion_area']:.0f} % of area")
    wrong = [
        judge
        for judge, name in (("itself", "qualified"), ("oracle", "qualified_oracle"))
        if not row.get(name, 1)
    ]
    if wrong:
        lines.append(f"(input misclassified: {', '.join(wrong)})")
    return "\n".join(lines)
