"""What it cost: hours by stage, from the records of jobs that lie beside their results."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meddiff.io import read_json
from meddiff.planning.stages import STAGES
from meddiff.records.record import FOLDER, FORMAT_VERSION
from meddiff.reporting.page import filled
from meddiff.reporting.part import PagePart
from meddiff.reporting.summary.words import counted, named, percent, say

if TYPE_CHECKING:
    from markupsafe import Markup

    from meddiff.reporting.given import Given
    from meddiff.reporting.settings import ReportSettings

# The first making of a page has no record of these, a second one would.
_BESIDE = ("report", "collect")
_NOT_ENTERED = ("kept", "images")


@dataclass
class Stage:
    """Jobs of a stage, summed.

    Attributes:
        jobs: how many.
        hours: on the clock, one job after the other.
        gpu_hours: of a graphics card.
        devices: that they ran on.
    """

    jobs: int = 0
    hours: float = 0.0
    gpu_hours: float = 0.0
    devices: set[str] = field(default_factory=set)


def cost_part(given: Given) -> PagePart:
    """Hours by stage, and what stopping early saves."""
    stages = by_stage(job_records(given.settings))
    total = Stage(
        sum(one.jobs for one in stages.values()),
        sum(one.hours for one in stages.values()),
        sum(one.gpu_hours for one in stages.values()),
    )
    html = filled("cost.html.j2", stages=stages, total=total, saved=_saved(given), hours=hours_in_words)
    return PagePart("cost", "Cost", html)


def by_stage(records: list[dict[str, Any]]) -> dict[str, Stage]:
    """Stage -> its jobs, in the order of a run; stages without jobs are left out."""
    found = {stage: Stage() for stage in STAGES}
    for record in records:
        stage = next((name for name, commands in STAGES.items() if record["command"] in commands), None)
        if stage is None:
            continue
        found[stage].jobs += 1
        found[stage].hours += record["wall_hours"]
        found[stage].gpu_hours += record["gpu_hours"]
        found[stage].devices.add(str(record["device"]))
    return {stage: jobs for stage, jobs in found.items() if jobs.jobs}


def job_records(settings: ReportSettings) -> list[dict[str, Any]]:
    """The record of every job that is known here, each once, in the order of their outputs."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for folder in _record_folders(settings):
        for path in sorted(folder.glob("*.json")):
            try:
                record = read_json(path)
            except (OSError, ValueError):
                continue  # a record is no result: one that is damaged is as none, and `provenance` says so
            if isinstance(record, dict) and record.get("format") == FORMAT_VERSION:
                found[tuple(sorted(record["outputs"]))] = record
    return [found[key] for key in sorted(found) if found[key]["command"] not in _BESIDE]


def _record_folders(settings: ReportSettings) -> Iterator[Path]:
    """The folders of records of this experiment and its datasets, without looking through images."""
    results = Path(settings.results)
    for name in dict.fromkeys(dataset.name for dataset in settings.datasets):
        for place in (Path("data") / name, Path("splits") / name):
            yield place / FOLDER
        yield from sorted((Path("data") / name / "store").glob(f"*/{FOLDER}"))
        yield from sorted((results / name / "shifted").glob(f"*/{FOLDER}"))
    for name in ("tables", "figures"):
        yield results / name / FOLDER
    for run in settings.runs:
        for path, folders, _ in os.walk(run.folder):
            folders[:] = sorted(name for name in folders if name not in _NOT_ENTERED)
            if Path(path).name == FOLDER:
                yield Path(path)


def hours_in_words(hours: float) -> str:
    """A time in the unit that fits."""
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{60 * hours:.1f} min" if hours >= 1 / 60 else f"{3600 * hours:.0f} s"


def _saved(given: Given) -> list[Markup]:
    """What stopping when the majority cannot change saves each diffusion classifier."""
    table = given.table("tables/efficiency")
    if table is None:
        return []
    rows = table[(table["decision"] == "majority") & (table["metric"] == "agreement")]
    sentences = []
    for (dataset, model), here in rows.groupby(["dataset", "model"], sort=False):
        own = here[here["levels"] == here["levels"].iloc[0]]
        full, exact = own[own["rule"] == "first"]["passes"], own[own["rule"] == "exact"]["passes"]
        if full.empty or exact.empty:
            continue
        sentences.append(
            say(
                "{model} on {dataset}: {stopped} an image instead of {full}, {saved} fewer.",
                model=named(given.settings.model_titles().get(model, model)),
                dataset=named(given.settings.dataset_title(dataset)),
                stopped=f"{exact.iloc[0]:.1f} network passes",
                full=counted(round(full.max()), "pass", "passes"),
                saved=percent(100 * (1 - exact.iloc[0] / full.max())),
            )
        )
    return sentences
