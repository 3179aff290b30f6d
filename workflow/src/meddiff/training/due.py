"""The trainings that a run of the workflow is about to start, looked at while nothing has been touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from meddiff.config import parse_model
from meddiff.errors import MeddiffError, ReleaseError
from meddiff.models.kinds import with_pretrained_architecture
from meddiff.models.spec import ModelSpec
from meddiff.training.inputs import known_inputs, open_stores
from meddiff.training.network_check import check_network, check_trainable
from meddiff.weights.approval import Decision, approve, publication_of
from meddiff.weights.own_run import check_fit


@dataclass(frozen=True)
class DueTraining:
    """One training job that is due.

    Attributes:
        run: ``<dataset>/<model>/seed<k>``.
        decision: what the user said about its published weights.
        weights: folder that it writes.
        model: resolved configuration.
        seed: of the training.
        num_classes, channels, image_size: shape of its problem.
        stores: the stores that it is trained on; None where one of them is to be made again.
        pretrained: folder of the weights that it begins from, if it begins from some; None where that is to
            be made again.
        begins_from: of a training of the same experiment that it begins from: its name (`run`), `model`,
            `num_classes`, `channels` and `image_size`. None where it begins from none.
    """

    run: str
    decision: Decision
    weights: Path
    model: dict[str, Any]
    seed: int
    num_classes: int
    channels: int
    image_size: int
    stores: list[Path] | None
    pretrained: Path | None
    begins_from: dict[str, Any] | None = None

    @classmethod
    def parse(cls, entry: dict[str, Any]) -> DueTraining:
        """From JSON."""
        paths = {
            "weights": Path(entry["weights"]),
            "stores": None if entry["stores"] is None else [Path(path) for path in entry["stores"]],
            "pretrained": None if entry["pretrained"] is None else Path(entry["pretrained"]),
        }
        return cls(**{**entry, **paths})

    def approve(self, experiment: str) -> None:
        """Keep the weights that are there; stop where published ones would be trained again, or none can be.

        Raises:
            ConfigError: see `meddiff.training.network_check.check_trainable`; if the network does not fit the
                one that it begins from.
            ReleaseError: see `meddiff.weights.approval.approve`.
        """
        model, spec = parse_model(self.model), None
        # Some kinds take their architecture from the weights that they begin from; those of a run have it.
        if self.pretrained is not None or self.begins_from or not getattr(model, "pretrained", None):
            model = with_pretrained_architecture(model, self.pretrained)
            spec = ModelSpec(model, self.num_classes, self.channels, self.image_size)
            if self.stores is None:
                check_network(spec)
            else:
                check_trainable(spec, len(open_stores(self.stores, "train").labels))
            if self.begins_from:
                _check_beginning(spec, **self.begins_from)
        known = known_inputs(model, self.seed, spec, store_dirs=self.stores, pretrained_dir=self.pretrained)
        publication = publication_of(experiment, self.run, self.decision)
        approve(publication, known, self.weights)


def _check_beginning(
    spec: ModelSpec, run: str, model: dict[str, Any], num_classes: int, channels: int, image_size: int
) -> None:
    """Check that a network fits the one whose weights it will begin from, before these are trained."""
    with torch.device("meta"):
        before = ModelSpec(parse_model(model), num_classes, channels, image_size).build()
        check_fit(spec.build(), before, run)


def approve_all(experiment: str, trainings: Sequence[DueTraining]) -> None:
    """`DueTraining.approve` for all, and what is wrong with any of them in one message.

    Raises:
        ReleaseError: if one of them may not be trained.
    """
    problems = []
    for training in trainings:
        try:
            training.approve(experiment)
        except ReleaseError as error:  # names the run itself
            problems.append(str(error))
        except MeddiffError as error:
            problems.append(f"{training.run}: {error}")
    if problems:
        raise ReleaseError("\n\n".join(problems))
