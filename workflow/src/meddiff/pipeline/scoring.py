"""What the rules that score, decide and measure decisions take from the configuration."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from meddiff.models.kinds import network_module
from meddiff.pipeline.code import code_of
from meddiff.pipeline.experiment import BASELINE_DECISIONS, SHIFTED, TEST, VALIDATION, Experiment
from meddiff.pipeline.wildcards import ELSEWHERE, Wildcards, scoring_run
from meddiff.runs import Run
from meddiff.text import script_safe_json

_RELABELLING = "meddiff.data.stores.relabelled"
_WHERE_TESTED = re.compile(rf"{ELSEWHERE}\w+")


class Scoring:
    """What these rules take.

    Beside the test split, further errors may be scored (`Experiment.further_errors`, and shifted images):
    such a job has a wildcard ``further``.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def settings(self, wildcards: Wildcards) -> str:
        """Steps, noise levels, precision, and the vote seed."""
        score = self._experiment.settings.score
        settings = score.model_dump(mode="json", include={"steps", "noise_levels", "precision"})
        # Only where it stops anything, so that full errors do not depend on how stopping is described.
        if self._experiment.stops_early():
            settings["stopping"] = score.stopping.model_dump(mode="json")
        further = getattr(wildcards, "further", VALIDATION)
        if further == SHIFTED and (steps := self._experiment.settings.shifts.steps):
            settings["steps"] = steps
            settings.pop("stopping", None)
        elif further not in (VALIDATION, SHIFTED):
            settings["noise_levels"] = further
        if scoring_run(wildcards).tested_on is not None:
            settings["relabel"] = self._relabelling(wildcards)
        return script_safe_json({**settings, "seed": int(wildcards.votes)})

    def _relabelling(self, wildcards: Wildcards) -> dict[str, Any]:
        """The fields of `meddiff.data.stores.relabelled.Relabelling`."""
        run, names = scoring_run(wildcards), self._experiment.config.datasets[wildcards.dataset].classes
        classes = self._experiment.settings.test_on[run.dataset][run.tested_on]
        return {"class_names": [entry.name for entry in names], "classes": classes}

    def store_elsewhere(self, wildcards: Wildcards) -> list[str]:
        """Another dataset's images before a baseline: their folder, and words of the option that relabels."""
        run = scoring_run(wildcards)
        folder = self._experiment.store(run.dataset, run.model, run.tested_on)
        return [folder, "--relabel", script_safe_json(self._relabelling(wildcards))]

    def split(self, wildcards: Wildcards) -> str:
        """The split that is scored."""
        further = getattr(wildcards, "further", None)
        return further if further in (VALIDATION, SHIFTED) else TEST

    def code(self, wildcards: Wildcards) -> list[str]:
        """Scoring, the network, and stopping where it stops anything."""
        kind = self._experiment.config.model(wildcards.model, wildcards.dataset).kind
        stopping = ["meddiff.diffusion.stopping"] if self._experiment.stops_early() else []
        with_maps = getattr(wildcards, "further", VALIDATION) == VALIDATION
        maps = ["meddiff.scoring.evidence_file"] * (with_maps and self._experiment.settings.score.evidence)
        further = [*stopping, *[_RELABELLING] * (scoring_run(wildcards).tested_on is not None)]
        written = ["meddiff.scoring.error_file", *maps]
        return code_of("meddiff.scoring.score", *written, network_module(kind), *further)

    def files(self, errors: str) -> list[str]:
        """A file of errors, and that of evidence maps beside it where these are made."""
        folder, _, name = errors.rpartition("/")
        evidence = name.replace("errors", "evidence") if "errors" in name else f"evidence-{name}"
        return [errors, *[f"{folder}/{evidence}"] * self._experiment.settings.score.evidence]

    def shards(self, gather: Callable[..., list[str]], errors: str) -> list[str]:
        """`files` of all shards, those of errors first; `gather` is Snakemake's, for one pattern."""
        return [shard for pattern in self.files(errors) for shard in gather(pattern, allow_missing=True)]

    def code_elsewhere(self, wildcards: Wildcards) -> list[str]:
        """Prediction by a baseline, and relabelling."""
        return code_of("meddiff.networks.classifier", "meddiff.readout.from_logits", _RELABELLING)

    def voted(self, wildcards: Wildcards) -> str:
        """The errors of a split that is decided on."""
        further = None if wildcards.split == TEST else wildcards.split
        return self._experiment.errors(scoring_run(wildcards), further)

    def calibration(self, wildcards: Wildcards) -> list[str]:
        """What was fitted on the validation split of the dataset trained on, where that is scored."""
        scored = self._experiment.settings.score.validation
        return [f"{self._fitted(wildcards)}/calibration/{wildcards.decision}.json"] * scored

    def calibration_option(self, wildcards: Wildcards) -> list[str]:
        """Words of the option that names it."""
        return [word for path in self.calibration(wildcards) for word in ("--calibration", path)]

    def decide_settings(self, wildcards: Wildcards) -> str:
        """What probabilities are for, and what is promised of images that are decided by them."""
        config, dataset = self._experiment.config, wildcards.decided.partition("/")[0]
        settings: dict[str, Any] = {}
        if (prevalence := config.prevalence.get(dataset)) is not None:
            settings["prevalence"] = prevalence
        if self._experiment.settings.score.validation:
            promised = {"ppv", "npv"} if len(config.datasets[dataset].classes) == 2 else {"coverage"}
            triage = self._experiment.settings.evaluate.triage
            settings["triage"] = triage.model_dump(include={*promised, "confidence"})
        return script_safe_json(settings)

    def ood_files(self, wildcards: Wildcards) -> list[str]:
        """Files that say how unlike the training data test images are."""
        return [*self._ood(wildcards).values()]

    def ood_options(self, wildcards: Wildcards) -> list[str]:
        """Words of the options that name them."""
        return [word for option in self._ood(wildcards).items() for word in option]

    def _ood(self, wildcards: Wildcards) -> dict[str, str]:
        """Option of the command -> file."""
        if not self._experiment.settings.score.validation:
            return {}
        folder = self._fitted(wildcards)
        if wildcards.decision in BASELINE_DECISIONS:
            return {"--validation": f"{folder}/scores/{VALIDATION}/{wildcards.decision}.csv"}
        errors = f"{self._experiment.results}/{wildcards.decided}/errors.nc"
        return {"--profile": f"{folder}/profile.json", "--errors": errors}

    def _fitted(self, wildcards: Wildcards) -> str:
        """Folder of what a model decides on the dataset trained on: there is what is fitted."""
        return f"{self._experiment.results}/{_WHERE_TESTED.sub('', wildcards.decided)}"

    def metrics_settings(self, wildcards: Wildcards) -> str:
        """Which predictions metrics are of (those of votes have a vote seed), and how intervals are made."""
        run = self._decided_run(wildcards).shown()
        return script_safe_json(
            {
                **run.model_dump(exclude_none=True),
                **self._experiment.resampling(),
                **self._operating_point(wildcards),
            }
        )

    def _decided_run(self, wildcards: Wildcards) -> Run:
        return Run(**scoring_run(wildcards).model_dump(), decision=wildcards.decision)

    def _operating_point(self, wildcards: Wildcards) -> dict[str, Any]:
        """How the operating point is chosen, where there is one."""
        rule = self._experiment.settings.evaluate.model_dump(include={"operating_point"}, exclude_none=True)
        return rule if self.validation_scores(wildcards) else {}

    def validation_scores(self, wildcards: Wildcards) -> list[str]:
        """The predictions of the validation split, on which an operating point of two classes is chosen."""
        if not self._experiment.has_operating_point(wildcards.dataset):
            return []
        return [self._experiment.scores(self._decided_run(wildcards), VALIDATION)]

    def validation_option(self, wildcards: Wildcards) -> list[str]:
        """Words of the option that names them."""
        return [word for path in self.validation_scores(wildcards) for word in ("--validation", path)]
