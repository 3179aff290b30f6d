"""Scoring in blocks: what is in memory does not grow with the number of images."""

from __future__ import annotations

import importlib.util
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from meddiff.diffusion.step_order import in_order, spread_order
from meddiff.diffusion.stopping import MajorityRule, cut, stopping_steps
from meddiff.scoring import blocks as scored_blocks
from meddiff.scoring.blocks import in_blocks, score_to_file
from meddiff.scoring.error_file import gather_errors, load_errors
from meddiff.scoring.images import ImageRows
from meddiff.scoring.labelled_file import ImageSet, ScoredFiles
from meddiff.scoring.passes import Passes
from meddiff.scoring.settings import ScoringSettings
from scaled_input import ScaledInput

STEPS, SIDE = 100, 4
ERROR_BYTES = STEPS * 2 * 4  # of an image


def stored(folder: Path, images: int) -> np.memmap:
    pixels = np.random.default_rng(0).integers(0, 256, (images, SIDE, SIDE, 1), dtype=np.uint8)
    np.save(folder / "images.npy", pixels)
    return np.load(folder / "images.npy", mmap_mode="r")


def score_images(folder: Path, images: int, rule: MajorityRule | None = None, spread: bool = False) -> Path:
    """Score generated images; the errors file."""
    folder.mkdir(exist_ok=True)
    ids = [f"image {row}" for row in range(images)]
    with ImageRows(stored(folder, images), np.arange(images)) as rows:
        score_to_file(
            in_blocks(images, 2, folder / "state", 600.0, lambda: False),
            Passes(ScaledInput(SIDE, [0.5, 0.52, 1.0]), 1024),
            rows,
            ImageSet(ids, np.arange(images) % 2, ids, ["no", "yes"]),
            ScoringSettings(0, STEPS, stopping=rule, order="spread" if spread else "drawn"),
            ScoredFiles(folder / "errors.nc"),
            attributes={"seed": 0},
            model="a network without weights",
        )
    return folder / "errors.nc"


@pytest.mark.parametrize("rule", [None, MajorityRule(STEPS)], ids=["all steps", "exact"])
def test_memory_is_that_of_one_block(tmp_path, monkeypatch, rule):
    """tracemalloc sees NumPy's arrays and Python's objects."""
    monkeypatch.setattr(scored_blocks, "_PAIRS_OF_BLOCK", 2 * 50)
    score_images(tmp_path / "warm", 50, rule)  # what is imported and cached at the first use
    peaks = []
    for images in (50, 350):
        tracemalloc.start()
        score_images(tmp_path / str(images), images, rule)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    more_errors = (350 - 50) * ERROR_BYTES
    assert peaks[1] - peaks[0] < more_errors


def test_joining_shards_takes_the_memory_of_a_part(tmp_path, monkeypatch):
    path = score_images(tmp_path, 350)
    ids = load_errors(path)["image"].values.tolist()
    monkeypatch.setattr("meddiff.scoring.error_file._ELEMENTS_AT_ONCE", 20 * STEPS * 2)
    gather_errors([path], ids, tmp_path / "warm.nc")
    tracemalloc.start()
    gather_errors([path], ids, tmp_path / "all.nc")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 350 * ERROR_BYTES
    assert (tmp_path / "all.nc").read_bytes() == (tmp_path / "warm.nc").read_bytes()


def test_blocks_change_nothing(tmp_path, monkeypatch):
    one = load_errors(score_images(tmp_path / "one", 60))
    monkeypatch.setattr(scored_blocks, "_PAIRS_OF_BLOCK", 2 * 7)
    several = load_errors(score_images(tmp_path / "several", 60))
    np.testing.assert_allclose(several["errors"], one["errors"], rtol=1e-5)
    np.testing.assert_array_equal(several["logsnr"], one["logsnr"])
    assert several.drop_vars("errors").identical(one.drop_vars("errors"))
    rule = MajorityRule(STEPS)
    stopped = load_errors(score_images(tmp_path / "stopped", 60, rule))["errors"].values
    full = one["errors"].values
    np.testing.assert_allclose(stopped, cut(full, stopping_steps(full, rule)), rtol=1e-5)
    assert np.isnan(stopped).any()
    spread = load_errors(score_images(tmp_path / "spread", 60, rule, spread=True))["errors"].values
    order = spread_order(one["logsnr"].values, 0, one["image"].values.tolist())
    expected = cut(full, stopping_steps(in_order(full, order), rule), order)
    np.testing.assert_allclose(spread, expected, rtol=1e-5)
    assert not np.array_equal(np.isnan(spread), np.isnan(stopped))
    # What one order left is completed by the other.
    again = load_errors(score_images(tmp_path / "stopped", 60, rule, spread=True))["errors"].values
    np.testing.assert_allclose(again, spread, rtol=1e-5)


def test_no_more_pairs_than_a_block_has_room_for_are_one_image(tmp_path):
    """With more classes than a block has pairs, a block is one image."""

    def rows(images: int, classes: int) -> list[slice]:
        return [block.rows for block in in_blocks(images, classes, tmp_path, 0.0, lambda: False)]

    many = 2 * scored_blocks._PAIRS_OF_BLOCK
    assert rows(2, many) == [slice(0, 1), slice(1, 2)]
    assert rows(2040, 2) == [slice(0, 2040)]  # the largest test set of the paper


@pytest.mark.slow
def test_benchmark_runs(root):
    """On few images: what it measures of them is mostly the libraries."""
    spec = importlib.util.spec_from_file_location("memory", root / "benchmarks/memory.py")
    memory = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(memory)
    result = memory.measure(few=3, many=6, steps=4)
    assert set(result["images"]) == {"3", "6"} and result["classes"] == 2
    assert all(run["file_bytes"] > 0 and run["peak_bytes"] > 1e8 for run in result["images"].values())
    assert result["ratio"] == pytest.approx(1.0, abs=0.1)
