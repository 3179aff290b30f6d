"""The chain of records from a result back to the raw data, and whether each of its links still holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meddiff.io import read_json
from meddiff.records.files import RAW
from meddiff.records.record import FORMAT_VERSION, code_record, digest, read_record, record_path
from meddiff.records.today import Job

WEIGHTS_RUN = "run.json"


@dataclass
class Link:
    """One job of the chain: what it made and from what.

    Attributes:
        paths: its outputs.
        record: what its record says; empty where there is none.
        made_from: the links of its inputs.
        broken: why it does not hold.
        gaps: what is not known about it.
        absent: outputs that are not here, and so were not checked.
        source: whether it is a file of the user's, which no job makes.
    """

    paths: list[str]
    record: Mapping[str, Any] = field(default_factory=dict)
    made_from: list[Link] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    source: bool = False

    def all(self) -> Iterator[Link]:
        """This link and all before it, each once."""
        waiting, seen = [self], set()
        while waiting:
            link = waiting.pop()
            if id(link) not in seen:
                seen.add(id(link))
                yield link
                waiting.extend(link.made_from)


class Chain:
    """Links by the files that they made, checked as they are built."""

    def __init__(self, today: Mapping[str, Job] | None = None) -> None:
        """Follow records in the working folder.

        Args:
            today: output -> the job that makes it according to today's configuration; None to compare
                neither settings nor code with today's.
        """
        self._today = today
        self._links: dict[str, Link] = {}
        self._digests: dict[str, str | None] = {}

    def link(self, path: str, *, is_target: bool = True) -> Link:
        """The link of the job that made `path`.

        Args:
            path: from the working folder.
            is_target: whether it is asked about; an input that no job makes is a file of the user's.
        """
        if path not in self._links:
            record = read_record(Path(path))
            if record is None or path not in record["outputs"]:
                made = self._today is None or is_target or path in self._today
                self._links[path] = (
                    _unrecorded(path) if made or not Path(path).exists() else Link([path], source=True)
                )
            else:
                link = Link(list(record["outputs"]), record)
                self._links.update(dict.fromkeys(link.paths, link))
                link.made_from = _unique(self.link(name, is_target=False) for name in record["inputs"])
                self._check(link)
        return self._links[path]

    def _check(self, link: Link) -> None:
        for path, made in link.record["outputs"].items():
            now = self._digest(path)
            if now is None:
                link.absent.append(path)
            elif now != made["sha256"]:
                link.broken.append(
                    f"{path} has changed since it was made: SHA-256 {now}, recorded {made['sha256']}"
                )
        for path, used in link.record["inputs"].items():
            now, source = self._digest(path), self._links[path].record.get("outputs", {}).get(path)
            if now is None and source is not None:
                now = source["sha256"]
            if now is not None and now != used["sha256"]:
                link.broken.append(f"made from another {path}: SHA-256 {used['sha256']}, now {now}")
        self._compare_code(link)
        self._compare_settings(link)

    def _compare_code(self, link: Link) -> None:
        recorded = link.record["code"]
        try:
            files = code_record(recorded["modules"])["files"]
        except ModuleNotFoundError as error:
            link.broken.append(f"made by code that is gone: {error}")
            return
        changed = sorted(
            name
            for name in files.keys() | recorded["files"]
            if files.get(name) != recorded["files"].get(name)
        )
        if changed:
            link.broken.append(f"made by other code; different now: {', '.join(changed)}")

    def _compare_settings(self, link: Link) -> None:
        if self._today is None:
            return
        job = next((self._today[path] for path in link.paths if path in self._today), None)
        if job is None:
            link.gaps.append("today's configuration does not make it, so settings were not compared")
            return
        files = job.files()
        recorded = link.record["settings"]
        if recorded.get("params") != job.params:
            changes = ", ".join(differences(recorded.get("params"), job.params))
            link.broken.append(f"made with other settings: {changes}")
        others = {key: value for key, value in recorded.items() if key != "params"}
        if others != dict(files.settings):
            link.broken.append(
                f"made with other settings: {', '.join(differences(others, dict(files.settings)))}"
            )
        if files.code is not None and sorted(files.code) != link.record["code"]["modules"]:
            link.broken.append("made by other modules than the rule names today")
        inside = {path.as_posix() for path in files.inputs if not path.is_absolute()}
        made_from = set(link.record["inputs"])
        if missing := sorted(inside - made_from):
            link.broken.append(f"would be made from these files as well today: {', '.join(missing)}")
        if inside and (left := sorted(p for p in made_from - inside if "/" in p)):
            link.broken.append(f"would not be made from these files today: {', '.join(left)}")

    def _digest(self, path: str) -> str | None:
        if path not in self._digests:
            self._digests[path] = digest(Path(path))
        return self._digests[path]


def differences(before: Any, now: Any, key: str = "") -> list[str]:
    """``key: before -> now`` for all that two JSON values differ in."""
    if isinstance(before, dict) and isinstance(now, dict):
        found = []
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) != now.get(name) or (name in before) != (name in now):
                below = f"{key}.{name}" if key else name
                found += differences(before.get(name), now.get(name), below)
        return found
    return [f"{key or 'params'}: {_short(before)} -> {_short(now)}"]


def raw_files(link: Link) -> int | None:
    """How many raw files a link's manifest lists; None for a link that is not raw data."""
    manifest = next((path for path in link.paths if Path(path).name == RAW), None)
    if manifest is None or not Path(manifest).is_file():
        return None
    return len(read_json(manifest)["files"])


def _unrecorded(path: str) -> Link:
    link = Link([path])
    if not Path(path).exists():
        link.gaps.append("is not here, and has no record")
        return link
    record = record_path(Path(path))
    if record.is_file() and read_record(Path(path)) is None:
        link.gaps.append(
            f"its record {record} cannot be read: it is damaged, or was made by a newer meddiff (this one "
            f"understands version {FORMAT_VERSION} of its format); update meddiff, or make the result again"
        )
        return link
    text = "has no record: made before records were kept, by hand, or restored without its provenance folder"
    run = Path(path).parent / WEIGHTS_RUN
    if run.is_file() and Path(path).parent.name == "weights":
        known = read_json(run)
        hours = f"{known['hours']:.2f} h on {known['device']}" if "hours" in known else "no hours"
        text += f" (its {WEIGHTS_RUN} says: {hours}, torch {known['versions']['torch']})"
    link.gaps.append(text)
    return link


def _unique(links: Iterable[Link]) -> list[Link]:
    return list({id(link): link for link in links}.values())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
