"""Files of every version can be read; those of a newer meddiff are refused in words."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from format_samples import KINDS, NETWORKS, config_version, sample, versions

from meddiff.bundles.usage import Editing, Pixels, Scoring, Usage
from meddiff.config.schema.data.intensity import Window
from meddiff.config.schema.deciding import DecideParams, TriageConfig
from meddiff.config.schema.experiment import StoppingConfig
from meddiff.config.schema.operating_point import AtLeast
from meddiff.errors import DataError, MeddiffError
from meddiff.format_version import as_of_today
from meddiff.readout.calibration import Calibration
from meddiff.readout.predictions import read_predictions, write_predictions
from meddiff.readout.profile import ErrorProfile
from meddiff.readout.triage import Margins
from meddiff.records.chain import Chain
from meddiff.records.files import with_network
from meddiff.records.record import record_path

ALL = [(name, version) for name in KINDS for version in versions(name)]
WRITTEN = [name for name, kind in KINDS.items() if kind.write]
NAN = float("nan")


def check_errors(dataset: xr.Dataset) -> None:
    errors = [[[1, 2], [3, 1], [2, 4]], [[0.5, 0.25], [NAN] * 2, [NAN] * 2], [[2, 1], [2, 1], [1, 1.5]]]
    assert dict(dataset.sizes) == {"image": 3, "step": 3, "class": 2}
    np.testing.assert_array_equal(dataset["errors"].transpose("image", "step", "class"), errors)
    logsnr = np.array([[-2, 0, 2], [-1, 0.5, 3], [-3, 1, 1.5]])
    np.testing.assert_array_equal(dataset["logsnr"].transpose("image", "step"), logsnr)
    assert dataset["image"].values.tolist() == ["a", "b", "Ä 3"]
    assert dataset["class"].values.tolist() == ["no finding", "effusion"]
    assert dataset["label"].values.tolist() == [0, 1, 1]
    assert dataset["group"].values.tolist() == ["p1", "p1", "p2"]
    assert dataset.attrs == {
        "weights_sha256": "a" * 64,
        "store_sha256": "b" * 64,
        "split": "test",
        "seed": 7,
        "noise_levels": "uniform",
        "precision": "fp32",
        "model": "DiT-B/4",
        "made_from": "c" * 64,
        "device": "cpu",
        "torch": "2.14.1",
        "stopping": '{"order": "spread", "rule": "none"}',
    }


def check_evidence(dataset: xr.Dataset) -> None:
    maps = [[[[1, -2, 0.5], [0, 3, -1]]], [[[0.25, 0, 0], [0, 0, -4]]]]
    assert dict(dataset.sizes) == {"image": 2, "other": 1, "y": 2, "x": 3, "class": 2}
    np.testing.assert_array_equal(dataset["evidence"].transpose("image", "other", "y", "x"), maps)
    assert dataset["steps_used"].values.tolist() == [3, 1]
    assert dataset["image"].values.tolist() == ["a", "Ä 3"]
    assert dataset["class"].values.tolist() == ["no finding", "effusion"]
    assert dataset["other"].values.tolist() == ["effusion"]
    assert dataset["label"].values.tolist() == [0, 1]
    assert dataset["group"].values.tolist() == ["p1", "p2"]
    assert dataset.attrs == {
        "weights_sha256": "a" * 64,
        "made_from": "c" * 64,
        "seed": 7,
        "steps": 3,
        "space": "pixel",
    }


def check_predictions(table: pd.DataFrame) -> None:
    assert {name: table[name].tolist() for name in table} == {
        "image_id": ["a", "b", "Ä 3"],
        "group": ["p1", "p1", "p2"],
        "label": [0, 1, 1],
        "prediction": [0, 1, 1],
        "p_0": [2 / 3, 1 / 6, 1 / 3],
        "p_1": [1 / 3, 5 / 6, 2 / 3],
        "score_0": [math.log(2 / 3), math.log(1 / 6), math.log(1 / 3)],
        "score_1": [math.log(1 / 3), math.log(5 / 6), math.log(2 / 3)],
        "uncertainty_vote_entropy": [0.9182958340544894, 0.6500224216483541, 0.9182958340544894],
        "uncertainty_t_score": [-0.27735009811261446, 0.0, -1.0],
        "uncertainty_softmax_entropy": [0.9950079822965653, 0.9971877301543358, 0.9888163926508524],
        "steps_used": [3, 1, 3],
        "steps": [3, 3, 3],
    }


def check_calibration(found: Calibration) -> None:
    margins = Margins((0, 1, 1), (0.5, -0.25, 1.75))
    assert found == Calibration(("no finding", "effusion"), 1.5, (0.25, -0.25), (1, 3), margins)


def check_profile(content: tuple[ErrorProfile, dict[str, float]]) -> None:
    profile, limits = content
    assert limits == {"profile": 2.5, "mean_error": 1.5, "path_change": 2.0}
    levels = np.array([-5.0, -2.0, 0.0, 1.0, 9.0])
    np.testing.assert_array_equal(profile.model.mean(levels), [4, 4, 3, 2.5, 2])
    np.testing.assert_array_equal(profile.model.variance(levels), [0.5, 0.5, 0.375, 0.3125, 0.25])
    for found, expected in (
        (profile.model.knots, [-2, 2]),
        (profile.model.covariance, [[1, 0.5], [0.5, 2]]),
        (profile.center, [0.25, -0.25]),
        (profile.spread, [1, 1.5]),
        (profile.correlation, [[1, 0.125], [0.125, 1]]),
        (profile.change, [-0.5, 0.75]),
    ):
        np.testing.assert_array_equal(found, expected)


def check_bundle(found: Usage) -> None:
    assert found == Usage(
        title="DiT-B/4",
        dataset="eyes",
        class_names=["no finding", "Ä <b>", "melanoma"],
        pixels=Pixels(
            size=64,
            channels=3,
            geometry="crop",
            bits=12,
            decoding="reduced",
            intensity=Window(kind="window", center=40.0, width=400.0),
            convert=("grey_to_rgb",),
        ),
        scoring=Scoring(
            seed=7,
            steps=51,
            noise_levels="low_discrepancy",
            precision="bf16",
            stopping=StoppingConfig(
                kind="sequential", decision="mean", delta=0.05, min_steps=3, order="spread"
            ),
        ),
        editing=Editing(from_t=0.4, cfg_scale=2.5, sampling_steps=12, sampler="ddim", seed=3),
        decisions=["mean", "majority"],
        deciding=DecideParams(
            prevalence={"no finding": 0.9, "Ä <b>": 0.05, "melanoma": 0.05}, triage=TriageConfig(coverage=0.8)
        ),
        operating_point=AtLeast(sensitivity=0.9),
        seed=2,
    )


def check_weights(content: dict[str, Any]) -> None:
    chest, skin = ("no finding", "pleural effusion"), ("benign", "melanoma")
    found = {
        name: (one.model.kind, one.model.title, one.channels, one.class_names)
        for name, one in content.items()
        if name != "tensors"
    }
    assert found == {
        "unet": ("unet", "tiny_unet", 1, chest),
        "dit": ("dit", "tiny_dit", 3, skin),
        "timm": ("timm", "tiny_vit", 1, chest),
        "stable_diffusion": ("stable_diffusion", "tiny_stable_diffusion", 3, skin),
    }
    assert all((content[name].num_classes, content[name].image_size) == (2, 32) for name in NETWORKS)
    assert content["unet"].model.architecture["block_out_channels"] == [16, 32, 64]
    assert (content["unet"].model.schedule.noise_size, content["unet"].model.prediction) == (
        32,
        "v_prediction",
    )
    assert content["timm"].model.architecture["patch_size"] == 8
    assert content["dit"].model.adaln_zero_init is True
    assert content["stable_diffusion"].model.architecture["scheduler"]["beta_end"] == 0.012
    tensors = {name: tensor.tolist() for name, tensor in content["tensors"].items()}
    assert tensors == {"weight": [[0.5, -1.25]], "bias": [3.0]}


def check_release(release: Any) -> None:
    trained = {"params": {"seed": 0, "model": {"lr": 1e-4}}, "code": {"networks/unet.py": "2" * 64}}
    assert release.experiment == "trial"
    assert {name: (run.weights_sha256, run.inputs) for name, run in release.runs.items()} == {
        "chest/unet/seed0": ("1" * 64, {**trained, "data": ["3" * 64]}),
        "chest/resnet/seed0": ("4" * 64, {"released": {"folder": "chexpert/resnet50"}}),
    }
    assert release.tracked == {
        "data": ["data/chest/raw.json", "splits/chest"],
        "weights": ["results/trial/chest/unet/seed0/weights/model.safetensors"],
        "errors": ["results/trial/chest/unet/seed0/votes0/errors.nc"],
        "results": ["results/trial/records.zip"],
    }
    assert release.records_sha256 == "5" * 64


def check_store(splits: dict[str, Any]) -> None:
    for number, (name, store) in enumerate(splits.items()):
        values = [40 * number, 40 * number + 10]
        np.testing.assert_array_equal(store.images, np.tile(np.reshape(values, (2, 1, 1, 1)), (1, 2, 2, 1)))
        assert store.image_ids == [f"{name}0", f"{name}1"]
        assert store.groups == [f"{name} patient 0", f"{name} patient 1"]
        assert store.labels.tolist() == [0, 1]
        assert store.class_names == ["no finding", "effusion"]


def check_record(found: dict[str, Any]) -> None:
    assert (found["command"], found["settings"]) == ("vote", {"params": None, "decision": "majority"})
    assert list(found["inputs"]) == ["results/errors.nc"]
    assert found["outputs"]["results/majority.csv"]["bytes"] == 4
    assert (found["attempts"], found["gpu_hours"], found["device"]) == (1, 0.0, "cpu")


CHECKS = {
    "errors": check_errors,
    "evidence": check_evidence,
    "predictions": check_predictions,
    "calibration": check_calibration,
    "profile": check_profile,
    "bundle": check_bundle,
    "weights": check_weights,
    "release": check_release,
    "store": check_store,
    "record": check_record,
}


@pytest.mark.parametrize("name", KINDS)
def test_every_version_up_to_today_s_has_a_sample(name):
    assert versions(name) == list(range(1, KINDS[name].module.FORMAT_VERSION + 1)), "see CONTRIBUTING.md"


@pytest.mark.parametrize(("name", "version"), ALL)
def test_every_version_is_read(name, version):
    CHECKS[name](KINDS[name].read(sample(name, version)))


@pytest.mark.parametrize(("name", "version"), [one for one in ALL if one[0] in WRITTEN])
def test_what_is_written_is_of_today_s_version(name, version, tmp_path):
    """Whatever version it was read from, the result is the stored sample of today's."""
    kind = KINDS[name]
    path = tmp_path / f"written{kind.suffix}"
    kind.write(kind.read(sample(name, version)), path)
    CHECKS[name](kind.read(path))
    if kind.exact:
        assert path.read_bytes() == sample(name, kind.module.FORMAT_VERSION).read_bytes()


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_of_a_newer_meddiff_is_refused_in_words(name, tmp_path, monkeypatch):
    kind = KINDS[name]
    today, path = kind.module.FORMAT_VERSION, tmp_path / f"newer{kind.suffix}"
    content = kind.read(sample(name, today))
    with monkeypatch.context() as later:
        later.setattr(kind.module, "FORMAT_VERSION", today + 1)
        kind.write(content, path)
    with pytest.raises(kind.error) as caught:
        kind.read(path)
    text = str(caught.value)
    assert f"was made by a newer meddiff: its format_version is {today + 1}" in text
    understood = f"versions 1 to {today}" if today > 1 else "version 1"
    assert f"understands {understood}; update meddiff, or else " in text
    assert text.split(": ")[0].endswith(
        ("newer.nc", "newer.csv", "newer.json", "config.yaml", "release.json")
    )


