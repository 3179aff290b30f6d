"""Scoring whose images stop early."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from error_samples import save_errors
from meddiff.cli import main
from meddiff.config.schema.experiment import StoppingConfig
from meddiff.diffusion.stopping import cut, make_rule, stopping_steps
from meddiff.errors import DataError, MeddiffError
from meddiff.networks.unet import UNetDenoiser
from meddiff.scoring import blocks as scored_blocks
from meddiff.scoring import run as run_scoring
from meddiff.scoring.error_file import gather_errors, load_errors
from scoring_samples import IMAGES, assert_same, run, stop_after

LONG = 21  # steps
EXACT = StoppingConfig(kind="exact")
SEQUENTIAL = StoppingConfig(kind="sequential", delta=0.2)


@pytest.fixture(scope="module")
def long_run(weights, store, tmp_path_factory) -> xr.Dataset:
    return run(weights, store, tmp_path_factory.mktemp("long"), steps=LONG)


def stopped(full: xr.Dataset, config: StoppingConfig) -> np.ndarray:
    """What the errors must be with a rule, from those of the full run."""
    errors = full["errors"].values
    return cut(errors, stopping_steps(errors, make_rule(config, LONG, 2)))


@pytest.mark.parametrize("config", [EXACT, SEQUENTIAL], ids=["exact", "sequential"])
def test_stopped_run_has_the_errors_up_to_where_images_stop(
    long_run, weights, store, tmp_path, passes, caplog, config
):
    expected = stopped(long_run, config)
    needed = int(np.isfinite(expected[..., 0]).sum())
    assert needed < IMAGES * LONG
    with caplog.at_level("INFO", logger="meddiff"):
        got = run(weights, store, tmp_path, LONG, stopping=config)
    np.testing.assert_allclose(got["errors"], expected, rtol=1e-5)
    assert json.loads(got.attrs["stopping"]) == config.model_dump()
    np.testing.assert_array_equal(got["logsnr"], long_run["logsnr"])
    pairs = sum(passes) // 2
    text = f"{needed / IMAGES:.1f} of {LONG} steps an image were needed; of the {pairs} (image, step) pairs"
    assert f"{text} scored now, {pairs - needed} were not" in caplog.text


def test_full_run_does_not_speak_of_stopping(long_run):
    assert "stopping" not in long_run.attrs


@pytest.mark.parametrize(
    ("batch_size", "shards", "images_of_block"),
    [(2, 1, 100), (14, 1, 100), (400, 1, 100), (14, 3, 100), (400, 3, 100), (14, 1, 4), (400, 3, 3)],
)
def test_stopped_shards_and_blocks_of_any_batch_size_are_the_stopped_whole(
    long_run, weights, store, tmp_path, monkeypatch, batch_size, shards, images_of_block
):
    monkeypatch.setattr(scored_blocks, "_PAIRS_OF_BLOCK", 2 * images_of_block)
    parts = [tmp_path / f"{i}.nc" for i in range(1, shards + 1)]
    for i, part in enumerate(parts, 1):
        changes = {"shard": (i, shards), "batch_size": batch_size, "stopping": SEQUENTIAL}
        run(weights, store, tmp_path, LONG, part.name, **changes)
    gather_errors(parts, long_run["image"].values.tolist(), tmp_path / "all.nc")
    joined = load_errors(tmp_path / "all.nc")
    np.testing.assert_allclose(joined["errors"], stopped(long_run, SEQUENTIAL), rtol=1e-5)


def test_stopped_run_that_was_interrupted_is_an_uninterrupted_one(
    long_run, weights, store, tmp_path, monkeypatch
):
    once = run(weights, store, tmp_path / "once", LONG, stopping=EXACT)
    for batches in (1, 5, 9):
        monkeypatch.setattr(run_scoring, "stop_signal", stop_after(batches))
        with pytest.raises(MeddiffError, match="run again"):
            run(weights, store, tmp_path, LONG, stopping=EXACT)
    monkeypatch.undo()
    resumed = run(weights, store, tmp_path, LONG, stopping=EXACT)
    np.testing.assert_allclose(resumed["errors"], once["errors"], rtol=1e-5)


def test_another_rule_goes_on_from_what_is_stored(long_run, weights, store, tmp_path, passes):
    run(weights, store, tmp_path, LONG, stopping=SEQUENTIAL)
    first = sum(passes)
    exact = run(weights, store, tmp_path, LONG, stopping=EXACT)
    np.testing.assert_allclose(exact["errors"], stopped(long_run, EXACT), rtol=1e-5)
    assert first < sum(passes) < IMAGES * LONG * 2
    assert_same(run(weights, store, tmp_path, LONG), long_run)
    assert sum(passes) == IMAGES * LONG * 2
    # Nothing is scored again on the way back.
    run(weights, store, tmp_path, LONG, stopping=SEQUENTIAL)
    assert sum(passes) == IMAGES * LONG * 2


def test_stopped_and_full_shards_are_not_joined(long_run, weights, store, tmp_path):
    short = run(weights, store, tmp_path, LONG, stopping=EXACT)
    parts = [
        save_errors(dataset.isel(image=slice(i, None, 2)), tmp_path / f"{i}.nc")
        for i, dataset in enumerate((long_run, short))
    ]
    with pytest.raises(DataError, match=r"shards differ in \['stopping'\]"):
        gather_errors(parts, long_run["image"].values.tolist(), tmp_path / "all.nc")


def test_stopped_run_reports_errors_that_are_not_finite(weights, store, tmp_path, monkeypatch):
    passed = UNetDenoiser.for_all_classes
    monkeypatch.setattr(UNetDenoiser, "for_all_classes", lambda *args: passed(*args) / 0.0)
    with pytest.raises(MeddiffError, match=r"not finite.*score\.precision"):
        run(weights, store, tmp_path, LONG, stopping=EXACT)
    assert not (tmp_path / "errors.nc").exists()


def test_command_line_takes_a_rule(long_run, weights, store, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDIFF_STATE_DIR", str(tmp_path / "state"))
    params = {"seed": 2, "steps": LONG, "noise_levels": "uniform", "precision": "fp32"}
    arguments = ["--weights", weights, "--store", store, "--batch-size", 8, "--out", tmp_path / "errors.nc"]
    text = json.dumps({**params, "stopping": EXACT.model_dump()})
    assert main(["score", "--params", text, *map(str, arguments)]) == 0
    got = load_errors(tmp_path / "errors.nc")
    np.testing.assert_allclose(got["errors"], stopped(long_run, EXACT), rtol=1e-5)
