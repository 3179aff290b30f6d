"""Looks shared by the figures: fonts, lines, ticks, legends, and files whose bytes do not change.

Matplotlib is imported where something is drawn: the workflow reads the modules of figures to plan its rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from meddiff.artifacts.settings import Layout, ModelEntry
from meddiff.config.schema.figure import FigureStyle
from meddiff.io import atomic_path

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

PANELS_PER_ROW = 3
GREY = "#555555"  # what is of no model
DASHES = (0, (3.2, 1.5))
BAND_ALPHA = 0.15
_FONT_POINTS = 8.0
_LEGEND_POINTS = 7.5
_WIDTH_PER_POINT = 0.55  # mean width of a letter
_TITLE_POINTS = 9.0
_BOLD_WIDTH_PER_POINT = 0.63  # of a title's letters
_TICKS_INCHES = 0.4  # of a panel's width
_HANDLE_INCHES = 0.5  # line, gaps and padding of one legend entry
_RC: dict[str, Any] = {
    "font.size": _FONT_POINTS,
    "axes.titlesize": _TITLE_POINTS,
    "axes.titleweight": "bold",
    "axes.labelsize": _FONT_POINTS,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": _LEGEND_POINTS,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.solid_capstyle": "round",
    "lines.dash_capstyle": "butt",
    "pdf.fonttype": 42,  # text stays text, which journals ask for
    "figure.constrained_layout.w_pad": 0.06,
    "text.parse_math": False,  # a dollar in a title is a dollar
}
# Dash patterns for the second and third round through the colours.
_ROUNDS: tuple[Any, ...] = ((0, (4.5, 1.6)), (0, (1.2, 1.3)), (0, (6, 1.3, 1.2, 1.3)))


@dataclass(frozen=True)
class Look:
    """How the lines of one model are drawn."""

    color: str
    dashes: Any
    width: float


def looks(models: Sequence[ModelEntry], style: FigureStyle) -> dict[str, Look]:
    """Model -> look: diffusion models thick and solid in the first colours, baselines thin and dashed.

    Colours go by the order of `models`, so a model looks the same in every figure with these models.
    Where there are more models than colours the baselines share the colours left, with other dashes.
    """
    colors = style.colors
    diffusion = [model.name for model in models if model.family == "diffusion"]
    others = [model.name for model in models if model.family != "diffusion"]
    found = {name: Look(colors[i % len(colors)], "solid", 1.8) for i, name in enumerate(diffusion)}
    free = colors[len(diffusion) :] or colors
    for i, name in enumerate(others):
        found[name] = Look(free[i % len(free)], _ROUNDS[i // len(free) % len(_ROUNDS)], 1.0)
    return found


@contextmanager
def drawing() -> Iterator[None]:
    """Matplotlib settings for a figure, whatever the user's own are."""
    import matplotlib.style
    from matplotlib import rc_context

    with matplotlib.style.context("default"), rc_context(_RC):
        yield


def blank(width: float, height: float, layout: str | None = None) -> Figure:
    """An empty figure of a size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def axes_at(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place in inches."""
    total = figure.get_size_inches()
    return figure.add_axes((left / total[0], bottom / total[1], width / total[0], height / total[1]))


def text_at(figure: Figure, left: float, bottom: float, text: str, **looks: Any) -> None:
    """Text at a place in inches; `looks` are Matplotlib's."""
    width, height = figure.get_size_inches()
    figure.text(left / width, bottom / height, text, **looks)


