"""Where results come from: versions, code, and the exact configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from meddiff.reporting.cost import job_records
from meddiff.reporting.page import filled
from meddiff.reporting.part import PagePart
from meddiff.reporting.training import dataset_title

if TYPE_CHECKING:
    from meddiff.reporting.given import Given
    from meddiff.reporting.settings import ReportSettings


def origin_part(given: Given) -> PagePart:
    """Versions and devices of all jobs, checksums of their code, and the configuration as YAML."""
    settings = given.settings
    html = filled(
        "origin.html.j2",
        facts=_facts(job_records(settings)),
        files=_configuration(settings),
        results=settings.results,
    )
    return PagePart("origin", "Provenance and configuration", html)


def _facts(records: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What the records say of the software and the machines: (what, values)."""
    found: dict[str, set[str]] = {}
    for record in records:
        for name in ("python", "platform", "device"):
            found.setdefault(name.capitalize(), set()).add(str(record.get(name, "not known")))
        for name, version in record.get("versions", {}).items():
            found.setdefault(name, set()).add(str(version))
    facts = [(name, ", ".join(sorted(values))) for name, values in found.items()]
    code = sorted({(r["command"], r["code"]["sha256"][:12]) for r in records})
    by_command: dict[str, list[str]] = {}
    for command, checksum in code:
        by_command.setdefault(command, []).append(checksum)
    return facts + [(f"Code of {command}", ", ".join(sums)) for command, sums in by_command.items()]


def _configuration(settings: ReportSettings) -> list[tuple[str, str]]:
    """(title, YAML) of the experiment, of each dataset, and of each model as it was trained."""
    found = [("Experiment", _yaml(settings.configuration["experiment"]))]
    for name, document in settings.configuration["datasets"].items():
        found.append((f"Dataset: {settings.dataset_title(name)}", _yaml(document)))
    titles = settings.model_titles()
    for run in settings.runs:
        path = Path(run.folder) / "weights" / "config.yaml"
        if path.is_file():
            title = titles.get(run.model, run.model)
            text = path.read_text(encoding="utf-8")
            found.append((f"Model: {title} on {dataset_title(run, settings)}, seed {run.seed}", text))
    return found


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
