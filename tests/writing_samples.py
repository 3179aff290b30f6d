"""Settings and tables of an experiment, as the rule that writes for a paper has them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from meddiff.artifacts.lookup import planned
from meddiff.config import Config
from meddiff.pipeline.experiment import Experiment
from meddiff.pipeline.writing import Writing
from meddiff.writing.facts import TABLES, Facts
from meddiff.writing.settings import WritingSettings

PARTICIPANTS = """\
dataset,split,what,level,images,median,quartile_low,quartile_high
{name},train,images,,800,nan,nan,nan
{name},train,groups,,700,nan,nan,nan
{name},train,class,{first},390,nan,nan,nan
{name},train,class,{second},410,nan,nan,nan
{name},valid,images,,80,nan,nan,nan
{name},valid,groups,,80,nan,nan,nan
{name},test,images,,120,nan,nan,nan
{name},test,groups,,120,nan,nan,nan
{name},test,class,{first},1,nan,nan,nan
{name},test,class,{second},119,nan,nan,nan
"""
FLOW = "dataset,step,reason,images\n{name},found,,1306\n{name},left out,a,210\n{name},left out,b,96\n"

LEAKS = """\
dataset,part,metric,value,n,split,other_split,class
{name},look-alikes,shared,0.15,120,test,train or valid,all
{name},look-alikes,shared,0.05,120,test,valid,all
"""


def settings_of(root: Path, experiment: str, **changes: Any) -> WritingSettings:
    """The settings of an experiment of the repository, some of them changed."""
    return _settings(root, experiment).model_copy(update=changes)


@cache
def _settings(root: Path, experiment: str) -> WritingSettings:
    run = Experiment(Config({"experiment": experiment}, root / "config"))
    return WritingSettings.model_validate_json(Writing(run, planned(run)).params(SimpleNamespace()))


def facts_of(settings: WritingSettings, folder: Path, **trained: dict[str, Any]) -> Facts:
    """Tables of participants and of the flow for the first dataset."""
    dataset = settings.datasets[0]
    names = {"name": dataset.name, "first": dataset.classes[0], "second": dataset.classes[-1]}
    (folder / "participants.csv").write_text(PARTICIPANTS.format(**names))
    (folder / "flow.csv").write_text(FLOW.format(**names))
    (folder / "leaks.csv").write_text(LEAKS.format(**names))
    return replace(Facts.of(settings, {name: [folder / f"{name}.csv"] for name in TABLES}), trained=trained)
