"""Classifying with what the workflow has made gives the answers of its predictions, also from a bundle."""

from __future__ import annotations

import csv
import json

import pytest
from workflow_samples import Project, copy_of

pytestmark = pytest.mark.slow

RUN = "results/smallest/small_chest"
IMAGES = "data/small_chest/raw"


def rows(project: Project, path: str) -> list[dict[str, str]]:
    with open(project.folder / path, newline="") as stream:
        return list(csv.DictReader(stream))


def classified(project: Project, *arguments: str) -> list[dict]:
    output = project.run("python", "-m", "meddiff", "classify", *arguments, "--json")
    return json.loads(output[output.index("[\n") :])


@pytest.fixture(scope="module")
def used(everything: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished run, with a bundle of its UNet."""
    project = copy_of(everything, tmp_path_factory.mktemp("used"))
    project.run("python", "-m", "meddiff", "export", f"{RUN}/small_unet/seed0", "bundle")
    return project


def test_a_test_image_has_the_answer_of_the_predictions(used: Project) -> None:
    (image,) = [row for row in rows(used, "splits/small_chest/test.csv")][:1]
    (expected,) = [
        row
        for row in rows(used, f"{RUN}/small_unet/seed0/votes0/predictions/majority.csv")
        if row["image_id"] == image["image_id"]
    ]
    for model in ("bundle", f"{RUN}/small_unet/seed0/weights"):
        given = [f"{IMAGES}/{image['path']}", "--all-steps", "--id", image["image_id"]]
        (found,) = classified(used, model, *given)
        for name in ("no finding", "effusion"):
            assert found[f"p_{name}"] == pytest.approx(float(expected[f"p_{name}"]), abs=1e-9)
            assert found[f"calibrated_{name}"] == pytest.approx(
                float(expected[f"calibrated_{name}"]), abs=1e-6
            )
        assert found["class"] == ["no finding", "effusion"][int(expected["prediction"])]
        assert found["triage"] == expected["triage"]
        assert found["ood_profile"] == pytest.approx(float(expected["ood_profile"]), abs=1e-2)


def test_a_folder_is_classified_by_a_baseline_as_in_its_predictions(used: Project) -> None:
    expected = {
        row["image_id"]: float(row["p_effusion"])
        for row in rows(used, f"{RUN}/small_resnet/seed0/predictions/softmax.csv")
    }
    paths = {row["image_id"]: row["path"] for row in rows(used, "splits/small_chest/test.csv")}
    folder = f"{IMAGES}/CheXpert-v1.0-small/train"
    found = {row["image"]: row["p_effusion"] for row in classified(used, f"{RUN}/small_resnet/seed0", folder)}
    assert len(found) > len(expected)
    for image_id, share in expected.items():
        assert found[f"{IMAGES}/{paths[image_id]}"] == pytest.approx(share, abs=1e-5)
