"""``meddiff classify``: what it prints and writes, and its exit status."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bundle_samples import NAMES, edited, renewed
from dicom_samples import write_dicom
from meddiff.bundles.explanation import Explanation
from meddiff.bundles.page import write_page
from meddiff.bundles.shown import UNLIKE_WORDS, answer_words, as_text
from meddiff.cli import main

HOSTILE = "\"'<script>alert(1)<script>&.png"


def classify(*arguments: object, expect: int = 0) -> None:
    assert main(["classify", *map(str, arguments)]) == expect


def test_it_prints_one_line_an_image(runs, capsys) -> None:
    classify(runs.bundles["unet"], runs.root / "pictures", "--device=cpu")
    head, *lines = capsys.readouterr().out.splitlines()
    columns = ["Image", "Class", "Vote share", "Calibrated", "Set", "Uncertainty", "Steps"]
    assert re.split(r"  +", head)[: len(columns)] == columns
    assert len(lines) == 20 and all(re.search(r" \d+ of 24", line) for line in lines)


def test_a_baseline_has_a_probability_and_no_steps(runs, capsys) -> None:
    classify(runs.timm / "weights", runs.pictures()[0])
    head, _ = capsys.readouterr().out.splitlines()
    assert "Probability" in head and "Steps" not in head and "Vote" not in head


def test_refused_images_are_told_the_others_answered_and_the_status_is_1(
    runs, tmp_path, capsys, caplog
) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    classify(runs.bundles["timm"], tmp_path / "broken.png", runs.pictures()[0], "--json", expect=1)
    refused, answered = json.loads(capsys.readouterr().out)
    assert refused["class"] is None and "broken.png" in refused["refused"]
    assert answered["class"] in NAMES and answered["refused"] == ""
    assert "1 of 2 images were refused" in caplog.text


def test_json_and_csv_have_what_python_has(runs, tmp_path, capsys) -> None:
    classify(runs.bundles["unet"], *runs.pictures(), "--json", f"--csv={tmp_path}/out/answers.csv")
    printed = pd.DataFrame(json.loads(capsys.readouterr().out))
    written = pd.read_csv(tmp_path / "out/answers.csv", keep_default_na=False)
    assert list(printed) == list(written) and len(written) == len(runs.pictures())
    np.testing.assert_allclose(printed["calibrated_effusion"], written["calibrated_effusion"], rtol=1e-12)


def test_names_that_a_spreadsheet_would_compute_are_text(runs, tmp_path, monkeypatch) -> None:
    shutil.copy(runs.pictures()[0], tmp_path / "=1+1.png")
    monkeypatch.chdir(tmp_path)
    classify(runs.bundles["timm"], "=1+1.png", "--csv=answers.csv")
    assert pd.read_csv("answers.csv")["image"].tolist() == ["'=1+1.png"]


def test_an_id_goes_with_one_image(runs, capsys, caplog) -> None:
    classify(runs.unet, runs.pictures()[0], "--id=test-00", "--all-steps", "--json")
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["image_id"] == "test-00" and answer["steps_used"] == answer["steps"] == 24
    classify(runs.unet, *runs.pictures(), "--id=test-00", expect=1)
    assert "--id: is of one image, and there are 6" in caplog.text


def test_explanations_are_pictures_and_a_page_in_which_names_are_text(runs, tmp_path, monkeypatch) -> None:
    images, out = tmp_path / "images", tmp_path / "why"
    images.mkdir()
    shutil.copy(runs.pictures()[0], images / HOSTILE)
    (images / "text.png").write_text("<b>no image</b>")
    classify(runs.bundles["timm"], images, f"--explain={out}", expect=1)
    page = (out / "index.html").read_text()
    assert "<script" not in page and "&lt;script&gt;alert(1)&lt;script&gt;&amp;.png" in page
    assert "is not an image that can be read" in page
    assert not re.search(r"(src|href)=\"(?!data:image/png)", page)  # nothing is fetched
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert len(written) == 2 and written[1] == "image_1/image.png"
    assert re.fullmatch(r"image_1/evidence_[01]\.png", written[0])
    assert Image.open(out / written[0]).size == Image.open(out / written[1]).size


def test_a_diffusion_model_shows_counterfactuals_and_differences(runs, tmp_path) -> None:
    bundle = shutil.copytree(runs.bundles["dit"], tmp_path / "bundle")
    fewer_steps(bundle)
    classify(bundle, runs.pictures()[0], f"--explain={tmp_path}/why")
    names = {path.stem.partition("_")[0] for path in (tmp_path / "why/image_1").iterdir()}
    assert names == {"image", "factual", "counterfactual", "difference", "evidence"}
    assert (tmp_path / "why/index.html").read_text().count("data:image/png") == 5


def fewer_steps(bundle: Path) -> None:
    document = json.loads((bundle / "meddiff.json").read_text())
    edited(bundle, editing={**document["editing"], "sampling_steps": 2})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"triage": "b", "in_set_a": 0, "in_set_b": 1}, {"Set": "b"}),
        ({"triage": "refer", "in_set_a": 1, "in_set_b": 1}, {"Set": "a, b"}),
        ({"triage": "refer", "in_set_a": 0, "in_set_b": 0}, {"Set": "none"}),
        ({"triage": "refer", "in_set_a": 1, "in_set_b": 0}, {"Set": "a"}),
        ({"unlike": True}, {"Doubt": UNLIKE_WORDS}),
        ({"unlike": False}, {}),
        ({"calibrated_b": 0.25}, {"Calibrated": "0.250"}),
    ],
)
def test_words_of_an_answer(answer, words) -> None:
    whole = {"class": "b", "decision": "softmax", "p_b": 2 / 3, "steps": 1, "steps_used": 1}
    whole |= {"uncertainty_softmax_entropy": 0.5}
    expected = {"Class": "b", "Probability": "0.667", "Uncertainty": "0.500"}
    assert answer_words({**whole, **answer}, ["a", "b"]) == expected | words


@pytest.mark.parametrize(
    ("decision", "share", "uncertainty"),
    [
        ("majority", "Vote share", "0.100"),
        ("mean", "Probability", "0.200"),
        ("t_score", "Probability", "0.100"),
    ],
)
def test_a_rule_has_its_own_share_and_uncertainty(decision, share, uncertainty) -> None:
    kinds = {"uncertainty_vote_entropy": 0.1, "uncertainty_softmax_entropy": 0.2}
    answer = {"class": "b", "decision": decision, "p_b": 0.5, "steps": 9, "steps_used": 4, **kinds}
    words = answer_words(answer, ["a", "b"])
    assert words == {"Class": "b", share: "0.500", "Uncertainty": uncertainty, "Steps": "4 of 9"}


def test_a_decision_that_is_not_the_most_probable_class_is_explained() -> None:
    whole = {
        "image": "x.png",
        "refused": "",
        "decision": "majority",
        "p_a": 0.51,
        "steps": 9,
        "steps_used": 4,
    }
    whole |= {"class": "a", "uncertainty_vote_entropy": 0.9}
    low, high = ({**whole, "calibrated_a": p, "calibrated_b": 1 - p} for p in (0.295, 0.705))
    text = as_text(pd.DataFrame([low, high]), ["a", "b"])
    assert "0.295 *" in text and "0.705 *" not in text and "\n* Calibrated, another class" in text
    assert "*" not in as_text(pd.DataFrame([high]), ["a", "b"])


def test_what_was_assumed_of_a_dicom_file_without_a_window_is_told(runs, tmp_path, capsys, caplog) -> None:
    values = np.linspace(0, 4000, 400).reshape(20, 20).astype(np.uint16)
    without = write_dicom(tmp_path / "without.dcm", values, BitsStored=12)
    window = write_dicom(tmp_path / "with.dcm", values, BitsStored=12, WindowCenter=2000, WindowWidth=4000)
    classify(runs.bundles["timm"], without, window, "--json")
    assumed, nothing = json.loads(capsys.readouterr().out)
    assert "without a window" in assumed["note"] and nothing["note"] == ""
    assert caplog.text.count("without a window") == 1 and f"{without}: is a DICOM" in caplog.text


def test_explanations_are_not_put_among_other_files(runs, tmp_path, caplog) -> None:
    shutil.copy(runs.pictures()[0], tmp_path / "mine.png")
    classify(runs.bundles["timm"], tmp_path, f"--explain={tmp_path}", expect=1)
    assert "is there and no earlier explanation" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]
    written = []
    for images in (runs.pictures()[:2], runs.pictures()[:1]):  # its own are replaced
        classify(runs.bundles["timm"], *images, f"--explain={tmp_path}/why")
        (tmp_path / "why/image_1/notes.png").touch()
        written.append(len(list(tmp_path.glob("why/*/*.png"))))
    assert written == [5, 3]


def test_a_map_that_is_the_same_everywhere_is_said_to_be_so(tmp_path) -> None:
    answer = {"image": "x.png", "class": "a", "decision": "softmax", "p_a": 0.5, "steps": 1, "note": ""}
    answer |= {"uncertainty_softmax_entropy": 0.5}
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    for values, pictures in ((np.ones((4, 4)), 1), (np.eye(4), 2)):
        write_page(tmp_path / "page.html", "x", ["a"], [Explanation(answer, image, evidence={"a": values})])
        page = (tmp_path / "page.html").read_text()
        assert page.count("<img") == pictures and ("says nothing about where" in page) is (pictures == 1)


def test_images_unlike_the_training_data_are_told(runs, tmp_path, capsys) -> None:
    bundle = shutil.copytree(runs.bundles["unet"], tmp_path / "bundle")
    profile = bundle / "fitted/majority/as_used/profile.json"
    document = json.loads(profile.read_text())
    limits = document["limits"]
    for usual, unlike in ((1e9, False), (-1e9, True)):
        profile.write_text(json.dumps({**document, "limits": {**limits, "profile": usual}}))
        renewed(bundle)
        classify(bundle, runs.pictures()[0], "--json")
        (answer,) = json.loads(capsys.readouterr().out)
        assert answer["unlike"] is unlike and (answer["ood_profile"] > 0) is unlike
        classify(bundle, runs.pictures()[0])
        assert (UNLIKE_WORDS in capsys.readouterr().out) is unlike
