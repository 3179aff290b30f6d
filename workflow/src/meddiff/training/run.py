"""From a rule's parameters and files to a trained model and its outputs."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from meddiff.config.schema.compute import DEFAULT_COMPUTE, ComputeConfig
from meddiff.config.schema.model import AnyModel
from meddiff.config.schema.pretrained import PretrainingRun
from meddiff.data.stores.store_files import check_images
from meddiff.errors import ConfigError
from meddiff.io import sha256_json, write_json
from meddiff.models.checkpoint import save_weights
from meddiff.models.kinds import build_task, with_pretrained_architecture
from meddiff.models.spec import RUN, WEIGHTS, ModelSpec, write_config
from meddiff.models.trained import device_name
from meddiff.networks.prepare import compile_network, prepare_network
from meddiff.provenance import environment
from meddiff.signals import stop_signal
from meddiff.state_folder import reserved
from meddiff.training.distributed import Processes
from meddiff.training.inputs import open_stores, training_inputs
from meddiff.training.trainer import Trainer
from meddiff.weights.approval import Publication, check_may_train, version_to_take
from meddiff.weights.claim import Claim
from meddiff.weights.own_run import begin_from
from meddiff.weights.versions import keep_version, take_version

log = logging.getLogger("meddiff")


@dataclass(frozen=True)
class Training:
    """What is trained, and where its files lie.

    Attributes:
        model: resolved configuration.
        seed: seed of initialisation, data order and noise.
        store_dirs: folder of the image store; of several for a model that is trained on all of them.
        out_dir: gets ``model.safetensors``, ``config.yaml`` and ``run.json``.
        pretrained_dir: folder of the weights to begin from, as ``meddiff pretrained`` makes it, or those of
            a training of the same experiment; given if and only if the model has ``pretrained``.
        publication: the experiment's run that these weights are, if they are one.
    """

    model: AnyModel
    seed: int
    store_dirs: Sequence[Path]
    out_dir: Path
    pretrained_dir: Path | None = None
    publication: Publication | None = None


@dataclass(frozen=True)
class Execution:
    """How a training runs, which does not decide what weights it makes.

    Attributes:
        state_root: where resume states live, each under a hash of params, code and data.
        save_every_seconds: how often the resume state is written.
        tracker_dir: folder for TensorBoard; None for no tracking.
        compute: attention kernel, memory format, compilation.
    """

    state_root: Path
    save_every_seconds: float
    tracker_dir: Path | None = None
    compute: ComputeConfig = DEFAULT_COMPUTE


def train_model(training: Training, execution: Execution) -> None:
    """Train a model on the train split and write weights, resolved configuration and run record.

    Weights that were made from the same before are taken instead (`meddiff.weights.versions`).

    Raises:
        ConfigError: if pretrained weights are missing, or given to a model that has none.
        DataError: if a store is damaged.
        CheckpointError: if the pretrained weights are not what their manifest says, or do not fit; if the
            state cannot be saved; or if another training has begun since and has these weights.
        ReleaseError: if published weights would be trained again without being asked for.
        Interrupted: when asked to stop; the state is saved.
    """
    if bool(getattr(training.model, "pretrained", None)) != bool(training.pretrained_dir):
        raise ConfigError(
            "--pretrained: a folder must be given if, and only if, the model's configuration has `pretrained`"
        )
    model = with_pretrained_architecture(training.model, training.pretrained_dir)
    training, out_dir = replace(training, model=model), training.out_dir
    spec = ModelSpec.for_store(model, open_stores(training.store_dirs, "train"))
    inputs = training_inputs(model, training.seed, training.store_dirs, training.pretrained_dir)
    key = sha256_json(inputs)
    claim = Claim(out_dir, key) if os.environ.get("RANK", "0") == "0" else None
    taken = version_to_take(training.publication, inputs)
    if taken is not None and take_version(out_dir, taken):
        log.info("%s: these weights were made before, and kept; nothing is trained", out_dir)
        return
    check_may_train(training.publication, inputs)
    trained = _train(training, spec, execution, execution.state_root / key[:16])
    if trained is None or claim is None:
        return
    claim.check()
    best, record = trained
    write_config(out_dir, spec, training.seed)
    write_json(out_dir / RUN, {"inputs": inputs, **record, **environment()})
    save_weights(out_dir / WEIGHTS, best)
    keep_version(out_dir)


def _train(
    training: Training, spec: ModelSpec, execution: Execution, state_dir: Path
) -> tuple[nn.Module, dict[str, Any]] | None:
    """The selected model, and what the run's record says about its training; None but in the main process."""
    settings, tracker_dir = training.model.train, execution.tracker_dir
    torch.manual_seed(training.seed)
    accelerator = Accelerator(
        mixed_precision=settings.mixed_precision, log_with=_trackers(tracker_dir), project_dir=tracker_dir
    )
    if tracker_dir:
        accelerator.init_trackers("meddiff")
    processes = Processes(accelerator)
    if processes.is_main:  # one process of several reads everything once
        for store_dir, split in product(training.store_dirs, ("train", "valid")):
            check_images(store_dir, split)
    module = spec.build()
    if training.pretrained_dir:
        _begin(module, training.model, training.pretrained_dir)
    prepare_network(module, execution.compute, accelerator.device, settings.mixed_precision)
    parameters = sum(p.numel() for p in module.parameters())
    train, valid = (open_stores(training.store_dirs, split) for split in ("train", "valid"))
    log.info(
        "%s: %.2f M parameters, %d training images", spec.model.title, parameters / 1e6, len(train.labels)
    )
    stop = stop_signal()
    with reserved(state_dir, stop) if processes.is_main else nullcontext():
        processes.wait()
        counts = np.bincount(train.labels, minlength=train.num_classes).tolist()
        task = build_task(training.model, training.seed, counts)
        trainer = Trainer(module, task, settings, training.seed, state_dir, processes)
        for network in {trainer.model, trainer.eval_model}:
            compile_network(network, execution.compute)
        best = trainer.run(
            train,
            valid,
            save_every_seconds=execution.save_every_seconds,
            stop=stop,
            on_epoch=lambda record: accelerator.log(_numbers(record), step=record["step"]),
        )
    accelerator.end_training()
    if not processes.is_main:
        return None
    history = trainer.history
    return best, {
        "parameters": parameters,
        "best_epoch": history.best_epoch,
        "best_valid_f1": history.best_f1,
        "epochs": history.epochs,
        "device": device_name(accelerator.device),
        "compute": execution.compute.model_dump(mode="json", exclude={"scratch"}),
        "processes": processes.count,
        "hours": history.seconds / 3600,
    }


def _begin(module: nn.Module, model: AnyModel, folder: Path) -> None:
    """Put the weights in `folder` into a network, where training begins from them."""
    if not isinstance(model.pretrained, PretrainingRun):
        module.load_pretrained(folder)
        return
    anew = begin_from(module, folder / WEIGHTS)
    log.info("%s: training begins from %s; anew begin %s", model.title, folder, ", ".join(anew))


def _trackers(tracker_dir: Path | None) -> list[str] | None:
    if tracker_dir is None:
        return None
    return ["tensorboard", "comet_ml"] if os.environ.get("COMET_API_KEY") else ["tensorboard"]


def _numbers(record: dict[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in record.items() if key != "step"}
