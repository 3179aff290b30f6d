"""Records of results: what they hold, where they lie, and how time is counted."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from meddiff import cli, io
from meddiff.errors import DiskError
from meddiff.io import sha256_file
from meddiff.provenance import code_files
from meddiff.records import record
from meddiff.records.chain import differences
from meddiff.records.files import Files
from meddiff.records.record import digest, read_record, record_path, recorded


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one input."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/input.csv").write_text("1\n")
    return tmp_path


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that tests set: its last entry is now."""
    now = [0.0]
    monkeypatch.setattr(record.time, "monotonic", lambda: now[-1])
    return now


FILES = Files(
    [Path("data/input.csv")],
    [Path("results/a.csv"), Path("results/b.csv")],
    ["meddiff.training.optim"],
    {"decision": "mean"},
    resumes=True,
)


def run(files: Files = FILES, params: object = None, **keywords: int) -> dict:
    with recorded("vote", files, params, Path("state"), **keywords):
        for path in files.outputs:
            path.parent.mkdir(exist_ok=True)
            path.write_text(path.name)
    return read_record(files.outputs[0])


def test_what_a_record_holds(folder, seconds):
    made = run(params={"seed": 3})
    assert made["command"] == "vote"
    assert made["settings"] == {"params": {"seed": 3}, "decision": "mean"}
    assert made["inputs"] == {"data/input.csv": {"sha256": sha256_file(Path("data/input.csv"))}}
    assert made["outputs"]["results/b.csv"] == {"sha256": sha256_file(Path("results/b.csv")), "bytes": 5}
    names = {path.name for path in code_files(["meddiff.training.optim"])}
    assert {Path(name).name for name in made["code"]["files"]} == names
    assert made["code"]["modules"] == ["meddiff.training.optim"]
    assert made["device"] == "cpu" and made["gpu_hours"] == 0 and made["versions"]["numpy"]
    assert read_record(Path("results/b.csv")) == made
    assert str(folder) not in json.dumps(made)


def test_hashes_are_of_what_was_read_even_if_it_changes_meanwhile(folder):
    before = sha256_file(Path("data/input.csv"))
    with recorded("vote", FILES, None, Path("state")):
        Path("data/input.csv").write_text("2\n")
        for path in FILES.outputs:
            path.parent.mkdir(exist_ok=True)
            path.write_text("")
    assert read_record(FILES.outputs[0])["inputs"]["data/input.csv"]["sha256"] == before


def test_time_of_stopped_attempts_counts(folder, seconds):
    for hours in (1, 3):
        with pytest.raises(KeyboardInterrupt), recorded("train", FILES, 1, Path("state")):
            seconds.append(seconds[-1] + 3600 * hours)
            raise KeyboardInterrupt
    with recorded("train", FILES, 1, Path("state")):
        seconds.append(seconds[-1] + 1800)
        Path("results").mkdir()
        Path("results/a.csv").write_text("")
    made = read_record(Path("results/a.csv"))
    assert (made["wall_hours"], made["attempts"]) == (4.5, 3)
    assert not list(Path("state").rglob("*.json"))


HALF = [
    "",
    "{",
    '{"seconds": 3',
    "[]",
    "null",
    '{"seconds": "long", "attempts": 1}',
    '{"seconds": NaN, "attempts": 1}',
]


@pytest.mark.parametrize("content", [*HALF, '{"seconds": 5}', "\udcff", None])
def test_a_note_of_earlier_attempts_that_is_damaged_costs_only_itself(folder, seconds, caplog, content):
    with pytest.raises(KeyboardInterrupt), recorded("vote", FILES, None, Path("state")):
        seconds.append(3600)
        raise KeyboardInterrupt
    (note,) = Path("state").rglob("*.json")
    if content is None:
        note.unlink()
        note.mkdir()
    else:
        note.write_bytes(content.encode(errors="surrogateescape"))
    made = run()
    assert (made["wall_hours"], made["attempts"]) == (0, 1)
    assert content is None or f"{note}: cannot be read" in caplog.text


def test_where_the_time_cannot_be_kept_the_error_is_the_one_that_counts(folder, caplog):
    Path("state").touch()  # where a folder is expected
    with pytest.raises(ValueError, match="what went wrong"), recorded("vote", FILES, None, Path("state")):
        raise ValueError("what went wrong")
    assert "the time of this attempt cannot be kept" in caplog.text
    caplog.clear()
    assert run()["attempts"] == 1


