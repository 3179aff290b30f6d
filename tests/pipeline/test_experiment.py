"""The runs of an experiment and where their files lie; every file that is kept."""

from __future__ import annotations

from collections import Counter

from meddiff.pipeline.outputs import Outputs
from meddiff.runs import Run, ScoringRun, TrainedRun


def test_runs_of_the_paper(experiment):
    paper = experiment("paper")
    assert len(paper.trained_runs()) == 2 * 11  # datasets, models; one training seed
    # Four diffusion models with three vote seeds each, decided in three ways; seven baselines.
    assert len(paper.scored_runs()) == 2 * 4 * 3
    assert Counter(run.decision for run in paper.decided_runs()) == {
        "softmax": 2 * 7,
        "majority": 2 * 4 * 3,
        "mean": 2 * 4 * 3,
        "t_score": 2 * 4 * 3,
    }
    # By t-score and by mean error every image gets the same class.
    assert {run.decision for run in paper.reported_runs()} == {"softmax", "majority", "mean"}
    assert paper.trained_runs()[0] == TrainedRun(dataset="chexpert", model="resnet18", seed=0)
    assert paper.joint_models() == ["stable_diffusion_finetuned"]
    assert paper.zero_shot_models() == ["stable_diffusion_zero_shot"]
    assert set(paper.single_models()) == set(paper.models) - {
        *paper.joint_models(),
        *paper.zero_shot_models(),
    }


def test_order_is_that_of_the_file(experiment):
    demo = experiment("demo")
    assert demo.datasets == ["phantom_chest", "phantom_skin"]
    assert [run.model for run in demo.trained_runs()[:5]] == demo.models
    assert [run.dataset for run in demo.trained_runs()] == ["phantom_chest"] * 5 + ["phantom_skin"] * 5
    assert [run.model for run in demo.counterfactual_runs()] == ["tiny_dit", "tiny_dit"]
    assert experiment("nih_cxr").counterfactual_runs() == []


def test_paths(experiment):
    demo = experiment("demo")
    run = Run(dataset="phantom_chest", model="tiny_dit", seed=3, votes=7, decision="mean")
    folder = "results/demo/phantom_chest/tiny_dit/seed3"
    assert demo.weights(run) == f"{folder}/weights"
    assert demo.errors(run) == f"{folder}/votes7/errors.nc"
    assert demo.errors(run, "valid") == f"{folder}/votes7/errors_valid.nc"
    assert demo.evidence(run, "valid") == f"{folder}/votes7/evidence_valid.nc"
    assert demo.predictions(run) == f"{folder}/votes7/predictions/mean.csv"
    assert demo.metrics(run) == f"{folder}/votes7/metrics/mean.csv"
    assert demo.counterfactual(run, "measures.csv") == f"{folder}/counterfactuals/measures.csv"
    baseline = Run(dataset="phantom_chest", model="tiny_resnet", seed=3, decision="softmax")
    assert demo.predictions(baseline) == f"{folder.replace('dit', 'resnet')}/predictions/softmax.csv"
    assert (demo.table("audit"), demo.figure("audit")) == (
        "results/demo/tables/audit.csv",
        "results/demo/figures/audit.csv",
    )
    assert experiment("paper", weights="official").results == "results/paper-official"
    assert experiment("paper", preset="official").logs == "logs/paper-preset-official"


def test_a_model_may_be_trained_on_cropped_images_and_is_used_on_whole_ones(experiment):
    official, fixed = experiment("paper_official"), experiment("paper")
    model = "stable_diffusion_finetuned"
    assert official.training_store("isic", model) == "data/isic/store/256-crop"
    assert official.store("isic", model) == fixed.training_store("isic", model) == "data/isic/store/256"


def test_kept_files_by_stage(experiment):
    demo = Outputs(experiment("demo"))
    assert "splits/phantom_skin/origin.json" in demo.datasets()
    assert "data/phantom_chest/store/32/valid.npy" in demo.datasets()
    assert demo.strata() == []
    # Ten models of a dataset, one of both together; and what it begins from.
    assert Counter(path.rpartition("/")[2] for path in demo.weights()) == {
        "model.safetensors": 11,
        "config.yaml": 11,
        "run.json": 11,
        "manifest.json": 1,
    }
    made = Counter(path.rpartition("/")[2] for path in demo.predictions())
    # Scores of both splits and of shifted images, predictions and metrics.
    assert made["errors.nc"] == made["errors_valid.nc"] == made["majority.json"] == 6
    assert made["evidence.nc"] == made["evidence_valid.nc"] == 6
    assert made["majority.csv"] == made["mean.csv"] == made["t_score.csv"] == 4 * 6
    assert made["softmax.csv"] == 5 * 4 and made["errors_shifted.nc"] == 6 and made["examples.npz"] == 2
    assert Outputs(experiment("shortcut")).strata() == ["data/phantom_shortcut/strata.csv"]


def test_files_that_a_clone_was_restored_without_are_not_missed(experiment):
    demo = experiment("demo")
    gone = {demo.errors(ScoringRun(dataset="phantom_chest", model="tiny_dit", seed=0, votes=0))}
    every, fewer = Outputs(demo).predictions(), Outputs(demo, gone).predictions()
    assert set(every) - set(fewer) == gone and len(every) == len(fewer) + 1


def test_released_weights_are_listed_and_no_model_is_trained_on_all_datasets(experiment):
    released = Outputs(experiment("paper", weights="official"))
    assert "data/official/listing.json" in released.weights()
    assert not [path for path in released.weights() if "/joint/" in path]
    assert [path for path in Outputs(experiment("paper")).weights() if "/joint/" in path]
    assert not [path for path in released.datasets() if "-crop" in path]
