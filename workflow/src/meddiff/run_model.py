"""From a rule's parameters and files to a trained model and its outputs."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import Accelerator

from meddiff.checkpoint import load_weights, save_weights
from meddiff.config import DiffusionModelConfig, TimmModelConfig, parse_model
from meddiff.data.store import Store
from meddiff.errors import CheckpointError
from meddiff.io import sha256_file, sha256_json, write_json, write_text
from meddiff.models import build_model, build_task, network_module, task_module
from meddiff.provenance import code_hash, environment
from meddiff.train import Trainer

log = logging.getLogger("meddiff")

WEIGHTS, CONFIG, RUN = "model.safetensors", "config.yaml", "run.json"


@dataclass(frozen=True)
class ModelSpec:
    """A model as it stands before one dataset.

    Attributes:
        model: resolved configuration.
        num_classes, channels, image_size: shape of its problem.
    """

    model: DiffusionModelConfig | TimmModelConfig
    num_classes: int
    channels: int
    image_size: int

    @classmethod
    def for_store(cls, model: DiffusionModelConfig | TimmModelConfig, store: Store) -> ModelSpec:
        """The spec of `model` on the images of `store`."""
        _, size, _, channels = store.images.shape
        return cls(model, store.num_classes, channels, size)

    def build(self) -> torch.nn.Module:
        """An untrained model."""
        return build_model(self.model, self.num_classes, self.channels, self.image_size)

    def to_dict(self) -> dict[str, Any]:
        """For ``config.yaml``."""
        return {**vars(self), "model": self.model.model_dump(mode="json")}


def train_model(
    model: DiffusionModelConfig | TimmModelConfig,
    seed: int,
    store_dir: Path,
    out_dir: Path,
    state_root: Path,
    *,
    save_every_seconds: float,
    tracker_dir: Path | None,
) -> None:
    """Train `model` on the train split and write weights, resolved configuration and run record.

    Args:
        model: resolved configuration.
        seed: seed of initialisation, data order and noise.
        store_dir: folder of the image store.
        out_dir: gets ``model.safetensors``, ``config.yaml`` and ``run.json``.
        state_root: where resume states live, each under a hash of params, code and data.
        save_every_seconds: how often the resume state is written.
        tracker_dir: folder for TensorBoard; None for no tracking.
    """
    train, valid = Store.open(store_dir, "train"), Store.open(store_dir, "valid")
    spec = ModelSpec.for_store(model, train)
    inputs = {
        "params": {**spec.to_dict(), "seed": seed},
        "code": code_hash(["meddiff.train", network_module(model.kind), task_module(model.kind)]),
        "data": sha256_file(store_dir / "manifest.json"),
    }
    key = sha256_json(inputs)
    torch.manual_seed(seed)
    accelerator = Accelerator(
        mixed_precision=model.train.mixed_precision, log_with=_trackers(tracker_dir), project_dir=tracker_dir
    )
    if tracker_dir:
        accelerator.init_trackers("meddiff")
    module = spec.build()
    parameters = sum(p.numel() for p in module.parameters())
    log.info("%s: %.2f M parameters, %d training images", model.title, parameters / 1e6, len(train.labels))
    trainer = Trainer(module, build_task(model, seed), model.train, seed, state_root / key[:16], accelerator)
    best = trainer.run(
        train,
        valid,
        save_every_seconds=save_every_seconds,
        stop=stop_signal(),
        on_epoch=lambda record: accelerator.log(_numbers(record), step=record["step"]),
    )
    accelerator.end_training()
    if not accelerator.is_main_process:
        return
    history = trainer.history
    write_text(out_dir / CONFIG, yaml.safe_dump({**spec.to_dict(), "seed": seed}, sort_keys=True))
    write_json(
        out_dir / RUN,
        {
            "inputs": inputs,
            "parameters": parameters,
            "best_epoch": history.best_epoch,
            "best_valid_f1": history.best_f1,
            "epochs": history.epochs,
            "device": device_name(accelerator.device),
            "processes": accelerator.num_processes,
            "hours": history.seconds * accelerator.num_processes / 3600,
            **environment(),
        },
    )
    save_weights(out_dir / WEIGHTS, best)


def load_model(weights_dir: Path, device: torch.device) -> tuple[torch.nn.Module, ModelSpec]:
    """Build the model that `weights_dir` describes and load its weights, in eval mode on `device`.

    Raises:
        CheckpointError: if a file is missing or does not fit.
    """
    path = weights_dir / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{path}: missing; weights need the configuration they were made with")
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    spec = ModelSpec(
        parse_model(document["model"]), document["num_classes"], document["channels"], document["image_size"]
    )
    # Weights come from the file, also where training began from pretrained ones.
    model = spec.model
    if isinstance(model, TimmModelConfig):
        model = model.model_copy(update={"pretrained": False})
    module = build_model(model, spec.num_classes, spec.channels, spec.image_size)
    load_weights(weights_dir / WEIGHTS, module)
    return module.to(device).eval(), spec


def default_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """What kind of device it is, for records."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def stop_signal() -> Callable[[], bool]:
    """A function that says whether SIGTERM or SIGUSR1 (Slurm's warning) has come since this call."""
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda signum, frame: received.append(signum))
    return lambda: bool(received)


def _trackers(tracker_dir: Path | None) -> list[str] | None:
    if tracker_dir is None:
        return None
    return ["tensorboard", "comet_ml"] if os.environ.get("COMET_API_KEY") else ["tensorboard"]


def _numbers(record: dict[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in record.items() if key != "step"}
