"""What reaches each rule of the configuration: all that its result depends on, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from wildcard_samples import job

from meddiff.config.dataset_slices import SplitParams, StoreParams, ValidateParams
from meddiff.pipeline.data import Data
from meddiff.pipeline.experiment import Experiment
from meddiff.pipeline.explaining import Explaining
from meddiff.pipeline.outputs import Outputs
from meddiff.pipeline.scoring import Scoring
from meddiff.pipeline.training import Training
from meddiff.pipeline.weights import Weights

CHEST = "phantom_chest"
DIT = job(CHEST, "tiny_dit", votes="0", decision="majority")
BASELINE = job(CHEST, "tiny_resnet", decision="softmax")
SLICES: dict[str, Callable[[Experiment], str]] = {
    "validate": lambda e: Data(e).settings(ValidateParams)(DIT),
    "split": lambda e: Data(e).settings(SplitParams)(DIT),
    "store": lambda e: Data(e).settings(StoreParams)(DIT),
    "train": lambda e: Training(e).settings(DIT),
    "train baseline": lambda e: Training(e).settings(BASELINE),
    "train joint": lambda e: Training(e).settings(job(model="tiny_stable_diffusion")),
    "select": lambda e: Weights(e).selected_settings(job("phantom_skin", "tiny_stable_diffusion")),
    "score": lambda e: Scoring(e).settings(DIT),
    "decide": lambda e: Scoring(e).decide_settings(job(decided=f"{CHEST}/tiny_dit/seed0/votes0")),
    "metrics": lambda e: Scoring(e).metrics_settings(DIT),
    "explain": lambda e: Explaining(e).settings(DIT),
    "measure": lambda e: Explaining(e).measuring_settings(DIT),
}
SHIFTS = "shifts:\n  images: 20\n  steps: 16\n"
EXPERIMENT, DATASET = "experiments/demo.yaml", f"datasets/{CHEST}.yaml"
MODEL, SKIN = "models/tiny_dit.yaml", "datasets/phantom_skin.yaml"


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        (EXPERIMENT, "title: Dem", "title: A dem", set()),
        (EXPERIMENT, "preset: fixed", "preset: fixed\nfigures: {method: {dpi: 100}}", set()),
        (EXPERIMENT, "  steps: 51", "  steps: 51\n  shards: 4", set()),
        (EXPERIMENT, "preset: fixed", "preset: fixed\ncompute: {save_minutes: 1}", set()),
        (EXPERIMENT, "models: [tiny_resnet, tiny_vit", "models: [tiny_vit, tiny_resnet", set()),
        (MODEL, "title: ", "title: A ", set()),
        (
            EXPERIMENT,
            "preset: fixed",
            f"preset: fixed\nprevalence: {{{CHEST}: {{pleural effusion: 0.1}}}}",
            {"decide"},
        ),
        (EXPERIMENT, "preset: fixed", "preset: fixed\nprevalence: {phantom_skin: {melanoma: 0.1}}", set()),
        (EXPERIMENT, "  steps: 51", "  steps: 31", {"score"}),
        (
            EXPERIMENT,
            "evaluate:",
            "evaluate:\n  confidence: 0.9",
            {"metrics", "measure"},
        ),
        (EXPERIMENT, "evaluate:", "evaluate:\n  operating_point: {sensitivity: 0.9}", {"metrics"}),
        (EXPERIMENT, "cfg_scale: 2.5\n", "cfg_scale: 3.5\n", {"explain"}),
        (EXPERIMENT, "  oracle:", "  examples: 3\n  oracle:", {"measure"}),
        (MODEL, "epochs: 18", "epochs: 19", {"train"}),
        ("models/tiny_resnet.yaml", "lr: ", "lr: 2", {"train baseline"}),
    ],
)
def test_an_edit_reaches_the_rules_that_depend_on_it(experiment, edited, file, old, new, changed):
    before = {name: of(experiment("demo")) for name, of in SLICES.items()}
    after = edited("demo", file, old, new)
    assert {name for name, of in SLICES.items() if of(after) != before[name]} == changed


def test_what_a_slice_has(experiment):
    demo = experiment("demo")
    keys = {name: set(json.loads(of(demo))) for name, of in SLICES.items()}
    assert keys["score"] == {"steps", "noise_levels", "precision", "seed"}
    assert keys["train"] == keys["train baseline"] == keys["train joint"] == {"model", "seed"}
    assert keys["store"] == {"format", "classes", "channels", "bits"}
    assert keys["select"] == {"model", "num_classes", "channels", "image_size", "seed", "first_class"}
    assert keys["metrics"] == {
        *("dataset", "model", "seed", "votes", "decision"),
        *("bootstrap_samples", "confidence", "bootstrap_seed", "operating_point"),
    }
    assert "votes" not in json.loads(Scoring(demo).metrics_settings(BASELINE))


def test_an_operating_point_of_two_classes_is_chosen_on_the_validation_split(experiment, edited):
    decided = f"results/demo/{CHEST}/tiny_dit/seed0/votes0"
    assert Scoring(experiment("demo")).validation_option(DIT) == [
        "--validation",
        f"{decided}/scores/valid/majority.csv",
    ]
    three = edited("demo", DATASET, "classes:", "classes:\n  - {value: 2, name: other}")
    not_scored = edited("demo", EXPERIMENT, SHIFTS, "  validation: false\n")
    for other in (three, not_scored):
        assert Scoring(other).validation_option(DIT) == []
        assert "operating_point" not in json.loads(Scoring(other).metrics_settings(DIT))


def test_further_errors_have_their_own_levels_or_split(experiment):
    scoring = Scoring(experiment("demo"))

    def further(name: str) -> tuple[str, str]:
        wildcards = job(CHEST, "tiny_dit", votes="2", further=name)
        settings = json.loads(scoring.settings(wildcards))
        assert settings["seed"] == 2
        return scoring.split(wildcards), settings["noise_levels"]

    assert further("valid") == ("valid", "uniform") and further("antithetic") == ("test", "antithetic")
    assert scoring.split(DIT) == "test"


def test_maps_are_beside_errors_only_where_they_are_wanted(experiment, edited):
    scoring = Scoring(experiment("demo"))
    without = edited("demo", EXPERIMENT, "  steps: 51", "  steps: 51\n  evidence: false")
    both = {
        "a/errors.nc": "a/evidence.nc",
        "a/errors_valid.nc": "a/evidence_valid.nc",
        "a/shards/{item}.nc": "a/shards/evidence-{item}.nc",
    }
    assert all(scoring.files(errors) == [errors, evidence] for errors, evidence in both.items())
    assert all(Scoring(without).files(errors) == [errors] for errors in both)

    def gather(pattern: str, allow_missing: bool) -> list[str]:
        return [pattern.format(item=item) for item in "12" if allow_missing]

    names = [path.rpartition("/")[2] for path in scoring.shards(gather, "a/shards/{item}.nc")]
    assert names == ["1.nc", "2.nc", "evidence-1.nc", "evidence-2.nc"]
    assert any(path.endswith("evidence_file.py") for path in scoring.code(DIT))
    assert not any(path.endswith("evidence_file.py") for path in Scoring(without).code(DIT))
    assert not any("evidence" in path for path in Outputs(without).predictions())


def test_shifted_images_have_a_store_and_steps_of_their_own(experiment, edited):
    demo = experiment("demo")
    shifted = job(CHEST, "tiny_dit", votes="0", further="shifted")
    settings = json.loads(Scoring(demo).settings(shifted))
    assert (settings["steps"], settings["noise_levels"]) == (demo.settings.shifts.steps, "uniform")
    assert Scoring(demo).split(shifted) == "shifted"
    data, folder = Data(demo), f"results/demo/{CHEST}/shifted/32"
    baseline = job(CHEST, "tiny_resnet", split="shifted", decision="softmax")
    for wildcards in (shifted, baseline):
        assert data.manifest(wildcards) == f"{folder}/manifest.json"
        assert data.arrays(wildcards) == [f"{folder}/shifted.npy"]
    others = [f"data/{name}/store/32/manifest.json" for name in (CHEST, "phantom_skin")]
    assert data.shifted_from(job(CHEST, size="32")) == others
    kinds = json.loads(data.shift_settings(job(CHEST)))["kinds"]
    assert "other_datasets" in kinds and "phantom" not in kinds  # it is one itself
    alone = edited("demo", EXPERIMENT, SHIFTS, "shifts: {kinds: [inverted]}\n")
    assert Data(alone).shifted_from(job(CHEST, size="32")) == others[:1]


def test_stopping_is_said_only_where_something_stops(edited):
    stops = edited("demo", EXPERIMENT, "  steps: 51", "  steps: 51\n  stopping: {kind: exact}")
    assert json.loads(Scoring(stops).settings(DIT))["stopping"]["kind"] == "exact"
    assert any(path.endswith("diffusion/stopping.py") for path in Scoring(stops).code(DIT))


def test_a_joint_model_has_the_classes_and_images_of_all_datasets(experiment):
    demo, wildcards = experiment("demo"), job(model="tiny_stable_diffusion")
    training = Training(demo)
    assert training.datasets(wildcards) == demo.datasets
    assert training.run(wildcards) == "joint/tiny_stable_diffusion/seed0"
    assert training.arrays(wildcards) == [f"data/{name}/store/32/train.npy" for name in demo.datasets]
    assert training.arrays(DIT) == [f"data/{CHEST}/store/32/{split}.npy" for split in ("train", "valid")]
    selected = json.loads(Weights(demo).selected_settings(job("phantom_skin", "tiny_stable_diffusion")))
    assert selected["first_class"] == 2 == len(demo.config.datasets[CHEST].classes)


def test_code_is_that_of_the_kind(experiment, root, monkeypatch):
    monkeypatch.chdir(root)
    demo, source = experiment("demo"), "workflow/src/meddiff"
    dit, unet = f"{source}/networks/dit.py", f"{source}/networks/unet.py"
    for code in (Training(demo).code(DIT), Scoring(demo).code(DIT), Explaining(demo).code(DIT)):
        assert dit in code and unet not in code
    assert not [path for path in Scoring(demo).code(DIT) if "/training/" in path or "/pipeline/" in path]
    assert f"{source}/networks/classifier.py" in Training(demo).code(BASELINE)


def test_who_judges_counterfactuals(experiment, edited):
    explaining = Explaining(experiment("demo"))
    folder = f"results/demo/{CHEST}/tiny_resnet/seed0"
    assert explaining.judges(DIT) == {"oracle": f"{folder}/weights", "features": f"{folder}/weights"}
    assert explaining.judge_weights(DIT) == [
        f"{folder}/weights/{name}" for name in ("model.safetensors", "config.yaml")
    ]
    assert explaining.oracle_option(DIT) == ["--oracle", f"{folder}/predictions/softmax.csv"]
    assert explaining.own_predictions(DIT).endswith("tiny_dit/seed0/votes0/predictions/majority.csv")
    other = Explaining(edited("demo", EXPERIMENT, "  oracle: tiny_resnet", "  features: my/network"))
    assert other.judges(DIT) == {"features": "my/network"} and other.oracle_predictions(DIT) == []
    assert Explaining(edited("demo", EXPERIMENT, "  oracle: tiny_resnet\n", "")).judge_code(DIT) == []


def test_masks_are_those_of_phantoms(experiment):
    assert Explaining(experiment("demo")).masks_manifest(DIT) == [f"data/{CHEST}/raw.json"]
    paper = Explaining(experiment("paper"))
    assert paper.masks_manifest(job("isic", "unet")) == []
    assert json.loads(paper.measuring_settings(job("isic", "unet")))["phantom"] is None


def test_the_extra_last_step_is_of_the_published_sampler(experiment):
    wildcards = job("isic", "unet")
    official = Explaining(experiment("paper", preset="official"))
    assert json.loads(official.settings(wildcards))["extra_last_step"] is True
    assert json.loads(Explaining(experiment("paper")).settings(wildcards))["extra_last_step"] is False
