"""Results that cannot be known to belong to what lies beside them are marked as out of date."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from meddiff.io import sha256_file, write_json
from meddiff.records.record import FORMAT_VERSION, record_path
from meddiff.sharing.doubts import edited, mark_doubtful
from meddiff.sharing.snakemake_records import METADATA, record_file

PARAMS = {"confidence": 0.95}
PREDICTIONS, TABLE = "results/a/predictions.csv", "results/a/tables/table.csv"


def write_record(path: str, command: str, inputs: list[str]) -> None:
    def digests(names: list[str]) -> dict:
        return {name: {"sha256": sha256_file(name)} for name in names}

    record = {
        "format": FORMAT_VERSION,
        "command": command,
        "inputs": digests(inputs),
        "outputs": digests([path]),
    }
    write_json(record_path(Path(path)), {**record, "settings": {"params": PARAMS}})


def write_planned(path: str, inputs: list[str], params: dict | None = None) -> None:
    """Snakemake's record."""
    checksums = {name: f"sha256:{sha256_file(name)}" for name in inputs}
    literals = [repr("out"), repr(json.dumps(PARAMS if params is None else params))]
    write_json(record_file(path), {"input_checksums": checksums, "params": literals})


@pytest.fixture
def made(tmp_path, monkeypatch) -> list[str]:
    """A table that was made from predictions, with the records of both."""
    monkeypatch.chdir(tmp_path)
    for path in (PREDICTIONS, TABLE):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(path)
    write_planned(PREDICTIONS, [])
    write_planned(TABLE, [PREDICTIONS])
    write_record(PREDICTIONS, "predict", [])
    write_record(TABLE, "artifact", [PREDICTIONS])
    return [PREDICTIONS, TABLE]


def doubtful(paths: list[str]) -> list[str]:
    mark_doubtful(paths)
    there = [path for path in paths if os.path.exists(path)]
    found = [path for path in there if os.stat(path).st_mtime == 1]
    assert all(record_file(path).exists() == (path not in found) for path in there)
    return found


def test_what_was_made_is_left_alone(made):
    assert doubtful(made) == []


def test_without_the_records_of_snakemake_all_is_in_doubt(made):
    for path in made:
        record_file(path).unlink()
    assert doubtful([*made, "results/a/nothing.csv"]) == made


def test_records_in_a_database_are_not_looked_for(made):
    for path in made:
        record_file(path).unlink()
    METADATA.with_name("metadata.db").touch()
    mark_doubtful(made)
    assert all(os.stat(path).st_mtime > 1 for path in made)


def test_an_older_table_that_was_put_back(made, caplog):
    """With its own record beside it, as git has both; Snakemake's is of the later run."""
    Path(PREDICTIONS).write_text("of a later run")
    write_record(PREDICTIONS, "predict", [])
    write_planned(TABLE, [PREDICTIONS])
    assert doubtful(made) == [TABLE]
    assert "1 results are not those that were made" in caplog.text
    caplog.clear()
    assert doubtful(made) == [TABLE]
    assert not caplog.records


def test_a_table_of_other_settings_that_was_put_back(made):
    write_planned(TABLE, [PREDICTIONS], {"confidence": 0.9})
    assert doubtful(made) == [TABLE]


def test_an_input_that_has_changed_is_left_to_snakemake(made):
    """It may change back, and then there is nothing to do."""
    Path(PREDICTIONS).write_text("edited")
    assert doubtful(made) == []


def test_an_edited_table(made):
    Path(TABLE).write_text("edited")
    assert doubtful(made) == [TABLE]
    assert edited(made) == [TABLE]


def test_what_costs_hours_is_not_made_again_for_a_doubt(made):
    """Its own readers check it; `provenance` says what is wrong."""
    Path(PREDICTIONS).write_text("edited")
    assert doubtful(made) == []
    assert edited(made) == [PREDICTIONS]


def test_without_records_of_ours_there_is_nothing_to_compare(made):
    Path(TABLE).write_text("edited")
    record_path(Path(TABLE)).unlink()
    assert doubtful(made) == [] and edited(made) == []
