"""What the rules that score, decide and measure decisions take from the configuration."""

from __future__ import annotations

from meddiff.models.kinds import network_module
from meddiff.pipeline.code import code_of
from meddiff.pipeline.experiment import VALIDATION, Experiment
from meddiff.pipeline.wildcards import Wildcards, trained_run
from meddiff.text import script_safe_json


class Scoring:
    """What these rules take.

    Beside the test split, further errors may be scored (`Experiment.further_errors`): such a job has a
    wildcard ``further``.
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
        if (further := getattr(wildcards, "further", VALIDATION)) != VALIDATION:
            settings["noise_levels"] = further
        return script_safe_json({**settings, "seed": int(wildcards.votes)})

    def split(self, wildcards: Wildcards) -> str:
        """The split that is scored."""
        return "valid" if getattr(wildcards, "further", None) == VALIDATION else "test"

    def code(self, wildcards: Wildcards) -> list[str]:
        """Scoring, the network, and stopping where it stops anything."""
        kind = self._experiment.config.model(wildcards.model, wildcards.dataset).kind
        stopping = ["meddiff.diffusion.stopping"] if self._experiment.stops_early() else []
        return code_of("meddiff.scoring.score", "meddiff.scoring.error_file", network_module(kind), *stopping)

    def metrics_settings(self, wildcards: Wildcards) -> str:
        """Which predictions metrics are of (those of votes have a vote seed), and how intervals are made."""
        votes = getattr(wildcards, "votes", None)
        return script_safe_json(
            {
                **trained_run(wildcards).model_dump(),
                **({} if votes is None else {"votes": int(votes)}),
                "decision": wildcards.decision,
                **self._experiment.resampling(),
            }
        )
