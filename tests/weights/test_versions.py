"""Trained weights are kept beside the current ones, and taken again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from meddiff.io import read_json, write_json
from meddiff.weights.versions import FILES, keep_version, kept_inputs, take_version, version_dir

ONE, OTHER = ({"params": {"lr": lr}, "code": {"a.py": "1"}, "data": ["d"]} for lr in (1, 2))


def write(folder: Path, inputs: dict) -> dict[str, bytes]:
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(str(inputs).encode())
    (folder / "config.yaml").write_text("model: {}\n")
    write_json(folder / "run.json", {"inputs": inputs, "hours": 5})
    write_json(folder / "provenance/run.json.json", {"of": inputs})
    return content(folder)


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}


def delete(folder: Path) -> None:
    """As Snakemake does before a job."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)


def test_every_version_can_be_taken_again(tmp_path):
    one = write(tmp_path, ONE)
    keep_version(tmp_path)
    delete(tmp_path)
    other = write(tmp_path, OTHER)
    keep_version(tmp_path)
    assert list(kept_inputs(tmp_path)) in ([ONE, OTHER], [OTHER, ONE])
    delete(tmp_path)
    for inputs, files in ((ONE, one), (OTHER, other), (ONE, one)):
        assert take_version(tmp_path, inputs)
        assert content(tmp_path) == files
        assert read_json(tmp_path / "provenance/run.json.json") == {"of": inputs}


def test_a_version_takes_no_space_of_its_own(tmp_path):
    write(tmp_path, ONE)
    folder = keep_version(tmp_path)
    for name in FILES:
        assert os.path.samefile(tmp_path / name, folder / name)


def test_where_there_are_no_links_it_is_a_copy(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", refuse)
    files = write(tmp_path, ONE)
    folder = keep_version(tmp_path)
    assert not os.path.samefile(tmp_path / "run.json", folder / "run.json")
    delete(tmp_path)
    assert take_version(tmp_path, ONE)
    assert content(tmp_path) == files


def test_a_taken_version_is_newer_than_what_it_was_made_from(tmp_path):
    write(tmp_path, ONE)
    folder = keep_version(tmp_path)
    for path in (*folder.iterdir(), *(tmp_path / name for name in FILES)):
        os.utime(path, (1, 1))
    assert take_version(tmp_path, ONE)
    assert min((tmp_path / name).stat().st_mtime for name in FILES) > 1e9


def test_no_version_of_other_inputs(tmp_path):
    write(tmp_path, ONE)
    keep_version(tmp_path)
    delete(tmp_path)
    assert not take_version(tmp_path, OTHER)
    assert content(tmp_path) == {}


@pytest.mark.parametrize("name", [*FILES, "checksums.json"])
@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_version_is_not_taken(tmp_path, name, damage):
    write(tmp_path, ONE)
    folder = keep_version(tmp_path)
    delete(tmp_path)
    if damage == "gone":
        (folder / name).unlink()
    else:
        (folder / name).write_text("{}")
    assert not take_version(tmp_path, ONE)
    assert content(tmp_path) == {}


def test_a_damaged_version_is_mended_by_the_next_one(tmp_path):
    write(tmp_path, ONE)
    folder = keep_version(tmp_path)
    delete(tmp_path)
    (folder / "model.safetensors").unlink()
    files = write(tmp_path, ONE)
    assert keep_version(tmp_path) == folder == version_dir(tmp_path, ONE)
    delete(tmp_path)
    assert take_version(tmp_path, ONE)
    assert content(tmp_path) == files


@pytest.mark.parametrize(
    "record", [None, "{", "[]", '{"inputs": {"joint_weights": "a"}}', '{"released": {}}']
)
def test_what_was_not_trained_is_not_kept(tmp_path, record):
    write(tmp_path, ONE)
    (tmp_path / "run.json").unlink()
    if record is not None:
        (tmp_path / "run.json").write_text(record)
    assert keep_version(tmp_path) is None
    assert not (tmp_path / "kept").exists()
