"""What a table and a figure are: declared by their modules, made by the command ``artifact``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from meddiff.config.reasons import lines_of
from meddiff.config.schema.figure import FigureStyle
from meddiff.config.schema.strict import Strict
from meddiff.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Drawing

    from meddiff.artifacts.render import Grid
    from meddiff.pipeline.experiment import Experiment

# What an artifact is made from, by the names that its plan gives.
Files = Mapping[str, Sequence[Path]]


@dataclass(frozen=True)
class Wanted:
    """One table or figure that an experiment has.

    Attributes:
        settings: all that it depends on beside its files; it reaches the command as ``--params``.
        files: name -> files that it is made from, in the order of what `settings` says about them.
        behind: big files that are read too, and whose content a manifest among `files` vouches for.
        part: what it is of, where an experiment has several (a dataset); the end of its file names.
    """

    settings: Strict
    files: Mapping[str, Sequence[str]]
    behind: Sequence[str] = ()
    part: str = ""


@dataclass(frozen=True)
class Table:
    """A table: CSV (tidy, full precision), Markdown and LaTeX.

    Attributes:
        message: what is done, while it is made.
        caption: what the report says below it (reStructuredText).
        settings: class of `Wanted.settings`.
        plan: which of them an experiment has; none where it makes no sense there.
        make: from settings and files to the tidy table, and to its forms for reading.
    """

    message: str
    caption: str
    settings: type[Strict]
    plan: Callable[[Experiment], list[Wanted]]
    make: Callable[[Any, Files], tuple[pd.DataFrame, list[Grid]]]
    suffixes: tuple[str, ...] = field(default=("csv", "md", "tex"), init=False)


@dataclass(frozen=True)
class Figure:
    """A figure: the data drawn as CSV, PNG and PDF.

    Attributes:
        message, caption, settings, plan: as of `Table`; settings have their looks, ``style`` (`style_of`).
        data: from settings and files to the tidy table of what is drawn.
        draw: from that table, as it is read back from the CSV, settings and files to the drawing.
    """

    message: str
    caption: str
    settings: type[Strict]
    plan: Callable[[Experiment], list[Wanted]]
    data: Callable[[Any, Files], pd.DataFrame]
    draw: Callable[[pd.DataFrame, Any, Files], Drawing]
    suffixes: tuple[str, ...] = field(default=("csv", "png", "pdf"), init=False)


Artifact = Table | Figure


def style_of(experiment: Experiment, figure: str, default: FigureStyle | None = None) -> FigureStyle:
    """The looks of a figure: what the experiment's file says below ``figures``, and `default` for the rest.

    Raises:
        ConfigError: if it cannot be drawn like that.
    """
    own, default = experiment.settings.figures.get(figure), default or FigureStyle()
    if own is None:
        return default
    try:
        return FigureStyle.model_validate({**default.model_dump(), **own.model_dump(exclude_unset=True)})
    except ValidationError as error:
        raise ConfigError("\n".join(f"figures.{figure}: {line}" for line in lines_of(error))) from error