def test_a_store_of_a_newer_meddiff_is_refused_in_words(tmp_path):
    folder = shutil.copytree(sample("store", 1), tmp_path / "store")
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 1', '"format_version": 2'))
    expected = (
        r"manifest\.json: was made by a newer meddiff.* 2, .*version 1; update meddiff, or else run `store`"
    )
    with pytest.raises(DataError, match=expected):
        KINDS["store"].read(folder)


def test_a_record_of_a_newer_meddiff_is_not_used_and_the_chain_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = Path("majority.csv")
    result.write_text("a\n1\n")
    record_path(result).parent.mkdir()
    document = {**json.loads(sample("record", 1).read_text()), "format": 2}
    record_path(result).write_text(json.dumps(document))
    assert KINDS["record"].read(record_path(result)) is None
    (gap,) = Chain().link("majority.csv").gaps
    assert "provenance/majority.csv.json cannot be read" in gap
    assert "made by a newer meddiff (this one understands version 1 of its format); update meddiff" in gap


@pytest.mark.parametrize(("name", "version"), [one for one in ALL if one[0] == "weights"])
def test_the_network_of_weights_is_known_from_every_version(name, version):
    """A command says what it reads without the reader of weights."""
    modules = {network: with_network(sample(name, version) / network) for network in NETWORKS}
    assert modules["unet"] == ["meddiff.networks.unet"] and modules["dit"] == ["meddiff.networks.dit"]
    assert all(modules.values())


