"""Evidence maps of scored images: they add up to the errors, however the images were scored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from meddiff.cli import main
from meddiff.config.schema.experiment import StoppingConfig
from meddiff.data.stores.store import Store
from meddiff.diffusion.errors import step_residuals
from meddiff.diffusion.evidence import evidence_maps
from meddiff.diffusion.noise import noise_keys
from meddiff.errors import DataError, MeddiffError
from meddiff.models.trained import load_model
from meddiff.scoring import blocks as scored_blocks
from meddiff.scoring import evidence_sums
from meddiff.scoring import run as run_scoring
from meddiff.scoring.evidence_file import gather_evidence, load_evidence, pair_map
from meddiff.scoring.partial_errors import PartialErrors
from scoring_samples import IMAGES, SETTINGS, run, stop_after

STEPS = 9
EVERYTHING = IMAGES * STEPS * 2  # network inputs
EXACT = StoppingConfig(kind="exact")
SPREAD = StoppingConfig(kind="exact", order="spread")


def scored(weights: Path, store: Path, folder: Path, steps: int = STEPS, **changes) -> xr.Dataset:
    """Errors with their maps, which are read with `maps`."""
    return run(weights, store, folder, steps, evidence="evidence.nc", **changes)


def maps(folder: Path) -> xr.Dataset:
    return load_evidence(folder / "evidence.nc")


@pytest.fixture(scope="module")
def step_maps(weights, store) -> np.ndarray:
    """[image, step, class - 1, y, x] of all images, one pass a step."""
    denoiser, _ = load_model(weights, torch.device("cpu"))
    denoiser.eval()
    images = Store.open(store, "test")
    keys = noise_keys(SETTINGS["seed"], images.image_ids)
    found = []
    with torch.inference_mode():
        x = denoiser.encode_pixels(torch.from_numpy(np.array(images.images)))
        for step in range(STEPS):
            steps = torch.full((IMAGES,), step)
            residuals = step_residuals(denoiser, x, keys, steps, SETTINGS["noise_levels"])
            found.append(evidence_maps(denoiser, residuals).double().numpy())
    return np.stack(found, axis=1)


def check(folder: Path, errors: xr.Dataset, step_maps: np.ndarray, ids: list[str] | None = None) -> None:
    """The maps in `folder` are the means of those of the steps in `errors`, and add up to these."""
    found, values = maps(folder), errors["errors"].values.astype(np.float64)
    used = np.isfinite(values).all(axis=2)
    assert found["image"].values.tolist() == errors["image"].values.tolist()
    np.testing.assert_array_equal(found["steps_used"], used.sum(axis=1))
    mean = np.nanmean(values, axis=1)
    off = found["evidence"].sum(dim=("y", "x")).values - (mean[:, 1:] - mean[:, :1])
    assert np.abs(off / mean.mean(axis=1, keepdims=True)).max() < 1e-5
    expected = (
        np.where(used[..., None, None, None], step_maps, 0).sum(axis=1)
        / used.sum(axis=1)[:, None, None, None]
    )
    np.testing.assert_allclose(found["evidence"], expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("stopping", [None, EXACT, SPREAD], ids=["all steps", "exact", "spread"])
@pytest.mark.parametrize("batch_size", [2, 14, 400])
def test_maps_are_of_the_steps_used_and_change_no_error(
    weights, store, tmp_path, step_maps, stopping, batch_size
):
    changes = {"batch_size": batch_size} | ({} if stopping is None else {"stopping": stopping})
    errors = scored(weights, store, tmp_path / "with", **changes)
    run(weights, store, tmp_path / "without", STEPS, **changes)
    with_maps, without = (tmp_path / name / "errors.nc" for name in ("with", "without"))
    assert with_maps.read_bytes() == without.read_bytes()
    check(tmp_path / "with", errors, step_maps)
    found = maps(tmp_path / "with")
    assert found.attrs == errors.attrs | {"steps": STEPS, "space": "pixel"}
    assert found["class"].values.tolist() == errors["class"].values.tolist()
    assert found["other"].values.tolist() == errors["class"].values[1:].tolist()
    assert found["label"].identical(errors["label"]) and found["group"].identical(errors["group"])


@pytest.mark.parametrize("stopping", [StoppingConfig(), EXACT], ids=["all steps", "exact"])
def test_shards_and_blocks_change_nothing(weights, store, tmp_path, step_maps, monkeypatch, stopping):
    whole = scored(weights, store, tmp_path, stopping=stopping)
    monkeypatch.setattr(scored_blocks, "_PAIRS_OF_BLOCK", 2 * 3)
    monkeypatch.setattr(evidence_sums, "_MOST_BYTES_UNSAVED", 1)
    parts = [tmp_path / f"maps{i}.nc" for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        run(
            weights,
            store,
            tmp_path,
            STEPS,
            f"{i}.nc",
            shard=(i, 2),
            stopping=stopping,
            evidence=part.name,
        )
    gather_evidence(parts, whole["image"].values.tolist(), tmp_path / "evidence.nc")
    check(tmp_path, whole, step_maps)
    with pytest.raises(DataError, match="shards hold 5 images, expected the 10"):
        gather_evidence(parts[:1], whole["image"].values.tolist(), tmp_path / "half.nc")


@pytest.mark.parametrize("stopping", [StoppingConfig(), EXACT, SPREAD], ids=["all steps", "exact", "spread"])
def test_interrupted_and_resumed_is_uninterrupted(
    weights, store, tmp_path, step_maps, monkeypatch, passes, stopping
):
    errors = scored(weights, store, tmp_path / "once", stopping=stopping)
    once = sum(passes)
    passes.clear()
    for batches in (1, 5, 3):
        monkeypatch.setattr(run_scoring, "stop_signal", stop_after(batches))
        with pytest.raises(MeddiffError, match="run again"):
            scored(weights, store, tmp_path / "again", stopping=stopping)
    monkeypatch.setattr(run_scoring, "stop_signal", stop_after(10000))
    resumed = scored(weights, store, tmp_path / "again", stopping=stopping)
    np.testing.assert_allclose(resumed["errors"], errors["errors"], rtol=1e-5)
    check(tmp_path / "again", resumed, step_maps)
    # Maps of steps that may not be needed are not saved: at most these are evaluated again.
    assert sum(passes) <= once + (0 if stopping.kind == "none" else 3 * SETTINGS["batch_size"])
    done = len(passes)
    scored(weights, store, tmp_path / "again", stopping=stopping)
    assert len(passes) == done


@pytest.mark.parametrize("batches", [1, 6])
def test_a_run_that_was_killed_between_its_files_goes_on(
    weights, store, tmp_path, step_maps, monkeypatch, batches
):
    """Maps are saved before errors: what only they have is evaluated again."""
    save, done = PartialErrors.save, []

    def killed(self, errors: np.ndarray) -> None:
        done.append(1)
        if len(done) > batches:
            self.beside.save()
            raise KeyboardInterrupt
        save(self, errors)

    monkeypatch.setattr(PartialErrors, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        scored(weights, store, tmp_path, save_minutes=0)
    monkeypatch.setattr(PartialErrors, "save", save)
    check(tmp_path, scored(weights, store, tmp_path), step_maps)


def test_maps_that_were_not_wanted_before_are_made_and_errors_stay(
    weights, store, tmp_path, step_maps, passes, caplog
):
    run(weights, store, tmp_path, STEPS)
    before = (tmp_path / "errors.nc").read_bytes()
    with caplog.at_level("INFO", logger="meddiff"):
        check(tmp_path, scored(weights, store, tmp_path), step_maps)
    assert sum(passes) == 2 * EVERYTHING and (tmp_path / "errors.nc").read_bytes() == before
    assert f"{IMAGES * STEPS} (image, step) pairs of {IMAGES} images are evaluated again" in caplog.text
    run(weights, store, tmp_path, STEPS)
    scored(weights, store, tmp_path)
    assert sum(passes) == 2 * EVERYTHING


def test_more_steps_go_on_and_fewer_begin_anew(weights, store, tmp_path, step_maps, passes, caplog):
    scored(weights, store, tmp_path, 4)
    check(tmp_path, scored(weights, store, tmp_path), step_maps)
    assert sum(passes) == EVERYTHING
    passes.clear()
    with caplog.at_level("INFO", logger="meddiff"):
        check(tmp_path, scored(weights, store, tmp_path, 5), step_maps[:, :5])
    assert sum(passes) == IMAGES * 5 * 2
    assert f"{IMAGES} images had maps of other steps" in caplog.text


def test_another_rule_goes_on_from_the_maps_of_the_first(weights, store, tmp_path, step_maps, passes):
    check(tmp_path, scored(weights, store, tmp_path, stopping=EXACT), step_maps)
    check(tmp_path, scored(weights, store, tmp_path), step_maps)
    # But for what was evaluated beyond the stops.
    assert EVERYTHING <= sum(passes) < 1.5 * EVERYTHING


@pytest.mark.parametrize("steps", [STEPS, 4])
def test_maps_of_an_earlier_run_are_taken_over(weights, store, tmp_path, step_maps, passes, steps):
    scored(weights, store, tmp_path / "a", steps)
    passes.clear()
    again = scored(weights, store, tmp_path / "b", earlier=tmp_path / "a/errors.nc")
    assert sum(passes) == IMAGES * (STEPS - steps) * 2
    check(tmp_path / "b", again, step_maps)


def test_maps_that_do_not_fit_the_errors_beside_them_are_not_taken_over(
    weights, store, tmp_path, step_maps, passes
):
    a, b = tmp_path / "a", tmp_path / "b"
    stopped = int(
        (np.isfinite(scored(weights, store, a, stopping=EXACT)["errors"][..., 0]).sum("step") < STEPS).sum()
    )
    run(weights, store, a, STEPS)  # the errors of all steps now, and maps up to the stops
    passes.clear()
    check(b, scored(weights, store, b, earlier=a / "errors.nc"), step_maps)
    assert stopped > 0 and sum(passes) == stopped * STEPS * 2
    (a / "evidence.nc").write_bytes((b / "evidence.nc").read_bytes()[:-1])
    passes.clear()
    check(tmp_path / "c", scored(weights, store, tmp_path / "c", earlier=a / "errors.nc"), step_maps)
    assert sum(passes) == EVERYTHING


def test_maps_of_pairs_and_bad_input(weights, store, tmp_path):
    scored(weights, store, tmp_path, 2)
    found = maps(tmp_path)
    one, other = found["class"].values.tolist()
    np.testing.assert_array_equal(pair_map(found, one, other), found["evidence"].values[:, 0])
    np.testing.assert_array_equal(pair_map(found, other, one), -found["evidence"].values[:, 0])
    assert not pair_map(found, other, other).any()
    with pytest.raises(DataError, match=rf"no evidence map has a class 'x'; there are {one}, {other}"):
        pair_map(found, one, "x")
    with pytest.raises(DataError, match=r"gone\.nc: there are no evidence maps.*`score\.evidence: true`"):
        load_evidence(tmp_path / "gone.nc")


def test_command_line_makes_maps_and_joins_them(weights, store, tmp_path, step_maps, monkeypatch):
    monkeypatch.setenv("MEDDIFF_STATE_DIR", str(tmp_path / "state"))
    params = {"seed": SETTINGS["seed"], "steps": STEPS, "noise_levels": "uniform", "precision": "fp32"}
    common = ["--params", json.dumps(params), "--weights", str(weights), "--store", str(store)]
    shards = {name: [str(tmp_path / f"{name}{i}.nc") for i in (1, 2)] for name in ("errors", "maps")}
    for i, (errors, evidence) in enumerate(zip(*shards.values(), strict=True), 1):
        assert main(["score", *common, "--shard", f"{i}-of-2", "--out", errors, evidence]) == 0
    files = [*shards["errors"], *shards["maps"]]
    out = ["--out", *(str(tmp_path / name) for name in ("errors.nc", "evidence.nc"))]
    assert main(["gather", *files, *common, *out]) == 0
    check(tmp_path, xr.load_dataset(tmp_path / "errors.nc"), step_maps)
