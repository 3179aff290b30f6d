"""From weights and a store to an errors file: shards, interruptions, more steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import yaml

from core_samples import SIDE, tiny_config, write_store
from meddiff import run_scoring
from meddiff.checkpoint import save_weights
from meddiff.cli import main
from meddiff.config.experiment import StoppingConfig
from meddiff.diffusion.error_file import gather_errors, load_errors
from meddiff.diffusion.stopping import cut, make_rule, stopping_steps
from meddiff.diffusion.unet import UNetDenoiser
from meddiff.errors import CheckpointError, DataError, MeddiffError
from meddiff.run_model import ModelSpec, load_model
from meddiff.run_scoring import score_shard, shard_rows

IMAGES = 10
SETTINGS = {"seed": 2, "noise_levels": "uniform", "precision": "fp32", "batch_size": 8}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return write_store(tmp_path_factory.mktemp("store"), {"train": 2, "valid": 2, "test": IMAGES})


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    spec = ModelSpec(tiny_config("unet"), num_classes=2, channels=1, image_size=SIDE)
    torch.manual_seed(0)
    save_weights(folder / "model.safetensors", spec.build())
    (folder / "config.yaml").write_text(yaml.safe_dump({**spec.to_dict(), "seed": 0}))
    return folder


@pytest.fixture
def passes(monkeypatch) -> list[int]:
    """Network inputs of every pass."""
    sizes: list[int] = []
    forward = UNetDenoiser.forward

    def counted(self, z, logsnr, class_ids):
        sizes.append(len(z))
        return forward(self, z, logsnr, class_ids)

    monkeypatch.setattr(UNetDenoiser, "forward", counted)
    return sizes


def run(
    weights: Path, store: Path, folder: Path, steps: int, name: str = "errors.nc", **changes
) -> xr.Dataset:
    out = folder / name
    score_shard(weights, store, "test", out, folder / "state", steps=steps, **{**SETTINGS, **changes})
    return load_errors(out)


@pytest.fixture(scope="module")
def reference(weights, store, tmp_path_factory) -> xr.Dataset:
    return run(weights, store, tmp_path_factory.mktemp("reference"), steps=4)


def assert_same(one: xr.Dataset, other: xr.Dataset) -> None:
    xr.testing.assert_allclose(one, other, rtol=1e-5)
    assert one.attrs == other.attrs
    assert one["image"].values.tolist() == other["image"].values.tolist()
    np.testing.assert_array_equal(one["logsnr"], other["logsnr"])


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
            rows = np.concatenate([shard_rows(images, i, shards) for i in range(1, shards + 1)])
            assert sorted(rows) == list(range(images))


@pytest.mark.parametrize("shards", [3, IMAGES + 1])
def test_gathered_shards_are_the_whole(reference, weights, store, tmp_path, shards):
    parts = [
        run(weights, store, tmp_path, 4, f"{i}.nc", shard=i, shards=shards) for i in range(1, shards + 1)
    ]
    assert_same(gather_errors(parts, reference["image"].values.tolist()), reference)


def test_shards_of_different_cards_are_joined_and_named(reference):
    halves = [reference.isel(image=slice(i, None, 2)).assign_attrs(device=f"card {i}") for i in (0, 1)]
    joined = gather_errors(halves, reference["image"].values.tolist())
    assert joined.attrs["device"] == "card 0, card 1"
    np.testing.assert_array_equal(joined["errors"], reference["errors"])


def test_shards_of_different_weights_are_not_joined(reference):
    halves = [reference.isel(image=slice(i, None, 2)).assign_attrs(weights_sha256=str(i)) for i in (0, 1)]
    with pytest.raises(DataError, match=r"shards differ in \['weights_sha256'\]"):
        gather_errors(halves, reference["image"].values.tolist())


def test_command_line_shards_and_gathers(reference, weights, store, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDDIFF_STATE_DIR", str(tmp_path / "state"))
    params = json.dumps({"seed": 2, "steps": 4, "noise_levels": "uniform", "precision": "fp32"})
    for i in (1, 2):
        arguments = ["--params", params, "--weights", weights, "--store", store, "--batch-size", 8]
        arguments += ["--shard", f"{i}-of-2", "--out", tmp_path / f"{i}.nc"]
        assert main(["score", *map(str, arguments)]) == 0
    shards = [str(tmp_path / f"{i}.nc") for i in (2, 1)]
    assert main(["gather", *shards, "--store", str(store), "--out", str(tmp_path / "all.nc")]) == 0
    assert_same(load_errors(tmp_path / "all.nc"), reference)


@pytest.mark.parametrize("shard", ["0-of-2", "3-of-2", "1", "a-of-b"])
def test_command_line_refuses_shards_that_do_not_exist(shard, capsys):
    with pytest.raises(SystemExit):
        main(["score", "--params", "{}", "--weights", "w", "--store", "s", "--out", "o", "--shard", shard])
    assert f"expected I-of-N with 1 <= I <= N, e.g. 2-of-4, got '{shard}'" in capsys.readouterr().err


def stop_after(batches: int):
    asked = iter(range(1, 1000))
    return lambda: lambda: next(asked) >= batches


def test_interrupted_and_resumed_is_uninterrupted(reference, weights, store, tmp_path, monkeypatch, passes):
    for batches in (1, 2):
        monkeypatch.setattr(run_scoring, "stop_signal", stop_after(batches))
        with pytest.raises(MeddiffError, match="run again"):
            run(weights, store, tmp_path, 4)
    assert sum(passes) == 3 * SETTINGS["batch_size"]
    assert not (tmp_path / "errors.nc").exists()
    monkeypatch.undo()
    assert_same(run(weights, store, tmp_path, 4), reference)


def test_resuming_scores_only_what_is_missing(weights, store, tmp_path, monkeypatch, passes):
    monkeypatch.setattr(run_scoring, "stop_signal", stop_after(3))
    with pytest.raises(MeddiffError):
        run(weights, store, tmp_path, 4)
    monkeypatch.setattr(run_scoring, "stop_signal", stop_after(1000))
    run(weights, store, tmp_path, 4)
    assert sum(passes) == IMAGES * 4 * 2
    run(weights, store, tmp_path, 4)
    assert sum(passes) == IMAGES * 4 * 2


def test_more_steps_score_the_new_ones_only(reference, weights, store, tmp_path, passes):
    run(weights, store, tmp_path, 1)
    assert sum(passes) == IMAGES * 1 * 2
    assert_same(run(weights, store, tmp_path, 4), reference)
    assert sum(passes) == IMAGES * 4 * 2
    fewer = run(weights, store, tmp_path, 3)
    np.testing.assert_array_equal(fewer["errors"], reference["errors"][:, :3])
    run(weights, store, tmp_path, 4)  # the fourth step is not forgotten
    assert sum(passes) == IMAGES * 4 * 2


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


def test_partial_results_are_saved_at_intervals(weights, store, tmp_path, monkeypatch):
    """A run that is killed outright (no signal) has lost only what came after the last save."""
    score = run_scoring.score

    def killed(*args, on_batch, **settings):
        def then_die(errors: np.ndarray) -> None:
            on_batch(errors)
            if np.isfinite(errors).all(axis=2).sum() >= 12:
                raise KeyboardInterrupt

        return score(*args, on_batch=then_die, **settings)

    monkeypatch.setattr(run_scoring, "score", killed)
    with pytest.raises(KeyboardInterrupt):
        run(weights, store, tmp_path, 4, save_every_seconds=0.0)
    (partial,) = (tmp_path / "state").rglob("errors.npy")
    assert np.isfinite(np.load(partial)).all(axis=2).sum() == 12


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


@pytest.mark.parametrize("damage", [b"", b"not an array", None])
def test_damaged_partial_results_are_named(weights, store, tmp_path, damage):
    run(weights, store, tmp_path, 1)
    (partial,) = (tmp_path / "state").rglob("errors.npy")
    if damage is None:
        np.save(partial, np.zeros((IMAGES + 1, 1, 2), np.float32))
    else:
        partial.write_bytes(damage)
    with pytest.raises(CheckpointError, match=r"errors\.npy: .*; delete it to\s+start again"):
        run(weights, store, tmp_path, 1)


def test_a_full_disk_is_found_after_the_first_batch(weights, store, tmp_path, passes, monkeypatch):
    def full(path, errors):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(CheckpointError, match=r"errors\.npy: partial results cannot be saved \(No space"):
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


def test_errors_that_are_not_finite_are_reported_and_not_written(weights, store, tmp_path, monkeypatch):
    forward = UNetDenoiser.forward
    monkeypatch.setattr(UNetDenoiser, "forward", lambda *args: forward(*args) / 0.0)
    with pytest.raises(MeddiffError, match=r"not finite.*score\.precision"):
        run(weights, store, tmp_path, 1)
    assert not (tmp_path / "errors.nc").exists()


LONG = 21  # steps, where images stop
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


@pytest.mark.parametrize("batch_size", [2, 14, 400])
@pytest.mark.parametrize("shards", [1, 3])
def test_stopped_shards_of_any_batch_size_are_the_stopped_whole(
    long_run, weights, store, tmp_path, batch_size, shards
):
    parts = [
        run(
            weights,
            store,
            tmp_path,
            LONG,
            f"{i}.nc",
            shard=i,
            shards=shards,
            batch_size=batch_size,
            stopping=SEQUENTIAL,
        )
        for i in range(1, shards + 1)
    ]
    joined = gather_errors(parts, long_run["image"].values.tolist())
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
    parts = [long_run.isel(image=slice(None, None, 2)), short.isel(image=slice(1, None, 2))]
    with pytest.raises(DataError, match=r"shards differ in \['stopping'\]"):
        gather_errors(parts, long_run["image"].values.tolist())


def test_stopped_run_reports_errors_that_are_not_finite(weights, store, tmp_path, monkeypatch):
    forward = UNetDenoiser.forward
    monkeypatch.setattr(UNetDenoiser, "forward", lambda *args: forward(*args) / 0.0)
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