def test_today_s_configuration_of_weights_says_its_version_and_has_a_checksum(tmp_path):
    """The first ones had none, so only theirs may be missing."""
    today = KINDS["weights"].module.FORMAT_VERSION
    folder = shutil.copytree(sample("weights", today), tmp_path / "weights")
    assert {config_version(folder / network) for network in NETWORKS} == {today}
    config = folder / "unet/config.yaml"
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith("sha256")))
    with pytest.raises(MeddiffError, match="its checksum does not fit"):
        KINDS["weights"].read(folder)
    config.write_text("".join(line for line in lines if not line.startswith(("sha256", "format_version"))))
    CHECKS["weights"](KINDS["weights"].read(folder))


# Predictions are a table, whose rows pass through other programs.


def test_predictions_that_pandas_has_read_and_written_are_the_same(tmp_path):
    path = tmp_path / "p.csv"
    pd.read_csv(sample("predictions", 3)).to_csv(path, index=False)
    check_predictions(read_predictions(path))
    assert list(pd.read_csv(path))[-1] == "format_version"


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("1", "row 3: format_version is '1', expected '3' as in the first row"),
        ("", "row 3: format_version is '', expected '3' as in the first row"),
    ],
)
def test_rows_of_two_versions_are_no_table(tmp_path, cell, message):
    table = pd.read_csv(sample("predictions", 3), dtype=str)
    table.loc[1, "format_version"] = cell
    table.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(DataError, match=message):
        read_predictions(tmp_path / "p.csv")


