"""The figure of counterfactuals of a dataset: image, factual, counterfactual, and the signed differences."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from meddiff.artifacts.artifact import Figure, Files, Wanted, style_of
from meddiff.artifacts.settings import Layout, Line, class_names, each_with, layout
from meddiff.artifacts.style import drawing
from meddiff.config.schema.figure import FigureStyle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure as Drawing

    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Test images, their factual reconstruction (own class) and their counterfactual (another class, named beside
it), made from the same noise, and the signed differences: of the counterfactual to the factual, which is
what the class alone changes, and to the image itself, which also has what reconstruction loses. One
symmetric scale for all differences, averaged over channels. Of each class the first images in random order
that the classifier decides for their true class, each with another target where there are several; whether
the counterfactual is a good one plays no part. "Flipped" says who decides the counterfactual for its target
class; a judge that was wrong on the image itself is not asked. On phantoms the known lesion, widened as the
table says, is outlined, with the share of the first difference inside it.
"""
_PICTURES = ("input", "factual", "counterfactual")
_COLUMNS = (*_PICTURES, "counterfactual\n− factual", "counterfactual\n− input")
_CLIPPED = 0.995  # quantile of the differences that the colours reach to
_POINTS = 7.5
# Inches: text on the left, bar with its labels on the right, headings, between images.
_TEXT_INCHES, _BAR_INCHES, _TOP_INCHES, _GAP_INCHES = 1.45, 0.72, 0.34, 0.05
_BAR_WIDTH, _LONGEST_BAR = 0.09, 2.2
_OUTLINE, _FRAME = "#222222", "#999999"
_VERDICTS = {1.0: "yes", 0.0: "no"}
_STYLE = FigureStyle(width=7.6, height=1.2)

# The pictures of one row by name (`meddiff.explaining.examples.Examples`).
Pictures = dict[str, np.ndarray]


class Settings(Layout):
    """What the figure depends on; its height is that of one row of images.

    Attributes:
        classes: dataset -> names in order of the class index.
    """

    classes: dict[str, list[Line]]
    style: FigureStyle


def plan(experiment: Experiment) -> list[Wanted]:
    """One a dataset wherever counterfactuals are made, of the models' first seed."""
    first = [run for run in experiment.counterfactual_runs() if run.seed == experiment.settings.seeds[0]]
    style, classes = style_of(experiment, "counterfactuals", _STYLE), class_names(experiment)
    wanted = []
    for dataset in dict.fromkeys(run.dataset for run in first):
        runs = [run for run in first if run.dataset == dataset]
        settings = Settings(
            **layout(experiment, runs, [dataset]), classes={dataset: classes[dataset]}, style=style
        )
        examples = [experiment.counterfactual(run, "examples.npz") for run in runs]
        wanted.append(Wanted(settings, {"examples": examples}, part=dataset))
    return wanted


def data(settings: Settings, files: Files) -> pd.DataFrame:
    """What is shown beside the pictures: one row a row of the figure, with dataset, model and seed.

    The files are examples of ``measure``, one a run.
    """
    from meddiff.explaining.examples import read_examples

    pairs = each_with(settings.runs, files["examples"], "examples")
    parts = [read_examples(path).table.assign(**run.model_dump()) for run, path in pairs]
    table, first = pd.concat(parts, ignore_index=True), ["dataset", "model", "seed"]
    return table[[*first, *(column for column in table if column not in first)]]


def draw(table: pd.DataFrame, settings: Settings, files: Files) -> Drawing:
    """One row an example, the models one below the other.

    Args:
        table: as `data` returns it.
    """
    from meddiff.explaining.examples import read_examples

    examples = [read_examples(path) for path in files["examples"]]
    pictures = [
        {name: images[i] for name, images in one.pictures.items()}
        for one in examples
        for i in range(len(one.table))
    ]
    return draw_rows(table, pictures, settings)


