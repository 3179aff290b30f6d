"""Copies of stores on the disk of a node."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest
from pydantic import ValidationError

from core_samples import tiny_config, write_store
from meddiff.cli import score, train
from meddiff.config.schema.compute import ComputeConfig, Scratch
from meddiff.data.stores import scratch as scratch_module
from meddiff.data.stores.scratch import on_scratch
from meddiff.data.stores.store import Store
from meddiff.errors import DataError

SPLITS = ("train", "test")


class Case(NamedTuple):
    store: Path
    scratch: Scratch


@pytest.fixture
def case(tmp_path: Path) -> Case:
    write_store(tmp_path)
    (tmp_path / "scratch").mkdir()
    return Case(tmp_path / "store", Scratch(folder=str(tmp_path / "scratch")))


def same(first: Path, second: Path, split: str) -> bool:
    one, other = Store.open(first, split), Store.open(second, split)
    equal = [np.array_equal(getattr(one, of), getattr(other, of)) for of in ("images", "labels", "image_ids")]
    return all(equal) and one.manifest == other.manifest


def test_a_copy_is_the_store_and_is_made_once(case: Case) -> None:
    copy = on_scratch(case.store, SPLITS, case.scratch)
    assert copy.is_relative_to(case.scratch.folder)
    assert not (copy / "valid.npy").exists()
    assert all(same(case.store, copy, split) for split in SPLITS)
    made = (copy / "train.npy").stat()
    assert on_scratch(case.store, ("train", "valid"), case.scratch) == copy
    assert (copy / "train.npy").stat() == made
    assert same(case.store, copy, "valid")
    assert copy.parent.stat().st_mode & 0o077 == 0


def test_without_the_setting_nothing_is_copied(case: Case) -> None:
    assert on_scratch(case.store, SPLITS, None) == case.store
    assert list(Path(case.scratch.folder).iterdir()) == []


def test_a_damaged_copy_is_made_again(case: Case) -> None:
    copy = on_scratch(case.store, SPLITS, case.scratch)
    content = bytearray((copy / "train.npy").read_bytes())
    content[-1] ^= 1
    (copy / "train.npy").write_bytes(content)
    assert on_scratch(case.store, SPLITS, case.scratch) == copy
    assert same(case.store, copy, "train")


def test_another_store_is_another_copy(case: Case, tmp_path: Path) -> None:
    first = on_scratch(case.store, SPLITS, case.scratch)
    (tmp_path / "more").mkdir()
    write_store(tmp_path / "more", size=12)
    second = on_scratch(tmp_path / "more/store", SPLITS, case.scratch)
    assert first != second
    assert same(tmp_path / "more/store", second, "test")


def test_a_damaged_store_is_no_copy_and_still_an_error(case: Case, caplog) -> None:
    content = bytearray((case.store / "train.npy").read_bytes())
    content[-1] ^= 1
    (case.store / "train.npy").write_bytes(content)
    assert on_scratch(case.store, SPLITS, case.scratch) == case.store
    assert "is not what the store's manifest says" in caplog.text
    assert not list(Path(case.scratch.folder).rglob("train.npy"))
    with pytest.raises(DataError, match=r"train\.npy: is damaged or was changed"):
        Store.open(case.store, "train")


def test_without_room_the_store_is_read_where_it_is(case: Case, monkeypatch, caplog) -> None:
    full = shutil._ntuple_diskusage(10**6, 10**6, 1000)
    monkeypatch.setattr(scratch_module.shutil, "disk_usage", lambda _: full)
    assert on_scratch(case.store, SPLITS, case.scratch) == case.store
    assert "MiB are free" in caplog.text
    assert not list(Path(case.scratch.folder).rglob("*.npy"))


@pytest.mark.parametrize(
    ("scratch", "message"),
    [
        (
            Scratch(variable="MEDDIFF_TEST_NOT_SET"),
            "the variable MEDDIFF_TEST_NOT_SET is not set on this node",
        ),
        (Scratch(folder="/nowhere/at/all"), "there is no folder /nowhere/at/all on this node"),
    ],
)
def test_without_the_folder_the_store_is_read_where_it_is(case: Case, caplog, scratch, message: str) -> None:
    assert on_scratch(case.store, SPLITS, scratch) == case.store
    assert message in caplog.text


def test_a_folder_of_somebody_else_is_not_used(case: Case, tmp_path: Path, caplog) -> None:
    (tmp_path / "theirs").mkdir()
    (Path(case.scratch.folder) / f"meddiff-{os.getuid()}").symlink_to(tmp_path / "theirs")
    assert on_scratch(case.store, SPLITS, case.scratch) == case.store
    assert "is not this user's" in caplog.text
    assert list((tmp_path / "theirs").iterdir()) == []


def test_the_variable_names_the_folder(case: Case, monkeypatch) -> None:
    monkeypatch.setenv("SLURM_TMPDIR", case.scratch.folder)
    copy = on_scratch(case.store, SPLITS, Scratch(variable="SLURM_TMPDIR"))
    assert copy == on_scratch(case.store, SPLITS, case.scratch)


def test_jobs_at_once_share_one_copy(case: Case) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from meddiff.config.schema.compute import Scratch\n"
        "from meddiff.data.stores.scratch import on_scratch\n"
        "copy = on_scratch(Path(sys.argv[1]), ('train',), Scratch(folder=sys.argv[2]))\n"
        "print(copy, (copy / 'train.npy').stat().st_ino)"
    )
    command = [sys.executable, "-c", code, str(case.store), case.scratch.folder]
    jobs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {job.communicate()[0] for job in jobs}
    assert len(said) == 1 and case.scratch.folder in said.pop()


def test_one_of_both_names_is_given() -> None:
    for document in ({}, {"variable": "TMPDIR", "folder": "/tmp"}):
        with pytest.raises(ValidationError, match="either `variable: NAME` or `folder: /PATH`"):
            Scratch.model_validate(document)
    with pytest.raises(ValidationError, match="pattern"):
        Scratch(folder="relative")
    with pytest.raises(ValidationError, match="pattern"):
        Scratch(variable="$TMPDIR")


class Stopped(Exception):
    """Instead of a training or scoring."""


@pytest.mark.parametrize("command", [train, score])
def test_commands_read_the_copy(case: Case, tmp_path: Path, monkeypatch, command: ModuleType) -> None:
    seen: list[Path] = []

    def stop(*arguments, **_) -> None:
        seen.extend([*arguments[0].store_dirs] if command is train else [arguments[1].store_dir])
        raise Stopped

    monkeypatch.setattr("meddiff.training.run.train_model", stop)
    monkeypatch.setattr("meddiff.scoring.run.score_shard", stop)
    monkeypatch.setattr(command, "listen", lambda **_: None)
    model = tiny_config("unet").model_dump(mode="json")
    params = {
        train: {"model": model, "seed": 0},
        score: {"seed": 0, "steps": 3, "noise_levels": "uniform", "precision": "fp32"},
    }
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    options = [
        "--params",
        json.dumps(params[command]),
        "--store",
        str(case.store),
        "--out",
        str(tmp_path / "x"),
    ]
    options += ["--compute", json.dumps({"scratch": {"folder": case.scratch.folder}})]
    options += ["--weights", str(tmp_path)] if command is score else []
    with pytest.raises(Stopped):
        command.run(parser.parse_args(options))
    assert seen[0].is_relative_to(case.scratch.folder)


def test_results_do_not_say_it_where_it_is_not_set() -> None:
    assert "scratch" not in ComputeConfig().model_dump(mode="json")
