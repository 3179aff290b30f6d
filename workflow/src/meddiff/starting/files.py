"""The files that are written: a dataset, three models and an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meddiff.starting import sizing
from meddiff.starting.classes import imbalance
from meddiff.starting.draft import Draft
from meddiff.starting.looking.pictures import Looks
from meddiff.starting.sizing import Fingerprint, Sizes
from meddiff.starting.yaml_text import document

_UNEQUAL = 2.0  # from here on classes are drawn equally often
_FEW = 10  # test images of a class below which its results say little


@dataclass(frozen=True)
class Start:
    """What is known when the files are written.

    Attributes:
        name: of the dataset and the experiment.
        title: in tables.
        draft: what the folder has.
        looks: of its images.
        data: the fingerprint.
        sizes: what follows from it.
        counts: class -> images.
    """

    name: str
    title: str
    draft: Draft
    looks: Looks
    data: Fingerprint
    sizes: Sizes
    counts: Mapping[str, int]

    @property
    def unequal(self) -> bool:
        """Whether one class has far more images than another."""
        return imbalance(self.counts) >= _UNEQUAL


def files(start: Start) -> dict[str, str]:
    """All files: path below ``config`` -> text."""
    name = start.name
    return {
        f"datasets/{name}.yaml": dataset_file(start),
        f"models/{name}_resnet.yaml": _model_file(start, "ResNet", _resnet(start)),
        f"models/{name}_unet.yaml": _model_file(start, "UNet", _unet(start)),
        f"models/{name}_dit.yaml": _model_file(start, "DiT", _dit(start)),
        f"experiments/{name}.yaml": experiment_file(start),
    }


def dataset_file(start: Start) -> str:
    """``config/datasets/<name>.yaml``."""
    draft, looks = start.draft, start.looks
    content = draft.content(start.title, start.sizes.image_size, looks.channels)
    content |= looks.keys
    content["augmentation"] = {"fixed": {"shift": 0.05}}
    head = [
        f"Written by `meddiff init`: a first file, to be read and mended. {sum(start.counts.values()):,} "
        "images: " + ", ".join(f"{name} {number:,}" for name, number in start.counts.items()) + ".",
        f"The folder is given with --config root_{start.name}=PATH. docs/datasets.md says what else can be "
        "said.",
        *draft.notes.get("", []),
    ]
    notes = {
        **draft.notes,
        "image_size": looks.in_words(),
        "augmentation": [
            "Further changes of training images where they leave the class as it is: hflip, vflip: 0.5, "
            "rotation: 180 for images without an upper side; hflip not where left and right matter."
        ],
        "split": [*draft.notes.get("split", []), *_few(start)],
    }
    order = ("title", "source", "format", "classes", "image_size", "channels", *looks.keys, "split")
    ordered = {key: content.pop(key) for key in order if key in content} | content
    return document("dataset", head, ordered, notes)


def experiment_file(start: Start) -> str:
    """``config/experiments/<name>.yaml``."""
    sizes, name = start.sizes, start.name
    content: dict[str, Any] = {
        "title": start.title,
        "datasets": [name],
        "models": [f"{name}_resnet", f"{name}_unet", f"{name}_dit"],
        "seeds": [0],
        "preset": "fixed",
        "score": _score(sizes),
        "evaluate": {"ablation_steps": _ablation(sizes.score_steps)},
    }
    head = [
        f"Written by `meddiff init` with --size {sizes.dial}: {start.data.images:,} images train, of a side "
        f"of {start.data.side} px, {start.data.channels} channel{'s' * (start.data.channels > 1)} and "
        f"{start.data.classes} classes, on {'a GPU' if sizes.half else 'CPUs'}."
    ]
    notes = {"seeds": ["Results of several trainings, each with its interval: [0, 1, 2]."]}
    return document("experiment", head, content, notes)


def _score(sizes: Sizes) -> dict[str, Any]:
    score: dict[str, Any] = {"steps": sizes.score_steps}
    if sizes.half:
        score["precision"] = "fp16"
    if sizes.dial == "tiny":  # fewer jobs, of which each takes seconds to start
        score["decisions"] = ["majority", "mean"]
    return score


def _few(start: Start) -> list[str]:
    share = start.data.judged / 2 / max(1, start.data.images + start.data.judged)
    few = [name for name, number in start.counts.items() if number * share < _FEW]
    if not few:
        return []
    return [f"About {_FEW} test images or fewer, so that results say little: {', '.join(few)}."]


def _model_file(start: Start, kind: str, content: Mapping[str, Any]) -> str:
    head = [
        f"Written by `meddiff init` with --size {start.sizes.dial}; meddiff/starting/sizing.py has the rules."
    ]
    notes = {}
    if start.unequal:
        head.append("Classes are unequal, so every class is drawn equally often (sampler).")
    if kind == "ResNet":
        notes["architecture"] = [
            "Trained from scratch. With a network, weights of ImageNet are a better beginning, such as "
            "`pretrained: {repo: timm/resnet18.tv_in1k, files: [model.safetensors]}` with "
            "`model_name: resnet18.tv_in1k`."
        ]
    title = f"{kind} ({start.sizes.dial})"
    return document("model", head, {"title": title, **content}, notes)


def _resnet(start: Start) -> dict[str, Any]:
    sizes = start.sizes
    length = {"epochs": sizes.epochs} if sizes.epochs else {"steps": sizes.steps}
    train = _train(start, length, 1.0e-3 if sizes.dial == "tiny" else 3.0e-4)
    train |= {"optimizer": "adamw", "weight_decay": 0.05}
    if sizes.epochs:
        train["validate_every"] = max(1, sizes.epochs // 10)
    return {
        "family": "cnn",
        "kind": "timm",
        "architecture": {"model_name": sizing.resnet(sizes)},
        "train": train,
    }


def _unet(start: Start) -> dict[str, Any]:
    return _diffusion(start, "unet", sizing.unet(start.sizes, start.looks.channels))


def _dit(start: Start) -> dict[str, Any]:
    return _diffusion(start, "dit", sizing.dit(start.sizes))


def _diffusion(start: Start, kind: str, architecture: Mapping[str, Any]) -> dict[str, Any]:
    sizes = start.sizes
    length = {"epochs": sizes.epochs} if sizes.epochs else {"steps": sizes.steps}
    train = _train(start, length, sizes.lr)
    if sizes.epochs:
        times = 2 if sizes.dial == "tiny" else 4
        train["validate_every"] = max(1, -(-sizes.epochs // times))
    train["ema"] = dict(sizes.ema)
    return {
        "family": "diffusion",
        "kind": kind,
        "architecture": dict(architecture),
        # Levels of noise as those of the paper's 256 px, whose noise is that of 64 px.
        "schedule": {"image_size": sizes.image_size, "noise_size": min(64, sizes.image_size)},
        "validation_steps": sizes.validation_steps,
        "train": train,
    }


def _train(start: Start, length: Mapping[str, int], lr: float) -> dict[str, Any]:
    sizes = start.sizes
    train: dict[str, Any] = {**length, "batch_size": sizes.batch}
    if sizes.accumulate > 1:
        train["accumulate"] = sizes.accumulate
    train |= {"lr": lr, "warmup_steps": sizes.warmup}
    if sizes.half:
        train["mixed_precision"] = "fp16"
    if start.unequal:
        train["sampler"] = "balanced"
    return train


def _ablation(steps: int) -> list[int]:
    """Numbers of steps for the figure of accuracy by steps."""
    return [n for n in (1, 3, 5, 11, 25, 51, 101, 251, 501) if n < steps] + [steps]
