"""From weights and a store to an errors file: content, shards, command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from meddiff.cli import main
from meddiff.errors import MeddiffError
from meddiff.networks.unet import UNetDenoiser
from meddiff.scoring.error_file import gather_errors, load_errors
from meddiff.scoring.images import Shard
from scoring_samples import IMAGES, assert_same, run


def test_file_says_what_it_was_made_from(reference, weights):
    assert reference["errors"].dims == ("image", "step", "class")
    assert dict(reference.sizes) == {"image": IMAGES, "step": 4, "class": 2}
    assert reference["image"].values.tolist() == [f"test-{i:03d}" for i in range(IMAGES)]
    assert reference["label"].values.tolist() == [i % 2 for i in range(IMAGES)]
    assert reference["class"].values.tolist() == ["class 0", "class 1"]
    assert {"weights_sha256", "store_sha256", "seed", "noise_levels", "precision", "device"} <= set(
        reference.attrs
    )


def test_the_same_run_gives_the_same_bytes(reference, weights, store, tmp_path):
    for name in ("a", "b"):
        run(weights, store, tmp_path / name, steps=2)
    assert (tmp_path / "a/errors.nc").read_bytes() == (tmp_path / "b/errors.nc").read_bytes()


def test_shards_are_a_partition():
    for images in (0, 1, 7, 10):
        for shards in (1, 3, 4, 12):
            rows = np.concatenate(
                [Shard(Path(), "test", i, shards).rows(images) for i in range(1, shards + 1)]
            )
            assert sorted(rows) == list(range(images))


@pytest.mark.parametrize("shards", [3, IMAGES + 1])
def test_gathered_shards_are_the_whole(reference, weights, store, tmp_path, shards):
    for i in range(1, shards + 1):
        run(weights, store, tmp_path, 4, f"{i}.nc", shard=(i, shards))
    parts = [tmp_path / f"{i}.nc" for i in range(1, shards + 1)]
    gather_errors(parts, reference["image"].values.tolist(), tmp_path / "all.nc")
    assert_same(load_errors(tmp_path / "all.nc"), reference)


def test_command_line_shards_and_gathers(reference, weights, store, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MEDDIFF_STATE_DIR", str(tmp_path / "state"))
    params = json.dumps({"seed": 2, "steps": 4, "noise_levels": "uniform", "precision": "fp32"})
    for i in (1, 2):
        arguments = ["--params", params, "--weights", weights, "--store", store, "--batch-size", 8]
        arguments += ["--shard", f"{i}-of-2", "--out", tmp_path / f"{i}.nc"]
        assert main(["score", *map(str, arguments)]) == 0
    shards = [str(tmp_path / f"{i}.nc") for i in (2, 1)]
    gather = ["gather", *shards, "--weights", str(weights), "--store", str(store)]
    gather += ["--out", str(tmp_path / "all.nc")]
    assert main([*gather, "--params", params]) == 0
    assert_same(load_errors(tmp_path / "all.nc"), reference)
    for key, other in {"seed": 3, "steps": 5, "precision": "bf16"}.items():
        caplog.clear()
        assert main([*gather, "--params", json.dumps({**json.loads(params), key: other})]) == 1
        assert f"was scored with {key}" in caplog.text


@pytest.mark.parametrize("shard", ["0-of-2", "3-of-2", "1", "a-of-b"])
def test_command_line_refuses_shards_that_do_not_exist(shard, capsys):
    with pytest.raises(SystemExit):
        main(["score", "--params", "{}", "--weights", "w", "--store", "s", "--out", "o", "--shard", shard])
    assert f"expected I-of-N with 1 <= I <= N, e.g. 2-of-4, got '{shard}'" in capsys.readouterr().err


def test_errors_that_are_not_finite_are_reported_and_not_written(weights, store, tmp_path, monkeypatch):
    passed = UNetDenoiser.for_all_classes
    monkeypatch.setattr(UNetDenoiser, "for_all_classes", lambda *args: passed(*args) / 0.0)
    with pytest.raises(MeddiffError, match=r"not finite.*score\.precision"):
        run(weights, store, tmp_path, 1)
    assert not (tmp_path / "errors.nc").exists()
