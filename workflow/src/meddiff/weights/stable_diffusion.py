"""Stable Diffusion's weights from other weights: zero-shot, and one dataset's part of a joint model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from meddiff.errors import CheckpointError
from meddiff.io import read_json, sha256_file, write_json
from meddiff.models.checkpoint import load_tensors, read_weights, save_weights
from meddiff.models.kinds import with_pretrained_architecture
from meddiff.models.spec import RUN, WEIGHTS, ModelSpec, write_config
from meddiff.provenance import environment
from meddiff.weights.pretrained import verified_manifest

TOKENS = "class_tokens"


def take_pretrained(spec: ModelSpec, seed: int, folder: Path, out_dir: Path) -> None:
    """Write a pretrained model as it is, as training would: the zero-shot classifier.

    Args:
        spec: the model without its architecture, which `folder` describes.
        seed: of the run that the weights are for; it changes nothing about them.
        folder: the pretrained folder, with its manifest.
        out_dir: gets ``model.safetensors``, ``config.yaml`` and ``run.json``.

    Raises:
        CheckpointError: if a file is missing, is not the recorded one, or does not fit.
    """
    manifest = verified_manifest(folder)
    spec = replace(spec, model=with_pretrained_architecture(spec.model, folder))
    model = spec.build().eval()
    model.load_pretrained(folder)
    write_config(out_dir, spec, seed)
    write_json(out_dir / RUN, {"inputs": {"pretrained": manifest}, **environment()})
    save_weights(out_dir / WEIGHTS, model)


def take_classes(
    joint_dir: Path, spec: ModelSpec, first_class: int, joint: ModelSpec, seed: int, out_dir: Path
) -> None:
    """Write the part of a joint model that belongs to one dataset: the same network, its own prompts.

    Args:
        joint_dir: weights of the model that was trained on all datasets.
        spec: the model as it stands before one dataset, without its architecture.
        first_class: which class of `joint` is the dataset's first.
        joint: what ``config.yaml`` of `joint_dir` says.
        seed: of the run.
        out_dir: gets ``model.safetensors``, ``config.yaml`` and ``run.json``.

    Raises:
        CheckpointError: if the joint model was not trained with the dataset's prompts.
    """
    classes = range(first_class, first_class + spec.num_classes)
    prompts = _prompts(joint, classes, joint_dir)
    if prompts != list(spec.model.prompts or []):
        raise CheckpointError(f"{joint_dir}: its prompts are {prompts}, expected {spec.model.prompts}")
    tensors = read_weights(joint_dir / WEIGHTS)
    tensors[TOKENS] = tensors[TOKENS][[*classes, joint.num_classes]]
    resolved = spec.model.model_copy(update={"architecture": joint.model.architecture})
    names = joint.class_names and tuple(joint.class_names[index] for index in classes)
    spec = replace(spec, model=resolved, class_names=names)
    model = spec.build().eval()
    load_tensors(joint_dir / WEIGHTS, tensors, model)
    write_config(out_dir, spec, seed)
    inputs = {"joint_weights": sha256_file(joint_dir / WEIGHTS)}
    write_json(out_dir / RUN, {"inputs": inputs, "joint": read_json(joint_dir / RUN), **environment()})
    save_weights(out_dir / WEIGHTS, model)


def _prompts(joint: ModelSpec, classes: Sequence[int], joint_dir: Path) -> list[str]:
    prompts = list(joint.model.prompts or [])
    if len(prompts) != joint.num_classes or classes[-1] >= joint.num_classes:
        raise CheckpointError(f"{joint_dir}: has {joint.num_classes} classes and {len(prompts)} prompts")
    return [prompts[index] for index in classes]
