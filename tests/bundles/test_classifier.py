"""The classifier of images that are in no dataset: the same answers as the run, and reasons for refusals."""

from __future__ import annotations

import doctest
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import meddiff.bundles.classifier as module
from bundle_samples import NAMES, STEPS, make_data, make_run
from dicom_samples import write_dicom
from meddiff import Classifier
from meddiff.bundles.export import export
from meddiff.config.schema.experiment import StoppingConfig
from meddiff.errors import CheckpointError, ConfigError, DataError
from meddiff.readout.predictions import (
    CALIBRATED,
    OOD,
    PROBABILITY,
    UNCERTAINTY,
    class_names,
    read_predictions,
)

NUMBERS = (PROBABILITY, CALIBRATED, UNCERTAINTY, OOD)


@pytest.mark.parametrize(("kind", "decision"), [("unet", "majority"), ("unet", "mean"), ("dit", "majority")])
@pytest.mark.parametrize("of", ["run", "bundle"])
def test_test_images_get_the_answers_of_the_run(runs, kind, decision, of) -> None:
    folder = getattr(runs, kind) if of == "run" else runs.bundles[kind]
    expected = read_predictions(getattr(runs, kind) / f"votes0/predictions/{decision}.csv")
    classifier = Classifier.from_folder(folder, decision=decision, all_steps=True)
    found = classifier.predict(runs.pictures(), image_ids=expected["image_id"].tolist())
    assert_same_answers(found, expected)
    assert (found["steps_used"] == STEPS).all()


@pytest.mark.parametrize("of", ["run", "bundle"])
def test_a_baseline_gives_the_answers_of_the_run(runs, of) -> None:
    expected = read_predictions(runs.timm / "predictions/softmax.csv")
    found = Classifier.from_folder(runs.timm if of == "run" else runs.bundles["timm"]).predict(
        runs.pictures()
    )
    assert_same_answers(found, expected)
    assert found["image_id"].str.startswith("pixels-").all()


