"""A model as it stands before one dataset, and the files that hold one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from meddiff.config import parse_model
from meddiff.config.schema.model import AnyModel
from meddiff.errors import CheckpointError, ConfigError
from meddiff.format_version import KEY, as_of_today
from meddiff.io import sha256_json, write_text
from meddiff.models.kinds import build_model

if TYPE_CHECKING:
    import torch

    from meddiff.data.stores.joint import JointStore
    from meddiff.data.stores.store import Store

FORMAT_VERSION = 2  # of CONFIG, and so of the weights beside it
WEIGHTS, CONFIG, RUN = "model.safetensors", "config.yaml", "run.json"
_CHECKSUM = "sha256"
_REPAIR = "make the weights again"
# In version 1, both diffusion networks have the flags of either; of the other one's, these are null.
_OF_THE_OTHER = {
    "unet": ("adaln_zero_init", "label_table_size", "block_label_dropout"),
    "dit": ("embedding_outside",),
}


@dataclass(frozen=True)
class ModelSpec:
    """A model as it stands before one dataset.

    Attributes:
        model: resolved configuration.
        num_classes, channels, image_size: shape of its problem.
        class_names: in the order of the class index; None where it is not known (weights that were not
            trained here).
    """

    model: AnyModel
    num_classes: int
    channels: int
    image_size: int
    class_names: tuple[str, ...] | None = None

    @classmethod
    def for_store(cls, model: AnyModel, store: Store | JointStore) -> ModelSpec:
        """The spec of `model` on the images of `store`."""
        _, size, _, channels = store.images.shape
        return cls(model, store.num_classes, channels, size, tuple(store.class_names))

    def build(self) -> torch.nn.Module:
        """An untrained model."""
        return build_model(self.model, self.num_classes, self.channels, self.image_size)

    def to_dict(self) -> dict[str, Any]:
        """What decides what the network computes: all but the names of its classes."""
        shape = {name: getattr(self, name) for name in ("num_classes", "channels", "image_size")}
        return {"model": self.model.model_dump(mode="json"), **shape}

    def check_use(self, weights_dir: Path, store: Store, *, diffusion: bool) -> None:
        """Check that weights can be used for what they are to be used for.

        Args:
            weights_dir: where they lie, for messages.
            store: the images.
            diffusion: whether a diffusion model is needed, or else a classifier.

        Raises:
            CheckpointError: if they are of the other kind, or of images of another size, number of channels
                or classes, or order of classes.
        """
        if (self.model.family == "diffusion") != diffusion:
            kinds = ("a classifier", "a diffusion model")
            raise CheckpointError(
                f"{weights_dir}: the weights are of {kinds[not diffusion]} (kind {self.model.kind!r}); "
                f"expected those of {kinds[diffusion]}"
            )
        _, size, _, channels = store.images.shape
        _compare(weights_dir, {"image size": (self.image_size, size), "channels": (self.channels, channels)})
        self.check_classes(weights_dir, store)

    def check_classes(self, weights_dir: Path, store: Store) -> None:
        """Check that weights tell the classes of `store` apart, in their order.

        Raises:
            CheckpointError: if they do not.
        """
        _compare(weights_dir, {"number of classes": (self.num_classes, store.num_classes)})
        # Other names may be better words for the same classes; the same ones in another order are not.
        if self.class_names and sorted(self.class_names) == sorted(store.class_names):
            _compare(weights_dir, {"order of classes": (list(self.class_names), store.class_names)})


def _compare(weights_dir: Path, pairs: dict[str, tuple[Any, Any]]) -> None:
    """Compare what weights are for (first) with what the images have."""
    if wrong := [
        f"{what} {ours}, the images have {theirs}" for what, (ours, theirs) in pairs.items() if ours != theirs
    ]:
        raise CheckpointError(f"{weights_dir}: the weights are not for these images: {'; '.join(wrong)}")


def write_config(folder: Path, spec: ModelSpec, seed: int) -> None:
    """Write ``config.yaml``: what weights need to be used, beside them, with a checksum of itself."""
    names = {} if spec.class_names is None else {"class_names": list(spec.class_names)}
    document = {KEY: FORMAT_VERSION, **spec.to_dict(), **names, "seed": seed}
    text = yaml.safe_dump({**document, _CHECKSUM: sha256_json(document)}, sort_keys=True)
    write_text(folder / CONFIG, text)


def read_spec(weights_dir: Path) -> ModelSpec:
    """What ``config.yaml`` says about the weights beside it.

    Raises:
        CheckpointError: if the file is missing, damaged, was edited after it was written, or was made by a
            newer meddiff.
    """
    path = weights_dir / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{path}: missing; weights need the configuration they were made with")
    try:
        document = dict(yaml.safe_load(path.read_text(encoding="utf-8")))
        checksum = document.pop(_CHECKSUM, None)
        first = checksum is None and KEY not in document  # the first ones of version 1 had none
        if not first and checksum != sha256_json(document):
            raise CheckpointError(
                f"{path}: is damaged or was edited: its checksum does not fit; weights mean nothing without "
                "the configuration they were made with: make them again, or restore them if published"
            )
        found = document.pop(KEY, None)
        document = as_of_today(path, found, document, (_from_version_1,), CheckpointError, _REPAIR)
        if document.keys() - {"class_names"} != {"model", "num_classes", "channels", "image_size", "seed"}:
            raise CheckpointError(f"{path}: has the keys {', '.join(document)}; {_REPAIR}")
        model, names = parse_model(document["model"]), document.get("class_names")
        shape = [int(document[key]) for key in ("num_classes", "channels", "image_size")]
        return ModelSpec(model, *shape, tuple(names) if names else None)
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError, ConfigError) as error:
        raise CheckpointError(f"{path}: cannot be used ({error}); {_REPAIR}") from error


def _from_version_1(document: dict[str, Any]) -> dict[str, Any]:
    """It does not say its version, and has flags that its network never had."""
    model = document.get("model", {})
    others = _OF_THE_OTHER.get(model.get("kind"), ())
    own = {key: value for key, value in model.items() if value is not None or key not in others}
    return {**document, "model": own} if own else document
