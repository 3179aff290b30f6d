"""Packing and unpacking of Snakemake's records."""

from __future__ import annotations

import base64
import json
import zipfile
from pathlib import Path

import pytest

from meddiff.errors import DataError, ReleaseError
from meddiff.io import sha256_file
from meddiff.sharing.snakemake_records import METADATA, pack_records, set_times, unpack_records

# As long as Snakemake's own limit, beyond which a name is divided.
NAME_LENGTH = 254


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def record_file(output: str) -> Path:
    """Where Snakemake keeps the record of an output (its `_record_path`)."""
    name = base64.urlsafe_b64encode(output.encode()).decode()
    parts = [name[i : i + NAME_LENGTH] for i in range(0, len(name), NAME_LENGTH)]
    return METADATA.joinpath(*("@" + part for part in parts[:-1]), parts[-1])


def record(output: str, **values: object) -> Path:
    file = record_file(output)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"rule": "r", "shellcmd": "read /home/someone", **values}))
    return file


OUTPUTS = ["data/a/raw.json", "results/e/a/model/seed0/" + "long" * 80 + ".csv", "splits/a/é?.csv"]


def test_records_come_back_without_command_lines():
    files = [record(output, params=[output]) for output in OUTPUTS]
    record("results/other/x.csv")
    pack_records(OUTPUTS, Path("records.zip"))
    for file in files:
        file.unlink()
    unpack_records(Path("records.zip"), ["data", "results/e", "splits"])
    for output, file in zip(OUTPUTS, files, strict=True):
        assert json.loads(file.read_text()) == {"rule": "r", "shellcmd": None, "params": [output]}
    with zipfile.ZipFile("records.zip") as packed:
        assert len(packed.namelist()) == len(OUTPUTS)


def test_same_records_are_the_same_bytes():
    for output in OUTPUTS:
        record(output)
    pack_records(OUTPUTS, Path("first.zip"))
    pack_records(reversed(OUTPUTS), Path("second.zip"))
    assert sha256_file("first.zip") == sha256_file("second.zip")


def test_older_records_are_replaced():
    file = record(OUTPUTS[0], params=["new"])
    pack_records(OUTPUTS[:1], Path("records.zip"))
    record(OUTPUTS[0], params=["old"])
    unpack_records(Path("records.zip"), ["data"])
    assert json.loads(file.read_text())["params"] == ["new"]


def test_snakemake_need_not_convert_what_was_unpacked():
    record(OUTPUTS[0])
    pack_records(OUTPUTS[:1], Path("records.zip"))
    unpack_records(Path("records.zip"), ["data"])
    assert Path(".snakemake/incomplete").is_dir()


def test_an_output_without_record_is_named():
    record(OUTPUTS[0])
    with pytest.raises(ReleaseError, match=r"data/a/table\.csv"):
        pack_records([OUTPUTS[0], "data/a/table.csv"], Path("records.zip"))
    assert not Path("records.zip").exists()


@pytest.mark.parametrize("output", ["results/other/x.csv", "Snakefile", "data/../Snakefile", "/etc/x"])
def test_records_of_other_files_are_refused(output):
    member = record_file(output).relative_to(METADATA).as_posix()
    with zipfile.ZipFile("records.zip", "w") as packed:
        packed.writestr(member, "{}")
    with pytest.raises(ReleaseError, match="not of this experiment"):
        unpack_records(Path("records.zip"), ["data", "results/e"])
    assert not METADATA.exists()


@pytest.mark.parametrize("member", ["../../outside", "/tmp/outside"])
def test_a_member_that_leads_out_of_the_folder_is_refused(member):
    with zipfile.ZipFile("records.zip", "w") as packed:
        packed.writestr(member, "{}")
    with pytest.raises(DataError):
        unpack_records(Path("records.zip"), ["data"])


@pytest.mark.parametrize("member", ["no base64!", "AA"])
def test_a_member_that_is_no_record_is_refused(member):
    with zipfile.ZipFile("records.zip", "w") as packed:
        packed.writestr(member, "{}")
    with pytest.raises(ReleaseError):
        unpack_records(Path("records.zip"), ["data"])


def test_times_follow_the_order_in_which_files_were_made(folder):
    made = {"data/b": 30.0, "results/e/c": 20.0, "data/a": 10.0}
    for output, endtime in made.items():
        record(output, endtime=endtime)
        (folder / output).parent.mkdir(parents=True, exist_ok=True)
        (folder / output).touch()
    record("data/gone", endtime=5.0)
    images = folder / "results/e/images"
    images.mkdir()
    (images / ".snakemake_timestamp").touch()
    record("results/e/images", endtime=15.0)
    set_times(["data", "results/e"])
    order = ["data/a", "results/e/images/.snakemake_timestamp", "results/e/c", "data/b"]
    times = [(folder / path).stat().st_mtime_ns for path in order]
    assert times == sorted(times)
    assert len(set(times)) == len(times)


def test_times_of_other_files_stay(folder):
    other = folder / "results/other/x"
    other.parent.mkdir(parents=True)
    other.touch()
    before = other.stat().st_mtime_ns
    record("results/other/x", endtime=1.0)
    set_times(["results/e"])
    assert other.stat().st_mtime_ns == before
