"""Errors are taken over from an earlier errors file where there is no state."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from meddiff.scoring.error_file import load_errors
from scoring_samples import assert_same, run


def test_the_same_again_needs_no_pass(reference, weights, store, tmp_path, passes):
    run(weights, store, tmp_path / "a", 4)
    passes.clear()
    again = run(weights, store, tmp_path / "b", 4, earlier=tmp_path / "a/errors.nc")
    assert passes == []
    assert_same(again, reference)
    assert (tmp_path / "a/errors.nc").read_bytes() == (tmp_path / "b/errors.nc").read_bytes()


@pytest.mark.parametrize("shards", [2, 3])
def test_shards_take_their_images(reference, weights, store, tmp_path, passes, shards):
    run(weights, store, tmp_path / "a", 4)
    passes.clear()
    for shard in range(1, shards + 1):
        part = run(
            weights,
            store,
            tmp_path / f"{shard}",
            4,
            shard=(shard, shards),
            earlier=tmp_path / "a/errors.nc",
        )
        rows = np.isin(reference["image"].values, part["image"].values)
        np.testing.assert_array_equal(part["errors"], reference["errors"][rows])
    assert passes == []


def test_more_steps_compute_only_the_new_ones(weights, store, tmp_path, passes):
    whole = run(weights, store, tmp_path / "whole", 6)
    run(weights, store, tmp_path / "a", 4)
    passes.clear()
    more = run(weights, store, tmp_path / "b", 6, earlier=tmp_path / "a/errors.nc")
    assert sum(passes) == 2 * 2 * len(more["image"])
    assert_same(more, whole)


def test_other_weights_settings_or_damage_are_scored_anew(reference, weights, store, tmp_path, passes):
    run(weights, store, tmp_path / "a", 4)
    file = tmp_path / "a/errors.nc"
    everything = 4 * 2 * len(reference["image"])
    passes.clear()
    run(weights, store, tmp_path / "b", 4, earlier=file, seed=3)
    assert sum(passes) == everything
    other = shutil.copytree(weights, tmp_path / "weights")
    tensors = load_file(other / "model.safetensors")
    name = next(iter(tensors))
    save_file({**tensors, name: torch.full_like(tensors[name], 0.1)}, other / "model.safetensors")
    passes.clear()
    run(other, store, tmp_path / "c", 4, earlier=file)
    assert sum(passes) == everything
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    passes.clear()
    assert_same(run(weights, store, tmp_path / "d", 4, earlier=file), reference)
    assert sum(passes) == everything
    run(weights, store, tmp_path / "e", 4, earlier=tmp_path / "nothing.nc")
    assert load_errors(tmp_path / "e/errors.nc").sizes["step"] == 4