def assert_same_answers(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    names = np.asarray(class_names(expected), dtype=object)
    assert found["class"].tolist() == names[expected["prediction"]].tolist()
    assert found["triage"].tolist() == expected["triage"].tolist()
    columns = [column for column in expected if column.startswith(NUMBERS)]
    assert len(columns) > 6
    np.testing.assert_allclose(found[columns], expected[columns], rtol=1e-3, atol=1e-5)


def test_several_classes_have_sets_and_names_as_they_are(tmp_path) -> None:
    make_data(tmp_path, classes=3, channels=3)
    run = make_run(tmp_path, "unet", classes=3, channels=3)
    expected = read_predictions(run / "votes0/predictions/majority.csv")
    classifier = Classifier.from_folder(run, all_steps=True)
    ids = expected["image_id"].tolist()
    found = classifier.predict(sorted((tmp_path / "pictures").glob("test-*")), image_ids=ids)
    assert_same_answers(found, expected)
    columns = [f"in_set_{name}" for name in NAMES]
    assert found[columns].astype(int).equals(expected[columns].astype(int))
    grey = classifier.predict(np.arange(256, dtype=np.uint8).reshape(16, 16))
    assert "is grey, and the model takes colour images" in grey["refused"][0]
    assert list(grey) == ["image", "refused", "note", "class"] and grey["class"].isna().all()


def test_a_fold_is_a_dataset_with_images_of_another(tmp_path) -> None:
    make_data(tmp_path, dataset="eyes-fold2")
    run = make_run(tmp_path, "timm", dataset="eyes-fold2")
    export(run, tmp_path / "bundle")
    found = Classifier.from_folder(tmp_path / "bundle")
    assert found.usage.dataset == "eyes-fold2"
    assert_same_answers(
        found.predict(sorted((tmp_path / "pictures").glob("test-*"))),
        read_predictions(run / "predictions/softmax.csv"),
    )


def test_images_stop_when_their_decision_is_clear_and_are_calibrated_likewise(runs) -> None:
    run, bundle = (Classifier.from_folder(folder) for folder in (runs.unet, runs.bundles["unet"]))
    assert run.stopping == StoppingConfig(kind="sequential", delta=0.01)
    assert run.fitted.calibration == bundle.fitted.calibration
    assert run.fitted.limits == bundle.fitted.limits and run.fitted.threshold == bundle.fitted.threshold
    assert run.predict(runs.pictures())["steps_used"].min() < STEPS
    assert run.fitted.calibration != Classifier.from_folder(runs.unet, all_steps=True).fitted.calibration
    pd.testing.assert_frame_equal(run.predict(runs.pictures()), bundle.predict(runs.pictures()))


def test_a_run_that_stopped_early_is_used_as_it_was(tmp_path) -> None:
    make_data(tmp_path)
    stopping = {"kind": "exact", "order": "spread"}
    run = make_run(tmp_path, "dit", stopping=stopping)
    expected = read_predictions(run / "votes0/predictions/majority.csv")
    pictures = sorted((tmp_path / "pictures").glob("test-*"))
    classifier = Classifier.from_folder(run)
    assert classifier.stopping == StoppingConfig(**stopping)
    found = classifier.predict(pictures, image_ids=expected["image_id"].tolist())
    assert found["steps_used"].tolist() == expected["steps_used"].tolist()
    assert expected["steps_used"].min() < STEPS
    assert_same_answers(found, expected)
    every = Classifier.from_folder(run, all_steps=True).predict(pictures[0])
    assert every["steps_used"][0] == STEPS
    assert not [column for column in every if column.startswith((CALIBRATED, OOD))]  # nothing is known


def test_without_errors_of_validation_all_steps_are_evaluated(runs, tmp_path, caplog) -> None:
    copy = shutil.copytree(runs.root, tmp_path / "copy")
    run = copy / runs.unet.relative_to(runs.root)
    (run / "votes0/errors_valid.nc").unlink()
    assert Classifier.from_folder(run).all_steps
    assert "errors_valid.nc is not here" in caplog.text


def test_an_answer_depends_on_the_pixels_and_not_on_name_format_or_company(runs, tmp_path) -> None:
    classifier = Classifier.from_folder(runs.bundles["unet"])
    first = runs.pictures()[0]
    pixels = np.asarray(Image.open(first))
    Image.fromarray(pixels).save(tmp_path / "other name.tiff")
    given = [first, tmp_path / "other name.tiff", pixels, Image.fromarray(pixels), runs.pictures()[1]]
    table = classifier.predict(given).drop(columns="image")
    assert table["image_id"].nunique() == 2
    for row in range(1, 4):
        assert table.loc[row].tolist() == table.loc[0].tolist()
    alone = classifier.predict(first)
    assert alone["class"][0] == table["class"][0]
    assert alone["p_effusion"][0] == pytest.approx(table["p_effusion"][0])


def test_a_dicom_file_with_a_window_is_read(runs, tmp_path) -> None:
    values = np.linspace(0, 4000, 400).reshape(20, 20).astype(np.uint16)
    file = write_dicom(tmp_path / "image", values, WindowCenter=2000, WindowWidth=4000)
    table = Classifier.from_folder(runs.bundles["timm"]).predict([file, values])
    assert table["refused"].tolist() == ["", ""]
    assert set(table["class"]) <= set(NAMES[:2])


def bad_images(folder: Path) -> dict[str, str]:
    """File -> what is said of it."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (16, 16), dtype=np.uint8)
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / "colour.png")
    Image.fromarray(grey).save(folder / "whole.png")
    whole = (folder / "whole.png").read_bytes()
    (folder / "whole.png").unlink()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("no image")
    (folder / "notes.txt").write_text("no image")
    frames = [Image.fromarray(np.roll(grey, k, 0)) for k in range(3)]
    frames[0].save(folder / "film.gif", save_all=True, append_images=frames[1:])
    write_dicom(folder / "film.dcm", np.stack([grey] * 2).reshape(32, 16), NumberOfFrames=2, Rows=16)
    Image.fromarray(grey * 0).save(folder / "black.png")
    Image.fromarray(grey[:1]).save(folder / "line.png")
    translucent = Image.fromarray(grey).convert("RGBA")
    translucent.putalpha(100)
    translucent.save(folder / "glass.png")
    (folder / "empty").mkdir()
    return {
        "colour.png": "is in colour, and the model takes grey images",
        "cut.png": "cannot be decoded",
        "text.png": "is not an image",
        "notes.txt": "is not an image",
        "film.gif": "has several pictures",
        "film.dcm": "frames",
        "black.png": "same value in every pixel (black)",
        "line.png": "shows nothing",
        "glass.png": "transparent in places",
        "empty": "the folder has no image",
        "nothing.png": "there is no such file",
    }


def test_what_the_model_cannot_take_is_refused_and_the_rest_is_answered(runs, tmp_path) -> None:
    reasons = bad_images(tmp_path)
    classifier = Classifier.from_folder(runs.bundles["unet"])
    table = classifier.predict([*(tmp_path / name for name in reasons), runs.pictures()[0]])
    assert table["refused"].iloc[-1] == "" and table["class"].iloc[-1] in NAMES
    for (name, reason), row in zip(reasons.items(), table.to_dict("records"), strict=False):
        assert reason in row["refused"] and name in row["refused"], row["refused"]
        assert "its row" not in row["refused"]
        assert pd.isna(row["class"]) and pd.isna(row["p_effusion"])


def test_images_far_smaller_than_what_the_model_sees_are_refused(runs, monkeypatch) -> None:
    classifier = Classifier.from_folder(runs.bundles["timm"])
    pixels = classifier.usage.pixels.model_copy(update={"size": 64})
    monkeypatch.setattr(classifier, "usage", classifier.usage.model_copy(update={"pixels": pixels}))
    small = np.arange(9, dtype=np.uint8).reshape(3, 3)
    assert "too small: 3 x 3" in classifier.read(small)[0].refused


def test_arrays_of_other_kinds_are_refused(runs) -> None:
    classifier = Classifier.from_folder(runs.bundles["timm"])
    found = classifier.read([np.zeros((4, 4)), np.zeros((2, 4, 4, 3), dtype=np.uint8)])
    assert all("expected uint8 [H, W]" in one.refused for one in found)


def test_a_folder_is_read_with_those_below_it_and_no_file_twice(runs, tmp_path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("b.png", "below/a.png"):
        shutil.copy(runs.pictures()[0], tmp_path / name)
    (tmp_path / "notes.txt").write_text("of the folder")
    found = Classifier.from_folder(runs.bundles["timm"]).read([tmp_path, tmp_path / "b.png"])
    assert [Path(one.name).relative_to(tmp_path).as_posix() for one in found] == ["b.png", "below/a.png"]


def test_reading_does_not_change_the_order_and_ids_must_fit(runs) -> None:
    classifier = Classifier.from_folder(runs.bundles["timm"])
    pictures = runs.pictures()[::-1]
    assert classifier.predict(pictures)["image"].tolist() == [str(path) for path in pictures]
    with pytest.raises(ConfigError, match=r"one an image \(6\), got 1"):
        classifier.predict(pictures, image_ids=["one"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"decision": "mean-ish"}, "no rule 'mean-ish'"), ({"device": "tpu"}, "auto, cpu or cuda")],
)
def test_impossible_wishes_are_named(runs, changes, said) -> None:
    with pytest.raises(ConfigError, match=said):
        Classifier.from_folder(runs.bundles["unet"], **changes)


def test_a_folder_without_a_model_or_records_is_refused(runs, tmp_path) -> None:
    with pytest.raises(CheckpointError, match="is no model"):
        Classifier.from_folder(tmp_path)
    moved = shutil.copytree(runs.unet / "weights", tmp_path / "moved")
    shutil.rmtree(moved / "provenance")
    with pytest.raises(CheckpointError, match="no record"):
        Classifier.from_folder(moved)
    root = shutil.copytree(runs.root, tmp_path / "copy")
    shutil.rmtree(root / "data/eyes/store")
    with pytest.raises(DataError, match="has no record"):
        Classifier.from_folder(root / runs.unet.relative_to(runs.root))


def test_an_explanation_agrees_with_the_answer_and_with_itself(runs) -> None:
    classifier = Classifier.from_folder(runs.unet, decision="mean")
    editing = classifier.usage.editing.model_copy(update={"sampling_steps": 2})
    classifier.usage = classifier.usage.model_copy(update={"editing": editing})
    picture = runs.pictures()[0]
    found, row = classifier.explain(picture), classifier.predict(picture).iloc[0]
    assert found.answer["class"] == row["class"]
    (other,) = set(NAMES[:2]) - {row["class"]}
    # Scores are minus half the mean errors, whose difference is the sum of the map.
    difference = 2 * (row[f"score_{row['class']}"] - row[f"score_{other}"])
    assert found.evidence[other].sum() == pytest.approx(difference, rel=1e-3)
    assert found.evidence[other].shape == found.image.shape[:2]
    changed = found.factual.astype(int) + found.differences()[other]
    assert (changed == found.counterfactuals[other]).all()


def test_a_baseline_explains_by_one_map(runs) -> None:
    found = Classifier.from_folder(runs.bundles["timm"]).explain(runs.pictures()[0])
    assert list(found.evidence) == [found.answer["class"]] and found.factual is None
    assert found.evidence[found.answer["class"]].shape == found.image.shape[:2]


def test_several_or_refused_images_cannot_be_explained(runs, tmp_path) -> None:
    classifier = Classifier.from_folder(runs.bundles["timm"])
    with pytest.raises(DataError, match="one by one"):
        classifier.explain(runs.root / "pictures")
    with pytest.raises(DataError, match="no such file"):
        classifier.explain(tmp_path / "nothing.png")


def test_the_example_of_the_class_runs(runs) -> None:
    given = {"bundle": runs.bundles["unet"], "images": runs.pictures(), "Classifier": Classifier}
    (example,) = doctest.DocTestFinder(recurse=False).find(module.Classifier, "Classifier", globs=given)
    runner = doctest.DocTestRunner()
    assert runner.run(example).attempted == 6 and runner.failures == 0


def test_the_package_imports_no_torch_before_the_classifier_is_asked_for() -> None:
    code = "import sys, meddiff; print('torch' in sys.modules, 'pandas' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], text=True, stdout=subprocess.PIPE, check=True).stdout
    assert out.split() == ["False", "False"]
    with pytest.raises(AttributeError, match="no attribute 'Klassifier'"):
        _ = __import__("meddiff").Klassifier


def test_results_may_be_a_link_to_another_disk(runs, tmp_path, monkeypatch) -> None:
    root = shutil.copytree(runs.root, tmp_path / "copy")
    (root / "results").rename(tmp_path / "disk")
    (root / "results").symlink_to(tmp_path / "disk")
    run = runs.timm.relative_to(runs.root)
    expected = Classifier.from_folder(runs.timm).usage
    assert Classifier.from_folder(root / run).usage == expected
    (tmp_path / "mine").symlink_to(runs.timm)
    assert Classifier.from_folder(tmp_path / "mine").usage == expected
    monkeypatch.chdir(root / "data")
    assert Classifier.from_folder(f"../{run}/weights").usage == expected


def test_weights_of_other_classes_are_refused(runs, tmp_path) -> None:
    root = shutil.copytree(runs.root, tmp_path / "copy")
    run = root / runs.unet.relative_to(runs.root)
    from meddiff.models.spec import ModelSpec, read_spec, write_config

    spec = read_spec(run / "weights")
    write_config(run / "weights", ModelSpec(spec.model, 2, 1, spec.image_size, (NAMES[1], NAMES[0])), 0)
    with pytest.raises(CheckpointError, match="do not belong together"):
        Classifier.from_folder(run)


def test_a_gpu_that_is_not_there_is_named(runs, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no GPU here"):
        Classifier.from_folder(runs.bundles["timm"], device="cuda").predict(runs.pictures())
