"""The files that the report is made from: tables and figures, by where they lie below the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from meddiff.errors import ConfigError, DataError
from meddiff.reporting.settings import ReportArtifact, ReportSettings

if TYPE_CHECKING:
    import pandas as pd

_TEXT = {"image_id": str, "group": str, "setting": str}  # though they may look like numbers
_REPAIR = "run snakemake, which makes it again"


@dataclass(frozen=True)
class GivenArtifact:
    """A table or figure with its files.

    Attributes:
        entry: what the settings say about it.
        title: how the page calls it.
        csv: its numbers.
        shown: Markdown of a table, PNG of a figure.
    """

    entry: ReportArtifact
    title: str
    csv: Path
    shown: Path

    @property
    def id(self) -> str:
        """Its anchor on the page."""
        return self.entry.stem.replace("/", "-")

    @property
    def is_table(self) -> bool:
        """Whether it is a table."""
        return self.entry.name.startswith("tables/")

    @cached_property
    def table(self) -> pd.DataFrame:
        """Its numbers.

        Raises:
            DataError: if the file cannot be read.
        """
        from meddiff.result_csv import read_csv

        return read_csv(self.csv, repair=_REPAIR, dtype=_TEXT)


@dataclass(frozen=True)
class Given:
    """All that the page is made from.

    Attributes:
        settings: what the experiment is.
        artifacts: its tables and figures, in the order of the settings.
    """

    settings: ReportSettings
    artifacts: Sequence[GivenArtifact]

    @classmethod
    def of(cls, settings: ReportSettings, files: Mapping[str, Sequence[Path]]) -> Given:
        """`files` (``csv``, ``shown``) in the order of the settings' artifacts.

        Raises:
            ConfigError: if there are more or fewer.
            DataError: if one is not there.
        """
        entries, both = settings.artifacts, [list(files.get(name, ())) for name in ("csv", "shown")]
        for name, paths in zip(("csv", "shown"), both, strict=True):
            if len(paths) != len(entries):
                raise ConfigError(
                    f"--input {name}: got {len(paths)} files for {len(entries)} tables and figures; give one "
                    "each, in their order"
                )
            if missing := [path for path in paths if not path.is_file()]:
                raise DataError(f"{missing[0]}: there is no such file; {_REPAIR}")
        found = [
            GivenArtifact(entry, settings.artifact_title(entry), csv, shown)
            for entry, csv, shown in zip(entries, *both, strict=True)
        ]
        return cls(settings, found)

    def table(self, name: str) -> pd.DataFrame | None:
        """The numbers of a table or figure that an experiment has once, such as ``tables/leaks``."""
        return next((one.table for one in self.artifacts if one.entry.stem == name), None)

    def has(self, name: str) -> bool:
        """Whether there is a table or figure of this name, of whatever part."""
        return any(one.entry.name == name for one in self.artifacts)

    @property
    def tables(self) -> list[GivenArtifact]:
        """Its tables."""
        return [one for one in self.artifacts if one.is_table]

    @property
    def figures(self) -> list[GivenArtifact]:
        """Its figures."""
        return [one for one in self.artifacts if not one.is_table]
