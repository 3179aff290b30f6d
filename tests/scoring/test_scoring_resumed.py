"""Scoring that goes on: interruptions, more steps, state files, in one block of images and in several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from core_samples import write_store
from meddiff.errors import CheckpointError, MeddiffError
from meddiff.models.checkpoint import save_weights
from meddiff.models.trained import load_model
from meddiff.scoring import blocks as scored_blocks
from meddiff.scoring import run as run_scoring
from meddiff.scoring.partial_errors import PartialErrors
from scoring_samples import IMAGES, SETTINGS, assert_same, run, stop_after


@pytest.fixture(params=[100, 4], ids=["one block", "three blocks"])
def images_of_block(request) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scored_blocks, "_PAIRS_OF_BLOCK", 2 * request.param)
        yield request.param


def state_files(folder: Path) -> list[Path]:
    return sorted((folder / "state").rglob("errors-*.npy"))


@pytest.mark.usefixtures("images_of_block")
def test_interrupted_and_resumed_is_uninterrupted(reference, weights, store, tmp_path, monkeypatch, passes):
    for batches in (1, 2, 4):
        monkeypatch.setattr(run_scoring, "stop_signal", stop_after(batches))
        with pytest.raises(MeddiffError, match="run again"):
            run(weights, store, tmp_path, 4)
    assert sum(passes) == 7 * SETTINGS["batch_size"]
    assert not (tmp_path / "errors.nc").exists()
    monkeypatch.undo()
    assert_same(run(weights, store, tmp_path, 4), reference)


@pytest.mark.usefixtures("images_of_block")
def test_resuming_scores_only_what_is_missing(weights, store, tmp_path, monkeypatch, passes):
    monkeypatch.setattr(run_scoring, "stop_signal", stop_after(3))
    with pytest.raises(MeddiffError):
        run(weights, store, tmp_path, 4)
    monkeypatch.setattr(run_scoring, "stop_signal", stop_after(1000))
    run(weights, store, tmp_path, 4)
    assert sum(passes) == IMAGES * 4 * 2
    run(weights, store, tmp_path, 4)
    assert sum(passes) == IMAGES * 4 * 2


@pytest.mark.usefixtures("images_of_block")
def test_more_steps_score_the_new_ones_only(reference, weights, store, tmp_path, passes):
    run(weights, store, tmp_path, 1)
    assert sum(passes) == IMAGES * 1 * 2
    more = run(weights, store, tmp_path, 4)
    assert_same(more, reference)
    assert sum(passes) == IMAGES * 4 * 2
    fewer = run(weights, store, tmp_path, 3)
    np.testing.assert_array_equal(fewer["errors"], more["errors"][:, :3])
    run(weights, store, tmp_path, 4)  # the fourth step is not forgotten
    assert sum(passes) == IMAGES * 4 * 2


@pytest.mark.usefixtures("images_of_block")
def test_a_shorter_run_keeps_its_progress_beside_that_of_a_longer_one(
    reference, weights, store, tmp_path, monkeypatch, passes
):
    for steps in (4, 2, 2):
        monkeypatch.setattr(run_scoring, "stop_signal", stop_after(2))
        with pytest.raises(MeddiffError):
            run(weights, store, tmp_path, steps)
    monkeypatch.setattr(run_scoring, "stop_signal", stop_after(1000))
    assert_same(run(weights, store, tmp_path, 4), reference)
    assert sum(passes) == IMAGES * 4 * 2


@pytest.mark.usefixtures("images_of_block")
@pytest.mark.parametrize("batches", [1, 5, 9])
def test_partial_results_are_saved_at_intervals(
    reference, weights, store, tmp_path, monkeypatch, passes, batches
):
    """A run that is killed outright (no signal) has lost only what came after the last save."""
    on_batch, done = PartialErrors.on_batch, []

    def then_die(self, errors: np.ndarray) -> None:
        on_batch(self, errors)
        done.append(1)
        if len(done) == batches:
            raise KeyboardInterrupt

    monkeypatch.setattr(PartialErrors, "on_batch", then_die)
    with pytest.raises(KeyboardInterrupt):
        run(weights, store, tmp_path, 4, save_minutes=0)
    found = [np.isfinite(np.load(path)).all(axis=2).sum() for path in state_files(tmp_path)]
    assert sum(found) == 4 * batches
    monkeypatch.setattr(PartialErrors, "on_batch", on_batch)
    assert_same(run(weights, store, tmp_path, 4), reference)
    assert sum(passes) == IMAGES * 4 * 2


@pytest.mark.parametrize("change", [{"seed": 3}, {"noise_levels": "low_discrepancy"}, {"precision": "bf16"}])
def test_other_settings_do_not_reuse_partial_results(weights, store, tmp_path, passes, change):
    run(weights, store, tmp_path, 1)
    run(weights, store, tmp_path, 1, **change)
    assert sum(passes) == 2 * IMAGES * 2


def test_other_code_weights_or_images_do_not_reuse_partial_results(
    weights, store, tmp_path, passes, monkeypatch
):
    run(weights, store, tmp_path, 1)
    other_store = write_store(tmp_path / "other", {"train": 3, "valid": 2, "test": IMAGES})
    run(weights, other_store, tmp_path, 1)
    assert sum(passes) == 2 * IMAGES * 2
    other_weights = tmp_path / "weights"
    other_weights.mkdir()
    (other_weights / "config.yaml").write_bytes((weights / "config.yaml").read_bytes())
    torch.manual_seed(1)
    save_weights(other_weights / "model.safetensors", load_model(weights, torch.device("cpu"))[1].build())
    run(other_weights, store, tmp_path, 1)
    assert sum(passes) == 3 * IMAGES * 2
    monkeypatch.setattr(run_scoring, "code_hash", lambda modules: "other code")
    run(weights, store, tmp_path, 1)
    assert sum(passes) == 4 * IMAGES * 2
    assert len(list((tmp_path / "state").iterdir())) == 4


def damage(path: Path, how: str) -> None:
    """Change what was saved."""
    whole = path.read_bytes()
    if how == "swapped classes":  # by a program that knows NumPy's format
        np.save(path, np.load(path)[..., ::-1])
    elif how == "other shape":
        path.unlink()
        errors = np.zeros((IMAGES + 1, 1, 2), np.float32)
        PartialErrors(path, 0.0, lambda: False).save(errors)
    else:
        start, stop = {"empty": (0, 0), "half": (0, len(whole) // 2), "end": (0, -1), "begin": (1, None)}[how]
        path.write_bytes(whole[start:stop])


@pytest.mark.usefixtures("images_of_block")
@pytest.mark.parametrize("how", ["swapped classes", "other shape", "empty", "half", "end", "begin"])
def test_damaged_partial_results_are_named(weights, store, tmp_path, how):
    run(weights, store, tmp_path, 1)
    partial = state_files(tmp_path)[-1]
    damage(partial, how)
    with pytest.raises(CheckpointError, match=rf"{partial.name}: .*; delete it to\s+start again"):
        run(weights, store, tmp_path, 1)


def test_every_flipped_byte_of_partial_results_is_noticed(tmp_path):
    partial = PartialErrors(tmp_path / "errors-0000.npy", 0.0, lambda: False)
    partial.save(np.random.default_rng(0).random((5, 3, 2), dtype=np.float32))
    whole, rng = partial.path.read_bytes(), np.random.default_rng(1)
    for place in rng.permutation(len(whole))[:150]:
        damaged = bytearray(whole)
        damaged[place] ^= rng.integers(1, 256)
        partial.path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"errors-0000\.npy: .*delete it to start again"):
            partial.load(5, 3, 2)


def test_a_full_disk_is_found_after_the_first_batch(weights, store, tmp_path, passes, monkeypatch):
    def full(path, errors):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    expected = r"errors-0000\.npy: partial results cannot be saved .*the disk is full"
    with pytest.raises(CheckpointError, match=expected):
        run(weights, store, tmp_path, 4)
    assert sum(passes) == SETTINGS["batch_size"]


def test_another_configuration_of_the_same_weights_does_not_reuse_partial_results(
    weights, store, tmp_path, passes
):
    run(weights, store, tmp_path, 1)
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.safetensors").write_bytes((weights / "model.safetensors").read_bytes())
    document = yaml.safe_load((weights / "config.yaml").read_text())
    document["model"]["schedule"]["noise_size"] = 4
    (other / "config.yaml").write_text(yaml.safe_dump(document))
    run(other, store, tmp_path, 1)
    assert sum(passes) == 2 * IMAGES * 2


def test_finished_blocks_stay_as_they_are(weights, store, tmp_path, monkeypatch, images_of_block):
    run(weights, store, tmp_path, 4)
    files = state_files(tmp_path)
    assert len(files) == -(-IMAGES // images_of_block)
    assert all(np.load(path).shape[0] <= images_of_block for path in files)

    def no_save(self, errors: np.ndarray) -> None:
        raise AssertionError("nothing has changed")

    monkeypatch.setattr(PartialErrors, "save", no_save)
    run(weights, store, tmp_path, 4)
    run(weights, store, tmp_path, 3)


@pytest.mark.usefixtures("images_of_block")
def test_resumed_run_has_the_bytes_of_an_uninterrupted_one(weights, store, tmp_path, monkeypatch):
    run(weights, store, tmp_path / "once", 4)
    for batches in (1, 3, 4):
        monkeypatch.setattr(run_scoring, "stop_signal", stop_after(batches))
        with pytest.raises(MeddiffError):
            run(weights, store, tmp_path / "again", 4)
    monkeypatch.undo()
    run(weights, store, tmp_path / "again", 4)
    assert (tmp_path / "once/errors.nc").read_bytes() == (tmp_path / "again/errors.nc").read_bytes()
