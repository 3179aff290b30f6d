"""Files of a published run that were left out when it was restored, and are not missed.

Snakemake is asked for every file that the workflow keeps: where one is missing, a job has failed or someone
has removed it, and what was made from it cannot be believed. A clone restored without its heavy files is the
one exception. It lasts as long as no job has tried to make them: a job that starts marks its outputs, and one
that ends, however it ends, writes their records anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from meddiff.io import read_json, sha256_file, write_json
from meddiff.sharing.snakemake_records import is_incomplete, record_file, recorded_inputs

_FOLDER = Path(".meddiff/absent")


def note_absent(experiment: str, paths: Iterable[str]) -> None:
    """Write down which files were left out.

    Args:
        experiment: name of the folder below ``results``.
        paths: outputs of the workflow, relative to the working folder.
    """
    notes = {path: _record(path) for path in sorted(paths)}
    write_json(_note(experiment), notes)


def absent_files(experiment: str) -> set[str]:
    """The files that were left out, that are still missing, and that no job has tried to make."""
    note = _note(experiment)
    if not note.is_file():
        return set()
    return {
        path
        for path, record in read_json(note).items()
        if not Path(path).exists() and not is_incomplete(path) and _record(path) == record
    }


def is_spared(experiment: str, source: str, made: str) -> bool:
    """Whether a file of the user's need not be here, because what was made from it was restored.

    Args:
        experiment: name of the folder below ``results``.
        source: the file, as the configuration names it.
        made: how the paths of the outputs that it is an input of begin.
    """
    if not _note(experiment).is_file():
        return False
    return any(source in inputs for inputs in recorded_inputs(made))


def _note(experiment: str) -> Path:
    return _FOLDER / f"{experiment}.json"


def _record(path: str) -> str | None:
    file = record_file(path)
    return sha256_file(file) if file.is_file() else None
