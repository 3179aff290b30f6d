"""Find artifacts by name, and what the rules need to make those of an experiment."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meddiff.errors import ConfigError
from meddiff.text import script_safe_json

if TYPE_CHECKING:
    from meddiff.artifacts.artifact import Artifact, Wanted
    from meddiff.pipeline.experiment import Experiment

KINDS = ("tables", "figures")
# What writes the files of each kind, beside the artifact's own module.
_WRITERS = {
    "tables": ("meddiff.artifacts.render", "meddiff.result_csv"),
    "figures": ("meddiff.artifacts.style", "meddiff.result_csv"),
}


@dataclass(frozen=True)
class Planned:
    """One artifact of one experiment.

    Attributes:
        name: of the artifact, such as ``tables/classification``.
        artifact: how it is made.
        wanted: what it is made from here.
    """

    name: str
    artifact: Artifact
    wanted: Wanted

    @property
    def stem(self) -> str:
        """Where its files lie below the results, without their suffixes."""
        return f"{self.name}_{self.wanted.part}" if self.wanted.part else self.name

    @property
    def rule(self) -> str:
        """Name of its rule."""
        verb = "make" if self.name.startswith("tables") else "plot"
        return f"{verb}_{self.stem.partition('/')[2]}{'_table' * (verb == 'make')}"

    @property
    def category(self) -> str:
        """Where the report has it."""
        return self.name.partition("/")[0].capitalize()

    def outputs(self, results: str) -> list[str]:
        """Its files: first the CSV, then what is looked at, then what goes into a paper."""
        return [f"{results}/{self.stem}.{suffix}" for suffix in self.artifact.suffixes]

    # Snakemake fills in braces of strings, so it is given functions.
    def params(self, wildcards: object) -> str:
        """``--params`` of the command."""
        return script_safe_json(self.wanted.settings.model_dump(mode="json"))

    def caption(self, wildcards: object) -> str:
        """What the report says about it."""
        return self.artifact.caption

    def inputs(self, wildcards: object) -> list[str]:
        """Words of the options ``--input NAME FILE...``."""
        return [word for name, files in self.wanted.files.items() for word in ("--input", name, *files)]


def names() -> list[str]:
    """All artifacts, such as ``tables/classification``: the modules in the folders `KINDS`."""
    here = Path(__file__).parent
    found = [path for kind in KINDS for path in sorted((here / kind).glob("*.py"))]
    return [f"{path.parent.name}/{path.stem}" for path in found if path.stem != "__init__"]


def module_of(name: str) -> str:
    """The module of an artifact."""
    return f"meddiff.artifacts.{name.replace('/', '.')}"


def code_of(name: str) -> Sequence[str]:
    """The modules that define what an artifact is, for `meddiff.provenance.code_files`."""
    return (module_of(name), *_WRITERS[name.partition("/")[0]])


def load(name: str) -> Artifact:
    """The artifact called `name`.

    Raises:
        ConfigError: if there is none.
    """
    if name not in names():
        raise ConfigError(f"there is no artifact {name!r}; there are {', '.join(names())}")
    return importlib.import_module(module_of(name)).ARTIFACT


def planned(experiment: Experiment) -> list[Planned]:
    """All artifacts that an experiment has.

    Raises:
        ConfigError: if the experiment's file names a figure that does not exist.
    """
    figures = [name.removeprefix("figures/") for name in names() if name.startswith("figures/")]
    if unknown := sorted(experiment.settings.figures.keys() - figures):
        raise ConfigError(f"figures.{unknown[0]}: there is no such figure; there are {', '.join(figures)}")
    loaded = {name: load(name) for name in names()}
    return [
        Planned(name, artifact, wanted)
        for name, artifact in loaded.items()
        for wanted in artifact.plan(experiment)
    ]
