"""Every file that the workflow makes and keeps, by stage."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from meddiff.config.sources import SPLITS
from meddiff.pipeline.cases import cases_of
from meddiff.pipeline.data import arrays_of, manifest_of, official_splits
from meddiff.pipeline.experiment import SHIFTED, TEST, VALIDATION, Experiment
from meddiff.pipeline.localising import compared_baselines
from meddiff.pipeline.reporting import page_of
from meddiff.pipeline.shifts import Shifts
from meddiff.pipeline.training import pretraining_runs
from meddiff.pipeline.writing import written
from meddiff.runs import TrainedRun

_WEIGHTS = ("model.safetensors", "config.yaml", "run.json")
_COUNTERFACTUALS = (
    *("counterfactuals.csv", "images", "features.npz"),
    *("measures.csv", "metrics.csv", "examples.npz"),
)


class Outputs:
    """The files of an experiment that should be there, by stage; tables and figures name their own.

    The target rules ask for all of them, because Snakemake looks at no file behind those that exist: what a
    failed job has lost, or a person has removed, would not be missed.
    """

    def __init__(self, experiment: Experiment, absent: Collection[str] = ()) -> None:
        """All outputs of `experiment` but `absent`: a clone restored without its heavy files misses none."""
        self._experiment, self._config, self._absent = experiment, experiment.config, absent

    def datasets(self) -> list[str]:
        """Lists of images, splits, and image stores."""
        datasets = [file for name in self._config.on_disk for file in self._on_disk(name)]
        datasets += [file for name in self._config.every_dataset for file in self._of_dataset(name)]
        stores = self._stores()
        return self._expected([*datasets, *(file for store in stores for file in _of_store(store))])

    def strata(self) -> list[str]:
        """The strata of images, which only the audit needs."""
        return self._expected(map(self._experiment.strata, self._experiment.audited_datasets()))

    def weights(self) -> list[str]:
        """Weights, those that they begin from, and lists of the authors' where these are used."""
        experiment = self._experiment
        runs = [*pretraining_runs(experiment), *experiment.joint_runs(), *experiment.trained_runs()]
        files = [f"{experiment.weights(run)}/{name}" for run in runs for name in _WEIGHTS]
        return self._expected([*self._pretrained(), *self._released(), *files])

    def predictions(self) -> list[str]:
        """Errors, predictions, metrics and counterfactuals."""
        experiment = self._experiment
        scored, decided = experiment.scored_runs(), experiment.decided_runs()
        tested = experiment.tested_runs()
        counterfactuals = [file for run in experiment.counterfactual_runs() for file in self._edited(run)]
        predictions, metrics = map(experiment.predictions, decided), map(experiment.metrics, decided)
        splits = [TEST, *[VALIDATION] * experiment.settings.score.validation]
        predicted = [experiment.scores(run, split) for run in decided for split in splits]
        fitted = [experiment.calibration(run) for run in decided if len(splits) > 1]
        # What is fitted on the dataset trained on serves all that are tested on.
        predicted, fitted = list(dict.fromkeys(predicted)), list(dict.fromkeys(fitted))
        errors = [experiment.errors(run) for run in tested]
        errors += [experiment.errors(run, name) for name in experiment.further_errors() for run in scored]
        evidence = [
            experiment.evidence(run, name)
            for name in experiment.evidence_splits()
            for run in (tested if name is None else scored)
        ]
        decided_on = [*errors, *evidence, *predicted, *fitted]
        unlike = [*map(experiment.profile, scored if len(splits) > 1 else ()), *self._shifted()]
        located = self._located()
        return self._expected([*decided_on, *unlike, *predictions, *metrics, *located, *counterfactuals])

    def report(self) -> list[str]:
        """The page that shows all of it, and what lies beside it."""
        found = [page_of(self._experiment), *cases_of(self._experiment), *written(self._experiment)]
        return self._expected(found)

    def _expected(self, files: Iterable[str]) -> list[str]:
        return [file for file in files if file not in self._absent]

    def _on_disk(self, dataset: str) -> list[str]:
        """What is known of a dataset's images before they are divided."""
        return [
            f"data/{dataset}/raw.json",
            *official_splits(self._experiment, dataset),
            f"data/{dataset}/table.csv",
            f"data/{dataset}/flow.json",
        ]

    def _of_dataset(self, dataset: str) -> list[str]:
        """Splits of one dataset, and what is in them."""
        return [
            *(f"splits/{dataset}/{split}.csv" for split in SPLITS),
            f"splits/{dataset}/origin.json",
            *self._experiment.leaks(dataset),
            self._experiment.participants(dataset),
        ]

    def _located(self) -> list[str]:
        """What evidence maps find, and the maps of baselines that they are compared with."""
        experiment, runs = self._experiment, self._experiment.located_runs()
        found = [experiment.localisation(run, name) for run in runs for name in ("measures", "metrics")]
        baselines = dict.fromkeys(one for run in runs for one in compared_baselines(experiment, run))
        return found + [experiment.grad_cam(one, split) for one in baselines for split in (VALIDATION, TEST)]

    def _shifted(self) -> list[str]:
        """What is made of images unlike those of a dataset."""
        shifts = Shifts(self._experiment)
        runs = shifts.runs()
        stores = {shifts.store(run.dataset, run.model) for run in runs}
        files = [file for store in sorted(stores) for file in _of_store(store, (SHIFTED,))]
        return files + [shifts.result(run) for run in runs]

    def _stores(self) -> list[str]:
        """The image stores that models are trained on and used on."""
        experiment = self._experiment
        trained = [] if self._config.official_weights else experiment.models
        trained = [model for model in trained if model not in experiment.zero_shot_models()]
        used = {experiment.store(d, model) for d in experiment.datasets for model in experiment.models}
        used |= {experiment.store(r.dataset, r.model, r.tested_on) for r in experiment.decided_runs()}
        used |= {experiment.training_store(d, m) for d in experiment.datasets for m in trained}
        return sorted(
            used | {experiment.training_store(r.dataset, r.model) for r in self._config.pretraining}
        )

    def _pretrained(self) -> list[str]:
        """Manifests of the weights that training begins from, or that are used as they come."""
        models = self._config.every_model()
        if self._config.official_weights:
            models = self._experiment.zero_shot_models()
        manifests = {self._experiment.pretrained_manifest(model) for model in models}
        return sorted(manifests - {None})

    def _released(self) -> list[str]:
        """Lists of the authors' weights, where these are used."""
        if not self._config.official_weights or not self._config.weights.releases():
            return []
        manifests = [f"data/official/manifests/{release}.json" for release in self._config.weights.releases()]
        return ["data/official/listing.json", *manifests]

    def _edited(self, run: TrainedRun) -> list[str]:
        """Files of the counterfactuals of one run."""
        return [self._experiment.counterfactual(run, name) for name in _COUNTERFACTUALS]


def _of_store(folder: str, splits: Sequence[str] = SPLITS) -> list[str]:
    return [manifest_of(folder), f"{folder}/index.parquet", *arrays_of([folder], splits)]
