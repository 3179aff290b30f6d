"""What the rule of the case explorer takes from the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meddiff.config.folders import REPORT
from meddiff.config.schema.kinds.pixels import PixelModel
from meddiff.pipeline.experiment import Experiment
from meddiff.runs import Run, ScoringRun, pair
from meddiff.text import script_safe_json

# A test split of 10,000 images would otherwise be half a gigabyte beside the page.
MOST_DETAILS = 1000


def cases_of(experiment: Experiment) -> list[str]:
    """The explorer's data: the index, and the folder of pictures and details beside the page."""
    return [f"{experiment.results}/{REPORT}/{name}" for name in ("cases.json", "cases")]


class Cases:
    """What it takes: each model with the first of its seeds, and all its decisions.

    Errors, evidence maps and image stores are no inputs. They are read where they lie, if they are there: in
    a clone that was restored without them the explorer says so and shows the rest, and to make it there again
    scores nothing. That they are the right ones is vouched for by the predictions, made from them.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    # Snakemake fills in braces of strings, so it is given functions.
    def settings(self, wildcards: object) -> str:
        """``--params`` of the command (`meddiff.cases.settings.CaseSettings`)."""
        return script_safe_json({"datasets": list(self._datasets()), "most_details": MOST_DETAILS})

    def files(self) -> dict[str, list[str]]:
        """Name -> files: ``predictions``, ``strata``, and tables of ``counterfactuals``."""
        datasets = list(self._datasets())
        scored = [one for dataset in datasets for one in dataset["scored"]]
        return {
            "predictions": [run["predictions"] for dataset in datasets for run in dataset["runs"]],
            "strata": [dataset["strata"]["path"] for dataset in datasets if dataset["strata"]],
            "counterfactuals": [one["counterfactuals"] for one in scored if one["counterfactuals"]],
        }

    def images(self) -> list[str]:
        """Folders of counterfactuals, whose tables have the checksums of their files."""
        scored = [one for dataset in self._datasets() for one in dataset["scored"]]
        return [one["images"] for one in scored if one["images"]]

    def _datasets(self) -> Iterator[dict[str, Any]]:
        """One entry a dataset, and one for each other test split before its models."""
        experiment, config = self._experiment, self._experiment.config
        for name, dataset in config.datasets.items():
            for elsewhere in (None, *experiment.settings.test_on.get(name, {})):
                runs = [run for run in self._runs() if (run.dataset, run.tested_on) == (name, elsewhere)]
                title = dataset.title if elsewhere is None else config.every_dataset[elsewhere].title
                audit = dataset.audit if elsewhere is None else None
                yield {
                    "name": name if elsewhere is None else pair(name, elsewhere),
                    "title": title if elsewhere is None else f"{dataset.title} → {title}",
                    "classes": [entry.name for entry in dataset.classes],
                    "stores": self._stores(runs),
                    "strata": audit and {"title": audit.title, "path": experiment.strata(name)},
                    "runs": [self._shown(run) for run in runs],
                    "scored": [self._scored(run) for run in _scored_once(runs)],
                }

    def _runs(self) -> list[Run]:
        """Those of the first seed of the experiment, and of its first vote seed."""
        first = self._experiment.settings.seeds[0]
        votes = (None, self._experiment.settings.score.vote_seeds(first)[0])
        runs = self._experiment.reported_runs()
        return [run for run in runs if run.seed == first and run.votes in votes]

    def _shown(self, run: Run) -> dict[str, Any]:
        model = self._experiment.any_dataset(run.model)
        return {
            **run.model_dump(include={"model", "decision"}),
            "title": model.title,
            "family": model.family,
            "predictions": self._experiment.predictions(run),
        }

    def _scored(self, run: ScoringRun) -> dict[str, Any]:
        experiment = self._experiment
        model = experiment.config.model(run.model, run.dataset)
        edited = run.tested_on is None and any(
            (one.dataset, one.model) == (run.dataset, run.model) for one in experiment.counterfactual_runs()
        )
        return {
            "model": run.model,
            "title": model.title,
            "size": experiment.image_size(run.dataset, run.model),
            "wavelet": model.wavelet if isinstance(model, PixelModel) else None,
            "errors": experiment.errors(run),
            "evidence": experiment.evidence(run) if experiment.settings.score.evidence else None,
            "counterfactuals": experiment.counterfactual(run, "counterfactuals.csv") if edited else None,
            "images": experiment.counterfactual(run, "images") if edited else None,
        }

    def _stores(self, runs: list[Run]) -> dict[str, str]:
        """Side in pixels -> the store."""
        size, store = self._experiment.image_size, self._experiment.store
        return {
            str(size(run.dataset, run.model)): store(run.dataset, run.model, run.tested_on) for run in runs
        }


def _scored_once(runs: list[Run]) -> list[ScoringRun]:
    """The errors behind several decisions are shown once."""
    scored = [run for run in runs if run.votes is not None]
    return list(dict.fromkeys(ScoringRun(**run.model_dump(exclude={"decision"})) for run in scored))
