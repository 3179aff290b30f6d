"""What results were made with: trainings, hours and samples, and what is said where these are not here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from meddiff.errors import DataError
from meddiff.reporting.cost import by_stage, cost_part, hours_in_words, job_records
from meddiff.reporting.data import data_part
from meddiff.reporting.given import Given
from meddiff.reporting.origin import origin_part
from meddiff.reporting.training import run_record, training_part
from report_samples import DIFFUSION, participants, rows_of_accuracy, sample


@pytest.fixture
def given(tmp_path: Path) -> Given:
    rows = [rows_of_accuracy(DIFFUSION, "majority", 90.0, 83.3, 94.7)]
    tables = {"tables/classification": rows, "tables/participants": participants(["healthy", "ill"], [6, 6])}
    return sample(tmp_path, tables, models=[DIFFUSION])


def write(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def record(command: str, outputs: list[str], hours: float, gpu_hours: float = 0.0) -> dict:
    return {
        **{"format": 1, "command": command, "outputs": dict.fromkeys(outputs), "wall_hours": hours},
        **{"gpu_hours": gpu_hours, "device": "cpu", "code": {"sha256": "0123456789abcdef"}, "versions": {}},
    }


def test_what_is_not_here_is_said(given: Given) -> None:
    assert "Of 1 model there is no record of a training here" in training_part(given).html
    assert "there are no samples of them" in data_part(given).html
    assert "what it cost is not known" in cost_part(given).html
    assert "Software and machines" not in origin_part(given).html


@pytest.mark.slow
def test_trainings_are_as_their_records_say(given: Given) -> None:
    epochs = [{"epoch": 0, "step": 10, "loss": 0.5}, {"epoch": 1, "step": 20, "loss": 0.25, "valid_f1": 0.75}]
    path = Path(given.settings.runs[0].folder) / "weights/run.json"
    write(
        path,
        {"epochs": epochs, "best_epoch": 1, "best_valid_f1": 0.75, "hours": 0.5, "parameters": 2_500_000},
    )
    html = training_part(given).html
    for value in ("2.50", "0.25", "0.750", "30.0 min"):
        assert f">{value}</td>" in html
    specs = re.findall(r'<script type="application/json">(.*?)</script>', html)
    losses = [value["y"] for value in json.loads(specs[0])["data"]["values"]]
    assert losses == [0.5, 0.25] and len(specs) == 2
    write(path, {"epochs": epochs, "best_epoch": -1, "best_valid_f1": -1.0})
    html = training_part(given).html
    assert ">last</td>" in html and "-1.000" not in html
    write(path, {"joint": "a checksum"})
    assert "All models" not in training_part(given).html  # it is a part of another
    path.write_text("[1]")
    with pytest.raises(DataError, match=r"run\.json: is no record of a training"):
        run_record(given.settings.runs[0])


def test_each_job_counts_once(given: Given, tmp_path: Path) -> None:
    weights = Path(given.settings.runs[0].folder) / "weights"
    trained = record("train", ["a", "b"], 1.5, 3.0)
    for name in ("a", "b"):
        write(weights / f"provenance/{name}.json", trained)
        write(weights / f"kept/0/provenance/{name}.json", record("train", [f"old {name}"], 99.0))
    write(tmp_path / "tables/provenance/t.csv.json", record("artifact", ["t"], 0.25))
    write(tmp_path / "tables/provenance/report.json", record("report", ["r"], 7.0))
    (tmp_path / "tables/provenance/damaged.json").write_text("{")
    stages = by_stage(job_records(given.settings))
    assert {name: (one.jobs, one.hours, one.gpu_hours) for name, one in stages.items()} == {
        "train": (1, 1.5, 3.0),
        "evaluate": (1, 0.25, 0.0),
    }


@pytest.mark.parametrize(("hours", "words"), [(1500.0, "1,500.0 h"), (0.5, "30.0 min"), (0.001, "4 s")])
def test_hours_have_the_unit_that_fits(hours: float, words: str) -> None:
    assert hours_in_words(hours) == words


def test_samples_are_of_their_class(given: Given) -> None:
    from meddiff.data.stores.store_files import index_sha256

    store = Path(given.settings.datasets[0].store)
    store.mkdir()
    images = np.zeros((9, 4, 4, 3), np.uint8)
    np.save(store / "train.npy", images)
    labels = [0] * 8 + [1]
    ids = [f"image <{number}>" for number in range(9)]
    index = pd.DataFrame({"split": "train", "row": range(9), "image_id": ids, "label": labels, "group": ids})
    index.to_parquet(store / "index.parquet")
    split = {"n": 9, "sha256": "", "index_sha256": index_sha256(index)}
    manifest = {"format_version": 1, "size": 4, "channels": 3, "class_names": ["healthy", "ill"]}
    write(store / "manifest.json", {**manifest, "splits": {"train": split}})
    html = data_part(given).html
    assert re.findall(r'alt="(\w+): image &lt;(\d)&gt;"', html) == [
        *(("healthy", number) for number in "013467"),
        ("ill", "8"),
    ]