@pytest.mark.parametrize("cell", ["two", "0", "-1", "1.5", ""])
def test_a_version_that_is_no_number_is_refused(tmp_path, cell):
    table = pd.read_csv(sample("predictions", 3), dtype=str).assign(format_version=cell)
    table.to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(
        DataError, match=r"p\.csv: its format_version is .*, expected a whole number \(versions 1"
    ):
        read_predictions(tmp_path / "p.csv")


def test_no_rows_have_no_version(tmp_path):
    write_predictions(read_predictions(sample("predictions", 3))[:0], tmp_path / "p.csv")
    with pytest.raises(DataError, match="no rows"):
        read_predictions(tmp_path / "p.csv")


# How a version is brought up to today's.


@pytest.mark.parametrize(
    ("found", "result"), [(None, "abc"), (1, "abc"), (2, "ac"), (3, "a"), (np.int64(3), "a")]
)
def test_older_content_passes_through_all_versions_since(found, result):
    older = (lambda text: text + "b", lambda text: text + "c")
    assert as_of_today("f", found, "a", older, DataError, "make it again") == result


@pytest.mark.parametrize("found", [0, -1, 1.0, "1", [1]])
def test_what_is_no_version_is_named(found):
    with pytest.raises(DataError, match=r"^f: its format_version is .*\(version 1\); make it again$"):
        as_of_today("f", found, "a", (), DataError, "make it again")