def draw_rows(table: pd.DataFrame, pictures: Sequence[Pictures], settings: Settings) -> Drawing:
    """As `draw`; one symmetric scale for all differences, which are averaged over channels.

    Where the lesion is known it is outlined in them.

    Args:
        table: one row a row of the figure.
        pictures: of each row.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    style = settings.style
    side = min(style.height, (style.width - _TEXT_INCHES - _BAR_INCHES) / len(_COLUMNS)) - _GAP_INCHES
    height = _TOP_INCHES + len(table) * (side + _GAP_INCHES)
    differences = [_differences(of_row) for of_row in pictures]
    scale = _scale(differences, style)
    with drawing():
        figure = Drawing(figsize=(style.width, height))
        FigureCanvasAgg(figure)
        rows = [row for _, row in table.iterrows()]
        for y, (row, of_row, changes) in enumerate(zip(rows, pictures, differences, strict=True)):
            bottom = height - _TOP_INCHES - (y + 1) * (side + _GAP_INCHES)
            for x, title in enumerate(_COLUMNS):
                axes = _axes(figure, _TEXT_INCHES + x * (side + _GAP_INCHES), bottom, side, side)
                axes.set_axis_off()
                if x < len(_PICTURES):
                    _draw_picture(axes, of_row[_PICTURES[x]])
                else:
                    _draw_difference(axes, changes[x - len(_PICTURES)], of_row["mask"], scale)
                if x == 0:
                    place = {"xy": (-0.07, 0.5), "xycoords": "axes fraction", "ha": "right", "va": "center"}
                    axes.annotate(_describe(row, settings), fontsize=_POINTS - 1, **place)
                if y == 0:
                    axes.set_title(title, fontsize=_POINTS, fontweight="normal", pad=3)
        _draw_bar(figure, scale, _TEXT_INCHES + len(_COLUMNS) * (side + _GAP_INCHES) + _GAP_INCHES)
    return figure


def _scale(differences: Sequence[tuple[np.ndarray, ...]], style: FigureStyle) -> ScalarMappable:
    """Colours of the differences, white at 0."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    sizes = np.concatenate([np.abs(image).ravel() for pair in differences for image in pair])
    limit = max(float(np.quantile(sizes, _CLIPPED)), 0.01)
    colors = [style.colors[0], "#ffffff", style.colors[1 % len(style.colors)]]
    return ScalarMappable(Normalize(-limit, limit), LinearSegmentedColormap.from_list("signed", colors))


def _axes(figure: Drawing, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches."""
    x, y = figure.get_size_inches()
    return figure.add_axes((left / x, bottom / y, width / x, height / y))


def _differences(pictures: Pictures) -> tuple[np.ndarray, ...]:
    """Counterfactual minus factual and minus input, [H, W] each, fractions of the range."""
    after = pictures["counterfactual"] / 255.0
    return tuple((after - pictures[name] / 255.0).mean(axis=-1) for name in ("factual", "input"))


def _draw_picture(axes: Axes, pixels: np.ndarray) -> None:
    if pixels.shape[-1] == 1:
        axes.imshow(pixels[..., 0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    else:
        axes.imshow(pixels, interpolation="nearest")


def _draw_difference(axes: Axes, shown: np.ndarray, mask: np.ndarray, scale: ScalarMappable) -> None:
    from matplotlib.patches import Rectangle

    axes.imshow(shown, cmap=scale.cmap, norm=scale.norm, interpolation="nearest")
    if mask.any():
        axes.contour(mask, levels=[0.5], colors=_OUTLINE, linewidths=0.6)
    # A frame, since the differences are white at their edges.
    height, width = shown.shape
    axes.add_patch(Rectangle((-0.5, -0.5), width, height, fill=False, edgecolor=_FRAME, linewidth=0.8))


def _draw_bar(figure: Drawing, scale: ScalarMappable, left: float) -> None:
    from matplotlib.ticker import MaxNLocator

    height = figure.get_figheight()
    length = min(height - _TOP_INCHES - _GAP_INCHES, _LONGEST_BAR)
    bar = _axes(figure, left, height - _TOP_INCHES - length, _BAR_WIDTH, length)
    figure.colorbar(scale, cax=bar, extend="both", ticks=MaxNLocator(nbins=5, symmetric=True))
    bar.set_ylabel("signed difference (of the range)", fontsize=_POINTS - 1)
    bar.tick_params(labelsize=_POINTS - 1.5)


def _describe(row: pd.Series, settings: Settings) -> str:
    """The lines beside a row."""
    names = settings.classes[row["dataset"]]
    source, target = (shorten(names[int(row[k])], 26, placeholder="…") for k in ("source", "target"))
    judges = [
        f"{judge} {_VERDICTS.get(row[column], 'not asked')}"
        for judge, column in (("itself", "valid"), ("oracle", "valid_oracle"))
        if column in row
    ]
    lines = [settings.model_titles()[row["model"]], source, f"→ {target}", f"flipped: {', '.join(judges)}"]
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


ARTIFACT = Figure("Drawing counterfactuals", CAPTION, Settings, plan, data, draw)
