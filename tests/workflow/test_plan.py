"""Plans of whole experiments, against dry runs and against what a finished run has on disk."""

from __future__ import annotations

import json

import numpy as np
import pytest

from meddiff import cli

pytestmark = pytest.mark.slow


@pytest.fixture
def plan(monkeypatch, capsys):
    """Run the command in a project and read its JSON."""

    def run(project, *arguments: str) -> dict:
        monkeypatch.chdir(project.folder)
        assert cli.main(["plan", "--json", *arguments]) == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.mark.parametrize("experiment", ["paper", "demo", "smallest"])
def test_jobs_are_those_of_a_dry_run(clone, plan, experiment):
    found = plan(clone, "--config", f"experiment={experiment}", "--tflops", "100", "--gpus", "4")
    expected = clone.planned("--config", f"experiment={experiment}")
    assert found["rules"] == expected
    assert found["in_all"]["jobs"] == sum(expected.values())
    assert sum(row["jobs"] for row in found["stages"]) == sum(expected.values())
    hours = found["in_all"]["gpu_hours"]
    assert hours == pytest.approx(found["in_all"]["flops"] / 100e12 / 3600)
    assert hours / 4 <= found["wall_hours"] <= hours


def test_plan_by_calibration_is_consistent(clone, plan):
    found = plan(clone, "--calibrate", "--calibrate-seconds", "0.1")
    rates = {
        model: [*rate["inference"].values(), rate["training"]] for model, rate in found["tflops"].items()
    }
    assert set(rates) == {"small_unet", "small_dit", "small_resnet"}
    lowest, highest = min(map(min, rates.values())), max(map(max, rates.values()))
    hours = found["in_all"]["flops"] / 1e12 / 3600
    assert 0 < hours / highest <= found["in_all"]["gpu_hours"] <= hours / lowest


def test_disk_is_what_a_finished_run_has(finished, plan):
    assert plan(finished)["in_all"]["jobs"] == 0
    found = {row["stage"]: row for row in plan(finished, "--everything")["stages"]}
    arrays = (finished.folder / "data/small_chest/store/16").glob("*.npy")
    assert found["prepare"]["kept_bytes"] == sum(np.load(path).nbytes for path in arrays)
    for model in ("small_unet", "small_resnet"):
        run = finished.folder / f"results/smallest/small_chest/{model}/seed0"
        size = (run / "weights/model.safetensors").stat().st_size
        # A file of few tensors has a header of several kB.
        assert 0 < size - found[f"train {model}"]["kept_bytes"] < 50_000


def test_without_a_throughput_there_are_no_hours(clone, monkeypatch, capsys):
    monkeypatch.chdir(clone.folder)
    assert cli.main(["plan"]) == 0
    text = capsys.readouterr().out
    assert "GPU-hours need a throughput" in text
    assert "small_chest: 36 + 12 + 12 images" in text


def test_another_folder_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["plan"]) == 1
    assert "there is no Snakefile here" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "experimnt=paper"], "experimnt: unknown key"),
        (["--config", "experiment=papers"], "experiment 'papers'"),
        (["--config", "paper"], "expected KEY=VALUE"),
        (["--images", "chexprt=1,2,3"], "no such dataset"),
    ],
)
def test_what_is_wrong_is_said(clone, monkeypatch, caplog, arguments, message):
    monkeypatch.chdir(clone.folder)
    assert cli.main(["plan", *arguments]) == 1
    assert message in caplog.text