def test_a_full_disk_does_not_bury_an_error_or_lose_a_result(folder, monkeypatch, caplog):
    def full(target, text, durable=False):
        raise DiskError(f"{target}: cannot be written: the disk is full")

    monkeypatch.setattr(io, "write_text", full)
    with pytest.raises(ValueError, match="what went wrong"), recorded("vote", FILES, None, Path("state")):
        raise ValueError("what went wrong")
    with recorded("vote", FILES, None, Path("state")):
        Path("results").mkdir()
        Path("results/a.csv").write_text("")
    assert "a.csv: its record cannot be written: " in caplog.text


def test_the_time_of_attempts_is_on_the_disk_when_it_is_kept(folder, monkeypatch):
    flushed = []
    monkeypatch.setattr(io, "_flush", lambda path: flushed.append(path.suffix))
    with pytest.raises(KeyboardInterrupt), recorded("vote", FILES, None, Path("state")):
        raise KeyboardInterrupt
    assert ".json" in flushed


def test_time_of_other_settings_does_not_count(folder, seconds):
    with pytest.raises(KeyboardInterrupt), recorded("vote", FILES, {"seed": 1}, Path("state")):
        seconds.append(3600)
        raise KeyboardInterrupt
    made = run(params={"seed": 2})
    assert (made["wall_hours"], made["attempts"]) == (0, 1)


def test_time_of_what_cannot_be_resumed_does_not_count(folder):
    files = Files(FILES.inputs, FILES.outputs)
    with pytest.raises(KeyboardInterrupt), recorded("vote", files, None, Path("state")):
        raise KeyboardInterrupt
    assert not Path("state").exists()
    assert run(files)["attempts"] == 1


def test_gpu_hours_are_those_of_all_processes(folder, seconds, monkeypatch):
    monkeypatch.setattr(record, "_device", lambda: "NVIDIA A100")
    with recorded("train", FILES, None, Path("state"), processes=4):
        seconds.append(3600)
        Path("results").mkdir()
        Path("results/a.csv").write_text("")
    made = read_record(Path("results/a.csv"))
    assert (made["wall_hours"], made["gpu_hours"], made["processes"]) == (1, 4, 4)


def test_nothing_is_recorded_of_a_failure(folder):
    with pytest.raises(ValueError, match="wrong"), recorded("vote", FILES, None, Path("state")):
        raise ValueError("wrong")
    assert not Path("results").exists()


def test_a_result_is_kept_where_its_record_cannot_be_written(folder, caplog):
    Path("results").mkdir()
    Path("results/provenance").write_text("not a folder")
    with recorded("vote", FILES, None, Path("state")):
        Path("results/a.csv").write_text("done")
    assert Path("results/a.csv").read_text() == "done"
    assert "record cannot be written" in caplog.text


def test_a_file_elsewhere_is_recorded_by_its_name(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "weights.bin"
    elsewhere.write_text("w")
    made = run(Files([elsewhere], FILES.outputs))
    assert list(made["inputs"]) == ["weights.bin"]


def test_content_of_a_folder(folder):
    Path("images/a").mkdir(parents=True)
    Path("images/a/1.png").write_text("1")
    before = digest(Path("images"))
    Path("images/.snakemake_timestamp").touch()
    assert digest(Path("images")) == before
    Path("images/a/1.png").rename("images/a/2.png")
    assert digest(Path("images")) != before
    assert digest(Path("nothing")) is None


def test_records_that_cannot_be_read_are_none(folder):
    path = Path("results/a.csv")
    assert read_record(path) is None
    record_path(path).parent.mkdir(parents=True)
    for text in ("{", "[]", '{"format": 99}'):
        record_path(path).write_text(text)
        assert read_record(path) is None


def test_differences_name_the_key():
    before, now = {"a": {"lr": 1, "x": 0}, "b": [1]}, {"a": {"lr": 2, "x": 0}, "c": None}
    assert differences(before, now) == ["a.lr: 1 -> 2", "b: [1] -> None", "c: None -> None"]


def test_results_elsewhere_have_no_record(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("elsewhere") / "o.csv"
    module, args = cli.parse(["vote", "--errors", "e.nc", "--decision", "mean", "--out", str(out)])
    assert isinstance(cli._recorded("vote", module, args), nullcontext)


def test_only_the_first_of_several_processes_writes(folder, monkeypatch):
    module, args = cli.parse(["vote", "--errors", "e.nc", "--decision", "mean", "--out", "o.csv"])
    monkeypatch.setenv("RANK", "1")
    assert isinstance(cli._recorded("vote", module, args), nullcontext)
    monkeypatch.setenv("RANK", "0")
    assert not isinstance(cli._recorded("vote", module, args), nullcontext)
