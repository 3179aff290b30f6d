"""Chains as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meddiff.records.chain import Link, raw_files

_ABSENT = (
    '"not here": deleted by the workflow when it was used up, or not copied along. Its record is here and '
    "was compared with what was made from it; the file itself could not be."
)


def verdict(links: Sequence[Link]) -> str:
    """``holds``, ``broken``, or ``incomplete``: nothing is known to be wrong, but something is not known."""
    if any(link.broken for link in links):
        return "broken"
    return "incomplete" if any(not (link.record or link.source) for link in links) else "holds"


def every_link(targets: Sequence[Link]) -> list[Link]:
    """All links of the chains of `targets`, each once."""
    return list({id(link): link for target in targets for link in target.all()}.values())


def as_text(targets: Sequence[Link]) -> str:
    """The chains as trees, then what made them, then the verdict with its reasons, each under a heading."""
    shown: set[int] = set()
    lines = [line for target in targets for line in _tree(target, "", "", shown)]
    links = every_link(targets)
    recorded = [link.record for link in links if link.record]
    lines += ["", "MADE BY", *_environments(recorded)]
    wall, gpu = (sum(record[key] for record in recorded) for key in ("wall_hours", "gpu_hours"))
    lines += [f"{_jobs(len(recorded))}, {_time(wall)} on the clock, added up; {_time(gpu)} of it on a GPU"]
    absent = sum(len(link.absent) for link in links)
    found = verdict(links)
    problems = [
        (link, text) for link in links for text in link.broken + (link.gaps if not link.record else [])
    ]
    lines += ["", "VERDICT"]
    lines += [f"  {link.paths[0]}: {text}" for link, text in problems]
    notes = [f"  {link.paths[0]}: {text}" for link in links if link.record for text in link.gaps]
    lines += notes
    if absent:
        lines.append(_ABSENT)
    note = f" ({absent} {'file is' if absent == 1 else 'files are'} not here)" if absent else ""
    lines.append(f"The chain {'is ' if found != 'holds' else ''}{found}{note}.")
    return "\n".join(lines)


def as_json(targets: Sequence[Link]) -> dict[str, Any]:
    """The chains for machines: links by their first file, with records, problems and totals."""
    links = every_link(targets)
    recorded = [link.record for link in links if link.record]
    return {
        "verdict": verdict(links),
        "targets": [target.paths[0] for target in targets],
        "wall_hours": sum(record["wall_hours"] for record in recorded),
        "gpu_hours": sum(record["gpu_hours"] for record in recorded),
        "links": {
            link.paths[0]: {
                "paths": link.paths,
                "record": link.record or None,
                "made_from": [source.paths[0] for source in link.made_from],
                "raw_files": raw_files(link),
                "broken": link.broken,
                "gaps": link.gaps,
                "absent": link.absent,
            }
            for link in links
        },
    }


def _tree(link: Link, first: str, rest: str, shown: set[int]) -> list[str]:
    if id(link) in shown:
        return [f"{first}{_names(link.paths)}  (see above)"]
    shown.add(id(link))
    lines = [f"{first}{_names(link.paths)}  {_about(link)}"]
    for number, source in enumerate(link.made_from, start=1):
        last = number == len(link.made_from)
        lines += _tree(source, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "), shown)
    return lines


def _names(paths: Sequence[str]) -> str:
    """Paths in one folder as ``folder/{a,b}``."""
    first = Path(paths[0])
    if len(paths) == 1:
        return paths[0]
    return f"{first.parent.as_posix()}/{{{','.join(Path(path).name for path in paths)}}}"


def _about(link: Link) -> str:
    if link.source:
        return "a file of yours"
    if not link.record:
        return "NO RECORD" if Path(link.paths[0]).exists() else "NOT HERE, NO RECORD"
    record = link.record
    state = "BROKEN" if link.broken else "not here" if len(link.absent) == len(link.paths) else "ok"
    made = next(iter(record["outputs"].values()))["sha256"]
    about = f"{record['command']}, {_time(record['wall_hours'])} on {record['device']}, sha256 {made[:12]}"
    count = raw_files(link)
    raw = "" if count is None else f", {count} raw files"
    return f"[{about}{raw}] {state}"


def _environments(records: Sequence[Any]) -> list[str]:
    """One line for each set of versions that jobs ran with."""
    counted: dict[str, int] = {}
    for record in records:
        versions = ", ".join(f"{name} {version}" for name, version in sorted(record["versions"].items()))
        text = f"{record['device']}; python {record['python']}, {versions}; {record['platform']}"
        counted[text] = counted.get(text, 0) + 1
    return [f"{_jobs(count)} on {text}" for text, count in counted.items()]


def _jobs(count: int) -> str:
    return f"{count} {'job' if count == 1 else 'jobs'}"


def _time(hours: float) -> str:
    """In the unit that fits: ``1.25 h``, ``3.4 min``, ``0.8 s``."""
    if hours >= 1:
        return f"{hours:,.2f} h"
    return f"{60 * hours:.1f} min" if hours >= 1 / 60 else f"{3600 * hours:.1f} s"
