"""Published weights are not trained anew by accident.

Asked twice. Before a run starts, while nothing has been touched, `approve` looks at every training that is
due: at settings and code, and at images where they are not to be made again themselves. When a training
starts, `check_may_train` looks at everything: images may have been made since, and on a cluster hours lie
between.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from meddiff.config import Config
from meddiff.errors import ConfigError, ReleaseError
from meddiff.weights.differences import differences
from meddiff.weights.releases import PublishedRun, read_release, release_path
from meddiff.weights.versions import keep_version, kept_inputs

log = logging.getLogger("meddiff")

Decision = Literal["none", "retrain", "keep"]


@dataclass(frozen=True)
class Publication:
    """What is known about the published weights of one run.

    Attributes:
        experiment: name of the folder below ``results``.
        run: ``<dataset>/<model>/seed<k>``.
        published: the published model, or None where it is not published.
        decision: what the user said about it.
    """

    experiment: str
    run: str
    published: PublishedRun | None = None
    decision: Decision = "none"


def publication_of(experiment: str | None, run: str | None, decision: Decision) -> Publication | None:
    """What is known about a run of an experiment; None where weights belong to none.

    Raises:
        ConfigError: if only one of the two is given.
        ReleaseError: if the experiment's record cannot be understood.
    """
    if not experiment and not run:
        return None
    if not experiment or not run:
        raise ConfigError("--experiment and --run: go together")
    release = read_release(experiment)
    return Publication(experiment, run, release.runs.get(run) if release else None, decision)


def approve(publication: Publication, known: Mapping[str, Any], weights_dir: Path) -> None:
    """Keep the weights that are there, and stop where published ones would be trained again.

    Args:
        publication: of the run that is to be trained.
        known: those `meddiff.training.inputs.training_inputs` that are known before the run starts.
        weights_dir: folder of the run's weights; its version is kept (`meddiff.weights.versions`).

    Raises:
        ReleaseError: if the model is published, would change, and the user has not decided; the message says
            what changed and how to decide.
    """
    keep_version(weights_dir)
    published = publication.published
    if published is None or publication.decision != "none":
        return
    changed = _changed(published.inputs, known)
    if changed and all(_changed(inputs, known) for inputs in kept_inputs(weights_dir)):
        if "data" not in known:
            changed.append("images or splits are to be made again, and were not compared yet")
        raise ReleaseError(_refusal(publication, changed))


def version_to_take(publication: Publication | None, inputs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the version that a training job should take was made from, if it is there; None to train anew.

    Args:
        publication: of the run; None where there is no experiment.
        inputs: all that decides what training makes.
    """
    if publication is None:
        return inputs
    if publication.decision == "keep" and publication.published is not None:
        return publication.published.inputs
    return None if publication.decision == "retrain" else inputs


def check_may_train(publication: Publication | None, inputs: Mapping[str, Any]) -> None:
    """Stop where published weights would be trained again, and no kept version could be taken.

    Raises:
        ReleaseError: saying what changed, or that the published weights have to be restored.
    """
    if publication is None or publication.published is None or publication.decision == "retrain":
        return
    changed = differences(publication.published.inputs, inputs)
    if changed and publication.decision == "none":
        raise ReleaseError(_refusal(publication, changed))
    run, experiment = publication.run, publication.experiment
    raise ReleaseError(
        f"{run}: its weights are published ({release_path(experiment)}) but not here.\n"
        "To have them back:\n"
        f"  python -m meddiff restore --only weights --config {Config.entries(experiment)}\n"
        f"To train them again, add to your command:\n  --config retrain={run}"
    )


def _changed(old: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """`differences` in what is known."""
    return differences({key: value for key, value in old.items() if key in known}, known)


def _refusal(publication: Publication, changed: Iterable[str]) -> str:
    run, experiment = publication.run, publication.experiment
    lines = "\n".join(f"  {line}" for line in changed)
    return (
        f"{run}: its weights are published ({release_path(experiment)}). They were about to be trained "
        f"again because these have changed:\n{lines}\n"
        f"To train again, add to your command:\n  --config retrain={run}\n"
        "To keep the weights as they are:\n"
        f"  python -m meddiff keep {run} --config {Config.entries(experiment)}\n"
        "To go on with what was published, undo the changes above."
    )
