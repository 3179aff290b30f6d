"""One experiment as the rules see it: its runs, and where their files lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from meddiff.config.datasets.folds import other_datasets, whole
from meddiff.errors import ConfigError
from meddiff.readout.rules import RULES
from meddiff.runs import Run, ScoringRun, TrainedRun
from meddiff.text import script_safe_json

if TYPE_CHECKING:
    from meddiff.config import Config
    from meddiff.config.schema.counterfactual import CounterfactualConfig
    from meddiff.config.schema.experiment import ExperimentConfig
    from meddiff.config.schema.model import AnyModel

BASELINE_DECISIONS = ("softmax",)
TEST, VALIDATION, SHIFTED = "test", "valid", "shifted"
# Rules that differ from another one in probabilities only.
_SAME_CLASS = {"t_score": "mean"}
# Takes the place of the dataset in the name of a model that is trained on all of them.
JOINT = "joint"


class Experiment:
    """The runs of an experiment in their order (datasets, models, seeds), and the paths of their files.

    Attributes:
        config: all configuration, resolved.
        results: folder of the results, relative to the repository.
        logs: folder of the logs.
    """

    def __init__(self, config: Config) -> None:
        """The runs of what `config` says.

        Raises:
            ConfigError: if it names a decision rule that there is not.
        """
        self.config = config
        if unknown := sorted({*self.settings.score.decisions} - RULES.keys()):
            raise ConfigError(
                f"config/experiments/{config.name}.yaml: score.decisions: there is no rule {unknown[0]!r}; "
                f"there are {', '.join(RULES)}"
            )
        self.results = f"results/{config.results_name}"
        self.logs = f"logs/{config.results_name}"

    @property
    def settings(self) -> ExperimentConfig:
        """What the experiment's file says."""
        return self.config.experiment

    @property
    def datasets(self) -> list[str]:
        """Names of the datasets."""
        return list(self.config.datasets)

    def other_datasets(self, dataset: str) -> list[str]:
        """Datasets of other images than those of `dataset`; of another one's folds the first."""
        return other_datasets(dataset, self.datasets)

    @property
    def models(self) -> list[str]:
        """Names of the models."""
        return self.settings.models

    def any_dataset(self, model: str) -> AnyModel:
        """The configuration of `model` on one dataset, for what does not differ between datasets."""
        return self.config.model(model, self.datasets[0])

    def is_diffusion(self, model: str) -> bool:
        """Whether `model` decides by noise-prediction errors."""
        return self.any_dataset(model).family == "diffusion"

    def zero_shot_models(self) -> list[str]:
        """Models that are used as they come."""
        return [model for model in self.models if self.any_dataset(model).train is None]

    def joint_models(self) -> list[str]:
        """Models that are trained once, on all datasets together."""
        trained = [model for model in self.models if model not in self.zero_shot_models()]
        return [m for m in trained if getattr(self.any_dataset(m), "train_on", None) == "joint"]

    def single_models(self) -> list[str]:
        """Models that are trained on each dataset."""
        special = {*self.zero_shot_models(), *self.joint_models()}
        return [model for model in self.models if model not in special]

    def joint_runs(self) -> list[TrainedRun]:
        """What is trained on all datasets together, before each gets its part; none with released weights."""
        models = [] if self.config.official_weights else self.joint_models()
        return [TrainedRun(dataset=JOINT, model=m, seed=seed) for m in models for seed in self.settings.seeds]

    def trained_runs(self) -> list[TrainedRun]:
        """Every trained model, as it is used on one dataset."""
        return [
            TrainedRun(dataset=dataset, model=model, seed=seed)
            for dataset in self.datasets
            for model in self.models
            for seed in self.settings.seeds
        ]

    def scored_runs(self) -> list[ScoringRun]:
        """Diffusion models with each of their vote seeds: each has one errors file of its test split."""
        return [run for run in self.tested_runs() if run.tested_on is None]

    def tested_runs(self) -> list[ScoringRun]:
        """The scored runs, and the same on the test splits of other datasets."""
        return [run for run in self.used_runs() if run.votes is not None]

    def decided_runs(self) -> list[Run]:
        """Every table of predictions; only those of votes have a vote seed."""
        return [
            Run(**run.model_dump(), decision=decision)
            for run in self.used_runs()
            for decision in (BASELINE_DECISIONS if run.votes is None else self.settings.score.decisions)
        ]

    def reported_runs(self) -> list[Run]:
        """The decided runs without those that name every image's class as another one does."""
        made = self.settings.score.decisions
        return [run for run in self.decided_runs() if _SAME_CLASS.get(run.decision) not in made]

    def used_runs(self) -> list[ScoringRun]:
        """Every trained model, as it is used on each test split with each of its vote seeds."""
        seeds = self.settings.score.vote_seeds
        return [
            ScoringRun(**run.model_dump(), votes=votes, tested_on=tested_on)
            for run in self.trained_runs()
            for tested_on in (None, *self.settings.test_on.get(run.dataset, {}))
            for votes in (seeds(run.seed) if self.is_diffusion(run.model) else [None])
        ]

    @property
    def counterfactuals(self) -> CounterfactualConfig | None:
        """What is said about counterfactuals; None where the experiment makes none."""
        return self.settings.counterfactuals

    def counterfactual_runs(self) -> list[TrainedRun]:
        """The trained diffusion models that make counterfactuals, whatever they are scored with."""
        if self.counterfactuals is None:
            return []
        runs = [run for run in self.trained_runs() if self.is_diffusion(run.model)]
        chosen = self.counterfactuals.models
        return [run for run in runs if chosen is None or run.model in chosen]

    def has_operating_point(self, dataset: str) -> bool:
        """Whether models on `dataset` have one: it is of two classes, and chosen on the validation split."""
        return self.settings.score.validation and len(self.config.datasets[dataset].classes) == 2

    def audited_datasets(self) -> list[str]:
        """The datasets whose configuration names strata."""
        return [name for name, dataset in self.config.datasets.items() if dataset.audit is not None]

    def audited_runs(self) -> list[Run]:
        """The tables of predictions on these."""
        audited = self.audited_datasets()
        return [run for run in self.reported_runs() if run.dataset in audited and run.tested_on is None]

    def replayable_runs(self) -> list[ScoringRun]:
        """The scored runs whose errors are of all steps: other procedures can be replayed from these only."""
        return [] if self.stops_early() else self.scored_runs()

    def stops_early(self) -> bool:
        """Whether scoring leaves out steps that an image does not need."""
        return self.settings.score.stopping.kind != "none"

    def compute(self) -> str:
        """How networks are run. A resource of the rules, not tracked: it changes results by rounding only."""
        return script_safe_json(self.settings.compute.model_dump(mode="json"))

    def resampling(self) -> dict[str, Any]:
        """The fields of `meddiff.evaluate.statistics.Resampling`: how intervals are made."""
        evaluate = self.settings.evaluate
        return {
            "bootstrap_samples": evaluate.bootstrap_samples,
            "confidence": evaluate.confidence,
            "bootstrap_seed": evaluate.seed,
        }

    def image_size(self, dataset: str, model: str) -> int:
        """Side in pixels of the images that `model` is trained on."""
        return self.config.model(model, dataset).image_size or self.config.every_dataset[dataset].image_size

    def store(self, dataset: str, model: str, tested_on: str | None = None) -> str:
        """Folder of the images that `model` of `dataset` is used on; they may be of another dataset."""
        return f"data/{tested_on or dataset}/store/{self.image_size(dataset, model)}"

    def training_store(self, dataset: str, model: str) -> str:
        """Folder of the images that `model` is trained on."""
        crop = getattr(self.config.model(model, dataset), "train_geometry", None) == "crop"
        return f"{self.store(dataset, model)}{'-crop' if crop else ''}"

    def pretrained_manifest(self, model: str) -> str | None:
        """Manifest of the weights that `model` begins from, or is; None where it begins from random ones."""
        sources = self.config.weights
        if sources.pretrained(model) is None:
            return None
        return f"{sources.pretrained_dir(sources.pretrained_name(model))}/manifest.json"

    def profile(self, run: ScoringRun) -> str:
        """Error profile of the validation split."""
        return f"{self.decided(run.own())}/profile.json"

    def on_disk(self, dataset: str, name: str) -> str:
        """A file about the images of a dataset as they lie on disk, which its folds share."""
        return f"data/{whole(dataset)}/{name}"

    def strata(self, dataset: str) -> str:
        """Table of the strata of a dataset."""
        return f"data/{dataset}/strata.csv"

    def participants(self, dataset: str) -> str:
        """Numbers of images and people of a dataset."""
        return f"data/{dataset}/participants.csv"

    def leaks(self, dataset: str) -> list[str]:
        """What the splits of a dataset share: pairs of images, and numbers by class."""
        return [f"splits/{dataset}/{name}.csv" for name in ("leaks", "shared")]

    def trained(self, run: TrainedRun) -> str:
        """Folder of a trained model."""
        return f"{self.results}/{run.dataset}/{run.model}/seed{run.seed}"

    def weights(self, run: TrainedRun) -> str:
        """Folder of its weights."""
        return f"{self.trained(run)}/weights"

    def decided(self, run: ScoringRun) -> str:
        """Folder of what a model decides: another dataset and a vote seed have their own inside `trained`."""
        elsewhere = "" if run.tested_on is None else f"/tested_on/{run.tested_on}"
        return f"{self.trained(run)}{elsewhere}{'' if run.votes is None else f'/votes{run.votes}'}"

    def errors(self, run: ScoringRun, further: str | None = None) -> str:
        """Errors of a test split, or what is scored besides of the dataset trained on (`further_errors`)."""
        run = run if further is None else run.own()
        return f"{self.decided(run)}/errors{'' if further is None else f'_{further}'}.nc"

    def evidence_splits(self) -> list[str | None]:
        """What evidence maps are kept of, as `evidence` takes it: test and validation split."""
        score = self.settings.score
        return [None, *[VALIDATION] * score.validation] if score.evidence else []

    def evidence(self, run: ScoringRun, further: str | None = None) -> str:
        """Evidence maps beside `errors`, of those that are kept (`evidence_splits`)."""
        return f"{self.decided(run)}/evidence{'' if further is None else f'_{further}'}.nc"

    def further_errors(self) -> Sequence[str]:
        """What is scored besides the test split, for comparison: ``valid``, or a kind of noise levels."""
        score = self.settings.score
        return [VALIDATION] * score.validation + score.compare_levels

    def scores(self, run: Run, split: str = TEST) -> str:
        """Predictions of a test split, or of another split trained on, as rule or network has them."""
        run = run if split == TEST else run.own()
        return f"{self.decided(run)}/scores/{split}/{run.decision}.csv"

    def calibration(self, run: Run) -> str:
        """What was fitted on the scores of the validation split."""
        return f"{self.decided(run.own())}/calibration/{run.decision}.json"

    def predictions(self, run: Run) -> str:
        """Table of predictions of the test split."""
        return f"{self.decided(run)}/predictions/{run.decision}.csv"

    def metrics(self, run: Run) -> str:
        """Tidy metrics of a table of predictions."""
        return f"{self.decided(run)}/metrics/{run.decision}.csv"

    def located_runs(self) -> list[ScoringRun]:
        """The scored runs whose evidence maps are compared with known lesions, which phantoms have."""
        phantoms = {name for name, data in self.config.datasets.items() if data.source.kind == "phantom"}
        return [run for run in self.scored_runs() if self.settings.score.evidence and run.dataset in phantoms]

    def grad_cam(self, run: TrainedRun, split: str) -> str:
        """Grad-CAM maps of a baseline."""
        return f"{self.trained(run)}/gradcam/{split}.nc"

    def localisation(self, run: ScoringRun, name: str) -> str:
        """``measures`` or ``metrics`` of what the maps of a run find."""
        return f"{self.decided(run)}/localisation/{name}.csv"

    def counterfactual(self, run: TrainedRun, name: str) -> str:
        """A file of a run's counterfactuals."""
        return f"{self.trained(run)}/counterfactuals/{name}"

    def table(self, name: str) -> str:
        """CSV of a table."""
        return f"{self.results}/tables/{name}.csv"

    def figure(self, name: str) -> str:
        """Data of a figure."""
        return f"{self.results}/figures/{name}.csv"
