"""The plan as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from meddiff.planning.sizes import SplitSizes
from meddiff.planning.throughput import Rate
from meddiff.planning.work import STAGES, Work

_HEAD = ("stage", "jobs", "FLOP", "GPU-hours", "disk", "while running")
ALL = "all"


def job_hours(work: Work, rates: Mapping[str, Rate]) -> float:
    """GPU-hours of a job; `rates` has one for its model, or one for all under `ALL`."""
    if not work.inference and not work.training:
        return 0.0
    rate = rates.get(work.model) or rates[ALL]
    seconds = work.inference / rate.inference[work.precision] if work.inference else 0.0
    seconds += work.training / rate.training if work.training else 0.0
    return seconds / 3600


def rows(
    works: Sequence[Work], rates: Mapping[str, Rate] | None, models: Sequence[str]
) -> list[dict[str, Any]]:
    """One row a stage and model, in the order of the workflow, and the sum last.

    Args:
        works: of all jobs.
        rates: see `job_hours`; None where they are not known.
        models: in the order to show them in.

    Returns:
        Rows with the keys stage, jobs, flops, gpu_hours (None without `rates`), kept_bytes, unknown_bytes
        (whether some of what is kept has no known size) and temporary_bytes.
    """
    stages, names = list(STAGES), ["", *models]
    groups: dict[tuple[int, int], list[Work]] = {}
    for work in works:
        groups.setdefault((stages.index(work.stage), names.index(work.model)), []).append(work)
    parts = [groups[key] for key in sorted(groups)]
    table = [_row(f"{part[0].stage} {part[0].model}".strip(), part, rates) for part in parts]
    return [*table, _row("in all", works, rates)]


def _row(stage: str, works: Sequence[Work], rates: Mapping[str, Rate] | None) -> dict[str, Any]:
    return {
        "stage": stage,
        "jobs": len(works),
        "flops": sum(work.inference + work.training for work in works),
        "gpu_hours": None if rates is None else sum(job_hours(work, rates) for work in works),
        "kept_bytes": sum(work.kept or 0 for work in works),
        "unknown_bytes": any(work.kept is None for work in works),
        "temporary_bytes": sum(work.temporary for work in works),
    }


def as_text(table: Sequence[Mapping[str, Any]], sizes: Mapping[str, SplitSizes], notes: Sequence[str]) -> str:
    """An aligned table, the numbers it rests on, and notes."""
    cells = [_HEAD, *(_cells(row) for row in table)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
    lines = [
        "  ".join(
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    rule = "-" * len(lines[0])
    lines = [lines[0], rule, *lines[1:-1], rule, lines[-1], ""]
    for name, known in sizes.items():
        lines.append(f"{name}: {known.train} + {known.valid} + {known.test} images ({known.source})")
    return "\n".join([*lines, *notes])


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    hours = "-" if not row["flops"] else "?" if row["gpu_hours"] is None else _number(row["gpu_hours"])
    kept = "" if row["unknown_bytes"] and not row["kept_bytes"] else _bytes(row["kept_bytes"])
    kept += " + ?" if kept and row["unknown_bytes"] else "?" if row["unknown_bytes"] else ""
    flops = _scaled(row["flops"], " kMGTPE")
    return row["stage"], str(row["jobs"]), flops, hours, kept, _bytes(row["temporary_bytes"])


def _number(value: float) -> str:
    if 0 < value < 0.01:
        return "<0.01"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _scaled(value: float, prefixes: str = " kMGT") -> str:
    """`value` with three digits and the prefix of its thousands."""
    if not value:
        return "-"
    power = 0
    while value >= 999.5 and power < len(prefixes) - 1:
        value, power = value / 1000, power + 1
    return f"{value:.3g} {prefixes[power]}".strip()


def _bytes(count: int) -> str:
    return f"{_scaled(count)}B" if count >= 1000 else f"{count} B" if count else "-"
