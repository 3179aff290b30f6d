"""A model as it stands before one dataset, and the files that hold one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from meddiff.config import parse_model
from meddiff.config.model import AnyModel
from meddiff.data.joint import JointStore
from meddiff.data.store import Store
from meddiff.errors import CheckpointError
from meddiff.io import write_text
from meddiff.models import build_model

if TYPE_CHECKING:
    import torch

WEIGHTS, CONFIG, RUN = "model.safetensors", "config.yaml", "run.json"


@dataclass(frozen=True)
class ModelSpec:
    """A model as it stands before one dataset.

    Attributes:
        model: resolved configuration.
        num_classes, channels, image_size: shape of its problem.
    """

    model: AnyModel
    num_classes: int
    channels: int
    image_size: int

    @classmethod
    def for_store(cls, model: AnyModel, store: Store | JointStore) -> ModelSpec:
        """The spec of `model` on the images of `store`."""
        _, size, _, channels = store.images.shape
        return cls(model, store.num_classes, channels, size)

    def build(self) -> torch.nn.Module:
        """An untrained model."""
        return build_model(self.model, self.num_classes, self.channels, self.image_size)

    def to_dict(self) -> dict[str, Any]:
        """For ``config.yaml``."""
        return {**vars(self), "model": self.model.model_dump(mode="json")}


def write_config(folder: Path, spec: ModelSpec, seed: int) -> None:
    """Write ``config.yaml``: what weights need to be used, beside them."""
    write_text(folder / CONFIG, yaml.safe_dump({**spec.to_dict(), "seed": seed}, sort_keys=True))


def read_spec(weights_dir: Path) -> ModelSpec:
    """What ``config.yaml`` says about the weights beside it.

    Raises:
        CheckpointError: if the file is missing.
    """
    path = weights_dir / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{path}: missing; weights need the configuration they were made with")
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return ModelSpec(
        parse_model(document["model"]), document["num_classes"], document["channels"], document["image_size"]
    )
