"""From weights and a store to the files of a counterfactual run: names, interruptions, judges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core_samples import SIDE, tiny_config, write_store
from meddiff.config.schema.counterfactual import ExplainParams
from meddiff.data.stores.store import Store
from meddiff.diffusion.sample import Sampling
from meddiff.errors import CheckpointError, ConfigError, MeddiffError
from meddiff.explaining import run as run_explaining
from meddiff.explaining.edits import (
    Edit,
    chosen_rows,
    is_whole,
    plan,
    read_edit_table,
    read_images,
    read_pixels,
)
from meddiff.explaining.feature_network import FeatureNetwork
from meddiff.explaining.run import ExplainFiles, explain_run
from meddiff.io import sha256_file
from meddiff.models.checkpoint import save_weights
from meddiff.models.spec import ModelSpec
from scoring_samples import limit_memory, watch_passes

IMAGES = 8
PARAMS = {
    "from_t": 0.5,
    "cfg_scale": 2.0,
    "sampling_steps": 3,
    "sampler": "ancestral",
    "extra_last_step": False,
    "images_per_class": 2,
    "seed": 1,
    "precision": "fp32",
    "validity_steps": 3,
    "decision": "majority",
    "noise_levels": "uniform",
    "front": None,
}
FRONT = {"from_t": [0.25, 0.5], "cfg_scale": [1.0, 2.0], "images_per_class": 1}


def save_model(folder: Path, kind: str, seed: int, **shape: int) -> Path:
    spec = ModelSpec(tiny_config(kind), **{"num_classes": 2, "channels": 1, "image_size": SIDE, **shape})
    torch.manual_seed(seed)
    save_weights(folder / "model.safetensors", spec.build())
    (folder / "config.yaml").write_text(yaml.safe_dump({**spec.to_dict(), "seed": seed}))
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return write_store(tmp_path_factory.mktemp("store"), {"train": 2, "valid": 2, "test": IMAGES})


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return save_model(tmp_path_factory.mktemp("weights"), "unet", 0)


@pytest.fixture(scope="module")
def oracle(tmp_path_factory) -> Path:
    return save_model(tmp_path_factory.mktemp("oracle"), "timm", 1)


@pytest.fixture
def passes(monkeypatch) -> list[int]:
    """Network inputs of every pass of a UNet."""
    sizes: list[int] = []
    watch_passes(monkeypatch, sizes.append)
    return sizes


def run(
    weights, store, folder: Path, judge: Path | None = None, batch_size: int = 6, **changes
) -> pd.DataFrame:
    files = ExplainFiles(
        weights=weights,
        store=store,
        split="test",
        oracle=judge,
        feature_network=judge,
        images=folder / "images",
        table=folder / "table.csv",
        features=folder / "features.npz",
    )
    explain_run(files, ExplainParams(**{**PARAMS, **changes}), folder / "state", batch_size=batch_size)
    return read_edit_table(folder / "table.csv")


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def reference(weights, store, oracle, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    run(weights, store, folder, oracle, front=FRONT)
    return folder


def test_every_image_to_every_other_class_to_its_own_and_back(reference, store):
    table = read_edit_table(reference / "table.csv")
    main = table[table["main"]]
    assert sorted(main["role"].value_counts().items()) == [
        ("counterfactual", 4),
        ("cycle", 4),
        ("factual", 4),
    ]
    assert set(zip(main["source"], main["target"], main["role"], strict=True)) == {
        (0, 0, "factual"),
        (1, 1, "factual"),
        (0, 1, "counterfactual"),
        (1, 0, "counterfactual"),
        (0, 1, "cycle"),
        (1, 0, "cycle"),
    }
    data = Store.open(store, "test")
    label = dict(zip(data.image_ids, data.labels, strict=True))
    assert all(label[row.image_id] == row.source for row in table.itertuples())


def test_files_are_lossless_and_the_table_names_each_once(reference):
    table = read_edit_table(reference / "table.csv")
    assert table["file"].is_unique
    assert sorted(table["file"]) == sorted(contents(reference / "images"))
    for row in table.itertuples():
        assert row.sha256 == sha256_file(reference / "images" / row.file)
        assert row.file.endswith(".png") and f"/{row.image_id}__{row.source}__{row.target}" in row.file
    assert read_pixels(reference / "images" / table["file"][0]).shape == (SIDE, SIDE, 1)


def test_the_comparison_has_the_whole_grid_and_shares_its_images_with_the_rest(reference):
    table = read_edit_table(reference / "table.csv")
    front = table[table["front"]]
    # Two images, each as its own class (the control) and as the other, at four settings.
    assert front.groupby(["from_t", "cfg_scale", "role"]).size().to_dict() == {
        (from_t, scale, role): 2
        for from_t in FRONT["from_t"]
        for scale in FRONT["cfg_scale"]
        for role in ("counterfactual", "factual")
    }
    assert (
        front.groupby(["from_t", "cfg_scale"])["image_id"].agg(list).apply(sorted).map(tuple).nunique() == 1
    )
    assert (front["main"] & (front["from_t"] == 0.5) & (front["cfg_scale"] == 2.0)).sum() == 4


def test_what_the_classifiers_say(reference, oracle, store):
    table = read_edit_table(reference / "table.csv")
    asked = table["role"] != "cycle"
    assert table.loc[asked, ["p_0", "p_1"]].sum(axis=1).to_numpy() == pytest.approx(1)
    assert table.loc[~asked, ["prediction", "p_0", "p_1"]].isna().all(axis=None)
    assert set((3 * table.loc[asked, "p_1"]).round(6)) <= {0.0, 1.0, 2.0, 3.0}  # votes of three steps
    images = np.stack([read_pixels(reference / "images" / file) for file in table["file"]])
    network = FeatureNetwork.load(oracle, torch.device("cpu"))
    np.testing.assert_allclose(table[["oracle_p_0", "oracle_p_1"]], network.probabilities(images), atol=1e-6)
    assert (table["oracle_prediction"] == table[["oracle_p_0", "oracle_p_1"]].to_numpy().argmax(axis=1)).all()
    assert (table["feature_distance"] > 0).all()
    features = np.load(reference / "features.npz")
    chosen = ((table["role"] == "counterfactual") & table["main"]).to_numpy()
    np.testing.assert_allclose(features["generated"], network.features(images[chosen]), atol=1e-5)
    real = network.features(np.array(Store.open(store, "test").images))
    np.testing.assert_allclose(features["real"], real, atol=1e-5)


def test_without_a_judge_there_are_no_columns_of_one(weights, store, tmp_path):
    table = run(weights, store, tmp_path)
    assert not [name for name in table if "oracle" in name or "feature" in name]
    assert not np.load(tmp_path / "features.npz").files


def stop_after(calls: int):
    asked = iter(range(1, 100_000))
    return lambda: lambda: next(asked) >= calls


@pytest.mark.parametrize("calls", [2, 5, 14, 21])
def test_interrupted_and_resumed_is_uninterrupted(
    reference, weights, store, oracle, tmp_path, monkeypatch, calls
):
    monkeypatch.setattr(run_explaining, "stop_signal", stop_after(calls))
    with pytest.raises(MeddiffError, match="run again"):
        run(weights, store, tmp_path, oracle, front=FRONT)
    assert not (tmp_path / "table.csv").exists() and not (tmp_path / "images").exists()
    monkeypatch.undo()
    run(weights, store, tmp_path, oracle, front=FRONT)
    for name in ("images", "table.csv", "features.npz"):
        one, other = reference / name, tmp_path / name
        same = contents(one) == contents(other) if one.is_dir() else one.read_bytes() == other.read_bytes()
        assert same, name


def test_a_second_run_makes_nothing_and_a_larger_one_only_what_is_new(weights, store, tmp_path, passes):
    run(weights, store, tmp_path)
    making, judging = 12 * 3 * 2, 8 * 3 * 2  # images x steps x (class and none); images x steps x classes
    assert sum(passes) == making + judging
    run(weights, store, tmp_path)
    assert sum(passes) == making + judging
    run(weights, store, tmp_path, front=FRONT)  # four of its 16 images are there; guidance 1 asks once
    larger = making + judging + (4 + 4) * 3 + 4 * 3 * 2 + 12 * 3 * 2
    assert sum(passes) == larger
    run(weights, store, tmp_path, validity_steps=4)
    assert sum(passes) == larger + 8 * 1 * 2


def test_damaged_images_of_a_run_that_was_stopped_are_made_again(weights, store, tmp_path, caplog):
    before = run(weights, store, tmp_path, batch_size=2)
    made = sorted((tmp_path / "state").rglob("*.png"))
    whole = {path: path.read_bytes() for path in made}
    middle = len(whole[made[1]]) // 2
    made[0].write_bytes(whole[made[0]][:-20])
    made[1].write_bytes(whole[made[1]][:middle] + b"?" + whole[made[1]][middle + 1 :])
    pd.testing.assert_frame_equal(run(weights, store, tmp_path, batch_size=2), before)
    assert {path: path.read_bytes() for path in made} == whole
    assert caplog.text.count("is damaged; it is made again") == 2


def test_every_flipped_byte_of_an_image_is_noticed_or_changes_nothing(tmp_path):
    path, rng = tmp_path / "a.png", np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, 9), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= rng.integers(1, 256)
        path.write_bytes(damaged)
        if is_whole(path):
            np.testing.assert_array_equal(read_pixels(path)[..., 0], pixels)
    path.write_bytes(whole)
    assert is_whole(path)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2},
        {"sampling_steps": 4},
        {"sampler": "ddim"},
        {"extra_last_step": True},
        {"precision": "bf16"},
    ],
)
def test_other_settings_do_not_take_over_images(weights, store, tmp_path, passes, change):
    before = run(weights, store, tmp_path)
    number = len(passes)
    after = run(weights, store, tmp_path, **change)
    assert len(passes) > number
    assert set(before["sha256"]) != set(after["sha256"])


def test_images_of_an_earlier_run_do_not_stay(weights, store, tmp_path):
    run(weights, store, tmp_path, front=FRONT)
    table = run(weights, store, tmp_path, cfg_scale=1.5)
    assert sorted(table["file"]) == sorted(contents(tmp_path / "images"))


def test_the_way_back_starts_from_the_saved_counterfactual(reference, weights, store):
    from meddiff.explaining.counterfactuals import edit_images
    from meddiff.models.trained import load_model

    table = read_edit_table(reference / "table.csv")
    back = table[table["role"] == "cycle"].iloc[0]
    there = table[(table["role"] == "counterfactual") & table["main"] & (table["image_id"] == back.image_id)]
    start = read_pixels(reference / "images" / there["file"].iloc[0])
    denoiser, _ = load_model(weights, torch.device("cpu"))
    made = edit_images(
        denoiser,
        start[None],
        [f"{back.image_id}__{back.source}__{back.target}"],
        [back.source],
        Sampling(from_t=0.5, steps=3, cfg_scale=2.0),
        seed=1,
    )
    np.testing.assert_allclose(made[0].astype(int), read_pixels(reference / "images" / back.file), atol=1)


def test_without_a_number_the_batch_size_is_automatic(weights, store, tmp_path, passes):
    run(weights, store, tmp_path, batch_size=0)
    # All fit into one pass on a CPU: 8 images (and then 4 on their way back), each with its class and with
    # none; and 4 factuals and 4 counterfactuals x 3 steps x 2 classes to classify.
    assert passes == [16] * 3 + [8] * 3 + [24] * 2


def test_little_memory_makes_the_same_images(
    reference, weights, store, oracle, tmp_path, monkeypatch, caplog
):
    limit_memory(monkeypatch, 2)
    with caplog.at_level("WARNING", logger="meddiff"):
        table = run(weights, store, tmp_path, oracle, front=FRONT)
    assert "making counterfactuals: out of memory with 2 at a time, going on with 1" in caplog.text
    assert "classifying counterfactuals: out of memory with 3 at a time, going on with 1" in caplog.text
    for file in table["file"]:
        expected = read_pixels(reference / "images" / file).astype(int)
        np.testing.assert_allclose(read_pixels(tmp_path / "images" / file), expected, atol=1)


def test_judges_must_be_baselines_for_the_same_classes(weights, store, tmp_path):
    with pytest.raises(ConfigError, match="must be baselines"):
        run(weights, store, tmp_path, weights)
    other = save_model(tmp_path / "three", "timm", 0, num_classes=3)
    with pytest.raises(CheckpointError, match="number of classes 3, the images have 2"):
        run(weights, store, tmp_path, other)


def test_a_judge_of_another_size_and_number_of_channels_sees_the_images(tmp_path):
    network = FeatureNetwork.load(
        save_model(tmp_path, "timm", 0, channels=3, image_size=2 * SIDE), torch.device("cpu")
    )
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 1), dtype=np.uint8)
    assert network.probabilities(images).shape == (3, 2)
    np.testing.assert_allclose(network.distances(images, images), 0.0, atol=1e-9)
    rgb = np.repeat(images, 3, axis=3)
    np.testing.assert_allclose(network.features(rgb), network.features(images), atol=1e-5)


def test_distances_follow_their_definition(oracle):
    network = FeatureNetwork.load(oracle, torch.device("cpu"))
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, (2, SIDE, SIDE, 1), dtype=np.uint8) for _ in range(2))
    expected = np.zeros(2)
    for one, other in zip(network._stages(a), network._stages(b), strict=True):
        one, other = (maps.detach().numpy().astype(float) for maps in (one, other))
        for n in range(2):
            u = one[n] / np.maximum(np.linalg.norm(one[n], axis=0), 1e-10)
            v = other[n] / np.maximum(np.linalg.norm(other[n], axis=0), 1e-10)
            expected[n] += ((u - v) ** 2).sum(axis=0).mean()
    np.testing.assert_allclose(network.distances(a, b), expected, rtol=1e-4)


def test_more_images_of_a_class_are_the_same_ones_and_some_more():
    ids, labels = [f"i{k}" for k in range(30)], np.arange(30) % 3
    few, many = (chosen_rows(ids, labels, n, seed=0) for n in (2, 5))
    assert labels[few].tolist() == [0, 0, 1, 1, 2, 2]
    for k in range(3):
        assert many[5 * k : 5 * k + 2].tolist() == few[2 * k : 2 * k + 2].tolist()
    assert sorted(chosen_rows(ids, labels, None, seed=0)) == list(range(30))
    assert chosen_rows(ids, labels, 5, seed=1).tolist() != many.tolist()


@settings(max_examples=60)
@given(
    ids=st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=5, unique=True),
    scales=st.lists(st.sampled_from([1.0, 1.5, 1.25, 2.5, 1e-3, 10.0]), min_size=1, max_size=3, unique=True),
    classes=st.integers(2, 3),
)
def test_no_two_images_have_the_same_file(ids, scales, classes):
    """Whatever is in an id: slashes, dots, the separators of the name."""
    params = ExplainParams(
        **{**PARAMS, "front": {"from_t": [0.5, 0.25], "cfg_scale": scales, "images_per_class": None}}
    )
    edits = plan(ids, np.arange(len(ids)) % classes, classes, params)
    files = [edit.file for edit in edits]
    assert len(set(files)) == len(files)
    assert all(file.count("/") == 1 and not file.startswith((".", "/")) for file in files)
    assert len({(edit.image_id, edit.classes, edit.from_t, edit.cfg_scale) for edit in edits}) == len(edits)


def test_a_missing_image_is_named(tmp_path):
    edit = Edit(0, "a", (0, 1), 0.5, 2.0, True, False)
    with pytest.raises(MeddiffError, match=r"a__0__1\.png"):
        read_images(tmp_path, [edit])
