"""The data of the explorer: what models decided, what is limited or missing, which names are safe."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from case_samples import ODD_CLASSES, ODD_IDS, made_up
from meddiff.cases.collect import collect_cases, details_of, read_index
from meddiff.cases.part import case_part
from meddiff.cases.settings import CaseSettings
from meddiff.cli import main
from meddiff.errors import DataError
from meddiff.readout.predictions import probabilities, read_predictions


def collected(settings: CaseSettings, folder: Path) -> tuple[dict, dict]:
    """The index, and the details of all images of its first dataset."""
    collect_cases(settings, folder / "cases.json", folder / "cases")
    found: dict = {}
    for path in (folder / "cases").glob("0-*.js"):
        found |= {int(at): one for at, one in json.loads(details_of(path)).items()}
    return read_index(folder / "cases.json"), found


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[CaseSettings, Path]:
    """Thirty images of three classes."""
    folder = tmp_path_factory.mktemp("small")
    return made_up(folder, 30, ["a", "b", "c"]), folder


def test_the_index_says_what_the_tables_say(small, tmp_path: Path) -> None:
    settings, _ = small
    index, details = collected(settings, tmp_path)
    dataset = index["datasets"][0]
    for number, run in enumerate(settings.datasets[0].runs):
        table, shown = read_predictions(run.predictions), dataset["runs"][number]
        assert dataset["ids"] == table["image_id"].tolist() and dataset["labels"] == table["label"].tolist()
        assert shown["prediction"] == table["prediction"].tolist()
        p = probabilities(table)
        assert shown["p"] == pytest.approx(p.max(axis=1), rel=1e-4)
        assert [details[i]["p"][number] for i in range(30)] == np.rint(1000 * p).astype(int).tolist()
    assert (dataset["runs"][0]["kind"], dataset["runs"][1]["kind"]) == ("vote_entropy", "softmax_entropy")
    first = details[0]["scored"][0]
    assert first["best"] == dataset["runs"][0]["prediction"][0] and first["used"] == first["total"] == 12
    assert set(first["edits"]["targets"][0]) == {"to", "picture", "own", "oracle"}
    assert "edits" not in details[5]["scored"][0]


def test_the_same_files_give_the_same_bytes_and_name_no_folder(small, tmp_path: Path) -> None:
    settings, folder = small
    for name in ("one", "two"):
        collect_cases(settings, tmp_path / name / "cases.json", tmp_path / name / "cases")
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) > 3
    for file in files:
        content = (tmp_path / "one" / file).read_bytes()
        assert content == (tmp_path / "two" / file).read_bytes()
        assert str(folder).encode() not in content


def test_a_large_split_has_details_of_the_images_that_models_err_in(small, tmp_path: Path) -> None:
    settings, _ = small
    index, details = collected(settings.model_copy(update={"most_details": 4}), tmp_path)
    dataset = index["datasets"][0]
    wrong = sum(np.array(run["prediction"]) != np.array(dataset["labels"]) for run in dataset["runs"])
    assert sorted(details) == dataset["details"] and len(details) == 4
    assert wrong[dataset["details"]].min() >= np.sort(wrong)[-4]
    assert len(dataset["ids"]) == 30 and dataset["sheets"]["files"] == ["0-0.webp"]


def test_what_is_not_here_is_left_out(small, tmp_path: Path) -> None:
    settings, folder = small
    copy = tmp_path / "copy"
    document = json.loads(settings.model_dump_json().replace(str(folder), str(copy)))
    copy.mkdir()
    for name in ("majority.csv", "softmax.csv", "strata.csv"):
        (copy / name).write_bytes((folder / name).read_bytes())
    index, details = collected(CaseSettings.model_validate(document), tmp_path)
    assert index["datasets"][0]["sheets"] is None
    assert details[0]["pictures"] == {} and details[0]["scored"] == [{"model": "unet"}]
    assert len(details) == 30


@pytest.mark.parametrize("classes", [ODD_CLASSES, [f"c{k}" for k in range(14)]])
def test_any_name_and_any_number_of_classes(tmp_path: Path, classes: list[str]) -> None:
    settings = made_up(tmp_path / "run", ODD_IDS, classes)
    index, details = collected(settings, tmp_path)
    assert index["datasets"][0]["classes"] == classes and index["datasets"][0]["ids"] == ODD_IDS
    assert set(details) == set(range(len(ODD_IDS)))
    assert all(re.fullmatch(r"\d+-\d+\.(js|webp)", name) for name in index["files"])
    part = case_part(tmp_path / "cases.json", tmp_path / "cases")
    assert "alert" in part.html  # it is there, as data
    assert "<script>alert" not in part.html and "</script> one" not in part.html and "<img" not in part.html


def test_one_image(tmp_path: Path) -> None:
    index, details = collected(made_up(tmp_path / "run", 1, ["a", "b"]), tmp_path)
    assert len(index["datasets"][0]["ids"]) == len(details) == 1


def test_without_diffusion_models(small, tmp_path: Path) -> None:
    settings, _ = small
    dataset = settings.datasets[0]
    alone = dataset.model_copy(update={"runs": dataset.runs[1:], "scored": []})
    _, details = collected(settings.model_copy(update={"datasets": [alone]}), tmp_path)
    assert details[0]["scored"] == [] and len(details[0]["p"]) == 1


def test_tables_of_other_images_are_refused(small, tmp_path: Path) -> None:
    settings, _ = small
    run = settings.datasets[0].runs[1]
    table = pd.read_csv(run.predictions)
    table.loc[3, "image_id"] = "another"
    table.to_csv(tmp_path / "softmax.csv", index=False)
    other = run.model_copy(update={"predictions": str(tmp_path / "softmax.csv")})
    dataset = settings.datasets[0].model_copy(update={"runs": [settings.datasets[0].runs[0], other]})
    with pytest.raises(DataError, match=r"softmax.csv: its images are not those of .*'another'"):
        collect_cases(
            settings.model_copy(update={"datasets": [dataset]}), tmp_path / "cases.json", tmp_path / "cases"
        )


def test_a_small_run_is_one_file_and_a_changed_folder_is_refused(small, tmp_path: Path) -> None:
    settings, _ = small
    collected(settings, tmp_path)
    part = case_part(tmp_path / "cases.json", tmp_path / "cases")
    assert 'id="cases-details-0-0"' in part.html and 'id="cases-sheet-0-0.webp"' in part.html
    (tmp_path / "cases/0-1.js").write_text("meddiffDetails(0,{});\n")
    with pytest.raises(DataError, match=r"0-1\.js: is missing or is not the file"):
        case_part(tmp_path / "cases.json", tmp_path / "cases")


def test_the_command_writes_both_and_says_what_is_wrong(small, tmp_path: Path, caplog) -> None:
    settings, _ = small
    out = ["--out", str(tmp_path / "cases.json"), "--out-folder", str(tmp_path / "cases")]
    assert main(["cases", "--params", settings.model_dump_json(), *out]) == 0
    assert read_index(tmp_path / "cases.json")["files"].keys() == {
        p.name for p in (tmp_path / "cases").iterdir()
    }
    assert main(["cases", "--params", '{"datasets": [], "most_details": 1}', *out]) == 1
    assert "--params: datasets" in caplog.text