def panels(
    titles: Sequence[str], x_label: str, y_label: str, style: FigureStyle
) -> tuple[Figure, list[Axes]]:
    """A figure with one panel a title, at most three in a row; width and height are those of a row.

    Titles that are wider than a panel have several lines.
    """
    columns = min(len(titles), PANELS_PER_ROW)
    rows = -(-len(titles) // columns)
    figure = blank(style.width, style.height * rows, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    inches = style.width / columns - _TICKS_INCHES
    letters = max(1, int(72 * inches / (_TITLE_POINTS * _BOLD_WIDTH_PER_POINT)))
    for axes in grid[len(titles) :]:
        axes.remove()
    for i, (axes, title) in enumerate(zip(grid, titles, strict=False)):
        axes.set_title(fill(title, letters), loc="left")
        axes.set_xlabel(x_label)
        if i % columns == 0:
            axes.set_ylabel(y_label)
    return figure, list(grid[: len(titles)])


def legend_below(figure: Figure, groups: Sequence[Sequence[tuple[Artist, str]]]) -> None:
    """A legend under the panels, where it cannot cover data: every group starts a row.

    A row has as many entries as fit the width of the figure; where all fit, one row holds them all.

    Args:
        groups: handles with labels.
    """
    from matplotlib.lines import Line2D

    longest = max(len(label) for group in groups for _, label in group)
    width = longest * _LEGEND_POINTS * _WIDTH_PER_POINT / 72 + _HANDLE_INCHES
    fitting = max(1, int(figure.get_figwidth() // width))
    if sum(len(group) for group in groups) <= fitting:
        groups = [[entry for group in groups for entry in group]]
    columns = min(fitting, max(len(group) for group in groups))
    blank = (Line2D([], [], linestyle="none"), "")
    cells = []
    for group in groups:
        cells += [*group, *[blank] * (-len(group) % columns)]
    rows = len(cells) // columns
    # Matplotlib fills a legend column by column.
    ordered = [cells[row * columns + column] for column in range(columns) for row in range(rows)]
    handles, labels = zip(*ordered, strict=True)
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, handlelength=2.6, columnspacing=1.4
    )


def line(look: Look, linestyle: Any | None = None) -> Line2D:
    """Legend handle of a line."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=look.color, linestyle=linestyle or look.dashes, linewidth=look.width)


def open_marker(color: str, symbol: str = "o") -> Line2D:
    """Legend handle of open points."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none", **marker(color, symbol))


def marker(color: str, symbol: str = "o") -> dict[str, Any]:
    """Arguments of open points, such as published ones; `symbol` is Matplotlib's name of the shape."""
    return {
        "marker": symbol,
        "markersize": 4.2 if symbol == "o" else 3.4,
        "markerfacecolor": "white",
        "markeredgecolor": color,
        "markeredgewidth": 1.0,
    }


def band(alpha: float = 2 * BAND_ALPHA, color: str = GREY) -> Artist:
    """Legend handle of an interval drawn as an area."""
    from matplotlib.patches import Patch

    return Patch(color=color, alpha=alpha, linewidth=0)


def ticks_at(axis: Axis, positions: Sequence[float], labels: Sequence[str] | None = None) -> None:
    """Ticks at `positions` and nowhere else; Matplotlib writes them where no `labels` are given."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    axis.set_major_locator(FixedLocator(positions))
    axis.set_minor_locator(NullLocator())
    if labels is not None:
        axis.set_major_formatter(FixedFormatter(labels))


def round_ticks(axis: Axis, most: int = 7) -> None:
    """At most `most` ticks at round numbers."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=most, steps=[1, 2, 5, 10]))


def shown_datasets(table: pd.DataFrame, layout: Layout) -> dict[str, str]:
    """Name -> title of the datasets that `table` has rows of, in the order of the layout."""
    present = set(table["dataset"])
    return {name: title for name, title in layout.dataset_titles().items() if name in present}


def save(figure: Figure, png: str | Path, pdf: str | Path, dpi: int) -> None:
    """Write both files atomically, without dates and program versions, so equal figures are equal bytes."""
    # Ticks are made, and their labels set, only when a figure is drawn.
    with drawing():
        with atomic_path(png) as temporary:
            figure.savefig(temporary, format="png", dpi=dpi, metadata={"Software": None})
        with atomic_path(pdf) as temporary:
            unset = {"Creator": None, "Producer": None, "CreationDate": None}
            figure.savefig(temporary, format="pdf", metadata=unset)
