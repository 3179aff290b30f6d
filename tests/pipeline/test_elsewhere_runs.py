"""Models on another dataset's test split: runs, files, what rules get, and the name in results."""

from __future__ import annotations

import json

import pytest
from wildcard_samples import job

from meddiff.artifacts.lookup import planned
from meddiff.artifacts.settings import DecidedLayout, class_names, layout, prevalences
from meddiff.pipeline.data import Data
from meddiff.pipeline.experiment import Experiment
from meddiff.pipeline.outputs import Outputs
from meddiff.pipeline.scoring import Scoring
from meddiff.runs import Run, is_pair

CHEST, CLINIC = "phantom_chest", "phantom_clinic"
OWN = Run(dataset=CHEST, model="tiny_unet", seed=0, votes=0, decision="mean")
THERE = Run(**OWN.model_dump(), tested_on=CLINIC)
FOLDER = f"results/elsewhere/{CHEST}/tiny_unet/seed0"
WILDCARDS = job(CHEST, "tiny_unet", votes="0", elsewhere=f"/tested_on/{CLINIC}", decision="mean")
RELABEL = {
    "class_names": ["no finding", "pleural effusion"],
    "classes": {"healthy": "no finding", "effusion": "pleural effusion"},
}


@pytest.fixture(scope="module")
def elsewhere(experiment) -> Experiment:
    return experiment("elsewhere")


def test_only_what_is_scored_is_of_the_other_dataset(elsewhere):
    assert {run.dataset for run in elsewhere.trained_runs()} == {CHEST}
    assert THERE in elsewhere.reported_runs() and OWN in elsewhere.reported_runs()
    assert [run.tested_on for run in elsewhere.tested_runs()] == [None, CLINIC]
    # What needs more than the errors of a test split is of the dataset trained on.
    assert [run.tested_on for run in elsewhere.scored_runs()] == [None]


def test_paths(elsewhere):
    there = f"{FOLDER}/tested_on/{CLINIC}/votes0"
    assert elsewhere.errors(THERE) == f"{there}/errors.nc"
    assert elsewhere.scores(THERE) == f"{there}/scores/test/mean.csv"
    assert elsewhere.predictions(THERE) == f"{there}/predictions/mean.csv"
    assert elsewhere.metrics(THERE) == f"{there}/metrics/mean.csv"
    # What is fitted is fitted where the model was trained.
    assert elsewhere.weights(THERE) == f"{FOLDER}/weights"
    assert elsewhere.scores(THERE, "valid") == f"{FOLDER}/votes0/scores/valid/mean.csv"
    assert elsewhere.errors(THERE, "valid") == f"{FOLDER}/votes0/errors_valid.nc"
    assert elsewhere.calibration(THERE) == f"{FOLDER}/votes0/calibration/mean.json"
    baseline = Run(dataset=CHEST, model="tiny_resnet", seed=0, decision="softmax", tested_on=CLINIC)
    folder = FOLDER.replace("unet", "resnet")
    assert elsewhere.predictions(baseline) == f"{folder}/tested_on/{CLINIC}/predictions/softmax.csv"


def test_kept_files_are_asked_for_once(elsewhere):
    outputs = Outputs(elsewhere)
    datasets, predictions = outputs.datasets(), outputs.predictions()
    assert f"splits/{CLINIC}/test.csv" in datasets and f"data/{CLINIC}/store/32/test.npy" in datasets
    assert elsewhere.errors(THERE) in predictions and elsewhere.metrics(THERE) in predictions
    assert len(predictions) == len(set(predictions))
    assert not [path for path in predictions if CLINIC in path and "valid" in path]
    assert not [path for path in outputs.weights() if CLINIC in path]


def test_what_rules_get(elsewhere):
    scoring, own = Scoring(elsewhere), job(CHEST, "tiny_unet", votes="0", elsewhere="", decision="mean")
    assert Data(elsewhere).manifest(WILDCARDS) == f"data/{CLINIC}/store/32/manifest.json"
    assert Data(elsewhere).manifest(own) == f"data/{CHEST}/store/32/manifest.json"
    assert json.loads(scoring.settings(WILDCARDS))["relabel"] == RELABEL
    assert "relabel" not in json.loads(scoring.settings(own)) and scoring.split(WILDCARDS) == "test"
    folder, option, words = scoring.store_elsewhere(WILDCARDS)
    assert (folder, option, json.loads(words)) == (f"data/{CLINIC}/store/32", "--relabel", RELABEL)
    decided = job(decided=elsewhere.decided(THERE).removeprefix("results/elsewhere/"), decision="mean")
    assert scoring.calibration(decided) == [elsewhere.calibration(OWN)]
    assert scoring.validation_scores(WILDCARDS) == [elsewhere.scores(OWN, "valid")]
    assert json.loads(scoring.metrics_settings(WILDCARDS))["dataset"] == THERE.shown().dataset
    assert "tested_on" not in json.loads(scoring.metrics_settings(own))


def test_results_name_the_pair(elsewhere):
    shown = THERE.shown()
    assert OWN.shown() == OWN and shown.tested_on is None
    assert is_pair(shown.dataset) and not is_pair(CHEST)
    fields = layout(elsewhere, elsewhere.reported_runs())
    assert [entry["title"] for entry in fields["datasets"]] == [
        "Chest phantom",
        "Chest phantom → Clinic phantom",
    ]
    assert shown in DecidedLayout(**fields).runs
    assert class_names(elsewhere)[shown.dataset] == RELABEL["class_names"]
    # Where only the dataset trained on is shown, the pair is not.
    assert len(layout(elsewhere, [OWN])["datasets"]) == 1
    assert "tested_on" not in DecidedLayout(**layout(elsewhere, [OWN])).model_dump_json()


def test_every_artifact_has_a_place_for_the_pair(elsewhere):
    """None names files that no rule makes, or shows a dataset that it does not know."""
    made = {artifact.stem: artifact for artifact in planned(elsewhere)}
    assert {"figures/reliability_phantom_chest", f"figures/reliability_phantom_chest_tested_on_{CLINIC}"} <= {
        *made
    }
    kept = Outputs(elsewhere)
    there = {*kept.datasets(), *kept.weights(), *kept.predictions()}
    there |= {path for artifact in made.values() for path in artifact.outputs(elsewhere.results)}
    for artifact in made.values():
        wanted = [path for files in artifact.wanted.files.values() for path in files]
        assert not [path for path in wanted if CLINIC in path and path not in there], artifact.name
    pair = THERE.shown().dataset
    shown = [stem for stem, artifact in made.items() if pair in artifact.params(None)]
    for name in ("classification", "comparison", "metrics", "operating_point", "calibration", "flow"):
        assert f"tables/{name}" in shown
    for name in ("step_ablation", "uncertainty", "decision_curve"):
        assert f"figures/{name}" in shown


def test_probabilities_are_for_the_same_prevalence_elsewhere(experiment):
    said = experiment("elsewhere", prevalence=f"{CHEST}/pleural effusion=0.1")
    shares = {"no finding": 0.9, "pleural effusion": 0.1}
    assert prevalences(said) == dict.fromkeys((CHEST, THERE.shown().dataset), pytest.approx(shares))
    assert prevalences(experiment("elsewhere")) == {}
