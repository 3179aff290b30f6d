"""Published weights are not trained anew by accident.

Before a model is trained, `approve` compares what it would be trained from with what its published weights
were made from (`meddiff.weights.releases`). It stops while the weights are still there: Snakemake deletes the
outputs of a training job before that job starts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from meddiff.errors import CheckpointError, ReleaseError
from meddiff.io import read_json, sha256_json, write_json
from meddiff.training.inputs import differences
from meddiff.weights.releases import PublishedRun, release_path

log = logging.getLogger("meddiff")

APPROVED = "training.json"
Decision = Literal["none", "retrain", "keep"]


def approve(
    run: str,
    inputs: Mapping[str, Any],
    published: PublishedRun | None,
    decision: Decision,
    out: Path,
    experiment: str,
) -> None:
    """Write down what a model is about to be trained from, or stop where it is published and would change.

    Args:
        run: ``<dataset>/<model>/seed<k>``.
        inputs: `meddiff.training.inputs.training_inputs` of today.
        published: the published model, or None where it is not published.
        decision: what the user said about it.
        out: gets ``{"inputs", "key", "decision"}``.
        experiment: name of the folder below ``results``.

    Raises:
        ReleaseError: if the model is published, would change, and the user has not decided; the message says
            what changed and how to decide.
    """
    changed = differences(published.inputs, inputs) if published else []
    if changed and decision == "none":
        lines = "\n".join(f"  {line}" for line in changed)
        raise ReleaseError(
            f"{run}: its weights are published ({release_path(experiment)}). They were about to be trained "
            f"again because these have changed:\n{lines}\n"
            f"To train again, add to your command:  --config retrain={run}\n"
            f"To keep the weights as they are:      python -m meddiff keep {run}\n"
            "To go on with what was published, undo the changes above."
        )
    if changed:
        log.info("%s: published weights, %s although changed: %s", run, decision, "; ".join(changed))
    write_json(out, {"inputs": inputs, "key": sha256_json(inputs), "decision": decision})


def check_approved(approved: Path, inputs: Mapping[str, Any]) -> None:
    """Check that training starts from what was approved: on a cluster hours may lie between the two.

    Raises:
        CheckpointError: if something has changed since.
    """
    if changed := differences(read_json(approved)["inputs"], inputs):
        lines = "\n".join(f"  {line}" for line in changed)
        raise CheckpointError(
            f"{approved}: training was planned before these changed:\n{lines}\nRun snakemake again."
        )
