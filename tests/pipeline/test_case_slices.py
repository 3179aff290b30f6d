"""What the rule of the case explorer takes: which runs are shown, and from which files."""

from __future__ import annotations

import json

from meddiff.cases.settings import CaseSettings
from meddiff.pipeline.cases import Cases, cases_of


def settings_of(experiment) -> CaseSettings:
    return CaseSettings.model_validate(json.loads(Cases(experiment).settings(None)))


def test_every_model_is_shown_with_its_first_seeds(experiment):
    paper = settings_of(experiment("paper"))
    for dataset in paper.datasets:
        assert len(dataset.runs) == 7 + 4 * 2  # baselines; diffusion models, by votes and by mean error
        assert len(dataset.scored) == 4
        assert {run.predictions.split("/seed")[1][0] for run in dataset.runs} == {"0"}
    latent = [one.model for one in paper.datasets[0].scored if one.wavelet is None]
    assert {*latent} == {"stable_diffusion_zero_shot", "stable_diffusion_finetuned"}


def test_inputs_are_small_files_that_the_rest_follows(experiment):
    demo = experiment("demo")
    files = Cases(demo).files()
    assert files["counterfactuals"] == [
        f"results/demo/{dataset}/tiny_dit/seed0/counterfactuals/counterfactuals.csv"
        for dataset in ("phantom_chest", "phantom_skin")
    ]
    assert all(path.endswith(".csv") for paths in files.values() for path in paths)
    assert [path.rpartition("/")[2] for path in Cases(demo).images()] == ["images"] * 2
    assert cases_of(demo) == ["results/demo/report/cases.json", "results/demo/report/cases"]


def test_other_test_splits_are_datasets_of_their_own(experiment):
    shown = {dataset.name: dataset for dataset in settings_of(experiment("elsewhere")).datasets}
    pairs = [name for name in shown if "-on-" in name]
    assert pairs
    for name in pairs:
        own, _, other = name.partition("-on-")
        assert all(
            "/store/" in path and path.startswith(f"data/{other}/") for path in shown[name].stores.values()
        )
        assert all(f"tested_on/{other}/" in run.predictions for run in shown[name].runs)
        assert shown[name].classes == shown[own].classes and "→" in shown[name].title


def test_strata_are_named_where_there_is_an_audit(experiment):
    shortcut = settings_of(experiment("shortcut"))
    audited = [dataset.strata for dataset in shortcut.datasets if dataset.strata]
    assert audited and audited[0].path.endswith("/strata.csv")
