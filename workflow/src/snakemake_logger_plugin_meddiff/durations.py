"""How long jobs took in earlier runs, from the records that Snakemake keeps of every output."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

METADATA = Path(".snakemake/metadata")


def earlier_durations(experiment: str | None, records: Path = METADATA) -> dict[str, float]:
    """Rule -> mean seconds of its jobs that were for the same experiment, or for data.

    Args:
        experiment: its name; jobs of another one may be of another size. None: of any.
        records: the folder of Snakemake's records.
    """
    taken: defaultdict[str, set[tuple[float, float]]] = defaultdict(set)
    for path in records.rglob("*") if records.is_dir() else ():
        if not path.is_file():
            continue
        try:
            record = json.loads(path.read_bytes())
            rule, began, ended, logs = (record[key] for key in ("rule", "starttime", "endtime", "log"))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # one that is being written, or of another version: it tells nothing
        if began and ended and (experiment is None or _is_of(experiment, logs)):
            taken[rule].add((began, ended))
    return {rule: sum(end - begin for begin, end in times) / len(times) for rule, times in taken.items()}


def _is_of(experiment: str, logs: list[str]) -> bool:
    """Whether a job with these logs was of an experiment, or made data that all share."""
    return any(Path(log).parts[:2] in (("logs", experiment), ("logs", "data")) for log in logs)
